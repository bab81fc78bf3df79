"""A condition: every method of a stimulus as a step, grids, regions by name, functions, records, code."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.study.steps import CHAIN

DATA = isi.datasets.scenes()
OTHER = DATA[7].image


def crossed(stimulus, text="no"):
    """A function of a stimulus."""
    return stimulus.text(5, 5, text)


def boxed(obs):
    """A function of an observation."""
    return obs.stimulus().box(0, 0, obs.image.width // 2, 20)


def test_every_changing_method_of_a_stimulus_is_there():
    made = {
        name
        for name, method in inspect.getmembers(isi.Stimulus, inspect.isfunction)
        if not name.startswith("_") and "-> Stimulus" in str(inspect.signature(method)).replace("'", "")
    }
    listed = {"apply", "undo", "replace", "without", "reorder", "with_operations", "completed", "with_boxes"}
    assert made - listed == set(CHAIN)
    for name in CHAIN:
        own, theirs = getattr(isi.Condition, name), getattr(isi.Stimulus, name)
        assert list(inspect.signature(own).parameters) == list(inspect.signature(theirs).parameters)


@pytest.mark.parametrize(
    "made",
    [
        isi.condition("plain"),
        isi.condition("a").box(1, 2, 30, 40, color="red").noise(0.2, seed=3).with_context("Text."),
        isi.condition("b").with_image(OTHER).insert(OTHER, (4, 5, 30, 30)).with_question("Is it?"),
        isi.condition("c", level=2, group="g", baseline="plain 2", parameter="p").replace_words("Is", "Was"),
        isi.condition("d").erase(isi.Mask.from_array(np.ones((480, 480), dtype=bool)), "blue"),
        isi.condition("e").intervene(isi.HeadScale(1, 0, 0.5), isi.HeadScale(2, 0, 0.0)),
        isi.condition("f").apply(isi.stimulus.Box(1, 2, 3, 4, angle=20), isi.stimulus.Blur(2)),
        isi.condition("g").apply(isi.conditions.random_context, seed=3).remove("about"),
        isi.condition("h").apply(crossed, text="x"),
        isi.condition("i").noise(isi.grid(sigma=[0.1, 0.3])).points()[1],
    ],
    ids=lambda made: made.name,
)
def test_record_pickle_and_code_give_it_again(made):
    assert isi.Condition.from_dict(made.to_dict(), made.pictures) == made
    assert pickle.loads(pickle.dumps(made)) == made and hash(made) == hash(pickle.loads(pickle.dumps(made)))
    place = {"isi": isi, "pictures": made.pictures, "crossed": crossed}
    again = eval(made.code(), place)
    assert again == made and repr(again) == made.code()
    with pytest.raises(AttributeError, match="cannot be changed"):
        made.name = "another"


def test_it_does_what_the_stimulus_does():
    made = isi.condition("a").box(1, 2, 30, 40).blur(3).with_context(preset="contradictory").apply(crossed)
    expected = DATA[0].stimulus().box(1, 2, 30, 40).blur(3).with_context(preset="contradictory")
    assert made(DATA[0]) == made(DATA[0].stimulus()) == expected.text(5, 5, "no")
    assert isi.condition("b").apply(boxed)(DATA[0]) == boxed(DATA[0])
    assert isi.condition("plain")(DATA[0]) == DATA[0].stimulus()


def test_a_grid_is_one_condition_for_each_value():
    noise = isi.condition("noise").noise(isi.grid(sigma=[0, 0.1, 0.3]), seed=2)
    points = noise.points()
    assert [point.name for point in points] == ["noise sigma=0", "noise sigma=0.1", "noise sigma=0.3"]
    assert [(p.group, p.parameter, p.level) for p in points] == [("noise", "sigma", v) for v in (0, 0.1, 0.3)]
    assert points[1](DATA[0]) == DATA[0].stimulus().noise(0.1, seed=2)
    assert noise.code() == "isi.condition('noise').noise(isi.grid(sigma=[0, 0.1, 0.3]), seed=2)"
    assert eval(noise.code(), {"isi": isi}) == noise
    crossed_grid = (
        isi.condition("both").noise(isi.grid(sigma=[0.1, 0.2], seed=[0, 1])).blur(isi.grid(radius=[2]))
    )
    assert [point.name for point in crossed_grid.points()] == [
        f"both sigma={s} seed={r} radius=2" for s in (0.1, 0.2) for r in (0, 1)
    ]
    assert {point.group for point in crossed_grid.points()} == {
        "both seed=0 radius=2",
        "both seed=1 radius=2",
    }
    words = isi.condition("told").with_context(isi.grid(text=["a", "b"])).points()
    assert [point.level for point in words] == [None, None] and words[0].parameters == {"text": "a"}
    inside = isi.condition("head").intervene(isi.HeadScale, 2, 0, isi.grid(factor=[0.0, 0.5])).points()
    assert [point.interventions for point in inside] == [
        (isi.HeadScale(2, 0, 0.0),),
        (isi.HeadScale(2, 0, 0.5),),
    ]
    own = isi.condition("own").apply(crossed, isi.grid(text=["x", "y"])).points()
    assert own[1](DATA[0]) == DATA[0].stimulus().text(5, 5, "y")


def test_wrong_grids_are_refused():
    with pytest.raises(InputError, match="at least one parameter"):
        isi.grid()
    with pytest.raises(InputError, match="must be a list of values"):
        isi.grid(sigma=0.1)
    with pytest.raises(InputError, match="all different"):
        isi.grid(sigma=[0.1, 0.1])
    with pytest.raises(InputError, match="a grid of 'strength' is not possible"):
        isi.condition("a").noise(isi.grid(strength=[1]))
    with pytest.raises(InputError, match="given twice"):
        isi.condition("a").noise(isi.grid(sigma=[1, 2]), sigma=3)
    with pytest.raises(InputError, match="two grids of the parameter 'seed'"):
        isi.condition("a").noise(isi.grid(seed=[1, 2])).with_image(
            isi.grid(seed=[1]), preset="random"
        ).points()
    with pytest.raises(InputError, match="stands for several"):
        isi.condition("a").noise(isi.grid(sigma=[1, 2]))(DATA[0])
    with pytest.raises(InputError, match=r"noise: .*unexpected keyword"):
        isi.condition("a").noise(strength=3)


def test_regions_by_name():
    known = next(obs for obs in DATA if obs.stimulus().about and len(obs.masks) > 1)
    name, mask = next(iter(known.masks.items()))
    assert isi.condition("a").recolor(name, "blue")(known) == known.stimulus().recolor(mask, "blue")
    left, top, right, bottom = mask.bounds
    around = isi.condition("b").box(name, color="red", fill=False)(known)
    assert around == known.stimulus().box(left, top, right - left, bottom - top, color="red", fill=False)
    expected = known.stimulus()
    for part in known.stimulus().about:
        expected = expected.erase(part, fill="blue")
    gone = isi.condition("c").erase("about", fill="blue")
    assert gone(known) == gone(known.stimulus()) == expected
    first, second = list(known.masks)[:2]
    swapped = isi.condition("d").swap(first, second)
    assert swapped(known) == known.stimulus().swap(known.masks[first], known.masks[second])
    with pytest.raises(InputError, match="only an observation knows"):
        isi.condition("e").erase("red star")(known.stimulus())
    with pytest.raises(InputError, match='region "about" is not known'):
        gone(isi.Observation(OTHER, "Is it?"))
    with pytest.raises(InputError, match=r"No object.*unicorn"):
        isi.condition("f").erase("unicorn")(known)


def test_what_is_no_condition():
    with pytest.raises(InputError, match="must not be empty"):
        isi.condition(" ")
    with pytest.raises(InputError, match="needs a function from a stimulus to a stimulus"):
        isi.condition("a").apply(3)
    with pytest.raises(InputError, match="must return a Stimulus; it returned int"):
        isi.condition("a").apply(lambda stimulus: 3)(DATA[0])
    with pytest.raises(InputError, match="must be the first step"):
        isi.condition("a").blur(2).apply(boxed)(DATA[0])
    with pytest.raises(InputError, match="takes an observation"):
        isi.condition("a").apply(boxed)(DATA[0].stimulus())
    with pytest.raises(InputError, match="An intervention must be one of"):
        isi.condition("a").intervene("head")
    with pytest.raises(InputError, match="of schema 1"):
        isi.Condition.from_dict({"schema": 9, "name": "a"})
    record = isi.condition("a").noise(0.1).to_dict()
    record["steps"][0]["method"] = "__init__"
    with pytest.raises(InputError, match="method"):
        isi.Condition.from_dict(record)
    foreign = isi.condition("a").apply(crossed).to_dict()
    foreign["steps"][0]["function"] = "os.system"
    with pytest.raises(InputError, match="only the name is known"):
        isi.Condition.from_dict(foreign)(DATA[0])


def test_a_scene_whose_question_is_about_no_part_names_its_objects():
    scene = isi.datasets.things()[3]  # What is right of the bird?
    with pytest.raises(InputError, match=r"alone decides.*: bird, strawberry, teapot"):
        isi.condition("a").box("about")(scene)
