"""`uncertainty_of` and its record, with an entailment model whose relations are known exactly."""

import dataclasses
import json
import math
import pickle

import numpy as np
import pytest

from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.uncertainty.bootstrap import NAMES
from isi_widget.uncertainty.graphs import graph_measures
from isi_widget.uncertainty.lexical import WITHOUT_CLUSTERS, lexical_similarity
from isi_widget.uncertainty.measure import uncertainty_of
from isi_widget.uncertainty.order import OrderDependence, order_dependence
from isi_widget.uncertainty.record import WEIGHTED, Uncertainty


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
    assert u.rao_quadratic_entropy == pytest.approx(0.7)  # 14 of the 20 ordered pairs differ
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


def test_cluster_is_named_by_its_most_frequent_answer():
    often = [answer("Yes yes yes", -0.1), answer("Yes", -2.0), answer("Yes", -1.0), answer("Yes well", -0.2)]
    assert uncertainty_of(often, "", FirstWord()).cluster_names == ("Yes",)


def test_of_equally_frequent_answers_the_most_likely_names_the_cluster():
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


def ending(text, *logprobs, end=-0.5, sampled=(), sampled_end=None, finished=True):
    n = len(logprobs)
    return Answer(
        text,
        tuple(range(n)),
        ("t",) * n,
        logprobs,
        finished=finished,
        sampled_logprobs=sampled,
        end_logprob=end,
        sampled_end_logprob=sampled_end,
    )


def test_whole_sequences_hold_their_end_wherever_it_is_known():
    answers = [
        ending("Yes", -1.0, -1.0),
        ending("No", -1.0, end=-2.0),
        ending("No it", -1.0, -1.0, end=-0.25),
    ]
    summed = uncertainty_of(answers, "", FirstWord(), length="sum")
    assert summed.include_end and summed.log_likelihoods == (-2.5, -3.0, -2.25)
    assert summed.predictive_entropy == pytest.approx(7.75 / 3)
    assert summed == uncertainty_of(answers, "", FirstWord(), length="sum", include_end=True)
    assert Uncertainty.from_dict(summed.to_dict()) == summed
    without = uncertainty_of(answers, "", FirstWord(), length="sum", include_end=False)
    assert without.log_likelihoods == (-2.0, -1.0, -2.0) and "leave out the end" in " ".join(without.caveats)
    assert not uncertainty_of(answers, "", FirstWord()).include_end, "the mean per token stays as published"
    mean = uncertainty_of(answers, "", FirstWord(), include_end=True)
    assert mean.log_likelihoods == pytest.approx((-2.5 / 3, -1.5, -0.75))


def test_ends_that_are_not_known_are_left_out_of_all_answers_and_said():
    answers = [ending("Yes", -1.0), ending("No", -1.0, end=None)]
    u = uncertainty_of(answers, "", FirstWord(), length="sum")
    assert not u.include_end and u.log_likelihoods == (-1.0, -1.0)
    assert any("leave out the end" in caveat for caveat in u.caveats)
    with pytest.raises(InputError, match="1 of 2 have none"):
        uncertainty_of(answers, "", FirstWord(), include_end=True)
    cut = [ending("Yes", -1.0), ending("No it", -1.0, -1.0, end=None, finished=False)]
    assert uncertainty_of(cut, "", FirstWord(), length="sum").log_likelihoods == (-1.5, -2.0)


def test_the_end_as_sampled_goes_with_the_tokens_as_sampled():
    drawn_answers = [ending("Yes", -1.0, end=-0.5, sampled=(-0.75,), sampled_end=-0.125)]
    u = uncertainty_of(drawn_answers, "", FirstWord(), length="sum", likelihood="sampled")
    assert u.include_end and u.log_likelihoods == (-0.875,)


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


# ----------------------------------------------------------------------------------------------- likelihoods
def drawn(text, raw, sampled):
    return Answer(text, (1, 2), ("t", "u"), raw, sampled_logprobs=sampled)


def test_answers_are_weighed_by_raw_or_sampled_log_probabilities():
    answers = [drawn("Yes", (-1.0, -2.0), (-0.5, -0.1)), drawn("No", (-0.4, -0.2), (-2.0, -3.0))]
    raw, sampled = (uncertainty_of(answers, "", FirstWord(), likelihood=k) for k in ("raw", "sampled"))
    assert raw == uncertainty_of(answers, "", FirstWord()) and raw != sampled
    assert raw.likelihood == "raw" and raw.log_likelihoods == pytest.approx((-1.5, -0.3))
    assert sampled.likelihood == "sampled" and sampled.log_likelihoods == pytest.approx((-0.3, -2.5))
    swapped = [
        Answer(a.text, a.token_ids, a.tokens, a.sampled_logprobs, sampled_logprobs=a.logprobs)
        for a in answers
    ]
    other = uncertainty_of(swapped, "", FirstWord())
    for name in NAMES:
        assert getattr(sampled, name) == getattr(other, name) and sampled.interval(name) == other.interval(
            name
        )
    assert sampled.cluster_probabilities == other.cluster_probabilities
    assert Uncertainty.from_dict(sampled.to_dict()) == sampled
    summed = uncertainty_of(answers, "", FirstWord(), likelihood="sampled", length="sum")
    assert summed.predictive_entropy == pytest.approx((0.6 + 5.0) / 2)


def test_sampled_is_refused_where_nothing_was_sampled():
    answers = [drawn("Yes", (-1.0, -2.0), (-0.5, -0.1)), answer("No", -1.0)]
    with pytest.raises(InputError, match="1 of 2 have no log-probabilities as sampled"):
        uncertainty_of(answers, "", FirstWord(), likelihood="sampled")
    with pytest.raises(InputError, match="likelihood is 'raw' or 'sampled', not 'both'"):
        uncertainty_of(answers, "", FirstWord(), likelihood="both")
    empty = [drawn("Yes", (-1.0, -2.0), (-0.5, -0.1)), answer("")]  # an empty answer has no tokens to draw
    assert uncertainty_of(empty, "", FirstWord(), likelihood="sampled").has_likelihoods


def untold(text):
    """An answer of a server that does not tell log-probabilities."""
    return Answer(text, (-1, -1), ("", ""), (math.nan, math.nan))


def test_without_likelihoods_everything_else_still_works():
    told, u = measured(), uncertainty_of([untold(text) for text in TEXTS], "Is it?", FirstWord())
    assert told.has_likelihoods and not u.has_likelihoods
    assert all(math.isnan(getattr(u, name)) for name in WEIGHTED) and len(WEIGHTED) == 2
    assert all(map(math.isnan, [v for name in WEIGHTED for v in u.interval(name)]))
    assert u.discrete_semantic_entropy == told.discrete_semantic_entropy
    assert u.interval("discrete_semantic_entropy") == told.interval("discrete_semantic_entropy")
    assert u.cluster_ids == told.cluster_ids and u.cluster_counts == (3, 1, 1)
    assert u.order == told.order and u.graph_measures == told.graph_measures
    assert all(map(math.isnan, u.cluster_probabilities)) and len(u.cluster_probabilities) == 3
    assert all(map(math.isnan, u.log_likelihoods))
    assert u.cluster_names == ("Yes", "No", "Perhaps")
    assert len(u.caveats) == 1 and "does not report the log-probabilities" in u.caveats[0]


def test_one_untold_answer_is_enough():
    u = uncertainty_of([answer("Yes", -3.0), untold("No"), answer("")], "", FirstWord())
    assert not u.has_likelihoods and math.isnan(u.semantic_entropy) and len(u.caveats) == 1
    assert u.discrete_semantic_entropy == pytest.approx(math.log(3))


def test_untold_results_round_trip():
    u = uncertainty_of([untold(text) for text in TEXTS], "Is it?", FirstWord())
    again = Uncertainty.from_dict(json.loads(json.dumps(u.to_dict())))
    assert again == u and hash(again) == hash(u) and again.caveats == u.caveats
    assert pickle.loads(pickle.dumps(u)) == u
    record = u.to_dict()
    assert record["semantic_entropy"] == "nan" and record["intervals"]["predictive_entropy"] == ["nan", "nan"]
    assert u != measured()


def test_nan_of_a_model_that_tells_is_an_error():
    with pytest.raises(InputError, match="NaN"):
        uncertainty_of([answer("Yes", math.nan)], "", FirstWord())


# --------------------------------------------------------------------- order, graph measures, question or not
class Random:
    """Relations at random, the same for the same number of answers."""

    name = "random"

    def probabilities(self, question, answers):
        n = len(answers)
        p = np.random.default_rng(n).dirichlet([0.3, 0.3, 0.6], (n, n))
        p[range(n), range(n)] = (0, 0, 1)
        return p


@pytest.mark.parametrize("strict", [True, False])
def test_order_dependence_and_graph_measures_are_kept(strict):
    answers = [answer(f"Answer {k}", -1.0) for k in range(8)]
    u = uncertainty_of(answers, "", Random(), strict=strict, seed=4, permutations=50)
    p = Random().probabilities("", answers)
    assert u.order == order_dependence(p, strict, permutations=50, seed=4) and u.order.permutations == 50
    lexical = lexical_similarity([a.text for a in answers])
    assert u.graph_measures == graph_measures(p) | {"lexical_similarity": lexical} and lexical == 0.5
    assert set(u.graph_measures) == set(WITHOUT_CLUSTERS)
    assert u.order.changed > 0
    (caveat,) = [text for text in u.caveats if "order" in text]
    assert f"{u.order.changed:.0%} of other orders give other clusters" in caveat
    assert f"from {u.order.entropy_low:.2f} to {u.order.entropy_high:.2f}" in caveat
    assert Uncertainty.from_dict(json.loads(json.dumps(u.to_dict()))) == u


def test_little_order_dependence_is_no_caveat():
    values = {f.name: getattr(measured(), f.name) for f in dataclasses.fields(Uncertainty)}
    for changed, notes in ((0.0, 0), (0.01, 1)):
        order = OrderDependence(changed, 0.01, 0.5, 0.9, 200, False)
        assert len(Uncertainty(**values | {"order": order}).caveats) == notes


def test_records_of_before_still_load():
    new = ("likelihood", "prepend_question", "order", "graph_measures")
    record = {k: v for k, v in measured().to_dict().items() if k not in new}
    old = Uncertainty.from_dict(record)
    assert old.likelihood == "raw" and old.prepend_question and old.order is None and old.graph_measures == {}
    assert old.semantic_entropy == measured().semantic_entropy and old.caveats == ()
    assert Uncertainty.from_dict(old.to_dict()) == old


class Asked(FirstWord):
    def probabilities(self, question, answers):
        self.question = question
        return super().probabilities(question, answers)


def test_the_question_is_prepended_or_not():
    judge = Asked()
    u = uncertainty_of(ANSWERS, "Is it?", judge)
    assert judge.question == "Is it?" and u.prepend_question
    bare = uncertainty_of(ANSWERS, "Is it?", judge, prepend_question=False)
    assert judge.question == "" and not bare.prepend_question and bare.question == "Is it?"
    assert bare != u and Uncertainty.from_dict(bare.to_dict()) == bare


def test_bad_input():
    with pytest.raises(InputError, match="at least one sampled answer"):
        uncertainty_of([], "", FirstWord())
    record = measured().to_dict()
    with pytest.raises(InputError, match="one each is needed"):
        Uncertainty.from_dict(record | {"cluster_ids": [0]})
    with pytest.raises(InputError, match="interval is missing for: bayesian_semantic_entropy"):
        Uncertainty.from_dict(record | {"intervals": dict.fromkeys(NAMES[1:], (0, 1))})
