"""Uncertainty of enumerated answers: exact masses, certain bounds, and nothing that would need samples."""

import json
import math
import pickle

import numpy as np
import pytest

from isi_widget.answer import Answer, Enumeration
from isi_widget.errors import InputError
from isi_widget.uncertainty import entropy_curve, samples_needed, uncertainty_of_enumeration
from isi_widget.uncertainty.bounds import entropy_bounds
from isi_widget.uncertainty.enumerated import MOST_COMPARED
from isi_widget.uncertainty.order import order_dependence
from isi_widget.uncertainty.record import Uncertainty


class FirstWord:
    """Answers with the same first word entail each other, all others contradict."""

    name = "first word"

    def probabilities(self, question, answers):
        words = [(answer.split() or [""])[0] for answer in answers]
        return np.array([[[0, 0, 1] if a == b else [1, 0, 0] for b in words] for a in words], dtype=float)


class Random:
    """Relations from a table; equal answers entail each other."""

    name = "random"

    def probabilities(self, question, answers):
        random = np.random.default_rng(3)
        found = np.eye(3)[random.integers(0, 3, (len(answers), len(answers)))]
        found[range(len(answers)), range(len(answers))] = (0, 0, 1)
        return found


def enumerated(*pairs, target=0.99, **settings):
    """An enumeration of (text, probability) pairs."""
    answers = tuple(
        Answer(
            text, (k,), (text,), (-1.0,), sampled_logprobs=(-1.0,), end_logprob=-0.1, sampled_end_logprob=-0.1
        )
        for k, (text, _) in enumerate(pairs)
    )
    probabilities = tuple(p for _, p in pairs)
    return Enumeration(answers, probabilities, 1 - math.fsum(probabilities), target, 20, 3, 512, **settings)


SURE = enumerated(("It is so", 0.5), ("No", 0.2), ("It seems so", 0.15), ("No way", 0.1), ("Perhaps", 0.045))


def measured(found=SURE, judge=None, **settings):
    return uncertainty_of_enumeration(found, "What?", judge or FirstWord(), rules=False, **settings)


def test_masses_are_summed_over_the_answers_of_a_meaning():
    u = measured()
    assert u.method == "enumerated" and u.cluster_ids == (0, 1, 0, 1, 2)
    assert u.cluster_probabilities == pytest.approx((0.65, 0.3, 0.045)) and u.rest == pytest.approx(0.005)
    assert u.cluster_names == ("It is so", "No", "Perhaps") and u.target == 0.99
    bounds = entropy_bounds([0.65, 0.3, 0.045])
    assert u.interval("bayesian_semantic_entropy") == pytest.approx((bounds.low, bounds.high))
    assert u.bayesian_semantic_entropy == pytest.approx(bounds.point) and u.level == 1.0
    assert bounds.low < bounds.point < bounds.high


def test_rao_s_entropy_has_bounds_that_every_completion_keeps():
    u = measured()
    known = 1 - (0.65**2 + 0.3**2 + 0.045**2) - 0.005 * (2 - 0.005)
    low, high = u.interval("rao_quadratic_entropy")
    assert low == pytest.approx(known) and high == pytest.approx(known + 1 - 0.995**2)
    for rest in (
        (0.655, 0.3, 0.045),
        (0.65, 0.3, 0.05),
        (0.65, 0.3, 0.045, 0.005),
        (0.65, 0.3, 0.045, *[1e-4] * 50),
    ):
        assert low - 1e-12 <= 1 - sum(p * p for p in rest) <= high + 1e-12
    assert low <= u.rao_quadratic_entropy <= high


def test_what_counts_samples_does_not_exist():
    u = measured()
    for name in ("discrete_semantic_entropy", "semantic_entropy", "predictive_entropy"):
        assert math.isnan(getattr(u, name)) and all(map(math.isnan, u.interval(name)))
    assert u.graph_measures == {}
    assert any("need samples: they are not available" in caveat for caveat in u.caveats)
    for ask in (lambda: u.posterior, lambda: entropy_curve(u), lambda: samples_needed(u, 0.1)):
        with pytest.raises(InputError, match="exact probabilities"):
            ask()


def test_the_assumption_of_the_upper_bound_is_said_and_so_is_a_mass_that_was_not_reached():
    said = " ".join(measured().caveats)
    assert "0.005 of the probability was not enumerated" in said and "at most 3 further meanings" in said
    assert "too long or too many" not in said
    everything = measured(enumerated(("Yes", 0.75), ("No", 0.25)))
    assert not any("not enumerated" in caveat for caveat in everything.caveats)
    short = measured(enumerated(("It is a", 0.3), ("No", 0.1)))
    assert "those listed have 40.0% of the probability, not the requested 99.0%" in " ".join(short.caveats)
    low, high = short.interval("bayesian_semantic_entropy")
    assert high - low > 0.5


def test_cut_answers_are_mentioned():
    cut = Answer("It is so that", (1, 2), ("It", " is"), (-1.0, -1.0), finished=False)
    whole = Answer("No", (3,), ("No",), (-1.0,), end_logprob=-0.1)
    found = Enumeration((cut, whole), (0.6, 0.39), 0.01, 0.99, 4, 2, 8)
    assert any("60.0% of the probability were cut off" in caveat for caveat in measured(found).caveats)


def test_only_answers_that_are_needed_for_the_mass_are_compared():
    many = enumerated(("Yes", 0.6), ("No", 0.35), *[(f"Word{k}", 0.0005) for k in range(90)])
    assert len(measured(many).answers) == MOST_COMPARED
    assert measured(many).rest == pytest.approx(0.05 - 0.0005 * (MOST_COMPARED - 2))
    few = measured(
        enumerated(("Yes", 0.6), ("No", 0.35), *[(f"Word{k}", 0.0005) for k in range(90)], target=0.951)
    )
    assert len(few.answers) == 4 and few.rest == pytest.approx(0.049)
    assert "too many" not in " ".join(few.caveats)


def test_orders_are_weighed_by_mass():
    u = measured(judge=Random(), seed=2, permutations=30)
    relations = np.argmax(Random().probabilities("", range(5)), axis=2)
    p = [0.5, 0.2, 0.15, 0.1, 0.045]
    assert u.order == order_dependence(relations, permutations=30, seed=2, weights=p)
    plain = order_dependence(relations, permutations=30, seed=2)
    assert (u.order.changed, u.order.disagreement) == (plain.changed, plain.disagreement)
    assert u.order.entropy_low != plain.entropy_low
    equal = order_dependence(relations, permutations=30, seed=2, weights=[0.2] * 5)
    assert equal.entropy_low == pytest.approx(plain.entropy_low)
    with pytest.raises(InputError, match="positive weight"):
        order_dependence(relations, weights=[1.0, 0.0, 1.0, 1.0, 1.0])


def test_records_round_trip():
    for u in (measured(), measured(enumerated(("", 1.0), target=1.0))):
        assert Uncertainty.from_dict(json.loads(json.dumps(u.to_dict(), allow_nan=False))) == u
        assert pickle.loads(pickle.dumps(u)) == u
    assert measured(enumerated(("", 1.0), target=1.0)).interval("bayesian_semantic_entropy") == (0.0, 0.0)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="No answer was found"):
        measured(Enumeration((), (), 1.0, 0.99, 1, 0, 1))
    record = measured().to_dict() | {"method": "sampled", "level": 0.95}
    with pytest.raises(InputError, match="5 exact probabilities"):
        Uncertainty.from_dict(record)
    for wrong in (
        {"probabilities": [0.9] * 5},
        {"probabilities": [-0.1] * 5},
        {"level": 1.5},
        {"method": "x"},
    ):
        with pytest.raises(InputError):
            Uncertainty.from_dict(measured().to_dict() | wrong)


def test_the_table_says_that_the_answers_were_enumerated():
    assert "Uncertainty of 5 enumerated answers" in measured()._repr_html_()
