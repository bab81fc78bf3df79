"""What was drawn becomes a row of one's own data set, which is read back as it was."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isi_widget as isi
from isi_widget import InputError, Observation, Probe, datasets
from isi_widget.datasets import LabelledBox, from_coco, from_csv, from_yolo, isi_vqa, save_observation, saving
from isi_widget.vlm import VLM


def picture(seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def made(seed: int = 0, **named: Any) -> Observation:
    usual: dict[str, Any] = {
        "answer": True,
        "contexts": {"complementary": "Yes.", "contradictory": "No, said he."},
    }
    return Observation(picture(seed), "Is there a star?", 'A "quoted",\ncontext', **{**usual, **named})


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "vlm_dataset.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ---- a row
def test_a_row_is_read_back_as_it_was(tmp_path: Path) -> None:
    drawn = made().stimulus().with_boxes([(5, 20, 20, 10, "star"), (30, 30, 8, 8, "cat")]).noise(0.1)
    saved = save_observation(tmp_path, drawn, id="first", level="object")
    (found,) = isi_vqa(tmp_path)
    assert found.image == drawn.image and found.annotated is not None
    assert (np.asarray(found.annotated.pil()) == np.asarray(drawn.render())).all()
    assert (found.question, found.context, found.answer) == (
        "Is there a star?",
        'A "quoted",\ncontext',
        "Yes",
    )
    assert found.contexts == {"complementary": "Yes.", "contradictory": "No, said he."}
    assert found.level == "object" and found.id == "first" and found.boxes == drawn.boxes
    assert saved == found
    assert (
        from_csv(tmp_path / "vlm_dataset.csv", tmp_path / "natural_images", tmp_path / "annotated_images")[
            0
        ].boxes
        == ()
    )
    coco = from_coco(tmp_path / "boxes_coco.json", tmp_path / "natural_images", question="?")
    yolo = from_yolo(
        tmp_path / "labels", tmp_path / "natural_images", tmp_path / "labels" / "classes.txt", question="?"
    )
    assert coco[0].boxes == drawn.boxes
    assert [box.label for box in yolo[0].boxes] == ["star", "cat"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "annotated_images",
        "boxes_coco.json",
        "labels",
        "natural_images",
        "vlm_dataset.csv",
    ]


def test_rows_are_appended_and_old_ones_stay(tmp_path: Path) -> None:
    for number in range(3):
        save_observation(tmp_path, made(number).stimulus().box(1, 2, 3 + number, 4), id=f"o{number}")
        content = (tmp_path / "vlm_dataset.csv").read_bytes()
        assert content.startswith(b"image,annotated,question") and len(isi_vqa(tmp_path)) == number + 1
    save_observation(tmp_path, made(1).stimulus().box(1, 2, 4, 4), id="o1")  # the same again
    assert (tmp_path / "vlm_dataset.csv").read_bytes() == content
    assert len(list((tmp_path / "natural_images").iterdir())) == 3


def test_names_that_are_taken(tmp_path: Path) -> None:
    one, other = made(0), made(1)
    save_observation(tmp_path, one.stimulus().box(1, 2, 3, 4), id="Star")
    save_observation(tmp_path, one.stimulus().box(5, 6, 7, 8), id="Star")  # the same picture, another drawing
    save_observation(
        tmp_path, other.stimulus(), id="star"
    )  # another picture, a name that some disks take for the same
    save_observation(
        tmp_path, one.stimulus().box(1, 2, 3, 4).with_question("Why?"), id="Star"
    )  # another question
    data = isi_vqa(tmp_path)
    assert [row["image"] for row in table(tmp_path)] == [
        "Star.png",
        "Star-2.png",
        "star-2.png",
        "Star.png",
    ] or [row["image"] for row in table(tmp_path)] == ["Star.png", "Star-2.png", "star-3.png", "Star.png"]
    assert [item.id for item in data] == ["Star", "Star-2", "star", "Star-3"]
    assert [item.image for item in data] == [one.image, one.image, other.image, one.image]
    assert data[2].annotated is None and data[0].annotated == data[3].annotated != data[1].annotated
    assert data[3].answer is None and [item.answer for item in data[:3]] == ["Yes"] * 3


@pytest.mark.parametrize(
    "id", ["../../evil", "/etc/passwd", "C:\\x", "con", ".hidden", "a/b", "α β", "x" * 500, "..", "a\0b"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, id: str) -> None:
    folder = tmp_path / "data"
    save_observation(folder, made().stimulus(), id=id)
    assert list(tmp_path.iterdir()) == [folder]
    (name,) = (path.name for path in (folder / "natural_images").iterdir())
    assert len(name) < 100 and not name.startswith(".") and name != "con.png"
    assert len(isi_vqa(folder)) == 1


def test_truths_and_pictures_of_presets(tmp_path: Path) -> None:
    observation = made(annotated=picture(5))
    natural = observation.stimulus()
    for number, (stimulus, truth) in enumerate(
        [
            (natural, "Yes"),
            (natural.with_image(preset="annotated"), "Yes"),
            (natural.with_image(picture(6)), None),
            (natural.with_question("How many?"), None),
            (natural.with_context("other"), "Yes"),
        ]
    ):
        folder = tmp_path / f"{number}"
        save_observation(folder, stimulus, id="a")
        found = isi_vqa(folder)[0]
        assert found.answer == truth and found.context == stimulus.current_context
        assert found.image == (stimulus.current_image if number == 2 else observation.image)
        assert found.annotated == (None if number == 2 else observation.annotated)
    save_observation(tmp_path / "given", natural.with_question("How many?"), answer="3")
    assert isi_vqa(tmp_path / "given")[0].answer == "3"
    save_observation(tmp_path / "none", natural, answer=None)
    assert isi_vqa(tmp_path / "none")[0].answer is None
    with pytest.raises(InputError, match="question is empty"):
        save_observation(tmp_path / "empty", natural.with_question(" "))


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    """Columns in another order, further ones, Windows line ends, no id and no column of annotated images."""
    for folder in ("natural_images", "annotated_images"):
        (tmp_path / folder).mkdir()
        made().image.save(tmp_path / folder / "old.png")
    before = b'\xef\xbb\xbfQuestion,image,source,answer\r\n"Is it, there?",old.png,me,1'
    path = tmp_path / "vlm_dataset.csv"
    path.write_bytes(before)
    save_observation(
        tmp_path,
        Observation(picture(1), "Is it?", answer=False).stimulus(),
        id="new",
        metadata={"source": "you"},
    )
    content = path.read_bytes()
    assert (
        content.startswith(b"\xef\xbb\xbfQuestion,image,source,answer,id\r\n") and content.count(b"\r\n") == 3
    )
    more = Observation(picture(2), "And this?").stimulus()
    save_observation(tmp_path, more, id="x")
    assert path.read_bytes() == content + b"And this?,x.png,,,x\r\n"  # what was in it stays byte for byte
    data = isi_vqa(tmp_path)
    assert [item.question for item in data] == ["Is it, there?", "Is it?", "And this?"]
    assert [item.answer for item in data] == ["Yes", "No", None]
    assert [item.metadata["source"] for item in data] == ["me", "you", ""]
    assert data[1].image == made(1).image and data[0].annotated == made().image


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a;b\n1;2\n", "no column 'image', 'question'"),
        ("image,question\nä.png,x\n".encode("latin-1"), "not UTF-8"),
        ("image,question\n".encode("utf-16"), "UTF-16"),
        (b'image,question\n"a,b\n', "damaged"),
    ],
)
def test_tables_that_are_left_alone(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "vlm_dataset.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        save_observation(tmp_path, made().stimulus())
    assert [path.name for path in tmp_path.iterdir()] == ["vlm_dataset.csv"]
    assert (tmp_path / "vlm_dataset.csv").read_bytes() == content


def test_boxes_of_several_pictures(tmp_path: Path) -> None:
    save_observation(
        tmp_path, made(0).stimulus().box(1, 2, 3, 4).box(5, 6, 7, 8), id="a", labels=["cat", "dog"]
    )
    save_observation(
        tmp_path, made(1).stimulus(), id="b", boxes=[(1, 1, 2, 2, "dog"), LabelledBox(2, 2, 3, 3, "bird")]
    )
    save_observation(tmp_path, made(2).stimulus().box(1, 2, 3, 4), id="c", labels="cat")
    record = json.loads((tmp_path / "boxes_coco.json").read_text())
    assert [entry["name"] for entry in record["categories"]] == ["cat", "dog", "bird"]
    assert [entry["id"] for entry in record["annotations"]] == [1, 2, 3, 4, 5]
    assert (tmp_path / "labels" / "classes.txt").read_text() == "cat\ndog\nbird\n"
    assert [line.split()[0] for line in (tmp_path / "labels" / "b.txt").read_text().splitlines()] == [
        "1",
        "2",
    ]
    assert [[box.label for box in item.boxes] for item in isi_vqa(tmp_path)] == [
        ["cat", "dog"],
        ["dog", "bird"],
        ["cat"],
    ]
    with pytest.raises(InputError, match="each of the 1 boxes"):
        save_observation(tmp_path, made(3).stimulus().box(1, 2, 3, 4), labels=["a", "b"])
    assert len(isi_vqa(tmp_path)) == 3


def test_a_disk_that_refuses(tmp_path: Path, monkeypatch: Any) -> None:
    save_observation(tmp_path, made(0).stimulus(), id="a")
    before = (tmp_path / "vlm_dataset.csv").read_bytes()

    put = saving.yolo.put
    for place in ("b.png", "vlm_dataset.csv"):

        def full(path: Path, content: Any, place: str = place) -> None:
            if path.name == place:
                raise OSError(28, "No space left on device")
            put(path, content)

        with monkeypatch.context() as patch:
            patch.setattr(saving.yolo, "put", full)
            with pytest.raises(InputError, match="No space left on device"):
                save_observation(tmp_path, made(1).stimulus(), id="b")
        assert (tmp_path / "vlm_dataset.csv").read_bytes() == before and len(isi_vqa(tmp_path)) == 1
    save_observation(tmp_path, made(1).stimulus(), id="b")
    assert [item.id for item in isi_vqa(tmp_path)] == ["a", "b"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_observation(tmp_path / "file", made(1).stimulus())


_CHILD = """
import sys
import numpy as np
from isi_widget.datasets import Observation, save_observation
folder, start = sys.argv[1], int(sys.argv[2])
for number in range(start, start + 10):
    pixels = np.full((4, 4, 3), number, dtype=np.uint8)
    save_observation(folder, Observation(pixels, "Is it?", answer=True).stimulus(), id="same")
"""


def test_two_processes_lose_no_row(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    children = [
        subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path), start], env=environment)
        for start in ("0", "100")
    ]
    assert [child.wait() for child in children] == [0, 0]
    data = isi_vqa(tmp_path)
    assert len(data) == 20 and len({item.id for item in data}) == 20
    assert {int(item.image.array()[0, 0, 0]) for item in data} == {*range(10), *range(100, 110)}


# ---- from the probe
def test_from_a_probe(vlm: VLM, tmp_path: Path) -> None:
    probe = Probe(vlm, datasets.things()[0])
    probe.stimulus = (
        probe.stimulus.box(40, 50, 60, 70).text(42, 52, "dog").with_context(preset="contradictory")
    )
    saved = probe.save_observation(tmp_path)
    assert saved.id == datasets.things()[0].id and saved.level == datasets.things()[0].level
    probe.choose(1)
    probe.save_observation(tmp_path, id="mine", answer="no")
    probe.open_image(picture(), "Is it grey?", answer="yes", name="own.png")
    probe.save_observation(tmp_path)
    probe.close()
    data = isi_vqa(tmp_path)
    assert [item.id for item in data] == [saved.id, "mine", "own.png"]
    assert (
        data[0].boxes == (LabelledBox(40, 50, 60, 70, "dog"),)
        and data[0].answer == datasets.things()[0].answer
    )
    assert data[0].context == datasets.things()[0].contexts["contradictory"]
    assert data[1].answer == "No" and data[1].boxes == ()
    assert data[2].image.array().tolist() == picture().tolist()
    again = isi.Probe(vlm, data[0])
    assert again.observation["context_presets"][:3] == ["empty", "complementary", "contradictory"]
    again.close()
