"""Tiny random LLaVA and LLaVA-NeXT models with offline processors: to check the machinery, not to answer.

Weights are random but fixed by seed. Widths are multiples of 64 (the CPU kernels of 4-bit layers want that).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

from isi_widget.vlm import VLM

IMAGE_SIZE, PATCH = 32, 8
CORPUS = [
    "Is there a red star? Yes, there is a red star. No. No, I see no star. yes no YES NO",
    "What colour is the large square? The large square is blue. Yellow. Green circle, small triangle.",
    "Nearby there was once a star-shaped ornament; it was left of the box. USER: ASSISTANT: [INST] [/INST]",
    "Grüße, naïve café, 東京, Ελλάδα, 🙂 1234567890 (a) {b} <c> \"d\" 'e' #f @g %h",
] * 4

#: The chat templates of the hub's llava-1.5 (Vicuna) and llava-v1.6-mistral checkpoints, in their essentials.
VICUNA = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{{ '[INST] ' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{{ ' [/INST]' }}{% endfor %}"
)
_SPECIAL = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


@cache
def tokenizer(kind: str = "byte") -> PreTrainedTokenizerFast:
    """A small BPE tokenizer trained here: "byte" (as GPT-2) or "piece" (as Llama: byte fallback)."""
    special = [*_SPECIAL.values(), "<image>"]
    if kind == "byte":
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=600, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
    else:
        core = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        core.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        # Llama's own vocabulary keeps line breaks as bytes: none are in what is learned here either.
        trainer = trainers.BpeTrainer(
            vocab_size=700, special_tokens=[*special, *(f"<0x{byte:02X}>" for byte in range(256))]
        )
        corpus = [word for line in CORPUS for word in line.split(" ")]  # the normaliser puts "▁" before each
        core.train_from_iterator(corpus, trainer)
    if kind == "byte":
        core.train_from_iterator(CORPUS, trainer)
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, extra_special_tokens={"image_token": "<image>"}, **_SPECIAL
    )


def _text_config(vocabulary: int, ids: Any, **changes: Any) -> LlamaConfig:
    return LlamaConfig(
        **{
            "vocab_size": vocabulary,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 2048,
            "bos_token_id": ids.bos_token_id,
            "eos_token_id": ids.eos_token_id,
            "pad_token_id": ids.pad_token_id,
            # Large enough that a random model is sure of something: answers then differ and some end.
            "initializer_range": 0.15,
        }
        | changes
    )


def _vision_config() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=IMAGE_SIZE,
        patch_size=PATCH,
    )


def llava(
    kind: str = "byte", seed: int = 0, **text: Any
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """A tiny LLaVA-1.5: 16 image tokens. Further arguments change its LlamaConfig."""
    tok = tokenizer(kind)
    config = LlavaConfig(
        vision_config=_vision_config(),
        text_config=_text_config(len(tok), tok, **text),
        image_token_id=tok.convert_tokens_to_ids("<image>"),
    )
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(config).eval()
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = CLIPImageProcessorPil(size={"shortest_edge": IMAGE_SIZE}, crop_size=size)
    processor = LlavaProcessor(
        images,
        tok,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=VICUNA,
        num_additional_image_tokens=1,
    )
    return model, processor


def llava_next(
    kind: str = "byte", seed: int = 0, **text: Any
) -> tuple[LlavaNextForConditionalGeneration, LlavaNextProcessor]:
    """A tiny LLaVA-NeXT: a varying number of image tokens. Further arguments change its LlamaConfig."""
    tok = tokenizer(kind)
    pinpoints = [[32, 64], [64, 32], [64, 64], [96, 32], [32, 96]]
    config = LlavaNextConfig(
        vision_config=_vision_config(),
        text_config=_text_config(len(tok), tok, **text),
        image_token_id=tok.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=pinpoints,
    )
    torch.manual_seed(seed)
    model = LlavaNextForConditionalGeneration(config).eval()
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": IMAGE_SIZE}, crop_size=size, image_grid_pinpoints=pinpoints
    )
    processor = LlavaNextProcessor(
        images,
        tok,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=MISTRAL,
        num_additional_image_tokens=1,
    )
    return model, processor


BUILDERS = {"llava": llava, "llava_next": llava_next}


@dataclass(frozen=True)
class Shown:
    """What a VLM needs of a stimulus: a random image of a given size, and two texts as they are."""

    current_question: str = "Is there a red star?"
    current_context: str = ""
    size: tuple[int, int] = (50, 40)
    seed: int = 0

    @property
    def key(self) -> str:
        return repr(self)

    def render(self) -> Image.Image:
        shape = (self.size[1], self.size[0], 3)
        return Image.fromarray(np.random.default_rng(self.seed).integers(0, 256, shape, dtype=np.uint8))


@cache
def vlm(family: str = "llava", kind: str = "byte", **text: Any) -> VLM:
    """A tiny VLM, built once. Further arguments change its LlamaConfig (hashable values)."""
    model, processor = BUILDERS[family](kind, **text)
    return VLM(model, processor, model_id=f"tiny-{family}")
