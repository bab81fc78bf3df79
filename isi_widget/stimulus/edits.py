"""Edits of things and of their relations: Remove, Move, Resize, Swap, Mirror.

Each acts on the picture as the operations before it left it, and changes no pixel outside its regions (with
the soft edges of masks) and the places of the pasted pieces. Not for attributes (see `attributes`), nor for
pictures that are put in (see `insertion`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from isi_widget.errors import InputError
from isi_widget.stimulus import checks
from isi_widget.stimulus.coverage import Bounds, pixel_bounds
from isi_widget.stimulus.holes import HoleEdit
from isi_widget.stimulus.mask import Mask
from isi_widget.stimulus.operations import register
from isi_widget.stimulus.pieces import NOWHERE, Piece, middle, outline, rounded
from isi_widget.stimulus.regions import Region, check_region, polygon_of, region_bounds

SMALLEST_FACTOR, LARGEST_FACTOR = 0.01, 100.0
DIRECTIONS = ("horizontal", "vertical")


@register
@dataclass(frozen=True)
class Remove(HoleEdit):
    """A region filled with a continuation of its surroundings, so that the thing in it is removed.

    region : (x, y, width, height), rounded to whole pixels; a polygon; or a `Mask`.
    """

    op: ClassVar[str] = "remove"
    region: Region

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(region=given_region(self.region, self._name("region")))

    @property
    def holes(self) -> tuple[Region, ...]:
        """The region."""
        return (self.region,)


@register
@dataclass(frozen=True)
class Move(HoleEdit):
    """The content of a region moved to a different place; its former place is in-painted.

    region : (x, y, width, height), rounded to whole pixels; a polygon; or a `Mask`.
    to : (x, y) of the new top left of the region's box, rounded to whole pixels.
    """

    op: ClassVar[str] = "move"
    region: Region
    to: tuple[float, float]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            region=given_region(self.region, self._name("region")),
            to=checks.point(self.to, self._name("to")),
        )

    @property
    def holes(self) -> tuple[Region, ...]:
        """The region."""
        return (self.region,)

    def pieces(self, image: Image.Image) -> list[Piece]:
        """Return the content of the region at its new place."""
        piece = Piece.of(image, self.region)
        return [] if piece is None else [piece.moved(*self._way(image.size))]

    def places(self, size: tuple[int, int]) -> list[Bounds]:
        """Return the box of the new place."""
        return [_shifted(region_bounds(self.region, size), *self._way(size), size)]

    def _way(self, size: tuple[int, int]) -> tuple[int, int]:
        left, top = outline(self.region, size)[:2]
        return rounded(self.to[0]) - left, rounded(self.to[1]) - top


@register
@dataclass(frozen=True)
class Resize(HoleEdit):
    """The content of a region resized (bicubic) about the centre of its box; its former place is in-painted.

    region : (x, y, width, height), rounded to whole pixels; a polygon; or a `Mask`.
    factor : ratio of the new width and height to the former ones, 0.01 to 100.
    """

    op: ClassVar[str] = "resize"
    region: Region
    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            region=given_region(self.region, self._name("region")),
            factor=checks.number(self.factor, self._name("factor"), low=SMALLEST_FACTOR, high=LARGEST_FACTOR),
        )

    @property
    def holes(self) -> tuple[Region, ...]:
        """The region."""
        return (self.region,)

    def pieces(self, image: Image.Image) -> list[Piece]:
        """Return the content of the region with its new size."""
        piece = Piece.of(image, self.region)
        resized = None if piece is None else piece.resized(self._target(image.size), image.size)
        return [] if resized is None else [resized]

    def places(self, size: tuple[int, int]) -> list[Bounds]:
        """Return the box of the resized content."""
        if region_bounds(self.region, size) == NOWHERE:
            return []
        return [pixel_bounds(*self._target(size), size)]

    def _target(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        left, top, right, bottom = region_bounds(self.region, size)
        x, y = middle(self.region, size)
        x0, y0 = rounded(x + (left - x) * self.factor), rounded(y + (top - y) * self.factor)
        x1, y1 = rounded(x + (right - x) * self.factor), rounded(y + (bottom - y) * self.factor)
        return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


@register
@dataclass(frozen=True)
class Swap(HoleEdit):
    """The contents of two regions with their places exchanged: the centres of their boxes. Sizes stay; the
    former places are in-painted. Where the contents overlap, that of `other` is on top.

    region : (x, y, width, height), rounded to whole pixels; a polygon; or a `Mask`.
    other : region of the other thing, as `region`.
    """

    op: ClassVar[str] = "swap"
    region: Region
    other: Region

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            region=given_region(self.region, self._name("region")),
            other=given_region(self.other, self._name("other")),
        )

    @property
    def holes(self) -> tuple[Region, ...]:
        """Both regions."""
        return (self.region, self.other)

    def pieces(self, image: Image.Image) -> list[Piece]:
        """Return both contents at their new places."""
        x, y = self._way(image.size)
        first, second = Piece.of(image, self.region), Piece.of(image, self.other)
        moved = (first and first.moved(x, y), second and second.moved(-x, -y))
        return [piece for piece in moved if piece is not None]

    def places(self, size: tuple[int, int]) -> list[Bounds]:
        """Return the boxes of the new places."""
        x, y = self._way(size)
        return [
            _shifted(region_bounds(self.region, size), x, y, size),
            _shifted(region_bounds(self.other, size), -x, -y, size),
        ]

    def _way(self, size: tuple[int, int]) -> tuple[int, int]:
        (x0, y0), (x1, y1) = middle(self.region, size), middle(self.other, size)
        return rounded(x1 - x0), rounded(y1 - y0)


@register
@dataclass(frozen=True)
class Mirror(HoleEdit):
    """The picture, or the content of a region, mirrored in its box. A polygon or mask leaves a hole where its
    mirror image does not cover it, which is in-painted; the whole picture and a rectangle leave none.

    region : (x, y, width, height), rounded to whole pixels; a polygon; a `Mask`; or None (default) for the
        whole picture.
    direction : "horizontal" (default; left and right are exchanged) or "vertical" (top and bottom).
    """

    op: ClassVar[str] = "mirror"
    region: Region = None
    direction: str = "horizontal"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            region=check_region(self.region, self._name("region")),
            direction=checks.one_of(self.direction, self._name("direction"), DIRECTIONS),
        )

    @property
    def holes(self) -> tuple[Region, ...]:
        """The region, if it is a polygon or mask."""
        return (self.region,) if polygon_of(self.region) or isinstance(self.region, Mask) else ()

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the box of the region, inside the image."""
        return super().bounds(size) if self.holes else region_bounds(self.region, size)

    def pieces(self, image: Image.Image) -> list[Piece]:
        """Return the mirrored content. Of a rectangle that reaches beyond the image, the visible part is
        mirrored.
        """
        piece = Piece.of(image, self.region)
        if piece is None:
            return []
        center = middle(self.region, image.size)
        if not self.holes:
            center = (piece.left + piece.image.width / 2, piece.top + piece.image.height / 2)
        return [piece.mirrored(center, self.direction == "vertical")]

    def places(self, size: tuple[int, int]) -> list[Bounds]:
        """Return the box of the mirrored content."""
        left, top, right, bottom = bounds = region_bounds(self.region, size)
        if bounds == NOWHERE or not self.holes:
            return [bounds]
        x, y = middle(self.region, size)
        if self.direction == "vertical":
            return [pixel_bounds(left, rounded(2 * y) - bottom, right, rounded(2 * y) - top, size)]
        return [pixel_bounds(rounded(2 * x) - right, top, rounded(2 * x) - left, bottom, size)]


def given_region(value: object, name: str) -> Region:
    """Return a region in normal form; the whole image is refused."""
    if value is None:
        raise InputError(
            f"{name} must be a rectangle [x, y, width, height], the points of a polygon or a Mask; got none."
        )
    return check_region(value, name)


def _shifted(bounds: Bounds, x: int, y: int, size: tuple[int, int]) -> Bounds:
    if bounds == NOWHERE:
        return NOWHERE
    left, top, right, bottom = bounds
    return pixel_bounds(left + x, top + y, right + x, bottom + y, size)
