"""Checks of the inputs of the entropies: one clear error each, before any arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def contiguous(cluster_ids: Sequence[int] | Ints) -> Ints:
    """Renumber cluster labels as 0, 1, ... by first appearance; int [N], N >= 1."""
    ids = np.asarray(cluster_ids)
    if ids.ndim != 1 or len(ids) < 1:
        raise InputError("Cluster ids are one list of at least one id, one per answer.")
    if ids.dtype.kind not in "iu":
        raise InputError(f"Cluster ids are integers, not {ids.dtype}.")
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def array(values: Any, name: str) -> Floats:
    """Return any array of numbers, as float64."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"The {name} must be numbers of one regular shape: {error}") from error


def vector(values: Any, name: str, minimum: int = 1) -> Floats:
    """Return one flat list of at least `minimum` numbers, -inf allowed, NaN and +inf not."""
    row = array(values, name)
    if row.ndim != 1 or len(row) < minimum:
        raise InputError(f"The {name} are one flat list of at least {minimum}; got shape {list(row.shape)}.")
    if np.isnan(row).any() or (row == np.inf).any():
        raise InputError(f"The {name} must not hold NaN or +infinity; check the model's log-probabilities.")
    return row


def log_values(values: Any) -> Floats:
    """Return log-likelihoods, at least one. Positive values are allowed: a common constant may have been
    added.
    """
    return vector(values, "log-likelihoods")


def distance_matrix(distances: Any, n: int) -> Floats:
    """Return distances [n, n] in [0, 1], symmetric, zero on the diagonal."""
    d = array(distances, "distances")
    if d.shape != (n, n):
        raise InputError(f"Distances between {n} answers have shape [{n}, {n}], not {list(d.shape)}.")
    outside = not np.isfinite(d).all() or d.min() < 0 or d.max() > 1
    if outside or not np.allclose(d, d.T) or np.diagonal(d).any():
        raise InputError("Distances must lie in [0, 1], be symmetric, and be 0 between an answer and itself.")
    return d


def entailment_probabilities(probabilities: Any) -> Floats:
    """Return probabilities [N, N, 3] of contradiction, neutral and entailment, premise i, hypothesis j; each
    pair's sum to 1.
    """
    p = array(probabilities, "entailment probabilities")
    if p.ndim != 3 or p.shape[0] != p.shape[1] or p.shape[2] != 3 or p.shape[0] < 1:
        raise InputError(f"Entailment probabilities have shape [N, N, 3], not {list(p.shape)}.")
    if not np.isfinite(p).all() or p.min() < -1e-6 or abs(p.sum(axis=2) - 1.0).max() > 1e-3:
        raise InputError("Entailment probabilities of each pair must be non-negative and sum to 1.")
    return p


def ids_and_values(cluster_ids: Sequence[int] | Ints, log_likelihoods: Any) -> tuple[Ints, Floats]:
    """Return cluster ids, renumbered, and log-likelihoods of the same answers."""
    ids, values = contiguous(cluster_ids), log_values(log_likelihoods)
    if len(ids) != len(values):
        raise InputError(
            f"One log-likelihood per answer is needed; got {len(ids)} cluster ids, {len(values)} values."
        )
    return ids, values
