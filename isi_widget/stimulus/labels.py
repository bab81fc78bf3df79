"""Short names of conditions, derived from the operations of a stimulus: "box", "noise 0.3", "context:
contradictory".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from isi_widget.readable import shortened
from isi_widget.stimulus import (
    Drawing,
    GaussianNoise,
    Operation,
    Recolor,
    ReplaceContext,
    ReplaceImage,
    ReplaceQuestion,
    Stimulus,
    Text,
)

_LONGEST = 24


def label_of(stimulus: Stimulus) -> str:
    """Return the active operations in order, as a label; "original" if there are none.

    Of several images, contexts or questions only the last one counts, as in the stimulus itself.
    """
    last = {type(operation): operation for operation in stimulus.operations if _replaces(operation)}
    names: Counter[str] = Counter()
    for operation in stimulus.operations:
        if isinstance(operation, Drawing) and operation.hidden:
            continue
        if not _replaces(operation) or last[type(operation)] is operation:
            name = _name(operation)
            if name is not None:
                names[name] += 1
    return (
        " + ".join(name if count == 1 else f"{count} x {name}" for name, count in names.items()) or "original"
    )


def labels_of(stimuli: Sequence[Stimulus]) -> list[str]:
    """Return a label for each stimulus; equal labels get a number."""
    taken: Counter[str] = Counter()
    labels: list[str] = []
    for label in map(label_of, stimuli):
        taken[label] += 1
        new = label if taken[label] == 1 else f"{label} ({taken[label]})"
        while new in labels:  # a label may itself end in a number in brackets
            taken[label] += 1
            new = f"{label} ({taken[label]})"
        labels.append(new)
    return labels


def _replaces(operation: Operation) -> bool:
    return isinstance(operation, ReplaceImage | ReplaceContext | ReplaceQuestion)


def _name(operation: Operation) -> str | None:
    if isinstance(operation, GaussianNoise):
        return f"noise {operation.sigma:g}" + ("" if operation.region is None else " in a region")
    if isinstance(operation, Recolor):
        return f"recolor {operation.color}"
    if isinstance(operation, Text):
        return f"text {_short(operation.text)}"
    if isinstance(operation, ReplaceImage):
        return None if operation.preset == "natural" else f"image: {operation.preset}"
    if isinstance(operation, ReplaceContext):
        return f"context: {operation.preset or _short(operation.text)}"
    if isinstance(operation, ReplaceQuestion):
        return f"question: {_short(operation.text)}"
    return operation.op


def _short(text: str) -> str:
    line = shortened(" ".join(text.split()), _LONGEST)
    return f"\N{LEFT DOUBLE QUOTATION MARK}{line}\N{RIGHT DOUBLE QUOTATION MARK}"
