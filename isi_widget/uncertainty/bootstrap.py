"""Bootstrap intervals for the entropies of N sampled answers: how much would N new samples change them?

The intervals do not correct bias. The N answers are resampled with replacement; clusters, likelihoods and
distances are kept. A resample can lose meanings but never show an unseen one, and the plug-in entropies are
biased low (by about (K - 1) / 2N nats for K meanings: Miller, 1955). So for small N these percentile
intervals are too low and cover less often than their level. Example: ten samples that all agree give the
interval [0, 0], although ten samples miss a meaning of probability 0.26 one time in twenty.
docs/uncertainty.md gives the measured coverage.

Source: Efron, Annals of Statistics 7, 1979; Efron & Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.uncertainty._checks import Floats, Ints, distance_matrix, ids_and_values
from isi_widget.uncertainty.entropy import ROUNDING

Interval = tuple[float, float]
LEADING = "bayesian_semantic_entropy"
"""The entropy that is shown first: `posterior` estimates it, with the unseen meanings in it."""
RESAMPLED = (
    "discrete_semantic_entropy",
    "semantic_entropy",
    "predictive_entropy",
    "rao_quadratic_entropy",
)
"""The entropies of the answers as they are, whose intervals come from resampling them."""
NAMES = (LEADING, *RESAMPLED)
_CELLS = 2_000_000  # resamples x answers held at once: 16 MB per intermediate array


def bootstrap_entropies(
    cluster_ids: Sequence[int] | Ints,
    log_likelihoods: Sequence[float] | Floats,
    distances: Sequence[Sequence[float]] | Floats,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Floats]:
    """Compute the four entropies of each of `resamples` bootstrap resamples of the answers.

    Parameters
    ----------
    cluster_ids : cluster of each answer, int [N].
    log_likelihoods : log-likelihood of each answer, float [N], nats.
    distances : distances between answers, float [N, N], as for `rao_quadratic_entropy`.
    resamples : number B of resamples, >= 1.
    seed : seed of the resampling; the same seed gives the same numbers.

    Returns
    -------
    {name: float [B]} for the names in `RESAMPLED`; nats, Rao's in [0, 1].
    """
    ids, ll = ids_and_values(cluster_ids, log_likelihoods)
    d = distance_matrix(distances, len(ll))
    checks.integer(resamples, "resamples", low=1)
    checks.integer(seed, "seed", low=0)
    n, random = len(ll), np.random.default_rng(seed)
    parts: list[dict[str, Floats]] = []
    step = max(1, _CELLS // n)
    for start in range(0, resamples, step):
        counts = random.multinomial(n, np.full(n, 1.0 / n), size=min(step, resamples - start))
        parts.append(entropies_of_counts(counts, ids, ll, d))
    return {name: np.concatenate([part[name] for part in parts]) for name in RESAMPLED}


def entropies_of_counts(counts: Ints, ids: Ints, ll: Floats, d: Floats | None) -> dict[str, Floats]:
    """Compute the entropies of the sets that hold answer i counts[b, i] times; {name: float [b]}. Inputs are
    not checked.

    counts : number of times each set holds each answer, int [b, N].
    ids : contiguous cluster ids of the N answers, int [N].
    ll : log-likelihoods of the N answers, float [N], nats.
    d : distances, float [N, N]; None leaves out Rao's entropy.
    """
    times = counts.astype(np.float64)
    n = times.sum(axis=1)
    members = np.eye(int(ids.max()) + 1)[ids]  # [N, clusters], one-hot
    p = _weights(times, ll)
    # where=: for an answer of probability zero that was not drawn, 0 * -inf would be NaN
    total = np.multiply(times, ll, out=np.zeros_like(times), where=times > 0).sum(axis=1)
    found = {
        "semantic_entropy": _row_entropy(p @ members),
        "discrete_semantic_entropy": _row_entropy(times @ members / n[:, None]),
        "predictive_entropy": -total / n + 0.0,
    }
    if d is not None:
        shares = times / n[:, None]
        other = n / np.maximum(n - 1.0, 1.0)  # pairs of two different answers
        found["rao_quadratic_entropy"] = other * np.einsum("bi,bi->b", shares @ d, shares)
    return found


def bootstrap_intervals(
    cluster_ids: Sequence[int] | Ints,
    log_likelihoods: Sequence[float] | Floats,
    distances: Sequence[Sequence[float]] | Floats,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Compute the percentile interval (low, high) of each entropy at the given level; see the first lines of
    the module for its limits.

    Parameters as for `bootstrap_entropies`, plus level in (0, 1). The same input gives the same interval.
    """
    check_level(level)
    values = bootstrap_entropies(cluster_ids, log_likelihoods, distances, resamples=resamples, seed=seed)
    return {name: percentile_interval(v, level) for name, v in values.items()}


def percentile_interval(values: Floats, level: float) -> Interval:
    """Return the central interval that holds a share `level` of the values; its ends are values."""
    tail = 50.0 * (1.0 - level)
    # An order statistic, not a mean of two, keeps an infinite predictive entropy from turning into
    # inf - inf = NaN
    low, high = np.percentile(values, (tail, 100.0 - tail), method="inverted_cdf")
    return float(low), float(high)


def check_level(level: float) -> None:
    """Refuse a level outside (0, 1)."""
    if not 0.0 < level < 1.0:
        raise InputError(f"level lies between 0 and 1, for example 0.95; got {level!r}.")


def _weights(counts: Floats, ll: Floats) -> Floats:
    """Return the normalised likelihoods within each resample, [b, N]: softmax over the drawn answers, counted
    as often as drawn.
    """
    drawn = np.where(counts > 0, ll, -np.inf)
    top = drawn.max(axis=1, keepdims=True)
    lost = np.isneginf(top)  # only answers of probability zero were drawn: they get equal weights
    shifted = np.where(lost, np.where(counts > 0, 0.0, -np.inf), drawn - np.where(lost, 0.0, top))
    weights = counts * np.exp(shifted)
    return weights / weights.sum(axis=1, keepdims=True)


def _row_entropy(p: Floats) -> Floats:
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    entropy: Floats = -(p * logs).sum(axis=1)
    return np.where(entropy > ROUNDING, entropy, 0.0)
