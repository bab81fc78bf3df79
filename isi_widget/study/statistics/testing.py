"""The test of a paired difference: would its size be usual if every sign were drawn by a coin?

One test for every column: the sign-flip (permutation) test of the mean of the observations' differences. It
needs no law of their distribution, only that the sign of a difference is chance where nothing differs. Its
statistic is the mean difference that is shown beside it; Wilcoxon's test, with ranks, may disagree in sign
with a skewed mean. Where all differences have the same size, as right and wrong answers do, it is McNemar's
exact test. It is exact up to `EXACT` differences; beyond, its distribution has too many values to list, and
the saddlepoint approximation is taken: unlike random flips it has no smallest p-value, which a correction for
many comparisons would need, and no seed.

Sources: Fisher, The Design of Experiments, 1935; McNemar, Psychometrika 12, 1947; Robinson, Journal of the
Royal Statistical Society B 44, 1982; Lugannani & Rice, Advances in Applied Probability 12, 1980; Holm,
Scandinavian Journal of Statistics 6, 1979.
"""

from __future__ import annotations

import math

import numpy as np

from isi_widget.study.statistics.rows import Floats

#: Most differences (other than 0) whose signs are all tried: 2 to the power of 16 means.
EXACT = 16
MCNEMAR, LISTED, SADDLEPOINT = "McNemar, exact", "sign flips, exact", "sign flips, saddlepoint"
_TIE = 1e-9


def sign_flip_test(differences: Floats) -> tuple[float, str]:
    """Return the two-sided p-value of the mean of independent differences, and how it was computed.

    Parameters
    ----------
    differences : one difference for each observation, float [observations], finite.

    Returns
    -------
    p-value: NaN without differences, 1 where all are 0; and `MCNEMAR`, `LISTED` or `SADDLEPOINT`.
    """
    if not len(differences):
        return math.nan, ""
    sizes = np.abs(differences)
    moved = sizes > _TIE * max(float(sizes.max()), 1e-300)
    values = differences[moved]
    if not len(values) or not sizes.max() > 0:
        return 1.0, LISTED
    values = values / np.abs(values).max()
    if np.abs(np.abs(values) - 1).max() < _TIE:
        return _mcnemar(int((values > 0).sum()), len(values)), MCNEMAR
    if len(values) <= EXACT:
        return _listed(values), LISTED
    return _saddlepoint(values), SADDLEPOINT


def _mcnemar(higher: int, number: int) -> float:
    from scipy import stats

    return float(stats.binomtest(higher, number, 0.5).pvalue)


def _listed(values: Floats) -> float:
    """Return the share of all sign patterns whose sum is at least as far from 0."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return float(np.mean(np.abs(sums) >= abs(float(values.sum())) - _TIE * len(values)))


def _saddlepoint(values: Floats) -> float:
    """Approximate the share of sign patterns whose sum is at least as far from 0.

    Lugannani and Rice's formula for the sum of independent +-d_i, whose cumulant function is
    K(t) = sum log cosh(t d_i). Where all sizes are whole multiples of the smallest, the sum takes steps of
    twice that size, and the tail begins half a step earlier.
    """
    from scipy import optimize, stats

    sizes = np.sort(np.abs(values))
    most, target = float(sizes.sum()), abs(float(values.sum()))
    step = float(sizes[0])
    if np.abs(sizes / step - np.round(sizes / step)).max() < 1e-6:
        target -= step
    deviation = math.sqrt(float((sizes**2).sum()))
    if target <= 1e-3 * deviation:  # the formula is 0 / 0 at 0, where the normal law is exact to third order
        return min(1.0, 2 * float(stats.norm.sf(target / deviation)))
    if target >= most * (1 - 1e-12):  # all signs agree
        return 2.0 ** (1 - len(sizes))

    def slope(t: float) -> float:
        return float((sizes * np.tanh(t * sizes)).sum()) - target

    high = 1.0 / deviation
    while slope(high) < 0 and high < 1e12:
        high *= 2
    t = float(optimize.brentq(slope, 0.0, high, xtol=1e-14, rtol=1e-12))
    arguments = t * sizes
    cumulant = float((arguments + np.log1p(np.exp(-2 * arguments)) - math.log(2)).sum())
    curvature = float((sizes**2 / np.cosh(np.minimum(arguments, 300.0)) ** 2).sum())
    w = math.sqrt(2 * max(t * target - cumulant, 0.0))
    u = t * math.sqrt(curvature)
    if w < 1e-4 or u <= 0:
        return min(1.0, 2 * float(stats.norm.sf(target / deviation)))
    tail = float(stats.norm.sf(w)) + float(stats.norm.pdf(w)) * (1 / u - 1 / w)
    return min(1.0, max(2 * tail, 2.0 ** (1 - len(sizes))))


def holm(p_values: Floats) -> Floats:
    """Return Holm's adjusted p-values of one family of comparisons; NaN stays and is not counted."""
    from statsmodels.stats.multitest import multipletests

    found, known = np.full(len(p_values), np.nan), ~np.isnan(p_values)
    if known.any():
        found[known] = multipletests(p_values[known], method="holm")[1]
    return found
