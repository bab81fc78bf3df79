"""Growth: what a hand draws is painted whatever its number, what would take minutes is refused; the pixels
are those of a plain sum over scan lines.
"""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest

from isi_widget.errors import InputError
from isi_widget.stimulus import Box, CopiedPatch, Erase, GaussianNoise, Picture, Pixelate, Polygon, Stimulus
from isi_widget.stimulus.coverage import centers_inside, rows_at_once
from isi_widget.stimulus.regions import check_points


def blank(shape: tuple[int, ...] = (480, 640, 3)) -> Stimulus:
    return Stimulus(np.zeros(shape, np.uint8), "q")


def scattered(count: int, seed: int = 0) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.random.default_rng(seed).random((count, 2)) * (640, 480)]


def by_hand(count: int, seed: int = 0) -> list[tuple[float, float]]:
    """A trembling spiral, as a hand draws a mask."""
    turn = np.linspace(0, 6 * np.pi, count)
    radius = np.linspace(40, 200, count)[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    points = radius + (320, 240) + np.random.default_rng(seed).normal(0, 0.5, (count, 2))
    return [(float(x), float(y)) for x, y in points]


def plain_even_odd(points: list[tuple[float, float]], row: int) -> np.ndarray:
    """Coverage of one row of pixels, line by line and span by span."""
    covered = np.zeros(640)
    left = np.arange(640)
    for number in range(16):
        y = row + (number + 0.5) / 16
        crossed = sorted(
            x0 + (y - y0) / (y1 - y0) * (x1 - x0)
            for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True)
            if min(y0, y1) <= y < max(y0, y1)
        )
        for low, high in zip(crossed[::2], crossed[1::2], strict=True):
            covered += np.clip(np.minimum(left + 1, high) - np.maximum(left, low), 0, None)
    return covered / 16


@pytest.mark.parametrize("points", [scattered(400), by_hand(3000)])
def test_many_crossings_are_paired_as_by_a_plain_loop(points: list[tuple[float, float]]) -> None:
    drawn = np.asarray(blank().polygon(points, color="white").render())[:, :, 0].astype(int)
    for row in (0, 101, 240, 333, 479):
        assert np.abs(drawn[row] - plain_even_odd(points, row) * 255).max() <= 0.51


def test_an_outline_is_the_same_however_many_rows_are_taken_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points = by_hand(2000)
    drawn = [
        blank().polygon(points, "red", fill=fill, line_width=5).render().tobytes() for fill in (True, False)
    ]
    noisy = blank().noise(0.3, 1, points).render().tobytes()
    squares = blank().noise(0.3).pixelate(7, points).render().tobytes()
    monkeypatch.setattr("isi_widget.stimulus.coverage._CROSSINGS", 3000)
    monkeypatch.setattr("isi_widget.stimulus.effects._SQUARE_PIXELS", 5000)
    assert rows_at_once(points, 5, (0, 0, 640, 480)) < 8
    image = Picture(blank().render()).pil()
    for fill, expected in zip((True, False), drawn, strict=True):
        copy = image.copy()
        Polygon(points, "red", fill, 5).draw(copy)
        assert copy.tobytes() == expected
    for effect, expected in ((GaussianNoise(0.3, 1, points), noisy),):
        copy = image.copy()
        effect.draw(copy)
        assert copy.tobytes() == expected
    copy = blank().noise(0.3).render()
    Pixelate(7, points).draw(copy)
    assert copy.tobytes() == squares


def test_a_polygon_of_long_edges_takes_a_bounded_memory() -> None:
    image = Picture(blank().render()).pil()
    polygon = Polygon(scattered(1500), fill=False)
    tracemalloc.start()
    polygon.draw(image)
    centers_inside(polygon.points, (0, 0, 640, 480))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6  # 40 MB; 126 MB with 64 rows at a time, and more with more points


def test_what_a_hand_draws_is_never_refused() -> None:
    many = blank()
    polygons = [Polygon(by_hand(10_000, seed), fill=seed % 2 > 0) for seed in range(5)]
    many = many.apply(*polygons, Erase(by_hand(10_000), "inpaint"), GaussianNoise(0.2, 0, by_hand(10_000)))
    assert many.render().size == (640, 480)
    boxes = [Box(float(i % 600), float(i // 7 % 440), 40.0, 30.0) for i in range(3000)]
    assert blank().apply(*boxes).render().getpixel((20, 20)) == (0, 0, 0)
    photograph = Stimulus(np.broadcast_to(np.uint8(9), (3000, 4000)), "q")
    photograph.noise(0.2).blur(8).pixelate(9).erase((0, 0, 2000, 1500), "inpaint").patch(
        (0, 0, 900, 900), 9, 9
    )
    large = Stimulus(np.broadcast_to(np.uint8(9), (10_000, 10_000)), "q")
    large.noise(0.2).blur(8)


@pytest.mark.parametrize(
    "operations",
    [
        [Polygon(scattered(10_000, seed), fill=False) for seed in range(5)],
        [Polygon(scattered(2_000, seed)) for seed in range(90)],
        [GaussianNoise(0.1, seed, scattered(2_000, seed)) for seed in range(120)],
        [GaussianNoise(0.1, seed) for seed in range(3000)],
        [Box(0, 0, 640, 480, angle=1)] * 9000,
        [CopiedPatch((0, 0, 640, 480), 0, 0)] * 5000,
    ],
    ids=["outlines", "areas", "masks", "noise", "boxes", "patches"],
)
def test_what_would_take_minutes_is_refused_and_nothing_is_lost(operations: list) -> None:
    before = blank().box(1, 2, 3, 4)
    with pytest.raises(InputError, match=r"would take too long to paint|points in all") as caught:
        before.apply(*operations)
    assert "fewer" in str(caught.value) and len(before.operations) == 1
    with pytest.raises(InputError, match=r"would take too long to paint|points in all"):
        before.with_operations([operation.to_dict() for operation in operations])


def test_an_in_painted_region_that_takes_gigabytes_is_refused() -> None:
    large = Stimulus(np.broadcast_to(np.uint8(9), (10_000, 10_000)), "q")
    with pytest.raises(InputError, match="'erase': 150"):
        large.erase((0, 0, 10_000, 9_999), "inpaint")
    large.erase((0, 0, 10_000, 9_999), "mean")


def test_too_many_operations_or_points_are_counted() -> None:
    with pytest.raises(InputError, match="at most 20000 operations, got 20001"):
        blank().apply(*[Box(0, 0, 1, 1)] * 20_001)
    with pytest.raises(InputError, match="at most 200000 points in all, got 210000"):
        blank().apply(*[Polygon(by_hand(10_000))] * 21)
    hidden = [Polygon(scattered(10_000, seed), fill=False, hidden=True) for seed in range(5)]
    assert len(blank().apply(*hidden).operations) == 5  # not painted


def test_what_is_drawn_one_by_one_is_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    together = blank().apply(*[GaussianNoise(0.1, seed) for seed in range(9)])
    one_by_one = blank()
    for seed in range(9):
        one_by_one = one_by_one.noise(0.1, seed)
    assert one_by_one == together and one_by_one._load == pytest.approx(together._load)
    assert one_by_one._load.nanoseconds == 9 * 35 * 640 * 480
    for made in (one_by_one, together.with_question("a"), pickle.loads(pickle.dumps(one_by_one))):
        with pytest.raises(InputError, match="would take too long"):
            for _ in range(1000):
                made = made.blur(3)
    larger = one_by_one.with_image(np.zeros((960, 640, 3), np.uint8))
    assert larger._load.nanoseconds == 2 * one_by_one._load.nanoseconds
    assert larger.undo() == one_by_one and larger.undo()._load == one_by_one._load


def test_adding_a_drawing_does_not_look_at_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    many = blank().apply(*[Box(0, 0, 9, 9)] * 500)
    seen = []
    monkeypatch.setattr(Box, "effort", lambda self, size: seen.append(self) or 0.0)
    many.box(1, 2, 3, 4)
    assert len(seen) == 1


def test_points_checked_all_at_once_are_those_checked_one_by_one() -> None:
    slow = [(np.float32(1.5), 2), (3, -0.0), (4.25, 5)]
    fast = [[1.5, 2], [3, -0.0], (4.25, 5.0)]
    expected = ((1.5, 2.0), (3.0, 0.0), (4.25, 5.0))
    for given in (slow, fast, np.array(fast), tuple(fast)):
        found = check_points(given, "points")
        assert found == expected and all(type(x) is float for point in found for x in point)
        assert str(found[1][1]) == "0.0"  # no negative zero


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0, 0], [1, True], [2, 2]], "point 1, must be a number.*; got True"),
        ([[0, 0], [1, float("nan")], [2, 2]], "point 1, must be a finite number"),
        ([[0, 0], [1, 10**400], [2, 2]], "point 1, must be a finite number"),
        ([[0, 0], [1, 2e6], [2, 2]], "point 1, must be a number from"),
        ([[0, 0], [1, 2, 3], [2, 2]], r"point 1, must be \[x, y\]; got 3 values"),
        ([[0, 0], ["1", 2], [2, 2]], "point 1, must be a number"),
        (np.zeros((3, 3)), r"must be \[x, y\]"),
        (np.zeros((3, 2), bool), "must be a number"),
    ],
)
def test_a_bad_point_is_named(points: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_points(points, "points")


# ------------------------------------------------------------------------------------------ drawings unseen
@pytest.mark.parametrize(
    "draw",
    [
        lambda s: s.box(640, 0, 10, 10),
        lambda s: s.box(5, 5, 0, 10),
        lambda s: s.ellipse(-20, 0, 20, 20),
        lambda s: s.polygon([(0, -1), (5, -9), (9, -1)]),
        lambda s: s.line((0, 500), (640, 500)),
        lambda s: s.arrow((700, 5), (900, 5)),
        lambda s: s.text(5, 600, "cat"),
        lambda s: s.noise(0.2, region=(700, 0, 9, 9)),
        lambda s: s.erase([(0, -1), (5, -9), (9, -1)]),
        lambda s: s.patch((0, 0, 9, 9), -10, 0),
        lambda s: s.patch((700, 0, 9, 9), 10, 0),
    ],
)
def test_a_drawing_that_nobody_sees_warns_and_changes_no_key(draw) -> None:
    before = blank().box(1, 2, 3, 4)
    with pytest.warns(UserWarning, match="paints nothing on the image of 640 x 480") as caught:
        after = draw(before)
    assert caught[0].filename == __file__
    assert after.key == before.key and after != before and len(after.operations) == 2
    assert after.render().tobytes() == before.render().tobytes()
    assert Stimulus.from_json(after.to_json()) == after == pickle.loads(pickle.dumps(after))


def test_a_drawing_that_is_seen_or_hidden_does_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    before = blank()
    seen = before.box(639, 479, 10, 10)
    before.apply(Box(900, 0, 9, 9, hidden=True))
    assert not recwarn.list and seen.key != before.key
    larger = seen.with_image(np.zeros((9, 9), np.uint8))  # now it lies outside
    assert larger.key == before.with_image(np.zeros((9, 9), np.uint8)).key


def test_letters_that_the_font_of_drawn_text_has_not_warn() -> None:
    for draw in (lambda s: s.text(5, 5, "\u4e2d a"), lambda s: s.arrow((5, 5), (90, 90), label="\u4e2d")):
        with pytest.warns(UserWarning, match="has no letters for \u4e2d") as caught:
            draw(blank())
        assert len(caught) == 1 and caught[0].filename == __file__
