"""Training data of the embedded entailment model: pairs of answers with their relation, from the grammar of
the scenes.

The label of a pair follows by logic from the claims of its two answers (`grammar.compare`). For evaluation
only: the held-out templates of the grammar, `HELD_OUT_LEADS` and the last irrelevant sentences (`forms="held
out"`), and the sentences of `NEW` (`forms="new"`). "tidy" is "training" without unknown words. Training also
uses answers in natural wording (`entailment_natural`, with the share `Draw.natural`). Pure Python, no torch.
Not for general language: sentences outside the grammar occur only as noise, labelled neutral.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from isi_widget.datasets import grammar
from isi_widget.datasets.grammar import INVERSE, NUMBERS, RELATIONS, Ask, Claim, Noun, with_article
from isi_widget.training.entailment_natural import compare, framed, natural_answer
from isi_widget.training.entailment_noise import add_unknown, digit, filler, off_topic, unknown
from isi_widget.training.entailment_objects import (
    WORLD_KINDS,
    Draw,
    changed,
    draw_ask,
    draw_noun,
    draw_truths,
    draw_unrelated,
)
from isi_widget.training.entailment_phrases import (
    AFFIRM,
    DENY,
    HELD_OUT_IRRELEVANT,
    HELD_OUT_IRRELEVANT_OF_THINGS,
    HELD_OUT_LEADS,
    IRRELEVANT,
    IRRELEVANT_OF_THINGS,
    LEADS,
    MORE,
    NEW,
    NEW_IRRELEVANT,
    NEW_IRRELEVANT_OF_THINGS,
    NEW_NO,
    NEW_YES,
    NO,
    YES,
)

Forms = Literal["training", "tidy", "held out", "new"]


# General / specific pairs, swapped relations and neutral pairs are separate kinds: they resemble a VLM's
# wrong answers.
_OF_THINGS = "things: "
_MORE_KINDS = ("general/specific", "inverse relation", "neutral")
SHAPE_PAIR_KINDS = (*grammar.KINDS, *_MORE_KINDS)
THING_PAIR_KINDS = tuple(f"{_OF_THINGS}{kind}" for kind in (*grammar.THING_KINDS, *_MORE_KINDS))
PAIR_KINDS = (*SHAPE_PAIR_KINDS, *THING_PAIR_KINDS)
QUESTION_KINDS = (*grammar.KINDS, *(f"{_OF_THINGS}{kind}" for kind in grammar.THING_KINDS))
# Shares of the kinds, in the order of either world's kinds
WEIGHTS = (12, 13, 13, 12, 16, 14, 12, 8, 16)
LATER_WEIGHTS = (
    12,
    12,
    7,
    7,
    24,
    11,
    18,
    22,
    15,
)  # relations and general / specific pairs are learnt last
FINAL_WEIGHTS = (14, 22, 7, 9, 16, 12, 18, 18, 26)
THING_WEIGHTS = (16, 12, 8, 16, 20, 10, 18, 16, 24)  # throughout


NATURAL = 0.45  # share of training answers in natural wording
FRAMED = 0.2  # share of training answers that are full sentences with various verbs


@dataclass(frozen=True)
class Statement:
    """An answer as text, with its claim as an answer to its question.

    turned : whether the text names the second object of a relation first ("the ring is right of the star" for
        a claim about the star).
    also : second claim ("No, it is blue." also denies the question's claim).
    loose : whether it is an answer of `entailment_natural`, which cannot be part of a longer sentence.
    """

    text: str
    claim: Claim
    turned: bool = False
    also: Claim | None = None
    loose: bool = False

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All claims of the answer."""
        return (self.claim,) if self.also is None else (self.claim, self.also)

    @property
    def as_read(self) -> Claim:
        """The claim with its objects in the order in which the text names them."""
        claim = self.claim
        if not self.turned or claim.other is None:
            return claim
        return replace(claim, noun=claim.other, value=INVERSE[claim.value or ""], other=claim.noun)


@dataclass(frozen=True)
class Pair:
    """Premise and hypothesis: two answers to one question, and the relation of the first to the second (0, 1,
    2).
    """

    kind: str
    question: str
    premise: Statement
    hypothesis: Statement

    @property
    def label(self) -> int:
        """0 contradiction, 1 neutral, 2 entailment."""
        return compare(self.premise.claims, self.hypothesis.claims)


def enter(draw: Draw, kind: str) -> str:
    """Let the source draw from the world of a kind in `PAIR_KINDS`; returns the kind without its world."""
    draw.world = "things" if kind.startswith(_OF_THINGS) else "scenes"
    return kind.removeprefix(_OF_THINGS)


def draw_question(draw: Draw, ask: Ask, forms: Forms) -> str:
    """Draw one wording of the question."""
    found = grammar.questions.__wrapped__(ask)  # uncached: there are too many nouns
    wanted = [p.text for p in found if p.spoken != (forms == "held out")] or [p.text for p in found]
    return draw.choice(wanted)


def draw_answer(draw: Draw, ask: Ask, truth: Claim, forms: Forms, *, full: bool = False) -> Statement:
    """Draw one wording of an answer; `full` excludes those that need the question ("Yes", "Red")."""
    if forms == "new":
        return _new_answer(draw, ask, truth, full)
    if forms != "held out" and draw.natural and truth.positive | (not ask.is_open) and draw.random() < FRAMED:
        return _framed(draw, ask, truth, full)
    if forms != "held out" and draw.natural and not full:
        denied = ask.is_open and not truth.positive  # the grammar has no denials for open questions
        if denied or draw.random() < draw.natural:
            made = natural_answer(draw, ask, truth)
            return Statement(made.text, made.claim, made.turned, made.also, loose=True)
    found = grammar.answers.__wrapped__(ask, truth)
    wanted = [p for p in found if p.held_out == (forms == "held out")]
    if full:  # name the object: "it" would be the object of the question
        named = [(p, f" {p.text.lower()} ") for p in wanted]
        wanted = [p for p, text in named if p.claim.noun.words() in text and " it " not in text]
    polar = not ask.is_open and not full
    if forms != "held out":
        if polar and draw.random() < 0.2:
            yes = grammar.compare(truth, ask.claim) == grammar.ENTAILMENT
            return Statement(draw.choice(YES if yes else NO), ask.claim if yes else ask.claim.denied())
        if draw.random() < 0.06 and truth.kind != "relation":  # worded like a context
            return Statement(draw.choice(grammar.contexts(truth)), truth)
        if truth.kind in MORE and draw.random() < 0.12:
            return Statement(_filled(draw.choice(MORE[truth.kind][not truth.positive]), truth), truth)
    phrase = draw.choice(wanted)
    claim = phrase.claim
    turned = claim.other is not None and -1 < _find(phrase, claim.other) < _find(phrase, claim.noun)
    return Statement(phrase.text, claim, turned)


def _find(phrase: grammar.Phrase, noun: Noun) -> int:
    """Return where a sentence names a noun; -1 if nowhere."""
    found = re.search(rf"\b{noun.the}\b", phrase.text, re.IGNORECASE)
    return found.start() if found else -1


def _framed(draw: Draw, ask: Ask, truth: Claim, full: bool) -> Statement:
    """Draw a full sentence of `entailment_natural`, for a yes/no question often with a leading yes or no."""
    told, turned = truth, False
    if truth.other is not None and draw.random() < 0.35:  # the second object first
        told = replace(truth, noun=truth.other, value=INVERSE[truth.value or ""], other=truth.noun)
        turned = True
    text = framed(draw, told, lambda: unknown(draw))
    if ask.is_open or full or draw.random() < 0.6:
        return Statement(text, truth, turned)
    yes = grammar.compare(truth, ask.claim) == grammar.ENTAILMENT
    polar = ask.claim if yes else ask.claim.denied()
    text = f"{'Yes' if yes else 'No'}, {text[0].lower()}{text[1:]}"
    return Statement(text, truth, turned, also=None if truth == polar else polar)


def _new_answer(draw: Draw, ask: Ask, truth: Claim, full: bool) -> Statement:
    if not (ask.is_open or full) and draw.random() < 0.25:
        yes = grammar.compare(truth, ask.claim) == grammar.ENTAILMENT
        return Statement(draw.choice(NEW_YES if yes else NEW_NO), ask.claim if yes else ask.claim.denied())
    return Statement(_filled(draw.choice(NEW[truth.kind][not truth.positive]), truth), truth)


def _filled(template: str, claim: Claim) -> str:
    """Return a sentence of `entailment_phrases` about the claim."""
    noun, value = claim.noun, claim.value or ""
    text = template.format(
        a=noun.a,
        the=noun.the,
        words=noun.words(),
        stars=noun.words(plural=value != "one"),
        all=noun.words(plural=True),
        v=value,
        d=with_article(value),
        other=claim.other.the if claim.other else "",
    )
    return text[0].upper() + text[1:]


def vary(draw: Draw, statement: Statement, forms: Forms) -> Statement:
    """Return the same answer in a less tidy wording: inside a longer sentence, with a lead-in, without
    punctuation, in capitals, with unknown words.
    """
    text, claim = statement.text, statement.claim
    if forms == "new":
        return statement
    first = text.split()[0].lower().strip(",.") if text else ""
    sentence = (
        not statement.loose
        and len(text.split()) > 3
        and first not in ("yes", "no", "that", "not", "it", "nope", "this")
        and " think" not in text
    )
    if sentence and draw.random() < 0.12:
        if draw.random() < 0.5:
            text = f"{draw.choice(AFFIRM)} {text[0].lower()}{text[1:]}"
        elif claim.kind != "irrelevant":
            text, claim = f"{draw.choice(DENY)} {text[0].lower()}{text[1:]}", claim.denied()
    elif draw.random() < 0.12:
        lead = draw.choice(HELD_OUT_LEADS if forms == "held out" else LEADS)
        text = f"{lead} {text[:1].lower()}{text[1:]}"
    if forms == "training":
        text = add_unknown(draw, text)
    if draw.random() < 0.15:
        text = text.rstrip(".")
    if draw.random() < 0.1:
        text = draw.choice((str.upper, str.lower))(text)
    if claim.kind == "count" and draw.random() < 0.15:
        text = " ".join(digit(word) for word in text.split())
    return replace(statement, text=text, claim=claim)


def draw_pairs(draw: Draw, kind: str, forms: Forms = "training") -> list[Pair]:
    """Draw a few pairs for one question of a kind in `PAIR_KINDS`, with the kind's shares of labels."""
    sort = enter(draw, kind)
    question, statements = _BUILD.get(sort, _plain)(draw, sort, forms)
    statements = [vary(draw, s, forms) for s in statements]
    if forms == "training" and question:
        question = add_unknown(draw, question, 0.08)
        if draw.random() < 0.1:
            question = question.rstrip("?.")
    pairs = []
    for _ in range(len(statements)):
        one, two = draw.sample(statements, 2)
        if one.text != two.text:
            pairs.append(Pair(kind, question, one, two))
    return pairs


def _plain(draw: Draw, kind: str, forms: Forms) -> tuple[str, list[Statement]]:
    ask = draw_ask(draw, kind)
    truths = draw_truths(draw, ask)
    # two answers of one truth and two of the others: half of the pairs agree in value, half do not
    first = draw.choice(truths[:2])
    rest = [t for t in truths if t != first]
    if draw.natural and ask.is_open and ask.kind != "relation" and draw.random() < 0.25:
        rest = [draw.choice(truths).denied()]
    chosen = [first, first, draw.choice(rest), draw.choice(rest if draw.random() < 0.5 else [first])]
    return draw_question(draw, ask, forms), [draw_answer(draw, ask, truth, forms) for truth in chosen]


def _general(draw: Draw, kind: str, forms: Forms) -> tuple[str, list[Statement]]:
    """Return a pair such as "a star" and "a red star", or "two stars" and "a star"."""
    noun = draw_noun(draw)
    nouns = [noun, noun, *(changed(draw, noun) for _ in range(3))]
    asks = [Ask("existence", Claim("exists", n)) for n in nouns]
    found = []
    for ask in asks[1:]:
        claim = ask.claim if draw.random() < 0.65 else ask.claim.denied()
        found.append(draw_answer(draw, ask, claim, forms, full=True))
    if draw.random() < 0.35:
        ask = Ask("counting", Claim("count", noun))
        for value in draw.sample(NUMBERS, 2):
            found.append(draw_answer(draw, ask, replace(ask.claim, value=value), forms))
        return draw_question(draw, ask, forms), found
    alone = bool(draw.alone) and draw.random() < draw.alone
    last = draw.choice((asks[0].claim, asks[0].claim.denied()))
    found.append(draw_answer(draw, asks[0], last, forms, full=alone))
    return "" if alone else draw_question(draw, asks[0], forms), found


def _inverse(draw: Draw, kind: str, forms: Forms) -> tuple[str, list[Statement]]:
    """Return such as "the star is left of the ring", and of the ring that it is right, left or above of the
    star.
    """
    ask = draw_ask(draw, "relation")
    claim = (
        ask.claim
        if ask.claim.value
        else replace(ask.claim, value="above" if ask.axis == "vertical" else "left of")
    )
    assert claim.value and claim.other
    other_axis = draw.choice([v for v in RELATIONS if v not in (claim.value, INVERSE[claim.value])])
    turned = replace(claim, noun=claim.other, other=claim.noun)
    claims = [
        replace(claim, value=INVERSE[claim.value]),
        turned,
        replace(turned, value=INVERSE[claim.value]),
        replace(draw.choice((claim, turned)), value=other_axis),
    ]
    found = []
    for c in draw.sample(claims, 3):
        truth = c if draw.random() < 0.7 else c.denied()
        found.append(draw_answer(draw, Ask("relation", c), truth, forms, full=True))
    alone = bool(draw.alone) and draw.random() < draw.alone
    last = draw.choice((claim, claim.denied()))
    found.append(draw_answer(draw, Ask("relation", claim), last, forms, full=alone))
    return "" if alone else draw_question(draw, Ask("relation", claim), forms), found


def _neutral(draw: Draw, kind: str, forms: Forms) -> tuple[str, list[Statement]]:
    """Return sentences that have nothing to do with the question, nothing at all, and statements about other
    objects.
    """
    ask = draw_ask(draw, draw.choice(WORLD_KINDS[draw.world]))
    found = [draw_answer(draw, ask, draw.choice(draw_truths(draw, ask)), forms)]
    for _ in range(2):
        chance = draw.random()
        if chance < 0.3:
            made = bool(draw.natural) and forms == "training" and draw.random() < 0.75
            text = off_topic(draw) if made else draw.choice(_irrelevant(draw.world, forms))
        elif chance < 0.55:
            text = " ".join(filler(draw) for _ in range(draw.randint(2, 9))) + "."
        elif chance < 0.68:
            text = ""
        else:
            other = draw_unrelated(draw, ask)
            found.append(draw_answer(draw, other, draw.choice(draw_truths(draw, other)), forms, full=True))
            continue
        found.append(Statement(text, Claim("irrelevant", text=text)))
    return draw_question(draw, ask, forms), found


def _irrelevant(world: str, forms: Forms) -> tuple[str, ...]:
    """Return sentences that say nothing about a world's objects."""
    if world == "scenes":
        return {"held out": HELD_OUT_IRRELEVANT, "new": NEW_IRRELEVANT}.get(forms, IRRELEVANT)
    return {"held out": HELD_OUT_IRRELEVANT_OF_THINGS, "new": NEW_IRRELEVANT_OF_THINGS}.get(
        forms, IRRELEVANT_OF_THINGS
    )


_BUILD: dict[str, Callable[[Draw, str, Forms], tuple[str, list[Statement]]]] = {
    "general/specific": _general,
    "inverse relation": _inverse,
    "neutral": _neutral,
}
