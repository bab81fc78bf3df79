"""Tiny random models of every family with offline processors: to check the machinery, not to answer.

Weights are random but fixed by seed. Widths are multiples of 64 (the CPU kernels of 4-bit layers want that).
Tokenizers and chat templates are in their essentials those of the checkpoints on the hub.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AyaVisionConfig,
    AyaVisionForConditionalGeneration,
    AyaVisionProcessor,
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    Idefics2Config,
    Idefics2ForConditionalGeneration,
    Idefics2Processor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionProcessor,
    LlavaProcessor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from isi_widget.vlm import VLM
from isi_widget.vlm.families.base import without_video

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
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ '<<SYS>>\n' + message['content'][0]['text'] + '\n<</SYS>>\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ '[INST] ' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{{ ' [/INST]' }}{% else %}{{ ' ' + message['content'][0]['text'] + '</s> ' }}{% endif %}{% endfor %}"
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


# Tokenizers of the other families --------------------------------------------------------------------------

#: As Qwen and Llama 3 split: punctuation takes the line breaks after it along.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BREAKS = ["Is it so.\nYes.\nNo?\n"] * 8


def _fast(core: Tokenizer, named: dict[str, str], **usual: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=core, extra_special_tokens=named, **usual)


def split_tokenizer(
    special: tuple[str, ...], named: dict[str, str], *, bos: str = "", eos: str, pad: str
) -> PreTrainedTokenizerFast:
    """Byte-level BPE as Qwen's (no BOS) or Llama 3's (with BOS)."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    usual = dict.fromkeys([token for token in (bos, eos, pad) if token])
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[*usual, *(token for token in special if token not in usual)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    core.train_from_iterator(CORPUS + _BREAKS, trainer)
    if bos:
        core.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, core.token_to_id(bos))]
        )
    return _fast(core, named, eos_token=eos, pad_token=pad, **({"bos_token": bos} if bos else {}))


def gemma_tokenizer(special: tuple[str, ...], named: dict[str, str], bos: bool) -> PreTrainedTokenizerFast:
    """As Gemma's: BPE over characters with byte fallback, spaces as "▁", runs of line breaks as one token."""
    core = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    core.normalizer = normalizers.Replace(" ", "▁")
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    usual = ["<pad>", "<eos>", "<bos>", "<unk>"]
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=[*usual, *special, *(f"<0x{byte:02X}>" for byte in range(256))]
    )
    words = [word for line in CORPUS for word in re.split(r"(?= )", line)]
    core.train_from_iterator(words + ["\n\n\n\n"] * 20, trainer)
    if bos:
        core.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", core.token_to_id("<bos>"))]
        )
    return _fast(core, named, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>")


def _text(tok: Any, **changes: Any) -> dict[str, Any]:
    """A language model's sizes: grouped queries, three layers."""
    return {
        "vocab_size": len(tok),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "bos_token_id": tok.bos_token_id,
        "eos_token_id": tok.eos_token_id,
        "pad_token_id": tok.pad_token_id,
        "initializer_range": 0.15,
    } | changes


def _seeded(cls: Any, config: Any, seed: int) -> Any:
    torch.manual_seed(seed)
    return cls(config).eval()


# Qwen -------------------------------------------------------------------------------------------------------

_CHATML = ("<|im_start|>", "<|im_end|>")
_QWEN = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
#: The essentials of Qwen2-VL's template.
QWEN = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _qwen(
    model: Any, config: Any, processor: Any, vision: dict[str, Any], seed: int, text: dict[str, Any]
) -> Any:
    special = (*_CHATML, "<|vision_start|>", "<|vision_end|>", *_QWEN.values())
    tok = split_tokenizer(special, _QWEN, eos="<|im_end|>", pad="<|endoftext|>")
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    ids = {name: tok.convert_tokens_to_ids(token) for name, token in _QWEN.items()}
    settings = config(
        text_config=_text(tok, rope_parameters=rope, **text),
        vision_config=vision,
        image_token_id=ids["image_token"],
        video_token_id=ids["video_token"],
        vision_start_token_id=tok.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tok.convert_tokens_to_ids("<|vision_end|>"),
    )
    images = Qwen2VLImageProcessorPil(
        patch_size=vision["patch_size"], merge_size=2, min_pixels=32 * 32, max_pixels=64 * 64
    )
    return _seeded(model, settings, seed), without_video(processor)(images, tok, chat_template=QWEN)


def qwen2_vl(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny Qwen2-VL: one image token for 16 x 16 pixels. Further arguments change its text config."""
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2, "patch_size": 8}
    return _qwen(Qwen2VLForConditionalGeneration, Qwen2VLConfig, Qwen2VLProcessor, vision, seed, text)


def qwen2_5_vl(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny Qwen2.5-VL with windows of 32 x 32 pixels in its vision tower."""
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "out_hidden_size": 64,
        "intermediate_size": 64,
        "num_heads": 2,
        "patch_size": 8,
        "window_size": 32,
        "fullatt_block_indexes": [1],
    }
    return _qwen(
        Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLConfig, Qwen2_5_VLProcessor, vision, seed, text
    )


def qwen3_vl(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny Qwen3-VL with one deepstack layer."""
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "out_hidden_size": 64,
        "intermediate_size": 64,
        "num_heads": 2,
        "patch_size": 8,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    text = {"head_dim": 16} | text
    return _qwen(Qwen3VLForConditionalGeneration, Qwen3VLConfig, Qwen3VLProcessor, vision, seed, text)


# PaliGemma, Gemma 3 -----------------------------------------------------------------------------------------


def _siglip() -> dict[str, Any]:
    return {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH,
        "vision_use_head": False,
    }


def paligemma(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny PaliGemma: 16 image tokens; with model_type="gemma2" a PaliGemma 2."""
    tok = gemma_tokenizer(("<image>",), {"image_token": "<image>"}, bos=False)
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = SiglipImageProcessorPil(size=size)
    images.image_seq_length = (IMAGE_SIZE // PATCH) ** 2
    processor = PaliGemmaProcessor(images, tok)  # adds <loc...> and <seg...>
    config = PaliGemmaConfig(
        text_config=_text(tok, **{"model_type": "gemma", "head_dim": 16} | text),
        vision_config=_siglip() | {"model_type": "siglip_vision_model"},
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        projection_dim=64,
        hidden_size=64,
        tie_word_embeddings=False,  # tied, a random model only repeats its last token
    )
    return _seeded(PaliGemmaForConditionalGeneration, config, seed), processor


def paligemma2(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny PaliGemma 2: capped attention scores, every other layer with a sliding window."""
    changes = {"model_type": "gemma2", "sliding_window": 12, "query_pre_attn_scalar": 16}
    return paligemma(kind, seed, **changes | {"attn_logit_softcapping": 2.0} | text)


#: The essentials of Gemma 3's template.
GEMMA = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<start_of_image>"
    "{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def gemma3(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny Gemma 3: 4 image tokens, windows of 12 tokens in two of three layers."""
    named = {
        "image_token": "<image_soft_token>",
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
    }
    tok = gemma_tokenizer((*named.values(), "<start_of_turn>", "<end_of_turn>"), named, bos=True)
    ids = {name: tok.convert_tokens_to_ids(token) for name, token in named.items()}
    windows = ["sliding_attention", "sliding_attention", "full_attention"]
    config = Gemma3Config(
        text_config=_text(
            tok,
            **{"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 12, "layer_types": windows}
            | text,
        ),
        vision_config=_siglip(),
        mm_tokens_per_image=4,
        boi_token_index=ids["boi_token"],
        eoi_token_index=ids["eoi_token"],
        image_token_index=ids["image_token"],
        initializer_range=0.15,
        tie_word_embeddings=False,
    )
    images = Gemma3ImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    processor = Gemma3Processor(images, tok, chat_template=GEMMA, image_seq_length=4)
    model = _seeded(Gemma3ForConditionalGeneration, config, seed)
    # It starts at zero, and the image would have no effect.
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=0.1)
    return model, processor


# Idefics3, SmolVLM ------------------------------------------------------------------------------------------

_TILES = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
#: The essentials of Idefics3's and SmolVLM's templates.
IDEFICS = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}<image>{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


def _idefics(model: Any, config: Any, image_processor: Any, bos: str, seed: int, text: Any) -> Any:
    special = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *_TILES)
    tok = split_tokenizer(special, {}, bos=bos, eos="<end_of_utterance>", pad="<pad>")
    settings = config(
        text_config=_text(tok, **{"model_type": "llama"} | text),
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH,
        },
        image_token_id=tok.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    images = image_processor(
        size={"longest_edge": 2 * IMAGE_SIZE}, max_image_size={"longest_edge": IMAGE_SIZE}
    )
    return _seeded(model, settings, seed), Idefics3Processor(
        images, tok, image_seq_len=4, chat_template=IDEFICS
    )


def idefics3(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny Idefics3: tiles of 32 x 32 pixels with 4 image tokens each."""
    return _idefics(
        Idefics3ForConditionalGeneration,
        Idefics3Config,
        Idefics3ImageProcessorPil,
        "<|begin_of_text|>",
        seed,
        text,
    )


def smolvlm(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny SmolVLM, built as Idefics3."""
    return _idefics(
        SmolVLMForConditionalGeneration, SmolVLMConfig, SmolVLMImageProcessorPil, "<|im_start|>", seed, text
    )


# InternVL, Aya Vision ---------------------------------------------------------------------------------------

_INTERN = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
#: The essentials of InternVL's template.
INTERN = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<IMG_CONTEXT>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def internvl(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny InternVL: tiles of 32 x 32 pixels with 4 image tokens each."""
    tok = split_tokenizer((*_CHATML, *_INTERN.values()), _INTERN, eos="<|im_end|>", pad="<|endoftext|>")
    config = InternVLConfig(
        text_config=_text(tok, **{"model_type": "qwen2"} | text),
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": [IMAGE_SIZE, IMAGE_SIZE],
            "patch_size": [PATCH, PATCH],
        },
        image_token_id=tok.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = GotOcr2ImageProcessorPil(size=size, crop_to_patches=True, min_patches=1, max_patches=4)
    processor = without_video(InternVLProcessor)(images, tok, image_seq_length=4, chat_template=INTERN)
    return _seeded(InternVLForConditionalGeneration, config, seed), processor


# InstructBLIP -----------------------------------------------------------------------------------------------


def instructblip(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny InstructBLIP on a Llama: 8 query tokens."""
    # Its processor adds the image token itself, and stumbles over tokenizers that name theirs.
    tok = copy.deepcopy(tokenizer("piece"))
    tok = PreTrainedTokenizerFast(tokenizer_object=tok.backend_tokenizer, **_SPECIAL)
    qformer = tokenizer("byte")
    config = InstructBlipConfig(
        text_config=_text(tok, **{"model_type": "llama"} | text),
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH,
            "initializer_range": 0.1,
        },
        qformer_config={
            "vocab_size": len(qformer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "initializer_range": 0.1,
        },
        num_query_tokens=8,
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        initializer_range=0.1,
    )
    model = _seeded(InstructBlipForConditionalGeneration, config, seed)
    torch.nn.init.normal_(model.query_tokens)  # they start at zero, and all alike
    images = BlipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    return model, InstructBlipProcessor(images, tok, qformer, num_query_tokens=8)


BUILDERS = {
    "llava": llava,
    "llava_next": llava_next,
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "paligemma": paligemma,
    "paligemma2": paligemma2,
    "gemma3": gemma3,
    "idefics3": idefics3,
    "smolvlm": smolvlm,
    "internvl": internvl,
    "instructblip": instructblip,
}


# Unlisted families ------------------------------------------------------------------------------------------

_AYA = ("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<image>", "<|TURN|>", "<|END|>")
#: The essentials of Aya Vision's template.
AYA = (
    "{{ bos_token }}{% for message in messages %}<|TURN|>{{ message['role'] }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %}<|END|>{% endfor %}{% if add_generation_prompt %}<|TURN|>chatbot{% endif %}"
)


def aya_vision(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny Aya Vision, a family that is not listed: tiles of 32 x 32 pixels, sliding windows."""
    tok = split_tokenizer(_AYA, {}, bos="<BOS>", eos="<|END|>", pad="<PAD>")
    changes = {"model_type": "cohere2", "sliding_window": 12, "layer_types": None, "logit_scale": 1.0}
    config = AyaVisionConfig(
        text_config=_text(tok, **changes | {"sliding_window_pattern": 2} | text),
        vision_config=_siglip() | {"model_type": "siglip_vision_model"},
        image_token_index=tok.convert_tokens_to_ids("<|IMG_PATCH|>"),
        tie_word_embeddings=False,
    )
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = GotOcr2ImageProcessorPil(size=size, crop_to_patches=True, min_patches=1, max_patches=4)
    processor = AyaVisionProcessor(
        images, tok, patch_size=PATCH, img_size=IMAGE_SIZE, downsample_factor=2, chat_template=AYA
    )
    return _seeded(AyaVisionForConditionalGeneration, config, seed), processor


def llava_onevision(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny LLaVA-OneVision, a family that is not listed; its processor wants a video half."""
    named = {"image_token": "<image>", "video_token": "<video>"}
    tok = split_tokenizer((*_CHATML, *named.values()), named, eos="<|im_end|>", pad="<|endoftext|>")
    pinpoints = [[32, 32], [32, 64], [64, 32], [64, 64]]
    config = LlavaOnevisionConfig(
        text_config=_text(tok, **{"model_type": "qwen2"} | text),
        vision_config=_siglip() | {"model_type": "siglip_vision_model"},
        image_token_id=tok.convert_tokens_to_ids("<image>"),
        video_token_id=tok.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
        tie_word_embeddings=False,
    )
    images = LlavaOnevisionImageProcessorPil(
        size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}, image_grid_pinpoints=pinpoints
    )
    processor = without_video(LlavaOnevisionProcessor)(
        images,
        tok,
        num_image_tokens=(IMAGE_SIZE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=INTERN.replace("<IMG_CONTEXT>", "<image>"),
    )
    return _seeded(LlavaOnevisionForConditionalGeneration, config, seed), processor


def idefics2(kind: str = "", seed: int = 0, **text: Any) -> Any:
    """A tiny Idefics2, not listed either: its processor changes the text around the image untold."""
    special = ("<image>", "<fake_token_around_image>", "<end_of_utterance>")
    tok = split_tokenizer(special, {}, bos="<s>", eos="</s>", pad="<pad>")
    config = Idefics2Config(
        text_config=_text(tok, **{"model_type": "mistral", "sliding_window": None} | text),
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH,
        },
        perceiver_config={
            "hidden_size": 64,
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 4,
            "resampler_head_dim": 16,
            "num_key_value_heads": 2,
        },
        image_token_id=tok.convert_tokens_to_ids("<image>"),
    )
    images = Idefics2ImageProcessorPil(
        size={"shortest_edge": 16, "longest_edge": IMAGE_SIZE}, do_image_splitting=False
    )
    processor = Idefics2Processor(images, tok, image_seq_len=4, chat_template=IDEFICS)
    return _seeded(Idefics2ForConditionalGeneration, config, seed), processor


#: Families that isi_widget has no adapter for.
UNLISTED = {"aya_vision": aya_vision, "llava_onevision": llava_onevision, "idefics2": idefics2}


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
    model, processor = (BUILDERS | UNLISTED)[family](kind, **text)
    return VLM(model, processor, model_id=f"tiny-{family}")
