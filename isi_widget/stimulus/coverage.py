"""Anti-aliased filling of shapes by exact horizontal coverage. It needs no supersampled image, and its cost
grows with the area of the shape.

Each pixel row is cut into 16 scan lines. On each line a shape covers spans [left, right); a convex shape
covers one. The overlap of a span with each pixel is exact. So shapes on whole pixels are exact to the pixel,
and nothing outside a shape's bounds changes. Not for text (see `lettering`), nor for effects inside a region
(see `effects`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]
#: Ascending y [n] -> scan lines (indices into y) [m], left [m], right [m]: the spans of one shape. Spans do
#: not overlap; an empty span has right <= left.
Spans: TypeAlias = Callable[[Floats], tuple[Indices, Floats, Floats]]
Bounds: TypeAlias = tuple[int, int, int, int]
Points: TypeAlias = Sequence[tuple[float, float]]

#: Scan lines per row of pixels.
LINES = 16
_BAND = 64
_CROSSINGS = 1_000_000  # handled at a time; each takes about 100 bytes
_OF_A_STROKE = 4  # crossings per edge for a line of some width: its two sides and a corner
_THINNEST = 1e-6  # pixels; ellipses with a smaller radius change no 8-bit value


def turned(points: Points, center: tuple[float, float], angle: float) -> list[tuple[float, float]]:
    """Turn points by `angle` degrees about `center`, clockwise on the screen (y points down)."""
    cos, sin = _direction(angle)
    return [
        (
            center[0] + (x - center[0]) * cos - (y - center[1]) * sin,
            center[1] + (x - center[0]) * sin + (y - center[1]) * cos,
        )
        for x, y in points
    ]


def _direction(angle: float) -> tuple[float, float]:
    """Return the cosine and sine of an angle in degrees, exact for quarter turns."""
    quarters, rest = divmod(angle, 90.0)
    cos, sin = math.cos(math.radians(rest)), math.sin(math.radians(rest))
    return ((cos, sin), (-sin, cos), (-cos, -sin), (sin, -cos))[int(quarters) % 4]


def convex(points: Points) -> Spans:
    """Compute the spans of a convex polygon from its corners, given in order."""

    def spans(y: Floats) -> tuple[Indices, Floats, Floats]:
        left, right = np.full(y.shape, np.inf), np.full(y.shape, -np.inf)
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            if y0 == y1:
                continue
            crossed = (y >= min(y0, y1)) & (y < max(y0, y1))
            x = x0 + (y - y0) * ((x1 - x0) / (y1 - y0))
            left = np.where(crossed, np.minimum(left, x), left)
            right = np.where(crossed, np.maximum(right, x), right)
        return np.arange(y.size), left, right

    return spans


def even_odd(points: Points) -> Spans:
    """Compute the spans of any closed polygon by the even-odd rule."""
    edges = _edges(points)

    def spans(y: Floats) -> tuple[Indices, Floats, Floats]:
        return _pairs(*_crossings(edges, y)[:2])

    return spans


def stroke(points: Points, width: float) -> Spans:
    """Compute the spans of the closed line through the points: `width` wide, centred on them, with round
    joins.

    The line is the union of one rectangle per edge and one disc per corner, by the non-zero winding rule.
    """
    corners = np.asarray(points, dtype=np.float64)
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    some = lengths > 0
    start, end = corners[some], np.roll(corners, -1, axis=0)[some]
    along = sides[some] / lengths[some, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * (width / 2)
    ring = [start - across, end - across, end + across, start + across]
    edges = np.concatenate([np.hstack(pair) for pair in zip(ring, [*ring[1:], ring[0]], strict=True)])

    def spans(y: Floats) -> tuple[Indices, Floats, Floats]:
        events = [_crossings(edges, y), *_discs(corners, width / 2, y)]
        line, x, turn = (np.concatenate(part) for part in zip(*events, strict=True))
        order = _in_order(line, x)
        line, x, turn = line[order], x[order], turn[order]
        after = np.cumsum(turn)
        before = after - turn
        first, last = (before <= 0) & (after > 0), (before > 0) & (after <= 0)
        return line[first], x[first], x[last]

    return spans


def _edges(points: Points) -> Floats:
    """Return closed polygon -> [n, 4]: x and y of each edge's start and end."""
    corners = np.asarray(points, dtype=np.float64)
    return np.hstack([corners, np.roll(corners, -1, axis=0)])


def _crossings(
    edges: Floats, y: Floats, side: Literal["left", "right"] = "left"
) -> tuple[Indices, Floats, NDArray[np.int64]]:
    """Find where edges [n, 4] cross the lines at ascending y: line [k], x [k], and +1 for an edge that runs
    upwards, else -1.

    With side "left" an edge includes its upper end and excludes its lower end; with side "right" the reverse.
    """
    x0, y0, x1, y1 = edges.T
    first = np.searchsorted(y, np.minimum(y0, y1), side)
    count = np.searchsorted(y, np.maximum(y0, y1), side) - first
    edge = np.repeat(np.arange(len(edges)), count)
    line = np.arange(edge.size) - np.repeat(np.cumsum(count) - count - first, count)
    x = x0[edge] + (y[line] - y0[edge]) / (y1 - y0)[edge] * (x1 - x0)[edge]
    return line, x, np.where(y1 < y0, 1, -1)[edge]


def _discs(centers: Floats, radius: float, y: Floats) -> list[tuple[Indices, Floats, NDArray[np.int64]]]:
    """Find crossings as in `_crossings`, for the left and right sides of discs around centers [n, 2]."""
    first = np.searchsorted(y, centers[:, 1] - radius)
    count = np.searchsorted(y, centers[:, 1] + radius) - first
    disc = np.repeat(np.arange(len(centers)), count)
    line = np.arange(disc.size) - np.repeat(np.cumsum(count) - count - first, count)
    half = np.sqrt(np.maximum(radius**2 - (y[line] - centers[disc, 1]) ** 2, 0))
    ones = np.ones(disc.size, dtype=np.int64)
    return [(line, centers[disc, 0] - half, ones), (line, centers[disc, 0] + half, -ones)]


def _pairs(line: Indices, x: Floats) -> tuple[Indices, Floats, Floats]:
    """Return the spans between the 1st and 2nd, 3rd and 4th, ... crossing of each line; their
    number is even.
    """
    order = _in_order(line, x)
    line, x = line[order], x[order]
    return line[0::2], x[0::2], x[1::2]


def _in_order(line: Indices, x: Floats) -> Indices:
    """Return indices that sort by line, then by x. One sort of a single number is several times faster than a
    lexsort.

    Lines are placed end to end, a power of two apart. Whole and half coordinates stay exact; others are
    ordered to within a millionth of a pixel.
    """
    if not x.size:
        return np.zeros(0, dtype=np.intp)
    low = x.min()
    apart = 2.0 ** math.ceil(math.log2(max(1.0, x.max() - low + 1)))
    return np.argsort(line * apart + (x - low))


def rows_at_once(points: Points, width: float, bounds: Bounds) -> int:
    """Return how many rows of pixels to process at a time, so that the crossings of a polygon fit into
    bounded memory; `width` is the line width, 0 for a filled polygon.
    """
    top, rows = bounds[1], bounds[3] - bounds[1]
    if len(points) * LINES * _BAND <= _CROSSINGS or rows < 1:
        return _BAND
    corners = np.asarray(points, dtype=np.float64)[:, 1]
    following = np.roll(corners, -1)
    first, last = (
        np.clip(np.floor(edge), 0, rows).astype(np.int64)
        for edge in (
            np.minimum(corners, following) - width / 2 - top,
            np.maximum(corners, following) + width / 2 - top + 1,
        )
    )
    begun = np.bincount(first, minlength=rows + 1) - np.bincount(last, minlength=rows + 1)
    most = int(np.cumsum(begun).max()) * LINES * (_OF_A_STROKE if width else 1)
    return max(1, min(_BAND, _CROSSINGS // max(1, most)))


def centers_inside(points: Points, bounds: Bounds) -> NDArray[np.bool_]:
    """Return which pixels of `bounds` have their centre inside a polygon (even-odd rule): bool [height,
    width].

    A centre on the left or upper edge is outside; a centre on the right or lower edge is inside. This matches
    edges rounded to whole pixels, half upwards.
    """
    left, top, right, bottom = bounds
    columns, edges = right - left, _edges(points)
    inside = np.zeros((bottom - top, columns), dtype=np.bool_)
    step = max(1, _CROSSINGS // max(1, columns, len(points)))
    for start in range(top, bottom, step):
        rows = min(step, bottom - start)
        line, x, _ = _crossings(edges, np.arange(start, start + rows, dtype=np.float64) + 0.5, "right")
        column = np.floor(np.clip(x, left - 1, right) + 0.5).astype(np.int64) - left
        place = line * (columns + 1) + np.clip(column, 0, columns)
        crossed = np.bincount(place, minlength=rows * (columns + 1)).reshape(rows, columns + 1)
        inside[start - top : start - top + rows] = np.cumsum(crossed[:, :columns], axis=1) % 2 > 0
    return inside


def ellipse(left: float, top: float, right: float, bottom: float, angle: float = 0.0) -> Spans:
    """Compute the spans of the ellipse inside a box, turned by `angle` degrees about its centre; none for an
    empty box.
    """
    center_x, center_y, radius_x, radius_y = (
        (left + right) / 2,
        (top + bottom) / 2,
        (right - left) / 2,
        (bottom - top) / 2,
    )

    cos, sin = _direction(angle)
    if cos == 0:
        radius_x, radius_y, sin = radius_y, radius_x, 0.0

    def spans(y: Floats) -> tuple[Indices, Floats, Floats]:
        lines = np.arange(y.size)
        if radius_x < _THINNEST or radius_y < _THINNEST:
            return lines, np.full(y.shape, np.inf), np.full(y.shape, -np.inf)
        if sin == 0:
            square = 1 - ((y - center_y) / radius_y) ** 2
            half = radius_x * np.sqrt(np.maximum(square, 0))
            inside = square > 0
            return (
                lines,
                np.where(inside, center_x - half, np.inf),
                np.where(inside, center_x + half, -np.inf),
            )
        # With (u, v) = (x - center_x, y - center_y) the ellipse is a u^2 + 2 b u v + c v^2 = 1.
        a = (cos / radius_x) ** 2 + (sin / radius_y) ** 2
        b = sin * cos * (1 / radius_x**2 - 1 / radius_y**2)
        v = y - center_y
        square = a - (v / (radius_x * radius_y)) ** 2  # a - (a c - b^2) v^2
        half = np.sqrt(np.maximum(square, 0)) / a
        middle = center_x - (b / a) * v
        inside = square > 0
        return lines, np.where(inside, middle - half, np.inf), np.where(inside, middle + half, -np.inf)

    return spans


def ellipse_reach(width: float, height: float, angle: float) -> tuple[float, float]:
    """Return how far an ellipse of this size, turned by `angle` degrees, extends from its
    centre in x and y.
    """
    cos, sin = _direction(angle)
    return math.hypot(width / 2 * cos, height / 2 * sin), math.hypot(width / 2 * sin, height / 2 * cos)


def pixel_bounds(left: float, top: float, right: float, bottom: float, size: tuple[int, int]) -> Bounds:
    """Return the smallest whole-pixel box around a float box, clipped to an image of `size`;
    all 0 if empty.
    """
    x0, y0 = max(0, int(np.floor(left))), max(0, int(np.floor(top)))
    x1, y1 = min(size[0], int(np.ceil(right))), min(size[1], int(np.ceil(bottom)))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else (0, 0, 0, 0)


def fill(
    image: Image.Image,
    bounds: Bounds,
    color: str,
    add: Sequence[Spans],
    subtract: Sequence[Spans] = (),
    rows: int = _BAND,
) -> None:
    """Paint `color` into `image` where the shapes of `add`, minus those of `subtract`, cover it; never
    outside `bounds`. Processes `rows` rows at a time.
    """
    for place, mask in cover(bounds, add, subtract, rows):
        image.paste(color, place, mask)


def cover(
    bounds: Bounds, add: Sequence[Spans], subtract: Sequence[Spans] = (), band: int = _BAND
) -> Iterator[tuple[tuple[int, int], Image.Image]]:
    """Yield coverage of the shapes of `add` less those of `subtract`, inside `bounds`, as masks (L) with
    their top left, band by band.

    Shapes of `add` should not overlap, and shapes of `subtract` should lie inside them: coverages are summed,
    then clipped to [0, 1].
    """
    left, top, right, bottom = bounds
    for start in range(top, bottom, band):
        rows = min(band, bottom - start)
        y = start + (np.arange(rows * LINES) + 0.5) / LINES
        spans = [(1.0, *shape(y)) for shape in add] + [(-1.0, *shape(y)) for shape in subtract]
        clipped = [
            (sign, line, np.clip(low, left, right), np.clip(high, left, right))
            for sign, line, low, high in spans
        ]
        filled = [(low[low < high], high[low < high]) for sign, _, low, high in clipped if sign > 0]
        if not any(low.size for low, _ in filled):
            continue
        first = int(np.floor(min(low.min() for low, _ in filled if low.size)))
        last = int(np.ceil(max(high.max() for _, high in filled if high.size)))
        share = _coverage(clipped, rows, first, last)
        mask = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
        yield (first, start), Image.fromarray(mask)


def _coverage(
    spans: Sequence[tuple[float, Indices, Floats, Floats]], rows: int, first: int, last: int
) -> Floats:
    """Return summed coverage [rows, last - first] of signed spans.

    The overlap of [x, infinity) with pixel i is the step clip(i + 1 - x, 0, 1). Its differences along i are
    two numbers, so each span end adds two numbers to a table, and one running sum over the table gives all
    pixels.
    """
    width = last - first + 2
    places: list[NDArray[np.int64]] = []
    weights: list[Floats] = []
    for sign, line, low, high in spans:
        low, high = np.clip(low, first, last), np.clip(high, first, last)
        covered = low < high
        row = line[covered] // LINES * width
        for edge, direction in ((low[covered], sign), (high[covered], -sign)):
            whole = np.floor(edge)
            part = edge - whole
            place = row + (whole - first).astype(np.int64)
            places += [place, place + 1]
            weights += [direction * (1 - part), direction * part]
    table = np.bincount(np.concatenate(places), weights=np.concatenate(weights), minlength=rows * width)
    share: Floats = np.cumsum(table.reshape(rows, width), axis=1)[:, : last - first] / LINES
    return share
