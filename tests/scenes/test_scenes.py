"""The scenes: same seed, same scene; balanced; true to their graph; the graph true to the pixels; splits
apart.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from reader import answer, holds, only, select

from isi_widget import datasets
from isi_widget.datasets.grammar import IRRELEVANT, KINDS, LEVELS
from isi_widget.datasets.scenes.draw import RGB
from isi_widget.datasets.scenes.splits import cases, make_case, training_cases
from isi_widget.errors import InputError


@pytest.fixture(scope="module")
def test_split():
    return datasets.scenes("test")


@pytest.fixture(scope="module")
def demo():
    return datasets.scenes()


def test_sizes_and_names(demo, test_split):
    assert len(demo) == 100 and len(test_split) == 2000 and len(datasets.scenes("validation")) == 600
    assert len({o.id for o in test_split}) == 2000
    with pytest.raises(InputError, match=r"no split 'tset'.*demo, validation, test, varied, train"):
        datasets.scenes("tset")


def test_opening_the_demo_draws_nothing(monkeypatch):
    from isi_widget.datasets.scenes import case, splits

    monkeypatch.setattr(case, "draw_scene", lambda scene: pytest.fail("drawn"))
    splits._dataset.cache_clear()
    assert len(datasets.scenes()) == 100
    splits._dataset.cache_clear()


@pytest.mark.parametrize("split", ["demo", "validation", "test", "train 0"])
def test_deterministic(split):
    for index in (0, 4, 17, 83):
        one, two = make_case(split, index), make_case(split, index)
        assert one == two
        assert one.picture().tobytes() == two.picture().tobytes()
        assert one.annotated().tobytes() == two.annotated().tobytes()


def test_training_is_endless_and_seeded():
    first = list(itertools.islice(datasets.scenes("train", seed=1), 30))
    again = list(itertools.islice(datasets.scenes("train", seed=1), 30))
    other = list(itertools.islice(datasets.scenes("train", seed=2), 30))
    assert [o.metadata for o in first] == [o.metadata for o in again]
    assert all(a.metadata != b.metadata for a, b in zip(first, other, strict=True))


def test_no_leak_between_splits():
    scenes = {name: {case.scene.things for case in cases(name)} for name in ("demo", "validation", "test")}
    scenes["train"] = {case.scene.things for case in itertools.islice(training_cases(), 3000)}
    for one, two in itertools.combinations(scenes, 2):
        assert not scenes[one] & scenes[two]


def test_truth_by_an_independent_reader(demo, test_split):
    for observation in (*demo, *test_split, *datasets.scenes("validation")):
        assert answer(observation.question, observation.metadata["things"]) == observation.answer, (
            observation.id
        )


def test_contexts_by_an_independent_reader(demo, test_split):
    for observation in (*demo, *test_split):
        things, contexts = observation.metadata["things"], observation.contexts
        assert holds(contexts["complementary"], things), (observation.id, contexts)
        assert not holds(contexts["contradictory"], things), (observation.id, contexts)
        assert contexts["irrelevant"] in IRRELEVANT


def test_references_are_unambiguous():
    for case in cases("test"):
        claim = case.item.ask.claim
        things = [vars(thing) for thing in case.scene.things]
        if claim.kind in ("colour", "size", "shape", "relation"):
            only(things, claim.noun.words())
        if claim.other is not None:
            only(things, claim.other.words())
            side = {"left of": "width", "right of": "width"}.get(case.item.truth.value, "height")
            axis = "x" if side == "width" else "y"
            a, b = (getattr(case.scene.things[i], axis) for i in case.item.about)
            assert abs(a - b) > 0.12 * getattr(case.scene, side)


@pytest.mark.parametrize("split", ["demo", "validation", "test"])
def test_yes_and_no_are_balanced(split):
    found = Counter((c.item.kind, c.item.yes) for c in cases(split) if c.item.yes is not None)
    for kind in ("existence", "attribute", "relation", "counting"):
        assert abs(found[kind, True] - found[kind, False]) <= 1, (kind, found)
    levels = Counter((LEVELS[kind], yes) for (kind, yes), n in found.items() for _ in range(n))
    assert all(
        abs(levels[level, True] - levels[level, False]) <= 1 for level in ("object", "attribute", "relation")
    )
    assert {case.item.kind for case in cases(split)} == set(KINDS)


def test_what_is_asked_tells_nothing():
    """For no number, relation or kind of noun is one answer much more frequent (test split)."""
    groups = {}
    for case in cases("test"):
        claim = case.item.ask.claim
        if case.item.yes is not None:
            key = (
                claim.kind,
                claim.value if claim.kind in ("count", "relation", "size") else claim.noun.colour is None,
            )
            groups.setdefault(key, []).append(case.item.yes)
    for key, values in groups.items():
        n = len(values)
        assert abs(sum(values) / n - 0.5) < 4 * math.sqrt(0.25 / n), (key, n, sum(values))


def test_counts_are_spread():
    open_counts = Counter(
        c.item.answer for c in cases("test") if c.item.kind == "counting" and c.item.yes is None
    )
    assert set(open_counts) == {"Zero", "One", "Two", "Three", "Four", "Five"}
    assert max(open_counts.values()) < 2 * min(open_counts.values())


def test_pixels_agree_with_the_graph():
    names, palette = list(RGB), np.array(list(RGB.values()))
    for case in itertools.islice(cases("test"), 200):
        pixels = np.asarray(case.picture()).astype(int)
        assert pixels.shape == (case.scene.height, case.scene.width, 3)
        for thing in case.scene.things:
            x = thing.x + (round(0.78 * thing.radius) if thing.shape == "ring" else 0)
            nearest = names[np.abs(palette - pixels[thing.y, x]).sum(1).argmin()]
            assert nearest == thing.colour, (case.index, thing)
        corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.min() > 190  # light paper


def test_shapes_differ_in_area():
    """Coverage of each mask against the area of the shape by other means."""
    from isi_widget.datasets.scenes.draw import mask

    expected = {
        "circle": math.pi,
        "square": 1.72**2,
        "triangle": 0.5 * 2 * 1.88,
        "ring": math.pi * (1 - 0.56**2),
    }
    expected["cross"] = 4 * 2 * 0.34 - 4 * 0.34**2
    expected["star"] = 5 * 1.12 * 0.46 * math.sin(math.pi / 5)
    for shape, area in expected.items():
        for angle in (0, 8):
            measured = np.asarray(mask(shape, 50, angle)).sum() / 255 / 50**2
            assert measured == pytest.approx(area, rel=0.04), shape


def test_things_do_not_overlap():
    for case in cases("test"):
        for one, two in itertools.combinations(case.scene.things, 2):
            assert math.hypot(one.x - two.x, one.y - two.y) > one.radius + two.radius
        for thing in case.scene.things:
            assert thing.radius <= thing.x <= case.scene.width - thing.radius
            assert thing.radius <= thing.y <= case.scene.height - thing.radius
            side = math.sqrt(case.scene.width * case.scene.height)
            assert (thing.size == "large") == (thing.radius / side > 0.1)


def test_labels_name_what_is_asked():
    for case in itertools.islice(cases("test"), 400):
        labels = case.labels()
        things = [vars(thing) for thing in case.scene.things]
        assert {label.thing for label in labels} <= set(case.item.about)
        for label in labels:
            thing = things[label.thing]
            x, y, width, height = label.box
            assert x >= 0 and y >= 0 and x + width <= case.scene.width and y + height <= case.scene.height
            assert height >= 0.08 * min(case.scene.width, case.scene.height)
            assert math.hypot(label.end[0] - thing["x"], label.end[1] - thing["y"]) <= 1.05 * thing["radius"]
            if label.text.isdigit():
                assert case.item.kind == "counting"
            else:
                assert label.text in (thing["shape"], thing["colour"], thing["size"])
        if case.item.kind == "counting":
            noun = case.item.ask.claim.noun.words()
            assert sorted(int(label.text) for label in labels) == list(
                range(1, len(select(things, noun)) + 1)
            )


def test_annotated_image_is_the_scene_with_labels(demo):
    changed = 0
    for observation in demo[:20]:
        plain, noted = observation.image.array().astype(int), observation.annotated.array().astype(int)
        assert plain.shape == noted.shape
        difference = np.abs(plain - noted).max(-1) > 60
        changed += 0.005 < difference.mean() < 0.3
        white, black = (noted == 255).all(-1), (noted == 0).all(-1)  # neither occurs in a scene
        assert white.mean() > 0.002 and black.mean() > 0.0005 and not (plain == 0).all(-1).any()
    assert changed >= 18  # a black arrow on a dark thing may change little


def test_random_presets_come_from_another_observation(demo):
    stimulus = demo[0].stimulus().with_image(preset="random", seed=3)
    assert stimulus.current_image != demo[0].image and stimulus.truth is None


def test_every_size_of_canvas_occurs(demo):
    sizes = {(o.metadata["width"], o.metadata["height"]) for o in demo}
    assert (480, 480) in sizes and len(sizes) >= 4
