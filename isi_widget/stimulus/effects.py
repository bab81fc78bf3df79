"""Effects on existing pixels, in the whole image or a region: GaussianNoise, Blur, Pixelate, Downscale, Jpeg,
Erase.

Each effect acts on the result of the operations before it and never changes a pixel outside its region (with
the soft edge of a mask). Not for defining regions (see `regions`).
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from isi_widget.errors import InputError
from isi_widget.stimulus import checks, effort
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.coverage import Bounds
from isi_widget.stimulus.mask import Mask
from isi_widget.stimulus.membrane import membrane
from isi_widget.stimulus.operations import register
from isi_widget.stimulus.regions import (
    Region,
    check_region,
    polygon_of,
    region_bounds,
    region_mask,
    whole_pixels,
)

#: Largest standard deviation, pixels: far above it Pillow's blur becomes inexact (and darker).
LARGEST_BLUR = 1000.0
LARGEST_BLOCK = 1_000_000
#: Longest side that libjpeg writes, pixels.
LARGEST_JPEG = 65_500
_NOISE_VALUES = 3_000_000  # handled at a time, to bound memory
_SQUARE_PIXELS = 4_000_000  # handled at a time, to bound memory


class _Effect(Drawing):
    """Base class of the effects. Each subclass declares the field `region` itself, to keep the order of
    fields.
    """

    region: Region

    @property
    def truth(self) -> str:
        """Return "keeps": the same things are shown, less clearly."""
        return "keeps"

    @property
    def regions(self) -> tuple[Region, ...]:
        """The region."""
        return (self.region,)

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from the area of the region's box; a polygon adds its crossings, row by row."""
        left, top, right, bottom = region_bounds(self.region, size)
        found = self._of_a_pixel() * (right - left) * (bottom - top)
        points = polygon_of(self.region)
        if points is not None:
            found += effort.CROSSED * effort.crossings(points, effort.height(points), size)
        if isinstance(self.region, Mask):
            of_a_pixel = effort.FEATHERED if self.region.feather else effort.MASKED
            found += of_a_pixel * (right - left) * (bottom - top) + effort.RUN * self.region.run_count
        return found

    def _of_a_pixel(self) -> float:
        """Return nanoseconds per pixel."""
        raise NotImplementedError


@register
@dataclass(frozen=True)
class GaussianNoise(_Effect):
    """Independent Gaussian noise on every pixel and channel, clipped to the valid range.

    The values depend only on the seed and the size of the region's box (or of the image), not on other
    drawings.

    sigma : standard deviation on an intensity scale of 0 to 1; default 0.2.
    seed : seed of the noise; default 0.
    region : (x, y, width, height), rounded to whole pixels; a polygon; a `Mask`; or None (default) for the
        whole image.
    """

    op: ClassVar[str] = "noise"
    sigma: float = 0.2
    seed: int = 0
    region: Region = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            sigma=checks.number(self.sigma, self._name("sigma"), low=0, high=1),
            seed=checks.integer(self.seed, self._name("seed")),
            region=check_region(self.region, self._name("region")),
        )

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the region's box on whole pixels, inside the image."""
        return (0, 0, 0, 0) if self.sigma == 0 else region_bounds(self.region, size)

    def _of_a_pixel(self) -> float:
        return effort.NOISY

    def draw(self, image: Image.Image) -> None:
        """Add the noise band by band; the random stream does not depend on the size of a band."""
        left, top, right, bottom = self.bounds(image.size)
        generator = np.random.default_rng(self.seed)
        rows = max(1, _NOISE_VALUES // max(1, 3 * (right - left)))
        mask = region_mask(self.region, (left, top, right, bottom))
        for start in range(top, bottom, rows):
            box = (left, start, right, min(bottom, start + rows))
            values = np.asarray(image.crop(box)).astype(np.float32)
            values += generator.standard_normal(values.shape, dtype=np.float32) * np.float32(self.sigma * 255)
            np.clip(np.rint(values, out=values), 0, 255, out=values)
            noisy = Image.fromarray(values.astype(np.uint8))
            part = mask and mask.crop((0, start - top, right - left, box[3] - top))
            image.paste(noisy, (left, start), part)


@register
@dataclass(frozen=True)
class Blur(_Effect):
    """Gaussian blur of standard deviation `radius` pixels (Pillow's, three box filters).

    Pixels around the region blend into it, as if the whole image were blurred and then cut to the region.

    radius : standard deviation, pixels.
    region : (x, y, width, height), rounded to whole pixels; a polygon; a `Mask`; or None (default) for the
        whole image.
    """

    op: ClassVar[str] = "blur"
    radius: float
    region: Region = None

    def __post_init__(self) -> None:
        super().__post_init__()
        radius = checks.number(self.radius, self._name("radius"), low=0, high=LARGEST_BLUR)
        if radius == 0:
            raise InputError(f"{self._name('radius')} must be more than 0; without a blur leave it out.")
        self._set(radius=radius, region=check_region(self.region, self._name("region")))

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the region's box on whole pixels, inside the image."""
        return region_bounds(self.region, size)

    def _of_a_pixel(self) -> float:
        return effort.BLURRED

    def draw(self, image: Image.Image) -> None:
        """Blur the box together with the surroundings that the filter reaches."""
        _paint(image, self.region, self._blurred)

    def _blurred(self, image: Image.Image, bounds: Bounds) -> Image.Image:
        left, top, right, bottom = bounds
        # Pillow applies three box filters of variance radius^2 / 3 each, and rounds their reach up.
        reach = 3 * (math.ceil((math.sqrt(4 * self.radius**2 + 1) - 1) / 2) + 1)
        x0, y0 = max(0, left - reach), max(0, top - reach)
        x1, y1 = min(image.width, right + reach), min(image.height, bottom + reach)
        blurred = image.crop((x0, y0, x1, y1)).filter(ImageFilter.GaussianBlur(self.radius))
        return blurred.crop((left - x0, top - y0, right - x0, bottom - y0))


@register
@dataclass(frozen=True)
class Pixelate(_Effect):
    """Squares of `size` x `size` pixels, each filled with its mean colour. The first square starts at the top
    left of the region's box; the last squares are clipped to the box and the image.

    size : side of a square, pixels.
    region : (x, y, width, height), rounded to whole pixels; a polygon or `Mask`, whose squares are those
        of its box; or None (default) for the whole image.
    """

    op: ClassVar[str] = "pixelate"
    size: int
    region: Region = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            size=checks.integer(self.size, self._name("size"), low=2, high=LARGEST_BLOCK),
            region=check_region(self.region, self._name("region")),
        )

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the region's box on whole pixels, inside the image."""
        return region_bounds(self.region, size)

    def _of_a_pixel(self) -> float:
        return effort.SQUARED

    def draw(self, image: Image.Image) -> None:
        """Sum the squares, exactly, and spread their means."""
        _paint(image, self.region, self._squares)

    def _squares(self, image: Image.Image, bounds: Bounds) -> Image.Image:
        left, top, right, bottom = bounds
        x, y = whole_pixels(self.region, image.size)[:2]
        columns, rows = self._edges(x, left, right), self._edges(y, top, bottom)
        result = Image.new("RGB", (right - left, bottom - top))
        step = max(1, _SQUARE_PIXELS // (self.size * (right - left)))
        for start in range(0, len(rows) - 1, step):
            some = rows[start : start + step + 1]
            band = image.crop((left, top + int(some[0]), right, top + int(some[-1])))
            lines = _sums(np.asarray(band), some - some[0], np.uint32)
            sums = _sums(lines.swapaxes(0, 1), columns, np.uint64).swapaxes(0, 1)
            counts = np.outer(np.diff(some), np.diff(columns)).astype(np.uint64)[:, :, None]
            means = ((2 * sums + counts) // (2 * counts)).astype(np.uint8)
            spread = np.repeat(np.repeat(means, np.diff(columns), axis=1), np.diff(some), axis=0)
            result.paste(Image.fromarray(spread), (0, int(some[0])))
        return result

    def _edges(self, origin: int, low: int, high: int) -> NDArray[np.int64]:
        """Return the edges, inside [low, high) and relative to low, of squares that start at `origin`."""
        first = origin + ((low - origin) // self.size + 1) * self.size
        return np.array([low, *range(first, high, self.size), high]) - low


@register
@dataclass(frozen=True)
class Downscale(_Effect):
    """The detail of a smaller picture: reduced to `size` pixels and enlarged again, both by Pillow's bicubic
    filter, so that places in the image stay where they are.

    size : longer side of the reduced image, pixels; an image that is no larger is not changed.
    region : (x, y, width, height), rounded to whole pixels; a polygon; or None (default) for the whole image.
        The whole image is reduced; the region is cut from it.
    """

    op: ClassVar[str] = "downscale"
    size: int
    region: Region = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            size=checks.integer(self.size, self._name("size"), low=1, high=LARGEST_BLOCK),
            region=check_region(self.region, self._name("region")),
        )

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the region's box on whole pixels, inside the image."""
        return (0, 0, 0, 0) if self.size >= max(size) else region_bounds(self.region, size)

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from the area of the whole image."""
        return super().effort(size) + effort.RESIZED * size[0] * size[1]

    def _of_a_pixel(self) -> float:
        return effort.ERASED

    def draw(self, image: Image.Image) -> None:
        """Reduce, enlarge and cut."""
        if self.size < max(image.size):
            _paint(image, self.region, self._reduced)

    def _reduced(self, image: Image.Image, bounds: Bounds) -> Image.Image:
        scale = self.size / max(image.size)
        small = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        bicubic = Image.Resampling.BICUBIC
        return image.resize(small, bicubic).resize(image.size, bicubic).crop(bounds)


@register
@dataclass(frozen=True)
class Jpeg(_Effect):
    """The artefacts of JPEG compression: the image is written as JPEG (4:2:0) and read again.

    The bytes of a JPEG depend on the version of libjpeg in Pillow, so pixels may differ by a few levels
    between installations, unlike those of all other operations.

    quality : quality of libjpeg, 1 (worst) to 95.
    region : (x, y, width, height), rounded to whole pixels; a polygon; or None (default) for the whole image.
        The whole image is compressed; the region is cut from it.
    """

    op: ClassVar[str] = "jpeg"
    quality: int
    region: Region = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            quality=checks.integer(self.quality, self._name("quality"), low=1, high=95),
            region=check_region(self.region, self._name("region")),
        )

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the region's box on whole pixels, inside the image."""
        return region_bounds(self.region, size)

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from the area of the whole image.

        Raises
        ------
        InputError : a side of the image is longer than a JPEG may have.
        """
        if max(size) > LARGEST_JPEG:
            raise InputError(
                f"{self.op}: the sides of a JPEG have at most {LARGEST_JPEG} pixels, but the image is "
                f"{size[0]} x {size[1]}; make it smaller first."
            )
        return super().effort(size) + effort.COMPRESSED * size[0] * size[1]

    def _of_a_pixel(self) -> float:
        return effort.ERASED

    def draw(self, image: Image.Image) -> None:
        """Compress, read and cut."""
        _paint(image, self.region, self._compressed)

    def _compressed(self, image: Image.Image, bounds: Bounds) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=self.quality, subsampling="4:2:0", optimize=False)
        with Image.open(buffer) as read:
            return read.convert("RGB").crop(bounds)


@register
@dataclass(frozen=True)
class Erase(_Effect):
    """A region filled with a colour or with its surroundings.

    region : (x, y, width, height), rounded to whole pixels, a polygon, a `Mask`, or None for the whole image.
    fill : "mean" (default; mean colour of the whole image before this operation), "inpaint" (smooth
        continuation of the surroundings, see `membrane`; the mean colour if there are none), or a colour.
    """

    op: ClassVar[str] = "erase"
    region: Region = None
    fill: str = "mean"

    @property
    def truth(self) -> str:
        """Return "may change": it covers things."""
        return "may change"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(region=check_region(self.region, self._name("region")), fill=self._filling())
        if self.fill == "inpaint" and self.region is None:
            raise InputError(
                f'{self._name("region")} must be given for the fill "inpaint", which continues the pixels '
                "around it."
            )

    def _filling(self) -> str:
        if self.fill in ("mean", "inpaint"):
            return self.fill
        try:
            return checks.color(self.fill, self._name("fill"))
        except InputError as error:
            raise InputError(f'{error} "mean" and "inpaint" are fills, too.') from None

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the region's box on whole pixels, inside the image."""
        return region_bounds(self.region, size)

    def _of_a_pixel(self) -> float:
        return effort.INPAINTED if self.fill == "inpaint" else effort.ERASED

    def draw(self, image: Image.Image) -> None:
        """Fill the region."""
        _paint(image, self.region, self._filled)

    def _filled(self, image: Image.Image, bounds: Bounds) -> Image.Image:
        left, top, right, bottom = bounds
        if self.fill == "inpaint":
            x0, y0 = max(0, left - 1), max(0, top - 1)
            around = (x0, y0, min(image.width, right + 1), min(image.height, bottom + 1))
            values = np.asarray(image.crop(around))
            unknown = np.zeros(values.shape[:2], dtype=np.bool_)
            mask = region_mask(self.region, bounds)
            inside = True if mask is None else np.asarray(mask) > 0
            unknown[top - y0 : bottom - y0, left - x0 : right - x0] = inside
            if not unknown.all():
                filled = Image.fromarray(membrane(values, unknown))
                return filled.crop((left - x0, top - y0, right - x0, bottom - y0))
        color = mean_color(image) if self.fill in ("mean", "inpaint") else self.fill
        return Image.new("RGB", (right - left, bottom - top), color)


def mean_color(image: Image.Image) -> tuple[int, int, int]:
    """Return the mean of each channel of an RGB image, rounded half up; exact."""
    counts = np.array(image.histogram(), dtype=np.int64).reshape(3, 256)
    sums, number = counts @ np.arange(256), image.width * image.height
    red, green, blue = ((2 * int(total) + number) // (2 * number) for total in sums)
    return red, green, blue


def _sums(
    values: NDArray[Any], edges: NDArray[np.int64], dtype: type[np.unsignedinteger[Any]]
) -> NDArray[Any]:
    """Return sums along the first axis between one edge and the next (NumPy's reduceat is many
    times slower).
    """
    return np.stack([values[a:b].sum(axis=0, dtype=dtype) for a, b in itertools.pairwise(edges)])


def _paint(image: Image.Image, region: Region, effect: Callable[[Image.Image, Bounds], Image.Image]) -> None:
    """Replace the pixels of the region by what `effect` makes of its bounds."""
    bounds = region_bounds(region, image.size)
    if bounds[0] < bounds[2]:
        image.paste(effect(image, bounds), bounds[:2], region_mask(region, bounds))
