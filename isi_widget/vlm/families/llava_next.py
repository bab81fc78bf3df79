"""LLaVA-NeXT, also called LLaVA-v1.6 (Vicuna 7B / 13B, Mistral 7B, 34B): dynamic high resolution ("anyres").

    LlavaNextForConditionalGeneration
    |-- model: LlavaNextModel
    |   |-- vision_tower: CLIPVisionModel     pixel_values [1, tiles, 3, H, W]; tile 0: the whole image
    |   |-- multi_modal_projector
    |   |-- image_newline                     one learned token after every row of the un-padded tile grid
    |   `-- language_model: LlamaModel | MistralModel
    |       `-- layers[i].self_attn: q_proj, k_proj, v_proj, o_proj
    `-- lm_head

The number of image tokens depends on the image's aspect ratio: base grid + un-padded tile grid + one newline
token a row. It is taken from the processor's expansion and checked against the features, never computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isi_widget.vlm.families import grids
from isi_widget.vlm.families.llava import Llava
from isi_widget.vlm.families.registry import register_family


@register_family("llava_next")
class LlavaNext(Llava):
    """LLaVA-v1.6; its checkpoints carry their own chat template (Vicuna, Mistral "[INST]", or ChatML)."""

    title = "LLaVA-NeXT"
    image_inputs: tuple[str, ...] = ("pixel_values", "image_sizes")
    chat_template = ""  # the config does not show which of the three

    def token_boxes(
        self, processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]
    ) -> grids.Boxes:
        """As `grids.llava_next`."""
        return grids.llava_next(processor, config, size, images)

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Return a LlavaNextProcessor from its parts."""
        from transformers import LlavaNextProcessor

        processor = LlavaNextProcessor(image_processor=image_processor, tokenizer=tokenizer)
        self.complete_processor(processor, config)
        return processor
