"""The colour wand: the connected area whose colours are near that of a pixel; for flat areas.

Distances of colours are CIELAB's (CIE 1976), where equal numbers look about equally different. Not for
objects of several colours (see `grabcut`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from isi_widget.concepts.edges import lab_of
from isi_widget.concepts.segmenters import Found, Prompt, Segmenter
from isi_widget.errors import InputError
from isi_widget.stimulus import checks

TOLERANCE = 10.0  # CIELAB; about four just noticeable differences
_ROWS = 512  # converted at a time, to bound memory


class Wand(Segmenter):
    """The connected area of a colour."""

    name: ClassVar[str] = "wand"
    title: ClassVar[str] = "Colour wand"
    quick: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("tolerance",)

    def find(self, pixels: NDArray[np.uint8], prompt: Prompt, **options: Any) -> Found:
        """Join the areas of all points of the object (the first point of each stroke), less those of the
        others; only inside the box, if there is one.
        """
        tolerance = checks.number(options.get("tolerance", TOLERANCE), "tolerance", low=0, high=300)
        if not any(stroke.object for stroke in prompt.strokes):
            raise InputError('back_end "wand" needs a point of the area: points=[(x, y)].')
        high, wide = pixels.shape[:2]
        result = np.zeros((high, wide), dtype=np.bool_) if prompt.mask is None else prompt.mask.copy()
        for stroke in prompt.strokes:
            x, y = (int(np.floor(value)) for value in stroke.points[0])
            if not (0 <= x < wide and 0 <= y < high):
                raise InputError(f"The point ({x}, {y}) lies outside the picture of {wide} x {high} pixels.")
            area = _connected(_near(pixels, pixels[y, x], tolerance), (x, y))
            result = result | area if stroke.object else result & ~area
        if prompt.box is not None:
            left, top, right, bottom = prompt.box
            boxed = np.zeros_like(result)
            boxed[top:bottom, left:right] = result[top:bottom, left:right]
            result = boxed
        return Found(result)


def _near(pixels: NDArray[np.uint8], color: NDArray[np.uint8], tolerance: float) -> NDArray[np.uint8]:
    """Return 1 for each pixel whose colour is within the tolerance: uint8 [height, width]."""
    own = lab_of(color[None, None])[0, 0]
    near = np.empty(pixels.shape[:2], dtype=np.uint8)
    for start in range(0, len(pixels), _ROWS):
        rows = lab_of(pixels[start : start + _ROWS]) - own
        near[start : start + _ROWS] = np.einsum("ijk,ijk->ij", rows, rows) <= (tolerance + 1e-3) ** 2
    return near


def _connected(near: NDArray[np.uint8], seed: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the part of an area that is connected (by sides of pixels) with a pixel in it."""
    import cv2

    filled = np.zeros((near.shape[0] + 2, near.shape[1] + 2), dtype=np.uint8)
    cv2.floodFill(near, filled, seed, 1, 0, 0, 4 | cv2.FLOODFILL_MASK_ONLY | (1 << 8))
    return filled[1:-1, 1:-1] > 0
