"""A session whose process is killed: at most the gesture in flight is lost, whatever moment it was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from session_child import seen, states

from isi_widget import Probe, datasets
from isi_widget.vlm import VLM

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


@pytest.mark.parametrize("seed", range(2))
def test_a_kill_loses_at_most_the_gesture_in_flight(vlm: VLM, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    check(vlm, tmp_path / "s", seed, after=rng.randrange(5, 40), delay=rng.random() * 0.02)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 40))
def test_a_kill_at_many_moments(vlm: VLM, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    check(vlm, tmp_path / "s", seed, after=rng.randrange(0, 120), delay=rng.random() * 0.05)


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
