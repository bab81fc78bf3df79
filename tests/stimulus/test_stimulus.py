"""The Stimulus itself: chain methods, editing the list, presets, truth, equality."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from isi_widget.errors import InputError
from isi_widget.stimulus import Box, Picture, Presets, ReplaceContext, Stimulus, Text, load_image


def flat(value: int = 200, width: int = 60, height: int = 40) -> Picture:
    return load_image(np.full((height, width, 3), value, np.uint8))


@pytest.fixture
def stimulus() -> Stimulus:
    presets = Presets(
        images={"annotated": flat(100)},
        contexts={"complementary": "It helps.", "contradictory": "It misleads."},
        random_image=lambda seed: flat(seed),
        random_context=lambda seed: f"random {seed}",
    )
    return Stimulus(flat(), "Is it grey?", "", True, presets)


def test_every_method_returns_a_new_stimulus_and_leaves_the_old_one(stimulus: Stimulus) -> None:
    changed = stimulus.box(1, 2, 3, 4).text(0, 0, "a").with_context("c").with_question("q")
    assert stimulus.operations == ()
    assert changed.operations[:2] == (Box(1, 2, 3, 4), Text(0, 0, "a"))
    assert (changed.current_context, changed.current_question) == ("c", "q")
    assert (stimulus.current_context, stimulus.current_question) == ("", "Is it grey?")


def test_editing_the_list(stimulus: Stimulus) -> None:
    a, b, c = Box(0, 0, 1, 1), Box(0, 0, 2, 2), Box(0, 0, 3, 3)
    three = stimulus.apply(a, b, c)
    assert three.undo().operations == (a, b)
    assert three.without(0).operations == (b, c)
    assert three.without(-1).operations == (a, b)
    assert three.replace(1, c).operations == (a, c, c)
    assert three.move(0, 2).operations == (b, c, a)
    assert three.move(2, 0).operations == (c, a, b)
    for wrong in (
        lambda: stimulus.undo(),
        lambda: three.without(3),
        lambda: three.move(0, -4),
        lambda: three.replace(9, a),
    ):
        with pytest.raises(InputError, match=r"nothing to undo|no operation"):
            wrong()


def test_the_last_replacement_counts_and_drawings_stay_on_top(stimulus: Stimulus) -> None:
    changed = stimulus.box(0, 0, 10, 10).with_image(preset="annotated")
    pixels = np.asarray(changed.render())
    assert (pixels[:10, :10] == 0).all() and (pixels[10:] == 100).all()
    assert changed.with_image(preset="natural").current_image == stimulus.image
    texts = stimulus.with_context("mine").with_context(preset="contradictory")
    assert (texts.current_context, texts.context_preset) == ("It misleads.", "contradictory")
    assert texts.with_context(preset="empty").current_context == ""


def test_truth_goes_where_it_no_longer_holds_and_comes_back(stimulus: Stimulus) -> None:
    assert stimulus.truth == "Yes"
    assert stimulus.noise(0.3).with_image(preset="annotated").with_context("x").truth == "Yes"
    assert stimulus.with_image(preset="random", seed=7).truth is None
    assert stimulus.with_context(preset="random", seed=7).truth is None
    assert stimulus.with_image(np.zeros((4, 4), np.uint8)).truth is None
    assert stimulus.with_question("Is it black?").truth is None
    assert stimulus.with_question("Is it black?").with_question("Is it grey?").truth == "Yes"
    assert stimulus.with_image(preset="random", seed=7).with_image(preset="natural").truth == "Yes"


def test_presets_from_the_page_carry_only_their_name_and_seed(stimulus: Stimulus) -> None:
    sent = [
        {"op": "image", "preset": "random", "seed": 9},
        {"op": "context", "preset": "complementary"},
        {"op": "box", "x": 1, "y": 2, "width": 3, "height": 4, "color": "Red"},
    ]
    got = stimulus.with_operations(sent)
    assert got.current_image == flat(9)
    assert got.operations[1] == ReplaceContext("It helps.", "complementary")
    assert got.operations[2] == Box(1, 2, 3, 4, "#ff0000")
    assert stimulus.with_operations([operation.to_dict() for operation in got.operations]) == got


def test_a_preset_that_is_not_there_says_which_are(stimulus: Stimulus) -> None:
    with pytest.raises(
        InputError, match="no context preset 'irrelevant'; it has empty, complementary, contradictory, random"
    ):
        stimulus.with_context(preset="irrelevant")
    with pytest.raises(InputError, match="no image preset 'annotated'; it has natural"):
        Stimulus(flat(), "q").with_image(preset="annotated")


def test_equal_by_content_and_hashable(stimulus: Stimulus) -> None:
    one, two = stimulus.box(1, 2, 3, 4, "red"), stimulus.box(1.0, 2.0, 3.0, 4.0, "#F00")
    assert one == two and hash(one) == hash(two) and one.key == two.key
    assert one != stimulus and one.key != stimulus.key
    assert one.key != one.with_context("x").key != one.with_question("x").key
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.render() is not one.render()


def test_rendering_gives_a_copy_that_the_caller_may_change(stimulus: Stimulus) -> None:
    boxed = stimulus.box(0, 0, 5, 5)
    boxed.render().paste("white", (0, 0, 60, 40))
    stimulus.render().paste("white", (0, 0, 60, 40))
    assert np.asarray(boxed.render())[0, 0, 0] == 0
    assert np.asarray(stimulus.render())[0, 0, 0] == 200
