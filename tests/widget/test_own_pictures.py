"""Pictures of the user's own: opened as a step, kept in the list, with texts and a truth; their files whole,
and nothing changed without a word.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_page import Page
from PIL import Image, ImageCms

from isi_widget import InputError, Observation, Probe, datasets
from isi_widget.stimulus import load_image
from isi_widget.vlm import VLM
from isi_widget.widget import messages, protocol
from isi_widget.widget.uploads import ImageFile, Parts

BOX = {"op": "box", "x": 10, "y": 20, "width": 100, "height": 50, "color": "#ff0000", "fill": True}
QUESTION = {"op": "question", "text": "Is there a dog?"}


def png(width: int = 300, height: int = 200, color: str = "orange", **options: Any) -> bytes:
    return encoded(Image.new("RGB", (width, height), color), "PNG", **options)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def upload(page: Page, name: str, data: bytes, index: int) -> None:
    page.send({"kind": "upload", "name": name}, data)
    page.wait(lambda page: page.state["observation_index"] == index)


# ---- a step like any other
def test_undo_brings_back_the_former_picture_with_all_that_was_done_to_it(probe: Probe) -> None:
    page = Page(probe)
    page.draw(BOX)
    page.draw(BOX, QUESTION)
    before, steps = probe.stimulus, len(probe.document["past"])
    upload(page, "a.png", png(), 100)
    assert probe.stimulus.current_question == "Is there a dog?" and probe.stimulus.operations == ()
    page.draw(BOX)
    own = probe.stimulus
    page.send({"kind": "undo"})  # the page sends it for a step that it cannot do itself; here it is a drawing
    page.wait(lambda page: page.operations() == [])
    page.send({"kind": "undo"})
    page.wait(lambda page: page.state["observation_index"] == 0)
    assert probe.stimulus == before and len(probe.document["past"]) == steps
    page.send({"kind": "redo"})
    page.wait(lambda page: page.state["observation_index"] == 100)
    assert probe.stimulus.operations == ()
    probe.redo()
    assert probe.stimulus == own
    # to and fro, as often as one likes; and beyond it on both sides
    for _ in range(3):
        probe.undo()
        probe.undo()
        assert probe.stimulus == before
        probe.undo()
        assert probe.stimulus.current_question != "Is there a dog?"
        probe.redo()
        probe.redo()
        probe.redo()
        assert probe.stimulus == own


def test_a_gesture_after_undo_forgets_the_redo_and_the_picture_stays_in_the_list(probe: Probe) -> None:
    probe.open_image(png(), name="a.png")
    probe.undo()
    probe.stimulus = probe.stimulus.box(1, 2, 30, 40)
    assert probe.document["future"] == []
    probe.choose(100)
    assert probe.stimulus.render().size == (300, 200)
    probe.undo()  # where it was opened from, as that is now
    assert probe.observation_index == 0 and len(probe.stimulus.operations) == 1


def test_several_in_a_row_are_taken_back_one_by_one(probe: Probe) -> None:
    first = probe.stimulus
    for number in range(3):
        probe.open_image(png(100 + number))
    for number in (2, 1, 0):
        assert probe.stimulus.image.width == 100 + number
        probe.undo()
    assert probe.stimulus == first
    probe.undo()
    assert probe.stimulus == first
    for number in range(3):
        probe.redo()
        assert probe.stimulus.image.width == 100 + number


@pytest.mark.parametrize("observation", [105, -7, 10**6, "x", None, True])
def test_a_step_to_nowhere_is_refused(probe: Probe, observation: Any) -> None:
    page, before = Page(probe), probe.stimulus
    step = {"at": 0, "remove": 0, "insert": [], "observation": observation}
    page.set(document={**probe.document, "past": [step]})
    page.send({"kind": "undo"})
    page.send({"kind": "tokens"})
    page.wait(lambda page: page.of_kind("tokens") or page.state["error"])
    assert probe.stimulus == before and probe.observation_index == 0


# ---- kept in the list
def test_own_pictures_stay_with_question_context_and_truth(vlm: VLM) -> None:
    probe = Probe(vlm, datasets.scenes()[0])
    page = Page(probe)
    upload(page, "cat.png", png(), 100)
    page.draw(
        {"op": "question", "text": "Is there a cat?"}, {"op": "context", "text": "A photo of a cat."}, BOX
    )
    assert page.state["inputs"]["truth"] is None
    page.send({"kind": "truth", "text": " yes "})
    page.wait(lambda page: page.state["inputs"]["truth"] == "Yes")
    assert probe.truth == "Yes" and probe.stimulus.true_answer == "Yes"
    assert probe.stimulus.current_question == "Is there a cat?"
    trial = probe.run("answer")
    assert trial.answer is not None and trial.correct is not None
    # elsewhere and back: texts and truth are there, the drawing is one undo away
    probe.choose(3)
    row = page.state["observations"][100]
    assert [row[key] for key in ("index", "id", "question", "answer", "own")] == [
        100,
        "cat.png",
        "Is there a cat?",
        "Yes",
        True,
    ]
    probe.choose(100)
    now = probe.stimulus
    assert (now.current_question, now.current_context, now.truth) == (
        "Is there a cat?",
        "A photo of a cat.",
        "Yes",
    )
    assert now.drawings == ()
    probe.undo()
    assert len(probe.stimulus.drawings) == 1
    # another question: the truth is not its own; and then it is told
    probe.stimulus = probe.stimulus.with_question("Is there a dog?")
    assert probe.truth is None
    probe.truth = False
    assert probe.truth == "No" and probe.stimulus.current_question == "Is there a dog?"
    probe.choose(0)
    assert page.state["observations"][100]["answer"] == "No"
    # the trial brings back what it was of, in the same row
    probe.restore(trial)
    assert probe.stimulus == trial.stimulus and probe.observation_index == 100 and probe.truth == "Yes"
    probe.truth = None
    assert probe.truth is None
    probe.close()


def test_the_truth_of_the_data_set_is_the_data_sets(probe: Probe) -> None:
    page = Page(probe)
    with pytest.raises(InputError, match="of the data set"):
        probe.truth = "No"
    page.send({"kind": "truth", "text": "No"})
    page.wait(lambda page: page.state["error"] is not None)
    assert probe.truth == probe.stimulus.true_answer


def test_open_image_takes_what_an_observation_takes(probe: Probe, tmp_path: Any) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png())
    question = probe.stimulus.question
    for number, image in enumerate(
        (path, str(path), path.read_bytes(), Image.open(path), np.zeros((4, 5), np.uint8))
    ):
        opened = probe.open_image(image)
        assert probe.observation_index == 100 + number and probe.stimulus.question == question
        assert opened.id == ("photo.png" if number < 2 else "own")
    opened = probe.open_image(path, "Is it?", "It is.", "Yes", name="mine")
    assert (opened.question, opened.context, opened.answer, opened.id) == ("Is it?", "It is.", "Yes", "mine")
    assert probe.truth == "Yes"
    before = probe.stimulus
    with pytest.raises(InputError, match="no image file"):
        probe.open_image(tmp_path / "none.png")
    assert probe.stimulus == before and len(probe.observations) == 106


def test_patches_and_thumbnails_are_cut_from_own_pictures_too(probe: Probe) -> None:
    page = Page(probe)
    upload(page, "a.png", png(color="blue"), 100)
    probe.choose(0)
    probe.stimulus = probe.stimulus.patch((0, 0, 20, 20), 30, 30)
    probe.cut(0, 100)
    assert probe.stimulus.render().getpixel((35, 35)) == (0, 0, 255)
    page.send({"kind": "thumbnails", "indexes": [100, 101]})
    page.wait(lambda page: page.of_kind("thumbnails"))


# ---- files on their way
def test_a_file_of_ten_megabytes_comes_whole(probe: Probe) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2200, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "PNG", compress_level=0)
    assert len(data) > 9.8e6
    page, size = Page(probe), 4 * 2**20
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    for number, part in enumerate(parts):
        page.send(
            {"kind": "upload", "name": "noise.png", "id": "u", "part": number, "parts": len(parts)}, part
        )
    page.wait(lambda page: page.state["observation_index"] == 100)
    assert np.array_equal(probe.stimulus.image.array(), noise)
    assert page.of_kind("notice") == []


def test_parts() -> None:
    def part(number: int, of: int, id: str = "a", data: bytes = b"xy") -> messages.Upload:
        return messages.Upload("f", data, id, number, of)

    parts = Parts()
    assert parts.add(messages.Upload("f", b"whole")) == b"whole"
    assert parts.add(part(0, 2)) is None and parts.add(part(1, 2)) == b"xyxy"
    for wrong in ([part(1, 2)], [part(0, 3), part(2, 3)], [part(0, 2), part(1, 2, "b")], [part(0, 0)]):
        with pytest.raises(InputError, match="Open the file again"):
            for message in wrong:
                parts.add(message)
    # a new file takes the place of an unfinished one
    assert parts.add(part(0, 2, "c")) is None
    assert parts.add(part(0, 2, "d", b"1")) is None and parts.add(part(1, 2, "d", b"2")) == b"12"
    with pytest.raises(InputError, match="open_image"):
        for number in range(3):
            parts.add(part(number, 3, "e", bytes(protocol.MAX_UPLOAD // 2)))


def test_an_own_picture_is_kept_as_its_file() -> None:
    picture = load_image(png())
    file = ImageFile(png(), picture)
    assert file() is picture
    del picture
    assert file().size == (300, 200)
    import pickle

    assert pickle.loads(pickle.dumps(Observation(file, "q"))).image.size == (300, 200)


# ---- no pixel changed without a word
def deep_png() -> bytes:
    """16 bits a channel, RGB."""
    rows = b"".join(b"\0" + np.full((4, 3), 0x1234, ">u2").tobytes() for _ in range(4))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def turned() -> bytes:
    image = Image.new("RGB", (8, 4), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    return encoded(image, "JPEG", exif=exif)


def animated() -> bytes:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue", "green")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def profiled() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return encoded(Image.new("RGB", (4, 4), "red"), "PNG", icc_profile=profile.tobytes())


SAID = {
    "turned upright": turned(),
    "3 frames": animated(),
    "16 bits": deep_png(),
    "16 bits a channel were": encoded(Image.fromarray(np.full((4, 4), 40_000, np.uint16)), "PNG"),
    "laid on white": encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 90)), "PNG"),
    "CMYK": encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG"),
    "colour profile": profiled(),
}
UNSAID = {
    "plain": png(),
    "opaque alpha": encoded(Image.new("RGBA", (4, 4), "red"), "PNG"),
    "palette": encoded(Image.new("RGB", (4, 4), "red").convert("P"), "PNG"),
    "grey": encoded(Image.new("L", (4, 4), 90), "PNG"),
    "JPEG": encoded(Image.new("RGB", (4, 4), "red"), "JPEG"),
    "sRGB profile": png(icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
}


@pytest.mark.parametrize(("words", "data"), SAID.items(), ids=SAID)
def test_what_is_done_to_a_picture_is_said_on_the_page(probe: Probe, words: str, data: bytes) -> None:
    page = Page(probe)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        upload(page, "a.file", data, 100)
    page.wait(lambda page: page.of_kind("notice"))
    (notice,) = page.of_kind("notice")
    assert notice["message"].startswith("a.file: ") and words in notice["message"]
    probe.choose(0)
    probe.choose(100)  # it was said
    assert len(page.of_kind("notice")) == 1


@pytest.mark.parametrize("data", UNSAID.values(), ids=UNSAID)
def test_and_nothing_where_nothing_is(
    probe: Probe, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the code's pictures are written beside the notebook
    page = Page(probe)
    upload(page, "a.file", data, 100)
    page.send({"kind": "code", "id": "c"})
    page.wait(lambda page: page.of_kind("code"))
    assert page.of_kind("notice") == []


def test_huge_pictures_are_refused_with_a_clear_word(probe: Probe) -> None:
    page = Page(probe)
    page.send({"kind": "upload", "name": "huge.png"}, encoded(Image.new("1", (20_000, 10_000)), "PNG"))
    page.wait(lambda page: page.state["error"] is not None)
    assert "huge.png" in page.state["error"]["message"] and "megapixels" in page.state["error"]["message"]
    assert probe.observation_index == 0
