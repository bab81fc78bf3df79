"""The Python in docs/pairs.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import isi_widget as isi

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "pairs.md"


def test_the_examples_run():
    space = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S):
        exec(block, space)
    assert space["obs"].question == "Is the star blue?" and space["obs"].answer == "Yes"
    assert isinstance(space["tokens"], isi.TokenDifference) and space["tokens"].segments == ("image",)
    assert "ring" in space["found"].symmetric and space["pair"].inputs == ("question",)
    assert space["longer"].current_question == "Is the very large star blue?"
    assert isinstance(space["result"], isi.Beaf) and space["result"].count() >= 5
    assert list(space["curve"]["condition"]) == ["plain", "blur 4", "blur 16"]


def test_every_way_and_measure_is_documented():
    from isi_widget.datasets.scenes.changes import WAYS
    from isi_widget.study.before_after import MEASURES

    text = DOCUMENT.read_text(encoding="utf-8")
    for level, ways in WAYS.items():
        row = next(line for line in text.splitlines() if line.startswith(f'| `"{level}"`'))
        assert all(f'`"{way}"`' in row for way in ways)
    assert all(f"| {name.split()[0]}" in text for name in MEASURES)
