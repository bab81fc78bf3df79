"""Attention maps: equal to transformers' eager attentions, spread over boxes as brute force does, and a
record without loss.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import math
import pickle
from functools import cache
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
import tiny_models
import torch
from by_hand import record
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_models import VLM, Shown

from isi_widget.answer import Answer
from isi_widget.attribution import (
    AttentionMap,
    AttentionShares,
    by_head,
    heat_layer,
    measure_attention,
    measure_attention_map,
)
from isi_widget.attribution import measuring as measuring_module
from isi_widget.attribution.token_boxes import TokenBoxes
from isi_widget.errors import InputError
from isi_widget.vlm import load_vlm
from isi_widget.vlm.decoding.answers import pieces
from isi_widget.vlm.inside.attention import TokenRecorder
from isi_widget.vlm.remote.model import RemoteVLM

SHOWN = Shown(current_context="The star is red.", size=(90, 40))
LONG = Shown("Is it so?", "A small blue circle is left of the large box; näive 🙂 東京. " * 12, (60, 40))


@cache
def embedded():
    return load_vlm()


def built(name):
    return embedded() if name == "embedded" else tiny_models.vlm(name)


def eager_rows(vlm, shown, token_ids):
    """[tokens, layers, heads, keys] of one plain forward over prompt + answer with `output_attentions`."""
    prompt = vlm.encode(shown)
    ids = torch.cat([prompt.input_ids, torch.tensor([token_ids])], dim=1)
    extra = {}
    for name, value in prompt.token_inputs.items():  # Gemma 3: 1 is image; PaliGemma: 1 is answer
        tail = 1 if name == "token_type_ids" and bool((value == 0).all()) else 0
        extra[name] = torch.cat([value, value.new_full((1, len(token_ids)), tail)], dim=1)
    previous = vlm.model.config.text_config._attn_implementation
    vlm.model.set_attn_implementation({"text_config": "eager"})
    try:
        with torch.no_grad():
            output = vlm.model(
                input_ids=ids, **prompt.images, **extra, output_attentions=True, use_cache=False
            )
    finally:
        vlm.model.set_attn_implementation({"text_config": previous})
    rows = torch.stack(output.attentions)[:, 0, :, len(prompt) - 1 : -1]
    return rows.permute(2, 0, 1, 3).numpy()


# Measuring --------------------------------------------------------------------------------------------------

FAMILIES = ["embedded", "llava", "llava_next", "qwen2_vl", "qwen3_vl", "gemma3", "paligemma", "paligemma2"]


@pytest.mark.parametrize("name", [*FAMILIES, "internvl", "idefics3"])
def test_mass_equals_eager_attentions(name):
    vlm = built(name)
    answer = vlm.sample(SHOWN, n=1, max_new_tokens=7, seed=2)[0]
    found = measure_attention_map(vlm, SHOWN, answer)
    prompt = vlm.encode(SHOWN)
    rows = eager_rows(vlm, SHOWN, answer.token_ids)
    image = np.array(prompt.ids) == vlm.family.image_token_id(vlm.model)
    expected = rows[..., : len(prompt)][..., image]
    assert found.mass.shape == expected.shape == (len(answer.token_ids), *rows.shape[1:3], image.sum())
    difference = np.abs(found.mass - expected).max(axis=(0, 2, 3))
    assert (difference < 1e-5).all(), f"difference by layer: {difference} (a mask, scale or token-row error?)"
    texts = [*prompt.indices("context"), *prompt.indices("question")]
    np.testing.assert_allclose(found.text_mass, rows[..., texts], atol=1e-5)
    assert found.layers == tuple(range(rows.shape[1])) and found.heads == tuple(range(rows.shape[2]))
    assert found.tokens == answer.tokens
    np.testing.assert_array_equal(found.boxes, vlm.token_boxes(SHOWN))


@pytest.mark.parametrize("keys", [1, 2, 4])
def test_grouped_queries(keys):
    vlm = tiny_models.vlm("llava", num_key_value_heads=keys)
    answer = vlm.answer(SHOWN, 5)
    image = list(vlm.encode(SHOWN).indices("image"))
    expected = eager_rows(vlm, SHOWN, answer.token_ids)[..., image]
    np.testing.assert_allclose(measure_attention_map(vlm, SHOWN, answer).mass, expected, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_image_tokens_sum_to_the_image_share(name):
    vlm = built(name)
    answer = vlm.answer(SHOWN, 4)
    found, shares = measure_attention_map(vlm, SHOWN, answer), measure_attention(vlm, SHOWN, answer)
    np.testing.assert_allclose(found.mass.sum(-1), shares.mass[..., 0], atol=1e-6)
    assert found.image_share() == pytest.approx(shares.absolute()["image"], abs=1e-6)
    for token, share in enumerate(shares.per_token()):
        assert found.image_share(token) == pytest.approx(share["image"], abs=1e-6)
    for layer, head in itertools.product(found.layers, found.heads):
        share = shares.per_head()[layer, head, 0]
        assert found.image_share(layer=layer, head=head) == pytest.approx(share, abs=1e-6)
    by_text = np.array(found.text_shares())
    for segment in ("context", "question"):
        of_it = [name == segment for name in found.text_segments]
        assert by_text[of_it].sum() == pytest.approx(shares.absolute()[segment], abs=1e-6)


def test_without_an_answer_it_is_the_greedy_one():
    vlm = tiny_models.vlm()
    assert measure_attention_map(vlm, SHOWN) == measure_attention_map(vlm, SHOWN, vlm.answer(SHOWN))


def test_an_answer_of_one_token():
    vlm = tiny_models.vlm()
    answer = vlm.answer(SHOWN, 1)
    rows = eager_rows(vlm, SHOWN, answer.token_ids)
    image = list(vlm.encode(SHOWN).indices("image"))
    np.testing.assert_allclose(measure_attention_map(vlm, SHOWN, answer).mass, rows[..., image], atol=1e-5)


def test_layers_and_heads_are_slices():
    vlm = tiny_models.vlm()
    answer = vlm.answer(SHOWN, 5)
    whole = measure_attention_map(vlm, SHOWN, answer)
    part = measure_attention_map(vlm, SHOWN, answer, layers=[2, 0], heads=[3])
    assert (part.layers, part.heads) == ((0, 2), (3,))
    np.testing.assert_array_equal(part.mass, whole.mass[:, [0, 2]][:, :, [3]])
    assert part.image_share(layer=2) == pytest.approx(whole.image_share(layer=2, head=3))
    mean = measure_attention_map(vlm, SHOWN, answer, heads="mean")
    assert mean.heads == () and mean.mass.shape[2] == 1
    np.testing.assert_allclose(mean.mass[:, :, 0], whole.mass.mean(axis=2), atol=1e-7)
    with pytest.raises(InputError, match="mean over all heads"):
        mean.map(head=0)


def test_a_record_that_would_be_too_large_keeps_the_mean_over_heads(monkeypatch):
    vlm = tiny_models.vlm()
    answer = vlm.answer(SHOWN, 5)
    whole = measure_attention_map(vlm, SHOWN, answer)
    size = whole.mass.nbytes + whole.text_mass.nbytes
    monkeypatch.setattr(measuring_module, "LARGEST", size)
    assert measure_attention_map(vlm, SHOWN, answer) == whole
    monkeypatch.setattr(measuring_module, "LARGEST", size - 1)
    reduced = measure_attention_map(vlm, SHOWN, answer)
    assert reduced.heads == ()
    np.testing.assert_allclose(reduced.map(1), whole.map(1), atol=1e-9)
    with pytest.raises(InputError, match=r"fewer layers=\[...\] or heads"):
        measure_attention_map(vlm, SHOWN, answer, heads=[0, 1, 2, 3])
    monkeypatch.setattr(measuring_module, "LARGEST", size // 4 - 1)
    with pytest.raises(InputError, match="fewer layers"):
        measure_attention_map(vlm, SHOWN, answer)


def test_tokens_of_the_texts_are_told():
    vlm = tiny_models.vlm()
    found = measure_attention_map(vlm, LONG, vlm.answer(LONG, 2))
    prompt = vlm.encode(LONG)
    assert len(prompt.indices("context")) > 100
    for segment in ("context", "question"):
        words = [
            text for text, name in zip(found.text_tokens, found.text_segments, strict=True) if name == segment
        ]
        assert words == list(pieces(vlm.tokenizer, prompt.segment_token_ids(segment)))


@pytest.mark.parametrize("kind", ["byte", "piece"])
def test_words_are_those_of_one_long_decoding(kind):
    vlm = tiny_models.vlm("llava", kind)
    ids = vlm.encode(LONG).segment_token_ids("context")
    assert measuring_module._words(vlm, ids) == list(pieces(vlm.tokenizer, ids))


def test_it_leaves_the_model_as_it_was():
    vlm = tiny_models.vlm()
    before = vlm.answer(SHOWN, 5)
    measure_attention_map(vlm, SHOWN)
    assert vlm.model.config.text_config._attn_implementation == "sdpa"
    assert vlm.answer(SHOWN, 5) == before


class TestTokenRecorder:
    """The recorder alone, on tensors whose attention is known."""

    def test_single_tokens_of_equal_keys(self):
        recorder = TokenRecorder(torch.tensor([1, 4]))
        recorder.begin(8, rows=2)
        record(recorder, 0, torch.zeros(1, 2, 8, 4), torch.zeros(1, 1, 8, 4))
        expected = torch.tensor([[1 / 7, 1 / 7], [1 / 8, 1 / 8]])[:, None, None].expand(2, 1, 2, 2)
        torch.testing.assert_close(recorder.mass(), expected)

    def test_tokens_cut_by_a_sliding_window_get_nothing(self):
        recorder = TokenRecorder(torch.tensor([0, 3, 4]))
        recorder.begin(7)
        record(recorder, 0, torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 3, 4))
        torch.testing.assert_close(recorder.mass()[0, 0, 0], torch.tensor([0, 0, 1 / 3]))

    def test_chosen_layers_and_heads(self):
        recorder = TokenRecorder(torch.tensor([0]), frozenset({1}), (2, 0))
        recorder.begin(2)
        weights = torch.tensor([0.1, 0.2, 0.3])[None, :, None, None] * torch.ones(1, 3, 1, 2)
        for layer in range(3):
            recorder.record(layer, 1, lambda rows, layer=layer: weights[0] + layer)
        assert recorder.layers == (1,)
        torch.testing.assert_close(recorder.mass()[0, 0, :, 0], torch.tensor([1.3, 1.1]))


# Refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"), [("instructblip", "queries, not places"), ("aya_vision", "not known|not listed")]
)
def test_models_without_places_say_why(name, reason):
    vlm = tiny_models.vlm(name)
    with pytest.raises(InputError, match=reason) as caught:
        measure_attention_map(vlm, SHOWN)
    assert vlm.unavailable["image_map"] in str(caught.value) and vlm.model_id in str(caught.value)


def test_a_server_says_why():
    server = SimpleNamespace(model="far", base_url="http://localhost:1/v1")
    remote = RemoteVLM(server, concurrency=1, fields={}, extra_body={}, detail=None, code="")
    with pytest.raises(InputError, match="not available from far") as caught:
        measure_attention_map(remote, SHOWN)
    assert remote.unavailable["attention"] in str(caught.value)


def test_a_model_with_another_attention_function_says_why():
    vlm = VLM(*tiny_models.llava(), model_id="tiny")
    vlm.model.config.text_config._attn_implementation_internal = "flash_attention_2"
    with pytest.raises(InputError, match="flash_attention_2"):
        measure_attention_map(vlm, SHOWN)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": [3]}, "no layers 3; its layers are numbered 0 to 2"),
        ({"layers": [-1]}, "no layers -1"),
        ({"layers": []}, "layers is"),
        ({"layers": "mean"}, "layers is 'mean'"),
        ({"layers": [True]}, "layers is"),
        ({"heads": [4, 9]}, "no heads 4, 9; its heads are numbered 0 to 3"),
        ({"heads": 1}, "heads is 1"),
        ({"heads": "all"}, "heads is 'all'; expected numbers of heads, \"mean\""),
    ],
)
def test_layers_and_heads_that_are_not_there_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        measure_attention_map(tiny_models.vlm(), SHOWN, **arguments)


def test_other_inputs_are_refused():
    vlm = tiny_models.vlm()
    with pytest.raises(InputError, match="another prompt"):
        measure_attention_map(vlm, SHOWN, vlm.answer(Shown("Is it blue?"), 3))
    with pytest.raises(InputError, match="no tokens"):
        measure_attention_map(vlm, SHOWN, Answer("", (), (), ()))
    with pytest.raises(InputError, match="needs a VLM"):
        measure_attention_map("llava", SHOWN)
    with pytest.raises(InputError, match="shown a Stimulus"):
        measure_attention_map(vlm, vlm.prefill(SHOWN))


# Token boxes ------------------------------------------------------------------------------------------


def overlap(low, high, pixel):
    return max(0.0, min(high, pixel + 1) - max(low, pixel))


def brute_map(mass, boxes, image_size, size):
    """Pixel by pixel, box by box."""
    spread = np.zeros(size[::-1])
    for share, (left, top, right, bottom) in zip(mass, boxes, strict=True):
        if math.isnan(left):
            continue
        x, y = size[0] / image_size[0], size[1] / image_size[1]
        area = (right - left) * x * (bottom - top) * y
        for row, column in itertools.product(range(size[1]), range(size[0])):
            covered = overlap(left * x, right * x, column) * overlap(top * y, bottom * y, row)
            spread[row, column] += share * covered / area
    return spread


def density_at(x, y, mass, boxes):
    return sum(
        share / ((right - left) * (bottom - top))
        for share, (left, top, right, bottom) in zip(mass, boxes, strict=True)
        if left <= x < right and top <= y < bottom
    )


@st.composite
def laid_out(draw):
    """Any boxes on a small picture, some without a place, with any mass."""
    width, height = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    boxes = []
    for _ in range(draw(st.integers(1, 7))):
        if draw(st.booleans()) and draw(st.booleans()):
            boxes.append([math.nan] * 4)
            continue
        left, right = sorted(draw(st.tuples(*[st.floats(0, width)] * 2)))
        top, bottom = sorted(draw(st.tuples(*[st.floats(0, height)] * 2)))
        if right - left < 1e-3 or bottom - top < 1e-3:
            left, right, top, bottom = 0.0, float(width), 0.0, float(height)
        boxes.append([left, top, right, bottom])
    mass = draw(
        st.lists(st.floats(0, 1).map(lambda share: share / 8), min_size=len(boxes), max_size=len(boxes))
    )
    size = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    return np.array(mass), np.array(boxes), (width, height), size


@settings(max_examples=60)
@given(laid_out())
def test_spread_peak_and_seen_equal_brute_force(case):
    mass, boxes, image_size, size = case
    places = TokenBoxes(boxes, *image_size)
    placed = mass[~np.isnan(boxes[:, 0])].sum()
    for given_size, used in ((None, image_size), (size, size)):
        spread = places.spread(mass, given_size)
        np.testing.assert_allclose(spread, brute_map(mass, boxes, image_size, used), atol=1e-9)
        assert spread.sum() == pytest.approx(placed, abs=1e-9)
        seen = places.seen(given_size)
        for row, column in itertools.product(range(used[1]), range(used[0])):
            x, y = ((column + 0.5) * image_size[0] / used[0], (row + 0.5) * image_size[1] / used[1])
            # On the very edge of a box rounding decides on which side a centre lies.
            if np.nanmin(np.abs(boxes - [x, y, x, y]), initial=1) > 1e-9:
                assert seen[row, column] == (density_at(x, y, np.ones(len(boxes)), boxes) > 0)
    ends_x, ends_y = np.unique(boxes[:, 0::2]), np.unique(boxes[:, 1::2])
    points = itertools.product((ends_x[:-1] + ends_x[1:]) / 2, (ends_y[:-1] + ends_y[1:]) / 2)
    densities = [density_at(x, y, mass, boxes) for x, y in points if not (math.isnan(x) or math.isnan(y))]
    highest = max(densities, default=0.0) * image_size[0] * image_size[1]
    assert places.peak(mass) == pytest.approx(highest, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["embedded", "llava", "llava_next", "gemma3", "idefics3"])
def test_the_map_of_a_model_equals_brute_force(name):
    vlm = built(name)
    shown = Shown(size=(40, 29))
    found = measure_attention_map(vlm, shown, vlm.answer(shown, 3))
    mass = found.mass[0, 1].mean(axis=0, dtype=np.float64)
    heat = found.map(token=0, layer=1)
    assert heat.shape == (29, 40)
    np.testing.assert_allclose(heat, brute_map(mass, found.boxes, (40, 29), (40, 29)), atol=1e-9)
    assert heat.sum() == pytest.approx(found.placed_share(token=0, layer=1))
    unplaced = mass[np.isnan(found.boxes[:, 0])].sum()
    assert found.placed_share(0, 1) == pytest.approx(found.image_share(0, 1) - unplaced)
    assert (unplaced > 0) == (name == "llava_next"), "only its newline tokens have no place"


def test_evenly_spread_attention_has_density_one():
    found = AttentionMap(np.full((1, 1, 1, 4), 0.25), BOXES, (4, 4), ("a",), (0,), (0,))
    np.testing.assert_allclose(found.map(), np.full((4, 4), 1 / 16))
    assert found.peak() == pytest.approx(1.0)


def test_what_was_cropped_away_is_not_seen():
    """LLaVA-1.5 crops the middle square of a wide picture."""
    vlm = tiny_models.vlm("llava")
    seen = measure_attention_map(vlm, SHOWN, vlm.answer(SHOWN, 1)).seen()
    assert seen.shape == (40, 90)
    columns = seen.all(axis=0)
    np.testing.assert_array_equal(columns, seen.any(axis=0))
    assert columns[26:64].all() and not columns[:24].any() and not columns[66:].any()


# The record -------------------------------------------------------------------------------------------------

BOXES = np.array([[0, 0, 2, 2], [2, 0, 4, 2], [0, 2, 2, 4], [2, 2, 4, 4]], dtype=float)


def made():
    """Two tokens, two layers, two heads on four quarters of a picture of 4 x 4 pixels."""
    mass = np.zeros((2, 2, 2, 4), np.float32)
    mass[0] = [0.5, 0.25, 0, 0]
    mass[1, 0] = [0.25, 0.25, 0.25, 0.25]
    mass[1, 1] = [[0, 0, 0, 0], [0, 0, 0, 1]]
    return AttentionMap(mass, BOXES, (4, 4), ("Yes", "."), (0, 3), (1, 5))


class TestRecord:
    def test_choices_are_means(self):
        found = made()
        np.testing.assert_allclose(
            found.map(0)[:2], np.repeat([[0.125, 0.0625]], 2, axis=1).repeat(2, axis=0)
        )
        assert found.image_share(1, layer=3, head=1) == 0 and found.image_share(1, layer=3, head=5) == 1
        assert found.image_share(1, layer=3) == pytest.approx(0.5)
        assert found.image_share([0, 1], [0], [1, 5]) == pytest.approx((0.75 + 1) / 2)
        np.testing.assert_allclose(found.map([0, 1]), found.map())
        assert found.map(0, size=(8, 2)).shape == (2, 8)

    @pytest.mark.parametrize(
        ("choice", "message"),
        [
            ({"token": 2}, "no token 2 in this attention map; it has 0, 1"),
            ({"token": -1}, "no token -1"),
            ({"token": "0"}, "token is '0'"),
            ({"token": True}, "token is True"),
            ({"token": []}, "token is"),
            ({"layer": 1}, "no layer 1 in this attention map; it has 0, 3"),
            ({"head": 0}, "no head 0 in this attention map; it has 1, 5"),
            ({"size": (0, 3)}, "size is"),
            ({"size": (2.5, 3)}, "size is"),
        ],
    )
    def test_what_is_not_there_is_refused(self, choice, message):
        with pytest.raises(InputError, match=message):
            made().map(**choice)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"mass": np.zeros((2, 2, 2, 0))}, "none empty"),
            ({"mass": np.zeros((1, 2, 2, 4))}, "shape"),
            ({"boxes": BOXES[:3]}, r"boxes \[4, 4\]"),
            ({"mass": np.full((2, 2, 2, 4), 0.3)}, "at most 1"),
            ({"mass": np.full((2, 2, 2, 4), -0.1)}, "at least 0"),
            ({"mass": np.full((2, 2, 2, 4), np.nan)}, "at least 0"),
            ({"text_tokens": ("a",)}, "1 text tokens need"),
            ({"text_tokens": ("a",), "text_mass": np.zeros((2, 2, 2, 1))}, "0 segments"),
        ],
    )
    def test_what_cannot_be_one_is_refused(self, changes, message):
        with pytest.raises(InputError, match=message):
            dataclasses.replace(made(), **changes)

    def test_records_come_back_bit_by_bit(self):
        vlm = tiny_models.vlm("llava_next")
        for found in (made(), measure_attention_map(vlm, SHOWN, vlm.answer(SHOWN, 3))):
            text = json.dumps(found.to_dict(), allow_nan=False)
            again = AttentionMap.from_dict(json.loads(text))
            assert again == found and hash(again) == hash(found)
            copied = pickle.loads(pickle.dumps(found))
            assert copied == found
            with pytest.raises(ValueError, match="read-only"):
                copied.mass[0] = 0
        assert found != made()

    @pytest.mark.parametrize("record", [{}, {"schema": 2}, 3, {"schema": 1}])
    def test_other_records_are_refused(self, record):
        with pytest.raises(InputError, match=r"attention map"):
            AttentionMap.from_dict(record)

    def test_it_cannot_be_changed(self):
        found = made()
        for array in (found.mass, found.boxes, found.text_mass):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        with pytest.raises(dataclasses.FrozenInstanceError):
            found.tokens = ()


# Pictures ---------------------------------------------------------------------------------------------------


class TestHeat:
    def test_colour_and_alpha_grow_with_the_density(self):
        heat = np.asarray(made().image(0))
        assert heat.shape == (4, 4, 4)
        np.testing.assert_array_equal(heat[..., 3], [[255, 255, 128, 128]] * 2 + [[0] * 4] * 2)
        viridis = matplotlib.colormaps["viridis"]
        assert tuple(heat[0, 0, :3]) == viridis(1.0, bytes=True)[:3]
        assert tuple(heat[0, 2, :3]) == viridis(128, bytes=True)[:3]

    def test_relative_and_absolute(self):
        """At layer 3 token 1 has the highest peak (half of its attention on a quarter: density 2)."""
        found = made()
        assert [found.peak(token, 3) for token in (0, 1)] == pytest.approx([2.0, 2.0])
        assert [found.peak(token, 3, 5) for token in (0, 1)] == pytest.approx([2.0, 4.0])
        relative = np.asarray(found.image(0, 3, 5))[..., 3]
        absolute = np.asarray(found.image(0, 3, 5, scale="absolute"))[..., 3]
        assert relative.max() == 255 and absolute.max() == 128
        np.testing.assert_array_equal(np.asarray(found.image(1, 3, 5, scale="absolute"))[2:, 2:, 3], 255)
        np.testing.assert_array_equal(np.asarray(found.image(0, 3, 5, full=8.0))[:2, :2, 3], 64)
        np.testing.assert_array_equal(np.asarray(found.image(0, opacity=0.5))[:2, :2, 3], 128)

    def test_colours_do_not_depend_on_the_resolution(self):
        heat = np.asarray(made().image(0))
        large = np.asarray(made().image(0, size=(12, 8)))
        np.testing.assert_array_equal(large, heat.repeat(2, axis=0).repeat(3, axis=1))
        np.testing.assert_array_equal(np.asarray(made().image(0, size=(2, 2))), heat[::2, ::2])

    def test_nothing_is_transparent(self):
        assert np.asarray(made().image(1, 3, 1))[..., 3].max() == 0

    @pytest.mark.parametrize(
        "wrong",
        [
            {"scale": "both"},
            {"full": 0},
            {"full": math.inf},
            {"full": True},
            {"opacity": 1.5},
            {"opacity": "1"},
            {"opacity": math.nan},
        ],
    )
    def test_settings_without_meaning_are_refused(self, wrong):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} is"):
            made().image(**wrong)

    @pytest.mark.parametrize("scale", ["relative", "absolute"])
    def test_the_png_is_the_image_without_loss(self, scale):
        vlm = built("llava_next")
        found = measure_attention_map(vlm, SHOWN, vlm.answer(SHOWN, 3))
        for width, size in ((None, (90, 40)), (45, (45, 20)), (200, (200, 89))):
            png = heat_layer(found, 1, 2, width=width, scale=scale)
            picture = Image.open(io.BytesIO(png))
            assert picture.format == "PNG" and picture.size == size
            expected = found.image(1, 2, size=size, scale=scale)
            np.testing.assert_array_equal(np.asarray(picture.convert("RGBA")), np.asarray(expected))
            assert len(png) < 9000

    def test_a_large_picture_gets_a_layer_of_the_preview_s_size(self):
        boxes = BOXES * [1000, 750, 1000, 750]
        found = AttentionMap(np.full((1, 1, 1, 4), 0.2), boxes, (4000, 3000), ("a",), (0,), (0,))
        assert Image.open(io.BytesIO(heat_layer(found))).size == (1200, 900)

    @pytest.mark.parametrize("width", [0, 8193, 1.5, True, "wide"])
    def test_other_widths_are_refused(self, width):
        with pytest.raises(InputError, match="width is"):
            heat_layer(made(), width=width)


def test_shares_by_layer_and_head():
    mass = np.zeros((2, 1, 2, 4), dtype=np.float32)
    mass[0, 0] = [[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]]
    mass[1, 0] = [[0.0, 0.0, 0.5, 0.5], [0.25, 0.5, 0.125, 0.125]]
    counts = {"image": 8, "context": 3, "question": 1, "other": 5}
    shares = AttentionShares(mass, counts, ("Yes", "."))
    assert json.loads(json.dumps(by_head(shares))) == [[0.25, 0.25]]
    assert by_head(shares, "context") == [[0.125, 0.375]]
    with pytest.raises(InputError, match="segment is 'picture'"):
        by_head(shares, "picture")
