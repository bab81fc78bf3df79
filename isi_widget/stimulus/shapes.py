"""Shapes that paint in one colour with smooth edges: Box, Ellipse, Polygon, Line, Arrow.

Coordinates and sizes are pixels of the original image, origin top left, floats allowed. Each paints inside
its `bounds` only. Not for the arithmetic of coverage (see `coverage`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from PIL import Image

from isi_widget.stimulus import checks, effort
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.coverage import (
    LINES,
    Bounds,
    Spans,
    convex,
    ellipse,
    ellipse_reach,
    even_odd,
    fill,
    pixel_bounds,
    rows_at_once,
    stroke,
    turned,
)
from isi_widget.stimulus.lettering import Text, check_text, text_extent
from isi_widget.stimulus.operations import SPARSE, plain, register
from isi_widget.stimulus.regions import Point, check_points

#: An arrow's head is this many line widths long and wide; the front end draws the same.
HEAD_LENGTH, HEAD_WIDTH = 5.0, 4.0


@dataclass(frozen=True)
class _Outlined(Drawing):
    """Base class of Box and Ellipse: a box and a colour, filled or as an outline inside the box.

    angle : degrees clockwise about the centre of the box; default 0.
    """

    x: float
    y: float
    width: float
    height: float
    color: str = "#000000"
    fill: bool = True
    line_width: float = 3.0
    angle: float = field(default=0.0, metadata=SPARSE)

    @property
    def truth(self) -> str:
        """Return "keeps" for a thin outline, "may change" if it covers what it surrounds."""
        thin = not self.fill and 4 * self.line_width <= min(self.width, self.height)
        return "keeps" if thin else "may change"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            x=checks.number(self.x, self._name("x")),
            y=checks.number(self.y, self._name("y")),
            width=checks.number(self.width, self._name("width"), low=0),
            height=checks.number(self.height, self._name("height"), low=0),
            color=checks.color(self.color, self._name("color")),
            fill=checks.flag(self.fill, self._name("fill")),
            line_width=checks.number(self.line_width, self._name("line_width"), low=0),
            angle=checks.number(self.angle, self._name("angle")),
        )

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the box itself, or the box around it if it is turned; the outline lies inside."""
        if self.angle:
            (x, y), (reach_x, reach_y) = self._center, self._reach()
            return pixel_bounds(x - reach_x, y - reach_y, x + reach_x, y + reach_y, size)
        return pixel_bounds(self.x, self.y, self.x + self.width, self.y + self.height, size)

    def draw(self, image: Image.Image) -> None:
        """Fill the shape; for an outline, subtract the same shape moved inwards by the line width."""
        bounds = self.bounds(image.size)
        edge = self.line_width
        shape = self._shape(self.x, self.y, self.x + self.width, self.y + self.height)
        if self.fill or 2 * edge >= min(self.width, self.height):
            fill(image, bounds, self.color, [shape])
        else:
            inner = self._shape(
                self.x + edge, self.y + edge, self.x + self.width - edge, self.y + self.height - edge
            )
            fill(image, bounds, self.color, [shape], [inner])

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from its area."""
        return effort.FILLED * min(self.width * self.height, size[0] * size[1])

    @property
    def _center(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2

    def _shape(self, left: float, top: float, right: float, bottom: float) -> Spans:
        raise NotImplementedError

    def _reach(self) -> tuple[float, float]:
        """Return how far the turned shape extends from its centre in x and y."""
        raise NotImplementedError


@register
@dataclass(frozen=True)
class Box(_Outlined):
    """A box; exact to the pixel on whole coordinates."""

    op: ClassVar[str] = "box"

    def _shape(self, left: float, top: float, right: float, bottom: float) -> Spans:
        return convex(self._corners(left, top, right, bottom))

    def _corners(self, left: float, top: float, right: float, bottom: float) -> list[Point]:
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return turned(corners, self._center, self.angle) if self.angle else corners

    def _reach(self) -> tuple[float, float]:
        corners = self._corners(self.x, self.y, self.x + self.width, self.y + self.height)
        x, y = self._center
        return max(abs(at[0] - x) for at in corners), max(abs(at[1] - y) for at in corners)


@register
@dataclass(frozen=True)
class Ellipse(_Outlined):
    """The ellipse that touches the four sides of a box."""

    op: ClassVar[str] = "ellipse"

    def _shape(self, left: float, top: float, right: float, bottom: float) -> Spans:
        return ellipse(left, top, right, bottom, self.angle)

    def _reach(self) -> tuple[float, float]:
        return ellipse_reach(self.width, self.height, self.angle)


@register
@dataclass(frozen=True)
class Polygon(Drawing):
    """A closed polygon of any shape; a freehand mask is a polygon of many points.

    Filled by the even-odd rule, or drawn as a line of width `line_width` (pixels), centred on the points,
    with round joins.
    """

    op: ClassVar[str] = "polygon"
    points: Sequence[Point]  # stored as a tuple
    color: str = "#000000"
    fill: bool = True
    line_width: float = 3.0

    @property
    def truth(self) -> str:
        """Return "keeps" for a thin outline, "may change" if it covers what it surrounds."""
        across, down = ([point[axis] for point in self.points] for axis in (0, 1))
        thin = 4 * self.line_width <= min(max(across) - min(across), max(down) - min(down))
        return "keeps" if thin and not self.fill else "may change"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            points=check_points(self.points, self._name("points")),
            color=checks.color(self.color, self._name("color")),
            fill=checks.flag(self.fill, self._name("fill")),
            line_width=checks.number(self.line_width, self._name("line_width"), low=0),
        )

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the box around the points, half the line width wider for an outline."""
        half = 0.0 if self.fill else self.line_width / 2
        if not self.fill and not half:
            return (0, 0, 0, 0)
        left, top, right, bottom = self._extent
        return pixel_bounds(left - half, top - half, right + half, bottom + half, size)

    @cached_property
    def _extent(self) -> tuple[float, float, float, float]:
        xs, ys = zip(*self.points, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def corners(self) -> int:
        """Number of its points."""
        return len(self.points)

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from its area and the crossings of its edges with scan lines."""
        left, top, right, bottom = self.bounds(size)
        found = effort.FILLED * (right - left) * (bottom - top)
        crossings = effort.crossings(self.points, self._height, size)
        if self.fill:
            return found + effort.CROSSED * LINES * crossings
        joins = len(self.points) * min(self.line_width, size[1])
        return found + effort.STROKED * LINES * (crossings + joins)

    @cached_property
    def _height(self) -> float:
        return effort.height(self.points)

    def draw(self, image: Image.Image) -> None:
        """Fill the inside or the line."""
        shape = even_odd(self.points) if self.fill else stroke(self.points, self.line_width)
        bounds = self.bounds(image.size)
        rows = rows_at_once(self.points, 0.0 if self.fill else self.line_width, bounds)
        fill(image, bounds, self.color, [shape], rows=rows)


@dataclass(frozen=True)
class _Stroke(Drawing):
    """Base class of Line and Arrow."""

    start: Point
    end: Point
    color: str = "#000000"
    width: float = 2.0

    @property
    def truth(self) -> str:
        """Return "keeps" for a thin line, which points at things, "may change" for one that covers them."""
        length = math.dist(self.start, self.end)
        return "keeps" if 4 * self.width <= length else "may change"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            start=checks.point(self.start, self._name("start")),
            end=checks.point(self.end, self._name("end")),
            color=checks.color(self.color, self._name("color")),
            width=checks.number(self.width, self._name("width"), low=0),
        )

    def _polygons(self) -> list[list[Point]]:
        raise NotImplementedError

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the smallest box around the stroke with its width."""
        points = [point for shape in self._polygons() for point in shape]
        if not points:
            return (0, 0, 0, 0)
        xs, ys = zip(*points, strict=True)
        return pixel_bounds(min(xs), min(ys), max(xs), max(ys), size)

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from the box around it."""
        across, down = (abs(b - a) + self.width for a, b in zip(self.start, self.end, strict=True))
        return effort.FILLED * min(across * down, size[0] * size[1])

    def draw(self, image: Image.Image) -> None:
        """Fill the polygons of the stroke."""
        fill(image, self.bounds(image.size), self.color, [convex(points) for points in self._polygons()])

    def _along(self) -> tuple[float, Callable[[float, float], Point]]:
        """Return the length, and a function from (distance along, offset across) to a point."""
        (x0, y0), (x1, y1) = self.start, self.end
        length = math.hypot(x1 - x0, y1 - y0)
        unit = ((x1 - x0) / length, (y1 - y0) / length) if length else (1.0, 0.0)
        return length, lambda along, across: (
            x0 + unit[0] * along - unit[1] * across,
            y0 + unit[1] * along + unit[0] * across,
        )


@register
@dataclass(frozen=True)
class Line(_Stroke):
    """A straight line with flat ends. Without length or width it draws nothing."""

    op: ClassVar[str] = "line"

    def _polygons(self) -> list[list[Point]]:
        length, at = self._along()
        half = self.width / 2
        if not length or not half:
            return []
        return [[at(0, -half), at(length, -half), at(length, half), at(0, half)]]


@register
@dataclass(frozen=True)
class Arrow(_Stroke):
    """A line with a head at `end`, 5 widths long and 4 wide; an arrow shorter than that is all head.

    An arrow without length or width draws nothing, not even its label.

    label : text beyond the tail, in the same colour, one line width away; default "" (none).
    size : font size of the label, pixels; default 16.
    """

    op: ClassVar[str] = "arrow"
    label: str = field(default="", metadata=SPARSE)
    size: float = field(default=16.0, metadata=SPARSE)

    def __post_init__(self) -> None:
        super().__post_init__()
        label, size = check_text(self.label, self.size, self._name("label"), self._name("size"))
        self._set(label=label, size=size if label else 16.0)  # one normal form: no label, default size

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; the size is written only with a label."""
        return super().to_dict() | ({"size": plain(self.size)} if self.label else {})

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the box around the arrow and its label."""
        boxes = [super().bounds(size)] + [text.bounds(size) for text in self._texts()]
        inside = [box for box in boxes if box[0] < box[2]]
        if not inside:
            return (0, 0, 0, 0)
        lefts, tops, rights, bottoms = zip(*inside, strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)

    def draw(self, image: Image.Image) -> None:
        """Draw the arrow, then its label."""
        fill(image, super().bounds(image.size), self.color, [convex(points) for points in self._polygons()])
        for text in self._texts():
            text.draw(image)

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from the line and the label."""
        return super().effort(size) + effort.LETTER * len(self.label)

    def _texts(self) -> list[Text]:
        """Return the label at its position; nothing without a label."""
        length, at = self._along()
        if not self.label or not length or not self.width:
            return []
        width, height = text_extent(self.label, self.size)
        across, down = (abs(b - a) / length for a, b in zip(self.start, self.end, strict=True))
        beyond = self.width + min(
            width / 2 / across if across else math.inf, height / 2 / down if down else math.inf
        )
        x, y = at(-beyond, 0)
        if max(abs(x - width / 2), abs(y - height / 2)) > checks.LARGEST:  # outside any image
            return []
        return [Text(x - width / 2, y - height / 2, self.label, self.size, self.color)]

    def _polygons(self) -> list[list[Point]]:
        length, at = self._along()
        if not length or not self.width:
            return []
        scale = min(1.0, length / (HEAD_LENGTH * self.width))
        neck = length - HEAD_LENGTH * self.width * scale
        barb = HEAD_WIDTH * self.width * scale / 2
        head = [at(neck, -barb), at(length, 0), at(neck, barb)]
        if neck <= 0:
            return [head]
        half = self.width / 2
        return [[at(0, -half), at(neck, -half), at(neck, half), at(0, half)], head]
