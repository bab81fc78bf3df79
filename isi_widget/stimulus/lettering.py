"""Text in the shipped font: its extent and the drawing `Text`.

Not for choosing fonts: there is one, so that text looks the same on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from PIL import Image, ImageDraw, ImageFont

from isi_widget.errors import InputError
from isi_widget.stimulus import checks
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.coverage import Bounds, pixel_bounds, turned
from isi_widget.stimulus.operations import SPARSE, register

FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
LARGEST_TEXT_SIZE = 2000.0
#: Height of a line of text as a part of the font size, in the font's own measures (ascent and descent).
LINE_HEIGHT = 1.164
_LARGEST_TEXT_AREA = 50_000_000
_UNITS = 2048  # of the font per em: at that size its widths are exact
_BICUBIC_REACH = 2.0  # pixels


def text_extent(text: str, size: float) -> tuple[float, float]:
    """Width (the font's advance, of the longest line) and height of text in pixels, before hinting."""
    lines = _split(text)
    width = max(_font(_UNITS).getlength(line) for line in lines)
    return width * size / _UNITS, len(lines) * LINE_HEIGHT * size


def check_text(text: object, size: object, name: str, size_name: str) -> tuple[str, float]:
    """Text and its font size, together small enough to draw."""
    words = checks.text(text, name)
    pixels = checks.number(size, size_name, low=0, high=LARGEST_TEXT_SIZE)
    if len(words) * pixels**2 > _LARGEST_TEXT_AREA:
        raise InputError(
            f"{name} of {len(words)} characters is too long for size {pixels:g}; "
            "shorten it or make it smaller."
        )
    return words, pixels


@register
@dataclass(frozen=True)
class Text(Drawing):
    """Text in the shipped font, top left at (x, y), font size in pixels; new lines are kept.

    angle : degrees clockwise about the centre of its extent (`text_extent`).
    """

    op: ClassVar[str] = "text"
    x: float
    y: float
    text: str
    size: float = 16.0
    color: str = "#000000"
    angle: float = field(default=0.0, metadata=SPARSE)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            x=checks.number(self.x, self._name("x")),
            y=checks.number(self.y, self._name("y")),
            color=checks.color(self.color, self._name("color")),
            angle=checks.number(self.angle, self._name("angle")),
        )
        text, size = check_text(self.text, self.size, self._name("text"), self._name("size"))
        self._set(text=text, size=size)

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Around the ink of all lines, one pixel wider for positions between pixels; two more if turned."""
        ink = self._ink()
        if ink is None:
            return (0, 0, 0, 0)
        return pixel_bounds(*(_turned_box(ink, self._center(), self.angle) if self.angle else ink), size)

    def draw(self, image: Image.Image) -> None:
        """Draw each line into a mask of the bounds, then the colour through it."""
        bounds = self.bounds(image.size)
        if bounds[0] == bounds[2]:
            return
        mask = self._turned_mask(bounds) if self.angle else self._mask(bounds)
        image.paste(self.color, bounds[:2], mask)

    def _mask(self, bounds: Bounds) -> Image.Image:
        """The ink, upright, inside `bounds`."""
        left, top, right, bottom = bounds
        mask = Image.new("L", (right - left, bottom - top))
        pen = ImageDraw.Draw(mask)
        for y, line, font in self._lines():
            pen.text((self.x - left, y - top), line, fill=255, font=font, anchor="la")
        return mask

    def _turned_mask(self, bounds: Bounds) -> Image.Image:
        """The ink, turned, inside `bounds`: as much of the upright ink as comes to lie there, resampled."""
        ink, center = self._ink(), self._center()
        assert ink is not None
        back = _turned_box(bounds, center, -self.angle)
        left, top = (math.floor(max(a, b) - _BICUBIC_REACH) for a, b in zip(ink[:2], back[:2], strict=True))
        right, bottom = (
            math.ceil(min(a, b) + _BICUBIC_REACH) for a, b in zip(ink[2:], back[2:], strict=True)
        )
        size = (bounds[2] - bounds[0], bounds[3] - bounds[1])
        if left >= right or top >= bottom:
            return Image.new("L", size)
        # Where the corners (0, 0), (1, 0) and (0, 1) of the result lie in the upright mask.
        corners = [(bounds[0] + x, bounds[1] + y) for x, y in ((0, 0), (1, 0), (0, 1))]
        (x0, y0), (x1, y1), (x2, y2) = turned(corners, center, -self.angle)
        return self._mask((left, top, right, bottom)).transform(
            size,
            Image.Transform.AFFINE,
            (x1 - x0, x2 - x0, x0 - left, y1 - y0, y2 - y0, y0 - top),
            Image.Resampling.BICUBIC,
        )

    def _center(self) -> tuple[float, float]:
        width, height = text_extent(self.text, self.size)
        return self.x + width / 2, self.y + height / 2

    def _ink(self) -> tuple[float, float, float, float] | None:
        """The box around the ink of all lines, upright, one pixel wider; None if there is none."""
        boxes = [
            (self.x + left - 1, y + top - 1, self.x + right + 1, y + bottom + 1)
            for y, line, font in self._lines()
            for left, top, right, bottom in [font.getbbox(line, anchor="la")]
            if left < right and top < bottom
        ]
        if not boxes:
            return None
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)

    def _lines(self) -> list[tuple[float, str, ImageFont.FreeTypeFont]]:
        """Top, text and font of each line that has any ink."""
        if self.size < 1:  # FreeType has no smaller letters
            return []
        font = _font(self.size)
        pitch = sum(font.getmetrics())
        return [(self.y + i * pitch, line, font) for i, line in enumerate(_split(self.text)) if line.strip()]


def _turned_box(
    box: tuple[float, float, float, float], center: tuple[float, float], angle: float
) -> tuple[float, float, float, float]:
    """The upright box around a turned one, with room for the resampling."""
    left, top, right, bottom = box
    corners = turned([(left, top), (right, top), (right, bottom), (left, bottom)], center, angle)
    xs, ys = zip(*corners, strict=True)
    reach = _BICUBIC_REACH
    return min(xs) - reach, min(ys) - reach, max(xs) + reach, max(ys) + reach


def _split(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


@lru_cache(maxsize=32)
def _font(size: float) -> ImageFont.FreeTypeFont:
    """The shipped font, laid out without optional libraries, so that text looks the same on every machine."""
    return ImageFont.truetype(str(FONT), size, layout_engine=ImageFont.Layout.BASIC)
