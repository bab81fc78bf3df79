"""The default segmenter: GrabCut of OpenCV, from a box, refined by strokes. It needs no weights.

Rother, Kolmogorov & Blake, "GrabCut": interactive foreground extraction using iterated graph cuts, SIGGRAPH
2004. It runs on the part of the picture around the box, reduced to 256 pixels on the longer side; the band
along the outline is then decided at full resolution (`edges`). Colours are in CIELAB, and pixels of the box
that look like its surroundings start as background. The result is the same for the same input.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from isi_widget.concepts.edges import lab_of, sharpen
from isi_widget.concepts.segmenters import Found, Marks, Prompt, Segmenter
from isi_widget.errors import InputError

SIDE = 256  # pixels of the longer side of the reduced part
_MARGIN = 0.5  # surroundings of the box that are looked at, as a share of its longer side
_LEAST_MARGIN = 8  # pixels
_SMALLEST = 4  # pixels of a side of the box, reduced: below that there is no outline to find
_ROUNDS = 3
_LOOSE = 8  # a second box is wider than what was found by its size divided by this
_COLORS = 8  # of the surroundings
_RING = 0.15  # width of the surroundings that give these colours, as a share of the root of the box's area
_COMMON = 0.95  # share of the surroundings that their own colours explain
# Rings of JPEG compression around an object are no part of it: differences (CIELAB) below this share of the
# strongest in the box, at most 5, do not stand out.
_STRONG, _FAINT, _MOST_FAINT = 0.9, 0.15, 5.0
_LEAST, _MIDDLE = 0.05, 0.8  # a result below this share of the box is none; middle of the box, per side
_MOST_TAKEN, _PAINTED = 0.6, 0.25  # a stroke that takes more of an object, painting less of it, is kept local
_CRUMB, _HOLE = 0.1, 0.005  # islands and holes below these shares of the object are left out
_BACKGROUND, _OBJECT, _MAYBE_NOT, _MAYBE = 0, 1, 2, 3  # OpenCV's labels


class GrabCut(Segmenter):
    """GrabCut of OpenCV."""

    name: ClassVar[str] = "grabcut"
    title: ClassVar[str] = "GrabCut"
    quick: ClassVar[bool] = True

    def find(self, pixels: NDArray[np.uint8], prompt: Prompt, **options: Any) -> Found:
        """Find the object in a box, or at points, or refine a mask by strokes."""
        if prompt.box is not None and prompt.mask is None:
            sure = tuple(stroke for stroke in prompt.strokes if stroke.object)
            if len(sure) < len(prompt.strokes):  # first without what is not the object, then refined by it
                first = self._found(pixels, replace(prompt, strokes=sure))
                prompt = prompt if first.note else replace(prompt, mask=first.inside)
        found = self._found(pixels, prompt)
        if prompt.box is None and prompt.mask is None and found.inside.any():
            # Points alone: the whole picture was searched, so search once more where something was found.
            left, top, right, bottom = _box_of(found.inside)
            x, y = (right - left) // _LOOSE, (bottom - top) // _LOOSE
            high, wide = pixels.shape[:2]
            box = (max(0, left - x), max(0, top - y), min(wide, right + x), min(high, bottom + y))
            found = self._found(pixels, replace(prompt, box=box))
        return found

    def _found(self, pixels: NDArray[np.uint8], prompt: Prompt) -> Found:
        high, wide = pixels.shape[:2]
        area = _area(prompt, (wide, high))
        part = _widened(area, (wide, high))
        left, top, right, bottom = part
        near = pixels[top:bottom, left:right]
        small, scale = _reduced(near)
        inside, note = _outline(small, prompt, area, part, scale)
        if note:  # a guess: exactly the box
            whole = np.zeros(near.shape[:2], dtype=np.bool_)
            whole[area[1] - top : area[3] - top, area[0] - left : area[2] - left] = True
        else:
            whole = sharpen(near, small, inside) if scale < 1 else inside
        if prompt.mask is not None and prompt.strokes and scale < 1:
            before = prompt.mask[top:bottom, left:right]  # it keeps its details where nothing changed
            whole = np.where(_stretched(inside != _shrunk(before, inside.shape), near.shape), whole, before)
        result = np.zeros((high, wide), dtype=np.bool_)
        result[top:bottom, left:right] = whole
        if prompt.strokes:
            marks = prompt.marked((high, wide))
            result[marks.object] = True
            result[marks.other] = False
        return Found(result, note)


def _area(prompt: Prompt, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box (left, top, right, bottom) that the object may fill."""
    wide, high = size
    boxes = [] if prompt.box is None else [prompt.box]
    if prompt.mask is not None and prompt.mask.any():
        boxes.append(_box_of(prompt.mask))
    strokes = [stroke for stroke in prompt.strokes if stroke.object]
    if not boxes and not strokes:
        raise InputError(
            'back_end "grabcut" needs a box, a mask, or a point or stroke of the object; where it is not, '
            "alone, does not say where it is."
        )
    if not boxes:
        return (0, 0, wide, high)  # a point alone does not say how far the object goes
    for stroke in strokes:
        x, y = np.array(stroke.points).T
        boxes.append(
            (
                int(x.min() - stroke.radius),
                int(y.min() - stroke.radius),
                int(x.max() + stroke.radius) + 1,
                int(y.max() + stroke.radius) + 1,
            )
        )
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return max(0, min(lefts)), max(0, min(tops)), min(wide, max(rights)), min(high, max(bottoms))


def _box_of(inside: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) around the pixels inside, of which there are some."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _widened(area: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = area
    margin = max(_LEAST_MARGIN, round(_MARGIN * max(right - left, bottom - top)))
    return (
        max(0, left - margin),
        max(0, top - margin),
        min(size[0], right + margin),
        min(size[1], bottom + margin),
    )


def _reduced(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Return the part with its longer side at most SIDE pixels, and the scale."""
    import cv2

    longest = max(pixels.shape[:2])
    if longest <= SIDE:
        return np.ascontiguousarray(pixels), 1.0
    scale = SIDE / longest
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)), scale


def _shrunk(inside: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a mask reduced to (h, w)."""
    import cv2

    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA)) > 0.5


def _stretched(changed: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return reduced pixels with those beside them, enlarged to (height, width)."""
    import cv2

    wider = cv2.dilate(changed.astype(np.uint8), np.ones((3, 3), np.uint8))
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(wider, size, interpolation=cv2.INTER_NEAREST)) > 0


def _outline(
    small: NDArray[np.uint8],
    prompt: Prompt,
    area: tuple[int, int, int, int],
    part: tuple[int, int, int, int],
    scale: float,
) -> tuple[NDArray[np.bool_], str]:
    """Return the object on the reduced part, bool [h, w], and a note."""
    shape = small.shape[:2]
    within = np.zeros(shape, dtype=np.bool_)
    x0, x1 = (round((x - part[0]) * shape[1] / (part[2] - part[0])) for x in (area[0], area[2]))
    y0, y1 = (round((y - part[1]) * shape[0] / (part[3] - part[1])) for y in (area[1], area[3]))
    within[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = True
    marks = prompt.marked(shape, scale, part[:2])
    painted = marks.object.any() or marks.other.any()
    if prompt.mask is None and not painted and min(x1 - x0, y1 - y0) < _SMALLEST:
        return within, "The box is too small to find an outline in it: all of it is selected."
    lab = lab_of(small)
    if prompt.mask is not None:
        maybe = _shrunk(prompt.mask[part[1] : part[3], part[0] : part[2]], shape)
    else:
        maybe = _standing_out(lab, within, marks.object)
        if not maybe.any() and not marks.object.any():
            return within, "Nothing stands out in the box: all of it is selected. Refine it by strokes."
    labels = np.where(within, np.where(maybe, _MAYBE, _MAYBE_NOT), _BACKGROUND).astype(np.uint8)
    labels[maybe & ~within] = _MAYBE
    labels[marks.object], labels[marks.other] = _OBJECT, _BACKGROUND
    inside = _cut(small, labels)
    if prompt.mask is None and not painted and inside.sum() < _LEAST * within.sum():
        # Surroundings of all colours: expect the object in the middle of the box.
        middle = within & (_ellipse(within) > 0)
        inside = _cut(small, np.where(within, np.where(middle, _MAYBE, _MAYBE_NOT), 0).astype(np.uint8))
        if inside.sum() < _LEAST * within.sum():
            return within, "No object was found in the box: all of it is selected. Refine it by strokes."
    if prompt.mask is not None and painted:
        return _near_strokes(inside, maybe, marks), ""
    alone = prompt.box is None and prompt.mask is None
    return _tidied(inside, marks.object, alone), ""


def _standing_out(
    lab: NDArray[np.float32], within: NDArray[np.bool_], painted: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the pixels of the box whose colour is not one of its surroundings; none if all are."""
    import cv2

    around = _ring(within)
    colors = _palette(lab[around])
    nearest = np.full(lab.shape[:2], np.inf, dtype=np.float32)
    for color in colors:
        nearest = np.minimum(nearest, np.linalg.norm(lab - color, axis=2))
    contrast = float(np.quantile(nearest[within], _STRONG))
    common = max(float(np.quantile(nearest[around], _COMMON)) + 1, min(_FAINT * contrast, _MOST_FAINT))
    out = within & (nearest > common)
    if out.sum() < 0.05 * within.sum():
        varied = float(np.ptp(nearest[within])) > 2
        out = within & varied  # its colours are those around it: leave all to the graph cut
    if painted.any() and not out.any():
        out = cv2.dilate(painted.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return out


def _ellipse(within: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return 1 in the ellipse in the middle of a box."""
    import cv2

    left, top, right, bottom = _box_of(within)
    center = ((left + right) // 2, (top + bottom) // 2)
    axes = (round(_MIDDLE * (right - left) / 2), round(_MIDDLE * (bottom - top) / 2))
    drawn = np.zeros(within.shape, dtype=np.uint8)
    cv2.ellipse(drawn, center, axes, 0, 0, 360, 1, cv2.FILLED)
    return drawn


def _ring(within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the surroundings of the box; the edge of the picture if the box fills it."""
    import cv2

    width = max(3, round(_RING * float(np.sqrt(within.sum()))))
    grown = cv2.dilate(within.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=width) > 0
    around: NDArray[np.bool_] = grown & ~within
    if around.any():
        return around
    edge = np.ones_like(within)
    rim = max(1, min(within.shape) // 32)
    edge[rim:-rim, rim:-rim] = False
    return edge


def _palette(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return up to _COLORS typical colours of colours [n, 3]."""
    import cv2

    some = colors[:: max(1, len(colors) // 4000)]
    cv2.setRNGSeed(0)
    count = min(_COLORS, len(some))
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    _, _, centers = cv2.kmeans(some, count, None, stop, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    return np.asarray(centers, dtype=np.float32)


def _cut(small: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Run GrabCut from starting labels; all object or all background stay as they are."""
    import cv2

    objects = (labels & 1) > 0
    if objects.all() or not objects.any():
        return objects
    cv2.setRNGSeed(0)  # of this thread: the colour models start from k-means
    lab = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2Lab), dtype=np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(lab, labels, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    return (labels & 1) > 0


def _near_strokes(new: NDArray[np.bool_], old: NDArray[np.bool_], marks: Marks) -> NDArray[np.bool_]:
    """Return the refined object: only areas that a stroke touches change.

    A small stroke on a plain object would take all of it away; then only what is near the stroke goes.
    """
    import cv2

    added = _touching(new & ~old, marks.object)
    removed = _touching(old & ~new, marks.other)
    painted = removed & marks.other
    if removed.sum() > _MOST_TAKEN * old.sum() and painted.sum() < _PAINTED * removed.sum():
        away = cv2.distanceTransform((~marks.other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        inner = cv2.distanceTransform(marks.other.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        removed &= away <= float(inner.max())
    result: NDArray[np.bool_] = ((old | added) & ~removed | marks.object) & ~marks.other
    return result


def _touching(area: NDArray[np.bool_], marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the connected parts of an area that overlap or adjoin marked pixels."""
    import cv2

    _, parts = cv2.connectedComponents(area.astype(np.uint8), connectivity=8)
    near = cv2.dilate(marked.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    kept = np.zeros(int(parts.max()) + 1, dtype=np.bool_)
    kept[parts[near]] = True
    kept[0] = False
    result: NDArray[np.bool_] = kept[parts]
    return result


def _tidied(inside: NDArray[np.bool_], painted: NDArray[np.bool_], alone: bool) -> NDArray[np.bool_]:
    """Leave out islands that are small beside the largest one (if `alone`, all of them), unless painted; fill
    tiny holes.
    """
    import cv2

    count, parts, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    if count > 2:
        areas = stats[:, cv2.CC_STAT_AREA]
        kept = (areas >= _CRUMB * areas[1:].max()) & (not alone)
        kept[parts[painted]] = True
        kept[0] = False
        inside = kept[parts]
    count, parts, stats, _ = cv2.connectedComponentsWithStats((~inside).astype(np.uint8), connectivity=4)
    tiny = stats[:, cv2.CC_STAT_AREA] < max(4, _HOLE * inside.sum())
    tiny[0] = False
    whole: NDArray[np.bool_] = inside | tiny[parts]
    return whole
