"""Whether the known answer to a question survives what is painted on the picture.

Each operation states its effect (`Operation.truth`); here it is refined with the parts of the image that the
question is about, where they are known. Not for the truth itself (`Stimulus.truth`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from isi_widget.checks import shown
from isi_widget.errors import InputError
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.copied_patch import CopiedPatch
from isi_widget.stimulus.insertion import Insert
from isi_widget.stimulus.mask import Mask
from isi_widget.stimulus.pieces import NOWHERE
from isi_widget.stimulus.regions import Region, check_region, region_bounds, region_mask

# They may bring in a second thing of the kind in question, wherever they are put.
_ADDING = (CopiedPatch, Insert)


def check_about(about: object, size: tuple[int, int]) -> tuple[Region, ...]:
    """Return the regions of a question on an image of `size`, in normal form.

    Raises
    ------
    InputError : no list of regions, or a mask of an image of a different size.
    """
    if isinstance(about, (str, bytes, Mask)) or not isinstance(about, Iterable):
        raise InputError(f"about must be a list of regions, such as (mask,), or None; got {shown(about)}.")
    regions = tuple(check_region(item, "about") for item in about)
    for region in regions:
        if isinstance(region, Mask) and region.size != size:
            raise InputError(
                f"about: the mask belongs to an image of {region.size[0]} x {region.size[1]} pixels, but the "
                f"image has {size[0]} x {size[1]}."
            )
    return regions


def truth_holds(
    drawings: Iterable[Drawing], size: tuple[int, int], about: Sequence[Region] | None
) -> bool | None:
    """Return True if the true answer surely survives the visible drawings on an image of `size`; None if it
    may not.

    about : parts of the image that decide the true answer; None if unknown.
    """
    for drawing in drawings:
        if drawing.truth == "keeps":
            continue
        if about is None or isinstance(drawing, _ADDING):
            return None
        if any(_touches(drawing, region, size) for region in about):
            return None
    return True


def _touches(drawing: Drawing, region: Region, size: tuple[int, int]) -> bool:
    """Return whether a drawing may change a pixel of a region."""
    left, top, right, bottom = drawing.bounds(size)
    x0, y0, x1, y1 = region_bounds(region, size)
    both = (max(left, x0), max(top, y0), min(right, x1), min(bottom, y1))
    if NOWHERE in ((left, top, right, bottom), (x0, y0, x1, y1)) or both[0] >= both[2] or both[1] >= both[3]:
        return False
    mask = region_mask(region, both)
    return mask is None or bool(np.asarray(mask).any())
