"""LLaVA-1.5 (7B, 13B) and the embedded model.

    LlavaForConditionalGeneration
    |-- model: LlavaModel
    |   |-- vision_tower: CLIPVisionModel     pixel_values [1, 3, H, W] -> states of `vision_feature_layer`
    |   |-- multi_modal_projector             linear, GELU, linear -> [image tokens, hidden]; no class token
    |   `-- language_model: LlamaModel
    |       `-- layers[i]: LlamaDecoderLayer
    |           |-- self_attn: q_proj, k_proj, v_proj, o_proj     calls the registered attention function
    |           `-- mlp
    `-- lm_head

One image is (H / patch)^2 tokens, always the same number (576 for LLaVA-1.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isi_widget.vlm.families import grids
from isi_widget.vlm.families.base import Family
from isi_widget.vlm.families.registry import register_family


@register_family("llava")
class Llava(Family):
    """LLaVA-1.5: "USER: <image>\\n... ASSISTANT:"."""

    title = "LLaVA-1.5"
    image_inputs: tuple[str, ...] = ("pixel_values",)
    # The turn format of the LLaVA-1.5 checkpoints on the hub (Vicuna's).
    chat_template = (
        "{% for message in messages %}"
        "{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
        "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
        "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
        "{{ ' ' }}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    )

    def token_boxes(
        self, processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]
    ) -> grids.Boxes:
        """As `grids.llava`."""
        return grids.llava(processor, config, size, images)

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Return a LlavaProcessor from its parts."""
        from transformers import LlavaProcessor

        processor = LlavaProcessor(image_processor=image_processor, tokenizer=tokenizer)
        self.complete_processor(processor, config)
        return processor

    def complete_processor(self, processor: Any, config: Any) -> None:
        """Patch size, feature strategy and class token decide how many placeholders an image is given."""
        if processor.patch_size is None:
            processor.patch_size = config.vision_config.patch_size
            # CLIP towers put one class token before the patches; the "default" strategy drops it again.
            processor.num_additional_image_tokens = 1 if "clip" in config.vision_config.model_type else 0
        if processor.vision_feature_select_strategy is None:
            processor.vision_feature_select_strategy = config.vision_feature_select_strategy
