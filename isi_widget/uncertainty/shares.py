"""Intervals of shares: how often something happened in n cases, and in cases that come in clusters.

Pure NumPy. Sources: Wilson, Journal of the American Statistical Association 22, 1927; cluster bootstrap:
Field & Welsh, Journal of the Royal Statistical Society B 69, 2007.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError

_Z = 1.959964  # two-sided 95 %
RESAMPLES = 2000


def wilson(right: float, number: float, z: float = _Z) -> tuple[float, float]:
    """Return Wilson's interval of a share of independent cases, 95 % by default; (nan, nan) without cases."""
    if not 0 <= right <= number:
        raise InputError(f"wilson needs 0 <= right <= number; got {right} of {number}.")
    if number == 0:
        return math.nan, math.nan
    share, square = right / number, z * z / number
    middle, half = share + square / 2, z * math.sqrt((share * (1 - share) + square / 4) / number)
    low, high = (middle - half) / (1 + square), (middle + half) / (1 + square)
    return (0.0 if right == 0 else low), (1.0 if right == number else high)


def resampled_clusters(
    clusters: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Return how often each case is drawn in each resample of whole clusters, int [resamples, cases].

    Parameters
    ----------
    clusters : cluster of each case; cases of one cluster are drawn together.
    resamples : number of resamples.
    seed : seed of the draws.
    """
    names = list(dict.fromkeys(clusters))
    of = np.array([names.index(name) for name in clusters], dtype=np.int64)
    if not names:
        return np.zeros((resamples, 0), dtype=np.int64)
    drawn = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    counts = np.stack([np.bincount(row, minlength=len(names)) for row in drawn])
    found: npt.NDArray[np.int64] = counts[:, of]
    return found


def share_interval(
    happened: Sequence[bool], clusters: Sequence[Hashable], *, seed: int = 0
) -> tuple[float, float]:
    """Return a 95 % interval of the share of cases in which something happened.

    Wilson's if every case is a cluster of its own. Else percentiles of a bootstrap over clusters; if all
    cases agree, that interval would be empty, and Wilson's for the number of clusters is returned.
    (nan, nan) without cases.
    """
    names = set(clusters)
    if len(names) == len(happened):
        return wilson(sum(happened), len(happened))
    if len(set(happened)) == 1:
        return wilson(len(names) if happened[0] else 0, len(names))
    counts = resampled_clusters(clusters, seed=seed)
    shares = counts @ np.array(happened, dtype=np.float64) / counts.sum(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)
