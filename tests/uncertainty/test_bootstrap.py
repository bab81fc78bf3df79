"""Bootstrap intervals against a plain loop, and what they are and are not worth."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest

from isi_widget.errors import InputError
from isi_widget.uncertainty import bootstrap as b
from isi_widget.uncertainty import entropy as e

IDS, LL = [0, 0, 1, 0, 2], [-0.1, -0.3, -1.2, -0.2, -2.0]
D = np.not_equal.outer(IDS, IDS) * 0.8


def test_every_resample_is_the_plain_measure_of_the_drawn_answers():
    values = b.bootstrap_entropies(IDS, LL, D, resamples=60, seed=5)
    counts = np.random.default_rng(5).multinomial(5, [0.2] * 5, size=60)
    ids, ll = np.array(IDS), np.array(LL)
    for k, row in enumerate(counts):
        drawn = np.repeat(np.arange(5), row)
        assert values["semantic_entropy"][k] == pytest.approx(e.semantic_entropy(ids[drawn], ll[drawn]))
        assert values["discrete_semantic_entropy"][k] == pytest.approx(
            e.discrete_semantic_entropy(ids[drawn])
        )
        assert values["predictive_entropy"][k] == pytest.approx(e.predictive_entropy(ll[drawn]))
        pairs = [D[i, j] for i, j in itertools.permutations(drawn, 2)]  # of two different ones of the five
        assert values["rao_quadratic_entropy"][k] == pytest.approx(np.mean(pairs))


def test_intervals_are_seeded_percentiles():
    first = b.bootstrap_intervals(IDS, LL, D, seed=1)
    assert first == b.bootstrap_intervals(IDS, LL, D, seed=1)
    values = b.bootstrap_entropies(IDS, LL, D, seed=1)["semantic_entropy"]
    assert (values != b.bootstrap_entropies(IDS, LL, D, seed=2)["semantic_entropy"]).any()
    low, high = first["semantic_entropy"]
    assert (values < low).mean() <= 0.025 and (values > high).mean() <= 0.025
    assert (values <= low).mean() >= 0.025 and (values >= high).mean() >= 0.025
    narrow = b.bootstrap_intervals(IDS, LL, D, level=0.5, seed=1)
    assert all(first[n][0] <= narrow[n][0] <= narrow[n][1] <= first[n][1] for n in b.RESAMPLED)


def test_chunks_do_not_change_the_result(monkeypatch):
    whole = b.bootstrap_entropies(IDS, LL, D, resamples=50, seed=3)
    monkeypatch.setattr(b, "_CELLS", 35)
    parts = b.bootstrap_entropies(IDS, LL, D, resamples=50, seed=3)
    assert all((whole[n] == parts[n]).all() for n in b.RESAMPLED)


def test_degenerate_and_extreme_answers():
    same = b.bootstrap_intervals([0] * 10, [-0.5] * 10, np.zeros((10, 10)))
    assert (
        same["semantic_entropy"]
        == same["discrete_semantic_entropy"]
        == same["rao_quadratic_entropy"]
        == (0, 0)
    )
    assert same["predictive_entropy"] == pytest.approx((0.5, 0.5))
    assert b.bootstrap_intervals([0], [-1.0], [[0.0]])["semantic_entropy"] == (0.0, 0.0)
    far = b.bootstrap_intervals([0, 1], [0.0, -800.0], [[0, 1], [1, 0]])
    assert far["predictive_entropy"] == (0.0, 800.0)
    assert all(math.isfinite(v) for interval in far.values() for v in interval)
    lost = b.bootstrap_intervals([0, 1], [0.0, -math.inf], [[0, 1], [1, 0]])
    assert lost["predictive_entropy"] == (0.0, math.inf) and lost["semantic_entropy"] == (0.0, 0.0)
    nothing = b.bootstrap_entropies([0, 1], [-math.inf] * 2, [[0, 1], [1, 0]])
    assert set(np.round(nothing["semantic_entropy"], 6)) == {0.0, round(math.log(2), 6)}


def documented():
    """Rows (probabilities, N, mean error, coverage) of the table in docs/uncertainty.md."""
    text = (Path(__file__).parents[2] / "docs" / "uncertainty.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d., ]+) \| [\d.]+ \| (\d+) \| ([+-][\d.]+) \| (\d+) % \|$", text, re.MULTILINE)
    assert len(rows) == 10
    return [
        ([float(p) for p in probs.split(",")], int(n), float(error), int(c) / 100)
        for probs, n, error, c in rows
    ]


@pytest.mark.parametrize(("probabilities", "n", "error", "coverage"), documented()[::2])
def test_bias_and_coverage_are_as_the_docs_say(probabilities, n, error, coverage):
    random, found, covered, sets = np.random.default_rng(1), [], 0, 250
    truth = -math.fsum(p * math.log(p) for p in probabilities)
    for _ in range(sets):
        ids = random.choice(len(probabilities), n, p=probabilities)
        found.append(e.discrete_semantic_entropy(ids))
        intervals = b.bootstrap_intervals(ids, np.zeros(n), np.zeros((n, n)), resamples=300)
        low, high = intervals["discrete_semantic_entropy"]
        covered += low - 1e-9 <= truth <= high + 1e-9
    assert np.mean(found) - truth == pytest.approx(error, abs=4 * np.std(found) / math.sqrt(sets))
    assert covered / sets == pytest.approx(coverage, abs=0.12)
    assert error < 0  # the plug-in estimate is too low


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resamples": 0}, "resamples must be a whole number"),
        ({"resamples": 1.5}, "resamples must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"level": 1.0}, "level lies between"),
        ({"level": math.nan}, "level lies between"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        b.bootstrap_intervals(IDS, LL, D, **arguments)


def test_lengths_must_agree():
    with pytest.raises(InputError, match="One log-likelihood per answer"):
        b.bootstrap_intervals([0], LL, D)
    with pytest.raises(InputError, match="shape"):
        b.bootstrap_intervals(IDS, LL, np.zeros((2, 2)))
