"""What each drawing paints, against closed forms and brute force."""

from __future__ import annotations

import gc
import math
import threading
import unicodedata

import numpy as np
import pytest
import uharfbuzz as hb
from bidi.mirror import MIRRORED
from fpdf.bidi import BidiParagraph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from isi_widget.errors import InputError
from isi_widget.stimulus import (
    Arrow,
    Box,
    Drawing,
    Ellipse,
    GaussianNoise,
    Line,
    Stimulus,
    Text,
    effects,
    paint,
)
from isi_widget.stimulus.lettering import FONT, _reshaper, text_extent, visual
from isi_widget.stimulus.picture import Picture
from isi_widget.stimulus.rendering import RenderCache

WIDTH, HEIGHT = 64, 48


def cover(*drawings: Drawing) -> np.ndarray:
    """Coverage on [0, 1] [height, width] of drawings in black on white."""
    image = paint(Image.new("RGB", (WIDTH, HEIGHT), "white"), drawings)
    return 1 - np.asarray(image)[:, :, 0] / 255


def brute(inside, samples: int = 32) -> np.ndarray:
    """Coverage of `inside(x, y)` by counting sample points."""
    ys, xs = np.mgrid[0 : HEIGHT * samples, 0 : WIDTH * samples]
    hits = inside((xs + 0.5) / samples, (ys + 0.5) / samples)
    return hits.reshape(HEIGHT, samples, WIDTH, samples).mean(axis=(1, 3))


@pytest.mark.parametrize(
    "box", [(3, 4, 10, 20), (0, 0, WIDTH, HEIGHT), (-5, -5, 9, 9), (60, 40, 99, 99), (5, 5, 1, 1)]
)
def test_a_box_on_whole_pixels_is_exact(box: tuple[int, int, int, int]) -> None:
    expected = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    x, y, w, h = box
    expected[max(0, y) : y + h, max(0, x) : x + w] = (12, 34, 56)
    got = np.asarray(paint(Image.new("RGB", (WIDTH, HEIGHT), "white"), [Box(*box, color="#0c2238")]))
    assert (got == expected).all()


def test_a_box_between_pixels_covers_them_in_part() -> None:
    got = cover(Box(10.5, 20.25, 2, 1.5))
    expected = np.zeros((HEIGHT, WIDTH))
    expected[20:22, 10:13] = np.outer([0.75, 0.75], [0.5, 1, 0.5])
    assert np.abs(got - expected).max() < 1 / 255


@pytest.mark.parametrize("op", [Box, Ellipse])
def test_an_outline_is_the_shape_less_the_inner_shape(op: type[Box] | type[Ellipse]) -> None:
    outline = cover(op(8.3, 6.1, 40.2, 30.7, fill=False, line_width=4.5))
    expected = cover(op(8.3, 6.1, 40.2, 30.7)) - cover(op(12.8, 10.6, 31.2, 21.7))
    assert np.abs(outline - expected).max() <= 2 / 255
    assert outline[20, 28] == 0
    assert (cover(op(5, 5, 6, 6, fill=False, line_width=3)) == cover(op(5, 5, 6, 6))).all()


@pytest.mark.parametrize(
    "box", [(8.3, 6.1, 40.2, 30.7), (-20, -9, 50, 40), (30, 20, 1.5, 20), (1, 1, 62, 46)]
)
def test_an_ellipse_against_brute_force(box: tuple[float, float, float, float]) -> None:
    x, y, w, h = box
    expected = brute(lambda px, py: ((px - x - w / 2) / (w / 2)) ** 2 + ((py - y - h / 2) / (h / 2)) ** 2 < 1)
    got = cover(Ellipse(*box))
    assert np.abs(got - expected).max() < 0.04 and abs(got.sum() - expected.sum()) < 0.01 * expected.sum()


@pytest.mark.parametrize(
    ("start", "end"),
    [((5, 5), (50, 30)), ((50, 40), (10, 8)), ((10, 10), (10, 40)), ((5, 20), (60, 20)), ((-9, 3), (80, 44))],
)
@pytest.mark.parametrize("width", [1, 2.5, 6])
def test_lines_and_arrows_against_brute_force(start, end, width: float) -> None:
    length = math.dist(start, end)
    ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length

    def along(px, py):
        return (px - start[0]) * ux + (py - start[1]) * uy

    def across(px, py):
        return np.abs(-(px - start[0]) * uy + (py - start[1]) * ux)

    def line(px, py):
        return (along(px, py) >= 0) & (along(px, py) <= length) & (across(px, py) <= width / 2)

    neck = length - 5 * width

    def arrow(px, py):
        shaft = line(px, py) & (along(px, py) <= neck)
        head = (along(px, py) >= neck) & (across(px, py) <= (length - along(px, py)) * 2 / 5)
        return shaft | head

    for shape, inside in ((Line(start, end, width=width), line), (Arrow(start, end, width=width), arrow)):
        expected, got = brute(inside), cover(shape)
        # A sample grid is itself wrong by a row of samples on axis-parallel edges, hence the tolerance.
        assert np.abs(got - expected).max() < 0.06, shape
        assert abs(got.sum() - expected.sum()) < 0.02 * expected.sum()


def test_a_short_arrow_is_all_head_and_ends_where_it_should() -> None:
    got = cover(Arrow((20, 20), (30, 20), width=4))
    assert got[20, 19] == 0 and got[20, 31] == 0 and got[20, 21] > 0.9
    assert abs(got.sum() - 0.5 * 10 * 8) < 1  # length 10, as wide as 4/5 of that


@pytest.mark.parametrize(
    "nothing",
    [
        Box(5, 5, 0, 9),
        Box(5, 5, 9, 9, fill=False, line_width=0),
        Ellipse(5, 5, 9, 0),
        Line((5, 5), (5, 5)),
        Line((5, 5), (9, 9), width=0),
        Arrow((5, 5), (5, 5)),
        Arrow((5, 5), (9, 9), width=0),
        Text(5, 5, ""),
        Text(5, 5, " \n "),
        Text(5, 5, "a", size=0),
        Text(500, 5, "outside"),
        Box(-50, -50, 20, 20),
        GaussianNoise(0.0, 1),
        GaussianNoise(0.5, 1, (70, 70, 5, 5)),
        GaussianNoise(0.5, 1, (5, 5, 0, 5)),
    ],
)
def test_what_has_no_extent_or_lies_outside_changes_nothing(nothing: Drawing) -> None:
    grey = Image.new("RGB", (WIDTH, HEIGHT), (120, 130, 140))
    assert paint(grey, [nothing]).tobytes() == grey.tobytes()


def test_text_starts_at_its_place_and_is_as_large_as_asked() -> None:
    ink = np.argwhere(cover(Text(10, 8, "H", size=24)) > 0.5)
    (top, left), (bottom, right) = ink.min(0), ink.max(0)
    assert 10 <= left <= 14 and 8 <= top <= 16
    assert abs((bottom - top + 1) - 0.73 * 24) <= 1.5  # DejaVu Sans capitals are 0.729 em high
    assert left < right


def test_new_lines_stand_below_each_other() -> None:
    one, two = cover(Text(2, 0, "H", 16)), cover(Text(2, 0, "H\nH", 16))
    first, second = 16 * 0.928, 16 * (0.928 + 0.928 + 0.236)  # base lines, each on the nearest pixel
    pitch = round(second) - round(first)
    assert np.abs(two - one - np.roll(one, pitch, axis=0)).max() < 0.02
    assert (cover(Text(2, 0, "H\r\nH", 16)) == two).all()


def test_text_has_the_widths_of_the_shipped_font() -> None:
    """DejaVu Sans: H is 1540 and ö 1253 units of 2048 wide; no letters are joined or moved together."""

    def right(text: str) -> int:
        return int(np.argwhere(cover(Text(0, 0, text, 20)).max(axis=0) > 0.5).max())

    assert abs(right("HHH") - right("H") - 2 * 20 * 1540 / 2048) <= 1
    assert abs(right("ööH") - right("H") - 2 * 20 * 1253 / 2048) <= 1


def letter_by_letter(glyphs: str, size: float = 20, shape: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """Coverage of letters set from left to right as they are given, at (2, 4): drawn by Pillow, each at the
    whole pixel nearest to where HarfBuzz has it.
    """
    image, x = Image.new("L", shape), 2.0
    font = ImageFont.truetype(str(FONT), size, layout_engine=ImageFont.Layout.BASIC)
    line = hb.Buffer()
    line.add_str(glyphs)
    line.guess_segment_properties()
    line.direction = "ltr"
    features = {"kern": True, "liga": False, "calt": False}
    hb.shape(hb.Font(hb.Face(hb.Blob.from_file_path(str(FONT)))), line, features)
    for glyph, place in zip(glyphs, line.glyph_positions, strict=True):
        base = int(4 + 0.928 * size + 0.5)
        ImageDraw.Draw(image).text((int(x + 0.5), base), glyph, 255, font, anchor="ls")
        x += place.x_advance * size / 2048
    return np.asarray(image) / 255


@pytest.mark.parametrize("size", [9, 16, 24, 40])
def test_letters_stand_where_the_font_puts_them(size: int) -> None:
    """Pillow's own lines are up to 13 pixels longer here: it rounds the widths of letters."""
    text = "Is there a red star above the blue circle?"
    shape = (1000, 60)
    image = paint(Image.new("RGB", shape, "white"), [Text(2, 4, text, size)])
    drawn = 1 - np.asarray(image)[:, :, 0] / 255
    np.testing.assert_allclose(drawn, letter_by_letter(text, size, shape), atol=0.01)
    right = np.argwhere(drawn.max(axis=0) > 0.1).max()
    assert abs(right - 2 - text_extent(text, size)[0]) < 1 + 0.15 * size  # the room beside the last letter


@pytest.mark.parametrize(
    "text, glyphs",
    [
        ("שלום", "םולש"),
        ("גן (1)", "(1) ןג"),  # brackets are mirrored, numbers stay as they are
        ("ab גד", "ab דג"),  # the first letter decides the direction of the line ...
        ("גד ab", "ab דג"),
        ("\u202eab", "ba"),  # ... unless it is said
        ("قطة", "\ufe94\ufec4\ufed7"),  # qaf initial, tah medial, teh marbuta final
        ("لا", "\ufefb"),  # lam and alef are one sign
        ("دب", "\ufe8f\ufea9"),  # dal joins nothing after it
    ],
)
def test_text_from_right_to_left_is_ordered_and_joined(text: str, glyphs: str) -> None:
    drawn = cover(Text(2, 4, text, 20))
    assert drawn.max() == 1
    np.testing.assert_allclose(drawn, letter_by_letter(glyphs), atol=0.01)


def test_each_line_has_a_direction_of_its_own() -> None:
    both = cover(Text(2, 0, "גד!\nab!", 16))
    one, two = cover(Text(2, 0, "גד!", 16)), cover(Text(2, 16 * 1.164, "ab!", 16))
    np.testing.assert_allclose(both, np.maximum(one, two), atol=0.02)


def test_joined_letters_take_the_width_of_their_forms() -> None:
    forms = ImageFont.truetype(str(FONT), 2048, layout_engine=ImageFont.Layout.BASIC)
    assert text_extent("قطة", 2048)[0] == forms.getlength("\ufe94\ufec4\ufed7") != forms.getlength("قطة")


@given(st.text(st.characters(codec="utf-8")))
def test_text_from_left_to_right_is_drawn_as_written(text: str) -> None:
    if not any(unicodedata.bidirectional(c) in {"R", "AL", "AN", "RLE", "RLO", "RLI"} for c in text):
        assert visual(text) == text


@given(st.text("אבג12+-.,!()[]{}<>«» abcفق٣\u200f\u202e\u2067", max_size=30))
def test_the_order_is_that_of_another_implementation(line: str) -> None:
    """fpdf2's of the Unicode algorithm; brackets are mirrored where it says that their level is odd."""
    shaped = [*BidiParagraph(_reshaper().reshape(line)).get_reordered_characters()]
    expected = [
        MIRRORED.get(c.character, c.character) if c.embedding_level % 2 else c.character for c in shaped
    ]
    controls = "\u200f\u202e\u2067"
    assert [c for c in visual(line) if c not in controls] == [c for c in expected if c not in controls]


def test_noise_has_the_given_spread_and_is_cut_to_the_valid_range() -> None:
    grey = Image.new("RGB", (400, 300), (128, 128, 128))
    values = np.asarray(paint(grey, [GaussianNoise(0.1, seed=3)])).astype(float) - 128
    assert abs(values.mean()) < 0.2 and abs(values.std() - 25.5) < 0.2
    assert abs(np.corrcoef(values[:, :, 0].ravel(), values[:, :, 1].ravel())[0, 1]) < 0.02
    strong = np.asarray(paint(Image.new("RGB", (400, 300), "white"), [GaussianNoise(1.0, seed=3)]))
    assert strong.max() == 255 and strong.min() == 0 and abs((strong == 255).mean() - 0.5) < 0.01


def test_noise_depends_on_the_seed_and_on_nothing_else_that_is_drawn() -> None:
    grey = Image.new("RGB", (WIDTH, HEIGHT), (128, 128, 128))
    noise = GaussianNoise(0.05, seed=1)
    plain = np.asarray(paint(grey, [noise]))
    boxed = np.asarray(paint(grey, [Box(3, 3, 10, 10), GaussianNoise(0.05, 9, (20, 20, 5, 5)), noise]))
    untouched = np.ones((HEIGHT, WIDTH), bool)
    untouched[3:13, 3:13] = untouched[20:25, 20:25] = False
    assert (plain[untouched] == boxed[untouched]).all()
    assert (np.asarray(paint(grey, [noise])) == plain).all()
    assert (np.asarray(paint(grey, [GaussianNoise(0.05, seed=2)])) != plain).mean() > 0.8


def test_noise_of_a_region_stays_inside_and_of_all_is_the_same_as_no_region() -> None:
    grey = Image.new("RGB", (WIDTH, HEIGHT), (128, 128, 128))
    got = np.asarray(paint(grey, [GaussianNoise(0.3, 1, (10.4, 5.6, 20, 10))])) != 128
    assert got[6:16, 10:30].mean() > 0.95
    got[6:16, 10:30] = False
    assert not got.any()
    whole = GaussianNoise(0.3, 1, (0, 0, WIDTH, HEIGHT))
    assert paint(grey, [whole]).tobytes() == paint(grey, [GaussianNoise(0.3, 1)]).tobytes()


def test_noise_does_not_depend_on_the_bands_it_is_drawn_in(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = Image.new("RGB", (WIDTH, HEIGHT), (128, 128, 128))
    whole = paint(grey, [GaussianNoise(0.2, 5)]).tobytes()
    for values in (1, 3 * WIDTH * 7 + 1):
        monkeypatch.setattr(effects, "_NOISE_VALUES", values)
        assert paint(grey, [GaussianNoise(0.2, 5)]).tobytes() == whole


def test_the_noise_of_a_seed_stays_what_it_is() -> None:
    """Stored stimuli are re-rendered from their seeds: these values must not change with a release."""
    got = np.asarray(paint(Image.new("RGB", (2, 2), (128, 128, 128)), [GaussianNoise(0.2, seed=1)]))
    assert got.ravel().tolist() == [216, 55, 180, 224, 132, 149, 35, 218, 151, 100, 179, 104]


def test_the_order_of_operations_counts() -> None:
    grey = Image.new("RGB", (WIDTH, HEIGHT), (128, 128, 128))
    box, noise = Box(5, 5, 20, 20), GaussianNoise(0.3, 1)
    over = np.asarray(paint(grey, [noise, box]))[5:25, 5:25]
    under = np.asarray(paint(grey, [box, noise]))[5:25, 5:25]
    assert (over == 0).all() and (under > 0).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Box("1", 2, 3, 4), r'box: "x" must be a number.*; got \'1\' \(str\)'),
        (lambda: Box(True, 2, 3, 4), 'box: "x" must be a number.*; got True'),
        (lambda: Box(1, 2, -3, 4), 'box: "width" must be a number from 0 to'),
        (lambda: Box(1, float("nan"), 3, 4), 'box: "y" must be a finite number'),
        (lambda: Box(1, 2, 3, float("inf")), 'box: "height" must be a finite number'),
        (lambda: Box(10**400, 2, 3, 4), 'box: "x" must be a finite number'),
        (lambda: Box(1, 2, 3, 4, "nocolor"), 'box: "color" must be a colour such as'),
        (lambda: Box(1, 2, 3, 4, "#ff000080"), 'box: "color" must be opaque'),
        (lambda: Box(1, 2, 3, 4, "rgb(300,0,0)"), 'box: "color" has a channel outside'),
        (lambda: Box(1, 2, 3, 4, (255, 0, 0)), 'box: "color" must be a colour'),
        (lambda: Box(1, 2, 3, 4, fill=1), 'box: "fill" must be True or False'),
        (lambda: Ellipse(1, 2, 3, 4, line_width=-1), 'ellipse: "line_width"'),
        (lambda: Line((1, 2, 3), (1, 2)), r'line: "start" must be \[x, y\]; got 3 values'),
        (lambda: Line((1, 2), "ab"), r'line: "end" must be \[x, y\]'),
        (lambda: Arrow((1, 2), (3, float("nan"))), 'arrow: "end" must be a finite number'),
        (lambda: Arrow((1, 2), (3, 4), width=-2), 'arrow: "width"'),
        (lambda: Text(1, 2, 3), 'text: "text" must be text; got 3'),
        (lambda: Text(1, 2, "a", size=-1), 'text: "size"'),
        (lambda: Text(1, 2, "a", size=3000), 'text: "size" must be a number from 0 to 2000'),
        (
            lambda: Text(1, 2, "a" * 5000, size=500),
            'text: "text" of 5000 characters is too long for size 500',
        ),
        (lambda: GaussianNoise(-0.1), 'noise: "sigma" must be a number from 0 to 1'),
        (lambda: GaussianNoise(1.5), 'noise: "sigma" must be a number from 0 to 1; got 1.5'),
        (lambda: GaussianNoise(0.1, -1), 'noise: "seed" must be a whole number from'),
        (lambda: GaussianNoise(0.1, 1.5), 'noise: "seed" must be a whole number'),
        (lambda: GaussianNoise(0.1, None), 'noise: "seed" must be a whole number'),
        (lambda: GaussianNoise(0.1, 1, (1, 2, 3)), r'noise: "region" must be \[x, y, width, height\]; got 3'),
        (
            lambda: GaussianNoise(0.1, 1, (1, 2, 3, -4)),
            'noise: "region" must have a width and height of 0 or more',
        ),
    ],
)
def test_bad_values_are_refused_by_name(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_numpy_numbers_and_arrays_are_numbers() -> None:
    assert Box(np.int64(1), np.float32(2), 3, 4) == Box(1, 2, 3, 4)
    assert Line(np.array([1, 2]), [3, 4]) == Line((1, 2), (3, 4))
    assert GaussianNoise(np.float64(0.1), np.int32(4)) == GaussianNoise(0.1, 4)


def test_a_render_starts_from_the_longest_one_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Drawing] = []
    original = Box.draw
    monkeypatch.setattr(Box, "draw", lambda self, image: (drawn.append(self), original(self, image))[1])
    cache, picture = RenderCache(), Picture(Image.new("RGB", (20, 20)))
    a, b, c = (Box(i, i, 3, 3, "red") for i in range(3))
    cache.render(picture, (a, b))
    cache.render(picture, (a, b, c))
    cache.render(picture, (a, b))
    assert drawn == [a, b, c]
    expected = paint(picture.pil(), [a, b, c]).tobytes()
    assert cache.render(picture, (a, b, c)).tobytes() == expected
    assert cache.render(Picture(Image.new("RGB", (20, 20), "blue")), (a,)).getpixel((19, 19)) == (0, 0, 255)


def test_the_cache_forgets_the_oldest_and_never_the_newest() -> None:
    picture = Picture(Image.new("RGB", (10, 10)))
    cache = RenderCache(limit=3 * 400)
    for i in range(9):
        cache.render(picture, (Box(i, 0, 1, 1),))
    assert len(cache) == 3
    tiny = RenderCache(limit=1)
    tiny.render(picture, (Box(0, 0, 1, 1),))
    assert len(tiny) == 1


def test_renders_go_with_their_picture() -> None:
    cache = RenderCache()
    first, second = (Picture(Image.new("RGB", (20, 20), color)) for color in ("white", "blue"))
    box = Box(1, 1, 5, 5)
    for drawings in ((box,), (box, Box(2, 2, 5, 5))):
        cache.render(first, drawings)
        cache.render(second, drawings)
    assert len(cache) == 4
    del first
    gc.collect()
    assert len(cache) == 2
    del second
    gc.collect()
    assert len(cache) == 0 and cache._bytes == 0


def test_renders_stay_while_an_equal_picture_is_used() -> None:
    cache = RenderCache()
    pixels = Image.new("RGB", (20, 20))
    one, other = Picture(pixels), Picture(pixels)
    box = (Box(1, 1, 5, 5),)
    render = cache.render(one, box)
    assert cache.render(other, box) is render
    del one
    gc.collect()
    assert cache.render(other, box) is render


def test_rendering_from_several_threads() -> None:
    stimulus = Stimulus(np.full((80, 90, 3), 99, np.uint8), "q")
    stimuli = [stimulus.box(i, i, 9, 9, "red").noise(0.1, seed=i % 3) for i in range(12)]
    expected = [paint(stimulus.image.pil(), item.drawings).tobytes() for item in stimuli]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(4):
            wrong.extend(i for i, item in enumerate(stimuli) if item.render().tobytes() != expected[i])

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
