"""A real JupyterLab and a real Chromium, for tests and for the pictures of the docs. Knows nothing of pytest.

Nothing of the user's own set-up is read or written: settings, workspaces and kernels live in a temporary
folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import nbformat
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

_POSITIVE = re.compile(r"^\d*\.?\d*[1-9]")
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120  # for one step: generous, since tests share two cores with whatever else runs
NO_CHROMIUM = (
    "no Chromium found for the browser tests: `sudo apt install chromium`, `brew install --cask chromium` or "
    "`python -m playwright install chromium`; or set ISI_CHROMIUM to its path"
)

_OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True},
}
#: Nothing but what keeps it from asking the network for news.
DEFAULTS = {name: settings for name, settings in _OVERRIDES.items() if name.endswith(":notification")}
_CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str | None:
    """Path of a Chromium: ISI_CHROMIUM, one on the PATH, or Playwright's own."""
    named = os.environ.get("ISI_CHROMIUM")
    if named:
        return named
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        found = shutil.which(name)
        if found:
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    path = find_chromium()
    if path is None:
        raise FileNotFoundError(NO_CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=_CHROMIUM_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Lab:
    """A running JupyterLab server."""

    def __init__(self, folder: Path, base: str, token: str) -> None:
        self.folder, self.base, self.token = folder, base, token

    def notebook(self, cells: Sequence[str]) -> str:
        """Write a notebook of code cells; returns its name."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        name = f"{uuid.uuid4().hex[:8]}.ipynb"
        nbformat.write(book, self.folder / name)
        return name

    def copy(self, path: Path) -> str:
        """Copy a notebook there; returns its name."""
        name = f"{uuid.uuid4().hex[:8]}-{path.name}"
        shutil.copy(path, self.folder / name)
        return name

    def open(self, browser: Browser, name: str, **context: Any) -> Notebook:
        """Open a notebook in a browser context of its own and wait for its kernel."""
        made = browser.new_context(**{"viewport": {"width": 1500, "height": 1100}, **context})
        made.set_default_timeout(SECONDS * 1000)
        notebook = Notebook(
            made.new_page(), f"{self.base}/lab/workspaces/{uuid.uuid4().hex}/tree/{name}?token={self.token}"
        )
        notebook.load()
        return notebook


@contextmanager
def jupyterlab(folder: Path, overrides: dict[str, Any] | None = None) -> Iterator[Lab]:
    """A JupyterLab whose root and whole configuration are in `folder`; `overrides` of its settings: those for
    tests, unless given.
    """
    root = folder / "root"
    names = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    environment = {
        **os.environ,
        **{f"JUPYTER_{name}": str(folder / name.lower()) for name in names},
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    for path in (root, folder / "config_dir" / "labconfig"):
        path.mkdir(parents=True)
    (folder / "config_dir" / "labconfig" / "default_setting_overrides.json").write_text(
        json.dumps(_OVERRIDES if overrides is None else overrides)
    )
    token = uuid.uuid4().hex
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={root}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
    ]
    with serving(command, folder, environment, f"/api/status?token={token}") as base:
        yield Lab(root, base, token)


@contextmanager
def serving(
    command: Sequence[str], folder: Path, environment: dict[str, str], answers: str, tries: int = 3
) -> Iterator[str]:
    """Run a server, {port} in its command filled in; give its address once the path `answers` does.

    Its port is free when it is chosen; if another process takes it before the server does, the server ends,
    and another port is tried.
    """
    log = folder / "server.log"
    for left in reversed(range(tries)):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        line = [part.replace("{port}", str(port)) for part in command]
        with log.open("w") as out:
            server = subprocess.Popen(line, env=environment, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
        try:
            if _answers(f"http://127.0.0.1:{port}{answers}", server):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        if not left:
            raise RuntimeError(f"{command[2]} did not start:\n{log.read_text()[-3000:]}")


def _answers(url: str, server: subprocess.Popen[bytes]) -> bool:
    """Wait until a server answers; return False if it ends or never does."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return True
        except OSError:
            time.sleep(0.1)  # there is no other sign of a server that is starting
    return False


_READY = """async () => {
  const app = window.jupyterapp;
  await app.restored;
  const panel = app.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
}"""
_RUN_CELL = """async ([index, source, wait]) => {
  const app = window.jupyterapp, panel = app.shell.currentWidget;
  panel.content.activeCellIndex = index;
  panel.content.deselectAll();
  if (source !== null) panel.content.activeCell.model.sharedModel.setSource(source);
  const done = app.commands.execute('notebook:run-cell');
  if (wait) await done;
}"""
_EXECUTE = """async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code, store_history: false, stop_on_error: false });
  let out = '', error = null;
  future.onIOPub = (message) => {
    if (message.header.msg_type === 'stream') out += message.content.text;
    if (message.header.msg_type === 'error') error = message.content.traceback.join('\\n');
  };
  await future.done;
  return { out, error };
}"""
_FINISHED = """([root, trial]) => {
  const error = root.querySelector('[data-testid=error]');
  return root.querySelector('[data-testid=results]')?.dataset.trial === trial || (error && !error.hidden);
}"""
# By the cells: the status of the kernel is that of its sub-shells, too, which answer the page while a cell
# runs.
_RUNNING = """(running) => window.jupyterapp.shell.currentWidget.content.widgets
  .some((cell) => cell.inputArea?.promptNode?.textContent.includes('*')) === running"""
_ERRORS = """(index) => window.jupyterapp.shell.currentWidget.content.widgets
  .filter((_, i) => index === null || i === index)
  .flatMap((cell) => (cell.model.sharedModel.outputs ?? []))
  .filter((output) => output.output_type === 'error')
  .map((output) => `${output.ename}: ${output.evalue}`)"""


class Notebook:
    """An open notebook: its cells, its kernel, and the probes in its outputs."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.console: list[str] = []
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.console.append(f"pageerror: {error}"))

    def load(self) -> None:
        """Load the page (again) and wait until notebook and kernel are ready."""
        self.page.goto(self.url)
        self.page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext")
        self.page.evaluate(_READY)

    def save(self) -> None:
        """Save the notebook."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def close(self) -> None:
        """Shut the kernel down and close the window."""
        try:
            self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        finally:
            self.page.context.close()

    def run_all(self) -> None:
        """Run every cell; an error output is an assertion error."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        assert self.errors() == []

    def run_cell(self, index: int, source: str | None = None, wait: bool = True) -> None:
        """Run one cell, with a new source if one is given."""
        self.page.evaluate(_RUN_CELL, [index, source, wait])
        if wait:
            assert self.errors(index) == []

    def busy(self) -> None:
        """Wait until a cell runs."""
        self.page.wait_for_function(_RUNNING, arg=True)

    def idle(self) -> None:
        """Wait until no cell runs."""
        self.page.wait_for_function(_RUNNING, arg=False)

    def errors(self, index: int | None = None) -> list[str]:
        """The error outputs of the cells, or of one cell."""
        found: list[str] = self.page.evaluate(_ERRORS, index)
        return found

    def execute(self, code: str) -> str:
        """Run code in the kernel, beside the cells; returns what it printed."""
        reply = self.page.evaluate(_EXECUTE, code)
        assert reply["error"] is None, reply["error"]
        return str(reply["out"])

    def value(self, expression: str) -> Any:
        """The value of a Python expression in the kernel, through JSON."""
        return json.loads(self.execute(f"import json as _json; print(_json.dumps({expression}))"))

    def until(self, expression: str, seconds: float = SECONDS) -> Any:
        """Wait until a Python expression is true in the kernel; returns its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.value(expression)
            if found:
                return found
            self.page.wait_for_timeout(20)  # messages of the page may take another thread than ours
        raise AssertionError(f"never true in the kernel: {expression}; the page: {self.console[-5:]}")

    def probe(self, nth: int = 0) -> Probe:
        """The nth view of a probe in the outputs."""
        panel = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        return Probe(self.page, panel.get_by_test_id("isi-probe").nth(nth))


class Probe:
    """One view of a probe."""

    def __init__(self, page: Page, root: Locator) -> None:
        self.page, self.root = page, root

    def part(self, name: str) -> Locator:
        """A part by its data-testid."""
        return self.root.get_by_test_id(name)

    def ready(self) -> Probe:
        """Wait until the picture is painted."""
        self.root.scroll_into_view_if_needed()
        expect(self.part("overlay")).to_be_visible()
        self.page.wait_for_function("root => Number(root.dataset.paints) > 0", arg=self.root.element_handle())
        expect(self.part("overlay")).to_have_attribute("data-scale", _POSITIVE)
        return self

    def paints(self) -> int:
        """How often this view has painted."""
        return int(self.root.get_attribute("data-paints") or 0)

    def painted_since(self, before: int) -> None:
        """Wait for a further paint."""
        self.page.wait_for_function(
            "([root, before]) => Number(root.dataset.paints) > before",
            arg=[self.root.element_handle(), before],
        )

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the original image is on the screen."""
        overlay = self.part("overlay")
        box = overlay.bounding_box()
        assert box is not None
        scale, dx, dy = (float(overlay.get_attribute(f"data-{name}") or 0) for name in ("scale", "x", "y"))
        # the page may be shown larger or smaller than it is laid out
        shown = box["width"] / overlay.evaluate("overlay => parseFloat(getComputedStyle(overlay).width)")
        return box["x"] + (dx + x * scale) * shown, box["y"] + (dy + y * scale) * shown

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, move and release the mouse, in pixels of the original image."""
        self.part("overlay").scroll_into_view_if_needed()
        mouse = self.page.mouse
        (x0, y0), (x1, y1) = self.on_screen(*start), self.on_screen(*end)
        mouse.move(x0, y0)
        mouse.down()
        mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
        mouse.move(x1, y1)
        mouse.up()

    def draw(self, tool: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Take a tool and draw with it."""
        before = self.part("layers").locator("li").count()
        self.part(f"tool-{tool}").click()
        self.drag(start, end)
        expect(self.part(f"layer-{before}")).to_be_attached()

    def finished(self, trial: int) -> None:
        """Wait until a trial is shown that is of the present input; an error on the page ends the wait."""
        self.page.wait_for_function(_FINISHED, arg=[self.root.element_handle(), str(trial)])
        told = self.part("error-message")
        assert not told.is_visible(), f"{told.inner_text()} {self.part('error-hint').all_inner_texts()}"
        expect(self.part("results")).to_have_attribute("data-trial", str(trial))
        expect(self.part("status")).to_have_attribute("data-state", "current")
