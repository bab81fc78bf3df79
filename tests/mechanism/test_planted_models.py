"""Whether the planted models are what they claim to be, by plain interventions and plain hooks alone.

Everything else that is measured on them (scans, traces, lenses) is tested against what is shown here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from planted_models import CAUSAL, HEADS, HERE, KINDS, LAYERS, THERE, box, picture, planted
from scipy.stats import spearmanr

import isi_widget as isi
from isi_widget.vlm.inside import sites
from isi_widget.vlm.inside.hooks import hooked

kinds = pytest.mark.parametrize("kind", KINDS)
FIRST, SECOND = CAUSAL["two_hop"]


def difference(made, logits, right=True):
    """Logit of the true answer minus that of the other."""
    one, other = (float(logits[made.token_id(word)]) for word in made.answers)
    return one - other if right else other - one


def clean(made):
    return made.observation(True).stimulus()


def drop(made, *interventions):
    """How much of the clean logit difference interventions take away; 1: all of it."""
    vlm, stimulus = made.vlm(), clean(made)
    base = difference(made, vlm.prefill(stimulus).logits)
    return 1 - difference(made, vlm.intervene(*interventions).prefill(stimulus).logits) / base


def share_of_image(made):
    """Attention from the last token to all image tokens, [layers, heads]."""
    vlm = made.vlm()
    prefill = vlm.prefill(clean(made))
    return np.asarray(prefill.mass)[..., prefill.prompt.groups.index("image")]


@cache
def effects(made):
    """How much of the logit difference zeros in place of each head take away, [layers, heads]."""
    found = np.zeros((LAYERS, HEADS))
    for layer, head in np.ndindex(LAYERS, HEADS):
        found[layer, head] = drop(made, isi.HeadScale(layer, head, 0))
    return found


# Answers ----------------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("answers", [("Yes", "No"), ("Red", "Blue")])
def test_every_answer_is_right_and_ends(kind, answers):
    made = planted(kind, answers)
    for observation in made.observations(6):
        answer = made.vlm().answer(observation.stimulus(), 4)
        assert (answer.text, answer.finished) == (observation.answer, True)
        assert np.exp(answer.logprobs[0]) > 0.95


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), colour=st.tuples(*[st.integers(0, 255)] * 3))
def test_the_answer_is_the_one_token_whatever_the_picture(seed, colour):
    if colour[0] == colour[2]:
        colour = (colour[0], colour[1], (colour[0] + 128) % 256)
    pixels = np.array(picture(True, seed))
    left, top, width, height = box(HERE)
    pixels[top : top + height, left : left + width] = colour
    for kind in ("one_hop", "two_hop"):
        made = planted(kind)
        stimulus = isi.Observation(Image.fromarray(pixels), made.question).stimulus()
        assert made.vlm().answer(stimulus, 4).text == made.truth(stimulus.render())


@kinds
def test_no_other_patch_decides(kind):
    made = planted(kind)
    pixels = 255 - np.array(picture(True))
    left, top, width, height = box(HERE)
    pixels[top : top + height, left : left + width] = np.array(picture(True))[
        top : top + height, left : left + width
    ]
    inverted = isi.Observation(Image.fromarray(pixels), made.question).stimulus()
    assert made.vlm().answer(inverted, 4).text == "Yes"


@kinds
@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_saved_and_loaded_it_answers_the_same(kind, quantization, tmp_path):
    if quantization:
        pytest.importorskip("bitsandbytes")
        pytest.importorskip("accelerate")
    made = planted(kind)
    vlm = isi.load_vlm(made.save(tmp_path), quantization=quantization, dtype="float32")
    for observation in made.observations(2):
        stimulus = observation.stimulus()
        assert vlm.answer(stimulus, 4).text == observation.answer
        one, other = vlm.prefill(stimulus).logits, made.vlm().prefill(stimulus).logits
        near = 0.3 if quantization else 1e-5  # planted weights are exact in NF4, those of the noise are not
        assert difference(made, one) == pytest.approx(difference(made, other), abs=near)


# Heads ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["one_hop", "two_hop", "decoys"])
def test_the_planted_heads_make_the_answer_and_no_others(kind):
    made = planted(kind)
    found = effects(made)
    for place in np.ndindex(LAYERS, HEADS):
        assert found[place] == pytest.approx(1.0 if place in made.causal else 0.0, abs=0.06)
    every = [isi.HeadScale(*place, 0) for place in made.idle]
    assert abs(drop(made, *every)) < 0.15
    assert made.vlm().intervene(*every).answer(clean(made), 4).text == "Yes"


def test_each_twin_suffices():
    made = planted("twins")
    found = effects(made)
    assert np.abs(found).max() < 0.05
    assert drop(made, *(isi.HeadScale(*place, 0) for place in made.causal)) == pytest.approx(1, abs=0.06)
    assert drop(made, *(isi.HeadScale(*place, 0) for place in made.idle)) < 0.05


@pytest.mark.parametrize("by", ["mean", "zero"])
@pytest.mark.parametrize("kind", ["one_hop", "two_hop", "decoys"])
def test_a_replaced_head(kind, by):
    made = planted(kind)
    for place in made.causal:
        assert drop(made, isi.HeadReplace(*place, by)) > 0.6
    for place in made.idle[:: 1 if kind == "decoys" else 4]:
        assert abs(drop(made, isi.HeadReplace(*place, by))) < 0.06


# Paths ------------------------------------------------------------------------------------------------------


def test_one_hop_is_from_the_image_to_the_last_token_in_one_layer():
    made, here = planted("one_hop"), isi.ImageTokens(box(HERE))
    (layer, head) = made.causal[0]
    assert drop(made, isi.Knockout("last", here, (layer,), (head,))) == pytest.approx(1, abs=0.1)
    assert drop(made, isi.Knockout("last", "image", (layer,))) == pytest.approx(1, abs=0.1)
    others = tuple(number for number in range(LAYERS) if number != layer)
    assert abs(drop(made, isi.Knockout("last", "image", others))) < 0.06
    assert abs(drop(made, isi.Knockout("last", isi.ImageTokens(box(THERE))))) < 0.06
    assert abs(drop(made, isi.Knockout("question", "image"))) < 0.06
    assert abs(drop(made, isi.Knockout("last", "question"))) < 0.06


@pytest.mark.parametrize("kind", ["two_hop", "decoys"])
def test_two_hops_are_by_way_of_the_question(kind):
    made, here = planted(kind), isi.ImageTokens(box(HERE))
    assert made.causal == (FIRST, SECOND)
    for queries, keys, layer in (("question", here, FIRST[0]), ("last", "question", SECOND[0])):
        assert drop(made, isi.Knockout(queries, keys, (layer,))) == pytest.approx(1, abs=0.1)
        others = tuple(number for number in range(LAYERS) if number != layer)
        assert abs(drop(made, isi.Knockout(queries, keys, others))) < 0.06
    assert abs(drop(made, isi.Knockout("last", "image"))) < 0.06


@pytest.mark.parametrize("kind", ["one_hop", "two_hop", "decoys"])
def test_the_answer_moves_along_the_path(kind):
    """Clean states put into the other picture's pass, position by position and layer by layer."""
    made = planted(kind)
    vlm, corrupt = made.vlm(), made.observation(False).stimulus()
    prompt = vlm.encode(corrupt)
    found, states = sites(vlm.model, vlm.family), {}
    keep = [
        (layer, "input", lambda _, given, number=number: states.update({number: given}))
        for number, layer in enumerate(found.layers)
    ]
    with hooked(*keep):
        high = difference(made, vlm.prefill(clean(made)).logits)
    low = difference(made, vlm.prefill(corrupt).logits)

    def recovered(layer, position):
        def patch(_, given):
            given = given.clone()
            given[:, position] = states[layer][:, position]
            return given

        with hooked((found.layers[layer], "input", patch)):
            return (difference(made, vlm.prefill(corrupt).logits) - low) / (high - low)

    tokens = vlm.tokenizer.convert_ids_to_tokens(prompt.input_ids[0].tolist())
    here, asked, last = prompt.indices("image")[HERE], tokens.index("?"), len(tokens) - 1
    stays = [made.causal[0][0], made.causal[-1][0]]
    for layer in range(LAYERS):
        at = here if layer <= stays[0] else asked if layer <= stays[1] else last
        for position in (here, asked, last):
            assert recovered(layer, position) == pytest.approx(float(position == at), abs=0.06)


# Attention --------------------------------------------------------------------------------------------------


def test_attention_points_to_the_reader_of_one_hop():
    made = planted("one_hop")
    assert share_of_image(made)[made.causal[0]] > 0.999


def test_attention_misleads_where_nothing_that_is_read_is_used():
    made = planted("decoys")
    shares, found = share_of_image(made), effects(made)
    most = np.unravel_index(shares.argmax(), shares.shape)
    assert most not in made.causal and shares[most] > 0.9 and found[most] == 0
    assert max(shares[place] for place in made.causal) < 1e-3
    assert all(abs(found[place]) < 1e-5 for place in made.idle)
    assert spearmanr(shares.ravel(), np.abs(found).ravel()).statistic < -0.4
    # The idle heads do look at a picture: at the one token that they are made to look at.
    vlm = made.vlm()
    away = vlm.intervene(isi.Knockout("last", isi.ImageTokens(box(THERE)))).prefill(clean(made))
    image = away.prompt.groups.index("image")
    assert (np.asarray(away.mass)[..., image] < 0.2).all()


def test_the_planted_head_of_a_folder_is_read_from_its_weights(tmp_path):
    """The answer hangs on one row of one matrix: without it there is none."""
    made = planted("one_hop")
    vlm = isi.load_vlm(made.save(tmp_path), dtype="float32")
    layer, head = made.causal[0]
    width = sites(vlm.model, vlm.family).head_dim(layer)
    with torch.no_grad():
        sites(vlm.model, vlm.family).o_proj(layer).weight[:, head * width : (head + 1) * width] = 0
    pair = [made.observation(right).stimulus() for right in (True, False)]
    one, other = (difference(made, vlm.prefill(stimulus).logits) for stimulus in pair)
    assert abs(one - other) < 0.02
