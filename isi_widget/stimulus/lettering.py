"""Text in the shipped font: its extent and the drawing `Text`.

There is only one font, so that text looks the same on every machine.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from PIL import Image, ImageDraw, ImageFont

from isi_widget.errors import InputError
from isi_widget.stimulus import checks, effort
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.coverage import Bounds, pixel_bounds, turned
from isi_widget.stimulus.operations import SPARSE, register

if TYPE_CHECKING:
    from arabic_reshaper import ArabicReshaper

FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
LARGEST_TEXT_SIZE = 2000.0
#: Distance from the top of a line to its baseline, and line height, in units of the font size; both from the
#: font.
ASCENT, LINE_HEIGHT = 0.928, 1.164
#: Invisible characters that stay with the character before them when a line is reordered.
_FIRST, _SECOND = "\N{VARIATION SELECTOR-1}", "\N{VARIATION SELECTOR-2}"
_FROM_RIGHT = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI"})
_SHAPELESS = frozenset({"Cc", "Cf", "Mn", "Zl", "Zp", "Zs"})  # general categories
_LARGEST_TEXT_AREA = 50_000_000
_UNITS = 2048  # font units per em: at this size its widths are exact
_BICUBIC_REACH = 2.0  # pixels
#: The font has no other Arabic ligatures. Keep all marks, whatever environment variables say.
_RESHAPING = {
    "language": "Arabic",
    "delete_harakat": False,
    "delete_tatweel": False,
    "support_ligatures": True,
    "ARABIC LIGATURE ALLAH": False,
}


def text_extent(text: str, size: float) -> tuple[float, float]:
    """Return the width (font advance of the longest line) and height of text, in pixels."""
    lines = _split(text)
    width = max(_places(visual(line))[-1] for line in lines)
    return width * size, len(lines) * LINE_HEIGHT * size


@lru_cache(maxsize=256)
def visual(line: str) -> str:
    """Return a line in visual order, left to right. Right-to-left text is reordered (Unicode Standard Annex
    9; the first letter sets the line's direction), and Arabic letters take their joined forms.
    """
    if not any(unicodedata.bidirectional(character) in _FROM_RIGHT for character in line):
        return line
    from bidi import get_display  # imported only when needed: few texts are right-to-left
    from bidi.mirror import MIRRORED

    # python-bidi reorders but does not mirror brackets. Two marks placed after each bracket come out before
    # it, swapped, where the direction is right to left.
    paired = "[" + re.escape("".join(MIRRORED)) + "]"
    marked = re.sub(paired, rf"\g<0>{_FIRST}{_SECOND}", _reshaper().reshape(line))
    ordered = str(get_display(marked))
    mirrored = re.sub(f"{_SECOND}{_FIRST}({paired})", lambda found: MIRRORED[found[1]], ordered)
    return re.sub(f"[{_FIRST}{_SECOND}]", "", mirrored)


def unwritten(text: str) -> str:
    """Return the distinct letters of a text that the font lacks; they are drawn as empty boxes."""
    glyphs = _tables()[0]
    letters = dict.fromkeys(letter for line in _split(text) for letter in visual(line))
    return "".join(c for c in letters if c not in glyphs and unicodedata.category(c) not in _SHAPELESS)


def check_text(text: object, size: object, name: str, size_name: str) -> tuple[str, float]:
    """Return text and its font size, together small enough to draw."""
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
    """Text in the shipped font with its top left at (x, y); line breaks are kept.

    size : font size, pixels; default 16.
    angle : degrees clockwise about the centre of its extent (`text_extent`); default 0.
    """

    op: ClassVar[str] = "text"
    x: float
    y: float
    text: str
    size: float = 16.0
    color: str = "#000000"
    angle: float = field(default=0.0, metadata=SPARSE)

    @property
    def truth(self) -> str:
        """Return "keeps": it is a label, no thing of the picture."""
        return "keeps"

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
        """Return the box around the ink of all lines; two pixels wider if turned, for the resampling."""
        ink = self._ink
        if ink is None:
            return (0, 0, 0, 0)
        return pixel_bounds(*(_turned_box(ink, self._center(), self.angle) if self.angle else ink), size)

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from the number of letters and their area."""
        area = min(len(self.text) * self.size**2, size[0] * size[1])
        return effort.LETTER * len(self.text) + effort.FILLED * area

    def draw(self, image: Image.Image) -> None:
        """Draw each line into a mask of the bounds, then the colour through it."""
        bounds = self.bounds(image.size)
        if bounds[0] == bounds[2]:
            return
        mask = self._turned_mask(bounds) if self.angle else self._mask(bounds)
        image.paste(self.color, bounds[:2], mask)

    def _mask(self, bounds: Bounds) -> Image.Image:
        """Return the ink, upright, inside `bounds`."""
        left, top, right, bottom = bounds
        mask = Image.new("L", (right - left, bottom - top))
        pen = ImageDraw.Draw(mask)
        for y, line, font in self._lines():
            reach = 2 * self.size  # how far a letter may extend beyond its position
            for x, letter in self._letters(line):
                if left - reach < x < right + reach:
                    pen.text((x - left, y - top), letter, fill=255, font=font, anchor="ls")
        return mask

    def _turned_mask(self, bounds: Bounds) -> Image.Image:
        """Return the turned ink inside `bounds`, resampled from the upright ink."""
        ink, center = self._ink, self._center()
        assert ink is not None
        back = _turned_box(bounds, center, -self.angle)
        left, top = (math.floor(max(a, b) - _BICUBIC_REACH) for a, b in zip(ink[:2], back[:2], strict=True))
        right, bottom = (
            math.ceil(min(a, b) + _BICUBIC_REACH) for a, b in zip(ink[2:], back[2:], strict=True)
        )
        size = (bounds[2] - bounds[0], bounds[3] - bounds[1])
        if left >= right or top >= bottom:
            return Image.new("L", size)
        # Positions of the corners (0, 0), (1, 0) and (0, 1) of the result in the upright mask.
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

    @cached_property
    def _ink(self) -> tuple[float, float, float, float] | None:
        """The box around the ink of all lines, upright; None if there is none."""
        boxes = []
        for y, line, font in self._lines():
            of = {letter: font.getbbox(letter, anchor="ls") for letter in set(line)}
            for x, letter in self._letters(line):
                left, top, right, bottom = of[letter]
                if left < right and top < bottom:
                    boxes.append((x + left, y + top, x + right, y + bottom))
        if not boxes:
            return None
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)

    def _letters(self, line: str) -> Iterator[tuple[int, str]]:
        """Yield the letters of a line from left to right, each with the whole pixel nearest to
        its position.
        """
        for place, letter in zip(_places(line), line, strict=False):
            yield _nearest(self.x + place * self.size), letter

    def _lines(self) -> list[tuple[int, str, ImageFont.FreeTypeFont]]:
        """Return base line, text in visual order and font of each line that has any ink."""
        if self.size < 1:  # FreeType draws no smaller letters
            return []
        font = _font(self.size)
        pitch, base = LINE_HEIGHT * self.size, self.y + ASCENT * self.size
        lines = enumerate(_split(self.text))
        return [(_nearest(base + i * pitch), visual(line), font) for i, line in lines if line.strip()]


def _turned_box(
    box: tuple[float, float, float, float], center: tuple[float, float], angle: float
) -> tuple[float, float, float, float]:
    """Return the upright box around a turned one, with room for the resampling."""
    left, top, right, bottom = box
    corners = turned([(left, top), (right, top), (right, bottom), (left, bottom)], center, angle)
    xs, ys = zip(*corners, strict=True)
    reach = _BICUBIC_REACH
    return min(xs) - reach, min(ys) - reach, max(xs) + reach, max(ys) + reach


def _split(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _nearest(place: float) -> int:
    """Return Pillow sets letters on whole pixels, and rounds places left of the image otherwise than those in
    it.
    """
    return math.floor(place + 0.5)


def _places(line: str) -> list[float]:
    """Return where each letter begins, and after them where the line ends, in ems: widths and kerning of the
    font.

    Not Pillow's: it rounds widths for a size, and kerns by a 64th of what the font says.
    """
    return [*accumulate(map(_advance, line, [*line[1:], ""]), initial=0.0)]


@lru_cache(maxsize=4096)
def _advance(letter: str, following: str) -> float:
    glyphs, kerning = _tables()
    pair = (glyphs.get(letter, ""), glyphs.get(following, ""))
    return float(_font(_UNITS).getlength(letter) + kerning.get(pair, 0)) / _UNITS


@cache
def _tables() -> tuple[dict[str, str], dict[tuple[str, str], int]]:
    """Return glyph names by letter, and units of kerning by pairs of them."""
    from fontTools.ttLib import TTFont

    with TTFont(FONT) as font:
        glyphs = {chr(code): name for code, name in font.getBestCmap().items()}
        return glyphs, dict(font["kern"].kernTables[0].kernTable)


@cache
def _reshaper() -> ArabicReshaper:
    from arabic_reshaper import ArabicReshaper

    return ArabicReshaper(_RESHAPING)


@lru_cache(maxsize=32)
def _font(size: float) -> ImageFont.FreeTypeFont:
    """Return the shipped font, laid out without optional libraries, so that text looks the same on every
    machine.
    """
    return ImageFont.truetype(str(FONT), size, layout_engine=ImageFont.Layout.BASIC)
