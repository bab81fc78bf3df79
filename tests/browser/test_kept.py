"""A probe in a notebook that is saved, closed and opened again, with JupyterLab's own settings: its still is
seen, and only where the widget is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from harness import DEFAULTS, SECONDS, Lab, Notebook, jupyterlab
from nbconvert import HTMLExporter
from playwright.sync_api import Locator, Page, expect

CELLS = (
    "import isi_widget as isi\nvlm = isi.load_vlm()",
    "probe = isi.Probe(vlm, isi.datasets.scenes()[3])\nprobe",
)
_HTML = """() => window.jupyterapp.shell.currentWidget.content.widgets[1].model.sharedModel.outputs
  .map((output) => output.data?.['text/html'] ?? '').flat().join('')"""


@pytest.fixture(scope="module")
def plain_lab(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Lab]:
    with jupyterlab(tmp_path_factory.mktemp("plain"), DEFAULTS) as made:
        yield made


@pytest.fixture(scope="module")
def answer_and_name(plain_lab: Lab, browser: Any) -> tuple[str, str]:
    """A notebook as it was saved after two runs: the answer, and its name."""
    name = plain_lab.notebook(CELLS)
    notebook = plain_lab.open(browser, name)
    try:
        notebook.run_all()
        probe = notebook.probe().ready()
        # while the widget lives nothing is there twice, for no reader
        kept = notebook.page.locator(".isi-kept")
        expect(kept).to_have_count(1)
        expect(kept).to_be_hidden()
        probe.draw("box", (60, 40), (220, 200))
        for number, button in enumerate(("run", "run-answer"), start=1):
            probe.part(button).click()
            probe.finished(number)
        answer = notebook.value("probe.trial.answer.text")
        until(notebook.page, _HTML, "Trial 2 says", lambda html: html.count("<img") == 3)
        expect(kept).to_be_hidden()
        # after the page is loaded again the widget comes back from its kernel, and goes on keeping
        notebook.save()
        notebook.load()
        probe = notebook.probe().ready()
        expect(kept).to_be_hidden()
        probe.part("run-answer").click()
        probe.finished(3)
        until(notebook.page, _HTML, "a third trial", lambda html: html.count("<img") == 4)
        expect(kept).to_be_hidden()
        probe = notebook.probe().ready()
        notebook.save()
    finally:
        notebook.close()
    return answer, name


def until(page: Page, expression: str, what: str, fits: Any, seconds: float = SECONDS) -> str:
    for _ in range(int(seconds * 20)):
        found: str = page.evaluate(expression)
        if fits(found):
            return found
        page.wait_for_timeout(50)
    raise AssertionError(f"{what} never came: {found[:200]}")


def shows(kept: Locator, answer: str) -> None:
    """The picture, the texts, the answer, bars and the strip are there to be seen."""
    expect(kept).to_be_visible()
    for part in (answer, "Answer", "Run All Above Selected Cell"):
        expect(kept).to_contain_text(part)
    pictures = kept.locator("img")
    expect(pictures).to_have_count(4)  # the shown trial, and three in the strip
    for picture in pictures.all():
        assert picture.evaluate("image => image.complete && image.naturalWidth > 20")


def test_reopened_in_a_new_kernel_and_with_none(
    plain_lab: Lab, browser: Any, answer_and_name: tuple[str, str], tmp_path: Path
) -> None:
    answer, name = answer_and_name
    notebook = plain_lab.open(browser, name)
    try:
        cell = notebook.page.locator(".jp-NotebookPanel .jp-CodeCell").nth(1)
        kept = cell.locator(".isi-kept")
        shows(kept, answer)
        expect(cell.get_by_text("Error displaying widget")).to_be_hidden()
        expect(cell.locator(".isi-probe")).to_have_count(0)
        # the probe again: the still goes
        notebook.run_all()
        notebook.probe().ready()
        expect(cell.locator(".isi-kept")).to_be_hidden()
    finally:
        notebook.close()


def test_not_trusted(plain_lab: Lab, browser: Any, answer_and_name: tuple[str, str]) -> None:
    answer, name = answer_and_name
    book = nbformat.read(plain_lab.folder / name, 4)
    book.cells.append(nbformat.v4.new_markdown_cell("from elsewhere"))
    for cell in book.cells:
        cell.metadata.pop("trusted", None)
    book.cells[1].source += "  # another notebook, which nobody has signed"
    (plain_lab.folder / "elsewhere.ipynb").write_text(nbformat.writes(book), "utf-8")
    notebook: Notebook = plain_lab.open(browser, "elsewhere.ipynb")
    try:
        trusted = "() => window.jupyterapp.shell.currentWidget.content.widgets[1].model.trusted"
        assert notebook.page.evaluate(trusted) is False
        cell = notebook.page.locator(".jp-NotebookPanel .jp-CodeCell").nth(1)
        expect(cell.get_by_text("Error displaying widget")).to_have_count(0)
        output = cell.locator(".jp-OutputArea-output", has_text="Run All Above Selected Cell")
        shows(output, answer)
    finally:
        notebook.close()


def test_converted(plain_lab: Lab, browser: Any, answer_and_name: tuple[str, str], tmp_path: Path) -> None:
    answer, name = answer_and_name
    html, _ = HTMLExporter().from_filename(str(plain_lab.folder / name))
    file = tmp_path / "book.html"
    file.write_text(html, "utf-8")
    for scripts in (True, False):
        context = browser.new_context(java_script_enabled=scripts, offline=True)
        page = context.new_page()
        try:
            page.goto(file.as_uri(), wait_until="domcontentloaded")
            expect(page.locator(".isi-kept")).to_have_count(1)
            expect(page.locator(".isi-kept")).to_be_visible()
            expect(page.locator(".isi-kept")).to_contain_text(answer)
        finally:
            context.close()
