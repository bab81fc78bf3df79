"""Edits that a page sends: completed in the kernel, sent back; slow in-painters with progress, cancel and
errors; pictures kept for them.
"""

from __future__ import annotations

import io
import threading
from typing import Any

import numpy as np
import pytest
from fake_page import Page
from PIL import Image

from isi_widget import Inpainter, Probe, datasets, register_inpainter
from isi_widget.errors import Cancelled
from isi_widget.stimulus import inpainting as ip
from isi_widget.stimulus import load_image
from isi_widget.widget import document as doc

REGION = [40, 30, 60, 50]
REMOVE = {"op": "remove", "region": REGION}
BOX = {"op": "box", "x": 10, "y": 20, "width": 60, "height": 50, "color": "#ff0000", "fill": True}


class Slow(Inpainter):
    """Waits until it is let go, and reports progress."""

    name, title, prompt = "slow", "Slow", True

    def __init__(self) -> None:
        self.calls, self.go, self.fail = 0, threading.Event(), False

    def fill(self, image, hole, *, prompt="", seed=0, progress=None, cancel=None):
        self.calls += 1
        if progress is not None:
            progress("inpainting", 1, 4)
        while not self.go.wait(0.01):
            if cancel is not None and cancel():
                raise Cancelled("cancelled")
        if self.fail:
            raise RuntimeError("no memory for this")
        return np.full_like(image, 90)


@pytest.fixture
def slow() -> Any:
    painter = Slow()
    register_inpainter(painter)
    yield painter
    painter.go.set()
    ip._known.pop("slow", None)


def last(page: Page) -> dict[str, Any]:
    return page.operations()[-1]


def test_an_edit_without_pixels_comes_back_completed_and_is_one_step(probe: Probe) -> None:
    page = Page(probe)
    steps = len(probe.document["past"])
    page.draw(REMOVE)
    page.wait(lambda page: "pixels" in last(page))
    assert len(probe.document["past"]) == steps + 1
    expected = datasets.scenes()[0].stimulus().remove(tuple(REGION))
    assert probe.stimulus == expected and last(page) == expected.operations[0].to_dict()
    assert last(page)["inpainter"] == "membrane"
    page.send({"kind": "inpainters", "id": "i"})
    page.wait(lambda page: page.of_kind("inpainters"))
    answer = page.of_kind("inpainters")[-1]
    assert answer["default"] == "membrane"
    assert [item["name"] for item in answer["inpainters"]][:3] == ["membrane", "telea", "navier-stokes"]


def test_a_changed_picture_beneath_gives_new_pixels_and_undo_the_old_ones(probe: Probe) -> None:
    page = Page(probe)
    page.draw(REMOVE)
    page.wait(lambda page: "pixels" in last(page))
    first = last(page)
    page.edit(doc.step(page.state["document"], [BOX, first]))
    page.wait(lambda page: last(page)["beneath"] != first["beneath"])
    assert probe.stimulus == datasets.scenes()[0].stimulus().with_operations([BOX]).remove(tuple(REGION))
    probe.undo()
    page.wait(lambda page: page.operations() == [first])
    probe.redo()
    page.wait(lambda page: len(page.operations()) == 2)
    assert last(page)["beneath"] != first["beneath"]


def test_a_slow_in_painter_reports_progress_and_the_result_comes_later(probe: Probe, slow: Slow) -> None:
    page = Page(probe)
    page.draw({**REMOVE, "inpainter": "slow", "prompt": "grass"})
    page.wait(lambda page: page.state["status"]["stage"] == "inpainting")
    status = page.state["status"]
    assert status["measures"] == ["edit"] and (status["done"], status["total"]) == (1, 4)
    assert "pixels" not in last(page)
    assert probe.stimulus.pending == (0,)
    slow.go.set()
    page.wait(lambda page: "pixels" in last(page))
    page.wait(lambda page: page.state["status"]["state"] == "idle")
    assert probe.stimulus.pending == () and slow.calls == 1
    assert (np.asarray(probe.stimulus.render())[30:80, 40:100] == 90).all()
    page.wait(lambda page: page.state["status"]["state"] == "idle")


def test_cancel_leaves_the_edit_unpainted_and_complete_tries_again(probe: Probe, slow: Slow) -> None:
    page = Page(probe)
    page.draw({**REMOVE, "inpainter": "slow"})
    page.wait(lambda page: page.state["status"]["stage"] == "inpainting")
    page.send({"kind": "cancel"})
    page.wait(lambda page: page.state["status"]["state"] == "idle")
    assert "pixels" not in last(page) and page.state["error"] is None
    slow.go.set()
    page.send({"kind": "complete"})
    page.wait(lambda page: "pixels" in last(page))
    assert slow.calls == 2


def test_a_failure_is_a_message_and_a_run_completes_first(probe: Probe, slow: Slow) -> None:
    slow.fail = True
    slow.go.set()
    page = Page(probe)
    page.draw({**REMOVE, "inpainter": "slow"})
    page.wait(lambda page: page.state["error"] is not None)
    assert "no memory for this" in page.state["error"]["message"]
    assert "pixels" not in last(page)
    slow.fail = False
    page.send({"kind": "run", "id": "r", "measures": ["answer"]})
    page.wait(lambda page: page.of_kind("result") and page.state["status"]["state"] == "idle")
    assert "pixels" in last(page)
    assert probe.trial is not None and probe.trial.stimulus == probe.stimulus
    assert probe.trial.key == page.state["inputs"]["key"]


def test_an_unknown_in_painter_is_a_message(probe: Probe) -> None:
    page = Page(probe)
    page.draw({**REMOVE, "inpainter": "nowhere"})
    page.wait(lambda page: page.state["error"] is not None)
    assert "no in-painter 'nowhere'" in page.state["error"]["message"]
    page.draw(BOX)  # the widget stays usable
    page.wait(lambda page: probe.stimulus.operations[-1].op == "box")


def test_pictures_are_kept_for_inserts(probe: Probe) -> None:
    page = Page(probe)
    page.send({"kind": "picture", "id": "a", "observation": 3})
    page.wait(lambda page: page.of_kind("picture"))
    other = page.of_kind("picture")[-1]
    image = datasets.scenes()[3].image
    assert (other["image"], other["width"], other["height"]) == (image.sha256, *image.size)
    page.draw({"op": "insert", "image": other["image"], "place": [5, 6], "source": [10, 10, 40, 30]})
    made = datasets.scenes()[0].stimulus().insert(image, (5, 6), (10, 10, 40, 30))
    assert probe.stimulus == made
    page.send({"kind": "picture", "id": "b", "observation": None})
    page.wait(lambda page: len(page.of_kind("picture")) == 2)
    assert page.of_kind("picture")[-1]["image"] == load_image(made.render()).sha256
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), "orange").save(buffer, "PNG")
    page.send({"kind": "upload", "id": "c", "name": "a.png", "keep": True}, buffer.getvalue())
    page.wait(lambda page: page.of_kind("upload"))
    kept = page.of_kind("upload")[-1]
    assert (kept["width"], kept["height"]) == (30, 20) and probe.observation_index == 0
    page.draw({"op": "retexture", "region": REGION, "image": kept["image"], "source": None})
    assert probe.stimulus.operations[-1].op == "retexture" and page.state["error"] is None


def test_the_badge_follows_what_the_edits_do_to_the_truth(probe: Probe) -> None:
    page = Page(probe)
    assert page.state["inputs"]["truth_holds"] is True
    page.draw({"op": "noise", "sigma": 0.2, "seed": 1, "region": None})
    assert page.state["inputs"]["truth_holds"] is True
    page.draw({"op": "mirror", "region": None, "direction": "horizontal"})
    page.wait(lambda page: page.state["inputs"]["truth_holds"] is None)
