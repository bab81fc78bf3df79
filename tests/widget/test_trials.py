"""The history of a probe, from page and Python: restored, noted, deleted, written to files; and what the page
gets of a trial beside its numbers.
"""

from __future__ import annotations

import csv
import io
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_page import BOX, Page, idle
from scripted_runs import Script

import isi_widget as isi
from isi_widget import InputError, Probe, Trial, datasets
from isi_widget.trial.reports import open_report
from isi_widget.uncertainty import entropy_curve
from isi_widget.vlm import VLM
from isi_widget.widget import messages, protocol
from isi_widget.widget.notes import Notes
from isi_widget.widget.traits import ENTRIES
from isi_widget.widget.trials import KEPT, History, file_name


@pytest.fixture
def run(probe: Probe, script: Script) -> tuple[Probe, Page, list[Trial]]:
    """A probe of three trials: without a drawing, with a box, with another question."""
    page = Page(probe)
    script.free, script.steps = True, 1
    made = [probe.run("answer")]
    page.draw(BOX)
    made.append(probe.run("answer"))
    page.draw({"op": "question", "text": "Is there a cat?"})
    made.append(probe.run("answer"))
    page.wait(idle)
    return probe, page, made


# ------------------------------------------------------------------------------------------------ restore
def test_restoring_is_one_step_that_undo_takes_back(run: Any) -> None:
    probe, page, made = run
    page.send({"kind": "restore", "trial": 2})
    assert probe.stimulus == made[1].stimulus and page.operations() == [BOX]
    assert page.state["shown"] == 2 and probe.trial is made[1]
    assert page.state["inputs"]["key"] == page.state["trials"][1]["key"]
    probe.undo()
    assert probe.stimulus == made[2].stimulus
    assert probe.restore(1) == made[0].stimulus == probe.stimulus
    assert probe.shown == 1 and page.operations() == []
    probe.undo()
    assert probe.stimulus == made[2].stimulus


def test_restoring_what_is_there_is_no_step(run: Any) -> None:
    probe, _, made = run
    before = probe.document
    probe.shown = 1
    probe.restore(made[2])
    assert probe.document == before and probe.shown == 3


def test_restoring_chooses_the_observation_of_the_trial(run: Any) -> None:
    probe, page, made = run
    probe.choose(4)
    assert probe.stimulus != made[1].stimulus
    page.send({"kind": "restore", "trial": 2})
    assert page.state["observation_index"] == 0 and page.state["observation"]["index"] == 0
    assert probe.stimulus == made[1].stimulus and page.operations() == [BOX]
    assert page.state["preview"]["image_width"] == made[1].stimulus.image.width


def test_restoring_an_image_of_the_users_own(run: Any, tmp_path: Path) -> None:
    from PIL import Image

    probe, page, _ = run
    data = io.BytesIO()
    Image.fromarray(np.arange(2700, dtype=np.uint8).reshape(30, 30, 3)).save(data, "PNG")
    page.send({"kind": "upload", "name": "own.png"}, data.getvalue())
    page.wait(lambda page: page.state["observation_index"] == 100)
    own = probe.run("answer")
    probe.choose(4)
    probe.restore(own)
    assert probe.stimulus == own.stimulus and probe.observation_index == 100


# ------------------------------------------------------------------------------------------ notes, delete
def test_the_notes_are_a_dict_that_one_can_read_and_write_as_json() -> None:
    notes = Notes({12: "<b>b</b>", 2: "a"})
    assert notes == {2: "a", 12: "<b>b</b>"} and list(notes) == [2, 12] and isinstance(notes, dict)
    assert json.loads(json.dumps(notes)) == {"2": "a", "12": "<b>b</b>"}
    assert repr(notes) == "{2: 'a', 12: '<b>b</b>'}" and pickle.loads(pickle.dumps(notes)) == notes
    assert "trial 12" in notes._repr_html_() and "&lt;b&gt;" in notes._repr_html_()
    assert "probe.note(" in Notes()._repr_html_()
    for change in (
        lambda: notes.pop(2),
        lambda: notes.update({3: "c"}),
        notes.clear,
        lambda: notes.__delitem__(2),
    ):
        with pytest.raises(TypeError, match=r"read-only.*probe\.note"):
            change()


def test_notes_are_synced_and_read_only(run: Any) -> None:
    probe, page, made = run
    page.send({"kind": "note", "trial": 2, "text": "  covers the star "})
    probe.note(made[0], "the plain one")
    assert probe.notes == {1: "the plain one", 2: "covers the star"}
    assert page.state["notes"] == {"1": "the plain one", "2": "covers the star"}
    with pytest.raises(TypeError):
        probe.notes[1] = "in place"
    probe.note(2, "")
    assert page.state["notes"] == {"1": "the plain one"} == probe.get_state("notes")["notes"]


def test_a_note_does_not_send_the_trials_again(run: Any) -> None:
    _, page, _ = run
    page.updates.clear()
    page.send({"kind": "note", "trial": 2, "text": "short"})
    assert [set(update) for update in page.updates] == [{"notes"}]


def test_deleting_keeps_the_numbers_of_the_others(run: Any) -> None:
    probe, page, made = run
    probe.note(2, "gone soon")
    page.send({"kind": "delete", "trial": 2})
    assert probe.trials == (made[0], made[2]) and probe.notes == {}
    assert [entry["id"] for entry in page.state["trials"]] == [1, 3]
    assert page.state["shown"] == 3 and probe.trial is made[2]
    probe.restore(1)
    assert probe.trial is made[0]
    new = probe.run("answer")
    assert [entry["id"] for entry in page.state["trials"]] == [1, 3, 4] and probe.trial is new
    assert probe.delete(new) is new and page.state["shown"] == 3


def test_deleting_what_is_shown_shows_a_neighbour_then_nothing(run: Any) -> None:
    probe, page, made = run
    heard: list[Any] = []
    probe.observe(lambda change: heard.append(change["new"]), "trial")
    for number, then in ((3, 2), (1, 2), (2, -1)):
        probe.delete(number)
        assert page.state["shown"] == then
    assert heard == [made[1], None] and probe.trials == () and page.state["trials"] == []


def test_what_is_not_there_is_refused(run: Any) -> None:
    probe, page, made = run
    probe.delete(2)
    for wrong in (2, 0, -1, 99, True, "1", None):
        with pytest.raises(InputError, match="There is no trial"):
            probe.restore(wrong)
    with pytest.raises(InputError, match="there are 1, 3"):
        probe.note(2, "x")
    with pytest.raises(InputError, match="not one of this probe"):
        probe.delete(made[1])
    with pytest.raises(InputError, match="at most 2000 characters"):
        probe.note(1, "x" * 2001)
    for message in ({"kind": "restore"}, {"kind": "delete"}, {"kind": "note", "text": "x"}):
        page.send({**message, "trial": 2})
        assert "no trial 2" in page.state["error"]["message"]
        page.set(error=None)
    page.set(shown=2)
    assert page.state["shown"] == 3 and "one of the 2 trials" in page.state["error"]["message"]
    assert probe.trials == (made[0], made[2])


# ----------------------------------------------------------------------------------------------- messages
@pytest.mark.parametrize(
    "message",
    [
        {"kind": "restore"},
        {"kind": "restore", "trial": "1"},
        {"kind": "restore", "trial": True},
        {"kind": "restore", "trial": 0},
        {"kind": "restore", "trial": 1.5},
        {"kind": "delete", "trial": math.nan},
        {"kind": "delete", "trial": 1, "all": True},
        {"kind": "note", "trial": 1},
        {"kind": "note", "trial": 1, "text": 7},
        {"kind": "note", "trial": 1, "text": "x" * 2001},
        {"kind": "export", "id": "e", "trials": [], "format": "json"},
        {"kind": "export", "id": "e", "trials": [1] * 1001, "format": "json"},
        {"kind": "export", "id": "e", "trials": [1], "format": "exe"},
        {"kind": "export", "id": "e", "trials": "1", "format": "csv"},
        {"kind": "export", "trials": [1], "format": "csv"},
    ],
)
def test_messages_that_are_refused(message: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        messages.parse_message(message, [])


def test_messages_that_are_taken() -> None:
    parse = messages.parse_message
    assert parse({"kind": "restore", "trial": 3.0}) == messages.Restore(3)
    assert parse({"kind": "delete", "trial": 3}) == messages.Delete(3)
    assert parse({"kind": "note", "trial": 3, "text": " a "}) == messages.Note(3, "a")
    export = {"kind": "export", "id": "e", "trials": [2, 1], "format": "pdf"}
    assert parse(export) == messages.Export("e", (2, 1), "pdf")


# ------------------------------------------------------------------------------------------------- export
@pytest.fixture(scope="module")
def measured(vlm: VLM) -> Probe:
    """Two trials of the real model, on two observations."""
    probe = Probe(vlm, data=datasets.scenes())
    probe.run(samples=4, max_new_tokens=6)
    probe.choose(4)
    probe.stimulus = probe.stimulus.box(10, 20, 100, 50, "red")
    probe.run(samples=4, max_new_tokens=6)
    probe.note(2, 'a "quoted", note\nof two lines')
    return probe


def test_json_gives_the_trials_back(measured: Probe) -> None:
    record = json.loads(measured.export())
    assert [entry["id"] for entry in record["trials"]] == [1, 2]
    assert record["trials"][1]["note"] == measured.notes[2] and record["trials"][0]["note"] == ""
    assert tuple(Trial.from_dict(entry["trial"]) for entry in record["trials"]) == measured.trials
    (one,) = json.loads(measured.export(measured.trials[1]))["trials"]
    assert one["id"] == 2


def test_csv_has_a_row_for_each(measured: Probe) -> None:
    rows = list(csv.DictReader(io.StringIO(measured.export([2, 1], "csv").decode())))
    assert [row["trial"] for row in rows] == ["1", "2"] and rows[1]["note"] == measured.notes[2]
    for row, trial in zip(rows, measured.trials, strict=True):
        assert trial.answer is not None and trial.uncertainty is not None
        assert row["answer"] == trial.answer.text
        assert float(row["semantic_entropy"]) == trial.uncertainty.semantic_entropy


def test_pdf_holds_the_trials(measured: Probe, tmp_path: Path) -> None:
    path = measured.export(format="pdf", path=tmp_path / "both.pdf")
    assert path == tmp_path / "both.pdf" and open_report(path) == list(measured.trials)


@pytest.mark.parametrize("format", ["json", "csv", "pdf", "html"])
def test_the_page_gets_the_same_file(measured: Probe, format: Any) -> None:
    page = Page(measured)
    page.send({"kind": "export", "id": "e7", "trials": [2], "format": format})
    page.wait(lambda page: page.of_kind("export") or page.of_kind("error"), 60)
    place = next(i for i, message in enumerate(page.messages) if message["kind"] == "export")
    assert page.messages[place] == {
        "kind": "export",
        "id": "e7",
        "name": f"trial-2.{format}",
        "type": {
            "json": "application/json",
            "csv": "text/csv",
            "pdf": "application/pdf",
            "html": "text/html",
        }[format],
    }
    assert page.attached[place] == [measured.export(2, format)]


def test_the_format_is_that_of_the_files_name(measured: Probe, tmp_path: Path) -> None:
    assert measured.export([1], path=tmp_path / "one.PDF").read_bytes()[:5] == b"%PDF-"
    assert measured.export([1], path=tmp_path / "one.csv").read_text().startswith("trial,note,")
    assert json.loads(measured.export([1], path=tmp_path / "one.json").read_text())["schema"] == 1
    assert measured.export([1], path=tmp_path / "one.html").read_text().startswith("<!DOCTYPE html>")
    assert measured.export([1], "csv", path=tmp_path / "one.txt").read_text().startswith("trial,note,")
    for path, format in (("one.csv", "pdf"), ("one.pdf", "json"), ("one.xyz", None)):
        with pytest.raises(InputError, match=r"named as csv|named as pdf|format must be one of"):
            measured.export([1], format, path=tmp_path / path)


def test_the_report_has_the_numbers_and_notes_of_the_probe(measured: Probe) -> None:
    from pypdf import PdfReader

    pdf = PdfReader(io.BytesIO(measured.export([2], "pdf")))
    words = " ".join(" ".join(page.extract_text() for page in pdf.pages).split())
    assert "your note" in words and 'a "quoted", note' in words
    assert measured.trials[1] == open_report(measured.export([2], "pdf"))
    probe = Probe(measured.vlm)
    for _ in range(3):
        probe.run("answer", max_new_tokens=2)
    probe.delete(1)
    several = PdfReader(io.BytesIO(probe.export(format="pdf")))
    assert list(several.attachments) == ["trial-02.json", "trial-03.json"]
    probe.close()


@pytest.mark.parametrize("ending", ["pdf", "html"])
def test_a_probe_reports_its_session(measured: Probe, tmp_path: Path, ending: str) -> None:
    measured.pinned = [2]
    path = measured.report(tmp_path / f"session.{ending}", title="My session")
    assert path == tmp_path / f"session.{ending}" and open_report(path) == list(measured.trials)
    assert (
        isi.report(measured, tmp_path / f"same.{ending}", title="My session").read_bytes()
        == path.read_bytes()
    )
    one = measured.report(trials=measured.trials[1], format=ending)
    assert open_report(one) == measured.trials[1]
    with pytest.raises(InputError, match="own numbers and notes"):
        isi.report(measured, notes={1: "a"})
    with pytest.raises(InputError, match="There is no trial 9"):
        measured.report(baseline=9)


def test_the_report_of_a_session_shows_notes_and_pins(measured: Probe) -> None:
    measured.pinned = [2]
    page = measured.report(format="html", baseline=2).decode()
    assert "a &quot;quoted&quot;, note\nof two lines" in page and ">pinned</span>" in page
    assert "Data" in page and "What the numbers mean" in page


def test_pins_are_shared_kept_and_checked(probe: Probe, script: Script) -> None:
    script.free, script.steps = True, 1
    page = Page(probe)
    for _ in range(3):
        probe.run("answer")
    page.set(pinned=[3, 1])
    assert probe.pinned == [1, 3]
    probe.delete(3)
    assert probe.pinned == [1] == page.state["pinned"]
    page.set(pinned=[7])
    assert probe.pinned == [1] and "which is not the number of a trial" in page.state["error"]["message"]
    with pytest.raises(InputError, match="pinned must be a list"):
        probe.pinned = [1, 1, 1, 1]


def test_a_result_does_not_take_the_view_from_another_trial(probe: Probe, script: Script) -> None:
    script.free, script.steps = True, 1
    page = Page(probe)
    for _ in range(2):
        probe.run("answer")
    script.free = False
    page.send({"kind": "run", "id": "r", "measures": ["answer"]})
    page.wait(lambda page: not idle(page))
    page.set(shown=1)
    script.free = True
    script.go(3)
    page.wait(idle)
    page.wait(lambda page: len(page.state["trials"]) == 3)
    assert page.state["shown"] == 1 and probe.trial is probe.trials[0]
    probe.run("answer")
    assert page.state["shown"] == 4


def test_trials_side_by_side(probe: Probe, measured: Probe) -> None:
    both = measured.compare()
    assert both.trials == measured.trials and both.labels == ("trial 1", "trial 2")
    assert measured.compare([measured.trials[1]]).labels == ("trial 2",)
    with pytest.raises(InputError, match="no trial 7"):
        measured.compare([1, 7])
    with pytest.raises(InputError, match="There is no trial: run one first"):
        probe.compare()
    with pytest.raises(InputError, match="There is no trial 'json'"):
        measured.export("json")  # type: ignore[call-overload]


def test_exports_that_cannot_be(probe: Probe, measured: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="run one first"):
        probe.export()
    with pytest.raises(InputError, match="format must be one of json, csv, pdf"):
        measured.export(format="exe")  # type: ignore[call-overload]
    with pytest.raises(InputError, match="cannot be written"):
        measured.export(path="/no/such/folder/t.json")
    page = Page(measured)
    page.send({"kind": "export", "id": "e", "trials": [9], "format": "json"})
    page.wait(lambda page: page.state["error"])
    assert "no trial 9" in page.state["error"]["message"] and page.state["error"]["id"] == "e"
    monkeypatch.setattr(protocol, "MAX_UPLOAD", 100)
    page.send({"kind": "export", "id": "f", "trials": [1], "format": "json"})
    page.wait(lambda page: (page.state["error"] or {}).get("id") == "f")
    assert "probe.export([1], 'json', path='trial-1.json')" in page.state["error"]["message"]
    assert not page.of_kind("export")


def test_names_of_files() -> None:
    assert file_name([3], "csv") == "trial-3.csv"
    assert file_name([1, 3], "pdf") == "trials-1-3.pdf"
    assert file_name(list(range(2, 90)), "json") == "trials-2-to-89.json"


def test_numbers_are_never_given_twice(measured: Probe) -> None:
    history, (trial, _) = History(), measured.trials
    assert [history.add(trial, {}) for _ in range(3)] == [(1, 0), (2, 1), (3, 2)]
    assert history.remove(3) == (trial, 2)
    assert history.add(trial, {}) == (4, 2) and list(history) == [1, 2, 4]
    assert history.entries == [{"id": 1}, {"id": 2}, {"id": 4}]


# -------------------------------------------------------------------------------------------- what travels
def test_the_newest_take_the_places_of_the_oldest(measured: Probe) -> None:
    history, (trial, _) = History(), measured.trials
    for _ in range(KEPT):
        history.add(trial, {})
    history.remove(7)
    assert history.add(trial, {}) == (KEPT + 1, 6)
    assert [history.add(trial, {})[1] for _ in range(3)] == [0, 1, 2]
    assert history.remove(1) == (trial, None)  # it had left the page
    kept = [*range(4, 7), *range(8, KEPT + 5)]
    assert [entry["id"] for entry in history.entries] == kept and len(kept) == KEPT
    assert [history.entry(place) for place in (0, 6)] == [{"id": KEPT + 2}, {"id": KEPT + 1}]
    assert len(history.trials) == KEPT + 2


def entries_in(state: dict[str, Any]) -> list[str]:
    return [name for name in state if name in ENTRIES]


def test_a_new_trial_sends_itself_alone(probe: Probe, script: Script) -> None:
    script.free, script.steps = True, 1
    page, sizes = Page(probe), []
    for _ in range(KEPT + 10):
        page.updates.clear()
        page.came.clear()
        probe.run("answer")
        assert [len(entries_in(update)) for update in page.updates if entries_in(update)] == [1]
        sizes.append(sum(page.came))
    assert [entry["id"] for entry in page.state["trials"]] == list(range(11, KEPT + 11))
    assert len(probe.trials) == KEPT + 10
    assert max(sizes[1:]) < 1.2 * min(sizes[1:])


def test_a_trial_that_goes_sends_an_empty_place(run: Any) -> None:
    probe, page, _ = run
    page.updates.clear()
    probe.delete(2)
    assert [entries_in(update) for update in page.updates] == [["_entry_1"]]
    assert page.updates[0]["_entry_1"] is None
    page.updates.clear()
    probe.delete(1)  # not shown: nothing else changes
    assert [set(update) for update in page.updates] == [{"_entry_0"}]


def test_a_second_page_and_a_saved_notebook_have_all_trials(run: Any) -> None:
    from ipywidgets.embed import dependency_state

    probe, page, _ = run
    probe.delete(1)
    probe.run("answer")
    second = Page(probe)
    assert second.state["trials"] == page.state["trials"]
    assert [entry["id"] for entry in second.state["trials"]] == [2, 3, 4]
    saved = dependency_state(probe)[probe.model_id]["state"]
    assert sorted(saved[name]["id"] for name in entries_in(saved) if saved[name]) == [2, 3, 4]


def test_a_page_cannot_put_a_trial_anywhere(run: Any) -> None:
    probe, page, made = run
    page.set(_entry_0={"id": 1, "key": "", "view": {}, "thumbnail": None})
    assert "may not set '_entry_0'" in page.state["error"]["message"] and probe.trials == tuple(made)
    assert [entry["id"] for entry in page.state["trials"]] == [1, 2, 3]
    assert page.state["trials"][0]["view"]


def test_the_page_has_as_many_places_as_the_kernel() -> None:
    source = Path(__file__).parents[2] / "js" / "src" / "protocol.ts"
    assert f"export const PLACES = {KEPT};" in source.read_text(encoding="utf-8")


# --------------------------------------------------------------------------------------------- the view
def test_what_the_page_gets_of_tokens_heads_and_the_curve(measured: Probe) -> None:
    trial, view = measured.trials[0], Page(measured).state["trials"][0]["view"]
    assert trial.answer is not None and trial.attention is not None and trial.uncertainty is not None
    told = [[(o["text"], o["logprob"]) for o in token["alternatives"]] for token in view["answer"]["tokens"]]
    assert told == [list(others) for others in trial.answer.alternatives] and len(told[0]) == 5
    mass = trial.attention.mass
    assert np.allclose(view["attention"]["by_head"], mass[..., 0].mean(0), atol=1e-4)
    per_token = [
        [share[name] for name in trial.attention.segments] for share in view["attention"]["by_token"]
    ]
    assert np.allclose(per_token, mass.mean((1, 2)), atol=1e-6)
    curve = view["uncertainty"]["curve"]
    # the one that leads; its curve ends at its number
    expected = entropy_curve(trial.uncertainty, "bayesian_semantic_entropy", seed=trial.uncertainty.seed)
    assert curve["name"] == "bayesian_semantic_entropy"
    assert curve["samples"] == [1, 2, 3, 4] == list(expected.samples)
    for name in ("mean", "low", "high"):
        assert curve[name] == pytest.approx(list(getattr(expected, name)), abs=1e-5)
    assert curve["mean"][-1] == pytest.approx(trial.uncertainty.bayesian_semantic_entropy, abs=1e-5)


def test_averages_stand_beside_a_trial_of_their_model_only(
    probe: Probe, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isi_widget.widget import runs as module

    script.free, script.steps = True, 1
    told = {"semantic_entropy": {"mean": 0.2, "percentile": 83.0}, "note": "Averages of 200 scenes."}
    monkeypatch.setattr(module, "for_trial", lambda trial, view: told)
    page = Page(probe)
    probe.run("answer")
    assert page.state["trials"][0]["view"]["averages"] == told
    monkeypatch.setattr(module, "for_trial", lambda trial, view: None)
    probe.run("answer")
    assert "averages" not in page.state["trials"][1]["view"]
