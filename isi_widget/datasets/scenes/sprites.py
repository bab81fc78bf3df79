"""Artwork of the everyday things: glyphs of a subset of Noto Color Emoji, cropped, recoloured, turned and
resized by Pillow.

The font has one bitmap per glyph, 136 x 128 pixels. Recolouring changes only the pixels of the parts listed
in `PARTS` and keeps their shading. Results are cached, because scenes use the same few sprites again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import isi_widget.stimulus
from isi_widget.datasets.nouns import THINGS
from isi_widget.datasets.scenes.palette import RGB

FONT: Final = Path(isi_widget.stimulus.__file__).parent / "fonts" / "NotoColorEmoji-things.ttf"
_STRIKE = 109  # pixels per em of the font's only bitmap strike


@dataclass(frozen=True)
class Part:
    """The pixels of a glyph that take the colour of the thing.

    Attributes
    ----------
    hues : first and last hue in degrees; the last may exceed 360.
    saturation : least and largest saturation, 0 to 1.
    value : least and largest brightness (largest channel), 0 to 1.
    rows : first and last row as shares of the glyph's height.
    """

    hues: tuple[float, float] = (0, 360)
    saturation: tuple[float, float] = (0.25, 1)
    value: tuple[float, float] = (0, 1)
    rows: tuple[float, float] = (0, 1)


_RED = (Part((330, 390)),)
PARTS: Final[dict[str, tuple[Part, ...]]] = {
    "car": _RED,
    "bus": (Part((170, 230), (0.1, 1), (0.25, 0.75)), Part(saturation=(0, 0.12), value=(0.6, 1))),
    "apple": (Part((330, 395), (0.3, 1)),),
    "chair": (Part((10, 50)),),
    "umbrella": (Part((225, 280)),),
    "book": _RED,
    "cup": (Part(saturation=(0, 0.2), value=(0.5, 1), rows=(0.33, 1)),),
    "teapot": (Part((330, 395)),),
    "clock": _RED,
    "backpack": _RED,
    "bag": (Part((10, 45)),),
    "shoe": (Part((190, 230)),),
    "shirt": (Part((170, 230), (0.1, 1)),),
    "balloon": (Part((330, 390)),),
    "flower": (Part((310, 390)),),
}


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT), _STRIKE, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=512)
def glyph(name: str, colour: str = "", mirrored: bool = False) -> Image.Image:
    """Return the artwork of a thing, RGBA, cropped to its ink.

    Parameters
    ----------
    colour : one of the thing's colours; "" (default) for the natural look.
    mirrored : whether left and right are exchanged. Default False.
    """
    if mirrored:
        return glyph(name, colour).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    sheet = Image.new("RGBA", (2 * _STRIKE, 2 * _STRIKE), (0, 0, 0, 0))
    ImageDraw.Draw(sheet).text((20, 20), THINGS[name].glyph, font=_font(), embedded_color=True)
    whole = sheet.crop(sheet.getchannel("A").point(lambda value: 255 * (value > 24)).getbbox())
    return recoloured(whole, PARTS[name], RGB[colour]) if colour else whole


def recoloured(whole: Image.Image, parts: tuple[Part, ...], target: tuple[int, int, int]) -> Image.Image:
    """Return the artwork with some parts in another colour; their shading stays.

    A pixel as bright as the part's middle gets exactly the target colour; darker ones a darker shade, lighter
    ones a mixture with white.
    """
    pixels = np.asarray(whole, dtype=np.float32) / np.float32(255)
    rgb = pixels[..., :3]
    light = rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    colour = np.array(target, dtype=np.float32) / 255
    made = pixels.copy()
    for part in parts:
        chosen = _covers(part, rgb) & (pixels[..., 3] > 0.05)
        middle = float(np.median(light[chosen]))
        ratio = (light / middle)[..., None]
        dark = colour * np.minimum(ratio, 1) ** 0.8
        bright = np.clip((light - middle) / max(1 - middle, 1e-3), 0, 1)[..., None] * 0.6
        shaded = np.where(ratio <= 1, dark, colour + (1 - colour) * bright)
        made[..., :3][chosen] = shaded[chosen]
    return Image.fromarray(np.rint(made * 255).astype(np.uint8))


def _covers(part: Part, rgb: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which pixels belong to a part, bool [height, width]."""
    value, low = rgb.max(-1), rgb.min(-1)
    span = value - low
    saturation = span / np.maximum(value, 1e-6)
    r, g, b = np.moveaxis(rgb, -1, 0)
    safe = np.maximum(span, 1e-6)
    hue = np.where(value == r, (g - b) / safe, np.where(value == g, 2 + (b - r) / safe, 4 + (r - g) / safe))
    hue = (60 * hue) % 360
    first, last = part.hues
    inside = ((hue - first) % 360 <= last - first) if last - first < 360 else np.ones_like(hue, dtype=bool)
    rows = (np.arange(len(rgb)) + 0.5)[:, None] / len(rgb)
    inside &= (part.saturation[0] <= saturation) & (saturation <= part.saturation[1])
    inside &= (part.value[0] <= value) & (value <= part.value[1])
    covered: NDArray[np.bool_] = inside & (part.rows[0] <= rows) & (rows <= part.rows[1])
    return covered


@lru_cache(maxsize=128)
def half_extent(name: str) -> tuple[float, float]:
    """Return half of the width and of the height of an upright thing, in radii: the larger one is 1."""
    whole = glyph(name)
    longest = max(whole.size)
    return whole.width / longest, whole.height / longest


@lru_cache(maxsize=2048)
def silhouette(name: str, radius: int, angle: int = 0, mirrored: bool = False) -> Image.Image:
    """Return the coverage of a thing as drawn, mode "L"; it is the same in every colour."""
    return _drawn(glyph(name, "", mirrored).getchannel("A"), radius, angle)


@lru_cache(maxsize=2048)
def art(
    name: str, colour: str, radius: int, angle: int = 0, mirrored: bool = False
) -> tuple[Image.Image, Image.Image]:
    """Return a thing as drawn: its coverage, mode "L", and its pixels, RGB, with its centre in the middle.

    Parameters
    ----------
    radius : half of the longer side of the upright thing, in pixels.
    angle : clockwise turn in degrees. Default 0.
    """
    made = _drawn(glyph(name, colour, mirrored), radius, angle)
    return made.getchannel("A"), made.convert("RGB")


def _drawn(whole: Image.Image, radius: int, angle: int) -> Image.Image:
    factor = 2 * radius / max(whole.size)
    size = (max(1, round(whole.width * factor)), max(1, round(whole.height * factor)))
    made = whole.resize(size, Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC)
    return made.rotate(-angle, Image.Resampling.BICUBIC, expand=True) if angle else made
