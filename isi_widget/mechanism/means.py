"""Means over items with missing values, and their intervals. Not for tests against chance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.uncertainty.shares import resampled_clusters

Floats = npt.NDArray[np.float64]


def mean_interval(values: Floats, level: float = 0.95, seed: int = 0) -> tuple[Floats, Floats]:
    """Return the interval of the mean over the first axis, by a bootstrap over it; NaN for fewer than two.

    Parameters
    ----------
    values
        [N, ...]; NaN: no value.
    level
        Coverage, between 0 and 1; default 0.95.
    seed
        Seed of the 2000 resamples; default 0.

    Raises
    ------
    InputError
        For a level that is not between 0 and 1, and a seed that is no whole number of at least 0.
    """
    checks.number(level, "interval: level", above=0.0, high=1.0)
    checks.integer(seed, "interval: seed", low=0)
    shape, flat = values.shape[1:], values.reshape(len(values), -1)
    low, high = (np.full(flat.shape[1], np.nan) for _ in range(2))
    known = np.isfinite(flat)
    some = known.any(axis=0)
    if len(values) > 1 and some.any():
        counts = resampled_clusters(range(len(values)), seed=seed).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (counts @ np.where(known, flat, 0.0)) / (counts @ known)
        edges = [(1 - level) / 2, (1 + level) / 2]
        low[some], high[some] = np.nanquantile(means[:, some], edges, axis=0)
    return low.reshape(shape), high.reshape(shape)


def mean(values: Floats) -> Floats:
    """Return the mean over the first axis of the known values; NaN where there are none."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return found
