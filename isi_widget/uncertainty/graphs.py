"""Measures on the graph of sampled answers; an edge is the similarity of two answers by entailment.

They need no likelihoods, no clusters and no order of the answers. So they also work for black-box models, and
they check the clusters. Not for kernels over the graph (`kernels`). Pure NumPy.

The similarity w_ij is the mean over both directions of P(entailment) ("entail") or of 1 - P(contradiction)
("contra"); w_ii = 1. With "contra", two unrelated answers count as similar, so measures of spread are smaller
with "contra" when answers are vague.

Source: Lin, Trivedi & Sun, Generating with Confidence, TMLR 2024, without that paper's softening of the
entailment model's logits; the definitions agree with lm-polygraph's (Fadeeva et al., EMNLP 2023).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.uncertainty._checks import Floats, entailment_probabilities
from isi_widget.uncertainty.kernels import kernel_language_entropy

Affinity = Literal["entail", "contra"]

GRAPH_MEASURES: Mapping[str, str] = {
    "kernel_language_entropy_heat": "nats",
    "kernel_language_entropy_matern": "nats",
    "laplacian_eigenvalues_entail": "meanings",
    "laplacian_eigenvalues_contra": "meanings",
    "degree_matrix_entail": "",
    "degree_matrix_contra": "",
    "eccentricity_entail": "",
    "eccentricity_contra": "",
    "semantic_sets": "meanings",
}
"""Name and unit of each value of `graph_measures`; "" where there is no unit."""


def graph_measures(probabilities: npt.ArrayLike) -> dict[str, float]:
    """Compute all graph measures with their default settings; names and units as in `GRAPH_MEASURES`.

    probabilities : float [N, N, 3], contradiction, neutral and entailment of premise i and hypothesis j.
    """
    affinities: tuple[Affinity, Affinity] = ("entail", "contra")
    found = {
        f"kernel_language_entropy_{kernel}": kernel_language_entropy(probabilities, kernel)
        for kernel in ("heat", "matern")
    }
    found |= {f"laplacian_eigenvalues_{a}": laplacian_eigenvalues(probabilities, a) for a in affinities}
    found |= {f"degree_matrix_{a}": degree_matrix(probabilities, a) for a in affinities}
    found |= {f"eccentricity_{a}": eccentricity(probabilities, a) for a in affinities}
    return found | {"semantic_sets": float(semantic_sets(probabilities))}


def similarities(probabilities: npt.ArrayLike, affinity: Affinity = "entail") -> Floats:
    """Compute w_ij as defined at the top of this module: float [N, N] in [0, 1], symmetric, 1 on the
    diagonal.
    """
    p = entailment_probabilities(probabilities)
    if affinity not in ("entail", "contra"):
        raise InputError(f"affinity is {affinity!r}; choose 'entail' or 'contra'.")
    one_way = p[..., 2] if affinity == "entail" else 1.0 - p[..., 0]
    w: Floats = np.clip((one_way + one_way.T) / 2, 0.0, 1.0)
    np.fill_diagonal(w, 1.0)
    return w


def laplacian_eigenvalues(probabilities: npt.ArrayLike, affinity: Affinity = "entail") -> float:
    """Compute a soft number of meanings: sum of max(0, 1 - lambda) over the eigenvalues of the Laplacian L =
    I - D^(-1/2) W D^(-1/2).

    Returns 1 to N; K for K groups with similarity 1 within and 0 between groups.
    """
    values, _ = _spectrum(similarities(probabilities, affinity))
    # The largest 1 - lambda is exactly 1, so only rounding leaves [1, N]
    return float(np.clip(np.maximum(0.0, 1.0 - values).sum(), 1.0, len(values)))


def degree_matrix(probabilities: npt.ArrayLike, affinity: Affinity = "entail") -> float:
    """Return trace(N I - D) / N^2 = 1 - mean w_ij: the mean unlikeness of two answers drawn with replacement.

    Returns 0 (all equal) to 1 - 1/N (all different), no unit. It equals Rao's quadratic entropy with equal
    weights and distances 1 - w_ij.
    """
    return max(0.0, 1.0 - float(similarities(probabilities, affinity).mean()))


def eccentricity(
    probabilities: npt.ArrayLike, affinity: Affinity = "entail", threshold: float = 0.9
) -> float:
    """Spread of the answers in the space of the Laplacian's informative eigenvectors.

    An answer's coordinates are its entries in the eigenvectors of L = I - D^(-1/2) W D^(-1/2) with
    eigenvalues below `threshold`. The result is the root of the summed squared distances from their mean.

    Returns 0 to sqrt(N - 1), no unit: sqrt(K - 1) for K groups as in `laplacian_eigenvalues`. It jumps when
    an eigenvalue crosses the threshold.
    """
    if not (math.isfinite(threshold) and threshold > 0):
        raise InputError(f"threshold is a number above 0, not {threshold!r}.")
    values, vectors = _spectrum(similarities(probabilities, affinity))
    places = vectors[:, values < threshold]  # [N, informative eigenvectors]
    return float(np.linalg.norm(places - places.mean(axis=0)))


def semantic_sets(probabilities: npt.ArrayLike) -> int:
    """Count the groups of answers connected by P(entailment) > P(contradiction) in both directions.

    Returns 1 to N. Unlike the clusters, it does not depend on the order of the answers, but a chain of
    neighbours can join different answers.
    """
    p = entailment_probabilities(probabilities)
    towards = p[..., 2] > p[..., 0]
    joined = towards & towards.T
    unseen = np.ones(len(p), dtype=bool)
    sets = 0
    while unseen.any():
        sets += 1
        reached = np.zeros(len(p), dtype=bool)
        front = np.zeros(len(p), dtype=bool)
        front[np.argmax(unseen)] = True
        while front.any():
            reached |= front
            front = joined[front].any(axis=0) & ~reached
        unseen &= ~reached
    return sets


def _spectrum(w: Floats) -> tuple[Floats, Floats]:
    """Compute eigenvalues (ascending) and eigenvectors of the symmetric normalised Laplacian; every degree is
    >= 1.
    """
    root = 1.0 / np.sqrt(w.sum(axis=1))
    values, vectors = np.linalg.eigh(np.eye(len(w)) - root[:, None] * w * root)
    return values, vectors
