"""Attention shares: equal to transformers' eager attentions, summing to 1, and a record without loss."""

from __future__ import annotations

import itertools
import json
import math
import pickle

import numpy as np
import pytest
import tiny_models
import torch
from by_hand import record
from tiny_models import VLM, Shown
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MistralConfig,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from isi_widget.attribution import AttentionShares, measure_attention
from isi_widget.errors import InputError
from isi_widget.segments import GROUPS
from isi_widget.vlm.inside.attention import AttentionRecorder, recording

SHOWN = Shown(current_context="The star is red.", size=(90, 40))
LONG = Shown("Is it so?", "A small blue circle is left of the large box. " * 30, (200, 40))
MODELS = [
    ("llava", ()),
    ("llava", (("num_key_value_heads", 2),)),
    ("llava", (("num_key_value_heads", 1), ("head_dim", 32))),
    ("llava_next", ()),
    ("llava_next", (("num_key_value_heads", 2),)),
]
models = pytest.mark.parametrize(("family", "text"), MODELS)


def eager_mass(vlm, shown, token_ids):
    """The same masses from one plain forward over prompt + answer, eager attention with its full matrices."""
    prompt = vlm.encode(shown)
    labels = [label if label in GROUPS else "other" for label in prompt.labels] + ["other"] * len(token_ids)
    ids = torch.cat([prompt.input_ids, torch.tensor([token_ids])], dim=1)
    vlm.model.set_attn_implementation({"text_config": "eager"})
    try:
        with torch.no_grad():
            output = vlm.model(input_ids=ids, **prompt.images, output_attentions=True, use_cache=False)
    finally:
        vlm.model.set_attn_implementation({"text_config": "sdpa"})
    mass = np.zeros((len(token_ids), len(output.attentions), output.attentions[0].shape[1], len(GROUPS)))
    for token, layer in itertools.product(range(len(token_ids)), range(len(output.attentions))):
        row = output.attentions[layer][0, :, len(prompt) + token - 1].double().numpy()
        for group, name in enumerate(GROUPS):
            mass[token, layer, :, group] = row[:, [label == name for label in labels]].sum(axis=1)
    return mass


def mistral_vlm(**text):
    """The tiny LLaVA with a Mistral language model."""
    model, processor = tiny_models.llava()
    record = model.config.text_config.to_dict() | {"model_type": "mistral"} | text
    config = LlavaConfig(
        vision_config=model.config.vision_config,
        text_config=MistralConfig(
            **{k: v for k, v in record.items() if k not in ("rope_parameters", "dtype")}
        ),
        image_token_id=model.config.image_token_id,
    )
    torch.manual_seed(0)
    return VLM(LlavaForConditionalGeneration(config).eval(), processor, model_id="mistral")


@models
@pytest.mark.parametrize("shown", [SHOWN, Shown(), LONG], ids=["context", "no context", "long"])
def test_shares_equal_eager_attentions(family, text, shown):
    vlm = tiny_models.vlm(family, **dict(text))
    answer = vlm.sample(shown, n=1, max_new_tokens=7, seed=2)[0]
    shares = measure_attention(vlm, shown, answer)
    layers, heads = vlm.model.config.text_config.num_hidden_layers, 4
    assert shares.mass.shape == (7, layers, heads, 4)
    difference = np.abs(shares.mass - eager_mass(vlm, shown, answer.token_ids)).max(axis=(0, 2, 3))
    assert (difference < 1e-5).all(), f"difference by layer: {difference} (a mask, scale or token-row error?)"
    np.testing.assert_allclose(shares.mass.sum(-1), 1, atol=1e-5)


def test_a_sliding_window_shorter_than_the_prompt_equals_eager():
    """As in the first Mistral: keys fall out of the cache, and their groups with them."""
    vlm = mistral_vlm(sliding_window=9)
    assert len(vlm.encode(SHOWN)) > 30
    for answer in (vlm.answer(SHOWN, 9), vlm.answer(SHOWN, 9, attention=True)):
        shares = measure_attention(vlm, SHOWN, answer)
        assert shares.absolute()["image"] == 0, "the window is shorter than context and question"
        np.testing.assert_allclose(shares.mass, eager_mass(vlm, SHOWN, answer.token_ids), atol=1e-5)


def test_a_long_answer_is_measured_in_blocks_of_rows():
    vlm = tiny_models.vlm()
    answer = vlm.answer(SHOWN, 150)
    assert len(answer.token_ids) > 2 * 64
    shares = measure_attention(vlm, SHOWN, answer)
    np.testing.assert_allclose(shares.mass, eager_mass(vlm, SHOWN, answer.token_ids), atol=1e-5)


@models
def test_attention_recorded_while_decoding_equals_teacher_forcing(family, text):
    vlm = tiny_models.vlm(family, **dict(text))
    for settings in ({}, {"do_sample": True, "seed": 3}, {"num_beams": 3}):
        plain = vlm.answer(SHOWN, max_new_tokens=6, **settings)
        attended = vlm.answer(SHOWN, max_new_tokens=6, attention=True, **settings)
        assert attended == plain
        recorded = measure_attention(vlm, SHOWN, attended)
        forced = measure_attention(vlm, vlm.prefill(SHOWN), plain)
        np.testing.assert_allclose(recorded.mass, forced.mass, atol=1e-5)
        assert recorded.tokens == plain.tokens


def test_the_row_that_predicts_the_end_is_not_an_answer_tokens():
    model, processor = tiny_models.llava()
    model.generation_config.eos_token_id = list(range(100, 300))
    vlm = VLM(model, processor, model_id="ending")
    for seed in range(20):
        answer = vlm.answer(SHOWN, 12, do_sample=True, seed=seed, attention=True)
        if answer.finished and len(answer.token_ids) > 1:
            break
    else:
        pytest.fail("no answer ended by itself")
    shares = measure_attention(vlm, SHOWN, answer)
    assert len(shares.mass) == len(answer.token_ids)
    np.testing.assert_allclose(shares.mass, eager_mass(vlm, SHOWN, answer.token_ids), atol=1e-5)


def test_without_an_answer_it_is_the_greedy_one():
    vlm = tiny_models.vlm()
    answer = vlm.answer(SHOWN)
    np.testing.assert_allclose(
        measure_attention(vlm, SHOWN).mass, measure_attention(vlm, SHOWN, answer).mass, atol=1e-5
    )


def test_an_empty_context_gets_nothing():
    shares = measure_attention(tiny_models.vlm(), Shown(), tiny_models.vlm().answer(Shown(), 3))
    assert shares.token_counts["context"] == 0
    assert shares.absolute()["context"] == 0 == shares.relative()["context"]


def test_token_counts_are_the_prompts():
    vlm = tiny_models.vlm("llava_next")
    counts = vlm.encode(SHOWN).token_counts()
    shares = measure_attention(vlm, SHOWN, vlm.answer(SHOWN, 2))
    assert shares.token_counts == {
        "image": counts["image"],
        "context": counts["context"],
        "question": counts["question"],
        "other": counts["template"],
    }


def test_an_answer_to_another_prompt_is_refused():
    vlm = tiny_models.vlm()
    answer = vlm.answer(Shown("Is it blue?"), 3)
    with pytest.raises(InputError, match="another prompt"):
        measure_attention(vlm, SHOWN, answer)


def test_a_record_of_another_image_is_not_used():
    """Two pictures of one size give the same prompt ids: the record goes by the stimulus, not by the ids."""
    vlm = tiny_models.vlm()
    one, other = Shown(seed=1), Shown(seed=2)
    attended = vlm.answer(one, 4, attention=True)
    shares = measure_attention(vlm, other, attended)
    np.testing.assert_allclose(shares.mass, eager_mass(vlm, other, attended.token_ids), atol=1e-5)
    assert np.abs(shares.mass - attended.mass).max() > 1e-3


def test_an_answer_without_tokens_is_refused():
    model, processor = tiny_models.llava()
    model.generation_config.eos_token_id = list(range(len(processor.tokenizer)))
    vlm = VLM(model, processor, model_id="silent")
    with pytest.raises(InputError, match="no tokens"):
        measure_attention(vlm, SHOWN)


def test_the_attention_implementation_is_restored_even_after_an_error():
    vlm = tiny_models.vlm()
    recorder = vlm.recorder(vlm.encode(SHOWN))
    with pytest.raises(ZeroDivisionError), recording(vlm.model, "text_config", recorder):
        assert vlm.model.config.text_config._attn_implementation != "sdpa"
        assert vlm.model.config.vision_config._attn_implementation == "sdpa"
        raise ZeroDivisionError
    assert vlm.model.config.text_config._attn_implementation == "sdpa"


def test_recording_changes_nothing_in_the_answer():
    vlm = tiny_models.vlm("llava_next")
    assert vlm.prefill(SHOWN, attention=True).logits.equal(vlm.prefill(SHOWN, attention=False).logits)
    assert vlm.answer(SHOWN, 6, attention=True) == vlm.answer(SHOWN, 6)


def test_a_model_that_runs_eager_gives_its_own_weights():
    eager = VLM(*tiny_models.llava(num_key_value_heads=2), model_id="tiny")
    eager.model.set_attn_implementation("eager")
    vlm = tiny_models.vlm(num_key_value_heads=2)
    attended = eager.answer(SHOWN, 6, attention=True)
    assert attended.token_ids == vlm.answer(SHOWN, 6).token_ids
    expected = measure_attention(vlm, SHOWN, vlm.answer(SHOWN, 6)).mass
    np.testing.assert_allclose(attended.mass, expected, atol=1e-5)
    np.testing.assert_allclose(measure_attention(eager, SHOWN, attended.plain()).mass, expected, atol=1e-5)
    assert eager.model.config.text_config._attn_implementation == "eager"


def test_a_model_with_another_attention_function_is_refused():
    AttentionInterface.register("some_other_attention", sdpa_attention_forward)
    AttentionMaskInterface.register("some_other_attention", sdpa_mask)
    vlm = VLM(*tiny_models.llava(), model_id="tiny")
    vlm.model.set_attn_implementation("some_other_attention")
    assert "some_other_attention" in vlm.unavailable["attention"]
    answer = vlm.answer(vlm.prefill(SHOWN), 3)
    for refused in (
        lambda: vlm.prefill(SHOWN, attention=True),
        lambda: measure_attention(vlm, SHOWN, answer),
        lambda: vlm.answer(SHOWN, attention=True),
    ):
        with pytest.raises(InputError, match="runs with 'some_other_attention'"):
            refused()
    assert vlm.answer(SHOWN, 3).text == tiny_models.vlm().answer(SHOWN, 3).text


def test_a_prefill_without_attention_is_refused():
    vlm = tiny_models.vlm()
    prefill = vlm.prefill(SHOWN, attention=False)
    for measure in (lambda: measure_attention(vlm, prefill), lambda: vlm.answer(prefill, attention=True)):
        with pytest.raises(InputError, match="without attention"):
            measure()


def test_the_full_matrices_are_never_materialised():
    """No tensor as large as tokens x tokens is made: not in prefill, decoding or teacher forcing."""
    vlm = tiny_models.vlm("llava_next")
    tokens = len(vlm.encode(LONG))
    squares = []
    watched = 0

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            nonlocal watched
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.ndim > 1:
                watched += 1
                if min(result.shape[-2:]) >= tokens:
                    squares.append((function, result.shape))
            return result

    with Watch():
        prefill = vlm.prefill(LONG)
        measure_attention(vlm, prefill, vlm.answer(prefill, 4, attention=True))
        measure_attention(vlm, prefill, vlm.answer(prefill, 4))
    assert tokens > 300 and watched > 100
    assert not squares


class TestRecorder:
    """The recorder alone, on tensors whose attention is known."""

    def recorder(self, groups):
        return AttentionRecorder(torch.tensor([GROUPS.index(name) for name in groups]))

    def test_equal_keys_share_by_count(self):
        recorder = self.recorder(
            ["other", "image", "image", "image", "context", "question", "question", "other"]
        )
        recorder.begin(8)
        query, key = torch.randn(1, 2, 8, 4), torch.ones(1, 2, 8, 4)
        record(recorder, 0, query, key)
        expected = torch.tensor([3 / 8, 1 / 8, 2 / 8, 2 / 8]).expand(1, 1, 2, 4)
        torch.testing.assert_close(recorder.mass(), expected)

    def test_rows_see_no_later_keys_and_generated_keys_are_other(self):
        recorder = self.recorder(["image", "question"])
        recorder.begin(4, rows=3)
        record(recorder, 0, torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 4, 4))
        expected = torch.tensor([[1 / 2, 0, 1 / 2, 0], [1 / 3, 0, 1 / 3, 1 / 3], [1 / 4, 0, 1 / 4, 2 / 4]])
        torch.testing.assert_close(recorder.mass()[:, 0, 0], expected)

    @pytest.mark.parametrize("additive", [False, True])
    def test_masked_keys_get_nothing(self, additive):
        """As with left padding, or outside a sliding window."""
        recorder = self.recorder(["image", "image", "context", "question"])
        recorder.begin(4)
        visible = torch.tensor([False, True, True, True])[None, None, None]
        mask = torch.where(visible, 0.0, float("-inf")) if additive else visible
        record(recorder, 0, torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 4, 4), mask)
        torch.testing.assert_close(recorder.mass()[0, 0, 0], torch.tensor([1 / 3, 1 / 3, 1 / 3, 0]))

    def test_keys_cut_by_a_sliding_window_keep_their_groups(self):
        recorder = self.recorder(["image"] * 3 + ["context"] * 2 + ["question"])
        recorder.begin(7)
        record(recorder, 0, torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 3, 4))
        torch.testing.assert_close(recorder.mass()[0, 0, 0], torch.tensor([0, 1 / 3, 1 / 3, 1 / 3]))

    def test_half_precision_is_summed_in_float32(self):
        recorder = self.recorder(["image"] * 3000 + ["question"])
        recorder.begin(3001)
        query, key = torch.zeros(1, 1, 1, 4).bfloat16(), torch.zeros(1, 1, 3001, 4).bfloat16()
        record(recorder, 0, query, key)
        assert recorder.mass().dtype == torch.float32
        assert float(recorder.mass()[0, 0, 0, 0]) == pytest.approx(3000 / 3001, abs=1e-5)

    def test_layers_come_out_in_order(self):
        recorder = self.recorder(["image", "question"])
        recorder.begin(2)
        for layer in (2, 0, 1):
            key = torch.tensor([[[[float(layer)], [0.0]]]])
            record(recorder, layer, torch.ones(1, 1, 1, 1), key, None, 1.0)
        expected = torch.tensor([math.exp(layer) / (math.exp(layer) + 1) for layer in range(3)])
        torch.testing.assert_close(recorder.mass()[0, :, 0, 0], expected)


class TestShares:
    """The record alone, on masses whose shares are known."""

    def shares(self):
        mass = np.zeros((2, 1, 2, 4), dtype=np.float32)
        mass[0, 0] = [[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]]
        mass[1, 0] = [[0.0, 0.0, 0.5, 0.5], [0.25, 0.5, 0.125, 0.125]]
        return AttentionShares(mass, {"image": 8, "context": 3, "question": 1, "other": 5}, ("Yes", "."))

    def test_absolute_is_the_mean_and_sums_to_one(self):
        absolute = self.shares().absolute()
        assert absolute == {"image": 0.25, "context": 0.25, "question": 0.25, "other": 0.25}

    def test_absolute_does_not_grow_with_the_answer(self):
        shares = self.shares()
        twice = AttentionShares(np.concatenate([shares.mass] * 2), shares.token_counts, shares.tokens * 2)
        assert twice.absolute() == shares.absolute()

    def test_relative_is_among_the_three_inputs(self):
        relative = self.shares().relative()
        assert relative == {"image": 1 / 3, "context": 1 / 3, "question": 1 / 3}

    def test_relative_of_nothing_is_undefined(self):
        mass = np.zeros((1, 1, 1, 4))
        mass[..., 3] = 1
        shares = AttentionShares(mass, {"image": 1, "context": 0, "question": 1, "other": 1}, ("a",))
        assert all(math.isnan(share) for share in shares.relative().values())
        assert shares.modality_dominance_index is None

    def test_per_token_layer_head(self):
        shares = self.shares()
        assert shares.per_token()[1] == {"image": 0.125, "context": 0.25, "question": 0.3125, "other": 0.3125}
        assert shares.per_layer() == [shares.absolute()]
        np.testing.assert_array_equal(shares.per_head()[0, 0], [0.25, 0.125, 0.3125, 0.3125])

    def test_modality_dominance_index(self):
        # (0.25 + 0.25) / (3 + 1) text per token, 0.25 / 8 image per token.
        assert self.shares().modality_dominance_index == pytest.approx(0.125 / 0.03125)

    def test_records_come_back_bit_by_bit(self):
        vlm = tiny_models.vlm()
        shares = measure_attention(vlm, SHOWN, vlm.answer(SHOWN, 3))
        again = AttentionShares.from_dict(json.loads(json.dumps(shares.to_dict())))
        assert again == shares and hash(again) == hash(shares)
        assert pickle.loads(pickle.dumps(shares)) == shares
        assert again != self.shares()

    def test_it_cannot_be_changed(self):
        shares = self.shares()
        with pytest.raises(ValueError, match="read-only"):
            shares.mass[0] = 0

    @pytest.mark.parametrize(
        ("mass", "message"),
        [
            (np.ones((2, 1, 2, 3)), "shape"),
            (np.ones((0, 1, 2, 4)), "shape"),
            (np.full((1, 1, 2, 4), 0.25), "2 tokens, and its attention mass is of 1 token;"),
            (np.full((2, 1, 2, 4), 0.3), "sum to 1"),
        ],
    )
    def test_what_cannot_be_a_mass_is_refused(self, mass, message):
        with pytest.raises(InputError, match=message):
            AttentionShares(mass, {"image": 1, "context": 1, "question": 1, "other": 1}, ("a", "b"))
