"""What a model family has to say about itself, and the registry of families by `config.model_type`.

Everything that Hugging Face already knows (chat template, image token, decoder layers, key-value cache) is
derived; an adapter says only what differs. Not for loading (see `loading.py`) nor for decoding (see
`decoding.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

from isi_widget.errors import InputError

IMAGE_TOKEN = "<image>"


class Family:
    """The adapter of one family; subclasses override what differs. Stateless: one instance serves every model
    of the family.

    Attributes
    ----------
    model_type : `config.model_type`, set by `register_family`.
    title : the name people know.
    separator : the text between context and question; part of the template, zero characters long when the
        context is empty. A line break is a token of its own for the tokenizers of these families, so no token
        straddles context and question.
    image_inputs : the processor outputs, beside `input_ids`, that the model's forward takes.
    chat_template : used where neither the processor nor the tokenizer of a checkpoint carries one.
    text_config : name of the sub-config of the language model, whose attention is recorded.
    """

    model_type: str = ""
    title: str = ""
    separator: str = "\n"
    image_inputs: tuple[str, ...] = ("pixel_values",)
    chat_template: str = ""
    text_config: str = "text_config"

    def user_text(self, context: str, question: str) -> str:
        """The one text of the user's turn: context (may be empty), separator, question."""
        return f"{context}{self.separator}{question}" if context else question

    def image_token_id(self, model: Any) -> int:
        """Id of the placeholder that stands in `input_ids` once per visual embedding."""
        return int(model.config.image_token_id)

    def decoder(self, model: Any) -> torch.nn.Module:
        """The language model without its head."""
        decoder: torch.nn.Module = model.get_decoder()
        return decoder

    def layers(self, model: Any) -> torch.nn.ModuleList:
        """The decoder layers, first to last."""
        layers = self.decoder(model).layers
        assert isinstance(layers, torch.nn.ModuleList)
        return layers

    def image_features(self, model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Visual embeddings [image tokens, hidden] of one image, in the order of its placeholders."""
        output = model.get_image_features(
            **{name: inputs[name] for name in self.image_inputs}, return_dict=True
        )
        return torch.cat(list(output.pooler_output), dim=0)

    def make_processor(self, config: Any, tokenizer: Any, image_processor: Any) -> Any:
        """A processor from its parts, for checkpoints whose own processor cannot be loaded."""
        raise NotImplementedError

    def complete_processor(self, processor: Any, config: Any) -> None:
        """Fill in, from the model's config, what old processor configs leave out. In place."""


_FAMILIES: dict[str, Family] = {}
F = TypeVar("F", bound=type[Family])


def register_family(model_type: str) -> Callable[[F], F]:
    """Class decorator: the adapter of the models whose `config.model_type` is `model_type`."""

    def register(cls: F) -> F:
        family = cls()
        family.model_type = model_type
        _FAMILIES[model_type] = family
        return cls

    return register


def supported_families() -> tuple[str, ...]:
    """The registered `model_type`s, in alphabetical order."""
    return tuple(sorted(_FAMILIES))


def family_of(config: Any) -> Family:
    """The adapter for a model's config.

    Raises
    ------
    InputError
        If no family is registered for `config.model_type`; the message names those that are.
    """
    model_type = str(getattr(config, "model_type", None))
    if model_type not in _FAMILIES:
        known = ", ".join(f"{_FAMILIES[name].title} ({name!r})" for name in supported_families())
        raise InputError(
            f"Models of type {model_type!r} are not supported. Supported families: {known}. "
            "Choose a checkpoint of one of these, for example 'llava-hf/llava-1.5-7b-hf'."
        )
    return _FAMILIES[model_type]
