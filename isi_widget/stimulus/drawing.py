"""Operations that paint on the image: Box, Ellipse, Line, Arrow, Text, GaussianNoise.

Coordinates and sizes are pixels of the original image, origin top left, floats allowed. Each paints inside
its `bounds` only and never changes the size of the image. Not for the order of operations or for caching
(see `rendering`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from isi_widget.errors import InputError
from isi_widget.stimulus import checks
from isi_widget.stimulus.coverage import Bounds, Spans, ellipse, fill, pixel_bounds, polygon
from isi_widget.stimulus.operations import Operation, register

FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
#: An arrow's head is this many line widths long and wide; the front end draws the same.
HEAD_LENGTH, HEAD_WIDTH = 5.0, 4.0
LARGEST_TEXT_SIZE = 2000.0
_LARGEST_TEXT_AREA = 50_000_000
_NOISE_VALUES = 3_000_000  # drawn at a time, to bound memory


@dataclass(frozen=True)
class Drawing(Operation):
    """An operation that paints pixels."""

    def draw(self, image: Image.Image) -> None:
        """Paint into `image` (RGB), in place."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Outlined(Drawing):
    """What Box and Ellipse share: a box, a colour, filled or with an outline that lies inside the box."""

    x: float
    y: float
    width: float
    height: float
    color: str = "#000000"
    fill: bool = True
    line_width: float = 3.0

    def __post_init__(self) -> None:
        self._set(
            x=checks.number(self.x, self._name("x")),
            y=checks.number(self.y, self._name("y")),
            width=checks.number(self.width, self._name("width"), low=0),
            height=checks.number(self.height, self._name("height"), low=0),
            color=checks.color(self.color, self._name("color")),
            fill=checks.flag(self.fill, self._name("fill")),
            line_width=checks.number(self.line_width, self._name("line_width"), low=0),
        )

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """The box itself: the outline lies inside it."""
        return pixel_bounds(self.x, self.y, self.x + self.width, self.y + self.height, size)

    def draw(self, image: Image.Image) -> None:
        """Fill the shape; for an outline, less the same shape moved inwards by the line width."""
        bounds = self.bounds(image.size)
        edge = self.line_width
        shape = self._shape(self.x, self.y, self.x + self.width, self.y + self.height)
        if self.fill or 2 * edge >= min(self.width, self.height):
            fill(image, bounds, self.color, [shape])
        else:
            inner = self._shape(
                self.x + edge, self.y + edge, self.x + self.width - edge, self.y + self.height - edge
            )
            fill(image, bounds, self.color, [shape], [inner])

    def _shape(self, left: float, top: float, right: float, bottom: float) -> Spans:
        raise NotImplementedError


@register
@dataclass(frozen=True)
class Box(_Outlined):
    """An axis-aligned box; exact to the pixel on whole coordinates."""

    op: ClassVar[str] = "box"

    def _shape(self, left: float, top: float, right: float, bottom: float) -> Spans:
        return polygon([(left, top), (right, top), (right, bottom), (left, bottom)])


@register
@dataclass(frozen=True)
class Ellipse(_Outlined):
    """The ellipse that touches the four sides of a box."""

    op: ClassVar[str] = "ellipse"

    def _shape(self, left: float, top: float, right: float, bottom: float) -> Spans:
        return ellipse(left, top, right, bottom)


@dataclass(frozen=True)
class _Stroke(Drawing):
    """What Line and Arrow share."""

    start: tuple[float, float]
    end: tuple[float, float]
    color: str = "#000000"
    width: float = 2.0

    def __post_init__(self) -> None:
        self._set(
            start=checks.point(self.start, self._name("start")),
            end=checks.point(self.end, self._name("end")),
            color=checks.color(self.color, self._name("color")),
            width=checks.number(self.width, self._name("width"), low=0),
        )

    def _polygons(self) -> list[list[tuple[float, float]]]:
        raise NotImplementedError

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """The smallest box around the stroke with its width."""
        points = [point for shape in self._polygons() for point in shape]
        if not points:
            return (0, 0, 0, 0)
        xs, ys = zip(*points, strict=True)
        return pixel_bounds(min(xs), min(ys), max(xs), max(ys), size)

    def draw(self, image: Image.Image) -> None:
        """Fill the polygons of the stroke."""
        fill(image, self.bounds(image.size), self.color, [polygon(points) for points in self._polygons()])

    def _along(self) -> tuple[float, Callable[[float, float], tuple[float, float]]]:
        """Length, and a function from (distance along, offset across) to a point."""
        (x0, y0), (x1, y1) = self.start, self.end
        length = math.hypot(x1 - x0, y1 - y0)
        unit = ((x1 - x0) / length, (y1 - y0) / length) if length else (1.0, 0.0)
        return length, lambda along, across: (
            x0 + unit[0] * along - unit[1] * across,
            y0 + unit[1] * along + unit[0] * across,
        )


@register
@dataclass(frozen=True)
class Line(_Stroke):
    """A straight line with flat ends; of no length or width it draws nothing."""

    op: ClassVar[str] = "line"

    def _polygons(self) -> list[list[tuple[float, float]]]:
        length, at = self._along()
        half = self.width / 2
        if not length or not half:
            return []
        return [[at(0, -half), at(length, -half), at(length, half), at(0, half)]]


@register
@dataclass(frozen=True)
class Arrow(_Stroke):
    """A line with a head at `end`, 5 widths long and 4 wide; an arrow shorter than that is all head."""

    op: ClassVar[str] = "arrow"

    def _polygons(self) -> list[list[tuple[float, float]]]:
        length, at = self._along()
        if not length or not self.width:
            return []
        scale = min(1.0, length / (HEAD_LENGTH * self.width))
        neck = length - HEAD_LENGTH * self.width * scale
        barb = HEAD_WIDTH * self.width * scale / 2
        head = [at(neck, -barb), at(length, 0), at(neck, barb)]
        if neck <= 0:
            return [head]
        half = self.width / 2
        return [[at(0, -half), at(neck, -half), at(neck, half), at(0, half)], head]


@register
@dataclass(frozen=True)
class Text(Drawing):
    """Text in the shipped font, top left at (x, y), font size in pixels; new lines are kept."""

    op: ClassVar[str] = "text"
    x: float
    y: float
    text: str
    size: float = 16.0
    color: str = "#000000"

    def __post_init__(self) -> None:
        self._set(
            x=checks.number(self.x, self._name("x")),
            y=checks.number(self.y, self._name("y")),
            text=checks.text(self.text, self._name("text")),
            size=checks.number(self.size, self._name("size"), low=0, high=LARGEST_TEXT_SIZE),
            color=checks.color(self.color, self._name("color")),
        )
        if len(self.text) * self.size**2 > _LARGEST_TEXT_AREA:
            raise InputError(
                f"{self._name('text')} of {len(self.text)} characters is too long for size "
                f"{self.size:g}; shorten it or make it smaller."
            )

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Around the ink of all lines, one pixel wider for positions between pixels."""
        boxes = [
            (self.x + left - 1, y + top - 1, self.x + right + 1, y + bottom + 1)
            for y, line, font in self._lines()
            for left, top, right, bottom in [font.getbbox(line, anchor="la")]
            if left < right and top < bottom
        ]
        if not boxes:
            return (0, 0, 0, 0)
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        return pixel_bounds(min(lefts), min(tops), max(rights), max(bottoms), size)

    def draw(self, image: Image.Image) -> None:
        """Draw each line into a mask of the bounds, then the colour through it."""
        left, top, right, bottom = self.bounds(image.size)
        if left == right:
            return
        mask = Image.new("L", (right - left, bottom - top))
        pen = ImageDraw.Draw(mask)
        for y, line, font in self._lines():
            pen.text((self.x - left, y - top), line, fill=255, font=font, anchor="la")
        image.paste(self.color, (left, top), mask)

    def _lines(self) -> list[tuple[float, str, ImageFont.FreeTypeFont]]:
        """Top, text and font of each line that has any ink."""
        if self.size < 1:  # FreeType has no smaller letters
            return []
        font = _font(self.size)
        pitch = sum(font.getmetrics())
        lines = self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return [(self.y + i * pitch, line, font) for i, line in enumerate(lines) if line.strip()]


@lru_cache(maxsize=32)
def _font(size: float) -> ImageFont.FreeTypeFont:
    """The shipped font, laid out without optional libraries, so that text looks the same on every machine."""
    return ImageFont.truetype(str(FONT), size, layout_engine=ImageFont.Layout.BASIC)


@register
@dataclass(frozen=True)
class GaussianNoise(Drawing):
    """Independent normal noise on every pixel and channel, standard deviation `sigma` on a [0, 1] scale, cut
    to the valid range.

    The values depend on the seed and on the size of the region (or image) only, whatever else is drawn.
    region : (x, y, width, height), rounded to whole pixels, or None for the whole image.
    """

    op: ClassVar[str] = "noise"
    sigma: float = 0.2
    seed: int = 0
    region: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        self._set(
            sigma=checks.number(self.sigma, self._name("sigma"), low=0, high=1),
            seed=checks.integer(self.seed, self._name("seed")),
            region=None if self.region is None else checks.region(self.region, self._name("region")),
        )

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """The region on whole pixels, inside the image."""
        if self.sigma == 0:
            return (0, 0, 0, 0)
        if self.region is None:
            return (0, 0, *size)
        x, y, width, height = self.region
        left, top, right, bottom = (math.floor(edge + 0.5) for edge in (x, y, x + width, y + height))
        return pixel_bounds(left, top, right, bottom, size)

    def draw(self, image: Image.Image) -> None:
        """Add the noise band by band; a generator's stream does not depend on how it is cut."""
        left, top, right, bottom = self.bounds(image.size)
        generator = np.random.default_rng(self.seed)
        rows = max(1, _NOISE_VALUES // max(1, 3 * (right - left)))
        for start in range(top, bottom, rows):
            box = (left, start, right, min(bottom, start + rows))
            values = np.asarray(image.crop(box)).astype(np.float32)
            values += generator.standard_normal(values.shape, dtype=np.float32) * np.float32(self.sigma * 255)
            np.clip(np.rint(values, out=values), 0, 255, out=values)
            image.paste(Image.fromarray(values.astype(np.uint8)), (left, start))
