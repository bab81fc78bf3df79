"""`Uncertainty`: clusters and entropies of N answers to one question, with intervals, as a record.

Not for computing it (`measure`, `enumerated`), nor for drawing charts.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np

from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.readable import counted, html_table, shortened
from isi_widget.uncertainty._checks import contiguous
from isi_widget.uncertainty._likelihoods import Likelihood, drawn_probability, log_likelihoods
from isi_widget.uncertainty.bootstrap import LEADING, NAMES, Interval, percentile_interval
from isi_widget.uncertainty.entropy import Length, cluster_log_probabilities
from isi_widget.uncertainty.judge import Judge
from isi_widget.uncertainty.order import OrderDependence
from isi_widget.uncertainty.posterior import MeaningPosterior, posterior_of

Method = Literal["sampled", "enumerated"]
WEIGHTED = ("semantic_entropy", "predictive_entropy")
"""Entropies that need likelihoods; NaN if the model does not report them."""


#: Properties that every display of an uncertainty computes.
_SHOWN = ("log_likelihoods", "cluster_names", "cluster_probabilities", "caveats")
_ROWS = 12  # rows (clusters) of a table in a notebook


@dataclass(frozen=True, eq=False, repr=False)
class Uncertainty:
    """Clusters and entropies of N answers.

    Attributes
    ----------
    answers : the N answers.
    cluster_ids : cluster of each answer, numbered by first appearance.
    bayesian_semantic_entropy : entropy over all meanings that the model could give under this sampling,
        unseen ones included, nats: the median of a posterior, see `isi_widget.uncertainty.posterior`. The
        leading measure.
    discrete_semantic_entropy : entropy of the cluster sizes of the sampled answers, nats, 0 to ln(number of
        clusters); see `isi_widget.uncertainty.entropy`.
    semantic_entropy : entropy with each sample weighted by its likelihood, as in Farquhar et al., nats, 0 to
        ln(number of clusters). With more samples it converges to the entropy of p^2 / sum p^2, not of p: a
        likely answer is sampled often and has a large weight each time.
    predictive_entropy : predictive entropy, nats per token (length "mean") or per answer ("sum").
    rao_quadratic_entropy : mean distance in meaning of two different sampled answers, 0 to 1.
    intervals : {name of the entropy: (low, high)} at `level`: from the posterior for the Bayesian entropy;
        bootstrap percentiles, biased low for few samples, for the others.
    question : question that was answered.
    strict : rule of the clusters, see `clusters.same_meaning`.
    length : log-likelihoods per token ("mean") or per answer ("sum").
    seed : seed of the bootstrap and of the orders.
    entailment : name of the entailment model.
    likelihood : log-probabilities that weigh the answers, "raw" or "sampled", see `uncertainty_of`.
    prepend_question : whether the entailment model read "question answer" or the answer alone.
    include_end : whether the log-likelihoods include the end of each answer, see `uncertainty_of`.
    order : how the clusters change with the order of the answers; None in older records.
    graph_measures : measures without clusters and likelihoods, names and units as in
        `isi_widget.uncertainty.lexical.WITHOUT_CLUSTERS`; empty in older records.
    judge : entailment model that compared the meanings, how it was chosen, and its limits; None in older
        records.

    method : "sampled", or "enumerated" if the answers are all probable ones, each listed once, see
        `isi_widget.uncertainty.enumerated`. With "enumerated" the interval of the leading entropy is certain
        (`level` 1), and measures that count samples are NaN.
    probabilities : exact probability of each enumerated answer with its end; empty for sampled answers.
    target : requested mass of the enumeration; NaN for sampled answers.

    If the model does not report log-probabilities (`has_likelihoods` is False), likelihood-weighted and
    predictive entropy, their intervals and the probabilities of the clusters are NaN. Compared by content.
    """

    answers: tuple[Answer, ...]
    cluster_ids: tuple[int, ...]
    semantic_entropy: float
    discrete_semantic_entropy: float
    predictive_entropy: float
    rao_quadratic_entropy: float
    intervals: Mapping[str, Interval]
    question: str = ""
    strict: bool = False
    length: Length = "mean"
    level: float = 0.95
    seed: int = 0
    entailment: str = ""
    likelihood: Likelihood = "raw"
    prepend_question: bool = True
    order: OrderDependence | None = None
    graph_measures: Mapping[str, float] = field(default_factory=dict)
    include_end: bool = False
    judge: Judge | None = None
    bayesian_semantic_entropy: float = math.nan
    method: Method = "sampled"
    probabilities: tuple[float, ...] = ()
    target: float = math.nan

    def __post_init__(self) -> None:
        if len(self.probabilities) != (len(self.answers) if self.method == "enumerated" else 0):
            raise InputError(
                f"{len(self.answers)} {self.method} answers have {len(self.probabilities)} exact "
                "probabilities; each enumerated answer has one, a sampled one none."
            )
        if len(self.answers) != len(self.cluster_ids):
            raise InputError(
                f"{len(self.answers)} answers have {len(self.cluster_ids)} cluster ids; one each is needed."
            )
        if missing := set(NAMES) - set(self.intervals):
            raise InputError(f"An interval is missing for: {', '.join(sorted(missing))}.")

    def __eq__(self, other: object) -> bool:
        # Compare as text, since NaN is not equal to itself
        return _text(self) == _text(other) if isinstance(other, Uncertainty) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.question, self.cluster_ids, tuple(a.text for a in self.answers), self.seed))

    def __repr__(self) -> str:
        name = next((name for name in NAMES if not math.isnan(getattr(self, name))), NAMES[0])
        low, high = self.interval(name)
        number = self.number_of_clusters
        doubts = "" if self.judge is None else "".join(f"; (!) {doubt}" for doubt in self.judge.doubts)
        return (
            f"Uncertainty({counted(len(self.answers), 'answer')}, {counted(number, 'meaning')}; "
            f"{name} {getattr(self, name):.3f} [{low:.3f}, {high:.3f}]{doubts})"
        )

    def _repr_html_(self) -> str:
        """Return the entropies with their intervals, then the meanings: a table of each."""
        entropies = [
            (name, _figure(getattr(self, name)), _span(self.interval(name)), self._unit(name))
            for name in NAMES
        ]
        meanings = sorted(
            zip(self.cluster_names, self.cluster_counts, self.cluster_probabilities, strict=True),
            key=lambda meaning: -meaning[1],
        )
        count = len(self.answers)
        rows = [
            (shortened(name, 80) or "(empty)", f"{n} of {count}", _figure(p))
            for name, n, p in meanings[:_ROWS]
        ]
        mass = "probability" if self.method == "enumerated" else "weight by likelihood"
        left = len(meanings) - len(rows)
        notes = [f"{counted(left, 'more meaning')}: cluster_names"] if left else []
        return html_table(
            f"Uncertainty of {counted(count, f'{self.method} answer')}",
            ("entropy", "value", f"{self.level:.0%} interval", "unit"),
            entropies,
        ) + html_table("Meanings", ("meaning", "answers", mass), rows, [*notes, *self.caveats])

    def _unit(self, name: str) -> str:
        if name == "predictive_entropy":
            return "nats/token" if self.length == "mean" else "nats/answer"
        return "0 to 1" if name == "rao_quadratic_entropy" else "nats"

    def interval(self, name: str) -> Interval:
        """Return the interval (low, high) of one entropy, for example "semantic_entropy"; of
        level `level`.
        """
        if name not in self.intervals:
            raise InputError(f"No interval for {name!r}; there is one for: {', '.join(self.intervals)}.")
        return self.intervals[name]

    @property
    def log_likelihoods(self) -> tuple[float, ...]:
        """l_i of each answer, nats, length-normalised or summed according to `length`; NaN without
        log-probabilities.
        """
        values = log_likelihoods(self.answers, self.likelihood, self.length, self.include_end)
        return tuple(values.tolist())

    @property
    def has_likelihoods(self) -> bool:
        """Whether the model reports the log-probabilities of every answer."""
        return not math.isnan(self.log_likelihoods[0])

    @property
    def drawn_probabilities(self) -> tuple[float, ...]:
        """Probability of sampling each whole answer with its end; NaN if unknown. For an answer cut off by
        max_new_tokens: the probability of all answers that begin like it.
        """
        return tuple(map(drawn_probability, self.answers))

    @property
    def posterior(self) -> MeaningPosterior:
        """Posterior of the masses of all meanings; `bayesian_semantic_entropy` is the median of
        its entropy.
        """
        return self.posterior_after(len(self.answers))

    def posterior_after(self, samples: int) -> MeaningPosterior:
        """Return the posterior after the first `samples` answers, at least 1."""
        if self.method == "enumerated":
            raise InputError(
                "Enumerated answers have exact probabilities: no posterior, no curve, no number of samples "
                "that is needed. Raise mass or budget to narrow the bounds."
            )
        return posterior_of_answers(self.cluster_ids[:samples], self.answers[:samples])

    @property
    def number_of_clusters(self) -> int:
        """Number of meanings of the answers."""
        return len(set(self.cluster_ids))

    @property
    def cluster_counts(self) -> tuple[int, ...]:
        """Number of answers in each cluster."""
        return tuple(np.bincount(contiguous(self.cluster_ids)).tolist())

    @property
    def cluster_probabilities(self) -> tuple[float, ...]:
        """p(c) of each cluster from the likelihoods of its answers, as in the semantic entropy; the sum is 1.

        For enumerated answers, the exact probabilities; their sum is the enumerated mass, below 1. NaN
        without likelihoods (then the shares are `cluster_counts` / N).
        """
        if self.method == "enumerated":
            return tuple(np.bincount(contiguous(self.cluster_ids), weights=self.probabilities).tolist())
        if not self.has_likelihoods:
            return (math.nan,) * self.number_of_clusters
        return tuple(np.exp(cluster_log_probabilities(self.cluster_ids, self.log_likelihoods)).tolist())

    @property
    def cluster_names(self) -> tuple[str, ...]:
        """Most frequent text of each cluster. Among equally frequent texts, that of the most likely answer
        (largest l_i), or the first. For enumerated answers, the most probable text.
        """
        weights: Sequence[float] = self.probabilities or (1,) * len(self.answers)
        members: dict[int, list[tuple[str, float]]] = {}
        frequent: dict[int, Counter[str]] = {}
        parts = zip(self.cluster_ids, self.log_likelihoods, self.answers, weights, strict=True)
        for c, value, answer, weight in parts:
            members.setdefault(c, []).append((answer.text, -math.inf if math.isnan(value) else value))
            frequent.setdefault(c, Counter())[answer.text] += weight  # type: ignore[assignment]
        names = []
        for c, answers in sorted(members.items()):
            often = frequent[c]
            names.append(max(answers, key=lambda answer: (often[answer[0]], answer[1]))[0])
        return tuple(names)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Limits of this result, in plain sentences; empty if there are none."""
        n, notes = len(self.answers), [] if self.judge is None else [*self.judge.caveats]
        if self.method == "enumerated":
            return (*notes, *self._enumerated_caveats())
        if not self.has_likelihoods:
            notes.append(
                "The model does not report the log-probabilities of its answers: likelihood-weighted and "
                "predictive entropy are not available; the other measures do not need them."
            )
        if self.number_of_clusters == 1:
            missed = 1.0 - 0.05 ** (1.0 / n)
            draws = counted(n, "sample")
            subject = f"All {n} answers mean the same" if n > 1 else "There is only one answer"
            notes.append(
                f"{subject}, so the entropies of the sampled answers and their bootstrap intervals are 0; a "
                f"meaning of probability {missed:.2f} would be missed by {draws} one time in twenty."
            )
        notes += self._order_caveats("discrete semantic entropy")
        if self.has_likelihoods and (empty := sum(not a.logprobs for a in self.answers)):
            notes.append(
                f"{empty} of {n} answers are empty: without tokens they count as certain (l = 0) in "
                "the likelihood-weighted and predictive entropy; the others are not affected."
            )
        if self.has_likelihoods and self.length == "sum" and not self.include_end:
            notes.append(
                "The log-likelihoods leave out the end of the answers: an answer that is the beginning of a "
                "longer one weighs too much, and the predictive entropy is too low."
            )
        if cut := sum(not a.finished for a in self.answers):
            notes.append(f"{cut} of {n} answers were cut off by max_new_tokens; their meaning may be lost.")
        return tuple(notes)

    @property
    def rest(self) -> float:
        """Probability of the answers that were not enumerated; NaN for sampled answers."""
        return max(0.0, 1.0 - math.fsum(self.probabilities)) if self.method == "enumerated" else math.nan

    def _order_caveats(self, entropy: str) -> Iterator[str]:
        if self.order is not None and self.order.changed > 0:
            low, high = self.order.entropy_low, self.order.entropy_high
            yield (
                f"The clusters depend on the order of the answers: {self.order.changed:.0%} of other orders "
                f"give other clusters ({entropy} from {low:.2f} to {high:.2f})."
            )

    def _enumerated_caveats(self) -> Iterator[str]:
        found = 1.0 - self.rest
        if found < self.target - 1e-9:
            yield (
                "The answers are too long or too many to be enumerated: those listed have "
                f"{found:.1%} of the probability, not the requested {self.target:.1%}, and the "
                "bounds are wide. Sample instead, or raise budget."
            )
        if self.rest > 1e-9:
            meanings = self.number_of_clusters
            yield (
                f"{self.rest:.2g} of the probability was not enumerated. The lower bound is certain; the "
                f"upper bound holds if it has at most {counted(meanings, 'further meaning')}."
            )
        yield (
            "Discrete, likelihood-weighted and predictive entropy and the measures without clusters need "
            "samples: they are not available."
        )
        yield from self._order_caveats("semantic entropy of the enumerated answers")
        parts = zip(self.answers, self.probabilities, strict=True)
        if cut := math.fsum(p for answer, p in parts if not answer.finished):
            yield (
                f"Answers of {cut:.1%} of the probability were cut off by max_new_tokens; their meaning may "
                "be lost."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return a dict. Infinite and NaN entropies become strings, since JSON has neither; the
        log-probabilities of the answers stay numbers.
        """
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        record["answers"] = [answer.to_dict() for answer in self.answers]
        record["cluster_ids"] = list(self.cluster_ids)
        record["probabilities"] = list(self.probabilities)
        record["target"] = _number(self.target)
        record["intervals"] = {k: [_number(low), _number(high)] for k, (low, high) in self.intervals.items()}
        record["graph_measures"] = {k: _number(v) for k, v in self.graph_measures.items()}
        record["order"] = None if self.order is None else self.order.to_dict()
        record["judge"] = None if self.judge is None else self.judge.to_dict()
        return record | {name: _number(record[name]) for name in NAMES}

    @classmethod
    @records.reader("an uncertainty", texts=True, shown=_SHOWN)
    def from_dict(cls, record: Mapping[str, Any]) -> Uncertainty:
        """Rebuild from the record of `to_dict`, without loss; missing fields of older records get their
        defaults.
        """
        number = len(record["answers"])
        if not number or not all(0 <= cluster < number for cluster in record["cluster_ids"]):
            raise InputError("An uncertainty needs at least one answer, and a cluster from 0 on for each.")
        level = record.get("level", 0.95)
        if not (0 < level < 1 or (level == 1 and record.get("method") == "enumerated")):
            raise InputError(f"The level of an interval lies between 0 and 1; got {level!r:.40}.")
        chances = record.get("probabilities", ())
        if not all(0 <= p <= 1 for p in chances) or math.fsum(chances) > 1 + 1e-6:
            raise InputError("The exact probabilities of answers lie from 0 to 1 and sum to at most 1.")
        values = dict(record)
        values["answers"] = tuple(Answer.from_dict(answer) for answer in record["answers"])
        values["cluster_ids"] = tuple(record["cluster_ids"])
        values["probabilities"] = tuple(record.get("probabilities", ()))
        values["target"] = float(record.get("target", math.nan))
        values["intervals"] = {k: (float(low), float(high)) for k, (low, high) in record["intervals"].items()}
        values["graph_measures"] = {k: float(v) for k, v in record.get("graph_measures", {}).items()}
        if (order := record.get("order")) is not None:
            values["order"] = OrderDependence.from_dict(order)
        if (judge := record.get("judge")) is not None:
            values["judge"] = Judge.from_dict(judge)
        values |= {name: float(record[name]) for name in NAMES if name in record}
        if LEADING in record:
            made = cls(**values)
            if made.method == "sampled":
                _ = made.posterior  # computed here to detect invalid probabilities
            return made
        values["intervals"][LEADING] = (math.nan, math.nan)  # an older record
        older = cls(**values)
        value, interval = leading_entropy(older.posterior, older.level, older.seed)
        return replace(
            older, bayesian_semantic_entropy=value, intervals={**older.intervals, LEADING: interval}
        )


def posterior_of_answers(ids: Sequence[int], answers: Sequence[Answer]) -> MeaningPosterior:
    """Compute the posterior of the masses of all meanings; answers with equal tokens are equal."""
    return posterior_of(ids, list(map(drawn_probability, answers)), [a.token_ids for a in answers])


def leading_entropy(posterior: MeaningPosterior, level: float, seed: int) -> tuple[float, Interval]:
    """Return the median of the entropy over all meanings, and its central interval."""
    entropies = posterior.entropies(seed=seed)
    return float(np.median(entropies)), percentile_interval(entropies, level)


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _text(uncertainty: Uncertainty) -> str:
    return json.dumps(uncertainty.to_dict(), sort_keys=True)


def _figure(value: float) -> str:
    return "not available" if math.isnan(value) else f"{value:.3f}"


def _span(interval: Interval) -> str:
    return "" if any(map(math.isnan, interval)) else f"[{interval[0]:.3f}, {interval[1]:.3f}]"
