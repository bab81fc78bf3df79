"""The measures of the embedded model's behaviour: probes are what they say, intervals and areas are right."""

from __future__ import annotations

import random

import numpy as np
import pytest

from isi_widget.datasets import grammar
from isi_widget.datasets.scenes import ask
from isi_widget.datasets.scenes.draw import draw_scene
from isi_widget.datasets.scenes.world import SHAPE_WORLD, THING_WORLD, WORLDS
from isi_widget.training.vlm import behaviour, evaluate, robust

BY_NAME = {trait.name: trait for trait in robust.TRAITS}
SIDES = {"wide or high pictures": (900, 300), "small pictures": (160, 160), "large pictures": (1200, 900)}


def probes(name, number=14):
    return [robust.probe(world, BY_NAME[name], index) for world in WORLDS.values() for index in range(number)]


@pytest.mark.parametrize("name", BY_NAME)
def test_probes_ask_every_kind_and_can_be_repeated(name):
    for world in WORLDS.values():
        made = [robust.probe(world, BY_NAME[name], index) for index in range(len(world.kinds))]
        assert {p.item.kind for p in made} == set(world.kinds)
        again = robust.probe(world, BY_NAME[name], 2)
        assert again.question == made[2].question and again.picture.tobytes() == made[2].picture.tobytes()
        for p in made:
            assert name not in SIDES or p.picture.size == SIDES[name]
            assert evaluate.wanted(p) in {"yes", "no", *grammar.COLOURS, *grammar.NUMBERS, *world.nouns}


def test_questions_are_written_as_the_trait_says():
    assert all(p.question == p.question.upper() for p in probes("upper case"))
    assert not any(p.question.endswith(("?", ".")) for p in probes("no question mark"))
    for name, fitting in (
        ("plain", lambda phrase: phrase.spoken and not phrase.everyday),
        ("everyday wordings", lambda phrase: phrase.everyday and phrase.spoken),
        ("wordings not in training", lambda phrase: not phrase.spoken),
    ):
        for p in probes(name):
            asked = grammar.questions(p.item.ask)
            assert p.question in {q.text for q in asked if fitting(q)} or not any(map(fitting, asked))


def test_scenes_drawn_elsewhere_have_the_same_things_at_the_same_places():
    """Both drawings differ in many pixels, but agree on the colour in the middle of things."""
    rng, agreed = random.Random(3), []
    for _ in range(20):
        scene = robust.arrange(rng, SHAPE_WORLD, robust.Plan(4, grounds=("plain",)))
        ours, theirs = (np.asarray(draw(scene), int) for draw in (draw_scene, robust.drawn_elsewhere))
        assert (ours != theirs).any(-1).mean() > 0.005
        for thing in scene.things:
            if thing.shape != "ring":
                agreed.append(np.abs(ours[thing.y, thing.x] - theirs[thing.y, thing.x]).max() < 110)
    assert np.mean(agreed) > 0.95


def test_nudges_go_both_ways_and_do_not_state_the_answer():
    by_name = {condition.name: condition for condition in evaluate.CONDITIONS}
    for case in list(evaluate.cases_of(THING_WORLD, "validation"))[:40]:
        toward, away = (by_name[name].text(case) for name in ("nudged to the truth", "nudged away"))
        assert toward != away
        assert toward == ask.nudging(case.item, random.Random(case.index), True)[1]


def test_area_under_the_curve_against_hand_made_ranks():
    assert behaviour.auroc([0.9, 0.8, 0.1, 0.0], [True, True, False, False])["value"] == 1
    assert behaviour.auroc([0.0, 0.0, 0.0, 0.0], [True, False, True, False])["value"] == 0.5
    # pairs (wrong, right): 0.5 > 0.2, 0.5 < 0.7, 0.7 = 0.7, 0.7 > 0.2: 2.5 of 4
    found = behaviour.auroc([0.5, 0.7, 0.7, 0.2], [True, True, False, False])
    assert found["value"] == 0.625 and found["low"] <= 0.625 <= found["high"]
    assert behaviour.auroc([0.1, 0.2], [False, False]) is None


def test_doubts_are_counted_by_grade():
    class Stub:
        """Right and certain about easy pictures, wrong and uncertain about all others."""

        def greedy(self, cases, condition):
            return [self.answer(case) for case in cases]

        def answer(self, case):
            right = case.item.answer if case.notes["difficulty"] == "easy" else "Hm"
            return right.split()[0].rstrip(",.") if case.item.ask.is_open else right

        def sampled(self, cases, condition, seed):
            easy = [case.notes["difficulty"] == "easy" for case in cases]
            return [
                [(case.item.answer, -0.1)] * 10 if sure else [("Yes", -0.5), ("No", -0.5)] * 5
                for case, sure in zip(cases, easy, strict=True)
            ]

    found = behaviour.doubts(Stub(), "validation", 60)
    assert found["questions"] == 60 and found["grades"]["hard"]["share"] == 0
    easy = found["grades"]["easy"]
    assert easy["share"] == 1 and easy["entropy"] == 0
    assert found["doubtful"] == 60 - easy["n"] and found["auroc"]["value"] == 1
