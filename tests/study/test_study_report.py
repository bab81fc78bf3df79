"""The report of a study: PDF and HTML with the same content, small whatever the number of rows, safe."""

from __future__ import annotations

import base64
import csv
import io
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest
from made_studies import CONDITIONS, made_rows
from stub_vlm import StubVLM

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.study.analysis import Analysis
from isi_widget.study.condition import condition
from isi_widget.study.report import Reported
from isi_widget.trial import Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from test_page_report import Reader

HOSTILE = "</td><script>alert(1)</script> \"x\" & 'y' \x1b"


@pytest.fixture(scope="module")
def study():
    data = list(isi.datasets.scenes())[:6]
    conditions = [
        isi.condition("plain"),
        isi.condition("noise").noise(isi.grid(sigma=[0.1, 0.5])),
        isi.condition(HOSTILE).with_context(HOSTILE),
        isi.condition("broken").box("purple elephant"),
    ]
    return isi.run_study(
        StubVLM(), data, conditions, samples=3, max_failing=0.9, measures=("answer", "uncertainty")
    )


@pytest.fixture(scope="module")
def page(study):
    return study.report(format="html")


@pytest.fixture(scope="module")
def pdf(study):
    return study.report(title="My study")


class Made(Analysis, Reported):
    """A study of made rows, without a model."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._rows = rows
        self.header = {
            "models": {"embedded": {}},
            "data": {"name": "made", "size": int(rows["index"].nunique()), "digest": "0" * 16},
            "versions": {"isi_widget": "0"},
            "created": "2026-01-01T00:00:00+00:00",
            "entailment": "auto",
        }
        self.title, self.baseline, self.seeds, self.store, self.settings = (
            "made",
            "plain",
            (0,),
            None,
            Settings(),
        )
        self.models = {"embedded": {"name": "embedded"}}
        self.conditions = [
            condition(made.name) if made.level is None else isi.Condition(made.name, level=made.level)
            for made in CONDITIONS
        ]

    columns = property(lambda self: tuple(self._rows))
    size = property(lambda self: len(self._rows))

    def __len__(self):
        return len(self._rows)

    def frame(self, columns=None, *, numbers=None):
        rows = self._rows if numbers is None else self._rows[self._rows["row"].isin(list(numbers))]
        return rows if columns is None else rows[[name for name in columns if name in rows]]

    @property
    def failed(self):
        names = ["row", "model", "condition", "observation", "index", "seed", "error_type", "error"]
        return self._rows.loc[self._rows["error"].notna(), names]

    def code(self):
        return "study = ..."

    def stimulus(self, row):
        raise InputError("The picture is not in the store.")


def text_of(path_or_bytes):
    data = io.BytesIO(path_or_bytes) if isinstance(path_or_bytes, bytes) else path_or_bytes
    return "".join("".join(page.extract_text() for page in pypdf.PdfReader(data).pages).split())


def test_both_formats_have_the_same_parts(study, page, pdf):
    words, printed = Reader(page).text, text_of(pdf)
    table = study.table()
    accuracy = table.loc[0, "accuracy"]
    for expected in (
        "Results", "Differences to the baseline", "Curves", "Conditions", "Data", "Failed and unjudged rows",
        "A sample of rows", "Models and settings", "Python that repeats it", "Versions",
        "noise sigma=0.5", f"{accuracy:.3f}", "No object of this picture is called", "purple elephant",
        "isi.run_study(", ".noise(0.5)", "sigma 0.5 of the full range", study.header["data"]["digest"],
    ):  # fmt: skip
        assert expected in words, expected
        assert "".join(expected.split()) in printed, expected
    assert "Mystudy" in printed and f"<title>Study of {study.title}</title>".encode() in page


@pytest.mark.slow
def test_the_same_study_gives_the_same_bytes_in_a_file(study, page, pdf, tmp_path):
    assert isi.report(study, tmp_path / "a.html").read_bytes() == page
    assert study.report(tmp_path / "a.pdf", title="My study").read_bytes() == pdf


def test_hostile_texts_are_escaped_and_nothing_is_loaded(page):
    found = Reader(page)
    assert b"<script" not in page and "</td><script>alert(1)</script>" in found.text
    assert all(a.startswith(("data:image/", "data:text/csv;base64,", "#")) for a in found.addresses)
    assert b"default-src &#x27;none&#x27;" in page
    for data in re.findall(rb"data:image/svg\+xml;base64,([^\"]+)", page):
        assert b"<script" not in base64.b64decode(data)


def test_the_tables_are_inside_with_all_columns(study, page, pdf):
    link = r'download="([\w]+)\.csv" href="data:text/csv;base64,([^"]+)"'
    files = dict(re.findall(link, page.decode()))
    table = pd.read_csv(io.BytesIO(base64.b64decode(files["table"])))
    assert list(table.columns) == list(study.table("all").columns)
    np.testing.assert_allclose(table["accuracy"], study.table()["accuracy"])
    assert {"table", "paired", "failed"} <= files.keys()
    attached = pypdf.PdfReader(io.BytesIO(pdf)).attachments
    assert {"table.csv", "paired.csv", "failed.csv"} <= attached.keys()
    rows = list(csv.reader(io.StringIO(attached["paired.csv"][0].decode())))
    assert len(rows) == 1 + len(study.paired())


def test_numbers_in_the_report_are_those_of_the_study(study, page):
    found = Reader(page).text
    paired = study.paired()
    for row in paired.to_dict("records"):
        if row["difference"] == row["difference"]:
            assert f"{row['difference']:.3f}".replace("-0.000", "0.000") in found
    assert f"{len(study.failed):,} rows, in no mean" in found
    assert f"{len(study)} of {study.size} rows" in found


def test_plots_are_vector_graphics_in_a_pdf_with_their_letters(study, pdf):
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    assert "Meanswithintervalsoverobservations" in text_of(pdf)
    assert reader.metadata.creation_date is not None
    forms = [
        font.get_object()["/BaseFont"]
        for page in reader.pages
        for font in page["/Resources"]["/Font"].values()
    ]
    assert any("DejaVu" in name for name in forms)
    pictures = [image for page in reader.pages for image in page.images]
    assert len(pictures) <= len(study.conditions)  # the examples only


def test_a_stored_study_reports_the_same(tmp_path):
    data = list(isi.datasets.scenes())[:4]
    conditions = [isi.condition("plain"), isi.condition("box").box(10, 10, 50, 50)]
    ran = isi.run_study(StubVLM(), data, conditions, samples=2, store=tmp_path / "runs")
    opened = isi.open_study(tmp_path / "runs")
    assert opened.report(format="html") == ran.report(format="html")


def test_a_report_of_many_rows_stays_small_and_names_its_sample():
    made = Made(made_rows(800, failing=0.05, unjudged=0.05, answers=0))
    page = made.report(format="html")
    found = Reader(page).text
    assert len(page) < 2_000_000
    assert f"20 of {len(made):,} rows, drawn by chance: a sample, not a result." in found
    assert "The picture is not in the store." in found and "The picture cannot be read." in found
    assert found.count("drawn by chance") == 1


def test_a_study_without_rows_or_with_a_wrong_ending_is_refused(study, page, pdf, tmp_path):
    with pytest.raises(InputError, match="no finished rows"):
        Made(made_rows(3).head(0)).report()
    with pytest.raises(InputError, match=r"\.pdf or \.html"):
        study.report(tmp_path / "a.txt")
    with pytest.raises(InputError, match="without trials inside"):
        isi.open_report(page)
    with pytest.raises(InputError, match="without trials inside"):
        isi.open_report(pdf)


def test_few_rows_and_one_condition_are_enough():
    one = isi.run_study(StubVLM(), list(isi.datasets.scenes())[:1], measures="answer")
    found = Reader(one.report(format="html")).text
    assert "All rows." in found and "Differences to the baseline" not in found and "Curves" not in found


def test_reasons_for_missing_values_of_modality_are_listed_once():
    from isi_widget.study.report_tables import not_measured

    rows = [
        {"measure": "importance", "of": f"image under {at}", "note": "no condition without the image"}
        for at in range(40)
    ]
    rows += [{"measure": "dilution", "of": "context", "note": f"reason {at}"} for at in range(9)]
    found = not_measured(rows)
    assert found[0] == (
        "Not measured: importance of image under 0, importance of image under 1, importance of image under 2"
        ", importance of image under 3, importance of image under 4 and 35 more measures. "
        "no condition without the image"
    )
    assert len(found) == 6 and found[-1] == "5 further reasons are in study.modality()."
