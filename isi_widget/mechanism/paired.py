"""Before and after on the same items: intervals by resampling items, and McNemar's exact test.

Pure NumPy. Source: McNemar, Psychometrika 12, 1947 (here the exact binomial form). Not for shares of single
runs (`isi_widget.uncertainty.shares`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from isi_widget.mechanism.means import mean_interval


def interval(values: npt.NDArray[np.generic], *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Return the bootstrap interval of the mean of [items] numbers; (nan, nan) for fewer than two.

    Parameters
    ----------
    values
        [items] numbers, such as differences between two runs on the same item.
    level
        Share of resampled means within; default 0.95.
    seed
        Seed of the resampling; default 0.
    """
    low, high = mean_interval(np.asarray(values, dtype=np.float64), level, seed)
    return float(low), float(high)


def mcnemar(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> float:
    """Return the exact two-sided p-value that as many items became right as became wrong.

    Parameters
    ----------
    before, after
        [items] whether the answer was right, for the same items.
    """
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    changed = gained + lost
    if not changed:
        return 1.0
    tail = sum(math.comb(changed, count) for count in range(min(gained, lost) + 1))
    return min(1.0, 2.0 * tail / 2.0**changed)
