"""Kernel language entropy: the von Neumann entropy of a kernel over the graph of sampled answers.

Semantic entropy counts meanings; this entropy is graded: two similar meanings add less than two distant ones.
It needs no clusters, no likelihoods and no order of the answers. It is not 0 when all answers are equal,
because at a finite diffusion time part of each answer's mass stays on that answer. Pure NumPy.

Source: Nikitin, Kossen, Gal & Marttinen, Kernel Language Entropy, NeurIPS 2024 (the variant over answers, not
over clusters).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.uncertainty._checks import Floats, array, entailment_probabilities

Kernel = Literal["heat", "matern"]


def semantic_graph(probabilities: npt.ArrayLike, *, one_hot: bool = True) -> Floats:
    """Compute edge weights W_ij = v_ij + v_ji between answers; v = 1 for entailment, 1/2 for neutral, 0 for
    contradiction.

    probabilities : entailment probabilities, float [N, N, 3], as returned by `EntailmentModel.probabilities`.
    one_hot : True (default) counts only the most likely relation, as in the paper; False weighs the three
        relations by their probabilities.

    Returns float [N, N] in [0, 2], symmetric, 0 on the diagonal (a Laplacian has no self-loops).
    """
    p = entailment_probabilities(probabilities)
    if one_hot:
        p = np.eye(3)[np.argmax(p, axis=2)]
    value = p @ np.array([0.0, 0.5, 1.0])
    weights: Floats = value + value.T
    np.fill_diagonal(weights, 0.0)
    return weights


def heat_kernel(weights: npt.ArrayLike, t: float = 0.3) -> Floats:
    """Compute K = exp(-t L), with L = D - W the Laplacian of the graph; t > 0 is the diffusion time."""
    values, vectors = _spectrum(weights)
    return _kernel(vectors, np.exp(-_positive(t, "t") * values))


def matern_kernel(weights: npt.ArrayLike, nu: float = 1.0, kappa: float = 1.0) -> Floats:
    """Compute K = (2 nu / kappa^2 I + L)^(-nu), with L = D - W; nu (smoothness) and kappa (length
    scale) > 0.
    """
    values, vectors = _spectrum(weights)
    shift = 2.0 * _positive(nu, "nu") / _positive(kappa, "kappa") ** 2
    return _kernel(vectors, (shift + values) ** -nu)


def von_neumann_entropy(kernel: npt.ArrayLike) -> float:
    """Return - Tr[K log K] of K_ij / (N sqrt(K_ii K_jj)), the kernel scaled to unit trace; nats, 0 to ln N.

    kernel : kernel matrix, float [N, N], symmetric, positive semi-definite, with a positive diagonal.
    """
    k = _square(kernel, "kernel")
    diagonal = np.diagonal(k)
    if diagonal.min() <= 0:
        raise InputError("A kernel has a positive diagonal.")
    values = np.linalg.eigvalsh(k / np.sqrt(np.outer(diagonal, diagonal)) / len(k))
    if values.min() < -1e-8:
        raise InputError("A kernel is positive semi-definite; this one has a negative eigenvalue.")
    values = values[values > 0]
    # Rounding may make the trace slightly larger than 1: an entropy of -1e-16 is 0
    return min(max(0.0, float(-(values * np.log(values)).sum())), math.log(len(k)))


def kernel_language_entropy(
    probabilities: npt.ArrayLike,
    kernel: Kernel = "heat",
    *,
    t: float = 0.3,
    nu: float = 1.0,
    kappa: float = 1.0,
    one_hot: bool = True,
) -> float:
    """Compute the kernel language entropy of N answers from the entailment between them.

    Parameters
    ----------
    probabilities : float [N, N, 3], contradiction, neutral and entailment of premise i and hypothesis j.
    kernel : "heat" (default; with t) or "matern" (with nu, kappa).
    one_hot : see `semantic_graph`.

    Returns
    -------
    Nats, 0 to ln N: ln N if every answer contradicts every other; small but not 0 if all are equal.
    """
    weights = semantic_graph(probabilities, one_hot=one_hot)
    if kernel == "heat":
        return von_neumann_entropy(heat_kernel(weights, t))
    if kernel == "matern":
        return von_neumann_entropy(matern_kernel(weights, nu, kappa))
    raise InputError(f"kernel is {kernel!r}; choose 'heat' or 'matern'.")


def _spectrum(weights: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Compute eigenvalues (>= 0, ascending) and eigenvectors of the Laplacian D - W."""
    w = _square(weights, "weights")
    if w.min() < 0:
        raise InputError("The weights of a graph are not negative.")
    values, vectors = np.linalg.eigh(np.diag(w.sum(axis=1)) - w)
    return np.maximum(values, 0.0), vectors


def _kernel(vectors: Floats, values: Floats) -> Floats:
    product: Floats = (vectors * values) @ vectors.T
    return (product + product.T) / 2


def _square(matrix: npt.ArrayLike, name: str) -> Floats:
    square = array(matrix, name)
    if square.ndim != 2 or square.shape[0] != square.shape[1] or len(square) < 1:
        raise InputError(f"The {name} have shape [N, N], not {list(square.shape)}.")
    if not np.isfinite(square).all() or not np.allclose(square, square.T):
        raise InputError(f"The {name} must be finite and symmetric.")
    return square


def _positive(value: float, name: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} is a number above 0, not {value!r}.")
    return float(value)
