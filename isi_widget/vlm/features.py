"""What a forward pass is given for the image: the vision tower's output, cached by content.

An unchanged picture is not encoded again when only question, context or sampling change. Not for the language
model's cache.
"""

from __future__ import annotations

import hashlib
import inspect
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, cast

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from isi_widget.errors import InputError
from isi_widget.vlm.families import Family
from isi_widget.vlm.prompt import Prompt

#: Pictures whose features are kept.
KEPT = 8


class ImageFeatures:
    """The vision side of one model, with the features of the last pictures."""

    def __init__(self, model: Any, family: Family) -> None:
        self._model, self._family = model, family
        self._kept: OrderedDict[str, torch.Tensor] = OrderedDict()
        # Families whose forward takes no features are given the pixels.
        self._takes_features = "mm_encoder_outputs" in inspect.signature(model.forward).parameters

    def clear(self) -> None:
        """Forget all features: to be called when the vision tower or the projector is changed."""
        self._kept.clear()

    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        """The image's arguments to the model's forward.

        Raises
        ------
        InputError
            If there is not one embedding per image token of the prompt.
        """
        device, dtype = self._model.device, self._model.dtype
        images = {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in prompt.images.items()
        }
        if not self._takes_features:
            return images
        key = content_key(prompt.images)
        if key not in self._kept:
            self._kept[key] = self._family.image_features(self._model, images)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        features, tokens = self._kept[key], prompt.token_counts()["image"]
        if len(features) != tokens:
            raise InputError(
                f"The processor writes {tokens} image tokens but the vision tower gives {len(features)} "
                "embeddings: the two do not belong together (patch_size, vision_feature_select_strategy)."
            )
        output = BaseModelOutputWithPooling(pooler_output=cast(Any, [features]))
        return {"mm_encoder_outputs": {"image": output}}


def content_key(images: Mapping[str, torch.Tensor]) -> str:
    """Equal for equal tensors."""
    digest = hashlib.sha256()
    for name in sorted(images):
        value = images[name].contiguous()
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
