"""Interventions on the inside of every family's tiny build, against the same by hand on plain transformers.

The references (`by_hand`) are eager attention with the matrices changed one by one, module hooks on `o_proj`,
and one plain forward over prompt and answer without a cache.
"""

from __future__ import annotations

import gc
import threading
import weakref

import by_hand
import numpy as np
import pytest
import tiny_models
import torch
from test_families import FAMILIES, OTHER, SHOWN, plain_forward, plain_inputs, with_answer
from tiny_models import VLM

import isi_widget as isi
from isi_widget.attribution import measure_attention, measure_attention_map
from isi_widget.errors import Cancelled, InputError
from isi_widget.segments import GROUPS
from isi_widget.vlm.inside import reference_head, sites
from isi_widget.vlm.inside.attention import _ACTIVE, inside
from isi_widget.vlm.inside.hooks import hooked

families = pytest.mark.parametrize("name", FAMILIES)
#: Largest difference of float32 logits between two ways to compute the same.
NEAR = 3e-5
EDITS = (isi.HeadScale(1, 2, 0.3), isi.Knockout(("question", "answer"), "image", layers=(0, 2), heads=(1, 3)))


def prompt_places(vlm):
    prompt = vlm.encode(SHOWN)
    return prompt, {name: list(prompt.indices(name)) for name in ("image", "context", "question", "template")}


def largest(one, other):
    return float((torch.as_tensor(one) - torch.as_tensor(other)).abs().max())


def hand_logits(vlm, change, answer=()):
    """Logits of the last prompt token and of each answer token, from one plain eager forward."""
    inputs = plain_inputs(vlm, SHOWN)
    length = inputs["input_ids"].shape[1]
    with by_hand.eager(vlm, change):
        found = plain_forward(vlm, with_answer(inputs, answer) if answer else inputs)
    return found.logits[0, length - 1 :].float()


def scaling_hook(vlm, head, factor):
    """A hook on `o_proj` that scales the slice of one head; the heads lie side by side."""
    width = vlm.model.config.text_config.num_attention_heads

    def hook(_, states):
        dim = states.shape[-1] // width
        states = states.clone()
        states[..., head * dim : (head + 1) * dim] *= factor
        return states

    return hook


def replacing_hook(vlm, head, new):
    heads = vlm.model.config.text_config.num_attention_heads

    def hook(_, states):
        parts = list(states.split(states.shape[-1] // heads, dim=-1))
        parts[head] = new(parts)
        return torch.cat(parts, dim=-1)

    return hook


# Nothing changed -------------------------------------------------------------------------------------------


@families
def test_what_changes_nothing_changes_exactly_nothing(name):
    vlm = tiny_models.vlm(name)
    bare = tiny_models.Shown(size=(90, 40))
    for edits in (
        (),
        (isi.HeadScale(1, 2, 1),),
        (isi.AttentionScale("image", 1.0), isi.HeadScale(0, 0, 1.0)),
        (isi.Knockout("context", "image"), isi.Knockout("all", "context"), isi.Knockout("last", "system")),
        (isi.AttentionReplace("context", "uniform"),),
    ):
        edited = vlm.intervene(*edits)
        assert torch.equal(edited.prefill(bare).logits, vlm.prefill(bare).logits)
        assert edited.answer(bare, 4, attention=True) == vlm.answer(bare, 4)


@families
def test_rows_that_are_not_cut_are_those_of_the_plain_model(name):
    """A cut for the last token alone leaves keys and values of the first layer above as they are."""
    vlm = tiny_models.vlm(name)
    layers = len(sites(vlm.model, vlm.family).layers)
    plain = vlm.prefill(SHOWN)
    edited = vlm.intervene(isi.Knockout("last", "image", layers=(layers - 2,))).prefill(SHOWN)
    for one, other in zip(plain.cache.layers, edited.cache.layers, strict=True):
        assert torch.equal(one.keys[:, :, :-1], other.keys[:, :, :-1])
    assert not torch.equal(plain.cache.layers[-1].keys[:, :, -1], edited.cache.layers[-1].keys[:, :, -1])


# Heads ------------------------------------------------------------------------------------------------------


@families
def test_a_scaled_head_is_a_hook_on_the_output_projection(name):
    vlm = tiny_models.vlm(name)
    found = sites(vlm.model, vlm.family)
    edited = vlm.intervene(isi.HeadScale(1, 2, 0.3))
    with hooked((found.o_proj(1), "input", scaling_hook(vlm, 2, 0.3))):
        expected, answer = vlm.prefill(SHOWN).logits, vlm.answer(SHOWN, 5)
    assert torch.equal(edited.prefill(SHOWN).logits, expected)
    assert edited.answer(SHOWN, 5) == answer
    assert largest(expected, vlm.prefill(SHOWN).logits) > 1e-2


@families
@pytest.mark.parametrize("by", ["mean", "zero", "reference"])
def test_a_replaced_head(name, by):
    vlm = tiny_models.vlm(name)
    found = sites(vlm.model, vlm.family)
    values = torch.linspace(-1, 1, found.head_dim(2))
    new = {
        "mean": lambda parts: (parts[0] + parts[2] + parts[3]) / 3,
        "zero": lambda parts: torch.zeros_like(parts[1]),
        "reference": lambda parts: values.expand_as(parts[1]),
    }[by]
    given = {"values": values.tolist()} if by == "reference" else {}
    with hooked((found.o_proj(2), "input", replacing_hook(vlm, 1, new))):
        expected = vlm.prefill(SHOWN).logits
    replaced = vlm.intervene(isi.HeadReplace(2, 1, by, **given)).prefill(SHOWN).logits
    assert largest(replaced, expected) < (NEAR if by == "mean" else 1e-9)
    assert largest(expected, vlm.prefill(SHOWN).logits) > 1e-2


def test_heads_are_replaced_one_after_the_other():
    vlm = tiny_models.vlm()
    found = sites(vlm.model, vlm.family)
    first = replacing_hook(vlm, 0, lambda parts: (parts[1] + parts[2] + parts[3]) / 3)
    second = replacing_hook(vlm, 1, lambda parts: (parts[0] + parts[2] + parts[3]) / 3)
    with hooked((found.o_proj(1), "input", first), (found.o_proj(1), "input", second)):
        expected = vlm.prefill(SHOWN).logits
    edited = vlm.intervene(isi.HeadReplace(1, 0), isi.HeadReplace(1, 1)).prefill(SHOWN).logits
    assert largest(edited, expected) < NEAR
    other = vlm.intervene(isi.HeadReplace(1, 1), isi.HeadReplace(1, 0)).prefill(SHOWN).logits
    assert largest(edited, other) > 1e-3


def test_the_mean_of_a_head_over_stimuli():
    vlm = tiny_models.vlm("qwen2_vl")
    seen = []
    found = sites(vlm.model, vlm.family)
    with hooked((found.o_proj(1), "input", lambda _, states: seen.append(states[0]))):
        vlm.prefill(SHOWN), vlm.prefill(OTHER)
    width = found.head_dim(1)
    expected = torch.cat(seen).double()[:, 3 * width : 4 * width].mean(dim=0)
    made = reference_head(vlm, [SHOWN, OTHER], 1, 3)
    assert (made.layer, made.head, made.by) == (1, 3, "reference")
    assert largest(made.values, expected) < 1e-7
    assert largest(vlm.intervene(made).prefill(SHOWN).logits, vlm.prefill(SHOWN).logits) > 1e-3
    with pytest.raises(InputError, match="at least one stimulus"):
        reference_head(vlm, [], 1, 3)
    with pytest.raises(InputError, match="there is no head 9"):
        reference_head(vlm, [SHOWN], 1, 9)


# Attention --------------------------------------------------------------------------------------------------


@families
@pytest.mark.parametrize(
    ("queries", "keys", "layers", "heads"),
    [
        ("question", "image", (0, 1), (1, 3)),
        ("last", ("image", "context"), None, None),
        ("image", "image", (1,), (0,)),
        ("all", "question", None, (2,)),
        ("template", "template", None, None),  # leaves the first token no key
    ],
)
def test_a_knockout_is_weights_zeroed_and_renormalised(name, queries, keys, layers, heads):
    vlm = tiny_models.vlm(name)
    prompt, places = prompt_places(vlm)
    places |= {"last": [len(prompt) - 1], "all": list(range(len(prompt)))}
    rows = places[queries]
    columns = [place for key in ([keys] if isinstance(keys, str) else keys) for place in places[key]]
    if not rows or not columns:
        pytest.skip("the prompt of this family has no such tokens")

    def change(layer, weights):
        chosen = slice(None) if heads is None else list(heads)
        return weights if layers and layer not in layers else by_hand.cut(weights, rows, columns, chosen)

    edited = vlm.intervene(isi.Knockout(queries, keys, layers, heads)).prefill(SHOWN)
    assert largest(edited.logits, hand_logits(vlm, change)[-1]) < NEAR
    assert bool(edited.logits.isfinite().all())


@families
def test_an_added_logit_multiplies_the_weights(name):
    vlm = tiny_models.vlm(name)
    _prompt, places = prompt_places(vlm)

    def change(_, weights):
        rows, columns = torch.tensor(places["question"])[:, None], torch.tensor(places["image"])
        weights[:, :, rows, columns] *= 3.0
        return weights / weights.sum(-1, keepdim=True)

    edit = isi.AttentionScale("image", add=float(np.log(3)), queries="question")
    edited = vlm.intervene(edit).prefill(SHOWN).logits
    assert largest(edited, hand_logits(vlm, change)[-1]) < NEAR
    assert largest(edited, vlm.prefill(SHOWN).logits) > 1e-2


@families
@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0, -1.0])
def test_a_scaled_logit(name, factor):
    """logits = log weights + a constant of each row; the constant is found from a key that is not scaled."""
    vlm = tiny_models.vlm(name)
    _prompt, places = prompt_places(vlm)

    def change(layer, weights):
        columns = torch.tensor(places["image"])
        more = weights.new_zeros(weights.shape)
        more[..., columns] = scores[layer][..., columns] * (factor - 1)
        return (weights.log() + more).softmax(-1)

    with by_hand.scores(vlm) as scores:
        expected = hand_logits(vlm, change)[-1]
    edited = vlm.intervene(isi.AttentionScale("image", factor)).prefill(SHOWN).logits
    assert largest(edited, expected) < NEAR
    assert largest(edited, vlm.prefill(SHOWN).logits) > 1e-3


def redistributed(row, visible, by, ranks):
    """Counterfactual attention of one row's group, in a loop."""
    places = [place for place in range(len(row)) if visible[place]]
    values = [float(row[place]) for place in places]
    if by == "uniform":
        return {place: sum(values) / len(values) for place in places}
    if by == "shuffled":
        source = sorted(range(len(places)), key=lambda index: ranks[index])
        return {place: values[source[index]] for index, place in enumerate(places)}
    down = sorted(range(len(places)), key=lambda index: -values[index])
    up = sorted(range(len(places)), key=lambda index: values[index])
    return {places[high]: values[low] for high, low in zip(down, up, strict=True)}


@families
@pytest.mark.parametrize("by", ["uniform", "shuffled", "reversed"])
def test_counterfactual_attention(name, by):
    vlm = tiny_models.vlm(name)
    prompt, places = prompt_places(vlm)
    columns = places["image"]
    seed = 5 if by == "shuffled" else 0

    def change(layer, weights):
        heads = weights.shape[1]
        ranks = np.random.default_rng([seed, layer]).random((len(prompt), heads), dtype=np.float32)
        for head in (0, 2):
            for row in places["question"]:
                group = weights[0, head, row, columns]
                shown = (group > 0).tolist()
                drawn = [ranks[place, head] for place, here in zip(columns, shown, strict=True) if here]
                new = redistributed(group, shown, by, drawn)
                for place, value in new.items():
                    weights[0, head, row, columns[place]] = value
        return weights

    edit = isi.AttentionReplace("image", by, heads=(0, 2), seed=seed, queries="question")
    edited = vlm.intervene(edit).prefill(SHOWN).logits
    assert largest(edited, hand_logits(vlm, change)[-1]) < NEAR
    assert largest(edited, vlm.prefill(SHOWN).logits) > 1e-4


def test_a_shuffle_depends_on_its_seed_and_repeats():
    vlm = tiny_models.vlm()
    logits = [
        vlm.intervene(isi.AttentionReplace("image", "shuffled", seed=s)).prefill(SHOWN).logits
        for s in (1, 1, 2)
    ]
    assert torch.equal(logits[0], logits[1]) and largest(logits[0], logits[2]) > 1e-3


def test_the_image_tokens_of_a_part_of_the_picture():
    vlm = tiny_models.vlm()
    _prompt, places = prompt_places(vlm)
    boxes, (width, height) = vlm.token_boxes(SHOWN), SHOWN.size
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    for region, inside_it in (
        ((0, 0, width / 2, height), x < width / 2),
        ([(0, 0), (width, 0), (width, height / 2), (0, height / 2)], y < height / 2),
        (None, x == x),
        (isi.Mask.from_box((width, height), (width / 2, 0, width, height)), x >= width // 2),
    ):
        chosen = [place for place, member in zip(places["image"], inside_it, strict=True) if member]
        one = vlm.intervene(isi.Knockout("question", isi.ImageTokens(region))).prefill(SHOWN).logits
        other = vlm.intervene(isi.Knockout("question", chosen)).prefill(SHOWN).logits
        assert len(chosen) > 0 and torch.equal(one, other)
    with pytest.raises(InputError, match="No image token has its middle in the region"):
        vlm.intervene(isi.Knockout("last", isi.ImageTokens((0, 0, 0.5, 0.5)))).prefill(SHOWN)
    with pytest.raises(InputError, match=r"not places in the picture|not known"):
        tiny_models.vlm("aya_vision").intervene(isi.Knockout("last", isi.ImageTokens(None))).prefill(SHOWN)


def test_several_act_in_their_order():
    """Twice scaled is scaled by the product; a scale before and after a shift differ."""
    vlm = tiny_models.vlm()

    def logits(*edits):
        return vlm.intervene(*edits).prefill(SHOWN).logits

    half, double = isi.AttentionScale("image", 0.5), isi.AttentionScale("image", 2.0)
    shift = isi.AttentionScale("image", add=0.7)
    assert largest(logits(half, double), logits()) < NEAR
    assert largest(logits(half, shift), logits(isi.AttentionScale("image", 0.5, add=0.7))) < NEAR
    assert largest(logits(shift, half), logits(half, shift)) > 1e-3
    # A key that is hidden stays hidden, and gets nothing of what is redistributed.
    cut = isi.Knockout("question", "image")
    assert largest(logits(cut, shift), logits(shift, cut)) < NEAR
    assert torch.equal(logits(cut, isi.AttentionScale("image", 0.0, queries="question")), logits(cut))
    assert (
        largest(logits(cut, isi.AttentionReplace("image", "uniform", queries="question")), logits(cut)) < NEAR
    )


# Answers under interventions --------------------------------------------------------------------------------


def hand_logprobs(vlm, ids, tokens):
    """Log-probabilities of an answer under EDITS, from one plain forward over prompt and answer."""
    prompt, places = prompt_places(vlm)
    rows = [*places["question"], *range(len(prompt), len(prompt) + len(ids))]

    def change(layer, weights):
        return by_hand.cut(weights, rows, places["image"], [1, 3]) if layer in (0, 2) else weights

    with hooked((sites(vlm.model, vlm.family).o_proj(1), "input", scaling_hook(vlm, 2, 0.3))):
        logits = hand_logits(vlm, change, ids)[:-1]
    return logits.log_softmax(-1)[torch.arange(len(ids)), torch.tensor(tokens)].numpy()


def check_answers_are_those_of_forcing(vlm, near):
    """Greedy, sampled side by side, beams, enumerated: all under the same interventions as the prompt."""
    edited = vlm.intervene(*EDITS)
    prefill = edited.prefill(SHOWN)
    answers = [
        edited.answer(prefill, 5, min_new_tokens=5),
        *edited.sample(prefill, 4, temperature=1.3, max_new_tokens=4, min_new_tokens=2),
        edited.answer(prefill, 4, num_beams=3),
        *edited.enumerate_answers(prefill, budget=12, max_new_tokens=3).answers[:2],
    ]
    for answer in answers:
        ids = answer.token_ids
        if ids:
            assert np.abs(hand_logprobs(vlm, ids, ids) - answer.logprobs).max() < near
    forced, _ = edited.teacher_force(prefill, answers[0].token_ids)
    assert largest(forced, answers[0].logprobs) < near
    assert largest(vlm.teacher_force(SHOWN, answers[0].token_ids)[0], forced) > max(1e-3, 5 * near)


@families
def test_answers_equal_forcing_them_step_by_step(name):
    check_answers_are_those_of_forcing(tiny_models.vlm(name), NEAR)


@families
def test_recorded_attention_is_that_of_the_changed_model(name):
    vlm = tiny_models.vlm(name)
    edited = vlm.intervene(*EDITS)
    prefill = edited.prefill(SHOWN)
    answer = edited.answer(prefill, 4, min_new_tokens=4, attention=True)
    decoded = measure_attention(edited, prefill, answer)
    forced = measure_attention(edited, prefill, answer.plain())
    assert largest(decoded.mass, forced.mass) < 1e-5
    # by hand: [layers, heads, rows, keys] of the rows that predict answer tokens
    prompt, places = prompt_places(vlm)
    ids, log = answer.token_ids, []
    rows = [*places["question"], *range(len(prompt), len(prompt) + len(ids))]

    def change(layer, weights):
        return by_hand.cut(weights, rows, places["image"], [1, 3]) if layer in (0, 2) else weights

    with (
        hooked((sites(vlm.model, vlm.family).o_proj(1), "input", scaling_hook(vlm, 2, 0.3))),
        by_hand.eager(vlm, change, log),
    ):
        plain_forward(vlm, with_answer(plain_inputs(vlm, SHOWN), ids))
    weights = torch.stack([matrix for _, matrix in sorted(log, key=lambda item: item[0])])[:, 0]
    weights = weights[:, :, len(prompt) - 1 : -1]
    groups = torch.tensor([*prompt.group_ids, *[len(GROUPS) - 1] * len(ids)])
    expected = torch.stack([weights[..., groups == group].sum(-1) for group in range(len(GROUPS))], dim=-1)
    assert largest(decoded.mass, expected.permute(2, 0, 1, 3)) < 1e-5
    assert float(decoded.mass[1:, [0, 2]][:, :, [1, 3], 0].max()) == 0.0  # the answer does not read the image
    if "image_map" not in vlm.unavailable:
        found = measure_attention_map(edited, SHOWN, answer.plain())
        assert largest(found.mass.sum(-1), decoded.mass[..., 0]) < 1e-5


def test_a_query_without_any_key_reads_nothing_and_can_be_measured():
    edited = tiny_models.vlm().intervene(isi.Knockout(("last", "answer"), "all"))
    trial = isi.run_trial(
        edited, isi.Observation(np.zeros((20, 20, 3), np.uint8), "Is it red?").stimulus(), samples=2
    )
    assert float(trial.attention.mass.max()) == 0.0


# The view ---------------------------------------------------------------------------------------------------


def test_interventions_compose():
    vlm = tiny_models.vlm()
    one, other = EDITS
    both = vlm.intervene(one, other)
    assert vlm.intervene(one).intervene(other) == both == vlm.intervene(*EDITS)
    assert hash(vlm.intervene(one).intervene(other)) == hash(both)
    assert vlm.intervene(other, one) != both and vlm.intervene(one) != both and vlm != both
    assert vlm.intervene() == vlm and vlm.interventions == () and both.interventions == EDITS
    again = vlm.intervene(one).intervene(other)
    assert torch.equal(again.prefill(SHOWN).logits, both.prefill(SHOWN).logits)
    assert again.answer(both.prefill(SHOWN), 3) == both.answer(SHOWN, 3)
    assert both.info()["fingerprint"] == again.info()["fingerprint"] != vlm.info()["fingerprint"]
    assert both.info()["interventions"] == [item.to_dict() for item in EDITS]
    assert "interventions" not in vlm.info()
    assert "1 head changed, attention cut" in repr(both)


def test_weights_lock_and_image_features_are_shared(monkeypatch):
    vlm = VLM(*tiny_models.llava(), model_id="tiny")
    encoded = []
    plain = vlm.family.encode_image
    monkeypatch.setattr(type(vlm.family), "encode_image", lambda *a: encoded.append(1) or plain(*a[1:]))
    edited = vlm.intervene(*EDITS)
    vlm.prefill(SHOWN), edited.prefill(SHOWN), edited.intervene(isi.HeadScale(0, 0, 0)).prefill(SHOWN)
    assert len(encoded) == 1
    assert edited.model is vlm.model and edited.lock is vlm.lock


def test_the_plain_model_stays_as_it_is():
    vlm = tiny_models.vlm("gemma3")
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in vlm.model.modules())
    before, prefill = vlm.answer(SHOWN, 4), vlm.prefill(SHOWN)
    edited = vlm.intervene(*EDITS)
    first = edited.answer(SHOWN, 4)
    assert edited.answer(SHOWN, 4) == first  # the second call
    assert vlm.answer(SHOWN, 4) == before and vlm.answer(prefill, 4) == before
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in vlm.model.modules()) == hooks


def test_a_prefill_of_other_interventions_is_refused():
    vlm = tiny_models.vlm()
    edited = vlm.intervene(*EDITS)
    for reader, prefill in ((edited, vlm.prefill(SHOWN)), (vlm, edited.prefill(SHOWN))):
        for use in (reader.answer, reader.sample, reader.yes_no, reader.enumerate_answers):
            with pytest.raises(InputError, match="made under other interventions"):
                use(prefill)
    stranger = VLM(*tiny_models.llava(), model_id="other")
    with pytest.raises(InputError, match="belongs to another VLM"):
        stranger.answer(edited.prefill(SHOWN))


def test_two_prefills_do_not_disturb_each_other():
    """Each goes on under its own interventions, whatever is read in between."""
    vlm = tiny_models.vlm("qwen2_vl")
    edited = vlm.intervene(*EDITS)
    expected = vlm.answer(SHOWN, 4), edited.answer(SHOWN, 4), edited.answer(OTHER, 4)
    plain, one, other = vlm.prefill(SHOWN), edited.prefill(SHOWN), edited.prefill(OTHER)
    assert (vlm.answer(plain, 4), edited.answer(one, 4), edited.answer(other, 4)) == expected


@pytest.mark.parametrize("how", ["cancel", "error", "callback"])
def test_nothing_is_left_after_a_call_that_failed(how):
    vlm = tiny_models.vlm()
    edited = vlm.intervene(*EDITS)
    before, theirs = vlm.answer(SHOWN, 4), []
    handle = vlm.model.get_decoder().layers[0].register_forward_hook(lambda *_: theirs.append(1))
    polls = iter([False, False, True])

    def fail(*_):
        raise ZeroDivisionError

    try:
        if how == "cancel":
            with pytest.raises(Cancelled):
                edited.answer(SHOWN, 8, min_new_tokens=8, attention=True, cancel=lambda: next(polls, True))
        elif how == "callback":
            with pytest.raises(ZeroDivisionError):
                edited.answer(SHOWN, 8, attention=True, on_token=fail)
        else:
            with (
                hooked((vlm.model.get_decoder().layers[1], "output", fail)),
                pytest.raises(ZeroDivisionError),
            ):
                edited.answer(SHOWN, 8)
        assert _ACTIVE.get() is None
        assert vlm.model.config.text_config._attn_implementation == "sdpa"
        assert vlm.answer(SHOWN, 4) == before
        seen = len(theirs)
        vlm.prefill(SHOWN)
        assert len(theirs) == seen + 1  # a hook of others is still there
    finally:
        handle.remove()


def test_threads_do_not_disturb_each_other():
    vlm = tiny_models.vlm()
    views = [vlm, *(vlm.intervene(isi.HeadScale(1, head, 0)) for head in range(3))]
    expected = [view.answer(SHOWN, 5, min_new_tokens=5) for view in views]
    found = {}

    def work(index):
        found[index] = [views[index].answer(SHOWN, 5, min_new_tokens=5, attention=True) for _ in range(4)]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(views))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer == expected[index] for index, answers in found.items() for answer in answers)
    assert len(found) == len(views)


def test_a_freed_model_is_freed_with_its_views():
    vlm = VLM(*tiny_models.llava(), model_id="tiny")
    edited = vlm.intervene(*EDITS)
    edited.answer(SHOWN, 2, attention=True)
    prefill = edited.prefill(SHOWN)
    model = weakref.ref(vlm.model)
    del vlm, edited, prefill
    gc.collect()
    assert model() is None


# Refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (isi.HeadScale(3, 0, 0), "this model has 3 layers, numbered 0 to 2; there is no layer 3"),
        (isi.HeadReplace(0, 4), "this model has 4 heads, numbered 0 to 3; there is no head 4"),
        (isi.HeadReplace(0, 0, "reference", (1.0, 2.0)), "heads have 16 numbers, got 2"),
        (isi.Knockout("last", "image", layers=(1, 5, 7)), "there is no layer 5, 7"),
        (isi.AttentionScale("image", 2, heads=(11,)), "there is no head 11"),
        (isi.AttentionReplace("image", "uniform", layers=3), "there is no layer 3"),
        ("HeadScale", "must be one of"),
    ],
)
def test_what_the_model_does_not_have_is_refused_at_once(edit, words):
    with pytest.raises(InputError, match=words):
        tiny_models.vlm().intervene(edit)


def test_a_position_outside_the_prompt_is_refused():
    edited = tiny_models.vlm().intervene(isi.Knockout("last", [2, 500]))
    with pytest.raises(InputError, match="There is no token 500 in this prompt of"):
        edited.answer(SHOWN)


def test_an_attention_function_without_a_twin_is_refused():
    vlm = VLM(*tiny_models.llava(), model_id="tiny")
    edited = vlm.intervene(isi.HeadScale(0, 0, 0))
    vlm.model.config.text_config._attn_implementation = "flex_attention"
    assert "flex_attention" in vlm.unavailable["interventions"]
    with pytest.raises(InputError, match=r"Interventions are not available from tiny: .*'flex_attention'"):
        vlm.intervene(isi.HeadScale(0, 0, 0))
    with pytest.raises(InputError, match="flex_attention"):
        edited.answer(SHOWN)


def test_eager_models_are_changed_alike():
    plain = VLM(*tiny_models.llava(), model_id="tiny")
    eager = VLM(*tiny_models.llava(), model_id="tiny")
    eager.model.set_attn_implementation({"text_config": "eager"})
    edits = (*EDITS, isi.AttentionScale("context", 0.5), isi.AttentionReplace("image", "shuffled", seed=1))
    one, other = plain.intervene(*edits), eager.intervene(*edits)
    assert largest(one.prefill(SHOWN).logits, other.prefill(SHOWN).logits) < NEAR
    answers = one.answer(SHOWN, 5, attention=True), other.answer(SHOWN, 5, attention=True)
    assert answers[0].token_ids == answers[1].token_ids and largest(answers[0].mass, answers[1].mass) < 1e-5


def test_blocks_nest():
    """Interventions and observers that are not given stay those of the outer block."""
    vlm = tiny_models.vlm()
    text, marks = vlm.family.text_config, (object(), object())
    with inside(vlm.model, text, observers=(marks[0],)):
        with inside(vlm.model, text, editing=marks[1], keys=5):
            assert _ACTIVE.get().observers == (marks[0],) and _ACTIVE.get().editing is marks[1]
        assert _ACTIVE.get().editing is None
    assert _ACTIVE.get() is None


@families
def test_the_parts_of_a_model_are_found(name):
    vlm = tiny_models.vlm(name)
    found = sites(vlm.model, vlm.family)
    text = vlm.model.config.text_config
    assert len(found.layers) == text.num_hidden_layers and found.heads == text.num_attention_heads
    states = []
    with hooked((found.norm, "output", lambda _, output: states.append(output))):
        logits = vlm.prefill(SHOWN).logits
    made = found.unembedding(states[0][0, -1])
    if cap := getattr(text, "final_logit_softcapping", None):
        made = torch.tanh(made / cap) * cap
    assert largest(made, logits) < 1e-4
    for layer in range(len(found.layers)):
        assert found.head_dim(layer) * found.heads == found.o_proj(layer).in_features
        assert isinstance(found.mlp(layer), torch.nn.Module)
