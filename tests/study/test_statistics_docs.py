"""The Python in docs/statistics.md runs as it stands, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.figure import Figure

from isi_widget.report import studies
from isi_widget.study import statistics
from isi_widget.study.statistics.modality import SOURCES
from isi_widget.text.correctness import judge
from isi_widget.text.truths import is_no_truth

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_the_example_runs():
    space = {}
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    exec(block, space)
    study = space["study"]
    assert isinstance(study.plot("paired"), Figure)
    found = study.modality().set_index(["measure", "of"])
    assert found.loc[("importance", "image"), "note"] == ""
    assert study.table()["rows"].tolist() == [10] * 6


def test_every_statistic_kind_and_measure_is_documented():
    for name in set(statistics.__all__) - {"Calibration", "RiskCoverage", "columns_for"}:
        assert f"study.{name}(" in TEXT
    for kind in studies.KINDS:
        assert f'"{kind}"' in TEXT
    for name in SOURCES:
        assert f"| {name} |" in TEXT


def test_the_truths_of_the_table_are_read_as_it_states():
    row = next(line for line in TEXT.splitlines() if line.startswith("| yes, No."))
    for word in row.split("|")[1].strip().split(", "):
        assert {judge(say, word, "Is it?").correct for say in ("Yes", "No")} == {True, False}
    row = next(line for line in TEXT.splitlines() if line.startswith("| n/a"))
    words = row.split("|")[1].split(";")[0].strip().split(", ")
    assert all(map(is_no_truth, words)) and len(words) == 4
