"""The probe where a page shows it larger or smaller than it is laid out: slides, CSS zoom, one in another, a
screen with more pixels.
"""

from __future__ import annotations

import pytest
from harness import Lab, Notebook, Probe
from looking import settle
from playwright.sync_api import Browser, expect

REGION = "(lambda box: [box.x, box.y, box.width, box.height])(probe.stimulus.operations[0])"
AROUND = """([root, style]) => {
  const output = root.closest('.jp-OutputArea');
  const parts = style.split(' | ');
  output.style.cssText = parts[0] + '; transform-origin: 0 0';
  output.parentElement.style.cssText = (parts[1] ?? '') + '; transform-origin: 0 0';
}"""


@pytest.mark.parametrize(
    "style",
    [
        "transform: scale(.75)",
        "transform: scale(1.3)",
        "zoom: 1.5",
        "zoom: .6",
        "transform: scale(.8) | transform: scale(.9) translate(20px, 10px)",
        "transform: scale(1.2) | zoom: .7",
    ],
)
def test_shapes_are_stored_where_they_are_drawn(bench: Notebook, probe: Probe, style: str) -> None:
    probe.root.evaluate("(root, style) => (" + AROUND + ")([root, style])", style)
    try:
        probe.page.wait_for_timeout(100)  # the stage fits itself to another size, if it has one
        settle(probe)
        probe.draw("box", (100, 60), (200, 160))
        bench.until("len(probe.stimulus.operations) == 1")
        assert bench.value(REGION) == pytest.approx([100, 60, 100, 100], abs=1)
        # its handles are where they are seen, and follow the pointer
        handle = probe.part("handle-se").bounding_box()
        assert handle is not None
        x, y = probe.on_screen(200, 160)
        assert (
            abs(handle["x"] + handle["width"] / 2 - x) < 2 and abs(handle["y"] + handle["height"] / 2 - y) < 2
        )
        probe.drag((200, 160), (260, 220))
        bench.until("probe.stimulus.operations[0].width > 150")
        assert bench.value(REGION) == pytest.approx([100, 60, 160, 160], abs=1)
        # the wheel zooms about the pointer, and the pixel under it is the one that is named
        mouse, keyboard = probe.page.mouse, probe.page.keyboard
        at = probe.on_screen(320, 200)
        mouse.move(*at)
        keyboard.down("Control")
        mouse.wheel(0, -200)
        keyboard.up("Control")
        expect(probe.part("zoom-fit")).to_be_visible()
        moved = probe.on_screen(320, 200)
        assert moved == pytest.approx(at, abs=1.5)
        mouse.move(at[0] + 2, at[1] + 2)
        expect(probe.part("pixel")).to_contain_text("32")
        named = [int(part) for part in probe.part("pixel").inner_text().split("#")[0].strip().split(",")]
        assert named == pytest.approx([321, 201], abs=3)
    finally:
        probe.root.evaluate("(root, style) => (" + AROUND + ")([root, style])", "")


def test_shapes_are_stored_where_they_are_drawn_on_a_page_that_is_turned(
    bench: Notebook, probe: Probe
) -> None:
    style = "transform: rotate(180deg)"
    try:
        x, y = probe.on_screen(100, 60)
        upright = probe.part("overlay").bounding_box()
        probe.root.evaluate(
            "(root, style) => (" + AROUND.replace("0 0", "50% 50%") + ")([root, style])", style
        )
        probe.page.wait_for_timeout(100)
        box = probe.part("overlay").bounding_box()
        assert upright is not None and box is not None
        scale = (probe.on_screen(200, 60)[0] - probe.on_screen(100, 60)[0]) / 100
        left, top = (x - upright["x"], y - upright["y"])
        at = (box["x"] + box["width"] - left, box["y"] + box["height"] - top)
        probe.part("tool-box").press("Enter")
        mouse = probe.page.mouse
        mouse.move(*at)
        mouse.down()
        mouse.move(at[0] - 50 * scale, at[1] - 50 * scale, steps=3)
        mouse.move(at[0] - 100 * scale, at[1] - 100 * scale, steps=3)
        mouse.up()
        bench.until("len(probe.stimulus.operations) == 1")
        assert bench.value(REGION) == pytest.approx([100, 60, 100, 100], abs=2)
    finally:
        probe.root.evaluate("(root, style) => (" + AROUND + ")([root, style])", "")


def test_a_screen_with_more_pixels(lab: Lab, browser: Browser) -> None:
    notebook = lab.open(
        browser,
        lab.notebook(["import isi_widget as isi\nprobe = isi.Probe(isi.load_vlm())\nprobe"]),
        device_scale_factor=2.5,
    )
    try:
        notebook.run_all()
        probe = notebook.probe().ready()
        probe.draw("box", (100, 60), (200, 160))
        notebook.until("len(probe.stimulus.operations) == 1")
        assert notebook.value(REGION) == pytest.approx([100, 60, 100, 100], abs=1)
        assert probe.part("canvas").evaluate("c => c.width / c.clientWidth") == pytest.approx(2.5, abs=0.01)
    finally:
        notebook.close()
