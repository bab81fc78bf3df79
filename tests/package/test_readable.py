"""What a notebook shows for a result of numbers: a table, and one line where there is no HTML."""

from __future__ import annotations

import numpy as np
import pytest

from isi_widget.attribution import AttentionShares
from isi_widget.readable import html_table
from isi_widget.uncertainty.curve import EntropyCurve, SamplesNeeded

MASS = np.full((2, 3, 4, 4), 0.0, np.float32)
MASS[..., :] = (0.5, 0.0, 0.25, 0.25)
NAN = float("nan")
RESULTS = [
    AttentionShares(MASS, {"image": 64, "context": 0, "question": 5, "other": 3}, ("No", ".")),
    EntropyCurve(
        "semantic_entropy",
        (1, 5, 9),
        (0.0, 0.4, 0.5),
        (0.0, 0.2, 0.5),
        (0.0, 0.6, 0.5),
        (True, False, True),
        0.95,
    ),
    EntropyCurve("semantic_entropy", (1,), (NAN,), (NAN,), (NAN,), (True,), 0.95),
    SamplesNeeded("semantic_entropy", 0.2, 0.5, 62, 52, "Widths fall with the root of the number."),
    SamplesNeeded("semantic_entropy", 0.2, 0.0, None, None, "All answers <mean> the same."),
]


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_is_one_short_line_or_a_table(result: object) -> None:
    text, page = repr(result), result._repr_html_()
    assert len(text) < 250 and "\n" not in text and "array(" not in text
    assert "<table" in page and "<script" not in page and "<mean>" not in page


def test_the_numbers_are_there() -> None:
    shares, curve, _, needed, _ = RESULTS
    assert "image 0.500" in repr(shares) and "2 answer tokens x 3 layers x 4 heads" in repr(shares)
    assert ">0.500</td>" in shares._repr_html_() and ">0.667</td>" in shares._repr_html_()
    assert ">64</td>" in shares._repr_html_()
    assert "n=9: 0.500 [0.500, 0.500]" in repr(curve) and "[0.200, 0.600]" in curve._repr_html_()
    assert "62 samples (52 more)" in repr(needed) and ">62 (52 more)</td>" in needed._repr_html_()


def test_a_long_curve_has_few_rows_and_its_end() -> None:
    line = tuple(float(n) for n in range(1, 101))
    curve = EntropyCurve("semantic_entropy", tuple(range(1, 101)), line, line, line, (True,) * 100, 0.95)
    page = curve._repr_html_()
    assert page.count("<tr") <= 15 and ">100.000</td>" in page


def test_all_texts_are_escaped() -> None:
    page = html_table("<a>", ["<b>"], [("<c>", "<d>")], ["<e>"])
    assert not any(f"<{name}>" in page.replace("<b>&lt;a", "") for name in "acde") and "&lt;b&gt;" in page
