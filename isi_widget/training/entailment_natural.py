"""Answers as people and VLMs word them: ellipsis, contrasts, corrections after a no, number words, synonyms.

The grammar's own sentences are tidy ("No, the star is not red."); real answers are not ("No, it's blue.",
"Blue, not red.", "Nope, there isn't one.", "None."). `natural_answer` draws one for a question and a truth,
with the claims that it makes, so that labels stay a matter of logic. Training only: the pairs written by hand
(`entailment_by_hand.txt`) come from no template of this file. Pure Python, no torch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from isi_widget.datasets import grammar
from isi_widget.datasets.grammar import COLOURS, INVERSE, NUMBERS, RELATIONS, SHAPES, SIZES, Ask, Claim, Noun

VALUES = {"colour": COLOURS, "size": SIZES, "shape": SHAPES, "count": NUMBERS}

# Short answers to yes / no questions; they mean the same whatever is asked.
YES = (
    "Yes, it does.",
    "It does.",
    "Yes, I do.",
    "Yes, I can.",
    "I can.",
    "I do.",
    "Of course.",
    "Definitely.",
    "Absolutely.",
    "Yes, definitely.",
    "Exactly.",
    "Yup.",
    "Sure, it is.",
    "Yes, it is so.",
    "Yes, sure.",
    "I believe so.",
    "It seems so.",
)
NO = (
    "No, it does not.",
    "It doesn't.",
    "No, I don't.",
    "No, I can't.",
    "I can't.",
    "I don't.",
    "Of course not.",
    "Definitely not.",
    "Absolutely not.",
    "Nah.",
    "No, sorry.",
    "It isn't.",
    "No, it isn't.",
    "No, it's not.",
    "I don't believe so.",
    "I am afraid not.",
    "No way.",
)
EXISTS = (  # affirmed, denied; with "one" for the object of the question
    (
        "There is one.",
        "There's one there.",
        "I see one.",
        "I can see one.",
        "I see it.",
        "I can see it.",
        "It is there.",
        "It's in the picture.",
        "It's here.",
        "There it is.",
        "One is there.",
        "I found one.",
        "At least one.",
        "There are some.",
        "There are.",
        "I see some.",
        "{a}.",
        "There is a {w} here.",
        "There's one in the picture.",
        "There are {s}.",
        "I do see {a}.",
        "There is one somewhere.",
    ),
    (
        "There isn't one.",
        "There is none.",
        "There are none.",
        "None.",
        "None at all.",
        "I see none.",
        "I can see none.",
        "I don't see one.",
        "I don't see any.",
        "I don't see it.",
        "I can't see one.",
        "I cannot find any.",
        "I cannot find it.",
        "I found none.",
        "It isn't there.",
        "It is not in the picture.",
        "There isn't any.",
        "There aren't any.",
        "There aren't.",
        "Not one.",
        "Not any.",
        "Not a single one.",
        "There is nothing like that.",
        "Nothing like it.",
        "There isn't {a}.",
        "There is not any {w}.",
        "There are no {s}.",
        "There are no {s} at all.",
        "There aren't any {s}.",
        "I see no {s}.",
        "I don't see {a}.",
        "I don't see any {s}.",
        "{s}? None.",
        "No {w}.",
        "No {s}.",
        "No {w} here.",
        "No {s} anywhere.",
        "Zero.",
    ),
)
WIDER = (  # said of more objects than the question asks for
    "There are no {s}.",
    "There are no {s} at all.",
    "I see no {s}.",
    "I don't see any {s}.",
    "No {s}.",
    "No {s} here.",
    "There isn't any {w}.",
)
VALUE = {  # affirmed, denied; {v} the value, {d} with its article where it is a shape
    "colour": (
        (
            "{d}.",
            "It's {d}.",
            "It is a {v} one.",
            "A {v} one.",
            "It's a {v} {w}.",
            "{the} is {d}.",
            "Its colour is {v}.",
            "It has a {v} colour.",
            "It is coloured {v}.",
            "It looks {v}.",
            "It seems {v}.",
            "It seems to be {v}.",
            "I see {v}.",
            "{the} here is {v}.",
            "I would say {v}.",
            "It's {v} in colour.",
            "{v} it is.",
        ),
        (
            "Not {v}.",
            "It isn't {v}.",
            "It's not {v}.",
            "It is not a {v} one.",
            "{the} isn't {v}.",
            "Its colour is not {v}.",
            "I would not say {v}.",
            "It's not really {v}.",
            "It is no {v} {w}.",
        ),
    ),
    "size": (
        (
            "{d}.",
            "It's {d}.",
            "It is a {v} one.",
            "A {v} one.",
            "It's a {v} {w}.",
            "{the} is {d}.",
            "It seems {v}.",
            "It's rather {v}.",
            "It's quite {v}.",
            "It's very {v}.",
            "Its size is {v}.",
            "{the} here is {v}.",
            "I would say {v}.",
        ),
        ("Not {v}.", "It isn't {v}.", "It's not a {v} one.", "{the} isn't {v}.", "It's not very {v}."),
    ),
    "shape": (
        (
            "{d}.",
            "{v}.",
            "It's {d}.",
            "That's {d}.",
            "{the} is {d}.",
            "I see {d}.",
            "A {c} {v}.",
            "It's a {c} {v}.",
            "It looks like {d}.",
            "It seems to be {d}.",
            "The {c} one is {d}.",
            "The {c} thing is {d}.",
            "That one is {d}.",
            "Its shape is {d}.",
            "The shape is {v}.",
            "I would say {d}.",
        ),
        (
            "Not {d}.",
            "It isn't {d}.",
            "It's no {v}.",
            "That's not {d}.",
            "{the} isn't {d}.",
            "Its shape is not {d}.",
        ),
    ),
    "count": (
        (
            "{n}.",
            "{n} of them.",
            "There {be} {n}.",
            "There {be} just {n}.",
            "There {be} only {n}.",
            "Just {n}.",
            "Only {n}.",
            "Exactly {n}.",
            "I see {n}.",
            "I can see {n}.",
            "I count {n}.",
            "I see only {n}.",
            "It's {n}.",
            "That's {n}.",
            "{n} {o}.",
            "Just {n} {o}.",
            "Only {n} {o}.",
            "{n} in all.",
            "{n} {o} in total.",
            "There {be} {n} of them.",
            "There {be} only {n} {o}.",
            "I see {n} of them.",
            "There {be} {n} here.",
            "A total of {n}.",
            "It has {n} {o}.",
            "I found {n}.",
        ),
        (
            "Not {n} {o}.",
            "There aren't {n}.",
            "There {be} not {n} of them.",
            "Not exactly {n}.",
            "Not {n} of them.",
            "It's not {n}.",
        ),
    ),
}
AMOUNTS = {  # further words for a number
    "zero": (
        "None.",
        "None at all.",
        "No {s}.",
        "There are none.",
        "There are no {s}.",
        "There aren't any.",
        "There aren't any {s}.",
        "I see none.",
        "I can see none.",
        "I don't see any.",
        "I see no {s}.",
        "No {s} at all.",
        "Not a single one.",
        "There is none.",
        "There is not any.",
        "None of them.",
        "I count none.",
        "There is not a single {w}.",
        "Nothing.",
    ),
    "one": (
        "A single one.",
        "A single {w}.",
        "There is a single {w}.",
        "There is only one {w}.",
        "Only a single one.",
        "One alone.",
        "There's just one {w}.",
        "Just a single one.",
    ),
    "two": (
        "A pair.",
        "A pair of {s}.",
        "There is a pair.",
        "I see a pair of {s}.",
        "A couple.",
        "A couple of {s}.",
    ),
}
CONTRAST = (  # {d} holds, {x} does not
    "{d}, not {x}.",
    "It is {d}, not {x}.",
    "{d} and not {x}.",
    "Not {x} but {d}.",
    "It's not {x} but {d}.",
    "Not {x}, {d}.",
    "Not {x}. {d}.",
    "It isn't {x}, it's {d}.",
    "It is not {x}. It is {d}.",
    "{d} rather than {x}.",
    "It's {d} rather than {x}.",
    "It's {d} instead of {x}.",
    "{d} instead of {x}.",
    "It's {d} and not {x}.",
    "{the} is {d}, not {x}.",
    "{the} is not {x} but {d}.",
    "That's {d}, not {x}.",
)
COUNT_CONTRAST = (
    "{n}, not {x}.",
    "There {be} {n}, not {x}.",
    "I see {n}, not {x}.",
    "{n} {o}, not {x}.",
    "Not {x} but {n}.",
    "Not {x}, {n}.",
    "There aren't {x}, there {be} {n}.",
    "{n} rather than {x}.",
    "{n} instead of {x}.",
    "It's {n}, not {x}.",
    "I count {n}, not {x}.",
    "There {be} not {x} but {n} {o}.",
    "Only {n}, not {x}.",
)
PLACES = {  # where the first object is, of the second ("it")
    "left of": ("left", "on the left", "to the left", "on the left side", "at the left", "left of it"),
    "right of": ("right", "on the right", "to the right", "on the right side", "at the right", "right of it"),
    "above": (
        "above",
        "above it",
        "over it",
        "on top",
        "higher",
        "higher up",
        "up",
        "at the top",
        "over {other}",
    ),
    "below": (
        "below",
        "below it",
        "under it",
        "underneath",
        "underneath it",
        "beneath it",
        "lower",
        "lower down",
        "down",
        "at the bottom",
        "under {other}",
        "beneath {other}",
    ),
}
PLACED = (
    "{p}.",
    "It's {p}.",
    "{the} is {p}.",
    "It lies {p}.",
    "I see it {p}.",
    "{the} here is {p}.",
    "It is {v} {other}.",
    "{v} {other}.",
    "It's to the {side} of {other}.",
    "It's on the {side} of {other}.",
    "{the} is on the {side} of {other}.",
    "It's on the {side} side of {other}.",
    "On the {side} of it.",
    "It's {v} it.",
)
TURNED = (  # the second object first: {q} is where it lies
    "{other} is {q}.",
    "{other} is {inv} {the}.",
    "{other} is {inv} it.",
    "{other} lies {q}.",
    "{other} lies {inv} {the}.",
)
PLACE_CONTRAST = (
    "{p}, not {q}.",
    "It's {p}, not {q}.",
    "It's not {q}, it's {p}.",
    "Not {q}, {p}.",
    "Not {q} but {p}.",
    "{p} rather than {q}.",
    "It's {p} and not {q}.",
    "It isn't {q} but {p}.",
    "{the} is {p}, not {q}.",
)
SWAPPED = (
    "The other way round.",
    "The other way around.",
    "It's the other way round.",
    "It is the other way around.",
    "The opposite.",
    "Just the opposite.",
    "It's the opposite.",
    "On the other side.",
    "It's on the other side.",
    "The reverse.",
)
SYNONYMS = {"large": ("big", "large"), "small": ("little", "small", "tiny")}
BEFORE = (
    "Actually, ",
    "Hmm, ",
    "Well, ",
    "Definitely ",
    "Clearly ",
    "I would say ",
    "Oh, ",
    "Here ",
    "I guess ",
)
AFTER = (
    ", I believe",
    ", I guess",
    ", I suppose",
    ", it seems",
    ", of course",
    ", as it seems",
    ", actually",
)
YES_LEADS = ("Yes, ", "Yes. ", "Yes ", "Yeah, ", "Yep, ", "Sure, ", "Indeed, ", "Right, ")
NO_LEADS = ("No, ", "No. ", "No ", "Nope, ", "Nah, ", "No, actually ", "No, sorry, ")
# What decides in these sentences: never replaced by unknown words.
CONTENT = (
    "none any nothing nah rather than instead but other way round around opposite reverse over under "
    "beneath underneath higher lower top bottom up down big little tiny single pair couple side only at "
    "some alone"
)


def sentences() -> Iterator[str]:
    """Yield every template as it stands: for the vocabulary."""
    for table in (EXISTS, *VALUE.values(), *FRAMES.values()):
        yield from (*table[0], *table[1])
    for forms in (*AMOUNTS.values(), *PLACES.values(), *SYNONYMS.values()):
        yield from forms
    for forms in (YES, NO, WIDER, CONTRAST, COUNT_CONTRAST, PLACED, TURNED, PLACE_CONTRAST, SWAPPED):
        yield from forms
    yield from (*BEFORE, *AFTER, *YES_LEADS, *NO_LEADS, CONTENT)


# Full sentences with verbs of all sorts, (affirmed, denied); {u} is a verb that the model has never met: what
# decides is "not" and "no", whatever is said to be done.
FRAMES = {
    "exists": (
        (
            "there seems to be {a}.",
            "one can see {a}.",
            "the picture has {a}.",
            "I notice {a}.",
            "{a} can be {u}.",
            "I {u} {a}.",
            "the picture {u} {a}.",
            "{a} is {u}.",
            "you can {u} {a} there.",
        ),
        (
            "there does not seem to be {a}.",
            "one cannot see {a}.",
            "the picture does not have {a}.",
            "I do not notice {a}.",
            "no {w} can be {u}.",
            "I do not {u} {a}.",
            "I {u} no {w}.",
            "the picture does not {u} {a}.",
            "no {w} is {u}.",
            "you cannot {u} {a} there.",
            "I cannot {u} {a}.",
        ),
    ),
    "colour": (
        (
            "{the} seems {v}.",
            "{the} appears {v}.",
            "{the} {u} {v}.",
            "{the} has a {v} colour.",
            "{the} has {v} as its colour.",
            "{the} has the {u} {v}.",
            "{the} {u} the {u} {v}.",
            "{the} is {u} {v}.",
        ),
        (
            "{the} does not seem {v}.",
            "{the} does not appear {v}.",
            "{the} does not {u} {v}.",
            "{the} does not have a {v} colour.",
            "{the} does not have {v} as its colour.",
            "{the} does not have the {u} {v}.",
            "{the} does not {u} the {u} {v}.",
            "{the} is not {u} {v}.",
        ),
    ),
    "size": (
        (
            "{the} seems {v}.",
            "{the} appears {v}.",
            "{the} {u} {v}.",
            "{the} has a {v} size.",
            "{the} is {u} {v}.",
        ),
        (
            "{the} does not seem {v}.",
            "{the} does not appear {v}.",
            "{the} does not {u} {v}.",
            "{the} does not have a {v} size.",
            "{the} is not {u} {v}.",
        ),
    ),
    "shape": (
        ("{the} seems to be a {v}.", "{the} looks like a {v}.", "{the} {u} a {v}.", "{the} is {u} a {v}."),
        (
            "{the} does not seem to be a {v}.",
            "{the} does not look like a {v}.",
            "{the} does not {u} a {v}.",
            "{the} is not {u} a {v}.",
            "{the} cannot {u} a {v}.",
        ),
    ),
    "relation": (
        (
            "{the} seems to be {v} {other}.",
            "{the} {u} {v} {other}.",
            "{the} appears {v} {other}.",
            "one can see {the} {v} {other}.",
            "you {u} {the} {v} {other}.",
            "I {u} {the} {v} {other}.",
        ),
        (
            "{the} does not seem to be {v} {other}.",
            "{the} does not {u} {v} {other}.",
            "{the} does not appear {v} {other}.",
            "one cannot see {the} {v} {other}.",
            "you do not {u} {the} {v} {other}.",
            "I do not {u} {the} {v} {other}.",
        ),
    ),
    "count": (
        (
            "one can see {n} {o}.",
            "I find {n} {o}.",
            "{n} {o} can be {u}.",
            "I {u} {n} {o}.",
            "there seem to be {n} {o}.",
            "you can {u} {n} {o} there.",
        ),
        (
            "one cannot see {n} {o}.",
            "I do not find {n} {o}.",
            "not {n} {o} can be {u}.",
            "I do not {u} {n} {o}.",
            "there do not seem to be {n} {o}.",
            "you cannot {u} {n} {o} there.",
        ),
    ),
}


@dataclass(frozen=True)
class Wording:
    """A text with one or two claims that it makes; `turned` as in `entailment_data.Statement`."""

    text: str
    claim: Claim
    also: Claim | None = None
    turned: bool = False


def compare(first: tuple[Claim, ...], second: tuple[Claim, ...]) -> int:
    """Return what an answer with the first claims says about one with the second, all claims
    taken together.
    """
    table = [[grammar.compare(one, two) for one in first] for two in second]
    if any(grammar.CONTRADICTION in row for row in table):
        return grammar.CONTRADICTION
    follows = all(grammar.ENTAILMENT in row for row in table)
    return grammar.ENTAILMENT if follows else grammar.NEUTRAL


def natural_answer(draw: random.Random, ask: Ask, truth: Claim) -> Wording:
    """Return one wording of the answer to `ask` when `truth` holds (arguments as `grammar.answers`)."""
    if ask.is_open:
        made = _said(draw, ask, truth)
        return replace(made, text=_hedged(draw, made.text))
    yes = grammar.compare(truth, ask.claim) == grammar.ENTAILMENT
    polar = ask.claim if yes else ask.claim.denied()
    chance = draw.random()
    if chance < 0.12:
        return Wording(draw.choice(YES if yes else NO), polar)
    if chance < 0.28 and (beside := _beside(draw, ask, yes)) is not None:
        return beside
    if chance < 0.33 and ask.kind == "relation" and not yes:
        return _led(draw, Wording(draw.choice(SWAPPED), polar), False, polar)
    return _led(draw, _said(draw, ask, truth), yes, polar)


def _led(draw: random.Random, made: Wording, yes: bool, polar: Claim) -> Wording:
    """Add "Yes" or "No" before or after a sentence; then it makes that claim too."""
    chance = draw.random()
    if chance < 0.42:
        return replace(made, text=_hedged(draw, made.text))
    if chance < 0.5 and len(made.text.split()) > 2:
        text = made.text.rstrip(".") + (", yes." if yes else ", no.")
    else:
        lead = draw.choice(YES_LEADS if yes else NO_LEADS)
        text = lead + made.text[0].lower() + made.text[1:]
    return replace(made, text=text, also=made.also or (None if made.claim == polar else polar))


def _hedged(draw: random.Random, text: str) -> str:
    if draw.random() < 0.12:
        return draw.choice(BEFORE) + text[0].lower() + text[1:]
    if draw.random() < 0.1:
        return text.rstrip(".") + draw.choice(AFTER) + "."
    return text


def _beside(draw: random.Random, ask: Ask, yes: bool) -> Wording | None:
    """Return what an answer adds of its own: another object, a number of them, a place on the other axis."""
    claim = ask.claim
    if ask.kind == "existence":
        noun = claim.noun
        if yes:
            if draw.random() < 0.5:
                number = draw.choice(NUMBERS[1:])
                form = draw.choice(
                    ("{n}.", "There {be} {n}.", "I see {n}.", "There {be} {n} {o}.", "{n} of them.")
                )
                told = Claim("count", noun, number)
                text = _filled(form, told)
                return Wording(draw.choice(("", "Yes, ")) + text, told)
            more = _specific(draw, noun)
            if more == noun:
                return None
            form = draw.choice(("Yes, {a}.", "Yes, there is {a}.", "There is {a}.", "I see {a}."))
            return Wording(_filled(form, Claim("exists", more)), Claim("exists", more))
        other = _other_noun(draw, noun)
        if not noun.covers(other) and draw.random() < 0.6:
            form = draw.choice(
                (
                    "No, only {a}.",
                    "No, there is {a}.",
                    "No, but there is {a}.",
                    "No, just {a}.",
                    "No, I see {a}.",
                )
            )
            told = Claim("exists", other)
            return Wording(_filled(form, told), told, claim.denied())
        if noun.colour and noun.shape and draw.random() < 0.5:
            value = draw.choice([c for c in COLOURS if c != noun.colour])
            told = Claim("colour", replace(noun, colour=None), value)
            form = draw.choice(("No, {the} is {v}.", "No, {the} here is {v}.", "Nope, {the} is {v}."))
            return Wording(_filled(form, told), told, claim.denied())
        wider = replace(noun, colour=None) if noun.shape else replace(noun, size=None)
        if wider in (noun, Noun()):
            return None
        told = Claim("exists", wider, positive=False)
        form = draw.choice(WIDER)
        return Wording(draw.choice(("", "No, ", "Nope, ")) + _filled(form, told), told)
    if ask.kind == "relation" and not yes:
        across = RELATIONS[2:] if claim.value in RELATIONS[:2] else RELATIONS[:2]
        told = replace(claim, value=draw.choice(across))
        made = _place(draw, told)
        return replace(
            made, text=draw.choice(NO_LEADS) + made.text[0].lower() + made.text[1:], also=claim.denied()
        )
    return None


def _said(draw: random.Random, ask: Ask, truth: Claim) -> Wording:
    """Return the truth in words, without yes or no."""
    if truth.kind == "exists":
        return Wording(_filled(draw.choice(EXISTS[not truth.positive]), truth), truth)
    if truth.kind == "relation":
        return _place(draw, truth)
    if truth.kind == "count" and truth.positive and truth.value in AMOUNTS and draw.random() < 0.5:
        return Wording(_filled(draw.choice(AMOUNTS[truth.value]), truth), truth)
    if truth.positive and draw.random() < 0.35:
        asked = ask.claim.value
        others = [v for v in VALUES[truth.kind] if v != truth.value]
        x = asked if asked in others and draw.random() < 0.75 else draw.choice(others)
        forms = COUNT_CONTRAST if truth.kind == "count" else CONTRAST
        return Wording(_filled(draw.choice(forms), truth, draw, x), truth)
    return Wording(_filled(draw.choice(VALUE[truth.kind][not truth.positive]), truth, draw), truth)


def _place(draw: random.Random, claim: Claim) -> Wording:
    assert claim.value
    value = claim.value if claim.positive else INVERSE[claim.value]  # not left is right
    claim = replace(claim, value=value, positive=True)
    inverse = INVERSE[value]
    slots = {
        "p": draw.choice(PLACES[value]),
        "q": draw.choice(PLACES[inverse]),
        "v": value,
        "inv": inverse,
        "side": value.removesuffix(" of"),
        "the": claim.noun.the,
    }
    chance, turned = draw.random(), False
    if chance < 0.25:
        form = draw.choice(PLACE_CONTRAST)
    elif chance < 0.4:
        form, turned = draw.choice(TURNED), True
        slots["q"] = slots["q"].split(" {other}")[0]
    else:
        form = draw.choice(PLACED)
        if "{side}" in form and value in RELATIONS[2:]:
            form = "{v} {other}."
    text = form.format(other="{other}", **slots).format(other=(claim.other or Noun()).the)
    return Wording(text[0].upper() + text[1:], claim, turned=turned)


def framed(draw: random.Random, claim: Claim, verb: Callable[[], str]) -> str:
    """Return a full sentence that makes the claim with a verb of any sort; `verb` makes one up."""
    form = draw.choice(FRAMES[claim.kind][not claim.positive])
    while "{u}" in form:
        form = form.replace("{u}", verb(), 1)
    value = claim.value or ""
    text = form.format(
        a=claim.noun.a,
        the=claim.noun.the,
        w=claim.noun.words(),
        v=value,
        other=claim.other.the if claim.other else "",
        n=value,
        o=claim.noun.words(plural=value != "one"),
    )
    return text[0].upper() + text[1:]


def _filled(form: str, claim: Claim, draw: random.Random | None = None, x: str = "") -> str:
    noun, value = claim.noun, claim.value or ""
    one = value == "one"

    def said(word: str) -> str:
        if claim.kind == "shape":
            return f"a {word}"
        return draw.choice(SYNONYMS[word]) if draw is not None and word in SYNONYMS else word

    shown = said(value)
    text = form.format(
        a=noun.a,
        the=noun.the,
        w=noun.words(),
        s=noun.words(plural=True),
        v=value if claim.kind == "shape" else shown,
        d=shown,
        x=said(x),
        n=value,
        o=noun.words(plural=not one),
        be="is" if one else "are",
        c=noun.colour or noun.size or "",
    )
    text = " ".join(text.split())
    return text[0].upper() + text[1:]


def _specific(draw: random.Random, noun: Noun) -> Noun:
    free = [n for n in ("colour", "size") if getattr(noun, n) is None]
    if not free:
        return noun
    name = draw.choice(free)
    return replace(noun, **{name: draw.choice(VALUES[name])})


def _other_noun(draw: random.Random, noun: Noun) -> Noun:
    """Return another object that shares a part of its description."""
    name = draw.choice([n for n in ("shape", "colour", "size") if getattr(noun, n) is not None])
    return replace(noun, **{name: draw.choice([v for v in VALUES[name] if v != getattr(noun, name)])})
