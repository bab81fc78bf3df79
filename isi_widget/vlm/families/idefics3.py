"""Idefics3 (8B): the image is cut into tiles, and the whole image follows them.

    Idefics3ForConditionalGeneration
    |-- model: Idefics3Model
    |   |-- vision_model: Idefics3VisionTransformer   pixel_values [1, tiles + 1, 3, 364, 364],
    |   |                                             pixel_attention_mask [1, tiles + 1, 364, 364]
    |   |-- connector                                 pixel shuffle, linear -> [tiles + 1, 169, hidden]
    |   `-- text_model: LlamaModel
    |       `-- layers[i].self_attn: q_proj, k_proj, v_proj, o_proj
    `-- lm_head

Around the image tokens of each tile stand markers (<row_1_col_2>, <global-img>, line breaks): they are
template, not image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isi_widget.vlm.families import grids
from isi_widget.vlm.families.base import Family
from isi_widget.vlm.families.registry import register_family


@register_family("idefics3")
class Idefics3(Family):
    """Idefics3: "User:<image>...<end_of_utterance>\nAssistant:"."""

    title = "Idefics3"
    image_inputs: tuple[str, ...] = ("pixel_values", "pixel_attention_mask")

    def token_boxes(
        self, processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]
    ) -> grids.Boxes:
        """As `grids.idefics3`."""
        return grids.idefics3(processor, config, size, images)

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Return an Idefics3Processor from its parts."""
        from transformers import Idefics3Processor

        return Idefics3Processor(image_processor, tokenizer, chat_template=tokenizer.chat_template)

    def complete_processor(self, processor: Any, config: Any) -> None:
        """Take the number of image tokens of a tile from the model."""
        vision = config.vision_config
        processor.image_seq_len = (vision.image_size // vision.patch_size) ** 2 // config.scale_factor**2
