"""Properties that hold for every stimulus: JSON round trip, idempotent rendering, nothing changed outside the
bounds."""

from __future__ import annotations

import json
from functools import reduce

import jsonschema
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from isi_widget.stimulus import (
    Arrow,
    Box,
    Drawing,
    Ellipse,
    GaussianNoise,
    Line,
    Operation,
    Presets,
    ReplaceContext,
    ReplaceImage,
    ReplaceQuestion,
    Stimulus,
    Text,
    load_image,
    paint,
)
from isi_widget.stimulus.rendering import cache
from isi_widget.stimulus.serial import schema

WIDTH, HEIGHT = 40, 30
PICTURES = [
    load_image(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    for seed in range(3)
]
PRESETS = Presets(
    {"annotated": PICTURES[1]}, {"complementary": "It helps.", "contradictory": "Ünrichtig \N{CAT FACE}"}
)
VALIDATOR = jsonschema.Draft202012Validator(schema())

places = st.floats(-60, 100, allow_nan=False, width=32) | st.integers(-60, 100)
extents = st.floats(0, 120, allow_nan=False, width=32) | st.integers(0, 120)
points = st.tuples(places, places)
colors = st.sampled_from(["black", "red", "#0072B2", "#fff", "rgb(1, 2, 3)", "hsl(120, 50%, 50%)"])
words = st.text(st.characters(codec="utf-8"), max_size=12)
seeds = st.integers(0, 2**53 - 1)
boxes = {
    "x": places,
    "y": places,
    "width": extents,
    "height": extents,
    "color": colors,
    "fill": st.booleans(),
    "line_width": extents,
}
drawings = st.one_of(
    st.builds(Box, **boxes),
    st.builds(Ellipse, **boxes),
    st.builds(Line, points, points, colors, extents),
    st.builds(Arrow, points, points, colors, extents),
    st.builds(Text, places, places, words, st.floats(0, 40), colors),
    st.builds(GaussianNoise, st.floats(0, 1), seeds, st.none() | st.tuples(places, places, extents, extents)),
)
contexts = st.one_of(
    st.builds(ReplaceContext, words),
    st.just(ReplaceContext("It helps.", "complementary")),
    st.just(ReplaceContext("", "empty")),
    st.builds(lambda text, seed: ReplaceContext(text, "random", seed), words, seeds),
)
images = st.one_of(
    st.just(ReplaceImage("natural", PICTURES[0])),
    st.just(ReplaceImage("annotated", PICTURES[1])),
    st.just(ReplaceImage("custom", PICTURES[2])),
    st.builds(lambda seed: ReplaceImage("random", PICTURES[2], seed), seeds),
)
operations = st.one_of(drawings, drawings, contexts, images, st.builds(ReplaceQuestion, words))


@st.composite
def stimuli(draw: st.DrawFn, kind: st.SearchStrategy[Operation] = operations) -> Stimulus:
    return Stimulus(
        PICTURES[0],
        draw(words),
        draw(words),
        draw(st.sampled_from([None, "Yes", "No", "three"])),
        PRESETS,
        tuple(draw(st.lists(kind, max_size=6))),
    )


@settings(max_examples=60, deadline=None)
@given(stimuli())
def test_json_there_and_back_is_the_same_stimulus(stimulus: Stimulus) -> None:
    text = stimulus.to_json()
    VALIDATOR.validate(json.loads(text))
    again = Stimulus.from_json(text)
    assert again == stimulus and hash(again) == hash(stimulus) and again.key == stimulus.key
    assert again.to_json() == text
    assert again.render().tobytes() == stimulus.render().tobytes()


@settings(max_examples=60, deadline=None)
@given(stimuli())
def test_the_page_may_send_the_operations_back_as_they_came(stimulus: Stimulus) -> None:
    sent = json.loads(json.dumps([operation.to_dict() for operation in stimulus.operations]))
    assert stimulus.with_operations(sent) == stimulus


@settings(max_examples=60, deadline=None)
@given(stimuli())
def test_rendering_again_gives_the_same_pixels_cached_or_not(stimulus: Stimulus) -> None:
    first = stimulus.render()
    assert first.mode == "RGB" and first.size == stimulus.current_image.size
    assert stimulus.render().tobytes() == first.tobytes()
    cache.clear()
    assert stimulus.render().tobytes() == first.tobytes()
    step_by_step = reduce(
        lambda image, item: paint(image, [item]), stimulus.drawings, stimulus.current_image.pil()
    )
    assert step_by_step.tobytes() == first.tobytes()


@settings(max_examples=200, deadline=None)
@given(drawings)
def test_no_drawing_changes_a_pixel_outside_its_bounds(drawing: Drawing) -> None:
    before = PICTURES[0].array()
    after = np.asarray(paint(PICTURES[0].pil(), [drawing])).copy()
    left, top, right, bottom = drawing.bounds((WIDTH, HEIGHT))
    assert 0 <= left <= right <= WIDTH and 0 <= top <= bottom <= HEIGHT
    after[top:bottom, left:right] = before[top:bottom, left:right]
    assert (after == before).all()


@settings(max_examples=100, deadline=None)
@given(drawings)
def test_an_opaque_drawing_drawn_twice_lies_between_background_and_colour(drawing: Drawing) -> None:
    if isinstance(drawing, GaussianNoise):
        return
    color = np.array([int(drawing.color[i : i + 2], 16) for i in (1, 3, 5)])
    before = PICTURES[0].array().astype(int)
    after = np.asarray(paint(PICTURES[0].pil(), [drawing])).astype(int)
    assert (after >= np.minimum(before, color)).all() and (after <= np.maximum(before, color)).all()


@settings(max_examples=40, deadline=None)
@given(stimuli(), st.data())
def test_editing_the_list_and_editing_back(stimulus: Stimulus, data: st.DataObject) -> None:
    extra = data.draw(operations)
    assert stimulus.apply(extra).undo() == stimulus
    longer = stimulus.apply(extra)
    at = data.draw(st.integers(0, len(longer.operations) - 1))
    assert longer.move(len(longer.operations) - 1, at).without(at) == stimulus
    assert longer.move(-1, at).move(at, -1) == longer
    assert longer.replace(at, longer.operations[at]) == longer


@settings(max_examples=60, deadline=None)
@given(
    stimuli(
        drawings
        | contexts.filter(lambda op: op.preset != "random")
        | images.filter(lambda op: op.preset != "random")
    )
)
def test_the_python_chain_rebuilds_the_stimulus(stimulus: Stimulus) -> None:
    class Observed:
        def stimulus(self) -> Stimulus:
            return stimulus.with_operations([])

    scope = {"obs": Observed(), "pictures": stimulus.pictures}
    exec(compile(stimulus.code("rebuilt"), "chain", "exec"), scope)
    assert scope["rebuilt"] == stimulus
