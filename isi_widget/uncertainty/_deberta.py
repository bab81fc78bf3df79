"""Faster position terms of DeBERTa's attention for short pairs; inference only.

transformers multiplies queries and keys with every relative position of the model (512 for the usual
checkpoints), with a copy for each row of the batch, and then uses only the few that a pair of thirty tokens
needs. Here only these are multiplied, and a shifted view selects them (as in Dai et al., Transformer-XL, ACL
2019). Same parameters, same numbers up to rounding. Not for training (see `isi_widget.training`).
"""

from __future__ import annotations

import inspect
import math
from types import MethodType
from typing import Any

_ARGUMENTS = ["self", "query_layer", "key_layer", "relative_pos", "rel_embeddings", "scale_factor"]


def use_fast_positions(model: Any) -> int:
    """Make every DeBERTa-v2 attention module compute its position terms this way.

    Returns the number of modules changed: 0 for other models, and for a version of transformers with a
    different attention call.
    """
    from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention

    if (
        list(inspect.signature(DisentangledSelfAttention.disentangled_attention_bias).parameters)
        != _ARGUMENTS
    ):
        return 0
    found = [part for part in model.modules() if isinstance(part, DisentangledSelfAttention)]
    for part in found:
        part.disentangled_attention_bias = MethodType(position_bias, part)
    return len(found)


def position_bias(
    attention: Any,
    query_layer: Any,
    key_layer: Any,
    relative_pos: Any,
    rel_embeddings: Any,
    scale_factor: int,
) -> Any:
    """Compute the same as `DisentangledSelfAttention.disentangled_attention_bias`: [batch * heads, L, L].

    query_layer : queries [batch * heads, L, width].
    key_layer : keys [batch * heads, L, width].
    relative_pos : ignored; the encoder's own relative positions, i - j, are used.
    rel_embeddings : embeddings [relative positions, hidden].
    """
    import torch
    from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

    heads, span = attention.num_attention_heads, attention.pos_ebd_size
    rows, length, width = query_layer.shape
    scale = math.sqrt(width * scale_factor)
    distance = torch.arange(length - 1, -length, -1, device=query_layer.device)  # i - j, falling
    if attention.position_buckets > 0:
        distance = make_log_bucket_position(
            distance, attention.position_buckets, attention.max_relative_positions
        )
    places = (distance.long() + span).clamp(0, 2 * span - 1)

    def scores(content: Any, projection: Any, order: Any) -> Any:
        """Return [rows, L, L]: content p with the position in column L - 1 - p + r of `order`, r = 0 ... L -
        1.
        """
        positions = projection(rel_embeddings[order]).view(-1, heads, width).permute(1, 2, 0)
        product = content.view(-1, heads, length, width) @ (positions / scale)
        product = product.reshape(rows, length, 2 * length - 1).contiguous()
        strides = (length * (2 * length - 1), 2 * length - 2, 1)
        return product.as_strided((rows, length, length), strides, product.storage_offset() + length - 1)

    shared = attention.share_att_key
    bias: Any = 0
    if "c2p" in attention.pos_att_type:
        bias = scores(query_layer, attention.key_proj if shared else attention.pos_key_proj, places)
    if "p2c" in attention.pos_att_type:
        projection = attention.query_proj if shared else attention.pos_query_proj
        bias = bias + scores(key_layer, projection, places.flip(0)).transpose(-1, -2)
    return bias
