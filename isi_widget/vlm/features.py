"""What a forward pass is given beside the token ids: the vision tower's output, cached by content.

An unchanged picture is not encoded again when only question, context or sampling change. It is encoded again
whenever anything on the vision side may have changed: weights, however they were set, hooks, adapters,
settings (`pretrained.state`). Not for the language model's cache.
"""

from __future__ import annotations

import hashlib
import inspect
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch

from isi_widget.errors import InputError
from isi_widget.pretrained import state
from isi_widget.pretrained.placement import input_device
from isi_widget.vlm.families import Family
from isi_widget.vlm.families.base import embeddings
from isi_widget.vlm.prompts.prompt import Prompt

#: Pictures whose features are kept in any case, and bytes that those of more pictures may take.
KEPT, MOST_BYTES = 8, 1 << 26


class ImageFeatures:
    """The vision side of one model, with the features of the last pictures."""

    def __init__(self, model: Any, family: Family) -> None:
        self._model, self._family = model, family
        self._kept: OrderedDict[tuple[object, ...], Any] = OrderedDict()
        self._made_by: tuple[object, ...] | None = None
        self._tree = state.Tree(model)
        self._walked: list[Any] = []
        self._sides: list[Any] = []
        # Families whose forward takes no features are given the pixels.
        takes_them = "mm_encoder_outputs" in inspect.signature(model.forward).parameters
        self._takes_features = family.shares_features and takes_them

    def clear(self) -> None:
        """Forget all features: to be called when the vision tower or the projector is changed."""
        self._kept.clear()

    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        """Return the arguments of the model's forward beside `input_ids`.

        Raises
        ------
        InputError
            If there is not one embedding per image token of the prompt.
        """
        images, tokens = self._placed(prompt.images), self._placed(prompt.token_inputs)
        if not self._takes_features or not images:
            return {**images, **tokens}
        # A model may be moved: model.to("cuda"), model.to(torch.bfloat16).
        made_by = self._state()
        if made_by != self._made_by:
            self._kept.clear()
            self._made_by = made_by
        key = (content_key(prompt.images), input_device(self._model), self._model.dtype)
        encoded = self._kept.get(key)
        if encoded is None:
            encoded = self._family.encode_image(self._model, images)
            if made_by is not None:
                self._kept[key] = encoded
                while len(self._kept) > KEPT and sum(map(_bytes, self._kept.values())) > MOST_BYTES:
                    self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        found = embeddings(encoded)
        if found != prompt.image_tokens:
            raise InputError(
                f"The processor writes {prompt.image_tokens} image tokens but the vision tower gives "
                f"{found} embeddings: the two do not belong together (patch_size, "
                "vision_feature_select_strategy)."
            )
        return {**self._family.with_features(encoded, images), **tokens}

    def _state(self) -> tuple[object, ...] | None:
        """Return what the vision side computes with; None where it cannot be known: nothing is kept."""
        walked = self._tree.modules()
        if walked is not self._walked:
            language = {id(module) for module in self._family.decoder(self._model).modules()}
            head = self._model.get_output_embeddings()
            self._sides = [m for m in walked if id(m) not in language and m is not head]
            self._walked = walked
        text = getattr(self._model.config, self._family.text_config, None)
        configs = {id(found): found for m in self._sides if (found := vars(m).get("config")) is not None}
        return state.token(self._sides, [config for config in configs.values() if config is not text])

    def _placed(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """On the model's device; floating point in its type."""
        device, dtype = input_device(self._model), self._model.dtype
        return {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in tensors.items()
        }


def _bytes(encoded: Any) -> int:
    """Return the size of an image encoder's output."""
    if isinstance(encoded, torch.Tensor):
        return encoded.nbytes
    return sum(map(_bytes, encoded.values() if isinstance(encoded, Mapping) else encoded or ()))


def content_key(images: Mapping[str, torch.Tensor]) -> str:
    """Equal for equal tensors."""
    digest = hashlib.sha256()
    for name in sorted(images):
        value = images[name].contiguous()
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
