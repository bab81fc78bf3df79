"""The Python in docs/live_view.md runs as it stands, and what its table names exists."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import isi_widget as isi
from isi_widget.study.live import Run
from isi_widget.widget import StudyView
from isi_widget.widget.study.pages import SIZE

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "live_view.md").read_text(encoding="utf-8")
BEGIN, GO_ON = re.findall(r"```python\n(.*?)```", TEXT, re.S)


def test_the_examples_run(monkeypatch):
    row = Run.row

    def held(run, *given, **named):
        """After the first rows it waits until it is stopped, so that no machine is too slow to stop it."""
        row(run, *given, **named)
        while run._fresh == 3 and not run.stopping():
            time.sleep(0.01)

    monkeypatch.setattr(Run, "row", held)
    space = {}
    exec(BEGIN, space)
    study = space["study"]
    assert isinstance(study, isi.Study) and study.running
    study.cancel()
    assert study.wait(120)
    finished = len(study)
    monkeypatch.setattr(Run, "row", row)
    error = RuntimeError()
    error.study = study
    monkeypatch.setattr(sys, "last_value", error, raising=False)
    exec(GO_ON, space)
    assert study.wait(120) and len(study) == 5 * 6 > finished


def test_names_in_the_table_exist():
    for name in re.findall(r"`(?:study|view)\.(\w+)", TEXT):
        assert hasattr(isi.Study, name) or hasattr(StudyView, name), name
    assert f"{SIZE} at a time" in TEXT
