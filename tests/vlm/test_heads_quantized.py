"""Scans of heads of quantised models, against the same by hand on the same quantised model."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import Shown
from untouched import untouched

import isi_widget as isi
from isi_widget.mechanism.items import aim_of, items_of
from isi_widget.mechanism.targets import TARGETS
from isi_widget.vlm.inside import sites

pytest.importorskip("bitsandbytes")
pytest.importorskip("accelerate")

DATA = [(isi.Observation(Shown(size=(90, 40)).render(), "Is there a red star?", answer="yes"), "yes")]
quick = pytest.mark.parametrize(
    "family", ["llava", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gemma3", "qwen3_vl"))]
)


def measured(vlm):
    """The target of one whole forward pass."""
    (item,) = items_of(DATA)
    logits = vlm.prefill(item.stimulus, attention=False).logits
    return logits, aim_of(vlm, item, logits)


def target(vlm, aim):
    return float(TARGETS["logit_difference"].value(measured(vlm)[0][None, None], aim))


@quick
@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_exact_drops_are_those_of_interventions(loaded, family, kind):
    vlm = loaded(family, kind)
    aim = measured(vlm)[1]
    with untouched(vlm.model):
        found = isi.measure_heads(vlm, DATA, replace="zero")
    shape = found.signed.shape
    edits = [[isi.HeadReplace(layer, head, "zero") for head in range(shape[1])] for layer in range(shape[0])]
    expected = [[found.baseline[0] - target(vlm.intervene(edit), aim) for edit in row] for row in edits]
    # int8 rounds activations by what else is in a call, see test_inside_quantized
    assert np.abs(found.signed - expected).max() < (5e-5 if kind == "nf4" else 0.15)


@quick
def test_gradients_of_four_bits_are_those_of_a_finite_difference(loaded, family):
    vlm = loaded(family, "nf4")
    linear = [module for module in vlm.model.modules() if type(module).__name__ == "Linear4bit"]
    assert linear and not any(getattr(module, "support_avx512bf16_for_cpu", False) for module in linear)
    aim = measured(vlm)[1]
    with untouched(vlm.model):
        found = isi.measure_heads(vlm, DATA, replace="zero", method="gradient", check=0)
        again = isi.measure_heads(vlm, DATA, replace="zero", method="integrated", check=1)
    layer, head = map(int, np.unravel_index(np.abs(found.signed).argmax(), found.signed.shape))
    up, down = (target(vlm.intervene(isi.HeadScale(layer, head, factor)), aim) for factor in (1.02, 0.98))
    assert found.signed[layer, head] == pytest.approx((up - down) / 0.04, rel=3e-2, abs=2e-3)
    assert again.agreement["rank_correlation"] > 0.5
    assert sites(vlm.model, vlm.family).heads == found.heads
