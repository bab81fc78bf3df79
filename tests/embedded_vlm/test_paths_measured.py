"""docs/make_paths.py measures what docs/inside.md states about the path of information."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import isi_widget as isi

SCRIPT = Path(__file__).parents[2] / "docs" / "make_paths.py"


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("make_paths", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("world", ["shapes", "things"])
def test_the_difference_goes_from_picture_to_question_to_last_token(vlm, made, world):
    found = made.pairs(vlm, world, "attribute", 12)
    assert len(found) == 12
    trace = isi.trace(vlm, found, sites="residual", groups=made.GROUPS, controls=1)
    edited, other, question, last = np.moveaxis(trace.recovery[0], 1, 0)
    assert min(edited[:2]) > 0.5 and max(abs(edited[2:])) < 0.1 and max(abs(other)) < 0.1
    assert (edited[:2] > 2 * question[:2]).all(), (edited, question)
    assert question.argmax() == 2 and last.argmax() == 3
    rows = list(made.traced(world, trace))
    assert len(rows) == trace.recovery.shape[1] and rows[0].startswith(f"| {world} | 0 | ")


def test_the_other_tables_have_a_row_for_each_layer(vlm, made):
    found = [pair for pair in made.pairs(vlm, "shapes", "attribute", 10) if "colour" in pair.clean.question][
        :2
    ]
    curve = isi.knockout_curve(vlm, found, made.CUTS, controls=1)
    assert len(list(made.cut("cut", curve))) == len(list(made.seen("seen", found, vlm))) == 4
    assert made.agreement("estimates", found, vlm).startswith("estimates: 2 pairs, 96 cells: integrated ")
