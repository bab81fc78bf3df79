"""The scene graph: objects and their positions; and the plain scenes of shapes, sampled from a seed.

No pixels (see `draw`), no questions (see `ask`). `arrange` samples the scenes of both worlds on any ground.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from isi_widget.datasets.grammar import COLOURS, INVERSE, SHAPES, SIZES, Noun
from isi_widget.datasets.nouns import is_a

CANVASES = ((480, 480), (640, 480), (480, 640), (720, 480), (600, 600), (400, 400))
"""Sizes of the pictures in pixels (width, height); the first is by far the most frequent."""

RADII = {"small": (34, 40), "large": (56, 66)}  # pixels on a canvas of 480 x 480; no sizes in between
TEXTURES = 40
_CELL = 0.13  # share of the side; least distance of centres: at most one per patch


@dataclass(frozen=True)
class Thing:
    """One object of a scene.

    Attributes
    ----------
    shape : name of a shape, or of a thing such as "dog".
    colour : one of the colours; "" for a thing without a single colour.
    size : "small" or "large"; "" in between.
    x, y : centre in pixels.
    radius : radius of a shape, half of the longer side of a thing, in pixels.
    angle : clockwise turn in degrees. Default 0.
    tint : shift of a shape's colour in levels. Default none.
    mirrored : whether left and right of the artwork are exchanged. Default False.
    """

    shape: str
    colour: str
    size: str
    x: int
    y: int
    radius: int
    angle: int = 0
    tint: tuple[int, int, int] = (0, 0, 0)
    mirrored: bool = False

    def record(self) -> dict[str, Any]:
        """Return the values as a JSON-ready dict; a shape has no "mirrored"."""
        found = asdict(self) | {"tint": list(self.tint)}
        if self.shape in SHAPES:
            del found["mirrored"]
        return found

    def matches(self, noun: Noun) -> bool:
        """Return whether the noun describes this thing, without regard to its place."""
        return (
            (noun.shape is None or is_a(self.shape, noun.shape))
            and noun.colour in (None, self.colour)
            and noun.size in (None, self.size)
        )


def scale(width: int, height: int) -> float:
    """Return the drawing scale of a canvas from its area: 1 at 480 x 480."""
    return math.sqrt(width * height) / 480


@dataclass(frozen=True)
class Scene:
    """Objects on a ground, later ones in front of earlier ones.

    Attributes
    ----------
    width, height : size of the picture in pixels.
    things : the objects.
    texture : number of the ground within its style. Default 0.
    ground : style of the ground, see `grounds.STYLES`. Default "paper".
    haze : share of a grey mixed with the whole picture, 0 to 1. Default 0.
    world : name of the world whose questions fit: "scenes" (shapes, default) or "things".
    """

    width: int
    height: int
    things: tuple[Thing, ...]
    texture: int = 0
    ground: str = "paper"
    haze: float = 0.0
    world: str = "scenes"

    def matching(self, noun: Noun) -> tuple[int, ...]:
        """Return the indices of the objects that a noun describes."""
        found = tuple(index for index, thing in enumerate(self.things) if thing.matches(noun))
        if noun.place is None:
            return found
        relation, other = noun.place
        references = self.matching(other)
        if len(references) != 1:
            return ()
        return tuple(
            index for index in found if index != references[0] and self.holds(index, relation, references[0])
        )

    def holds(self, first: int, relation: str, second: int) -> bool:
        """Return whether one object is left of, right of, above or below another, by their centres."""
        one, two = self.things[first], self.things[second]
        if relation in ("right of", "below"):
            return self.holds(second, INVERSE[relation], first)
        return one.x < two.x if relation == "left of" else one.y < two.y

    def apart(self, first: int, second: int, margin: float) -> list[str]:
        """Return the axes ("horizontal", "vertical") along which two objects are clearly apart.

        Parameters
        ----------
        margin : least distance of the centres as a share of the picture's side; large objects need more.
        """
        one, two = self.things[first], self.things[second]
        reach = 0.6 * max(one.radius, two.radius)
        gaps = {
            "horizontal": (abs(one.x - two.x), self.width),
            "vertical": (abs(one.y - two.y), self.height),
        }
        return [axis for axis, (gap, side) in gaps.items() if gap / side > margin and gap > reach]

    @property
    def unit(self) -> float:
        """Drawing scale from the canvas area: 1 at 480 x 480."""
        return scale(self.width, self.height)


@dataclass(frozen=True)
class Repeat:
    """A constraint for a scene: exactly `count` objects share `shape` (also a category) and `colour`."""

    count: int
    shape: str | None = None
    colour: str | None = None

    @property
    def noun(self) -> Noun:
        """The description of these objects."""
        return Noun(self.shape, self.colour)


def sample_scene(
    rng: random.Random,
    things: int,
    *,
    repeat: Repeat | None = None,
    canvas: tuple[int, int] | None = None,
    small: float = 0.5,
) -> Scene:
    """Sample a scene of `things` objects (fewer only if they do not fit); `small` is the share of small
    objects.
    """
    if canvas is None:
        canvas = CANVASES[0] if rng.random() < 0.6 else rng.choice(CANVASES[1:])
    placed: list[Thing] = []
    looks = _looks(rng, things, repeat)
    for shape, colour in looks:
        thing = place(rng, canvas, placed, shape, colour, small)
        if thing is not None:
            placed.append(thing)
    rng.shuffle(placed)
    return Scene(*canvas, tuple(placed), rng.randrange(TEXTURES))


def _looks(rng: random.Random, things: int, repeat: Repeat | None) -> list[tuple[str, str]]:
    """Return the shape and colour of each object, repeated ones first (they must fit)."""
    if repeat is None:
        return [(rng.choice(SHAPES), rng.choice(COLOURS)) for _ in range(things)]
    shapes = [shape for shape in SHAPES if shape != repeat.shape]
    colours = [colour for colour in COLOURS if colour != repeat.colour]
    same = [
        (repeat.shape or rng.choice(SHAPES), repeat.colour or rng.choice(COLOURS))
        for _ in range(repeat.count)
    ]
    rest = max(0, things - repeat.count)
    return same + [(rng.choice(shapes), rng.choice(colours)) for _ in range(rest)]


def place(
    rng: random.Random,
    canvas: tuple[int, int],
    placed: Sequence[Thing],
    shape: str,
    colour: str,
    small: float,
) -> Thing | None:
    """Sample a thing that is apart from those placed; None if no room was found."""
    width, height = canvas
    unit = scale(*canvas)
    for attempt in range(60):
        size = SIZES[0] if attempt >= 40 or rng.random() < small else SIZES[1]
        radius = round(rng.randint(*RADII[size]) * unit)
        margin = radius + round(10 * unit)
        x, y = rng.randint(margin, width - margin), rng.randint(margin, height - margin)
        if all(apart(x, y, radius, other, canvas, unit) for other in placed):
            tint = (rng.randint(-9, 9), rng.randint(-9, 9), rng.randint(-9, 9))
            return Thing(shape, colour, size, x, y, radius, 4 * rng.randint(-3, 3), tint)
    return None


def apart(x: int, y: int, radius: int, other: Thing, canvas: tuple[int, int], unit: float) -> bool:
    """Return whether a thing of this centre and radius would be clear of another one."""
    dx, dy = abs(x - other.x), abs(y - other.y)
    reach = 1.08 * (radius + other.radius) + 4 * unit
    return dx * dx + dy * dy > reach * reach and max(dx / canvas[0], dy / canvas[1]) > _CELL
