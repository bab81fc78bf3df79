"""PaliGemma and PaliGemma 2 (3B, 10B, 28B at 224, 448 or 896 pixels): the prompt is read in both directions.

    PaliGemmaForConditionalGeneration
    |-- model: PaliGemmaModel
    |   |-- vision_tower: SiglipVisionModel       pixel_values [1, 3, H, W]
    |   |-- multi_modal_projector                 one linear layer -> [1, (H / 14)^2, hidden]
    |   `-- language_model: GemmaModel | Gemma2Model
    |       `-- layers[i].self_attn: q_proj, k_proj, v_proj, o_proj
    `-- lm_head

There are no turns: image tokens, BOS, text, line break. token_type_ids 0 mark the prompt, in which every
token sees every other; the answer is causal. The checkpoints were trained on task prefixes ("answer en Is
there a dog?"): they are part of the question and the user's to write. The processor's `labels` are for
training and dropped.

Gemma 2 caps its attention scores, which only eager attention computes: a PaliGemma 2 runs, and is recorded,
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isi_widget.vlm.families import grids
from isi_widget.vlm.families.base import Family
from isi_widget.vlm.families.registry import register_family


@register_family("paligemma")
class PaliGemma(Family):
    """PaliGemma: image, BOS, text, line break."""

    title = "PaliGemma"
    token_inputs: tuple[str, ...] = ("token_type_ids",)
    after_prompt = 1
    chat_template = (
        "{% for part in messages[0]['content'] if part['type'] == 'image' %}<image>{% endfor %}"
        "{% for part in messages[0]['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    )

    def expand(
        self, pieces: tuple[str, ...], placeholder: str, image: str, processor: Any
    ) -> tuple[str, ...]:
        """Put BOS after the image tokens and a line break at the end, as the processor does."""
        first, *others = super().expand(pieces, placeholder, image, processor)
        last_image = first.rindex(image) + len(image)
        first = first[:last_image] + processor.tokenizer.bos_token + first[last_image:]
        return (first, *others[:-1], others[-1] + "\n")

    def prepare(self, model: Any) -> None:
        """Gemma 2's soft cap needs eager attention: with any other it would be left out or refused."""
        text = model.config.text_config
        if getattr(text, "attn_logit_softcapping", None) and text._attn_implementation != "eager":
            model.set_attn_implementation({self.text_config: "eager"})

    def token_boxes(
        self, processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]
    ) -> grids.Boxes:
        """As `grids.paligemma`."""
        return grids.paligemma(processor, config, size, images)

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Return a PaliGemmaProcessor from its parts."""
        from transformers import PaliGemmaProcessor

        if not hasattr(image_processor, "image_seq_length"):
            vision = config.vision_config
            image_processor.image_seq_length = (vision.image_size // vision.patch_size) ** 2
        return PaliGemmaProcessor(image_processor, tokenizer)
