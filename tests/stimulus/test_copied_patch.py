"""Patches: exact where no pixel has to be made up, else against plain resampling and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from isi_widget.errors import InputError
from isi_widget.stimulus import Box, CopiedPatch, Erase, Stimulus, load_image, paint

WIDTH, HEIGHT = 60, 44
RANDOM = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
OTHER = np.random.default_rng(6).integers(0, 256, (30, 50, 3), dtype=np.uint8)
PICTURE = load_image(OTHER)


def after(*drawings, base: np.ndarray = RANDOM) -> np.ndarray:
    return np.asarray(paint(Image.fromarray(base), drawings))


def moved(source, x: int, y: int, picture: np.ndarray) -> np.ndarray:
    """Pixel by pixel."""
    expected = RANDOM.copy()
    for v in range(source[3]):
        for u in range(source[2]):
            at, of = (y + v, x + u), (source[1] + v, source[0] + u)
            inside = 0 <= at[0] < HEIGHT and 0 <= at[1] < WIDTH
            if inside and 0 <= of[0] < picture.shape[0] and 0 <= of[1] < picture.shape[1]:
                expected[at] = picture[of]
    return expected


@pytest.mark.parametrize(
    ("source", "x", "y"),
    [
        ((5, 6, 20, 10), 30, 20),
        ((0, 0, 50, 30), 0, 0),
        ((5, 6, 20, 10), -7, 39),
        ((40, 20, 30, 30), 5, 5),
        ((-8, -3, 20, 10), 20, 20),
        ((-8, -3, 90, 90), -12, -9),
        ((10, 10, 1, 1), 3, 3),
        ((70, 10, 5, 5), 3, 3),
        ((5, 5, 0, 9), 3, 3),
        ((5, 5, 9, 9), 100, 3),
    ],
)
def test_pixels_are_copied_exactly(source, x: int, y: int) -> None:
    patch = CopiedPatch(source, x, y, picture=PICTURE)
    expected = moved(source, x, y, OTHER)
    assert (after(patch) == expected).all()
    changed = np.argwhere((expected != RANDOM).any(axis=2))
    left, top, right, bottom = patch.bounds((WIDTH, HEIGHT))
    if len(changed):
        assert (top, left) == tuple(changed.min(axis=0)) and (bottom, right) == tuple(changed.max(axis=0) + 1)
    else:
        assert (left, top, right, bottom) == (0, 0, 0, 0)


@pytest.mark.parametrize("size", [(30, 24), (7, 5), (45, 7), (20, 12)])
def test_other_sizes_are_resized_as_pillow_does(size: tuple[int, int]) -> None:
    """On smooth pixels: of others, Pillow cuts off what overshoots between its two passes."""
    smooth = PICTURE.pil().resize((5, 3)).resize((50, 30), Image.Resampling.BICUBIC)
    piece = smooth.crop((4, 3, 24, 15)).resize(size, Image.Resampling.BICUBIC)
    expected = RANDOM.copy()
    expected[10 : 10 + size[1], 8 : 8 + size[0]] = np.asarray(piece)
    got = after(CopiedPatch((4, 3, 20, 12), 8, 10, *size, load_image(smooth)))
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= 1


def test_a_resized_patch_that_is_cut_off_keeps_its_scale() -> None:
    base = np.zeros((60, 120, 3), np.uint8)
    whole = after(CopiedPatch((4, 3, 20, 12), 20, 10, 60, 36, PICTURE), base=base)
    cut = after(CopiedPatch((4, 3, 20, 12), -20, -5, 60, 36, PICTURE), base=base)
    assert np.abs(cut[:31, :40].astype(int) - whole[15:46, 40:80]).max() <= 1
    assert not cut[31:].any() and not cut[:, 40:].any()


@pytest.mark.parametrize(
    "patch",
    [
        CopiedPatch((2.5, 3.25, 20, 12), 10.5, 8.25, 30.25, 20.5, PICTURE),
        CopiedPatch((2.5, 3.25, 40, 24), 10.3, 8.7, 11.4, 5.2, PICTURE),
        CopiedPatch((2, 3, 40, 24), 10.9, 8.9, 0.4, 20.2, PICTURE),
        CopiedPatch((-5, 3, 40, 40), 10.3, 8.7, 33.4, 25.2, PICTURE),
    ],
)
def test_places_between_pixels_are_covered_in_part(patch: CopiedPatch) -> None:
    """A patch of one colour is a box of that colour, wherever it lies."""
    plain = load_image(np.full((30, 50, 3), (10, 200, 90), np.uint8))
    x, y, width, height = patch.source
    scale = patch.width / width, patch.height / height
    left, top = max(x, 0), max(y, 0)
    box = Box(
        patch.x + (left - x) * scale[0],
        patch.y + (top - y) * scale[1],
        (min(x + width, 50) - left) * scale[0],
        (min(y + height, 30) - top) * scale[1],
        "#0ac85a",
    )
    got = after(CopiedPatch(patch.source, patch.x, patch.y, patch.width, patch.height, plain))
    assert np.abs(got.astype(int) - after(box).astype(int)).max() <= 1
    assert patch.bounds((WIDTH, HEIGHT)) == box.bounds((WIDTH, HEIGHT))


@pytest.mark.parametrize(("width", "height"), [(30.5, 20.25), (11.3, 6.6), (80.75, 9.1)])
def test_a_ramp_stays_where_it_belongs(width: float, height: float) -> None:
    """What a pixel shows is what its centre points to, to a part of a source pixel."""
    ys, xs = np.mgrid[0:30, 0:50]
    ramp = np.stack([xs * 4 + 20, ys * 6 + 20, xs * 0 + 77], axis=2).astype(np.uint8)
    patch = CopiedPatch((5.5, 4, 40, 20.5), 3.3, 5.7, width, height, load_image(ramp))
    got = after(patch).astype(float)
    left, top = int(np.ceil(patch.x)) + 1, int(np.ceil(patch.y)) + 1
    right = min(WIDTH, int(patch.x + width) - 1)
    bottom = min(HEIGHT, int(patch.y + height) - 1)
    vs, us = np.mgrid[top:bottom, left:right] + 0.5
    source_x = 5.5 + (us - patch.x) * 40 / width
    source_y = 4 + (vs - patch.y) * 20.5 / height
    inner = slice(1, -1), slice(1, -1)
    assert np.abs(got[top:bottom, left:right, 0] - ((source_x - 0.5) * 4 + 20))[inner].max() < 4
    assert np.abs(got[top:bottom, left:right, 1] - ((source_y - 0.5) * 6 + 20))[inner].max() < 6


def test_without_a_picture_it_is_cut_from_the_current_image_without_drawings() -> None:
    own = load_image(OTHER)
    stimulus = Stimulus(RANDOM, "q").box(0, 0, 20, 20, "red").patch((2, 3, 10, 8), 30, 20)
    expected = moved((2, 3, 10, 8), 30, 20, RANDOM)
    expected[:20, :20] = (255, 0, 0)
    assert (np.asarray(stimulus.render()) == expected).all()
    assert (np.asarray(paint(Image.fromarray(RANDOM), stimulus.operations)) == expected).all()
    replaced = np.asarray(stimulus.with_image(own).render())
    assert (replaced[20:28, 30:40] == OTHER[3:11, 2:12]).all()
    # Rendered from a cached beginning, too.
    longer = stimulus.erase((0, 0, 60, 44), "blue").patch((2, 3, 10, 8), 5, 5)
    longer.without(-1).render()
    assert (np.asarray(longer.render())[5:13, 5:15] == RANDOM[3:11, 2:12]).all()


def test_a_patch_of_the_image_itself_is_the_same_stimulus_as_one_that_names_it() -> None:
    stimulus = Stimulus(RANDOM, "q")
    unnamed, named = stimulus.patch((1, 1, 9, 9), 20, 20), stimulus.patch((1, 1, 9, 9), 20, 20, image=RANDOM)
    assert unnamed.key == named.key and unnamed != named
    assert unnamed.key != stimulus.patch((1, 1, 9, 9), 20, 20, image=OTHER).key


def test_width_and_height_are_those_of_the_source_unless_given() -> None:
    assert CopiedPatch((1, 2, 30, 40), 0, 0) == CopiedPatch((1, 2, 30, 40), 0, 0, 30, 40)
    assert not (after(CopiedPatch((1, 2, 30, 40), 0, 0, 0, 9, PICTURE)) != RANDOM).any()
    assert (
        after(Erase((0, 0, 9, 9)), CopiedPatch((0, 0, 9, 9), 0, 0, picture=load_image(RANDOM))) == RANDOM
    ).all()


def test_extremes_take_neither_time_nor_memory() -> None:
    for patch in (
        CopiedPatch((0, 0, 50, 30), -500_000, -500_000, 1_000_000, 1_000_000, PICTURE),
        CopiedPatch((0, 0, 50, 30), 10.5, 10, 1e-9, 1e6, PICTURE),
        CopiedPatch((0, 0, 1e6, 1e6), 0, 0, 60, 44, PICTURE),
        CopiedPatch((-1e6, -1e6, 1e6, 1e6), 0, 0, 60, 44, PICTURE),
        CopiedPatch((10, 10, 1e-9, 1e-9), 0, 0, 60, 44, PICTURE),
        CopiedPatch((10, 10, 5e-324, 5), 0, 0, 5e-324, 5e-324, PICTURE),
        CopiedPatch((10.5, 10, 1e6, 5), 0.5, 0, 1e-3, 5e-4, PICTURE),
    ):
        assert after(patch).shape == RANDOM.shape
    assert (after(CopiedPatch((10, 10, 1e-9, 1e-9), 0, 0, 60, 44, PICTURE)) == RANDOM).all()
    dot = after(CopiedPatch((10.2, 10.2, 1e-3, 1e-3), 0, 0, 60, 44, PICTURE))
    assert (dot == dot[0, 0]).all()


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(InputError, match='patch: "picture" must be a Picture or None, got str'):
        CopiedPatch((0, 0, 1, 1), 0, 0, picture="a.png")
    with pytest.raises(InputError, match="There is no image file"):
        Stimulus(RANDOM, "q").patch((0, 0, 1, 1), 0, 0, image="missing.png")
