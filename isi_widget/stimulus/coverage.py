"""Anti-aliased filling of convex shapes by exact horizontal coverage: no supersampled image, cost by the area
of the shape.

Each pixel row is cut into 16 scan lines. On each, a convex shape covers one span [left, right), whose
overlap with every pixel is exact. Shapes on whole pixels are therefore exact to the pixel, and nothing
outside a shape's bounds changes. Not for text or noise (see `drawing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats: TypeAlias = NDArray[np.float64]
#: (y [n]) -> left [n], right [n]; an empty span has right <= left.
Spans: TypeAlias = Callable[[Floats], tuple[Floats, Floats]]
Bounds: TypeAlias = tuple[int, int, int, int]

_LINES = 16
_BAND = 64


def polygon(points: Sequence[tuple[float, float]]) -> Spans:
    """Spans of a convex polygon given by its corners in order."""

    def spans(y: Floats) -> tuple[Floats, Floats]:
        left, right = np.full(y.shape, np.inf), np.full(y.shape, -np.inf)
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            if y0 == y1:
                continue
            crossed = (y >= min(y0, y1)) & (y < max(y0, y1))
            x = x0 + (y - y0) * ((x1 - x0) / (y1 - y0))
            left = np.where(crossed, np.minimum(left, x), left)
            right = np.where(crossed, np.maximum(right, x), right)
        return left, right

    return spans


def ellipse(left: float, top: float, right: float, bottom: float) -> Spans:
    """Spans of the ellipse inside a box; empty if the box is."""
    center_x, center_y, radius_x, radius_y = (
        (left + right) / 2,
        (top + bottom) / 2,
        (right - left) / 2,
        (bottom - top) / 2,
    )

    def spans(y: Floats) -> tuple[Floats, Floats]:
        if radius_x <= 0 or radius_y <= 0:
            return np.full(y.shape, np.inf), np.full(y.shape, -np.inf)
        square = 1 - ((y - center_y) / radius_y) ** 2
        half = radius_x * np.sqrt(np.maximum(square, 0))
        return np.where(square > 0, center_x - half, np.inf), np.where(square > 0, center_x + half, -np.inf)

    return spans


def pixel_bounds(left: float, top: float, right: float, bottom: float, size: tuple[int, int]) -> Bounds:
    """The smallest whole-pixel box around a float box, inside an image of `size`; all 0 if none is left."""
    x0, y0 = max(0, int(np.floor(left))), max(0, int(np.floor(top)))
    x1, y1 = min(size[0], int(np.ceil(right))), min(size[1], int(np.ceil(bottom)))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else (0, 0, 0, 0)


def fill(
    image: Image.Image, bounds: Bounds, color: str, add: Sequence[Spans], subtract: Sequence[Spans] = ()
) -> None:
    """Paint `color` into `image` where the shapes of `add`, less those of `subtract`, cover it; never outside
    `bounds`.

    Shapes of `add` should not overlap each other, nor those of `subtract` stick out: coverages are summed,
    then cut to [0, 1].
    """
    left, top, right, bottom = bounds
    for start in range(top, bottom, _BAND):
        rows = min(_BAND, bottom - start)
        y = start + (np.arange(rows * _LINES) + 0.5) / _LINES
        spans = [(1.0, *shape(y)) for shape in add] + [(-1.0, *shape(y)) for shape in subtract]
        clipped = [(sign, np.clip(low, left, right), np.clip(high, left, right)) for sign, low, high in spans]
        filled = [(low[low < high], high[low < high]) for sign, low, high in clipped if sign > 0]
        if not any(low.size for low, _ in filled):
            continue
        first = int(np.floor(min(low.min() for low, _ in filled if low.size)))
        last = int(np.ceil(max(high.max() for _, high in filled if high.size)))
        cover = _coverage(clipped, rows, first, last)
        mask = np.rint(np.clip(cover, 0, 1) * 255).astype(np.uint8)
        image.paste(color, (first, start), Image.fromarray(mask))


def _coverage(spans: Sequence[tuple[float, Floats, Floats]], rows: int, first: int, last: int) -> Floats:
    """Summed coverage [rows, last - first] of signed spans.

    The overlap of [x, infinity) with pixel i is the step clip(i + 1 - x, 0, 1). Its differences along i are
    two numbers, so each span end adds two numbers to a table, and one running sum over the table gives all
    pixels.
    """
    width = last - first + 2
    row = np.repeat(np.arange(rows), _LINES) * width
    places: list[NDArray[np.int64]] = []
    weights: list[Floats] = []
    for sign, low, high in spans:
        low, high = np.clip(low, first, last), np.clip(high, first, last)
        covered = low < high
        for edge, direction in ((low[covered], sign), (high[covered], -sign)):
            whole = np.floor(edge)
            part = edge - whole
            place = row[covered] + (whole - first).astype(np.int64)
            places += [place, place + 1]
            weights += [direction * (1 - part), direction * part]
    table = np.bincount(np.concatenate(places), weights=np.concatenate(weights), minlength=rows * width)
    cover: Floats = np.cumsum(table.reshape(rows, width), axis=1)[:, : last - first] / _LINES
    return cover
