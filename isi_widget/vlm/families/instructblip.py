"""InstructBLIP on Vicuna (7B, 13B): a Q-Former reads the image together with the instruction.

    InstructBlipForConditionalGeneration
    |-- vision_model: InstructBlipVisionModel     pixel_values [1, 3, 224, 224]
    |-- qformer: InstructBlipQFormerModel         32 query tokens + the prompt in a tokenizer of its own
    |-- language_projection                       linear -> [1, 32, hidden]
    `-- language_model: LlamaForCausalLM
        |-- model: LlamaModel
        |   `-- layers[i].self_attn: q_proj, k_proj, v_proj, o_proj
        `-- lm_head

There are no turns: 32 image tokens, BOS, text. The embeddings depend on the text, so that a new question
means a new pass of image and Q-Former, and an image token stands for no place in the picture. The forward
insists on an image: further tokens go to the language model itself. The checkpoints on Flan-T5 have an
encoder-decoder language model and are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from isi_widget.errors import InputError
from isi_widget.vlm.families import grids
from isi_widget.vlm.families.base import Family
from isi_widget.vlm.families.registry import register_family


@register_family("instructblip")
class InstructBlip(Family):
    """InstructBLIP: image tokens, BOS, text."""

    title = "InstructBLIP"
    image_inputs: tuple[str, ...] = ("pixel_values", "qformer_input_ids", "qformer_attention_mask")
    chat_template = (
        "{% for part in messages[0]['content'] if part['type'] == 'image' %}<image>{% endfor %}"
        "{% for part in messages[0]['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    )

    def processor_text(self, text: str, placeholder: str) -> str:
        """Leave out the image tokens, which the processor puts in front."""
        return text.replace(placeholder, "")

    def tokenize(
        self, processor: Any, text: str, image: str, add_special_tokens: bool
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Tokenise the image tokens apart; they stand before BOS."""
        plain: list[list[Any]] = [[], []]
        for part, start, special in (
            (image, 0, False),
            (text.removeprefix(image), len(image), add_special_tokens),
        ):
            ids, offsets = super().tokenize(processor, part, image, special)
            plain[0] += ids
            # Zero width tokens (BOS) stay so.
            plain[1] += [(low + start, high + start) for low, high in offsets]
        return plain[0], plain[1]

    def limits(self, model: Any) -> dict[str, int]:
        """Limit the text for the Q-Former, which has a tokenizer of its own."""
        return {"qformer_input_ids": int(model.config.qformer_config.max_position_embeddings)}

    def prepare(self, model: Any) -> None:
        """Refuse an encoder-decoder language model."""
        if not model.config.use_decoder_only_language_model:
            raise InputError(
                "This InstructBLIP has an encoder-decoder language model (Flan-T5), which is not supported. "
                "Choose one on Vicuna, for example 'Salesforce/instructblip-vicuna-7b'."
            )

    def unavailable(self, model: Any) -> dict[str, str]:
        """Return no image map: the Q-Former's embeddings have no place in the picture."""
        return {"image_map": "The image tokens of InstructBLIP are queries, not places in the picture."}

    def decoder(self, model: Any) -> torch.nn.Module:
        """Return the language model without its head."""
        decoder: torch.nn.Module = model.language_model.get_decoder()
        return decoder

    def with_features(self, encoded: Any, images: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """Name the inputs that the embeddings replace: the forward has no defaults for them."""
        return {"mm_encoder_outputs": {"image": encoded}, "pixel_values": None, "qformer_input_ids": None}

    def cache(self, output: Any) -> Any:
        """Return the cache from the language model's own output."""
        return output.language_model_outputs.past_key_values

    def continued(self, model: Any) -> Any:
        """Return the language model with its head."""
        return model.language_model

    def token_boxes(
        self, processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]
    ) -> grids.Boxes:
        """As `grids.queries`."""
        return grids.queries(processor, config, size, images)

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Not possible: the Q-Former's tokenizer is a part that only the checkpoint's own processor has."""
        raise NotImplementedError("InstructBLIP needs its qformer_tokenizer, which is not in this checkpoint")

    def complete_processor(self, processor: Any, config: Any) -> None:
        """Old processor configs leave out the number of query tokens."""
        if processor.num_query_tokens is None:
            processor.num_query_tokens = config.num_query_tokens
