"""Qwen3-VL (2B, 4B, 8B, 32B): as Qwen2-VL, with image features that also enter the first decoder layers.

    Qwen3VLForConditionalGeneration
    |-- model: Qwen3VLModel
    |   |-- visual: Qwen3VLVisionModel
    |   |   |-- merger                            [image tokens, hidden]
    |   |   `-- deepstack_merger_list[k]          added to the hidden states after decoder layer k
    |   |-- rope_deltas
    |   `-- language_model: Qwen3VLTextModel
    |       `-- layers[i].self_attn: q_proj, k_proj, v_proj, o_proj, q_norm, k_norm
    `-- lm_head

Patches are 16 x 16, so one image token stands for 32 x 32 pixels of the resized image.
"""

from __future__ import annotations

from typing import Any

from isi_widget.vlm.families.base import without_video
from isi_widget.vlm.families.qwen2_vl import Qwen2VL
from isi_widget.vlm.families.registry import register_family


@register_family("qwen3_vl")
class Qwen3VL(Qwen2VL):
    """Qwen3-VL: the prompt of Qwen2-VL without a system turn."""

    title = "Qwen3-VL"

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Return a Qwen3VLProcessor without its video half."""
        from transformers import Qwen3VLProcessor

        return without_video(Qwen3VLProcessor)(
            image_processor, tokenizer, chat_template=tokenizer.chat_template
        )
