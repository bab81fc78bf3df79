"""Intervals of shares: against Wilson's equation, a slow bootstrap, and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.errors import InputError
from isi_widget.uncertainty.shares import resampled_clusters, share_interval, wilson


@given(st.integers(1, 200), st.data())
def test_wilson_solves_its_equation(number, data):
    right = data.draw(st.integers(0, number))
    low, high = wilson(right, number)
    share = right / number
    assert 0 <= low <= share <= high <= 1
    for bound in (low, high):
        if 0 < bound < 1:
            assert abs(share - bound) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / number))


def test_wilson_published():
    """8 of 10 and 0 of 10, as in Newcombe, Statistics in Medicine 17, 1998, and the usual tables."""
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775328), abs=1e-6)
    assert all(map(math.isnan, wilson(0, 0)))
    with pytest.raises(InputError, match="3 of 2"):
        wilson(3, 2)


def test_single_cases_and_agreeing_clusters_have_wilsons():
    assert share_interval([True, False, True], "abc") == wilson(2, 3)
    assert share_interval([True] * 6, "aabbcc") == wilson(3, 3)
    assert share_interval([False] * 6, "aabbcc") == wilson(0, 3)


def test_clusters_are_drawn_whole():
    clusters = ["a", "b", "a", "c", "c", "c"]
    counts = resampled_clusters(clusters, resamples=500, seed=3)
    assert np.array_equal(counts, resampled_clusters(clusters, resamples=500, seed=3))
    assert (counts[:, 0] == counts[:, 2]).all() and (counts[:, 3] == counts[:, 5]).all()
    assert (counts[:, 0] + counts[:, 1] + counts[:, 3] == 3).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(6), abs=0.15)


def test_clustered_cases_have_wider_intervals():
    rng = np.random.default_rng(0)
    groups = rng.random(40) < 0.5
    happened, clusters = np.repeat(groups, 10).tolist(), np.repeat(np.arange(40), 10).tolist()
    low, high = share_interval(happened, clusters)
    narrow = wilson(sum(happened), len(happened))
    assert high - low > 2 * (narrow[1] - narrow[0])
    by_group = wilson(int(groups.sum()), 40)
    assert (low, high) == pytest.approx(by_group, abs=0.06)
