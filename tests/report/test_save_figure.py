"""Figures as files: size, letters that are text, white ground, nothing cut off, nothing left behind."""

from __future__ import annotations

import base64
import io
import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pypdf
import pytest
from fontTools.ttLib import TTFont
from made_fonts import make_font
from made_trials import HOSTILE, make_trial
from PIL import Image

import isi_widget as isi
from isi_widget.attribution import AttentionMap
from isi_widget.errors import InputError
from isi_widget.report import figures, fonts
from isi_widget.report.figures import WIDTHS, save_figure
from isi_widget.study.compare import Comparison

mpl.use("agg")
POINTS = 72


def texts_of(svg: bytes) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


def fitted(what, width, **arguments):
    """The figure as it is saved."""
    inches = WIDTHS.get(width, width)
    slide = width == "slide"
    figure = figures._figure(what, inches / (figures._LARGER if slide else 1.0), arguments)
    figures.lettered(figure)
    figures._fit(figure, inches, slide)
    figure.draw_without_rendering()
    return figure


def made_map(tokens=2):
    mass = np.zeros((tokens, 1, 1, 4), np.float32)
    mass[..., 0], mass[..., 3] = 0.5, 0.1
    boxes = np.array([[0, 0, 45, 30], [45, 0, 90, 30], [0, 30, 45, 60], [45, 30, 90, 60]], float)
    return AttentionMap(mass, boxes, (90, 60), tuple("ab"[:tokens]), (0,), ())


@pytest.mark.parametrize(("width", "inches"), [*WIDTHS.items(), (5.0, 5.0)])
def test_each_format_has_the_width(trial, tmp_path, width, inches):
    for ending in ("svg", "pdf", "png"):
        path = save_figure(trial, tmp_path / f"a.{ending}", width=width, dpi=60)
        assert path == tmp_path / f"a.{ending}"
        if ending == "png":
            found = Image.open(path).size[0] / 60
        elif ending == "pdf":
            found = float(pypdf.PdfReader(path).pages[0].mediabox.width) / POINTS
        else:
            found = (
                float(ElementTree.fromstring(path.read_bytes()).attrib["width"].removesuffix("pt")) / POINTS
            )
        assert found == pytest.approx(inches, abs=0.02)


def test_the_ground_is_white_and_nothing_is_transparent(trial, tmp_path):
    with Image.open(save_figure(trial, tmp_path / "a.png", dpi=50)) as image:
        shown = image.convert("RGBA")
        assert shown.getextrema()[3] == (255, 255) and shown.getpixel((0, 0)) == (255, 255, 255, 255)
    svg = save_figure(trial, tmp_path / "a.svg").read_text()
    first = re.search(r'<g id="patch_1">\s*<path [^>]*style="fill: (#\w+)', svg)
    assert first[1] == "#ffffff"


def test_letters_are_text_and_their_fonts_inside(trial, tmp_path):
    svg = save_figure(trial, tmp_path / "a.svg").read_bytes()
    texts = texts_of(svg)
    assert any("Is there a star?" in text for text in texts)
    data = re.search(rb"@font-face\{font-family:'DejaVu Sans';src:url\(data:font/woff;base64,([^)]+)\)", svg)
    drawn = set(TTFont(io.BytesIO(base64.b64decode(data[1]))).getBestCmap())
    assert {ord(letter) for text in texts for letter in text if letter.isprintable()} <= drawn
    addresses = r"http://www\.w3\.org/[\w/#]*|http://purl\.org/[\w/.#]*"
    addresses += r"|https?://creativecommons[\w/.#]*|https://matplotlib\.org/"
    assert "http" not in re.sub(addresses, "", svg.decode())  # but for the names of the formats
    page = pypdf.PdfReader(save_figure(trial, tmp_path / "a.pdf")).pages[0]
    assert "Is there a star?" in page.extract_text()
    for font in page["/Resources"]["/Font"].values():
        font = font.get_object()
        assert font["/Subtype"] == "/Type0"  # TrueType, not the Type 3 that journals refuse
        descriptor = font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
        assert "/FontFile2" in descriptor


def test_letters_of_other_fonts_are_inside_too(tmp_path, monkeypatch):
    path = make_font(tmp_path, {0x4E2D: "a", 0x6587: "b"}, "Other")
    monkeypatch.setattr(fonts, "installed", lambda: [path])
    svg = save_figure(make_trial(question="\u4e2d\u6587?"), tmp_path / "a.svg").read_bytes()
    assert any("\u4e2d\u6587?" in text for text in texts_of(svg))
    data = re.search(rb"font-family:'Other';src:url\(data:font/woff;base64,([^)]+)\)", svg)
    assert {0x4E2D, 0x6587} <= set(TTFont(io.BytesIO(base64.b64decode(data[1]))).getBestCmap())


def test_hostile_texts_stay_texts(hostile, tmp_path):
    svg = save_figure(hostile, tmp_path / "a.svg").read_bytes()
    assert b"<script" not in svg and any("<script>" in text for text in texts_of(svg))


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_the_same_plot_gives_the_same_bytes(trial, tmp_path, ending):
    one, two = (save_figure(trial, tmp_path / f"{name}.{ending}", dpi=50) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("width", list(WIDTHS))
def test_letters_are_legible_and_nothing_is_cut_off(trial, width):
    others = [make_trial(("No.",) * 3, context="A long context about many things. " * 4) for _ in range(4)]
    labels = ["original", "context: contradictory", "a label of many words, here", "noise", "box"]
    for what in (trial, Comparison((trial, *others), tuple(labels))):
        figure = fitted(what, width)
        least = 11.9 if width == "slide" else 5.9
        shown = [t for t in figures._texts(figure) if t.get_visible() and t.get_text().strip()]
        assert min(text.get_fontsize() for text in shown) >= least
        box = figure.get_tightbbox()
        wide, high = figure.get_size_inches()
        assert box.x0 >= -0.03 and box.y0 >= -0.03 and box.x1 <= wide + 0.03 and box.y1 <= high + 0.03


def test_panels_stand_below_each_other_in_a_column(trial):
    def places(figure):
        return {round(axis.get_position().x0, 1) for axis in figure.get_axes() if axis.axison}

    assert len(places(fitted(trial, "page"))) > len(places(fitted(trial, "column")))
    assert {axis.get_subplotspec().colspan.start for axis in fitted(trial, "column").get_axes()} == {0}


def wide_figure(panels):
    from isi_widget.mechanism import figures as own

    figure = own.new_figure((4.0 * panels, 3.0), "A title")
    for axis in figure.subplots(1, panels, squeeze=False, sharey=True)[0]:
        values = np.arange(12.0).reshape(3, 4)
        own.draw_matrix(axis, values, list("abc"), [f"column {n}" for n in range(4)], signed=False)
    return figure


def test_any_figure_in_one_row_is_stacked_and_given_back_unchanged(tmp_path):
    def state():
        figure.draw_without_rendering()
        return (
            tuple(figure.get_size_inches()),
            [(text.get_text(), text.get_fontsize(), text.get_visible()) for text in figures._texts(figure)],
            [axis.get_subplotspec().get_geometry() for axis in figure.axes if axis.get_subplotspec()],
            np.array([axis.get_position().bounds for axis in figure.axes]),
        )

    figure = wide_figure(3)
    before = state()
    save_figure(figure, tmp_path / "a.png", width="column", dpi=60)
    with Image.open(tmp_path / "a.png") as image:
        assert image.height > 1.5 * image.width
    *now, places = state()
    assert now == list(before[:-1]) and np.allclose(places, before[-1], atol=0.01)


def test_numbers_that_do_not_fit_into_their_cells_go_and_ticks_thin_out():
    from isi_widget.mechanism import figures as own

    figure = own.new_figure((12.0, 3.0))
    axis = figure.subplots()
    own.draw_matrix(
        axis, np.full((3, 24), 0.123), list("abc"), [f"H{head}" for head in range(24)], signed=False
    )
    assert all(text.get_visible() for text in axis.texts) and axis.texts
    figures._fit(figure, 2.0, slide=False)
    assert not any(text.get_visible() for text in axis.texts)
    boxes = [label.get_window_extent() for label in axis.get_xticklabels() if label.get_visible()]
    assert 1 < len(boxes) < 24 and all(a.x1 <= b.x0 for a, b in itertools.pairwise(boxes))


def test_a_picture_fills_its_figure(tmp_path):
    picture = Image.new("RGB", (200, 100), "#AA0000")
    page = pypdf.PdfReader(save_figure(picture, tmp_path / "a.pdf", width="column")).pages[0]
    assert float(page.mediabox.height) / float(page.mediabox.width) == pytest.approx(0.5, abs=0.01)
    with Image.open(save_figure(picture, tmp_path / "a.png", width="column", dpi=100)) as image:
        assert set(image.convert("RGB").get_flattened_data()) == {(0xAA, 0, 0)}


def test_wrong_input_is_one_clear_error(trial, tmp_path):
    for call, match in (
        (lambda: save_figure(trial, "a.jpg"), r"\.svg, \.pdf and \.png"),
        (lambda: save_figure(3, "a.svg"), "method plot, a matplotlib figure or a picture; got int"),
        (lambda: save_figure(type(trial), "a.svg"), "got type"),
        (lambda: save_figure(trial, "a.svg", width="wide"), "width"),
        (lambda: save_figure(trial, "a.svg", width=0.1), "width"),
        (lambda: save_figure(trial, "a.svg", dpi=1), "dpi"),
        (lambda: save_figure(trial, "a.svg", word="red"), "Trial.plot has no argument word; it has columns"),
        (lambda: save_figure(trial.plot(), "a.svg", columns=2), "drawn already"),
        (lambda: save_figure(trial, tmp_path / "missing" / "a.svg"), "cannot be written"),
        (lambda: trial.plot(columns=0), "columns"),
    ):
        with pytest.raises(InputError, match=match):
            call()
    assert not Path("a.svg").exists()


# ------------------------------------------------------------------------------- heat over the picture
def test_an_attention_map_lies_over_its_picture(trial, tmp_path):
    made, stimulus = made_map(), trial.stimulus
    over = made.overlay(stimulus)
    assert over.mode == "RGB" and over.size == (90, 60)
    plain = np.asarray(stimulus.render(), float)
    yellow = np.array([253, 231, 37])  # the end of viridis
    assert np.allclose(np.asarray(over)[10, 10], 0.2 * plain[10, 10] + 0.8 * yellow, atol=2)
    assert np.array_equal(np.asarray(over)[10, 80], plain[10, 80])
    assert over.tobytes() == made.overlay(stimulus.render()).tobytes()
    axis, bar = made.plot(stimulus, token=0).get_axes()
    assert np.array_equal(axis.images[0].get_array(), np.asarray(made.overlay(stimulus, token=0)))
    assert bar.get_ylim()[1] == pytest.approx(made.peak(0))
    assert "“a”" in axis.get_title() and "60%" in axis.get_title()
    for ending in ("svg", "pdf", "png"):
        save_figure(made, tmp_path / f"a.{ending}", width="column", picture=stimulus, dpi=60)
    with pytest.raises(InputError, match="differ in size: 8 x 8 and 90 x 60"):
        made.overlay(Image.new("RGB", (8, 8)))
    with pytest.raises(InputError, match="got str"):
        made.overlay("a.png")


def test_names_of_the_public_api():
    assert isi.save_figure is save_figure and HOSTILE
