"""Bounds of an entropy from known masses: every completion lies inside, and both ends are reached."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from isi_widget.errors import InputError
from isi_widget.uncertainty.bounds import entropy_bounds, filled


def entropy(p):
    return -math.fsum(x * math.log(x) for x in p if x > 0)


@st.composite
def known_masses(draw):
    """Masses of 1 to 6 meanings that leave 0 to nearly all of the probability open."""
    parts = draw(st.lists(st.floats(1e-6, 1), min_size=1, max_size=6))
    rest = draw(st.one_of(st.floats(0, 0.999), st.sampled_from([0.0, 1e-9, 0.01, 0.5])))
    return [part / math.fsum(parts) * (1 - rest) for part in parts]


@st.composite
def completions(draw):
    """Known masses, a number of further meanings, and one way to divide what is left."""
    masses, further = draw(known_masses()), draw(st.integers(0, 5))
    size = len(masses) + further
    weights = draw(
        st.one_of(
            st.lists(st.floats(0, 1), min_size=size, max_size=size).filter(lambda w: sum(w) > 0),
            st.integers(0, size - 1).map(lambda k: [float(i == k) for i in range(size)]),
        )
    )
    rest = 1 - math.fsum(masses)
    padded = [*masses, *[0.0] * further]
    whole = [m + rest * (w / math.fsum(weights)) for m, w in zip(padded, weights, strict=True)]
    return masses, further, whole


@settings(max_examples=400)
@given(completions())
def test_every_completion_lies_inside(case):
    masses, further, whole = case
    bounds = entropy_bounds(masses, further=further)
    assert bounds.low - 1e-9 <= entropy(whole) <= bounds.high + 1e-9
    assert bounds.low <= bounds.point <= bounds.high
    assert bounds.rest == pytest.approx(1 - math.fsum(masses), abs=1e-9) and bounds.further == further


@given(known_masses())
def test_the_lower_bound_is_reached_and_holds_for_any_number_of_meanings(masses):
    low = entropy_bounds(masses, further=0).low
    rest = 1 - math.fsum(masses)
    corners = [entropy([m + rest * (i == k) for i, m in enumerate(masses)]) for k in range(len(masses))]
    assert low == pytest.approx(min([*corners, entropy([*masses, rest])]), abs=1e-9)
    for number in (1, 3, 1000):
        assert entropy([*masses, *[rest / number] * number]) >= low - 1e-9
        assert entropy_bounds(masses, further=number).low == low


@pytest.mark.parametrize(
    ("masses", "further"),
    [([0.6, 0.3], 0), ([0.6, 0.3], 2), ([0.9], 1), ([0.05, 0.5, 0.2], 3), ([0.2, 0.2, 0.2], 1), ([0.1], 4)],
)
def test_the_upper_bound_is_what_an_optimiser_finds(masses, further):
    """Against SciPy's own constrained maximum of the entropy."""
    start, rest = np.array([*masses, *[0.0] * further]), 1 - sum(masses)

    def lost(w):
        p = np.maximum(start + w, 1e-15)
        return float((p * np.log(p)).sum())

    found = optimize.minimize(
        lost,
        np.full(len(start), rest / len(start)),
        bounds=[(0, rest)] * len(start),
        constraints=[{"type": "eq", "fun": lambda w: w.sum() - rest}],
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert entropy_bounds(masses, further=further).high == pytest.approx(-found.fun, abs=1e-5)


@given(known_masses(), st.integers(1, 50))
def test_twice_the_further_meanings_add_at_most_their_logarithm(masses, further):
    one, two = (entropy_bounds(masses, further=n) for n in (further, 2 * further))
    assert one.high - 1e-12 <= two.high <= one.high + one.rest * math.log(2) + 1e-9


def test_known_cases():
    exact = entropy_bounds([0.7, 0.3])
    assert exact.low == exact.high == exact.point == pytest.approx(entropy([0.7, 0.3])) and exact.rest == 0
    open_ = entropy_bounds([0.6, 0.3])
    assert open_.low == pytest.approx(entropy([0.7, 0.3]))
    assert open_.high == pytest.approx(entropy([0.6, 0.3, 0.05, 0.05])) and open_.further == 2
    assert open_.point == pytest.approx(entropy([2 / 3, 1 / 3]))
    one = entropy_bounds([0.5], further=0)
    assert one.low == one.high == one.point == 0.0
    # Nothing but the assumption keeps the upper bound: it grows without end
    assert entropy_bounds([0.5], further=10**6).high > 7


def test_water_fills_the_lowest_first():
    assert filled(np.array([0.5, 0.1, 0.0]), 0.1).tolist() == pytest.approx([0.5, 0.1, 0.1])
    assert filled(np.array([0.5, 0.1, 0.0]), 0.3).tolist() == pytest.approx([0.5, 0.2, 0.2])
    assert filled(np.array([0.0, 0.0]), 1.0).tolist() == [0.5, 0.5]
    assert filled(np.array([0.5, 0.2]), 0.0).tolist() == [0.5, 0.2]


@pytest.mark.parametrize(
    ("masses", "arguments", "message"),
    [
        ([], {}, "at least 1"),
        ([0.0], {}, "sum to 0"),
        ([0.9, 0.2], {}, "sum to 1.1"),
        ([0.9, -0.2], {}, "not negative"),
        ([math.nan], {}, "NaN"),
        ([0.5], {"further": -1}, "further must be a whole number"),
        ([0.5], {"further": 1.5}, "further must be a whole number"),
    ],
)
def test_masses_without_meaning_are_refused(masses, arguments, message):
    with pytest.raises(InputError, match=message):
        entropy_bounds(masses, **arguments)
