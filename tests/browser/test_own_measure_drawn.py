"""The measure of docs/add_your_measure.md on the page: a button of its own, a bar, and a text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from harness import ROOT, Notebook
from playwright.sync_api import expect


def test_a_measure_of_one_s_own_is_drawn(open_notebook: Callable[..., Notebook]) -> None:
    document = (ROOT / "docs" / "add_your_measure.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- measure -->\n```python\n(.*?)```", document, re.S)
    book = open_notebook(code, "probe = isi.Probe()\nprobe")
    book.run_all()
    probe = book.probe()
    expect(probe.part("run-words")).to_have_text("Words")
    probe.part("run-words").click()
    number = probe.part("measure-words-words")
    expect(number).to_be_visible()
    book.until("probe.trial is not None and len(probe.trial.results['words']) > 0")
    count = book.value("len(probe.trial.results['words'])")
    expect(number).to_contain_text(str(count))
    expect(number.locator(".isi-barbox")).to_be_visible()
    longest = book.value("max(probe.trial.results['words'], key=len)")
    expect(probe.part("measure-words-words_longest")).to_contain_text(str(longest))
    number.scroll_into_view_if_needed()
    if folder := os.environ.get("ISI_PICTURES"):
        probe.page.screenshot(path=str(Path(folder) / "own_measure.png"))
    probe.part("run").click()
    book.until("len(probe.trials) == 2 and list(probe.trial.results)[-1] == 'words'")
    expect(probe.part("measure-words-words")).to_be_visible()
