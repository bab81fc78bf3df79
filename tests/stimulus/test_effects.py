"""Blur, pixelate, downscale, JPEG and erase against brute force; what is below counts, and only the region
changes.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from isi_widget.errors import InputError
from isi_widget.stimulus import (
    Blur,
    Box,
    Downscale,
    Drawing,
    Erase,
    GaussianNoise,
    Jpeg,
    Pixelate,
    Stimulus,
    effects,
    paint,
)
from isi_widget.stimulus.effects import mean_color
from isi_widget.stimulus.regions import check_region, region_bounds, region_mask

WIDTH, HEIGHT = 64, 48
RANDOM = np.random.default_rng(4).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
POLYGON = ((10.2, 5.1), (50.7, 12.3), (30.4, 25.6), (45.9, 44.2), (8.8, 40.5))


def after(*drawings: Drawing, base: np.ndarray = RANDOM) -> np.ndarray:
    return np.asarray(paint(Image.fromarray(base), drawings))


def members(region) -> np.ndarray:
    """Which pixels belong to a region, one by one."""
    result = np.zeros((HEIGHT, WIDTH), bool)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            px, py = x + 0.5, y + 0.5
            if region is None:
                result[y, x] = True
            elif isinstance(region[0], tuple):
                for (x0, y0), (x1, y1) in zip(region, [*region[1:], region[0]], strict=True):
                    if (y0 >= py) != (y1 >= py) and px > x0 + (py - y0) * (x1 - x0) / (y1 - y0):
                        result[y, x] ^= True
            else:
                left, top, width, height = region
                result[y, x] = left < px <= left + width and top < py <= top + height
    return result


REGIONS = [None, (10, 8, 30, 20), (-5.5, 30.25, 40, 99), POLYGON, ((-20, 3), (90, 20), (20, 90))]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(
    "make",
    [
        lambda region: GaussianNoise(0.5, 1, region),
        lambda region: Blur(3, region),
        lambda region: Pixelate(5, region),
        lambda region: Downscale(9, region),
        lambda region: Jpeg(1, region),
        lambda region: Erase(region),
        lambda region: Erase(region, "red"),
        lambda region: Erase(region or (3, 3, 20, 20), "inpaint"),
    ],
)
def test_the_region_changes_and_nothing_else(make, region) -> None:
    effect = make(region)
    changed = (after(effect) != RANDOM).any(axis=2)
    inside = members(effect.region)
    assert not changed[~inside].any() and changed[inside].mean() > 0.95


@pytest.mark.parametrize("region", REGIONS)
def test_masks_hold_the_pixels_whose_centres_are_inside(region) -> None:
    left, top, right, bottom = bounds = region_bounds(check_region(region, "region"), (WIDTH, HEIGHT))
    inside = members(region)
    mask = region_mask(check_region(region, "region"), bounds)
    got = np.ones((bottom - top, right - left), bool) if mask is None else np.asarray(mask) == 255
    assert (got == inside[top:bottom, left:right]).all()
    inside[top:bottom, left:right] = False
    assert not inside.any()


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-20, 90), st.floats(-20, 70)), min_size=3, max_size=7).map(tuple))
def test_masks_of_any_polygon(points) -> None:
    left, top, right, bottom = bounds = region_bounds(points, (WIDTH, HEIGHT))
    if left == right:
        return
    mask = region_mask(points, bounds)
    assert mask is not None
    inside = members(points)[top:bottom, left:right]
    clear = away_from_edges(points)[top:bottom, left:right]  # on an edge itself, rounding decides
    assert ((np.asarray(mask) == 255) == inside)[clear].all()


def away_from_edges(points) -> np.ndarray:
    ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    result = np.ones((HEIGHT, WIDTH), bool)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        squared = (x1 - x0) ** 2 + (y1 - y0) ** 2
        t = np.clip(((xs - x0) * (x1 - x0) + (ys - y0) * (y1 - y0)) / (squared or 1.0), 0, 1)
        result &= np.hypot(xs - x0 - t * (x1 - x0), ys - y0 - t * (y1 - y0)) > 1e-6
    return result


def test_noise_of_a_polygon_is_that_of_its_box_inside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    xs, ys = zip(*POLYGON, strict=True)
    box = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
    inside = members(POLYGON)[:, :, None]
    expected = np.where(inside, after(GaussianNoise(0.2, 7, box)), RANDOM)
    assert (after(GaussianNoise(0.2, 7, POLYGON)) == expected).all()
    monkeypatch.setattr(effects, "_NOISE_VALUES", 500)  # many bands
    assert (after(GaussianNoise(0.2, 7, POLYGON)) == expected).all()


@pytest.mark.parametrize(("radius", "most"), [(0.7, 16), (2, 5), (6.5, 4)])
def test_blur_is_a_gaussian(radius: float, most: float) -> None:
    """Against the convolution itself, away from the edges; three boxes come within some grey levels of it."""
    reach, width, height = int(4 * radius) + 1, 120, 100
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    weights /= weights.sum()
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image[40:60, 50:90] = (250, 5, 128)
    rows = sum(w * image[i : height - 2 * reach + i].astype(float) for i, w in enumerate(weights))
    expected = sum(w * rows[:, i : width - 2 * reach + i] for i, w in enumerate(weights))
    error = np.abs(after(Blur(radius), base=image)[reach:-reach, reach:-reach] - expected)
    assert error.max() < most and error.mean() < most / 4


@pytest.mark.parametrize("radius", [0.1, 0.5, 1, 1.9, 4, 11.3, 200, 1000])
@pytest.mark.parametrize("region", [(20, 20, 9, 7), (0, 0, 5, 48), POLYGON])
def test_blur_of_a_region_is_the_blurred_image_there(radius: float, region) -> None:
    expected = np.where(members(region)[:, :, None], after(Blur(radius)), RANDOM)
    assert (after(Blur(radius, region)) == expected).all()


def test_the_largest_blur_keeps_the_brightness() -> None:
    light = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    assert (after(Blur(effects.LARGEST_BLUR), base=light) == 250).all()


@pytest.mark.parametrize("size", [2, 5, 7, 100])
@pytest.mark.parametrize("region", REGIONS)
def test_pixelate_against_brute_force(size: int, region) -> None:
    if region is None:
        x0, y0, x1, y1 = 0.0, 0.0, float(WIDTH), float(HEIGHT)
    elif isinstance(region[0], tuple):
        xs, ys = zip(*region, strict=True)
        x0, y0, x1, y1 = min(xs), min(ys), max(xs), max(ys)
    else:
        x0, y0, x1, y1 = region[0], region[1], region[0] + region[2], region[1] + region[3]
    left, top, right, bottom = (int(np.floor(edge + 0.5)) for edge in (x0, y0, x1, y1))
    expected = RANDOM.copy()
    for y in range(top, bottom, size):
        for x in range(left, right, size):
            rows = slice(max(0, y), max(0, min(y + size, bottom, HEIGHT)))
            columns = slice(max(0, x), max(0, min(x + size, right, WIDTH)))
            square = RANDOM[rows, columns].reshape(-1, 3).astype(int)
            if len(square):
                expected[rows, columns] = np.floor(square.sum(axis=0) / len(square) + 0.5)
    expected = np.where(members(region)[:, :, None], expected, RANDOM)
    assert (after(Pixelate(size, region)) == expected).all()


def test_erase_with_a_colour_and_with_the_mean_of_what_is_below() -> None:
    region = (10, 10, 20, 20)
    assert (after(Erase(region, "#0c2238"))[10:30, 10:30] == (12, 34, 56)).all()
    below = after(Box(0, 0, 40, 48, "red"))
    mean = np.floor(below.reshape(-1, 3).mean(axis=0) + 0.5)
    assert (after(Box(0, 0, 40, 48, "red"), Erase(region))[10:30, 10:30] == mean).all()
    assert (after(Erase(None)) == np.floor(RANDOM.reshape(-1, 3).mean(axis=0) + 0.5)).all()
    assert mean_color(Image.fromarray(RANDOM)) == tuple(np.floor(RANDOM.reshape(-1, 3).mean(axis=0) + 0.5))


@pytest.mark.parametrize(
    "effect", [Blur(4, (5, 5, 40, 30)), Pixelate(6, (5, 5, 40, 30)), Erase((5, 5, 40, 30), "inpaint")]
)
def test_an_effect_acts_on_what_is_below_it_and_not_on_what_is_above(effect: Drawing) -> None:
    box = Box(15, 12, 10, 10, "lime")
    under, over = after(box, effect), after(effect, box)
    assert (over[12:22, 15:25] == (0, 255, 0)).all()
    assert not (under[12:22, 15:25] == (0, 255, 0)).all(axis=2).all()
    assert (under[20, 12] != after(effect)[20, 12]).any() or isinstance(effect, Erase)


def test_what_leaves_nothing_to_continue_is_filled_with_the_mean() -> None:
    assert (after(Erase((-5, -5, 99, 99), "inpaint")) == after(Erase(None, "mean"))).all()
    around = ((-5, -5), (99, -5), (99, 99), (-5, 99))
    assert (after(Erase(around, "inpaint")) == after(Erase(None, "mean"))).all()


# ---- downscale and JPEG
def bicubic(values: np.ndarray, length: int) -> np.ndarray:
    """Resample the first axis (Keys' kernel with a = -0.5, widened where it reduces), rounded to levels."""
    size = len(values)
    scale = size / length
    wide = max(1.0, scale)
    away = np.abs((np.arange(size) + 0.5)[None] - ((np.arange(length) + 0.5) * scale)[:, None]) / wide
    near = 1.5 * away**3 - 2.5 * away**2 + 1
    far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    weights = np.where(away < 1, near, np.where(away < 2, far, 0))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(np.rint(np.tensordot(weights, values, axes=1)), 0, 255)


@pytest.mark.parametrize("size", [1, 7, 32, 63])
def test_downscale_against_brute_force(size: int) -> None:
    height = max(1, round(HEIGHT * size / WIDTH))
    expected = RANDOM.astype(float)
    for width, tall in ((size, height), (WIDTH, HEIGHT)):
        across = bicubic(expected.swapaxes(0, 1), width).swapaxes(0, 1)
        expected = bicubic(across, tall)
    assert np.abs(after(Downscale(size)) - expected).max() <= 2
    plain = np.full((HEIGHT, WIDTH, 3), 77, np.uint8)
    assert (after(Downscale(size), base=plain) == 77).all()


def test_downscale_leaves_smaller_pictures_alone() -> None:
    assert (after(Downscale(64)) == RANDOM).all() and Downscale(64).bounds((64, 48)) == (0, 0, 0, 0)
    stimulus = Stimulus(RANDOM, "q")
    with pytest.warns(UserWarning, match="downscale"):
        assert stimulus.downscale(500).render().tobytes() == stimulus.render().tobytes()
    assert stimulus.downscale(8).render().size == (WIDTH, HEIGHT)


def test_downscale_in_a_region_is_cut_from_the_whole() -> None:
    whole = after(Downscale(11))
    part = after(Downscale(11, (10, 8, 30, 20)))
    assert (part[8:28, 10:40] == whole[8:28, 10:40]).all()


@pytest.mark.parametrize("quality", [1, 30, 95])
def test_jpeg_is_that_of_pillow(quality: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(RANDOM).save(buffer, "JPEG", quality=quality, subsampling=2)
    expected = np.asarray(Image.open(buffer).convert("RGB"))
    assert (after(Jpeg(quality)) == expected).all()
    assert (after(Jpeg(quality, (10, 8, 30, 20)))[8:28, 10:40] == expected[8:28, 10:40]).all()


def test_worse_quality_is_farther_away() -> None:
    smooth = np.asarray(Image.fromarray(RANDOM).resize((8, 6)).resize((WIDTH, HEIGHT)))
    errors = [np.abs(after(Jpeg(q), base=smooth).astype(int) - smooth).mean() for q in (95, 50, 20, 5)]
    assert errors == sorted(errors) and errors[0] < 3


def test_a_side_that_no_jpeg_has_is_refused() -> None:
    with pytest.raises(InputError, match="at most 65500 pixels, but the image is 70000 x 2"):
        Stimulus(np.zeros((2, 70_000, 3), np.uint8), "q").jpeg(50)
