"""An object is selected in a real JupyterLab: by box, brushes or wand; its edge, undo, and effects on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from harness import Notebook, Probe
from playwright.sync_api import expect

#: A disc on a grainy ground, and a flat blue plate on it.
PICTURE = """
import numpy as np
from PIL import Image, ImageDraw
import isi_widget as isi
grains = np.random.default_rng(0).normal(0, 6, (480, 640, 1)) + (200, 190, 170)
picture = Image.fromarray(np.clip(grains, 0, 255).astype(np.uint8))
ImageDraw.Draw(picture).ellipse((220, 140, 380, 300), fill="#b03020")
ImageDraw.Draw(picture).rectangle((450, 60, 549, 119), fill="#2040a0")
y, x = np.mgrid[:480, :640]
disc = isi.Mask.from_array((x - 300) ** 2 + (y - 220) ** 2 <= 80.5 ** 2)
seen = isi.Observation(picture, "Is there a red disc?")
iou = lambda mask, true: (mask & true).area / (mask | true).area
"""
MASK = "probe.stimulus.operations[-1].region"


@pytest.fixture
def probe(bench: Notebook) -> Iterator[Probe]:
    """A fresh probe on the picture, in the shared notebook."""
    bench.execute(PICTURE)
    bench.run_cell(1, "probe = isi.Probe(vlm, seen)\nprobe")
    made = bench.probe().ready()
    yield made
    bench.execute("probe.cancel(); probe.close()")


def outline(probe: Probe) -> str:
    """The path of the outline, in pixels of the image; "" if nothing is selected."""
    found = probe.part("selection-outline")
    return (found.get_attribute("d") or "") if found.count() else ""


def select(probe: Probe, corner: tuple[float, float], opposite: tuple[float, float]) -> str:
    """Drag a box with the tool in hand and wait for another outline."""
    before = outline(probe)
    probe.drag(corner, opposite)
    expect(probe.part("selection-outline")).not_to_have_attribute("d", before)
    return outline(probe)


def test_an_object_is_selected_refined_and_acted_on(bench: Notebook, probe: Probe) -> None:
    keyboard = probe.page.keyboard
    place = probe.part("stage").bounding_box()
    probe.part("tool-segment").click()
    first = select(probe, (195, 115), (405, 325))
    assert probe.part("stage").bounding_box() == place  # nothing shifts
    assert bench.value("len(probe.stimulus.operations)") == 0

    # "This is not" over the lower third of it; then the same undone and redone.
    keyboard.press("r")
    before = outline(probe)
    probe.drag((225, 285), (375, 285))
    expect(probe.part("selection-outline")).not_to_have_attribute("d", before)
    expect(probe.part("stroke")).to_have_count(0)
    less = outline(probe)
    keyboard.press("Control+z")
    expect(probe.part("selection-outline")).to_have_attribute("d", first)
    keyboard.press("Control+Shift+z")
    expect(probe.part("selection-outline")).to_have_attribute("d", less)
    keyboard.press("Control+z")

    # The plate joins it by Shift, and goes again by Alt.
    keyboard.press("s")
    keyboard.down("Shift")
    both = select(probe, (435, 45), (565, 135))
    keyboard.up("Shift")
    assert len(both) > len(first)
    keyboard.down("Alt")
    select(probe, (435, 45), (565, 135))
    keyboard.up("Alt")

    probe.part("edge-toggle").click()
    probe.part("feather").fill("6")
    probe.part("feather").press("Enter")
    expect(probe.part("selection-rim")).to_be_attached()
    probe.part("act-blur").click()
    bench.until("len(probe.stimulus.operations) == 1")
    expect(probe.part("selection-outline")).to_have_count(0)
    expect(probe.part("layer-0")).to_contain_text("mask 16")
    assert bench.value(f"iou({MASK}, disc)") > 0.97
    assert bench.value(f"{MASK}.feather") == 6
    assert bench.value(
        "not (np.asarray(probe.stimulus.render()) != np.asarray(picture))"
        f"[np.asarray({MASK}.alpha()) == 0].any()"
    )

    # The code makes the same.
    probe.part("copy-code").click()
    expect(probe.part("code")).not_to_have_value("")
    code = probe.part("code").input_value()
    assert (
        bench.value(f"(lambda names: (exec({code!r}, names), names['s'] == probe.stimulus)[1])({{}})") is True
    )
    keyboard.press("Escape")
    expect(probe.part("code")).to_have_count(0)

    # Undo brings the selection back, to do something else to it.
    keyboard.press("Control+z")
    expect(probe.part("selection-outline")).to_have_count(1)
    probe.part("act-noise").click()
    bench.until("[op.op for op in probe.stimulus.operations] == ['noise']")


def test_the_wand_takes_a_flat_area(bench: Notebook, probe: Probe) -> None:
    probe.page.keyboard.press("Escape")
    probe.part("tool-wand").click()
    probe.page.mouse.click(*probe.on_screen(500, 90))
    expect(probe.part("selection-outline")).to_have_count(1)
    probe.part("act-cover").click()
    bench.until("len(probe.stimulus.operations) == 1")
    assert bench.value(f"{MASK} == isi.Mask.from_box((640, 480), (450, 60, 100, 60))")
    assert bench.value("probe.stimulus.render().getpixel((500, 90))") == [0, 0, 0]
    # Moved by its pixels.
    probe.drag((500, 90), (500, 120))
    bench.until(f"{MASK}.box != (450, 60, 100, 60)")
    assert bench.value(f"{MASK}.box[2:]") == [100, 60]


def test_a_guess_is_said_and_a_drag_selects_no_text(bench: Notebook, probe: Probe) -> None:
    probe.part("tool-segment").click()
    select(probe, (20, 20), (180, 120))  # nothing but ground
    expect(probe.part("selection-note")).to_contain_text("all of it is selected")
    probe.page.keyboard.press("Escape")
    expect(probe.part("maskbar")).to_have_count(0)
    hint, canvas = probe.root.locator(".isi-hint").bounding_box(), probe.part("overlay").bounding_box()
    assert hint is not None and canvas is not None
    mouse = probe.page.mouse
    mouse.move(hint["x"] + 20, hint["y"] + hint["height"] / 2)
    mouse.down()
    mouse.move(canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] / 2, steps=4)
    mouse.up()
    assert probe.page.evaluate("() => String(window.getSelection())").strip() == ""


def test_a_reopened_notebook_shows_effects_on_masks(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(PICTURE, "probe = isi.Probe(None, seen)\nprobe")
    notebook.run_all()
    probe = notebook.probe().ready()
    probe.part("tool-segment").click()
    select(probe, (195, 115), (405, 325))
    probe.part("act-pixelate").click()
    notebook.until("len(probe.stimulus.operations) == 1")
    expect(probe.part("shape-0").locator("path")).to_be_attached()
    path = probe.part("shape-0").locator("path").get_attribute("d")
    notebook.save()
    notebook.load()
    probe = notebook.probe().ready()
    expect(probe.part("shape-0").locator("path")).to_have_attribute("d", path or "")
    expect(probe.part("layer-0")).to_contain_text("mask")
    expect(probe.part("layer-0").get_by_test_id("silhouette")).to_be_visible()
