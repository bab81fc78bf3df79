"""Details of the picture for the page: exact pixels, within the image, no larger than a screen shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from isi_widget.widget.preview import MAX_DETAIL, detail

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
IMAGE = Image.fromarray(PIXELS)
sides = st.integers(0, 120)


@given(sides, sides, sides, sides)
def test_a_detail_is_the_part_of_the_image_that_there_is(left: int, top: int, wide: int, high: int) -> None:
    found = detail(IMAGE, (left, top, wide, high), 1000)
    part = PIXELS[top : top + high, left : left + wide]
    if part.size == 0:
        assert found is None
        return
    assert found is not None
    data, (x, y, width, height) = found
    assert (x, y, width, height) == (left, top, part.shape[1], part.shape[0])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), part)


@pytest.mark.parametrize("width", [1, 20, 40])
def test_it_has_no_more_pixels_than_are_shown(width: int) -> None:
    found = detail(IMAGE, (10, 0, 60, 60), width)
    assert found is not None and found[1] == (10, 0, 60, 60)
    assert Image.open(io.BytesIO(found[0])).size == (width, width)
    assert detail(IMAGE, (10, 0, 60, 60), 0) is None


def test_it_is_never_larger_than_a_screen() -> None:
    found = detail(Image.new("RGB", (6000, 300)), (0, 0, 6000, 300), 6000)
    assert found is not None
    assert Image.open(io.BytesIO(found[0])).size == (MAX_DETAIL, 120)
