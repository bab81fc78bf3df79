"""Boxes with names: drawn and read off a stimulus, of an observation, in and out as COCO and YOLO.

The hand-made files follow the published descriptions: cocodataset.org/#format-data and
docs.ultralytics.com/datasets/detect.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from isi_widget import InputError, Observation, condition, datasets
from isi_widget.datasets import LabelledBox, coco, from_coco, from_yolo, to_coco, to_yolo
from isi_widget.stimulus import Stimulus

SIZE = (640, 480)


def image(path: Path, size: tuple[int, int] = SIZE, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), 200, dtype=np.uint8)).save(path, **options)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("000000397133.jpg", "below/two.png"):
        image(tmp_path / "images" / name)
    return tmp_path / "images"


COCO: dict[str, Any] = {
    "info": {"description": "COCO 2017 Dataset", "year": 2017},
    "licenses": [{"id": 4, "name": "Attribution License"}],
    "images": [
        {"license": 4, "file_name": "000000397133.jpg", "height": 480, "width": 640, "id": 397133},
        {"file_name": "below/two.png", "height": 480, "width": 640, "id": 7},
    ],
    "annotations": [
        {
            "segmentation": [[224.24, 297.18, 228.29, 297.18]],
            "area": 1481.38,
            "iscrowd": 0,
            "image_id": 397133,
            "bbox": [217.62, 240.54, 38.99, 57.75],
            "category_id": 44,
            "id": 82445,
        },
        {"iscrowd": 0, "image_id": 397133, "bbox": [1, 240, 346, 186], "category_id": 67, "id": 119568},
        {"iscrowd": 1, "image_id": 397133, "bbox": [0, 0, 640, 480], "category_id": 1, "id": 900100397133},
    ],
    "categories": [
        {"supercategory": "person", "id": 1, "name": "person"},
        {"supercategory": "kitchen", "id": 44, "name": "bottle"},
        {"supercategory": "furniture", "id": 67, "name": "dining table"},
    ],
}


# ---- COCO
def test_coco_as_published(tmp_path: Path, images: Path) -> None:
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(COCO))
    with pytest.warns(UserWarning, match="1 box of crowds"):
        data = from_coco(file, images, question="What is on the table?", answer="a bottle")
    assert data.name == "instances" and len(data) == 2 and data.skipped == ()
    first, second = data
    assert (
        first.id == "000000397133.jpg"
        and first.question == "What is on the table?"
        and first.answer == "a bottle"
    )
    assert first.boxes == (
        LabelledBox(217.62, 240.54, 38.99, 57.75, "bottle"),
        LabelledBox(1, 240, 346, 186, "dining table"),
    )
    assert second.boxes == () and second.image.size == SIZE
    assert first.metadata["coco_image_id"] == 397133
    assert eval(str(data.code), {"isi": __import__("isi_widget")}) == data
    assert from_coco(COCO, images, question="?", name="mine").name == "mine"


def test_coco_back_and_forth(tmp_path: Path, images: Path) -> None:
    data = from_coco(COCO, images, question="?")
    record = to_coco(data, tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == record
    assert [entry["name"] for entry in record["categories"]] == ["bottle", "dining table"]
    assert [entry["id"] for entry in record["categories"]] == [1, 2]
    assert record["annotations"][0] == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [217.62, 240.54, 38.99, 57.75],
        "area": 38.99 * 57.75,
        "iscrowd": 0,
    }
    assert record["images"][1] == {"id": 2, "file_name": "below/two.png", "width": 640, "height": 480}
    again = from_coco(record, images, question="?")
    assert [item.boxes for item in again] == [item.boxes for item in data]


def wrong(**changed: Any) -> dict[str, Any]:
    first = {**COCO["annotations"][0], **changed}
    return {**COCO, "annotations": [first, *COCO["annotations"][1:]]}


WRONG: dict[str, tuple[Any, str]] = {
    "three numbers": (wrong(bbox=[1, 2, 3]), r"annotation 82445: bbox must be \[x, y, width, height\]"),
    "corners": (wrong(bbox=[100, 100, -20, 30]), "negative size"),
    "text": (wrong(bbox=["a", 2, 3, 4]), "bbox must be"),
    "infinite": (wrong(bbox=[1, 2, 3, float("inf")]), "82445"),
    "too large": (wrong(bbox=[10**400, 2, 3, 4]), "box: x must be a finite number"),
    "half a character": (
        {**COCO, "images": [{**COCO["images"][0], "file_name": "\ud800.jpg"}, COCO["images"][1]]},
        "cannot be looked up",
    ),
    "a list as id": (
        {**COCO, "images": [{**COCO["images"][0], "id": [1]}, COCO["images"][1]]},
        "its id must be a number or a text",
    ),
    "category": (wrong(category_id=99), "no category 99"),
    "image": (wrong(image_id=5), "annotations of image 5: there is no such image"),
    "no image": (wrong(image_id=None), "no image_id"),
    "size": (
        {**COCO, "images": [{**COCO["images"][0], "width": 320}, COCO["images"][1]]},
        "640 x 480 pixels, but 320",
    ),
    "file": (
        {**COCO, "images": [{**COCO["images"][0], "file_name": "no.jpg"}, COCO["images"][1]]},
        "there is no file 'no.jpg'",
    ),
    "out": (
        {**COCO, "images": [{**COCO["images"][0], "file_name": "../a.jpg"}, COCO["images"][1]]},
        "leads out of its folder",
    ),
    "twice": ({**COCO, "images": [COCO["images"][0]] * 2}, "given 2 times"),
    "categories": (
        {**COCO, "categories": [*COCO["categories"], {"id": 1, "name": "x"}]},
        "was given to 'person'",
    ),
    "unnamed": ({**COCO, "categories": [{"id": 1}]}, "needs a whole number as id and a name"),
}


def test_writing_takes_no_longer_for_each_box_than_before(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    plain = coco._next
    monkeypatch.setattr(coco, "_next", lambda entries: looked.append(len(entries)) or plain(entries))
    image = np.zeros((8, 8, 3), np.uint8)
    many = [Observation(image, "?", id=f"{i}", boxes=[(1, 2, 3, 4, f"c{i % 3}")] * 5) for i in range(20)]
    record = coco.to_coco(many)
    assert [entry["id"] for entry in record["annotations"]] == list(range(1, 101))
    assert sum(looked) == 0  # no list was searched while it grew


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_coco_is_refused_or_skipped(tmp_path: Path, images: Path, kind: str) -> None:
    record, message = WRONG[kind]
    with pytest.raises(InputError, match=message):
        from_coco(record, images, question="?")
    with pytest.warns(UserWarning, match="skipped"):
        data = from_coco(record, images, question="?", on_error="skip")
    assert any(__import__("re").search(message, text) for text in data.skipped)


@pytest.mark.parametrize(
    "content", ["", "[1]", "{}", '{"images": 1, "annotations": [], "categories": []}', "\0"]
)
def test_no_coco_file(tmp_path: Path, images: Path, content: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"COCO annotations|must be a list of objects"):
        from_coco(file, images, question="?")
    with pytest.raises(InputError, match="There is no file"):
        from_coco(tmp_path / "b.json", images, question="?")


def test_a_turned_photograph(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image(tmp_path / "a.jpg", (640, 480), exif=exif)
    entry = {"file_name": "a.jpg", "id": 1}
    upright = {**COCO, "images": [{**entry, "width": 480, "height": 640}], "annotations": []}
    assert from_coco(upright, tmp_path, question="?")[0].image.size == (480, 640)
    stored = {**COCO, "images": [{**entry, "width": 640, "height": 480}], "annotations": []}
    with pytest.raises(InputError, match="EXIF"):
        from_coco(stored, tmp_path, question="?")


# ---- YOLO
def test_yolo_as_published(tmp_path: Path, images: Path) -> None:
    """The example of the description: 0 0.48 0.63 0.69 0.71."""
    labels = tmp_path / "labels"
    (labels / "below").mkdir(parents=True)
    (labels / "000000397133.txt").write_text(
        "0 0.481719 0.634028 0.690625 0.713278\n27 0.5 0.25 0.1 0.5 0.93\n\n"
    )
    names = {number: f"class {number}" for number in range(80)}
    data = from_yolo(labels, images, names, question="What is it?")
    assert [item.id for item in data] == ["000000397133.jpg", "below/two.png"]
    (first, second), empty = data[0].boxes, data[1].boxes
    assert first.label == "class 0" and second.label == "class 27" and empty == ()
    assert first.region == pytest.approx((87.3, 133.1467, 442.0, 342.3734), abs=1e-3)
    assert second.region == pytest.approx((288, 0, 64, 240))


def test_names_of_classes(tmp_path: Path, images: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "000000397133.txt").write_text("1 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames:\n  0: person\n  1: 'yes'\n")
    (tmp_path / "list.yaml").write_text("names: [person, bicycle]\n")
    (labels / "classes.txt").write_text("person\nbicycle\n")
    for classes, name in (
        (tmp_path / "data.yaml", "yes"),
        (str(tmp_path / "list.yaml"), "bicycle"),
        (labels / "classes.txt", "bicycle"),
        (["a", "b"], "b"),
    ):
        data = from_yolo(labels, images, classes, question="?")
        assert data[0].boxes == (LabelledBox(0, 0, 640, 480, name),)
        assert eval(str(data.code), {"isi": __import__("isi_widget")}) == data
    (tmp_path / "bad.yaml").write_text("names: 3")
    (tmp_path / "code.yaml").write_text("names: !!python/object/apply:os.system ['touch /tmp/evil']")
    for bad in (
        [],
        {},
        [1],
        {"x": "a"},
        tmp_path / "bad.yaml",
        tmp_path / "code.yaml",
        tmp_path / "none.txt",
    ):
        with pytest.raises(InputError, match=r"class|no file|YAML"):
            from_yolo(labels, images, bad, question="?")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0.5 0.5 0.1", "expected 'class x_center"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.1", "or a segment"),
        ("0 0.1 0.1 0.2 0.2 30 30", "look like pixels"),
        ("dog 0.5 0.5 0.1 0.1", "numbers only"),
        ("9 0.5 0.5 0.1 0.1", "no class 9"),
        ("0.5 0.5 0.5 0.1 0.1", "no class"),
        ("-1 0.5 0.5 0.1 0.1", "no class"),
        ("0 320 240 64 48", "look like pixels"),
        ("0 nan 0.5 0.1 0.1", "shares of the image"),
    ],
)
def test_wrong_yolo_is_refused_or_skipped(tmp_path: Path, images: Path, text: str, message: str) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "000000397133.txt").write_text(f"0 0.5 0.5 1 1\n{text}\n")
    with pytest.raises(InputError, match=rf"000000397133\.txt, line 2.*{message}"):
        from_yolo(labels, images, ["a", "b"], question="?")
    with pytest.warns(UserWarning, match="skipped"):
        data = from_yolo(labels, images, ["a", "b"], question="?", on_error="skip")
    assert len(data) == 2 and len(data[0].boxes) == 1


def test_labels_without_an_image(tmp_path: Path, images: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "other.txt").write_text("")
    with pytest.raises(InputError, match=r"other\.txt: there is no image"):
        from_yolo(labels, images, ["a"], question="?")
    with pytest.raises(InputError, match="is no folder"):
        from_yolo(tmp_path / "nowhere", images, ["a"], question="?")


def test_yolo_back_and_forth(tmp_path: Path, images: Path) -> None:
    data = from_coco(COCO, images, question="?")
    folder = to_yolo(data, tmp_path / "yolo")
    assert (folder / "labels" / "000000397133.txt").read_text().splitlines()[1].split()[0] == "1"
    assert (folder / "classes.txt").read_text() == "bottle\ndining table\n"
    again = from_yolo(folder / "labels", folder / "images", folder / "data.yaml", question="?")
    for one, two in zip(data, again, strict=True):
        assert [box.label for box in one.boxes] == [box.label for box in two.boxes]
        for box, other in zip(one.boxes, two.boxes, strict=True):
            assert other.region == pytest.approx(box.region, abs=1e-6)
        assert one.image == two.image
    with pytest.raises(InputError, match="classes lacks 'dining table'"):
        to_yolo(data, tmp_path / "x", classes=["bottle"])
    numbered = to_yolo(data, tmp_path / "y", classes=["dining table", "x", "bottle"])
    assert (numbered / "labels" / "000000397133.txt").read_text()[0] == "2"


BOXES = st.builds(
    LabelledBox,
    st.floats(0, 300),
    st.floats(0, 200),
    st.floats(1, 200),
    st.floats(1, 200),
    st.sampled_from(["cat", "dining table", "α", 'a "b"', "object"]),
)


@given(st.lists(BOXES, max_size=5))
def test_any_boxes_survive_both_formats(boxes: list[LabelledBox]) -> None:
    import tempfile

    pixels = np.zeros((480, 640, 3), dtype=np.uint8)
    observation = Observation(pixels, "?", id="a", boxes=boxes)
    with tempfile.TemporaryDirectory() as name:
        folder = to_yolo(observation, Path(name) / "y")
        found = (
            from_coco(json.loads(json.dumps(to_coco(observation))), folder / "images", question="?")[0].boxes,
            from_yolo(folder / "labels", folder / "images", folder / "data.yaml", question="?")[0].boxes
            if boxes
            else (),
        )
    for again in found:
        assert [box.label for box in again] == [box.label for box in boxes]
        for box, other in zip(boxes, again, strict=True):
            assert other.region == pytest.approx(box.region, abs=1e-5)


# ---- drawn
def stimulus() -> Stimulus:
    return Observation(np.zeros((480, 640, 3), dtype=np.uint8), "?").stimulus()


def test_drawn_boxes_come_back_with_their_labels() -> None:
    boxes = [
        LabelledBox(10, 60, 200, 300, "dining table"),
        LabelledBox(15, 90, 40, 30, "cup"),  # inside the first, its label in it, too
        LabelledBox(0, 0, 50, 20, "at the edge"),
        LabelledBox(10, 60, 200, 300, "the same place"),
        LabelledBox(300, 300, 5, 5),
    ]
    s = stimulus().with_boxes(boxes)
    assert s.boxes == tuple(boxes)
    assert [item.op for item in s.operations].count("text") == 4  # "object" is no name
    assert stimulus().with_boxes(boxes[:4]).truth_holds  # outlines and labels cover nothing
    plain = stimulus().with_boxes(boxes, labels=False, color="blue", line_width=1)
    assert [box.label for box in plain.boxes] == ["object"] * 5
    assert Stimulus.from_json(s.to_json()).boxes == s.boxes
    made: dict[str, Any] = {"obs": Observation(np.zeros((480, 640, 3), dtype=np.uint8), "?")}
    exec(s.code(), made)
    assert made["s"].boxes == s.boxes


def test_boxes_drawn_by_hand() -> None:
    s = (
        stimulus()
        .box(10, 60, 100, 80)
        .text(14, 64, "a cat")
        .box(300, 60, 50, 50, angle=90)
        .text(500, 400, "far away")
    )
    assert s.boxes == (LabelledBox(10, 60, 100, 80, "a cat"), LabelledBox(300, 60, 50, 50))
    turned = stimulus().box(100, 100, 80, 20, angle=90).boxes[0]
    assert turned.region == pytest.approx((130, 70, 20, 80))
    hidden = s.with_operations([{**s.operations[0].to_dict(), "hidden": True}, *s.operations[1:]])
    assert hidden.boxes == (LabelledBox(300, 60, 50, 50),)
    assert stimulus().boxes == ()


def test_boxes_of_an_observation() -> None:
    pixels = np.zeros((48, 64, 3), dtype=np.uint8)
    observation = Observation(pixels, "?", boxes=[(1, 2, 3, 4), (5, 6, 7, 8, "cat"), [1, 2, 3, 4]])
    assert observation.boxes[1] == LabelledBox(5, 6, 7, 8, "cat") and observation.boxes[0].label == "object"
    assert pickle.loads(pickle.dumps(observation)) == observation != Observation(pixels, "?")
    assert observation.with_texts("Is it a cat?", answer=True).boxes == observation.boxes
    region = observation.boxes[1].region
    assert observation.stimulus().erase(region, "black").operations
    for bad in ("x", [1], [(1, 2, 3)], [(1, 2, -3, 4)], [(1, 2, 3, 4, "")], [(1, 2, float("nan"), 4)], 3):
        with pytest.raises(InputError, match="box"):
            Observation(pixels, "?", boxes=bad)  # type: ignore[arg-type]


def test_boxes_of_a_built_in_scene() -> None:
    scene = datasets.scenes()[0]
    for box in scene.boxes:
        left, top, right, bottom = scene.mask(box.label).bounds
        assert box.region == (left, top, right - left, bottom - top)
    assert len(scene.boxes) == len(scene.masks)
    assert len(to_coco(datasets.scenes()[:3])["images"]) == 3


def test_boxes_over_the_edge_are_clipped() -> None:
    observation = Observation(
        np.zeros((40, 60, 3), dtype=np.uint8),
        "?",
        boxes=[(-5, -5, 10, 10), (50, 30, 100, 100), (200, 0, 5, 5)],
    )
    with pytest.warns(UserWarning, match="1 of 3 boxes"):
        record = to_coco(observation)
    assert [entry["bbox"] for entry in record["annotations"]] == [[0, 0, 5, 5], [50, 30, 10, 10]]


# ---- segments
def test_yolo_segments_are_boxes_and_masks(tmp_path: Path, images: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    text = "1 0.25 0.25 0.75 0.25 0.75 0.5\n0 0.5 0.5 0.25 0.5\n1 0 0 0.1 0 0.1 0.1 0 0.1\n"
    (labels / "000000397133.txt").write_text(text)
    data = from_yolo(labels, images, ["cat", "dog"], question="?")
    observation = data[0]
    triangle, whole, small = observation.boxes
    assert triangle == LabelledBox.around([(160, 120), (480, 120), (480, 240)], "dog")
    assert triangle.region == (160, 120, 320, 120) and not whole.outline
    assert list(observation.masks) == ["dog", "dog 2"]
    mask = observation.masks["dog"]
    assert mask.area == pytest.approx(320 * 120 / 2, rel=0.01)  # half of its box
    assert observation.mask("dog").area == mask.area + observation.mask("dog 2").area
    assert observation.mask("dog 2").area == 64 * 48 == small.mask(SIZE).area
    assert observation.mask("cat").area == 160 * 240  # only its box is known
    hidden = condition("hidden").erase("dog", fill="#000000")(observation).render()
    assert hidden.getpixel((470, 130)) == (0, 0, 0) == hidden.getpixel((1, 1))
    assert hidden.getpixel((170, 230)) == observation.image.pil().getpixel((170, 230))
    with pytest.raises(InputError, match=r"no object 'bird' here; expected one of dog, cat, dog 2"):
        observation.mask("bird")
    with pytest.raises(InputError, match="no scene graph"):
        observation.mask()


def test_key_points_are_refused(tmp_path: Path, images: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: [person]\nkpt_shape: [17, 3]\n")
    with pytest.raises(InputError, match="key points, which are not read"):
        from_yolo(tmp_path, images, tmp_path / "data.yaml", question="?")


@pytest.mark.parametrize("outline", ["abc", [(1, 2)], [(1, 2), (3,), (4, 5)], 3, [(1, "a"), (2, 3), (4, 5)]])
def test_an_outline_has_three_points(outline: Any) -> None:
    with pytest.raises(InputError, match="box:"):
        LabelledBox.around(outline)
