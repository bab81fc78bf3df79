"""Order dependence of the clusters, against `cluster` run on every permutation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.errors import InputError
from isi_widget.uncertainty.clusters import cluster
from isi_widget.uncertainty.entropy import discrete_semantic_entropy
from isi_widget.uncertainty.order import (
    OrderDependence,
    adjusted_rand_index,
    order_dependence,
    partitions,
    same_meanings,
)


def random_relations(seed, n):
    relations = np.random.default_rng(seed).choice(3, (n, n), p=[0.2, 0.3, 0.5])
    np.fill_diagonal(relations, 2)
    return relations


def clusters_in(relations, order, strict):
    """Cluster of each answer, as a set of frozensets of answers, by `cluster` itself."""
    ids = cluster(lambda i, j: int(relations[order[i], order[j]]), len(order), strict)
    return {frozenset(order[k] for k, c in enumerate(ids) if c == wanted) for wanted in set(ids)}


def rand_by_pairs(one, two, n):
    """Adjusted Rand index by counting pairs, one by one."""
    pairs = list(itertools.combinations(range(n), 2))
    a = [any({i, j} <= s for s in one) for i, j in pairs]
    b = [any({i, j} <= s for s in two) for i, j in pairs]
    both, expected = sum(x and y for x, y in zip(a, b, strict=True)), sum(a) * sum(b) / len(pairs)
    top = (sum(a) + sum(b)) / 2
    return 1.0 if top == expected else (both - expected) / (top - expected)


def entropy_of(sets, n):
    return -math.fsum(len(s) / n * math.log(len(s) / n) for s in sets)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(8))
def test_all_permutations_by_brute_force(strict, n, seed):
    relations = random_relations(seed, n)
    found = order_dependence(relations, strict, permutations=120)
    given_order = clusters_in(relations, range(n), strict)
    others = [clusters_in(relations, order, strict) for order in itertools.permutations(range(n))]
    assert found.exact
    assert found.changed == pytest.approx(np.mean([other != given_order for other in others]))
    disagreement = np.mean([1 - rand_by_pairs(other, given_order, n) for other in others])
    assert found.disagreement == pytest.approx(disagreement, abs=1e-12)
    entropies = [entropy_of(other, n) for other in others]
    assert (found.entropy_low, found.entropy_high) == pytest.approx((min(entropies), max(entropies)))
    assert found.permutations in (0, math.factorial(n)) and (found.permutations > 0) >= (found.changed > 0)


def test_the_examples_above_are_not_all_the_same():
    shares = {order_dependence(random_relations(seed, 5), permutations=120).changed for seed in range(8)}
    assert len(shares) > 3 and max(shares) > 0.3


@given(st.integers(1, 12), st.integers(0, 10**6), st.booleans())
def test_partitions_are_those_of_cluster(n, seed, strict):
    relations = random_relations(seed, n)
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (4, 1)), axis=1)
    found = partitions(same_meanings(relations, strict), orders)
    for order, labels in zip(orders, found, strict=True):
        sets = clusters_in(relations, [int(i) for i in order], strict)
        assert {frozenset(np.flatnonzero(labels == c).tolist()) for c in set(labels.tolist())} == sets
        assert all(label == min(np.flatnonzero(labels == label)) for label in labels)


def test_random_permutations_come_near_all_of_them():
    relations = random_relations(3, 6)
    exact = order_dependence(relations, permutations=720)
    some = order_dependence(relations, permutations=400, seed=1)
    assert exact.exact and not some.exact and some.permutations == 400
    assert 0.1 < exact.changed < 1
    assert some.changed == pytest.approx(exact.changed, abs=5 * math.sqrt(0.25 / 400))
    assert some.disagreement == pytest.approx(exact.disagreement, abs=0.1)
    assert exact.entropy_low <= some.entropy_low <= some.entropy_high <= exact.entropy_high
    assert some == order_dependence(relations, permutations=400, seed=1)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=15), st.booleans())
def test_an_equivalence_never_changes(meanings, strict):
    relations = np.where(np.equal.outer(meanings, meanings), 2, 0)
    entropy = discrete_semantic_entropy(meanings)
    expected = OrderDependence(0.0, 0.0, entropy, entropy, 0, True)
    assert order_dependence(relations, strict) == expected


def test_a_chain_of_three():
    # 0 ~ 1 ~ 2, 0 not ~ 2: {0, 1, 2} if 1 founds (2 of 6 orders), else {0, 1}, {2} or {0}, {1, 2}
    relations = np.array([[2, 2, 0], [2, 2, 2], [0, 2, 2]])
    found = order_dependence(relations)
    assert found.changed == pytest.approx(4 / 6)  # given order: {0, 1}, {2}; the same in 2 of 6
    two = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert (found.entropy_low, found.entropy_high) == pytest.approx((0.0, two))
    # one cluster against the given one: ARI 0; {0}, {1, 2} against {0, 1}, {2}: a pair each of 3, not shared
    other = 1 - (0 - 1 / 3) / (1 - 1 / 3)
    assert found.disagreement == pytest.approx((2 * 1 + 2 * other) / 6)


def test_probabilities_are_read_as_their_likeliest_relation():
    p = np.random.default_rng(5).dirichlet([0.5, 0.5, 1.0], (6, 6))
    assert order_dependence(p, True, seed=2) == order_dependence(p.argmax(axis=2), True, seed=2)


def test_adjusted_rand_of_known_clusterings():
    assert adjusted_rand_index([0, 0, 1, 1], [5, 5, 2, 2]) == 1.0
    assert adjusted_rand_index([0, 1, 2], [0, 1, 2]) == adjusted_rand_index([0] * 3, [1] * 3) == 1.0
    assert adjusted_rand_index([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(-0.5)
    assert adjusted_rand_index([0, 0, 0], [0, 1, 2]) == 0.0
    assert adjusted_rand_index([0], [3]) == 1.0
    # Hubert & Arabie's formula on the table [[1, 1, 0], [1, 2, 1], [0, 0, 4]]: 10 answers
    one, two = [0, 0, 1, 1, 1, 1, 2, 2, 2, 2], [0, 1, 0, 1, 1, 2, 2, 2, 2, 2]
    assert adjusted_rand_index(one, two) == pytest.approx((7 - 13 * 14 / 45) / ((13 + 14) / 2 - 13 * 14 / 45))


def test_many_answers():
    relations = random_relations(0, 300)
    found = order_dependence(relations, strict=True, permutations=50)
    assert found.changed == 1.0 and found.entropy_low < found.entropy_high


@pytest.mark.parametrize(
    ("judgements", "settings", "message"),
    [
        ([[2, 3], [2, 2]], {}, "Relations are whole numbers"),
        ([[2.0, 1.0], [1.0, 2.0]], {}, "Relations are whole numbers"),
        ([2, 2], {}, "Relations are whole numbers"),
        (np.zeros((0, 0), dtype=int), {}, "Relations are whole numbers"),
        (np.ones((2, 2, 3)), {}, "sum to 1"),
        ([[2]], {"permutations": 0}, "permutations must be a whole number"),
        ([[2]], {"seed": -1}, "seed must be a whole number"),
    ],
)
def test_bad_input(judgements, settings, message):
    with pytest.raises(InputError, match=message):
        order_dependence(judgements, **settings)
