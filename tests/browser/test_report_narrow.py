"""The HTML report of a study on a telephone: no number is cut off, nothing is wider than the page."""

from __future__ import annotations

from pathlib import Path

import isi_widget as isi

_CUT_OFF = """() => [...document.querySelectorAll('td')]
  .filter((cell) => cell.scrollWidth > cell.clientWidth + 1).length"""


def test_intervals_are_whole_on_a_telephone(browser, tmp_path: Path) -> None:
    conditions = [isi.condition("plain"), isi.condition("noise").noise(0.5)]
    study = isi.run_study(isi.load_vlm(), isi.datasets.things()[:3], conditions, samples=2, progress=None)
    path = study.report(tmp_path / "study.html")
    context = browser.new_context(viewport={"width": 360, "height": 800})
    try:
        page = context.new_page()
        page.goto(path.resolve().as_uri())
        assert page.locator("td .quiet").count() > 10
        assert page.evaluate(_CUT_OFF) == 0
        assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    finally:
        context.close()
