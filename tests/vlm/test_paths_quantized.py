"""Traces, knock-out curves and the lens of models with 4 and 8 bits a weight, against plain hooks."""

from __future__ import annotations

import numpy as np
import pytest
from patched_by_hand import patched_by_hand

import isi_widget as isi

pytest.importorskip("bitsandbytes")
pytest.importorskip("accelerate")

#: Largest difference of logits between two ways to compute the same; see test_inside_quantized.
NEAR = {"nf4": 1e-4, "int8": 3e-2}
kinds = pytest.mark.parametrize("kind", NEAR)


def observation(seed, answer):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return isi.Observation(pixels, "Is there a red star?", "There was a box.", answer=answer)


PAIR = isi.Pair(observation(0, "yes"), observation(1, "no"))


@kinds
def test_a_trace_is_two_whole_passes_with_plain_hooks(loaded, kind):
    vlm = loaded("llava", kind)
    found = isi.trace(vlm, PAIR, groups=("image", "last"), target="p", least=0.0)
    prompt, clean = vlm.encode(PAIR.corrupt), vlm.prefill(PAIR.clean).logits
    token = int(np.argmin(np.abs(clean.softmax(-1).numpy() - found.clean)))
    for site, layer, group in np.ndindex(found.recovery.shape):
        rows = [len(prompt) - 1] if group else list(prompt.indices("image"))
        logits = patched_by_hand(vlm, found.sites[site], [layer], rows, PAIR.clean, PAIR.corrupt)
        value = found.recovery[site, layer, group] * (found.clean - found.corrupt) + found.corrupt
        assert value == pytest.approx(float(logits.softmax(-1)[token]), abs=NEAR[kind])


def test_gradients_of_four_bits_are_there(loaded):
    """The check against a finite difference passes, and integrated gradients sum to the whole effect."""
    vlm = loaded("llava", "nf4")
    whole = isi.trace(vlm, PAIR, sites="residual", groups="all", method="integrated", least=0.0)
    assert whole.recovery[0] == pytest.approx(1.0, abs=0.25)
    assert whole.agreement["integrated"]["largest_difference"] < 0.25


@kinds
def test_the_last_layer_of_the_lens_gives_the_logits(loaded, kind):
    vlm = loaded("llava", kind)
    found = isi.logit_lens(vlm, PAIR.clean)
    top = vlm.prefill(PAIR.clean).logits.softmax(-1).topk(5)
    assert found.probabilities[0, -1, -1] == pytest.approx(top.values.numpy(), abs=NEAR[kind])
    curve = isi.knockout_curve(vlm, [PAIR.clean], [("last", "image")], controls=0)
    cut = vlm.intervene(isi.Knockout("last", "image", layers=1)).prefill(PAIR.clean).logits.softmax(-1)
    plain = vlm.prefill(PAIR.clean).logits.softmax(-1)
    token = int(np.argmin(np.abs(plain.numpy() - curve.base[0])))
    assert curve.values[0, 0, 1] == pytest.approx(float(cut[token]), abs=NEAR[kind])
