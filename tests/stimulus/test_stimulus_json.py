"""The JSON form: strict about what it reads, in agreement with schema.json; the Python chain."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import jsonschema
import numpy as np
import pytest

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.stimulus import Presets, ReplaceContext, Stimulus, load_image
from isi_widget.stimulus.serial import schema

VALIDATOR = jsonschema.Draft202012Validator(schema())


def operation_is_valid(record: Any) -> bool:
    only = {"$schema": schema()["$schema"], "$ref": "#/$defs/operation", "$defs": schema()["$defs"]}
    return jsonschema.Draft202012Validator(only).is_valid(record)


def grey(value: int) -> np.ndarray:
    return np.full((5, 7, 3), value, np.uint8)


@pytest.fixture
def stimulus() -> Stimulus:
    presets = Presets(
        {"annotated": load_image(grey(9))},
        {"complementary": "It helps."},
        lambda seed: load_image(grey(seed)),
    )
    return Stimulus(grey(1), "q?", "c", "no", presets)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


GOOD = [
    {"op": "box", "x": 1, "y": 2, "width": 3, "height": 4},
    {
        "op": "ellipse",
        "x": -1.5,
        "y": 2,
        "width": 0,
        "height": 4,
        "color": "red",
        "fill": False,
        "line_width": 2.5,
    },
    {"op": "line", "start": [1, 2], "end": [3, 4]},
    {"op": "arrow", "start": [1, 2], "end": [3.5, 4], "color": "#fff", "width": 0},
    {"op": "text", "x": 1, "y": 2, "text": ""},
    {"op": "noise"},
    {"op": "noise", "sigma": 1, "seed": 2**53 - 1, "region": [0, 0, 5, 5]},
    {"op": "noise", "sigma": 0.1, "seed": 1, "region": None},
    {"op": "noise", "region": [[1, 2], [3, 4.5], [0, 9]]},
    {"op": "box", "x": 1, "y": 2, "width": 3, "height": 4, "angle": -30.5, "hidden": True, "locked": True},
    {"op": "ellipse", "x": 1, "y": 2, "width": 3, "height": 4, "angle": 0, "hidden": False},
    {"op": "text", "x": 1, "y": 2, "text": "a", "angle": 400},
    {"op": "arrow", "start": [1, 2], "end": [3.5, 4], "label": "star"},
    {"op": "arrow", "start": [1, 2], "end": [3.5, 4], "label": "star", "size": 20.5},
    {"op": "arrow", "start": [1, 2], "end": [3.5, 4], "label": "", "size": 20.5},
    {"op": "polygon", "points": [[1, 2], [3, 4], [5, 1]]},
    {"op": "polygon", "points": [[1, 2], [3, 4], [5, 1], [1, 2]], "fill": False, "line_width": 0},
    {"op": "blur", "radius": 0.5},
    {"op": "blur", "radius": 1000, "region": [1, 2, 3, 4], "hidden": True},
    {"op": "pixelate", "size": 2},
    {"op": "pixelate", "size": 1_000_000, "region": [[1, 2], [3, 4], [5, 1]]},
    {"op": "downscale", "size": 1},
    {"op": "downscale", "size": 1_000_000, "region": [1, 2, 3, 4], "locked": True},
    {"op": "jpeg", "quality": 1},
    {"op": "jpeg", "quality": 95, "region": [[1, 2], [3, 4], [5, 1]]},
    {"op": "erase"},
    {"op": "erase", "region": None, "fill": "mean"},
    {"op": "erase", "region": [1, 2, 3, 4], "fill": "inpaint"},
    {"op": "erase", "region": [[1, 2], [3, 4], [5, 1]], "fill": "#fff"},
    {"op": "patch", "source": [0, 0, 3, 4], "x": 1, "y": -2},
    {"op": "patch", "image": None, "source": [-9, 0.5, 3, 4], "x": 1, "y": 2, "width": 0, "height": None},
    {"op": "image", "preset": "natural"},
    {"op": "image", "preset": "annotated", "seed": None},
    {"op": "image", "preset": "random", "seed": 4},
    {"op": "image", "preset": "random"},
    {"op": "context", "text": "mine"},
    {"op": "context", "text": "mine", "preset": None, "seed": None},
    {"op": "context", "preset": "complementary"},
    {"op": "context", "preset": "empty"},
    {"op": "question", "text": ""},
]

BAD = [
    ({}, '"op" must be one of arrow, blur, box'),
    ([], 'must be an object with an "op", got list'),
    ("box", 'must be an object with an "op", got str'),
    ({"op": "circle"}, "got 'circle'"),
    ({"op": ["box"]}, '"op" must be one of'),
    ({"op": "box", "x": 1, "y": 2, "width": 3}, "box: missing field 'height'"),
    ({"op": "box", "x": 1, "y": 2, "width": 3, "height": 4, "turn": 5}, "box: unknown field 'turn'"),
    ({"op": "box", "x": "1", "y": 2, "width": 3, "height": 4}, 'box: "x" must be a number'),
    ({"op": "box", "x": None, "y": 2, "width": 3, "height": 4}, 'box: "x" must be a number'),
    ({"op": "box", "x": 1, "y": 2, "width": -3, "height": 4}, 'box: "width" must be a number from 0 to'),
    (
        {"op": "box", "x": 1, "y": 2, "width": 3, "height": 4, "fill": "yes"},
        'box: "fill" must be True or False',
    ),
    ({"op": "box", "x": 1, "y": 2, "width": 3, "height": 4, "color": 7}, 'box: "color" must be a colour'),
    ({"op": "line", "start": [1], "end": [3, 4]}, 'line: "start" must be'),
    ({"op": "line", "start": {"x": 1, "y": 2}, "end": [3, 4]}, 'line: "start" must be'),
    ({"op": "arrow", "start": [1, 2], "end": [3, 4], "width": -1}, 'arrow: "width"'),
    ({"op": "text", "x": 1, "y": 2, "text": None}, 'text: "text" must be text'),
    ({"op": "text", "x": 1, "y": 2, "text": "a", "size": 1e9}, 'text: "size"'),
    ({"op": "noise", "sigma": 2}, 'noise: "sigma" must be a number from 0 to 1'),
    ({"op": "noise", "sigma": -0.1}, 'noise: "sigma"'),
    ({"op": "noise", "seed": 0.5}, 'noise: "seed" must be a whole number'),
    ({"op": "noise", "seed": -1}, 'noise: "seed"'),
    ({"op": "noise", "region": [1, 2, -3, 4]}, 'noise: "region"'),
    ({"op": "noise", "region": [1, 2, 3]}, 'noise: "region"'),
    ({"op": "noise", "region": [[1, 2], [3, 4]]}, 'noise: "region" must have from 3 to 10000 points'),
    ({"op": "noise", "region": [[1, 2], [3, 4], [5]]}, 'noise: "region", point 2, must be [x, y]'),
    ({"op": "noise", "region": [1, 2, [3, 4]]}, 'noise: "region", point 0, must be [x, y]'),
    ({"op": "noise", "region": "all"}, "must be [x, y, width, height] or at least three points"),
    ({"op": "box", "x": 1, "y": 2, "width": 3, "height": 4, "angle": None}, 'box: "angle" must be a number'),
    ({"op": "box", "x": 1, "y": 2, "width": 3, "height": 4, "hidden": 1}, 'box: "hidden" must be True or'),
    ({"op": "noise", "locked": "yes"}, 'noise: "locked" must be True or False'),
    ({"op": "question", "text": "q", "hidden": True}, "question: unknown field 'hidden'"),
    ({"op": "line", "start": [1, 2], "end": [3, 4], "label": "a"}, "line: unknown field 'label'"),
    ({"op": "arrow", "start": [1, 2], "end": [3, 4], "label": 5}, 'arrow: "label" must be text'),
    ({"op": "arrow", "start": [1, 2], "end": [3, 4], "size": -1}, 'arrow: "size" must be a number from 0 to'),
    ({"op": "polygon"}, "polygon: missing field 'points'"),
    ({"op": "polygon", "points": [[1, 2], [3, 4]]}, 'polygon: "points" must have from 3 to 10000 points'),
    ({"op": "polygon", "points": [[1, 2]] * 10_001}, "from 3 to 10000 points [x, y], got 10001"),
    ({"op": "polygon", "points": 5}, 'polygon: "points" must be a list of at least three points'),
    ({"op": "polygon", "points": [[1, 2], [3, 4], ["5", 6]]}, 'polygon: "points", point 2, must be a number'),
    ({"op": "blur"}, "blur: missing field 'radius'"),
    ({"op": "blur", "radius": 0}, 'blur: "radius" must be more than 0'),
    ({"op": "blur", "radius": -1}, 'blur: "radius" must be a number from 0 to 1000'),
    ({"op": "blur", "radius": 1001}, 'blur: "radius" must be a number from 0 to 1000'),
    ({"op": "pixelate", "size": 1}, 'pixelate: "size" must be a whole number from 2 to'),
    ({"op": "pixelate", "size": 2.5}, 'pixelate: "size" must be a whole number'),
    ({"op": "downscale"}, "downscale: missing field 'size'"),
    ({"op": "downscale", "size": 0}, 'downscale: "size" must be a whole number from 1 to'),
    ({"op": "jpeg", "quality": 96}, 'jpeg: "quality" must be a whole number from 1 to 95'),
    ({"op": "jpeg", "quality": 5.5}, 'jpeg: "quality" must be a whole number'),
    ({"op": "erase", "fill": "inpaint"}, 'erase: "region" must be given for the fill "inpaint"'),
    ({"op": "erase", "region": None, "fill": "inpaint"}, 'erase: "region" must be given'),
    ({"op": "erase", "fill": 5}, 'got 5. "mean" and "inpaint" are fills, too.'),
    ({"op": "erase", "region": [1, 2, 3]}, 'erase: "region" must be [x, y, width, height]'),
    ({"op": "patch", "x": 1, "y": 2}, "patch: missing field 'source'"),
    ({"op": "patch", "source": [1, 2, 3, -4], "x": 1, "y": 2}, 'patch: "source" must have a width'),
    (
        {"op": "patch", "source": [1, 2, 3, 4], "x": 1, "y": 2, "width": -1},
        'patch: "width" must be a number from',
    ),
    ({"op": "patch", "source": [1, 2, 3, 4], "x": 1, "y": 2, "image": 7}, 'patch: "image" must be text'),
    ({"op": "image"}, "image: missing field 'preset'"),
    ({"op": "image", "preset": "blurred"}, 'image: "preset" must be one of'),
    (
        {"op": "image", "preset": "custom"},
        'must be named by the SHA-256 of a known picture under "image"; none is given',
    ),
    ({"op": "image", "preset": "natural", "seed": 3}, 'image: "seed" belongs to the preset "random" only'),
    ({"op": "image", "preset": "random", "seed": "3"}, 'image: "seed" must be a whole number'),
    ({"op": "context"}, "context: missing field 'text'"),
    ({"op": "context", "preset": None}, "context: missing field 'text'"),
    ({"op": "context", "text": 5}, 'context: "text" must be text'),
    ({"op": "context", "preset": "misleading"}, 'context: "preset" must be one of'),
    ({"op": "context", "preset": "complementary", "seed": 1}, 'context: "seed" belongs to'),
    ({"op": "context", "preset": "empty", "text": "no"}, 'context: "text" must be empty'),
    ({"op": "question"}, "question: missing field 'text'"),
    ({"op": "question", "text": "q", "preset": "x"}, "question: unknown field 'preset'"),
]


@pytest.mark.parametrize("record", GOOD, ids=str)
def test_schema_and_python_accept_the_same(record: dict[str, Any], stimulus: Stimulus) -> None:
    assert operation_is_valid(record)
    changed = stimulus.with_operations([record])
    assert operation_is_valid(changed.operations[0].to_dict())


@pytest.mark.parametrize(("record", "message"), BAD, ids=str)
def test_schema_and_python_refuse_the_same(record: Any, message: str, stimulus: Stimulus) -> None:
    assert not operation_is_valid(record)
    with pytest.raises(InputError) as caught:
        stimulus.with_operations([{"op": "noise"}, record])
    assert message in str(caught.value) and str(caught.value).startswith("operation 1: ")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"op": "image", "preset": "custom", "image": "0" * 64}, "is not known here"),
        ({"op": "image", "preset": "annotated", "image": "0" * 64}, "is not the picture"),
        ({"op": "box", "x": 1, "y": 2, "width": 3, "height": 4, "color": "nocolor"}, 'box: "color"'),
        ({"op": "context", "preset": "irrelevant"}, "no context preset 'irrelevant'"),
        ({"op": "erase", "fill": "nocolor"}, 'erase: "fill" must be a colour .*"mean" and'),
        (
            {"op": "patch", "source": [1, 2, 3, 4], "x": 1, "y": 2, "image": "0" * 64},
            'patch: "image" must be null .* is not known here',
        ),
    ],
)
def test_what_only_python_can_know(record: Any, message: str, stimulus: Stimulus) -> None:
    with pytest.raises(InputError, match=message):
        stimulus.with_operations([record])


def test_operations_must_be_a_list(stimulus: Stimulus) -> None:
    for wrong in ("[]", {"op": "noise"}, 5, None):
        with pytest.raises(InputError, match="operations must be a list"):
            stimulus.with_operations(wrong)
    with pytest.raises(InputError, match=r"JSON forms go through with_operations\(\)"):
        stimulus.apply({"op": "noise"})


def test_a_custom_picture_comes_from_the_pictures_given(stimulus: Stimulus) -> None:
    own = load_image(grey(77))
    record = stimulus.with_image(own).operations[0].to_dict()
    assert stimulus.with_operations([record], pictures={own.sha256: own}).current_image == own


def test_a_patch_of_another_picture_travels_by_its_name(stimulus: Stimulus) -> None:
    own = load_image(grey(77))
    patched = stimulus.patch((0, 0, 3, 2), 1, 1, image=own).patch((0, 0, 2, 2), 4, 1)
    first, second = (operation.to_dict() for operation in patched.operations)
    assert first == {
        "op": "patch",
        "image": own.sha256,
        "source": [0, 0, 3, 2],
        "x": 1,
        "y": 1,
        "width": 3,
        "height": 2,
    }
    assert second["image"] is None
    assert set(patched.pictures) == {own.sha256, stimulus.image.sha256}
    assert stimulus.with_operations([first, second], {own.sha256: own}) == patched
    assert patched.with_operations([first, second]) == patched
    with pytest.raises(InputError, match="is not known here"):
        stimulus.with_operations([first])
    with pytest.raises(InputError, match=r"resolved by Stimulus\.with_operations"):
        isi.stimulus.operation_from_dict(first)
    assert isi.stimulus.operation_from_dict(second) == patched.operations[1]
    assert set(patched.to_dict()["pictures"]) >= {own.sha256}
    assert Stimulus.from_json(patched.to_json()) == patched
    annotated = {**first, "image": load_image(grey(9)).sha256}
    assert stimulus.with_operations([annotated]).drawings[0].picture == load_image(grey(9))


def test_natural_and_annotated_are_what_they_say_since_the_truth_rests_on_them(stimulus: Stimulus) -> None:
    own = load_image(grey(77))
    for preset in ("natural", "annotated"):
        record = {"op": "image", "preset": preset, "image": own.sha256}
        with pytest.raises(InputError, match=f"the preset '{preset}' is not the picture"):
            stimulus.with_image(own).with_operations([record], pictures={own.sha256: own})
    with pytest.raises(InputError, match=r"with_image\(image\)"):
        stimulus.with_image(preset="custom")


def test_the_text_is_self_contained_or_not_as_asked(stimulus: Stimulus) -> None:
    changed = stimulus.with_image(grey(77)).box(1, 1, 2, 2).with_image(preset="random", seed=5)
    record = changed.to_dict()
    assert set(record["pictures"]) == {
        p.sha256 for p in map(load_image, (grey(1), grey(9), grey(77), grey(5)))
    }
    bare = changed.to_dict(embed=False)
    VALIDATOR.validate(bare)
    assert len(json.dumps(bare)) < 2500
    pictures = {**changed.pictures, load_image(grey(9)).sha256: load_image(grey(9))}
    assert Stimulus.from_dict(bare, pictures) == changed
    with pytest.raises(InputError, match='not under "pictures"'):
        Stimulus.from_dict(bare)


def test_the_former_key_of_the_true_answer_is_read(stimulus: Stimulus) -> None:
    record = stimulus.to_dict()
    assert record["true_answer"] == "No" and "answer" not in record
    record["answer"] = record.pop("true_answer")
    assert VALIDATOR.is_valid(record)
    assert Stimulus.from_dict(record) == stimulus
    record["answer"] = 1
    with pytest.raises(InputError, match='"answer" must be text or null'):
        Stimulus.from_dict(record)
    assert not VALIDATOR.is_valid(stimulus.to_dict() | {"answer": "No"})


def test_a_stimulus_from_json_still_has_its_presets_but_no_random_ones(stimulus: Stimulus) -> None:
    again = Stimulus.from_json(stimulus.to_json())
    assert again.with_context(preset="complementary").current_context == "It helps."
    assert again.presets.image_names == ("natural", "annotated")
    assert again.truth == "No"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(version=2), '"version" must be 1, got 2'),
        (lambda r: r.update(version=True), '"version" must be 1'),
        (lambda r: r.update(format="other"), '"format" must be'),
        (lambda r: r.update(extra=1), "unknown key 'extra'"),
        (lambda r: r.pop("question"), "missing key 'question'"),
        (lambda r: r.update(question=None), "question must be text"),
        (lambda r: r.update(context=3), "context must be text"),
        (lambda r: r.update(true_answer=1), '"true_answer" must be text or null'),
        (lambda r: r.update(answer="No"), 'former name of "true_answer"'),
        (lambda r: r.update(operations={}), '"operations" must be a list'),
        (lambda r: r.update(image=5), '"image" must be the SHA-256'),
        (lambda r: r.update(image="0" * 64), '"image" names the picture'),
        (lambda r: r.update(presets=[]), '"presets" must be an object'),
        (lambda r: r["presets"]["images"].update(blurred=r["image"]), "name of an image preset"),
        (
            lambda r: r["presets"]["contexts"].update(complementary=5),
            "context preset 'complementary' must be text",
        ),
        (lambda r: r["presets"]["contexts"].update(helpful="x"), "name of a context preset"),
        (lambda r: r.update(pictures={"a": "%%"}), "must be a PNG file in base64"),
        (lambda r: r.update(pictures={"a": 5}), "must be a PNG file in base64"),
        (lambda r: r.update(pictures={"a": base64.b64encode(b"x").decode()}), "not a readable image"),
    ],
)
def test_bad_records_are_refused(change: Any, message: str, stimulus: Stimulus) -> None:
    record = copy.deepcopy(stimulus.box(1, 2, 3, 4).to_dict())
    change(record)
    with pytest.raises(InputError) as caught:
        Stimulus.from_dict(record)
    assert message in str(caught.value)
    if "names the picture" not in message and "base64" not in message and "can be read" not in message:
        assert not VALIDATOR.is_valid(record) or message == '"version" must be 1'


def test_a_picture_under_a_wrong_name_is_refused(stimulus: Stimulus) -> None:
    record = stimulus.to_dict()
    record["pictures"][record["image"]] = base64.b64encode(load_image(grey(200)).png()).decode()
    with pytest.raises(InputError, match="does not match its SHA-256"):
        Stimulus.from_dict(record)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '{"version": NaN}', '{"version": -Infinity}', b"\xff\xfe\xfd", "[" * 100_000, 5, None],
)
def test_text_that_is_no_stimulus(text: Any) -> None:
    with pytest.raises(InputError, match=r"valid JSON|must be a JSON object|needs JSON text"):
        Stimulus.from_json(text)


def test_the_python_chain_reads_well_and_rebuilds(stimulus: Stimulus) -> None:
    made = (
        stimulus.box(1, 2.5, 3, 4, "red", fill=False)
        .arrow((1, 2), (3, 4), width=6)
        .line((1, 2), (3, 4), "blue")
        .text(1, 2, 'a "quoted"\nline', 20)
        .noise(0.25, seed=7, region=(0, 0, 2, 2))
        .noise()
        .with_context(preset="complementary")
        .with_context("mine")
        .with_context(preset="empty")
        .with_question("Why?")
        .with_image(preset="annotated")
        .with_image(preset="random", seed=3)
        .with_image(grey(50))
        .apply(ReplaceContext("An edited hint.", "complementary"))
    )
    code = made.code()
    assert code.splitlines()[:3] == [
        "s = (",
        "    obs.stimulus()",
        "    .box(1, 2.5, 3, 4, color='#ff0000', fill=False)",
    ]

    class Observed:
        def stimulus(self) -> Stimulus:
            return stimulus

    scope: dict[str, Any] = {"obs": Observed(), "pictures": made.pictures, "isi": isi}
    exec(code, scope)
    assert scope["s"] == made
    assert stimulus.code("t") == "t = obs.stimulus()"
    with pytest.raises(InputError, match="must be a Python name"):
        made.code("not a name")
