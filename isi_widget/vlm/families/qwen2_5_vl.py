"""Qwen2.5-VL (3B, 7B, 32B, 72B): as Qwen2-VL, with windowed attention in the vision tower.

Qwen2_5_VLForConditionalGeneration
|-- model: Qwen2_5_VLModel
|   |-- visual: Qwen2_5_VisionTransformer     windows of 112 x 112 pixels in all but a few layers
|   |   `-- merger                            back in reading order: [image tokens, hidden]
|   |-- rope_deltas
|   `-- language_model: Qwen2_5_VLTextModel
|       `-- layers[i].self_attn: q_proj, k_proj, v_proj, o_proj
`-- lm_head
"""

from __future__ import annotations

from typing import Any

from isi_widget.vlm.families.base import without_video
from isi_widget.vlm.families.qwen2_vl import Qwen2VL
from isi_widget.vlm.families.registry import register_family


@register_family("qwen2_5_vl")
class Qwen25VL(Qwen2VL):
    """Qwen2.5-VL: the prompt of Qwen2-VL."""

    title = "Qwen2.5-VL"

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Return a Qwen2_5_VLProcessor without its video half."""
        from transformers import Qwen2_5_VLProcessor

        return without_video(Qwen2_5_VLProcessor)(
            image_processor, tokenizer, chat_template=tokenizer.chat_template
        )
