"""Stores that were damaged, copied or left by a killed run: refused with what to do, or mended."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from pyarrow import parquet
from stub_vlm import StubVLM

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.study import store as stores
from isi_widget.study.rows import FIRST, LAST
from isi_widget.study.table import parquet_of, table_of
from isi_widget.trial.columns import taken

ROWS = 12


def run(folder, **given):
    arguments = {"measures": "answer", "seeds": (0, 1), "store": folder, **given}
    return isi.run_study(StubVLM(), isi.datasets.scenes()[:6], **arguments)


@pytest.fixture(autouse=True)
def short_parts(monkeypatch):
    monkeypatch.setattr(stores, "PART", 5)


@pytest.fixture
def folder(tmp_path):
    run(tmp_path / "a")
    return tmp_path / "a"


def parts(folder):
    return sorted((folder / "parts").iterdir())


def open_again(folder):
    """Make the rows of the last part open ones, as a killed run leaves them."""
    last = parts(folder)[-1]
    rows = parquet.read_table(last).to_pylist()
    (folder / "open.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    last.unlink()


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_damaged_part_is_named_and_costs_no_other_row(folder, content):
    before = run(folder).rows
    open_again(folder)
    part = parts(folder)[0]
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2] if content is None else content)
    for _ in range(2):
        with pytest.raises(InputError, match=r"000001\.parquet[\s\S]*Remove that file"):
            run(folder)
    assert len((folder / "open.jsonl").read_text().splitlines()) == 2
    part.write_bytes(whole)
    assert isi.open_study(folder).rows.equals(before)
    part.unlink()
    again = run(folder).rows
    assert again.drop(columns=["seconds", "created"]).equals(before.drop(columns=["seconds", "created"]))


def test_a_part_that_was_copied_doubles_no_row(folder):
    before = run(folder).rows
    shutil.copy(parts(folder)[0], folder / "parts" / "000099.parquet")
    assert isi.open_study(folder).rows.equals(before) and len(run(folder)) == ROWS


def test_rows_without_their_header_are_not_taken_into_another_run(folder):
    (folder / "study.json").unlink()
    with pytest.raises(InputError, match=r"study\.json is missing"):
        run(folder, max_new_tokens=3)
    assert len(pd.read_parquet(folder / "parts")) == ROWS


@pytest.mark.parametrize("name", ["models", "shapes", "conditions", "settings", "data"])
def test_a_header_without_a_part_is_damaged(folder, name):
    header = json.loads((folder / "study.json").read_text())
    del header[name]
    (folder / "study.json").write_text(json.dumps(header))
    for use in (run, isi.open_study):
        with pytest.raises(InputError, match=f"damaged: '{name}' is missing"):
            use(folder)


@pytest.mark.parametrize("number", [-1, 10**6])
def test_rows_that_the_study_does_not_have_are_refused(folder, number):
    (folder / "open.jsonl").write_text(json.dumps({"row": number}) + "\n")
    with pytest.raises(InputError, match="damaged: it has the rows"):
        run(folder)


def grown_by_hand(folder, kind, value, places):
    """Give a column to the header and to some parts, as a run does that is killed meanwhile."""
    header = json.loads((folder / "study.json").read_text())
    columns = {name: known for name, known in header["columns"].items() if name not in (*LAST, "mine")}
    header["columns"] = {**columns, "mine": kind, **LAST}
    (folder / "study.json").write_text(json.dumps(header))
    for part in parts(folder)[places]:
        rows = [{**row, "mine": value} for row in parquet.read_table(part).to_pylist()]
        part.write_bytes(parquet_of(table_of(rows, header["columns"])))


def test_a_kill_while_columns_change_costs_nothing(folder):
    grown_by_hand(folder, "float64", 1.5, slice(None))
    reader = isi.open_study(folder)
    assert set(reader.frame(["mine"])["mine"]) == {1.5}
    grown_by_hand(folder, "str", "text", slice(0, 1))
    expected = ["text"] * 5 + ["1.5"] * 7
    assert list(reader.frame(["mine"])["mine"]) == list(isi.open_study(folder).rows["mine"]) == expected
    assert list(run(folder).rows["mine"]) == expected
    assert list(pd.read_parquet(folder / "parts").sort_values("row")["mine"]) == expected


def test_a_header_that_cannot_be_written_leaves_the_columns(folder, monkeypatch):
    store = stores.Store(folder)
    store.open()
    before = dict(store.columns)

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores, "write_file", full)
    with pytest.raises(InputError, match="No space left"):
        store.add({"row": 12, "mine": "text"})
    assert store.columns == before
    monkeypatch.undo()
    store.close()
    assert len(isi.open_study(folder)) == ROWS


class Mine(isi.Measure):
    """A measure of any terms and values."""

    needs = ("answer",)

    def __init__(self, name, values):
        self.name = self.title = name
        self.terms = tuple(isi.Term(term, term) for term in values)
        self.kept = values

    def run(self, shared):
        return {}

    def values(self, record):
        return self.kept


def test_no_measure_has_the_name_of_a_column_of_rows():
    for name in (*FIRST, *LAST, "accuracy"):
        assert taken(name), name
    for name in ("row", "index", "level", "error", "image", "answers", "accuracy"):
        with pytest.raises(InputError, match="taken"):
            run(None, measures=["answer", Mine(name, {name: 0.5})])


@pytest.mark.parametrize("value", [0.5, "half", "\ud800x"])
def test_numbers_and_texts_of_a_measure_called_tokens(tmp_path, value):
    expected = "\ufffdx" if value == "\ud800x" else value
    for folder in (None, tmp_path / "b"):
        study = run(folder, measures=["answer", Mine("tokens", {"tokens_share": value})])
        assert set(study.rows["tokens_share"]) == {expected}


def test_models_with_equal_labels_are_refused():
    data = isi.datasets.scenes()[:1]
    for models in (
        {1: StubVLM(), "1": StubVLM()},
        [StubVLM("a"), StubVLM("a"), StubVLM("a (1)")],
    ):
        with pytest.raises(InputError, match="different labels"):
            isi.run_study(models, data, measures="answer")


def test_halves_of_characters_stop_no_study(tmp_path):
    conditions = [isi.condition("\ud800"), isi.condition("b").with_context("\udfff")]
    study = isi.run_study(
        StubVLM(), isi.datasets.scenes()[:2], conditions, measures="answer", store=tmp_path / "c"
    )
    assert set(study.rows["condition"]) == {"\ufffd", "b"} and not len(study.failed)
    assert set(isi.open_study(tmp_path / "c").rows["context"]) == set(study.rows["context"])


def test_a_store_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    study = run("~/mine")
    assert study.store == tmp_path / "mine" and isi.open_study("~/mine") == study
    study.report("~/a.html")
    isi.save_figure(study, "~/a.svg", kind="table")
    assert (tmp_path / "a.html").exists() and (tmp_path / "a.svg").exists()


@pytest.mark.parametrize("path", [3, "", b"a"])
def test_a_store_is_a_path(path):
    for use in (run, isi.open_study):
        with pytest.raises(InputError, match="store must be the path of a folder"):
            use(path)


def test_more_rows_than_memory_are_refused_with_what_to_read(folder, monkeypatch):
    study = isi.open_study(folder)
    assert len(study.frame(["row"])) == ROWS
    monkeypatch.setattr(stores, "_MANY", 1)
    assert len(study.frame(["row"])) == ROWS  # estimated, and it fits
    monkeypatch.setattr("isi_widget.pretrained.machine.free_memory", lambda device: 1000)
    with pytest.raises(InputError, match=r"GiB are free\. Read fewer columns[\s\S]*parts/\*\.parquet"):
        _ = study.rows
    assert study.stored(3)["row"] == 3 and len(study.frame(numbers=[1, 2])) == 2
    monkeypatch.setattr("isi_widget.pretrained.machine.free_memory", lambda device: None)
    assert len(study.rows) == ROWS
