"""What no measurement of the inside can be made of: a server, a plain model, nothing at all."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from planted_models import HEADS, LAYERS, planted
from scripted_server import Script, quiet, serving

import isi_widget as isi

MADE = planted("one_hop")
DATA = MADE.observations(4)
ONES = np.ones((LAYERS, HEADS))
MEASURED = SimpleNamespace(signed=ONES, positive=ONES, negative=ONES)
TOOLS = {
    "heads": lambda vlm: isi.measure_heads(vlm, DATA),
    "trace": lambda vlm: isi.trace(vlm, DATA[0], DATA[1]),
    "lens": lambda vlm: isi.logit_lens(vlm, DATA[0]),
    "knock-out": lambda vlm: isi.knockout_curve(vlm, DATA),
    "fit": lambda vlm: isi.fit_gates(vlm, DATA[:1], DATA[1:2], DATA[2:], method="gradient"),
    "ablation": lambda vlm: isi.head_ablation(vlm, DATA, MEASURED),
    "divergence": lambda vlm: isi.vision_divergence(vlm, DATA),
    "direction": lambda vlm: isi.steering_direction(vlm, [isi.Pair(DATA[0], DATA[1])], 1),
}
tools = pytest.mark.parametrize("tool", TOOLS)


@pytest.fixture(scope="module")
def server():
    with serving(Script()) as address:
        yield quiet(address)


@tools
def test_a_server_gives_its_reason(server, tool):
    with pytest.raises(isi.InputError, match="The inside of seer is not available: A server shows only text"):
        TOOLS[tool](server)


@tools
@pytest.mark.parametrize("given", [None, "planted", MADE.model], ids=["None", "a name", "a plain model"])
def test_what_is_no_vlm_is_named(tool, given):
    with pytest.raises(isi.InputError, match=f"needs a VLM, .* got {type(given).__name__}"):
        TOOLS[tool](given)


@tools
def test_contrastive_decoding_is_not_run_in_parts(tool):
    """Its logits are those of two passes."""
    edited = MADE.vlm().intervene(isi.ContrastiveDecoding())
    if tool == "divergence":  # which sees heads, not logits
        assert TOOLS[tool](edited).n == 4
        return
    with pytest.raises(isi.InputError, match="Contrastive decoding compares two forward passes"):
        TOOLS[tool](edited)
