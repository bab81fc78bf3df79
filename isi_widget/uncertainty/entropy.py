"""Entropies of N sampled answers, from their log-likelihoods and clusters of meaning. Pure NumPy.

Not for deciding which answers mean the same (`clusters`, `entailment`) nor for intervals (`bootstrap`).

All results are in nats, except Rao's quadratic entropy, which is a probability-weighted mean distance in [0,
1]. Every function here is a plug-in estimate from few samples and is biased low (see `bootstrap` and
docs/uncertainty.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.uncertainty._checks import (
    Floats,
    Ints,
    contiguous,
    distance_matrix,
    entailment_probabilities,
    ids_and_values,
    log_values,
    vector,
)

ROUNDING = 1e-12  # a smaller entropy is 0: probabilities are not exactly 1 in floating point

Length = Literal["mean", "sum"]


def sequence_log_likelihoods(
    token_logprobs: Iterable[Sequence[float]],
    length: Length = "mean",
    *,
    end_logprobs: Iterable[float | None] | None = None,
) -> Floats:
    """Compute the log-likelihood l_i of each answer from the log-probabilities of its tokens (and of its end,
    if given).

    Parameters
    ----------
    token_logprobs : for each of N answers, its T_i natural log-probabilities log p(y_it | prompt, y_i<t).
    length : "mean" (default) divides by T_i: the length normalisation of Malinin & Gales (ICLR 2021), without
        which long answers look unlikely. "sum" is the log-probability of the whole sequence.
    end_logprobs : for each of N answers, the log-probability of its end, counted like one more token; None
        for an answer that was cut off. With it, "sum" is the log-probability of the whole answer; without it,
        "Yes" gets the probability of every answer that begins with "Yes". Default None: ends are not counted.

    Returns
    -------
    float array [N], nats. An answer without tokens has l = 0 (the empty product), or the l of its end if
    given: it weighs as much as a certain answer.
    """
    if length not in ("mean", "sum"):
        raise InputError(f"length is 'mean' or 'sum', not {length!r}.")
    rows = [list(row) for row in token_logprobs]
    if end_logprobs is not None:
        ends = list(end_logprobs)
        if len(ends) != len(rows):
            raise InputError(
                f"One log-probability of the end (or None) per answer is needed; got {len(rows)} answers, "
                f"{len(ends)} ends."
            )
        rows = [row if end is None else [*row, end] for row, end in zip(rows, ends, strict=True)]
    values = []
    for row in rows:
        tokens = vector(row, "token log-probabilities", minimum=0)
        total = float(tokens.sum())
        values.append(total / len(tokens) if length == "mean" and len(tokens) else total)
    return vector(values, "answers")


def semantic_entropy(cluster_ids: Sequence[int] | Ints, log_likelihoods: Sequence[float] | Floats) -> float:
    """Compute the semantic entropy SE = - sum_c p(c) log p(c), with p(c) as in `cluster_log_probabilities`.

    Parameters
    ----------
    cluster_ids : int [N], the cluster of each answer; any labels.
    log_likelihoods : float [N], nats; any common constant cancels.

    Returns
    -------
    Nats, 0 <= SE <= ln(number of clusters). With all likelihoods equal it is the discrete semantic entropy.

    Source: Kuhn, Gal & Farquhar, ICLR 2023; Farquhar, Kossen, Kuhn & Gal, Nature 630, 2024 (the normalised
    estimate).
    """
    return _shannon(np.exp(cluster_log_probabilities(cluster_ids, log_likelihoods)))


def discrete_semantic_entropy(cluster_ids: Sequence[int] | Ints) -> float:
    """Compute the entropy of the cluster shares, p(c) = n_c / N: semantic entropy without likelihoods.

    Parameters
    ----------
    cluster_ids : int [N], the cluster of each answer; any labels.

    Returns
    -------
    Nats, 0 <= DSE <= ln(number of clusters) <= ln N, the largest value that N samples can give.

    Source: Farquhar, Kossen, Kuhn & Gal, Nature 630, 2024.
    """
    counts = np.bincount(contiguous(cluster_ids)).astype(np.float64)
    return _shannon(counts / counts.sum())


def predictive_entropy(log_likelihoods: Sequence[float] | Floats) -> float:
    """Compute the Monte-Carlo predictive entropy PE = -(1/N) sum_i l_i, which ignores meaning.

    Parameters
    ----------
    log_likelihoods : float [N], nats. With length-normalised l_i, PE is in nats per token; with sums, in nats
        per answer.

    Returns
    -------
    PE >= 0 for true log-probabilities, without upper bound; infinite if an answer has probability zero.

    Source: Malinin & Gales, ICLR 2021; Kadavath et al., 2022.
    """
    return float(-np.mean(log_values(log_likelihoods))) + 0.0


def rao_quadratic_entropy(
    probabilities: Sequence[float] | Floats, distances: Sequence[Sequence[float]] | Floats
) -> float:
    """Compute Rao's quadratic entropy Q = sum_ij d_ij p_i p_j: the mean distance of two answers drawn
    independently.

    Parameters
    ----------
    probabilities : float [N], the weight p_i of each answer, summing to 1 (`answer_probabilities`: normalised
        likelihoods).
    distances : float [N, N] in [0, 1], symmetric, zero on the diagonal (`meaning_distances`).

    Returns
    -------
    0 <= Q <= 1 - 1/N. With d = 0 inside a cluster and 1 between clusters, Q = 1 - sum_c p(c)^2
    (Gini-Simpson).

    Source: Rao, Theoretical Population Biology 21, 1982.
    """
    p = vector(probabilities, "probabilities")
    d = distance_matrix(distances, len(p))
    if (p < 0).any() or abs(float(p.sum()) - 1.0) > 1e-6:
        raise InputError(
            f"Probabilities must be non-negative and sum to 1; they sum to {float(p.sum()):.6g}."
        )
    return float(p @ d @ p)


def answer_probabilities(log_likelihoods: Sequence[float] | Floats) -> Floats:
    """Return normalised likelihood of each answer, p_i = exp(l_i - logsumexp_j l_j): float [N], sums to 1.

    If every l_i is -inf, p_i = 1/N, as for any other common value.
    """
    ll = log_values(log_likelihoods)
    return np.exp(ll - _logsumexp(ll)) if np.isfinite(ll).any() else np.full(len(ll), 1.0 / len(ll))


def cluster_log_probabilities(
    cluster_ids: Sequence[int] | Ints, log_likelihoods: Sequence[float] | Floats
) -> Floats:
    """Return the log-mass of each cluster, log p(c) = logsumexp_{i in c} l_i - logsumexp_j l_j.

    Returns
    -------
    float [number of clusters], nats, ordered by first appearance; computed in log space, so that l = -800
    loses no precision. A cluster whose answers all have l = -inf gets -inf, unless all answers have l = -inf
    (then p_i = 1/N).
    """
    ids, ll = ids_and_values(cluster_ids, log_likelihoods)
    if not np.isfinite(ll).any():
        ll = np.zeros(len(ll))
    return np.array([_logsumexp(ll[ids == c]) for c in range(int(ids.max()) + 1)]) - _logsumexp(ll)


def meaning_distances(probabilities: npt.ArrayLike, strict: bool = False) -> Floats:
    """Return distances d_ij for Rao's entropy: the probability that answers i and j do not share a meaning.

    With P(contradiction), P(neutral), P(entailment) in both directions, and the two directions treated as
    independent,

        strict      d_ij = 1 - e_ij e_ji                               (same: entailment both ways)
        non-strict  d_ij = 1 - [(1 - c_ij)(1 - c_ji) - n_ij n_ji] (same: no contradiction, not twice neutral)

    so that entailment probabilities of 0 and 1 give exactly the 0/1 distances of the rule in
    `clusters.cluster`.

    Parameters
    ----------
    probabilities : float [N, N, 3] (contradiction, neutral, entailment), premise i, hypothesis j; each sums
        to 1. Equal strings need (0, 0, 1), as returned by `EntailmentModel.probabilities`, to have distance
        0.

    Returns
    -------
    float [N, N], symmetric, in [0, 1], zero on the diagonal. Not a metric: the triangle inequality may fail.
    """
    p = entailment_probabilities(probabilities)
    c, n, e = (p[..., k] for k in range(3))
    same = e * e.T if strict else (1 - c) * (1 - c.T) - n * n.T
    d = np.clip(1.0 - same, 0.0, 1.0)
    np.fill_diagonal(d, 0.0)
    return d


def _shannon(p: Floats) -> float:
    p = p[p > 0]
    entropy = float(-(p * np.log(p)).sum())
    return entropy if entropy > ROUNDING else 0.0


def _logsumexp(ll: Floats) -> float:
    top = float(ll.max())
    return top if top == -np.inf else top + float(np.log(np.exp(ll - top).sum()))
