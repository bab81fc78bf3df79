"""The static page: well-formed, self-contained, nothing breaks out of it, bars as long as the numbers say."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_trials import HOSTILE, make_trial
from PIL import Image

from isi_widget.report.pictures import thumbnail
from isi_widget.report.style import SEGMENT_COLORS
from isi_widget.report.svg import Bar, bar, bar_table, escape, stack
from isi_widget.study.compare import Comparison

SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {
    "div", "span", "br", "b", "img", "table", "tbody", "tr", "th", "td", "details", "summary", "ul", "li",
    "pre", "mark", f"{SVG}svg", f"{SVG}rect", f"{SVG}path",
}  # fmt: skip


def parse(html):
    """As XML: every tag closed, every attribute quoted, every text escaped."""
    return ElementTree.fromstring(f"<body>{html}</body>")


def check_safe(html):
    root = parse(html)
    for element in root.iter():
        assert element is root or element.tag in ALLOWED, element.tag
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            if name in ("src", "href"):
                assert value.startswith("data:image/jpeg;base64,")
            if name == "style":
                assert "url(" not in value and "expression" not in value
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    return root


def text_of(root):
    return "".join(root.itertext())


def test_a_trial_is_one_safe_self_contained_fragment(trial):
    root = check_safe(trial._repr_html_())
    text = text_of(root)
    for expected in (
        "Yes.",
        "Is there a star?",
        "Semantic entropy",
        "Scenes only.",
        "right; truth: Yes",
        "seed 7",
    ):
        assert expected in text
    assert "isi.run_trial(vlm, s" in text


def test_hostile_texts_stay_texts(hostile):
    for html in (hostile._repr_html_(), Comparison((hostile, make_trial()), (HOSTILE, "b"))._repr_html_()):
        root = check_safe(html)
        assert "<script" not in html
        assert HOSTILE in text_of(root)  # shown as typed, nothing lost


def test_a_trial_of_nothing_still_shows_its_input(bare):
    text = text_of(check_safe(bare._repr_html_()))
    assert "Is there a star?" in text and "(empty)" in text and "Semantic entropy" not in text


def test_the_picture_is_a_small_jpeg_of_the_rendered_stimulus(trial):
    (image,) = parse(trial._repr_html_()).iter("img")
    data = base64.b64decode(image.attrib["src"].split(",")[1])
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "JPEG" and picture.size == (90, 60)  # never enlarged
    assert len(data) < 20_000
    wide = trial.stimulus.with_image(Image.new("RGB", (2000, 1000), "red"))
    small = Image.open(io.BytesIO(thumbnail(wide, 320)))
    assert small.size == (320, 160)
    red, green, blue = small.getpixel((100, 100))
    assert red > 240 and green < 15 and blue < 15


def test_no_colour_is_fixed_for_text_so_that_both_themes_work(trial):
    html = trial._repr_html_() + Comparison((trial, make_trial()), ("a", "b"))._repr_html_()
    assert set(re.findall(r"[^-]color:([^;\"]+)", html)) == {"inherit"}
    assert set(re.findall(r"background:([^;\"]+)", html)) <= {"none", "rgba(230,159,0,.3)"}


def rects(html):
    return [
        (float(r.attrib["width"]), r.attrib["fill"])
        for r in parse(html).iter(f"{SVG}rect")
        if "opacity" not in r.attrib
    ]


def test_attention_bars_have_the_lengths_and_colours_of_their_shares(trial):
    html = trial._repr_html_()
    found = {color: width for width, color in rects(html) if color in SEGMENT_COLORS.values()}
    shares = trial.attention.absolute()
    for name, share in shares.items():
        assert found[SEGMENT_COLORS[name]] == pytest.approx(178 * share, abs=0.01)


@given(st.floats(0, 10), st.floats(0.1, 10))
def test_a_bar_is_proportional_and_never_longer_than_its_track(value, maximum):
    ((width, _),) = rects(bar(value, maximum, "#123456"))
    assert width == pytest.approx(178 * min(value / maximum, 1), abs=0.011)


def test_a_whisker_spans_the_interval():
    (path,) = parse(bar(0.5, 1.0, "#123456", 0.25, 0.75)).iter(f"{SVG}path")
    assert [float(x) for x in re.findall(r"M([\d.]+) 2V", path.attrib["d"])] == pytest.approx([45.5, 134.5])


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_value_that_is_none_or_not_finite_has_no_bar(value):
    assert rects(bar(value, 1.0, "#123456")) == []


def test_a_stack_puts_shares_side_by_side():
    boxes = list(parse(stack([(0.5, "#111111"), (0.25, "#222222")])).iter(f"{SVG}rect"))
    assert [float(box.attrib["x"]) for box in boxes] == [1, 90]
    assert [float(box.attrib["width"]) for box in boxes] == [89, 44.5]


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))
)
def test_any_text_survives_escaping(text):
    table = bar_table([Bar(text, 0.5, text, note=text)], maximum=1.0)
    root = parse(table)
    assert root.find(".//th").text == (text or None)
    assert root.find(".//tr").attrib.get("title", "") == text
    assert '"' not in escape(text) and "<" not in escape(text)


def test_dollar_signs_are_no_formulas_for_a_notebook(trial):
    for html in (trial._repr_html_(), Comparison((trial,), ("a",))._repr_html_()):
        assert "mathjax_ignore" in parse(html)[0].attrib["class"].split()


def test_a_trial_without_likelihoods_says_so_and_shows_its_notes(silent):
    html = silent._repr_html_()
    text = text_of(check_safe(html))
    assert text.count("not available") == 3  # two entropies, and the caveat about them
    assert "nan" not in text.lower() and "infinite" not in text
    assert "No.2 of 4" in text and "probability, answers" not in text
    assert "Not available: attention. A server shows only text." in text
    table = text_of(check_safe(Comparison((make_trial(), silent), ("a", "b"))._repr_html_()))
    assert table.count("not available") == 2 and "nan" not in table.lower() and "infinite" not in table
