"""Counterfactuals of the scenes: the truth changes (read by an independent reader), nothing else does."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from functools import partial

import numpy as np
import pytest
from reader import answer, holds

from isi_widget import datasets
from isi_widget.concepts import Pair
from isi_widget.datasets.nouns import THINGS
from isi_widget.datasets.scenes.arrange import Plan, arrange
from isi_widget.datasets.scenes.ask import ask_about, ask_again
from isi_widget.datasets.scenes.changes import WAYS, change
from isi_widget.datasets.scenes.draw import draw_scene, touched
from isi_widget.datasets.scenes.splits import cases
from isi_widget.datasets.scenes.world import WORLDS
from isi_widget.errors import InputError

LEVELS = tuple(WAYS)


@pytest.fixture(scope="module")
def some():
    return [*datasets.scenes()[:40], *datasets.scenes("validation")[:120]]


@pytest.fixture(scope="module")
def made(some):
    """(observation, level, pair, observation of the changed scene) for every level that is possible."""
    found = []
    for obs in some:
        for level in LEVELS:
            try:
                changed, _ = obs._graph.counterfactual(level, None, 3)
            except InputError:
                assert level not in obs.counterfactual_levels
                continue
            found.append((obs, level, obs.counterfactual(level, seed=3), changed))
    return found


def things_apart(before, after):
    """The things that only one of two scenes has."""
    first, second = (Counter(str(sorted(thing.items())) for thing in things) for things in (before, after))
    lone = {*(first - second), *(second - first)}
    return [thing for thing in (*before, *after) if str(sorted(thing.items())) in lone]


def test_every_kind_of_question_has_one(made):
    found = {(obs.metadata["kind"], level) for obs, level, _, _ in made}
    assert found >= {
        ("existence", "object"), ("existence", "attribute"), ("attribute", "attribute"),
        ("attribute", "object"), ("colour", "attribute"), ("colour", "object"), ("shape", "object"),
        ("shape", "attribute"), ("relation", "relation"), ("relation", "object"), ("relation", "attribute"),
        ("counting", "object"), ("counting", "attribute"),
    }  # fmt: skip
    assert {kind for kind, level in found if level == "relation"} == {"relation"}
    assert len(made) > 200


def test_the_own_level_is_nearly_always_possible(some, made):
    levels = {(id(obs), level) for obs, level, _, _ in made}
    possible = [(id(obs), obs.level) in levels for obs in some if obs.level in LEVELS]
    assert np.mean(possible) > 0.95


def test_truth_changes_and_is_that_of_the_new_scene(made):
    for obs, level, pair, changed in made:
        assert pair.flips is True and pair.level == level
        assert pair.clean == obs.stimulus()
        assert pair.corrupt.question == obs.question and pair.corrupt.context == obs.context
        assert pair.corrupt.truth == answer(obs.question, changed.metadata["things"])
        if obs.answer in ("Yes", "No"):
            assert {pair.clean.truth, pair.corrupt.truth} == {"Yes", "No"}


def test_only_the_changed_things_change(made):
    for _, level, pair, changed in made:
        before, after = pair_things(pair, changed, made)
        apart = things_apart(before, after)
        assert 1 <= len(apart) <= 4 or level != "relation"
        allowed = np.zeros(pair.pixels.shape, dtype=bool)
        for thing in apart:
            reach = 1.15 * thing["radius"] + 2
            rows, columns = np.ogrid[: allowed.shape[0], : allowed.shape[1]]
            allowed |= (abs(rows - thing["y"]) <= reach) & (abs(columns - thing["x"]) <= reach)
        assert pair.pixels.any() and not (pair.pixels & ~allowed).any()
        assert pair.inputs == ("image",) and pair.warnings == ()


def pair_things(pair, changed, made):
    obs = next(obs for obs, _, other, _ in made if other is pair)
    return obs.metadata["things"], changed.metadata["things"]


def test_the_level_names_what_changes(made):
    for obs, level, _, changed in made:
        before, after = obs.metadata["things"], changed.metadata["things"]
        if level == "object":
            continue
        assert len(before) == len(after)
        for one, two in zip(before, after, strict=True):
            differs = {name for name in one if one[name] != two[name]}
            if level == "relation":
                assert differs <= {"x", "y"}
            elif "size" in differs:
                assert differs <= {"size", "radius", "x", "y"}
            else:
                assert differs <= {"colour"}


def test_what_stays_keeps_its_order(made):
    for obs, _, _, changed in made:
        before, after = obs.metadata["things"], changed.metadata["things"]
        assert [thing for thing in before if thing in after] == [thing for thing in after if thing in before]


def test_contexts_and_annotated_picture_fit_the_new_scene(made):
    for _, _, pair, changed in made[::3]:
        things = changed.metadata["things"]
        texts = pair.corrupt.presets.contexts
        assert holds(texts["complementary"], things) and not holds(texts["contradictory"], things)
        assert texts["irrelevant"] == pair.clean.presets.contexts["irrelevant"]
        if "annotated" in pair.corrupt.presets.image_names:
            annotated = pair.corrupt.presets.image("annotated", None)
            assert annotated == changed.annotated and annotated.size == pair.corrupt.image.size
            assert annotated != pair.corrupt.image


def test_deterministic_by_seed(some):
    obs = next(obs for obs in some if obs.metadata["kind"] == "colour")
    assert obs.counterfactual("attribute", seed=1) == obs.counterfactual("attribute", seed=1)
    truths = {obs.counterfactual("attribute", seed=seed).corrupt.truth for seed in range(30)}
    assert len(truths) >= 5 and obs.answer not in truths


def test_every_way_by_name(some):
    found = set()
    for obs in some[:60]:
        for level, ways in WAYS.items():
            for way in ways:
                try:
                    pair = obs.counterfactual(level, way=way)
                except InputError:
                    continue
                found.add((level, way))
                assert pair.flips
    assert found == {(level, way) for level, ways in WAYS.items() for way in ways}


def test_the_random_presets_still_work(some):
    pair = some[0].counterfactual("object")
    assert pair.corrupt.with_image(preset="random", seed=4).render() is not None
    assert pair.corrupt.with_context(preset="random", seed=4).current_context


def test_messages(some):
    star = some[0]
    assert star.question == "Is there a star?"
    with pytest.raises(InputError, match=r'level "relation".*Possible here: "object" \(remove, replace\)'):
        star.counterfactual("relation")
    with pytest.raises(InputError, match="object, attribute, relation"):
        star.counterfactual("colour")
    with pytest.raises(InputError, match="remove, insert, replace, exchange"):
        star.counterfactual("object", way="recolor")
    with pytest.raises(InputError, match=r"no scene graph.*isi\.Pair"):
        star.with_texts("Is there a dog?").counterfactual("object")
    assert star.with_texts("Is there a dog?").counterfactual_levels == ()


def test_pickled_observations_have_their_graph(some):
    again = pickle.loads(pickle.dumps(some[3]))
    assert again == some[3]
    assert again.counterfactual("object").corrupt.image == some[3].counterfactual("object").corrupt.image


def test_unrelated_questions_keep_their_answers(some):
    asked = 0
    for obs in some[:40]:
        for level in obs.counterfactual_levels:
            pair = obs.counterfactual(level)
            changed, _ = obs._graph.counterfactual(level, None, 0)
            others = obs.unrelated(level, n=2)
            assert len({other.clean.question for other in others}) == len(others) <= 2
            for other in others:
                asked += 1
                assert isinstance(other, Pair)
                assert other.clean.image == pair.clean.image and other.corrupt.image == pair.corrupt.image
                assert other.clean.question == other.corrupt.question != obs.question
                truth = answer(other.clean.question, obs.metadata["things"])
                assert truth == answer(other.clean.question, changed.metadata["things"])
                assert other.truths == (truth, truth) and truth in ("Yes", "No")
    assert asked > 100


@pytest.mark.parametrize("split", ["demo", "validation"])
def test_asking_again_about_the_same_scene(split):
    """The truth of a question about its own scene is that of the data set."""
    for case in cases(split):
        again = ask_again(case.scene, case.item.ask)
        assert (again.truth, again.yes, again.answer) == (case.item.truth, case.item.yes, case.item.answer)
        if case.item.kind not in ("existence", "counting") or case.item.yes:
            assert again.about == case.item.about


# ---- scenes of both worlds, on any ground, with overlaps
def by_brute_force(scene, asked):
    """The answer to a question from loops over the things; None if the question is not well posed."""

    def fits(thing, noun):
        kind = THINGS[thing.shape].category if thing.shape in THINGS else ""
        return (
            noun.shape in (None, thing.shape, kind or None)
            and noun.colour in (None, thing.colour)
            and noun.size in (None, thing.size)
        )

    def side(one, two):
        return {
            "left of": one.x < two.x,
            "right of": one.x > two.x,
            "above": one.y < two.y,
            "below": one.y > two.y,
        }

    def described(noun):
        found = [thing for thing in scene.things if fits(thing, noun)]
        if noun.place is not None:
            relation, other = noun.place
            (reference,) = described(other)
            found = [one for one in found if one is not reference and side(one, reference)[relation]]
        return found

    claim = asked.claim
    found = described(claim.noun)
    if claim.kind == "exists":
        return "Yes" if found else "No"
    if claim.kind == "count":
        numbers = ["zero", "one", "two", "three", "four", "five"]
        if claim.value is None:
            return numbers[len(found)].capitalize()
        return "Yes" if numbers.index(claim.value) == len(found) else "No"
    (thing,) = found
    if claim.kind == "relation":
        (other,) = described(claim.other)
        return "Yes" if side(thing, other)[claim.value] else "No"
    value = thing.shape if claim.kind in ("name", "shape") else getattr(thing, claim.kind)
    return value.capitalize() if claim.value is None else "Yes" if value == claim.value else "No"


@pytest.mark.parametrize("name", ["scenes", "things"])
def test_both_worlds_on_any_ground(name):
    world, rng, found = WORLDS[name], random.Random(7), Counter()
    for number in range(90):
        scene = arrange(rng, world, Plan(rng.randint(2, 5), hidden=0.3 * (number % 3 == 0)))
        item = ask_about(scene, world.kinds[number % len(world.kinds)], rng)
        if item is None:
            continue
        before = np.asarray(draw_scene(scene))
        for level in LEVELS:
            made = change(scene, item.ask, level, random.Random(number))
            if made is None:
                continue
            found[level] += 1
            truth = by_brute_force(made.scene, item.ask)
            assert by_brute_force(scene, item.ask) == item.answer != truth
            assert ask_again(made.scene, item.ask).answer == truth
            allowed = np.zeros(before.shape[:2], dtype=bool)
            for of, indices in ((scene, made.before), (made.scene, made.after)):
                for x, y, width, height in (touched(of.things[index]) for index in indices):
                    allowed[max(0, y) : y + height, max(0, x) : x + width] = True
            differs = (before != np.asarray(draw_scene(made.scene))).any(axis=2)
            assert differs.any() and not (differs & ~allowed).any()
            kept = [thing for thing in scene.things if thing in made.scene.things]
            assert kept == [thing for thing in made.scene.things if thing in scene.things]
            for thing in made.scene.things:
                colours = world.colours(thing.shape)
                assert thing.colour in colours or (not colours and not thing.colour)
    assert found["object"] > 40 and found["attribute"] > 15 and found["relation"] > 8


@pytest.mark.parametrize(
    "data", [datasets.things, partial(datasets.scenes, "varied")], ids=["things", "varied"]
)
def test_observations_of_graded_scenes(data):
    """Pairs of the graded data sets: the truth flips, only the image differs, presets fit the new scene."""
    own, possible = 0, 0
    for obs in data()[:45]:
        own += obs.level in LEVELS
        for level in LEVELS:
            try:
                pair = obs.counterfactual(level, seed=2)
            except InputError:
                continue
            possible += level == obs.level
            changed, _ = obs._graph.counterfactual(level, None, 2)
            assert pair.flips and pair.inputs == ("image",) and pair.warnings == ()
            assert pair.corrupt.truth == by_brute_force(changed._graph.case.scene, obs._graph.case.item.ask)
            assert set(pair.corrupt.presets.contexts) == set(pair.clean.presets.contexts)
            for other in obs.unrelated(level, seed=2, n=1):
                assert other.flips is False and other.corrupt.image == pair.corrupt.image
    assert possible / own > 0.9
