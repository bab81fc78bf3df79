"""`Uncertainty` from enumerated answers: exact probabilities and certain bounds, without samples.

Each answer is listed once with its own probability. The mass of a meaning is the sum over its answers; the
entropy over meanings follows with bounds (`bounds`). Measures that count samples do not apply: they are NaN,
with a caveat. Not for enumerating (`VLM.enumerate_answers`), nor for samples (`measure`).
"""

from __future__ import annotations

import math

import numpy as np

from isi_widget.answer import Enumeration
from isi_widget.errors import InputError
from isi_widget.uncertainty._checks import Floats, contiguous
from isi_widget.uncertainty.bootstrap import LEADING, NAMES, Interval
from isi_widget.uncertainty.bounds import entropy_bounds
from isi_widget.uncertainty.clusters import cluster
from isi_widget.uncertainty.entropy import meaning_distances
from isi_widget.uncertainty.judge import Chosen, Entailment, compare
from isi_widget.uncertainty.order import order_dependence
from isi_widget.uncertainty.record import Uncertainty

#: Largest number of answers whose meanings are compared in pairs; less probable answers count as the rest.
MOST_COMPARED = 64


def uncertainty_of_enumeration(
    enumeration: Enumeration,
    question: str,
    entailment: Entailment | Chosen,
    *,
    strict: bool = False,
    seed: int = 0,
    prepend_question: bool = True,
    permutations: int = 200,
    rules: bool = True,
) -> Uncertainty:
    """Return cluster enumerated answers by meaning and bound the entropy over meanings.

    Parameters
    ----------
    enumeration : result of `VLM.enumerate_answers`. Its most probable answers are used until they reach the
        target mass, at most 64; the others count as the rest.
    question, entailment, strict, prepend_question, permutations, rules : as in `uncertainty_of`.
    seed : seed of the tried orders.

    Returns
    -------
    Uncertainty with method "enumerated". Its leading entropy is the point estimate of `entropy_bounds`, with
    the bounds as its interval (level 1). The lower bound is certain; the upper bound holds if the rest has at
    most as many further meanings as were found. Rao's entropy and its interval treat the rest in the same
    way. The discrete, likelihood-weighted and predictive entropy and the measures without clusters need
    samples: they are NaN, or left out.

    Raises
    ------
    InputError : enumeration without answers.
    """
    kept = _most_probable(enumeration)
    answers = enumeration.answers[:kept]
    if not answers:
        raise InputError("No answer was found to measure: raise budget, or max_new_tokens.")
    p = np.asarray(enumeration.probabilities[:kept])
    texts = [answer.text for answer in answers]
    judged, judge = compare(question, texts, entailment, prepend_question=prepend_question, rules=rules)
    relations = np.argmax(judged, axis=2)
    ids = cluster(lambda i, j: int(relations[i, j]), len(answers), strict)
    bounds = entropy_bounds(np.bincount(contiguous(ids), weights=p))
    rao, rao_interval = _rao(p, meaning_distances(judged, strict))
    nothing = (math.nan, math.nan)
    return Uncertainty(
        answers=answers,
        cluster_ids=tuple(ids),
        bayesian_semantic_entropy=bounds.point,
        discrete_semantic_entropy=math.nan,
        semantic_entropy=math.nan,
        predictive_entropy=math.nan,
        rao_quadratic_entropy=rao,
        intervals={
            **dict.fromkeys(NAMES, nothing),
            LEADING: (bounds.low, bounds.high),
            "rao_quadratic_entropy": rao_interval,
        },
        question=question,
        strict=strict,
        level=1.0,
        seed=seed,
        entailment=judge.name,
        judge=judge,
        prepend_question=prepend_question,
        order=order_dependence(relations, strict, permutations=permutations, seed=seed, weights=p),
        method="enumerated",
        probabilities=tuple(p.tolist()),
        target=enumeration.target,
    )


def _most_probable(enumeration: Enumeration) -> int:
    """Return the smallest number of answers that reach the target mass."""
    found = np.cumsum(enumeration.probabilities)
    enough = int(np.searchsorted(found, enumeration.target - 1e-12)) + 1
    return min(enough, len(found), MOST_COMPARED)


def _rao(p: Floats, distances: Floats) -> tuple[float, Interval]:
    """Compute Rao's entropy with the rest divided like the known masses, and its bounds: distances lie
    between 0 and 1.
    """
    known, total = float(p @ distances @ p), float(p.sum())
    return known / total**2, (known, min(1.0, known + max(0.0, 1.0 - total**2)))
