"""CSV files that a spreadsheet takes for no formulas, and that come back as they were."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.tables import read_csv, to_csv

HOSTILE = ["=1+1", "+2", "-x", "@c", "\tt", "\rz", "\n=1", "'=x", "''=x", "'quoted'", "＝SUM(A1)", "-", "="]
TEXTS = [
    *HOSTILE,
    "a\rb",
    "a\r\nb",
    "a\nb",
    'say "hi", ok',
    "NA",
    "None",
    "nan",
    "1.0",
    "007",
    "True",
    "  x ",
]


def back(frame: pd.DataFrame) -> pd.DataFrame:
    return read_csv(io.StringIO(to_csv(frame), newline=""))


def test_no_text_is_a_formula_and_all_come_back(tmp_path: Path) -> None:
    numbers = np.array([-1.5, 0.1 + 0.2, np.nan, *range(len(TEXTS) - 3)])
    frame = pd.DataFrame({"answer": TEXTS, "p_yes": numbers, "=name": range(len(TEXTS))})
    path = tmp_path / "x.csv"
    path.write_bytes(to_csv(frame).encode())
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), strict=True))
    assert len(rows) == 1 + len(TEXTS)  # no row is torn
    for row in rows:
        assert row[0][:1] not in tuple("=+-@\t\r\n＝") and row[2][:1] not in tuple("=+-@")
    assert rows[1][1] == "-1.5"  # a number stays one
    pd.testing.assert_frame_equal(read_csv(path), frame, check_dtype=False)


def test_columns_of_texts_stay_texts_and_numbers_numbers() -> None:
    frame = pd.DataFrame({"answer": ["3", "4"], "truth": ["1.0", None], "note": ["", "x"], "seed": [0, 1]})
    found = back(frame)
    assert found["answer"].tolist() == ["3", "4"] and found["truth"][0] == "1.0"
    assert found["truth"].isna().tolist() == [False, True] and found["seed"].tolist() == [0, 1]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1))
def test_any_text_comes_back(texts: list[str]) -> None:
    assert back(pd.DataFrame({"answer": texts}))["answer"].tolist() == texts


@pytest.mark.parametrize("text", HOSTILE)
def test_a_plain_reader_sees_the_mark_of_a_text(text: str) -> None:
    plain = pd.read_csv(io.StringIO(to_csv(pd.DataFrame({"a": [text]})), newline=""))
    assert plain["a"][0] in (f"'{text}", text) and (plain["a"][0] == text) == (text == "'quoted'")
