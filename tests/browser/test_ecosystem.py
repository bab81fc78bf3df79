"""The probe outside of a running JupyterLab: in marimo, Notebook 7, saved notebooks, nbconvert's HTML.

Saved pages are opened with scripts switched off and without a network: what is seen then, is there.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from harness import ROOT, SECONDS, Lab, Notebook, Probe, serving
from looking import bring_axe, look_at
from nbconvert import HTMLExporter
from playwright.sync_api import Locator, Page, expect

APP = """
import marimo

app = marimo.App()

@app.cell
def _():
    import marimo as mo
    import isi_widget as isi
    probe = isi.Probe(isi.load_vlm(), isi.datasets.scenes()[0])
    view = mo.ui.anywidget(probe)
    view
    return mo, probe, view

@app.cell
def _(mo, probe, view):
    drawn = view.value["document"]["operations"]
    python = [operation.to_dict() for operation in probe.stimulus.operations]
    mo.md(f"drawn: {len(drawn)}, the same in Python: {python == drawn}, shown: {view.value['shown']}")
    return

if __name__ == "__main__":
    app.run()
"""


@contextmanager
def served(folder: Path, *command: str, answers: str, **environment: str) -> Iterator[str]:
    """`python -m command`, {port} filled in; gives its address once the path `answers` does."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    own = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment}
    with serving([sys.executable, "-m", *command], folder, {**os.environ, **own}, answers) as base:
        yield base


def installed(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install {package}")


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    """A window of its own."""
    context = browser.new_context(viewport={"width": 1300, "height": 1400})
    context.set_default_timeout(SECONDS * 1000)
    yield context.new_page()
    context.close()


def test_marimo_draws_runs_and_tells_its_cells(page: Page, tmp_path: Path) -> None:
    installed("marimo")
    (tmp_path / "app.py").write_text(APP)
    command = ["marimo", "--quiet", "--yes", "run", "app.py", "--headless", "--no-token", "--port", "{port}"]
    quiet = {"HOME": str(tmp_path), "MARIMO_SKIP_UPDATE_CHECK": "1"}
    with served(tmp_path, *command, answers="/health", **quiet) as base:
        page.goto(base)
        probe = Probe(page, page.get_by_test_id("isi-probe")).ready()
        assert probe.root.evaluate("root => root.getRootNode() instanceof ShadowRoot")
        expect(page.get_by_text("drawn: 0, the same in Python: True, shown: -1")).to_be_visible()
        probe.draw("box", (100, 80), (260, 200))
        expect(page.get_by_text("drawn: 1, the same in Python: True, shown: -1")).to_be_visible()
        probe.part("run-answer").click()
        probe.finished(1)
        expect(probe.part("answer")).not_to_be_empty()
        # Keys and the style sheet reach into the shadow.
        probe.root.focus()
        page.keyboard.press("o")
        expect(probe.part("tool-ellipse")).to_have_attribute("aria-pressed", "true")
        assert probe.part("body").evaluate("body => getComputedStyle(body).display") == "grid"
        page.keyboard.press("Escape")
        probe.part("undo").click()
        expect(page.get_by_text("drawn: 0, the same in Python: True")).to_be_visible()


def test_notebook_7_draws_runs_and_keeps_its_keys(page: Page, tmp_path: Path) -> None:
    installed("notebook")
    (tmp_path / "root").mkdir()
    options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port={port}"]
    options += ["--IdentityProvider.token=t", "--ServerApp.root_dir=root"]
    options += ["--JupyterNotebookApp.expose_app_in_browser=True"]
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    with served(tmp_path, "notebook", *options, answers="/api/status?token=t", **own) as base:
        name = Lab(tmp_path / "root", base, "t").notebook([CELLS[0], "probe = isi.Probe(vlm, obs)\nprobe"])
        notebook = Notebook(page, f"{base}/notebooks/{name}?token=t")
        notebook.load()
        notebook.run_all()
        probe = Probe(page, page.get_by_test_id("isi-probe")).ready()
        probe.draw("box", (100, 80), (260, 200))
        notebook.until("len(probe.stimulus.operations) == 1")
        probe.part("run-answer").click()
        probe.finished(1)
        expect(probe.part("answer")).to_have_text(notebook.value("probe.trial.answer.text"))
        probe.root.focus()
        for key in "bdd00xm":
            page.keyboard.press(key)
        count = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
        assert page.evaluate(count) == 2
        assert notebook.value("[len(probe.trials), 'vlm' in globals()]") == [1, True]


# ---- saved notebooks
CELLS = (
    "import isi_widget as isi\nvlm = isi.load_vlm()\nobs = isi.datasets.scenes()[0]\n"
    "s = obs.stimulus().box(100, 80, 160, 120)",
    "isi.run_trial(vlm, s, samples=3)",
    "isi.compare({'as it is': obs.stimulus(), 'covered': s}, vlm, samples=3)",
    "probe = isi.Probe(vlm, obs)\nprobe.stimulus = s\nprobe.run(samples=3)\nprobe",
)


class Saved(NamedTuple):
    """A notebook that JupyterLab ran and saved, with its widget state, and the answer of its trial."""

    book: nbformat.NotebookNode
    answer: str
    name: str


@pytest.fixture(scope="module")
def saved(lab: Lab, browser: Any) -> Saved:
    notebook = lab.open(browser, lab.notebook(CELLS))
    try:
        notebook.run_all()
        notebook.probe().ready()
        answer = notebook.value("vlm.answer(s, max_new_tokens=64).text")
        notebook.save()
        name = notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.path")
        return Saved(nbformat.read(lab.folder / name, as_version=4), answer, name)
    finally:
        notebook.close()


def without_widgets(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """As it is saved where the setting for widget state is off, and as GitHub and nbviewer take it."""
    copy = nbformat.reads(nbformat.writes(book), as_version=4)
    copy["metadata"].pop("widgets")
    return copy


def shows(trial: Locator, comparison: Locator, answer: str) -> None:
    """A trial and a comparison, with pictures and numbers."""
    for part in (trial, comparison):
        expect(part).to_contain_text(answer)
        expect(part).to_contain_text("Semantic entropy")
        for picture in part.locator("img").all():
            assert picture.evaluate("image => image.complete && image.naturalWidth > 50")
    expect(trial.locator("img")).to_have_count(1)
    expect(comparison.locator("img")).to_have_count(2)
    expect(comparison).to_contain_text("covered")


def test_nbconvert_html_needs_neither_scripts_nor_a_network(
    saved: Saved, browser: Any, tmp_path: Path
) -> None:
    book, answer, _ = saved
    html, _ = HTMLExporter().from_notebook_node(without_widgets(book))
    path = tmp_path / "page.html"
    path.write_text(html, "utf-8")
    page = browser.new_context(java_script_enabled=False, offline=True).new_page()
    try:
        page.goto(path.as_uri())
        trial = page.locator("div.isi-trial:not(.isi-kept *)")
        comparison = page.locator("div.isi-comparison")
        shows(trial, comparison, answer)
        bar = trial.locator("svg rect:not([opacity])").first
        assert bar.evaluate("bar => bar.getBoundingClientRect().width") > 1
        # The probe: its still, of the trial that it showed, and the strip.
        kept = page.locator("div.isi-kept")
        expect(kept).to_contain_text(answer)
        expect(kept.locator("img")).to_have_count(2)
        assert kept.locator("img").first.evaluate("image => image.complete && image.naturalWidth > 100")
    finally:
        page.context.close()


def test_with_widget_state_nbconvert_leaves_the_drawing_to_a_script(
    saved: Saved,
) -> None:
    """Known, and said in the docs: the script comes from the network. The still is there all the same."""
    html, _ = HTMLExporter().from_notebook_node(saved.book)
    assert html.count('<script type="application/vnd.jupyter.widget-view+json">') == 1
    assert html.count('<div class="isi-kept') == 1 and "isi-trial" in html


def test_a_saved_notebook_that_is_not_trusted_shows_its_results_without_a_kernel(
    saved: Saved, lab: Lab, browser: Any
) -> None:
    book, answer, _ = saved
    (lab.folder / "sent.ipynb").write_text(nbformat.writes(without_widgets(book)), "utf-8")
    notebook = lab.open(browser, "sent.ipynb")
    try:
        notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        cells = notebook.page.locator(".jp-NotebookPanel .jp-CodeCell")
        trusted = "() => window.jupyterapp.shell.currentWidget.content.widgets[1].model.trusted"
        assert notebook.page.evaluate(trusted) is False
        shows(
            cells.nth(1).locator(".jp-OutputArea-output"),
            cells.nth(2).locator(".jp-OutputArea-output"),
            answer,
        )
        picture = cells.nth(3).locator(".jp-OutputArea-output img").first
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.naturalWidth > 100")
    finally:
        notebook.close()


def test_a_saved_probe_without_a_kernel_is_seen_whole_and_passes_axe(
    saved: Saved, lab: Lab, browser: Any
) -> None:
    """With its widget state, in a trusted notebook: input and results to look at, no editor."""
    notebook = lab.open(browser, saved.name)
    try:
        probe = notebook.probe()
        expect(probe.part("still")).to_be_visible()
        expect(probe.part("answer")).to_have_text(saved.answer)
        assert probe.part("still").locator("canvas").evaluate("c => c.width > 100 && c.offsetWidth > 100")
        bring_axe(notebook.page)
        for width in ("", "320px"):
            probe.root.evaluate("(root, width) => { root.style.width = width; }", width)
            assert look_at(probe.root, "violations") == []
            assert look_at(probe.root, "sticksOut") == []
    finally:
        notebook.close()
