"""Takes the pictures of the probe for the docs: a real run in a real JupyterLab, light and dark, wide and
narrow.

Usage: python docs/make_pictures.py [folder]        (docs/pictures by default; needs Chromium)
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "browser"))
from harness import Lab, Notebook, Probe, chromium, jupyterlab  # noqa: E402

LIMIT = 300_000  # bytes of one picture
CELLS = (
    "import isi_widget as isi\n\nvlm = isi.load_vlm()\nobs = isi.datasets.things()[0]",
    "probe = isi.Probe(vlm, obs)\nprobe",
)
PANES = {"wide": (1400, 1520), "narrow": (640, 2820)}  # width of the probe, height of the window
_CHROME = (
    200  # pixels left and right of an output, in JupyterLab without its side bars; measured, then corrected
)


def save(png: bytes, path: Path) -> None:
    """Write a PNG with a palette of 256 colours: a quarter of the size, and no difference that one sees.

    Half of the palette are the frequent colours (MEDIANCUT), half are all kinds of colours (MAXCOVERAGE), so
    that small spots, such as those of the segments, keep theirs.
    """
    image = Image.open(io.BytesIO(png)).convert("RGB")
    halves = (
        image.quantize(128, method) for method in (Image.Quantize.MEDIANCUT, Image.Quantize.MAXCOVERAGE)
    )
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for half in halves for value in half.getpalette() or ()])
    image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    size = path.stat().st_size
    if size > LIMIT:
        raise SystemExit(f"{path} has {size} bytes, more than {LIMIT}.")
    print(f"{path}  {image.width} x {image.height}  {size // 1000} KB")


def use(notebook: Notebook) -> Probe:
    """Do the first steps: run, cover the object with a box, run again."""
    notebook.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    notebook.run_all()
    probe = notebook.probe().ready()
    probe.part("run").click()
    probe.finished(1)
    thing = notebook.value("obs.metadata['things'][obs.metadata['about'][0]]")
    x, y, reach = thing["x"], thing["y"], thing["radius"] + 16
    probe.draw("box", (x - reach, y - reach), (x + reach, y + reach))
    notebook.until("len(probe.stimulus.operations) == 1")
    probe.part("run").click()
    probe.finished(2)
    probe.part("cluster-0-toggle").click()
    return probe


def select(notebook: Notebook, probe: Probe) -> bytes:
    """Select the object that the question is about; the picture with the bar beside the selection."""
    notebook.execute("probe.stimulus = obs.stimulus()")
    thing = notebook.value("obs.metadata['things'][obs.metadata['about'][0]]")
    x, y, reach = thing["x"], thing["y"], thing["radius"] + 16
    probe.part("tool-segment").click()
    probe.drag((x - reach, y - reach), (x + reach, y + reach))
    probe.part("edge-toggle").click()
    probe.part("feather").fill("10")
    probe.part("feather").press("Enter")
    probe.part("selection-rim").wait_for(state="attached")
    notebook.page.mouse.move(2, 2)
    probe.ready()
    return probe.root.locator(".isi-canvas").screenshot()


def resize(notebook: Notebook, probe: Probe, width: int, height: int) -> None:
    """Make the window so wide that the probe has `width` pixels."""
    page = notebook.page
    page.set_viewport_size({"width": width + _CHROME, "height": height})
    for _ in range(3):
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        box = probe.root.bounding_box()
        assert box is not None
        wanted = (page.viewport_size or {"width": 0})["width"] + width - round(box["width"])
        page.set_viewport_size({"width": wanted, "height": height})
    probe.ready()


def edit(notebook: Notebook, probe: Probe) -> None:
    """Remove the thing of the question and run again: the strip has the answers before and after."""
    notebook.execute("probe.stimulus = obs.stimulus()")
    notebook.until("probe.stimulus.operations == ()")
    thing = notebook.value("obs.metadata['things'][obs.metadata['about'][0]]")
    x, y, reach = thing["x"], thing["y"], thing["radius"] + 8
    probe.part("tool-segment").click()
    probe.drag((x - reach, y - reach), (x + reach, y + reach))
    probe.part("act-remove").click()
    notebook.until("any(getattr(op, 'pixels', None) for op in probe.stimulus.operations)")
    probe.part("run").click()
    probe.finished(3)


def inside(notebook: Notebook, probe: Probe) -> bytes:
    """Switch one head off and run: the panel "Inside" with the contribution of each head to the answer."""
    notebook.execute("probe.stimulus = obs.stimulus()")
    notebook.until("probe.stimulus.operations == ()")
    probe.part("run").click()
    probe.finished(4)
    probe.part("inside-toggle").click()
    probe.part("inside-contribution").click()
    probe.part("inside-scatter").wait_for(state="attached")
    probe.part("inside-matrix").locator("[data-at='1,0']").click()
    notebook.page.mouse.move(2, 2)
    probe.ready()
    return probe.part("inside").screenshot()


STUDY = (
    "import isi_widget as isi\n\nvlm = isi.load_vlm()\ndata = isi.datasets.things()",
    "conditions = [\n    isi.condition('plain'),\n"
    "    isi.condition('noise').noise(isi.grid(sigma=[.1, .3, .6])),\n"
    "    isi.condition('contradictory context').with_context(preset='contradictory'),\n]\n"
    "study = isi.run_study(vlm, data, conditions, samples=3, wait=False)\nstudy",
)


def study(lab: Lab, browser: Browser, folder: Path) -> None:
    """Run a study in its live view: in the middle, and at the end with its wrong rows."""
    notebook = lab.open(browser, lab.notebook(STUDY), viewport={"width": 1240, "height": 1600})
    page = notebook.page
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    notebook.run_all()
    view = page.get_by_test_id("isi-study")
    notebook.until("study._run.progress().done > 150", seconds=300)
    page.mouse.move(2, 2)
    save(view.screenshot(), folder / "study-running-light.png")
    notebook.until("study._run.state == 'finished'", seconds=600)
    view.get_by_text("over 100 observations").wait_for()
    view.get_by_test_id("plot").wait_for()
    view.get_by_test_id("show-wrong").click()
    page.wait_for_function("() => document.querySelector('[data-testid=rows]').dataset.waiting === 'false'")
    page.mouse.move(2, 2)
    save(view.screenshot(), folder / "study-light.png")
    notebook.close()


def shoot(lab: Lab, browser: Browser, folder: Path) -> None:
    """All pictures, from one notebook."""
    notebook = lab.open(browser, lab.notebook(CELLS), viewport={"width": 1600, "height": 1250})
    probe = use(notebook)
    for theme in ("dark", "light"):
        name = "JupyterLab Dark" if theme == "dark" else "JupyterLab Light"
        notebook.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", name
        )
        notebook.page.wait_for_function(
            "([root, theme]) => root.dataset.theme === theme", arg=[probe.root.element_handle(), theme]
        )
        for pane, (width, height) in PANES.items():
            resize(notebook, probe, width, height)
            notebook.page.mouse.move(2, 2)
            save(probe.root.screenshot(), folder / f"probe-{pane}-{theme}.png")
        if theme == "light":
            notebook.page.set_viewport_size({"width": 1500, "height": 1300})
            probe.ready()
            save(notebook.page.screenshot(), folder / "jupyterlab.png")
    edit(notebook, probe)
    resize(notebook, probe, *PANES["wide"])
    notebook.page.mouse.move(2, 2)
    save(probe.root.screenshot(), folder / "probe-edit-light.png")
    save(select(notebook, probe), folder / "selection-light.png")
    save(inside(notebook, probe), folder / "inside-light.png")
    notebook.close()
    study(lab, browser, folder)


def main() -> None:
    """Take them all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        chromium() as browser,
        jupyterlab(Path(temporary)) as lab,
    ):
        shoot(lab, browser, folder)


if __name__ == "__main__":
    main()
