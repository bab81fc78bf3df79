"""The shapes of the checkpoints that `models()` lists, as their config.json states them.

From these the tests build every model without weights and count; the sizes of the files on the hub agree.
"""

from __future__ import annotations

from typing import Any

_CLIP = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
}
_SIGLIP = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "patch_size": 14,
}
_QWEN3_VISION = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16}
_QWEN3_VISION_LARGE = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16}


def _text(
    kind: str, hidden: int, inner: int, layers: int, heads: int, shared: int, vocabulary: int, **more: Any
) -> dict[str, Any]:
    return {
        "model_type": kind,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": shared,
        "vocab_size": vocabulary,
        "tie_word_embeddings": False,
    } | more


def _llava(kind: str, text: dict[str, Any]) -> dict[str, Any]:
    return {"model_type": kind, "vision_config": _CLIP, "text_config": text}


def _qwen2_vl(text: dict[str, Any]) -> dict[str, Any]:
    tied = text["tie_word_embeddings"]
    vision = {"depth": 32, "embed_dim": 1280, "hidden_size": text["hidden_size"], "num_heads": 16}
    return {
        "model_type": "qwen2_vl",
        "vision_config": vision,
        "text_config": text,
        "tie_word_embeddings": tied,
    }


def _qwen2_5_vl(text: dict[str, Any], inner: int) -> dict[str, Any]:
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": inner, "num_heads": 16}
    return {
        "model_type": "qwen2_5_vl",
        "vision_config": vision | {"out_hidden_size": text["hidden_size"]},
        "text_config": text,
        "tie_word_embeddings": text["tie_word_embeddings"],
    }


def _qwen3_vl(text: dict[str, Any], vision: dict[str, Any], deep: list[int]) -> dict[str, Any]:
    return {
        "model_type": "qwen3_vl",
        "vision_config": vision | {"out_hidden_size": text["hidden_size"], "deepstack_visual_indexes": deep},
        "text_config": text,
        "tie_word_embeddings": text["tie_word_embeddings"],
    }


def _paligemma(text: dict[str, Any], side: int) -> dict[str, Any]:
    vision = _SIGLIP | {
        "model_type": "siglip_vision_model",
        "image_size": side,
        "vision_use_head": False,
        "projection_dim": text["hidden_size"],
    }
    return {
        "model_type": "paligemma",
        "vision_config": vision,
        "text_config": text | {"tie_word_embeddings": True},
        "projection_dim": text["hidden_size"],
        "image_token_index": 257152,
    }


def _idefics(kind: str, text: dict[str, Any], vision: dict[str, Any], scale: int) -> dict[str, Any]:
    return {
        "model_type": kind,
        "vision_config": vision,
        "text_config": text,
        "scale_factor": scale,
        "tie_word_embeddings": False,
    }


def _internvl(text: dict[str, Any]) -> dict[str, Any]:
    vision = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": [448, 448],
        "patch_size": [14, 14],
        "attention_bias": True,
        "use_absolute_position_embeddings": True,
    }
    return {
        "model_type": "internvl",
        "vision_config": vision,
        "text_config": text,
        "tie_word_embeddings": False,
    }


def _gemma3(text: dict[str, Any]) -> dict[str, Any]:
    vision = _SIGLIP | {"model_type": "siglip_vision_model", "image_size": 896, "vision_use_head": False}
    return {
        "model_type": "gemma3",
        "vision_config": vision,
        "text_config": text | {"tie_word_embeddings": True, "sliding_window": 1024},
        "mm_tokens_per_image": 256,
    }


_SMALL_SIGLIP = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 512,
    "patch_size": 16,
}
_SMOL = {"head_dim": 64}

CONFIGS: dict[str, dict[str, Any]] = {
    "llava-hf/llava-1.5-7b-hf": _llava("llava", _text("llama", 4096, 11008, 32, 32, 32, 32064)),
    "llava-hf/llava-1.5-13b-hf": _llava("llava", _text("llama", 5120, 13824, 40, 40, 40, 32064)),
    "llava-hf/llava-v1.6-vicuna-7b-hf": _llava("llava_next", _text("llama", 4096, 11008, 32, 32, 32, 32064)),
    "llava-hf/llava-v1.6-vicuna-13b-hf": _llava("llava_next", _text("llama", 5120, 13824, 40, 40, 40, 32064)),
    "llava-hf/llava-v1.6-mistral-7b-hf": _llava(
        "llava_next", _text("mistral", 4096, 14336, 32, 32, 8, 32064, sliding_window=None)
    ),
    "llava-hf/llava-v1.6-34b-hf": _llava("llava_next", _text("llama", 7168, 20480, 60, 56, 8, 64064)),
    "Salesforce/instructblip-vicuna-7b": {
        "model_type": "instructblip",
        "qformer_config": {"vocab_size": 30523},
        "text_config": _text("llama", 4096, 11008, 32, 32, 32, 32064),
    },
    "Salesforce/instructblip-vicuna-13b": {
        "model_type": "instructblip",
        "qformer_config": {"vocab_size": 30523},
        "text_config": _text("llama", 5120, 13824, 40, 40, 40, 32064),
    },
    "Qwen/Qwen2-VL-2B-Instruct": _qwen2_vl(
        _text("qwen2_vl_text", 1536, 8960, 28, 12, 2, 151936, tie_word_embeddings=True)
    ),
    "Qwen/Qwen2-VL-7B-Instruct": _qwen2_vl(_text("qwen2_vl_text", 3584, 18944, 28, 28, 4, 152064)),
    "Qwen/Qwen2.5-VL-3B-Instruct": _qwen2_5_vl(
        _text("qwen2_5_vl_text", 2048, 11008, 36, 16, 2, 151936, tie_word_embeddings=True), 3420
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": _qwen2_5_vl(
        _text("qwen2_5_vl_text", 3584, 18944, 28, 28, 4, 152064), 3420
    ),
    "Qwen/Qwen2.5-VL-32B-Instruct": _qwen2_5_vl(
        _text("qwen2_5_vl_text", 5120, 27648, 64, 40, 8, 152064), 3456
    ),
    "Qwen/Qwen2.5-VL-72B-Instruct": _qwen2_5_vl(
        _text("qwen2_5_vl_text", 8192, 29568, 80, 64, 8, 152064), 3456
    ),
    "Qwen/Qwen3-VL-2B-Instruct": _qwen3_vl(
        _text("qwen3_vl_text", 2048, 6144, 28, 16, 8, 151936, head_dim=128, tie_word_embeddings=True),
        _QWEN3_VISION,
        [5, 11, 17],
    ),
    "Qwen/Qwen3-VL-4B-Instruct": _qwen3_vl(
        _text("qwen3_vl_text", 2560, 9728, 36, 32, 8, 151936, head_dim=128, tie_word_embeddings=True),
        _QWEN3_VISION,
        [5, 11, 17],
    ),
    "Qwen/Qwen3-VL-8B-Instruct": _qwen3_vl(
        _text("qwen3_vl_text", 4096, 12288, 36, 32, 8, 151936, head_dim=128), _QWEN3_VISION_LARGE, [8, 16, 24]
    ),
    "Qwen/Qwen3-VL-32B-Instruct": _qwen3_vl(
        _text("qwen3_vl_text", 5120, 25600, 64, 64, 8, 151936, head_dim=128), _QWEN3_VISION_LARGE, [8, 16, 24]
    ),
    "google/paligemma-3b-mix-224": _paligemma(
        _text("gemma", 2048, 16384, 18, 8, 1, 257216, head_dim=256), 224
    ),
    "google/paligemma-3b-mix-448": _paligemma(
        _text("gemma", 2048, 16384, 18, 8, 1, 257216, head_dim=256), 448
    ),
    "google/paligemma2-3b-mix-224": _paligemma(
        _text("gemma2", 2304, 9216, 26, 8, 4, 257216, head_dim=256), 224
    ),
    "google/paligemma2-3b-mix-448": _paligemma(
        _text("gemma2", 2304, 9216, 26, 8, 4, 257216, head_dim=256), 448
    ),
    "google/paligemma2-10b-mix-224": _paligemma(
        _text("gemma2", 3584, 14336, 42, 16, 8, 257216, head_dim=256), 224
    ),
    "google/paligemma2-10b-mix-448": _paligemma(
        _text("gemma2", 3584, 14336, 42, 16, 8, 257216, head_dim=256), 448
    ),
    "google/paligemma2-28b-mix-224": _paligemma(
        _text("gemma2", 4608, 36864, 46, 32, 16, 257216, head_dim=128), 224
    ),
    "google/paligemma2-28b-mix-448": _paligemma(
        _text("gemma2", 4608, 36864, 46, 32, 16, 257216, head_dim=128), 448
    ),
    "HuggingFaceM4/Idefics3-8B-Llama3": _idefics(
        "idefics3", _text("llama", 4096, 14336, 32, 32, 8, 128259), _SIGLIP | {"image_size": 364}, 2
    ),
    "HuggingFaceTB/SmolVLM-Instruct": _idefics(
        "idefics3", _text("llama", 2048, 8192, 24, 32, 32, 49155, **_SMOL), _SIGLIP | {"image_size": 384}, 3
    ),
    "HuggingFaceTB/SmolVLM-256M-Instruct": _idefics(
        "idefics3", _text("llama", 576, 1536, 30, 9, 3, 49280, **_SMOL), _SMALL_SIGLIP, 4
    ),
    "HuggingFaceTB/SmolVLM-500M-Instruct": _idefics(
        "idefics3", _text("llama", 960, 2560, 32, 15, 5, 49280, **_SMOL), _SMALL_SIGLIP, 4
    ),
    "HuggingFaceTB/SmolVLM2-256M-Video-Instruct": _idefics(
        "smolvlm", _text("llama", 576, 1536, 30, 9, 3, 49280, **_SMOL), _SMALL_SIGLIP, 4
    ),
    "HuggingFaceTB/SmolVLM2-500M-Video-Instruct": _idefics(
        "smolvlm", _text("llama", 960, 2560, 32, 15, 5, 49280, **_SMOL), _SMALL_SIGLIP, 4
    ),
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": _idefics(
        "smolvlm", _text("llama", 2048, 8192, 24, 32, 32, 49280, **_SMOL), _SIGLIP | {"image_size": 384}, 3
    ),
    "OpenGVLab/InternVL3-1B-hf": _internvl(_text("qwen2", 896, 4864, 24, 14, 2, 151674)),
    "OpenGVLab/InternVL3-2B-hf": _internvl(_text("qwen2", 1536, 8960, 28, 12, 2, 151674)),
    "OpenGVLab/InternVL3-8B-hf": _internvl(_text("qwen2", 3584, 18944, 28, 28, 4, 151674)),
    "OpenGVLab/InternVL3-14B-hf": _internvl(_text("qwen2", 5120, 13824, 48, 40, 8, 151674)),
    "OpenGVLab/InternVL3_5-1B-HF": _internvl(_text("qwen3", 1024, 3072, 28, 16, 8, 151936, head_dim=128)),
    "OpenGVLab/InternVL3_5-2B-HF": _internvl(_text("qwen3", 2048, 6144, 28, 16, 8, 151936, head_dim=128)),
    "OpenGVLab/InternVL3_5-4B-HF": _internvl(_text("qwen3", 2560, 9728, 36, 32, 8, 151936, head_dim=128)),
    "OpenGVLab/InternVL3_5-8B-HF": _internvl(_text("qwen3", 4096, 12288, 36, 32, 8, 151936, head_dim=128)),
    "OpenGVLab/InternVL3_5-14B-HF": _internvl(_text("qwen3", 5120, 17408, 40, 40, 8, 151936, head_dim=128)),
    "google/gemma-3-4b-it": _gemma3(_text("gemma3_text", 2560, 10240, 34, 8, 4, 262208, head_dim=256)),
    "google/gemma-3-12b-it": _gemma3(_text("gemma3_text", 3840, 15360, 48, 16, 8, 262208, head_dim=256)),
    "google/gemma-3-27b-it": _gemma3(_text("gemma3_text", 5376, 21504, 62, 32, 16, 262208, head_dim=128)),
}
