"""Rough estimates of painting time, used to refuse drawings that would block a kernel for minutes.

Times are upper estimates in nanoseconds, measured on one core of an ordinary machine. Not for painting (see
`shapes`, `effects`, `copied_patch`, `lettering`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from isi_widget.errors import InputError

if TYPE_CHECKING:
    from isi_widget.stimulus.base import Drawing

#: Nanoseconds per pixel of: a filled area, noise, blur, squares, a copied patch, an erased region, an
#: in-painted region (the last value also bounds its memory).
FILLED, NOISY, BLURRED, SQUARED, PATCHED, ERASED, INPAINTED = 12.0, 35.0, 35.0, 60.0, 16.0, 2.0, 1500.0
#: Nanoseconds per pixel of the image that is reduced and enlarged again; that is written as JPEG and read.
RESIZED, COMPRESSED = 40.0, 60.0
#: Nanoseconds per pixel of a hole or a pasted piece, and of a recoloured or retextured region.
EDITED, RECOLORED = 40.0, 400.0
#: Nanoseconds per pixel of the box of a mask (hard edge; soft edge), and per run of it.
MASKED, FEATHERED, RUN = 8.0, 60.0, 100.0
#: Nanoseconds per crossing of an edge with a scan line (filled shape; line of some width), and per letter.
CROSSED, STROKED, LETTER = 70.0, 180.0, 10_000.0
#: Most nanoseconds for all drawings of a stimulus: ten seconds, more on large images.
MOST, MOST_OF_A_PIXEL = 10e9, 100.0
#: Most operations of a stimulus, and most polygon corners and runs of masks in all of them.
MOST_OPERATIONS, MOST_CORNERS, MOST_RUNS = 20_000, 200_000, 4_000_000

_MANY = 100


def height(points: Sequence[tuple[float, float]]) -> float:
    """Return the total vertical length of a closed line (up and down), pixels."""
    if len(points) < _MANY:
        return sum(abs(b[1] - a[1]) for a, b in pairwise([*points, points[0]]))
    y = np.asarray(points, dtype=np.float64)[:, 1]
    return float(np.abs(y - np.roll(y, 1)).sum())


def crossings(points: Sequence[tuple[float, float]], height: float, size: tuple[int, int]) -> float:
    """Return an upper bound on how often a closed line crosses the rows of an image."""
    return min(height + len(points), len(points) * float(size[1]))


class Load(NamedTuple):
    """Cost of drawings: number of points of their polygons and regions, estimated nanoseconds, and number of
    runs of their masks.
    """

    corners: int = 0
    nanoseconds: float = 0.0
    runs: int = 0


_NOTHING = Load()


def load(
    operations: int, drawings: Sequence[Drawing], size: tuple[int, int], before: Load = _NOTHING
) -> Load:
    """Return what `drawings` take on an image of `size`, added to what those before them take.

    Raises
    ------
    InputError : too many operations, or painting would take too long; the message names the slowest drawing.
    """
    if operations > MOST_OPERATIONS:
        raise InputError(
            f"A stimulus may have at most {MOST_OPERATIONS} operations, got {operations}; start from what is "
            "rendered: Stimulus(s.render(), ...)."
        )
    corners = before.corners + sum(item.corners for item in drawings)
    if corners > MOST_CORNERS:
        raise InputError(
            f"The polygons and regions of a stimulus may have at most {MOST_CORNERS} points in all, got "
            f"{corners}; use fewer points, or start from what is rendered: Stimulus(s.render(), ...)."
        )
    runs = before.runs + sum(mask.run_count for item in drawings for mask in item.masks)
    if runs > MOST_RUNS:
        raise InputError(
            f"The masks of a stimulus may have at most {MOST_RUNS} runs in all, got {runs}; use fewer or "
            "smoother masks, or start from what is rendered: Stimulus(s.render(), ...)."
        )
    efforts = [item.effort(size) for item in drawings]
    total, most = before.nanoseconds + sum(efforts), MOST + MOST_OF_A_PIXEL * size[0] * size[1]
    if total > most:
        longest = drawings[efforts.index(max(efforts))]
        points = f" of {longest.corners} points" if longest.corners else ""
        raise InputError(
            f"These drawings would take too long to paint: {total / 1e9:.0f} s by a rough estimate, at most "
            f"{most / 1e9:.0f} s are allowed. The longest of what was added is {longest.op!r}{points}: "
            f"{max(efforts) / 1e9:.1f} s. Draw fewer or smaller ones, or use fewer points."
        )
    return Load(corners, total, runs)
