"""What a notebook shows for a result of numbers: a table, and one line where there is no HTML."""

from __future__ import annotations

import numpy as np
import pytest

import isi_widget
from isi_widget.answer import Answer, Enumeration
from isi_widget.attribution import AttentionShares
from isi_widget.readable import counted, html_table, shortened
from isi_widget.uncertainty.curve import EntropyCurve, SamplesNeeded

MASS = np.full((2, 3, 4, 4), 0.0, np.float32)
MASS[..., :] = (0.5, 0.0, 0.25, 0.25)
NAN = float("nan")
YES = Answer("Yes <mean>", (5,), (" Yes",), (-0.25,), end_logprob=-0.5)
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
    YES,
    Answer("", (), (), ()),
    Answer("No " * 40, tuple(range(80)), ("No ",) * 80, (-0.1,) * 80, finished=False),
    Answer("Served", (-1,), ("Served",), (NAN,)),
    Enumeration((YES, YES), (0.5, 0.25), 0.25, 0.9, 9, 2, 512),
    isi_widget.inpainters(),
]


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_is_one_short_line_or_a_table(result: object) -> None:
    text, page = repr(result), result._repr_html_()
    assert len(text) < 250 and "\n" not in text and "array(" not in text
    assert "<table" in page and "<script" not in page and "<mean>" not in page


def test_the_numbers_are_there() -> None:
    shares, curve, _, needed, *_ = RESULTS
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


def test_one_is_singular_and_many_have_commas() -> None:
    assert counted(1, "row") == "1 row" and counted(0, "row") == "0 rows"
    assert counted(12345, "probability", "probabilities") == "12,345 probabilities"
    one = AttentionShares(MASS[:1, :1, :1], {"image": 64, "context": 0, "question": 5, "other": 3}, ("No",))
    assert repr(one).startswith("AttentionShares(1 answer token x 1 layer x 1 head;")
    assert "of 1 answer token<" in one._repr_html_() and "1 layer and 1 head;" in one._repr_html_()
    curve = EntropyCurve("semantic_entropy", (1,), (0.0,), (0.0,), (0.0,), (True,), 0.95)
    assert "1 point;" in repr(curve)


def test_answers_say_what_counts() -> None:
    assert repr(YES) == "Answer('Yes <mean>', 1 token, log-likelihood -0.250)"
    assert ">0.779</td>" in YES._repr_html_() and ">(end)</th>" in YES._repr_html_()
    served, cut = Answer("Hi", (-1,), ("Hi",), (NAN,)), Answer("A", (1,), ("A",), (-1.0,), finished=False)
    assert "log-likelihood" not in repr(served) and ">unknown</td>" in served._repr_html_()
    assert repr(cut).endswith("cut off by max_new_tokens)") and "cut off" in cut._repr_html_()
    found = Enumeration((YES, cut), (0.5, 0.25), 0.25, 0.9, 9, 2, 512)
    assert (
        repr(found) == "Enumeration(2 answers with 75.0% of the probability: 'Yes <mean>' 0.500, 'A' 0.250)"
    )
    page = found._repr_html_()
    assert ">0.5000</td>" in page and "(all other answers)" in page and "raise budget" in page


def test_lists_of_names_are_tables() -> None:
    judges, painters = isi_widget.entailment_models(), isi_widget.inpainters()
    assert isinstance(judges, tuple) and len(repr(judges).splitlines()) == len(judges)
    assert all(f">{one.name}</th>" in judges._repr_html_() for one in judges)  # type: ignore[attr-defined]
    assert repr(painters).startswith("Inpainters('membrane': Smooth continuation, ")
    assert ">membrane</th>" in painters._repr_html_() and "object at" not in repr(painters)  # type: ignore[attr-defined]


def test_a_shortened_text_has_at_most_its_length():
    assert shortened("a word", 6) == "a word" and shortened("two words", 5) == "two\N{HORIZONTAL ELLIPSIS}"
    assert len(shortened("x" * 50, 9)) == 9
