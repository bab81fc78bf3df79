"""The LLaVA and its training heads as one module, with the intermediate results for deep supervision.

The layers are those of the `LlavaForConditionalGeneration` itself, called one by one, so that the exported
model is exactly the trained one.
"""

from __future__ import annotations

import shutil
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration

from isi_widget.training.vlm import build
from isi_widget.training.vlm.heads import Heads


class Network(nn.Module):
    """Model and heads; `compiled` compiles each transformer layer on its own (needs a C compiler, else it
    runs eagerly).
    """

    def __init__(self, seed: int = 0, compiled: bool = True) -> None:
        super().__init__()
        self.llava: LlavaForConditionalGeneration = build.model(seed)
        # on a CPU in bfloat16 the plain products take a half to a quarter of the time of the fused attention
        self.llava.set_attn_implementation("eager")
        self.heads = Heads()
        if compiled and shutil.which("gcc"):
            for layer in (*self.tower.encoder.layers, *self.decoder.layers):
                layer.compile(dynamic=False)

    @property
    def tower(self) -> Any:
        """The vision tower."""
        return self.llava.model.vision_tower

    @property
    def decoder(self) -> Any:
        """The text model."""
        return self.llava.model.language_model

    def patches(self, pixels: Tensor) -> Tensor:
        """Return vision features [B, patches, width] of pixels, uint8 [B, 192, 192, 3]."""
        hidden = self.tower.pre_layrnorm(self.tower.embeddings(build.normalise(pixels)))
        for layer in self.tower.encoder.layers:
            hidden = layer(hidden, attention_mask=None)
        return cast(Tensor, hidden[:, 1:])

    def project(self, features: Tensor) -> Tensor:
        """Return the image tokens for the decoder."""
        return cast(Tensor, self.llava.model.multi_modal_projector(features))

    def decode(self, images: Tensor, tokens: Tensor, positions: Tensor, mask: Tensor) -> list[Tensor]:
        """Return the hidden states after each decoder layer, the last one normalised.

        Parameters
        ----------
        images : image tokens [B, patches, width], put after the first token of `tokens`.
        tokens : token ids, int [B, L].
        positions : positions of the tokens, int [B, L].
        mask : bool [B, 1, L, L], True if a query (row) may attend to a key.
        """
        hidden = self.decoder.embed_tokens(tokens)
        count = images.shape[1]
        hidden = torch.cat([hidden[:, :1], images.to(hidden.dtype), hidden[:, 1 + count :]], dim=1)
        bias = torch.zeros(mask.shape, dtype=torch.bfloat16).masked_fill_(
            ~mask, torch.finfo(torch.bfloat16).min
        )
        rotary = self.decoder.rotary_emb(hidden, position_ids=positions)
        states = []
        for layer in self.decoder.layers:
            hidden = layer(hidden, attention_mask=bias, position_embeddings=rotary, position_ids=positions)
            states.append(hidden)
        states[-1] = self.decoder.norm(hidden)
        return states
