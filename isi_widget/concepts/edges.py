"""Sharpens an outline that was found on a reduced picture: only the band along it is decided at full
resolution, tile by tile.

Each pixel of the band is compared with the mean colours of the object and of its surroundings nearby (local
colour models, as in Bai et al. 2009, "Video SnapCut"), so the cost grows with the length of the outline, not
with the size of the picture. Not for finding the outline (see `grabcut`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WINDOWS = (5, 11, 31)  # reduced pixels; the smallest that holds enough pixels of a kind counts
_ENOUGH = 2.5  # pixels
_CLEAR = 12.0  # difference of the two colours (CIELAB) from which colour alone decides
_TILE = 16  # reduced pixels
_COLUMNS = 1024


def sharpen(
    pixels: NDArray[np.uint8], small: NDArray[np.uint8], inside: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the object at full resolution.

    Parameters
    ----------
    pixels : part of the picture, uint8 [height, width, 3], RGB.
    small : the same part, reduced: uint8 [h, w, 3].
    inside : the object on the reduced part: bool [h, w].

    Returns
    -------
    bool [height, width].
    """
    import cv2

    high, wide = pixels.shape[:2]
    coarse = inside.astype(np.uint8)
    cross = np.ones((3, 3), dtype=np.uint8)
    band = np.asarray(cv2.dilate(coarse, cross) != cv2.erode(coarse, cross), dtype=np.uint8)
    local = _Local(inside.astype(np.float32), *_means(lab_of(small), inside))
    result = cv2.resize(coarse, (wide, high), interpolation=cv2.INTER_NEAREST)
    across, down = wide / inside.shape[1], high / inside.shape[0]
    for row in range(0, inside.shape[0], _TILE):
        for column in range(0, inside.shape[1], _TILE):
            some = band[row : row + _TILE, column : column + _TILE]
            if some.any():
                edges = (
                    (round(row * down), round(min(row + _TILE, inside.shape[0]) * down)),
                    (
                        round(column * across),
                        round(min(column + _TILE, inside.shape[1]) * across),
                    ),
                )
                (top, bottom), (left, right) = edges
                result[top:bottom, left:right] = _tile(pixels, local, band, (left, top, right, bottom))
    return result > 0


@dataclass(frozen=True)
class _Local:
    """What the reduced picture says about each place."""

    inside: NDArray[np.float32]  # [h, w], 0 to 1
    object: NDArray[np.float32]  # mean colour of the object nearby, CIELAB [h, w, 3]
    other: NDArray[np.float32]  # mean colour of its surroundings nearby


def _tile(
    pixels: NDArray[np.uint8], local: _Local, band: NDArray[np.uint8], bounds: tuple[int, int, int, int]
) -> NDArray[np.bool_]:
    """Return the object in one tile of the picture (left, top, right, bottom)."""
    import cv2

    high, wide = pixels.shape[:2]
    scale = band.shape[1] / wide, band.shape[0] / high
    sigma = max(0.8, 0.06 / scale[1])
    pad = 1 + int(3 * sigma)  # as far as the blur below reaches
    left, top = max(0, bounds[0] - pad), max(0, bounds[1] - pad)
    right, bottom = min(wide, bounds[2] + pad), min(high, bounds[3] + pad)
    x = (np.arange(left, right, dtype=np.float32) + 0.5) * scale[0] - 0.5
    y = (np.arange(top, bottom, dtype=np.float32) + 0.5) * scale[1] - 0.5
    across, down = np.meshgrid(x, y)
    votes = _between(local.inside, across, down) - 0.5
    near = np.asarray(cv2.remap(band, across, down, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE))
    rows, columns = np.nonzero(near)
    if rows.size:
        own = lab_of(pixels[top:bottom, left:right][rows, columns][None])[0]
        spots = _lines(across[rows, columns]), _lines(down[rows, columns])
        one, two = (
            _between(values, *spots).reshape(-1, 3)[: rows.size] for values in (local.object, local.other)
        )
        to_one, to_two, apart = (_length(difference) for difference in (own - one, own - two, one - two))
        by_color = (to_two - to_one) / np.maximum(to_one + to_two, 1e-6)
        sure = np.clip(apart / _CLEAR, 0, 1)
        votes[rows, columns] = sure * by_color + (1.5 - sure) * votes[rows, columns]
    smooth = cv2.GaussianBlur(votes, (0, 0), sigma)
    decided = np.where(near > 0, smooth, votes) > 0
    return decided[bounds[1] - top : bounds[3] - top, bounds[0] - left : bounds[2] - left]


def _means(
    lab: NDArray[np.float32], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean colour of the object and of the rest around each pixel, each [h, w, 3]."""
    import cv2

    found = []
    for member in (inside, ~inside):
        sure = cv2.erode(member.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # edge pixels mix both
        sure = sure if sure.any() else member
        weight = sure.astype(np.float32)
        total = max(1.0, float(weight.sum()))
        mean = np.broadcast_to((lab * weight[..., None]).sum((0, 1)) / total, lab.shape).astype(np.float32)
        for window in reversed(_WINDOWS):
            share = cv2.blur(weight, (window, window), borderType=cv2.BORDER_CONSTANT)
            near = cv2.blur(lab * weight[..., None], (window, window), borderType=cv2.BORDER_CONSTANT)
            enough = share > _ENOUGH / window**2
            mean = np.where(enough[..., None], near / np.maximum(share, 1e-6)[..., None], mean)
        found.append(np.ascontiguousarray(mean, dtype=np.float32))
    return found[0], found[1]


def _lines(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values [n] in lines, since OpenCV takes no line of more than 32,767; the last one is filled."""
    return np.resize(values, (-(-values.size // _COLUMNS), _COLUMNS))


def _between(
    values: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return values between the pixels, at places [rows, columns]."""
    import cv2

    found = cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, dtype=np.float32)


def _length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return lengths


def lab_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert RGB [h, w, 3] to CIELAB."""
    import cv2

    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), dtype=np.float32)
