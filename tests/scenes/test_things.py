"""The data sets in grades of difficulty: balance, chance, determinism, truth, contexts, labels."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from test_everyday_language import true_answer

from isi_widget import datasets
from isi_widget.datasets.grammar import (
    CONTRADICTION,
    ENTAILMENT,
    Claim,
    Noun,
    compare,
    contexts,
    nudges,
    questions,
)
from isi_widget.datasets.grammar_everyday import IRRELEVANT
from isi_widget.datasets.scenes import ask
from isi_widget.datasets.scenes.draw import visible_shares
from isi_widget.datasets.scenes.graded import CONDITIONS, GRADES, cases, make_case, training_cases
from isi_widget.datasets.scenes.graph import Scene, Thing
from isi_widget.datasets.scenes.world import SHAPE_WORLD, THING_WORLD
from isi_widget.errors import InputError

SPLITS = ((THING_WORLD, "demo"), (THING_WORLD, "validation"), (SHAPE_WORLD, "varied"))


@pytest.fixture(scope="module")
def splits():
    """The demo whole, 324 and 216 cases of the others: whole cycles of kinds, grades and answers."""
    numbers = (None, 324, 216)
    return {
        (world.name, split): list(itertools.islice(cases(world, split), number))
        for (world, split), number in zip(SPLITS, numbers, strict=True)
    }


def test_names_and_sizes():
    demo = datasets.things()
    assert len(demo) == 100 and demo.name == "things demo" and demo[3].code == "isi.datasets.things()[3]"
    assert len({o.id for o in demo}) == 100 and demo[0].id == "things-demo-0000"
    assert datasets.things() is demo
    with pytest.raises(InputError, match=r"no split 'tset' of the things.*demo, validation, test, train"):
        datasets.things("tset")
    with pytest.raises(InputError, match="varied"):
        datasets.scenes("vary")


def test_the_first_observation_shows_a_dog():
    first = datasets.things()[0]
    assert first.question == "Is there a dog?" and first.answer == "Yes"
    assert first.metadata["difficulty"] == "easy"


@pytest.mark.parametrize(
    ("claim", "ambiguous"),
    [
        (Claim("exists", Noun("bag")), True),  # the backpack is a bag, for many people
        (Claim("exists", Noun("bag", "red")), False),
        (Claim("exists", Noun("bird")), False),  # yes either way
        (Claim("count", Noun("bird"), "one"), True),
        (Claim("count", Noun("bag"), "zero"), True),
        (Claim("relation", Noun("bird"), "left of", Noun("backpack")), True),
        (Claim("relation", Noun("bird"), "left of", Noun("duck")), False),  # it names both
        (Claim("name", Noun(place=("left of", Noun("backpack"))), "bird"), False),
    ],
    ids=str,
)
def test_a_duck_is_a_bird_and_a_backpack_a_bag_for_many(claim, ambiguous):
    places = {"bird": (60, ""), "duck": (200, ""), "backpack": (350, "blue")}
    things = tuple(Thing(name, colour, "", x, 100, 30) for name, (x, colour) in places.items())
    scene = Scene(480, 200, things, world="things")
    kind = {"exists": "existence", "count": "counting"}.get(claim.kind, claim.kind)
    about = scene.matching(claim.noun)
    item = ask.ask_again(scene, ask.Ask(kind, claim)) or ask.Item(ask.Ask(kind, claim), claim, about, True)
    assert ask.is_ambiguous(scene, item) is ambiguous


def test_no_question_of_the_data_sets_is_ambiguous_that_way(splits):
    """Read from the words: who asks for "the bag" is shown no backpack, unless there is one to say yes to."""
    made = [
        *splits["things", "validation"],
        *(make_case(THING_WORLD, "test", at) for at in (10, 19, 146, 246)),
    ]
    for case in made:
        shown = {thing.shape for thing in case.scene.things}
        for narrow, broad in (("duck", "bird"), ("backpack", "bag")):
            asked = re.search(rf"\b{broad}s?\b", case.question) and not re.search(narrow, case.question)
            if asked and narrow in shown and case.item.kind in ("attribute", "relation", "counting"):
                things = [thing for thing in case.scene.things if thing.shape == narrow]
                nouns = [noun for noun in (case.item.ask.claim.noun, case.item.ask.claim.other) if noun]
                colours = {noun.colour for noun in nouns if noun.shape == broad}
                assert None not in colours and not colours & {thing.colour for thing in things}, case.question


def test_deterministic():
    for world, split in (*SPLITS, (THING_WORLD, "test"), (THING_WORLD, "train 3")):
        for index in (0, 7, 41):
            one, two = make_case(world, split, index), make_case(world, split, index)
            assert one == two and one.picture().tobytes() == two.picture().tobytes()
            assert one.annotated().tobytes() == two.annotated().tobytes()


def test_training_is_endless_and_seeded():
    first, again, other = (
        [o.metadata for o in itertools.islice(datasets.things("train", seed=seed), 12)] for seed in (1, 1, 2)
    )
    assert first == again and all(a != b for a, b in zip(first, other, strict=True))


def test_no_leak_between_splits(splits):
    found = {name: {case.scene.things for case in some} for name, some in splits.items()}
    found["test"] = {make_case(THING_WORLD, "test", index).scene.things for index in range(100)}
    found["train"] = {c.scene.things for c in itertools.islice(training_cases(THING_WORLD), 100)}
    for one, two in itertools.combinations(found, 2):
        assert not found[one] & found[two]


def test_grades_kinds_and_answers_are_balanced(splits):
    for (_, split), some in splits.items():
        grades = Counter(case.notes["difficulty"] for case in some)
        assert set(grades) == set(GRADES) and max(grades.values()) - min(grades.values()) <= 1
        conditions = Counter(case.notes["condition"] for case in some)
        assert set(conditions) == {condition.name for condition in CONDITIONS}
        hard = [conditions[c.name] for c in CONDITIONS if c.grade == "hard"]
        assert max(hard) - min(hard) <= 2 + (split != "demo")
        for kind in ("existence", "attribute", "relation", "counting"):
            for grade in GRADES:
                yes = [c.item.yes for c in some if (c.item.kind, c.notes["difficulty"]) == (kind, grade)]
                yes = [value for value in yes if value is not None]
                assert abs(2 * sum(yes) - len(yes)) <= 2, (split, kind, grade)
        assert abs(sum(2 * case.notes["nudge"]["to_truth"] - 1 for case in some)) <= 2


def test_chance_is_low_for_a_model_that_sees_nothing(splits):
    """The best answer to each wording without its picture: the majority by kind, form, and word in it."""
    for name in (("things", "validation"), ("scenes", "varied")):
        some = splits[name]
        by_form = defaultdict(list)
        for case in some:
            by_form[case.item.kind, case.item.ask.is_open].append(case.item.answer)
        for (kind, is_open), given in by_form.items():
            best = max(Counter(given).values()) / len(given)
            most = {"colour": 0.3, "shape": 0.3, "name": 0.2, "counting": 0.4}[kind] if is_open else 0.56
            assert best < most, (name, kind, is_open, best)
        asked = defaultdict(list)  # no noun, colour or number gives the answer away
        for case in some:
            claim = case.item.ask.claim
            if case.item.yes is not None:
                parts = {claim.noun.shape, claim.noun.colour, claim.value, *_category(claim.noun)}
                for part in parts - {None}:
                    asked[case.item.kind, part].append(case.item.yes)
        for key, yes in asked.items():
            if len(yes) >= 10:
                assert abs(sum(yes) / len(yes) - 0.5) < 4.2 * math.sqrt(0.25 / len(yes)), (key, len(yes))


def _category(noun):
    return {"category"} if noun.shape in THING_WORLD.categories else {"name"} if noun.shape else set()


def test_truth_by_brute_force(splits):
    for some in splits.values():
        for case in some:
            if case.item.ask.claim.kind in ("size", "shape"):
                continue  # not of the world of things; see test_scenes
            assert true_answer(case.scene, case.item.ask) == case.item.answer, case


def test_conditions_are_what_they_say(splits):
    for some in splits.values():
        for case in some[::5]:
            shares = visible_shares(case.scene, 2)
            condition, unit = case.notes["condition"], case.scene.unit
            radii = [thing.radius / unit for thing in case.scene.things]
            if condition == "tiny":
                assert max(radii) < 18
            elif condition == "low contrast":
                assert case.scene.haze >= 0.7
            elif condition == "half hidden" and case.item.kind != "counting":
                assert any(0.25 < share < 0.75 for share in shares)
            else:
                assert case.scene.haze == 0
            assert min(shares) > 0.22


def test_contexts_and_nudges(splits):
    for case in splits["things", "demo"] + splits["scenes", "varied"][:30]:
        assert set(case.contexts) == {"complementary", "contradictory", "irrelevant", "nudging"}
        assert case.contexts["irrelevant"] in IRRELEVANT
        assert case.question in {phrase.text for phrase in questions(case.item.ask)}
        nudge = case.notes["nudge"]
        if case.item.yes is not None or nudge["answer"]:
            assert (nudge["answer"] == case.item.answer) == nudge["to_truth"]
        for name, relation in (("complementary", ENTAILMENT), ("contradictory", CONTRADICTION)):
            draws = (getattr(ask, name)(case.item, random.Random(seed)) for seed in range(150))
            claims = [claim for claim in draws if case.contexts[name] in contexts(claim, more=True)]
            assert claims and all(compare(case.item.truth, claim) == relation for claim in claims)
            assert case.contexts["nudging"] not in contexts(claims[0], more=True)
    said = {text for case in splits["things", "demo"] for text in nudges(case.item.truth)}
    assert len(said) > 100


def test_wordings_of_the_test_split():
    some = [make_case(THING_WORLD, "test", index) for index in range(120)]
    wordings = Counter(case.notes["wording"] for case in some)
    assert set(wordings) == {"canonical", "spoken", "held out"} and wordings["held out"] > 16
    for case in some:
        phrase = next(p for p in questions(case.item.ask) if p.text == case.question)
        assert phrase.spoken == (case.notes["wording"] != "held out")
    assert not any(case.notes["wording"] == "held out" for case in cases(THING_WORLD, "demo"))


def test_observations_have_grades_and_presets():
    demo = datasets.things()
    observation = demo[4]
    assert observation.metadata["difficulty"] in GRADES and observation.metadata["ground"]
    assert observation.presets.context_names[1:-1] == (
        "complementary",
        "contradictory",
        "irrelevant",
        "nudging",
    )
    nudged = observation.stimulus().with_context(preset="nudging")
    assert nudged.current_context == observation.contexts["nudging"]
    assert [thing["mirrored"] in (True, False) for thing in observation.metadata["things"]]
    annotated = observation.annotated
    assert annotated is None or annotated.array().shape == observation.image.array().shape


def test_labels_are_readable(splits):
    """Letters at least a tenth of the shorter side high, on a white box that lies in the picture."""
    for case in splits["things", "demo"]:
        for label in case.labels():
            x, y, width, height = label.box
            assert x >= 0 and y >= 0 and x + width <= case.scene.width and y + height <= case.scene.height
            assert label.size >= 0.1 * min(case.scene.width, case.scene.height)
            thing = case.scene.things[label.thing]
            assert label.text.isdigit() or label.text in (thing.shape, thing.colour)
        if case.labels():
            noted = np.asarray(case.annotated())
            x, y, width, height = case.labels()[-1].box
            inside = noted[y + 2 : y + height - 2, x + 2 : x + width - 2]
            assert (inside > 250).all(-1).mean() > 0.4 and (inside < 5).all(-1).mean() > 0.05
