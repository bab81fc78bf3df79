"""The entropies against fixed vectors, closed forms, brute force and properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.errors import InputError
from isi_widget.uncertainty import entropy as e

IDS, LL = [0, 0, 1, 0, 2], [-0.1, -0.3, -1.2, -0.2, -2.0]


def test_fixed_vectors():
    assert e.cluster_log_probabilities(IDS, LL) == pytest.approx([-0.163084, -2.265027, -3.065027], abs=1e-6)
    assert e.semantic_entropy(IDS, LL) == pytest.approx(0.516706, abs=1e-6)
    assert e.predictive_entropy(LL) == pytest.approx(0.76, abs=1e-12)
    assert e.discrete_semantic_entropy(IDS) == pytest.approx(0.950271, abs=1e-6)
    between = np.not_equal.outer(IDS, IDS).astype(float)
    assert e.rao_quadratic_entropy(e.answer_probabilities(LL), between) == pytest.approx(0.265359, abs=1e-6)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([2, 2, 1, 1], 1.329661), ([4, 2], 0.636514), ([5, 1], 0.450561), ([4, 1, 1], 0.867563), ([7], 0.0)],
)
def test_discrete_entropy_of_counts(counts, expected):
    ids = [c for c, n in enumerate(counts) for _ in range(n)]
    assert e.discrete_semantic_entropy(ids) == pytest.approx(expected, abs=1e-6)
    assert e.semantic_entropy(ids, [-0.7] * len(ids)) == pytest.approx(expected, abs=1e-6)


def brute_force_entropy(ids, values):
    """Semantic entropy by its definition, with Python floats and no log space."""
    weights = [math.exp(v - max(values)) for v in values]
    masses = {c: math.fsum(w for w, i in zip(weights, ids, strict=True) if i == c) for c in set(ids)}
    total = math.fsum(weights)
    return -math.fsum(m / total * math.log(m / total) for m in masses.values() if m > 0)


samples = st.lists(st.tuples(st.integers(0, 4), st.floats(-60, 0)), min_size=1, max_size=12)


@given(samples)
def test_semantic_entropy_is_its_definition(rows):
    ids, values = zip(*rows, strict=True)
    entropy = e.semantic_entropy(ids, values)
    assert entropy == pytest.approx(brute_force_entropy(ids, values), abs=1e-9)
    assert 0.0 <= entropy <= math.log(len(set(ids))) + 1e-12


@given(samples, st.floats(-1000, 1000))
def test_a_common_constant_changes_nothing(rows, constant):
    ids, values = zip(*rows, strict=True)
    shifted = [v + constant for v in values]
    assert e.semantic_entropy(ids, shifted) == pytest.approx(e.semantic_entropy(ids, values), abs=1e-9)
    assert e.answer_probabilities(shifted) == pytest.approx(e.answer_probabilities(values), abs=1e-9)
    assert e.predictive_entropy(shifted) == pytest.approx(e.predictive_entropy(values) - constant, abs=1e-9)


@given(samples, st.randoms(use_true_random=False))
def test_order_and_names_of_clusters_do_not_matter(rows, random):
    names = random.sample(range(-50, 50), 5)
    mixed = random.sample(rows, len(rows))
    for measure in (e.semantic_entropy, lambda ids, _: e.discrete_semantic_entropy(ids)):
        before = measure(*zip(*rows, strict=True))
        assert measure([names[c] for c, _ in mixed], [v for _, v in mixed]) == pytest.approx(before, abs=1e-9)


@given(samples)
def test_refining_a_clustering_never_lowers_the_entropy(rows):
    ids, values = zip(*rows, strict=True)
    assert e.semantic_entropy([c // 2 for c in ids], values) <= e.semantic_entropy(ids, values) + 1e-12


def test_extreme_likelihoods_stay_exact():
    assert e.semantic_entropy([0, 1], [-800, -800]) == pytest.approx(math.log(2))
    assert e.semantic_entropy([0, 1, 1], [-800.0, -801.0, -1e308]) == pytest.approx(
        brute_force_entropy([0, 1], [-800.0, -801.0])
    )
    assert e.cluster_log_probabilities([0, 1], [0, -800]).tolist() == [0.0, -800.0]
    # one answer of probability zero: its cluster has no mass; all of them: they count alike
    assert e.semantic_entropy([0, 1], [-1, -math.inf]) == 0.0
    assert e.semantic_entropy([0, 1], [-math.inf, -math.inf]) == pytest.approx(math.log(2))
    assert e.predictive_entropy([-1, -math.inf]) == math.inf


def test_one_answer_is_certain():
    assert e.semantic_entropy([3], [-5.0]) == e.discrete_semantic_entropy([3]) == 0.0
    assert math.copysign(1, e.semantic_entropy([3], [-5.0])) == 1  # not -0.0, which would be printed so
    assert e.rao_quadratic_entropy([1.0], [[0.0]]) == 0.0
    assert math.copysign(1, e.predictive_entropy([0.0])) == 1


def test_sequence_log_likelihoods():
    tokens = [[-0.5, -1.5], [-3.0], []]
    assert e.sequence_log_likelihoods(tokens).tolist() == [-1.0, -3.0, 0.0]
    assert e.sequence_log_likelihoods(tokens, "sum").tolist() == [-2.0, -3.0, 0.0]


def test_the_end_counts_like_one_more_token():
    tokens, ends = [[-0.5, -1.5], [-3.0], []], [-1.0, None, -0.25]
    assert e.sequence_log_likelihoods(tokens, "sum", end_logprobs=ends).tolist() == [-3.0, -3.0, -0.25]
    assert e.sequence_log_likelihoods(tokens, "mean", end_logprobs=ends).tolist() == [-1.0, -3.0, -0.25]
    with pytest.raises(InputError, match="got 3 answers, 2 ends"):
        e.sequence_log_likelihoods(tokens, end_logprobs=[None, None])
    with pytest.raises(InputError, match="NaN"):
        e.sequence_log_likelihoods([[-1.0]], end_logprobs=[math.nan])


def test_with_its_end_the_mean_of_draws_is_the_entropy_of_the_answers():
    """Two-token answers of a Markov chain: an answer that begins another has its own probability only."""
    start, end_after = {"a": 0.6, "b": 0.4}, {"a": 0.3, "b": 1.0}
    p = {"a": 0.6 * 0.3, "ab": 0.6 * 0.7 * 1.0, "b": 0.4}
    truth = -sum(q * math.log(q) for q in p.values())
    drawn = [text for text, q in p.items() for _ in range(round(1000 * q))]
    tokens = [[math.log(start[t[0]])] + [math.log(0.7)] * (len(t) - 1) for t in drawn]
    ends = [math.log(end_after[t[-1]]) for t in drawn]
    whole = e.sequence_log_likelihoods(tokens, "sum", end_logprobs=ends)
    assert e.predictive_entropy(whole) == pytest.approx(truth)
    assert e.predictive_entropy(e.sequence_log_likelihoods(tokens, "sum")) < truth - 0.2


@given(st.lists(st.floats(-30, 0), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_rao_is_the_mean_distance_of_two_draws(values, random):
    n = len(values)
    d = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            d[i, j] = d[j, i] = random.random()
    p = e.answer_probabilities(values)
    brute = sum(p[i] * p[j] * d[i, j] for i in range(n) for j in range(n))
    assert e.rao_quadratic_entropy(p, d) == pytest.approx(brute, abs=1e-12)
    assert -1e-12 <= brute <= 1 - 1 / n + 1e-12
    assert e.rao_quadratic_entropy(p, 1 - np.eye(n)) == pytest.approx(1 - float(p @ p), abs=1e-12)


@pytest.mark.parametrize("strict", [True, False])
def test_certain_relations_give_the_distances_of_the_clustering_rule(strict):
    from isi_widget.uncertainty.clusters import same_meaning

    for forward in range(3):
        for backward in range(3):
            p = np.zeros((2, 2, 3))
            p[0, 0, 2] = p[1, 1, 2] = p[0, 1, forward] = p[1, 0, backward] = 1
            same = same_meaning(forward, backward, strict)
            assert e.meaning_distances(p, strict).tolist() == [[0, not same], [not same, 0]]


@given(st.integers(1, 5), st.booleans(), st.integers(0, 2**32 - 1))
def test_distances_are_symmetric_and_bounded(n, strict, seed):
    p = np.random.default_rng(seed).dirichlet([0.5] * 3, (n, n))
    d = e.meaning_distances(p, strict)
    assert (d == d.T).all() and (np.diagonal(d) == 0).all() and d.min() >= 0 and d.max() <= 1
    if n > 1:
        (c1, n1, e1), (c2, n2, e2) = p[0, 1], p[1, 0]
        # the probability, over independent relations of both directions, that the rule says "different"
        same = e1 * e2 if strict else e1 * e2 + e1 * n2 + n1 * e2
        assert d[0, 1] == pytest.approx(1 - same, abs=1e-9)
        assert c1 + n1 + e1 == pytest.approx(1) and c2 + n2 + e2 == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: e.semantic_entropy([], []), "at least one id"),
        (lambda: e.semantic_entropy([0, 1], [-1.0]), "One log-likelihood per answer"),
        (lambda: e.semantic_entropy([0], [math.nan]), "NaN"),
        (lambda: e.semantic_entropy([0], [math.inf]), "infinity"),
        (lambda: e.semantic_entropy([0.5], [-1.0]), "integers"),
        (lambda: e.discrete_semantic_entropy([]), "at least one id"),
        (lambda: e.discrete_semantic_entropy([[0]]), "one list"),
        (lambda: e.predictive_entropy([]), "at least 1"),
        (lambda: e.predictive_entropy(["yes"]), "must be numbers"),
        (lambda: e.sequence_log_likelihoods([]), "at least 1"),
        (lambda: e.sequence_log_likelihoods([[math.nan]]), "NaN"),
        (lambda: e.sequence_log_likelihoods([[-1.0]], "max"), "'mean' or 'sum'"),
        (lambda: e.rao_quadratic_entropy([0.5, 0.5], [[0.0]]), "shape"),
        (lambda: e.rao_quadratic_entropy([0.5, 0.6], np.zeros((2, 2))), "sum to 1"),
        (lambda: e.rao_quadratic_entropy([1.5, -0.5], np.zeros((2, 2))), "non-negative"),
        (lambda: e.rao_quadratic_entropy([0.5, 0.5], [[0, 1], [0, 0]]), "symmetric"),
        (lambda: e.rao_quadratic_entropy([0.5, 0.5], [[0, 2], [2, 0]]), r"\[0, 1\]"),
        (lambda: e.rao_quadratic_entropy([1.0], [[0.1]]), "between an answer and itself"),
        (lambda: e.meaning_distances(np.zeros((2, 3, 3))), "shape"),
        (lambda: e.meaning_distances(np.zeros((2, 2, 3))), "sum to 1"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(InputError, match=message):
        call()
