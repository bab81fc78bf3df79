"""Where things are inside the language model of a VLM: layers, attention, output projections, norm, head.

    decoder (family.decoder)                    embeds, runs the layers, ends in a norm
    |-- layers[i]                               adds attention and MLP to the residual stream
    |   |-- self_attn
    |   |   `-- o_proj                          its input holds the heads side by side, head_dim numbers each
    |   `-- mlp
    `-- norm
    output embeddings                           from the residual stream to logits ("un-embedding")

Found from the family's decoder, for every listed family. Not for changing anything (see `editing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from isi_widget.errors import InputError
from isi_widget.vlm.families import Family

#: What modelling files call the parts, the usual name first.
_ATTENTION = ("self_attn", "attention", "attn")
_PROJECTION = ("o_proj", "out_proj", "dense")
_MLP = ("mlp", "feed_forward", "block_sparse_moe")
#: The norm before the MLP; where only one stands after it, the MLP itself comes next.
_AFTER_MLP = "post_feedforward_layernorm"
_NORMS = ("pre_feedforward_layernorm", _AFTER_MLP, "post_attention_layernorm", "ln_2")
_NORM = ("norm", "final_layernorm", "ln_f")


@dataclass(frozen=True, eq=False)
class Sites:
    """The parts of one language model. Modules are the model's own: nothing is copied.

    Attributes
    ----------
    layers
        The decoder layers, first to last.
    heads
        Number of attention heads in each layer.
    """

    layers: tuple[torch.nn.Module, ...]
    heads: int
    decoder: torch.nn.Module
    model: Any

    def attention(self, layer: int) -> torch.nn.Module:
        """Return the attention of a layer."""
        return _part(self.layers[layer], _ATTENTION)

    def o_proj(self, layer: int) -> torch.nn.Module:
        """Return the output projection of a layer's attention; it takes [batch, tokens, heads * head_dim]."""
        return _part(self.attention(layer), _PROJECTION)

    def mlp(self, layer: int) -> torch.nn.Module:
        """Return the MLP of a layer."""
        return _part(self.layers[layer], _MLP)

    def before_mlp(self, layer: int) -> torch.nn.Module:
        """Return the module whose input is the residual stream between attention and MLP.

        Raises
        ------
        InputError
            If the layer has no such state (attention and MLP side by side), or none that is known.
        """
        found = self.layers[layer]
        names = [name for name in _NORMS if isinstance(getattr(found, name, None), torch.nn.Module)]
        if names and names[0] == _AFTER_MLP:
            return self.mlp(layer)  # norms stand after attention and MLP alone (OLMo 2)
        if not names:
            raise InputError(
                f"{type(found).__name__} has no norm between attention and MLP, so there is no state to read "
                "there."
            )
        norm: torch.nn.Module = getattr(found, names[0])
        return norm

    def head_dim(self, layer: int) -> int:
        """Numbers in the output of one head (not hidden size / heads: some models differ)."""
        projection: Any = self.o_proj(layer)
        return int(projection.in_features) // self.heads

    @property
    def hidden_size(self) -> int:
        """Numbers in the residual stream: what the output projection of attention writes."""
        projection: Any = self.o_proj(0)
        return int(projection.out_features)

    @property
    def norm(self) -> torch.nn.Module:
        """The norm after the last layer."""
        return _part(self.decoder, _NORM)

    @property
    def unembedding(self) -> torch.nn.Module:
        """The linear map from the normed residual stream to logits."""
        found = self.model.get_output_embeddings()
        if found is None:
            found = getattr(self.model, "language_model", self.model).get_output_embeddings()
        if found is None:
            raise InputError("The output embeddings of this model were not found.")
        unembedding: torch.nn.Module = found
        return unembedding


def sites(model: Any, family: Family) -> Sites:
    """Return the parts of a model's language model.

    Raises
    ------
    InputError
        If they are not where any known family has them.
    """
    try:
        layers = tuple(family.layers(model))
        heads = int(getattr(model.config, family.text_config).num_attention_heads)
    except (AttributeError, AssertionError, NotImplementedError, TypeError) as error:
        raise InputError(
            f"The decoder layers of {family.title} were not found ({type(error).__name__}: {error}). "
            "Write an adapter with layers() for it (docs/add_your_vlm.md)."
        ) from None
    return Sites(layers, heads, family.decoder(model), model)


def _part(module: torch.nn.Module, names: tuple[str, ...]) -> torch.nn.Module:
    for name in names:
        found = getattr(module, name, None)
        if isinstance(found, torch.nn.Module):
            return found
    raise InputError(f"{type(module).__name__} has none of {', '.join(names)}.")
