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

from isi_widget.datasets.grammar import COLOURS, SHAPES, SIZES, Ask, Noun
from isi_widget.datasets.scenes.ask import MARGIN, ask_again
from isi_widget.datasets.scenes.graph import RADII, Scene, Thing, apart, place

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
                if after is not None and after.answer != before.answer:
                    return made
    return None


def _candidates(scene: Scene, asked: Ask, level: str, way: str, rng: random.Random) -> Iterator[Change]:
    """Yield the changes of one way: of one thing, then of all things that the question means.

    None where the question does not name what changes: the search would be long, and in vain.
    """
    nouns = (asked.claim.noun, asked.claim.other or Noun())
    if level == "relation" and asked.claim.kind != "relation":
        return
    if way == "resize" and asked.claim.kind != "size" and not any(noun.size for noun in nouns):
        return
    if way == "insert":
        yield from _added(scene, asked, rng)
        return
    if way == "exchange":
        yield from _exchanged(scene, "shape" if level == "object" else "colour", rng)
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
    if way == "move":  # no other thing is asked about
        singles = [(index,) for index in dict.fromkeys(i for noun in nouns for i in scene.matching(noun))]
    rng.shuffle(singles)
    for targets in singles:
        yield from make(scene, targets, rng)
    meant = scene.matching(asked.claim.noun)
    if len(meant) > 1 and way != "move":
        yield from make(scene, meant, rng)


def described(scene: Scene, index: int) -> str:
    """Return what distinguishes a thing: "the star", "the red star" or "the small red star"."""
    thing = scene.things[index]
    nouns = (Noun(thing.shape), Noun(thing.shape, thing.colour), Noun(thing.shape, thing.colour, thing.size))
    first = nouns[1] if thing.colour else nouns[0]
    return (first if scene.matching(first) == (index,) else nouns[2]).the


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
    """Add one thing of the question's description, in front, where nothing else is."""
    noun = asked.claim.noun
    for _ in range(_PLACES):
        shape, colour = noun.shape or rng.choice(SHAPES), noun.colour or rng.choice(COLOURS)
        thing = place(rng, (scene.width, scene.height), scene.things, shape, colour, 0.5)
        if thing is not None:
            last = len(scene.things)
            yield Change(
                "insert",
                replace(scene, things=(*scene.things, thing)),
                partial("{} is added".format, Noun(thing.shape, thing.colour).a),
                (),
                (last,),
            )


def _replaced(scene: Scene, targets: tuple[int, ...], rng: random.Random) -> Iterator[Change]:
    """Put another thing in the place of each, of the same colour if that is enough."""
    looks: list[tuple[str, str | None]] = [(shape, None) for shape in rng.sample(SHAPES, len(SHAPES))]
    looks += [
        (shape, colour)
        for shape in rng.sample(SHAPES, len(SHAPES))
        for colour in rng.sample(COLOURS, len(COLOURS))
    ]
    for shape, colour in looks:
        made = {
            index: replace(scene.things[index], shape=shape, colour=colour or scene.things[index].colour)
            for index in targets
        }
        if all(thing.shape != scene.things[index].shape for index, thing in made.items()):
            yield _becoming("replace", scene, made)


def _recolored(scene: Scene, targets: tuple[int, ...], rng: random.Random) -> Iterator[Change]:
    for colour in rng.sample(COLOURS, len(COLOURS)):
        if all(scene.things[index].colour != colour for index in targets):
            yield _becoming(
                "recolor", scene, {index: replace(scene.things[index], colour=colour) for index in targets}
            )


def _resized(scene: Scene, targets: tuple[int, ...], rng: random.Random) -> Iterator[Change]:
    """Make each thing small or large, about its centre; where it has no room, moved aside by as little as
    possible.
    """
    made: dict[int, Thing] = {}
    for index in targets:
        thing = scene.things[index]
        size = SIZES[thing.size == SIZES[0]]
        low, high = (round(radius * scene.unit) for radius in RADII[size])
        radii = [rng.randint(low, high), low]
        others = [other for at, other in enumerate(_with(scene, made).things) if at != index]
        fitting = (
            replace(thing, size=size, radius=radius, x=x, y=y)
            for x, y in _aside(scene, thing)
            for radius in radii
            if _fits(scene, x, y, radius, others)
        )
        grown = next(fitting, None)
        if grown is None:
            return
        made[index] = grown
    yield _becoming("resize", scene, made)


def _becoming(way: str, scene: Scene, made: dict[int, Thing]) -> Change:
    def describe() -> str:
        parts = []
        for index, thing in made.items():
            sized = thing.size if way == "resize" else None
            parts.append(f"{described(scene, index)} becomes {Noun(thing.shape, thing.colour, sized).a}")
        return " and ".join(parts)

    return Change(way, _with(scene, made), describe, tuple(made), tuple(made))


def _exchanged(scene: Scene, part: str, rng: random.Random) -> Iterator[Change]:
    """Exchange the shapes or the colours of two things."""
    for one, two in _pairs(scene, rng):
        first, second = scene.things[one], scene.things[two]
        mine, theirs = getattr(first, part), getattr(second, part)
        if mine is None or theirs is None or mine == theirs:
            continue
        made = {one: replace(first, **{part: theirs}), two: replace(second, **{part: mine})}
        words = partial(_both, scene, one, two, f"exchange their {part}s")
        yield Change("exchange", _with(scene, made), words, (one, two), (one, two))


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
        if (x, y) != (thing.x, thing.y) and _fits(scene, x, y, thing.radius, others):
            words = partial(_moves, scene, index, x, y)
            yield Change("move", _with(scene, {index: replace(thing, x=x, y=y)}), words, targets, targets)


def _swapped(scene: Scene, rng: random.Random) -> Iterator[Change]:
    """Exchange the places of two things."""
    for one, two in _pairs(scene, rng):
        first, second = scene.things[one], scene.things[two]
        made = {one: replace(first, x=second.x, y=second.y), two: replace(second, x=first.x, y=first.y)}
        others = [other for at, other in enumerate(scene.things) if at not in made]
        if all(_fits(scene, thing.x, thing.y, thing.radius, others) for thing in made.values()):
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


def _fits(scene: Scene, x: int, y: int, radius: int, others: list[Thing]) -> bool:
    """Return whether a thing lies inside the picture and apart from others."""
    margin = radius + round(10 * scene.unit)
    inside = margin <= x <= scene.width - margin and margin <= y <= scene.height - margin
    canvas = (scene.width, scene.height)
    return inside and all(apart(x, y, radius, other, canvas, scene.unit) for other in others)


def _aside(scene: Scene, thing: Thing) -> Iterator[tuple[int, int]]:
    """Yield the centre of a thing, then places around it, the nearest first."""
    reach, step = round(_ASIDE * min(scene.width, scene.height)), max(1, round(4 * scene.unit))
    steps = [(dx, dy) for dx in range(-reach, reach + 1, step) for dy in range(-reach, reach + 1, step)]
    for dx, dy in sorted([(0, 0), *steps], key=lambda by: by[0] ** 2 + by[1] ** 2):
        yield thing.x + dx, thing.y + dy
