"""Curves over the number of samples by brute force and closed form; samples needed by simulation."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest

from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.uncertainty import entropy as e
from isi_widget.uncertainty.bootstrap import LEADING, NAMES, RESAMPLED, bootstrap_intervals
from isi_widget.uncertainty.curve import entropy_curve, samples_needed
from isi_widget.uncertainty.posterior import posterior_of
from isi_widget.uncertainty.record import Uncertainty

DISCRETE = "discrete_semantic_entropy"


def uncertain(ids, ll=None):
    """An `Uncertainty` of answers with these clusters and log-likelihoods; its own values do not matter."""
    ll = [-1.0] * len(ids) if ll is None else ll
    answers = tuple(
        Answer(f"meaning {c}", (-1 if math.isnan(v) else 1,), ("t",), (float(v),))
        for c, v in zip(ids, ll, strict=True)
    )
    return Uncertainty(answers, tuple(map(int, ids)), 0, 0, 0, 0, dict.fromkeys(NAMES, (0.0, 0.0)))


IDS, LL = [0, 0, 1, 0, 2, 1], [-0.1, -0.3, -1.2, -0.2, -2.0, -0.7]
D = np.not_equal.outer(IDS, IDS) * 0.8


def plain(name, chosen, ids=IDS, ll=LL):
    chosen = list(chosen)
    ids, values = np.array(ids)[chosen], np.array(ll)[chosen]
    if name == "semantic_entropy":
        return e.semantic_entropy(ids, values)
    if name == DISCRETE:
        return e.discrete_semantic_entropy(ids)
    if name == "predictive_entropy":
        return e.predictive_entropy(values)
    pairs = [D[i, j] for i, j in itertools.permutations(chosen, 2)]
    return np.mean(pairs) if pairs else 0.0


@pytest.mark.parametrize("name", RESAMPLED)
def test_all_subsets_by_brute_force(name):
    curve = entropy_curve(uncertain(IDS, LL), name, level=0.8, distances=D)
    assert curve.samples == (1, 2, 3, 4, 5, 6) and all(curve.exact) and curve.level == 0.8
    for k, n in enumerate(curve.samples):
        values = np.sort([plain(name, chosen) for chosen in itertools.combinations(range(6), n)])
        assert curve.mean[k] == pytest.approx(values.mean())
        assert (values <= curve.low[k] + 1e-9).mean() >= 0.1 and (values < curve.low[k] - 1e-9).mean() <= 0.1
        assert (values <= curve.high[k] + 1e-9).mean() >= 0.9
        assert (values < curve.high[k] - 1e-9).mean() <= 0.9
    assert curve.mean[-1] == curve.low[-1] == curve.high[-1] == pytest.approx(plain(name, range(6)))


def test_mean_of_random_subsets_has_a_closed_form():
    """k of n drawn answers are in a cluster of size s with hypergeometric probability."""
    sizes, total = [20, 12, 7, 1], 40
    curve = entropy_curve(uncertain(np.repeat(range(4), sizes)), DISCRETE, subsamples=2000)
    for n, mean, exact in zip(curve.samples, curve.mean, curve.exact, strict=True):
        wanted = 0.0
        for s in sizes:
            for k in range(1, min(s, n) + 1):
                chance = math.comb(s, k) * math.comb(total - s, n - k) / math.comb(total, n)
                wanted -= chance * k / n * math.log(k / n)
        assert exact == (math.comb(total, n) <= 2000)
        assert mean == pytest.approx(wanted, abs=1e-9 if exact else 0.02)
    assert list(curve.mean) == sorted(curve.mean)  # the estimate is biased low: it rises


def test_the_mean_predictive_entropy_is_flat():
    ll = -np.random.default_rng(0).exponential(size=30)
    curve = entropy_curve(uncertain([0] * 30, ll), "predictive_entropy", subsamples=4000)
    assert np.array(curve.mean) == pytest.approx(-ll.mean(), abs=0.08)
    assert np.diff(np.array(curve.high) - curve.low)[5:].max() < 0.05  # and its interval narrows


def test_curves_are_seeded_and_sizes_can_be_chosen():
    u = uncertain(np.random.default_rng(0).choice(4, 30))
    first = entropy_curve(u, DISCRETE, sizes=[5, 10, 30], seed=1, subsamples=100)
    assert first.samples == (5, 10, 30) and first.exact == (False, False, True)
    assert first == entropy_curve(u, DISCRETE, sizes=[5, 10, 30], seed=1, subsamples=100)
    assert first != entropy_curve(u, DISCRETE, sizes=[5, 10, 30], seed=2, subsamples=100)
    many = entropy_curve(uncertain([0, 1] * 200), DISCRETE, subsamples=20)
    assert len(many.samples) == 100 and many.samples[0] == 1 and many.samples[-1] == 400


def test_chunks_do_not_change_the_curve(monkeypatch):
    u = uncertain(IDS, LL)
    whole = entropy_curve(u, DISCRETE)
    monkeypatch.setattr("isi_widget.uncertainty.curve._CELLS", 13)
    assert entropy_curve(u, DISCRETE) == whole


def test_the_leading_curve_is_the_posterior_as_the_answers_came():
    u = uncertain([0, 1, 0, 0, 2, 0, 0, 1, 0, 0] * 8)
    curve = entropy_curve(u, sizes=[1, 10, 80], seed=3)
    assert curve.name == LEADING and curve.exact == (True, True, True)
    for k, n in enumerate(curve.samples):
        entropies = posterior_of(u.cluster_ids[:n]).entropies(seed=3)
        assert curve.mean[k] == np.median(entropies)
        assert curve.low[k] <= curve.mean[k] <= curve.high[k]
    width = np.subtract(curve.high, curve.low)
    assert width[2] < width[1] < width[0]


# -------------------------------------------------------------------------------------------- samples needed
@pytest.mark.parametrize("width", [0.02, 0.05])
def test_many_answers_follow_the_delta_method(width):
    """Two meanings: the standard error of the entropy is sqrt(p q) |ln(p / q)| / sqrt(n)."""
    found = samples_needed(uncertain([0] * 700 + [1] * 300), width, DISCRETE)
    wanted = (2 * 1.96 * math.sqrt(0.7 * 0.3) * math.log(0.7 / 0.3) / width) ** 2
    assert found.total == pytest.approx(wanted, rel=0.1) and found.more == found.total - 1000
    assert found.width == width and found.name == DISCRETE


def test_predictive_entropy_follows_the_standard_error():
    ll = -np.random.default_rng(0).exponential(size=200)
    found = samples_needed(uncertain([0] * 200, ll), 0.1, "predictive_entropy")
    assert found.total == pytest.approx((2 * 1.96 * ll.std() / 0.1) ** 2, rel=0.1)


def test_interval_with_that_many_answers_is_that_wide():
    ids = [0] * 5 + [1] * 3 + [2] * 2
    found = samples_needed(uncertain(ids), 0.3, "semantic_entropy")
    times = round(found.total / 10)
    again = bootstrap_intervals(ids * times, [-1.0] * 10 * times, np.zeros((10 * times,) * 2))
    low, high = again["semantic_entropy"]
    assert high - low == pytest.approx(0.3, rel=0.15)
    now = bootstrap_intervals(ids, [-1.0] * 10, np.zeros((10, 10)))["semantic_entropy"]
    assert found.width_now == pytest.approx(now[1] - now[0], abs=0.05)
    rao = samples_needed(uncertain(IDS, LL), 0.1, "rao_quadratic_entropy", distances=D)
    assert rao.total > 6 and rao.more == rao.total - 6


def test_narrow_enough_already():
    found = samples_needed(uncertain([0, 1] * 50), 0.5)
    assert (found.total, found.more) == (100, 0) and found.width_now < 0.5


def test_not_estimable():
    found = samples_needed(uncertain([0] * 10), 0.1, DISCRETE)
    assert found.total is None and found.more is None and found.width_now == 0.0
    assert found.basis.startswith("Not estimable: all answers mean the same")
    flat = samples_needed(uncertain([0, 1]), 0.1, "predictive_entropy")
    assert flat.total is None and "show no spread" in flat.basis
    lost = samples_needed(uncertain([0, 1], [-1.0, -math.inf]), 0.1, "predictive_entropy")
    assert lost.total is None and "probability zero" in lost.basis
    far = samples_needed(uncertain([0] * 6 + [1] * 4), 1e-5, DISCRETE)
    assert far.total is None and "more than a million" in far.basis


def test_unseen_meanings_are_mentioned():
    many, few = (samples_needed(uncertain([0] * 6 + rest), 0.2, DISCRETE) for rest in ([1, 2, 3, 4], [1] * 4))
    assert "40% of the model's answers may mean" in many.basis
    assert "may mean" not in few.basis


@pytest.mark.parametrize("probabilities", [[0.7, 0.3], [0.5, 0.3, 0.2]])
def test_the_posterior_is_that_wide_with_that_many_answers(probabilities):
    """Of the samples that it names, drawn from the true distribution, the interval is as wide as asked."""
    random = np.random.default_rng(0)
    draw = lambda n: random.choice(len(probabilities), n, p=probabilities)  # noqa: E731
    needed = [samples_needed(uncertain(draw(40)), 0.25).total for _ in range(6)]
    widths = []
    for _ in range(12):
        values = posterior_of(draw(int(np.median(needed)))).entropies()
        widths.append(np.subtract(*np.percentile(values, [97.5, 2.5])))
    assert np.mean(widths) == pytest.approx(0.25, rel=0.3)


def test_where_all_mass_is_known_no_sample_is_needed():
    answers = tuple(
        Answer(text, (i,), (text,), (p,), sampled_logprobs=(p,), sampled_end_logprob=0.0)
        for i, (text, p) in enumerate([("Yes", math.log(0.7)), ("No", math.log(0.3))])
    )
    u = Uncertainty(answers, (0, 1), 0, 0, 0, 0, dict.fromkeys(NAMES, (0.0, 0.0)))
    found = samples_needed(u, 0.01)
    assert (found.total, found.more) == (2, 0) and found.width_now == 0.0


def documented():
    """Rows (probabilities, needed, N, median, low, high, share within a factor of two, share without)."""
    text = (Path(__file__).parents[2] / "docs" / "uncertainty.md").read_text(encoding="utf-8")
    pattern = r"^\| ([\d., ]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) to (\d+) \| (\d+) % \| (\d+) % \|$"
    rows = re.findall(pattern, text, re.MULTILINE)
    assert len(rows) == 10
    return [([float(p) for p in probs.split(",")], *map(int, rest)) for probs, *rest in rows]


def accuracy(probabilities, needed, n, sets, seed, width=0.2):
    """Median, 10 % and 90 % of the predictions from sets of n answers; shares within a factor of two of
    `needed` (among those that give a number) and without a number.
    """
    random = np.random.default_rng(seed)
    totals = [
        samples_needed(
            uncertain(random.choice(len(probabilities), n, p=probabilities)), width, DISCRETE, resamples=500
        ).total
        for _ in range(sets)
    ]
    given = np.array([total for total in totals if total is not None])
    within = ((given >= needed / 2) & (given <= needed * 2)).mean()
    return np.median(given), *np.percentile(given, [10, 90]), within, 1 - len(given) / sets


@pytest.mark.parametrize("row", documented()[::3])
def test_predictions_are_as_good_as_the_docs_say(row):
    probabilities, needed, n, median, _, _, within, without = row
    random = np.random.default_rng(3)
    widths = []
    for _ in range(40):  # with `needed` answers the interval is 0.2 wide, on average
        ids = random.choice(len(probabilities), needed, p=probabilities)
        zeros = np.zeros((needed, needed))
        low, high = bootstrap_intervals(ids, np.zeros(needed), zeros, resamples=400)[DISCRETE]
        widths.append(high - low)
    assert np.mean(widths) == pytest.approx(0.2, rel=0.12)
    found = accuracy(probabilities, needed, n, sets=120, seed=2)
    assert found[0] == pytest.approx(median, rel=0.4)
    assert found[3] == pytest.approx(within / 100, abs=0.15)
    assert found[4] == pytest.approx(without / 100, abs=0.15)


# ------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "entropy"}, "There is no entropy 'entropy'"),
        ({"name": "rao_quadratic_entropy"}, "Rao's entropy needs distances"),
        ({"name": "rao_quadratic_entropy", "distances": np.zeros((2, 2))}, "shape"),
        ({"sizes": [7]}, "from 1 to 6"),
        ({"sizes": [0]}, "A size must be a whole number"),
        ({"sizes": []}, "from 1 to 6"),
        ({"subsamples": 0}, "subsamples must be a whole number"),
        ({"level": 1.0}, "level lies between"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_bad_input_of_the_curve(settings, message):
    with pytest.raises(InputError, match=message):
        entropy_curve(uncertain(IDS, LL), **settings)


@pytest.mark.parametrize("width", [0, -1, math.nan, math.inf, True])
def test_bad_width(width):
    with pytest.raises(InputError, match="width is a number above 0"):
        samples_needed(uncertain(IDS, LL), width)


def test_without_likelihoods_only_those_that_need_none():
    u = uncertain(IDS, [math.nan] * 6)
    assert entropy_curve(u) == entropy_curve(uncertain(IDS, LL))
    for function in (entropy_curve, lambda u, name: samples_needed(u, 0.1, name)):
        for name in ("semantic_entropy", "predictive_entropy"):
            with pytest.raises(InputError, match="does not report log-probabilities"):
                function(u, name)
    assert entropy_curve(u, DISCRETE) == entropy_curve(uncertain(IDS, LL), DISCRETE)
    assert samples_needed(u, 0.1, DISCRETE) == samples_needed(uncertain(IDS, LL), 0.1, DISCRETE)
