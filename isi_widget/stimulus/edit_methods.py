"""`EditMethods`: the methods of `Stimulus` that edit things, attributes and relations.

Not for the operations themselves (see `edits`, `attributes`, `insertion`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast, overload

from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.stimulus.attributes import Recolor, Retexture
from isi_widget.stimulus.edits import Mirror, Move, Remove, Resize, Swap
from isi_widget.stimulus.inpainting import DEFAULT, Inpainter, inpainters, register_inpainter
from isi_widget.stimulus.insertion import Insert
from isi_widget.stimulus.loading import ImageSource, load_cutout, load_image
from isi_widget.stimulus.mask import Mask
from isi_widget.stimulus.regions import Region

if TYPE_CHECKING:
    from isi_widget.stimulus.core import Stimulus


class EditMethods:
    """Edits that leave every pixel outside their regions as it is.

    A region is a rectangle (x, y, width, height), a polygon of points or a `Mask`, in pixels of the image.
    Edits act on the picture as the operations before them left it. An in-painter is a name of
    `isi_widget.stimulus.inpainters()`, or an `Inpainter`, which is then registered; `prompt` and `seed` are
    for those that use them. Pixels of an in-painter are computed once and stored in the operation.
    """

    # Things ----------------------------------------------------------------------------------------------

    def remove(
        self,
        region: Region,
        inpainter: str | Inpainter = DEFAULT,
        *,
        prompt: str = "",
        seed: int = 0,
        pixels: ImageSource | None = None,
    ) -> Stimulus:
        """Remove the thing in a region: fill it with a continuation of its surroundings.

        Parameters
        ----------
        region : region to fill; `mask.grow(2)` also takes the blurred edge of the thing.
        inpainter : name of the in-painter, or the in-painter; default "membrane".
        prompt : description of the content, for an in-painter that uses one; default "".
        seed : seed of the in-painter; default 0.
        pixels : stored pixels of the box around the holes, from printed code; None (default) computes them.

        Raises
        ------
        InputError : unknown in-painter or invalid region.
        """
        return self._edited(Remove(region, **_inpainting(inpainter, prompt, seed)), pixels)

    def insert(
        self,
        picture: ImageSource | None,
        place: tuple[float, ...],
        source: Region = None,
        feather: float = 0,
    ) -> Stimulus:
        """Put a picture, or a part of it, into the image.

        Parameters
        ----------
        picture : anything that `load_image` accepts, such as `other.image` of another observation; of a
            transparent picture the opaque part is inserted. None copies from the picture as it is now.
        place : (x, y) of the new top left, or (x, y, width, height), pixels.
        source : part of the picture, such as a `Mask` of a thing; None (default) is all of it.
        feather : width of the soft edge inside the outline, pixels; default 0.
        """
        made, opaque = (None, None) if picture is None else load_cutout(picture)
        if source is None and opaque is not None:
            if not opaque.any():
                raise InputError(
                    "insert: the picture is transparent everywhere, so there is nothing to insert."
                )
            source = Mask.from_array(opaque)
        return self._edited(Insert(made, place, source, feather))

    # Attributes ------------------------------------------------------------------------------------------

    def recolor(self, region: Region, color: str) -> Stimulus:
        """Give a region a different colour and keep its shading; black, white and grey are colours, too."""
        return self._edited(Recolor(region, color))

    def retexture(
        self, region: Region, picture: ImageSource | None = None, source: Region = None
    ) -> Stimulus:
        """Give a region the texture of a picture and keep its coarse shading.

        Parameters
        ----------
        region : region to change.
        picture : picture with the texture; None (default) is the picture as it is now.
        source : part of that picture (its box); None (default) is all of it.
        """
        return self._edited(Retexture(region, None if picture is None else load_image(picture), source))

    def resize(
        self,
        region: Region,
        factor: float,
        inpainter: str | Inpainter = DEFAULT,
        *,
        prompt: str = "",
        seed: int = 0,
        pixels: ImageSource | None = None,
    ) -> Stimulus:
        """Resize the thing in a region about the centre of its box, and in-paint its former place. `factor`
        is the ratio of sizes, 0.01 to 100; other parameters as for `remove`.
        """
        return self._edited(Resize(region, factor, **_inpainting(inpainter, prompt, seed)), pixels)

    # Relations -------------------------------------------------------------------------------------------

    @overload
    def move(self, region: int, to: int) -> Stimulus: ...

    @overload
    def move(
        self,
        region: Region,
        to: tuple[float, float],
        inpainter: str | Inpainter = DEFAULT,
        *,
        prompt: str = "",
        seed: int = 0,
        pixels: ImageSource | None = None,
    ) -> Stimulus: ...

    def move(
        self,
        region: Region | int,
        to: tuple[float, float] | int,
        inpainter: str | Inpainter = DEFAULT,
        *,
        prompt: str = "",
        seed: int = 0,
        pixels: ImageSource | None = None,
    ) -> Stimulus:
        """Move the thing in a region, so that the top left of its box is at `to` = (x, y), and in-paint
        its former place. Other parameters as for `remove`.

        With two whole numbers, `move(index, to)` is `reorder(index, to)`, its former meaning.
        """
        if is_whole(region) and is_whole(to):
            return cast("Stimulus", self).reorder(int(region), int(to))
        edit = Move(cast(Region, region), cast(Any, to), **_inpainting(inpainter, prompt, seed))
        return self._edited(edit, pixels)

    def swap(
        self,
        region: Region,
        other: Region,
        inpainter: str | Inpainter = DEFAULT,
        *,
        prompt: str = "",
        seed: int = 0,
        pixels: ImageSource | None = None,
    ) -> Stimulus:
        """Exchange the places of the things in two regions (the centres of their boxes), and in-paint their
        former places. Sizes stay. Other parameters as for `remove`.
        """
        return self._edited(Swap(region, other, **_inpainting(inpainter, prompt, seed)), pixels)

    def mirror(
        self,
        region: Region = None,
        direction: str = "horizontal",
        inpainter: str | Inpainter = DEFAULT,
        *,
        prompt: str = "",
        seed: int = 0,
        pixels: ImageSource | None = None,
    ) -> Stimulus:
        """Mirror the picture (region None, the default) or the thing in a region: "horizontal" exchanges
        left and right, "vertical" top and bottom. Other parameters as for `remove`.
        """
        return self._edited(Mirror(region, direction, **_inpainting(inpainter, prompt, seed)), pixels)

    def _edited(self, operation: Any, pixels: ImageSource | None = None) -> Stimulus:
        """Append an edit with its pixels: the given ones, or newly computed ones."""
        stimulus = cast("Stimulus", self)
        if pixels is not None:
            picture = load_image(pixels)
            size = stimulus.current_image.size
            left, top, right, bottom = operation.hole_bounds(size)
            if picture.size != (right - left, bottom - top):
                raise InputError(
                    f"{operation.op}: pixels must have the size of the box around the holes, "
                    f"{right - left} x {bottom - top}; got {picture.width} x {picture.height}."
                )
            key = operation.key_on(stimulus.current_image, stimulus._painted())
            operation = replace(operation, pixels=picture, beneath=key)
        return stimulus.apply(operation).completed()


def _inpainting(inpainter: str | Inpainter, prompt: str, seed: int) -> dict[str, Any]:
    if isinstance(inpainter, Inpainter):
        if inpainters().get(inpainter.name) is not inpainter:
            register_inpainter(inpainter)
        inpainter = inpainter.name
    return {"inpainter": inpainter, "prompt": prompt, "seed": seed}
