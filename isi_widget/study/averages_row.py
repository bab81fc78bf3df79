"""`Row`: what averages keep of one observation; `Skipped`: one that could not be run.

Not for the averages themselves (`record`).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from isi_widget.segments import GROUPS as SEGMENTS
from isi_widget.segments import INPUTS
from isi_widget.uncertainty.bootstrap import NAMES

if TYPE_CHECKING:
    from isi_widget.stimulus import Stimulus
    from isi_widget.trial import Trial


def rounded(value: float) -> float:
    """Return a number with seven significant digits, never -0."""
    return float(f"{value:.7g}") + 0.0


@dataclass(frozen=True)
class Row:
    """What is kept of one observation. Numbers have seven significant digits; NaN is not measured.

    Attributes
    ----------
    id : id of the observation, or its index.
    level : semantic level of the observation.
    stimulus : digest of the stimulus and its truth, see `stimulus_id`.
    correct : None without a truth.
    answer_probability : exp of the shown answer's log-likelihood; NaN for an empty answer.
    bayesian_semantic_entropy, ..., rao_quadratic_entropy : as in `Uncertainty`. clusters : their number.
    attention_image, ..., attention_other : absolute shares of the shown answer, as in `AttentionShares`.
    tokens : number of tokens of the longest answer, shown or sampled.
    cut : number of answers that max_new_tokens cut off.
    """

    id: str
    level: str | None
    stimulus: str
    correct: bool | None
    answer_probability: float
    bayesian_semantic_entropy: float
    semantic_entropy: float
    discrete_semantic_entropy: float
    predictive_entropy: float
    rao_quadratic_entropy: float
    clusters: float
    attention_image: float
    attention_context: float
    attention_question: float
    attention_other: float
    tokens: int
    cut: int

    @classmethod
    def of(cls, trial: Trial, id: str, level: str | None) -> Row:
        """Return the stored values of a trial."""
        answer, uncertainty, attention = trial.answer, trial.uncertainty, trial.attention
        sampled = () if uncertainty is None else uncertainty.answers
        answers = [*(() if answer is None else (answer,)), *sampled]
        told = answer is not None and bool(answer.tokens)
        numbers: dict[str, float] = {
            "answer_probability": math.exp(answer.log_likelihood) if answer and told else math.nan,
            "clusters": math.nan if uncertainty is None else uncertainty.number_of_clusters,
        }
        for name in NAMES:
            numbers[name] = math.nan if uncertainty is None else getattr(uncertainty, name)
        shares = {} if attention is None else attention.absolute()
        for name in SEGMENTS:
            numbers[f"attention_{name}"] = shares.get(name, math.nan)
        return cls(
            id=id,
            level=level,
            stimulus=stimulus_id(trial.stimulus),
            correct=trial.correct,
            tokens=max((len(item.tokens) for item in answers), default=0),
            cut=sum(not item.finished for item in answers),
            **{name: rounded(value) for name, value in numbers.items()},
        )

    def get(self, name: str) -> float:
        """Return one of `METRICS` as a number, NaN if it was not measured."""
        if name == "correct":
            return math.nan if self.correct is None else float(self.correct)
        if name.startswith("attention_relative_"):
            total = math.fsum(getattr(self, f"attention_{part}") for part in INPUTS)
            share: float = getattr(self, name.replace("relative_", ""))
            return share / total if total > 0 else math.nan
        return float(getattr(self, name))


@dataclass(frozen=True)
class Skipped:
    """An observation that could not be run: its index in the data set, its id, and what was wrong."""

    index: int
    id: str
    reason: str

    def __str__(self) -> str:
        return f"observation {self.index} ({self.id!r}): {self.reason}"


COLUMNS = tuple(item.name for item in fields(Row))
NUMBERS = tuple(item.name for item in fields(Row) if item.type == "float")


def stimulus_id(stimulus: Stimulus) -> str:
    """Return 16 hexadecimal digits that identify the content and the truth of a stimulus."""
    return hashlib.sha256(f"{stimulus.key} {stimulus.truth}".encode()).hexdigest()[:16]
