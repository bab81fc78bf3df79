"""Activation patching on every family's tiny build, against plain hooks on the model's own modules."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import tiny_models
import torch
from patched_by_hand import patched_by_hand
from test_families import FAMILIES

import isi_widget as isi
from isi_widget import interventions
from isi_widget.errors import InputError
from isi_widget.vlm.inside.aligning import aligned
from isi_widget.vlm.inside.hooks import hooked

families = pytest.mark.parametrize("name", FAMILIES)
NEAR = 3e-5


def stimulus(seed=0, question="Is there a red star?", context="There was a box.", size=(50, 40)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return isi.Observation(pixels, question, context=context).stimulus()


CLEAN, CORRUPT = stimulus(0), stimulus(1)


def largest(one, other):
    return float((torch.as_tensor(one) - torch.as_tensor(other)).abs().max())


@families
@pytest.mark.parametrize("site", interventions.SITES)
def test_a_patch_is_two_plain_hooks(name, site):
    vlm = tiny_models.vlm(name)
    prompt = vlm.encode(CORRUPT)
    for tokens in ("image", "last"):
        rows = list(prompt.indices("image")) if tokens == "image" else [len(prompt) - 1]
        edited = vlm.intervene(isi.ActivationPatch(site, 1, tokens, CLEAN))
        found = edited.prefill(CORRUPT).logits
        assert largest(found, patched_by_hand(vlm, site, [1], rows, CLEAN, CORRUPT)) < NEAR
    assert largest(edited.prefill(CLEAN).logits, vlm.prefill(CLEAN).logits) < NEAR


@families
def test_all_tokens_of_one_layer_give_the_source_and_decoding_goes_on_from_it(name):
    vlm = tiny_models.vlm(name)
    # Qwen3-VL adds features of the picture between its first layers: below them all tokens are not all.
    deep = len(getattr(vlm.model.config.vision_config, "deepstack_visual_indexes", ()))
    edited = vlm.intervene(isi.ActivationPatch("residual", deep, "all", CLEAN))
    assert largest(edited.prefill(CORRUPT).logits, vlm.prefill(CLEAN).logits) < NEAR
    if deep:  # further tokens read keys and values of the layers below, too
        return
    one, other = edited.answer(CORRUPT, 4, min_new_tokens=4), vlm.answer(CLEAN, 4, min_new_tokens=4)
    assert one.token_ids == other.token_ids and largest(one.logprobs, other.logprobs) < NEAR


def test_patches_act_in_order_with_other_interventions():
    vlm = tiny_models.vlm()
    patch, later = (isi.ActivationPatch("residual", 1, "all", source) for source in (CLEAN, stimulus(2)))
    both = vlm.intervene(patch, later).prefill(CORRUPT).logits
    assert largest(both, vlm.intervene(later).prefill(CORRUPT).logits) < 1e-9
    head = isi.HeadScale(2, 0, 0.0)
    assert (
        largest(vlm.intervene(head, patch).prefill(CORRUPT).logits, vlm.intervene(head).prefill(CLEAN).logits)
        < NEAR
    )
    below = isi.HeadScale(0, 1, 3.0)  # the source is read under it, too
    assert (
        largest(
            vlm.intervene(below, patch).prefill(CORRUPT).logits, vlm.intervene(below).prefill(CLEAN).logits
        )
        < NEAR
    )


def test_tokens_correspond_by_their_rank_in_a_segment():
    vlm = tiny_models.vlm()
    longer = stimulus(0, context="There was a box near the large green square.")
    mine, theirs = vlm.encode(CORRUPT), vlm.encode(longer)
    pairs = aligned(mine, theirs)
    for segment in ("image", "question", "template"):
        assert pairs.of(mine.indices(segment), "") == theirs.indices(segment)
    assert pairs.partners[-1] == len(theirs) - 1
    assert (
        largest(
            vlm.intervene(isi.ActivationPatch("residual", 2, "last", longer)).prefill(CORRUPT).logits,
            vlm.intervene(isi.ActivationPatch("residual", 2, [len(mine) - 1], longer))
            .prefill(CORRUPT)
            .logits,
        )
        < 1e-9
    )
    with pytest.raises(InputError, match=r"at context from another input: the context has \d+ tokens in one"):
        vlm.intervene(isi.ActivationPatch("mlp", 0, "context", longer)).prefill(CORRUPT)


def test_part_of_the_picture():
    vlm = tiny_models.vlm()
    left = isi.ImageTokens((0, 0, 25, 40))
    prompt = vlm.encode(CORRUPT)
    boxes = vlm.token_boxes(CORRUPT)
    inside = (boxes[:, 0] + boxes[:, 2]) / 2 < 25
    rows = [row for row, member in zip(prompt.indices("image"), inside, strict=True) if member]
    found = vlm.intervene(isi.ActivationPatch("residual", 1, left, CLEAN)).prefill(CORRUPT).logits
    assert largest(found, patched_by_hand(vlm, "residual", [1], rows, CLEAN, CORRUPT)) < NEAR


def test_the_record_keeps_the_source():
    patch = isi.ActivationPatch("residual", 1, isi.ImageTokens((0, 0, 5, 5)), CLEAN)
    again = interventions.from_dict(patch.to_dict())
    assert again == patch and hash(again) == hash(patch) and pickle.loads(pickle.dumps(patch)) == patch
    assert interventions.digest([patch]) == interventions.digest([again])
    assert interventions.digest([patch]) != interventions.digest(
        [isi.ActivationPatch("residual", 1, patch.tokens, CORRUPT)]
    )
    assert eval(patch.code(), {"isi": isi}) == patch
    assert interventions.summary([patch]) == "activations patched"


def test_a_trial_under_a_patch_is_recorded_and_repeated_by_its_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vlm = isi.load_vlm()
    scenes = isi.datasets.scenes()
    source = scenes[4].stimulus().noise(0.1)
    for given in (scenes[4].stimulus(), source):
        edited = vlm.intervene(isi.ActivationPatch("residual", 1, "last", given))
        trial = isi.run_trial(edited, scenes[3].stimulus(), measures="attention")
        assert isi.Trial.from_dict(trial.to_dict()) == trial
        names = {}
        exec(trial.code(write_pictures=True), names)
        assert names["trial"].interventions == trial.interventions
        assert names["trial"].answer == trial.answer
    assert (
        "scenes()[4].stimulus()"
        in isi.run_trial(
            vlm.intervene(isi.ActivationPatch("mlp", 0, "last", scenes[4])), scenes[3].stimulus()
        ).code()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("block", 0, "image", CLEAN), "one of residual, attention, mlp"),
        (("mlp", 0, "answer", CLEAN), "must be tokens of the prompt"),
        (("mlp", 0, "image", "a picture"), "must be a Stimulus or an Observation; got str"),
    ],
)
def test_wrong_values_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        isi.ActivationPatch(*arguments)


def test_a_layer_that_the_model_does_not_have_is_refused():
    with pytest.raises(InputError, match="there is no layer 3"):
        tiny_models.vlm().intervene(isi.ActivationPatch("mlp", 3, "image", CLEAN))


def test_nothing_is_left_after_an_error():
    vlm = tiny_models.vlm()
    count = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in vlm.model.modules())
    before = vlm.prefill(CORRUPT).logits

    def fail(*_):
        raise ZeroDivisionError

    edited = vlm.intervene(isi.ActivationPatch("residual", 1, "image", CLEAN))
    with hooked((vlm.model.get_decoder().layers[2], "output", fail)), pytest.raises(ZeroDivisionError):
        edited.prefill(CORRUPT)
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in vlm.model.modules()) == count
    assert torch.equal(vlm.prefill(CORRUPT).logits, before)
