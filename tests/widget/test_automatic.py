"""Runs that follow changes: the last input wins, what was asked for stays, nothing runs twice for nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from fake_page import Page, idle
from scripted_runs import Script, until

from isi_widget import Observation, Probe, datasets
from isi_widget.vlm import VLM
from isi_widget.widget import automatic
from isi_widget.widget.automatic import Automatic
from isi_widget.widget.jobs import Job, Worker

BOX = {"op": "box", "x": 10, "y": 20, "width": 100, "height": 50, "color": "#ff0000", "fill": True}
CIRCLE = {**BOX, "op": "ellipse"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait to speak of after a change."""
    original = Automatic.__init__

    def init(self: Automatic, run: object, cancel: object) -> None:
        original(self, run, cancel, 0.02)  # type: ignore[arg-type]

    monkeypatch.setattr(Automatic, "__init__", init)


@pytest.fixture
def live(vlm: VLM, quick: None, script: Script) -> Iterator[tuple[Probe, Page, Script]]:
    probe = Probe(vlm, datasets.scenes()[0])
    yield probe, Page(probe), script
    script.free = True
    probe.close()


def trials(count: int) -> object:
    return lambda page: len(page.state["trials"]) == count and idle(page)


def test_several_changes_are_one_run_of_the_last_input(live: tuple[Probe, Page, Script]) -> None:
    probe, page, script = live
    script.free = True
    page.set(run_on_change=True)
    page.wait(trials(1))  # switched on: what is shown becomes the result of what there is
    script.free = False  # a run of the first change alone, on a slow machine, does not end
    page.draw(BOX)
    page.draw(CIRCLE)
    script.free = True
    page.wait(trials(2))
    assert [len(stimulus.operations) for stimulus in script.begun][-1] == 2
    assert probe.trials[-1].stimulus == probe.stimulus and probe.run_on_change
    page.set(run_on_change=False)
    page.draw(BOX)
    assert probe._runs.automatic._timer is None and len(probe.trials) == 2


def test_a_change_cancels_the_run_of_an_older_input(live: tuple[Probe, Page, Script]) -> None:
    probe, page, script = live
    probe.run_on_change = True
    page.wait(lambda page: len(script.begun) == 1)
    page.draw(BOX)  # the first run has not ended, and never will
    page.wait(lambda page: len(script.begun) == 2)
    script.go(3)
    page.wait(trials(1))
    assert probe.trials[0].stimulus == probe.stimulus and len(probe.stimulus.operations) == 1
    assert page.state["error"] is None


def test_a_run_that_was_asked_for_is_not_cancelled_and_keeps_its_place(
    live: tuple[Probe, Page, Script],
) -> None:
    probe, page, script = live
    page.send({"kind": "run", "id": "first", "measures": ["answer"]})
    page.wait(lambda page: len(script.begun) == 1)
    page.send({"kind": "run", "id": "second", "measures": ["answer"]})
    probe.run_on_change = True
    page.draw(BOX)
    until(lambda: probe._runs.automatic._job is not None)  # that of the drawing: no other is kept
    page.wait(lambda page: page.state["status"]["queued"] == 2)
    script.go(9)
    page.wait(trials(3))
    assert [message["id"] for message in page.of_kind("result")][:2] == ["first", "second"]
    assert [len(stimulus.operations) for stimulus in script.begun] == [0, 0, 1]


def test_the_measures_are_those_of_the_shown_trial(live: tuple[Probe, Page, Script]) -> None:
    probe, page, script = live
    script.free = True
    probe.run("answer")
    probe.run_on_change = True
    page.draw(BOX)
    page.wait(trials(2))
    assert script.measures == [("answer",), ("answer",)]


def test_nothing_runs_for_what_is_shown_already_nor_without_a_question(
    live: tuple[Probe, Page, Script],
) -> None:
    probe, page, script = live
    script.free = True
    asked: list[frozenset[str]] = []
    fired = threading.Event()
    run = probe._runs.automatic._run

    def told(changed: frozenset[str]) -> Job | None:
        asked.append(changed)
        job = run(changed)
        fired.set()
        return job

    probe._runs.automatic._run = told
    probe.run("answer")
    probe.run_on_change = True
    assert fired.wait(120) and asked == [frozenset({"run_on_change"})]
    fired.clear()
    page.draw({"op": "question", "text": " "})
    assert fired.wait(120)
    assert len(script.begun) == 1 and page.state["error"] is None


def test_settings_and_another_model_are_changes_too(live: tuple[Probe, Page, Script]) -> None:
    probe, page, script = live
    script.free = True
    probe.run_on_change = True
    page.wait(trials(1))
    page.set(settings={**probe.settings, "temperature": 0.5})
    page.wait(trials(2))
    assert [given["temperature"] for given in script.settings] == [0.9, 0.5]
    with probe._exclusive():
        probe.set_trait("model", {**probe.model, "label": "another"})
    page.wait(lambda page: len(script.begun) == 3)


def test_the_shown_result_stays_until_the_next_one_is_there(live: tuple[Probe, Page, Script]) -> None:
    _, page, script = live
    script.texts = [("answer", 0, "Yes")]
    script.free = True
    page.set(run_on_change=True)
    page.wait(trials(1))
    assert script.on_text == [None] and page.of_kind("partial") == []
    page.send({"kind": "run", "id": "asked", "measures": ["answer"]})
    page.wait(trials(2))
    assert script.on_text[-1] is not None


def test_a_wrong_value_of_the_page_is_refused(live: tuple[Probe, Page, Script]) -> None:
    probe, page, _ = live
    page.set(run_on_change="yes")
    assert "run_on_change must be" in page.state["error"]["message"]
    assert probe.run_on_change is False


def test_with_the_real_model(vlm: VLM, quick: None) -> None:
    probe = Probe(vlm, datasets.scenes()[3])
    page = Page(probe)
    probe.settings = {"samples": 2, "max_new_tokens": 4}
    probe.run_on_change = True
    page.wait(trials(1), 120)
    before = probe.trial
    page.draw({**BOX, "x": 0, "y": 0, "width": 10**4, "height": 10**4})
    page.wait(trials(2), 120)
    assert probe.trial is not before and probe.trial is not None
    assert probe.trial.uncertainty is not None and probe.trial.attention is not None
    probe.close()


# ---- the class itself
def test_a_change_at_the_moment_of_the_run_drops_that_run() -> None:
    worker = Worker("test")
    cancelled: list[str] = []
    begin, go = threading.Event(), threading.Event()
    started: list[Job] = []

    def run(changed: frozenset[str]) -> Job:
        begin.set()
        assert go.wait(120)
        job = Job(f"{len(started)}", lambda job: job.wait(0.01))
        started.append(job)
        worker.submit(job)
        return job

    made = automatic.Automatic(run, cancelled.append, 0.01)
    made.changed("a")
    assert begin.wait(120)
    begin.clear()
    made.changed("b")  # while the first is being started
    go.set()
    assert begin.wait(120)
    until(lambda: len(started) == 2 and made._job is started[1])
    assert "1" not in cancelled
    assert cancelled in ([], ["0"])  # not if it was over already
    made.stop()
    assert made._job is None and made._timer is None


def test_an_own_image_runs_too(vlm: VLM, quick: None, script: Script) -> None:
    from PIL import Image

    script.free = True
    probe = Probe(vlm, Observation(Image.new("RGB", (30, 20)), "Is it dark?"))
    page = Page(probe)
    probe.run_on_change = True
    page.wait(trials(1))
    probe.stimulus = probe.stimulus.with_question("Is it light?")
    page.wait(trials(2))
    probe.close()
