"""InternVL 2.5, 3 and 3.5 in transformers' format ("...-hf"; 1B to 78B): tiles of fixed size and a thumbnail.

    InternVLForConditionalGeneration
    |-- model: InternVLModel
    |   |-- vision_tower: InternVLVisionModel     pixel_values [tiles + 1, 3, 448, 448]; last: the whole image
    |   |-- multi_modal_projector                 pixel shuffle, MLP -> [tiles + 1, 256, hidden]
    |   `-- language_model: Qwen2Model | Qwen3Model | LlamaModel
    |       `-- layers[i].self_attn: q_proj, k_proj, v_proj, o_proj
    `-- lm_head

The image tokens stand between <img> and </img>, which are template.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isi_widget.vlm.families import grids
from isi_widget.vlm.families.base import Family, without_video
from isi_widget.vlm.families.registry import register_family


@register_family("internvl")
class InternVL(Family):
    """InternVL: ChatML, the image as <img><IMG_CONTEXT>...</img>."""

    title = "InternVL"

    def token_boxes(
        self, processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]
    ) -> grids.Boxes:
        """As `grids.internvl`."""
        return grids.internvl(processor, config, size, images)

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Return an InternVLProcessor without its video half."""
        from transformers import InternVLProcessor

        return without_video(InternVLProcessor)(
            image_processor, tokenizer, chat_template=tokenizer.chat_template
        )

    def complete_processor(self, processor: Any, config: Any) -> None:
        """Take the number of image tokens of a tile from the model."""
        processor.image_seq_length = config.image_seq_length
