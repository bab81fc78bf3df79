"""Conditions side by side: same settings for all, honest labels, differences marked and nothing else."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from made_trials import SameText, make_silent_trial, make_trial

import isi_widget as isi
import isi_widget.study.compare as compare_module
from isi_widget.errors import Cancelled, InputError
from isi_widget.stimulus.labels import label_of, labels_of
from isi_widget.study.compare import Comparison, compare
from isi_widget.trial import run_trial


@pytest.fixture(scope="module")
def plain():
    return isi.datasets.scenes()[3].stimulus()


QUICK = {"samples": 3, "max_new_tokens": 4, "entailment": SameText()}


def test_each_trial_is_the_one_that_run_trial_gives(vlm, plain):
    conditions = [plain, plain.noise(0.3), plain.with_context(preset="contradictory")]
    together = compare(conditions, vlm, seed=3, **QUICK)
    assert together.labels == ("original", "noise 0.3", "context: contradictory")
    for shown, trial in zip(conditions, together.trials, strict=True):
        alone = run_trial(vlm, shown, seed=3, **QUICK)
        assert trial.stimulus == shown and trial.settings == alone.settings
        assert trial.answer.token_ids == alone.answer.token_ids
        assert [a.token_ids for a in trial.uncertainty.answers] == [
            a.token_ids for a in alone.uncertainty.answers
        ]
        np.testing.assert_allclose(trial.attention.mass, alone.attention.mass, atol=1e-5)


def test_labels_may_be_given(vlm, plain):
    quick = {"measures": "answer", "max_new_tokens": 1}
    assert compare({"a": plain, "b": plain.box(1, 1, 9, 9)}, vlm, **quick).labels == ("a", "b")
    assert compare([plain, plain], vlm, labels=["a", "b"], **quick).labels == ("a", "b")
    assert compare((s for s in [plain, plain]), vlm, **quick).labels == ("original", "original (2)")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, vlm: compare([], vlm), "at least one Stimulus; got an empty list"),
        (lambda s, vlm: compare(s, vlm), "compare needs several stimuli"),
        (lambda s, vlm: compare(vlm, [s]), "compare needs stimuli, then the model"),
        (lambda s, vlm: compare([s, "b"], vlm), "got str"),
        (lambda s, vlm: compare([s, s], vlm, labels=["a"]), "one label per stimulus"),
        (lambda s, vlm: compare([s, s], vlm, labels=["a", "a"]), "all different"),
        (lambda s, vlm: compare({"a": s}, vlm, labels=["b"]), "labels twice"),
        (lambda s, vlm: compare([s, s], vlm, samples=0), "samples must be"),
    ],
)
def test_bad_input_is_one_clear_error(vlm, plain, call, message):
    with pytest.raises(InputError, match=message):
        call(plain, vlm)


def test_progress_names_the_condition_and_cancel_stops_all(vlm, plain):
    told = []
    compare(
        [plain, plain.box(1, 1, 9, 9)],
        vlm,
        measures="answer",
        max_new_tokens=2,
        progress=lambda *s: told.append(s),
    )
    assert {stage for stage, _, _ in told} == {
        "original: prompt",
        "original: answer",
        "box: prompt",
        "box: answer",
    }
    with pytest.raises(Cancelled):
        compare([plain, plain], vlm, cancel=lambda: True)


@pytest.mark.parametrize(
    ("change", "label"),
    [
        (lambda s: s, "original"),
        (lambda s: s.box(1, 2, 3, 4), "box"),
        (lambda s: s.box(1, 2, 3, 4).box(5, 6, 7, 8), "2 x box"),
        (lambda s: s.noise(0.3), "noise 0.3"),
        (lambda s: s.noise(0.3, region=(0, 0, 9, 9)), "noise 0.3 in a region"),
        (lambda s: s.with_context(preset="contradictory"), "context: contradictory"),
        (lambda s: s.with_context(preset="contradictory").with_context(preset="empty"), "context: empty"),
        (lambda s: s.with_image(preset="annotated").noise(0.1), "image: annotated + noise 0.1"),
        (lambda s: s.with_image(preset="annotated").with_image(preset="natural"), "original"),
        (
            lambda s: s.arrow((0, 0), (9, 9)).line((0, 0), (9, 9)).ellipse(1, 1, 5, 5),
            "arrow + line + ellipse",
        ),
        (lambda s: s.text(1, 1, "cat"), "text “cat”"),
        (lambda s: s.with_context("own\n words"), "context: “own words”"),
        (
            lambda s: s.with_question("A question that is far too long for a label?"),
            "question: “A question that is far…”",
        ),
    ],
)
def test_labels_say_what_is_in_force(plain, change, label):
    assert label_of(change(plain)) == label


def test_labels_are_all_different(plain):
    assert labels_of([plain, plain, plain.box(1, 1, 2, 2), plain]) == [
        "original",
        "original (2)",
        "box",
        "original (3)",
    ]


def test_frame_and_record(trial, bare):
    together = Comparison((trial, bare), ("a", "b"))
    frame = together.to_frame()
    assert list(frame["condition"]) == ["a", "b"] and frame.columns[0] == "condition"
    assert frame["semantic_entropy"][0] == trial.uncertainty.semantic_entropy
    assert np.isnan(frame["semantic_entropy"][1])
    again = Comparison.from_dict(json.loads(json.dumps(together.to_dict(), allow_nan=False)))
    assert again == together and len(again) == 2
    assert again["b"] == bare and again[0] == trial
    with pytest.raises(KeyError, match="the conditions are: a, b"):
        again["c"]
    with pytest.raises(InputError, match="one label per trial"):
        Comparison((trial,), ("a", "b"))


def marks(comparison):
    return re.findall(r"<mark[^>]*>(.*?)</mark>", comparison._repr_html_())


def test_what_is_equal_is_not_marked(trial):
    assert marks(Comparison((trial, make_trial()), ("a", "b"))) == []


def test_what_differs_from_the_first_is_marked(trial):
    other = make_trial(texts=("No.", "No.", "No.", "No."), context="A star.", shift=0.04)
    assert marks(Comparison((trial, other), ("a", "b"))) == ["A star.", "No."]
    far = make_trial(shift=0.045)  # relative shares move by .056: image and context, not the question
    assert marks(Comparison((trial, far), ("a", "b"))) == ["image 0.44", "context 0.18"]


def test_an_entropy_is_marked_only_if_its_interval_lies_apart(trial):
    def with_interval(low, high):
        intervals = {**trial.uncertainty.intervals, "semantic_entropy": (low, high)}
        uncertainty = dataclasses.replace(
            trial.uncertainty, intervals=intervals, semantic_entropy=(low + high) / 2
        )
        return trial.with_results(uncertainty=uncertainty)

    first = with_interval(0.2, 0.4)
    assert marks(Comparison((first, with_interval(0.3, 0.5)), ("a", "b"))) == []
    assert marks(Comparison((first, with_interval(0.41, 0.51)), ("a", "b"))) == ["0.46"]
    assert marks(Comparison((first, with_interval(0.1, 0.19)), ("a", "b"))) == ["0.15"]


def test_repr_has_one_line_per_condition(trial):
    lines = repr(Comparison((trial, trial), ("a", "b"))).splitlines()
    assert [line.strip()[:2] for line in lines[1:-1]] == ["a:", "b:"]


def test_the_caption_says_how_the_entropies_were_sampled_and_only_what_holds_for_all():
    same = Comparison((make_trial(), make_trial()), ("a", "b"))._repr_html_()
    assert "Same settings and seed (7) for all, model embedded." in same
    assert "4 samples at temperature 0.9; in brackets 95% intervals." in same
    assert ">model<" not in same
    silent = dataclasses.replace(make_silent_trial(), model={"name": "remote"})
    other = Comparison((make_trial(), silent), ("a", "b"))._repr_html_()
    assert "Same settings" not in other and "Not all have the same model and settings." in other
    assert ">model<" in other and ">remote<" in other
    assert "Not available: attention. A server shows only text." in other


def test_a_condition_that_cannot_be_run_is_skipped_if_one_says_so(trial, monkeypatch):
    def run_one(vlm, stimulus, **settings):
        if stimulus.operations:
            raise InputError("The prompt is <too> long.")
        return trial

    monkeypatch.setattr(compare_module, "run_trial", run_one)
    bad = trial.stimulus.noise(0.3)
    plain = trial.stimulus.with_operations([])
    with pytest.raises(InputError, match="too> long") as caught:
        compare({"a": plain, "b": bad}, None)
    assert caught.value.__notes__ == ["at the condition 'b'"]
    with pytest.warns(UserWarning, match="1 of 2 conditions skipped"):
        made = compare({"b": bad, "a": plain}, None, on_error="skip")
    assert made.labels == ("a",) and made.skipped == (("b", "The prompt is <too> long."),)
    assert "Skipped: b. The prompt is &lt;too&gt; long." in made._repr_html_() and "skipped" in repr(made)
    assert Comparison.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    with pytest.raises(InputError, match="None of 1 condition could"):
        compare([bad], None, on_error="skip")
    with pytest.raises(InputError, match="on_error must be one of"):
        compare([plain], None, on_error="ignore")
