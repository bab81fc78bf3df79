"""What is remembered of a model does not outlive what made it: image features, fingerprint.

The kind: anything that may change the vision side's output between two equal trials. The reference is a
model that remembers nothing (its features are cleared before each reading).
"""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import tiny_models
import torch
from tiny_models import VLM, Shown

from isi_widget.pretrained import state
from isi_widget.vlm import features

SHOWN = Shown(size=(90, 40))


def made(name="llava"):
    return VLM(*tiny_models.BUILDERS[name](), model_id="tiny")


def projector(vlm):
    return vlm.model.model.multi_modal_projector


def fresh(vlm):
    vlm.image_features.clear()
    return vlm.prefill(SHOWN, attention=False).logits


def zeros(*arguments):
    return torch.zeros_like(arguments[-1])


def hook_on_the_projector(vlm):
    return projector(vlm).register_forward_hook(zeros).remove


def pre_hook_on_the_tower(vlm):
    return vlm.model.model.vision_tower.register_forward_pre_hook(
        lambda _, args, kwargs: (
            (args, {**kwargs, "pixel_values": kwargs["pixel_values"] * 0})
            if "pixel_values" in kwargs
            else ((args[0] * 0, *args[1:]), kwargs)
        ),
        with_kwargs=True,
    ).remove


def hook_on_every_module(vlm):
    linear = projector(vlm).linear_1
    return torch.nn.modules.module.register_module_forward_hook(
        lambda module, _, output: output * 0 if module is linear else None
    ).remove


def data_set_in_place(vlm):
    weight = projector(vlm).linear_2.weight
    before = weight.detach().clone()
    weight.data[3:9] = 0.5

    def back():
        weight.data[...] = before

    return back


def columns_exchanged(vlm):
    weight = projector(vlm).linear_1.weight
    weight.data[:, [0, 1]] = weight.data[:, [1, 0]]
    return lambda: weight.data.__setitem__((slice(None), [0, 1]), weight.data[:, [1, 0]])


def numpy_view(vlm):
    array = projector(vlm).linear_2.bias.detach().numpy()
    array += 1
    return lambda: array.__isub__(1)


def copied(vlm):
    weight = projector(vlm).linear_1.weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight.copy_(before * 2)
    return lambda: weight.data.copy_(before)


def state_loaded(vlm):
    tower = vlm.model.model.vision_tower
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    larger = {name: value * 1.1 if value.is_floating_point() else value for name, value in before.items()}
    tower.load_state_dict(larger)
    return lambda: tower.load_state_dict(before)


def training_step(vlm):
    weights = list(projector(vlm).parameters())
    before = [weight.detach().clone() for weight in weights]
    step = torch.optim.SGD(weights, lr=0.5)
    sum(weight.square().sum() for weight in weights).backward()
    step.step()
    step.zero_grad()

    def back():
        for weight, old in zip(weights, before, strict=True):
            weight.data = old

    return back


def module_exchanged(vlm):
    old, own = projector(vlm), vlm.model.model
    new = type(old)(vlm.model.config).eval()
    own.multi_modal_projector = new
    return lambda: setattr(own, "multi_modal_projector", old)


def forward_replaced(vlm):
    target = projector(vlm)
    plain = target.forward
    target.forward = lambda *arguments: plain(*arguments) * 0
    return lambda: delattr(target, "forward")


def forward_of_the_class(vlm):
    kind = type(projector(vlm))
    plain = kind.forward
    kind.forward = lambda *arguments: plain(*arguments) * 0
    return lambda: setattr(kind, "forward", plain)


def features_of_the_class(vlm):
    kind = type(vlm.model.model)
    plain = kind.get_image_features

    def halved(*arguments, **named):
        made = plain(*arguments, **named)
        made.pooler_output = [features * 0.5 for features in made.pooler_output]
        return made

    kind.get_image_features = halved
    return lambda: setattr(kind, "get_image_features", plain)


def features_of_the_model(vlm):
    plain = vlm.model.model.get_image_features

    def halved(*arguments, **named):
        made = plain(*arguments, **named)
        made.pooler_output = [features * 0.5 for features in made.pooler_output]
        return made

    vlm.model.model.get_image_features = halved
    return lambda: delattr(vlm.model.model, "get_image_features")


def an_attribute(vlm):
    norm = vlm.model.model.vision_tower.encoder.layers[0].layer_norm1
    before, norm.eps = norm.eps, 0.5
    return lambda: setattr(norm, "eps", before)


def a_setting(vlm):
    vlm.model.config.vision_feature_layer = -1
    return lambda: setattr(vlm.model.config, "vision_feature_layer", -2)


def a_buffer(vlm):
    places = vlm.model.model.vision_tower.embeddings.position_ids
    places.data[0, :2] = places.data[0, [1, 0]].clone()
    return lambda: places.data.__setitem__((0, slice(0, 2)), places.data[0, [1, 0]].clone())


CHANGES = [
    hook_on_the_projector,
    pre_hook_on_the_tower,
    hook_on_every_module,
    data_set_in_place,
    columns_exchanged,
    numpy_view,
    copied,
    state_loaded,
    training_step,
    module_exchanged,
    forward_replaced,
    forward_of_the_class,
    features_of_the_class,
    features_of_the_model,
    an_attribute,
    a_setting,
    a_buffer,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_vision_side_encodes_again(change):
    vlm = made()
    before, told = vlm.prefill(SHOWN, attention=False).logits, vlm.info()["fingerprint"]
    back = change(vlm)
    after = vlm.prefill(SHOWN, attention=False).logits
    assert float((after - before).abs().max()) > 1e-5
    assert torch.equal(after, fresh(vlm))
    if change not in (an_attribute, a_setting, a_buffer, features_of_the_model):  # no weights: see `VLM.info`
        assert vlm.info()["fingerprint"] != told
    back()
    assert torch.allclose(vlm.prefill(SHOWN, attention=False).logits, before, atol=1e-5)
    assert torch.equal(vlm.prefill(SHOWN, attention=False).logits, fresh(vlm))


def test_a_hook_that_changes_its_mind_is_asked_every_time():
    vlm = made()
    factor = [1.0]
    projector(vlm).register_forward_hook(lambda _, __, output: output * factor[0])
    one = vlm.prefill(SHOWN, attention=False).logits
    factor[0] = 0.5
    assert not torch.equal(vlm.prefill(SHOWN, attention=False).logits, one)
    assert vlm.info()["fingerprint"] is None


def test_dropout_is_drawn_anew_in_training_mode():
    vlm = made()
    told = vlm.info()["fingerprint"]
    vlm.prefill(SHOWN)
    for layer in vlm.model.model.vision_tower.encoder.layers:
        layer.self_attn.dropout = 0.5
    vlm.model.train()
    one, other = (vlm.prefill(SHOWN, attention=False).logits for _ in range(2))
    assert not torch.equal(one, other)
    assert vlm.info()["fingerprint"] not in (told, None)
    vlm.model.eval()
    for layer in vlm.model.model.vision_tower.encoder.layers:
        layer.self_attn.dropout = 0.0
    assert vlm.info()["fingerprint"] == told


def test_an_adapter_that_is_switched_is_seen():
    peft = pytest.importorskip("peft")
    vlm = made()
    plain = vlm.prefill(SHOWN, attention=False).logits
    vlm.model.add_adapter(peft.LoraConfig(target_modules=["linear_1"], init_lora_weights=False), "one")
    adapted, told = vlm.prefill(SHOWN, attention=False).logits, vlm.info()["fingerprint"]
    assert not torch.equal(adapted, plain)
    vlm.model.disable_adapters()
    assert torch.allclose(vlm.prefill(SHOWN, attention=False).logits, plain, atol=1e-5)
    assert vlm.info()["fingerprint"] != told
    vlm.model.enable_adapters()
    assert torch.equal(vlm.prefill(SHOWN, attention=False).logits, adapted)
    assert vlm.info()["fingerprint"] == told


@pytest.mark.parametrize("name", sorted(tiny_models.BUILDERS))
def test_an_unchanged_picture_is_encoded_once(name, monkeypatch):
    vlm = made(name)
    family, encoded = type(vlm.family), []
    plain = family.encode_image
    monkeypatch.setattr(family, "encode_image", lambda *given: encoded.append(1) or plain(*given))
    vlm.prefill(SHOWN)
    vlm.answer(SHOWN, 2, attention=True)
    vlm.model.get_decoder().layers[0].register_forward_hook(lambda *_: None)  # the language side
    vlm.prefill(SHOWN)
    assert len(encoded) == 1


@pytest.mark.parametrize(("most", "again"), [(1 << 26, 0), (0, 2)])
def test_features_of_many_small_pictures_are_kept_and_of_large_ones_the_last(monkeypatch, most, again):
    """Ten pictures: of large ones, only the last eight are kept."""
    vlm, encoded = made("llava"), []
    plain = type(vlm.family).encode_image
    monkeypatch.setattr(type(vlm.family), "encode_image", lambda *given: encoded.append(1) or plain(*given))
    monkeypatch.setattr(features, "MOST_BYTES", most)
    shown = [Shown(size=(90, 40), seed=seed) for seed in range(10)]
    for one in shown:
        vlm.prefill(one)
    for one in (*shown[2:], *shown[:2]):
        vlm.prefill(one)
    assert len(encoded) == 10 + again


def test_an_end_token_that_is_set_later_ends_answers():
    vlm = made()
    answer = vlm.answer(SHOWN, 6, min_new_tokens=6)
    vlm.model.generation_config.eos_token_id = answer.token_ids[2]
    first = answer.token_ids.index(answer.token_ids[2])
    assert vlm.answer(SHOWN, 6).token_ids == answer.token_ids[:first]


def test_a_freed_vlm_leaves_nothing():
    vlm = made()
    vlm.answer(SHOWN, 2, attention=True)
    vlm.info()
    (encoded,) = vlm.image_features._kept.values()
    model, kept = weakref.ref(vlm.model), weakref.ref(encoded.pooler_output[0])
    del encoded
    del vlm
    gc.collect()
    assert model() is None and kept() is None


# The checksum -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.int64])
@pytest.mark.parametrize("size", [(3,), (5, 7), (1031, 1100)])
def test_any_single_value_changes_the_checksum(dtype, size):
    torch.manual_seed(0)
    values = torch.randint(0, 100, size).to(dtype)
    before = state.checksums([values])
    assert state.checksums([values.clone()]) == before
    for place in {0, 1, values.numel() // 2, values.numel() - 1}:
        flat = values.clone().reshape(-1)
        flat[place] += 1
        assert state.checksums([flat.reshape(size)]) != before
    if len(size) > 1:
        assert state.checksums([values.flip(0)]) != before
        assert state.checksums([values.flip(1)]) != before
        assert state.checksums([values.roll(1, 1)]) != before
    assert state.checksums([values.reshape(-1, 1)]) != before
    assert state.checksums([torch.zeros(3, device="meta")]) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_that_change_places_change_the_checksum(dtype):
    torch.manual_seed(0)
    one, other, large = (torch.randn(count).to(dtype) for count in (7, 7, 70_000))
    assert state.checksums([one, other, large]) != state.checksums([other, one, large])
    assert state.checksums([one, other, large]) != state.checksums([torch.cat([one, other]), large])


def test_a_small_value_beside_large_ones_is_seen():
    large, small = torch.full((4000,), 1000.0), torch.full((5,), 1e-3)
    before = state.checksums([large, small])
    small[3] *= 1.001
    assert state.checksums([large, small]) != before


def test_modules_are_those_of_the_model_also_after_one_was_exchanged():
    vlm = made()
    tree = state.Tree(vlm.model)
    assert set(tree.modules()) == set(vlm.model.modules())
    assert tree.modules() is tree.modules()
    back = module_exchanged(vlm)
    assert set(tree.modules()) == set(vlm.model.modules())
    back()
    layers = vlm.model.model.vision_tower.encoder.layers
    layers[0], layers[1] = layers[1], layers[0]
    before = tree.modules()
    layers.append(torch.nn.Identity())
    assert len(tree.modules()) == len(before) + 1 == len(list(vlm.model.modules()))


# What is no weight ------------------------------------------------------------------------------------------


def _normalize(vlm):
    vlm.processor.image_processor.do_normalize = False
    return "image_processor.do_normalize", lambda: setattr(
        vlm.processor.image_processor, "do_normalize", True
    )


def _size(vlm):
    processor = vlm.processor.image_processor
    before = processor.image_mean
    processor.image_mean = [0.1, 0.2, 0.3]
    return "image_processor.image_mean", lambda: setattr(processor, "image_mean", before)


def _template(vlm):
    before = vlm.processor.chat_template
    vlm.processor.chat_template = before.replace("ASSISTANT:", "Answer:")
    return "processor.chat_template", lambda: setattr(vlm.processor, "chat_template", before)


def _system(vlm):
    vlm.system = "Be brief."
    return "system", lambda: setattr(vlm, "system", None)


def _norm(vlm):
    norm = vlm.model.get_decoder().norm
    before, norm.variance_epsilon = norm.variance_epsilon, 0.5
    return "model.language_model.norm.variance_epsilon", lambda: setattr(norm, "variance_epsilon", before)


def _config(vlm):
    vlm.model.config.vision_feature_layer = -1
    return "model.config.vision_feature_layer", lambda: setattr(vlm.model.config, "vision_feature_layer", -2)


@pytest.mark.parametrize("change", [_normalize, _size, _template, _system, _norm, _config])
def test_a_setting_that_is_changed_in_place_is_told_and_makes_another_model(change):
    vlm = made()
    before = vlm.info()
    logits = vlm.prefill(SHOWN, attention=False).logits
    name, back = change(vlm)
    after = vlm.info()
    changed = vlm.prefill(SHOWN, attention=False).logits
    assert changed.shape != logits.shape or float((changed - logits).abs().max()) > 1e-6
    assert list(after.get("set_in_place", after)).count(name) == 1
    assert after["fingerprint"] != before["fingerprint"]
    back()
    assert vlm.info() == before


@pytest.mark.parametrize("name", sorted(tiny_models.BUILDERS))
def test_use_changes_no_setting(name):
    vlm = made(name)
    vlm.answer(SHOWN, 3, attention=True)
    vlm.sample(SHOWN, 2, max_new_tokens=2)
    assert "set_in_place" not in vlm.info()


def test_the_code_of_a_changed_model_says_so():
    from isi_widget.trial.code import load_lines

    lines = load_lines({"name": "a/b", "loaded_with": {}, "set_in_place": {"x\n.y": "False\n1"}})
    assert lines[0].startswith("# ") and "\n" not in lines[0] and "set them again" in lines[0]


def test_an_entailment_model_that_is_changed_judges_again():
    from isi_widget.uncertainty import load_entailment

    judge = load_entailment()
    judge = type(judge)(copy.deepcopy(judge.model), judge.tokenizer, "own")
    pairs = [("What? It is red.", "What? It is blue."), ("What? No.", "What? Yes.")]
    before = judge.pairs(pairs)
    assert judge.pairs(pairs)[pairs[0]] is before[pairs[0]]
    weight = next(parameter for parameter in judge.model.parameters() if parameter.dim() == 2)
    weight.data[:] = 0
    assert abs(judge.pairs(pairs)[pairs[0]] - before[pairs[0]]).max() > 1e-3
    removed = judge.model.register_forward_hook(lambda _, __, output: output)
    hooked = judge.pairs(pairs)
    assert judge.pairs(pairs)[pairs[0]] is not hooked[pairs[0]]
    removed.remove()
