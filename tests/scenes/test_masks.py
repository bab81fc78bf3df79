"""Scenes know the masks of their objects: against the pixels that change when an object is left out."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

import isi_widget as isi
from isi_widget.datasets.grammar import Claim, Noun
from isi_widget.datasets.scenes import draw, masks
from isi_widget.datasets.scenes.arrange import Plan, arrange
from isi_widget.datasets.scenes.ask import Ask, Item
from isi_widget.datasets.scenes.counterfactual import SceneGraph
from isi_widget.datasets.scenes.graph import Scene, Thing
from isi_widget.datasets.scenes.splits import make_case
from isi_widget.datasets.scenes.world import SHAPE_WORLD, THING_WORLD


@pytest.mark.parametrize("world", [SHAPE_WORLD, THING_WORLD], ids=lambda world: world.name)
def test_a_mask_holds_the_pixels_that_change_without_the_object(world) -> None:
    rng = random.Random(5)
    for _ in range(4):
        scene = arrange(rng, world, Plan(4, hidden=0.4, crowd=0.5))
        full = np.asarray(draw.draw_scene(scene)).astype(int)
        found = masks.masks(scene)
        assert len(found) == len(scene.things)
        for index, mask in enumerate(found.values()):
            rest = (*scene.things[:index], *scene.things[index + 1 :])
            without = np.asarray(draw.draw_scene(replace(scene, things=rest))).astype(int)
            changed = (full != without).any(axis=2)
            assert (mask.array() & changed).sum() > 0.97 * mask.area
            faint = changed & ~mask.grow(2).array()  # spokes, steam: they cover less than half of a pixel
            assert faint.sum() <= 0.2 * mask.area
        whole = np.sum([mask.array() for mask in found.values()], axis=0)
        assert whole.max() <= 1


def scene_of(*things: tuple[str, str, str]) -> Scene:
    made = [
        Thing(shape, colour, size, 60 + 90 * at, 60, 30) for at, (shape, colour, size) in enumerate(things)
    ]
    return Scene(480, 200, tuple(made))


def test_names_are_as_short_as_they_can_be() -> None:
    scene = scene_of(
        ("star", "red", "small"),
        ("star", "blue", "small"),
        ("heart", "red", "large"),
        ("ring", "red", "small"),
    )
    assert list(masks.masks(scene)) == ["red star", "blue star", "heart", "ring"]
    scene = scene_of(
        ("star", "red", "small"),
        ("star", "red", "large"),
        ("heart", "red", "large"),
        ("heart", "red", "large"),
    )
    assert list(masks.masks(scene)) == ["small red star", "large red star", "red heart 1", "red heart 2"]


def test_words_name_one_or_several_objects() -> None:
    scene = scene_of(
        ("star", "red", "small"), ("star", "blue", "small"), ("heart", "red", "large"), ("dog", "", "")
    )
    one, two, three, four = masks.masks(scene).values()
    for name, expected in (
        ("red star", one),
        ("The Red Star", one),
        ("stars", one | two),
        ("red objects", one | three),
        ("the small things", one | two),
        ("large red heart", three),
        ("animals", four),
        ("dog", four),
    ):
        assert masks.mask(scene, name) == expected
    for name in ("green star", "spoon", "star red", "", "stars and hearts"):
        with pytest.raises(isi.InputError, match="Its objects are red star, blue star, heart, dog"):
            masks.mask(scene, name)


def test_an_observation_gives_the_masks_as_regions() -> None:
    observations = isi.datasets.scenes()
    for observation in observations[:12]:
        every = observation.masks
        assert every and all(mask.size == observation.image.size for mask in every.values())
        name, mask = next(iter(every.items()))
        assert observation.mask(name) == mask
        about = observation.metadata["about"]
        if about:
            names = list(every)
            asked = observation.mask()
            assert asked.area == sum(every[names[index]].area for index in about)
    erased = np.asarray(observation.stimulus().erase(mask, fill="white").render())
    assert (erased[mask.array()] == 255).all()


def test_a_picture_without_a_graph_has_no_masks() -> None:
    observation = isi.Observation(np.zeros((9, 9, 3), np.uint8), "?")
    assert observation.masks == {}
    with pytest.raises(isi.InputError, match=r"Find an object with isi\.segment"):
        observation.mask("dog")


def test_a_question_about_no_object_asks_for_a_name() -> None:
    case = make_case("demo", 3)
    graph = SceneGraph(replace(case, item=replace(case.item, about=())))
    with pytest.raises(isi.InputError, match="is about no single object of this picture"):
        graph.mask(None)


@pytest.mark.parametrize(
    ("claim", "survives"),
    [
        (Claim("colour", Noun("heart"), "red"), True),
        (Claim("size", Noun("star", "red"), "small"), None),  # the blue star may become the red one
        (Claim("relation", Noun("heart"), "right of", Noun("star", "red")), None),
        (Claim("name", Noun(place=("left of", Noun("heart"))), "star"), None),  # another may come to be there
        (Claim("exists", Noun("star", "red")), True),  # a second one changes nothing
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_another_thing_may_come_to_fit_the_question(claim: Claim, survives: bool | None) -> None:
    scene = scene_of(("star", "red", "small"), ("heart", "red", "large"), ("star", "blue", "small"))
    about = tuple(index for noun in (claim.noun, claim.other) if noun for index in scene.matching(noun))
    item = Item(Ask("existence" if claim.kind == "exists" else claim.kind, claim), claim, about, True)
    boxes = SceneGraph(replace(make_case("validation", 0), scene=scene, item=item)).about()
    stimulus = isi.Stimulus(draw.draw_scene(scene), "q?", about=boxes)
    assert stimulus.recolor(masks.mask(scene, "blue star"), "red").truth_holds is survives
