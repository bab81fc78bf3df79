"""A closed widget is freed with everything that it held, though it ran and was shown."""

from __future__ import annotations

import contextlib
import copy
import gc
import io
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_page import Page, idle
from ipywidgets.widgets.widget import _instances
from PIL import Image
from scripted_runs import until

from isi_widget import InputError, Observation, Probe, load_vlm, run_trial
from isi_widget.stimulus import Picture
from isi_widget.uncertainty import load_entailment
from isi_widget.vlm import VLM
from isi_widget.widget import AttentionPlayer, outputs
from isi_widget.widget.jobs import _IDLE_SECONDS


def observation() -> Observation:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return Observation(pixels, "Is there a star?", answer="Yes")


def threads_end() -> None:
    for timers in (True, False):  # a timer may start a run
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer) if timers else thread.name.startswith("isi-"):
                thread.join(_IDLE_SECONDS / 3)


def collected(references: dict[str, weakref.ref[Any]]) -> list[str]:
    """Return what is still alive, once the threads that had work have ended."""
    end = time.monotonic() + 120
    while True:
        threads_end()  # a function of its own: a timer that is named here would hold what it called
        for _ in range(3):  # what a finaliser of the first pass has let go is collected by the next
            gc.collect()
        alive = [name for name, reference in references.items() if reference() is not None]
        if not alive or time.monotonic() > end:
            return alive
        time.sleep(0.2)


def test_a_probe_that_was_only_made(vlm: VLM) -> None:
    obs = observation()
    probe = Probe(vlm, obs)
    references: dict[str, weakref.ref[Any]] = {"probe": weakref.ref(probe), "picture": weakref.ref(obs.image)}
    probe.close()
    del probe, obs
    assert collected(references) == []


def test_a_probe_that_ran_was_shown_and_was_watched(vlm: VLM) -> None:
    obs = observation()
    probe = Probe(vlm, obs)
    probe.observe(lambda change: None, "trial")
    followed = probe.watch("trial")
    probe.stimulus = probe.stimulus.box(1, 2, 30, 40).noise(0.2)
    trial = probe.run(samples=2)
    probe.undo()
    probe.run_on_change = True
    probe.stimulus = probe.stimulus.blur(3)  # its run waits, and must not hold the probe
    probe._repr_mimebundle_()
    probe.export(path=None, format="json")
    references: dict[str, weakref.ref[Any]] = {
        "probe": weakref.ref(probe),
        "trial": weakref.ref(trial),
        "picture": weakref.ref(obs.image),
        "stimulus": weakref.ref(trial.stimulus),
        "followed": weakref.ref(followed),
    }
    followed.close()
    probe.close()
    del probe, trial, obs, followed
    assert collected(references) == []


def test_everything_that_a_probe_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Model, entailment model, an uploaded picture and half of one, a map, a still, a failure, averages."""
    monkeypatch.setattr(outputs, "display", lambda *_, **__: None)
    vlm, judge = load_vlm(), copy.copy(load_entailment())
    probe = Probe(vlm, observation(), entailment=judge)
    page = Page(probe)
    probe._ipython_display_()
    data = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(data, "PNG")
    page.send({"kind": "upload", "name": "own.png"}, data.getvalue())
    page.wait(lambda page: page.state["observation"]["id"] == "own.png")
    page.send({"kind": "upload", "name": "half.png", "id": "h", "part": 0, "parts": 2}, data.getvalue()[:50])
    trial = probe.run(samples=2, max_new_tokens=4)
    for message in (
        {"kind": "map", "id": "m", "trial": 1, "token": 0},
        {"kind": "export", "id": "e", "trials": [1], "format": "json"},
        {"kind": "still"},
        {"kind": "tokens"},
        {"kind": "code", "id": "c", "trial": 1},
    ):
        page.send(message)
        page.wait(lambda page, kind=message["kind"]: page.of_kind(kind))
    with contextlib.suppress(InputError):  # pytest.raises would keep the frames, and what is in them
        probe.run("answer", max_new_tokens=10**6)
    page.send({"kind": "run", "id": "r", "measures": ["answer"]})
    page.wait(lambda page: len(page.state["trials"]) == 2)
    references: dict[str, weakref.ref[Any]] = {
        "probe": weakref.ref(probe),
        "model": weakref.ref(vlm),
        "weights": weakref.ref(vlm.model),
        "entailment": weakref.ref(judge),
        "trial": weakref.ref(trial),
        "upload": weakref.ref(probe.stimulus.image),
        "second": weakref.ref(probe.trials[1]),
    }
    probe.close()
    del probe, vlm, judge, trial, page
    assert collected(references) == []


def test_a_deleted_trial_while_the_probe_stays(vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "display", lambda *_, **__: None)
    probe = Probe(vlm, observation())
    page = Page(probe)
    probe._ipython_display_()
    probe.run_on_change = True
    probe.stimulus = probe.stimulus.box(1, 2, 30, 40)
    page.wait(lambda page: len(page.state["trials"]) == 1)
    page.wait(idle)
    probe.run_on_change = False
    page.send({"kind": "map", "id": "m", "trial": 1, "token": 0})
    page.wait(lambda page: page.of_kind("map"))
    reference = weakref.ref(probe.trials[0])
    probe.undo()
    probe.delete(1)
    page.wait(lambda page: page.state["stills"])
    until(
        lambda: gc.collect() >= 0 and reference() is None
    )  # the thread that made the still has it for a while
    probe.close()


def test_what_follows_a_probe_is_closed_with_it(vlm: VLM) -> None:
    probe = Probe(vlm, observation())
    widgets = len(_instances)
    for name in ("trial", "stimulus"):
        probe.watch(name)
    references: dict[str, weakref.ref[Any]] = {"trial": weakref.ref(probe.run("answer", max_new_tokens=2))}
    assert len(_instances) == widgets + 2
    probe.close()
    del probe
    assert collected(references) == [] and len(_instances) == widgets - 2  # itself and its layout


@pytest.mark.parametrize("name", ["_esm", "_css"])
def test_a_file_that_is_watched(vlm: VLM, tmp_path: Path, name: str) -> None:
    """anywidget watches a file that is given by its path, which kept every widget alive."""
    path = tmp_path / "file.txt"
    path.write_text("first")
    kind = type("Probe", (Probe,), {name: path})
    probe = kind(vlm, observation())
    contents = getattr(kind, name)
    assert getattr(probe, name) == "first" == probe.get_state(name)[name]
    contents.changed.emit("second")
    assert getattr(probe, name) == "second" == Page(probe).state[name]
    references: dict[str, weakref.ref[Any]] = {"probe": weakref.ref(probe)}
    probe.close()
    del probe
    assert collected(references) == []
    contents.changed.emit("third")


def test_a_cell_that_is_run_again_does_not_grow(vlm: VLM) -> None:
    def pictures() -> int:
        gc.collect()
        return sum(type(item) is Picture for item in gc.get_objects()) + len(references)

    def cell() -> None:
        probe = Probe(vlm, observation())
        probe.run("answer")
        references.add(probe.stimulus.image)
        probe.close()

    references: weakref.WeakSet[Picture] = weakref.WeakSet()
    cell()
    collected({})
    before, widgets = pictures(), len(_instances)
    for _ in range(8):
        cell()
    collected({})
    assert (pictures(), len(_instances)) == (before, widgets)


def test_a_closed_probe_runs_on_in_python(vlm: VLM) -> None:
    probe = Probe(vlm, observation())
    probe.close()
    assert probe.run("answer") is probe.trial
    probe.close()  # twice is once


def test_a_player(vlm: VLM) -> None:
    pytest.importorskip("ipycanvas")
    obs = observation()
    AttentionPlayer(vlm, obs.stimulus()).close()  # the canvas' own manager stays
    widgets = len(_instances)
    own = load_vlm()
    trial = run_trial(own, obs.stimulus(), measures="answer", max_new_tokens=4)
    player = AttentionPlayer(trial, vlm=own)
    player.step = player.steps - 1
    references: dict[str, weakref.ref[Any]] = {
        "player": weakref.ref(player),
        "model": weakref.ref(own),
        "trial": weakref.ref(trial),
        "attention": weakref.ref(player.attention),
        "picture": weakref.ref(obs.image),
    }
    player.close()
    del player, obs, own, trial
    assert collected(references) == [] and len(_instances) == widgets
