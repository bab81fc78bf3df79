"""Answers in natural wording: ellipsis, contrasts, corrections after a no, number words, synonyms.

The grammar's own sentences are tidy ("No, the star is not red."); real answers are not ("No, it's blue.",
"Blue, not red.", "Nope, there isn't one.", "None."). `natural_answer` draws one for a question and a truth,
with its claims, so that labels still follow by logic. For training only: the pairs written by hand
(`entailment_by_hand.txt`) use no template of `entailment_sentences`. Pure Python, no torch.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from isi_widget.datasets import grammar
from isi_widget.datasets.grammar import (
    COLOURS,
    INVERSE,
    NUMBERS,
    RELATIONS,
    SIZES,
    Ask,
    Claim,
    Noun,
    with_article,
)
from isi_widget.training.entailment_objects import another, specific, values_of, wider
from isi_widget.training.entailment_sentences import (
    AFTER,
    AMOUNTS,
    BEFORE,
    CONTRAST,
    COUNT_CONTRAST,
    EXISTS,
    FRAMES,
    NO,
    NO_LEADS,
    PLACE_CONTRAST,
    PLACED,
    PLACES,
    SWAPPED,
    SYNONYMS,
    TURNED,
    VALUE,
    WIDER,
    YES,
    YES_LEADS,
)


@dataclass(frozen=True)
class Wording:
    """A text with its one or two claims; `turned` as in `entailment_data.Statement`."""

    text: str
    claim: Claim
    also: Claim | None = None
    turned: bool = False


def compare(first: tuple[Claim, ...], second: tuple[Claim, ...]) -> int:
    """Return the relation of an answer with the first claims to one with the second, from all claims
    together.
    """
    table = [[grammar.compare(one, two) for one in first] for two in second]
    if any(grammar.CONTRADICTION in row for row in table):
        return grammar.CONTRADICTION
    follows = all(grammar.ENTAILMENT in row for row in table)
    return grammar.ENTAILMENT if follows else grammar.NEUTRAL


def natural_answer(draw: random.Random, ask: Ask, truth: Claim) -> Wording:
    """Draw one wording of the answer to `ask` when `truth` holds (arguments as `grammar.answers`)."""
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
    """Draw an additional claim of an answer: another object, a number of objects, a place on the
    other axis.
    """
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
            more = specific(draw, noun)
            if more == noun:
                return None
            form = draw.choice(("Yes, {a}.", "Yes, there is {a}.", "There is {a}.", "I see {a}."))
            return Wording(_filled(form, Claim("exists", more)), Claim("exists", more))
        other = another(draw, noun)
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
        more = wider(noun)
        if more in (noun, Noun()):
            return None
        told = Claim("exists", more, positive=False)
        form = draw.choice(WIDER)
        return Wording(draw.choice(("", "No, ", "Nope, ")) + _filled(form, told), told)
    if ask.kind == "attribute":
        return _of_another_kind(draw, claim, yes)
    if ask.kind == "relation" and not yes:
        across = RELATIONS[2:] if claim.value in RELATIONS[:2] else RELATIONS[:2]
        told = replace(claim, value=draw.choice(across))
        made = _place(draw, told)
        return replace(
            made, text=draw.choice(NO_LEADS) + made.text[0].lower() + made.text[1:], also=claim.denied()
        )
    return None


def _of_another_kind(draw: random.Random, claim: Claim, yes: bool) -> Wording | None:
    """Draw an answer with the size of an object to a question about its colour, or the reverse: only its
    "yes" or "no" answers the question.
    """
    kind, values = ("size", SIZES) if claim.kind == "colour" else ("colour", COLOURS)
    if getattr(claim.noun, kind) is not None:
        return None
    told = Claim(kind, claim.noun, draw.choice(values))
    text = _filled(
        draw.choice(("{the} is {v}.", "it is {v}.", "it's a {v} one.", "{the} here is {v}.")), told
    )
    if draw.random() < 0.3:
        return Wording(text, told)
    lead = draw.choice(("Yes, ", *YES_LEADS) if yes else ("No, ", *NO_LEADS))
    return Wording(lead + text[0].lower() + text[1:], told, claim if yes else claim.denied())


def _said(draw: random.Random, ask: Ask, truth: Claim) -> Wording:
    """Word the truth without yes or no."""
    if truth.kind == "exists":
        return Wording(_filled(draw.choice(EXISTS[not truth.positive]), truth), truth)
    if truth.kind == "relation":
        return _place(draw, truth)
    if truth.kind == "count" and truth.positive and truth.value in AMOUNTS and draw.random() < 0.5:
        return Wording(_filled(draw.choice(AMOUNTS[truth.value]), truth), truth)
    if truth.positive and draw.random() < 0.35:
        asked = ask.claim.value
        others = [v for v in values_of(truth) if v != truth.value]
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
    """Draw a full sentence with the claim and any verb; `verb` invents a verb."""
    form = draw.choice(FRAMES[claim.kind][not claim.positive])
    while "{u}" in form:
        form = form.replace("{u}", verb(), 1)
    value = claim.value or ""
    text = form.format(
        a=claim.noun.a,
        the=claim.noun.the,
        w=claim.noun.words(),
        v=value,
        d=with_article(value),
        other=claim.other.the if claim.other else "",
        n=value,
        o=claim.noun.words(plural=value != "one"),
    )
    return text[0].upper() + text[1:]


def _filled(form: str, claim: Claim, draw: random.Random | None = None, x: str = "") -> str:
    noun, value = claim.noun, claim.value or ""
    one = value == "one"

    def said(word: str) -> str:
        if claim.kind in ("shape", "name"):
            return with_article(word)
        return draw.choice(SYNONYMS[word]) if draw is not None and word in SYNONYMS else word

    shown = said(value)
    text = form.format(
        a=noun.a,
        the=noun.the,
        w=noun.words(),
        s=noun.words(plural=True),
        v=value if claim.kind in ("shape", "name") else shown,
        p="" if noun.place is None else f"{noun.place[0]} {noun.place[1].the}",
        d=shown,
        x=said(x),
        n=value,
        o=noun.words(plural=not one),
        be="is" if one else "are",
        c=noun.colour or noun.size or "",
    )
    text = " ".join(text.split()).replace(" .", ".")
    return text[0].upper() + text[1:]
