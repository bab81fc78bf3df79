"""Sessions: the work of a probe comes back, whole and with its numbers, and is kept without being in the
way.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_page import BOX, Page, idle
from scripted_runs import Script
from test_cells import Notebook, notebook

import isi_widget as isi
from isi_widget import InputError, Observation, Probe, datasets
from isi_widget.files import processes
from isi_widget.files.lock import FolderLock
from isi_widget.vlm import VLM
from isi_widget.widget.session import folder as files

__all__ = ["notebook"]


@pytest.fixture
def made(vlm: VLM, script: Script) -> Iterator[Any]:
    """Make probes, and close them in the end."""
    script.free, script.steps = True, 1
    probes: list[Probe] = []

    def make(*arguments: Any, **named: Any) -> Probe:
        probes.append(Probe(named.pop("vlm", vlm), *arguments, **named))
        return probes[-1]

    yield make
    for probe in probes:
        probe.close()


def picture(seed: int = 0) -> np.ndarray:
    pixels: np.ndarray = np.random.default_rng(seed).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return pixels


def work(probe: Probe) -> None:
    """Some of everything that is kept."""
    page = Page(probe)
    page.draw(BOX)
    probe.run("answer")
    probe.stimulus = probe.stimulus.noise(0.2).with_context(preset="random", seed=3)
    probe.run("answer")
    probe.delete(1)
    probe.run("answer")
    probe.note(3, "the third")
    probe.pinned = [2, 3]
    probe.shown = 2
    probe.settings = {"samples": 5, "temperature": 0.5}
    probe.entailment = "rules"
    probe.run_on_change = False
    probe.choose(4)
    probe.stimulus = probe.stimulus.with_image(preset="random", seed=2).box(1, 2, 3, 4)
    probe.open_image(picture(), "Is there a star?", answer="yes", name="own.png")
    probe.stimulus = probe.stimulus.ellipse(5, 5, 20, 20)
    probe.interventions = (isi.HeadScale(1, 0, 0.0),)
    probe.stimulus = probe.stimulus.with_image(picture(1))
    probe.undo()
    page.wait(idle)


def everything(probe: Probe) -> dict[str, Any]:
    return {
        "stimulus": probe.stimulus,
        "trials": probe.trials,
        "numbers": list(probe._history),
        "document": probe.document,
        "notes": dict(probe.notes),
        "pinned": probe.pinned,
        "settings": probe.settings,
        "interventions": probe.interventions,
        "judge": probe.judge,
        "observations": probe.observations,
        "index": probe.observation_index,
        "observation": probe.observation,
        "shown": probe.shown,
        "truth": probe.truth,
    }


# ---- everything is back
def test_all_comes_back_and_goes_on(made: Any, tmp_path: Path) -> None:
    first = made(datasets.things()[0], session=tmp_path / "s")
    work(first)
    before, page = everything(first), Page(first)
    first.close()
    second = made(datasets.things()[0], session=tmp_path / "s")
    assert everything(second) == before
    assert second.session == tmp_path / "s" and second.kept["problem"] == "" == second.kept["note"]
    again = Page(second)
    names = ("document", "trials", "notes", "pinned", "settings", "inputs", "observations", "shown", "judge")
    assert {name: again.state[name] for name in names} == {name: page.state[name] for name in names}
    assert again.state["trials"][0]["view"]["answer"]["text"] == "Yes"
    # undo goes back over observations, the next number is new
    for one in (first, second):
        for _ in range(3):
            one.undo()
        assert one.observation["id"] == datasets.things()[4].id and len(one.stimulus.operations) == 2
        one.redo()
    assert second.document == first.document
    second.run("answer")
    assert list(second._history) == [2, 3, 4] and all(trial.received for trial in second.trials[:2])
    second.choose(0)
    second.undo()
    assert second.stimulus.operations == second.trials[0].stimulus.operations


def test_what_the_page_draws_is_kept(made: Any, tmp_path: Path) -> None:
    probe = made(datasets.scenes()[0], session=tmp_path)
    page = Page(probe)
    page.draw(BOX)
    page.set(settings={"samples": 3}, run_on_change=True)
    page.send({"kind": "undo"})
    probe.keep()
    probe.close()
    assert made(datasets.scenes()[0], session=tmp_path).document == page.state["document"]


def test_in_another_order_or_data_set(made: Any, tmp_path: Path) -> None:
    """Observations are found by their content; those that are not in the data come after them."""
    probe = made(datasets.scenes()[0], session=tmp_path)
    probe.stimulus = probe.stimulus.box(1, 2, 30, 40)
    probe.choose(7)
    probe.stimulus = probe.stimulus.noise(0.3)
    drawn = probe.stimulus
    probe.close()
    other = [datasets.scenes()[7], datasets.scenes()[9]]
    probe = made(data=other, session=tmp_path)
    assert probe.observation_index == 0 and probe.stimulus.operations == drawn.operations
    assert [row["id"] for row in probe.observations] == [item.id for item in [*other, datasets.scenes()[0]]]
    probe.choose(2)
    probe.undo()
    assert len(probe.stimulus.operations) == 1


def test_a_stimulus_of_no_observation(made: Any, tmp_path: Path) -> None:
    probe = made(datasets.scenes()[0], session=tmp_path)
    probe.stimulus = Observation(picture(), "Is it grey?", "A context.", True).stimulus().box(1, 2, 3, 4)
    drawn = probe.stimulus
    probe.close()
    assert made(datasets.scenes()[0], session=tmp_path).stimulus == drawn


def test_in_painted_pixels_and_masks(made: Any, tmp_path: Path) -> None:
    observation = datasets.scenes()[0]
    probe = made(observation, session=tmp_path)
    probe.stimulus = probe.stimulus.remove(next(iter(observation.masks.values()))).patch(
        (0, 0, 9, 9), 5, 5, image=picture()
    )
    probe.run("answer")
    drawn, pixels = probe.stimulus, np.asarray(probe.stimulus.render())
    probe.close()
    probe = made(observation, session=tmp_path)
    assert probe.stimulus == drawn == probe.trials[0].stimulus
    assert (np.asarray(probe.stimulus.render()) == pixels).all()


def test_contributions_of_heads(vlm: VLM, tmp_path: Path) -> None:
    probe = Probe(vlm, datasets.scenes()[0], session=tmp_path)
    probe.run("answer", max_new_tokens=2)
    found = probe.contributions()
    probe.close()
    probe = Probe(vlm, datasets.scenes()[0], session=tmp_path)
    assert probe.contributions() == found
    assert Page(probe).state["trials"][0]["inside"]["contribution"]["unit"] == "nats"
    probe.close()


def test_the_last_trace_and_the_lens(vlm: VLM, tmp_path: Path) -> None:
    scene = datasets.scenes()[0]
    probe = Probe(vlm, scene, session=tmp_path)
    probe.run("answer", max_new_tokens=2)
    width, height = probe.stimulus.image.size
    probe.stimulus = probe.stimulus.box(0, 0, width, height, color="white")
    probe.run("answer", max_new_tokens=2)
    probe.trace_between(1, 2)
    Page(probe).set(lens_on=True)
    traced = dict(probe.traced)
    saved = tmp_path / "saved.isi"
    probe.save(saved)
    probe.close()
    for again in (Probe(vlm, scene, session=tmp_path), isi.open_probe(saved, vlm)):
        assert again.traced == traced and Page(again).state["traced"] == traced
        assert again.lens_on and Page(again).state["lens_on"]
        again.close()


# ---- one at a time
def test_two_probes_are_refused(made: Any, tmp_path: Path) -> None:
    first = made(datasets.scenes()[0], session=tmp_path)
    first.stimulus = first.stimulus.box(1, 2, 3, 4)
    with pytest.raises(InputError, match=r"in use in this process already.*probe\.close\(\)"):
        made(datasets.scenes()[0], session=str(tmp_path))
    first.close()
    assert len(made(datasets.scenes()[0], session=tmp_path).stimulus.operations) == 1


def lock(folder: Path, **changed: Any) -> None:
    found = {"process": os.getppid(), "host": socket.gethostname(), "started": "", "token": "t"}
    (folder / "lock").write_text(json.dumps({**found, **changed}))


def test_a_process_that_runs_and_one_that_does_not(made: Any, tmp_path: Path) -> None:
    made(datasets.scenes()[0], session=tmp_path).close()
    lock(tmp_path)
    with pytest.raises(InputError, match=f"process {os.getppid()} of this computer.*Shut down its kernel"):
        made(datasets.scenes()[0], session=tmp_path)
    lock(tmp_path, notebook="/home/me/first.ipynb")
    with pytest.raises(InputError, match=r"in use by the notebook '/home/me/first\.ipynb'"):
        made(datasets.scenes()[0], session=tmp_path)
    lock(tmp_path, host="elsewhere")
    with pytest.raises(InputError, match=r"computer 'elsewhere'.*delete the file .*lock"):
        made(datasets.scenes()[0], session=tmp_path)
    lock(tmp_path, started="a process before, of the same number")
    if processes.started(os.getppid()):
        made(datasets.scenes()[0], session=tmp_path).close()
    for content in (
        "",
        "{",
        "[1]",
        '{"process": "x"}',
        json.dumps({"process": 2**22 + 1, "host": socket.gethostname()}),
    ):
        (tmp_path / "lock").write_text(content)
        made(datasets.scenes()[0], session=tmp_path).close()
        assert not (tmp_path / "lock").exists()


def test_a_forked_process_leaves_the_lock(tmp_path: Path) -> None:
    held = FolderLock(tmp_path / "lock", "It")
    held.acquire()
    child = os.fork()
    if child == 0:
        held.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "lock").exists() and held.held
    held.release()
    assert not (tmp_path / "lock").exists()


def test_the_cell_that_is_run_again_takes_the_session_over(
    notebook: Notebook, vlm: VLM, tmp_path: Path
) -> None:
    def cell(name: str) -> Probe:
        notebook.begin(name)
        return Probe(vlm, datasets.scenes()[0], session=tmp_path)

    probe = cell("a")
    notebook.run("a", probe)
    probe.stimulus = probe.stimulus.box(1, 2, 3, 4)
    again = cell("a")
    assert probe.comm is None and len(again.stimulus.operations) == 1
    notebook.run("a", again)
    with pytest.raises(InputError, match="in use in this process"):
        cell("b")  # cell a still shows it
    notebook.run("b", again)
    with pytest.raises(InputError, match="in use in this process"):
        cell("a")  # so does cell b
    again.close()


def test_a_probe_that_is_freed_or_closed_gives_the_folder_back(made: Any, vlm: VLM, tmp_path: Path) -> None:
    probe = Probe(vlm, datasets.scenes()[0], session=tmp_path)
    probe.stimulus = probe.stimulus.box(1, 2, 3, 4)
    probe.close()
    del probe
    gc.collect()
    other = made(datasets.scenes()[0], session=tmp_path)
    assert len(other.stimulus.operations) == 1


def test_displayed_after_close_it_keeps_again_unless_another_did(
    made: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("isi_widget.widget.outputs.display", lambda *_, **__: None)
    first = made(datasets.scenes()[0], session=tmp_path)
    first.keep()
    first.close()
    first._ipython_display_()
    first.stimulus = first.stimulus.box(1, 2, 3, 4)
    first.keep()
    first.close()
    second = made(datasets.scenes()[0], session=tmp_path)
    assert len(second.stimulus.operations) == 1
    second.stimulus = second.stimulus.noise(0.1)
    second.close()
    first._ipython_display_()
    with pytest.raises(InputError, match="Another probe has changed the session"):
        first.keep()
    assert len(first.stimulus.operations) == 1
    first.close()
    assert len(made(datasets.scenes()[0], session=tmp_path).stimulus.operations) == 2


# ---- small, and not in the way
def test_a_gesture_writes_only_what_changed(made: Any, tmp_path: Path, monkeypatch: Any) -> None:
    probe = made(Observation(picture(), "Is there a star?"), session=tmp_path)
    for number in range(300):
        probe.stimulus = (
            probe.stimulus.box(number % 60, 0, 10, 10) if number % 30 else probe.stimulus.with_operations([])
        )
    probe.keep()
    append, sizes = files.SessionFolder.append, list[int]()

    def measured(self: Any, changes: Any) -> None:
        sizes.append(len(json.dumps(changes)))
        append(self, changes)

    monkeypatch.setattr(files.SessionFolder, "append", measured)
    for number in range(20):
        probe.stimulus = probe.stimulus.with_operations([probe.stimulus.operations[0]]).box(number, 1, 2, 3)
        probe.keep()
    assert len(sizes) >= 19 and max(sizes) < 4000  # one may come as a whole new state
    pictures = list((tmp_path / "pictures").iterdir())
    assert len(pictures) == 1  # once by its content


def test_a_gesture_does_not_wait_for_the_disk(made: Any, tmp_path: Path, monkeypatch: Any) -> None:
    probe = made(datasets.scenes()[0], session=tmp_path)
    probe.keep()
    go_on, waiting = threading.Event(), threading.Event()
    append = files.SessionFolder.append

    def slow(self: Any, changes: Any) -> None:
        waiting.set()
        assert go_on.wait(120)
        append(self, changes)

    monkeypatch.setattr(files.SessionFolder, "append", slow)
    probe.stimulus = probe.stimulus.box(1, 2, 3, 4)
    assert waiting.wait(120)
    probe.stimulus = probe.stimulus.noise(0.1)
    trial = probe.run("answer")
    assert probe.trial is trial and len(trial.stimulus.operations) == 2
    go_on.set()
    probe.keep()
    probe.close()
    assert len(made(datasets.scenes()[0], session=tmp_path).trials) == 1


def test_a_long_journal_is_written_anew(made: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(files, "_LONG", 2000)
    probe = made(datasets.scenes()[0], session=tmp_path)
    for number in range(60):
        probe.stimulus = probe.stimulus.box(number, 1, 2, 3)
        probe.keep()
    state = json.loads((tmp_path / "session.json").read_text())
    assert state["generation"] > 1
    document = probe.document
    probe.close()
    assert made(datasets.scenes()[0], session=tmp_path).document == document


def test_an_observer_may_wait_for_the_disk(made: Any, tmp_path: Path) -> None:
    """It is called while the probe changes traits; the writing thread must not wait for the same lock."""
    probe = made(datasets.scenes()[0], session=tmp_path)
    page, kept = Page(probe), []
    for name in ("document", "pinned", "notes", "trial"):
        probe.observe(lambda change: kept.append(probe.keep()), name)
    for number in range(5):
        page.draw({**BOX, "x": number})
        probe.run("answer")
        probe.note(number + 1, "seen")
        page.set(pinned=[number + 1])
    assert len(kept) >= 20 and probe.error is None


def test_names_of_any_length(made: Any, tmp_path: Path) -> None:
    long = "x" * 5000
    data = datasets.Dataset(
        [Observation(picture(n), f"{n}?", "c" * 30_000, id=f"{long}{n}") for n in range(3)], long
    )
    probe = made(data=data, session=tmp_path)
    Page(probe).draw({"op": "context", "preset": "random", "seed": 0})
    probe.stimulus = probe.stimulus.box(1, 2, 3, 4)
    before = probe.document
    probe.close()
    assert made(data=data, session=tmp_path).document == before
