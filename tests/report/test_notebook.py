"""In a real kernel: a trial shows its page, a plot is shown once, and what is saved needs no kernel."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

SETUP = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from made_trials import make_trial
from isi_widget.study.compare import Comparison
trial = make_trial()
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Outputs of each cell after the first, from the saved file."""
    cells = [
        SETUP,
        "trial",
        "trial.plot()",
        "figure = trial.plot()",
        "Comparison((trial, trial), ('a', 'b'))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    path = tmp_path_factory.mktemp("notebook") / "saved.ipynb"
    nbformat.write(notebook, path)
    saved = nbformat.read(path, as_version=4)
    return [cell["outputs"] for cell in saved["cells"][1:]]


def test_a_trial_and_a_comparison_are_saved_as_pages(outputs):
    for index, word in ((0, "Semantic entropy"), (3, "Same settings and seed")):
        (output,) = outputs[index]
        assert word in output["data"]["text/html"] and "image/jpeg;base64" in output["data"]["text/html"]
        assert output["data"]["text/plain"].startswith(("Trial(", "Comparison("))


def test_a_plot_is_shown_once_if_it_is_the_value_and_never_if_it_is_kept(outputs):
    assert ["image/png" in output["data"] for output in outputs[1]] == [True]
    assert outputs[2] == []
