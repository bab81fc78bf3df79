"""Quantised models: they answer, are hooked, differentiated and measured; what quantisation did is stated.

References: the same model with its weights dequantised by hand, plain transformers' eager attention, finite
differences.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager

import numpy as np
import pytest
import tiny_models
import torch
from tiny_models import BUILDERS, VLM, Shown

from isi_widget.attribution import measure_attention
from isi_widget.errors import InputError
from isi_widget.pretrained.quantization import check_quantization
from isi_widget.segments import GROUPS
from isi_widget.vlm import load_vlm
from isi_widget.vlm.check.drift import quantization_drift
from isi_widget.vlm.loading import quantization

bitsandbytes = pytest.importorskip("bitsandbytes")
pytest.importorskip("accelerate")

FAMILIES = ["llava", "llava_next", "qwen2_vl"]
KINDS = ["nf4", "nf4-double", "int8"]
LAYERS = {"nf4": "Linear4bit", "nf4-double": "Linear4bit", "int8": "Linear8bitLt"}
SHOWN = Shown(current_context="The star is red.", size=(90, 40))


def linear_layers(vlm, kind):
    return {name: module for name, module in vlm.model.named_modules() if type(module).__name__ == kind}


def dequantised(vlm, family, **text):
    """The plain model, its matrices replaced by what the quantised ones stand for."""
    model, processor = BUILDERS[family](**text)
    plain = dict(model.named_modules())
    for name, layer in linear_layers(vlm, "Linear4bit").items():
        weight = bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        plain[name].weight.data = weight.float()
    return VLM(model, processor, model_id="dequantised")


# They work --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_they_answer_sample_and_are_measured(loaded, family, kind):
    vlm, plain = loaded(family, kind), loaded(family)
    prefill = vlm.prefill(SHOWN)
    # Quantised, so near the original, but not equal to it.
    alike = torch.nn.functional.cosine_similarity(prefill.logits, plain.prefill(SHOWN).logits, dim=0)
    assert 0.8 < alike < 0.999999
    greedy = vlm.answer(prefill, 5)
    assert greedy.token_ids == vlm.answer(SHOWN, 5).token_ids
    assert np.isfinite(greedy.logprobs).all()
    samples = vlm.sample(prefill, n=3, max_new_tokens=4, seed=1)
    assert [one.text for one in samples] == [
        one.text for one in vlm.sample(SHOWN, n=3, max_new_tokens=4, seed=1)
    ]
    attended = vlm.answer(prefill, 5, attention=True)
    assert attended.token_ids == greedy.token_ids
    shares = measure_attention(vlm, prefill, attended)
    np.testing.assert_allclose(shares.mass.sum(-1), 1, atol=1e-5)
    assert vlm.info()["parameters"] == plain.info()["parameters"]


@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_every_family_answers_in_4_bits(loaded, family):
    vlm = loaded(family, "nf4")
    assert linear_layers(vlm, "Linear4bit")
    answer = vlm.answer(SHOWN, 3, min_new_tokens=2)
    assert len(answer.token_ids) >= 2 and np.isfinite(answer.logprobs).all()


@pytest.mark.parametrize("kind", ["nf4", "nf4-double"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_dequantised_weights(loaded, family, kind):
    vlm = loaded(family, kind)
    expected = dequantised(vlm, family).prefill(SHOWN).logits
    torch.testing.assert_close(vlm.prefill(SHOWN).logits, expected, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["nf4", "nf4-double"])
def test_widths_that_the_repacking_would_refuse(saved, kind):
    """In: not a multiple of 64; out: not of 32. An odd number of weights in a row, too."""
    text = {"hidden_size": 48, "intermediate_size": 75, "num_attention_heads": 4, "num_key_value_heads": 2}
    vlm = load_vlm(saved("llava", **text), quantization=kind, dtype="float32")
    shapes = {(layer.in_features, layer.out_features) for layer in linear_layers(vlm, "Linear4bit").values()}
    assert any(inner % 64 and inner % 2 for inner, _ in shapes)
    assert any(outer % 32 for _, outer in shapes)
    expected = dequantised(vlm, "llava", **text)
    torch.testing.assert_close(
        vlm.prefill(SHOWN).logits, expected.prefill(SHOWN).logits, atol=2e-4, rtol=1e-3
    )
    assert vlm.answer(SHOWN, 4).token_ids == expected.answer(SHOWN, 4).token_ids


def eager_mass(vlm, prefill):
    """Attention of the prompt's last position, summed per segment, from plain eager attention."""
    prompt, model = prefill.prompt, vlm.model
    labels = [label if label in GROUPS else "other" for label in prompt.labels]
    groups = torch.tensor([GROUPS.index(label) for label in labels])
    model.set_attn_implementation({"text_config": "eager"})
    try:
        with torch.no_grad():
            output = model(
                input_ids=prompt.input_ids, **prompt.images, **prompt.token_inputs, output_attentions=True
            )
    finally:
        model.set_attn_implementation({"text_config": "sdpa"})
    rows = torch.stack(output.attentions)[:, 0, :, -1].double()  # [layers, heads, keys]
    return torch.stack([rows[..., groups == group].sum(-1) for group in range(len(GROUPS))], dim=-1).numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_recorded_attention_is_eager_attention(loaded, family, kind):
    vlm = loaded(family, kind)
    prefill = vlm.prefill(SHOWN)
    # int8 rounds activations to a grid: what is nearly equal before may be one step apart after.
    tolerance = 2e-3 if kind == "int8" else 1e-5
    np.testing.assert_allclose(prefill.mass, eager_mass(vlm, prefill), atol=tolerance)


# Hooks and gradients ----------------------------------------------------------------------------------------


@contextmanager
def gates(vlm, values):
    """Scale what each head brings to the residual stream, by values [layers, heads]."""

    def scale(row):
        def hook(module, inputs):
            hidden = inputs[0]
            heads = hidden.unflatten(-1, (values.shape[1], -1)) * values[row][:, None]
            return (heads.flatten(-2), *inputs[1:])

        return hook

    layers = vlm.family.layers(vlm.model)
    handles = [layer.self_attn.o_proj.register_forward_pre_hook(scale(i)) for i, layer in enumerate(layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def forward(vlm, **changes):
    """Logits of the first answer token, differentiable."""
    prompt = vlm.encode(SHOWN)
    inputs = {"input_ids": prompt.input_ids, **prompt.images, **prompt.token_inputs}
    return vlm.model(**inputs, **changes).logits[0, -1].float()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_heads_can_be_hooked(loaded, family, kind):
    vlm = loaded(family, kind)
    shape = (len(vlm.family.layers(vlm.model)), vlm.model.config.text_config.num_attention_heads)
    before = vlm.prefill(SHOWN).logits
    with gates(vlm, torch.ones(shape)):
        torch.testing.assert_close(vlm.prefill(SHOWN).logits, before, atol=1e-6, rtol=0)
    off = torch.ones(shape)
    off[1, 2] = 0
    with gates(vlm, off):
        without = vlm.prefill(SHOWN).logits
    assert (without - before).abs().max() > 1e-3
    assert vlm.prefill(SHOWN).logits.equal(before)


def gradients(vlm):
    """Of a score of the first answer token, to the input embeddings and to a gate for each head."""
    caught = []
    handle = vlm.model.get_input_embeddings().register_forward_hook(
        lambda module, inputs, output: caught.append(output.requires_grad_()) or output
    )
    shape = (len(vlm.family.layers(vlm.model)), vlm.model.config.text_config.num_attention_heads)
    values = torch.ones(shape, requires_grad=True)
    try:
        with gates(vlm, values):
            logits = forward(vlm)
    finally:
        handle.remove()
    half = len(logits) // 2
    return torch.autograd.grad(logits[:half].logsumexp(0) - logits[half:].logsumexp(0), [caught[0], values])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_survive_a_forward_without_gradient(loaded, family, kind):
    """To an input embedding, and to a gate for each head: where the CPU's repacking would cut the graph."""
    vlm = loaded(family, kind)
    vlm.prefill(SHOWN)
    found = gradients(vlm)
    expected = gradients(loaded(family) if kind == "int8" else dequantised(vlm, family))
    for ours, plain in zip(found, expected, strict=True):
        assert ours is not None and bool(ours.isfinite().all()) and float(ours.abs().max()) > 0
        if kind == "int8":  # activations are rounded too: near, not equal
            assert torch.nn.functional.cosine_similarity(ours.flatten(), plain.flatten(), dim=0) > 0.9
        else:
            torch.testing.assert_close(ours, plain, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_of_a_gate_is_its_finite_difference(loaded, family):
    vlm = loaded(family, "nf4")
    vlm.prefill(SHOWN)
    shape = (len(vlm.family.layers(vlm.model)), vlm.model.config.text_config.num_attention_heads)

    def score(values):
        with gates(vlm, values):
            return forward(vlm).log_softmax(-1)[7]

    values = torch.ones(shape, requires_grad=True)
    (slope,) = torch.autograd.grad(score(values), values)
    for place in ((0, 1), (1, 3)):
        step = torch.zeros(shape)
        step[place] = 0.05
        with torch.no_grad():
            expected = (score(values + step) - score(values - step)) / 0.1
        torch.testing.assert_close(slope[place], expected, atol=3e-3, rtol=0.05)


# What is quantised ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("family", "vision"),
    [
        ("llava", ["model.multi_modal_projector", "model.vision_tower"]),
        ("llava_next", ["model.multi_modal_projector", "model.vision_tower"]),
        ("qwen2_vl", ["model.visual"]),
    ],
)
def test_what_is_not_quantised_is_stated(loaded, family, kind, vision):
    vlm = loaded(family, kind)
    info = json.loads(json.dumps(vlm.info()))
    assert (info["quantization"], info["compute_dtype"]) == (kind, "int8" if kind == "int8" else "float32")
    assert info["not_quantized"] == sorted(["lm_head", "model.language_model.embed_tokens", *vision])
    quantised = linear_layers(vlm, LAYERS[kind])
    assert quantised and all(name.startswith("model.language_model.layers.") for name in quantised)
    left = set(linear_layers(vlm, "Linear"))
    assert not any("language_model.layers" in name for name in left)


def test_the_vision_side_is_a_choice(loaded):
    vlm = loaded("llava", "nf4", quantize_vision=True)
    assert set(linear_layers(vlm, "Linear")) == {"lm_head"}
    stated = vlm.info()["not_quantized"]
    assert stated[:2] == ["lm_head", "model.language_model.embed_tokens"]
    assert all("embedding" in name for name in stated[2:]) and len(stated) > 2
    assert np.isfinite(vlm.answer(SHOWN, 3).logprobs).all()


def test_nothing_is_stated_of_a_model_in_full(loaded):
    info = loaded("llava").info()
    assert (info["quantization"], info["not_quantized"], info["compute_dtype"]) == (None, [], None)


def test_nested_scales_are_for_nf4_double_only(loaded):
    for kind, nested in (("nf4", False), ("nf4-double", True)):
        layers = linear_layers(loaded("llava", kind), "Linear4bit").values()
        assert {layer.weight.quant_state.nested for layer in layers} == {nested}
        assert {layer.weight.quant_state.quant_type for layer in layers} == {"nf4"}


def test_4_bit_layers_are_never_repacked(saved):
    vlm = load_vlm(saved("llava"), quantization="nf4")
    layers = linear_layers(vlm, "Linear4bit").values()
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers)
    before = [layer.weight.data.clone() for layer in layers]
    vlm.answer(SHOWN, 2)
    assert all(layer.weight.data.equal(weight) for layer, weight in zip(layers, before, strict=True))


@pytest.mark.parametrize("kind", ["nf4", "nf4-double", "int8"])
def test_a_checkpoint_that_is_stored_quantised(saved, kind, tmp_path):
    vlm = load_vlm(saved("llava"), quantization=kind, dtype="float32")
    answer = vlm.answer(SHOWN, 4)
    vlm.model.save_pretrained(tmp_path)
    vlm.processor.save_pretrained(tmp_path)
    again = load_vlm(tmp_path, dtype="float32")
    assert again.info()["quantization"] == kind
    assert again.answer(SHOWN, 4).token_ids == answer.token_ids
    with pytest.raises(InputError, match=f"is quantised already.*{kind}"):
        load_vlm(tmp_path, quantization="nf4")


def test_compute_type(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    assert quantization.compute_dtype(torch.float32, cpu, chosen=False) == torch.bfloat16
    assert quantization.compute_dtype(torch.float32, cpu, chosen=True) == torch.float32
    assert quantization.compute_dtype(torch.float16, gpu, chosen=False) == torch.float16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False}, raising=False)
    assert quantization.compute_dtype(torch.float32, cpu, chosen=False) == torch.float32


def test_the_compute_type_reaches_the_layers(saved, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    vlm = load_vlm(saved("llava"), quantization="nf4")
    assert vlm.info()["compute_dtype"] == "bfloat16" and vlm.dtype == torch.float32
    assert np.isfinite(vlm.answer(SHOWN, 2).logprobs).all()


def test_nothing_is_logged_at_every_layer(saved, caplog):
    vlm = load_vlm(saved("llava"), quantization="int8")
    with caplog.at_level(logging.WARNING):
        vlm.answer(SHOWN, 2)
    assert not [record for record in caplog.records if record.name.startswith("bitsandbytes")]


# Refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [("bitsandbytes",), ("accelerate",), ("bitsandbytes", "accelerate")])
def test_missing_packages_are_named(saved, monkeypatch, missing):
    from importlib.util import find_spec

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in missing else find_spec(name))
    with pytest.raises(
        InputError, match=rf"needs {' and '.join(missing)}, .*pip install 'isi-widget\[quant\]'"
    ):
        load_vlm(saved("llava"), quantization="nf4")


def test_devices_without_kernels_are_refused():
    with pytest.raises(InputError, match="on CUDA and on the CPU, not on 'mps'"):
        check_quantization("nf4", torch.device("mps"))


# Drift ------------------------------------------------------------------------------------------------------

STIMULI = [SHOWN, Shown("What colour is it?", size=(40, 40), seed=3)]


def test_a_model_does_not_drift_from_itself(loaded):
    vlm = loaded("llava")
    drift = quantization_drift(vlm, vlm, STIMULI, max_new_tokens=6)
    assert (drift.token_agreement, drift.max_logit_difference, drift.same_answers) == (1, 0, 1)
    assert drift.tokens == sum(len(vlm.answer(shown, 6).token_ids) for shown in STIMULI)


@pytest.fixture
def shifted(saved):
    """A model, and the same with one logit moved by a known amount."""

    def make(token, by):
        vlm = load_vlm(saved("llava"), dtype="float32")

        def move(module, inputs, output):
            output[..., token] += by
            return output

        vlm.model.lm_head.register_forward_hook(move)
        return vlm

    return make


def test_drift_of_a_known_shift(loaded, shifted):
    reference = loaded("llava")
    unlikely = int(reference.prefill(SHOWN).logits.argmin())
    small = quantization_drift(shifted(unlikely, 1e-3), reference, [SHOWN], max_new_tokens=5)
    assert small.max_logit_difference == pytest.approx(1e-3, rel=1e-2)
    size = len(reference.prefill(SHOWN).logits)
    assert small.mean_logit_difference == pytest.approx(1e-3 / size, rel=1e-2)
    assert (small.token_agreement, small.same_answers) == (1, 1)
    # A token that always wins: it agrees only where the reference takes it too.
    large = quantization_drift(shifted(unlikely, 1e4), reference, [SHOWN], max_new_tokens=5)
    chosen = reference.answer(SHOWN, 5).token_ids
    assert large.token_agreement == chosen.count(unlikely) / len(chosen) < 1


def test_drift_shrinks_with_the_bits(loaded):
    reference = loaded("llava")
    four = quantization_drift(loaded("llava", "nf4"), reference, STIMULI)
    eight = quantization_drift(loaded("llava", "int8"), reference, STIMULI)
    assert 0 < eight.mean_logit_difference < four.mean_logit_difference
    assert eight.token_agreement >= 0.8


def test_drift_needs_stimuli_and_one_vocabulary(loaded):
    with pytest.raises(InputError, match="at least one stimulus"):
        quantization_drift(loaded("llava"), loaded("llava"), [])
    with pytest.raises(InputError, match="two versions of one checkpoint"):
        quantization_drift(loaded("llava"), tiny_models.vlm("llava", "piece"), [SHOWN])


def test_an_unlisted_model_keeps_its_attention_where_products_are_rounded(tmp_path):
    model, processor = tiny_models.UNLISTED["llava_onevision"]()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    vlm = load_vlm(tmp_path, quantization="nf4", dtype="float32")
    for module in vlm.model.modules():
        if hasattr(module, "compute_dtype"):  # as on a CPU with bfloat16 instructions
            module.compute_dtype = torch.bfloat16
    assert set(VLM(vlm.model, processor, model_id="rounded").unavailable) == {"image_map"}


def test_a_stored_quantised_model_names_the_packages_that_it_needs(loaded, tmp_path, monkeypatch):
    vlm = loaded("llava", "int8")
    vlm.model.save_pretrained(tmp_path)
    vlm.processor.save_pretrained(tmp_path)
    assert load_vlm(tmp_path).quantization == "int8"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"'int8' needs bitsandbytes and accelerate.*isi-widget\[quant\]"):
        load_vlm(tmp_path)
