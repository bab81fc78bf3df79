"""Clusters of answers that mean the same, from the entailment relations between them. Pure Python.

Not for computing the relations (`entailment`); any function that returns them works.
"""

from __future__ import annotations

from collections.abc import Callable

from isi_widget.checks import is_whole
from isi_widget.errors import InputError

CONTRADICTION, NEUTRAL, ENTAILMENT = 0, 1, 2
Relation = Callable[[int, int], int]


def same_meaning(forward: int, backward: int, strict: bool = True) -> bool:
    """Return whether two answers mean the same, from the relations i -> j and j -> i (0 contradiction, 1
    neutral, 2 entailment).

    strict: entailment both ways. Non-strict: no contradiction in either direction and not neutral both ways,
    so that a longer answer that entails a shorter one shares its cluster.
    """
    if strict:
        return forward == backward == ENTAILMENT
    return CONTRADICTION not in (forward, backward) and (forward, backward) != (NEUTRAL, NEUTRAL)


def cluster(relation: Relation, n: int, strict: bool = True) -> list[int]:
    """Cluster answers greedily by bidirectional entailment. Each answer joins the first cluster whose first
    member it matches.

    Parameters
    ----------
    relation : function relation(i, j) -> 0 contradiction, 1 neutral, 2 entailment, with answer i as premise
        and j as hypothesis. Called only for the pairs needed; the second direction only if the first does not
        decide.
    n : number of answers, >= 1.
    strict : see `same_meaning`; the reference setting of Farquhar et al. is strict, ISI's non-strict.

    Returns
    -------
    list of n cluster ids, numbered by first appearance. An answer is never re-assigned.

    Notes
    -----
    The rule is not transitive, especially the non-strict one, so the clusters can depend on the order of the
    answers. An answer is compared only with the first member of each cluster, and with clusters in the order
    in which they began.

    Source: Kuhn, Gal & Farquhar, ICLR 2023, algorithm 1; Farquhar, Kossen, Kuhn & Gal, Nature 630, 2024.
    """
    if not is_whole(n) or n < 1:
        raise InputError(f"Clustering needs at least one answer; n is {n!r}.")
    founders: list[int] = []
    ids: list[int] = []
    for j in range(n):
        match = next((c for c, i in enumerate(founders) if _match(relation, i, j, strict)), None)
        if match is None:
            match = len(founders)
            founders.append(j)
        ids.append(match)
    return ids


def _match(relation: Relation, i: int, j: int, strict: bool) -> bool:
    forward = _checked(relation, i, j)
    if forward == CONTRADICTION or (strict and forward == NEUTRAL):
        return False
    return same_meaning(forward, _checked(relation, j, i), strict)


def _checked(relation: Relation, i: int, j: int) -> int:
    value = relation(i, j)
    if value not in (CONTRADICTION, NEUTRAL, ENTAILMENT):
        raise InputError(
            f"relation({i}, {j}) gave {value!r}; expected 0 contradiction, 1 neutral or 2 entailment."
        )
    return int(value)
