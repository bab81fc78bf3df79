"""`Insert`: a picture, or a part of one, put into the image with a soft edge.

Not for copies with fractional positions (see `copied_patch`), nor for moving things (see `edits`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from PIL import Image

from isi_widget.errors import InputError
from isi_widget.stimulus import checks, effort
from isi_widget.stimulus.attributes import check_picture, check_source
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.coverage import Bounds, pixel_bounds
from isi_widget.stimulus.mask import WIDEST, Mask
from isi_widget.stimulus.operations import PICTURE, register
from isi_widget.stimulus.picture import Picture
from isi_widget.stimulus.pieces import NOWHERE, Piece, outline, rounded
from isi_widget.stimulus.regions import Region, check_region, region_bounds


@register
@dataclass(frozen=True)
class Insert(Drawing):
    """A picture, or a part of it, put into the image.

    picture : picture (in JSON its SHA-256, under "image"); None is the picture as the operations before
        this one left it, so that a thing is copied.
    place : (x, y) of the new top left of the part's box, or (x, y, width, height), rounded to whole pixels;
        with its own size pixels are copied exactly, otherwise resized (bicubic).
    source : part of the picture: a rectangle, a polygon or a `Mask`; None (default) is all of it.
    feather : width of the soft edge inside the outline, pixels; default 0.
    """

    op: ClassVar[str] = "insert"
    picture: Picture | None = field(metadata=PICTURE)
    place: tuple[float, ...]
    source: Region = None
    feather: float = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            place=self._checked_place(),
            source=check_region(self.source, self._name("source")),
            feather=checks.number(self.feather, self._name("feather"), low=0, high=WIDEST),
        )
        check_picture(self.picture, self._name("picture"))
        if self.picture is not None:
            check_source(self.source, self.picture.size, self._name("source"))

    def _checked_place(self) -> tuple[float, ...]:
        name, value = self._name("place"), self.place
        if hasattr(value, "__len__") and len(value) == 2:
            return checks.point(value, name)
        if not hasattr(value, "__len__") or len(value) != 4:
            raise InputError(f"{name} must be [x, y] or [x, y, width, height]; got {value!r:.80}.")
        return checks.region(value, name)

    @property
    def regions(self) -> tuple[Region, ...]:
        """The part of the picture that is inserted."""
        return (self.source,)

    @property
    def masks(self) -> tuple[Mask, ...]:
        """`source`, if it is a mask of the image itself; a mask of another picture has that one's size."""
        return (self.source,) if self.picture is None and isinstance(self.source, Mask) else ()

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the box of the inserted part, inside the image."""
        of = size if self.picture is None else self.picture.size
        if region_bounds(self.source, of) == NOWHERE:
            return NOWHERE
        return pixel_bounds(*self._target(of), size)

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from the areas of the source and of the target."""
        total = 0
        for left, top, right, bottom in (
            self.bounds(size),
            region_bounds(self.source, size if self.picture is None else self.picture.size),
        ):
            total += (right - left) * (bottom - top)
        return effort.EDITED * total

    def draw(self, image: Image.Image) -> None:
        """Cut the part out, resize it, soften its edge and paste it."""
        origin = image if self.picture is None else self.picture._image
        piece = Piece.of(origin, self.source)
        if piece is None:
            return
        target = self._target(origin.size)
        if (target[2] - target[0], target[3] - target[1]) == piece.image.size:
            piece = Piece(piece.image, piece.alpha, target[0], target[1])
        else:
            resized = piece.resized(target, image.size)
            if resized is None:
                return
            piece = resized
        piece.feathered(self.feather, image.size).paste(image)

    def _target(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return left, top, right, bottom of the part's visible box, cut from a picture of `size`."""
        left, top, right, bottom = region_bounds(self.source, size)
        x0, y0, x1, y1 = outline(self.source, size)
        x, y = self.place[:2]
        if len(self.place) == 2:
            across = down = 1.0
        else:
            across = self.place[2] / max(1, x1 - x0)
            down = self.place[3] / max(1, y1 - y0)
        new = (x + (left - x0) * across, y + (top - y0) * down)
        end = (x + (right - x0) * across, y + (bottom - y0) * down)
        (a, b), (c, d) = map(rounded, new), map(rounded, end)
        return a, b, max(c, a + 1), max(d, b + 1)
