"""The code of docs/inside.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import isi_widget as isi

PAGE = Path(__file__).resolve().parents[2] / "docs" / "inside.md"


def test_the_code_of_the_page_runs():
    text = PAGE.read_text(encoding="utf-8")
    names = {"isi": isi, "vlm": isi.load_vlm(), "s": isi.datasets.scenes()[3].stimulus()}
    blocks = [
        block
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        if re.search(r"isi\.(trace|logit_lens|knockout_curve)\(", block)
    ]
    assert len(blocks) >= 3
    for block in blocks:
        exec(block, names)
