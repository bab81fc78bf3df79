"""Pictures for the page: display-sized JPEGs of the exact model input.

Not for drawing operations (`Stimulus.render` does that, at full resolution), nor for model inputs.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

from PIL import Image

from isi_widget.stimulus import Stimulus
from isi_widget.stimulus.holes import HoleEdit
from isi_widget.stimulus.pieces import NOWHERE
from isi_widget.stimulus.rendering import cache

# pixels of the longer side; larger than most canvases, small enough to encode within the drawing latency
PREVIEW_SIDE = 1200
THUMBNAIL_SIDE = 96
MAX_DETAIL = 2400  # pixels of the longer side of a detail: a large screen, twice as dense
_QUALITY = 90


def shown(stimulus: Stimulus) -> Image.Image:
    """Return the pixels of `Stimulus.render`, read-only: they are shared with the cache of renders, since a
    copy of 12 megapixels takes as long as drawing on it.
    """
    drawings = stimulus.drawings
    if stimulus.pending:  # edits whose pixels are being computed are not painted yet
        size = stimulus.current_image.size
        drawings = tuple(
            item
            for item in drawings
            if not isinstance(item, HoleEdit) or item.pixels is not None or item.hole_bounds(size) == NOWHERE
        )
    return cache.render(stimulus.current_image, drawings)


def reduced(image: Image.Image, side: int) -> Image.Image:
    """Return the image with its longer side at most `side` pixels; the very same object if it is small
    enough.
    """
    longest = max(image.size)
    if longest <= side:
        return image
    size = (max(1, round(image.width * side / longest)), max(1, round(image.height * side / longest)))
    # reducing_gap=1: average over whole factors first, then filter the rest: ten times faster on 12
    # megapixels
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.0)


def jpeg(image: Image.Image, side: int, quality: int = _QUALITY) -> tuple[bytes, int, int]:
    """Return JPEG bytes, width and height of the image reduced to `side`. No chroma subsampling: thin
    coloured lines stay as drawn.
    """
    small = reduced(image, side)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue(), small.width, small.height


def preview(image: Image.Image, key: str) -> dict[str, Any]:
    """Return the `preview` record of the page: JPEG of at most 1200 px, its size, the size of the image
    itself, and the key of what it shows.
    """
    data, width, height = jpeg(image, PREVIEW_SIDE)
    return {
        "data": data,
        "width": width,
        "height": height,
        "image_width": image.width,
        "image_height": image.height,
        "key": key,
    }


def detail(
    image: Image.Image, region: tuple[int, int, int, int], width: int
) -> tuple[bytes, tuple[int, int, int, int]] | None:
    """Return a part of an image for a screen that shows it `width` pixels wide: a file, and the part that it
    is of.

    Exact pixels as PNG where the screen has at least as many; else a JPEG, reduced. None if nothing of the
    region (left, top, width, height) is in the image.
    """
    left, top, wide, high = region
    right, bottom = min(left + wide, image.width), min(top + high, image.height)
    if left >= right or top >= bottom or width < 1:
        return None
    part = image.crop((left, top, right, bottom))
    found = (left, top, right - left, bottom - top)
    if part.width > width:
        return jpeg(part, min(MAX_DETAIL, max(1, round(width * max(part.size) / part.width))))[0], found
    if max(part.size) > MAX_DETAIL:
        return jpeg(part, MAX_DETAIL)[0], found
    out = io.BytesIO()
    part.save(out, "PNG", compress_level=1)
    return out.getvalue(), found


def key(stimulus: Stimulus) -> str:
    """Return SHA-256 of the picture alone: unlike `Stimulus.key` it stays when only texts change."""
    drawn = [stimulus.current_image.sha256, *(drawing.to_dict() for drawing in stimulus.drawings)]
    return hashlib.sha256(json.dumps(drawn).encode()).hexdigest()


def thumbnail(image: Image.Image) -> bytes:
    """Return a JPEG of at most 96 px for the list of trials."""
    return jpeg(image, THUMBNAIL_SIDE, 80)[0]
