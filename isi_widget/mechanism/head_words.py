"""Head contributions in words: a heading, the largest drops as a table, remarks. Not for their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isi_widget.mechanism.targets import TARGETS
from isi_widget.readable import counted, html_table

if TYPE_CHECKING:
    from isi_widget.mechanism.head_contributions import HeadContributions

#: What a method's numbers are.
WORDS = {
    "exact": "exact",
    "integrated": "estimate by integrated gradients",
    "screened": "exact, for the heads that one gradient put on a shortlist",
    "gradient": "shortlist from one gradient, not a measurement",
}
_COLUMNS = ("head", "drop", "95 % interval", "p in its layer", "whole layer")


def heading(found: HeadContributions, name: str = "signed") -> str:
    """Return one line: what was measured, over how many items, and how."""
    items = counted(found.n, "item")
    what = {
        "signed": "Drop",
        "positive": "Positive contribution: drop",
        "negative": "Negative contribution: gain",
    }[name]
    how = {"mean": "the mean of the other heads", "zero": "zeros", "reference": "its mean over stimuli"}
    where = "" if found.positions == "all" else ", at the last position"
    return (
        f"{what} of {TARGETS[found.target].title} when a head is replaced by {how[found.replace]}{where}: "
        f"{items}, {WORDS[found.method]}"
    )


def remarks(found: HeadContributions) -> tuple[str, ...]:
    """Return the measured agreement of an estimate, what the items cannot show, and the notes."""
    told = []
    if found.method == "exact" and found.measured < found.layers * found.heads:
        told.append(
            f"{found.measured} of {found.layers * found.heads} heads are measured: the scan was cancelled "
            "before the others."
        )
    if found.agreement:
        values = {name: value or 0.0 for name, value in found.agreement.items()}
        items, rank = int(values["items"]), found.agreement["rank_correlation"]
        heads = int(values.get("heads", 0))
        some = f", {heads} heads" if 0 < heads < found.drops[0].size else ""
        told.append(
            f"Beside exact drops of {counted(items, 'scanned item')}{some}: rank correlation "
            f"{'unknown' if rank is None else f'{rank:.2f}'}; {100 * values['recall']:.0f} % of the "
            f"{values['k']:.0f} heads with the largest drops are among as many of this result."
        )
    elif found.method in ("integrated", "gradient"):
        told.append("Agreement with exact drops was not measured (check=0).")
    if len({answer.lower() for answer in found.answers}) == 1 < found.n:
        told.append(
            f"All true answers are {found.answers[0]!r}: a head that favours this word looks like one "
            "that sees. Balance the answers, or use pairs."
        )
    if found.accuracy in (0, 1):
        which, matrix = ("correctly", "negative") if found.accuracy else ("wrongly", "positive")
        told.append(f"All items are answered {which}, so there is no {matrix} contribution.")
    return (*told, *found.notes)


def table(found: HeadContributions) -> str:
    """Return the heads with the largest drops as lines of text."""
    rows = [_COLUMNS, *_rows(found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([heading(found), *(line.rstrip() for line in lines), *remarks(found)])


def html(found: HeadContributions) -> str:
    """Return the same as a table for a notebook."""
    return html_table(heading(found), _COLUMNS, _rows(found), remarks(found))


def _rows(found: HeadContributions) -> list[tuple[str, ...]]:
    return [
        (
            f"L{head.layer}H{head.head}",
            f"{head.value:.3f}",
            "-" if np.isnan(head.low) else f"{head.low:.3f} to {head.high:.3f}",
            "-" if np.isnan(head.p_value) else f"{head.p_value:.3g}",
            "-" if np.isnan(total := found.layer_totals[head.layer]) else f"{total:.3f}",
        )
        for head in found.top()
    ]
