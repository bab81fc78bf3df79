"""The language of the world of things: truth by brute force over the graph, wordings, nudges, habits."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter

import pytest

from isi_widget.datasets import grammar
from isi_widget.datasets.grammar import (
    CONTRADICTION,
    ENTAILMENT,
    NUMBERS,
    THING_KINDS,
    Ask,
    Claim,
    Noun,
    answers,
    compare,
    contexts,
    nudges,
    questions,
)
from isi_widget.datasets.grammar_everyday import IRRELEVANT
from isi_widget.datasets.nouns import SHAPES, THINGS
from isi_widget.datasets.scenes import ask
from isi_widget.datasets.scenes.arrange import Plan, arrange
from isi_widget.datasets.scenes.world import SHAPE_WORLD, THING_WORLD
from isi_widget.datasets.typing_habits import SYNONYMS, as_typed

ANIMALS = ("dog", "cat", "horse", "cow", "sheep", "pig", "elephant", "rabbit", "duck", "bird", "fish")
ANIMALS = (*ANIMALS, "butterfly", "turtle")
VEHICLES = ("car", "bus", "truck", "bicycle", "boat", "plane", "train", "tractor")
FRUITS = ("apple", "pear", "banana", "lemon", "strawberry")
GROUPS = {"animal": ANIMALS, "vehicle": VEHICLES, "fruit": FRUITS}


def chosen(scene, noun):
    """Indices of the things that a noun describes, by names alone."""
    found = []
    for index, thing in enumerate(scene.things):
        names = GROUPS.get(noun.shape, [noun.shape])
        if (noun.shape is None or thing.shape in names) and noun.colour in (None, thing.colour):
            if noun.size not in (None, thing.size):
                continue
            found.append(index)
    if noun.place:
        relation, other = noun.place
        [reference] = chosen(scene, other)
        found = [index for index in found if index != reference and side(scene, index, relation, reference)]
    return found


def side(scene, first, relation, second):
    one, two = scene.things[first], scene.things[second]
    return {
        "left of": one.x < two.x,
        "right of": one.x > two.x,
        "above": one.y < two.y,
        "below": one.y > two.y,
    }[relation]


def true_answer(scene, asked):
    claim, found = asked.claim, chosen(scene, asked.claim.noun)
    if asked.kind == "existence":
        return "Yes" if found else "No"
    if asked.kind == "counting":
        if claim.value is None:
            return NUMBERS[len(found)].capitalize()
        return "Yes" if len(found) == NUMBERS.index(claim.value) else "No"
    assert len(found) == 1, (asked, scene)
    thing = scene.things[found[0]]
    if asked.kind == "relation":
        [other] = chosen(scene, claim.other)
        return "Yes" if side(scene, found[0], claim.value, other) else "No"
    if asked.kind == "attribute":
        return "Yes" if thing.colour == claim.value else "No"
    return {"colour": thing.colour, "name": thing.shape}[asked.kind].capitalize()


@pytest.fixture(scope="module")
def items():
    """(scene, item) of every kind, over simple and crowded scenes."""
    rng = random.Random(1)
    found = []
    for number in range(500):
        plan = Plan(rng.randint(1, 7), (20, 70), hidden=0.4 if number % 2 else 0, crowd=0.4, alike=0.4)
        scene = arrange(rng, THING_WORLD, plan)
        for kind in THING_KINDS:
            item = ask.ask_about(scene, kind, rng)
            if item is not None:
                found.append((scene, item))
    return found


def test_groups_are_those_of_the_nouns():
    for group, names in GROUPS.items():
        assert [name for name in THINGS if THINGS[name].category == group] == list(names)


def test_truth_by_brute_force(items):
    assert Counter(item.kind for _, item in items).keys() == set(THING_KINDS)
    for scene, item in items:
        assert true_answer(scene, item.ask) == item.answer, (item, scene)
        again = ask.ask_again(scene, item.ask)
        assert again is None or again.answer == item.answer


def test_yes_and_no_are_balanced(items):
    for kind in ("existence", "attribute", "relation", "counting"):
        yes = [item.yes for _, item in items if item.kind == kind and item.yes is not None]
        assert abs(sum(yes) / len(yes) - 0.5) < 0.11, (kind, len(yes))


def test_contexts_nudges_and_denials(items):
    rng = random.Random(2)
    for _, item in items:
        right, wrong = ask.complementary(item, rng), ask.contradictory(item, rng)
        assert compare(item.truth, right) == ENTAILMENT
        assert compare(item.truth, wrong) == CONTRADICTION, (item, wrong)
        for claim in (right, wrong):
            said, hinted = contexts(claim, more=True), nudges(claim)
            assert len(said) >= 3 and len(hinted) >= 1
            assert not set(said) & set(hinted)
            for text in (*said, *hinted):
                assert text[0].isupper() and text.endswith(".") and "{" not in text and "  " not in text
        toward, text = ask.nudging(item, rng, True)
        away, other = ask.nudging(item, rng, False)
        assert compare(item.truth, toward) == ENTAILMENT and compare(item.truth, away) == CONTRADICTION
        assert text in nudges(toward) and other in nudges(away)


def test_wordings(items):
    by_form = {}
    for _, item in items:
        asked = questions(item.ask)
        texts = [phrase.text for phrase in asked]
        more = [phrase.text for phrase in asked if phrase.everyday]
        assert len(set(more)) == len(more) and texts.count(texts[0]) <= 2
        for text in texts:
            assert text[0].isupper() and text[-1] in "?." and "{" not in text and "  " not in text
        assert asked[0].spoken
        form = (item.ask.claim.kind, item.ask.is_open, item.ask.claim.noun.place is None)
        by_form[form] = asked
        said = answers(item.ask, item.truth)
        assert said[0].text == item.answer and len({phrase.text for phrase in said}) > 5
        assert all(compare(item.truth, phrase.claim) == ENTAILMENT for phrase in said)
        assert all(phrase.decisive in phrase.text for phrase in said if phrase.spoken)
    for form, asked in by_form.items():
        assert sum(phrase.spoken for phrase in asked) >= 4, form
        assert sum(not phrase.spoken for phrase in asked) >= 2, form


def test_what_people_really_write():
    def texts(asked):
        return {phrase.text for phrase in questions(asked) if phrase.spoken}

    dogs = texts(Ask("counting", Claim("count", Noun("dog"))))
    assert {"Count the dogs.", "How many dogs do you see?"} <= dogs
    colour = texts(Ask("colour", Claim("colour", Noun("car"))))
    assert {"Which color is the car?", "What colour is the car?"} <= colour
    assert "Any dogs?" in texts(Ask("existence", Claim("exists", Noun("dog"))))
    chair = Claim("relation", Noun("dog"), "left of", Noun("chair"))
    assert "Is the dog to the left of the chair?" in texts(Ask("relation", chair))
    beside = Claim("name", Noun(place=("left of", Noun("chair"))))
    assert "What is left of the chair?" in texts(Ask("name", beside))
    assert "What animal is in the picture?" in texts(Ask("name", Claim("name", Noun("animal"))))
    above = Claim("name", Noun("animal", place=("above", Noun("chair"))))
    assert "Which animal is above the chair?" in texts(Ask("name", above))
    one = texts(Ask("counting", Claim("count", Noun("dog"), "one")))
    assert "Is there exactly one dog?" in one and "Is there one dog?" not in one  # also true of two
    star = texts(Ask("colour", Claim("colour", Noun("star"))))
    assert "Which color is the star?" in star


def test_plurals_and_articles():
    assert Noun("sheep").words(True) == "sheep" and Noun("butterfly").words(True) == "butterflies"
    assert Noun("bus", "red").words(True) == "red buses" and Noun("strawberry").words(True) == "strawberries"
    assert Noun("umbrella").a == "an umbrella" and Noun("elephant").a == "an elephant"
    assert Noun("umbrella", "red").a == "a red umbrella" and Noun("animal").a == "an animal"


def test_compare_against_worlds_of_things():
    """All pictures with up to three of dog, cat and car against the logic of categories and names."""
    worlds = [w for n in range(4) for w in itertools.combinations_with_replacement(("dog", "cat", "car"), n)]
    nouns = [Noun("dog"), Noun("cat"), Noun("animal"), Noun("vehicle")]

    def count(world, noun):
        return sum(name in GROUPS.get(noun.shape, [noun.shape]) for name in world)

    def holds(claim, world):
        here = count(world, claim.noun)
        if claim.kind == "exists":
            return (here > 0) == claim.positive
        if claim.kind == "count":
            return (here == NUMBERS.index(claim.value)) == claim.positive
        if here != 1:
            return None
        return (claim.value in world) == claim.positive

    claims = [Claim("exists", noun) for noun in nouns]
    claims += [Claim("count", noun, value) for noun in nouns for value in ("zero", "one")]
    claims += [claim.denied() for claim in claims]
    for one, two in itertools.product(claims, repeat=2):
        pairs = [(holds(one, world), holds(two, world)) for world in worlds]
        found = compare(one, two)
        if found == ENTAILMENT:
            assert all(b for a, b in pairs if a), (one, two)
        elif found == CONTRADICTION:
            assert not any(a and b for a, b in pairs), (one, two)
        elif one.kind == two.kind == "exists" and one.noun.shape != "vehicle" and two.noun.shape != "vehicle":
            assert not all(b for a, b in pairs if a), (one, two)
    names = [Claim("name", Noun("animal"), value, positive=p) for value in ("dog", "cat") for p in (0, 1)]
    for one, two in itertools.product(names, repeat=2):
        pairs = [(holds(one, world), holds(two, world)) for world in worlds]
        pairs = [(a, b) for a, b in pairs if a is not None]
        if compare(one, two) == ENTAILMENT:
            assert all(b for a, b in pairs if a)
        if compare(one, two) == CONTRADICTION:
            assert not any(a and b for a, b in pairs)


def test_irrelevant_contexts_name_nothing():
    named = {*THINGS, *SHAPES, *GROUPS, *grammar.COLOURS, *NUMBERS} - {"one"}
    for text in IRRELEVANT:
        words = set(re.findall("[a-z]+", text.lower()))
        assert not words & named and not {word.removesuffix("s") for word in words} & named, text


def test_asked_of_shapes_on_any_ground():
    rng = random.Random(5)
    asked = 0
    for _ in range(60):
        scene = arrange(rng, SHAPE_WORLD, Plan(4, (12, 100), hidden=0.2))
        for kind in SHAPE_WORLD.kinds:
            item = ask.ask_about(scene, kind, rng)
            if item is not None and item.kind in ("existence", "relation", "counting", "colour"):
                asked += 1
                assert true_answer(scene, item.ask) == item.answer
    assert asked > 150


def test_as_typed():
    rng = random.Random(3)
    text = "What is the colour of the umbrella?"
    assert as_typed(text, random.Random(1), 0) == text
    found = {as_typed(text, rng, 0.5) for _ in range(400)}
    assert text.upper() in found and text.lower() in found
    assert any("color " in item for item in found) and any("What's" in item for item in found)
    assert any(not item.rstrip().endswith("?") for item in found) and any("  " in item for item in found)
    for item in found:
        letters = re.sub("[^a-z]", "", item.lower())
        assert letters.replace("color", "colour").replace("whats", "whatis") == re.sub(
            "[^a-z]", "", text.lower()
        ).replace("color", "colour").replace("colouur", "colour")
    assert as_typed("Is there a bicycle?", random.Random(0), 1) == as_typed(
        "Is there a bicycle?", random.Random(0), 1
    )
    renamed = {as_typed("Is there a plane?", rng, 0.5).lower() for _ in range(200)}
    assert any("an airplane" in item or "an  airplane" in item for item in renamed)
    assert set(SYNONYMS) <= set(THINGS)
