"""The record of a trial: nothing is lost on the way through JSON, pickle, a frame or code."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import isi_widget as isi
from isi_widget.answer import Answer
from isi_widget.attribution import AttentionShares
from isi_widget.errors import InputError
from isi_widget.stimulus import Stimulus
from isi_widget.trial import Settings, Trial, run_trial

numbers = st.floats(allow_nan=False, max_value=0.0)  # log-probabilities, minus infinity among them
answers = st.lists(st.tuples(st.integers(0, 10**6), st.text(), numbers), max_size=5).flatmap(
    lambda rows: st.builds(
        Answer,
        text=st.text(),
        token_ids=st.just(tuple(row[0] for row in rows)),
        tokens=st.just(tuple(row[1] for row in rows)),
        logprobs=st.just(tuple(row[2] for row in rows)),
        prompt_ids=st.lists(st.integers(0, 9)).map(tuple),
        finished=st.booleans(),
    )
)


@st.composite
def attentions(draw):
    shape = (draw(st.integers(1, 3)), 2, 2, 4)
    raw = np.random.default_rng(draw(st.integers(0, 99))).random(shape, dtype=np.float32) + 1e-3
    mass = raw / raw.sum(axis=-1, keepdims=True)
    counts = dict.fromkeys(("image", "context", "question", "other"), draw(st.integers(0, 999)))
    return AttentionShares(mass, counts, tuple("abc"[: shape[0]]))


@st.composite
def trials(draw):
    shown = Stimulus(np.zeros((4, 5, 3), np.uint8), draw(st.text(min_size=1)), draw(st.text()))
    shown = shown.box(0, 0, draw(st.floats(0.5, 3)), 1).noise(
        draw(st.floats(0, 1)), seed=draw(st.integers(0, 99))
    )
    return Trial(
        shown,
        {
            "answer": draw(st.none() | answers),
            "attention": draw(st.none() | attentions()),
            "yes_no": draw(st.none() | st.just({"yes": 0.1, "no": 0.2, "rest": 0.7})),
        },
        {"name": draw(st.text()), "parameters": draw(st.integers(0)), "revision": None},
        Settings(seed=draw(st.integers(0, 2**63 - 1)), temperature=draw(st.floats(1e-3, 9))),
        {"total": draw(st.floats(0, 1e3))},
        {"python": "3.11"},
        "2026-01-01T00:00:00.000+00:00",
    )


def json_round_trip(trial):
    return Trial.from_dict(json.loads(json.dumps(trial.to_dict(), allow_nan=False)))


@settings(max_examples=60)
@given(trials())
def test_nothing_is_lost_through_json_and_pickle(trial):
    for again in (json_round_trip(trial), pickle.loads(pickle.dumps(trial))):
        assert again == trial and hash(again) == hash(trial)
        for field in dataclasses.fields(Trial):  # equal field by field, not only by our own equality
            assert getattr(again, field.name) == getattr(trial, field.name), field.name
        assert json.dumps(again.view(), allow_nan=False) == json.dumps(trial.view(), allow_nan=False)


def test_a_real_trial_comes_back_field_by_field(trial):
    again = json_round_trip(trial)
    for field in dataclasses.fields(Trial):
        assert getattr(again, field.name) == getattr(trial, field.name), field.name
    np.testing.assert_array_equal(again.attention.mass, trial.attention.mass)
    np.testing.assert_array_equal(again.stimulus.render(), trial.stimulus.render())


def test_infinities_survive(trial):
    answer = dataclasses.replace(trial.answer, logprobs=(-math.inf,) * len(trial.answer.logprobs))
    entropies = dataclasses.replace(trial.uncertainty, predictive_entropy=math.inf)
    extreme = trial.with_results(answer=answer, uncertainty=entropies)
    again = json_round_trip(extreme)
    assert again.answer.logprobs == answer.logprobs
    assert again.uncertainty.predictive_entropy == math.inf
    json.dumps(again.view(), allow_nan=False)
    assert "infinite" in again._repr_html_()


def test_a_trial_cannot_be_changed_and_is_equal_by_content(trial):
    with pytest.raises(dataclasses.FrozenInstanceError):
        trial.created = "now"
    other = dataclasses.replace(trial, settings=Settings(seed=99))
    assert trial != other and trial != "a trial" and len({trial, json_round_trip(trial), other}) == 2


@pytest.mark.parametrize("record", [{}, {"schema": 99}, {"schema": "1"}])
def test_a_record_of_another_kind_is_refused(record):
    with pytest.raises(InputError, match="not a trial of schema 2"):
        Trial.from_dict(record)


def test_the_frame_has_one_row_with_the_numbers_of_the_trial(trial):
    frame = trial.to_frame()
    assert len(frame) == 1
    row = frame.iloc[0]
    assert row["answer"] == trial.answer.text and row["correct"] == trial.correct
    assert row["semantic_entropy"] == trial.uncertainty.semantic_entropy
    assert (row["semantic_entropy_low"], row["semantic_entropy_high"]) == trial.uncertainty.interval(
        "semantic_entropy"
    )
    assert row["clusters"] == trial.uncertainty.number_of_clusters
    shares = row[["attention_image", "attention_context", "attention_question", "attention_other"]]
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    relative = row[["attention_relative_image", "attention_relative_context", "attention_relative_question"]]
    assert sum(relative) == pytest.approx(1)
    assert row["p_yes"] + row["p_no"] + row["p_rest"] == pytest.approx(1)
    assert json.loads(row["operations"])[0]["op"] == "box"
    assert (row["samples"], row["seed"], row["model"]) == (12, 5, "embedded")
    assert all(name == name.lower() and " " not in name for name in frame.columns)


def test_a_frame_of_what_was_not_run_has_the_same_columns(trial):
    bare = trial.with_results(answer=None, uncertainty=None, attention=None, yes_no=None)
    assert list(bare.to_frame().columns) == list(trial.to_frame().columns)
    assert bare.to_frame().iloc[0][["answer", "semantic_entropy", "attention_image", "p_yes"]].isna().all()


def test_repr_is_one_line_with_the_findings(trial):
    text = repr(trial)
    assert "\n" not in text and repr(trial.answer.text) in text and "semantic_entropy=" in text


# ---- code
def run_code(trial, folder, monkeypatch, observation=None):
    """Write the files that the code's comments ask for, then run the code; returns the new trial."""
    monkeypatch.chdir(folder)
    code = trial.code(observation)
    for line in code.splitlines():
        if line.startswith("# ") and "writes" in line:
            exec(line[2:].split(" writes")[0], {"trial": trial, "Path": __import__("pathlib").Path})
    ast.parse(code)
    space = {}
    exec(code, space)
    return space["trial"]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s,
        lambda s: s.box(1, 2, 3, 4, color="red").noise(0.2, seed=3).text(5, 6, 'it\'s "it"'),
        lambda s: s.with_context(preset="contradictory").arrow((1, 1), (30, 30)),
        lambda s: s.with_context("line\nbreak 'quote'").with_question("Why? \\ 漢"),
        lambda s: s.with_image(preset="annotated"),
        lambda s: s.with_image(Image.new("RGB", (20, 30), "teal")).ellipse(1, 1, 9, 9, fill=False),
        lambda s: s.with_image(preset="random", seed=4).with_context(preset="random", seed=2),
    ],
)
def test_the_code_repeats_the_trial(vlm, change, tmp_path, monkeypatch):
    shown = change(isi.datasets.scenes()[3].stimulus())
    trial = run_trial(vlm, shown, measures=("answer", "attention"), max_new_tokens=3, seed=2)
    again = run_code(trial, tmp_path, monkeypatch)
    assert again.stimulus.key == trial.stimulus.key and again.stimulus.truth == trial.stimulus.truth
    assert again.answer.token_ids == trial.answer.token_ids
    assert again.settings == trial.settings
    np.testing.assert_allclose(again.attention.mass, trial.attention.mass, atol=1e-5)


def test_the_code_with_an_observation_needs_no_file(vlm, tmp_path, monkeypatch):
    shown = isi.datasets.scenes()[3].stimulus().with_image(preset="random", seed=4).box(1, 1, 20, 20)
    trial = run_trial(vlm, shown, measures="answer", max_new_tokens=2)
    again = run_code(trial, tmp_path, monkeypatch, "isi.datasets.scenes()[3]")
    assert again.stimulus == trial.stimulus and list(tmp_path.iterdir()) == []


def test_the_code_names_another_model_with_all_that_matters(trial):
    other = dataclasses.replace(
        trial,
        model={
            **trial.model,
            "name": "llava-hf/a",
            "quantization": "nf4",
            "revision": "abc",
            "dtype": "bfloat16",
        },
    )
    assert "isi.load_vlm('llava-hf/a', quantization='nf4', revision='abc', dtype='bfloat16')" in other.code()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        # nf4 with dtype="auto" on a CPU computes in bfloat16: naming float32 would be another computation
        ({"quantization": "nf4", "compute_dtype": "bfloat16"}, "isi.load_vlm('a', quantization='nf4')"),
        (
            {"quantization": "nf4", "compute_dtype": "float32"},
            "isi.load_vlm('a', quantization='nf4', dtype='float32')",
        ),
        (
            {"quantization": "int8", "compute_dtype": "int8", "loaded_with": {"quantize_vision": True}},
            "isi.load_vlm('a', quantization='int8', dtype='float32', quantize_vision=True)",
        ),
        ({"name": "embedded"}, "isi.load_vlm()"),
        ({"name": "embedded", "dtype": "bfloat16"}, "isi.load_vlm(dtype='bfloat16')"),
        (
            {"name": "embedded", "device": "cuda:0", "dtype": "float32"},
            "isi.load_vlm(device='cuda:0')",
        ),
    ],
)
def test_the_code_loads_the_model_that_computed(trial, change, line):
    model = {"name": "a", "device": "cpu", "dtype": "float32", "loaded_with": {}} | change
    assert f"vlm = {line}" in dataclasses.replace(trial, model=model).code().splitlines()


def test_the_switches_of_loading_are_in_the_record(vlm, monkeypatch):
    assert vlm.info()["loaded_with"] == {}
    monkeypatch.setattr(vlm, "loaded_with", {"name": "a", "quantize_vision": True, "allow_pickle": False})
    assert vlm.info()["loaded_with"] == {"quantize_vision": True}


def test_the_code_does_not_claim_to_load_what_was_made_by_hand(trial):
    model = {"name": "mine", "loaded_with": None}
    code = dataclasses.replace(trial, model=model).code()
    assert "load_vlm(" not in code.replace("not by isi.load_vlm()", "") and "'mine'" in code
    ast.parse(code)


def test_the_code_names_the_entailment_model(trial):
    other = dataclasses.replace(trial.uncertainty, entailment="microsoft/deberta")
    assert "entailment='microsoft/deberta'" in trial.with_results(uncertainty=other).code()
    ours = dataclasses.replace(trial.uncertainty, entailment="embedded")
    assert "entailment" not in trial.with_results(uncertainty=ours).code()


# ---- records that are none
def test_an_older_record_is_read_and_a_newer_or_broken_one_refused(trial):
    record = trial.to_dict()
    results = {name: record["results"].get(name) for name in ("answer", "uncertainty", "attention")}
    old = {name: value for name, value in record.items() if name not in ("notes", "results", "versions")}
    old |= {"schema": 1, **results}
    old["settings"] = {
        name: value
        for name, value in record["settings"].items()
        if name not in ("likelihood", "prepend_question")
    }
    read = Trial.from_dict(old)
    assert (read.notes, read.yes_no, read.settings) == ((), None, trial.settings)
    assert read.answer == trial.answer and read.uncertainty == trial.uncertainty
    assert Trial.from_dict({**old, "yes_no": record["results"]["yes_no"]}).results == trial.results
    with pytest.raises(InputError, match=r"not known here: shadow.*upgrade"):
        Trial.from_dict({**record, "shadow": 1})
    with pytest.raises(InputError, match=r"settings.*not known here: shadow.*upgrade"):
        Trial.from_dict({**record, "settings": {**record["settings"], "shadow": 1}})
    with pytest.raises(InputError, match="lacks answer"):
        Trial.from_dict({"schema": 1})
    with pytest.raises(InputError, match="lacks stimulus, results"):
        Trial.from_dict({"schema": 2})
    with pytest.raises(InputError, match="got schema None"):
        Trial.from_dict({})
    with pytest.raises(InputError, match="must be a dict made by"):
        Trial.from_dict("trial")
