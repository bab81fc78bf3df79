"""The shown answer as a measure: its record is an `isi_widget.Answer`. Not for judging it
(`isi_widget.text.correctness`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from isi_widget.answer import Answer
from isi_widget.trial.measures.base import Measure, Term, finite
from isi_widget.trial.measures.yes_no import DEFINITION

if TYPE_CHECKING:
    from isi_widget.trial.record import Trial
    from isi_widget.trial.shared import Shared

_MOST_SHOWN = 8000  # characters of reasoning
SCOPE = (
    "Shade and number: the model's probability of each token of the shown answer, before temperature, top-k "
    "and top-p. Its logarithms add up to the answer's log-likelihood."
)
SCOPE_UNKNOWN = "The model does not report the probabilities of its tokens."
OTHERS = "In the line below: the likeliest other token at that place (end: the answer would have ended)."


class AnswerMeasure(Measure):
    """The shown answer: greedy, sampled, or by beams."""

    name, title = "answer", "Answer"
    help = "Ask the model once: the answer, compared with the truth, and the probabilities of yes and no."
    needs = ("answer",)
    uses_model = True
    with_answer = True
    has_panel = True
    terms = (
        Term("answer", "Answer"),
        Term("answer_log_likelihood", "Log-likelihood", "nats", SCOPE),
        Term("answer_tokens", "Tokens", "tokens", "Length of the answer in tokens of the model."),
    )

    def run(self, shared: Shared) -> Answer:
        """Return the answer, without the attention that was recorded with it."""
        if shared.answer.missing:
            shared.note(f"The answer is not judged: {shared.answer.missing}")
        given = shared.answer  # of a subclass, if attention was recorded with it
        return Answer(**{item.name: getattr(given, item.name) for item in fields(Answer)})

    def from_dict(self, data: Any) -> Answer:
        """Read it."""
        return Answer.from_dict(data)

    def values(self, record: Answer) -> Mapping[str, Any]:
        """Return text, log-likelihood and length."""
        return {
            "answer": record.text,
            "answer_log_likelihood": record.log_likelihood,
            "answer_tokens": len(record.token_ids),
        }

    def definitions(self) -> list[tuple[str, str]]:
        """Return none: they stand beside the tokens."""
        return []

    def row(self, record: Answer | None) -> dict[str, Any]:
        """Return the columns; a text that there is not is None."""
        return super().row(record) | ({"answer": None} if record is None else {})

    def describe(self, record: Answer) -> str:
        """Return the text."""
        return f"answer={record.text!r}"

    def view(self, record: Answer, trial: Trial, details: bool) -> dict[str, Any]:
        """Return text, verdict, tokens and what stood before the answer."""
        tokens: list[dict[str, Any]] = [
            {"text": text, "logprob": finite(logprob)}
            for text, logprob in zip(record.tokens, record.logprobs, strict=True)
        ]
        for token, others in zip(tokens, record.alternatives, strict=False):  # none for beams and servers
            token["alternatives"] = [{"text": text, "logprob": finite(logprob)} for text, logprob in others]
        if details:
            for token, logprob in zip(tokens, record.logprobs, strict=True):
                token["impossible"] = logprob == -math.inf  # which JSON has no number for
        mark, judged = verdict(trial.correct, trial.stimulus.truth_holds is None)
        found = {
            "text": record.text,
            "correct": trial.correct,
            "mark": mark,
            "judged": judged,
            "finished": record.finished,
            "missing": record.missing,
            "reasoning": shortened(record.reasoning),
            "tokens": tokens,
            "yes_no": None if trial.yes_no is None else dict(trial.yes_no),
        }
        return found | _details(record) if details else found


def _details(record: Answer) -> dict[str, Any]:
    """Return what paper shows beside the tokens."""
    known = not all(map(math.isnan, record.logprobs))
    others = f" {OTHERS}" if any(record.alternatives) else ""
    return {
        "log_likelihood": record.log_likelihood if known else None,
        "mean_log_likelihood": record.mean_log_likelihood if known else None,
        "yes_no_definition": DEFINITION,
        "scope": (SCOPE if known else SCOPE_UNKNOWN) + others,
    }


def verdict(correct: bool | None, edited: bool) -> tuple[str, str]:
    """Return how an answer is judged: a word for a mark, and in full; both empty where it is not judged.

    edited : the truth is that of the original picture and may not hold for the edited one.
    """
    if correct is None:
        return "", ""
    if edited:
        short = "agrees" if correct else "differs"
        return short, f"{short} {'with' if correct else 'from'} the truth of the original picture"
    return ("right", "right") if correct else ("wrong", "wrong")


def shortened(text: str) -> str:
    """Return a long text without its middle: `Answer.reasoning` has all of it."""
    if len(text) <= _MOST_SHOWN:
        return text
    half = _MOST_SHOWN // 2
    return f"{text[:half]} [...{len(text) - 2 * half} characters...] {text[-half:]}"
