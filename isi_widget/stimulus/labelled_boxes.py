"""`LabelledBox`: a box around a thing of a picture, with its name; drawn on a stimulus, and read off one.

Not for files of boxes (`isi_widget.datasets.coco`, `yolo`), nor for masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from isi_widget.errors import InputError
from isi_widget.stimulus import checks
from isi_widget.stimulus.lettering import Text
from isi_widget.stimulus.shapes import Box

if TYPE_CHECKING:
    from isi_widget.stimulus.core import Stimulus
    from isi_widget.stimulus.mask import Mask

UNNAMED = "object"
#: A box, (x, y, width, height) or (x, y, width, height, label).
BoxLike: TypeAlias = "LabelledBox | Sequence[Any]"
_ABOVE = 1.25  # font sizes between the top of a label and its box
_REACH = 1.5


@dataclass(frozen=True)
class LabelledBox:
    """A box around a thing, with its name.

    x : left edge, pixels of the original image.
    y : top edge, pixels.
    width : width, pixels.
    height : height, pixels.
    label : name of the thing; default "object".
    outline : closed polygon round the thing, points (x, y) in pixels; () (default) where only the box is
        known. Files of segments have it.
    """

    x: float
    y: float
    width: float
    height: float
    label: str = UNNAMED
    outline: tuple[tuple[float, float], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for name, low in (("x", -checks.LARGEST), ("y", -checks.LARGEST), ("width", 0.0), ("height", 0.0)):
            object.__setattr__(self, name, checks.number(getattr(self, name), f"box: {name}", low=low))
        label = " ".join(checks.text(self.label, "box: label").split())
        if not label:
            raise InputError('box: label must not be empty; leave it out for "object".')
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "outline", _points(self.outline))

    @classmethod
    def around(cls, outline: Iterable[Sequence[float]], label: str = UNNAMED) -> LabelledBox:
        """Return the box round a polygon, which becomes its outline.

        Parameters
        ----------
        outline : polygon round the thing, at least three points (x, y) in pixels.
        label : name of the thing; default "object".
        """
        points = _points(outline)
        if len(points) < 3:
            raise InputError(f"box: an outline needs at least three points; got {len(points)}.")
        xs, ys = zip(*points, strict=True)
        return cls(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys), label, points)

    def mask(self, size: tuple[int, int]) -> Mask:
        """Return the mask of the thing in an image of `size` (width, height): the pixels inside its outline
        (even-odd rule), or those of the box without one.
        """
        from isi_widget.stimulus.coverage import centers_inside
        from isi_widget.stimulus.mask import Mask

        if not self.outline:
            return Mask.from_box(size, self.region)
        return Mask.from_array(centers_inside(self.outline, (0, 0, *size)))

    @classmethod
    def of(cls, box: BoxLike) -> LabelledBox:
        """Return a box from itself, from (x, y, width, height) or (x, y, width, height, label)."""
        if isinstance(box, LabelledBox):
            return box
        if isinstance(box, str | Mapping) or not hasattr(box, "__len__") or len(box) not in (4, 5):
            raise InputError(
                "A box must be a LabelledBox, (x, y, width, height) or (x, y, width, height, label), in "
                "pixels; got "
                f"{box!r:.80}."
            )
        return cls(*box)

    @property
    def region(self) -> tuple[float, float, float, float]:
        """(x, y, width, height): a region for effects and edits."""
        return self.x, self.y, self.width, self.height

    def inside(self, size: tuple[int, int]) -> LabelledBox | None:
        """Return the part of the box inside an image of `size` (width, height); None if it has no area."""
        left, top = max(self.x, 0.0), max(self.y, 0.0)
        right, bottom = min(self.x + self.width, size[0]), min(self.y + self.height, size[1])
        if right <= left or bottom <= top:
            return None
        if (left, top, right, bottom) == (self.x, self.y, self.x + self.width, self.y + self.height):
            return self
        return replace(self, x=left, y=top, width=right - left, height=bottom - top)


def _points(outline: Any) -> tuple[tuple[float, float], ...]:
    """Return checked points."""
    if isinstance(outline, str | bytes | Mapping) or not isinstance(outline, Iterable):
        raise InputError(f"box: outline must be a list of points (x, y), not {type(outline).__name__}.")
    points = []
    for point in outline:
        x, y = checks.numbers(point, "box: a point of the outline", 2, "(x, y)")
        points.append((x, y))
    return tuple(points)


def checked(boxes: Iterable[BoxLike]) -> tuple[LabelledBox, ...]:
    """Return boxes as `LabelledBox`."""
    if isinstance(boxes, str | bytes | Mapping) or not isinstance(boxes, Iterable):
        raise InputError(f"boxes must be a list of boxes, not {type(boxes).__name__}.")
    return tuple(map(LabelledBox.of, boxes))


class BoxMethods:
    """Boxes with names, as drawings of a stimulus."""

    operations: tuple[Any, ...]

    @property
    def boxes(self) -> tuple[LabelledBox, ...]:
        """The drawn boxes that are not hidden, in order; of a turned box the upright one around it. The label
        of a box is the text that begins in it or right above it, nearest to its top left corner; else
        "object".
        """
        shown = [item for item in self.operations if isinstance(item, Box | Text) and not item.hidden]
        drawn = [item for item in shown if isinstance(item, Box)]
        labels: dict[int, str] = {}
        for text in (item for item in shown if isinstance(item, Text)):
            free = [place for place, box in enumerate(drawn) if place not in labels and _near(text, box)]
            if free and text.text.split():
                labels[min(free, key=lambda place: _distance(text, drawn[place]))] = text.text
        return tuple(
            LabelledBox(*_upright(box), labels.get(place, UNNAMED)) for place, box in enumerate(drawn)
        )

    def with_boxes(
        self: Any,
        boxes: Iterable[BoxLike],
        *,
        color: str = "#ff0000",
        line_width: float = 3,
        labels: bool = True,
        size: float = 16,
    ) -> Stimulus:
        """Draw boxes as outlines, each with its label above it; `boxes` of the result has them again.

        Parameters
        ----------
        boxes : boxes, such as `obs.boxes`: `LabelledBox`, (x, y, width, height) or (x, y, width, height,
        label).
        color : colour of outlines and labels; default red.
        line_width : width of the outlines inside the boxes, pixels; default 3.
        labels : whether labels are written; default True. "object", which stands for no name, is not.
        size : font size of the labels, pixels; default 16.
        """
        operations: list[Any] = []
        for box in checked(boxes):
            operations.append(Box(*box.region, color, False, line_width))
            if labels and box.label != UNNAMED:
                above = box.y - _ABOVE * size
                at = (box.x, above) if above >= 0 else (box.x + line_width, box.y + line_width)
                operations.append(Text(*at, box.label, size, color))
        made: Stimulus = self.apply(*operations)
        return made


def _upright(box: Box) -> tuple[float, float, float, float]:
    if not box.angle:
        return box.x, box.y, box.width, box.height
    (x, y), (across, down) = box._center, box._reach()
    return x - across, y - down, 2 * across, 2 * down


def _near(text: Text, box: Box) -> bool:
    x, y, width, height = _upright(box)
    return x - 1 <= text.x <= x + width and y - _REACH * text.size <= text.y <= y + height


def _distance(text: Text, box: Box) -> float:
    """Return how far a text is from the places where a label of the box would be written."""
    x, y, _, _ = _upright(box)
    places = ((x, y - _ABOVE * text.size), (x + box.line_width, y + box.line_width), (x, y))
    return min(abs(text.x - left) + abs(text.y - top) for left, top in places)
