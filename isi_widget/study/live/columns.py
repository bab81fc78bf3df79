"""The columns of a study that its live table shows: accuracy, the leading entropy, shares of attention.

Not for the columns that the rows have (`study/store.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from isi_widget.segments import INPUTS
from isi_widget.trial.measures.attention import ATTENTION_CAVEAT
from isi_widget.trial.measures.uncertainty_terms import ENTROPIES


@dataclass(frozen=True)
class Column:
    """A column of the live table.

    Parameters
    ----------
    name : name in the rows.
    label, unit, definition : words for people; "" for no unit.
    scale : value at which its bars end, the same in every row.
    segment : segment of the prompt that gives the colour; "" for none.
    meanings : whether it depends on the comparison of the answers' meanings.
    """

    name: str
    label: str
    unit: str
    definition: str
    scale: float
    segment: str = ""
    meanings: bool = False


_ACCURACY = Column(
    "correct",
    "Accuracy",
    "",
    "Share of right answers among those that can be judged.",
    1.0,
)


def columns_of(names: Collection[str]) -> tuple[Column, ...]:
    """Return the columns of the live table, out of the `names` of the columns that have values."""
    found = [_ACCURACY] if "correct" in names else []
    entropy = next((entropy for entropy in ENTROPIES if entropy.name in names), None)
    if entropy is not None:
        found.append(
            Column(
                entropy.name,
                entropy.label,
                entropy.unit,
                entropy.definition,
                entropy.scale or 1.0,
                meanings=True,
            )
        )
    if not entropy and not found and "answer_probability" in names:
        note = "Probability of the shown answer."
        found.append(Column("answer_probability", "Probability of the answer", "", note, 1.0))
    for segment in INPUTS:
        name = f"attention_relative_{segment}"
        if name in names:
            label = f"Attention, {segment}"
            note = f"Share of the attention on image, context and question that is on the {segment}. "
            found.append(Column(name, label, "", note + ATTENTION_CAVEAT, 1.0, segment))
    return tuple(found)
