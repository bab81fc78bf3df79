"""`Segmenter`: what finds the object that a box, points or strokes mean; `Prompt`: what a person marked.

Not for segmenters by name (see `registry`), nor for calling one on an image (see `segmenting`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isi_widget.checks import shown
from isi_widget.errors import InputError
from isi_widget.stimulus import checks

#: Most strokes, and most points of all strokes, of one prompt, and the widest brush; bounds on the time.
MOST_STROKES, MOST_POINTS, WIDEST = 1000, 20_000, 1000.0


@dataclass(frozen=True)
class Stroke:
    """A line painted with a round brush that marks pixels of the object or of what is around it.

    points : the line, [(x, y), ...] in pixels of the image; one point is a dot.
    object : True (default): this is the object; False: this is not.
    radius : radius of the brush, at most 1,000 pixels; default 3.
    """

    points: tuple[tuple[float, float], ...]
    object: bool = True
    radius: float = 3.0

    def __post_init__(self) -> None:
        points = self.points
        if not isinstance(points, (list, tuple, np.ndarray)) or not 1 <= len(points) <= MOST_POINTS:
            raise InputError(
                f'stroke: "points" must be a list of 1 to {MOST_POINTS} points [x, y], got {shown(points)}.'
            )
        checked = tuple(checks.point(item, f"stroke: point {at}") for at, item in enumerate(points))
        object.__setattr__(self, "points", checked)
        object.__setattr__(self, "object", checks.flag(self.object, 'stroke: "object"'))
        object.__setattr__(self, "radius", checks.number(self.radius, 'stroke: "radius"', low=0, high=WIDEST))

    @classmethod
    def of(cls, value: Any) -> Stroke:
        """Return a stroke, or build one from {"points": ..., "object": ..., "radius": ...}."""
        if isinstance(value, Stroke):
            return value
        if not isinstance(value, Mapping) or not {"points"} <= set(value) <= {"points", "object", "radius"}:
            raise InputError(
                'A stroke must be {"points": [[x, y], ...], "object": True or False, "radius": pixels}, got '
                f"{shown(value)}."
            )
        return cls(**value)


@dataclass(frozen=True)
class Prompt:
    """What a person marked on an image, checked: at least one of the three.

    box : (left, top, right, bottom) in whole pixels, half-open, inside the image; None if none was drawn.
    strokes : painted lines and points, in their order; a later one counts where they overlap.
    mask : pixels found so far, bool [height, width]; None for none.
    """

    box: tuple[int, int, int, int] | None
    strokes: tuple[Stroke, ...] = ()
    mask: NDArray[np.bool_] | None = None

    def marked(self, shape: tuple[int, int], scale: float = 1.0, origin: tuple[int, int] = (0, 0)) -> Marks:
        """Return the painted pixels in a part of the image, reduced.

        Parameters
        ----------
        shape : (height, width) of the result.
        scale : pixels of the result for one of the image; default 1.
        origin : (x, y) of the part in the image; default (0, 0).
        """
        import cv2

        marks = np.zeros(shape, dtype=np.uint8)
        for stroke in self.strokes:
            points = (np.array(stroke.points) - origin) * scale - 0.5
            line = np.clip(np.rint(points), -30_000, 30_000).astype(np.int32)
            value, reach = (2 if stroke.object else 1), stroke.radius * scale
            if len(line) == 1:  # no line, for OpenCV
                cv2.circle(marks, line[0].tolist(), round(reach), value, cv2.FILLED)
            else:
                cv2.polylines(marks, [line[:, None]], False, value, max(1, round(2 * reach)))
        return Marks(marks == 2, marks == 1)


class Marks(NamedTuple):
    """Pixels that were painted as the object, and pixels that were painted as what is around it."""

    object: NDArray[np.bool_]
    other: NDArray[np.bool_]


class Found(NamedTuple):
    """Pixels of an object, bool [height, width], and a note for the person where the result is a guess."""

    inside: NDArray[np.bool_]
    note: str = ""


class Segmenter:
    """A way to find the pixels of an object. Subclass it, and pass it to `register_segmenter`."""

    #: Name for `isi.segment(..., back_end=name)`.
    name: ClassVar[str]
    #: Name on the page.
    title: ClassVar[str]
    #: Whether it takes no longer than a second on a CPU.
    quick: ClassVar[bool] = False
    #: Names of its options.
    options: ClassVar[tuple[str, ...]] = ()

    def find(self, pixels: NDArray[np.uint8], prompt: Prompt, **options: Any) -> Found:
        """Find the object.

        Parameters
        ----------
        pixels : the image, uint8 [height, width, 3], RGB; not to be changed.
        prompt : marks of a person on it.
        options : those of `options` that were given.

        Raises
        ------
        InputError : the prompt has nothing that this segmenter can use, or a wrong option.
        """
        raise NotImplementedError
