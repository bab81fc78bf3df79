"""Sessions whose disk refuses, that are damaged or newer, or that were made with another model."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from fake_page import Page, idle
from test_sessions import BOX, made

import isi_widget as isi
from isi_widget import InputError, Trial, datasets
from isi_widget.vlm import VLM
from isi_widget.widget.session import folder as files
from isi_widget.widget.session import keeper as keeping

__all__ = ["made"]


# ---- disks that refuse
def full(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_told_once_and_the_work_goes_on(
    made: Any, tmp_path: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    probe = made(datasets.scenes()[0], session=tmp_path)
    probe.keep()
    page = Page(probe)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_file", full)
        patch.setattr(files.SessionFolder, "append", full)
        for number in range(3):
            page.draw({**BOX, "x": number})
            with pytest.raises(InputError, match="No space left on device"):
                probe.keep()
        probe.run("answer")
        page.wait(idle)
        probe._keeper.flush()
        assert "No space left" in page.state["kept"]["problem"]
        told = [message for message in page.of_kind("error") if "No space" in message["message"]]
        assert len(told) == 1 and "probe.save(path)" in told[0]["hint"]
        assert caplog.text.count("No space left on device") == 1
    assert len(probe.stimulus.operations) == 3
    probe.note(1, "there is room again")
    probe.keep()
    assert page.state["kept"]["problem"] == ""
    probe.close()
    again = made(datasets.scenes()[0], session=tmp_path)
    assert len(again.stimulus.operations) == 3 and again.notes == {1: "there is room again"}


def test_a_folder_that_cannot_be_written_from_the_first(made: Any, tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(self: Any) -> None:
        raise OSError(30, "Read-only file system")

    probe = made(datasets.scenes()[0], session=tmp_path)
    probe.stimulus = probe.stimulus.box(1, 2, 3, 4)
    probe.close()
    with monkeypatch.context() as patch:
        patch.setattr(keeping.FolderLock, "acquire", refuse)
        with pytest.warns(UserWarning, match="Read-only file system"):
            probe = made(datasets.scenes()[0], session=tmp_path)
        assert len(probe.stimulus.operations) == 1 and "Read-only" in Page(probe).state["kept"]["problem"]
        probe.stimulus = probe.stimulus.noise(0.1)
        with pytest.raises(InputError, match="Read-only"):
            probe.keep()
    probe.keep()  # it can be written now
    probe.close()
    assert len(made(datasets.scenes()[0], session=tmp_path).stimulus.operations) == 2


def test_a_folder_that_is_deleted_meanwhile(made: Any, tmp_path: Path) -> None:
    probe = made(datasets.scenes()[0], session=tmp_path / "s")
    probe.run("answer")
    probe.keep()
    shutil.rmtree(tmp_path / "s")
    probe.stimulus = probe.stimulus.box(1, 2, 3, 4)
    probe.keep()
    assert "was moved or deleted" in Page(probe).state["kept"]["note"]
    probe.close()
    again = made(datasets.scenes()[0], session=tmp_path / "s")
    assert len(again.trials) == 1 and len(again.stimulus.operations) == 1


def test_a_folder_that_is_moved_meanwhile(made: Any, tmp_path: Path, caplog: Any) -> None:
    probe = made(datasets.scenes()[0], session=tmp_path / "s")
    probe.run("answer")
    probe.keep()
    (tmp_path / "s").rename(tmp_path / "moved")
    for number in range(2):
        probe.stimulus = probe.stimulus.box(number, 2, 3, 4)
        probe.keep()
    assert caplog.text.count("was moved or deleted") == 1
    with pytest.raises(InputError, match="in use in this process"):
        made(datasets.scenes()[0], session=tmp_path / "s")  # the new folder has a lock
    moved = made(datasets.scenes()[0], session=tmp_path / "moved")  # the probe has left the old one
    assert len(moved.trials) == 1 and moved.stimulus.operations == ()
    probe.close()
    again = made(datasets.scenes()[0], session=tmp_path / "s")
    assert len(again.trials) == 1 and len(again.stimulus.operations) == 2


def test_a_different_session_in_the_place_of_a_moved_one_is_left_alone(made: Any, tmp_path: Path) -> None:
    probe = made(datasets.scenes()[0], session=tmp_path / "s")
    probe.keep()
    (tmp_path / "s").rename(tmp_path / "moved")
    other = made(datasets.scenes()[3], session=tmp_path / "s")
    other.run("answer")
    other.keep()
    probe.stimulus = probe.stimulus.box(1, 2, 3, 4)
    with pytest.raises(InputError, match="in use in this process"):
        probe.keep()
    other.close()
    with pytest.raises(InputError, match="Another probe has changed"):
        probe.keep()
    again = made(datasets.scenes()[3], session=tmp_path / "s")
    assert len(again.trials) == 1 and again.stimulus.operations == ()


@pytest.mark.parametrize("name", ["x" * 300, "~nobody-of-this-name/s", "a\0b"])
def test_names_that_no_folder_can_have(made: Any, tmp_path: Path, name: str) -> None:
    for call in (
        lambda: made(datasets.scenes()[0], session=name),
        lambda: isi.open_probe(name),
        lambda: made(datasets.scenes()[0]).save(name),
        lambda: isi.open_study(name),
        lambda: datasets.save_observation(name, datasets.scenes()[0].stimulus()),
    ):
        with pytest.raises(InputError, match=r"must be a path of this computer.*Use another name"):
            call()


@pytest.mark.parametrize("session", ["", 3, b"x", ["a"]])
def test_no_path(made: Any, session: Any) -> None:
    with pytest.raises(InputError, match="session must be the path of a folder"):
        made(datasets.scenes()[0], session=session)


def test_a_file_is_no_folder(made: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="must be a folder"):
            made(datasets.scenes()[0], session=path)
    probe = made(datasets.scenes()[0])
    assert probe.session is None and probe.kept == {}
    with pytest.raises(InputError, match="has no session"):
        probe.keep()


def test_a_trial_that_has_no_form_on_the_disk_stops_nothing(made: Any, tmp_path: Path) -> None:
    probe = made(datasets.scenes()[0], session=tmp_path)
    good = probe.run("answer")
    probe._runs._add_trial(Trial(good.stimulus, {"of mine": object()}, good.model, good.settings), "x")
    probe.run("answer")
    probe.note(3, "kept")
    probe.keep()
    probe.close()
    with pytest.warns(UserWarning, match="missing: 2"):
        again = made(datasets.scenes()[0], session=tmp_path)
    assert list(again._history) == [1, 3] and again.notes == {3: "kept"}
    again.run("answer")
    assert list(again._history) == [1, 3, 4]


# ---- damaged, newer, other models
@pytest.fixture
def closed(made: Any, tmp_path: Path) -> Path:
    """The folder of a session of three trials, each change on a line of its own."""
    probe = made(datasets.scenes()[0], session=tmp_path / "s")
    for number in range(3):
        probe.stimulus = probe.stimulus.box(number, 1, 2, 3)
        probe.keep()
        probe.run("answer")
        probe.keep()
    probe.close()
    return tmp_path / "s"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def changed_state(folder: Path, **changed: Any) -> None:
    found = json.loads((folder / "session.json").read_text())
    (folder / "session.json").write_text(json.dumps({**found, **changed}))


def test_a_newer_session_is_left_alone(made: Any, closed: Path) -> None:
    changed_state(closed, schema=2, new="thing")
    before = content(closed)
    with pytest.raises(InputError, match=r"newer isi-widget.*Upgrade"):
        made(datasets.scenes()[0], session=closed)
    assert content(closed) == before


def test_the_store_of_a_study_is_no_session(made: Any, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(InputError, match=r"store of a study.*folder of its own.*open_study"):
        made(datasets.scenes()[0], session=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]


DAMAGE: dict[str, Any] = {
    "cut": lambda text: text[:100],
    "empty": lambda text: "",
    "no object": lambda text: "[1, 2]",
    "another format": lambda text: text.replace("isi_widget.session", "x"),
    "schema": lambda text: text.replace('"schema":1', '"schema":"1"'),
    "no number": lambda text: text.replace('"samples":10', '"samples":"many"'),
    "no document": lambda text: text.replace('"documents":{', '"documents":{"7":1,'),
    "no picture": lambda text: text.replace('"image":"', '"image":"00'),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_state_is_refused_and_left_alone(made: Any, closed: Path, kind: str) -> None:
    path = closed / "session.json"
    text = path.read_text()
    assert DAMAGE[kind](text) != text
    path.write_text(DAMAGE[kind](text))
    before = content(closed)
    with pytest.raises(InputError, match=r"damaged: session\.json.*Nothing was changed"):
        made(datasets.scenes()[0], session=closed)
    assert content(closed) == before
    # as the message advises
    path.rename(closed.parent / "elsewhere")
    (closed / "changes.jsonl").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probe = made(datasets.scenes()[0], session=closed)
    assert list(probe._history) == [1, 2, 3] and not probe.stimulus.operations


TRACE = {
    "title": "Trace from trial 1 to trial 2",
    "help": "Share.",
    "rows": ["L0", "L1"],
    "columns": ["image"],
    "values": [[0.5], [None]],
    "sentences": [["Half."], [""]],
}


def test_a_damaged_trace_is_left_out(made: Any, closed: Path) -> None:
    for damage in (
        {},
        {"rows": ["L0"]},
        {"values": [[0.5], ["1"]]},
    ):
        changed_state(closed, traced={**TRACE, **damage})
        probe = made(datasets.scenes()[0], session=closed)
        assert len(probe.trials) == 3 and probe.traced == ({} if damage else TRACE)
        told = "The last trace cannot be read and is left out" in probe.kept["note"]
        assert told == bool(damage)
        probe.close()


@pytest.mark.parametrize("damage", ["cut", "another", "missing", "newer"])
def test_one_damaged_trial_does_not_lose_the_rest(made: Any, closed: Path, damage: str) -> None:
    path = closed / "trials" / "000002.json"
    whole = path.read_bytes()
    changes = {"cut": whole[:50], "another": b"[1]", "newer": whole.replace(b'"schema":2', b'"schema":99')}
    path.write_bytes(changes[damage]) if damage in changes else path.unlink()
    before = content(closed)
    with pytest.warns(UserWarning, match=r"Trial 2 cannot be read|missing: 2"):
        probe = made(datasets.scenes()[0], session=closed)
    assert list(probe._history) == [1, 3] and "2" in Page(probe).state["kept"]["note"]
    probe.run("answer")
    probe.keep()
    assert list(probe._history) == [1, 3, 4]
    probe.close()
    for name, data in before.items():
        if "trials" in name:
            assert Path(name).read_bytes() == data
    path.write_bytes(whole)  # put back, it is there again
    assert list(made(datasets.scenes()[0], session=closed)._history) == [1, 2, 3, 4]


def test_a_damaged_line_of_changes(made: Any, closed: Path) -> None:
    path = closed / "changes.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    broken = b"".join([*lines[:2], b"{broken}\n", *lines[2:]])
    path.write_bytes(broken)
    with pytest.warns(UserWarning, match="damaged at line 3"):
        probe = made(datasets.scenes()[0], session=closed)
    assert list(probe._history) == [1, 2, 3] and len(probe.stimulus.operations) < 3
    probe.stimulus = probe.stimulus.noise(0.2)
    probe.keep()
    assert (closed / "damaged-changes.jsonl").read_bytes() == broken
    probe.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(datasets.scenes()[0], session=closed)


def test_a_damaged_picture(made: Any, closed: Path) -> None:
    path = closed / "pictures" / f"{datasets.scenes()[0].image.sha256}.png"
    whole = path.read_bytes()
    path.write_bytes(datasets.scenes()[5].image.png())
    with pytest.raises(InputError, match="does not match its SHA-256"):
        made(datasets.scenes()[0], session=closed)
    path.write_bytes(whole)
    assert len(made(datasets.scenes()[0], session=closed).trials) == 3


def test_another_model_is_named(made: Any, vlm: VLM, closed: Path) -> None:
    found = json.loads((closed / "session.json").read_text())["model"]
    changed_state(closed, model={**found, "label": "LLaVA-1.5 7B", "fingerprint": "x"})
    with pytest.warns(UserWarning, match="made with LLaVA-1.5 7B; the model here is"):
        probe = made(datasets.scenes()[0], session=closed)
    assert "LLaVA-1.5 7B" in Page(probe).state["kept"]["note"]
    probe.run("answer")
    probe.close()
    changed_state(closed, model={**found, "fingerprint": "x"})
    (closed / "changes.jsonl").unlink(missing_ok=True)
    with pytest.warns(UserWarning, match="other weights"):
        made(datasets.scenes()[0], session=closed)


def test_interventions_that_this_model_does_not_have(made: Any, tmp_path: Path) -> None:
    probe = made(datasets.scenes()[0], session=tmp_path)
    probe.interventions = (isi.HeadScale(1, 0, 0.0),)
    probe.keep()
    probe.close()
    for path in (tmp_path / "session.json", tmp_path / "changes.jsonl"):
        if path.exists():
            path.write_text(path.read_text().replace('"layer":1', '"layer":77'))
    with pytest.warns(UserWarning, match="interventions inside the model are left out"):
        probe = made(datasets.scenes()[0], session=tmp_path)
    assert probe.interventions == ()


def test_a_judge_that_is_not_known_is_not_loaded(made: Any, closed: Path) -> None:
    changed_state(closed, judge="someone/a-model")
    with pytest.warns(UserWarning, match="someone/a-model"):
        probe = made(datasets.scenes()[0], session=closed)
    assert probe.entailment == "auto"
    probe.close()
    changed_state(closed, judge="rules")
    (closed / "changes.jsonl").unlink(missing_ok=True)
    assert made(datasets.scenes()[0], session=closed).entailment == "rules"
