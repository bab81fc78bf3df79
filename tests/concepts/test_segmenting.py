"""Objects from boxes, points and strokes: against the exact masks of scenes, and where there is no object."""

from __future__ import annotations

import io
import random
import warnings
from collections import deque
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import isi_widget as isi
from isi_widget.concepts import (
    Found,
    Segmenter,
    Stroke,
    edges,
    grabcut,
    register_segmenter,
    registry,
    segmenters,
)
from isi_widget.datasets.scenes import draw
from isi_widget.datasets.scenes.arrange import Plan, arrange
from isi_widget.datasets.scenes.world import SHAPE_WORLD, THING_WORLD

SKY, RED = (90, 160, 220), (200, 40, 30)


def flat(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (90, 70)) -> np.ndarray:
    """A plain picture with red rectangles (x, y, width, height)."""
    pixels = np.full((size[1], size[0], 3), SKY, np.uint8)
    for x, y, width, height in boxes:
        pixels[y : y + height, x : x + width] = RED
    return pixels


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def loose(inside: np.ndarray, margin: float = 0.15) -> tuple[float, float, float, float]:
    ys, xs = np.nonzero(inside)
    width, height = np.ptp(xs) + 1, np.ptp(ys) + 1
    return (
        xs.min() - margin * width,
        ys.min() - margin * height,
        width * (1 + 2 * margin),
        height * (1 + 2 * margin),
    )


def test_things_of_scenes_are_found_from_loose_boxes() -> None:
    rng, found = random.Random(11), []
    for number in range(16):
        scene = arrange(rng, (SHAPE_WORLD, THING_WORLD)[number % 2], Plan(3))
        exact = draw.visible(scene)[0] >= 128
        mask = isi.segment(draw.draw_scene(scene), loose(exact))
        assert mask.size == (scene.width, scene.height)
        found.append(iou(mask.array(), exact))
    assert np.mean(found) > 0.9 and np.median(found) > 0.95


def test_a_plain_object_is_exact_in_every_kind_of_image(tmp_path: Any) -> None:
    pixels, box = flat((30, 20, 25, 30)), (24, 14, 38, 44)
    exact = isi.Mask.from_box((90, 70), (30, 20, 25, 30))
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    observation = isi.Observation(pixels, "?")
    for image in (pixels, path, Image.fromarray(pixels), observation, observation.stimulus()):
        assert isi.segment(image, box) == exact
    assert isi.segment(pixels, box, feather=2) == exact.with_feather(2)
    grey = np.repeat(pixels.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    assert isi.segment(grey, box) == exact


def test_a_stimulus_is_seen_with_its_drawings() -> None:
    drawn = isi.Observation(flat(), "?").stimulus().box(30, 20, 25, 30, color="red")
    assert isi.segment(drawn, (24, 14, 38, 44)) == isi.Mask.from_box((90, 70), (30, 20, 25, 30))


def test_the_same_input_gives_the_same_mask_whatever_happened_before() -> None:
    scene = arrange(random.Random(3), THING_WORLD, Plan(3))
    picture, box = draw.draw_scene(scene), loose(draw.visible(scene)[0] >= 128)
    first, threads = isi.segment(picture, box), cv2.getNumThreads()
    try:
        for count in (1, 3):
            cv2.setNumThreads(count)
            cv2.setRNGSeed(count)
            assert isi.segment(picture, box) == first
    finally:
        cv2.setNumThreads(threads)


def test_the_edge_of_a_large_picture_is_decided_at_full_resolution() -> None:
    y, x = np.mgrid[:1200, :1600]
    spread = np.random.default_rng(0).normal(0, 10, (1200, 1600, 1))
    pixels = np.stack([x / 16, y / 12, (x + y) / 16], axis=2) + spread
    exact = ((x - 800) / 500) ** 2 + ((y - 600) / 380) ** 2 < 1 + 0.12 * np.sin(
        np.arctan2(y - 600, x - 800) * 9
    )
    pixels[exact] = pixels[exact] * 0.4 + (120, 20, 0)
    picture = pixels.clip(0, 255).astype(np.uint8)
    small = cv2.resize(picture, (256, 192), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(exact.astype(np.uint8), (256, 192), interpolation=cv2.INTER_AREA) > 0
    sharp = edges.sharpen(picture, small, coarse)
    stretched = cv2.resize(coarse.astype(np.uint8), (1600, 1200), interpolation=cv2.INTER_NEAREST) > 0
    assert iou(sharp, exact) > 0.998 > 0.993 > iou(stretched, exact)
    assert iou(isi.segment(picture, loose(exact)).array(), exact) > 0.99


# ---- strokes and points


def test_painted_pixels_are_surely_in_or_out() -> None:
    picture, box = flat((30, 20, 25, 30)), (24, 14, 38, 44)
    strokes = [
        Stroke(((5, 5), (20, 5)), True, 2),
        {"points": [[35, 25], [50, 25]], "object": False, "radius": 1.5},
    ]
    array = isi.segment(picture, box, strokes=strokes).array()
    assert array[4:6, 5:20].all() and not array[24:26, 35:50].any()


def test_a_later_stroke_counts_where_two_overlap() -> None:
    first = {"points": [[40, 30]], "object": True, "radius": 4}
    for last in (True, False):
        strokes = [first, {**first, "object": last}]
        array = isi.segment(flat((30, 20, 25, 30)), (24, 14, 38, 44), strokes=strokes).array()
        assert array[30, 40] == last


def test_a_refinement_changes_only_what_a_stroke_touches() -> None:
    picture = flat((10, 10, 20, 20), (50, 10, 20, 20), (30, 45, 20, 15))
    before = isi.segment(picture, (5, 5, 70, 30))
    assert before.array()[20, 20] and before.array()[20, 60] and not before.array()[50, 40]
    away = isi.segment(
        picture, mask=before, strokes=[{"points": [[15, 20], [25, 20]], "object": False, "radius": 8}]
    )
    np.testing.assert_array_equal(away.array()[:, 45:], before.array()[:, 45:])
    assert not away.array()[20, 15:26].any()
    more = isi.segment(picture, mask=before, strokes=[{"points": [[35, 52], [45, 52]], "radius": 3}])
    assert more.array()[52, 35:46].all()
    np.testing.assert_array_equal(more.array()[:40], before.array()[:40])


def test_a_refinement_of_a_large_picture_keeps_the_details_of_the_mask() -> None:
    picture = np.kron(flat((20, 10, 50, 50)), np.ones((20, 20, 1), np.uint8))
    before = isi.segment(picture, (300, 100, 1200, 1200))
    hole = isi.Mask.from_box(before.size, (600, 400, 3, 3))  # less than a pixel of the reduced picture
    island = isi.Mask.from_box(before.size, (1700, 1300, 2, 2))
    corrected = (before - hole) | island
    stroke = {"points": [(1200, 900)], "object": False, "radius": 60}
    after = isi.segment(picture, mask=corrected, strokes=[stroke])
    assert not after.array()[850:950, 1150:1250].all()
    assert not (after & hole).area and (after & island) == island
    np.testing.assert_array_equal(after.array()[:, :1000], corrected.array()[:, :1000])


def test_a_small_stroke_does_not_take_a_plain_object_away() -> None:
    picture = flat((20, 10, 50, 50))
    before = isi.segment(picture, (14, 4, 62, 62))
    after = isi.segment(picture, mask=before, strokes=[{"points": [[40, 30]], "object": False, "radius": 4}])
    assert 0.85 * before.area < after.area < before.area


def test_points_alone_find_the_object_that_they_are_on() -> None:
    picture = flat((10, 10, 20, 20), (50, 30, 25, 25))
    assert isi.segment(picture, points=[(60, 40)]).box == (50, 30, 25, 25)
    both = isi.segment(picture, points=[(60, 40), (15, 15), (5, 60)], labels=[1, 1, 0])
    assert both.array()[40, 60] and both.array()[15, 15] and not both.array()[60, 5]


@pytest.mark.parametrize("quality", [90, 75])
@pytest.mark.parametrize(("ground", "color"), [((200, 200, 200), RED), ((250, 250, 250), (240, 200, 40))])
def test_rings_of_jpeg_are_no_part_of_an_object(quality: int, ground: Any, color: Any) -> None:
    pixels = np.full((320, 480, 3), ground, np.uint8)
    pixels[100:200, 150:260] = color
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=quality)
    found = isi.segment(file.getvalue(), (130, 80, 150, 140)).array()
    assert iou(found, (pixels == color).all(axis=2)) > 0.98


# ---- where there is no object


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((20, 20, 30, 30), "Nothing stands out"),
        ((20, 20, 1, 1), "too small"),
        ((20.4, 20, 0, 30), "too small"),
    ],
)
def test_without_an_object_the_box_is_the_mask_with_a_warning(box: Any, words: str) -> None:
    with pytest.warns(UserWarning, match=words):
        mask = isi.segment(flat(), box)
    x, y, width, height = box
    assert mask.box == (round(x), y, max(1, width), max(1, height))


def test_a_guess_is_exactly_the_box_in_a_large_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 900, 3), dtype=np.uint8)
    for pixels, box in ((noise, (101, 53, 640, 415)), (noise[:5], (5, 2, 850, 2))):
        with pytest.warns(UserWarning, match="all of it is selected"):
            mask = isi.segment(pixels, box)
        assert mask.box == box and mask.area == box[2] * box[3]


def test_an_object_that_fills_the_box_or_the_picture_is_found() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (
            iou(
                isi.segment(flat((30, 20, 25, 30)), (30, 20, 25, 30)).array()[20:50, 30:55],
                np.ones((30, 25), bool),
            )
            > 0.99
        )
        whole = isi.segment(flat((5, 5, 80, 60)), (0, 0, 90, 70))
        assert whole.box == (5, 5, 80, 60)
        for size in ((1, 1), (2, 2), (3, 9), (300, 1)):
            tiny = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            assert isi.segment(tiny, (0, 0, *size)).size == size


def test_a_box_partly_outside_is_clipped() -> None:
    assert isi.segment(flat((0, 0, 20, 25)), (-30, -10, 58, 44)).box == (0, 0, 20, 25)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Mark the object: give box="),
        ({"box": (200, 0, 5, 5)}, "lies outside the picture of 90 x 70"),
        ({"box": (0, 0, -5, 5)}, "width and height of 0 or more"),
        ({"box": (0, 0, 5)}, "box must be [x, y, width, height]"),
        ({"points": [(200, 3)]}, "The point (200, 3) lies outside"),
        ({"points": [(2, 3)], "labels": [1, 0]}, "labels must have one 1 or 0 for each point: 1, got 2"),
        ({"points": [(2, 3)], "labels": [2]}, "labels must be 1 (object) or 0 (not), got 2"),
        ({"points": [(2, 3)], "labels": [0]}, "alone, does not say where it is"),
        ({"points": 5}, "points must be a list of points"),
        ({"labels": [1]}, "labels belong to points"),
        ({"points": [(2, 3)], "labels": 1}, "labels must be a list of one 1 or 0 for each point, got 1"),
        ({"strokes": [{"points": [[1, 2]], "colour": 1}]}, "A stroke must be"),
        ({"strokes": [{"points": [[1, 2]], "radius": -1}]}, '"radius" must be'),
        ({"strokes": [{"points": [[1]]}]}, "point 0 must be [x, y]"),
        ({"strokes": "x"}, "strokes must be a list"),
        ({"strokes": [{"points": [[1, 2]] * 15_000}] * 2}, "at most 20000 points in all, got 30000"),
        ({"strokes": [{"points": [[1, 2]], "radius": 5000}]}, '"radius" must be a number from 0 to 1000'),
        ({"mask": isi.Mask((3, 3), [9])}, "belongs to an image of 3 x 3 pixels, but this one has 90 x 70"),
        ({"mask": 5}, "mask must be a Mask"),
        ({"box": (0, 0, 5, 5), "back_end": "magic"}, "back_end must be one of grabcut, wand, sam, sam2"),
        ({"box": (0, 0, 5, 5), "tolerance": 3}, "back_end 'grabcut' has no option 'tolerance'; it has none"),
        ({"points": [(2, 3)], "back_end": "wand", "tolerance": -3}, "tolerance must be a number from 0"),
        ({"box": (2, 3, 9, 9), "back_end": "wand"}, 'back_end "wand" needs a point'),
    ],
)
def test_what_is_wrong_gets_one_message(given: dict[str, Any], words: str) -> None:
    with pytest.raises(isi.InputError) as caught:
        isi.segment(flat(), **given)
    assert words in str(caught.value)


# ---- the colour wand


def flood(pixels: np.ndarray, at: tuple[int, int], tolerance: float) -> np.ndarray:
    """The connected area by a queue, pixel by pixel."""
    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab).astype(np.float64)
    near = np.linalg.norm(lab - lab[at[1], at[0]], axis=2) <= tolerance
    found, queue = np.zeros(near.shape, bool), deque([at])
    while queue:
        x, y = queue.popleft()
        if 0 <= x < near.shape[1] and 0 <= y < near.shape[0] and near[y, x] and not found[y, x]:
            found[y, x] = True
            queue += [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
    return found


@pytest.mark.parametrize("tolerance", [0, 4, 12, 30, 300])
def test_the_wand_takes_the_connected_area_of_a_colour(tolerance: float) -> None:
    rng = np.random.default_rng(int(tolerance))
    small = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    pixels = cv2.resize(small, (60, 45), interpolation=cv2.INTER_LINEAR)
    mask = isi.segment(pixels, points=[(30.6, 20.2)], back_end="wand", tolerance=tolerance)
    np.testing.assert_array_equal(mask.array(), flood(pixels, (30, 20), tolerance + 1e-3))


def test_the_wand_joins_and_takes_away_areas_and_keeps_to_a_box() -> None:
    picture = flat((10, 10, 20, 20), (50, 10, 20, 20))
    both = isi.segment(picture, points=[(15, 15), (55, 15)], back_end="wand")
    assert both.area == 800
    one = isi.segment(picture, points=[(55, 15), (15, 15)], labels=[1, 0], mask=both, back_end="wand")
    assert one.box == (50, 10, 20, 20)
    assert isi.segment(picture, (40, 0, 20, 70), points=[(55, 15)], back_end="wand").box == (50, 10, 10, 20)


# ---- segmenters of one's own


class Everything(Segmenter):
    """Takes the whole picture."""

    name = "everything"
    title = "Everything"

    def find(self, pixels: Any, prompt: Any, **options: Any) -> Found:
        return Found(np.ones(pixels.shape[:2], np.bool_))


class Wrong(Everything):
    name = "wrong"

    def find(self, pixels: Any, prompt: Any, **options: Any) -> Any:
        return np.ones((2, 2))


@pytest.fixture
def clean() -> Iterator[None]:
    before = dict(registry._KNOWN)
    yield
    registry._KNOWN.clear()
    registry._KNOWN.update(before)


@pytest.mark.usefixtures("clean")
def test_a_segmenter_of_ones_own_is_called_by_its_name() -> None:
    assert register_segmenter(Everything) is Everything
    assert "everything" in segmenters()
    assert isi.segment(flat(), (0, 0, 5, 5), back_end="everything").area == 90 * 70
    assert isi.segment(flat(), (0, 0, 5, 5), back_end=Everything()).area == 90 * 70
    with pytest.raises(isi.InputError, match=r"must return bool \[70, 90\], got float64 \[2, 2\]"):
        isi.segment(flat(), (0, 0, 5, 5), back_end=Wrong())


def test_what_is_no_segmenter_is_refused() -> None:
    class Taken(Everything):
        name = "grabcut"

    for given in (5, "grabcut", Segmenter, lambda: None):
        with pytest.raises(isi.InputError, match="A segmenter must be"):
            register_segmenter(given)  # type: ignore[type-var]
    with pytest.raises(isi.InputError, match="a segmenter of this package"):
        register_segmenter(Taken)


def test_grabcut_looks_at_few_pixels_of_a_large_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    cut = grabcut._cut
    monkeypatch.setattr(grabcut, "_cut", lambda small, labels: seen.append(small.shape) or cut(small, labels))
    picture = np.kron(flat((30, 20, 25, 30)), np.ones((20, 20, 1), np.uint8))
    assert isi.segment(picture, (480, 280, 760, 880)).box == (600, 400, 500, 600)
    assert max(seen[0]) <= grabcut.SIDE
