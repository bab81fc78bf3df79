"""Asks a page what looking.js can tell of an element, and brings axe-core into it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, Probe
from playwright.sync_api import Locator, Page

_AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
#: What opens a pop-over, and the pop-over; some are there with results only.
POPOVERS = {
    "observation-picker": "observation-list",
    "model": "model-list",
    "settings": "settings-panel",
    "help": "keys",
    "copy-code": "code-panel",
}
WITH_RESULTS = {**POPOVERS, "export": "export-panel", "compare": "compare-panel"}
_LOOKS = Path(__file__).with_suffix(".js").read_text("utf-8").partition("\n")[2]


def look_at(element: Locator, what: str, *arguments: Any) -> Any:
    """One of the looks of looking.js."""
    return element.evaluate(f"(e, args) => ({_LOOKS}).{what}(e, ...args)", list(arguments))


def bring_axe(page: Page) -> None:
    """Make `axe` known to a page; without it the test is skipped, or fails where nothing may be."""
    if not _AXE.exists():
        message = "axe-core is not installed: run `npm ci` first (`make test` does)"
        (pytest.fail if os.environ.get("ISI_REQUIRE_BROWSER") == "1" else pytest.skip)(message)
    page.evaluate(_AXE.read_text("utf-8"))


def settle(probe: Probe) -> None:
    """Until observers of the size have run and what they changed is laid out."""
    frame = "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))"
    probe.page.evaluate(f"() => new Promise((done) => {frame})")


def resize(probe: Probe, width: int | None) -> None:
    """The probe in a cell of this width; None: as wide as the cell is."""
    probe.root.evaluate(
        "(root, width) => { root.style.width = width; }", "" if width is None else f"{width}px"
    )
    settle(probe)
