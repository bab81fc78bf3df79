"""Yes or no as a measure: the probabilities of the first answer token. Not for the answer itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isi_widget.errors import InputError
from isi_widget.trial.measures.base import Measure, Term

if TYPE_CHECKING:
    from isi_widget.trial.shared import Shared

WORDS = ("yes", "no", "rest")
#: What the three numbers are.
DEFINITION = (
    "Probability that the first answer token is a form of this word; it is not a share of sampled answers."
)


class YesNoMeasure(Measure):
    """The probability that the first token of an answer is a form of yes, of no, or anything else."""

    name, title = "yes_no", "Yes or no"
    help = DEFINITION
    needs = ("prompt",)
    uses_model = True
    by_default = False
    with_answer = True
    panel_of = "answer"
    terms = tuple(Term(f"yes_no_{word}", word, "", DEFINITION, 1.0) for word in WORDS)

    def run(self, shared: Shared) -> Mapping[str, float] | None:
        """Return the three probabilities; None where they are not those of an answer."""
        try:
            found = shared.vlm.yes_no(shared.prefill, cancel=shared.cancel)
        except InputError:  # no single-token yes or no, or a server that reports no probabilities
            return None
        if "answer" in shared.needs and shared.answer.reasoning:  # the first token was not the answer's
            return None
        return found

    def from_dict(self, data: Any) -> Mapping[str, float]:
        """Read it; refuse what could not be shown."""
        if set(data) != set(WORDS) or not all(0 <= p <= 1 + 1e-6 for p in data.values()):
            raise InputError(
                "This record of a trial is damaged: 'yes_no' must hold the probabilities of yes, no and rest."
            )
        return dict(data)

    def to_dict(self, record: Mapping[str, float]) -> dict[str, float]:
        """Return the three probabilities."""
        return dict(record)

    def values(self, record: Mapping[str, float]) -> Mapping[str, float]:
        """Return the three probabilities."""
        return {f"yes_no_{word}": record[word] for word in WORDS}

    def definitions(self) -> list[tuple[str, str]]:
        """Return what the three numbers are, once."""
        return [("Yes and no", DEFINITION)]

    def row(self, record: Mapping[str, float] | None) -> dict[str, Any]:
        """Return the columns p_yes, p_no and p_rest."""
        return {f"p_{word}": float("nan") if record is None else record[word] for word in WORDS}
