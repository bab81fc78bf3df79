"""Every tool that looks inside, on every family's tiny build and under 4 bits: it leaves the model as it was.

After a result, an exception from inside the model, and a cancel: no hook, no switch, no gradient stays, and
the next call gives the same numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_models
import torch
from test_families import FAMILIES
from untouched import untouched

import isi_widget as isi
from isi_widget.errors import Cancelled
from isi_widget.vlm.inside import reference_head, sites


def over_families(*quick):
    """Every family, those that are not quick marked slow."""
    return pytest.mark.parametrize(
        "family", [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in FAMILIES]
    )


families = over_families("llava", "gemma3", "qwen3_vl")


def observation(seed, answer):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return isi.Observation(pixels, "Is there a red star?", "There was a box.", answer=answer)


DATA = [observation(0, "yes"), observation(1, "no"), observation(2, "yes")]
ONE, TWO, _ = (item.stimulus() for item in DATA)


def intervened(vlm, *_, **__):
    edits = (
        isi.HeadScale(1, 2, 0.3),
        isi.HeadReplace(0, 1),
        isi.Knockout("last", "image", (1,)),
        isi.AttentionScale("question", 0.5),
        isi.ActivationPatch("mlp", 1, "last", TWO),
    )
    return vlm.intervene(*edits).prefill(ONE).logits


def directed(vlm, size=0.5):
    """Steering of layer 1, of the model's width."""
    width = sites(vlm.model, vlm.family).o_proj(1).out_features
    return isi.Steer(tuple(np.linspace(-size, size, width)), 1)


def gates(vlm, factor=None):
    found = sites(vlm.model, vlm.family)
    shape = (len(found.layers), found.heads)
    return isi.HeadGates(
        np.full(shape, factor) if factor else np.linspace(0, 2, np.prod(shape)).reshape(shape)
    )


def contributions(vlm):
    """Matrices as `measure_heads` gives them."""
    signed = np.array(gates(vlm).factors) - 1
    return SimpleNamespace(signed=signed, positive=signed.clip(0), negative=(-signed).clip(0))


def decoded(vlm, *interventions):
    edited = vlm.intervene(*interventions)
    return edited.answer(ONE, 3), edited.sample(TWO, 2, max_new_tokens=2)


#: name -> function of a VLM; further arguments (cancel) where it takes them.
TOOLS = {
    "interventions": intervened,
    "gates and steering": lambda vlm: decoded(vlm, gates(vlm), directed(vlm)),
    "VCD": lambda vlm: decoded(vlm, isi.ContrastiveDecoding("vcd"), directed(vlm)),
    "M3ID": lambda vlm: decoded(vlm, isi.ContrastiveDecoding("m3id", strength=0.5)),
    "trace": lambda vlm, **more: isi.trace(vlm, DATA[0], DATA[1], least=0.0, controls=1, **more),
    "trace by gradients": lambda vlm, **more: isi.trace(
        vlm,
        DATA[0],
        DATA[1],
        sites=("residual", "mlp"),
        least=0.0,
        beside=("integrated", "gradient"),
        target="log_p_answer",
        **more,
    ),
    "knock-out curve": lambda vlm, **more: isi.knockout_curve(vlm, DATA, **more),
    "heads": lambda vlm, **more: isi.measure_heads(vlm, DATA, replace="zero", **more),
    "heads, whole answer": lambda vlm, **more: isi.measure_heads(
        vlm, DATA, "log_p_answer", positions="last", **more
    ),
    "heads, integrated": lambda vlm, **more: isi.measure_heads(
        vlm, DATA, method="integrated", check=1, **more
    ),
    "heads, screened": lambda vlm, **more: isi.measure_heads(
        vlm, DATA, method="screened", k=2, check=0, **more
    ),
    "lens": lambda vlm, **more: isi.logit_lens(
        vlm, ONE, streams=("residual", "middle", "attention", "mlp"), **more
    ),
    "ablation curves": lambda vlm, **more: isi.head_ablation(
        vlm, DATA, contributions(vlm), [1, 3], random=1, **more
    ),
    "fitted gates": lambda vlm, **more: isi.fit_gates(
        vlm, DATA[:1], DATA[1:2], DATA[2:], method="gradient", epochs=1, random=2, **more
    ),
    "divergence": lambda vlm, **more: isi.vision_divergence(vlm, DATA, **more),
    "direction": lambda vlm, **more: isi.steering_direction(vlm, [(ONE, TWO)] * 3, 1, **more),
    "reference head": lambda vlm: reference_head(vlm, [ONE, TWO], 1, 2),
}
#: Those that can be cancelled.
CANCELLED = (
    "trace",
    "trace by gradients",
    "lens",
    "ablation curves",
    "fitted gates",
    "divergence",
    "direction",
)
tools = pytest.mark.parametrize("tool", TOOLS)


def plain(value):
    """Numbers and texts of a result, to be compared."""
    if isinstance(value, torch.Tensor):
        return plain(value.numpy())
    if isinstance(value, np.ndarray):
        return (value.shape, value.tobytes()) if value.dtype != object else plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value) if item.compare
        }
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


class Planted(Exception):
    """Raised from inside the model."""


def failing(vlm, at):
    """A hook that raises at one of the calls of the last layer's output projection."""
    calls = []

    def fail(*_):
        calls.append(1)
        if len(calls) == at:
            raise Planted

    found = sites(vlm.model, vlm.family)
    return found.o_proj(len(found.layers) - 1).register_forward_pre_hook(fail)


def check(vlm, name):
    tool = TOOLS[name]
    answer = vlm.prefill(ONE).logits
    with untouched(vlm.model):
        first = plain(tool(vlm))
    for at in (1, 2, 4):
        with failing(vlm, at), untouched(vlm.model):
            try:
                tool(vlm)
            except Planted:
                failed = True
            else:
                failed = False
        assert failed or at > 1, "the tool does not run the last layer"
    if name in CANCELLED:
        for polls in (0, 1, 2):
            left = [True] * polls
            with untouched(vlm.model), pytest.raises(Cancelled):
                tool(vlm, cancel=lambda left=left: not (left and left.pop()))
    with untouched(vlm.model):
        assert plain(tool(vlm)) == first
    assert torch.equal(vlm.prefill(ONE).logits, answer)


@families
@tools
def test_the_model_is_as_it_was(family, tool):
    check(tiny_models.vlm(family), tool)


@over_families("llava")
@tools
def test_the_model_is_as_it_was_under_4_bits(loaded, family, tool):
    pytest.importorskip("bitsandbytes")
    pytest.importorskip("accelerate")
    check(loaded(family, "nf4"), tool)


@families
def test_what_changes_nothing_changes_exactly_nothing(family):
    vlm = tiny_models.vlm(family)
    plain_logits = vlm.prefill(ONE).logits
    for edits in (
        (isi.ActivationPatch("residual", 1, "all", ONE),),
        (isi.ActivationPatch("attention", 0, "image", ONE), isi.ActivationPatch("mlp", 2, "last", ONE)),
        (gates(vlm, 1.0),),
        (isi.Steer(directed(vlm).direction, 1, scale=0),),
        (isi.ContrastiveDecoding("vcd", strength=0, cut=0),),
    ):
        assert torch.equal(vlm.intervene(*edits).prefill(ONE).logits, plain_logits)
        assert vlm.intervene(*edits).answer(ONE, 3) == vlm.answer(ONE, 3)
