"""Takes the pictures of docs/gallery.md: the probe's tools and panels in a real JupyterLab, light and dark.

Usage: python docs/make_gallery.py [folder]        (docs/pictures by default; needs Chromium)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from make_pictures import CELLS, HERE, resize, save
from playwright.sync_api import Locator

sys.path.insert(0, str(HERE.parent / "tests" / "browser"))
from harness import Notebook, Probe, chromium, jupyterlab

#: Shown in one theme only.
ONE_THEME = {"swipe": "light", "difference": "dark", "keys": "dark", "attention": "light", "compare": "light"}


class Hand:
    """What a user does with mouse and keys, in pixels of the image."""

    def __init__(self, notebook: Notebook, probe: Probe) -> None:
        self.notebook, self.probe, self.page = notebook, probe, notebook.page

    def draw(self, tool: str, *points: tuple[float, float]) -> None:
        """Take a tool and drag it over some points."""
        before = self.probe.part("layers").locator("li").count()
        self.probe.part(f"tool-{tool}").click()
        first, *others = (self.probe.on_screen(*point) for point in points)
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for point in others:
            self.page.mouse.move(*point, steps=4)
        self.page.mouse.up()
        self.page.wait_for_function(
            "([root, n]) => root.querySelectorAll('[data-testid=layers] li').length > n",
            arg=[self.probe.root.element_handle(), before],
        )

    def write(self, text: str) -> None:
        """Type into the field over the picture."""
        field = self.probe.part("text-input")
        field.fill(text)
        field.press("Enter")
        field.wait_for(state="detached")

    def rest(self) -> None:
        """Let the kernel's picture come."""
        self.page.mouse.move(2, 2)
        self.page.wait_for_timeout(700)


def tools(hand: Hand) -> None:
    """Something of everything on one picture."""
    probe, page = hand.probe, hand.page
    hand.draw("box", (30, 30), (120, 90))
    turn = probe.part("handle-turn").bounding_box()
    assert turn is not None
    page.mouse.move(turn["x"] + turn["width"] / 2, turn["y"] + turn["height"] / 2)
    page.mouse.down()
    page.mouse.move(turn["x"] + 45, turn["y"] + 25, steps=4)
    page.mouse.up()
    hand.draw("freehand", (470, 60), (560, 40), (600, 110), (540, 160), (470, 120), (468, 64))
    hand.draw("blur", (130, 190), (230, 270))
    hand.draw("pixelate", (240, 190), (330, 270))
    probe.part("tool-noise").click()
    probe.part("lasso").check()
    hand.draw("noise", (170, 290), (280, 290), (270, 370), (160, 370), (170, 292))
    hand.draw("arrow", (430, 280), (350, 130))
    page.mouse.dblclick(*probe.on_screen(390, 205))
    hand.write("what is this?")


def shots(notebook: Notebook, folder: Path, theme: str) -> None:
    probe = notebook.probe()

    def shoot(part: Locator, name: str) -> None:
        hand.rest()
        if ONE_THEME.get(name, theme) == theme:
            save(part.screenshot(), folder / f"gallery-{name}-{theme}.png")

    notebook.run_cell(1)
    probe = notebook.probe().ready()
    hand = Hand(notebook, probe)
    resize(notebook, probe, 1180, 1300)
    tools(hand)
    left = probe.root.locator(".isi-left")
    shoot(left, "tools")
    for name in ("swipe", "difference"):
        probe.part(f"show-{name}").click()
        shoot(probe.part("stage"), name)
    probe.part("show-after").click()
    probe.root.press("Escape")
    probe.part("help").click()
    shoot(probe.part("keys"), "keys")
    probe.root.press("Escape")
    notebook.execute("probe.stimulus = obs.stimulus()")
    probe.part("run").click()
    probe.finished(1)
    shoot(probe.part("results"), "results")
    probe.part("answer").locator("[data-token]").first.click()
    shoot(left.locator(".isi-canvas"), "attention")
    notebook.execute("probe.stimulus = obs.stimulus().box(48, 322, 140, 140)")
    probe.part("run").click()
    probe.finished(2)
    for trial in (1, 2):
        probe.part(f"trial-{trial}-pin").click()
    probe.part("compare").click()
    shoot(probe.part("compare-panel"), "compare")


def main() -> None:
    """Take them all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        chromium() as browser,
        jupyterlab(Path(temporary)) as lab,
    ):
        notebook = lab.open(browser, lab.notebook(CELLS), viewport={"width": 1600, "height": 1300})
        notebook.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
        notebook.run_all()
        for theme in ("light", "dark"):
            name = f"JupyterLab {theme.title()}"
            notebook.page.evaluate(
                "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", name
            )
            shots(notebook, folder, theme)
        notebook.close()


if __name__ == "__main__":
    main()
