"""Polygons, turned boxes, ellipses and texts, and labels of arrows, against brute force and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from isi_widget.stimulus import Arrow, Box, Drawing, Ellipse, Polygon, Text, paint
from isi_widget.stimulus.coverage import turned
from isi_widget.stimulus.lettering import text_extent

WIDTH, HEIGHT = 72, 54
STAR = tuple(
    (36 + r * math.cos(a), 27 + r * math.sin(a))
    for i in range(5)
    for r, a in ((24, i * 0.8 * math.pi + 0.3),)
)
CONCAVE = ((5.2, 40.1), (60.3, 5.5), (50.7, 50.2), (40.1, 20.4), (20.9, 48.8))
OUTSIDE = ((-30, -20), (90, 10), (40, 80))
EIGHT = ((10, 10), (60, 45), (60, 10), (10, 45))


def cover(*drawings: Drawing) -> np.ndarray:
    """Coverage on [0, 1] [height, width] of drawings in black on white."""
    image = paint(Image.new("RGB", (WIDTH, HEIGHT), "white"), drawings)
    return 1 - np.asarray(image)[:, :, 0] / 255


def brute(inside, samples: int = 24) -> np.ndarray:
    """Coverage of `inside(x, y)` by counting sample points."""
    ys, xs = np.mgrid[0 : HEIGHT * samples, 0 : WIDTH * samples]
    hits = inside((xs + 0.5) / samples, (ys + 0.5) / samples)
    return hits.reshape(HEIGHT, samples, WIDTH, samples).mean(axis=(1, 3))


def odd(points):
    """Whether a point has an odd number of edges to its left."""

    def inside(px, py):
        result = np.zeros(px.shape, bool)
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            if y0 != y1:
                result ^= ((y0 > py) != (y1 > py)) & (px > x0 + (py - y0) * (x1 - x0) / (y1 - y0))
        return result

    return inside


def near(points, distance: float):
    """Whether a point is within a distance of the closed line through the points."""

    def inside(px, py):
        result = np.zeros(px.shape, bool)
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            squared = (x1 - x0) ** 2 + (y1 - y0) ** 2
            t = (
                np.clip(((px - x0) * (x1 - x0) + (py - y0) * (y1 - y0)) / squared, 0, 1)
                if squared
                else 0 * px
            )
            result |= np.hypot(px - x0 - t * (x1 - x0), py - y0 - t * (y1 - y0)) <= distance
        return result

    return inside


@pytest.mark.parametrize("points", [CONCAVE, STAR, OUTSIDE, EIGHT, CONCAVE[:3]])
def test_a_filled_polygon_against_brute_force(points) -> None:
    got, expected = cover(Polygon(points)), brute(odd(points))
    assert np.abs(got - expected).max() < 0.06 and abs(got.sum() - expected.sum()) < 0.01 * expected.sum()


def test_what_an_even_number_of_turns_surrounds_is_outside() -> None:
    assert cover(Polygon(STAR))[27, 36] == 0
    twice = (
        (10, 10),
        (50, 10),
        (50, 40),
        (10, 40),
        (10, 10),
        (20, 15),
        (40, 15),
        (40, 30),
        (20, 30),
        (20, 15),
    )
    got = cover(Polygon(twice))
    assert got[20, 30] == 0 and got[12, 30] == 1 and got.sum() == 40 * 30 - 20 * 15


@pytest.mark.parametrize("points", [CONCAVE, STAR, OUTSIDE, EIGHT])
@pytest.mark.parametrize("width", [1, 3.5, 11])
def test_an_outline_is_what_lies_within_half_its_width(points, width: float) -> None:
    got, expected = cover(Polygon(points, fill=False, line_width=width)), brute(near(points, width / 2))
    assert np.abs(got - expected).max() < 0.08 and abs(got.sum() - expected.sum()) < 0.01 * expected.sum()


def test_repeated_points_draw_what_the_others_do() -> None:
    doubled = tuple(point for point in CONCAVE for _ in range(3))
    for fill in (True, False):
        assert (cover(Polygon(doubled, fill=fill)) == cover(Polygon(CONCAVE, fill=fill))).all()
    point = Polygon(((20, 20),) * 3, fill=False, line_width=9)
    assert np.abs(cover(point) - cover(Ellipse(15.5, 15.5, 9, 9))).max() < 0.01
    assert not cover(Polygon(((20, 20),) * 3)).any()
    assert not cover(Polygon(CONCAVE, fill=False, line_width=0)).any()


@settings(max_examples=50)
@given(st.tuples(*[st.floats(-40, 90, width=32)] * 2), st.tuples(*[st.floats(0, 90, width=32)] * 2))
def test_a_polygon_that_is_a_box_is_drawn_as_one(at: tuple[float, float], size: tuple[float, float]) -> None:
    (x, y), (w, h) = at, size
    polygon = Polygon(((x, y), (x, y + h), (x + w, y + h), (x + w, y)))
    assert np.abs(cover(polygon) - cover(Box(x, y, w, h))).max() <= 1 / 255
    assert polygon.bounds((WIDTH, HEIGHT)) == Box(x, y, w, h).bounds((WIDTH, HEIGHT))


@pytest.mark.parametrize("angle", [30, -30, 45, 101.5, 200, 719])
@pytest.mark.parametrize("place", [(20.3, 15.2, 40, 12.5), (-10, 20, 60, 30), (30, 5, 1.5, 45)])
def test_turned_boxes_and_ellipses_against_brute_force(angle: float, place) -> None:
    x, y, w, h = place
    cx, cy, a = x + w / 2, y + h / 2, math.radians(angle)

    def back(px, py):  # clockwise as seen, y pointing down: (1, 0) goes to (cos, sin)
        dx, dy = px - cx, py - cy
        return dx * math.cos(a) + dy * math.sin(a), -dx * math.sin(a) + dy * math.cos(a)

    def box(px, py):
        u, v = back(px, py)
        return (np.abs(u) <= w / 2) & (np.abs(v) <= h / 2)

    def ellipse(px, py):
        u, v = back(px, py)
        return (u / (w / 2)) ** 2 + (v / (h / 2)) ** 2 <= 1

    for shape, inside in ((Box(*place, angle=angle), box), (Ellipse(*place, angle=angle), ellipse)):
        got, expected = cover(shape), brute(inside)
        assert np.abs(got - expected).max() < 0.06
        assert abs(got.sum() - expected.sum()) < 0.01 * expected.sum()


@pytest.mark.parametrize("kind", [Box, Ellipse])
def test_a_turned_outline_is_the_shape_less_the_inner_shape(kind) -> None:
    outline = cover(kind(12, 14, 40, 22, fill=False, line_width=4, angle=25))
    expected = cover(kind(12, 14, 40, 22, angle=25)) - cover(kind(16, 18, 32, 14, angle=25))
    assert np.abs(outline - expected).max() <= 2 / 255


@pytest.mark.parametrize("kind", [Box, Ellipse])
@pytest.mark.parametrize("turns", [-3, -2, -1, 1, 2, 4, 5])
def test_quarter_turns_are_exact(kind, turns: int) -> None:
    across = kind(20, 21, 30, 12, angle=90 * turns)
    upright = kind(29, 12, 12, 30) if turns % 2 else kind(20, 21, 30, 12)
    assert (cover(across) == cover(upright)).all()
    assert across.bounds((WIDTH, HEIGHT)) == upright.bounds((WIDTH, HEIGHT))


@settings(max_examples=100)
@given(st.floats(-1000, 1000), st.floats(0.5, 60), st.floats(0.5, 60), st.booleans())
def test_bounds_of_turned_shapes_are_no_larger_than_they_must_be(
    angle: float, width: float, height: float, is_box: bool
) -> None:
    """Every side of the bounds has a pixel that the shape reaches into, seen at 64 times the size."""
    kind = Box if is_box else Ellipse
    shape = kind(500 - width / 2, 500 - height / 2, width, height, angle=angle)
    left, top, right, bottom = shape.bounds((1000, 1000))
    a = math.radians(angle)
    if is_box:
        corners = turned([(-width / 2, -height / 2), (width / 2, -height / 2)], (0, 0), angle)
        reach = [max(abs(c[i]) for c in corners) for i in (0, 1)]
    else:
        t = np.linspace(0, 2 * math.pi, 20001)
        u, v = width / 2 * np.cos(t), height / 2 * np.sin(t)
        reach = [
            np.abs(u * math.cos(a) - v * math.sin(a)).max(),
            np.abs(u * math.sin(a) + v * math.cos(a)).max(),
        ]
    for low, high, r in ((left, right, reach[0]), (top, bottom, reach[1])):
        assert low <= 500 - r + 1e-4 < low + 1 + 2e-4 and high - 1 - 2e-4 < 500 + r - 1e-4 <= high


def test_turning_is_clockwise_as_seen() -> None:
    """A quarter turn brings what was at the right to the bottom."""
    assert turned([(10, 0)], (0, 0), 90) == [(0, 10)]
    ink = np.argwhere(cover(Text(20, 20, "I....", 16, angle=90)) > 0.5)
    first, last = ink[ink[:, 0] <= ink[:, 0].min() + 1], ink[ink[:, 0] >= ink[:, 0].max() - 1]
    assert np.ptp(first[:, 1]) >= 9 and np.ptp(last[:, 1]) <= 3  # the I lies across at the top, a dot below
    assert last[:, 1].max() < np.median(first[:, 1])  # and the baseline is at the left


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_text_turned_by_quarters_is_the_picture_of_the_text_turned(turns: int) -> None:
    text, size = "Ab\ng", 20.0
    width, height = text_extent(text, size)
    side = 61
    # The centre of the extent on the centre of a square image, which np.rot90 turns about.
    at = (side / 2 - width / 2, side / 2 - height / 2)

    def ink(angle: float) -> np.ndarray:
        image = paint(Image.new("RGB", (side, side), "white"), [Text(*at, text, size, angle=angle)])
        return 255 - np.asarray(image)[:, :, 0].astype(int)

    assert np.abs(ink(90 * turns) - np.rot90(ink(0), -turns)).max() <= 1
    assert np.abs(ink(360) - ink(0)).max() <= 1


@pytest.mark.parametrize("angle", [20, -65, 130])
def test_turned_text_keeps_its_ink_and_its_centre_of_mass_turns_with_it(angle: float) -> None:
    def ink(turn: float) -> np.ndarray:
        image = paint(Image.new("RGB", (160, 160), "white"), [Text(60, 70, "Tilt 3", 22, angle=turn)])
        return 255 - np.asarray(image)[:, :, 0].astype(float)

    def mass(image: np.ndarray) -> tuple[float, float]:
        ys, xs = np.mgrid[0:160, 0:160] + 0.5
        return (image * xs).sum() / image.sum(), (image * ys).sum() / image.sum()

    upright, tilted = ink(0), ink(angle)
    width, height = text_extent("Tilt 3", 22)
    expected = turned([mass(upright)], (60 + width / 2, 70 + height / 2), angle)[0]
    assert abs(tilted.sum() / upright.sum() - 1) < 0.02
    assert math.dist(mass(tilted), expected) < 0.1


def test_turned_text_far_outside_and_of_many_lines_takes_no_memory() -> None:
    lines = Text(5, 5, "x" * 40_000 + "\na" * 30_000, 20, angle=30)
    cover(lines)
    width, height = text_extent("x" * 2001, 20)
    through = Text(WIDTH / 2 - width / 2, HEIGHT / 2 - height / 2, "x" * 2001, 20, angle=30)
    middle = cover(through)[HEIGHT // 2 - 3 : HEIGHT // 2 + 3, WIDTH // 2 - 3 : WIDTH // 2 + 3]
    assert middle.mean() > 0.1
    assert not cover(Text(5000, 5000, "far", 20, angle=30)).any()


def test_the_extent_of_text_is_that_of_the_font() -> None:
    """DejaVu Sans: H is 1540 units of 2048 wide, ö 1253; ascent and descent are 1901 + 483."""
    width, height = text_extent("Hö\nH", 10)
    assert width == pytest.approx(10 * (1540 + 1253) / 2048) and height == pytest.approx(
        20 * 2384 / 2048, rel=1e-3
    )


@pytest.mark.parametrize("end", [(60, 27), (12, 27), (36, 5), (36, 50), (60, 40), (20, 10), (37, 50)])
def test_a_label_stands_beyond_the_tail_and_touches_the_arrow_at_no_point(end) -> None:
    start, size, width, word = (36, 27), 9.0, 2.0, "tip"
    labelled = Arrow(start, end, width=width, label=word, size=size)
    bare = cover(Arrow(start, end, width=width))
    w, h = text_extent(word, size)
    length = math.dist(start, end)
    u = ((start[0] - end[0]) / length, (start[1] - end[1]) / length)
    reaches = [half / abs(part) for half, part in ((w / 2, u[0]), (h / 2, u[1])) if part]
    center = [s + part * (min(reaches) + width) for s, part in zip(start, u, strict=True)]
    text = cover(Text(center[0] - w / 2, center[1] - h / 2, word, size))
    assert text.any() and not (text * bare).any()
    assert np.abs(cover(labelled) - (text + bare)).max() < 1e-9


def test_a_label_of_no_arrow_is_not_drawn_and_no_label_has_no_size() -> None:
    assert not cover(Arrow((20, 20), (20, 20), label="a")).any()
    assert not cover(Arrow((20, 20), (40, 20), width=0, label="a")).any()
    assert Arrow((1, 2), (3, 4), size=30) == Arrow((1, 2), (3, 4))
    far = Arrow((-1e6, 20), (1e6, 20), label="a")
    assert far.bounds((WIDTH, HEIGHT)) == Arrow((-1e6, 20), (1e6, 20)).bounds((WIDTH, HEIGHT))
