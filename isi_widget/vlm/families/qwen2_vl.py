"""Qwen2-VL (2B, 7B, 72B): native resolution, positions in three dimensions.

    Qwen2VLForConditionalGeneration
    |-- model: Qwen2VLModel
    |   |-- visual: Qwen2VisionTransformer    pixel_values [patches, 3 x 2 x 14 x 14], image_grid_thw [1, 3]
    |   |   `-- merger                        2 x 2 patches -> one embedding [image tokens, hidden]
    |   |-- rope_deltas                       offset of the positions after the image: kept between calls
    |   `-- language_model: Qwen2VLTextModel
    |       `-- layers[i].self_attn: q_proj, k_proj, v_proj, o_proj     grouped-query attention
    `-- lm_head

The number of image tokens follows the image's size: (height / 28) x (width / 28) after the processor's
resizing.
`rope_deltas` stands on the module, not in the cache: `Family.resume` gives it back before each step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isi_widget.vlm.families import grids
from isi_widget.vlm.families.base import Family, without_video
from isi_widget.vlm.families.registry import register_family


@register_family("qwen2_vl")
class Qwen2VL(Family):
    """Qwen2-VL: ChatML, the image between <|vision_start|> and <|vision_end|>."""

    title = "Qwen2-VL"
    image_inputs: tuple[str, ...] = ("pixel_values", "image_grid_thw")
    token_inputs: tuple[str, ...] = ("mm_token_type_ids",)
    beside_features: tuple[str, ...] = ("image_grid_thw",)

    def token_boxes(
        self, processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]
    ) -> grids.Boxes:
        """As `grids.qwen_vl`."""
        return grids.qwen_vl(processor, config, size, images)

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Return a Qwen2VLProcessor without its video half."""
        from transformers import Qwen2VLProcessor

        return without_video(Qwen2VLProcessor)(
            image_processor, tokenizer, chat_template=tokenizer.chat_template
        )
