"""The editor in a real JupyterLab: every tool makes its operation, what the page draws while one drags is
what the kernel renders, and Python follows.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from harness import Notebook, Probe
from PIL import Image
from playwright.sync_api import expect

Pixels = np.ndarray[Any, np.dtype[np.int16]]


def drag(probe: Probe, *points: tuple[float, float], release: bool = True) -> None:
    """Press at the first point (pixels of the image), move over the others, release."""
    mouse = probe.page.mouse
    first, *others = (probe.on_screen(*point) for point in points)
    mouse.move(*first)
    mouse.down()
    for point in others:
        mouse.move(*point, steps=3)
    if release:
        mouse.up()


def canvas(probe: Probe) -> Pixels:
    """The canvas as the user sees it, in pixels of the screen: [height, width, RGB]."""
    address = probe.part("canvas").evaluate("canvas => canvas.toDataURL('image/png')")
    image = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
    return np.asarray(image.convert("RGB")).astype(np.int16)


def distance(one: Pixels, other: Pixels, *, by: int) -> Pixels:
    """How far each pixel of one picture is from the nearest in colour of those at most `by` pixels away in
    the other: Pillow sets letters on whole pixels, the browser between them.
    """
    shifts = [(x, y) for x in range(-by, by + 1) for y in range(-by, by + 1)]
    found: Pixels = np.min(
        [np.abs(one - np.roll(other, shift, (0, 1))).max(axis=2) for shift in shifts], axis=0
    )
    return found


def test_every_new_tool_makes_its_operation(bench: Notebook, probe: Probe) -> None:
    page = probe.page
    probe.part("tool-polygon").click()
    for corner in ((200, 60), (260, 40), (300, 90)):
        page.mouse.click(*probe.on_screen(*corner))
    page.keyboard.press("Enter")
    probe.part("tool-freehand").click()
    drag(probe, (60, 200), (120, 180), (150, 240), (60, 260), (60, 205))
    for number, tool in enumerate(("blur", "pixelate", "erase", "patch")):
        probe.part(f"tool-{tool}").click()
        drag(probe, (100 + 100 * number, 300), (160 + 100 * number, 360))
    bench.until("len(probe.stimulus.operations) == 6")
    polygon, mask, *effects, patch = bench.value("[op.to_dict() for op in probe.stimulus.operations]")
    assert polygon["op"] == "polygon" and polygon["points"] == [[200, 60], [260, 40], [300, 90]]
    assert mask["op"] == "polygon" and 4 <= len(mask["points"]) < 12
    assert [(op["op"], op["region"]) for op in effects] == [
        ("blur", [100, 300, 60, 60]),
        ("pixelate", [200, 300, 60, 60]),
        ("erase", [300, 300, 60, 60]),
    ]
    assert patch["source"] == [400, 300, 60, 60] and patch["image"] is None
    # The code that was drawn rebuilds it.
    again = "from isi_widget import *; import isi_widget as isi; scope = {}; exec(probe.code(), scope)"
    bench.execute(again)
    assert bench.value("any(value == probe.stimulus for value in scope.values())")


RED, BLUE, GREEN = "color='#e41a1c'", "color='#2166ac'", "color='#1a9850'"
SCENES = {
    "shapes": [
        f"box(20, 20, 120, 80, {RED})",
        f"box(170, 20, 120, 80, {RED}, fill=False, line_width=9)",
        f"box(330, 30, 120, 60, {RED}, angle=30)",
        f"ellipse(20, 130, 120, 80, {BLUE})",
        f"ellipse(170, 130, 120, 80, {BLUE}, fill=False, line_width=8, angle=60)",
        f"polygon([(330, 130), (450, 150), (420, 240), (370, 180)], {GREEN})",
        f"polygon([(20, 240), (140, 260), (100, 340)], {GREEN}, fill=False, line_width=6)",
        "line((170, 240), (300, 330), color='#000000', width=7)",
        "arrow((340, 380), (480, 270), color='#000000', width=5)",
    ],
    "texts": [
        "text(20, 20, 'Is it so?', size=48, color='#000000')",
        "text(20, 90, 'Is there a red star above the one below?', size=20, color='#000000')",
        "text(20, 120, 'Three lines, ill-lit:\\nAVATAR, Tomorrow\\nand so on', size=26, color='#000000')",
        "text(60, 230, 'gyp', size=60, color='#000000', angle=40)",
        "arrow((240, 340), (420, 200), color='#000000', width=5, label='Look', size=30)",
    ],
    "texts from right to left": [
        "text(20, 20, 'שלום (abc) 123!', size=44, color='#000000')",
        "text(20, 90, 'السلام عليكم', size=52, color='#000000')",
        "text(20, 170, 'See قطة, 3 of 4:\\nלא 12 (כן)', size=40, color='#000000')",
        "arrow((300, 400), (460, 300), color='#000000', width=5, label='كلب', size=30)",
    ],
    "masks": [
        "pixelate(20, mask(40, 40, 90, 70).grow(25))",
        "erase(mask(240, 60, 80, 60).grow(10).with_feather(14), fill='#ffd400')",
        "erase(mask(400, 40, 120, 100) - mask(430, 70, 60, 40))",
        "blur(6, mask(100, 240, 300, 120).with_feather(20))",
    ],
    "effects": [
        "pixelate(20, (20, 20, 200, 160))",
        "pixelate(16, [(300, 20), (560, 40), (420, 180)])",
        "erase((20, 220, 120, 80))",
        "erase([(180, 220), (320, 240), (250, 330)], fill='#ffd400')",
        "blur(6, (360, 220, 200, 120))",
        "patch((40, 230, 90, 60), 40, 360)",
    ],
}


@pytest.mark.parametrize("name", SCENES)
def test_what_the_page_draws_is_what_the_kernel_renders(bench: Notebook, probe: Probe, name: str) -> None:
    """While something is dragged the page draws everything itself; else it shows the kernel's picture."""
    expect(probe.part("overlay")).to_have_attribute("data-font", "kernel")
    empty = canvas(probe)
    before = probe.paints()
    bench.execute("mask = lambda *box: isi.Mask.from_box(obs.image.size, box)")
    bench.execute(f"probe.stimulus = obs.stimulus().{'.'.join(SCENES[name])}")
    probe.painted_since(before)
    expect(probe.part("shape-0")).to_be_attached()
    probe.page.wait_for_timeout(300)  # the kernel's picture comes after the document
    plain = canvas(probe)
    probe.part("tool-line").click()
    before = probe.paints()
    drag(probe, (2, 470), (12, 476), release=False)  # a short line in a corner
    probe.painted_since(before)
    probe.page.wait_for_timeout(100)
    own = canvas(probe)
    probe.page.keyboard.press("Escape")
    probe.page.mouse.up()
    rows = round(0.96 * len(plain))  # without the corner
    apart = distance(own, plain, by=1 if "texts" in name else 0)[:rows]
    drawn = np.abs(plain - empty).max(axis=2)[:rows]
    assert (drawn > 40).mean() > 0.002, "nothing was drawn: the comparison would mean nothing"
    # The kernel's picture comes as a JPEG: a little everywhere. Else only edges differ, by anti-aliasing.
    far = apart > 48
    inner = far[1:-1, 1:-1] & far[:-2, 1:-1] & far[2:, 1:-1] & far[1:-1, :-2] & far[1:-1, 2:]
    assert not inner.any(), f"{inner.sum()} pixels differ with all their neighbours"
    assert far.mean() < 0.004


def test_zoom_shows_the_pixels_and_drawing_hits_them(bench: Notebook, probe: Probe) -> None:
    probe.part("overlay").scroll_into_view_if_needed()
    probe.page.mouse.move(*probe.on_screen(320, 240))
    probe.page.keyboard.down("Control")
    for _ in range(2):
        probe.page.mouse.wheel(0, -460)  # some 25-fold
    probe.page.keyboard.up("Control")
    probe.page.wait_for_function(
        "overlay => Number(overlay.dataset.scale) > 12", arg=probe.part("overlay").element_handle()
    )
    probe.part("tool-box").click()
    drag(probe, (316.2, 236.1), (323.8, 243.9))
    bench.until("len(probe.stimulus.operations) == 1")
    x, y, width, height = bench.value(
        "[getattr(probe.stimulus.operations[0], n) for n in ('x', 'y', 'width', 'height')]"
    )
    assert (x, y, width, height) == (316, 236, 8, 8)
    # The pixels on the screen are those of the render, not of a JPEG.
    left, top = probe.on_screen(0, 0)
    box = probe.part("canvas").bounding_box()
    assert box is not None
    scale = float(probe.part("overlay").get_attribute("data-scale") or 0)
    part = "np.asarray(probe.stimulus.render())[232:248, 312:328].tolist()"
    bench.execute("import numpy as np")
    render = np.array(bench.value(part))

    def different() -> int:
        """How many of these pixels are not (yet) those of the render; they come a moment later."""
        seen, looked_at, wrong = canvas(probe), 0, 0
        for row in range(16):
            for column in range(16):
                x, y = left - box["x"] + (312.5 + column) * scale, top - box["y"] + (232.5 + row) * scale
                if x < seen.shape[1] and y < seen.shape[0]:  # in view
                    wrong += list(seen[int(y), int(x)]) != list(render[row, column])
                    looked_at += 1
        assert looked_at >= 144
        return wrong

    for _ in range(200):
        if different() == 0:
            break
        probe.page.wait_for_timeout(50)
    assert different() == 0
    probe.page.mouse.move(*probe.on_screen(318.5, 238.5))
    expect(probe.part("pixel")).to_contain_text("318, 238")
    expect(probe.part("pixel")).to_contain_text("#000000")


def test_python_follows_tool_and_selection(bench: Notebook, probe: Probe) -> None:
    probe.part("tool-box").click()
    bench.until("probe.tool == 'box'")
    probe.part("tool-select").click()
    bench.execute("probe.stimulus = obs.stimulus().box(10, 10, 50, 50).box(100, 10, 50, 50)")
    expect(probe.part("shape-1")).to_be_attached()
    drag(probe, (2, 2), (170, 80))
    bench.until("list(probe.selected) == [0, 1]")
    bench.execute("probe.selected = [1]")
    expect(probe.part("handle-se")).to_be_visible()
    bench.execute("probe.tool = 'ellipse'")
    expect(probe.part("tool-ellipse")).to_have_attribute("aria-pressed", "true")
