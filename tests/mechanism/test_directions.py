"""Steering directions from pairs, and the divergence of heads without the picture."""

from __future__ import annotations

import json
import pickle

import numpy as np
import planted_models
import pytest
import tiny_models
import torch

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.mechanism.divergence import HeadDivergence, vision_divergence
from isi_widget.mechanism.steering import steering_direction
from isi_widget.vlm.inside import sites
from isi_widget.vlm.inside.hooks import hooked

families = pytest.mark.parametrize("name", sorted(tiny_models.BUILDERS))


def stimulus_of(seed, question="Is there a red star?"):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return isi.Observation(pixels, question).stimulus()


PAIRS = [(stimulus_of(0), stimulus_of(1)), (stimulus_of(2), stimulus_of(3))]


def outputs(vlm, stimulus, layer):
    """Output of a layer [tokens, hidden], by a hook."""
    seen = []

    def keep(_, output):
        seen.append((output[0] if isinstance(output, tuple) else output)[0].clone())

    with hooked((sites(vlm.model, vlm.family).layers[layer], "output", keep)):
        vlm.prefill(stimulus, attention=False)
    return seen[0]


@families
def test_a_direction_is_the_difference_of_means(name):
    vlm = tiny_models.vlm(name)
    last = len(sites(vlm.model, vlm.family).layers) - 1
    for layer in (0, last):
        expected = torch.stack(
            [outputs(vlm, one, layer)[-1] - outputs(vlm, other, layer)[-1] for one, other in PAIRS]
        ).mean(dim=0)
        if not expected.any():  # the last token of the tiny Gemma 3 does not see the picture in layer 0
            with pytest.raises(InputError, match="have the same states at these tokens"):
                steering_direction(vlm, PAIRS, layer)
            continue
        found = steering_direction(vlm, PAIRS, layer)
        assert float((torch.tensor(found.array) - expected).abs().max()) < 1e-5
        assert found.layer == layer and "mean of 2 differences" in found.made


def test_a_direction_of_a_group_and_of_one_pair():
    vlm = tiny_models.vlm()
    one, other = PAIRS[0]
    rows = list(vlm.encode(one).indices("question"))
    expected = outputs(vlm, one, 1)[rows].mean(dim=0) - outputs(vlm, other, 1)[rows].mean(dim=0)
    found = steering_direction(vlm, PAIRS[0], 1, tokens="question")
    assert float((torch.tensor(found.array) - expected).abs().max()) < 1e-5
    assert "question" in found.made and "mean cosine 1.00" in found.made
    # of the changed model, where the view has interventions
    steered = vlm.intervene(isi.Steer(found, scale=3))
    assert steering_direction(steered, PAIRS, 2).digest != steering_direction(vlm, PAIRS, 2).digest
    # a constant that both sides get falls out at its own layer
    same = steering_direction(steered, PAIRS, 1)
    assert np.allclose(same.array, steering_direction(vlm, PAIRS, 1).array, atol=1e-5)


def test_observations_may_stand_for_their_stimuli():
    vlm = tiny_models.vlm()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    one, other = (isi.Observation(picture, "Is it red?") for picture in pixels)
    expected = steering_direction(vlm, [(one.stimulus(), other.stimulus())], 1)
    for pairs in ([(one, other)], (one, other), [(one, other.stimulus())], [isi.Pair(one, other)]):
        assert steering_direction(vlm, pairs, 1) == expected


def test_it_steers_where_the_answer_is_and_a_random_one_does_not():
    """In the planted model the answer is one direction at the last token after layer 2."""
    made = planted_models.planted("one_hop")
    vlm = made.vlm()
    yes, no = (
        [seen.stimulus() for seen in made.observations(8) if seen.answer == word] for word in made.answers
    )
    direction = steering_direction(vlm, list(zip(yes[:2], no[:2], strict=True)), 2)
    steer = isi.Steer(direction, tokens="last")
    assert [vlm.intervene(steer).answer(each, 1).text for each in no[2:]] == [made.answers[0]] * 2
    back = isi.Steer(direction, scale=-1, tokens="last")
    assert [vlm.intervene(back).answer(each, 1).text for each in yes[2:]] == [made.answers[1]] * 2
    kept = [
        vlm.intervene(isi.Steer(direction.random(seed), tokens="last")).answer(no[2], 1).text
        for seed in range(6)
    ]
    assert kept.count(made.answers[1]) >= 5


@pytest.mark.parametrize(
    ("pairs", "change", "words"),
    [
        ([], {}, "at least one pair"),
        (["a"], {}, r"pairs\[0\] must be an isi.Pair"),
        ([PAIRS[0][0]], {}, r"pairs\[0\] must be an isi.Pair"),
        (3, {}, "sequence of isi.Pair"),
        ([PAIRS[0], (*PAIRS[0], PAIRS[0][0])], {}, r"pairs\[1\] must be an isi.Pair or a tuple of two"),
        ([PAIRS[0], (PAIRS[0][0], "Yes")], {}, r"pairs\[1\]\[1\] must be a Stimulus or .*; got str"),
        (PAIRS, {"layer": 3}, "layer must be"),
        (PAIRS, {"layer": -1}, "layer must be"),
        (PAIRS, {"tokens": "context"}, "no token of the group context"),
        (PAIRS, {"tokens": "picture"}, "must be one of image"),
    ],
)
def test_directions_refuse(pairs, change, words):
    with pytest.raises(InputError, match=words):
        steering_direction(tiny_models.vlm(), pairs, **({"layer": 1} | change))


def test_directions_report_and_stop():
    seen = []
    steering_direction(tiny_models.vlm(), PAIRS, 1, progress=lambda *step: seen.append(step))
    assert seen == [("pairs", 0, 2), ("pairs", 1, 2), ("pairs", 2, 2)]
    with pytest.raises(Cancelled):
        steering_direction(tiny_models.vlm(), PAIRS, 1, cancel=lambda: True)


# Divergence of heads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "instructblip", "gemma3"])
def test_divergence_is_the_distance_of_head_outputs(name):
    """Against hooks on `o_proj`, with the ids and without the image's, through the language model itself."""
    vlm = tiny_models.vlm(name)
    stimulus = stimulus_of(0)
    found = sites(vlm.model, vlm.family)
    seen = []
    hooks = [
        (found.o_proj(layer), "input", lambda _, states: seen.append(states[0, -1].clone()))
        for layer in range(len(found.layers))
    ]
    prompt = vlm.encode(stimulus)
    kept = torch.tensor([[token for token in prompt.ids if token != prompt.image_token_id]])
    with hooked(*hooks), torch.no_grad():
        vlm.prefill(stimulus, attention=False)
        vlm.family.continued(vlm.model)(input_ids=kept)
    layers = len(found.layers)
    expected = [
        (one - other).reshape(found.heads, -1).norm(dim=1)
        for one, other in zip(seen[:layers], seen[layers:], strict=True)
    ]
    made = vision_divergence(vlm, stimulus)
    assert np.allclose(made.values, torch.stack(expected).numpy(), atol=1e-4)
    assert made.values.min() > 0 and made.n == 1


def test_heads_that_never_see_the_picture_do_not_diverge():
    """Below, nothing the last token reads depends on the image where image keys are cut for all others."""
    vlm = tiny_models.vlm().intervene(isi.Knockout(("question", "template"), "image"))
    whole = vision_divergence(tiny_models.vlm(), stimulus_of(0)).values
    cut = vision_divergence(vlm, stimulus_of(0)).values
    # positions still differ: rotary distances to tokens before the image
    assert cut.max() < whole.max()


def test_a_divergence_is_a_record_with_views():
    vlm = tiny_models.vlm()
    made = vision_divergence(
        vlm, [PAIRS[0][0], isi.Observation(np.zeros((40, 40, 3), np.uint8), "Is it red?")]
    )
    assert made.n == 2 and made.items.shape == (2, *made.values.shape)
    again = HeadDivergence.from_dict(json.loads(json.dumps(made.to_dict(), allow_nan=False)))
    assert again == made and hash(again) == hash(made) and pickle.loads(pickle.dumps(made)) == made
    top = made.top(3)
    assert made.values[top[0]] == made.values.max() and len(top) == 3
    frame = made.to_frame()
    assert len(frame) == made.values.size and bool((frame["low"] <= frame["divergence"] + 1e-6).all())
    assert made.plot().axes and "largest" in repr(made)
    gates = made.gates(1.5)
    assert len(gates.changed) == gates.shape[0] * gates.shape[1] // 2  # above the median of their layer
    assert vlm.intervene(gates).prefill(PAIRS[0][0]).logits.isfinite().all()
    with pytest.raises(InputError):
        HeadDivergence.from_dict({"items": 3})


@pytest.mark.parametrize(
    ("stimuli", "words"),
    [([], "at least one stimulus"), (["a"], r"stimuli\[0\] must be a Stimulus"), (3, "sequence of stimuli")],
)
def test_divergences_refuse(stimuli, words):
    with pytest.raises(InputError, match=words):
        vision_divergence(tiny_models.vlm(), stimuli)
