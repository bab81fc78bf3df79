"""The grammar's logic against possible worlds, and its sentences against each other."""

from __future__ import annotations

import itertools

import pytest

from isi_widget.datasets.grammar import (
    CONTRADICTION,
    ENTAILMENT,
    KINDS,
    NEUTRAL,
    NUMBERS,
    Ask,
    Claim,
    Noun,
    answers,
    compare,
    contexts,
    questions,
    vocabulary,
)

STAR, RING = Noun("star"), Noun("ring")


def worlds():
    """All pictures with up to three things in a row: 2 shapes x 3 colours x 2 sizes each."""
    kinds = list(itertools.product(("star", "ring"), ("red", "green", "blue"), ("small", "large")))
    for count in range(4):
        yield from itertools.product(kinds, repeat=count)


def select(world, noun):
    wanted = (noun.shape, noun.colour, noun.size)
    return [
        i
        for i, thing in enumerate(world)
        if all(w is None or w == t for w, t in zip(wanted, thing, strict=True))
    ]


def true_in(claim, world):
    """True, False, or None where what the claim takes for granted fails ("the star" without exactly one
    star).
    """
    found = select(world, claim.noun)
    if claim.kind == "exists":
        value = bool(found)
    elif claim.kind == "count":
        value = len(found) == NUMBERS.index(claim.value)
    elif len(found) != 1:
        return None
    elif claim.kind == "relation":
        other = select(world, claim.other)
        if len(other) != 1 or other == found:
            return None
        value = (found[0] < other[0]) == (claim.value == "left of")
    else:
        value = world[found[0]][("shape", "colour", "size").index(claim.kind)] == claim.value
    return value == claim.positive


def claims():
    for positive in (True, False):
        for noun in (STAR, RING, Noun("star", "red"), Noun(None, "red")):
            yield Claim("exists", noun, positive=positive)
        for noun, value in itertools.product((STAR, Noun(None, "red")), ("zero", "one", "two")):
            yield Claim("count", noun, value, positive=positive)
        for noun, value in itertools.product((STAR, RING), ("red", "green", "blue")):
            yield Claim("colour", noun, value, positive=positive)
        for value in ("small", "large"):
            yield Claim("size", STAR, value, positive=positive)
        for value in ("left of", "right of"):
            yield Claim("relation", STAR, value, RING, positive)
            yield Claim("relation", RING, value, STAR, positive)


@pytest.mark.parametrize(
    "kinds",
    [{"exists", "count"}, {"colour"}, {"size"}, {"relation"}],
    ids=lambda kinds: "-".join(sorted(kinds)),
)
def test_compare_against_all_worlds(kinds):
    everything = list(worlds())
    chosen = [claim for claim in claims() if claim.kind in kinds]
    assert len(chosen) >= 4
    for one, two in itertools.product(chosen, repeat=2):
        pairs = [(true_in(one, world), true_in(two, world)) for world in everything]
        pairs = [(a, b) for a, b in pairs if a is not None and b is not None]
        assert pairs
        if all(b for a, b in pairs if a):
            expected = ENTAILMENT
        elif not any(a and b for a, b in pairs):
            expected = CONTRADICTION
        else:
            expected = NEUTRAL
        if kinds == {"exists", "count"} and one.noun != two.noun and compare(one, two) == NEUTRAL:
            continue  # counts of different nouns are called neutral although a few follow from one another
        assert compare(one, two) == expected, (one, two)


def asks():
    exists, colour = Claim("exists", Noun("star", "orange")), Claim("colour", STAR, "red")
    yield Ask("existence", exists), exists
    yield Ask("existence", exists), exists.denied()
    yield Ask("attribute", colour), colour
    yield Ask("attribute", colour), Claim("colour", STAR, "blue")
    yield Ask("attribute", colour), colour.denied()
    yield Ask("colour", Claim("colour", STAR)), Claim("colour", STAR, "blue")
    yield Ask("shape", Claim("shape", Noun(None, "red"))), Claim("shape", Noun(None, "red"), "cross")
    left = Claim("relation", STAR, "left of", RING)
    yield Ask("relation", left), left
    yield Ask("relation", left), Claim("relation", STAR, "right of", RING)
    yield Ask("counting", Claim("count", RING, "two")), Claim("count", RING, "one")
    yield Ask("counting", Claim("count", RING)), Claim("count", RING, "one")


@pytest.mark.parametrize(("ask", "truth"), list(asks()), ids=str)
def test_every_answer_says_what_holds(ask, truth):
    said = answers(ask, truth)
    assert len({phrase.text for phrase in said}) == len(said)
    assert said[0].spoken and not said[0].held_out
    for phrase in said:
        assert compare(truth, phrase.claim) == ENTAILMENT, phrase
        assert phrase.text[0].isupper() and "{" not in phrase.text and "  " not in phrase.text
        if phrase.spoken:
            assert phrase.decisive in phrase.text
            assert not phrase.held_out
    if not ask.is_open:
        expected = "Yes" if compare(truth, ask.claim) == ENTAILMENT else "No"
        assert said[0].text == expected
        assert not any(phrase.text.startswith({"Yes": "No", "No": "Yes"}[expected] + ",") for phrase in said)
    asked = questions(ask)
    assert any(phrase.held_out for phrase in said) and len([p for p in asked if p.spoken]) >= 4
    assert any(phrase.held_out for phrase in asked)
    assert len(contexts(truth)) >= 3


def test_articles_and_plurals():
    assert Noun("star", "orange").a == "an orange star" and Noun("ring", None, "large").a == "a large ring"
    assert Noun("cross", "red").words(plural=True) == "red crosses" and Noun().words(plural=True) == "objects"
    one = Ask("counting", Claim("count", Noun("cross"), "one"))
    assert questions(one)[0].text == "Is there exactly one cross?"


def test_coverage():
    assert {ask.kind for ask, _ in asks()} == set(KINDS)
    text = " ".join(vocabulary())
    for ask, truth in asks():
        for phrase in (*questions(ask), *answers(ask, truth)):
            for word in phrase.text.rstrip(".?").replace(",", "").split():
                assert word in text
