"""The groups of tokens that a prompt and its answer are made of: one vocabulary, one order, one colour each.

Prompts, attention, interventions, records, charts and the page take their names from here.
Not for finding the tokens (see `isi_widget.vlm.prompts`).
"""

from __future__ import annotations

from collections.abc import Iterable

#: What a person gives the model and can change.
INPUTS = ("image", "context", "question")
#: Around them: turn markers, separators, the beginning of the sequence.
TEMPLATE = "template"
#: Before them, where the model was given a system prompt or earlier turns.
BEFORE = ("system", "history")
#: The segments of every prompt, and those of any; each token of a prompt belongs to one.
ALWAYS = (TEMPLATE, *INPUTS)
PROMPT = (*ALWAYS, *BEFORE)

#: All that attention can go to beside the inputs: the template and the answer so far.
OTHER = "other"
#: The groups that attention is summed over, for a model without a system prompt and earlier turns.
GROUPS = (*INPUTS, OTHER)

#: Positions that interventions name beside the segments: the one that predicts the first answer token, all
#: those of the answer so far, all.
LAST, ANSWER, ALL = "last", "answer", "all"
#: Everything that an intervention can name.
TOKENS = (*INPUTS, TEMPLATE, *BEFORE, LAST, ANSWER, ALL)

#: One colour each everywhere, safe for colour-blind readers (Okabe & Ito, 2008).
COLORS = {
    "image": "#0072B2",
    "context": "#D55E00",
    "question": "#009E73",
    "system": "#CC79A7",
    "history": "#E69F00",
    OTHER: "#999999",
}
#: The order in which shares are stacked.
STACKED = tuple(COLORS)


def group_of(segment: str) -> str:
    """Return the group of attention that a segment of a prompt belongs to."""
    return OTHER if segment == TEMPLATE else segment


def groups_of(segments: Iterable[str]) -> tuple[str, ...]:
    """Return the groups of attention of a prompt that has these segments, in their order."""
    present = {group_of(segment) for segment in segments}
    return tuple(name for name in STACKED if name in present)
