"""Interventions against other tools: captum ablates heads, nnsight cuts attention. A test is left out where
its tool is not installed.
"""

from __future__ import annotations

import knocked_out_by_nnsight as by_nnsight
import pytest
import tiny_models
import torch
from test_families import SHOWN, plain_inputs

import isi_widget as isi
from isi_widget.vlm.inside import sites


def test_head_ablation_is_that_of_captum():
    captum = pytest.importorskip("captum.attr", reason="captum is not installed: pip install captum")
    vlm = tiny_models.vlm()
    found = sites(vlm.model, vlm.family)
    inputs = plain_inputs(vlm, SHOWN)
    width, layer = found.head_dim(1), 1
    target = int(vlm.prefill(SHOWN).logits.argmax())

    def score(ids):
        others = {name: value for name, value in inputs.items() if name != "input_ids"}
        return vlm.model(input_ids=ids, **others).logits[:, -1, target]

    tokens = inputs["input_ids"].shape[1]
    heads = torch.arange(found.heads).repeat_interleave(width).expand(1, tokens, -1)
    with torch.no_grad():
        ablation = captum.LayerFeatureAblation(score, found.o_proj(layer))
        drops = ablation.attribute(
            inputs["input_ids"], layer_mask=heads, attribute_to_layer_input=True, layer_baselines=0
        )
    base = vlm.prefill(SHOWN).logits[target]
    for head in range(found.heads):
        edited = vlm.intervene(isi.HeadScale(layer, head, 0)).prefill(SHOWN).logits[target]
        assert float(base - edited) == pytest.approx(float(drops[0, 0, head * width]), abs=1e-5)


@pytest.fixture(scope="module")
def traced(run_with_nnsight):
    """The folder with the logits of nnsight."""
    return run_with_nnsight("knocked_out_by_nnsight.py")


@pytest.mark.parametrize("number", range(len(by_nnsight.CASES)))
@pytest.mark.parametrize("family", by_nnsight.FAMILIES)
def test_a_knockout_is_that_of_nnsight(traced, family, number):
    expected = torch.load(traced / f"{family}-{number}.pt", weights_only=True)
    vlm = tiny_models.vlm(family)
    logits = vlm.intervene(isi.Knockout(*by_nnsight.CASES[number])).prefill(SHOWN).logits
    torch.testing.assert_close(logits, expected, atol=2e-5, rtol=0)
    assert float((expected - vlm.prefill(SHOWN).logits).abs().max()) > 1e-3
