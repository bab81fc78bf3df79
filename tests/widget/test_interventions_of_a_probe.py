"""Interventions inside the model as a part of the probe's state: set from a page or from Python, undone, run,
recorded, restored and printed as Python.
"""

from __future__ import annotations

from typing import Any

import pytest
from fake_page import Page, idle

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.interventions import from_dicts, to_dicts
from isi_widget.vlm import VLM
from isi_widget.widget import Probe
from isi_widget.widget import document as doc

EDITS = (
    isi.HeadScale(1, 0, 0.0),
    isi.HeadReplace(0, 1),
    isi.Knockout(("last", "answer"), "image", layers=(1,)),
)
BOX = {"op": "box", "x": 1, "y": 2, "width": 30, "height": 40}


@pytest.fixture
def page(probe: Probe) -> Page:
    return Page(probe)


def gates(page: Page, *edits: Any) -> None:
    """One gesture on the panel."""
    now = page.state["document"]
    page.edit(doc.step(now, now["operations"], to_dicts(edits)))


def test_a_page_sets_them_and_undo_takes_them_back(probe: Probe, page: Page) -> None:
    heard: list[Any] = []
    probe.observe(lambda change: heard.append(change["new"]), "interventions")
    key = page.state["inputs"]["key"]
    gates(page, EDITS[0])
    page.draw(BOX)
    gates(page, *EDITS)
    assert probe.interventions == EDITS and len(probe.stimulus.operations) == 1
    assert page.state["inputs"]["key"] != key and page.state["document"] == probe.document
    page.edit(doc.undo(page.state["document"]))
    assert probe.interventions == EDITS[:1] and len(probe.stimulus.operations) == 1
    probe.undo()
    assert probe.interventions == EDITS[:1] and probe.stimulus.operations == ()
    probe.undo()
    assert probe.interventions == () and page.state["inputs"]["key"] == key
    assert "inside" not in probe.document
    for _ in range(3):
        probe.redo()
    assert probe.interventions == EDITS and len(probe.stimulus.operations) == 1
    assert heard[:2] == [EDITS[:1], EDITS] and heard[-1] == EDITS


def test_python_sets_them_too(probe: Probe, page: Page) -> None:
    probe.interventions = list(EDITS)
    assert from_dicts(page.state["document"]["inside"]) == EDITS == probe.interventions
    assert len(probe.document["past"]) == 1
    probe.stimulus = probe.stimulus.box(1, 2, 30, 40)
    assert probe.interventions == EDITS  # a picture that is drawn on changes nothing inside
    probe.interventions = ()
    assert "inside" not in page.state["document"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ((isi.HeadScale(99, 0, 0.0),), "99"),
        ((isi.HeadScale(0, 99, 0.0),), "99"),
        (("L0H0",), "An intervention must be one of"),
    ],
)
def test_what_the_model_does_not_have_is_refused(probe: Probe, wrong: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        probe.interventions = wrong
    assert probe.interventions == () and "inside" not in probe.document


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ([{"kind": "head_scale", "layer": 0, "head": 0}], "missing field 'factor'"),
        ([{"kind": "head_scale", "layer": -1, "head": 0, "factor": 1}], "layer"),
        ([{"kind": "head_scale", "layer": 0, "head": 0, "factor": 1e9}], "factor"),
        ([{"kind": "nothing"}], '"kind" must be one of'),
        ("all", "must be a list"),
    ],
)
def test_what_makes_no_sense_is_refused_from_a_page(
    probe: Probe, page: Page, inside: Any, message: str
) -> None:
    page.set(document={**probe.document, "inside": inside})
    assert message in page.state["error"]["message"]
    assert probe.interventions == () and "inside" not in page.known


def test_a_run_is_made_under_them_and_keeps_them(probe: Probe, page: Page, vlm: VLM) -> None:
    gates(page, *EDITS)
    trial = probe.run("answer", max_new_tokens=4)
    assert trial.interventions == EDITS and trial.key == page.state["inputs"]["key"]
    assert trial.answer == isi.run_trial(vlm.intervene(*EDITS), probe.stimulus, measures="answer").answer
    entry = page.state["trials"][-1]
    assert entry["view"]["interventions"] == "2 heads changed, attention cut"
    assert len(entry["view"]["intervention_lines"]) == 3
    plain = probe.run("answer", plain=True, max_new_tokens=4)
    assert plain.interventions == () and probe.interventions == EDITS
    assert plain.key != trial.key and plain.stimulus == trial.stimulus
    first, second = page.state["trials"]
    assert first["stimulus"] == second["stimulus"]
    page.send({"kind": "run", "id": "r", "measures": ["answer"], "plain": True})
    page.wait(lambda page: len(page.state["trials"]) == 3 and idle(page))
    assert probe.trials[-1].interventions == () and probe.vlm.interventions == ()


def test_what_does_not_fit_the_model_any_more_ends_the_run_with_the_reason(probe: Probe, page: Page) -> None:
    gates(page, isi.HeadScale(99, 0, 0.0))
    with pytest.raises(InputError, match="99"):
        probe.run("answer")
    assert "99" in page.state["error"]["message"] and not probe.trials
    probe.undo()
    assert probe.run("answer", max_new_tokens=2).interventions == ()


def test_restoring_a_trial_restores_them_in_one_step(probe: Probe, page: Page) -> None:
    gates(page, *EDITS)
    probe.run("answer", max_new_tokens=2)
    probe.interventions = ()
    probe.run("answer", max_new_tokens=2)
    steps = len(probe.document["past"])
    page.send({"kind": "restore", "trial": 1, "id": "r"})
    assert probe.interventions == EDITS and len(probe.document["past"]) == steps + 1
    assert page.state["inputs"]["key"] == page.state["trials"][0]["key"]
    probe.undo()
    assert probe.interventions == ()


def test_those_of_the_model_itself_come_first_and_stay(vlm: VLM) -> None:
    own, added = EDITS[:1], EDITS[1:]
    probe = Probe(vlm.intervene(*own), isi.datasets.scenes()[0])
    try:
        assert probe.interventions == ()
        probe.interventions = added
        trial = probe.run("answer", max_new_tokens=2)
        assert trial.interventions == (*own, *added)
        probe.interventions = ()
        probe.restore(trial)
        assert probe.interventions == added
        assert probe.run("answer", plain=True, max_new_tokens=2).interventions == own
    finally:
        probe.close()


def test_they_stay_from_one_observation_to_the_next(probe: Probe, page: Page) -> None:
    gates(page, EDITS[0])
    probe.choose(2)
    assert probe.interventions == EDITS[:1] and probe.document["past"] == []
    probe.interventions = EDITS
    page.set(observation_index=0)
    assert probe.interventions == EDITS
    probe.undo()  # as this observation was left
    assert probe.interventions == EDITS[:1]
    probe.open_image(probe.stimulus.image.pil(), "What is it?")
    assert probe.interventions == EDITS[:1]


def test_the_python_of_the_input_makes_them_and_gives_the_same_trial(probe: Probe) -> None:
    probe.interventions = EDITS
    code = probe.code()
    assert "isi.HeadScale(1, 0, 0.0)" in code and ".intervene(" in code
    trial = probe.run("answer", max_new_tokens=6)
    for text in (
        code.replace("run_trial(edited, s", "run_trial(edited, s, measures='answer', max_new_tokens=6"),
        probe.code(trial),
    ):
        names: dict[str, Any] = {}
        exec(text, names)
        assert names["trial"].key == trial.key and names["trial"].interventions == EDITS
        assert names["trial"].answer == trial.answer


def test_the_attention_of_a_changed_trial_is_laid_over_the_picture(probe: Probe, page: Page) -> None:
    gates(page, *EDITS)
    probe.run(["answer", "attention"], max_new_tokens=4)
    probe.interventions = ()
    page.send({"kind": "map", "id": "m", "trial": 1, "token": 0})
    page.wait(lambda page: bool(page.of_kind("map")))
    view = page.state["trials"][0]["view"]["attention"]
    assert set(view["by_head_of"]) == {"context", "question"}
    heads = probe.trials[0].attention.per_head()
    assert view["by_head_of"]["question"][0][0] == pytest.approx(heads[0, 0, 2], abs=1e-4)
    # the cut that was made: no attention on the image in layer 1
    assert max(view["by_head"][1]) == 0


def test_automatic_runs_follow_them(probe: Probe, page: Page) -> None:
    probe.settings = {**probe.settings, "max_new_tokens": 2}
    probe.run("answer")
    page.set(run_on_change=True)
    gates(page, EDITS[0])
    page.wait(lambda page: len(page.state["trials"]) == 2 and idle(page))
    assert probe.trials[-1].interventions == EDITS[:1]


def test_the_page_knows_the_shape_of_the_model(probe: Probe, page: Page) -> None:
    layers, heads = page.state["model"]["layers"], page.state["model"]["heads"]
    probe.interventions = (isi.HeadScale(layers - 1, heads - 1, 0.5),)
    with pytest.raises(InputError):
        probe.interventions = (isi.HeadScale(layers, 0, 0.5),)
    assert page.state["model"]["plain_label"] == "embedded"
