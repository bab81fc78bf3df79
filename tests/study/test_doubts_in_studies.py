"""Where the answers of a study could not be compared reliably, every table, plot and page of it shows it."""

import dataclasses
import json
import re

import pandas as pd
import pytest
from made_studies import CONDITIONS, made_rows
from stub_vlm import StubVLM

import isi_widget as isi
from isi_widget.study import statistics
from isi_widget.study.live.page import study_html
from isi_widget.study.live.run import Progress
from isi_widget.study.live.table import running_table, table_of
from isi_widget.study.live.tally import Tally
from isi_widget.study.statistics.warned import warnings_of
from isi_widget.widget.study import tables
from isi_widget.widget.study.pages import Pages
from isi_widget.widget.study.query import Query

DOUBT = "No entailment model compared the answers, only rules of wording."


@pytest.fixture(scope="module")
def rows():
    """Rows of which the noisy conditions have doubtful comparisons."""
    made = made_rows(12, conditions=CONDITIONS[:3], failing=0.1, answers=0)
    doubtful = made["condition"].str.startswith("noise") & (made["index"] % 2 == 0)
    return made.assign(entailment_doubts=doubtful.map({True: DOUBT, False: ""}))


def counted(rows, condition):
    own = rows[(rows["condition"] == condition) & rows["error"].isna()]
    return int((own["entailment_doubts"] != "").sum())


def test_the_table_counts_them_and_warns(rows):
    table = statistics.table(rows)
    of = dict(zip(table["condition"], table["doubtful_meanings"], strict=True))
    assert of["plain"] == 0
    assert of["noise sigma=0.1"] == counted(rows, "noise sigma=0.1") > 0
    assert "doubtful meanings" in repr(table) and "(!)" in repr(table) and DOUBT in table._repr_html_()
    without = statistics.table(rows, ["correct"])  # accuracy does not depend on the comparison
    assert not warnings_of(without)
    assert "doubtful_meanings" not in statistics.table(rows.drop(columns="entailment_doubts"))
    assert not warnings_of(statistics.table(rows.assign(entailment_doubts=None)))


def test_every_statistic_of_entropies_warns(rows):
    total = sum(counted(rows, condition.name) for condition in CONDITIONS[:3])
    for made in (
        statistics.paired(rows, "plain"),
        statistics.curves(rows),
        statistics.auroc(rows),
        statistics.risk_coverage(rows),
    ):
        (note,) = warnings_of(made)
        assert f"In {total} of {len(rows)} rows" in note and DOUBT in note
        assert DOUBT in repr(made)
    assert not warnings_of(statistics.paired(rows, "plain", ["correct"]))
    assert not warnings_of(statistics.auroc(rows, ["answer_probability", "predictive_entropy"]))


def test_the_live_table_and_the_rows_mark_the_numbers(rows):
    tally = Tally()
    for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
        tally.add(row)
    progress = Progress("running", len(rows), len(rows))
    for table in (running_table(tally), table_of(statistics.table(rows))):
        lines = {line.condition: line for line in table.groups}
        assert lines["plain"].doubtful == 0
        assert lines["noise sigma=0.1"].doubtful == counted(rows, "noise sigma=0.1")
        assert [column.name for column in table.columns if column.meanings] == ["bayesian_semantic_entropy"]
        html = study_html("a study", progress, table)
        assert html.count("with doubtful meanings (!)") == 2
        assert len(re.findall(r"\d\.\d\d \(!\)", html)) == 2
    page = Pages(rows[Pages.needed(list(rows))]).page(Query())
    assert {row["doubt"] for row in page["rows"]} == {"", DOUBT}
    json.dumps(page)
    whole, plots = tables.tables(rows[tables.needed(list(rows))], "plain", [])
    assert plots.note.startswith("(!) In") and DOUBT in plots.note
    assert any(line.doubtful for line in whole.groups)


class Wordy(StubVLM):
    """Says what the rules of wording cannot decide."""

    def _answer(self, key, seed):
        found = super()._answer(key, seed)
        return dataclasses.replace(found, text={"Yes": "Yes, a red one", "No": "A circle"}[found.text])


def test_a_study_of_another_model_warns_in_report_and_plots():
    """Nothing is named: the answers of a VLM that is not the embedded one are compared by the rules alone."""
    conditions = [isi.condition("plain"), isi.condition("noise").noise(0.4)]
    data = list(isi.datasets.scenes())[:3]
    study = isi.run_study(Wordy(), data, conditions, samples=4, measures=("answer", "uncertainty"))
    doubts = study.rows["entailment_doubts"]
    assert isinstance(study.rows, pd.DataFrame) and (doubts != "").any()
    assert study.table()["doubtful_meanings"].sum() == (doubts != "").sum()
    page = study.report(format="html").decode()
    assert page.count("(!) In") >= 2 and DOUBT in page and "doubtful meanings" in page
    assert "(!) In" in study.plot().get_supxlabel()
    assert "(!) In" in study.plot("paired").get_supxlabel()
    assert study.plot("table", ["correct"]).get_supxlabel() == ""
