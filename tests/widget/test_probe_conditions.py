"""Trials of a probe become conditions: the same input for their observation, and one that fits others."""

from __future__ import annotations

import numpy as np
import pytest
from fake_page import Page
from stub_vlm import StubVLM

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.study.code import conditions_code
from isi_widget.study.drawn import condition_of

DATA = isi.datasets.scenes()
OTHER = DATA[7].image


def every(obs: isi.Observation) -> isi.Stimulus:
    """A stimulus with each kind of operation."""
    width, height = obs.image.size
    mask = np.zeros((height, width), dtype=bool)
    mask[20:60, 30:90] = True
    region = isi.Mask.from_array(mask)
    s = obs.stimulus().box(10, 10, 50, 40, color="red", fill=False, angle=20).ellipse(5, 5, 30, 30)
    s = s.polygon([(1, 1), (40, 5), (20, 60)], fill=False).line((0, 0), (9, 9), width=4)
    s = s.arrow((5, 5), (60, 60), label="here").text(3, 4, "cat", size=30)
    s = s.noise(0.3, seed=4, region=region).blur(3).pixelate(4, region=(0, 0, 50, 50)).downscale(90).jpeg(20)
    s = s.erase((5, 5, 20, 20), fill="inpaint").patch((0, 0, 20, 20), 50, 60, width=30, image=OTHER)
    s = s.remove(region).insert(OTHER, (4, 5, 30, 30), source=(0, 0, 60, 60)).recolor(region, "blue")
    s = s.retexture((50, 50, 40, 40), OTHER).resize((20, 20, 40, 40), 0.5).move((20, 20, 30, 30), (60, 70))
    s = s.swap((5, 5, 20, 20), (80, 80, 20, 20)).mirror((30, 30, 40, 20), "vertical").mirror()
    return s.with_context("A text.").with_question("Is there a circle?")


def test_every_operation_becomes_a_step():
    s = every(DATA[0])
    made = condition_of(s, "all")
    assert made(DATA[0]) == s
    assert made(DATA[0]).render().tobytes() == s.render().tobytes()
    place = {"isi": isi, "pictures": made.pictures}
    assert eval(made.code(), place) == made
    assert isi.Condition.from_dict(made.to_dict(), made.pictures) == made
    used = {operation.op for operation in s.operations}
    assert used >= set(isi.stimulus.operations.OPERATIONS) - {"image", "context", "question"}


def test_presets_and_pictures_are_those_of_each_observation():
    s = DATA[3].stimulus().with_image(preset="annotated").with_context(preset="contradictory")
    made = condition_of(s, "a")
    assert made(DATA[5]) == DATA[5].stimulus().with_image(preset="annotated").with_context(
        preset="contradictory"
    )
    own = condition_of(DATA[3].stimulus().with_image(OTHER), "b")
    assert own(DATA[5]).current_image == OTHER
    painted = condition_of(DATA[3].stimulus().remove((10, 10, 60, 60)), "c")
    assert painted(DATA[5]) == DATA[5].stimulus().remove((10, 10, 60, 60))
    hidden = DATA[3].stimulus().box(0, 0, 5, 5)
    hidden = hidden.with_operations([{**hidden.operations[0].to_dict(), "hidden": True}])
    assert condition_of(hidden, "d").changes_nothing


def test_pinned_trials_are_conditions():
    probe = isi.Probe(StubVLM(), DATA[0])
    with pytest.raises(InputError, match="no trial"):
        probe.conditions()
    probe.run("answer")
    probe.stimulus = probe.stimulus.noise(0.3)
    probe.run("answer")
    probe.stimulus = probe.stimulus.with_context(preset="contradictory")
    probe.run("answer")
    probe.note(2, "only\nnoise")
    first, noise, both = probe.conditions()
    assert (first.name, noise.name, both.name) == ("trial 1", "only noise", "trial 3")
    assert first.changes_nothing and len(both.steps) == 2
    probe.pinned = [3, 1]
    assert [item.name for item in probe.conditions()] == ["trial 1", "trial 3"]
    assert [item.name for item in probe.conditions(2)] == ["only noise"]
    probe.note(1, "same")
    probe.note(3, "same")
    assert [item.name for item in probe.conditions()] == ["same (trial 1)", "same (trial 3)"]
    study = isi.run_study(probe.vlm, DATA[4:6], probe.conditions(), measures="answer")
    assert len(study) == 4 and study.baseline == "same (trial 1)" and not len(study.failed)
    probe.close()


def test_interventions_of_a_trial_come_with_it(vlm):
    probe = isi.Probe(vlm.intervene(isi.HeadScale(0, 0, 0.5)), DATA[0])
    probe.interventions = (isi.HeadScale(2, 0, 0.0),)
    probe.run("answer")
    (made,) = probe.conditions()
    assert made.interventions == (isi.HeadScale(2, 0, 0.0),)  # without those of the model itself
    probe.close()


def test_the_page_gets_their_code_which_makes_them_again(vlm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    probe = isi.Probe(vlm, DATA[0])
    probe.stimulus = DATA[0].stimulus().noise(0.2, seed=3)
    probe.run("answer")
    probe.stimulus = DATA[0].stimulus().insert(OTHER, (4, 5, 30, 30)).with_context("A text.")
    probe.run("answer")
    probe.note(2, "another thing")
    page = Page(probe)
    page.send({"kind": "conditions", "id": "c"})
    page.wait(lambda page: page.of_kind("conditions"))
    code = page.of_kind("conditions")[0]["text"]
    place = {}
    exec(code, place)
    assert tuple(place["conditions"]) == probe.conditions()
    assert [made.name for made in place["conditions"]] == ["trial 1", "another thing"]
    probe.pinned = [2]
    page.send({"kind": "conditions", "id": "d"})
    page.wait(lambda page: len(page.of_kind("conditions")) == 2)
    assert "trial 1" not in page.of_kind("conditions")[1]["text"]
    # without an unchanged trial, the line that runs them adds one to compare with
    run = page.of_kind("conditions")[1]["text"].splitlines()[-1]
    assert run == "# study = isi.run_study(vlm, data, [isi.condition('plain'), *conditions])"
    probe.stimulus = DATA[0].stimulus()
    probe.run("answer")
    probe.pinned = []
    assert conditions_code(probe.conditions()).endswith("\n# study = isi.run_study(vlm, data, conditions)")
    probe.close()
