"""A closed widget is freed with everything that it held, though it ran and was shown."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances

from isi_widget import Observation, Probe
from isi_widget.stimulus import Picture
from isi_widget.vlm import VLM
from isi_widget.widget import AttentionPlayer
from isi_widget.widget.jobs import _IDLE_SECONDS


def observation() -> Observation:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return Observation(pixels, "Is there a star?", answer="Yes")


def collected(references: dict[str, weakref.ref[Any]]) -> list[str]:
    """What is still alive, once the threads that had work have ended."""
    for timers in (True, False):  # a timer may start a run
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer) if timers else thread.name.startswith("isi-"):
                thread.join(_IDLE_SECONDS / 3)
    gc.collect()
    return [name for name, reference in references.items() if reference() is not None]


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
    player = AttentionPlayer(vlm, obs.stimulus())
    player.step = player.steps - 1
    references: dict[str, weakref.ref[Any]] = {
        "player": weakref.ref(player),
        "attention": weakref.ref(player.attention),
        "picture": weakref.ref(obs.image),
    }
    player.close()
    del player, obs
    assert collected(references) == [] and len(_instances) == widgets
