"""The shipped averages: of the shipped weights, of the built-in scenes, and what running them gives."""

from __future__ import annotations

import importlib.resources

import numpy as np
import pytest

from isi_widget import datasets, run_trial
from isi_widget.study import METRICS, Averages, averages_for, for_trial
from isi_widget.study.beside import SHIPPED
from isi_widget.study.record import stimulus_id
from isi_widget.trial.settings import Settings
from isi_widget.vlm.fingerprint import fingerprint

REPEATED = (0, 17, 38, 66, 76)


@pytest.fixture(scope="module")
def shipped():
    return Averages.load(SHIPPED)


def test_it_is_part_of_the_package_and_small():
    file = importlib.resources.files("isi_widget.embedded") / "averages.json"
    assert file.is_file() and len(file.read_bytes()) < 24_000


def test_it_is_of_the_shipped_weights(shipped, vlm):
    assert shipped.model["fingerprint"] == fingerprint(vlm.model)
    assert averages_for(vlm) == shipped


def test_it_is_of_the_built_in_scenes_as_they_stand_with_the_default_settings(shipped):
    scenes = datasets.things()
    assert len(shipped) == len(scenes) == 100 and shipped.data == scenes.name
    assert [row.id for row in shipped.rows] == [obs.id for obs in scenes]
    assert [row.stimulus for row in shipped.rows] == [stimulus_id(obs.stimulus()) for obs in scenes]
    assert (shipped.settings, shipped.entailment, shipped.condition) == (Settings(), "embedded", "")
    assert shipped.notes == () and not any(row.cut for row in shipped.rows)


@pytest.mark.parametrize("index", REPEATED)
def test_running_an_observation_again_gives_the_shipped_numbers(shipped, vlm, index):
    trial = run_trial(vlm, datasets.things()[index].stimulus())
    row, frame = shipped.rows[index], trial.to_frame().iloc[0]
    for name in METRICS:
        if name == "answer_probability":
            expected = float(np.exp(trial.answer.log_likelihood))
        else:
            expected = float(frame[name])
        assert row.get(name) == pytest.approx(expected, rel=1e-3, abs=1e-4), name


def test_the_observations_run_again_are_not_all_alike(shipped):
    again = [shipped.rows[index] for index in REPEATED]
    assert len({row.predictive_entropy for row in again}) == len(REPEATED)
    assert max(row.semantic_entropy for row in again) > 0.1


def test_a_trial_of_the_embedded_model_is_told_where_it_stands(vlm, shipped):
    stimulus = datasets.things()[3].stimulus()
    hidden = stimulus.box(0, 0, stimulus.image.width, stimulus.image.height)
    told = for_trial(run_trial(vlm, hidden))
    assert told["predictive_entropy"]["mean"] == shipped.mean("predictive_entropy")
    assert "100 observations (things demo), 10 samples at temperature 0.9" in told["note"]
    assert "this trial" not in told["note"]
