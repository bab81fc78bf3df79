"""Samples scenes of both worlds on any ground: tiny to huge, turned, similar objects side by side, partly
hidden.

A `Plan` says what to sample; the same random generator and plan give the same scene. For the plain scenes of
shapes on light paper see `graph.sample_scene`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from isi_widget.datasets.grammar import Noun
from isi_widget.datasets.nouns import word
from isi_widget.datasets.scenes.draw import visible_shares
from isi_widget.datasets.scenes.graph import CANVASES, RADII, Repeat, Scene, Thing
from isi_widget.datasets.scenes.grounds import PLACES, SEEDS, floor_line, ground_colours
from isi_widget.datasets.scenes.palette import RGB
from isi_widget.datasets.scenes.sprites import half_extent
from isi_widget.datasets.scenes.world import WORLDS, World

WIDE_CANVASES: Final = (*CANVASES, (720, 360), (360, 720), (640, 360), (480, 300), (320, 320))
_CONTRAST = 110.0  # least distance of an object's colour from the ground behind it, RGB levels
_REDUCTION = 4


@dataclass(frozen=True)
class Plan:
    """What to sample.

    Attributes
    ----------
    count : number of objects (fewer only if they do not fit).
    radii : least and largest radius in pixels on a canvas of 480 x 480, log-uniform. A shape has no radius
        between "small" and "large".
    hidden : largest share of an object that others or the edge may hide. Default 0.
    crowd : share of objects placed against another one. Default 0.
    alike : share of objects that are similar to another one: the same in another colour, or easily taken for
        it. Default 0.2.
    turned : share of objects turned by any angle; the others stand about upright. Default 0.15.
    grounds : styles of grounds; None (default) for those of the world.
    haze : least and largest haze. Default none.
    canvas : size of the picture; None (default) for a random one.
    repeat : objects that are alike, or None (default).
    """

    count: int
    radii: tuple[float, float] = (26, 80)
    hidden: float = 0.0
    crowd: float = 0.0
    alike: float = 0.2
    turned: float = 0.15
    grounds: Sequence[str] | None = None
    haze: tuple[float, float] = (0.0, 0.0)
    canvas: tuple[int, int] | None = None
    repeat: Repeat | None = None


def arrange(rng: random.Random, world: World, plan: Plan) -> Scene:
    """Sample a scene by a plan."""
    canvas = plan.canvas
    if canvas is None:
        canvas = CANVASES[0] if rng.random() < 0.5 else rng.choice(WIDE_CANVASES)
    ground = rng.choice(plan.grounds or world.grounds)
    haze = round(rng.uniform(*plan.haze), 3)
    scene = Scene(*canvas, (), rng.randrange(SEEDS), ground, haze, world.name)
    for shape, colour in _looks(rng, world, plan, ground):
        placed = _place(rng, scene, plan, shape, colour)
        scene = scene if placed is None else placed
    if ground in PLACES:
        return scene  # drawn from back to front
    things = list(scene.things)
    if not plan.hidden:
        rng.shuffle(things)
    return replace(scene, things=tuple(things))


def _looks(rng: random.Random, world: World, plan: Plan, ground: str) -> list[tuple[str, str]]:
    """Return what each object is and its colour; repeated objects first (they must fit)."""
    repeat, found = plan.repeat, []
    avoided: Noun | None = None
    if repeat is not None:
        avoided = repeat.noun
        found = [_repeated(rng, world, repeat) for _ in range(repeat.count)]
    attempts = 0
    while len(found) < plan.count and attempts < 200:
        attempts += 1
        look = _look(rng, world, ground)
        if found and rng.random() < plan.alike:
            look = _like(rng, world, rng.choice(found))
        if avoided is None or not Thing(*look, "", 0, 0, 0).matches(avoided):
            found.append(look)
    return found


def _repeated(rng: random.Random, world: World, repeat: Repeat) -> tuple[str, str]:
    names = world.members(repeat.shape) if repeat.shape else world.nouns
    if repeat.colour:
        names = tuple(name for name in names if repeat.colour in world.colours(name))
    name = rng.choice(names)
    return name, repeat.colour or _colour(rng, world, name)


def _colour(rng: random.Random, world: World, name: str) -> str:
    colours = world.colours(name)
    return rng.choice(colours) if colours else ""


def _look(rng: random.Random, world: World, ground: str) -> tuple[str, str]:
    names = world.usual(ground) if rng.random() < 0.6 else world.nouns
    coloured = [name for name in names if world.colours(name)]
    name = rng.choice(coloured if coloured and rng.random() < 0.3 else names)
    return name, _colour(rng, world, name)


def _like(rng: random.Random, world: World, look: tuple[str, str]) -> tuple[str, str]:
    """Return a look that is similar to another one, or the same."""
    name, colour = look
    similar = world.similar(name)
    if similar and (not colour or rng.random() < 0.5):
        name = rng.choice(similar)
        return name, colour if colour in world.colours(name) else _colour(rng, world, name)
    if world.name == "scenes" and rng.random() < 0.5:
        return rng.choice(world.nouns), colour
    return name, _colour(rng, world, name)


def _place(rng: random.Random, scene: Scene, plan: Plan, shape: str, colour: str) -> Scene | None:
    """Return the scene with one more object; None if it does not fit."""
    for attempt in range(40):
        thing = _candidate(rng, scene, plan, shape, colour, small=attempt >= 25)
        if thing is None or _too_near(thing, scene.things) or _lost(thing, scene):
            continue
        things = list(scene.things)
        things.insert(_order(thing, scene), thing)
        grown = replace(scene, things=tuple(things))
        if _all_seen(grown, thing, plan.hidden):
            return grown
    return None


def _candidate(
    rng: random.Random, scene: Scene, plan: Plan, shape: str, colour: str, small: bool
) -> Thing | None:
    """Return an object at a random place of the picture, or None if it is too large for it."""
    least, largest = plan.radii
    share = rng.random() * (0.4 if small else 1.0)
    size = least * (largest / least) ** share
    is_thing = bool(word(shape).glyph)
    between = RADII["small"][1] < size < RADII["large"][0]
    if between and not is_thing:  # a shape is small or large
        size = rng.choice((RADII["small"][1], RADII["large"][0]))
    name = "" if is_thing else "small" if size <= RADII["small"][1] else "large"
    radius = max(3, round(size * scene.unit))
    standing = scene.ground in PLACES
    angle = rng.randint(-179, 180) if rng.random() < plan.turned else 4 * rng.randint(-2, 2)
    if standing and is_thing and not word(shape).flies:
        angle = 4 * rng.randint(-1, 1)
    wide, tall = _extent(shape, radius, angle)
    slack = 0.0 if plan.hidden < 0.2 else 0.8 * plan.hidden
    inner_x = (round(wide * (1 - slack)) + 1, round(scene.width - wide * (1 - slack)) - 1)
    inner_y = (round(tall * (1 - slack)) + 1, round(scene.height - tall * (1 - slack)) - 1)
    if standing and is_thing and not (word(shape).flies and rng.random() < 0.7):
        line = floor_line(scene.ground, scene.texture) * scene.height
        inner_y = (max(inner_y[0], round(line + 0.06 * scene.height - tall)), inner_y[1])
    if inner_x[0] >= inner_x[1] or inner_y[0] >= inner_y[1]:
        return None
    x, y = rng.randint(*inner_x), rng.randint(*inner_y)
    if scene.things and rng.random() < plan.crowd:
        other = rng.choice(scene.things)
        turn, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0.55, 1.0) * (radius + other.radius)
        x, y = round(other.x + reach * math.cos(turn)), round(other.y + reach * math.sin(turn))
        if not (inner_x[0] <= x <= inner_x[1] and inner_y[0] <= y <= inner_y[1]):
            return None
    tint = (0, 0, 0) if is_thing else (rng.randint(-9, 9), rng.randint(-9, 9), rng.randint(-9, 9))
    return Thing(shape, colour, name, x, y, radius, angle, tint, is_thing and rng.random() < 0.5)


def _extent(shape: str, radius: int, angle: int) -> tuple[float, float]:
    """Return half of the width and of the height of an object as drawn, in pixels."""
    wide, tall = half_extent(shape) if word(shape).glyph else (1.0, 1.0)
    cos, sin = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    return radius * (wide * cos + tall * sin), radius * (wide * sin + tall * cos)


def _order(thing: Thing, scene: Scene) -> int:
    """Return the index of a new object: on a floor, nearer objects are drawn later."""
    if scene.ground not in PLACES:
        return len(scene.things)
    bottom = thing.y + _extent(thing.shape, thing.radius, thing.angle)[1]
    return sum(
        other.y + _extent(other.shape, other.radius, other.angle)[1] <= bottom for other in scene.things
    )


def _too_near(thing: Thing, placed: Sequence[Thing]) -> bool:
    """Return whether an object would form one heap with another one: centres close together, or two shapes of
    one colour that touch.
    """
    for other in placed:
        flat = thing.colour == other.colour and not word(thing.shape).glyph
        reach = (1.2 if flat else 0.5) * (thing.radius + other.radius)
        if math.hypot(thing.x - other.x, thing.y - other.y) < reach:
            return True
    return False


def _lost(thing: Thing, scene: Scene) -> bool:
    """Return whether an object of one colour cannot be distinguished from the ground behind it."""
    if not thing.colour:
        return False
    cells = ground_colours(scene.ground, scene.texture)
    row = min(15, max(0, 16 * thing.y // scene.height))
    column = min(15, max(0, 16 * thing.x // scene.width))
    away = np.abs(cells[row, column] - np.array(RGB[thing.colour], dtype=np.float32)).sum()
    return bool(away < _CONTRAST)


def _all_seen(scene: Scene, new: Thing, hidden: float) -> bool:
    """Return whether a new object leaves enough of every object visible."""
    wide, tall = _extent(new.shape, new.radius, new.angle)
    inside = wide <= new.x < scene.width - wide and tall <= new.y < scene.height - tall
    near = [
        other
        for other in scene.things
        if other is not new
        and math.hypot(new.x - other.x, new.y - other.y) < 1.12 * (new.radius + other.radius) + 4
    ]
    if inside and not near:
        return True
    if not hidden:
        return False
    chosen = [thing for thing in scene.things if thing is new or thing in near]
    shares = visible_shares(replace(scene, things=tuple(chosen)), _REDUCTION)
    return min(shares) >= 1 - hidden


def add(rng: random.Random, scene: Scene, shape: str, colour: str) -> Scene | None:
    """Return the scene with one more object, of an ordinary size, where it hides nothing; None if there is no
    room.
    """
    radii: tuple[float, float] = (RADII["small"][0], RADII["large"][1])
    if not WORLDS[scene.world].sized and scene.things:
        sizes = sorted(thing.radius / scene.unit for thing in scene.things)
        radii = (sizes[0], sizes[-1])
    return _place(rng, scene, Plan(1, radii=radii, turned=0), shape, colour)


def well_placed(thing: Thing, scene: Scene) -> bool:
    """Return whether an object stands out from the ground behind it, and on the floor if it must."""
    if _lost(thing, scene):
        return False
    if scene.ground not in PLACES or not word(thing.shape).glyph or word(thing.shape).flies:
        return True
    tall = _extent(thing.shape, thing.radius, thing.angle)[1]
    return thing.y >= floor_line(scene.ground, scene.texture) * scene.height + 0.06 * scene.height - tall
