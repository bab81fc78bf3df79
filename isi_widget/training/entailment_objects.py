"""What the training pairs are about: objects of both worlds, questions about them, and the claims that could
answer the questions.

No sentences (see `entailment_data`) and no pictures. Pure Python, no torch.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from isi_widget.datasets.grammar import (
    COLOURS,
    INVERSE,
    KINDS,
    NUMBERS,
    RELATIONS,
    SHAPES,
    SIZES,
    THING_KINDS,
    Ask,
    Claim,
    Noun,
)
from isi_widget.datasets.nouns import CATEGORIES, THINGS, is_a, word

NAMES = tuple(THINGS)
#: Kinds of questions of each world.
WORLD_KINDS = {"scenes": KINDS, "things": THING_KINDS}


class Draw(random.Random):
    """A seeded source of questions and answers.

    simple : share of relation questions that name both objects by their shapes alone ("the star", "the
        ring"); the model learns left and right from these first.
    alone : share of groups of full sentences without a question. A question names the objects first, so that
        a model could ignore their order in the answer.
    natural : share of answers in natural wording.
    sizes : share of size questions among attribute questions.
    world : "scenes" (shapes) or "things"; `draw_pairs` sets it.
    """

    simple = 0.0
    alone = 0.0
    natural = 0.0
    sizes = 0.25
    world = "scenes"

    @property
    def nouns(self) -> tuple[str, ...]:
        """The names of the world's objects."""
        return NAMES if self.world == "things" else SHAPES


def draw_noun(
    draw: Draw, shape: bool | None = None, colour: bool | None = None, size: bool | None = None
) -> Noun:
    """Draw a random description. Each attribute is present (True), absent (False) or either (None); never
    only "object". A thing is usually described by its name alone, sometimes by its category.
    """
    things = draw.world == "things"
    shares = (0.95, 0.3, 0.06) if things else (0.8, 0.55, 0.25)
    while True:
        has = [
            draw.random() < p if want is None else want
            for want, p in zip((shape, colour, size), shares, strict=True)
        ]
        names = CATEGORIES if things and draw.random() < 0.15 else draw.nouns
        noun = Noun(
            draw.choice(names) if has[0] else None,
            draw.choice(COLOURS) if has[1] else None,
            draw.choice(SIZES) if has[2] else None,
        )
        if noun != Noun():
            return noun


def draw_ask(draw: Draw, kind: str) -> Ask:
    """Return a random question of one of the kinds of the draw's world."""
    if kind == "existence":
        return Ask(kind, Claim("exists", draw_noun(draw)))
    if kind == "attribute":
        sizes = draw.sizes / 4 if draw.world == "things" else draw.sizes
        if draw.random() < 1 - sizes:
            return Ask(kind, Claim("colour", draw_noun(draw, shape=True, colour=False), draw.choice(COLOURS)))
        return Ask(kind, Claim("size", draw_noun(draw, size=False), draw.choice(SIZES)))
    if kind == "colour":
        return Ask(kind, Claim("colour", draw_noun(draw, shape=True, colour=False)))
    if kind == "shape":
        return Ask(kind, Claim("shape", draw_noun(draw, shape=False, colour=True)))
    if kind == "name":
        category = draw.choice(CATEGORIES) if draw.random() < 0.45 else None
        place = (draw.choice(RELATIONS), draw_noun(draw)) if draw.random() < 0.45 else None
        return Ask(kind, Claim("name", Noun(category, place=place)))
    if kind == "relation":
        return _draw_relation(draw)
    if kind == "counting":
        noun = draw_noun(draw) if draw.random() < 0.9 else Noun()
        return Ask(kind, Claim("count", noun, draw.choice(NUMBERS) if draw.random() < 0.4 else None))
    raise ValueError(f"unknown kind of question: {kind}")


def _draw_relation(draw: Draw) -> Ask:
    first, second = draw_noun(draw), draw_noun(draw)
    while first == second:
        second = draw_noun(draw)
    if draw.simple and draw.random() < draw.simple:
        first, second = (Noun(shape) for shape in draw.sample(draw.nouns, 2))
    value = draw.choice(RELATIONS)
    if draw.random() < 0.75:
        return Ask("relation", Claim("relation", first, value, second))
    axis = "horizontal" if value in RELATIONS[:2] else "vertical"
    return Ask("relation", Claim("relation", first, None, second), axis)


def values_of(claim: Claim) -> tuple[str, ...]:
    """Return the values that a claim of this kind can have."""
    if claim.kind == "name":
        return tuple(name for name in NAMES if is_a(name, claim.noun.shape or name))
    return {"colour": COLOURS, "size": SIZES, "shape": SHAPES, "count": NUMBERS}[claim.kind]


def draw_truths(draw: Draw, ask: Ask) -> list[Claim]:
    """Draw claims that could answer the question, mostly different in meaning; the first two are the likely
    ones.
    """
    claim = ask.claim
    if claim.kind == "exists":
        return [claim, claim.denied()]
    if claim.kind == "relation":
        sides = (
            RELATIONS[:2] if (claim.value or ask.axis) in (*RELATIONS[:2], "horizontal") else RELATIONS[2:]
        )
        if ask.is_open:
            return [replace(claim, value=side) for side in draw.sample(sides, 2)]
        return [claim, claim.denied(), replace(claim, value=INVERSE[claim.value or ""])]
    values = values_of(claim)
    if ask.is_open:
        return [replace(claim, value=value) for value in draw.sample(values, 3 if len(values) > 2 else 2)]
    others = [value for value in values if value != claim.value]
    return [
        claim,
        claim.denied(),
        *(replace(claim, value=v) for v in draw.sample(others, min(2, len(others)))),
    ]


def draw_unrelated(draw: Draw, ask: Ask) -> Ask:
    """Return a yes/no question of the same sort about other objects, so that its answers say nothing about
    the first one.
    """
    while True:
        other = draw_ask(
            draw, ask.kind if ask.kind in ("existence", "attribute", "relation") else "attribute"
        )
        same = {ask.claim.noun, ask.claim.other} & {other.claim.noun, other.claim.other} - {None}
        if not other.is_open and not same:
            return other


def changed(draw: Draw, noun: Noun) -> Noun:
    """Return the noun with one attribute dropped, added or changed; a thing may become its category, or a
    category one of its things.
    """
    names = SHAPES if draw.world == "scenes" else NAMES
    values = {"shape": names, "colour": COLOURS, "size": SIZES}
    while True:
        name = draw.choice(tuple(values))
        keep = getattr(noun, name) is not None and draw.random() < 0.5
        value: dict[str, Any] = {name: None if keep else draw.choice(values[name])}
        if name == "shape" and draw.world == "things" and noun.shape and draw.random() < 0.7:
            members = [thing for thing in NAMES if is_a(thing, noun.shape)]
            value = {name: word(noun.shape).category or draw.choice(members)}
        found = replace(noun, **value)
        if found not in (noun, Noun()):
            return found


def specific(draw: random.Random, noun: Noun) -> Noun:
    """Return the noun with one attribute more, or one of the things of a category; the noun itself if there
    is none.
    """
    if noun.shape in CATEGORIES and draw.random() < 0.7:
        return replace(noun, shape=draw.choice([name for name in NAMES if is_a(name, noun.shape)]))
    free = [n for n in ("colour", "size") if getattr(noun, n) is None]
    if not free:
        return noun
    name = draw.choice(free)
    added: dict[str, Any] = {name: draw.choice(COLOURS if name == "colour" else SIZES)}
    return replace(noun, **added)


def another(draw: random.Random, noun: Noun) -> Noun:
    """Return another object with a partly equal description."""
    values = {"shape": NAMES if noun.shape not in SHAPES else SHAPES, "colour": COLOURS, "size": SIZES}
    name = draw.choice([n for n in values if getattr(noun, n) is not None])
    other: dict[str, Any] = {name: draw.choice([v for v in values[name] if v != getattr(noun, name)])}
    return replace(noun, **other)


def wider(noun: Noun) -> Noun:
    """Return a more general noun: without its colour, without its size, or its category; the noun itself if
    there is none.
    """
    if noun.shape is None:
        return replace(noun, size=None)
    if noun.colour is None and word(noun.shape).category:
        return Noun(word(noun.shape).category)
    return replace(noun, colour=None)
