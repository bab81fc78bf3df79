"""The still of a probe: what a notebook keeps of it."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
import pytest
from fake_page import Page
from PIL import Image
from scripted_runs import Script

from isi_widget import Observation, Probe, datasets
from isi_widget.vlm import VLM
from isi_widget.widget import outputs as module
from isi_widget.widget import still


class Outputs:
    """Stands in for the notebook: what is displayed, and the updates of it."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.ids: set[str] = set()

    def __call__(
        self, data: dict[str, Any], *, raw: bool, display_id: str = "", update: bool = False, **_: Any
    ) -> None:
        assert raw
        if update:
            assert display_id in self.ids  # only what was displayed can be updated
            self.updates.append(data)
        else:
            self.shown.append(data)
            self.ids |= {display_id} - {""}


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Outputs:
    made = Outputs()
    monkeypatch.setattr(module, "display", made)
    return made


def test_displaying_makes_two_outputs_and_a_run_brings_the_second_up_to_date(
    probe: Probe, script: Script, outputs: Outputs
) -> None:
    script.free = True
    probe.run("answer")
    assert outputs.updates == []  # not shown anywhere yet
    probe._ipython_display_()
    widget, kept = outputs.shown
    assert "application/vnd.jupyter.widget-view+json" in widget and "text/html" not in widget
    assert set(kept) == {"text/html", "image/png"} and "Yes" in kept["text/html"]
    page = Page(probe)
    probe.run("answer", seed=1)
    page.wait(lambda page: page.state["stills"] == 2)
    assert len(re.findall("<img", outputs.updates[-1]["text/html"])) == 3  # the trial, and two in the strip
    probe.note(2, "remember <this>")
    page.wait(lambda page: page.state["stills"] == 3)
    assert "remember &lt;this&gt;" in outputs.updates[-1]["text/html"]
    probe.delete(1)
    page.wait(lambda page: page.state["stills"] == 4)
    assert len(re.findall("<img", outputs.updates[-1]["text/html"])) == 2
    # a page that was loaded again asks for it
    page.send({"kind": "still"})
    page.wait(lambda page: page.of_kind("still"))
    (asked,) = page.of_kind("still")
    number = int(re.findall(r'data-still="(\d+)"', asked["data"]["text/html"])[0])
    assert number == asked["number"] > page.state["stills"]


@pytest.mark.parametrize("answer", ["Yes", "<script>alert(1)</script>" * 20_000])
def test_it_is_small_whatever_is_in_it(vlm: VLM, script: Script, answer: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 1600, 3), dtype=np.uint8)
    probe = Probe(vlm, Observation(noise, "<b>" * 5_000, context="word " * 4_000))
    script.free = True
    for seed in range(20):
        probe.run("answer", seed=seed)
    trial = probe.trial
    assert trial is not None and trial.answer is not None
    object.__setattr__(trial.answer, "text", answer)
    probe.note(20, "x" * 2_000)
    made = probe._outputs.still()
    page = made.page()
    assert len(page.encode()) <= still.MAX_PAGE
    assert "<b>" not in page and "<script" not in page
    assert "and 8 earlier" in page and page.count("<img") == 1 + still.STRIP
    picture = base64.b64decode(made.bundle()["image/png"])
    assert len(picture) <= still.MAX_PICTURE
    assert Image.open(io.BytesIO(picture)).width >= 100
    probe.close()


def test_the_view_of_a_trial_is_made_once(
    vlm: VLM, outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isi_widget.trial import view

    made: list[Any] = []
    original = view.trial_view

    def counted(trial: Any, **how: Any) -> Any:
        made.append((trial, how["details"]))
        return original(trial, **how)

    monkeypatch.setattr(view, "trial_view", counted)
    probe = Probe(vlm, datasets.scenes()[0])
    probe._ipython_display_()
    page = Page(probe)
    trial = probe.run(samples=3, max_new_tokens=4)
    page.wait(lambda page: page.state["stills"] == 2)
    for count in (2, 3):
        probe.note(1, f"note {count}")
        page.wait(lambda page, count=count: page.state["stills"] == count + 1)
    assert made == [(trial, False), (trial, True)]  # for the page, and with details for all stills
    assert trial._repr_html_() in outputs.updates[-1]["text/html"]  # as the trial itself is shown
    probe.close()


def test_before_any_run_it_shows_the_input_as_it_is(probe: Probe) -> None:
    probe.stimulus = probe.stimulus.with_context("A context of its own.").with_question("And a question?")
    page = probe._outputs.still().page()
    assert "A context of its own." in page and "And a question?" in page and page.count("<img") == 1
    assert "Run All Above Selected Cell" in page


def test_a_notebook_that_cannot_be_reached_is_said_and_stops_nothing(
    probe: Probe, script: Script, outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe._ipython_display_()
    page = Page(probe)

    def gone(*_: Any, **__: Any) -> None:
        raise OSError("no channel")

    monkeypatch.setattr(module, "display", gone)
    script.free = True
    assert probe.run("answer").answer is not None
    page.wait(lambda page: any("no channel" in error["message"] for error in page.of_kind("error")))
    assert probe.run("answer").answer is not None
