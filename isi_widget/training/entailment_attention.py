"""DeBERTa's position terms of attention, several times faster on a CPU than in transformers; for training
only.

transformers repeats the position keys for every row of the batch and selects them with `gather`, which is
slow on a CPU, forward and backward. All rows share their distances, so one product with the keys of every
distance -(L - 1) .. L - 1 and a view that shifts each row (Dai et al., Transformer-XL, ACL 2019) give the
same numbers. Same parameters, same results (tested); nothing is exported.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.deberta_v2.modeling_deberta_v2 import (
    DisentangledSelfAttention,
    make_log_bucket_position,
)


class _Shift(torch.autograd.Function):
    """[n, L, 2L - 1] by distance -> [n, L, L] by position: out[:, i, j] = scores[:, i, i - j + L - 1]."""

    @staticmethod
    def forward(context: Any, scores: Tensor) -> Tensor:
        context.shape = scores.shape
        return _view(scores.contiguous()).clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        spread = gradient.new_zeros(context.shape)
        _view(spread).copy_(gradient)
        return spread


def _view(scores: Tensor) -> Tensor:
    n, length, width = scores.shape
    # reversed distances would need a negative stride; the caller orders them by j - i, so that column = j - i
    # + L - 1
    return scores.as_strided(
        (n, length, length), (length * width, width - 1, 1), scores.storage_offset() + length - 1
    )


def position_bias(
    attention: DisentangledSelfAttention,
    query: Tensor,
    key: Tensor,
    relative: Any,
    embeddings: Tensor,
    scale_factor: int,
) -> Tensor:
    """Replace `DisentangledSelfAttention.disentangled_attention_bias` (shared keys, c2p and p2c); returns
    [batch * heads, L, L].
    """
    heads, span, (rows, length, width) = attention.num_attention_heads, attention.pos_ebd_size, query.shape
    distance = torch.arange(
        length - 1, -length, -1, device=query.device
    )  # i - j, for column j - i + L - 1 rising
    if attention.position_buckets > 0:
        distance = make_log_bucket_position(
            distance, attention.position_buckets, attention.max_relative_positions
        )
    index = (distance.long() + span).clamp(0, 2 * span - 1)
    table = embeddings[: 2 * span][index]  # [2L - 1, hidden]
    scale = 1.0 / math.sqrt(width * scale_factor)

    def scores(content: Tensor, projection: nn.Module, flip: bool) -> Tensor:
        keys = projection(table) * scale
        keys = (
            (keys.flip(0) if flip else keys).view(-1, heads, width).permute(1, 2, 0)
        )  # [heads, width, 2L - 1]
        product = content.view(-1, heads, length, width) @ keys
        return _Shift.apply(product.reshape(rows, length, -1))

    # content to position: q_i with the key of distance i - j; position to content: k_j with the query of
    # distance i - j, which is row j, column i of the same construction with the order of distances turned
    # round
    c2p = scores(query, attention.key_proj, flip=False)
    return c2p + scores(key, attention.query_proj, flip=True).transpose(-1, -2)


def use_fast_attention(module: nn.Module) -> None:
    """Make every DeBERTa attention inside the module use `position_bias`."""
    for part in module.modules():
        if isinstance(part, DisentangledSelfAttention):
            if not part.share_att_key or set(part.pos_att_type) != {"c2p", "p2c"}:
                raise ValueError("the fast position terms are for shared keys and both directions")
            part.disentangled_attention_bias = position_bias.__get__(part)
