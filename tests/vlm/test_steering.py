"""Gates of all heads, and directions added to the residual stream, on every family's tiny build."""

from __future__ import annotations

import pytest
import tiny_models
import torch
from test_families import FAMILIES, SHOWN, plain_forward, plain_inputs, with_answer
from test_inside import EDITS, NEAR, largest, prompt_places
from tiny_models import VLM

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.vlm.inside import sites
from isi_widget.vlm.inside.hooks import hooked

families = pytest.mark.parametrize("name", FAMILIES)
FACTORS = {(0, 1): 0.3, (1, 0): 1.7, (1, 3): 0.0, (2, 2): -1.0}


def gates_of(vlm, changed):
    found = sites(vlm.model, vlm.family)
    return isi.HeadGates.of((len(found.layers), found.heads), changed)


def direction_of(vlm, seed=0, norm=2.0):
    width = sites(vlm.model, vlm.family).hidden_size
    values = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    return isi.SteeringDirection((values / values.norm() * norm).tolist(), layer=1)


def adding(vector, rows=slice(None), keep_norm=False):
    """A hook on a layer that adds a vector at some rows of a prompt read in one pass."""

    def hook(_, output):
        states = (output[0] if isinstance(output, tuple) else output).clone()
        before = states[:, rows]
        after = before + vector
        if keep_norm:
            after = after / after.norm(dim=-1, keepdim=True) * before.norm(dim=-1, keepdim=True)
        states[:, rows] = after
        return (states, *output[1:]) if isinstance(output, tuple) else states

    return hook


# Gates ------------------------------------------------------------------------------------------------------


@families
def test_gates_are_the_list_of_scaled_heads(name):
    vlm = tiny_models.vlm(name)
    gated = vlm.intervene(gates_of(vlm, FACTORS))
    scaled = vlm.intervene(*(isi.HeadScale(*place, factor) for place, factor in FACTORS.items()))
    assert torch.equal(gated.prefill(SHOWN).logits, scaled.prefill(SHOWN).logits)
    assert gated.answer(SHOWN, 4, min_new_tokens=4) == scaled.answer(SHOWN, 4, min_new_tokens=4)
    assert largest(gated.prefill(SHOWN).logits, vlm.prefill(SHOWN).logits) > 1e-2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gates_round_as_scaled_heads_do(dtype):
    model, processor = tiny_models.llava()
    vlm = VLM(model.to(dtype), processor, model_id="half")
    gated = vlm.intervene(gates_of(vlm, FACTORS))
    scaled = vlm.intervene(*(isi.HeadScale(*place, factor) for place, factor in FACTORS.items()))
    assert torch.equal(gated.prefill(SHOWN).logits, scaled.prefill(SHOWN).logits)


def test_gates_act_in_their_order_among_other_changes_of_heads():
    vlm = tiny_models.vlm()
    gates, mean = gates_of(vlm, {(1, 2): 3.0}), isi.HeadReplace(1, 0)
    first = vlm.intervene(gates, mean).prefill(SHOWN).logits
    assert largest(first, vlm.intervene(isi.HeadScale(1, 2, 3), mean).prefill(SHOWN).logits) == 0
    assert largest(first, vlm.intervene(mean, gates).prefill(SHOWN).logits) > 1e-3


# Steering ---------------------------------------------------------------------------------------------------


@families
@pytest.mark.parametrize("keep_norm", [False, True])
def test_a_direction_is_a_hook_on_the_layer(name, keep_norm):
    vlm = tiny_models.vlm(name)
    found, made = sites(vlm.model, vlm.family), direction_of(vlm)
    _, places = prompt_places(vlm)
    for tokens, rows in (("all", slice(None)), ("last", [-1]), ("question", places["question"])):
        hook = adding(1.5 * torch.tensor(made.array), rows, keep_norm)
        with hooked((found.layers[1], "output", hook)):
            expected = vlm.prefill(SHOWN).logits
        steered = vlm.intervene(isi.Steer(made, scale=1.5, tokens=tokens, keep_norm=keep_norm))
        assert largest(steered.prefill(SHOWN).logits, expected) < NEAR
        assert largest(expected, vlm.prefill(SHOWN).logits) > 1e-3


@families
def test_answers_are_steered_at_every_token(name):
    """Greedy, sampled, beams, enumerated: equal to one plain forward over prompt and answer with a hook."""
    vlm = tiny_models.vlm(name)
    found, made = sites(vlm.model, vlm.family), direction_of(vlm)
    steered = vlm.intervene(isi.Steer(made, 1, 1.5), isi.Steer(made.random(3), 2, tokens="answer"))
    prefill = steered.prefill(SHOWN)
    length = len(prefill.prompt)
    hooks = (
        (found.layers[1], "output", adding(1.5 * torch.tensor(made.array))),
        (found.layers[2], "output", adding(torch.tensor(made.random(3).array), slice(length, None))),
    )
    answers = [
        steered.answer(prefill, 5, min_new_tokens=5),
        *steered.sample(prefill, 3, temperature=1.3, max_new_tokens=4, min_new_tokens=2),
        steered.answer(prefill, 4, num_beams=3),
        *steered.enumerate_answers(prefill, budget=12, max_new_tokens=3).answers[:2],
    ]
    inputs = plain_inputs(vlm, SHOWN)
    for answer in (answer for answer in answers if answer.token_ids):
        ids = torch.tensor(answer.token_ids)
        with hooked(*hooks):
            logits = plain_forward(vlm, with_answer(inputs, answer.token_ids)).logits[0, length - 1 : -1]
        expected = logits.float().log_softmax(-1)[torch.arange(len(ids)), ids]
        assert largest(expected, answer.logprobs) < NEAR
    assert largest(steered.teacher_force(prefill, answers[0].token_ids)[0], answers[0].logprobs) < NEAR


@families
def test_no_steering_changes_exactly_nothing(name):
    vlm = tiny_models.vlm(name)
    made = direction_of(vlm)
    zero = isi.SteeringDirection([0.0] * len(made.values))
    for edits in (
        (isi.Steer(made, scale=0),),
        (isi.Steer(zero, 0, 5, keep_norm=True), isi.Steer(made, tokens="system")),
        (gates_of(vlm, {}), isi.Steer(made, 0, 0.0)),
    ):
        edited = vlm.intervene(*edits)
        assert torch.equal(edited.prefill(SHOWN).logits, vlm.prefill(SHOWN).logits)
        assert edited.answer(SHOWN, 4, attention=True) == vlm.answer(SHOWN, 4)


def test_directions_add_up_and_go_both_ways():
    vlm = tiny_models.vlm()
    made = direction_of(vlm)

    def logits(*edits):
        return vlm.intervene(*edits).prefill(SHOWN).logits

    assert largest(logits(isi.Steer(made), isi.Steer(made, scale=2)), logits(isi.Steer(made, scale=3))) < NEAR
    assert largest(logits(isi.Steer(made), isi.Steer(made, scale=-1)), logits()) < NEAR
    assert largest(logits(isi.Steer(made)), logits(isi.Steer(made.random(0)))) > 1e-3


@families
@pytest.mark.parametrize("keep_norm", [False, True])
def test_the_largest_steps_are_computed_and_larger_ones_refused(name, keep_norm):
    """Beyond, squares in a norm layer overflow: all logits would be 0."""
    vlm = tiny_models.vlm(name)
    made = direction_of(vlm, norm=1e14)
    steps = (isi.Steer(made, scale=scale, keep_norm=keep_norm) for scale in (9e3, -9e3))
    up, down = (vlm.intervene(step).prefill(SHOWN).logits for step in steps)
    assert bool(up.isfinite().all()) and up.std() > 1e-3 and down.std() > 1e-3
    assert largest(up, down) > 1e-3  # not zeros times something
    with pytest.raises(InputError, match="Give a smaller scale"):
        isi.Steer(made, scale=1.1e4)
    width = sites(vlm.model, vlm.family).o_proj(1).in_features // sites(vlm.model, vlm.family).heads
    values = [1e12, *[-1e12] * (width - 1)]
    assert vlm.intervene(isi.HeadReplace(1, 0, "reference", values)).prefill(SHOWN).logits.std() > 1e-3


def test_steering_goes_with_heads_and_attention():
    """The order among kinds does not matter: each acts where it is, also with recorded attention."""
    vlm = tiny_models.vlm("gemma3")
    made = direction_of(vlm)
    edited = vlm.intervene(isi.Steer(made, 0), *EDITS)
    found = sites(vlm.model, vlm.family)
    with hooked((found.layers[0], "output", adding(torch.tensor(made.array)))):
        expected = vlm.intervene(*EDITS).prefill(SHOWN).logits
    assert largest(edited.prefill(SHOWN).logits, expected) < NEAR
    assert edited.answer(SHOWN, 3, attention=True) == edited.answer(SHOWN, 3)


def test_hooks_are_gone_after_a_failure():
    vlm = tiny_models.vlm()
    steered, before = vlm.intervene(isi.Steer(direction_of(vlm))), vlm.answer(SHOWN, 3)
    hooks = sum(len(module._forward_hooks) for module in vlm.model.modules())  # transformers' own

    def fail(*_):
        raise ZeroDivisionError

    with hooked((sites(vlm.model, vlm.family).layers[2], "output", fail)), pytest.raises(ZeroDivisionError):
        steered.answer(SHOWN, 3)
    assert sum(len(module._forward_hooks) for module in vlm.model.modules()) == hooks
    assert vlm.answer(SHOWN, 3) == before


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (isi.HeadGates.of((3, 5), {}), "3 layers and 4 heads; got 3 rows of 5 numbers"),
        (isi.HeadGates.of((1, 4), {}), "got 1 row of 4"),
        (isi.Steer([1.0] * 64, 3), "there is no layer 3"),
        (isi.Steer([1.0, 2.0], 1), "residual stream of this model has 64 numbers, the direction has 2"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_at_once(edit, words):
    with pytest.raises(InputError, match=words):
        tiny_models.vlm().intervene(edit)
