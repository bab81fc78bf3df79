"""The Python in docs/studies.md runs as it stands, and its table of columns is complete."""

from __future__ import annotations

import re
from pathlib import Path

import isi_widget as isi
from isi_widget.study.rows import FIRST, LAST

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "studies.md"


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S):
        exec(block, space)
    study = space["study"]
    assert len(study) == 6 * 6 * 2 and not len(study.failed)
    assert "isi.run_study(vlm, data, conditions, samples=4" in capsys.readouterr().out
    assert isi.open_study("runs/a") == study
    assert space["told"](space["data"][0]).current_context
    assert len(space["marked"](isi.datasets.scenes()[0]).operations) >= 1


def test_every_column_is_documented():
    text = DOCUMENT.read_text(encoding="utf-8").split("## The store")[1]
    kinds = {"answers": "list of {text str", "texts": "list of str"}
    for name, kind in {**FIRST, **LAST}.items():
        (line,) = [
            line for line in text.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]
        ]
        assert kinds.get(kind, kind) in line.split("|")[2], name
