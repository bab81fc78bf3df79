"""The trace of one pair: its two runs, the positions of its groups, and every cell.

`tracing` checks the arguments and puts the pairs together. Not for the record (`causal_trace`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget.concepts.pair import Pair
from isi_widget.errors import InputError
from isi_widget.interventions.tokens import Tokens
from isi_widget.mechanism import token_groups
from isi_widget.mechanism.arguments import Steps
from isi_widget.mechanism.compared import Compared, compared, token_text
from isi_widget.mechanism.scan_store import Store
from isi_widget.mechanism.trace_gradients import attributions

if TYPE_CHECKING:
    import torch

    from isi_widget.vlm import VLM
    from isi_widget.vlm.inside.aligning import Alignment
    from isi_widget.vlm.inside.rerun import Clean

Floats = npt.NDArray[np.float64]
#: Exact cells that an estimate is compared with, for each pair.
CHECKED = 8


class NoDifference(Exception):
    """A pair whose two runs do not differ."""


class NoTokens(NoDifference):
    """A pair in which no group has tokens that correspond."""


@dataclass(frozen=True)
class Plan:
    """The checked arguments of a trace."""

    sites: tuple[str, ...]
    groups: Mapping[str, Tokens] | None
    layers: tuple[int, ...]
    window: int
    direction: str
    method: str
    beside: tuple[str, ...]
    target: str
    controls: int
    seed: int
    least: float

    @property
    def steps(self) -> int:
        """Number of steps of one pair, for the progress."""
        return len(self.sites) * len(self.layers)


@dataclass(frozen=True, eq=False)
class Runs:
    """The two runs of a pair, and how their tokens correspond.

    Attributes
    ----------
    base : the run that is patched.
    source : the run whose activations are put in.
    partners : for each prompt position of the base run, that of the source run; -1 for none.
    compared : the target.
    base_value, source_value : the target in both.
    """

    base: Clean
    source: Clean
    alignment: Alignment
    compared: Compared
    base_value: float
    source_value: float

    def states(self, run: Clean, site: str, layer: int) -> torch.Tensor:
        """Return the states [1, T, width] of a run at a site."""
        return {"residual": run.inputs, "attention": run.attention, "mlp": run.mlp}[site][layer]

    def recovered(self, values: Any) -> Any:
        """Return the share of the difference between the runs."""
        return (values - self.base_value) / (self.source_value - self.base_value)

    def patched(self, site: str, start: int, window: int, jobs: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the logits [jobs, rows, vocabulary] with the source's states put in.

        Parameters
        ----------
        jobs
            Positions that are patched, at least one each; they run as one batch.
        """
        import torch

        from isi_widget.vlm.inside.rerun import Edit

        found: list[torch.Tensor | None] = [None] * len(jobs)
        for bucket in _buckets(jobs, self.base.tokens):
            first = min(min(jobs[at]) for at in bucket)
            chosen = [jobs[at] for at in bucket]
            edits = [
                Edit(layer, site, self._put(site, layer, chosen, first))
                for layer in range(start, start + window)
            ]
            logits = self.base.run_from(start, edits=edits, batch=len(bucket), first=first)
            for at, row in zip(bucket, logits, strict=True):
                found[at] = row
        return torch.stack([row for row in found if row is not None])

    def _put(
        self, site: str, layer: int, jobs: Sequence[Sequence[int]], first: int
    ) -> Callable[[torch.Tensor, range], torch.Tensor]:
        source = self.states(self.source, site, layer)

        def put(states: torch.Tensor, chunk: range) -> torch.Tensor:
            changed = states.expand(len(chunk), -1, -1).clone()
            for at, job in enumerate(chunk):
                rows = list(jobs[job])
                partners = [self.alignment.partners[row] for row in rows]
                changed[at, [row - first for row in rows]] = source[0, partners].to(changed)
            return changed

        return put


def _buckets(jobs: Sequence[Sequence[int]], tokens: int) -> list[list[int]]:
    """Return which jobs run together: a batch runs from its first patched token on, so jobs that begin much
    later have one of their own.
    """
    order = sorted(range(len(jobs)), key=lambda at: min(jobs[at]))
    found: list[list[int]] = []
    for at in order:
        if found and tokens - min(jobs[at]) >= (tokens - min(jobs[found[-1][0]])) / 2:
            found[-1].append(at)
        else:
            found.append([at])
    return found


@dataclass(frozen=True, eq=False)
class Traced:
    """The trace of one pair; arrays are [sites, layers, groups], those of controls [draws, ...]."""

    pair: Pair
    groups: Mapping[str, tuple[int, ...]]
    compared: Compared
    answers: tuple[str, str]
    clean: float
    corrupt: float
    each: Floats
    flips: Floats
    controls: Floats
    estimates: Mapping[str, Floats]
    checked: Sequence[tuple[str, float, float]]
    notes: tuple[str, ...]


def trace_pair(vlm: VLM, plan: Plan, pair: Pair, number: int, step: Steps, store: Store) -> Traced:
    """Trace one pair.

    Parameters
    ----------
    number
        Number of the pair, a part of the seed of its draws.
    store
        Results so far.

    Raises
    ------
    NoDifference, NoTokens
        If its two runs do not differ, or it has no tokens to trace.
    """
    import torch

    with vlm.lock, torch.no_grad(), vlm.explained("tracing"):
        runs, answers = _runs(vlm, plan, pair)
        rows, notes = _rows(vlm, plan, pair, runs)
        names = list(rows)
        random = _controls(plan, runs, rows, number)
        shape = (len(plan.sites), len(plan.layers), len(names))
        each, flips = np.full(shape, np.nan), np.full(shape, np.nan)
        controls = np.full((plan.controls, *shape), np.nan)
        stored = {"each": shape[2:], "flips": shape[2:], "controls": (plan.controls, *shape[2:])}
        estimates: dict[str, Floats] = {}
        checked: list[tuple[str, float, float]] = []
        if plan.method == "exact":
            for site, layer in np.ndindex(shape[:2]):
                place = plan.sites[site], plan.layers[layer]
                stage = " ".join(map(str, place))
                cells = store.get(stage, number, stored)
                if cells is None:
                    cells = _cells(plan, runs, rows, random, *place)
                    store.keep(stage, number, cells)
                each[site, layer], flips[site, layer] = cells["each"], cells["flips"]
                controls[:, site, layer] = cells["controls"]
                step.one()
        for method in (plan.method, *plan.beside):
            if method == "exact":
                continue
            known = store.get(method, number, {"tokens": (*shape[:2], None)})
            if known is None:
                known = {"tokens": attributions(runs, plan.sites, plan.layers, method)}
                store.keep(method, number, known)
            by_token = known["tokens"]
            estimate = _summed(by_token, [rows[name] for name in names])
            if plan.method == "exact":
                estimates[method] = estimate
                measured = np.isfinite(each)
                checked += [(method, a, b) for a, b in zip(estimate[measured], each[measured], strict=True)]
                continue
            each = estimate
            for draw in range(plan.controls):
                controls[draw] = _summed(by_token, [random[draw][name] for name in names])
            checked += _checked(plan, runs, rows, estimate, number)
        return Traced(
            pair=pair,
            groups={name: tuple(found) for name, found in rows.items()},
            compared=runs.compared,
            answers=answers,
            clean=runs.source_value if plan.direction == "denoise" else runs.base_value,
            corrupt=runs.base_value if plan.direction == "denoise" else runs.source_value,
            each=each,
            flips=flips,
            controls=controls,
            estimates=estimates,
            checked=checked,
            notes=notes,
        )


def _cells(
    plan: Plan,
    runs: Runs,
    rows: Mapping[str, list[int]],
    random: Sequence[Mapping[str, list[int]]],
    site: str,
    layer: int,
) -> dict[str, Floats]:
    """Return the recovery, the flips, [groups], and the recovery of the controls, [draws, groups], of a
    layer at a site.
    """
    cells = [(at, group) for at, group in enumerate(rows) if rows[group]]
    drawn = [(draw, at, random[draw][group]) for draw in range(plan.controls) for at, group in cells]
    drawn = [item for item in drawn if item[2]]
    jobs = [*(rows[group] for _, group in cells), *(job for _, _, job in drawn)]
    logits = runs.patched(site, layer, plan.window, jobs)
    values = runs.recovered(runs.compared.value(logits).double().cpu().numpy())
    each, flips = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    controls = np.full((plan.controls, len(rows)), np.nan)
    places = [at for at, _ in cells]
    each[places], flips[places] = values[: len(cells)], _flipped(runs, logits[: len(cells)])
    for value, (draw, at, _) in zip(values[len(cells) :], drawn, strict=True):
        controls[draw, at] = value
    return {"each": each, "flips": flips, "controls": controls}


def _runs(vlm: VLM, plan: Plan, pair: Pair) -> tuple[Runs, tuple[str, str]]:
    """Read both stimuli; return the runs and the first words of both answers."""
    from isi_widget.vlm.inside.aligning import aligned
    from isi_widget.vlm.inside.rerun import capture

    prompts = [vlm.encode(stimulus) for stimulus in (pair.clean, pair.corrupt)]
    found = [capture(vlm, prompt, parts=True) for prompt in prompts]
    first = [run.logits[0] for run in found]
    try:
        target = compared(vlm, pair, first[0], first[1], plan.target)
    except InputError as error:
        raise NoDifference(str(error)) from None
    if target.fed:
        found = [capture(vlm, prompt, target.fed, parts=True) for prompt in prompts]
    values = [float(target.value(run.logits[None])[0]) for run in found]
    if not abs(values[0] - values[1]) >= max(plan.least, 1e-9):
        raise NoDifference(
            f"the target {plan.target} is {values[0]:.3g} in the clean and {values[1]:.3g} in the corrupt "
            f"run; a difference below {plan.least:g} cannot be divided into shares (least=)."
        )
    source, base = (0, 1) if plan.direction == "denoise" else (1, 0)
    alignment = aligned(prompts[base], prompts[source])
    runs = Runs(found[base], found[source], alignment, target, values[base], values[source])
    answers = (token_text(vlm, int(first[0].argmax())), token_text(vlm, int(first[1].argmax())))
    return runs, answers


def _rows(vlm: VLM, plan: Plan, pair: Pair, runs: Runs) -> tuple[dict[str, list[int]], tuple[str, ...]]:
    """Return the positions of each group in the base prompt, empty where none corresponds, and notes."""
    prompt, other = runs.base.prompt, runs.source.prompt
    wanted = plan.groups if plan.groups is not None else token_groups.usual(vlm, pair, prompt)
    found: dict[str, list[int]] = {}
    notes = []
    for name, group in wanted.items():
        places = token_groups.positions(vlm, prompt, group, pair, other)
        if reason := runs.alignment.reason_against(places):
            notes.append(f"{name!r} was not traced: {reason}")
            places = []
        elif not places and plan.groups is not None:
            notes.append(f"{name!r} was not traced: the prompt has no such tokens.")
        found[name] = places
    if not any(found.values()):
        raise NoTokens(f"No group of tokens can be traced. {' '.join(notes)}".strip())
    if any(added is not None for added in runs.base.added):
        notes.append(
            "This model adds features of the picture between its first layers, too: a patch below them does "
            "not carry the whole picture over."
        )
    return found, tuple(notes)


def _controls(
    plan: Plan, runs: Runs, rows: Mapping[str, Sequence[int]], number: int
) -> list[dict[str, list[int]]]:
    """Return for each draw and group as many random positions outside the group; empty where too few."""
    partners, segments = runs.alignment.partners, runs.alignment.segments
    drawn: list[dict[str, list[int]]] = []
    for draw in range(plan.controls):
        found = {}
        for at, (name, own) in enumerate(rows.items()):
            inside = set(own)
            others = [row for row, partner in enumerate(partners) if partner >= 0 and row not in inside]
            kinds = {segments[row] for row in own} if segments else set()
            same = [row for row in others if segments and segments[row] in kinds]
            pool = same if len(same) >= len(own) else others
            random = np.random.default_rng([plan.seed, number, at, draw])
            enough = 0 < len(own) <= len(pool)
            found[name] = sorted(map(int, random.choice(pool, len(own), replace=False))) if enough else []
        drawn.append(found)
    return drawn


def _flipped(runs: Runs, logits: torch.Tensor) -> Floats:
    """Return 1 where the first word becomes that of the source run, 0 where not; NaN if the runs agree."""
    base, source = (int(run.logits[0].argmax()) for run in (runs.base, runs.source))
    if base == source:
        return np.full(len(logits), np.nan)
    found: Floats = (logits[:, 0].argmax(dim=-1) == source).cpu().numpy().astype(np.float64)
    return found


def _summed(by_token: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    """Return attributions [sites, layers, tokens] summed over groups; NaN for a group without tokens."""
    parts = [
        by_token[..., list(rows)].sum(axis=-1) if rows else np.full(by_token.shape[:2], np.nan)
        for rows in groups
    ]
    return np.stack(parts, axis=-1)


def _checked(
    plan: Plan, runs: Runs, rows: Mapping[str, Sequence[int]], estimate: Floats, number: int
) -> list[tuple[str, float, float]]:
    """Return (method, estimate, exact value) of some cells: half of them the largest, half random ones."""
    cells = np.argwhere(np.isfinite(estimate))
    order = np.argsort(-np.abs([estimate[tuple(cell)] for cell in cells]), kind="stable")
    top, rest = order[: CHECKED // 2], order[CHECKED // 2 :]
    random = np.random.default_rng([plan.seed, number])
    chosen = [*top, *random.choice(rest, min(len(rest), CHECKED - len(top)), replace=False)]
    names, found = list(rows), []
    for at in chosen:
        site, layer, group = (int(index) for index in cells[at])
        logits = runs.patched(plan.sites[site], plan.layers[layer], 1, [rows[names[group]]])
        exact = float(runs.recovered(runs.compared.value(logits).double())[0])
        found.append((plan.method, float(estimate[site, layer, group]), exact))
    return found
