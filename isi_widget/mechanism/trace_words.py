"""A causal trace in words: a heading, a table, a sentence for each cell. Not for its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isi_widget.mechanism.figures import number
from isi_widget.mechanism.targets import target_of
from isi_widget.readable import counted, html_table

if TYPE_CHECKING:
    from isi_widget.mechanism.causal_trace import CausalTrace

SITE_TITLES = {
    "residual": "input of the layer",
    "attention": "output of attention",
    "mlp": "output of the MLP",
}
_PLACES = {
    "residual": "input of layer",
    "attention": "attention output of layer",
    "mlp": "MLP output of layer",
}


def heading(trace: CausalTrace) -> str:
    """Return one line: what was patched into what, how, and in how many pairs."""
    into = "clean into corrupt" if trace.direction == "denoise" else "corrupt into clean"
    how = {"exact": "", "integrated": ", integrated gradients", "gradient": ", one gradient: a shortlist"}
    pairs = counted(trace.n, "pair")
    return f"Recovery, {into}, {target_of(trace.target).title}, {pairs}{how[trace.method]}"


def sentence(trace: CausalTrace, site: int, layer: int, group: int) -> str:
    """Return what a cell shows, in one sentence."""
    value = float(trace.recovery[site, layer, group])
    row, name = trace.rows_named[layer], trace.groups[group]
    place = f"{_PLACES[trace.sites[site]]}{'s' * (trace.window > 1)} {row}"
    source, base = ("clean", "corrupt") if trace.direction == "denoise" else ("corrupt", "clean")
    if not np.isfinite(value):
        return (
            f"No pair has tokens of the group {name!r} that correspond, so the {place} was not traced there."
        )
    counts = sorted({len(groups[group]) for groups in trace.positions if groups[group]})
    many = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    tokens = f"the {many} token{'s' * (counts != [1])} of {name!r}"
    verb = "carries over" if trace.direction == "denoise" else "destroys"
    title = target_of(trace.target).title
    difference = f"of the change in {title} (clean {trace.clean:.3g}, corrupt {trace.corrupt:.3g})"
    share = f"{100 * value:z.0f} %"
    if trace.method == "exact":
        parts = [
            f"Putting the {source} run's {place} into the {base} run at {tokens} {verb} {share} {difference}"
        ]
    else:
        kind = "Integrated gradients estimate" if trace.method == "integrated" else "One gradient suggests"
        parts = [
            f"{kind} that putting the {source} run's {place} into the {base} run at {tokens} {verb} {share} "
            f"{difference}"
        ]
    if trace.n > 1:
        low, high = trace.interval()
        cell = (site, layer, group)
        parts.append(
            f"95 % interval over {trace.n} pairs {100 * low[cell]:z.0f} to {100 * high[cell]:z.0f} %"
        )
    flips = trace.flips[:, site, layer, group]
    known = flips[np.isfinite(flips)]
    if known.size:
        parts.append(_flips(trace, int(known.sum()), int(known.size)))
    draws = trace.controls[:, :, site, layer, group]
    drawn = draws[np.isfinite(draws)]
    if drawn.size:
        parts.append(f"as many random tokens: {100 * drawn.mean():z.0f} % ({counted(len(draws), 'draw')})")
    return "; ".join(parts) + "."


def _flips(trace: CausalTrace, flipped: int, of: int) -> str:
    if of > 1 or trace.n > 1:
        return f"the answer becomes that of the other run in {flipped} of {of} pairs"
    clean, corrupt = (word.strip() for word in trace.answers[0])
    one, two = (corrupt, clean) if trace.direction == "denoise" else (clean, corrupt)
    return f"the answer flips from {one!r} to {two!r}" if flipped else f"the answer does not become {two!r}"


def table(trace: CausalTrace) -> str:
    """Return the recovery as lines of text."""
    lines = [heading(trace)]
    width = max(len(name) for name in (*trace.groups, *(SITE_TITLES[site] for site in trace.sites))) + 2
    room = 15 if trace.controls.size else 9
    for at, site in enumerate(trace.sites):
        lines.append(SITE_TITLES[site].ljust(width) + "".join(f"{row:>{room}}" for row in trace.rows_named))
        for group, name in enumerate(trace.groups):
            lines.append(f"  {name}".ljust(width) + "".join(f"{c:>{room}}" for c in _cells(trace, at, group)))
    return "\n".join([*lines, *remarks(trace)])


def html(trace: CausalTrace) -> str:
    """Return the recovery as tables for a notebook."""
    parts = []
    for at, site in enumerate(trace.sites):
        rows = [(name, *_cells(trace, at, group)) for group, name in enumerate(trace.groups)]
        last = at == len(trace.sites) - 1
        title = f"{heading(trace)}: {SITE_TITLES[site]}" if at == 0 else SITE_TITLES[site]
        parts.append(html_table(title, ("layer", *trace.rows_named), rows, remarks(trace) if last else ()))
    return "".join(parts)


def _cells(trace: CausalTrace, site: int, group: int) -> list[str]:
    """Return the recovery of a group in each layer, with that of random tokens in brackets."""
    values = [number(value) for value in trace.recovery[site, :, group]]
    if not trace.controls.size:
        return values
    random = [number(value) for value in trace.control[site, :, group]]
    return [f"{value} ({drawn})" for value, drawn in zip(values, random, strict=True)]


def remarks(trace: CausalTrace) -> list[str]:
    """Return what stands in brackets, the agreement of estimates, the notes, and why pairs were left out."""
    found = [agreement(name, dict(values)) for name, values in trace.agreement.items()]
    if trace.controls.size:
        draws = len(trace.controls)
        found.insert(0, f"In brackets: as many random tokens, mean of {counted(draws, 'draw')}.")
    return [*found, *trace.notes, *trace.skipped]


def agreement(method: str, values: dict[str, float | None]) -> str:
    """Return how an estimate agrees with exact values, in one sentence."""
    found = values.get("correlation")
    shown = "unknown" if found is None else f"{found:.2f}"
    return (
        f"{method} beside exact, {values.get('cells') or 0:.0f} cells: correlation {shown}, largest "
        f"difference {values.get('largest_difference') or 0.0:.2f}."
    )
