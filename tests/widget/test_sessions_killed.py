"""A session whose process is killed: at most the gesture in flight is lost, whatever moment it was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from session_child import gesture, seen, states

from isi_widget import Probe, datasets
from isi_widget.vlm import VLM
from isi_widget.widget.session.reading import read
from isi_widget.widget.session.sources import FolderSource

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("session_child.py")
MOST = 400


def killed(folder: Path, seed: int, after: int, delay: float) -> tuple[int, bool]:
    """Run the child and kill it `delay` seconds after it has printed gesture `after`; returns the last number
    that it printed.
    """
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, str(CHILD), str(folder), str(seed), str(MOST)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    assert child.stdout is not None
    lines = ["begun"]
    for line in child.stdout:
        lines.append(line.strip())
        if line.strip() in (str(after), "begun" if after == 0 else "", "done"):
            break
    try:
        child.wait(delay)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()
    child.wait()
    numbers = [int(line) for line in [*lines, *rest] if line.isdecimal()]
    return max(numbers, default=0), "done" in rest


def check(vlm: VLM, folder: Path, seed: int, after: int, delay: float) -> None:
    number, done = killed(folder, seed, after, delay)
    expected = list(states(vlm, seed, min(number + 1, MOST)))
    probe = Probe(vlm, datasets.scenes()[0], session=folder)
    found = seen(probe)
    assert probe.kept["note"] == "" and probe.kept["problem"] == ""
    probe.close()
    # the gesture in flight is there or not; one that writes a trial and the state may have written the first
    if found not in expected[number:]:
        before, then = expected[number], expected[-1]
        assert found["last"] == then["last"] and found["trials"] == then["trials"]
        assert {**found, **{name: before[name] for name in ("last", "trials")}} == before
    assert done or number < MOST


def test_a_kill_loses_at_most_the_gesture_in_flight(vlm: VLM, tmp_path: Path) -> None:
    check(vlm, tmp_path / "s", 0, after=12, delay=random.Random(0).random() * 0.02)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 40))
def test_a_kill_at_many_moments(vlm: VLM, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    check(vlm, tmp_path / "s", seed, after=rng.randrange(0, 120), delay=rng.random() * 0.05)


@pytest.mark.slow
def test_work_goes_on_after_two_kills(vlm: VLM, tmp_path: Path) -> None:
    """The lock of the dead process is taken over, numbers of trials are never given twice."""
    first, _ = killed(tmp_path / "s", 5, after=30, delay=0)
    probe = Probe(vlm, datasets.scenes()[0], session=tmp_path / "s")
    before = probe._history.last
    probe.close()
    assert first >= 30 and before > 0
    second, _ = killed(tmp_path / "s", 6, after=30, delay=0)
    probe = Probe(vlm, datasets.scenes()[0], session=tmp_path / "s")
    assert probe._history.last > before and second >= 30
    probe.close()


def test_every_moment_of_writing(vlm: VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on the disk before and after each step of a write is the state before or after the gesture."""
    folder, copies = tmp_path / "s", tmp_path / "copies"
    probe = Probe(vlm, datasets.scenes()[0], session=folder)
    probe.keep()
    moments: list[tuple[int, Path]] = []
    gestures = 0

    def copied(function: Any) -> Any:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            copy()
            found = function(*arguments, **named)
            copy()
            return found

        return wrapped

    def copy() -> None:
        if threading.current_thread() is threading.main_thread():
            target = copies / f"{len(moments)}"
            shutil.copytree(folder, target)
            moments.append((gestures, target))

    probe._keeper._worker.submit = lambda job: None  # type: ignore[union-attr, method-assign]  # written here
    expected = [on_disk(folder)]
    rng = random.Random(3)
    with monkeypatch.context() as patch:
        for name in ("fsync", "open"):
            patch.setattr(os, name, copied(getattr(os, name)))
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, copied(getattr(Path, name)))
        for number in range(1, 26):
            gestures = number
            gesture(probe, number, rng)
            probe._keeper.flush()  # type: ignore[union-attr]
            with monkeypatch.context() as quiet:
                quiet.setattr(threading, "main_thread", lambda: None)
                expected.append(on_disk(folder))
    probe.close()
    assert len(moments) > 100 and len({str(state) for state in expected}) > 15
    for number, path in moments:
        found, before, after = on_disk(path), expected[number - 1], expected[number]
        halfway = {**before, "trials": after["trials"]}
        assert found in (before, after, halfway), number


def on_disk(folder: Path) -> dict[str, Any]:
    """What a session in a folder holds; what a trial was deleted by is written before its file goes."""
    kept = read(FolderSource(folder))
    assert kept.problems == ()
    state = {name: value for name, value in kept.state.items() if name != "generation"}
    return {**state, "trials": sorted(kept.trials)}


@pytest.mark.parametrize("lost", [1, 7, 40])
def test_a_line_that_was_cut_off_is_the_gesture_in_flight(vlm: VLM, tmp_path: Path, lost: int) -> None:
    probe = Probe(vlm, datasets.scenes()[0], session=tmp_path)
    probe.keep()
    stimuli = []
    for number in range(3):
        probe.stimulus = probe.stimulus.box(number, 0, 10, 10)
        stimuli.append(probe.stimulus)
        probe.keep()
    probe.close()
    changes = tmp_path / "changes.jsonl"
    changes.write_bytes(changes.read_bytes()[:-lost])
    probe = Probe(vlm, datasets.scenes()[0], session=tmp_path)
    assert probe.stimulus == stimuli[1] and probe.kept["note"] == ""
    probe.stimulus = stimuli[2]
    probe.close()
    probe = Probe(vlm, datasets.scenes()[0], session=tmp_path)
    assert probe.stimulus == stimuli[2]
    probe.close()
