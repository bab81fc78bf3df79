"""Gemma 3 (4B, 12B, 27B): sliding windows in most layers; image tokens see each other in both directions.

    Gemma3ForConditionalGeneration
    |-- model: Gemma3Model
    |   |-- vision_tower: SiglipVisionModel       pixel_values [1, 3, 896, 896]
    |   |-- multi_modal_projector                 average pooling, norm, linear -> [1, 256, hidden]
    |   `-- language_model: Gemma3TextModel
    |       `-- layers[i].self_attn: q_proj, k_proj, v_proj, o_proj, q_norm, k_norm; sliding but every sixth
    `-- lm_head

The chat template writes <start_of_image>; the processor makes of it two line breaks, the image tokens between
<start_of_image> and <end_of_image>, and two line breaks. token_type_ids 1 mark the image tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isi_widget.vlm.families import grids
from isi_widget.vlm.families.base import Family
from isi_widget.vlm.families.registry import register_family


@register_family("gemma3")
class Gemma3(Family):
    """Gemma 3: "<start_of_turn>user ... <start_of_turn>model"."""

    title = "Gemma 3"
    token_inputs: tuple[str, ...] = ("token_type_ids",)

    def token_boxes(
        self, processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]
    ) -> grids.Boxes:
        """As `grids.gemma3`."""
        return grids.gemma3(processor, config, size, images)

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Return a Gemma3Processor from its parts."""
        from transformers import Gemma3Processor

        return Gemma3Processor(image_processor, tokenizer, chat_template=tokenizer.chat_template)

    def complete_processor(self, processor: Any, config: Any) -> None:
        """Take the number of image tokens from the model."""
        tokens, tokenizer = config.mm_tokens_per_image, processor.tokenizer
        if processor.image_seq_length != tokens:
            processor.image_seq_length = tokens
            written = f"{tokenizer.boi_token}{tokenizer.image_token * tokens}{tokenizer.eoi_token}"
            processor.full_image_sequence = f"\n\n{written}\n\n"
