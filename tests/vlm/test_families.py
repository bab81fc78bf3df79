"""Every family against plain transformers: same ids, same tokens, same log-probabilities, same attention.

The references take nothing from isi_widget: the processor's own public route, `generate`, one plain forward
over prompt + answer, eager `output_attentions`.
"""

from __future__ import annotations

import functools
import importlib
import json

import numpy as np
import pytest
import tiny_models
import torch
from tiny_models import VLM, Shown

from isi_widget.attribution import measure_attention
from isi_widget.errors import InputError
from isi_widget.segments import GROUPS
from isi_widget.stimulus import Stimulus, load_image
from isi_widget.trial import run_trial
from isi_widget.vlm import Family, load_vlm, register_family, supported_families
from isi_widget.vlm.families import family_of
from isi_widget.vlm.inside import attention as recording_module
from isi_widget.vlm.inside.attention import AttentionRecorder, recording

FAMILIES = sorted(tiny_models.BUILDERS)
QWEN = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
families = pytest.mark.parametrize("name", FAMILIES)
unlisted = pytest.mark.parametrize("name", ["aya_vision", "llava_onevision"])
SHOWN = Shown(current_context="The star is red.", size=(90, 40))
OTHER = Shown("What colour is the box?", "A box is left of it. It is large and yellow.", (40, 110), seed=7)
TEXTS = [
    ("Is there a red star?", "Is there a red star?"),
    ("¿Où est l'étoile, 東京?", "Grüße, naïve café 🙂 Ελλάδα"),
    ("a", "No"),
    ("1 + 1 = 2?", "(a) {b} <c>\n\n- one\n- two"),
    ("user: assistant", "Assistant: User: model [INST]"),
]


def plain_inputs(vlm, *shown, **arguments):
    """What the processor makes of the same turns by its own route, ready for the model."""
    texts = [
        f"{s.current_context.strip()}\n{s.current_question.strip()}"
        if s.current_context
        else s.current_question
        for s in shown
    ]
    processor = vlm.processor
    if processor.chat_template is None:  # PaliGemma and InstructBLIP have no turns
        marked = "<image>" if vlm.family.model_type == "paligemma" else ""
        inputs = processor(
            images=[s.render() for s in shown],
            text=[marked + text for text in texts],
            return_tensors="pt",
            **arguments,
        )
    else:
        turns = [
            [
                {
                    "role": "user",
                    "content": [{"type": "image", "image": s.render()}, {"type": "text", "text": text}],
                }
            ]
            for s, text in zip(shown, texts, strict=True)
        ]
        inputs = processor.apply_chat_template(
            turns if len(turns) > 1 else turns[0],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=arguments,
        )
    return {key: value for key, value in inputs.items() if key != "labels"}


def with_answer(inputs, token_ids):
    """The inputs of one plain forward over prompt and answer."""
    inputs = dict(inputs)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([token_ids])], dim=1)
    for key, filling in (("attention_mask", 1), ("mm_token_type_ids", 0), ("token_type_ids", None)):
        if key in inputs:
            if filling is None:  # Gemma 3: 1 is image; PaliGemma: 1 is answer
                filling = int((inputs[key] == 0).all())
            tail = inputs[key].new_full((1, len(token_ids)), filling)
            inputs[key] = torch.cat([inputs[key], tail], dim=1)
    return inputs


@torch.no_grad()
def plain_forward(vlm, inputs, **arguments):
    return vlm.model(**inputs, use_cache=False, **arguments)


def teacher_forced(vlm, shown, token_ids):
    """Log-probabilities of an answer from one plain forward over prompt + answer: no cache, no loop."""
    inputs = plain_inputs(vlm, shown)
    length = inputs["input_ids"].shape[1]
    logits = plain_forward(vlm, with_answer(inputs, token_ids)).logits[0, length - 1 : -1].float()
    return logits.log_softmax(-1)[torch.arange(len(token_ids)), torch.tensor(token_ids)].numpy()


@torch.no_grad()
def generated(vlm, inputs, **arguments):
    """The new tokens of transformers' own generate, for each row, cut at the first end of sequence."""
    ids = vlm.model.generate(
        **inputs, do_sample=False, pad_token_id=vlm.tokenizer.pad_token_id, top_k=0, **arguments
    )
    ids = ids[:, inputs["input_ids"].shape[1] :].tolist()
    cut = [next((i for i, token in enumerate(row) if token in vlm.eos_ids), len(row)) for row in ids]
    return [tuple(row[:end]) for row, end in zip(ids, cut, strict=True)]


def eager_mass(vlm, shown, token_ids):
    """The same masses from one plain forward over prompt + answer, eager attention with its full matrices."""
    prompt = vlm.encode(shown)
    labels = [label if label in GROUPS else "other" for label in prompt.labels] + ["other"] * len(token_ids)
    groups = torch.tensor([GROUPS.index(label) for label in labels])
    text_config = vlm.model.config.text_config
    previous = text_config._attn_implementation
    vlm.model.set_attn_implementation({"text_config": "eager"})
    try:
        inputs = with_answer(plain_inputs(vlm, shown), token_ids)
        output = plain_forward(vlm, inputs, output_attentions=True)
    finally:
        vlm.model.set_attn_implementation({"text_config": previous})
    attentions = getattr(output, "language_model_outputs", output).attentions
    rows = torch.stack(attentions)[:, 0, :, len(prompt) - 1 : -1].double()  # [layers, heads, tokens, keys]
    mass = torch.stack([rows[..., groups == group].sum(-1) for group in range(len(GROUPS))], dim=-1)
    return mass.permute(2, 0, 1, 3).numpy()


# The prompt -------------------------------------------------------------------------------------------------


@families
def test_ids_equal_the_processors_own(name):
    vlm = tiny_models.vlm(name)
    for shown in (Shown(), SHOWN, OTHER, Shown(size=(33, 31))):
        prompt = vlm.encode(shown)
        assert prompt.input_ids.equal(plain_inputs(vlm, shown)["input_ids"])
        assert prompt.token_counts()["image"] == prompt.ids.count(vlm.model.config.image_token_id) > 0


@families
@pytest.mark.parametrize("texts", TEXTS)
def test_segments_decode_to_their_texts(name, texts):
    vlm = tiny_models.vlm(name)
    question, context = texts
    prompt = vlm.encode(Shown(question, context))
    for segment, text in (("question", question), ("context", context)):
        decoded = vlm.tokenizer.decode(
            list(prompt.segment_token_ids(segment)), clean_up_tokenization_spaces=False
        )
        # Where the tokenizer joins the last full stop and the line break after it, the token is the user's.
        assert decoded == text or (prompt.straddling and decoded == text + "\n")
    assert max(prompt.indices("image")) < min(prompt.indices("context"))
    assert max(prompt.indices("context")) < min(prompt.indices("question"))
    assert prompt.labels[-1] == ("question" if name == "instructblip" else "template")


@families
def test_the_text_around_the_image_tokens_is_template(name):
    vlm = tiny_models.vlm(name)
    prompt = vlm.encode(SHOWN)
    assert {vlm.model.config.image_token_id} == set(prompt.segment_token_ids("image"))
    if name in ("idefics3", "smolvlm", "internvl", "gemma3"):
        first, last = prompt.indices("image")[0], prompt.indices("image")[-1]
        around = {prompt.labels[first - 1], prompt.labels[last + 1]}
        assert around == {"template"}


@families
def test_control_tokens_in_the_text_are_refused(name):
    vlm = tiny_models.vlm(name)
    for token in (
        vlm.tokenizer.convert_ids_to_tokens(vlm.model.config.image_token_id),
        vlm.tokenizer.eos_token,
    ):
        with pytest.raises(InputError, match="control token"):
            vlm.encode(Shown(f"Is {token} it?"))


@families
def test_several_images_are_refused(name):
    class Two(Shown):
        def render(self):
            return [super().render()] * 2

    vlm = tiny_models.vlm(name)
    with pytest.raises(InputError, match=r"A prompt holds one image; render\(\) gave a list"):
        vlm.encode(Two())


@pytest.mark.parametrize("name", ["qwen2_vl", "gemma3", "idefics3"])
def test_a_template_with_two_images_is_refused(name):
    model, processor = tiny_models.BUILDERS[name]()
    placeholder = processor.image_token
    processor.chat_template = processor.chat_template.replace(placeholder, placeholder * 2)
    with pytest.raises(InputError, match="does not place the image token"):
        VLM(model, processor, model_id="two images")


# Decoding ---------------------------------------------------------------------------------------------------


@families
def test_the_first_logits_equal_a_plain_forward(name):
    vlm = tiny_models.vlm(name)
    for shown in (SHOWN, OTHER):
        expected = plain_forward(vlm, plain_inputs(vlm, shown)).logits[0, -1]
        torch.testing.assert_close(vlm.prefill(shown).logits, expected, atol=1e-5, rtol=0)
    assert not torch.allclose(vlm.prefill(SHOWN).logits, vlm.prefill(OTHER).logits, atol=0.1)


@families
@pytest.mark.parametrize("seed", range(2))
def test_greedy_tokens_equal_generate(name, seed):
    vlm = VLM(*tiny_models.BUILDERS[name](seed=seed), model_id="tiny")
    for shown in (SHOWN, OTHER):
        expected = generated(vlm, plain_inputs(vlm, shown), max_new_tokens=14)[0]
        assert vlm.answer(shown, 14).token_ids == expected
        assert len(set(expected)) > 2


@families
def test_beams_equal_generate(name):
    vlm = tiny_models.vlm(name)
    expected = generated(vlm, plain_inputs(vlm, SHOWN), max_new_tokens=8, num_beams=3)[0]
    assert vlm.answer(SHOWN, 8, num_beams=3).token_ids == expected


@families
def test_sampled_logprobs_equal_teacher_forcing(name):
    vlm = tiny_models.vlm(name)
    answers = vlm.sample(SHOWN, n=4, max_new_tokens=12, seed=1)
    assert len({answer.token_ids for answer in answers}) == 4
    for answer in answers:
        np.testing.assert_allclose(
            answer.logprobs, teacher_forced(vlm, SHOWN, answer.token_ids), atol=1e-5, rtol=0
        )
        forced, _ = vlm.teacher_force(SHOWN, answer.token_ids)
        np.testing.assert_allclose(answer.logprobs, forced, atol=1e-5, rtol=0)


@families
def test_the_end_of_a_sample_is_that_of_a_plain_forward(name):
    model, processor = tiny_models.BUILDERS[name]()
    ends = list(range(150, 250))
    model.generation_config.eos_token_id = ends
    vlm = VLM(model, processor, model_id="ending")
    ended = [a for a in vlm.sample(SHOWN, n=16, temperature=1.3, max_new_tokens=8, seed=1) if a.finished]
    assert len({answer.token_ids for answer in ended}) > 1
    for answer in ended:
        fed = plain_inputs(vlm, SHOWN)
        if answer.token_ids:
            fed = with_answer(fed, answer.token_ids)
        logits = plain_forward(vlm, fed).logits[0, -1].float()
        assert answer.end_logprob == pytest.approx(float(logits.softmax(-1)[ends].sum().log()), abs=2e-5)
        warped = float((logits / 1.3).softmax(-1)[ends].sum().log())
        assert answer.sampled_end_logprob == pytest.approx(warped, abs=2e-5)


@families
def test_another_image_in_between_changes_nothing(name):
    """Qwen's models keep the offset of their positions on the module: it must be this prompt's."""
    vlm = tiny_models.vlm(name)
    wide = Shown(size=(200, 40))
    answer = vlm.answer(wide, 10, attention=True)
    samples, beam = vlm.sample(wide, 3, max_new_tokens=10), vlm.answer(wide, 10, num_beams=3)
    prefill = vlm.prefill(wide)
    plain_forward(vlm, plain_inputs(vlm, OTHER))
    assert vlm.answer(prefill, 10) == answer
    vlm.prefill(OTHER)
    assert vlm.sample(prefill, 3, max_new_tokens=10) == samples
    vlm.prefill(OTHER)
    assert vlm.answer(prefill, 10, num_beams=3) == beam
    vlm.prefill(OTHER)
    np.testing.assert_allclose(measure_attention(vlm, prefill, answer.plain()).mass, answer.mass, atol=1e-5)
    # Even from inside the loop.
    assert vlm.answer(prefill, 10, on_token=lambda *_: vlm.prefill(OTHER)) == answer


@pytest.mark.parametrize("name", QWEN)
def test_the_offset_of_positions_matters(name):
    """Without its restoring the test above would pass for nothing."""
    vlm = tiny_models.vlm(name)
    prefill = vlm.prefill(Shown(size=(200, 40)))
    offset = vlm.model.model.rope_deltas.clone()
    vlm.prefill(OTHER)
    assert not torch.equal(vlm.model.model.rope_deltas, offset)
    vlm.sample(prefill, 2, max_new_tokens=3)
    assert torch.equal(vlm.model.model.rope_deltas, offset)


@families
def test_one_at_a_time_equals_a_left_padded_batch(name, monkeypatch):
    vlm = tiny_models.vlm(name)
    # Not the Q-Former's tokenizer: its positions count the padding.
    monkeypatch.setattr(vlm.tokenizer, "padding_side", "left")
    inputs = plain_inputs(vlm, SHOWN, OTHER, padding=True)
    assert (inputs["attention_mask"] == 0).any()
    expected = generated(vlm, inputs, max_new_tokens=8)
    assert [vlm.answer(shown, 8).token_ids for shown in (SHOWN, OTHER)] == expected


@families
def test_a_picture_is_encoded_once_for_all_questions(name, monkeypatch):
    vlm = VLM(*tiny_models.BUILDERS[name](), model_id="counted")
    original, calls = vlm.model.get_image_features, []
    monkeypatch.setattr(
        vlm.model, "get_image_features", lambda *given, **named: calls.append(1) or original(*given, **named)
    )
    logits = [vlm.prefill(Shown(text)).logits for text in ("Is it red?", "Is it blue?", "Is it red?")]
    assert len(calls) == (2 if name == "instructblip" else 1)  # its Q-Former reads the question
    assert logits[0].equal(logits[2]) and not logits[0].equal(logits[1])


# Attention --------------------------------------------------------------------------------------------------


@families
@pytest.mark.parametrize("shown", [SHOWN, OTHER], ids=["wide", "long"])
def test_shares_equal_eager_attentions(name, shown):
    vlm = tiny_models.vlm(name)
    answer = vlm.sample(shown, n=1, max_new_tokens=9, seed=2)[0]
    expected = eager_mass(vlm, shown, answer.token_ids)
    forced = measure_attention(vlm, shown, answer).mass
    assert forced.shape == (len(answer.token_ids), 3, 4, 4)
    difference = np.abs(forced - expected).max(axis=(0, 2, 3))
    assert (difference < 1e-5).all(), f"difference by layer: {difference} (a mask, scale or token-row error?)"
    attended = vlm.answer(shown, 9, do_sample=True, seed=2, temperature=0.9, attention=True)
    assert attended.token_ids == answer.token_ids
    np.testing.assert_allclose(attended.mass, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["gemma3", "paligemma2"])
def test_windows_are_shorter_than_the_prompt(name):
    """The comparison with eager above covers keys that have left the window."""
    vlm = tiny_models.vlm(name)
    assert len(vlm.encode(SHOWN)) > vlm.model.config.text_config.sliding_window
    mass = measure_attention(vlm, SHOWN).mass
    windowed = [kind == "sliding_attention" for kind in vlm.model.config.text_config.layer_types]
    image = mass[-1, :, :, GROUPS.index("image")].max(axis=1)
    assert (image[windowed] == 0).all() and (image[np.logical_not(windowed)] > 0).all()


def test_the_prompt_of_paligemma_is_read_in_both_directions():
    """An early prompt token's state depends on later ones: no causal prefill could give the same logits."""
    vlm = tiny_models.vlm("paligemma")
    inputs = plain_inputs(vlm, SHOWN)
    assert (inputs["token_type_ids"] == 0).all()
    causal = plain_forward(vlm, inputs | {"token_type_ids": torch.ones_like(inputs["token_type_ids"])})
    assert (causal.logits[0, -1] - vlm.prefill(SHOWN).logits).abs().max() > 0.01


def test_the_soft_cap_of_gemma_2_is_computed():
    model, processor = tiny_models.paligemma2()
    model.config.text_config._attn_implementation_internal = "sdpa"  # which has no soft cap
    capped = VLM(model, processor, model_id="capped")
    assert capped.model.config.text_config._attn_implementation == "eager"
    free = VLM(*tiny_models.paligemma2(attn_logit_softcapping=None), model_id="free")
    difference = capped.prefill(SHOWN).logits - free.prefill(SHOWN).logits
    assert difference.abs().max() > 0.01


@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "gemma3", "paligemma"])
def test_recorded_attention_sees_left_padding(name):
    vlm = tiny_models.vlm(name)
    inputs = plain_inputs(vlm, SHOWN, OTHER, padding=True, padding_side="left")
    row = int((inputs["attention_mask"] == 0).sum(dim=1).argmax())
    shown = (SHOWN, OTHER)[row]
    alone = plain_inputs(vlm, shown)
    padding = int((inputs["attention_mask"][row] == 0).sum())
    padded = alone | {
        key: inputs[key][row : row + 1]
        for key in ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
        if key in alone
    }
    length = alone["input_ids"].shape[1]
    masses = []
    for given, groups in (
        (alone, torch.arange(length) % 4),
        (padded, torch.cat([torch.full((padding,), 3), torch.arange(length) % 4])),
    ):
        if name == "paligemma":  # positions count from the first key, as generate's do
            first = given["input_ids"].shape[1] - length
            given = given | {"position_ids": (torch.arange(first + length) - first + 1).clamp(min=1)[None]}
        recorder = AttentionRecorder(groups)
        recorder.begin(len(groups), rows=3)
        with torch.no_grad(), recording(vlm.model, "text_config", recorder):
            vlm.model(**given)
        masses.append(recorder.mass())
    if name == "gemma3":  # its plain forward counts positions from the padding: compare with eager instead
        vlm.model.set_attn_implementation({"text_config": "eager"})
        try:
            attentions = torch.stack(plain_forward(vlm, padded, output_attentions=True).attentions)[
                :, 0, :, -3:
            ]
        finally:
            vlm.model.set_attn_implementation({"text_config": "sdpa"})
        masses[0] = torch.stack([attentions[..., groups == g].sum(-1) for g in range(4)], -1).permute(
            2, 0, 1, 3
        )
    torch.testing.assert_close(masses[1], masses[0], atol=1e-5, rtol=0)


# The adapters themselves ------------------------------------------------------------------------------------


def test_the_listed_families():
    assert set(supported_families()) == set(FAMILIES) - {"paligemma2"}


@families
def test_layers_and_availability(name):
    vlm = tiny_models.vlm(name)
    assert set(vlm.unavailable) == ({"image_map"} if name == "instructblip" else set())
    layers = vlm.family.layers(vlm.model)
    assert [layer.self_attn.layer_idx for layer in layers] == [0, 1, 2]


@families
def test_the_docstring_draws_the_module_tree(name):
    vlm = tiny_models.vlm(name)
    drawn = importlib.import_module(type(vlm.family).__module__).__doc__
    decoder = vlm.family.decoder(vlm.model)
    path = next(path for path, module in vlm.model.named_modules() if module is decoder)
    assert type(vlm.model).__name__ in drawn
    for part in [*path.split("."), type(decoder).__name__, "layers[i]", "lm_head"]:
        assert part in drawn


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("paligemma2", "instructblip")])
def test_a_checkpoint_without_a_loadable_processor_gets_one(name, tmp_path):
    """As here, without torchvision: processors that want a video processor cannot be loaded as such."""
    vlm = tiny_models.vlm(name)
    processor = vlm.processor
    vlm.model.save_pretrained(tmp_path)
    template = processor.tokenizer.chat_template
    processor.tokenizer.chat_template = processor.chat_template
    processor.tokenizer.save_pretrained(tmp_path)
    processor.tokenizer.chat_template = template
    # Tiny families share tokenizers, which remember the processor that was saved last.
    record = json.loads((tmp_path / "tokenizer_config.json").read_text())
    record.pop("processor_class", None)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(record))
    processor.image_processor.save_pretrained(tmp_path)
    loaded = load_vlm(tmp_path)
    assert loaded.encode(SHOWN).ids == vlm.encode(SHOWN).ids
    assert loaded.answer(SHOWN, 6).token_ids == vlm.answer(SHOWN, 6).token_ids


def test_an_encoder_decoder_instructblip_is_refused():
    model, processor = tiny_models.instructblip()
    model.config.use_decoder_only_language_model = False
    with pytest.raises(InputError, match="Flan-T5"):
        VLM(model, processor, model_id="t5")


def test_the_q_former_reads_the_question():
    """The embeddings of an InstructBLIP depend on the text, so they are not shared between questions."""
    vlm = tiny_models.vlm("instructblip")
    one, other = (vlm.encode(Shown(text)) for text in ("Is it red?", "Is it blue?"))
    features = [vlm.family.image_features(vlm.model, prompt.images) for prompt in (one, other)]
    assert (features[0] - features[1]).abs().max() > 1e-3


# Unlisted models --------------------------------------------------------------------------------------------


@unlisted
def test_an_unlisted_model_gives_everything_that_can_be_established(name):
    vlm = tiny_models.vlm(name)
    assert name not in supported_families()
    assert set(vlm.unavailable) == {"image_map"} and name in vlm.unavailable["image_map"]
    for shown in (SHOWN, OTHER):
        prompt = vlm.encode(shown)
        inputs = plain_inputs(vlm, shown)
        assert prompt.input_ids.equal(inputs["input_ids"])
        for segment, text in (("question", shown.current_question), ("context", shown.current_context)):
            decoded = vlm.tokenizer.decode(list(prompt.segment_token_ids(segment)))
            assert decoded == text or (prompt.straddling and decoded == text + "\n")
        assert vlm.answer(shown, 10).token_ids == generated(vlm, inputs, max_new_tokens=10)[0]
        answers = vlm.sample(shown, n=3, max_new_tokens=9, seed=3)
        for answer in answers:
            np.testing.assert_allclose(
                answer.logprobs, teacher_forced(vlm, shown, answer.token_ids), atol=1e-5, rtol=0
            )
        shares = measure_attention(vlm, shown, answers[0])
        np.testing.assert_allclose(shares.mass, eager_mass(vlm, shown, answers[0].token_ids), atol=1e-5)


@unlisted
def test_an_unlisted_model_goes_through_a_trial(name):
    vlm = tiny_models.vlm(name)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    trial = run_trial(vlm, Stimulus(load_image(pixels), "Is it red?"), samples=3, max_new_tokens=4)
    assert trial.answer is not None and trial.uncertainty is not None and trial.attention is not None
    assert any("image_map" in note for note in trial.notes)


@unlisted
def test_where_the_template_changes_the_text_there_are_answers_but_no_segments(name):
    model, processor = tiny_models.UNLISTED[name]()
    processor.chat_template = processor.chat_template.replace("part['text']", "part['text'] | upper")
    vlm = VLM(model, processor, model_id="crippled")
    assert set(vlm.unavailable) == {"image_map", "segments", "attention"}
    assert "changes the text" in vlm.unavailable["segments"]
    prompt = vlm.encode(SHOWN)
    assert "THE STAR IS RED." in prompt.text
    with pytest.raises(InputError, match=r"no segments.*changes the text"):
        prompt.token_counts()
    with pytest.raises(InputError, match=r"summed over segments.*changes the text"):
        measure_attention(vlm, SHOWN)
    inputs = plain_inputs(vlm, SHOWN)
    assert vlm.answer(SHOWN, 6).token_ids == generated(vlm, inputs, max_new_tokens=6)[0]
    answer = vlm.sample(SHOWN, 2, max_new_tokens=6)[1]
    np.testing.assert_allclose(answer.logprobs, teacher_forced(vlm, SHOWN, answer.token_ids), atol=1e-5)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    stimulus = Stimulus(load_image(pixels), "Is it red?")
    trial = run_trial(vlm, stimulus, samples=3, max_new_tokens=4)
    assert trial.answer is not None and trial.uncertainty is not None and trial.attention is None
    assert any("changes the text" in note for note in trial.notes)
    with pytest.raises(InputError, match="'attention' is not available"):
        run_trial(vlm, stimulus, measures=["attention"])


def test_where_the_processor_changes_the_text_untold_there_are_answers_but_no_segments():
    """Idefics2 puts a space after the image, and tells nobody."""
    vlm = tiny_models.vlm("idefics2")
    assert set(vlm.unavailable) == {"image_map", "segments", "attention"}
    assert "ids differ from the tokenizer's" in vlm.unavailable["segments"]
    expected = generated(vlm, plain_inputs(vlm, SHOWN), max_new_tokens=6)[0]
    assert vlm.answer(SHOWN, 6).token_ids == expected


def test_where_the_image_token_is_not_known_there_are_answers_but_no_segments():
    model, processor = tiny_models.llava_onevision()
    vlm = VLM(model, processor, model_id="whole")
    expected = vlm.answer(SHOWN, 6)

    class Silent(type(vlm.family)):
        def image_token_id(self, model):
            return None

    vlm = VLM.__new__(VLM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isi_widget.vlm.loaded.family_of", lambda config: Silent("llava_onevision"))
        vlm.__init__(model, processor, model_id="crippled")
    assert "which token stands for the image" in vlm.unavailable["segments"]
    assert vlm.answer(SHOWN, 6) == expected


def test_where_attention_does_not_pass_through_the_interface_it_is_not_available():
    model, processor = tiny_models.llava_onevision()
    layer = model.model.language_model.layers[1].self_attn
    original = layer.forward

    def own_attention(hidden_states, *args, **kwargs):  # computes the same, but tells nobody
        token = recording_module._ACTIVE.set(None)
        try:
            return original(hidden_states, *args, **kwargs)
        finally:
            recording_module._ACTIVE.reset(token)

    layer.forward = own_attention
    vlm = VLM(model, processor, model_id="crippled")
    assert set(vlm.unavailable) == {"image_map", "attention", "interventions"}
    assert "2 of 3 layers were seen" in vlm.unavailable["attention"]
    assert vlm.answer(SHOWN, 6) == VLM(*tiny_models.llava_onevision(), model_id="whole").answer(SHOWN, 6)
    with pytest.raises(InputError, match="2 of 3 layers"):
        vlm.answer(SHOWN, 6, attention=True)


def test_where_recorded_attention_is_not_the_models_it_is_not_available():
    model, processor = tiny_models.llava_onevision()
    for layer in model.model.language_model.layers:  # a scale that the recorder is not told of
        layer.self_attn.register_forward_pre_hook(
            lambda module, args, kwargs: setattr(
                module, "scaling", 0.25 if module.config._attn_implementation == "eager" else 0.1
            ),
            with_kwargs=True,
        )
    vlm = VLM(model, processor, model_id="crippled")
    assert "differs from eager attention" in vlm.unavailable["attention"]


def test_a_model_that_keeps_more_than_keys_and_values_is_refused():
    from transformers.cache_utils import DynamicLayer

    class Recurrent(DynamicLayer):
        pass

    model, processor = tiny_models.llava_onevision()
    vlm = VLM(model, processor, model_id="crippled")
    original = model.forward

    def forward(**kwargs):
        output = original(**kwargs)
        output.past_key_values.layers[1].__class__ = Recurrent
        return output

    model.forward = forward
    with pytest.raises(InputError, match=r"'llava_onevision' keep more than keys and values.*Recurrent"):
        vlm.answer(SHOWN, 4)


def mllama():
    """A tiny Llama 3.2 Vision: every other layer looks at the image by cross-attention."""
    from transformers import MllamaConfig, MllamaForConditionalGeneration, MllamaProcessor
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    special = ("<|image|>", "<|python_tag|>", "<|TURN|>", "<|END|>")
    tok = tiny_models.split_tokenizer(special, {}, bos="<|begin_of_text|>", eos="<|END|>", pad="<|pad|>")
    small = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.1}
    vision = {
        "num_hidden_layers": 2,
        "num_global_layers": 1,
        "attention_heads": 4,
        "vision_output_dim": 128,
        "image_size": 32,
        "patch_size": 8,
        "intermediate_layers_indices": [0],
        "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
    }
    text = {
        "vocab_size": len(tok) + 8,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "cross_attention_layers": [1, 3],
        "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "bos_token_id": tok.bos_token_id,
        "eos_token_id": tok.eos_token_id,
        "pad_token_id": tok.pad_token_id,
    }
    config = MllamaConfig(
        vision_config=small | vision,
        text_config=small | text,
        image_token_index=tok.convert_tokens_to_ids("<|image|>"),
    )
    torch.manual_seed(0)
    model = MllamaForConditionalGeneration(config).eval()
    images = MllamaImageProcessorPil(size={"height": 32, "width": 32}, max_image_tiles=4)
    return model, MllamaProcessor(images, tok, chat_template=tiny_models.AYA.replace("<image>", "<|image|>"))


def test_an_unlisted_model_with_cross_attention_is_refused():
    """Its image's keys and values would be taken for a prompt's that answers can share."""
    model, processor = mllama()
    with pytest.raises(InputError, match=r"'mllama' keep more than keys and values.*cross-attention"):
        VLM(model, processor, model_id="crossed").try_out()


def test_an_unlisted_model_that_answers_differently_is_refused():
    model, processor = tiny_models.llava_onevision()
    assert VLM(model, processor, model_id="alike").answer(SHOWN, 4).token_ids
    forward = model.forward

    @functools.wraps(forward)
    def forgetful(**kwargs):
        if len(kwargs["input_ids"]) > 1:  # rows side by side
            kwargs["input_ids"] = kwargs["input_ids"].flip(0)
        return forward(**kwargs)

    model.forward = forgetful
    with pytest.raises(InputError, match=r"log-probabilities are .* off those of transformers' generate"):
        VLM(model, processor, model_id="forgetful").answer(SHOWN, 4)

    @functools.wraps(forward)
    def broken(**kwargs):
        raise TypeError("unexpected keyword")

    model.forward = broken
    with pytest.raises(InputError, match=r"a first answer failed \(TypeError: unexpected keyword\)"):
        VLM(model, processor, model_id="broken").yes_no(SHOWN)


@pytest.mark.parametrize("build", [tiny_models.llava_onevision, tiny_models.llava])
def test_a_vlm_is_made_without_running_its_model(build, monkeypatch):
    model, processor = build()
    ran = []
    for module in (model, *model.modules()):
        module.register_forward_pre_hook(lambda *_: ran.append(1))
    vlm = VLM(model, processor, model_id="fresh")
    assert not ran
    vlm.try_out()
    assert bool(ran) == (not vlm.family.strict)
    seen = len(ran)
    vlm.try_out()  # once is enough
    assert len(ran) == seen


def test_an_unlisted_model_is_tried_when_it_is_loaded(tmp_path, monkeypatch):
    model, processor = tiny_models.llava_onevision()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)

    def refuse(model, prefill):
        raise InputError("tried")

    monkeypatch.setattr("isi_widget.vlm.reading.try_answers", refuse)
    with pytest.raises(InputError, match="tried"):
        load_vlm(tmp_path)


def test_an_unlisted_model_without_a_chat_template_is_refused():
    model, processor = tiny_models.llava_onevision()
    processor.chat_template = None
    with pytest.raises(InputError, match="'llava_onevision' has no chat template"):
        VLM(model, processor, model_id="silent")


def test_an_unlisted_model_loads_from_a_folder(tmp_path):
    model, processor = tiny_models.llava_onevision()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)  # as on the hub, but for the video half that cannot be loaded here
    loaded = load_vlm(tmp_path)
    assert loaded.info()["family"] == "llava_onevision (not listed)"
    assert (
        loaded.answer(SHOWN, 6).token_ids == VLM(model, processor, model_id="tiny").answer(SHOWN, 6).token_ids
    )


def test_what_transformers_does_not_know_is_refused_by_name():
    class Config:
        model_type = "no_such_model"

    with pytest.raises(InputError, match=r"'no_such_model' are not supported.*Qwen2-VL \('qwen2_vl'\)"):
        family_of(Config())


def test_an_adapter_that_would_not_be_found_is_refused():
    with pytest.raises(InputError, match=r"needs the config\.model_type"):

        @register_family
        class Forgotten(Family):
            title = "Forgotten"

    with pytest.raises(InputError, match=r"needs a subclass of isi_widget\.vlm\.Family"):

        @register_family("stranger")
        class Stranger:
            title = "Stranger"

    assert "stranger" not in supported_families()
