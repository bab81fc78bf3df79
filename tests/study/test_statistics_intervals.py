"""Intervals over observations and the paired test, against SciPy, statsmodels, brute force and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from isi_widget.errors import InputError
from isi_widget.study.statistics.intervals import (
    MOST_CASES,
    difference_interval,
    in_groups,
    mean_interval,
    quantile_of,
    ratio_interval,
    resampled_sums,
    share_interval,
)
from isi_widget.study.statistics.testing import (
    EXACT,
    LISTED,
    MCNEMAR,
    SADDLEPOINT,
    holm,
    sign_flip_test,
)


# ---- intervals
@pytest.mark.parametrize(("right", "number"), [(0, 10), (3, 10), (10, 10), (431, 500)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_share_of_independent_rows_has_the_interval_of_wilson(right, number, level):
    happened = (np.arange(number) < right).astype(float)
    expected = proportion_confint(right, number, alpha=1 - level, method="wilson")
    assert share_interval(happened, np.ones(number), level) == pytest.approx(expected, abs=1e-9)


def test_rows_that_always_agree_within_an_observation_count_once():
    low, high = share_interval((np.arange(40) < 13) * 5.0, np.full(40, 5.0), 0.95)
    once = proportion_confint(13, 40, method="wilson")
    assert (low, high) == pytest.approx(once, abs=2e-3)
    rows = proportion_confint(65, 200, method="wilson")
    assert high - low > 1.8 * (rows[1] - rows[0])
    certain = share_interval(np.full(40, 5.0), np.full(40, 5.0), 0.95)
    assert certain == pytest.approx(proportion_confint(40, 40, method="wilson"), abs=1e-9)


def test_rows_that_disagree_within_every_observation_never_count_more_than_rows():
    low, high = share_interval(np.full(50, 1.0), np.full(50, 2.0), 0.95)  # one of two right, everywhere
    assert (low, high) == pytest.approx(proportion_confint(50, 100, method="wilson"), abs=1e-9)


def test_a_resampled_sum_has_the_law_of_the_bootstrap():
    """Of zeros and ones the bootstrap law of the sum is binomial."""
    n, ones = 60, 21
    (drawn,) = resampled_sums([np.stack([(np.arange(n) < ones).astype(float), np.ones(n)], axis=1)])
    assert (drawn[:, 1] == n).all()
    law = stats.binom(n, ones / n)
    for quantile in (0.025, 0.25, 0.5, 0.75, 0.975):
        assert abs(np.quantile(drawn[:, 0], quantile) - law.ppf(quantile)) <= 1
    assert abs(drawn[:, 0].std() / law.std() - 1) < 0.06


def test_the_interval_is_that_of_scipy():
    values = np.random.default_rng(1).exponential(size=80)
    ours = mean_interval(values, np.ones(80), 0.9)
    theirs = stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, method="percentile", n_resamples=4000, rng=0
    )
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.08 * width)


def test_seeds_of_an_observation_are_resampled_together():
    """Copies of every value as further seeds change nothing."""
    values = np.random.default_rng(2).normal(size=50)
    once = mean_interval(values, np.ones(50), 0.95)
    assert mean_interval(4 * values, np.full(50, 4.0), 0.95) == pytest.approx(once)


def test_random_groups_of_many_observations_keep_sum_and_spread():
    n = 5 * MOST_CASES + 17
    table = np.stack([np.random.default_rng(3).gamma(0.5, size=n), np.ones(n)], axis=1)
    small = in_groups(table)
    assert small.shape == (MOST_CASES, 2)
    assert small.sum(axis=0) == pytest.approx(table.sum(axis=0))
    assert set(small[:, 1]) == {5.0, 6.0}
    (drawn,) = resampled_sums([table])
    low, high = ratio_interval(drawn[:, 0], drawn[:, 1], 0.95)
    error = table[:, 0].std() / math.sqrt(n)
    middle = table[:, 0].mean()
    assert (low, high) == pytest.approx((middle - 1.96 * error, middle + 1.96 * error), abs=0.15 * error)


def test_tables_of_as_many_cases_are_resampled_alike():
    one = np.random.default_rng(4).normal(size=(30, 1))
    first, second, other = resampled_sums([one, one + 1, one[:20]])
    assert second == pytest.approx(first + 30) and len(other) == 2000


def test_intervals_of_nothing_and_of_one_observation_are_unknown():
    none = np.zeros(0)
    assert all(map(math.isnan, share_interval(none, none, 0.95)))
    assert all(map(math.isnan, difference_interval(none, 0.95)))
    assert all(map(math.isnan, mean_interval(np.array([2.0, 0.0]), np.array([1.0, 0.0]), 0.95)))
    assert all(map(math.isnan, ratio_interval(np.zeros(9), np.zeros(9), 0.95)))


@pytest.mark.parametrize(("better", "worse", "n"), [(0, 0, 30), (5, 12, 40), (30, 0, 30)])
def test_the_interval_of_a_paired_difference_is_agresti_and_mins(better, worse, n):
    differences = np.repeat([1.0, -1.0, 0.0], [better, worse, n - better - worse])
    b, c, total = better + 0.5, worse + 0.5, n + 2
    middle = (b - c) / total
    half = 1.959964 * math.sqrt((b + c) - (b - c) ** 2 / total) / total
    expected = (max(middle - half, -1), min(middle + half, 1))
    assert difference_interval(differences, 0.95) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_levels(level):
    assert quantile_of(level) == pytest.approx(stats.norm.interval(level)[1])
    with pytest.raises(InputError, match="level"):
        quantile_of(95)


@pytest.mark.slow
@pytest.mark.parametrize("cases", [25, 100])
@pytest.mark.parametrize("seeds", [1, 4])
def test_shares_means_and_differences_are_covered(cases, seeds):
    """Share of 1500 simulated studies whose interval of 95 % holds the true value."""
    random, times = np.random.default_rng(cases + seeds), 1500
    held = np.zeros(3)
    for _ in range(times):
        ease = random.beta(4, 2, size=cases)[:, None]
        one = (random.random((cases, seeds)) < ease).astype(float)
        other = (random.random((cases, seeds)) < ease * 0.8).astype(float)
        low, high = share_interval(one.sum(axis=1), np.full(cases, float(seeds)), 0.95)
        held[0] += low <= 2 / 3 <= high
        low, high = difference_interval((other - one).mean(axis=1), 0.95)
        held[1] += low <= -0.2 * 2 / 3 <= high
        values = random.exponential(ease, size=(cases, seeds))
        drawn = random.integers(cases, size=(400, cases))
        low, high = ratio_interval(
            values.sum(axis=1)[drawn].sum(axis=1), np.full(400, float(cases * seeds)), 0.95
        )
        held[2] += low <= 2 / 3 <= high
    share, difference, mean = held / times
    assert 0.93 <= share <= 0.985 and 0.93 <= difference <= 0.985
    assert 0.89 <= mean <= 0.97  # percentiles of skewed numbers are a little short


# ---- the test
def brute(values):
    """Try every pattern of signs."""
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, values, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(values))
    ]
    return np.mean([total >= abs(sum(values)) - 1e-9 for total in sums])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n", [2, 5, 9])
def test_few_differences_are_tested_exactly(n, seed):
    values = np.random.default_rng(seed).normal(0.5, size=n).round(1)
    p, how = sign_flip_test(values)
    assert p == pytest.approx(brute(values)) and how in (LISTED, MCNEMAR)


def test_the_exact_test_is_that_of_scipy():
    values = np.random.default_rng(7).normal(0.4, size=11)
    theirs = stats.permutation_test(
        (values,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert sign_flip_test(values)[0] == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize(("better", "worse"), [(0, 1), (3, 9), (40, 17), (200, 20)])
def test_right_and_wrong_are_tested_by_mcnemar(better, worse):
    differences = np.repeat([1.0, -1.0, 0.0], [better, worse, 50])
    p, how = sign_flip_test(differences)
    theirs = mcnemar([[10, better], [worse, 40]], exact=True).pvalue
    assert how == MCNEMAR and p == pytest.approx(min(theirs, 1.0), rel=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_many_differences_are_near_the_exact_p_value(seed):
    """Of 17 to 20 differences, all 2^n patterns by meeting in the middle."""
    random = np.random.default_rng(seed)
    values = random.exponential(size=17 + seed % 4) * random.choice([-1, 1, 1], size=17 + seed % 4)
    halves = []
    for half in (values[:9], values[9:]):
        signs = np.array(list(itertools.product((1, -1), repeat=len(half))))
        halves.append(np.sort(signs @ half))
    target = abs(values.sum()) - 1e-9
    above = sum(len(halves[1]) - np.searchsorted(halves[1], target - first) for first in halves[0])
    exact = 2 * above / 2 ** len(values)
    p, how = sign_flip_test(values)
    assert how == SADDLEPOINT
    assert p == pytest.approx(min(exact, 1.0), rel=0.12, abs=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_whole_differences_with_ties_are_near_the_exact_p_value(seed):
    """Differences of counts: the exact law by adding one difference after the other."""
    values = np.random.default_rng(seed).integers(-2, 4, size=60).astype(float)
    law = {0: 1.0}
    for value in values[values != 0]:
        following: dict[int, float] = {}
        for total, p in law.items():
            for sign in (1, -1):
                following[total + sign * int(value)] = following.get(total + sign * int(value), 0) + p / 2
        law = following
    exact = sum(p for total, p in law.items() if abs(total) >= abs(values.sum()))
    p, how = sign_flip_test(values)
    assert how == SADDLEPOINT and p == pytest.approx(exact, rel=0.03)


def test_far_tails_are_not_cut_off_as_by_random_flips():
    values = np.random.default_rng(0).normal(1.0, size=200)
    p, _ = sign_flip_test(values)
    assert 0 < p < 1e-20
    t = stats.ttest_1samp(values, 0).pvalue
    assert 0.2 < math.log(p) / math.log(t) < 1.5
    assert sign_flip_test(np.abs(values) + 0.5)[0] == pytest.approx(2.0**-199)


def test_p_values_of_nothing():
    assert math.isnan(sign_flip_test(np.zeros(0))[0])
    assert sign_flip_test(np.zeros(5))[0] == 1.0
    assert sign_flip_test(np.tile([1.5, -1.5], 40))[0] == 1.0
    balanced = np.tile([0.3, -0.1, -0.2, 0.7, -0.7], 12)
    assert sign_flip_test(balanced)[0] > 0.9


def test_no_difference_is_found_as_often_as_promised():
    random = np.random.default_rng(5)
    for n in (EXACT - 4, EXACT + 9, 80):
        p = [sign_flip_test(random.laplace(size=n))[0] for _ in range(600)]
        assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_holm_is_that_of_statsmodels_and_leaves_out_what_is_unknown():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.005])
    expected = multipletests(p[[0, 2, 3, 4]], method="holm")[1]
    assert holm(p)[[0, 2, 3, 4]] == pytest.approx(expected) and np.isnan(holm(p)[1])
    assert holm(p)[4] == pytest.approx(0.02)
    assert np.isnan(holm(np.array([np.nan]))).all()
