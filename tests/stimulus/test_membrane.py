"""In-painting: ramps and single colours are continued, everything else is the harmonic function."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

from isi_widget.stimulus import Erase, paint
from isi_widget.stimulus.membrane import membrane


def harmonic(values: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Every unknown pixel the mean of its neighbours: SciPy's direct solution of the linear system."""
    height, width = unknown.shape
    number = np.full(unknown.shape, -1)
    number[unknown] = np.arange(unknown.sum())
    diagonal, right, links = np.zeros(unknown.sum()), np.zeros((unknown.sum(), 3)), []
    for y, x in np.argwhere(unknown):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < height and 0 <= u < width:
                diagonal[number[y, x]] += 1
                if unknown[v, u]:
                    links.append((number[y, x], number[v, u]))
                else:
                    right[number[y, x]] += values[v, u]
    result = values.astype(float)
    if unknown.any():
        rows, columns = np.array(links, dtype=int).reshape(-1, 2).T
        matrix = coo_array((-np.ones(len(links)), (rows, columns)), shape=2 * diagonal.shape)
        result[unknown] = splu((matrix + diags_array(diagonal)).tocsc()).solve(right)
    return result


@pytest.mark.parametrize("shape", [(40, 60), (161, 97), (400, 300)])
def test_a_ramp_is_continued_as_a_ramp(shape: tuple[int, int]) -> None:
    """Within one grey level, of which half is rounding."""
    ys, xs = np.mgrid[0 : shape[0], 0 : shape[1]]
    ramp = 20 + xs * 120 / shape[1] + ys * 90 / shape[0]
    values = np.stack([ramp, 255 - ramp, ramp / 2], axis=2)
    image = Image.fromarray(np.rint(values).astype(np.uint8))
    region = (3, 5, shape[1] - 8, shape[0] - 11)
    hole = paint(image, [Erase(region, "black"), Erase(region, "inpaint")])
    got = np.asarray(hole).astype(float)
    assert np.abs(got - values).max() <= 1 and np.abs(got - np.asarray(image))[5:-6, 3:-5].max() <= 1


@settings(max_examples=30)
@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70)), st.floats(0.05, 0.999), st.integers(0, 2**32 - 1),
    st.tuples(*[st.integers(0, 255)] * 3),
)  # fmt: skip
def test_one_colour_around_is_one_colour_inside(shape, share: float, seed: int, color) -> None:
    unknown = np.random.default_rng(seed).random(shape) < share
    unknown.flat[0] = False
    values = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    values[~unknown] = color
    assert (membrane(values, unknown) == color).all()


def disc(shape: tuple[int, int]) -> np.ndarray:
    ys, xs = np.mgrid[0 : shape[0], 0 : shape[1]]
    return np.hypot(ys - shape[0] / 2, xs - shape[1] / 2) < min(shape) / 2 - 2


def all_but_a_corner(shape: tuple[int, int]) -> np.ndarray:
    unknown = np.ones(shape, bool)
    unknown[0, :5] = False
    return unknown


@pytest.mark.parametrize(
    "make",
    [
        disc,
        all_but_a_corner,
        lambda shape: np.pad(np.ones((max(shape[0] - 2, 0), shape[1] - 2), bool), 1)[: shape[0]],
        lambda shape: np.pad(np.ones((shape[0] - 1, shape[1] - 1), bool), ((1, 0), (0, 1))),
        lambda shape: np.random.default_rng(1).random(shape) < 0.6,
        lambda shape: np.arange(shape[0] * shape[1]).reshape(shape) % 7 > 0,
        lambda shape: np.zeros(shape, bool),
    ],
    ids=["disc", "all but a corner", "box", "box at the rim", "scattered", "stripes", "nothing"],
)
@pytest.mark.parametrize("shape", [(37, 44), (150, 211), (5, 60), (1, 30)])
def test_against_the_direct_solution(make, shape: tuple[int, int]) -> None:
    unknown = make(shape)
    values = np.random.default_rng(2).integers(0, 256, (*shape, 3), dtype=np.uint8)
    if unknown.all():
        pytest.skip("nothing is known")
    got = membrane(values, unknown)
    assert np.abs(got - harmonic(values, unknown)).max() <= 0.6  # 0.5 is rounding
    assert (got[~unknown] == values[~unknown]).all()


def test_nothing_known_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one known pixel"):
        membrane(np.zeros((3, 3, 3), np.uint8), np.ones((3, 3), bool))


@pytest.mark.parametrize("shape", [(90, 130), (420, 333)])
def test_a_saddle_is_continued_as_a_saddle(shape: tuple[int, int]) -> None:
    """x^2 - y^2 and x y are harmonic on the pixel grid too: they are the one solution, whatever the hole."""
    ys, xs = np.mgrid[0 : shape[0], 0 : shape[1]] / max(shape) * 2 - 0.8
    exact = np.stack([128 + 60 * (xs**2 - ys**2), 128 + 60 * xs * ys, 90 - 70 * xs * ys], axis=2)
    values = np.rint(exact).astype(np.uint8)
    unknown = disc(shape) & (np.random.default_rng(0).random(shape) < 0.9995)
    values[unknown] = 0
    assert np.abs(membrane(values, unknown) - exact).max() <= 1.1  # rounded twice
