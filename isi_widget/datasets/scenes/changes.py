"""Changes of a scene graph that change the answer to a question: the fewest things, one semantic level.

Every change is tried on the graph and the question is asked again (`ask.ask_again`): no rule has to know
which change flips which question. Things keep their order, so what overlaps stays in front or behind. No
pixels (see `draw`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

from isi_widget.datasets.grammar import SIZES, Ask, Noun
from isi_widget.datasets.scenes.arrange import add, well_placed
from isi_widget.datasets.scenes.ask import MARGIN, ask_again, is_ambiguous
from isi_widget.datasets.scenes.graph import RADII, Scene, Thing, apart
from isi_widget.datasets.scenes.world import WORLDS

#: Ways to change a scene, by semantic level, in the order of preference.
WAYS = {
    "object": ("remove", "insert", "replace", "exchange"),
    "attribute": ("recolor", "resize", "exchange"),
    "relation": ("move", "swap"),
}
#: A moved thing leaves at least this share of the side between the two centres, if it can.
_CLEAR = 0.2
_PLACES = 60  # tried for a thing that is added
_STEPS = 24  # tried along each side for a thing that is moved
#: A thing that has no room to grow is moved aside by at most this share of the picture's sides.
_ASIDE = 0.15


@dataclass(frozen=True)
class Change:
    """One changed scene.

    Attributes
    ----------
    way : one of the ways of `WAYS`.
    scene : scene after the change.
    describe : function that returns the change in words; most candidates are never described.
    before : indices of the changed things in the scene before; () if one was added.
    after : indices of the changed things in the scene after; () if they were removed.
    """

    way: str
    scene: Scene
    describe: Callable[[], str]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def words(self) -> str:
        """The change in words, such as "the red star becomes a blue star"."""
        return self.describe()


def change(scene: Scene, asked: Ask, level: str, rng: random.Random, way: str | None = None) -> Change | None:
    """Return a change of a scene that changes the answer; None if there is none.

    Parameters
    ----------
    scene : scene before.
    asked : question; it must have an answer there.
    level : "object", "attribute" or "relation".
    rng : random number generator of the choices.
    way : one of `WAYS[level]`; None (default) for the first of them that changes the answer.
    """
    before = ask_again(scene, asked)
    if before is None:
        return None
    for margin in (_CLEAR, MARGIN) if level == "relation" else (MARGIN,):
        for each in WAYS[level] if way is None else (way,):
            for made in _candidates(scene, asked, level, each, rng):
                after = ask_again(made.scene, asked, margin)
                if after is None or after.answer == before.answer or is_ambiguous(made.scene, after):
                    continue
                return made
    return None


def _candidates(scene: Scene, asked: Ask, level: str, way: str, rng: random.Random) -> Iterator[Change]:
    """Yield the changes of one way: of one thing, then of all things that the question means.

    None where the question does not name what changes: the search would be long, and in vain.
    """
    nouns = (asked.claim.noun, asked.claim.other or Noun())
    placed = any(noun.place for noun in nouns)  # such as "left of the chair"
    if level == "relation" and asked.claim.kind != "relation" and not placed:
        return
    part = {"recolor": "colour", "resize": "size"}.get(way)
    if part and asked.claim.kind != part and not any(getattr(noun, part) for noun in nouns):
        return
    # Other questions name things that must be there, each the only one of its description.
    if way in ("insert", "replace") and asked.claim.kind not in ("exists", "count", "shape", "name"):
        return
    if way == "insert":
        yield from _added(scene, asked, rng)
        return
    if way == "exchange":
        yield from _exchanged(scene, level, rng)
        return
    if way == "swap":
        yield from _swapped(scene, rng)
        return
    make: Callable[[Scene, tuple[int, ...], random.Random], Iterator[Change]] = {
        "remove": _removed,
        "replace": _replaced,
        "recolor": _recolored,
        "resize": _resized,
        "move": _moved,
    }[way]
    singles = [(index,) for index in range(len(scene.things))]
    if way == "move" and not placed:  # no other thing is asked about
        singles = [(index,) for index in dict.fromkeys(i for noun in nouns for i in scene.matching(noun))]
    rng.shuffle(singles)
    for targets in singles:
        yield from make(scene, targets, rng)
    meant = scene.matching(asked.claim.noun)
    if len(meant) > 1 and way != "move":
        yield from make(scene, meant, rng)


def described(scene: Scene, index: int) -> str:
    """Return what distinguishes a thing: "the dog", "the red star" or "the small red star"."""
    named = _looks(scene.things[index])
    alone = scene.matching(named) == (index,) or not scene.things[index].size
    return (named if alone else replace(named, size=scene.things[index].size)).the


def _looks(thing: Thing) -> Noun:
    return Noun(thing.shape, thing.colour or None)


def _the(scene: Scene, targets: tuple[int, ...]) -> str:
    return " and ".join(described(scene, index) for index in targets)


def _with(scene: Scene, changed: dict[int, Thing]) -> Scene:
    return replace(scene, things=tuple(changed.get(index, thing) for index, thing in enumerate(scene.things)))


def _removed(scene: Scene, targets: tuple[int, ...], rng: random.Random) -> Iterator[Change]:
    left = tuple(thing for index, thing in enumerate(scene.things) if index not in targets)
    verb = "is" if len(targets) == 1 else "are"
    yield Change(
        "remove", replace(scene, things=left), lambda: f"{_the(scene, targets)} {verb} removed", targets, ()
    )


def _added(scene: Scene, asked: Ask, rng: random.Random) -> Iterator[Change]:
    """Add one thing of the question's description where nothing else is."""
    noun, world = asked.claim.noun, WORLDS[scene.world]
    shapes = world.members(noun.shape) if noun.shape else world.nouns
    shapes = tuple(shape for shape in shapes if not noun.colour or noun.colour in world.colours(shape))
    for _ in range(_PLACES if shapes else 0):
        shape = rng.choice(shapes)
        made = add(rng, scene, shape, noun.colour or rng.choice(world.colours(shape) or ("",)))
        if made is not None:
            old = (*scene.things, None)
            index = next(at for at, thing in enumerate(made.things) if thing != old[at])
            words = partial("{} is added".format, _looks(made.things[index]).a)
            yield Change("insert", made, words, (), (index,))


def _replaced(scene: Scene, targets: tuple[int, ...], rng: random.Random) -> Iterator[Change]:
    """Put another thing in the place of each, of the same colour if that is enough."""
    world = WORLDS[scene.world]
    shapes = rng.sample(world.nouns, len(world.nouns))
    colours = {shape: rng.sample(world.colours(shape), len(world.colours(shape))) for shape in shapes}
    looks = [(shape, "") for shape in shapes]
    looks += [(shape, colour) for shape in shapes for colour in colours[shape]]
    for shape, wanted in looks:
        made = {}
        for index in targets:
            colour = wanted or scene.things[index].colour
            if colour not in colours[shape]:
                colour = next(iter(colours[shape]), "")
            made[index] = replace(scene.things[index], shape=shape, colour=colour)
        if all(thing.shape != scene.things[index].shape for index, thing in made.items()):
            yield from _becoming("replace", scene, made)


def _recolored(scene: Scene, targets: tuple[int, ...], rng: random.Random) -> Iterator[Change]:
    world = WORLDS[scene.world]
    shared = set.intersection(*(set(world.colours(scene.things[index].shape)) for index in targets))
    for colour in rng.sample(sorted(shared), len(shared)):
        if all(scene.things[index].colour != colour for index in targets):
            made = {index: replace(scene.things[index], colour=colour) for index in targets}
            yield from _becoming("recolor", scene, made)


def _resized(scene: Scene, targets: tuple[int, ...], rng: random.Random) -> Iterator[Change]:
    """Make each thing small or large, about its centre; where it has no room, moved aside by as little as
    possible.
    """
    made: dict[int, Thing] = {}
    for index in targets:
        thing = scene.things[index]
        if thing.size not in SIZES:
            return
        size = SIZES[thing.size == SIZES[0]]
        low, high = (round(radius * scene.unit) for radius in RADII[size])
        radii = [rng.randint(low, high), low]
        others = [other for at, other in enumerate(_with(scene, made).things) if at != index]
        grown = (
            replace(thing, size=size, radius=radius, x=x, y=y)
            for x, y in _aside(scene, thing)
            for radius in radii
        )
        fitting = next((found for found in grown if _fits(scene, found, others)), None)
        if fitting is None:
            return
        made[index] = fitting
    yield from _becoming("resize", scene, made)


def _becoming(way: str, scene: Scene, made: dict[int, Thing]) -> Iterator[Change]:
    """Yield the scene with changed things, unless one is lost on the ground behind it."""
    if not all(well_placed(thing, scene) for thing in made.values()):
        return

    def describe() -> str:
        parts = []
        for index, thing in made.items():
            looks = replace(_looks(thing), size=thing.size) if way == "resize" else _looks(thing)
            parts.append(f"{described(scene, index)} becomes {looks.a}")
        return " and ".join(parts)

    yield Change(way, _with(scene, made), describe, tuple(made), tuple(made))


def _exchanged(scene: Scene, level: str, rng: random.Random) -> Iterator[Change]:
    """Exchange what two things are, or their colours."""
    world = WORLDS[scene.world]
    parts: tuple[str, ...] = ("colour",)
    if level == "object":  # a thing's colour belongs to it: a red dog is no dog
        parts = ("shape",) if world.by_colour else ("shape", "colour", "mirrored")
    for one, two in _pairs(scene, rng):
        first, second = scene.things[one], scene.things[two]
        if getattr(first, parts[0]) == getattr(second, parts[0]):
            continue
        made = {
            one: replace(first, **{part: getattr(second, part) for part in parts}),
            two: replace(second, **{part: getattr(first, part) for part in parts}),
        }
        if all(
            (not world.colours(thing.shape) and not thing.colour)
            or thing.colour in world.colours(thing.shape)
            for thing in made.values()
        ) and all(well_placed(thing, scene) for thing in made.values()):
            words = partial(_both, scene, one, two, f"exchange their {_NAMES[level, world.by_colour]}")
            yield Change("exchange", _with(scene, made), words, (one, two), (one, two))


_NAMES = {
    ("object", True): "shapes",
    ("object", False): "identities",
    ("attribute", True): "colours",
    ("attribute", False): "colours",
}


def _moved(scene: Scene, targets: tuple[int, ...], rng: random.Random) -> Iterator[Change]:
    """Move a thing to free places, the nearest first."""
    (index,) = targets
    thing = scene.things[index]
    others = [other for at, other in enumerate(scene.things) if at != index]
    places = [
        (
            round(scene.width * (column + rng.random()) / _STEPS),
            round(scene.height * (row + rng.random()) / _STEPS),
        )
        for row in range(_STEPS)
        for column in range(_STEPS)
    ]
    places += [(x, thing.y) for x, _ in places[:_STEPS]] + [(thing.x, y) for _, y in places[::_STEPS]]
    places.sort(key=lambda at: (at[0] - thing.x) ** 2 + (at[1] - thing.y) ** 2)
    for x, y in places:
        moved = replace(thing, x=x, y=y)
        if moved != thing and _fits(scene, moved, others):
            words = partial(_moves, scene, index, x, y)
            yield Change("move", _with(scene, {index: moved}), words, targets, targets)


def _swapped(scene: Scene, rng: random.Random) -> Iterator[Change]:
    """Exchange the places of two things."""
    for one, two in _pairs(scene, rng):
        first, second = scene.things[one], scene.things[two]
        made = {one: replace(first, x=second.x, y=second.y), two: replace(second, x=first.x, y=first.y)}
        others = [other for at, other in enumerate(scene.things) if at not in made]
        if all(_fits(scene, thing, others) for thing in made.values()):
            words = partial(_both, scene, one, two, "change places")
            yield Change("swap", _with(scene, made), words, (one, two), (one, two))


def _moves(scene: Scene, index: int, x: int, y: int) -> str:
    return f"{described(scene, index)} moves to x {x}, y {y}"


def _both(scene: Scene, one: int, two: int, verb: str) -> str:
    return f"{described(scene, one)} and {described(scene, two)} {verb}"


def _pairs(scene: Scene, rng: random.Random) -> list[tuple[int, int]]:
    pairs = list(combinations(range(len(scene.things)), 2))
    rng.shuffle(pairs)
    return pairs


def _fits(scene: Scene, thing: Thing, others: list[Thing]) -> bool:
    """Return whether a thing lies inside the picture, apart from others, and is well placed."""
    margin = thing.radius + round(10 * scene.unit)
    if not (margin <= thing.x <= scene.width - margin and margin <= thing.y <= scene.height - margin):
        return False
    canvas = (scene.width, scene.height)
    clear = all(apart(thing.x, thing.y, thing.radius, other, canvas, scene.unit) for other in others)
    return clear and well_placed(thing, scene)


def _aside(scene: Scene, thing: Thing) -> Iterator[tuple[int, int]]:
    """Yield the centre of a thing, then places around it, the nearest first."""
    reach, step = round(_ASIDE * min(scene.width, scene.height)), max(1, round(4 * scene.unit))
    steps = [(dx, dy) for dx in range(-reach, reach + 1, step) for dy in range(-reach, reach + 1, step)]
    for dx, dy in sorted([(0, 0), *steps], key=lambda by: by[0] ** 2 + by[1] ** 2):
        yield thing.x + dx, thing.y + dy
