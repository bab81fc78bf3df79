"""`uncertainty_of`: measures the uncertainty of a model from N sampled answers to one question.

Not for sampling the answers (`isi_widget.trial.measure_uncertainty` does that), nor for enumerated answers
(`enumerated`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.uncertainty._checks import Floats
from isi_widget.uncertainty._likelihoods import Likelihood, lacking_end, log_likelihoods
from isi_widget.uncertainty.bootstrap import LEADING, Interval, bootstrap_intervals
from isi_widget.uncertainty.clusters import cluster
from isi_widget.uncertainty.entropy import (
    Length,
    discrete_semantic_entropy,
    meaning_distances,
    predictive_entropy,
    rao_quadratic_entropy,
    semantic_entropy,
)
from isi_widget.uncertainty.graphs import graph_measures
from isi_widget.uncertainty.judge import Chosen, Entailment, compare
from isi_widget.uncertainty.lexical import lexical_similarity
from isi_widget.uncertainty.order import order_dependence
from isi_widget.uncertainty.record import WEIGHTED, Uncertainty, leading_entropy, posterior_of_answers


def uncertainty_of(
    answers: Sequence[Answer],
    question: str,
    entailment: Entailment | Chosen,
    *,
    strict: bool = False,
    seed: int = 0,
    length: Length = "mean",
    level: float = 0.95,
    resamples: int = 2000,
    likelihood: Likelihood = "raw",
    prepend_question: bool = True,
    permutations: int = 200,
    include_end: bool | None = None,
    rules: bool = True,
) -> Uncertainty:
    """Return cluster sampled answers by meaning and measure their entropies.

    Parameters
    ----------
    answers : N >= 1 answers to the question, sampled independently from the model (not beams, not greedy).
    question : question that was answered.
    prepend_question : True (default) lets the entailment model read "question answer", so that "yes" and "no"
        have a meaning; False: the answers alone.
    entailment : model from `load_entailment`.
    strict : rule of the clusters and of the distances (`clusters.same_meaning`); default False.
    seed : seed of the bootstrap and of the orders; default 0.
    length : "mean" (default) or "sum", see `sequence_log_likelihoods`.
    level : level of the intervals; default 0.95.
    resamples : number of bootstrap resamples.
    permutations : number of orders of the answers to try, see `order.order_dependence`.
    likelihood : "raw" (default) weighs the answers by `Answer.logprobs`, the model's own before temperature,
        top-k and top-p, so that entropies can be compared across temperatures. "sampled" uses
        `Answer.sampled_logprobs`, from the distribution that was sampled.
    include_end : True counts the end of each answer like one more token; False leaves it out. None (default):
        True for "sum" if every end is known, since only with its end "sum" is the log-probability of the
        whole answer; otherwise False.
    rules : True (default) decides obvious pairs by wording (a clear yes against a clear no, "Paris." and
        "It's Paris", see `isi_widget.uncertainty.rules`) and passes the rest to the entailment model; False
        passes every pair to the model, as the papers do.

    Returns
    -------
    Uncertainty. If any answer has NaN log-probabilities and token ids of -1 (a server that does not report
    them), every measure that needs them is NaN, and `Uncertainty.caveats` explains it.

    Raises
    ------
    InputError : no answers; likelihood "sampled" for answers that were not sampled; argument out of range.

    Source: Farquhar, Kossen, Kuhn & Gal, Nature 630, 2024 (strict = True is their setting; strict = False
    ISI's).
    """
    answers = tuple(answers)
    if not answers:
        raise InputError("Uncertainty needs at least one sampled answer; got none. Sample with n >= 1.")
    if include_end is None:
        include_end = length == "sum" and not lacking_end(answers, likelihood)
    values = log_likelihoods(answers, likelihood, length, include_end)
    texts = [answer.text for answer in answers]
    probabilities, judge = compare(
        question, texts, entailment, prepend_question=prepend_question, rules=rules
    )
    distances = meaning_distances(probabilities, strict)
    relations = np.argmax(probabilities, axis=2)
    ids = cluster(lambda i, j: int(relations[i, j]), len(answers), strict)
    entropies, intervals = _entropies(ids, values, distances, level, resamples, seed)
    leading, intervals[LEADING] = leading_entropy(posterior_of_answers(ids, answers), level, seed)
    return Uncertainty(
        answers=answers,
        cluster_ids=tuple(ids),
        bayesian_semantic_entropy=leading,
        **entropies,  # type: ignore[arg-type]
        intervals=intervals,
        question=question,
        strict=strict,
        length=length,
        level=level,
        seed=seed,
        entailment=judge.name,
        likelihood=likelihood,
        prepend_question=prepend_question,
        order=order_dependence(relations, strict, permutations=permutations, seed=seed),
        graph_measures=graph_measures(probabilities) | {"lexical_similarity": lexical_similarity(texts)},
        include_end=include_end,
        judge=judge,
    )


def _entropies(
    ids: Sequence[int], values: Floats, distances: Floats, level: float, resamples: int, seed: int
) -> tuple[dict[str, float], dict[str, Interval]]:
    """Compute the entropies of the sampled answers and their intervals; NaN for those that need likelihoods
    if there are none.
    """
    known = not np.isnan(values).any()
    weights = values if known else np.zeros(len(values))  # unused by entropies without likelihoods
    intervals = bootstrap_intervals(ids, weights, distances, level=level, resamples=resamples, seed=seed)
    entropies = {
        "semantic_entropy": semantic_entropy(ids, weights),
        "discrete_semantic_entropy": discrete_semantic_entropy(ids),
        "predictive_entropy": predictive_entropy(weights),
        "rao_quadratic_entropy": _mean_distance(distances),
    }
    if not known:
        entropies |= dict.fromkeys(WEIGHTED, math.nan)
        intervals |= dict.fromkeys(WEIGHTED, (math.nan, math.nan))
    return entropies, intervals


def _mean_distance(distances: Floats) -> float:
    """Estimate Rao's entropy of the sampled distribution without bias: the mean over pairs of different
    answers.
    """
    n = len(distances)
    return rao_quadratic_entropy(np.full(n, 1.0 / n), distances) * n / (n - 1) if n > 1 else 0.0
