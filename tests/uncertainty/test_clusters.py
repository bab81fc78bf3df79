"""Clustering by entailment: the rules, first match, no re-assignment, invariances."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.errors import InputError
from isi_widget.uncertainty.clusters import cluster, same_meaning


def relation_of(matrix):
    return lambda i, j: matrix[i][j]


def test_the_two_rules():
    pairs = itertools.product(range(3), repeat=2)
    strict = {pair for pair in pairs if same_meaning(*pair, strict=True)}
    assert strict == {(2, 2)}
    loose = {pair for pair in itertools.product(range(3), repeat=2) if same_meaning(*pair, strict=False)}
    assert loose == {(2, 2), (1, 2), (2, 1)}


def test_one_way_entailment_joins_only_when_not_strict():
    matrix = [[2, 1], [2, 2]]
    assert cluster(relation_of(matrix), 2, strict=True) == [0, 1]
    assert cluster(relation_of(matrix), 2, strict=False) == [0, 0]


def test_first_match_and_no_reassignment():
    # 2 matches both 0 and 1, which do not match each other: it stays with 0 (an overwrite gives [0, 1, 1])
    same = {(0, 2), (1, 2)}
    matrix = [[2 if i == j or (min(i, j), max(i, j)) in same else 1 for j in range(3)] for i in range(3)]
    assert cluster(relation_of(matrix), 3) == [0, 1, 0]
    # the order matters, as the docstring says: seen as 2, 0, 1 all three share a cluster
    order = [2, 0, 1]
    assert cluster(lambda i, j: matrix[order[i]][order[j]], 3) == [0, 0, 0]


def test_only_the_needed_pairs_are_asked():
    asked = []

    def relation(i, j):
        asked.append((i, j))
        return 0

    assert cluster(relation, 4) == [0, 1, 2, 3]
    assert asked == [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]  # never backwards after a contradiction


@given(st.lists(st.integers(0, 5), min_size=1, max_size=15), st.booleans())
def test_an_equivalence_is_recovered_in_any_order(meanings, strict):
    ids = cluster(lambda i, j: 2 if meanings[i] == meanings[j] else 0, len(meanings), strict)
    firsts = list(dict.fromkeys(meanings))
    assert ids == [firsts.index(m) for m in meanings]


@given(st.integers(1, 9), st.booleans(), st.integers(0, 2**32 - 1))
def test_any_relation_gives_a_valid_first_match(n, strict, seed):
    matrix = np.random.default_rng(seed).integers(0, 3, (n, n))
    ids = cluster(lambda i, j: int(matrix[i, j]), n, strict)
    founders = [ids.index(c) for c in range(max(ids) + 1)]
    assert founders == sorted(founders)
    for j, c in enumerate(ids):
        before = [f for f in founders if f < j]
        matching = [k for k, f in enumerate(before) if same_meaning(matrix[f, j], matrix[j, f], strict)]
        assert c == (matching[0] if matching else len(before))


def test_one_answer():
    assert cluster(lambda i, j: pytest.fail("no pair to ask for"), 1) == [0]


@pytest.mark.parametrize("n", [0, -1, True, 2.0, "3"])
def test_bad_number(n):
    with pytest.raises(InputError, match="at least one answer"):
        cluster(lambda i, j: 2, n)


def test_bad_relation():
    with pytest.raises(InputError, match=r"relation\(0, 1\) gave 3"):
        cluster(lambda i, j: 3, 2)
