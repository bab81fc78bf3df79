"""`HoleEdit`: base class of edits that leave a hole, which an in-painter fills.

The pixels of the in-painter are stored in the operation, with a key of all that they were computed from: the
picture beneath, the hole and the settings. So JSON renders the same everywhere, without the in-painter, and
pixels of a different picture are never shown. Not for computing the pixels (see `completing`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isi_widget.errors import InputError
from isi_widget.running.stages import Cancel, Progress
from isi_widget.stimulus import checks, effort
from isi_widget.stimulus import inpainting as ip
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.coverage import Bounds
from isi_widget.stimulus.operations import SPARSE, Operation, plain
from isi_widget.stimulus.picture import Picture
from isi_widget.stimulus.pieces import NOWHERE, Piece, union
from isi_widget.stimulus.regions import Region, region_bounds, region_mask

_DIGEST_LENGTH = 64


@dataclass(frozen=True)
class HoleEdit(Drawing):
    """An edit with in-painted holes: the holes are filled first, then pieces of the picture beneath are
    pasted.

    inpainter : name of the in-painter; default "membrane" (see `inpainting`).
    prompt : description of the content for an in-painter that uses one; default "".
    seed : seed of the in-painter; default 0.
    pixels : pixels of the in-painter for the box around the holes (in JSON their SHA-256); None (default)
        until they are computed.
    beneath : SHA-256 of all that `pixels` were computed from; None (default) without pixels.
    """

    op: ClassVar[str]
    inpainter: str = field(default=ip.DEFAULT, kw_only=True)
    prompt: str = field(default="", kw_only=True, metadata=SPARSE)
    seed: int = field(default=0, kw_only=True, metadata=SPARSE)
    pixels: Picture | None = field(default=None, kw_only=True, metadata={"picture": True, **SPARSE})
    beneath: str | None = field(default=None, kw_only=True, metadata=SPARSE)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            inpainter=ip.check_name(self.inpainter, self._name("inpainter")),
            prompt=checks.text(self.prompt, self._name("prompt")),
            seed=checks.integer(self.seed, self._name("seed")),
        )
        if self.pixels is not None and not isinstance(self.pixels, Picture):
            raise InputError(
                f"{self._name('pixels')} must be a Picture or None, got {type(self.pixels).__name__}."
            )
        key = self.beneath
        if key is not None and not (isinstance(key, str) and len(key) == _DIGEST_LENGTH):
            raise InputError(
                f"{self._name('beneath')} must be a SHA-256 in hexadecimal or null; it is written with the "
                "pixels. Leave both out to have them computed."
            )

    # What subclasses define ----------------------------------------------------------------------------

    @property
    def holes(self) -> tuple[Region, ...]:
        """The regions that an in-painter fills; empty if it fills none."""
        raise NotImplementedError

    def pieces(self, image: Image.Image) -> list[Piece]:
        """Return the pieces to paste over the filled holes, cut from the picture beneath."""
        return []

    def places(self, size: tuple[int, int]) -> list[Bounds]:
        """Return the boxes of the pieces on an image of `size`."""
        return []

    # Common to all -------------------------------------------------------------------------------------

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions that become holes."""
        return self.holes

    def hole_bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the box around the holes on an image of `size`; all 0 if there are none."""
        return union(*(region_bounds(region, size) for region in self.holes))

    def hole(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the coverage of the holes in their box: uint8 [height, width], 255 inside."""
        left, top, right, bottom = self.hole_bounds(size)
        found = np.zeros((bottom - top, right - left), dtype=np.uint8)
        for region in self.holes:
            x0, y0, x1, y1 = bounds = region_bounds(region, size)
            if bounds == NOWHERE:
                continue
            mask = region_mask(region, bounds)
            part = found[y0 - top : y1 - top, x0 - left : x1 - left]
            np.maximum(part, 255 if mask is None else np.asarray(mask), out=part)
        return found

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the box around the holes and the pasted pieces, inside the image."""
        return union(self.hole_bounds(size), *self.places(size))

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from the areas of the holes and of the pieces."""
        boxes = [self.hole_bounds(size), *self.places(size)]
        areas = ((right - left) * (bottom - top) for left, top, right, bottom in boxes)
        return effort.EDITED * sum(areas)

    def key_on(self, picture: Picture, beneath: Iterable[Operation]) -> str:
        """Return the key of the pixels on a picture with the drawings `beneath` painted on it."""
        made = [picture.sha256, *(drawing.digest for drawing in beneath), self._asked]
        return hashlib.sha256(json.dumps(made).encode()).hexdigest()

    @cached_property
    def _asked(self) -> str:
        """SHA-256 of the holes and of the settings of the in-painter."""
        made = [[plain(region) for region in self.holes], self.inpainter, self.prompt, self.seed]
        return hashlib.sha256(json.dumps(made).encode()).hexdigest()

    def is_complete(self, key: str, size: tuple[int, int]) -> bool:
        """Return whether its pixels are those of this key, or none are needed on an image of `size`."""
        left, top, right, bottom = bounds = self.hole_bounds(size)
        if bounds == NOWHERE:
            return True
        if self.pixels is None or self.beneath != key:
            return False
        return self.pixels.size == (right - left, bottom - top)

    def without_pixels(self) -> HoleEdit:
        """Return the edit without its pixels."""
        return self if self.pixels is None else replace(self, pixels=None, beneath=None)

    def complete(
        self,
        image: Image.Image,
        key: str,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> HoleEdit:
        """Return the edit with the pixels that its in-painter makes of `image`, the picture beneath.

        Raises
        ------
        InputError : the in-painter is not registered here.
        """
        painter = ip.find(self.inpainter)
        left, top, right, bottom = self.hole_bounds(image.size)
        inside = self.hole(image.size) > 0
        margin = ip.margin_of(painter, right - left, bottom - top)
        x0, y0 = max(0, left - margin), max(0, top - margin)
        x1, y1 = min(image.width, right + margin), min(image.height, bottom + margin)
        values = np.asarray(image.crop((x0, y0, x1, y1)))
        hole = np.zeros(values.shape[:2], dtype=np.bool_)
        hole[top - y0 : bottom - y0, left - x0 : right - x0] = inside
        filled = ip.inpaint(
            values, hole, painter, prompt=self.prompt, seed=self.seed, progress=progress, cancel=cancel
        )
        filled = filled[top - y0 : bottom - y0, left - x0 : right - x0]
        kept = np.where(inside[..., None], filled, 0).astype(np.uint8)  # what is never shown is not stored
        return replace(self, pixels=Picture.of(Image.fromarray(kept)), beneath=key)

    def draw(self, image: Image.Image) -> None:
        """Fill the holes with the stored pixels, then paste the pieces.

        Raises
        ------
        InputError : the pixels are not computed for the picture beneath.
        """
        pieces = self.pieces(image)
        left, top, right, bottom = bounds = self.hole_bounds(image.size)
        if bounds != NOWHERE:
            if self.pixels is None or self.pixels.size != (right - left, bottom - top):
                raise InputError(
                    f"The pixels of {self.op!r} are not computed for the picture beneath it: the in-painter "
                    f"{self.inpainter!r} is slow or not registered here. Call s.completed(), which returns "
                    "the stimulus with its pixels."
                )
            image.paste(self.pixels._image, (left, top), Image.fromarray(self.hole(image.size)))
        for piece in pieces:
            piece.paste(image)
