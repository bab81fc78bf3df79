"""Positions of the labels in an annotated picture: a word or a digit on a white box, with an arrow to its
object.

Only geometry, in pixels of the picture; the interventions Box, Text and Arrow do the drawing. Letters are
large, because a model's image processor may shrink the picture a lot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import ImageFont

from isi_widget.datasets.scenes.graph import Scene
from isi_widget.datasets.scenes.grounds import ground_colours
from isi_widget.stimulus.drawing import FONT, Arrow, Box, Drawing, Text

WORD_SIZE, DIGIT_SIZE = 60, 66  # font size in pixels on a canvas of 480 x 480
_PAD = 5


@dataclass(frozen=True)
class Label:
    """One label: its box (x, y, width, height), its text, the ends and the colour of its arrow; `thing` is
    the index of its object.
    """

    thing: int
    text: str
    box: tuple[int, int, int, int]
    text_at: tuple[int, int]
    size: int
    start: tuple[int, int]
    end: tuple[int, int]
    arrow: str = "#000000"

    def drawings(self) -> tuple[Drawing, ...]:
        """Return the interventions that draw the label."""
        x, y, width, height = self.box
        return (
            Arrow(self.start, self.end, self.arrow, max(2, self.size // 10)),
            Box(x, y, width, height, "#ffffff"),
            Text(*self.text_at, self.text, self.size, "#000000"),
        )


@lru_cache(maxsize=512)
def text_box(text: str, size: int) -> tuple[int, int, int, int]:
    """Return the ink of a text: (left, top) offset from its origin, then width and height."""
    left, top, right, bottom = ImageFont.truetype(
        str(FONT), size, layout_engine=ImageFont.Layout.BASIC
    ).getbbox(text)
    return int(left), int(top), math.ceil(right - left), math.ceil(bottom - top)


def place_labels(scene: Scene, wanted: Sequence[tuple[int, str]]) -> list[Label]:
    """Find a free place for each (index of an object, text): next to its object, away from other objects and
    labels if there is room.
    """
    taken: list[tuple[int, int, int, int]] = []
    found = []
    for index, text in wanted:
        label = _place_label(scene, index, text, taken)
        taken.append(label.box)
        found.append(label)
    return found


def _place_label(scene: Scene, index: int, text: str, taken: Sequence[tuple[int, int, int, int]]) -> Label:
    thing = scene.things[index]
    size = round((DIGIT_SIZE if text.isdigit() else WORD_SIZE) * scene.unit)
    left, top, width, height = text_box(text, size)
    pad = round(_PAD * scene.unit)
    w, h = width + 2 * pad, height + 2 * pad
    gap = round(22 * scene.unit)
    best: tuple[float, int, int, float] | None = None
    for step in range(16):
        turn = 2 * math.pi * step / 16
        for far in (1.0, 2.2, 3.6):
            reach = thing.radius + gap * far
            # the side of the box that faces the object touches the circle of this radius
            cx = thing.x + math.cos(turn) * (reach + w / 2 * abs(math.cos(turn)))
            cy = thing.y + math.sin(turn) * (reach + h / 2 * abs(math.sin(turn)))
            x = round(min(max(cx - w / 2, 2), scene.width - w - 2))
            y = round(min(max(cy - h / 2, 2), scene.height - h - 2))
            cost = _cost(scene, index, (x, y, w, h), taken) + far * 0.01 * w * h
            if best is None or cost < best[0]:
                best = (cost, x, y, turn)
    assert best is not None
    x, y = best[1], best[2]
    start = (x + w // 2, y + h // 2)
    toward = math.atan2(start[1] - thing.y, start[0] - thing.x)
    end = (
        round(thing.x + 1.02 * thing.radius * math.cos(toward)),
        round(thing.y + 1.02 * thing.radius * math.sin(toward)),
    )
    arrow = "#ffffff" if _dark(scene, end) else "#000000"
    return Label(index, text, (x, y, w, h), (x + pad - left, y + pad - top), size, start, end, arrow)


def _dark(scene: Scene, place: tuple[int, int]) -> bool:
    """Return whether a black arrow would be lost on the ground at a place."""
    if scene.ground == "paper":
        return False
    row, column = (16 * place[1] // scene.height, 16 * place[0] // scene.width)
    cells = ground_colours(scene.ground, scene.texture)
    return bool(cells[min(15, max(0, row)), min(15, max(0, column))].mean() < 90)


def _cost(
    scene: Scene, index: int, box: tuple[int, int, int, int], taken: Sequence[tuple[int, int, int, int]]
) -> float:
    """Return the covered area, square pixels; unlabelled objects have the largest weight."""
    cost = 0.0
    for other, thing in enumerate(scene.things):
        r = thing.radius
        cost += _overlap(box, (thing.x - r, thing.y - r, 2 * r, 2 * r)) * (2.0 if other == index else 3.0)
    return cost + sum(4.0 * _overlap(box, other) for other in taken)


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> int:
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0, across) * max(0, down)
