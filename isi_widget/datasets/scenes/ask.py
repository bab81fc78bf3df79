"""Questions about a scene, with their truth from the scene graph, and claims for contexts.

No pixels and no sentences (see `isi_widget.datasets.grammar`). Questions are balanced: for each question, yes
and no are equally likely, and wrong values are often those of other objects in the same picture.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from isi_widget.datasets import grammar
from isi_widget.datasets.grammar import (
    COLOURS,
    INVERSE,
    KINDS,
    LEVELS,
    NUMBERS,
    SHAPES,
    SIZES,
    Ask,
    Claim,
    Noun,
    answers,
)
from isi_widget.datasets.nouns import ALSO_CALLED, THINGS, is_a, word
from isi_widget.datasets.scenes.graph import Scene, Thing
from isi_widget.datasets.scenes.world import WORLDS

MARGIN = (
    0.125  # share of the picture's side: a relation question needs centres that differ by more along its axis
)
CHOICE = "choice"  # "left or right of?": used only in training


@dataclass(frozen=True)
class Item:
    """A question with its truth; `about` holds the indices of the objects in the question."""

    ask: Ask
    truth: Claim
    about: tuple[int, ...]
    yes: bool | None = None

    @property
    def kind(self) -> str:
        """One of the grammar's kinds."""
        return self.ask.kind

    @property
    def level(self) -> str:
        """Semantic level: object, attribute, relation or counting."""
        return LEVELS[self.ask.kind]

    @property
    def answer(self) -> str:
        """The canonical answer."""
        return answers(self.ask, self.truth)[0].text


def ask_about(
    scene: Scene,
    kind: str,
    rng: random.Random,
    *,
    yes: bool | None = None,
    thing: int | None = None,
    margin: float = MARGIN,
    number: int | None = None,
    axis: str | None = None,
) -> Item | None:
    """Make a question of a kind about a scene; None if the scene allows none.

    Parameters
    ----------
    kind : kind of the scene's world, or "choice".
    yes : wanted truth of a yes/no question; None for a random one.
    thing : index of the object to ask about; None for any.
    number : number in a yes/no question about counting; 0 for an open question, None for a random number.
    axis : axis of a relation, "horizontal" or "vertical"; None for any.
    """
    wanted = rng.random() < 0.5 if yes is None else yes
    index = rng.randrange(len(scene.things)) if thing is None else thing
    if kind == "existence":
        by_colour = WORLDS[scene.world].by_colour
        return (_existence if by_colour else _existence_of_things)(scene, rng, wanted, index)
    if kind == "name":
        return _name(scene, rng, thing, margin)
    if kind == "attribute":
        return _attribute(scene, rng, wanted, index)
    if kind == "colour":
        noun = _unique(scene, index, rng, (("shape",), ("size", "shape")))
        return (
            None
            if noun is None or not scene.things[index].colour
            else _open("colour", Claim("colour", noun, scene.things[index].colour), (index,))
        )
    if kind == "shape":
        noun = _unique(scene, index, rng, (("colour",), ("size", "colour")))
        return (
            None
            if noun is None
            else _open("shape", Claim("shape", noun, scene.things[index].shape), (index,))
        )
    if kind in ("relation", CHOICE):
        return _relation(scene, rng, wanted, index, margin, axis, kind == CHOICE)
    if kind == "counting":
        return _counting(scene, rng, wanted, thing, number)
    raise ValueError(f"unknown kind {kind!r}; known are {', '.join(KINDS)}")


def _open(kind: str, truth: Claim, about: tuple[int, ...], axis: str = "") -> Item:
    return Item(Ask(kind, replace(truth, value=None), axis), truth, about)


def _noun(thing: Thing, parts: Sequence[str]) -> Noun:
    return Noun(**{part: getattr(thing, part) or None for part in parts})


def _unique(scene: Scene, index: int, rng: random.Random, choices: Sequence[tuple[str, ...]]) -> Noun | None:
    """Return a description that fits only this object: usually the first suitable of `choices`, sometimes a
    later one.
    """
    nouns = [_noun(scene.things[index], parts) for parts in choices]
    nouns = [noun for noun in nouns if scene.matching(noun) == (index,)]
    if not nouns:
        return None
    return nouns[0] if rng.random() < 0.75 else rng.choice(nouns)


def _existence(scene: Scene, rng: random.Random, yes: bool, index: int) -> Item | None:
    draw = rng.random()
    parts = ("shape",) if draw < 0.35 else ("colour", "shape") if draw < 0.85 else ("colour",)
    thing = scene.things[index]
    if yes:
        noun = _noun(thing, parts)
        claim = Claim("exists", noun)
        return Item(Ask("existence", claim), claim, scene.matching(noun), True)
    for _ in range(8):
        other = rng.choice(scene.things)
        shape, colour = thing.shape, thing.colour
        if len(parts) == 1:
            shape, colour = rng.choice(SHAPES), rng.choice(COLOURS)
        elif rng.random() < 0.5:
            shape = other.shape if rng.random() < 0.6 else rng.choice(SHAPES)
        else:
            colour = other.colour if rng.random() < 0.6 else rng.choice(COLOURS)
        noun = Noun(shape if "shape" in parts else None, colour if "colour" in parts else None)
        if not scene.matching(noun):
            claim = Claim("exists", noun)
            return Item(Ask("existence", claim), claim.denied(), _alike(scene, noun) or (index,), False)
    return None


def _alike(scene: Scene, noun: Noun) -> tuple[int, ...]:
    """Return the objects that share the shape or the colour of a description."""
    return tuple(i for i, t in enumerate(scene.things) if noun.shape == t.shape or noun.colour == t.colour)


def _existence_of_things(scene: Scene, rng: random.Random, yes: bool, index: int) -> Item | None:
    """Ask for a thing by its name, by colour and name, or by its category."""
    world, thing = WORLDS[scene.world], scene.things[index]
    draw = rng.random()
    if yes:
        noun = Noun(thing.shape, (thing.colour or None) if draw < 0.4 else None)
        if draw > 0.85 and word(thing.shape).category:
            noun = Noun(word(thing.shape).category)
        claim = Claim("exists", noun)
        return Item(Ask("existence", claim), claim, scene.matching(noun), True)
    for _ in range(12):
        if draw > 0.85:
            noun = Noun(rng.choice(world.categories))
        elif draw < 0.4 and thing.colour:  # the same thing in another colour, or another thing in its colour
            coloured = [name for name in world.nouns if thing.colour in world.colours(name)]
            shape = thing.shape if rng.random() < 0.6 else rng.choice(coloured)
            colours = [t.colour for t in scene.things if t.colour in world.colours(shape)]
            if rng.random() < 0.4:
                colours = list(world.colours(shape))
            noun = Noun(shape, rng.choice(colours) if colours else None)
        else:
            names = world.similar(thing.shape) if rng.random() < 0.4 else world.usual(scene.ground)
            names = names if names and rng.random() < 0.8 else world.nouns
            name = rng.choice(names)
            colour = rng.choice(world.colours(name)) if draw < 0.4 and world.colours(name) else None
            noun = Noun(name, colour)
        if not scene.matching(noun):
            claim = Claim("exists", noun)
            return Item(Ask("existence", claim), claim.denied(), _alike(scene, noun) or (index,), False)
    return None


def _name(scene: Scene, rng: random.Random, wanted: int | None, margin: float) -> Item | None:
    """Ask what a thing is: the only thing, the only one of its category, or the only one at a place."""
    nouns = [Noun(), *(Noun(category) for category in WORLDS[scene.world].categories)]
    for other in range(len(scene.things)):
        reference = _unique(scene, other, rng, (("shape",), ("colour", "shape")))
        if reference is not None:
            nouns += [
                Noun(shape, place=(relation, reference))
                for relation in INVERSE
                for shape in (None, *WORLDS[scene.world].categories)
            ]
    rng.shuffle(nouns)
    for noun in nouns:
        about = scene.matching(noun)
        if len(about) != 1 or wanted not in (None, about[0]):
            continue
        if noun.place is None or _clearly_placed(scene, noun, margin):
            truth = Claim("name", noun, scene.things[about[0]].shape)
            return _open("name", truth, (*about, *_references(scene, noun)))
    return None


def _references(scene: Scene, noun: Noun) -> tuple[int, ...]:
    """Return the object to which the place of a noun refers, if it has a place."""
    return () if noun.place is None else scene.matching(noun.place[1])


def _clearly_placed(scene: Scene, noun: Noun, margin: float) -> bool:
    """Return whether it is clear which objects are at the place of a noun: they are clearly there, and the
    others are on the other side.
    """
    assert noun.place is not None
    relation, other = noun.place
    reference = scene.matching(other)[0]
    axis = "horizontal" if relation in ("left of", "right of") else "vertical"
    base = replace(noun, place=None)
    for index in scene.matching(base):
        clear = margin if scene.holds(index, relation, reference) else margin / 2
        if index != reference and axis not in scene.apart(index, reference, clear):
            return False
    return True


def _attribute(scene: Scene, rng: random.Random, yes: bool, index: int) -> Item | None:
    thing, world = scene.things[index], WORLDS[scene.world]
    values: tuple[str, ...]
    if world.sized and rng.random() < 0.2:
        noun = _unique(scene, index, rng, (("shape",), ("colour", "shape"), ("colour",)))
        truth, values = ("size", thing.size), SIZES
    else:
        noun = _unique(scene, index, rng, (("shape",), ("size", "shape")))
        truth, values = ("colour", thing.colour), world.colours(thing.shape)
    if noun is None or not truth[1]:
        return None
    actual = Claim(truth[0], noun, truth[1])
    if yes:
        return Item(Ask("attribute", actual), actual, (index,), True)
    present = [t.colour for t in scene.things if t.colour != thing.colour and t.colour in values]
    if truth[0] == "colour" and present and rng.random() < 0.5:
        wrong = rng.choice(present)
    else:
        wrong = rng.choice([value for value in values if value != truth[1]])
    return Item(Ask("attribute", replace(actual, value=wrong)), actual, (index,), False)


def _relation(
    scene: Scene, rng: random.Random, yes: bool, index: int, margin: float, axis: str | None, choice: bool
) -> Item | None:
    first = scene.things[index]
    others = [other for other in range(len(scene.things)) if other != index]
    rng.shuffle(others)
    for other in others:
        second = scene.things[other]
        gaps = {
            "horizontal": (second.x - first.x) / scene.width,
            "vertical": (second.y - first.y) / scene.height,
        }
        axes = [name for name in scene.apart(index, other, margin) if axis in (None, name)]
        names = (
            (("shape",), ("colour", "shape"), ("colour",))
            if WORLDS[scene.world].by_colour and rng.random() < 0.15
            else (("shape",), ("colour", "shape"))
        )
        noun, target = _unique(scene, index, rng, names), _unique(scene, other, rng, names)
        if not axes or noun is None or target is None:
            continue
        along = rng.choice(axes)
        words = ("left of", "right of") if along == "horizontal" else ("above", "below")
        actual = Claim("relation", noun, words[gaps[along] < 0], target)
        if choice:
            return _open("relation", actual, (index, other), along)
        asked = actual if yes else replace(actual, value=INVERSE[actual.value or ""])
        return Item(Ask("relation", asked), actual, (index, other), yes)
    return None


def _counting(
    scene: Scene, rng: random.Random, yes: bool, thing: int | None, number: int | None
) -> Item | None:
    nouns = _countable(scene, None if thing is None else scene.things[thing], rng)
    if rng.random() < 0.15:  # nothing to distinguish: easy to learn
        nouns = [Noun()]
    by_count: dict[int, list[Noun]] = {}
    for noun in nouns:
        by_count.setdefault(len(scene.matching(noun)), []).append(noun)
    counts = [count for count in by_count if count < len(NUMBERS)]
    if number:
        counts = [c for c in counts if c == number] if yes else [c for c in counts if abs(c - number) == 1]
    if not counts:
        return None
    count = rng.choices(counts, [1 + max(0, count - 1) for count in counts])[
        0
    ]  # many equal objects are rarer in a scene
    noun = rng.choice(by_count[count])
    if number == 0 or (number is None and rng.random() < 0.5):
        return count_item(scene, noun, None)
    return count_item(scene, noun, near_number(count, yes, rng) if number is None else number)


def _countable(scene: Scene, near: Thing | None, rng: random.Random) -> list[Noun]:
    """Return descriptions to count: of an object, or of any."""
    world = WORLDS[scene.world]
    if world.by_colour:
        if near is not None:
            return [Noun(near.shape), Noun(None, near.colour)]
        return [Noun(shape) for shape in world.nouns] + [Noun(None, colour) for colour in COLOURS]
    things = scene.things if near is None else (near,)
    nouns = [Noun(thing.shape) for thing in things]
    nouns += [Noun(thing.shape, thing.colour) for thing in things if thing.colour]
    nouns += [Noun(word(thing.shape).category) for thing in things if word(thing.shape).category]
    if near is None:
        absent = {noun for thing in things for noun in world.similar(thing.shape)}
        nouns += [Noun(noun) for noun in (*sorted(absent), rng.choice(world.nouns))]
    return list(dict.fromkeys(nouns))


def near_number(count: int, yes: bool, rng: random.Random) -> int:
    """Return a number to ask about: the right one, or a neighbour of it."""
    return (
        count if yes and count else rng.choice([n for n in (count - 1, count + 1) if 1 <= n < len(NUMBERS)])
    )


def count_item(scene: Scene, noun: Noun, number: int | None) -> Item:
    """Make a counting question about a noun: open, or whether there are exactly `number`."""
    about = scene.matching(noun)
    truth = Claim("count", noun, NUMBERS[len(about)])
    if number is None:
        return _open("counting", truth, about)
    return Item(Ask("counting", replace(truth, value=NUMBERS[number])), truth, about, number == len(about))


def ask_again(scene: Scene, asked: Ask, margin: float = MARGIN) -> Item | None:
    """Return the same question about a different scene, with its truth there.

    None if it cannot be asked there: it names an object that is missing or not the only one of its
    description, two objects whose order is not clear, or the number is too large.

    Parameters
    ----------
    scene : the scene to ask about.
    asked : the question.
    margin : share of the picture's side by which two centres must differ for a relation.
    """
    claim = asked.claim
    about = scene.matching(claim.noun)
    if claim.kind == "exists":
        if about:
            return Item(asked, claim, about, True)
        return Item(asked, claim.denied(), _alike(scene, claim.noun), False)
    if claim.kind == "count":
        if len(about) >= len(NUMBERS):
            return None
        number = NUMBERS.index(claim.value) if claim.value else None
        return count_item(scene, claim.noun, number)
    if len(about) != 1:
        return None
    thing = scene.things[about[0]]
    if claim.kind == "relation":
        others = scene.matching(claim.other or Noun())
        if len(others) != 1 or others == about:
            return None
        second = scene.things[others[0]]
        horizontal = asked.axis == "horizontal" or claim.value in ("left of", "right of")
        gap = (second.x - thing.x) / scene.width if horizontal else (second.y - thing.y) / scene.height
        if ("horizontal" if horizontal else "vertical") not in scene.apart(about[0], others[0], margin):
            return None
        words = ("left of", "right of") if horizontal else ("above", "below")
        truth, about = replace(claim, value=words[gap < 0]), (*about, *others)
    else:
        if claim.noun.place is not None and not _clearly_placed(scene, claim.noun, margin):
            return None
        value = thing.shape if claim.kind == "name" else getattr(thing, claim.kind)
        if not value:
            return None
        truth, about = replace(claim, value=value), (*about, *_references(scene, claim.noun))
    return Item(asked, truth, about, None if asked.is_open else truth == claim)


def is_ambiguous(scene: Scene, item: Item) -> bool:
    """Return whether the question has a different answer, or none, for people who call things by a more
    general name: a duck a bird. Things that the question itself names keep their name.
    """
    claim = item.ask.claim
    nouns = (claim.noun, claim.other, claim.noun.place[1] if claim.noun.place else None)
    named = {noun.shape for noun in nouns if noun is not None}
    called = {name: other for name, other in ALSO_CALLED.items() if name not in named and other in named}
    if not any(thing.shape in called for thing in scene.things):
        return False
    things = tuple(replace(thing, shape=called.get(thing.shape, thing.shape)) for thing in scene.things)
    again = ask_again(replace(scene, things=things), item.ask)
    if again is None:
        return True
    return again.yes != item.yes if item.kind == "existence" else again.about != item.about


def complementary(item: Item, rng: random.Random) -> Claim:
    """Return a true claim that answers the question."""
    if item.yes is False and rng.random() < 0.3:
        return item.ask.claim.denied()
    return item.truth


def contradictory(item: Item, rng: random.Random) -> Claim:
    """Return a false claim that answers the question the other way."""
    if item.yes is False:
        return item.ask.claim
    truth = item.truth
    if item.yes and (truth.kind == "exists" or rng.random() < 0.4):
        return truth.denied()
    if truth.kind == "relation":
        return replace(truth, value=INVERSE[truth.value or ""])
    values: tuple[str, ...] = {"shape": SHAPES, "size": SIZES, "count": NUMBERS}.get(truth.kind, ())
    if truth.kind == "colour":
        values = word(truth.noun.shape).colours if truth.noun.shape else COLOURS
    elif truth.kind == "name":
        values = tuple(name for name in THINGS if is_a(name, truth.noun.shape or name))
    elif truth.kind == "count":
        here = NUMBERS.index(truth.value or "")
        values = tuple(NUMBERS[n] for n in (here - 2, here - 1, here + 1, here + 2) if 0 <= n < len(NUMBERS))
    return replace(truth, value=rng.choice([value for value in values if value != truth.value]))


def nudging(item: Item, rng: random.Random, toward: bool) -> tuple[Claim, str]:
    """Return a context that makes the true answer (`toward`) or a wrong one likely without stating it.

    Returns
    -------
    The claim that it makes likely, and its text.
    """
    claim = (complementary if toward else contradictory)(item, rng)
    return claim, rng.choice(grammar.nudges(claim))
