"""Contrastive decoding against an explicit loop: one plain forward over prompt and answer for each input."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import tiny_models
import torch
from PIL import Image
from test_families import FAMILIES, SHOWN, plain_forward, plain_inputs, with_answer
from test_inside import NEAR, largest

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.vlm.inside import sites
from isi_widget.vlm.inside.hooks import hooked

families = pytest.mark.parametrize("name", FAMILIES)
VCD = isi.ContrastiveDecoding("vcd", 0.7, cut=0.05, noise=0.4, seed=2)
M3ID = isi.ContrastiveDecoding("m3id", 0.3, cut=0.05)
both = pytest.mark.parametrize("item", [VCD, M3ID], ids=lambda item: item.by)


class Noised:
    """SHOWN with noise drawn here, from the definition of `Stimulus.noise`."""

    current_question, current_context = SHOWN.current_question, SHOWN.current_context
    key = "noised"

    def __init__(self, sigma, seed):
        pixels = np.asarray(SHOWN.render().convert("RGB"), np.float32)
        noise = np.random.default_rng(seed).standard_normal(pixels.shape, dtype=np.float32)
        noisy = np.rint(pixels + np.float32(255 * sigma) * noise)
        self._pixels = np.clip(noisy, 0, 255).astype(np.uint8)

    def render(self):
        return Image.fromarray(self._pixels)


def worse_logits(vlm, item, ids):
    """Plain logits of the worse input at the last prompt token and at each answer token."""
    if item.by == "vcd":
        inputs = plain_inputs(vlm, Noised(item.noise, item.seed))
        length = inputs["input_ids"].shape[1]
        return plain_forward(vlm, with_answer(inputs, ids) if ids else inputs).logits[0, length - 1 :].float()
    prompt = vlm.encode(SHOWN)
    kept = [token for token in prompt.ids if token != prompt.image_token_id]
    model = vlm.family.continued(vlm.model)
    tokens = torch.tensor([[*kept, *ids]], dtype=torch.long)
    types = {
        name: torch.cat([value[:, : len(kept)] * 0, torch.zeros(1, len(ids), dtype=value.dtype)], dim=1)
        for name, value in prompt.token_inputs.items()
    }
    with torch.no_grad():
        output = model(input_ids=tokens, **(types if vlm.family.title.startswith("Gemma") else {}))
    return output.logits[0, len(kept) - 1 :].float()


def by_hand(vlm, item, ids):
    """Contrasted logits [answer tokens + 1, vocabulary], -inf where a token is cut."""
    inputs = plain_inputs(vlm, SHOWN)
    length = inputs["input_ids"].shape[1]
    own = plain_forward(vlm, with_answer(inputs, ids) if ids else inputs).logits[0, length - 1 :].float()
    worse = worse_logits(vlm, item, ids)
    rows = []
    for step, (logits, against) in enumerate(zip(own, worse, strict=True)):
        if item.by == "vcd":
            made = (1 + item.strength) * logits - item.strength * against
        else:
            g = math.exp(-item.strength * step)
            made = logits + (logits - against) * (1 - g) / g
        rows.append(made.masked_fill(logits < math.log(item.cut) + logits.max(), float("-inf")))
    return torch.stack(rows)


def causal(name):
    """PaliGemma reads its whole prompt in both directions: a forward over the answer too is another."""
    return not name.startswith("paligemma")


@families
@both
def test_answers_are_those_of_the_explicit_loop(name, item):
    vlm = tiny_models.vlm(name)
    edited = vlm.intervene(item)
    prefill = edited.prefill(SHOWN)
    if not causal(name) and item is M3ID:
        pytest.skip("the plain forward of PaliGemma without a picture reads in one direction")
    answers = [
        edited.answer(prefill, 5),
        *edited.sample(prefill, 3, temperature=1.3, max_new_tokens=4),
        edited.answer(prefill, 4, num_beams=3),
        *edited.enumerate_answers(prefill, budget=20, max_new_tokens=3).answers[:3],
    ]
    for number, answer in enumerate(answers):
        ids = list(answer.token_ids)
        logprobs = by_hand(vlm, item, ids).log_softmax(-1)
        chosen = logprobs[torch.arange(len(ids)), torch.tensor(ids, dtype=torch.long)]
        assert torch.isfinite(chosen).all()  # no token that the loop cuts
        assert not ids or largest(chosen, answer.logprobs) < 2 * NEAR
        if number == 0:
            assert ids == logprobs.argmax(-1)[: len(ids)].tolist()
    forced, _ = edited.teacher_force(prefill, answers[0].token_ids)
    assert largest(forced, answers[0].logprobs) < NEAR
    assert largest(vlm.teacher_force(SHOWN, answers[0].token_ids)[0], forced) > 1e-2


@both
def test_greedy_decoding_step_by_step(item):
    """The same tokens as a loop that reads everything anew for every token."""
    vlm = tiny_models.vlm()
    ids = []
    for _ in range(6):
        ids.append(int(by_hand(vlm, item, ids)[-1].argmax()))
        if ids[-1] in vlm.eos_ids:
            break
    answer = vlm.intervene(item).answer(SHOWN, 6)
    assert list(answer.token_ids) == [token for token in ids if token not in vlm.eos_ids]


@both
def test_enumerated_probabilities_are_products(item):
    vlm = tiny_models.vlm()
    found = vlm.intervene(item).enumerate_answers(SHOWN, mass=0.9, budget=60, max_new_tokens=2)
    assert math.fsum(found.probabilities) + found.rest == pytest.approx(1)
    for answer, probability in zip(found.answers, found.probabilities, strict=True):
        logprobs = by_hand(vlm, item, list(answer.token_ids)).log_softmax(-1)
        log = sum(float(logprobs[place, token]) for place, token in enumerate(answer.token_ids))
        if answer.finished:
            log += float(logprobs[len(answer.token_ids), sorted(vlm.eos_ids)].logsumexp(0))
        assert math.exp(log) == pytest.approx(probability, rel=1e-3)


@families
def test_no_contrast_changes_nothing(name):
    vlm = tiny_models.vlm(name)
    for item in (isi.ContrastiveDecoding(strength=0, cut=0), isi.ContrastiveDecoding("m3id", 0, cut=0)):
        edited = vlm.intervene(item)
        assert torch.equal(edited.prefill(SHOWN).logits, vlm.prefill(SHOWN).logits)
        assert edited.answer(SHOWN, 4, attention=True) == vlm.answer(SHOWN, 4)
    first = vlm.intervene(isi.ContrastiveDecoding("m3id", 0.5, cut=0)).prefill(SHOWN).logits
    assert torch.equal(first, vlm.prefill(SHOWN).logits)  # t counts from 0


def test_without_noise_there_is_no_contrast():
    vlm = tiny_models.vlm()
    edited = vlm.intervene(isi.ContrastiveDecoding("vcd", 2, cut=0, noise=0))
    assert largest(edited.prefill(SHOWN).logits, vlm.prefill(SHOWN).logits) < NEAR


def test_implausible_tokens_have_no_probability_but_an_order():
    vlm = tiny_models.vlm()
    plain = vlm.prefill(SHOWN).logits
    cut = vlm.intervene(isi.ContrastiveDecoding("vcd", 0.5, cut=1, noise=0.5))
    logits = cut.prefill(SHOWN).logits
    assert int((logits.softmax(-1) > 0).sum()) == 1 and int(logits.argmax()) == int(plain.argmax())
    assert torch.equal(logits.argsort(descending=True)[:9], plain.argsort(descending=True)[:9])
    assert bool(torch.isfinite(logits).all())
    # all that is plausible is forbidden: the most likely of the others is taken
    ends = vlm.eos_ids
    vlm.model.generation_config.eos_token_id = [int(plain.argmax())]
    try:
        answer = cut.answer(SHOWN, 1, min_new_tokens=1)
        assert answer.token_ids == (int(plain.argsort(descending=True)[1]),)
    finally:
        vlm.model.generation_config.eos_token_id = sorted(ends)


def test_attention_is_that_of_the_input_alone():
    vlm = tiny_models.vlm()
    edited = vlm.intervene(VCD)
    answer = edited.answer(SHOWN, 4, attention=True)
    assert answer.mass.shape[0] == len(answer.token_ids)
    assert answer == edited.answer(SHOWN, 4)
    assert largest(answer.mass, vlm.teacher_force(SHOWN, answer.token_ids)[1]) < 1e-5


@both
def test_other_interventions_act_on_both_inputs(item):
    vlm = tiny_models.vlm()
    found = sites(vlm.model, vlm.family)
    width = found.head_dim(1)

    def scale(_, states):
        states = states.clone()
        states[..., 2 * width : 3 * width] *= 0.2
        return states

    edited = vlm.intervene(isi.HeadScale(1, 2, 0.2), item)
    answer = edited.answer(SHOWN, 3)
    ids = list(answer.token_ids)
    with hooked((found.o_proj(1), "input", scale)):
        logprobs = by_hand(vlm, item, ids).log_softmax(-1)
    assert largest(logprobs[torch.arange(len(ids)), torch.tensor(ids)], answer.logprobs) < 2 * NEAR
    # positions and regions are those of the whole prompt
    prompt = vlm.encode(SHOWN)
    question, image = prompt.indices("question"), isi.ImageTokens(None)
    by_name = vlm.intervene(isi.Knockout("question", "context"), isi.Knockout("last", "image"), item)
    by_place = vlm.intervene(
        isi.Knockout(question, prompt.indices("context")), isi.Knockout("last", image), item
    )
    assert torch.equal(by_name.prefill(SHOWN).logits, by_place.prefill(SHOWN).logits)
    assert by_name.answer(SHOWN, 3) == by_place.answer(SHOWN, 3)


def test_two_prefills_do_not_disturb_each_other():
    vlm = tiny_models.vlm("qwen2_vl")
    one, other = vlm.intervene(VCD), vlm.intervene(M3ID)
    expected = one.answer(SHOWN, 4), other.answer(SHOWN, 4), vlm.answer(SHOWN, 4)
    prefills = one.prefill(SHOWN), other.prefill(SHOWN), vlm.prefill(SHOWN)
    found = tuple(view.answer(read, 4) for view, read in zip((one, other, vlm), prefills, strict=True))
    assert found == expected


def test_trials_enumerations_and_uncertainty_take_it():
    edited = tiny_models.vlm().intervene(VCD)
    stimulus = isi.Observation(np.full((40, 40, 3), 90, np.uint8), "Is it red?").stimulus()
    trial = isi.run_trial(edited, stimulus, samples=3, max_new_tokens=3)
    assert isi.Trial.from_dict(trial.to_dict()) == trial and trial.interventions == (VCD,)
    assert trial.attention is not None and len(trial.uncertainty.answers) == 3


def test_refusals():
    vlm = tiny_models.vlm()
    with pytest.raises(InputError, match="one contrastive decoding at a time"):
        vlm.intervene(VCD).intervene(M3ID)
    with pytest.raises(InputError, match="which token stands for the image"):
        replace(vlm.encode(SHOWN), image_token_id=None).without_image()
    with pytest.raises(InputError, match="no picture that noise could be added to"):
        vlm.intervene(VCD).read(replace(vlm.encode(SHOWN), stimulus=None))


def test_a_model_that_insists_on_a_picture_is_refused(monkeypatch):
    vlm = tiny_models.vlm()
    forward = vlm.model.forward

    def insisting(*args, mm_encoder_outputs=None, past_key_values=None, **kwargs):
        if mm_encoder_outputs is None and past_key_values is None:
            raise ValueError("You must provide a picture.")
        return forward(
            *args, mm_encoder_outputs=mm_encoder_outputs, past_key_values=past_key_values, **kwargs
        )

    monkeypatch.setattr(vlm.model, "forward", insisting)
    with pytest.raises(InputError, match=r"cannot read a prompt without a picture \(ValueError: You must"):
        vlm.intervene(M3ID).answer(SHOWN, 2)
    assert vlm.intervene(VCD).answer(SHOWN, 2).token_ids
