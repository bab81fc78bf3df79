"""Patching and scans against other tools: captum in this process, nnsight in one of its own.

A test is left out where its tool is not installed. See `test_inside_oracles` for single interventions.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import patched_by_nnsight as by_nnsight
import pytest
import tiny_models
import torch

import isi_widget as isi

HERE = Path(__file__).parent


def observation(shown, answer=None):
    """The same picture and texts as an observation."""
    return isi.Observation(shown.render(), shown.current_question, shown.current_context, answer)


CLEAN, CORRUPT = (observation(shown, "yes") for shown in (by_nnsight.CLEAN, by_nnsight.CORRUPT))


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """{family: logits of each case}, from nnsight."""
    if importlib.util.find_spec("nnsight") is None:
        pytest.skip("nnsight is not installed: pip install nnsight")
    folder = tmp_path_factory.mktemp("nnsight")
    paths = [HERE, HERE.parent, HERE.parents[1]]
    done = subprocess.run(
        [sys.executable, HERE / "patched_by_nnsight.py", folder],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return {family: torch.load(folder / f"{family}.pt") for family in by_nnsight.FAMILIES}


@pytest.mark.parametrize("family", by_nnsight.FAMILIES)
def test_a_patch_is_that_of_nnsight(traced, family):
    vlm, expected = tiny_models.vlm(family), traced[family]
    corrupt = CORRUPT.stimulus()
    torch.testing.assert_close(vlm.prefill(corrupt).logits, expected["corrupt"], atol=1e-5, rtol=0)
    moved = []
    for site in by_nnsight.SITES:
        for layer in by_nnsight.LAYERS:
            for group in by_nnsight.GROUPS:
                patch = isi.ActivationPatch(site, layer, group, CLEAN.stimulus())
                logits = vlm.intervene(patch).prefill(corrupt).logits
                torch.testing.assert_close(logits, expected[site, layer, group], atol=1e-5, rtol=0)
                moved.append(float((logits - expected["corrupt"]).abs().max()))
    assert sum(size > 1e-2 for size in moved) > len(moved) / 2
