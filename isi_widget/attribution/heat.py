"""Heat layers: densities as transparent colours, to be laid over a picture.

Colour and opacity both grow with the density: where there is none, the picture is seen as it is. The colours
are viridis (Smith & van der Walt, 2015): perceptually uniform, and safe for colour-blind readers. 256 steps,
so that a layer is a PNG with a palette, small and without loss. Not for measuring (see `maps.py`).
"""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from isi_widget.checks import is_whole
from isi_widget.errors import InputError

if TYPE_CHECKING:
    from isi_widget.attribution.maps import AttentionMap, Choice, Scale

_COLORS = "viridis"
#: Longer side of a heat layer at most, if nobody says how wide: that of the page's preview.
LONGEST = 1200


@cache
def _rgb() -> npt.NDArray[np.uint8]:
    """Return the palette [256, 3], from no density to full density."""
    from matplotlib import colormaps

    colors: npt.NDArray[np.uint8] = colormaps[_COLORS](np.arange(256), bytes=True)[:, :3]
    return colors


def check_opacity(opacity: float) -> None:
    """Refuse an opacity outside 0 to 1."""
    if isinstance(opacity, bool) or not isinstance(opacity, int | float) or not 0 <= opacity <= 1:
        raise InputError(f"opacity is {opacity!r}; expected a number from 0 (invisible) to 1.")


def levels(density: npt.NDArray[np.float64], full: float) -> npt.NDArray[np.uint8]:
    """Convert densities to steps 0 to 255; `full` and above is 255. All 0 if `full` is 0."""
    if full <= 0:
        return np.zeros(density.shape, np.uint8)
    return np.rint(np.clip(density / full, 0, 1) * 255).astype(np.uint8)


def palette_image(steps: npt.NDArray[np.uint8]) -> Image.Image:
    """Convert steps [height, width] to a picture with a palette, without opacity."""
    image = Image.fromarray(steps, "L")
    image.putpalette(_rgb().tobytes())
    return image


def rgba_image(steps: npt.NDArray[np.uint8], opacity: float) -> Image.Image:
    """Convert steps [height, width] to RGBA; the alpha of a full step is `opacity`."""
    table = np.column_stack([_rgb(), _alpha(opacity)])
    return Image.fromarray(table[steps])


def _alpha(opacity: float) -> npt.NDArray[np.uint8]:
    return np.rint(np.arange(256) * opacity).astype(np.uint8)


def heat_layer(
    attention: AttentionMap,
    token: Choice = None,
    layer: Choice = None,
    head: Choice = None,
    width: int | None = None,
    *,
    scale: Scale = "relative",
) -> bytes:
    """Return a heat layer as PNG bytes with alpha, to lay over the picture: the pixels of
    `AttentionMap.image`.

    Parameters
    ----------
    token, layer, head, scale : as `AttentionMap.image`.
    width : width of the PNG, pixels; the height follows the picture. None (default): the picture's width,
        with the longer side at most 1200.

    Raises
    ------
    InputError
        As `AttentionMap.image`, and for a width that is not a whole number from 1 to 8192.
    """
    steps = attention.steps(token, layer, head, size_of(attention.image_size, width), scale)
    out = io.BytesIO()
    palette_image(steps).save(out, "PNG", transparency=_alpha(1).tobytes(), compress_level=6)
    return out.getvalue()


def size_of(image_size: tuple[int, int], width: int | None) -> tuple[int, int]:
    """Return (width, height) of a heat layer; see `heat_layer`."""
    if width is None:
        width = max(1, round(image_size[0] * min(1.0, LONGEST / max(image_size))))
    if not is_whole(width) or not 1 <= width <= 8192:
        raise InputError(f"width is {width!r}; expected a whole number of pixels from 1 to 8192.")
    return width, max(1, round(width * image_size[1] / image_size[0]))
