"""`CopiedPatch`: a rectangle copied from a picture and pasted at any size.

Not for replacing the whole image (see `operations.ReplaceImage`) nor for finding pictures by their SHA-256
(see `core.Stimulus`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from PIL import Image

from isi_widget.errors import InputError
from isi_widget.stimulus import checks, effort
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.coverage import Bounds, convex, cover, pixel_bounds
from isi_widget.stimulus.operations import PICTURE, register
from isi_widget.stimulus.picture import Picture

_FILTER = Image.Resampling.BICUBIC
_THINNEST = 1e-4  # pixels; thinner copies paint nothing
_RIM = 2  # cells that an edge pixel of the target may read beyond it


@register
@dataclass(frozen=True)
class CopiedPatch(Drawing):
    """The rectangle `source` of a picture, pasted at (x, y) and resized (bicubic) to width x height.

    With whole coordinates and unchanged size, pixels are copied exactly. Parts of `source` outside the
    picture paint nothing. (Not activation patching, which changes the inside of the model.)

    source : (x, y, width, height) in the picture, pixels.
    x : left edge of the copy in the image, pixels.
    y : top edge of the copy in the image, pixels.
    width : width of the copy, pixels; None (default) keeps that of the source.
    height : height of the copy, pixels; None (default) keeps that of the source.
    picture : picture to copy from (in JSON its SHA-256, under "image"); None (default) is the current image
        of the stimulus without its drawings.
    """

    op: ClassVar[str] = "patch"
    source: tuple[float, float, float, float]
    x: float
    y: float
    width: float | None = None
    height: float | None = None
    picture: Picture | None = field(default=None, metadata=PICTURE)

    def __post_init__(self) -> None:
        super().__post_init__()
        source = checks.region(self.source, self._name("source"))
        width, height = (
            own if given is None else checks.number(given, self._name(name), low=0)
            for given, own, name in ((self.width, source[2], "width"), (self.height, source[3], "height"))
        )
        self._set(
            source=source,
            x=checks.number(self.x, self._name("x")),
            y=checks.number(self.y, self._name("y")),
            width=width,
            height=height,
        )
        if self.picture is not None and not isinstance(self.picture, Picture):
            raise InputError(
                f"{self._name('picture')} must be a Picture or None, got {type(self.picture).__name__}."
            )

    def of(self, picture: Picture) -> CopiedPatch:
        """Return the same patch, cut from `picture` unless it has its own."""
        return self if self.picture is not None else replace(self, picture=picture)

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the box around the part of the target that the picture fills, clipped to the image."""
        left, top, right, bottom = self._target(self.picture.size if self.picture else size)
        if right - left < _THINNEST or bottom - top < _THINNEST:
            return (0, 0, 0, 0)
        return pixel_bounds(left, top, right, bottom, size)

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from the area of the copy and of the source."""
        assert self.width is not None and self.height is not None
        most = size[0] * size[1]
        cut = self.source[2] * self.source[3]
        return effort.PATCHED * (min(self.width * self.height, most) + min(cut, most))

    def draw(self, image: Image.Image) -> None:
        """Resize the visible part of the source, then paste it through the coverage of the target.

        Without a picture, copy from `image` itself.
        """
        picture = self.picture._image if self.picture is not None else image
        bounds = self.bounds(image.size)
        if bounds[0] == bounds[2]:
            return
        left, top, right, bottom = self._target(picture.size)
        seen = self._resized(picture, bounds)
        shape = convex([(left, top), (right, top), (right, bottom), (left, bottom)])
        for (x, y), mask in cover(bounds, [shape]):
            at = (x - bounds[0], y - bounds[1])
            image.paste(seen.crop((*at, at[0] + mask.width, at[1] + mask.height)), (x, y), mask)

    def _target(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return left, top, right, bottom in the image of that part of the source that lies in a picture of
        `size`.
        """
        (left, right), (top, bottom) = (axis.target for axis in self._axes(size))
        return left, top, right, bottom

    def _axes(self, size: tuple[int, int]) -> tuple[_Axis, _Axis]:
        x, y, width, height = self.source
        assert self.width is not None and self.height is not None
        return _Axis(x, width, self.x, self.width, size[0]), _Axis(y, height, self.y, self.height, size[1])

    def _resized(self, picture: Image.Image, bounds: Bounds) -> Image.Image:
        """Return the pixels of the image inside `bounds`, as if the source continued beyond its edges."""
        across, down = self._axes(picture.size)
        seen = picture.crop((across.cells[0], down.cells[0], across.cells[1], down.cells[1]))
        if across.shrinks or down.shrinks:
            size, box = (across.count, down.count), (across.exact, down.exact)
            seen = seen.resize(size, _FILTER, (box[0][0], box[1][0], box[0][1], box[1][1]))
        (x0, x1), (y0, y1) = across.box(bounds[0], bounds[2]), down.box(bounds[1], bounds[3])
        if not all(edge.is_integer() for edge in (*across.target, *down.target)):
            # An edge pixel reads beyond the source; whether it is visible must not change other pixels.
            rim = ((_RIM, _RIM), (_RIM, _RIM), (0, 0))
            seen = Image.fromarray(np.pad(np.asarray(seen), rim, mode="edge"))
            x0, x1, y0, y1 = (edge + _RIM for edge in (x0, x1, y0, y1))
        x0, x1 = (min(max(x, 0.0), seen.width) for x in (x0, x1))
        y0, y1 = (min(max(y, 0.0), seen.height) for y in (y0, y1))
        # One direction at a time: for both together, Pillow chooses the order by the visible part.
        width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
        seen = seen.resize((width, seen.height), _FILTER, (x0, 0, x1, seen.height))
        return seen.resize((width, height), _FILTER, (0, y0, width, y1))


class _Axis:
    """One direction of a patch: from `length` pixels at `start` of a picture of `limit` pixels to `size` at
    `at` of the image. Shrinking to whole cells comes first, so that only a small resize remains.
    """

    def __init__(self, start: float, length: float, at: float, size: float, limit: int) -> None:
        low, high = max(start, 0.0), min(start + length, float(limit))
        if high - low < _THINNEST:
            low = high = start
        self._start, self._at = start, at
        self._scale = size / length if length >= _THINNEST else 0.0
        #: The target in the image; the source is cut to the picture.
        self.target = at + (low - start) * self._scale, at + (high - start) * self._scale
        #: Whole pixels of the picture that are needed, and the position of the source in them.
        self.cells = math.floor(low), math.ceil(high)
        self.shrinks = self._scale < 1
        self.exact = (
            (low - self.cells[0], high - self.cells[0])
            if self.shrinks
            else (0.0, float(self.cells[1] - self.cells[0]))
        )
        #: Number of cells before the last, small resize.
        self.count = (
            max(1, math.ceil(self.target[1] - self.target[0])) if self.shrinks else round(self.exact[1])
        )

    def box(self, first: int, last: int) -> tuple[float, float]:
        """Return the position, in cells, of pixels [first, last) of the image."""
        if self.shrinks:
            cell = self.count / (self.target[1] - self.target[0])
            return (first - self.target[0]) * cell, (last - self.target[0]) * cell
        begin = self._start - self.cells[0]
        return begin + (first - self._at) / self._scale, begin + (last - self._at) / self._scale
