"""The parts of the tiny LLaVA: tokenizer, image processor, processor, configuration. Untrained: see `loop`
for its training.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from isi_widget.datasets import grammar

SIDE, PATCH = 96, 12
GRID = SIDE // PATCH
PATCHES = GRID * GRID
WIDTH, LAYERS, HEADS = 192, 4, 6
BOS, EOS, PAD, IMAGE = "<s>", "</s>", "<pad>", "<image>"

# An empty context adds no token. The user's part is the image, the context and the question; the rest is
# template.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' and part['text'] %}"
    "{{ '\n' + part['text'] }}{% endif %}{% endfor %}"
    "{% else %}{{ '\nAnswer: ' + message['content'][0]['text'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\nAnswer:' }}{% endif %}"
)


def prompt(context: str, question: str) -> str:
    """Return the text of a prompt; the processor expands `<image>`."""
    return IMAGE + (f"\n{context}" if context else "") + f"\n{question}\nAnswer:"


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE in which each word of the grammar is one token; it can encode any text."""
    sentences = [text for line in grammar.vocabulary() for text in (line, " " + line)]
    words = sorted({word for line in sentences for word in re.findall(r" ?[A-Za-z]+", line)})
    words += [word.lower() for word in words if not word.startswith(" ")] + ["Answer"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [*sentences, *words, *words],
        trainers.BpeTrainer(
            vocab_size=4000,
            min_frequency=1,
            special_tokens=[PAD, BOS, EOS, IMAGE],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens={"image_token": IMAGE},
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def image_processor() -> CLIPImageProcessorPil:
    """Return the image processor: resizes the whole picture to 96 x 96, nearest pixel.

    Nearest pixel instead of averaging: averaging five pixels each way would remove most Gaussian noise before
    the model sees it, so sigma would have a different effect on people and on the model.
    """
    return CLIPImageProcessorPil(
        do_resize=True,
        size={"height": SIDE, "width": SIDE},
        resample=0,
        do_center_crop=False,
        do_rescale=True,
        do_normalize=True,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        do_convert_rgb=True,
    )


def processor(tokenizer: PreTrainedTokenizerFast | None = None) -> LlavaProcessor:
    """Return the processor: image processor and tokenizer with the chat template."""
    return LlavaProcessor(
        image_processor=image_processor(),
        tokenizer=tokenizer or train_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
        num_additional_image_tokens=1,  # the class token, which "default" drops again
    )


def config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    """Return the configuration of the vision-language model, about 3.7 million parameters."""
    ids = {
        name: tokenizer.convert_tokens_to_ids(token)
        for name, token in (("bos", BOS), ("eos", EOS), ("pad", PAD))
    }
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=576,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            image_size=SIDE,
            patch_size=PATCH,
            projection_dim=WIDTH,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=512,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=ids["bos"],
            eos_token_id=ids["eos"],
            pad_token_id=ids["pad"],
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=PATCHES,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
        bos_token_id=ids["bos"],
        eos_token_id=ids["eos"],
        pad_token_id=ids["pad"],
    )


def model(seed: int, tokenizer: PreTrainedTokenizerFast | None = None) -> LlavaForConditionalGeneration:
    """Return an untrained model, float32."""
    tokenizer = tokenizer or shared_tokenizer()
    torch.manual_seed(seed)
    built = LlavaForConditionalGeneration(config(tokenizer))
    text = built.config.text_config
    built.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=24,
        bos_token_id=text.bos_token_id,
        eos_token_id=text.eos_token_id,
        pad_token_id=text.pad_token_id,
    )
    return built


@cache
def shared_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer, trained once per process (it is deterministic)."""
    return train_tokenizer()


@cache
def token_ids(text: str) -> tuple[int, ...]:
    """Return the token ids of a text, without special tokens."""
    return tuple(shared_tokenizer().encode(text, add_special_tokens=False))


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Convert uint8 [B, H, W, 3] at 96 x 96 to the image processor's output, float [B, 3, H, W]."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def save(trained: Any, folder: str) -> None:
    """Write the model (fp16 safetensors) and the processor in the format of transformers."""
    half = LlavaForConditionalGeneration(trained.config)
    half.load_state_dict(trained.state_dict())
    half.generation_config = trained.generation_config
    half.half().save_pretrained(folder)
    processor(shared_tokenizer()).save_pretrained(folder)
