"""The view: every number the page draws, with its name, unit, interval and definition."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from made_trials import SameText, make_answer, make_trial

from isi_widget.report.style import SEGMENT_COLORS
from isi_widget.trial.measures.uncertainty_view import clusters_of
from isi_widget.uncertainty import uncertainty_of


def test_the_view_has_the_agreed_form(trial):
    view = trial.view()
    assert {
        "question", "context", "image_preset", "context_preset", "truth", "truth_holds", "operations",
        "model", "settings", "seconds", "code", "answer", "uncertainty", "attention",
    } <= set(view)  # fmt: skip
    assert set(view["answer"]) >= {"text", "correct", "tokens", "yes_no"}
    assert set(view["uncertainty"]) >= {"samples", "temperature", "entropies", "clusters"}
    assert {
        "segments", "absolute", "relative", "token_counts", "modality_dominance_index", "by_layer"
    } <= set(view["attention"])  # fmt: skip
    for entropy in view["uncertainty"]["entropies"]:
        assert set(entropy) == {
            "name",
            "label",
            "value",
            "low",
            "high",
            "maximum",
            "scale",
            "unit",
            "definition",
            "missing",
        }
    json.dumps(view, allow_nan=False)


def test_the_numbers_are_those_of_the_trial(trial):
    view = trial.view()
    assert {key: view["answer"][key] for key in view["answer"] if key not in ("missing", "reasoning")} == {
        "text": "Yes.",
        "correct": True,
        "mark": "right",
        "judged": "right",
        "finished": True,
        "tokens": [{"text": "t0", "logprob": -0.25}, {"text": "t1", "logprob": -0.75}],
        "yes_no": {"yes": 0.7, "no": 0.2, "rest": 0.1},
    }
    entropies = {entropy["name"]: entropy for entropy in view["uncertainty"]["entropies"]}
    # counts 2, 1, 1 of 4, equally likely
    expected = 0.5 * math.log(2) + 0.5 * math.log(4)
    assert entropies["semantic_entropy"]["value"] == pytest.approx(expected)
    assert entropies["discrete_semantic_entropy"]["value"] == pytest.approx(expected)
    assert entropies["predictive_entropy"]["value"] == pytest.approx(0.5)
    assert entropies["rao_quadratic_entropy"]["value"] == pytest.approx(
        10 / 12
    )  # of the 12 ordered pairs, 2 are equal
    for name, entropy in entropies.items():
        assert (entropy["low"], entropy["high"]) == trial.uncertainty.interval(name)
        assert entropy["label"] and entropy["definition"].endswith(".")
    assert entropies["semantic_entropy"]["maximum"] == pytest.approx(math.log(4))
    assert entropies["rao_quadratic_entropy"]["maximum"] == 1.0
    assert entropies["bayesian_semantic_entropy"]["maximum"] is None
    assert entropies["predictive_entropy"]["maximum"] is None
    attention = view["attention"]
    assert attention["absolute"] == pytest.approx(
        {"image": 0.4, "context": 0.1, "question": 0.3, "other": 0.2}
    )
    assert attention["relative"] == pytest.approx({"image": 0.5, "context": 0.125, "question": 0.375})
    assert attention["modality_dominance_index"] == pytest.approx((0.4 / 10) / (0.4 / 64))
    assert len(attention["by_layer"]) == 3 and attention["by_layer"][1]["image"] == pytest.approx(0.4)


def test_the_maxima_are_reached_when_every_answer_differs():
    uncertainty = make_trial(texts=tuple("abcde")).view()["uncertainty"]
    bounded = [entropy for entropy in uncertainty["entropies"] if entropy["maximum"] is not None]
    assert [entropy["value"] for entropy in bounded] == pytest.approx(
        [entropy["maximum"] for entropy in bounded]
    )


def test_clusters_are_sorted_by_size_with_every_answer_in_one():
    view = make_trial(texts=("b", "a", "a", "c", "a", "b")).view()["uncertainty"]
    assert [(c["name"], c["count"]) for c in view["clusters"]] == [("a", 3), ("b", 2), ("c", 1)]
    assert [c["share"] for c in view["clusters"]] == pytest.approx([3 / 6, 2 / 6, 1 / 6])
    assert sum(answer["count"] for c in view["clusters"] for answer in c["answers"]) == 6
    assert [c["id"] for c in view["clusters"]] == [1, 0, 2]  # ids are those of the record


def test_sampled_clusters_are_counted_whatever_their_likelihoods():
    answers = [make_answer("a", -0.1), make_answer("a", -0.1), make_answer("b", -5.0), make_answer("b", -5.0)]
    uncertainty = uncertainty_of(answers, "Which?", SameText(), seed=1)
    assert uncertainty.cluster_probabilities[0] > 0.9  # a weight of likelihood, not what "2 of 4" stands for
    found = [(c["name"], c["count"], c["share"], c["probability"]) for c in clusters_of(uncertainty)]
    assert found == [("a", 2, 0.5, None), ("b", 2, 0.5, None)]


def test_what_was_not_run_is_null(bare):
    view = bare.view()
    assert view["answer"] is None and view["uncertainty"] is None and view["attention"] is None
    assert view["question"] == "Is there a star?"


def test_numbers_that_json_does_not_have_are_null(trial):
    answer = dataclasses.replace(trial.answer, logprobs=(-math.inf, -0.75))
    uncertainty = dataclasses.replace(trial.uncertainty, predictive_entropy=math.inf)
    view = trial.with_results(answer=answer, uncertainty=uncertainty).view()
    assert view["answer"]["tokens"][0]["logprob"] is None
    assert view["uncertainty"]["entropies"][3]["value"] is None
    json.dumps(view, allow_nan=False)


def test_presets_and_operations_are_those_in_force(trial):
    shown = trial.stimulus.box(1, 2, 3, 4).with_context(preset="empty")
    view = dataclasses.replace(trial, stimulus=shown).view()
    assert (view["image_preset"], view["context_preset"], view["context"]) == ("natural", "empty", "")
    assert [operation["op"] for operation in view["operations"]] == ["box", "context"]


def test_the_colours_are_okabe_and_ito_s():
    assert SEGMENT_COLORS == {
        "image": "#0072B2",
        "context": "#D55E00",
        "question": "#009E73",
        "system": "#CC79A7",
        "history": "#E69F00",
        "other": "#999999",
    }


def test_without_likelihoods_nothing_is_shown_as_zero(silent):
    uncertainty = silent.view()["uncertainty"]
    json.dumps(uncertainty, allow_nan=False)
    assert [entropy["missing"] for entropy in uncertainty["entropies"]] == [
        "",
        "",
        "not available",
        "not available",
        "",
    ]
    clusters = [(c["name"], c["count"], c["probability"], c["share"]) for c in uncertainty["clusters"]]
    assert clusters == [("No.", 2, None, 0.5), ("Yes.", 1, None, 0.25), ("Maybe.", 1, None, 0.25)]
    assert f"bayesian_semantic_entropy={silent.uncertainty.bayesian_semantic_entropy:.3f}" in repr(silent)


def test_infinite_is_not_unknown(trial):
    uncertainty = dataclasses.replace(trial.uncertainty, predictive_entropy=math.inf)
    entropies = trial.with_results(uncertainty=uncertainty).view()["uncertainty"]["entropies"]
    assert [entropy["missing"] for entropy in entropies] == ["", "", "", "infinite", ""]


def test_a_definition_tells_the_interval_and_the_largest_value(trial, silent):
    leading, _, semantic, predictive, _ = trial.view()["uncertainty"]["entropies"]
    assert (
        "Interval: 95% credible" in leading["definition"] and "samples are counted" in leading["definition"]
    )
    assert "Interval: 95%, bootstrap" in semantic["definition"]
    assert semantic["definition"].endswith(f"Largest possible here: {math.log(4):.2f} nats.")
    assert predictive["definition"].endswith("Interval: 95%, bootstrap over the samples.")
    assert "Interval" not in silent.view()["uncertainty"]["entropies"][2]["definition"]
