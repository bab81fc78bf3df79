"""Boxes of image tokens as areas of a picture: mass spread over them, exactly, at any resolution.

Image tokens lie in grids, so few different columns and rows hold all boxes; a map is two small matrix
products and no loop over boxes. Not for colours (see `heat.py`) nor for where the boxes come from
(`VLM.token_boxes`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class TokenBoxes:
    """The boxes of one picture.

    Parameters
    ----------
    boxes : [tokens, 4]: left, top, right, bottom in pixels of the picture; NaN: a token without a place.
    width, height : size of the picture, pixels.

    Attributes
    ----------
    placed : [tokens] bool, which tokens have a place.
    """

    def __init__(self, boxes: Floats, width: int, height: int) -> None:
        self._size = (width, height)
        self.placed = ~np.isnan(boxes).any(axis=1)
        kept = boxes[self.placed]
        self._columns, column = np.unique(kept[:, 0::2], axis=0, return_inverse=True)
        self._rows, row = np.unique(kept[:, 1::2], axis=0, return_inverse=True)
        self._cell = (row.reshape(-1), column.reshape(-1))
        self._areas = (kept[:, 2] - kept[:, 0]) * (kept[:, 3] - kept[:, 1])

    def _densities(self, mass: Floats) -> Floats:
        """Return [rows, columns]: mass per pixel of the picture in the box of each row and column; 0 without
        one.
        """
        table = np.zeros((len(self._rows), len(self._columns)))
        np.add.at(table, self._cell, mass[self.placed] / self._areas)
        return table

    def spread(self, mass: Floats, size: tuple[int, int] | None = None) -> Floats:
        """Return mass [tokens] as a map [height, width] of a size (width, height); it sums to the placed
        mass.

        A pixel gets of each box's mass the part of the box that lies in it.
        """
        width, height = size or self._size
        across = _overlaps(self._columns * (width / self._size[0]), width) * (self._size[0] / width)
        down = _overlaps(self._rows * (height / self._size[1]), height) * (self._size[1] / height)
        spread: Floats = down.T @ self._densities(mass) @ across
        return spread

    def peak(self, mass: Floats) -> float:
        """Return the largest density anywhere, times the picture's area: 1 if mass 1 lay evenly over the
        picture.
        """
        if not self.placed.any():
            return 0.0
        across = _inside(self._columns, _midpoints(self._columns))
        down = _inside(self._rows, _midpoints(self._rows))
        density = float((down.T @ self._densities(mass) @ across).max())
        return density * self._size[0] * self._size[1]

    def seen(self, size: tuple[int, int] | None = None) -> npt.NDArray[np.bool_]:
        """Return whether each pixel's centre is in a box: [height, width]."""
        width, height = size or self._size
        across = _inside(self._columns, (np.arange(width) + 0.5) * (self._size[0] / width))
        down = _inside(self._rows, (np.arange(height) + 0.5) * (self._size[1] / height))
        seen: npt.NDArray[np.bool_] = down.T @ self._densities(np.ones(self.placed.size)) @ across > 0
        return seen


def _overlaps(intervals: Floats, pixels: int) -> Floats:
    """Return [intervals, pixels]: how much of each pixel [p, p + 1] an interval covers."""
    start = np.arange(pixels)
    covered = np.minimum(intervals[:, 1:], start + 1) - np.maximum(intervals[:, :1], start)
    return np.clip(covered, 0, None)


def _inside(intervals: Floats, points: npt.NDArray[np.floating]) -> Floats:
    """Return [intervals, points]: 1 where a point lies in an interval (its right end does not), else 0."""
    inside: Floats = ((intervals[:, :1] <= points) & (points < intervals[:, 1:])).astype(np.float64)
    return inside


def _midpoints(intervals: Floats) -> Floats:
    """Return the middle of every stretch between two ends; on each the density is constant."""
    ends = np.unique(intervals)
    return (ends[:-1] + ends[1:]) / 2
