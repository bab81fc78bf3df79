"""`segment`: the pixels of an object as a `Mask`, from a box, points or strokes on an image.

Not for the ways to find it (see `segmenters`), nor for using a mask (see `isi_widget.stimulus`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from isi_widget.checks import shown
from isi_widget.concepts.registry import DEFAULT, find_segmenter
from isi_widget.concepts.segmenters import MOST_POINTS, MOST_STROKES, Found, Prompt, Segmenter, Stroke
from isi_widget.errors import InputError
from isi_widget.stimulus import Mask, Stimulus, checks, load_image
from isi_widget.stimulus.mask import MOST_RUNS
from isi_widget.stimulus.rendering import cache

_DOT = 0.006  # radius of a point, as a share of the longer side of the picture
_EMPTY = "No pixel is selected."


def segment(
    image: Any,
    box: Sequence[float] | None = None,
    points: Sequence[Sequence[float]] | None = None,
    labels: Sequence[int] | None = None,
    *,
    strokes: Sequence[Any] | None = None,
    mask: Mask | None = None,
    back_end: str | Segmenter = DEFAULT,
    feather: float = 0,
    **options: Any,
) -> Mask:
    """Find the pixels of an object.

    Parameters
    ----------
    image : path, bytes, Pillow image, NumPy array or Picture (see `load_image`); an `Observation`; or a
        `Stimulus`, of which the picture is taken as the model is shown it, with all drawings.
    box : (x, y, width, height) around the object, pixels; it may be loose. None (default) for none.
    points : pixels [(x, y), ...] of the object or of what is around it; None (default) for none.
    labels : for each point 1 (this is the object) or 0 (this is not); None (default): all are 1.
    strokes : `Stroke`s, or {"points": [[x, y], ...], "object": True or False, "radius": pixels}; None
        (default) for none. Painted pixels are surely in or out.
    mask : mask found so far, to be refined by points and strokes; None (default) for none.
    back_end : "grabcut" (default; OpenCV, no weights), "wand" (connected area of a colour), "sam", "sam2"
        (transformers), one of `register_segmenter`, or a `Segmenter`.
    feather : soft edge of the mask, pixels; default 0.
    options : options of the back end. wand: `tolerance`, CIELAB distance of colours, default 10. sam and
        sam2: `checkpoint`, a local folder or a name on the hub; `device`, default "auto".

    Returns
    -------
    Mask of the size of the image. A guess (nothing stands out in the box) gives a warning.

    Raises
    ------
    InputError : nothing is marked, the box or a point lies outside the image, or a wrong option.
    """
    found, size = find(
        image, box, points, labels, strokes=strokes, mask=mask, back_end=back_end, options=options
    )
    if found.note:
        warnings.warn(found.note, UserWarning, stacklevel=2)
    assert found.inside.shape == size[::-1]
    return Mask.from_array(found.inside, feather)


def find(
    image: Any,
    box: Any = None,
    points: Any = None,
    labels: Any = None,
    *,
    strokes: Any = None,
    mask: Mask | None = None,
    back_end: str | Segmenter = DEFAULT,
    options: dict[str, Any] | None = None,
) -> tuple[Found, tuple[int, int]]:
    """Return what `segment` finds, with its note, and the size of the image; parameters as there."""
    segmenter = find_segmenter(back_end)
    given = options or {}
    unknown = [name for name in given if name not in segmenter.options]
    if unknown:
        known = ", ".join(segmenter.options) or "none"
        raise InputError(f"back_end {segmenter.name!r} has no option {unknown[0]!r}; it has {known}.")
    picture = _picture(image)
    prompt = _prompt(picture.size, box, points, labels, strokes, mask)
    pixels = np.asarray(picture)
    result: Any = segmenter.find(pixels, prompt, **given)
    found = result if isinstance(result, Found) else Found(np.asarray(result))
    if found.inside.shape != pixels.shape[:2] or found.inside.dtype != np.bool_:
        raise InputError(
            f"The segmenter {segmenter.name!r} must return bool {list(pixels.shape[:2])}, got "
            f"{found.inside.dtype} {list(found.inside.shape)}."
        )
    if not found.inside.any() and not found.note:
        found = Found(found.inside, _EMPTY)
    return _smoothed(found), picture.size


def _picture(image: Any) -> Image.Image:
    if isinstance(image, Stimulus):
        return cache.render(image.current_image, image.drawings)  # no copy: nothing changes it
    make = getattr(image, "stimulus", None)  # an Observation, which this room does not know
    if callable(make) and isinstance(made := make(), Stimulus):
        return made.image._image
    return load_image(image)._image


def _prompt(
    size: tuple[int, int], box: Any, points: Any, labels: Any, strokes: Any, mask: Mask | None
) -> Prompt:
    if mask is not None:
        if not isinstance(mask, Mask):
            raise InputError(f"mask must be a Mask, got {shown(mask)}.")
        if mask.size != size:
            raise InputError(
                f"The mask belongs to an image of {mask.size[0]} x {mask.size[1]} pixels, but this one has "
                f"{size[0]} x {size[1]}."
            )
    painted = [*_dots(size, points, labels), *_strokes(strokes)]
    if box is None and not painted and mask is None:
        raise InputError(
            "Mark the object: give box=(x, y, width, height), points=[(x, y), ...] or strokes=[...]."
        )
    for stroke in painted:
        if not any(0 <= x < size[0] and 0 <= y < size[1] for x, y in stroke.points):
            x, y = stroke.points[0]
            raise InputError(
                f"The point ({x:g}, {y:g}) lies outside the picture of {size[0]} x {size[1]} pixels."
            )
    return Prompt(
        None if box is None else _box(box, size),
        tuple(painted),
        None if mask is None else mask.array(),
    )


def _box(box: Any, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom): edges rounded, at least one pixel, inside the image."""
    x, y, width, height = checks.region(box, "box")
    left, top, right, bottom = (math.floor(edge + 0.5) for edge in (x, y, x + width, y + height))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    found = (max(0, left), max(0, top), min(size[0], right), min(size[1], bottom))
    if found[0] >= found[2] or found[1] >= found[3]:
        raise InputError(
            f"The box ({x:g}, {y:g}, {width:g}, {height:g}) lies outside the picture of {size[0]} x "
            f"{size[1]} pixels."
        )
    return found


def _dots(size: tuple[int, int], points: Any, labels: Any) -> list[Stroke]:
    if points is None:
        if labels is not None:
            raise InputError("labels belong to points: give points=[(x, y), ...], too.")
        return []
    if isinstance(points, (str, bytes)) or not hasattr(points, "__len__"):
        raise InputError(f"points must be a list of points (x, y), got {shown(points)}.")
    if labels is not None and (isinstance(labels, (str, bytes)) or not hasattr(labels, "__len__")):
        raise InputError(f"labels must be a list of one 1 or 0 for each point, got {shown(labels)}.")
    kinds = [1] * len(points) if labels is None else list(labels)
    if len(kinds) != len(points):
        raise InputError(f"labels must have one 1 or 0 for each point: {len(points)}, got {len(kinds)}.")
    if len(points) > MOST_STROKES:
        raise InputError(f"There may be at most {MOST_STROKES} points, got {len(points)}.")
    radius = max(1.0, _DOT * max(size))
    made = []
    for at, (point, kind) in enumerate(zip(points, kinds, strict=True)):
        if kind not in (0, 1):
            raise InputError(f"labels must be 1 (object) or 0 (not), got {shown(kind)}.")
        made.append(Stroke((checks.point(point, f"point {at}"),), bool(kind), radius))
    return made


def _strokes(strokes: Any) -> list[Stroke]:
    if strokes is None:
        return []
    if not isinstance(strokes, (list, tuple)):
        raise InputError(f"strokes must be a list of strokes, got {shown(strokes)}.")
    if len(strokes) > MOST_STROKES:
        raise InputError(f"There may be at most {MOST_STROKES} strokes, got {len(strokes)}.")
    made = [Stroke.of(item) for item in strokes]
    count = sum(len(item.points) for item in made)
    if count > MOST_POINTS:
        raise InputError(f"The strokes may have at most {MOST_POINTS} points in all, got {count}.")
    return made


def _smoothed(found: Found) -> Found:
    """Return an edge that a `Mask` can hold: in a large noisy picture, single pixels are left out."""
    import cv2

    inside = found.inside
    for reach in (3, 5, 9, 17):
        if np.count_nonzero(inside[:, 1:] != inside[:, :-1]) + inside.shape[0] < MOST_RUNS:
            break
        inside = cv2.medianBlur(inside.astype(np.uint8), reach) > 0
    return Found(inside, found.note)
