"""The Python of docs/concepts.md runs, and finds what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
