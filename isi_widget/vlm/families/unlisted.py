"""Models that nobody has listed: tried through their chat template, and honest about what cannot be had.

Answers, samples and their log-probabilities need only the processor, the forward and the key-value cache;
two short answers are compared with those of `generate` (see `vlm/trying.py`), and the model is refused if
they differ. What needs more is checked on the model itself, once: segments by tokenising its prompt again
(see `vlm/prompts`), attention by comparing a short recorded forward with transformers' own eager attention
(see `vlm/inside/comparing.py`). Where such a check fails, `VLM.unavailable` gives the reason. Not for
encoder-decoder language models: they read and answer in other ways.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from isi_widget.errors import InputError
from isi_widget.vlm.families.base import Family, without_video

# Cache layers of transformers that grow by new tensors, never in place.
_FORKABLE = {"DynamicLayer", "DynamicSlidingWindowLayer"}


def is_image_text_to_text(config: Any) -> bool:
    """Whether transformers, or code that comes with the checkpoint, has such a model for this config."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    own_code = getattr(config, "auto_map", None) or {}
    return (
        getattr(config, "model_type", None) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        or "AutoModelForImageTextToText" in own_code
    )


class UnlistedFamily(Family):
    """The adapter of one unlisted model; unlike a listed family's it is made for each model."""

    shares_features = False
    strict = False

    def __init__(self, model_type: str) -> None:
        self.model_type = model_type
        self.title = f"{model_type} (not listed)"
        self._forward: frozenset[str] = frozenset()

    def prepare(self, model: Any) -> None:
        """Learn from the model what its forward takes; it is not run.

        Raises
        ------
        InputError
            For an encoder-decoder language model.
        """
        text = model.config.get_text_config(decoder=True)
        if getattr(model.config, "is_encoder_decoder", False) or getattr(text, "is_encoder_decoder", False):
            raise InputError(
                f"Models of type {self.model_type!r} have an encoder-decoder language model, which is not "
                "supported. Choose a model whose language model is decoder-only."
            )
        self._forward = frozenset(inspect.signature(model.forward).parameters)
        names = [name for name in model.config.sub_configs if getattr(model.config, name, None) is text]
        self.text_config = names[0] if names else ""

    def image_token_id(self, model: Any) -> int | None:
        """As the config has it, under either of the names in use."""
        for name in ("image_token_id", "image_token_index"):
            found = getattr(model.config, name, None)
            if isinstance(found, int):
                return found
        return None

    def inputs(self, outputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Every tensor that the forward names; those of the prompt's shape go with its tokens."""
        shape = outputs["input_ids"].shape
        taken = {
            name: value
            for name, value in outputs.items()
            if name in self._forward - {"input_ids", "attention_mask", "labels"}
            and isinstance(value, torch.Tensor)
        }
        tokens = {
            name: value for name, value in taken.items() if name.endswith("type_ids") and value.shape == shape
        }
        return {name: taken[name] for name in taken.keys() - tokens.keys()}, tokens

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """Return the checkpoint's own processor without its video half."""
        from transformers.models.auto.processing_auto import (
            PROCESSOR_MAPPING_NAMES,
            processor_class_from_name,
        )

        own = processor_class_from_name(PROCESSOR_MAPPING_NAMES[self.model_type])
        return without_video(own).from_pretrained(tokenizer.name_or_path)

    def cache(self, output: Any) -> Any:
        """Return the key-value cache, if it can be forked: one prefill then serves many answers.

        Raises
        ------
        InputError
            If the model keeps anything else than keys and values of the prompt's tokens (linear attention,
            convolutions, cross-attention to the image).
        """
        cache = getattr(output, "past_key_values", None)
        layers = getattr(cache, "layers", ())
        kinds = {type(layer).__name__ for layer in layers}
        if len({layer.get_seq_length() for layer in layers if type(layer).__name__ == "DynamicLayer"}) > 1:
            kinds.add("cross-attention")
        if not kinds or kinds - _FORKABLE:
            kept = ", ".join(sorted(kinds)) or type(cache).__name__
            raise InputError(
                f"Models of type {self.model_type!r} keep more than keys and values of what they have read "
                f"({kept}), which is not supported. Choose a model with attention in every layer."
            )
        return cache
