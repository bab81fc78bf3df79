"""Edits of attributes: Recolor and Retexture. Both keep the shading of the thing.

Not for things as a whole (see `edits`), nor for the colour space (see `oklab`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from isi_widget.errors import InputError
from isi_widget.stimulus import checks, effort
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.coverage import Bounds
from isi_widget.stimulus.edits import given_region
from isi_widget.stimulus.mask import Mask
from isi_widget.stimulus.oklab import LEVELS, from_oklab, lightness, shades, to_oklab
from isi_widget.stimulus.operations import PICTURE, register
from isi_widget.stimulus.picture import Picture
from isi_widget.stimulus.pieces import NOWHERE
from isi_widget.stimulus.regions import Region, check_region, region_bounds, region_mask

# Black and white leave room for shades.
_DARKEST, _LIGHTEST = 0.12, 0.96
_CELLS = 12  # of the shading of a texture, along the longer side of the region's box
_ROWS = 1_000_000  # pixels handled at a time, to bound memory


class _Attribute(Drawing):
    """Base class of edits of attributes; each subclass declares the field `region` itself."""

    region: Region

    @property
    def regions(self) -> tuple[Region, ...]:
        """The region."""
        return (self.region,)

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the region's box on whole pixels, inside the image."""
        return region_bounds(self.region, size)

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from the area of the region's box."""
        left, top, right, bottom = region_bounds(self.region, size)
        return effort.RECOLORED * (right - left) * (bottom - top)


@register
@dataclass(frozen=True)
class Recolor(_Attribute):
    """A region in a different colour, with its shading.

    Every pixel gets hue and chroma of the colour, in OKLab. Lightness is shifted so that its median over
    the region is that of the colour, and differences of lightness stay, or shrink where there is no room
    for them.

    region : (x, y, width, height), rounded to whole pixels; a polygon; or a `Mask`.
    color : new colour, such as "blue" or "#0000ff"; black, white and grey, too.
    """

    op: ClassVar[str] = "recolor"
    region: Region
    color: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            region=given_region(self.region, self._name("region")),
            color=checks.color(self.color, self._name("color")),
        )

    def draw(self, image: Image.Image) -> None:
        """Look the colour of each lightness up in a table."""
        bounds = region_bounds(self.region, image.size)
        if bounds == NOWHERE:
            return
        mask = region_mask(self.region, bounds)
        values = np.asarray(image.crop(bounds))
        light = _lightness(values)
        target, a, b = map(float, to_oklab(np.array(ImageColor.getrgb(self.color), dtype=np.uint8)))
        table = shades(a, b)[np.rint(_shift(_median(light, mask), target) * (LEVELS - 1)).astype(np.int64)]
        steps = np.clip(np.rint(light * (LEVELS - 1)), 0, LEVELS - 1).astype(np.int64)
        image.paste(Image.fromarray(table[steps]), bounds[:2], mask)


@register
@dataclass(frozen=True)
class Retexture(_Attribute):
    """A region with a different texture, and its own shading.

    The texture fills the region's box in its own size, with every second copy mirrored, so that no seam
    shows. The coarse shading of the region (lightness on a grid of 12 cells) is added to it, in OKLab.

    region : (x, y, width, height), rounded to whole pixels; a polygon; or a `Mask`.
    picture : picture with the texture (in JSON its SHA-256, under "image"); None (default) is the picture
        as the operations before this one left it.
    source : part of that picture which is the texture: a rectangle, or the box of a polygon or `Mask`; None
        (default) is all of it.
    """

    op: ClassVar[str] = "retexture"
    region: Region
    picture: Picture | None = field(default=None, metadata=PICTURE)
    source: Region = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            region=given_region(self.region, self._name("region")),
            source=check_region(self.source, self._name("source")),
        )
        check_picture(self.picture, self._name("picture"))
        if self.picture is not None:
            check_source(self.source, self.picture.size, self._name("source"))

    @property
    def masks(self) -> tuple[Mask, ...]:
        """Its masks of the image itself; a mask of another picture has that one's size."""
        own = (self.region, *((self.source,) if self.picture is None else ()))
        return tuple(region for region in own if isinstance(region, Mask))

    def draw(self, image: Image.Image) -> None:
        """Tile the texture, and add the shading."""
        bounds = region_bounds(self.region, image.size)
        origin = image if self.picture is None else self.picture._image
        part = region_bounds(self.source, origin.size)
        if bounds == NOWHERE or part == NOWHERE:
            return
        width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
        texture = np.asarray(origin.crop(part))
        rows, columns = _there_and_back(texture.shape[0], height), _there_and_back(texture.shape[1], width)
        lab = to_oklab(texture)
        mask = region_mask(self.region, bounds)
        shade = _shading(_lightness(np.asarray(image.crop(bounds))), mask)
        made = np.empty((height, width, 3), dtype=np.uint8)
        step = max(1, _ROWS // width)
        for start in range(0, height, step):
            tiles = lab[rows[start : start + step]][:, columns]
            tiles[..., 0] = np.clip(tiles[..., 0] + shade[start : start + step], 0, 1)
            made[start : start + step] = from_oklab(tiles)
        image.paste(Image.fromarray(made), bounds[:2], mask)


def check_picture(value: object, name: str) -> None:
    """Refuse what is neither a picture nor None."""
    if value is not None and not isinstance(value, Picture):
        raise InputError(f"{name} must be a Picture or None, got {type(value).__name__}.")


def check_source(source: Region, size: tuple[int, int], name: str) -> None:
    """Refuse a part of a picture that lies outside of it, or a mask of a picture of a different size."""
    if isinstance(source, Mask) and source.size != size:
        raise InputError(
            f"{name} is a mask of an image of {source.size[0]} x {source.size[1]} pixels, but the picture "
            f"has {size[0]} x {size[1]}; make the mask of this picture."
        )
    if region_bounds(source, size) == NOWHERE:
        raise InputError(f"{name} lies outside the picture of {size[0]} x {size[1]} pixels, or is empty.")


def _lightness(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the lightness of RGB [height, width, 3], some rows at a time."""
    height, width = values.shape[:2]
    step = max(1, _ROWS // width)
    return np.concatenate([lightness(values[start : start + step]) for start in range(0, height, step)])


def _weights(mask: Image.Image | None, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if mask is None:
        return np.ones(shape, dtype=np.float32)
    return np.asarray(mask).astype(np.float32) / np.float32(255)


def _median(light: NDArray[np.float32], mask: Image.Image | None) -> float:
    """Return the median lightness of the pixels that are mostly inside a mask, of `LEVELS` values."""
    inside = light if mask is None else light[np.asarray(mask) > 127]
    return round(float(np.median(inside)) * (LEVELS - 1)) / (LEVELS - 1) if inside.size else 0.5


def _shift(median: float, target: float) -> NDArray[np.float64]:
    """Return the new lightness of each of `LEVELS` values: `median` becomes the lightness of the colour."""
    light = np.linspace(0, 1, LEVELS)
    middle = min(max(target, _DARKEST), _LIGHTEST)
    down = min(1.0, middle / median) if median else 1.0
    up = min(1.0, (1 - middle) / (1 - median)) if median < 1 else 1.0
    new: NDArray[np.float64] = middle + (light - median) * np.where(light < median, down, up)
    return np.clip(new, 0, 1)


def _shading(light: NDArray[np.float32], mask: Image.Image | None) -> NDArray[np.float32]:
    """Return the coarse lightness of a region relative to its median: each cell is the mean of its pixels
    inside the mask.
    """
    height, width = light.shape
    weights = _weights(mask, light.shape)
    scale = _CELLS / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    median = _median(light, mask)

    def small(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX), dtype=np.float32)

    share = small(weights)
    rest = small((light - np.float32(median)) * weights)
    cells = np.divide(rest, share, out=np.zeros_like(rest), where=share > 1e-3)
    smooth = Image.fromarray(cells).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(smooth, dtype=np.float32)


def _there_and_back(count: int, length: int) -> NDArray[np.int64]:
    """Return `length` indices into `count` items: forwards, backwards, forwards, ..."""
    at = np.arange(length) % (2 * count)
    return np.where(at < count, at, 2 * count - 1 - at)
