"""Which averages belong beside a trial, and what they say: never those of another model, never unlike
settings.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_averages import INFO, MODEL, make_averages, make_row, make_silent_trial, make_trial
from scipy import stats

from isi_widget import load_vlm
from isi_widget.embedded import VLM as FOLDER
from isi_widget.interventions import HeadScale
from isi_widget.study import averages_for, for_trial, tell
from isi_widget.study.identity import identity
from isi_widget.trial.settings import Settings
from isi_widget.uncertainty import load_entailment
from isi_widget.uncertainty.bootstrap import NAMES
from isi_widget.uncertainty.record import WEIGHTED

ENTROPIES = NAMES
MEASURES = (*ENTROPIES, "clusters", "attention_absolute", "attention_relative")
SERVER = {
    "name": "served-model",
    "family": "OpenAI-compatible server",
    "server": "http://localhost:1/v1",
    "served": "served-model-2026",
    "fields": {},
    "extra_body": {},
    "fingerprint": "fp_1",
}


def told_of(trial, averages):
    return tell(averages, trial.view(), trial.uncertainty.entailment)


# ------------------------------------------------------------------------------------------------ which
def test_the_embedded_model_has_shipped_averages_and_no_other_model_has(vlm, tmp_path):
    shipped = averages_for(vlm)
    assert shipped is averages_for(vlm.info(), Settings(samples=3)) and shipped.data == "things demo"
    assert averages_for(load_vlm()) is shipped
    assert averages_for(load_vlm(dtype="bfloat16")) is None
    copy = shutil.copytree(FOLDER, tmp_path / "embedded")
    assert averages_for(load_vlm(copy)) is None
    assert averages_for(INFO) is averages_for(SERVER) is averages_for({}) is None


def test_a_model_with_interventions_has_averages_of_its_own_only(vlm):
    changed = vlm.intervene(HeadScale(1, 0, 0.0))
    assert averages_for(vlm) is not None and averages_for(changed) is None
    mine = make_averages(make_row(0.3), model=identity(changed.info())).use()
    assert averages_for(changed) is mine and averages_for(vlm) is not mine
    assert averages_for(vlm.intervene(HeadScale(1, 0, 0.5))) is None


def test_other_weights_under_the_embedded_models_name_have_none(vlm):
    other = {**vlm.info(), "fingerprint": "0123456789abcdef"}
    assert averages_for(other) is None
    old = {name: value for name, value in vlm.info().items() if name != "fingerprint"}
    assert averages_for(old) is averages_for({**old, "fingerprint": None}) is None


@pytest.mark.parametrize("name", list(MODEL))
def test_averages_in_use_are_of_the_same_model_in_every_respect(name):
    made = make_averages().use()
    assert averages_for(INFO) is made
    assert averages_for({**INFO, name: "another"}) is None
    assert averages_for({**INFO, "device": "cuda:0"}) is made  # where it runs makes no other model


def test_without_a_fingerprint_a_loaded_model_is_never_taken_for_the_same():
    unknown = {**MODEL, "fingerprint": None}
    make_averages(model=unknown).use()
    assert averages_for({**INFO, "fingerprint": None}) is None


def test_a_server_is_known_by_its_address_and_by_what_it_says_it_serves():
    made = make_averages(model={name: SERVER[name] for name in SERVER if name != "fingerprint"}).use()
    assert averages_for(SERVER) is averages_for({**SERVER, "fingerprint": "fp_2"}) is made
    for name in ("name", "server", "served"):
        assert averages_for({**SERVER, name: "another"}) is None


def test_those_in_use_come_first_and_can_be_taken_out_again(vlm):
    shipped = averages_for(vlm)
    mine = dataclasses.replace(shipped, data="mine")
    assert averages_for(vlm) is shipped  # nothing is in use before it is said
    assert mine.use() is mine and averages_for(vlm) is mine
    assert averages_for(vlm, Settings(samples=99)) is mine
    mine.use(False)
    mine.use(False)
    assert averages_for(vlm) is shipped


def test_of_several_in_use_the_settings_decide_then_the_latest():
    cold = make_averages(settings=Settings(samples=4, temperature=0.2)).use()
    warm = make_averages(settings=Settings(samples=4)).use()
    late = make_averages(settings=Settings(samples=4), data="late").use()
    assert averages_for(INFO, Settings(samples=4, temperature=0.2)) is cold
    assert averages_for(INFO, Settings(samples=4)) is late
    assert averages_for(INFO, Settings(samples=5, strict_entailment=True)) is late
    warm.use()
    assert averages_for(INFO, Settings(samples=4)) is warm


# ------------------------------------------------------------------------------------------ what they say
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(1, 4))
def test_means_and_percentiles_are_those_of_the_data_set(values, meanings):
    trial = make_trial(["Yes.", "No.", "Maybe.", "Red."][:meanings] + ["Red."] * (4 - meanings))
    rows = (make_row(value / 2, i, clusters=float(value)) for i, value in enumerate(values))
    told = told_of(trial, make_averages(*rows))
    assert told["clusters"]["mean"] == pytest.approx(np.mean(values))
    expected = stats.percentileofscore(values, trial.uncertainty.number_of_clusters, kind="mean")
    assert told["clusters"]["percentile"] == pytest.approx(expected)
    shown = trial.uncertainty.semantic_entropy  # 0, or ln 2 and such, which is no half
    below = sum(value / 2 < shown - 1e-9 for value in values) + sum(
        value / 2 <= shown + 1e-9 for value in values
    )
    assert told["semantic_entropy"]["percentile"] == pytest.approx(50 * below / len(values))


def test_what_is_told_is_json_with_every_key():
    told = told_of(make_trial(), make_averages())
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert set(told) == {*MEASURES, "note"}
    for name in (*ENTROPIES, "clusters"):
        assert set(told[name]) == {"mean", "percentile"} and 0 <= told[name]["percentile"] <= 100
    assert told["semantic_entropy"] == {"mean": 0.375, "percentile": 100.0}
    assert told["attention_absolute"] == {"image": 0.4, "context": 0.1, "question": 0.3, "other": 0.2}
    assert told["attention_relative"] == pytest.approx({"image": 0.5, "context": 0.125, "question": 0.375})
    assert told["note"] == "Averages of 4 observations (shapes), 4 samples at temperature 0.9, 2026-01-02."


SAMPLED = {*ENTROPIES, "clusters"}
ATTENTION = {"attention_absolute", "attention_relative"}
MEANT = SAMPLED - {"predictive_entropy"}


@pytest.mark.parametrize(
    ("settings", "lost", "note"),
    [
        ({"samples": 5}, MEANT, "samples 4 (not 5)"),
        ({"temperature": 0.5}, SAMPLED, "temperature 0.9 (not 0.5)"),
        ({"top_k": 3}, SAMPLED, "top_k 0 (not 3)"),
        ({"top_p": 0.5}, SAMPLED, "top_p 1.0 (not 0.5)"),
        ({"strict_entailment": True}, MEANT, "strict_entailment False (not True)"),
        ({"prepend_question": False}, MEANT, "prepend_question True (not False)"),
        ({"likelihood": "sampled"}, set(WEIGHTED), "likelihood raw"),
        ({"method": "enumerated"}, SAMPLED, "method sampled (not enumerated)"),
        ({"num_beams": 2}, ATTENTION, "num_beams 1 (not 2)"),
        ({"do_sample": True}, ATTENTION, "do_sample False (not True)"),
        ({"max_new_tokens": 3}, set(), "max_new_tokens 64 (not 3), which changes no average"),
        ({"seed": 5}, set(), None),
        (
            {"samples": 5, "strict_entailment": True},
            MEANT,
            "samples 4 (not 5), strict_entailment False (not True): what",
        ),
    ],
)
def test_unlike_settings_are_said_and_what_depends_on_them_is_not_compared(settings, lost, note):
    made = make_averages(settings=Settings(**{"samples": 4, **settings}))
    told = told_of(make_trial(), made)
    assert {name for name in MEASURES if told[name] is None} == lost
    if note is None:
        assert "this trial" not in told["note"]
    else:
        assert f"; this trial has {note}" in told["note"]
        assert ("not compared" in told["note"]) == bool(lost)
    assert told["note"].endswith(".") and told["note"].count(". ") == 0  # one sentence


def test_another_entailment_model_is_said():
    told = tell(make_averages(), make_trial().view(), "embedded")
    assert {name for name in MEASURES if told[name] is None} == MEANT
    assert "entailment embedded (not same text)" in told["note"]
    assert tell(make_averages(), make_trial().view()) == told_of(make_trial(), make_averages())


@pytest.mark.parametrize(
    ("tokens", "cut", "limit", "alike"),
    [
        (6, 0, 64, True),
        (6, 0, 7, True),
        (6, 0, 6, True),
        (6, 0, 5, False),
        (64, 1, 65, False),
        (64, 1, 64, True),
    ],
)
def test_a_limit_of_tokens_that_cut_nothing_makes_no_difference(tokens, cut, limit, alike):
    made = make_averages(make_row(0.5, tokens=2), make_row(0.5, tokens=tokens, cut=cut))
    told = told_of(make_trial(max_new_tokens=limit), made)
    assert all((told[name] is not None) == alike for name in MEASURES)
    assert ("not compared" in told["note"]) != alike


def test_a_context_that_no_observation_had_is_said():
    plain = make_averages(make_row(attention_context=0.0))
    assert told_of(make_trial(), plain)["note"].endswith(
        "; this trial has a context, no observation there has one."
    )
    bare = make_trial().with_results(attention=None)
    assert "context" not in told_of(bare, plain)["note"]


def test_a_condition_is_named():
    assert "(shapes under 'covered')" in told_of(make_trial(), make_averages(condition="covered"))["note"]


def test_what_a_trial_or_a_data_set_lacks_is_none():
    silent = told_of(make_silent_trial(), make_averages())
    none = {name for name in MEASURES if silent[name] is None}
    assert none == {*WEIGHTED, *ATTENTION}
    answered = make_trial().with_results(uncertainty=None)
    told = tell(make_averages(), answered.view())
    assert {name for name in MEASURES if told[name] is None} == SAMPLED
    empty = make_averages(make_row(math.nan, attention_image=math.nan, clusters=math.nan))
    told = told_of(make_trial(), empty)
    assert told["semantic_entropy"] is told["clusters"] is told["attention_absolute"] is None
    assert told["predictive_entropy"] is not None


def test_infinite_values_stand_above_all_finite_ones():
    trial = make_trial()
    endless = dataclasses.replace(trial.uncertainty, predictive_entropy=math.inf)
    told = told_of(trial.with_results(uncertainty=endless), make_averages())
    assert told["predictive_entropy"] == {"mean": 0.75, "percentile": 100.0}
    made = make_averages(make_row(predictive_entropy=math.inf), make_row())
    told = told_of(trial, made)
    assert told["predictive_entropy"] is None  # JSON has no infinite mean
    json.dumps(told, allow_nan=False)


def test_a_trial_finds_the_averages_of_its_model_by_itself():
    trial = make_trial()
    assert for_trial(trial) is None
    made = make_averages().use()
    assert for_trial(trial) == for_trial(trial, trial.view()) == told_of(trial, made)
    assert for_trial(make_trial(model={**INFO, "fingerprint": "0" * 16})) is None
    judged = make_trial(entailment=load_entailment())
    assert "entailment embedded (not same text)" in for_trial(judged)["note"]
    assert for_trial(trial.with_results(uncertainty=None))["attention_absolute"] is not None
