"""What a page asks for is answered once, under the id that the page gave it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fake_page import Page
from PIL import Image

from isi_widget import Probe, datasets
from isi_widget.vlm import VLM
from isi_widget.widget import messages

BOX = {
    "op": "box",
    "x": 4,
    "y": 5,
    "width": 30,
    "height": 20,
    "color": "#000000",
    "fill": True,
    "line_width": 3,
}
#: A message of each kind that is answered with data or "done"; runs, loads and scans have their own tests.
ASKED: dict[str, dict[str, Any]] = {
    "truth": {"text": "yes"},
    "thumbnails": {"indexes": [0]},
    "tokens": {},
    "reshuffle": {"part": "context"},
    "code": {},
    "conditions": {},
    "models": {},
    "judges": {},
    "color": {"x": 3, "y": 4},
    "font": {},
    "map": {"trial": 1, "token": 0},
    "detail": {"region": [5, 15, 20, 10], "width": 400},
    "editor": {},
    "still": {},
    "history": {},
    "restore": {"trial": 1},
    "note": {"trial": 1, "text": "seen"},
    "export": {"trials": [1], "format": "csv"},
    "save": {},
    "delete": {"trial": 2},
    "cut": {"operation": 0, "observation": 1},
    "undo": {},
    "redo": {},
    "picture": {"observation": 1},
    "inpainters": {},
    "complete": {},
}
BARE = {"complete", "truth", "reshuffle", "history", "restore", "note", "delete", "cut", "undo", "redo"}


@pytest.fixture(scope="module")
def probe(vlm: VLM) -> Iterator[Probe]:
    made = Probe(vlm, data=datasets.scenes())
    made.run("answer")
    made.run("answer")
    yield made
    made.close()


@pytest.fixture
def page(probe: Probe) -> Page:
    return Page(probe)


def answers(page: Page, id: str) -> list[dict[str, Any]]:
    return [message for message in page.messages if message.get("id") == id]


@pytest.mark.parametrize("kind", ASKED)
def test_every_request_is_answered_once_by_its_id(probe: Probe, page: Page, kind: str) -> None:
    if kind == "truth":
        probe.open_image(Image.new("RGB", (40, 30), "red"), "Is it red?")
    elif kind == "cut":
        probe.choose(0)
        probe.stimulus = probe.stimulus.patch((2, 2, 10, 10), 20, 20)
    elif kind in ("reshuffle", "tokens"):
        probe.choose(0)
    page.send({"kind": kind, "id": f"a {kind}", **ASKED[kind]})
    page.wait(lambda page: answers(page, f"a {kind}"))
    assert probe.error is None
    (answer,) = answers(page, f"a {kind}")
    assert answer["kind"] == ("done" if kind in BARE else kind)


def test_all_kinds_are_tried_here() -> None:
    elsewhere = {"run", "cancel", "load", "judge", "upload", "segment", "heads", "trace", "lens"}
    assert set(messages.KINDS) == {*ASKED, *elsewhere}


def test_a_run_is_answered_when_it_is_taken_up(probe: Probe, page: Page) -> None:
    probe.choose(0)
    page.send({"kind": "run", "id": "r", "measures": ["answer"]})
    kinds = [message["kind"] for message in answers(page, "r")]
    assert "done" in kinds[:2] and page.state["status"]["id"] in ("r", None)
    page.wait(lambda page: "result" in [message["kind"] for message in answers(page, "r")])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"kind": "restore", "trial": 99}, "no trial 99"),
        ({"kind": "cut", "operation": 77, "observation": 0}, "77"),
        ({"kind": "reshuffle", "part": "question"}, "'image' or 'context'"),
        ({"kind": "tokens", "also": 1}, "unknown keys"),
    ],
)
def test_what_fails_is_answered_by_its_error(
    probe: Probe, page: Page, asked: dict[str, Any], words: str
) -> None:
    page.send({**asked, "id": "x"})
    page.wait(lambda page: answers(page, "x"))
    (answer,) = answers(page, "x")
    assert answer["kind"] == "error" and words in answer["message"]
    assert page.state["error"]["message"] == answer["message"]
    probe.error = None


def test_a_failed_request_does_not_stand_where_a_result_would(probe: Probe, page: Page) -> None:
    page.send({"kind": "restore", "trial": 99, "id": "x"})
    assert page.state["error"]["id"] is None
    page.send({"kind": "map", "trial": 99, "token": 0, "id": "m"})
    page.wait(lambda page: answers(page, "m"))
    assert page.state["error"]["id"] == "m"
    probe.error = None


def test_of_several_that_wait_the_newest_is_answered_and_the_others_are_dropped(
    probe: Probe, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, began = threading.Event(), threading.Event()

    def slow(_: Any) -> Any:
        began.set()
        assert free.wait(120)
        return None

    monkeypatch.setattr(probe._requests, "_on_tokens", slow)
    page.send({"kind": "tokens", "id": "first"})
    assert began.wait(120)
    page.send({"kind": "models", "id": "second"})
    page.send({"kind": "models", "id": "third"})
    free.set()
    page.wait(lambda page: answers(page, "third"))
    assert [message["kind"] for message in answers(page, "first")] == ["done"]
    assert [message["kind"] for message in answers(page, "second")] == ["dropped"]
    assert [message["kind"] for message in answers(page, "third")] == ["models"]


def test_a_file_is_answered_once_when_its_last_part_is_there(probe: Probe, page: Page) -> None:
    import io

    out = io.BytesIO()
    Image.new("RGB", (50, 40), "orange").save(out, "PNG")
    data = out.getvalue()
    for part in (0, 1):
        page.send(
            {"kind": "upload", "name": "o.png", "id": "u", "part": part, "parts": 2},
            data[part * 60 : 60 + part * len(data)],
        )
    page.wait(lambda page: answers(page, "u"))
    assert [message["kind"] for message in answers(page, "u")] == ["done"]
    page.send({"kind": "upload", "name": "o.png", "id": "v"}, b"no image")
    page.wait(lambda page: answers(page, "v"))
    assert [message["kind"] for message in answers(page, "v")] == ["error"]
    probe.error = None
