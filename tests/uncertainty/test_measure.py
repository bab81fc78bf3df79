"""`uncertainty_of` and its record, with an entailment model whose relations are known exactly."""

import json
import math
import pickle

import numpy as np
import pytest

from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.uncertainty.bootstrap import NAMES
from isi_widget.uncertainty.measure import Uncertainty, uncertainty_of


class FirstWord:
    """Answers with the same first word entail each other, all others contradict."""

    name = "first word"

    def probabilities(self, question, answers):
        words = [(answer.split() or [""])[0] for answer in answers]
        return np.array([[[0, 0, 1] if a == b else [1, 0, 0] for b in words] for a in words], dtype=float)


def answer(text, *logprobs, finished=True):
    n = len(logprobs)
    return Answer(text, tuple(range(n)), ("t",) * n, logprobs, finished=finished)


TEXTS = ("Yes", "Yes indeed", "No", "Yes", "Perhaps")
LL = (-0.1, -0.3, -1.2, -0.2, -2.0)
ANSWERS = [answer(text, value) for text, value in zip(TEXTS, LL, strict=True)]


def measured(**settings):
    return uncertainty_of(ANSWERS, "Is it?", FirstWord(), **settings)


def test_the_fixed_vectors_come_out():
    u = measured()
    assert u.cluster_ids == (0, 0, 1, 0, 2) and u.number_of_clusters == 3
    assert u.semantic_entropy == pytest.approx(0.516706, abs=1e-6)
    assert u.discrete_semantic_entropy == pytest.approx(0.950271, abs=1e-6)
    assert u.predictive_entropy == pytest.approx(0.76)
    assert u.rao_quadratic_entropy == pytest.approx(0.265359, abs=1e-6)
    assert u.cluster_counts == (3, 1, 1)
    assert np.log(u.cluster_probabilities) == pytest.approx([-0.163084, -2.265027, -3.065027], abs=1e-6)
    assert u.cluster_names == ("Yes", "No", "Perhaps")
    assert u.entailment == "first word" and u.caveats == ()


def test_intervals_hold_the_estimates_and_are_seeded():
    u = measured(seed=3)
    for name in NAMES:
        low, high = u.interval(name)
        assert low <= getattr(u, name) <= high
    assert u == measured(seed=3)
    assert u.intervals != measured(seed=4).intervals
    with pytest.raises(InputError, match="No interval for 'entropy'"):
        u.interval("entropy")


def test_cluster_is_named_by_its_most_likely_answer():
    u = uncertainty_of(
        [answer("Yes well", -3.0), answer("Yes", -0.1), answer("Yes no", -0.1)], "", FirstWord()
    )
    assert u.cluster_names == ("Yes",)


def test_length_normalisation_is_an_option():
    answers = [answer("Yes", -1.0, -1.0), answer("No", -1.0)]
    assert uncertainty_of(answers, "", FirstWord()).semantic_entropy == pytest.approx(math.log(2))
    summed = uncertainty_of(answers, "", FirstWord(), length="sum")
    assert summed.semantic_entropy == pytest.approx(0.582203, abs=1e-6)  # masses e^-2 and e^-1
    assert summed.predictive_entropy == 1.5 and summed.length == "sum"


@pytest.mark.parametrize("text", ["Yes", ""])
def test_one_answer_and_empty_answers(text):
    u = uncertainty_of([answer(text, *([-0.5] if text else []))] * 3, "Is it?", FirstWord())
    assert u.cluster_ids == (0, 0, 0) and u.semantic_entropy == u.rao_quadratic_entropy == 0.0
    assert "0.63 would be missed by 3 samples" in u.caveats[0]  # 1 - 0.05^(1/3)
    assert len(u.caveats) == (1 if text else 2)
    one = uncertainty_of([answer(text)], "", FirstWord())
    assert one.cluster_ids == (0,) and one.interval("semantic_entropy") == (0.0, 0.0)


def test_cut_answers_are_mentioned():
    u = uncertainty_of([answer("Yes", -1.0), answer("No it", -1.0, finished=False)], "", FirstWord())
    assert u.caveats == ("1 of 2 answers were cut off by max_new_tokens; their meaning may be lost.",)


def test_round_trips_without_loss():
    for u in (measured(), uncertainty_of([answer("Yes", -math.inf), answer("No", -1.0)], "é?", FirstWord())):
        text = json.dumps({k: v for k, v in u.to_dict().items() if k != "answers"}, allow_nan=False)
        assert json.loads(text)["cluster_ids"] == list(u.cluster_ids)
        assert Uncertainty.from_dict(u.to_dict()) == u
        assert pickle.loads(pickle.dumps(u)) == u and hash(u) == hash(pickle.loads(pickle.dumps(u)))
    assert Uncertainty.from_dict(json.loads(json.dumps(measured().to_dict()))) == measured()


def test_bad_input():
    with pytest.raises(InputError, match="at least one sampled answer"):
        uncertainty_of([], "", FirstWord())
    with pytest.raises(InputError, match="NaN"):
        uncertainty_of([answer("Yes", math.nan)], "", FirstWord())
    record = measured().to_dict()
    with pytest.raises(InputError, match="one each is needed"):
        Uncertainty.from_dict(record | {"cluster_ids": [0]})
    with pytest.raises(InputError, match="interval is missing for: semantic_entropy"):
        Uncertainty.from_dict(record | {"intervals": dict.fromkeys(NAMES[1:], (0, 1))})
