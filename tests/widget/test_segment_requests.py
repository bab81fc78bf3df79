"""What a page asks for when somebody marks an object: answered once, superseded, cancelled, refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fake_page import Page

import isi_widget as isi
from isi_widget import Probe
from isi_widget.concepts import Found, Segmenter, register_segmenter
from isi_widget.vlm import VLM

WIDTH, HEIGHT = 90, 70
PIXELS = np.full((HEIGHT, WIDTH, 3), (90, 160, 220), np.uint8)
PIXELS[20:45, 30:60] = (200, 40, 30)


@pytest.fixture(scope="module")
def probe(vlm: VLM) -> Iterator[Probe]:
    made = Probe(vlm, isi.Observation(PIXELS, "Is it red?"))
    yield made
    made.close()


@pytest.fixture
def page(probe: Probe) -> Page:
    probe.stimulus = probe.stimulus.with_operations([])
    return Page(probe)


def answer(page: Page, id: str) -> dict[str, Any]:
    page.wait(lambda page: [message for message in page.messages if message.get("id") == id])
    (found,) = [message for message in page.messages if message.get("id") == id]
    return found


def ask(page: Page, id: str = "s", **asked: Any) -> dict[str, Any]:
    page.send({"kind": "segment", "id": id, **asked})
    return answer(page, id)


def test_a_box_is_answered_by_the_mask_that_python_gives(probe: Probe, page: Page) -> None:
    found = ask(page, box=[24, 14, 44, 38], strokes=[], mask=None, point=None, tolerance=None)
    assert found["kind"] == "segment" and found["note"] == ""
    mask = isi.Mask.from_dict({"mask": found["mask"]})
    assert mask.box == (30, 20, 30, 25) and mask.area == 30 * 25
    assert mask == isi.segment(probe.stimulus, (24, 14, 44, 38))


def test_strokes_refine_what_is_selected(probe: Probe, page: Page) -> None:
    first = ask(page, box=[24, 14, 44, 38])["mask"]
    stroke = {"object": False, "points": [[40, 30], [50, 30]], "radius": 3}
    found = isi.Mask.from_dict(
        {"mask": ask(page, "r", box=[24, 14, 44, 38], strokes=[stroke], mask=first)["mask"]}
    )
    assert not found.array()[30, 40:51].any()
    before = isi.Mask.from_dict({"mask": first})
    same = isi.segment(probe.stimulus, (24, 14, 44, 38), strokes=[stroke], mask=before)
    assert found == same


def test_the_wand_takes_a_point_and_a_tolerance(page: Page) -> None:
    found = isi.Mask.from_dict({"mask": ask(page, point=[31, 21], tolerance=5)["mask"]})
    assert found.box == (30, 20, 30, 25) and found.area == 30 * 25


def test_it_looks_at_the_picture_as_it_is_drawn_on(probe: Probe, page: Page) -> None:
    probe.stimulus = probe.stimulus.box(5, 5, 10, 10, color="green")
    assert isi.Mask.from_dict({"mask": ask(page, point=[7, 7])["mask"]}).box == (5, 5, 10, 10)


def test_a_guess_comes_with_a_note(page: Page) -> None:
    found = ask(page, box=[2, 2, 10, 10])
    assert "Nothing stands out" in found["note"]
    assert isi.Mask.from_dict({"mask": found["mask"]}).box == (2, 2, 10, 10)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "Mark the object"),
        ({"box": [200, 200, 5, 5]}, "lies outside the picture of 90 x 70"),
        ({"box": [1, 2, 3]}, "box must be [x, y, width, height]"),
        ({"box": [0, 0, 5, 5], "back_end": "magic"}, "back_end must be one of grabcut"),
        ({"point": [95, 3]}, "outside the picture"),
        ({"point": [5, 3], "tolerance": -1}, "tolerance must be"),
        ({"strokes": [{"points": []}]}, "points"),
        ({"strokes": 7}, "strokes must be a list"),
        ({"mask": {"size": [3, 3], "runs": [0, 9]}}, "belongs to an image of 3 x 3"),
        ({"mask": {"size": [3, 3], "runs": [9, 9]}}, "sum to"),
        ({"box": [0, 0, 5, 5], "more": 1}, "unknown keys"),
        ({"box": [0, 0, 5, 5], "back_end": "sam"}, "needs a checkpoint"),
    ],
)
def test_what_is_wrong_is_answered_by_one_error(probe: Probe, page: Page, asked: Any, words: str) -> None:
    found = ask(page, **asked)
    assert found["kind"] == "error" and words in found["message"]
    assert probe.error is not None
    probe.error = None


class Slow(Segmenter):
    """Waits until it may go on."""

    name = "slow"
    title = "Slow"

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def find(self, pixels: Any, prompt: Any, **options: Any) -> Found:
        self.begun.release()
        assert self.go.acquire(timeout=120)
        return Found(np.ones(pixels.shape[:2], np.bool_))


@pytest.fixture
def slow(probe: Probe) -> Iterator[Slow]:
    made = register_segmenter(Slow())
    probe.segmenter = "slow"
    yield made
    probe.segmenter = "grabcut"


def test_a_newer_request_takes_the_place_of_older_ones(page: Page, slow: Slow) -> None:
    page.send({"kind": "segment", "id": "one", "box": [0, 0, 9, 9]})
    assert slow.begun.acquire(timeout=120)
    page.send({"kind": "segment", "id": "two", "box": [0, 0, 9, 9]})
    page.send({"kind": "segment", "id": "three", "box": [0, 0, 9, 9]})
    assert answer(page, "two")["kind"] == "dropped"
    slow.go.release(2)
    assert answer(page, "one")["kind"] == "dropped"
    assert answer(page, "three")["kind"] == "segment"


def test_a_cancelled_request_is_dropped_and_others_go_on(page: Page, slow: Slow) -> None:
    page.send({"kind": "segment", "id": "one", "box": [0, 0, 9, 9]})
    assert slow.begun.acquire(timeout=120)
    page.send({"kind": "cancel", "run": "nothing of this name"})
    page.send({"kind": "cancel", "run": "one"})
    slow.go.release(2)
    assert answer(page, "one")["kind"] == "dropped"
    assert ask(page, "two", box=[0, 0, 9, 9])["kind"] == "segment"


def test_neither_runs_nor_previews_wait_for_a_segmenter(probe: Probe, page: Page, slow: Slow) -> None:
    page.send({"kind": "segment", "id": "one", "box": [0, 0, 9, 9]})
    assert slow.begun.acquire(timeout=120)
    page.send({"kind": "color", "id": "c", "x": 31, "y": 21})
    assert answer(page, "c")["color"] == "#c8281e"
    assert probe.run("answer").answer is not None
    slow.go.release()
    assert answer(page, "one")["kind"] == "segment"


def test_the_segmenter_of_a_probe_is_checked(probe: Probe) -> None:
    with pytest.raises(isi.InputError, match="back_end must be one of grabcut, "):
        probe.segmenter = "magic"
    assert probe.segmenter == "grabcut"
