"""Layers run again, against plain forwards with hooks on the modules themselves: all families."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tiny_models
import torch
from test_families import FAMILIES, SHOWN, plain_forward, plain_inputs, with_answer

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.vlm.inside import rerun, sites
from isi_widget.vlm.inside.attention import _ACTIVE
from isi_widget.vlm.inside.hooks import hooked

families = pytest.mark.parametrize("name", [*FAMILIES, "aya_vision", "llava_onevision"])
NEAR = 1e-5
EDITS = (isi.HeadScale(1, 2, 0.3), isi.Knockout(("question", "last"), "image", layers=(0, 2), heads=(1, 3)))


def largest(one, other):
    """Largest difference, in units of the largest logit (or 1)."""
    return float((one - other).abs().max() / max(1.0, float(other.abs().max())))


def captured(vlm, **arguments):
    with vlm.lock:
        return rerun.capture(vlm, vlm.encode(SHOWN), **arguments)


def hooks_of(vlm):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in vlm.model.modules())


def zeroed(clean, layer, rows=slice(None)):
    """Replace head h by zeros in batch row h; an edit that turns one row into many."""

    def function(states, chunk):
        heads = clean.sites.heads
        wide = states.unflatten(-1, (heads, -1)).repeat(len(chunk) // states.shape[0], 1, 1, 1)
        for row, head in enumerate(chunk):
            wide[row, rows, head] = 0
        return wide.flatten(2)

    return rerun.Edit(layer, "heads", function)


def naive(vlm, layer, head, rows=slice(None)):
    """Logits of one whole forward with a head zeroed by a hook on `o_proj`."""
    found = sites(vlm.model, vlm.family)
    width = found.head_dim(layer)

    def hook(_, states):
        states = states.clone()
        states[:, rows, head * width : (head + 1) * width] = 0
        return states

    with hooked((found.o_proj(layer), "input", hook)):
        return vlm.read(vlm.encode(SHOWN)).logits


@families
@torch.no_grad()
def test_layers_run_again_from_each_layer_are_the_plain_forward(name):
    vlm = tiny_models.vlm(name)
    plain, before = vlm.read(vlm.encode(SHOWN)).logits, hooks_of(vlm)
    clean = captured(vlm, parts=True)
    assert largest(clean.logits[0], plain) < NEAR
    for layer in range(clean.layers + 1):
        for batch in (1, 3):
            again = clean.run_from(layer, batch=batch)
            assert again.shape == (batch, 1, len(plain))
            assert largest(again[:, 0], plain.expand(batch, -1)) < NEAR
    assert hooks_of(vlm) == before and _ACTIVE.get() is None
    assert [len(clean.attention), len(clean.mlp)] == [clean.layers, clean.layers]


@families
@torch.no_grad()
def test_a_head_edit_by_expansion_is_a_hook_on_the_output_projection(name):
    vlm = tiny_models.vlm(name)
    clean = captured(vlm)
    for layer in range(clean.layers):
        found = clean.run_from(layer, edits=[zeroed(clean, layer)], batch=clean.sites.heads)
        for head in range(clean.sites.heads):
            assert largest(found[head, 0], naive(vlm, layer, head)) < NEAR
        assert largest(found[0, 0], clean.logits[0]) > 1e-3
        assert largest(clean.run_from(0, edits=[zeroed(clean, layer)], batch=4), found) < NEAR


@families
@torch.no_grad()
def test_the_last_position_alone_is_a_hook_on_its_row(name):
    vlm = tiny_models.vlm(name)
    clean = captured(vlm)
    assert clean.alone(clean.tokens - 1) is (name not in ("paligemma", "paligemma2"))
    for layer in range(clean.layers):
        found = clean.run_from(layer, edits=[zeroed(clean, layer)], batch=4, first=-1)
        for head in range(4):
            assert largest(found[head, 0], naive(vlm, layer, head, rows=-1)) < NEAR


@families
@torch.no_grad()
def test_positions_before_an_edit_stay_as_they_are(name):
    vlm = tiny_models.vlm(name)
    clean = captured(vlm)
    middle = vlm.encode(SHOWN).indices("question")[0]
    for first in (3, middle):  # 3: inside the image block of some families
        for layer in range(clean.layers):
            found = clean.run_from(layer, edits=[zeroed(clean, layer)], batch=4, first=first)
            assert largest(found[2, 0], naive(vlm, layer, 2, rows=slice(first, None))) < NEAR


@families
@torch.no_grad()
def test_runs_under_interventions_are_those_of_the_changed_model(name):
    plain = tiny_models.vlm(name)
    vlm = plain.intervene(*EDITS)
    clean = captured(vlm)
    expected = vlm.read(vlm.encode(SHOWN)).logits
    assert largest(expected, plain.read(plain.encode(SHOWN)).logits) > 1e-3
    for layer in range(clean.layers):
        assert largest(clean.run_from(layer, batch=2)[1, 0], expected) < NEAR
        assert largest(clean.run_from(layer, first=-1)[0, 0], expected) < NEAR
        found = clean.run_from(layer, edits=[zeroed(clean, layer)], batch=4)
        assert largest(found[3, 0], naive(vlm, layer, 3)) < NEAR


@families
@torch.no_grad()
def test_an_answer_is_teacher_forced(name):
    vlm = tiny_models.vlm(name)
    answer = [50, 90, 70]
    inputs = with_answer(plain_inputs(vlm, SHOWN), answer)
    length = inputs["input_ids"].shape[1] - len(answer)
    expected = plain_forward(vlm, inputs).logits[0, length - 1 : -1].float()
    clean = captured(vlm, answer=answer)
    assert largest(clean.logits, expected) < NEAR
    for layer in range(clean.layers):
        assert largest(clean.run_from(layer, batch=2)[1], expected) < NEAR
    assert largest(clean.run_from(1, first=-3)[0], expected) < NEAR
    with pytest.raises(InputError, match="first must be"):
        clean.run_from(0, first=-1)


@families
@torch.no_grad()
def test_patching_every_position_at_a_site_gives_the_other_input(name):
    """Hidden states of another prompt of the same length, put in at each layer; so with attention and MLP."""
    vlm = tiny_models.vlm(name)
    clean = captured(vlm, parts=True)
    with vlm.lock:
        other = rerun.capture(vlm, vlm.encode(replace(SHOWN, seed=3)), parts=True)
    assert clean.tokens == other.tokens
    for layer in range(clean.layers):
        found = clean.run_from(layer, other.inputs[layer])
        if all(added is None for added in clean._added[layer:]):  # deepstack adds the clean picture again
            assert largest(found[0], other.logits) < NEAR
        edits = [
            rerun.Edit(layer, "residual", lambda _, chunk, x=other.inputs[layer]: x),
            rerun.Edit(layer, "attention", lambda _, chunk, x=clean.attention[layer]: x),
            rerun.Edit(layer, "mlp", lambda states, chunk: states),
        ]
        mixed = clean.run_from(0, edits=edits)
        found_sites = clean.sites
        hooks = [
            (found_sites.layers[layer], "input", lambda _, x, y=other.inputs[layer]: y),
            (found_sites.attention(layer), "output", lambda _, x, y=clean.attention[layer]: (y, None)),
        ]
        with hooked(*hooks):
            assert largest(mixed[0, 0], vlm.read(vlm.encode(SHOWN)).logits) < NEAR


@families
@torch.no_grad()
def test_chunks_and_single_rows_agree(name):
    vlm = tiny_models.vlm(name)
    clean = captured(vlm)
    hidden = clean.inputs[1] + 0.1 * torch.randn(
        5, *clean.inputs[1].shape[1:], generator=torch.manual_seed(0)
    )
    whole = clean.run_from(1, hidden)
    for at_once in (1, 2, 4):
        assert largest(clean.run_from(1, hidden, at_once=at_once), whole) < NEAR
    found = clean.run_from(1, edits=[zeroed(clean, 1)], batch=4)
    assert largest(clean.run_from(1, edits=[zeroed(clean, 1)], batch=4, at_once=3), found) < NEAR


@torch.no_grad()
def test_edits_in_the_last_layer_see_every_position():
    vlm = tiny_models.vlm()
    clean = captured(vlm)
    for site in rerun.SITES:
        shapes = []
        edit = rerun.Edit(2, site, lambda x, _, seen=shapes: (seen.append(x.shape[1]), x)[1])
        assert largest(clean.run_from(2, edits=[edit])[0], clean.logits) < NEAR
        assert shapes == [clean.tokens]


@families
@torch.no_grad()
def test_runs_with_patches_are_those_of_the_patched_model(name):
    plain = tiny_models.vlm(name)
    picture = replace(SHOWN, seed=3).render()
    source = isi.Observation(picture, SHOWN.current_question, SHOWN.current_context).stimulus()
    vlm = plain.intervene(
        *(
            isi.ActivationPatch(site, layer, ("image", "last"), source)
            for site in ("residual", "attention", "mlp")
            for layer in (1, 2)
        )
    )
    expected = vlm.read(vlm.encode(SHOWN)).logits
    assert largest(expected, plain.read(plain.encode(SHOWN)).logits) > 1e-3
    clean = captured(vlm)
    for layer in range(clean.layers):
        assert largest(clean.run_from(layer, batch=2)[1, 0], expected) < NEAR
        assert largest(clean.run_from(layer, first=-1)[0, 0], expected) < NEAR


def test_two_edits_of_a_site_act_one_after_the_other():
    vlm = tiny_models.vlm()
    clean = captured(vlm)
    twice = [rerun.Edit(1, "mlp", lambda x, _: 2 * x), rerun.Edit(1, "mlp", lambda x, _: x + 1)]
    once = [rerun.Edit(1, "mlp", lambda x, _: 2 * x + 1)]
    with torch.no_grad():
        assert torch.equal(clean.run_from(1, edits=twice), clean.run_from(1, edits=once))


def test_gradients_flow_through_edits_and_match_a_difference():
    vlm = tiny_models.vlm("gemma3")
    clean = captured(vlm)
    gate = torch.ones(1, requires_grad=True)
    logits = clean.run_from(1, edits=[rerun.Edit(1, "heads", lambda x, _: x * gate)])
    (slope,) = torch.autograd.grad(logits[0, 0, 7], gate)
    with torch.no_grad():
        step = 1e-2
        up, down = (
            clean.run_from(1, edits=[rerun.Edit(1, "heads", lambda x, _, f=f: x * f)])[0, 0, 7]
            for f in (1 + step, 1 - step)
        )
    assert float(slope) == pytest.approx(float((up - down) / (2 * step)), rel=2e-2, abs=1e-3)


def test_nothing_stays_after_an_error():
    vlm = tiny_models.vlm()
    before, clean = hooks_of(vlm), captured(vlm)

    def fails(states, chunk):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        clean.run_from(0, edits=[rerun.Edit(1, "heads", fails)])
    assert hooks_of(vlm) == before and _ACTIVE.get() is None


def test_memory_that_runs_out_halves_the_batch():
    vlm = tiny_models.vlm()
    clean = captured(vlm)
    sizes = []

    def greedy(states, chunk):
        sizes.append(len(chunk))
        if len(chunk) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return states

    with torch.no_grad():
        found = clean.run_from(1, edits=[rerun.Edit(1, "heads", greedy)], batch=8)
    assert sizes == [8, 4, 2, 2, 2, 2]
    assert largest(found[:, 0], clean.logits.expand(8, -1)) < NEAR


def test_what_does_not_fit_is_refused():
    vlm = tiny_models.vlm()
    clean = captured(vlm)
    for arguments, message in (
        ({"layer": 9}, "3 layers"),
        ({"layer": 0, "first": 900}, "first must be"),
        ({"layer": 0, "hidden": clean.inputs[0][:, 1:]}, "hidden must have"),
        ({"layer": 2, "edits": [rerun.Edit(1, "mlp", lambda x, _: x)]}, "layer 1 does not act"),
        ({"layer": 0, "edits": [rerun.Edit(1, "norm", lambda x, _: x)]}, "'norm'"),
    ):
        with pytest.raises(InputError, match=message):
            clean.run_from(**arguments)


def test_logits_that_cannot_be_computed_again_are_refused():
    model, processor = tiny_models.llava(seed=3)
    vlm = tiny_models.VLM(model, processor, model_id="odd")
    with (
        hooked((model.lm_head, "output", lambda _, x: x + torch.arange(x.shape[-1]))),
    ):
        captured(vlm)  # a hook on the head itself runs again, too
    original = model.forward
    model.forward = lambda **given: _shifted(original(**given))
    with pytest.raises(InputError, match="cannot be run again"):
        captured(vlm)


@pytest.mark.parametrize("where", ["weights", "an edit"])
def test_nan_is_one_error_that_gives_the_reason(where):
    model, processor = tiny_models.llava(seed=4)
    vlm = tiny_models.VLM(model, processor, model_id="broken")
    clean = captured(vlm)
    if where == "an edit":
        edit = rerun.Edit(1, "mlp", lambda states, _: states * float("nan"))
        with pytest.raises(RuntimeError, match=r"NaN logits .* look for what was put on the model"):
            clean.run_from(0, edits=[edit])
        return
    with torch.no_grad():
        model.model.language_model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(RuntimeError, match="Its weights hold NaN"):
        captured(vlm)


def _shifted(output):
    output.logits = output.logits * 3 + 1
    return output
