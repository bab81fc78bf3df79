"""Stimuli and data sets work without torch and the other heavy libraries."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "matplotlib", "pandas", "IPython", "ipywidgets")
PROGRAM = f"""
import sys
import numpy as np
import isi_widget.stimulus, isi_widget.datasets
obs = isi_widget.datasets.Observation(np.zeros((8, 8, 3), np.uint8), "q", answer=True)
s = obs.stimulus().box(1, 1, 3, 3).text(0, 0, "a").noise(0.1)
assert type(s).from_json(s.to_json()) == s and s.render().size == (8, 8) and s.code()
scenes = isi_widget.datasets.scenes()
import isi_widget.datasets.scenes.graph
assert isi_widget.datasets.scenes() is not None  # the function, not the package of that name
scenes[3].stimulus().render()
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_no_heavy_library_is_imported() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
