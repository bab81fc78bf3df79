"""Intervals over observations: by resampling them, from sums, and in closed form for shares.

The rows of one observation (its seeds, its conditions) are no independent cases, so observations are
resampled, with all their rows. A resampled mean needs only the sum and the number of rows of each
observation. Of more than `MOST_CASES` observations, random groups of equal size are resampled in their place,
whose sums have the same variance: so the memory does not grow with the data, and neither does the time of the
resampling. Sources: cluster bootstrap, Field & Welsh, Journal of the Royal Statistical Society B 69, 2007;
random groups, Wolter, Introduction to Variance Estimation, 2007, chapter 2.

An interval shows how much a number would vary with other observations of the same kind, not with other models
or other wordings. Not for p-values (`testing`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from isi_widget import checks
from isi_widget.study.statistics.rows import Floats
from isi_widget.uncertainty.bootstrap import Interval, check_level
from isi_widget.uncertainty.shares import RESAMPLES, wilson

MOST_CASES = 4096
_CELLS = 2_000_000  # resamples x cases held at once
NONE = (math.nan, math.nan)


def quantile_of(level: float) -> float:
    """Return the two-sided quantile of the normal distribution: 1.96 for 0.95."""
    from scipy import stats

    check_level(level)
    return float(stats.norm.ppf(0.5 + level / 2))


def resampled_sums(tables: Sequence[Floats], *, resamples: int = RESAMPLES, seed: int = 0) -> list[Floats]:
    """Return the sums of the columns of each table over resampled cases.

    Tables with the same number of cases are resampled alike, so that their sums may be compared.

    Parameters
    ----------
    tables : one table each, float [cases, columns].
    resamples : number of resamples, >= 1; default 2000.
    seed : seed of the resampling; default 0.

    Returns
    -------
    One array per table, float [resamples, columns].
    """
    checks.integer(resamples, "resamples", low=1)
    checks.integer(seed, "seed", low=0)
    small = [in_groups(table, seed) for table in tables]
    found = [np.zeros((resamples, table.shape[1])) for table in small]
    for cases in {len(table) for table in small if len(table)}:
        same = [number for number, table in enumerate(small) if len(table) == cases]
        for start, times in _times_drawn(cases, resamples, seed):
            for number in same:
                found[number][start : start + len(times)] = times @ small[number]
    return found


def _times_drawn(cases: int, resamples: int, seed: int) -> Iterator[tuple[int, Floats]]:
    """Yield how often each case is drawn, float [some resamples, cases], with the number of the first one."""
    random, step = np.random.default_rng([seed, cases]), max(1, _CELLS // cases)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = random.integers(cases, size=(count, cases)) + cases * np.arange(count)[:, None]
        yield start, np.bincount(drawn.ravel(), minlength=count * cases).reshape(count, cases).astype(float)


def in_groups(table: Floats, seed: int = 0, most: int = MOST_CASES) -> Floats:
    """Return the table itself, or the sums of `most` random groups of its cases if there are more of them."""
    cases = len(table)
    if cases <= most:
        return table
    group = np.random.default_rng([seed, cases, most]).permutation(cases) % most
    return np.stack([np.bincount(group, weights=column, minlength=most) for column in table.T], axis=1)


def ratio_interval(totals: Floats, numbers: Floats, level: float) -> Interval:
    """Return the percentile interval of totals / numbers over resamples, each float [resamples].

    Resamples without any case are left out; (nan, nan) if none is left.
    """
    use = numbers > 0
    if not use.any():
        return NONE
    tail = (1 - level) / 2
    low, high = np.quantile(totals[use] / numbers[use], [tail, 1 - tail])
    return float(low), float(high)


def share_interval(totals: Floats, numbers: Floats, level: float) -> Interval:
    """Return Wilson's interval of a share, for rows that come in cases.

    The number of rows is replaced by that of independent rows with the same variance, which lies between the
    number of cases and that of rows. With one row a case this is Wilson's interval of the rows. Source: Dean
    & Pagano, Journal of Survey Statistics and Methodology 3, 2015.

    Parameters
    ----------
    totals : number of rows of each case in which it happened, float [cases].
    numbers : number of rows of each case, float [cases].
    level : level, between 0 and 1.
    """
    use = numbers > 0
    totals, numbers = totals[use], numbers[use]
    rows, cases = float(numbers.sum()), len(numbers)
    z = quantile_of(level)
    if not cases:
        return NONE
    share = float(totals.sum()) / rows
    independent = rows
    if rows > cases:
        variance = 0.0
        if cases > 1:
            variance = cases / (cases - 1) * float(((totals - share * numbers) ** 2).sum()) / rows**2
        constant = float(cases) if share in (0.0, 1.0) else rows  # no variance: all alike, or well mixed
        effective = share * (1 - share) / variance if variance > 0 else constant
        independent = min(max(effective, float(cases)), rows)
    return wilson(share * independent, independent, z)


def difference_interval(differences: Floats, level: float) -> Interval:
    """Return the interval of a mean difference of paired shares, cases independent.

    The adjusted Wald interval: half a case is added to each cell of the table of right and wrong, so that an
    interval without any difference has a width, too. Source: Agresti & Min, Statistics in Medicine 24, 2005.
    A case with several rows counts with its mean difference.

    Parameters
    ----------
    differences : mean difference of each case, -1 to 1, float [cases].
    level : level, between 0 and 1.
    """
    cases, z = len(differences), quantile_of(level)
    if not cases:
        return NONE
    mean = float(differences.sum()) / (cases + 2)
    square = (float((differences**2).sum()) + 1) / (cases + 2)
    half = z * math.sqrt(max(square - mean**2, 0.0) / (cases + 2))
    return max(mean - half, -1.0), min(mean + half, 1.0)


def mean_interval(totals: Floats, numbers: Floats, level: float, *, seed: int = 0) -> Interval:
    """Return the bootstrap interval of the mean of one column: `ratio_interval` of its resampled sums."""
    (drawn,) = resampled_sums([np.stack([totals, numbers], axis=1)], seed=seed)
    if np.count_nonzero(numbers) < 2:
        return NONE
    return ratio_interval(drawn[:, 0], drawn[:, 1], level)
