"""The Python of docs/concepts.md runs, and finds what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isi_widget as isi
from isi_widget.concepts import registry

TEXT = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def own_segmenters() -> Iterator[None]:
    before = dict(registry._KNOWN)
    yield
    registry._KNOWN.clear()
    registry._KNOWN.update(before)


def test_the_python_about_masks_runs() -> None:
    part = TEXT.split("\n## ")[1]
    space: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    assert len(blocks) == 3
    exec(blocks[0], space)
    found, exact = space["mask"], space["obs"].mask("pink star")
    assert (found & exact).area / (found | exact).area > 0.95
    for block in blocks[1:]:
        exec(block, space)
    assert space["mask"].area > 0 and list(space["obs"].masks)[2] == "pink star"


def test_the_python_about_edits_runs_and_changes_the_cross_only() -> None:
    part = next(part for part in TEXT.split("\n## ") if part.startswith("Edits"))
    space: dict[str, Any] = {"isi": isi}
    for block in re.findall(r"```python\n(.*?)```", part, re.DOTALL):
        exec(block, space)
    before = np.asarray(space["s"].render())
    for name in ("removed", "blue"):
        changed = (np.asarray(space["edited"][name].render()) != before).any(axis=2)
        assert changed.any() and not (changed & (space["cross"].alpha() == 0)).any()
