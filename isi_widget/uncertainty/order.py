"""How much the clusters depend on the order in which the answers were sampled.

First-match clustering compares an answer with the first member of each cluster, and the relation is not
transitive. So a different order of the same answers may give different clusters. Here the answers are
clustered again in many orders. Not for clustering itself (`clusters`), nor for the randomness of sampling
(`bootstrap`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.uncertainty._checks import Floats, Ints, entailment_probabilities, vector
from isi_widget.uncertainty.clusters import CONTRADICTION, ENTAILMENT, NEUTRAL
from isi_widget.uncertainty.entropy import discrete_semantic_entropy, semantic_entropy

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class OrderDependence:
    """How clusters change with the order of the same answers.

    Attributes
    ----------
    changed : share of orders whose clusters differ from those of the given order, 0 to 1.
    disagreement : mean over the orders of 1 - adjusted Rand index with the clusters of the given order; 0 if
        nothing changes, about 1 if the clusters agree only by chance.
    entropy_low, entropy_high : smallest and largest discrete semantic entropy among the orders, nats; for
        weighted answers, the entropy of the clusters' shares of the weights.
    permutations : number of tried orders; 0 if the relation is transitive, so that no order can differ.
    exact : True if every order is covered (all N! were tried, or none can differ), False for random orders.
    """

    changed: float
    disagreement: float
    entropy_low: float
    entropy_high: float
    permutations: int
    exact: bool

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    @classmethod
    @records.reader("a dependence on the order")
    def from_dict(cls, record: Mapping[str, Any]) -> OrderDependence:
        """Rebuild from the record of `to_dict`."""
        return cls(**record)


def order_dependence(
    judgements: npt.ArrayLike,
    strict: bool = False,
    *,
    permutations: int = 200,
    seed: int = 0,
    weights: npt.ArrayLike | None = None,
) -> OrderDependence:
    """Return cluster the same answers in other orders and compare.

    Parameters
    ----------
    judgements : relations, int [N, N] (0 contradiction, 1 neutral, 2 entailment; premise i, hypothesis j), or
        probabilities, float [N, N, 3], of which the most likely relation counts. The diagonal is ignored.
    strict : rule of the clusters, see `clusters.same_meaning`.
    permutations : number of orders to try, >= 1; all N! are tried if there are no more.
    seed : seed of the choice of orders.
    weights : positive weight of each answer in the entropies, float [N]; None (default): equal weights, as
        for samples.

    Raises
    ------
    InputError : wrong shape, unknown relation, number out of range.
    """
    same = same_meanings(judgements, strict)
    checks.integer(permutations, "permutations", low=1)
    checks.integer(seed, "seed", low=0)
    n = len(same)
    shares = None if weights is None else vector(weights, "weights")
    if shares is not None and (len(shares) != n or (shares <= 0).any()):
        raise InputError(f"One positive weight for each of the {n} answers is needed.")
    given = partitions(same, np.arange(n)[None])[0]
    if (
        same == (given[:, None] == given)
    ).all():  # an equivalence relation: every order finds the same classes
        entropy = _entropy(given, shares)
        return OrderDependence(0.0, 0.0, entropy, entropy, 0, True)
    exact = n <= 20 and math.factorial(n) <= permutations
    if exact:
        orders = np.array(list(itertools.permutations(range(n))))
    else:
        orders = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (permutations, 1)), axis=1)
    found, counts = np.unique(partitions(same, orders), axis=0, return_counts=True)
    often = counts / counts.sum()
    entropies = [_entropy(row, shares) for row in found]
    return OrderDependence(
        changed=int(counts[(found != given).any(axis=1)].sum()) / len(orders),
        disagreement=float(often @ [1.0 - adjusted_rand_index(row, given) for row in found]),
        entropy_low=min(entropies),
        entropy_high=max(entropies),
        permutations=len(orders),
        exact=exact,
    )


def _entropy(labels: Ints, weights: Floats | None) -> float:
    """Compute the entropy of the clusters' shares of the weights; without weights, the discrete semantic
    entropy.
    """
    if weights is None:
        return discrete_semantic_entropy(labels)
    return semantic_entropy(labels, np.log(weights))


def same_meanings(judgements: npt.ArrayLike, strict: bool) -> Bools:
    """Return which answers share a meaning (`clusters.same_meaning`), bool [N, N], symmetric, True on the
    diagonal.
    """
    given = np.asarray(judgements)
    if given.ndim == 3:
        relations = np.argmax(entailment_probabilities(given), axis=2)
    else:
        relations = given
        right = relations.ndim == 2 and relations.shape[0] == relations.shape[1] >= 1
        if not right or relations.dtype.kind not in "iu" or not np.isin(relations, (0, 1, 2)).all():
            raise InputError(
                "Relations are whole numbers [N, N] (0 contradiction, 1 neutral, 2 entailment), or "
                f"probabilities [N, N, 3]; got shape {list(given.shape)} of {given.dtype}."
            )
    if strict:
        same = (relations == ENTAILMENT) & (relations.T == ENTAILMENT)
    else:
        against = (relations == CONTRADICTION) | (relations.T == CONTRADICTION)
        same = ~against & ~((relations == NEUTRAL) & (relations.T == NEUTRAL))
    np.fill_diagonal(same, True)
    return same


def partitions(same: Bools, orders: Ints) -> Ints:
    """Return first-match clusters of N answers in each of P orders, int [P, N].

    An answer is labelled by the smallest index in its cluster, so that equal clusters have equal labels.

    same : whether answers share a meaning, bool [N, N], symmetric, True on the diagonal.
    orders : permutations, int [P, N], one per row.


    The first answer without a cluster starts one and takes every other answer without a cluster that matches
    it. This gives the same result as first-match clustering, answer by answer.
    """
    places = np.argsort(orders, axis=1)
    n = orders.shape[1]
    labels = np.full(orders.shape, -1, dtype=np.int64)
    while (open_rows := np.flatnonzero((labels < 0).any(axis=1))).size:
        free = labels[open_rows] < 0
        founders = np.where(free, places[open_rows], n).argmin(axis=1)
        members = free & same[founders]
        labels[open_rows] = np.where(members, members.argmax(axis=1)[:, None], labels[open_rows])
    return labels


def adjusted_rand_index(one: npt.ArrayLike, two: npt.ArrayLike) -> float:
    """Return the agreement of two clusterings of the same answers: 1 if equal, 0 on average if unrelated.

    Source: Hubert & Arabie, Journal of Classification 2, 1985.
    """
    rows, columns = (np.unique(np.asarray(labels), return_inverse=True)[1] for labels in (one, two))
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    both, first, second = (float((x * (x - 1) / 2).sum()) for x in (table, table.sum(1), table.sum(0)))
    pairs = len(rows) * (len(rows) - 1) / 2
    expected = first * second / pairs if pairs else 0.0
    ceiling = (first + second) / 2
    # Chance agreement is already perfect: both put all answers together, or all apart, so they are equal
    return 1.0 if ceiling == expected else (both - expected) / (ceiling - expected)
