"""Regions for effects: the whole image, a rectangle, any polygon (a freehand outline is a polygon of many
points) or a mask.

A pixel belongs to a rectangle or polygon if its centre does; only the soft edge of a mask has half pixels. A
mask belongs to images of its own size: on an image of another size it has no pixel. Not for the effects
themselves (see `effects`), nor for drawn shapes with smooth edges (see `coverage`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from isi_widget.errors import InputError
from isi_widget.stimulus import checks
from isi_widget.stimulus.coverage import Bounds, centers_inside, pixel_bounds
from isi_widget.stimulus.mask import Mask

Point: TypeAlias = tuple[float, float]
#: The whole image, (x, y, width, height), the corners of a polygon, or a mask.
Region: TypeAlias = "tuple[float, float, float, float] | tuple[Point, ...] | Mask | None"
_NUMBERS = (int, float)
#: Most corners, more than a hand draws; bounds the time for a mask.
MOST_POINTS = 10_000


def check_region(value: Any, name: str) -> Region:
    """Return None, (x, y, width, height), at least three points ((x, y), ...) or a mask, in normal form; the
    JSON form of a mask becomes a `Mask`.
    """
    if value is None or isinstance(value, Mask):
        return value
    if isinstance(value, Mapping):
        return Mask.from_dict(value)
    if _is_list(value) and any(_is_list(item) for item in value):
        return check_points(value, name)
    if not _is_list(value):
        raise InputError(
            f"{name} must be [x, y, width, height] or at least three points [[x, y], ...] or a Mask, "
            f"got {type(value).__name__}."
        )
    return checks.region(value, name)


def check_points(value: Any, name: str) -> tuple[Point, ...]:
    """Return the 3 to 10,000 corners of a polygon, ((x, y), ...)."""
    if not _is_list(value):
        raise InputError(
            f"{name} must be a list of at least three points [[x, y], ...], got {type(value).__name__}."
        )
    if not 3 <= len(value) <= MOST_POINTS:
        raise InputError(f"{name} must have from 3 to {MOST_POINTS} points [x, y], got {len(value)}.")
    return _plain_points(value) or tuple(
        checks.point(item, f"{name}, point {index},") for index, item in enumerate(value)
    )


def _plain_points(value: Any) -> tuple[Point, ...] | None:
    """Check all points at once; None unless all are ordinary numbers in range. `checks.point` then reports
    the error.
    """
    if isinstance(value, np.ndarray):
        if value.ndim != 2 or value.shape[1] != 2 or value.dtype.kind not in "fiu":
            return None
        points = value.astype(np.float64)
    elif all(type(item) in (list, tuple) and len(item) == 2 for item in value) and all(
        type(x) in _NUMBERS and type(y) in _NUMBERS for x, y in value
    ):
        try:
            points = np.array(value, dtype=np.float64)
        except OverflowError:
            return None
    else:
        return None
    if not (np.abs(points) <= checks.LARGEST).all():  # also True for NaN
        return None
    return tuple(map(tuple, (points + 0.0).tolist()))  # no negative zero


def whole_pixels(region: Region, size: tuple[int, int]) -> Bounds:
    """Return the box around a region, edges rounded to whole pixels (half upwards); it may extend beyond the
    image.
    """
    if region is None:
        return (0, 0, *size)
    if isinstance(region, Mask):
        return region.bounds if region.size == size else (0, 0, 0, 0)
    left, top, right, bottom = _box(region)
    return _rounded(left), _rounded(top), _rounded(right), _rounded(bottom)


def region_bounds(region: Region, size: tuple[int, int]) -> Bounds:
    """Return `whole_pixels` clipped to an image of `size`; all 0 if empty."""
    return pixel_bounds(*whole_pixels(region, size), size)


def region_mask(region: Region, bounds: Bounds) -> Image.Image | None:
    """Return a mask (mode L, 255 inside) of the pixels of `bounds` that belong to the region;
    None if all do.
    """
    if isinstance(region, Mask):
        return Image.fromarray(region.alpha(bounds))
    points = polygon_of(region)
    if points is None:
        return None
    return Image.fromarray(centers_inside(points, bounds)).convert("L")


def polygon_of(region: Region) -> tuple[Point, ...] | None:
    """Return the corners of a polygon; None for other regions."""
    if region is None or isinstance(region, Mask) or isinstance(region[0], float):
        return None
    return region


def _box(region: Any) -> tuple[float, float, float, float]:
    points = polygon_of(region)
    if points is None:
        x, y, width, height = region
        return x, y, x + width, y + height
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _rounded(edge: float) -> int:
    return math.floor(edge + 0.5)


def _is_list(value: Any) -> bool:
    return (
        not isinstance(value, (str, bytes, dict)) and hasattr(value, "__len__") and hasattr(value, "__iter__")
    )
