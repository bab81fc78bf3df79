"""`Uncertainty`: everything that N sampled answers to one question say about how sure the model is, with
intervals.

Not for sampling the answers (`isi_widget.trial.measure_uncertainty` does that) nor for drawing charts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.uncertainty._checks import contiguous
from isi_widget.uncertainty.bootstrap import NAMES, Interval, bootstrap_intervals
from isi_widget.uncertainty.clusters import cluster
from isi_widget.uncertainty.entropy import (
    Length,
    answer_probabilities,
    cluster_log_probabilities,
    discrete_semantic_entropy,
    meaning_distances,
    predictive_entropy,
    rao_quadratic_entropy,
    semantic_entropy,
    sequence_log_likelihoods,
)


class Entailment(Protocol):
    """What is asked of an entailment model; `isi_widget.uncertainty.EntailmentModel` is one."""

    name: str

    def probabilities(self, question: str, answers: Sequence[str]) -> npt.NDArray[np.float64]:
        """Float [N, N, 3]: contradiction, neutral, entailment of premise i and hypothesis j."""


@dataclass(frozen=True)
class Uncertainty:
    """Clusters and entropies of N sampled answers.

    Attributes
    ----------
    answers : the N sampled answers. cluster_ids : the cluster of each, numbered by first appearance.
    semantic_entropy, discrete_semantic_entropy : nats, 0 to ln(number of clusters); see
        `isi_widget.uncertainty.entropy`.
    predictive_entropy : nats per token (length "mean") or per answer ("sum").
    rao_quadratic_entropy : 0 to 1, the mean distance in meaning of two answers, weighted by likelihood.
    intervals : {name of the entropy: (low, high)}, bootstrap percentile intervals at `level`, biased low for
        few samples.
    question : what the answers answer. strict : rule of the clusters. length : of the log-likelihoods, "mean"
        or "sum".
    seed : of the bootstrap. entailment : name of the entailment model.
    """

    answers: tuple[Answer, ...]
    cluster_ids: tuple[int, ...]
    semantic_entropy: float
    discrete_semantic_entropy: float
    predictive_entropy: float
    rao_quadratic_entropy: float
    intervals: Mapping[str, Interval] = field(hash=False)
    question: str = ""
    strict: bool = False
    length: Length = "mean"
    level: float = 0.95
    seed: int = 0
    entailment: str = ""

    def __post_init__(self) -> None:
        if len(self.answers) != len(self.cluster_ids):
            raise InputError(
                f"{len(self.answers)} answers have {len(self.cluster_ids)} cluster ids; one each is needed."
            )
        if missing := set(NAMES) - set(self.intervals):
            raise InputError(f"An interval is missing for: {', '.join(sorted(missing))}.")

    def interval(self, name: str) -> Interval:
        """Interval (low, high) of one entropy, for example "semantic_entropy"; of level `level`."""
        if name not in self.intervals:
            raise InputError(f"No interval for {name!r}; there is one for: {', '.join(self.intervals)}.")
        return self.intervals[name]

    @property
    def log_likelihoods(self) -> tuple[float, ...]:
        """l_i of each answer, nats, length-normalised or summed as `length` says."""
        return tuple(sequence_log_likelihoods((a.logprobs for a in self.answers), self.length).tolist())

    @property
    def number_of_clusters(self) -> int:
        """How many meanings the sampled answers have."""
        return len(set(self.cluster_ids))

    @property
    def cluster_counts(self) -> tuple[int, ...]:
        """Number of answers in each cluster."""
        return tuple(np.bincount(contiguous(self.cluster_ids)).tolist())

    @property
    def cluster_probabilities(self) -> tuple[float, ...]:
        """p(c) of each cluster from the likelihoods of its answers, as in the semantic entropy; sums to 1."""
        return tuple(np.exp(cluster_log_probabilities(self.cluster_ids, self.log_likelihoods)).tolist())

    @property
    def cluster_names(self) -> tuple[str, ...]:
        """The text of each cluster's most likely answer (largest l_i; of equal ones the first)."""
        best: dict[int, tuple[float, str]] = {}
        for c, value, answer in zip(self.cluster_ids, self.log_likelihoods, self.answers, strict=True):
            if c not in best or value > best[c][0]:
                best[c] = (value, answer.text)
        return tuple(best[c][1] for c in sorted(best))

    @property
    def caveats(self) -> tuple[str, ...]:
        """What this very result should not be trusted for, in plain sentences; empty when nothing stands
        out.
        """
        n, notes = len(self.answers), []
        if self.number_of_clusters == 1:
            missed = 1.0 - 0.05 ** (1.0 / n)
            notes.append(
                f"All {n} answers mean the same, so the semantic entropies and their intervals are 0; a "
                f"meaning of probability {missed:.2f} would be missed by {n} samples one time in twenty."
            )
        if empty := sum(not a.logprobs for a in self.answers):
            notes.append(
                f"{empty} of {n} answers are empty: without tokens they count as certain (l = 0) in "
                "the semantic, predictive and Rao's entropy; the discrete semantic entropy is not affected."
            )
        if cut := sum(not a.finished for a in self.answers):
            notes.append(f"{cut} of {n} answers were cut off by max_new_tokens; their meaning may be lost.")
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dict; an infinite entropy becomes a string, since JSON has no infinity."""
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        record["answers"] = [answer.to_dict() for answer in self.answers]
        record["cluster_ids"] = list(self.cluster_ids)
        record["intervals"] = {k: [_number(low), _number(high)] for k, (low, high) in self.intervals.items()}
        return record | {name: _number(record[name]) for name in NAMES}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Uncertainty:
        """The inverse of `to_dict`, without loss."""
        values = dict(record)
        values["answers"] = tuple(Answer.from_dict(answer) for answer in record["answers"])
        values["cluster_ids"] = tuple(record["cluster_ids"])
        values["intervals"] = {k: (float(low), float(high)) for k, (low, high) in record["intervals"].items()}
        return cls(**values | {name: float(record[name]) for name in NAMES})


def uncertainty_of(
    answers: Sequence[Answer],
    question: str,
    entailment: Entailment,
    *,
    strict: bool = False,
    seed: int = 0,
    length: Length = "mean",
    level: float = 0.95,
    resamples: int = 2000,
) -> Uncertainty:
    """Cluster sampled answers by meaning and measure their entropies.

    Parameters
    ----------
    answers : N >= 1 answers to the question, sampled independently from the model (not beams, not greedy).
    question : prepended to every answer for the entailment model, so that "yes" and "no" have a meaning.
    entailment : from `load_entailment`. strict : rule of the clusters and of the distances
        (`clusters.same_meaning`).
    seed : of the bootstrap. length : "mean" (default) or "sum", see `sequence_log_likelihoods`.
    level, resamples : of the bootstrap intervals.

    Returns
    -------
    Uncertainty. The log-likelihoods are those of the answers as given: `Answer.logprobs` are the model's own,
    before temperature, top-k and top-p, so answers drawn at another temperature than 1 are weighted, not
    re-weighted.

    Source: Farquhar, Kossen, Kuhn & Gal, Nature 630, 2024 (strict = True is their setting; strict = False
    ISI's).
    """
    answers = tuple(answers)
    if not answers:
        raise InputError("Uncertainty needs at least one sampled answer; got none. Sample with n >= 1.")
    values = sequence_log_likelihoods((answer.logprobs for answer in answers), length)
    probabilities = entailment.probabilities(question, [answer.text for answer in answers])
    distances = meaning_distances(probabilities, strict)
    relations = np.argmax(probabilities, axis=2)
    ids = cluster(lambda i, j: int(relations[i, j]), len(answers), strict)
    return Uncertainty(
        answers=answers,
        cluster_ids=tuple(ids),
        semantic_entropy=semantic_entropy(ids, values),
        discrete_semantic_entropy=discrete_semantic_entropy(ids),
        predictive_entropy=predictive_entropy(values),
        rao_quadratic_entropy=rao_quadratic_entropy(answer_probabilities(values), distances),
        intervals=bootstrap_intervals(ids, values, distances, level=level, resamples=resamples, seed=seed),
        question=question,
        strict=strict,
        length=length,
        level=level,
        seed=seed,
        entailment=entailment.name,
    )


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
