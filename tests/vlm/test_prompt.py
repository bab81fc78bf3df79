"""Prompt segments: equal to the processor's own expansion, exact to the token, and never guessed."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import VLM, Shown
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from isi_widget.errors import InputError
from isi_widget.stimulus import Stimulus, load_image
from isi_widget.vlm.prompts.encoder import PromptEncoder

CASES = [("llava", "byte"), ("llava", "piece"), ("llava_next", "byte"), ("llava_next", "piece")]
cases = pytest.mark.parametrize(("family", "kind"), CASES)


def own_expansion(vlm, shown):
    """What transformers' processor makes of the same turn, by its own public route."""
    context, question = shown.current_context.strip(), shown.current_question.strip()
    text = f"{context}\n{question}" if context else question
    content = [{"type": "image", "image": shown.render()}, {"type": "text", "text": text}]
    inputs = vlm.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    return inputs["input_ids"]


def text_of(vlm, prompt, segment):
    return vlm.tokenizer.decode(list(prompt.segment_token_ids(segment)), clean_up_tokenization_spaces=False)


@cases
def test_ids_equal_the_processors_own(family, kind):
    vlm = tiny_models.vlm(family, kind)
    for shown in (Shown(), Shown(current_context="The star is red. It is left."), Shown(size=(90, 30))):
        prompt = vlm.encode(shown)
        assert prompt.input_ids.equal(own_expansion(vlm, shown))


def test_a_real_stimulus_is_shown_as_it_is_rendered():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    stimulus = Stimulus(load_image(pixels), "Is there a red star?").box(10, 10, 30, 20, color="red")
    stimulus = stimulus.with_context("The star is red.")
    vlm = tiny_models.vlm("llava_next")
    prompt = vlm.encode(stimulus)
    assert (prompt.context, prompt.question) == ("The star is red.", "Is there a red star?")
    assert prompt.key == stimulus.key
    expected = vlm.processor.image_processor(stimulus.render(), return_tensors="pt")
    assert prompt.images["pixel_values"].equal(expected["pixel_values"])
    assert prompt.images["image_sizes"].tolist() == [[60, 90]]
    assert vlm.answer(stimulus, 4).token_ids != vlm.answer(stimulus.undo().undo(), 4).token_ids


@cases
def test_every_token_has_one_segment_and_counts_add_up(family, kind):
    vlm = tiny_models.vlm(family, kind)
    prompt = vlm.encode(Shown(current_context="A box."))
    counts = prompt.token_counts()
    assert sum(counts.values()) == len(prompt) == len(prompt.labels)
    assert counts["image"] == prompt.ids.count(vlm.model.config.image_token_id)
    assert counts["context"] > 0 and counts["question"] > 0
    # BOS is the first token and belongs to the template; so does the end, where the answer begins.
    assert prompt.labels[0] == prompt.labels[-1] == "template"


@cases
@pytest.mark.parametrize("context", ["", "   ", "\n\t "])
def test_an_empty_context_is_no_tokens(family, kind, context):
    vlm = tiny_models.vlm(family, kind)
    prompt = vlm.encode(Shown(current_context=context))
    assert prompt.token_counts()["context"] == 0
    assert prompt.context == ""
    assert text_of(vlm, prompt, "question") == "Is there a red star?"


# No surrogates (not text) and no private use (marks). Texts that spell special tokens have their own test.
texts = st.text(st.characters(exclude_categories=("Cs", "Co")), max_size=40).filter(
    lambda text: "<s>" not in text
)


@cases
@settings(max_examples=80)
@given(context=texts, question=texts.filter(str.strip))
def test_segments_decode_to_their_texts(family, kind, context, question):
    vlm = tiny_models.vlm(family, kind)
    prompt = vlm.encode(Shown(question, context))
    assert text_of(vlm, prompt, "context") == context.strip()
    assert text_of(vlm, prompt, "question") == question.strip()
    assert prompt.straddling == 0


@cases
def test_a_question_equal_to_the_context(family, kind):
    vlm = tiny_models.vlm(family, kind)
    text = "Is there a red star?"
    prompt = vlm.encode(Shown(text, text))
    assert text_of(vlm, prompt, "context") == text_of(vlm, prompt, "question") == text
    context, question = prompt.indices("context"), prompt.indices("question")
    assert len(context) == len(question) and max(context) < min(question)


@cases
def test_a_template_word_in_the_text_stays_the_users(family, kind):
    vlm = tiny_models.vlm(family, kind)
    text = "USER: ASSISTANT: [INST] [/INST]\nUSER:"
    prompt = vlm.encode(Shown("ASSISTANT:", text))
    assert text_of(vlm, prompt, "context") == text
    assert text_of(vlm, prompt, "question") == "ASSISTANT:"


@cases
@pytest.mark.parametrize("token", ["<image>", "</s>", "<s>", "<pad>", "<unk>"])
@pytest.mark.parametrize("where", ["context", "question"])
def test_special_tokens_in_the_text_are_refused(family, kind, token, where):
    vlm = tiny_models.vlm(family, kind)
    text = f"see {token} here"
    shown = Shown(current_context=text) if where == "context" else Shown(text)
    with pytest.raises(InputError, match=f"The {where} contains '{token}'"):
        vlm.encode(shown)


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (Shown(""), "question is empty"),
        (Shown("  \n"), "question is empty"),
        (Shown("\ud800"), "not valid Unicode"),
        (Shown("x" + "\ue0c0\ue0c1\ue0c0"), "private-use"),
        (Shown("word " * 3000), "reads at most 2048"),
    ],
)
def test_texts_that_cannot_be_asked(shown, message):
    with pytest.raises(InputError, match=message):
        tiny_models.vlm().encode(shown)


def test_nothing_is_warned_of_before_a_long_text_is_refused(monkeypatch):
    from transformers.tokenization_utils_base import logger

    vlm, told = tiny_models.vlm(), []
    monkeypatch.setattr(vlm.processor.tokenizer, "model_max_length", 100)
    monkeypatch.setattr(logger, "warning", told.append)
    with pytest.raises(InputError, match="reads at most"):
        vlm.encode(Shown("word " * 3000))
    assert told == []


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (200, 40), (40, 200), (97, 33), (480, 480)])
def test_any_resolution_gives_as_many_tokens_as_embeddings(size):
    vlm = tiny_models.vlm("llava_next")
    prompt = vlm.encode(Shown(size=size))
    images = dict(prompt.images)
    assert prompt.token_counts()["image"] == len(vlm.family.image_features(vlm.model, images))


def test_image_token_counts_vary_with_the_aspect_ratio():
    vlm = tiny_models.vlm("llava_next")
    counts = {
        vlm.encode(Shown(size=size)).token_counts()["image"] for size in [(64, 64), (200, 40), (97, 33)]
    }
    assert len(counts) == 3


def test_a_processor_that_does_not_belong_to_the_model_is_refused():
    model, processor = tiny_models.llava()
    processor.patch_size = 16
    vlm = tiny_models.VLM(model, processor, model_id="tiny")
    with pytest.raises(InputError, match="writes 4 image tokens but the vision tower gives 16"):
        vlm.prefill(Shown())


def joining_tokenizer() -> PreTrainedTokenizerFast:
    """As Llama 3: punctuation and a line break after it are one pre-token, and here one token."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?[^\s\p{L}\p{N}]+[\r\n]*| ?\p{L}+|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    core.train_from_iterator(["A box.\nIs it?\n"] * 20, trainer)
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        extra_special_tokens={"image_token": "<image>"},
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
    )


def test_a_token_that_joins_text_and_separator_is_the_users_and_is_counted():
    _, processor = tiny_models.llava()
    tokenizer = joining_tokenizer()
    processor = type(processor)(
        processor.image_processor,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=tiny_models.VICUNA,
        num_additional_image_tokens=1,
    )
    encoder = PromptEncoder(processor, tiny_models.vlm().family, tokenizer.convert_tokens_to_ids("<image>"))
    prompt = encoder.encode(Shown("Is it?", "A box."))
    assert prompt.straddling == 1
    assert tokenizer.decode(list(prompt.segment_token_ids("context"))) == "A box.\n"
    assert tokenizer.decode(list(prompt.segment_token_ids("question"))) == "Is it?"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ '<image>' }}{{ messages[0]['content'][1]['text'] | upper }}", "changes the text"),
        ("{{ '<image>' }} Hello", "exactly once"),
        ("{{ messages[0]['content'][1]['text'] }}", "does not place the image token"),
    ],
)
def test_templates_whose_segments_are_uncertain_are_refused(template, message):
    _, processor = tiny_models.llava()
    processor.chat_template = template
    with pytest.raises(InputError, match=message):
        PromptEncoder(processor, tiny_models.vlm().family, processor.image_token_id).encode(Shown())


def test_a_checkpoint_without_a_chat_template_gets_the_familys():
    model, processor = tiny_models.llava()
    processor.chat_template = None
    prompt = tiny_models.VLM(model, processor, model_id="tiny").encode(Shown(current_context="A box."))
    assert prompt.text == "USER: <image>\nA box.\nIs there a red star? ASSISTANT:"


def test_an_image_that_the_processor_refuses_is_one_clear_error():
    vlm = tiny_models.vlm("qwen2_vl")
    with pytest.raises(InputError, match=r"image of 900 x 3 pixels: ValueError: .*aspect ratio"):
        vlm.encode(Shown(size=(900, 3)))


def test_a_template_for_text_alone_is_one_clear_error():
    model, processor = tiny_models.llava()
    processor.chat_template = "{% for message in messages %}{{ message['content'].strip() }}{% endfor %}"
    with pytest.raises(InputError, match=r"cannot place an image and a text .* made for text alone"):
        VLM(model, processor, model_id="text")
