"""Pieces of an image: the pixels of a region with their coverage, to be moved, resized, mirrored and pasted.

Not for the edits that use them (see `edits` and `attributes`), nor for regions themselves (see `regions`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops

from isi_widget.stimulus.coverage import Bounds, pixel_bounds
from isi_widget.stimulus.mask import Mask, distances
from isi_widget.stimulus.regions import Region, region_bounds, region_mask, whole_pixels

_FILTER = Image.Resampling.BICUBIC
NOWHERE: Bounds = (0, 0, 0, 0)


@dataclass(frozen=True)
class Piece:
    """Pixels of a region, placed in an image.

    image : RGB pixels of the box around the region.
    alpha : coverage of the region in that box, mode L; None if it is the whole box.
    left : left edge of the box in the image, pixels.
    top : top edge of the box in the image, pixels.
    """

    image: Image.Image
    alpha: Image.Image | None
    left: int
    top: int

    @classmethod
    def of(cls, image: Image.Image, region: Region) -> Piece | None:
        """Cut a region out of an image; None if it has no pixel in it."""
        bounds = region_bounds(region, image.size)
        if bounds == NOWHERE:
            return None
        return cls(image.crop(bounds), region_mask(region, bounds), *bounds[:2])

    def moved(self, x: int, y: int) -> Piece:
        """Return the piece moved by (x, y) pixels."""
        return Piece(self.image, self.alpha, self.left + x, self.top + y)

    def mirrored(self, center: tuple[float, float], vertical: bool) -> Piece:
        """Return the piece mirrored about a centre: left and right exchanged, or top and bottom."""
        way = Image.Transpose.FLIP_TOP_BOTTOM if vertical else Image.Transpose.FLIP_LEFT_RIGHT
        left, top = self.left, self.top
        if vertical:
            top = rounded(2 * center[1]) - (top + self.image.height)
        else:
            left = rounded(2 * center[0]) - (left + self.image.width)
        alpha = None if self.alpha is None else self.alpha.transpose(way)
        return Piece(self.image.transpose(way), alpha, left, top)

    def resized(self, target: tuple[int, int, int, int], size: tuple[int, int]) -> Piece | None:
        """Return the piece resized (bicubic) to a box (left, top, right, bottom) of an image of `size`: the
        visible part; None if nothing is visible.
        """
        left, top, right, bottom = target
        seen = pixel_bounds(left, top, right, bottom, size)
        if seen == NOWHERE:
            return None
        across, down = self.image.width / (right - left), self.image.height / (bottom - top)
        box = (
            (seen[0] - left) * across,
            (seen[1] - top) * down,
            min((seen[2] - left) * across, float(self.image.width)),
            min((seen[3] - top) * down, float(self.image.height)),
        )
        shape = (seen[2] - seen[0], seen[3] - seen[1])
        alpha = None if self.alpha is None else self.alpha.resize(shape, _FILTER, box)
        return Piece(self.image.resize(shape, _FILTER, box), alpha, *seen[:2])

    def feathered(self, pixels: float, size: tuple[int, int]) -> Piece:
        """Return the piece with a soft edge of `pixels` inside its outline; edges of an image of `size` are
        not outlines.
        """
        if not pixels:
            return self
        width, height = self.image.size
        alpha = self.alpha or Image.new("L", (width, height), 255)
        inside = np.asarray(alpha) > 0
        open_edges = (
            (int(self.top > 0), int(self.top + height < size[1])),
            (int(self.left > 0), int(self.left + width < size[0])),
        )
        # An edge of the image continues the piece: repeat its pixels there, so that they are no outline.
        reach = math.ceil(pixels) + 1
        around = np.pad(inside, reach, mode="edge")
        if open_edges[0][0]:
            around[:reach] = False
        if open_edges[0][1]:
            around[-reach:] = False
        if open_edges[1][0]:
            around[:, :reach] = False
        if open_edges[1][1]:
            around[:, -reach:] = False
        far = distances(~around)[reach:-reach, reach:-reach]
        share = np.clip(far / np.float32(pixels + 1), 0, 1)
        soft = Image.fromarray(np.rint(share * 255).astype(np.uint8))
        return Piece(self.image, ImageChops.multiply(alpha, soft), self.left, self.top)

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return its box, clipped to an image of `size`; all 0 if it lies outside."""
        return pixel_bounds(
            self.left, self.top, self.left + self.image.width, self.top + self.image.height, size
        )

    def paste(self, image: Image.Image) -> None:
        """Paint it on an image, in place."""
        left, top, right, bottom = bounds = self.bounds(image.size)
        if bounds == NOWHERE:
            return
        part = (left - self.left, top - self.top, right - self.left, bottom - self.top)
        alpha = None if self.alpha is None else self.alpha.crop(part)
        image.paste(self.image.crop(part), (left, top), alpha)


def middle(region: Region, size: tuple[int, int]) -> tuple[float, float]:
    """Return the centre of a region's box, without the soft edge of a mask."""
    left, top, right, bottom = outline(region, size)
    return (left + right) / 2, (top + bottom) / 2


def outline(region: Region, size: tuple[int, int]) -> Bounds:
    """Return the box of a region on whole pixels, without the soft edge of a mask; it may extend beyond an
    image of `size`.
    """
    if not isinstance(region, Mask):
        return whole_pixels(region, size)
    x, y, width, height = region.box
    return x, y, x + width, y + height


def union(*boxes: Bounds) -> Bounds:
    """Return the box around boxes; empty ones (all 0) do not count."""
    some = [box for box in boxes if box != NOWHERE]
    if not some:
        return NOWHERE
    left, top, right, bottom = zip(*some, strict=True)
    return min(left), min(top), max(right), max(bottom)


def rounded(value: float) -> int:
    """Return the nearest whole number, half upwards."""
    return math.floor(value + 0.5)
