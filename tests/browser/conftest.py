"""One JupyterLab and one Chromium for all browser tests; a notebook of its own, or a fresh probe in a shared
one, for each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import NO_CHROMIUM, SECONDS, Lab, Notebook, Probe, chromium, find_chromium, jupyterlab
from playwright.sync_api import expect

SETUP = "import isi_widget as isi\nvlm = isi.load_vlm()\nobs = isi.datasets.scenes()[0]"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if find_chromium() is None:
        if os.environ.get("ISI_REQUIRE_BROWSER") == "1":
            pytest.fail(NO_CHROMIUM)
        pytest.skip(NO_CHROMIUM)
    expect.set_options(timeout=SECONDS * 1000)
    with chromium() as made:
        yield made


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Lab]:
    with jupyterlab(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture
def open_notebook(lab: Lab, browser: Any) -> Iterator[Callable[..., Notebook]]:
    """Opens notebooks, by their cells or by name, and closes them at the end."""
    opened: list[Notebook] = []

    def opener(*cells: str, name: str | None = None, **context: Any) -> Notebook:
        opened.append(lab.open(browser, name or lab.notebook(cells), **context))
        return opened[-1]

    yield opener
    for notebook in opened:
        notebook.close()


@pytest.fixture(scope="session")
def bench(lab: Lab, browser: Any) -> Iterator[Notebook]:
    """A notebook whose kernel has the model loaded, shared by many tests."""
    notebook = lab.open(browser, lab.notebook([SETUP, "probe = None"]))
    notebook.run_all()
    yield notebook
    notebook.close()


@pytest.fixture
def probe(bench: Notebook) -> Iterator[Probe]:
    """A fresh probe in the shared notebook."""
    bench.run_cell(1, "probe = isi.Probe(vlm, obs)\nprobe")
    bench.console.clear()
    made = bench.probe().ready()
    yield made
    bench.execute("probe.cancel(); probe.close()")
    assert not [line for line in bench.console if line.startswith("pageerror")]
