"""Properties that hold for every stimulus: JSON round trip, idempotent rendering, nothing changed outside the
bounds."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import reduce

import jsonschema
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import isi_widget as isi
from isi_widget.stimulus import (
    Arrow,
    Blur,
    Box,
    CopiedPatch,
    Downscale,
    Drawing,
    Ellipse,
    Erase,
    GaussianNoise,
    Insert,
    Jpeg,
    Line,
    Mask,
    Mirror,
    Move,
    Operation,
    Pixelate,
    Polygon,
    Presets,
    Recolor,
    Remove,
    ReplaceContext,
    ReplaceImage,
    ReplaceQuestion,
    Resize,
    Retexture,
    Stimulus,
    Swap,
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
SMALL = load_image(np.random.default_rng(9).integers(0, 256, (11, 17, 3), dtype=np.uint8))
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
flags = {"hidden": st.booleans(), "locked": st.booleans()}
angles = st.just(0.0) | st.integers(-8, 8).map(lambda turns: 45.0 * turns) | st.floats(-720, 720, width=32)
polygons = st.lists(points, min_size=3, max_size=8).map(tuple)
rectangles = st.tuples(places, places, extents, extents)
masks = st.builds(
    Mask.from_array,
    hnp.arrays(np.bool_, (HEIGHT, WIDTH), elements=st.booleans(), fill=st.booleans()),
    st.sampled_from([0, 1.5, 4]),
)
regions = rectangles | polygons | masks


def drawings_with(flags: dict[str, st.SearchStrategy[bool]]) -> st.SearchStrategy[Drawing]:
    return st.one_of(
        st.builds(Box, **boxes, angle=angles, **flags),
        st.builds(Ellipse, **boxes, angle=angles, **flags),
        st.builds(Polygon, polygons, colors, st.booleans(), extents, **flags),
        st.builds(Line, points, points, colors, extents, **flags),
        st.builds(Arrow, points, points, colors, extents, words, st.floats(0, 40), **flags),
        st.builds(Text, places, places, words, st.floats(0, 40), colors, angles, **flags),
        st.builds(GaussianNoise, st.floats(0, 1), seeds, st.none() | regions, **flags),
        st.builds(Blur, st.floats(0.01, 60), st.none() | regions, **flags),
        st.builds(Pixelate, st.integers(2, 60), st.none() | regions, **flags),
        st.builds(Downscale, st.integers(1, 90), st.none() | regions, **flags),
        st.builds(Jpeg, st.integers(1, 95), st.none() | regions, **flags),
        st.builds(Erase, st.none() | regions, st.just("mean") | colors, **flags),
        st.builds(Erase, regions, st.just("inpaint"), **flags),
        st.builds(
            CopiedPatch,
            rectangles,
            places,
            places,
            st.none() | extents,
            st.none() | extents,
            st.sampled_from([None, PICTURES[2], SMALL]),
            **flags,
        ),
    )


def edits_with(flags: dict[str, st.SearchStrategy[bool]]) -> st.SearchStrategy[Drawing]:
    pictures = st.sampled_from([None, PICTURES[2]])
    sources = st.sampled_from([None, (3.0, 4.0, 9.0, 8.0), Mask.from_box((WIDTH, HEIGHT), (5, 5, 12, 9), 2)])
    painters = {"inpainter": st.sampled_from(["membrane", "telea", "navier-stokes"])}
    return st.one_of(
        st.builds(Remove, regions, **painters, **flags),
        st.builds(Move, regions, points, **painters, **flags),
        st.builds(Resize, regions, st.floats(0.01, 9), **flags),
        st.builds(Swap, regions, regions, **flags),
        st.builds(Mirror, st.none() | regions, st.sampled_from(["horizontal", "vertical"]), **flags),
        st.builds(Insert, pictures, points | rectangles, sources, st.sampled_from([0, 1.5, 4]), **flags),
        st.builds(Recolor, regions, colors, **flags),
        st.builds(Retexture, regions, pictures, sources, **flags),
    )


visible = drawings_with({})
drawings = drawings_with(flags) | edits_with(flags)
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


@settings(max_examples=60)
@given(stimuli())
def test_json_there_and_back_is_the_same_stimulus(stimulus: Stimulus) -> None:
    text = stimulus.to_json()
    VALIDATOR.validate(json.loads(text))
    again = Stimulus.from_json(text)
    assert again == stimulus and hash(again) == hash(stimulus) and again.key == stimulus.key
    assert again.to_json() == text
    assert again.render().tobytes() == stimulus.render().tobytes()


@settings(max_examples=60)
@given(stimuli())
def test_the_page_may_send_the_operations_back_as_they_came(stimulus: Stimulus) -> None:
    sent = json.loads(json.dumps([operation.to_dict() for operation in stimulus.operations]))
    assert stimulus.with_operations(sent) == stimulus


@settings(max_examples=60)
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


@settings(max_examples=200)
@given(visible)
def test_no_drawing_changes_a_pixel_outside_its_bounds(drawing: Drawing) -> None:
    before = PICTURES[0].array()
    after = np.asarray(paint(PICTURES[0].pil(), [drawing])).copy()
    left, top, right, bottom = drawing.bounds((WIDTH, HEIGHT))
    assert 0 <= left <= right <= WIDTH and 0 <= top <= bottom <= HEIGHT
    after[top:bottom, left:right] = before[top:bottom, left:right]
    assert (after == before).all()


@settings(max_examples=100)
@given(visible.filter(lambda drawing: hasattr(drawing, "color")))
def test_an_opaque_drawing_drawn_twice_lies_between_background_and_colour(drawing: Drawing) -> None:
    color = np.array([int(drawing.color[i : i + 2], 16) for i in (1, 3, 5)])
    before = PICTURES[0].array().astype(int)
    after = np.asarray(paint(PICTURES[0].pil(), [drawing])).astype(int)
    assert (after >= np.minimum(before, color)).all() and (after <= np.maximum(before, color)).all()


@settings(max_examples=60)
@given(stimuli(drawings | images))
def test_hidden_and_locked_drawings_are_kept_but_change_nothing(stimulus: Stimulus) -> None:
    plain = stimulus.with_operations(
        [
            replace(item, locked=False) if isinstance(item, Drawing) else item
            for item in stimulus.operations
            if not getattr(item, "hidden", False)
        ]
    )
    assert stimulus.render().tobytes() == plain.render().tobytes()
    assert stimulus.key == plain.key and stimulus.drawings == plain.drawings
    assert len(Stimulus.from_json(stimulus.to_json()).operations) == len(stimulus.operations)


@settings(max_examples=60)
@given(drawings)
def test_what_is_seldom_used_is_written_only_when_it_is(drawing: Drawing) -> None:
    record = drawing.to_dict()
    assert ("hidden" in record, "locked" in record) == (drawing.hidden, drawing.locked)
    assert ("angle" in record) == bool(getattr(drawing, "angle", 0))
    if isinstance(drawing, Arrow):
        assert ("label" in record, "size" in record) == (bool(drawing.label),) * 2


sixteenths = st.integers(-60 * 16, 100 * 16).map(lambda value: value / 16)
lengths = st.integers(0, 90 * 16).map(lambda value: value / 16)


@settings(max_examples=100)
@given(sixteenths, sixteenths, lengths, lengths, st.integers(0, 3), st.booleans())
@example(0.5, 0.5, 3.0, 3.5, 0, False)
def test_a_polygon_that_is_a_rectangle_is_the_same_region(
    x: float, y: float, width: float, height: float, first: int, reverse: bool
) -> None:
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    corners = corners[first:] + corners[:first]
    polygon = tuple(reversed(corners)) if reverse else tuple(corners)
    rectangle = (x, y, width, height)
    for make in (
        lambda region: GaussianNoise(0.3, 5, region),
        lambda region: Blur(2.5, region),
        lambda region: Pixelate(4, region),
        lambda region: Downscale(9, region),
        lambda region: Jpeg(10, region),
        lambda region: Erase(region, "red"),
        lambda region: Erase(region, "mean"),
        lambda region: Erase(region, "inpaint"),
    ):
        one, two = make(rectangle), make(polygon)
        assert one.bounds((WIDTH, HEIGHT)) == two.bounds((WIDTH, HEIGHT))
        assert paint(PICTURES[0].pil(), [one]).tobytes() == paint(PICTURES[0].pil(), [two]).tobytes()


@settings(max_examples=150)
@given(sixteenths, sixteenths, lengths, lengths, angles, points, points, polygons, st.data())
def test_what_sticks_out_of_the_image_is_cut_off_and_changes_nothing_else(
    x: float, y: float, width: float, height: float, angle: float, start, end, polygon, data: st.DataObject
) -> None:
    """Drawn on a larger image and then cut out: the same but for one grey level of rounding."""
    by = 128
    drawing = data.draw(
        st.sampled_from(
            [
                Box(x, y, width, height, "red", angle=angle),
                Ellipse(x, y, width, height, "red", False, 2.5, angle),
                Polygon(polygon, "red"),
                Polygon(polygon, "red", False, 3.5),
                Arrow(start, end, "red", 3, "label", 14),
                Text(x, y, "turned\ntext", 15, "red", angle),
                CopiedPatch((1.5, 2, 9, 7.25), x, y, width, height, SMALL),
                CopiedPatch((1, 2, 9, 7), round(x), round(y), 9, 7, SMALL),
            ]
        )
    )
    moved = {name: getattr(drawing, name) + by for name in ("x", "y") if hasattr(drawing, name)} | {
        name: (getattr(drawing, name)[0] + by, getattr(drawing, name)[1] + by)
        for name in ("start", "end")
        if hasattr(drawing, name)
    }
    if isinstance(drawing, Polygon):
        moved["points"] = tuple((a + by, b + by) for a, b in drawing.points)
    large = load_image(np.pad(PICTURES[0].array(), ((by, by), (by, by), (0, 0)))).pil()
    small = np.asarray(paint(PICTURES[0].pil(), [drawing])).astype(int)
    cut = np.asarray(paint(large, [replace(drawing, **moved)]))[by:-by, by:-by].astype(int)
    assert np.abs(small - cut).max() <= 1


@settings(max_examples=40)
@given(stimuli(), st.data())
def test_editing_the_list_and_editing_back(stimulus: Stimulus, data: st.DataObject) -> None:
    extra = data.draw(operations)
    assert stimulus.apply(extra).undo() == stimulus
    longer = stimulus.apply(extra)
    at = data.draw(st.integers(0, len(longer.operations) - 1))
    assert longer.reorder(len(longer.operations) - 1, at).without(at) == stimulus
    assert longer.reorder(-1, at).move(at, -1) == longer
    assert longer.replace(at, longer.operations[at]) == longer


@settings(max_examples=80)
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

    scope = {"isi": isi, "obs": Observed(), "pictures": stimulus.pictures}
    exec(compile(stimulus.code("rebuilt"), "chain", "exec"), scope)
    left = [item for item in stimulus.operations if not getattr(item, "hidden", False)]
    expected = [replace(item, locked=False) if isinstance(item, Drawing) else item for item in left]
    assert scope["rebuilt"] == stimulus.with_operations(expected)
