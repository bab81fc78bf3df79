"""Attention mass per token group, recorded inside the attention function for the wanted query rows only.

For the rows asked for, and only for them, softmax(q k^T) is computed a second time beside scaled-dot-product
attention and summed over groups of keys at once; the full matrices are never materialised, and the model's
output is untouched. Models that run with eager attention (Gemma 2 must, for its soft cap) make the full
matrix of each layer anyway: its own weights are summed. Registered with transformers' public
AttentionInterface and AttentionMaskInterface (without the mask half the padding mask would silently be
dropped). Not for what the masses mean (see `isi_widget.attribution`). Attention is where the model reads
from, not what it relies on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from isi_widget.errors import InputError
from isi_widget.segments import GROUPS

#: The recorded twin of each attention implementation that can be recorded.
RECORDED = {"sdpa": "isi_widget_recorded_sdpa", "eager": "isi_widget_recorded_eager"}
# Rows whose weights are held at once: a long answer that is fed back would need heads x rows x keys.
_ROWS_AT_ONCE = 64


class AttentionRecorder:
    """Collects attention mass over groups of keys, one step (forward pass) after another.

    Parameters
    ----------
    groups : [prompt tokens] int64, the group of each prompt token.
    count : number of groups; keys after the prompt belong to the last.
    """

    def __init__(self, groups: torch.Tensor, count: int = len(GROUPS)) -> None:
        self._groups, self._count = groups, count
        self._keys = 0
        self._rows = 1
        self._layers: dict[int, torch.Tensor] = {}
        self._members: dict[tuple[int, torch.device], list[torch.Tensor]] = {}

    def begin(self, keys: int, rows: int = 1) -> None:
        """Announce a forward pass: number of keys in all (cached and new), of last query rows to record."""
        self._keys, self._rows = keys, rows
        self._layers, self._members = {}, {}

    def record(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float | None,
        causal: bool,
    ) -> None:
        """Sum the weights of one layer.

        Parameters
        ----------
        query, key : [1, heads, queries, width] and [1, key-value heads, keys, width].
        mask : [1, 1, queries, keys], boolean (True: visible) or additive; None: all visible, or causal.
        scaling : of the products; None: width ** -0.5.
        """
        queries = query.shape[2]
        first = max(0, queries - self._rows)
        blocks = [
            self._block(query, key, mask, scaling, causal, range(start, min(start + _ROWS_AT_ONCE, queries)))
            for start in range(first, queries, _ROWS_AT_ONCE)
        ]
        self._layers[layer] = torch.cat(blocks, dim=1)

    def _block(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float | None,
        causal: bool,
        rows: range,
    ) -> torch.Tensor:
        """[heads, rows, groups] of some query rows."""
        heads, queries, width = query.shape[1:]
        shared, keys = key.shape[1], key.shape[2]
        # Grouped queries are folded into the row axis, so the keys are never repeated.
        folded = query[:, :, rows.start : rows.stop].reshape(shared, heads // shared * len(rows), width)
        scores = folded.float() @ key[0].float().transpose(1, 2)
        scores = scores.reshape(heads, len(rows), keys) * (width**-0.5 if scaling is None else scaling)
        if mask is not None:
            visible = mask[0, :, rows.start : rows.stop, :keys]
            if visible.dtype == torch.bool:
                scores = scores.masked_fill(~visible, float("-inf"))
            else:
                scores = scores + visible.float()
        elif causal and queries > 1:
            positions = torch.arange(keys, device=scores.device)
            last_visible = positions[keys - queries :][rows.start : rows.stop, None]
            scores = scores.masked_fill(positions > last_visible, float("-inf"))
        return self._kept(scores.softmax(dim=-1))

    def _kept(self, weights: torch.Tensor) -> torch.Tensor:
        """What is kept of the weights [heads, rows, keys] of some rows: [heads, rows, groups]."""
        groups = self._groups_of(weights.shape[2], weights.device)
        # A sum each, which torch adds up pairwise; a product with a 0/1 matrix is 1e-5 off at 3,000 keys.
        return torch.stack([(weights * members).sum(dim=-1) for members in groups], dim=-1)

    def _groups_of(self, keys: int, device: torch.device) -> list[torch.Tensor]:
        """Which of the last keys belong to each group, [keys] each; a sliding window keeps only those."""
        if (keys, device) not in self._members:  # the layers of one model may be on several devices
            generated = self._groups.new_full((self._keys - len(self._groups),), self._count - 1)
            groups = torch.cat([self._groups, generated])[self._keys - keys :].to(device)
            self._members[keys, device] = [groups == group for group in range(self._count)]
        return self._members[keys, device]

    def take(self, layer: int, weights: torch.Tensor) -> None:
        """Sum the weights [1, heads, queries, keys] that one layer has computed itself."""
        rows = weights[0, :, max(0, weights.shape[2] - self._rows) :].float()
        self._layers[layer] = self._kept(rows)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that the last forward pass has told of."""
        return tuple(sorted(self._layers))

    def mass(self) -> torch.Tensor:
        """Of the last forward pass: [rows, layers, heads, groups], float32 on the CPU; rows sum to 1."""
        layers = [self._layers[layer] for layer in sorted(self._layers)]
        if len({layer.device for layer in layers}) > 1:
            layers = [layer.cpu() for layer in layers]
        return torch.stack(layers).permute(2, 0, 1, 3).cpu()


class TokenRecorder(AttentionRecorder):
    """Keeps the weights on single prompt tokens in place of sums over groups; for one answer, not for a loop.

    `mass` is then [rows, layers, heads, tokens], of the chosen layers and heads; it leaves the device layer
    by layer.

    Parameters
    ----------
    tokens : [tokens] int64, positions in the prompt.
    layers, heads : which to keep; None: all.

    Attributes
    ----------
    average : keep the mean over the heads instead, one for all. May be set between two forward passes.
    """

    def __init__(
        self,
        tokens: torch.Tensor,
        layers: frozenset[int] | None = None,
        heads: tuple[int, ...] | None = None,
        average: bool = False,
    ) -> None:
        super().__init__(tokens.new_empty(0))
        self._tokens, self._wanted, self._heads = tokens, layers, heads
        self.average = average

    def record(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float | None,
        causal: bool,
    ) -> None:
        """As `AttentionRecorder.record`, for the chosen layers."""
        if self._wanted is None or layer in self._wanted:
            super().record(layer, query, key, mask, scaling, causal)

    def take(self, layer: int, weights: torch.Tensor) -> None:
        """As `AttentionRecorder.take`, for the chosen layers."""
        if self._wanted is None or layer in self._wanted:
            super().take(layer, weights)

    def _kept(self, weights: torch.Tensor) -> torch.Tensor:
        """[heads, rows, tokens]: tokens that a sliding window has cut off get 0."""
        places = (self._tokens - (self._keys - weights.shape[2])).to(weights.device)
        kept = weights.index_select(2, places.clamp(min=0)).masked_fill(places < 0, 0)
        if self._heads is not None:
            kept = kept[list(self._heads)]
        return (kept.mean(dim=0, keepdim=True) if self.average else kept).cpu()


_ACTIVE: ContextVar[AttentionRecorder | None] = ContextVar("isi_widget_attention_recorder", default=None)


def _recorded_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    recorder = _ACTIVE.get()
    if recorder is not None:
        causal = bool(getattr(module, "is_causal", True)) if is_causal is None else is_causal
        layer: Any = module.layer_idx
        recorder.record(int(layer), query, key, attention_mask, scaling, causal)
    return sdpa_attention_forward(
        module,
        query,
        key,
        value,
        attention_mask,
        dropout=dropout,
        scaling=scaling,
        is_causal=is_causal,
        **kwargs,
    )


def _recorded_eager(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    # Each modelling file of transformers has its own: soft caps, sinks and scales are in it.
    eager: Any = sys.modules[type(module).__module__].__dict__["eager_attention_forward"]
    output, weights = eager(module, query, key, value, attention_mask, **kwargs)
    recorder = _ACTIVE.get()
    if recorder is not None:
        layer: Any = module.layer_idx
        recorder.take(int(layer), weights)
    return output, weights


AttentionInterface.register(RECORDED["sdpa"], _recorded_attention)
AttentionMaskInterface.register(RECORDED["sdpa"], sdpa_mask)
AttentionInterface.register(RECORDED["eager"], _recorded_eager)
AttentionMaskInterface.register(RECORDED["eager"], eager_mask)


def implementation(model: Any, text_config: str) -> str:
    """The attention implementation that the language model runs with."""
    return str(getattr(model.config, text_config)._attn_implementation)


def reason_against(model: Any, text_config: str) -> str:
    """Why attention cannot be recorded without changing what the model computes; "" if it can."""
    found = implementation(model, text_config)
    # While a recording runs, a callback or another thread finds the twin in place.
    if found in (*RECORDED, *RECORDED.values()):
        return ""
    return (
        "Attention can be recorded from models that run with 'sdpa' or 'eager' attention; this one runs "
        f"with {found!r}. Call vlm.model.set_attn_implementation('sdpa') first, if it can."
    )


def check_recordable(model: Any, text_config: str) -> None:
    """Refuse a model whose attention function cannot be replaced without changing what it computes."""
    reason = reason_against(model, text_config)
    if reason:
        raise InputError(reason)


@contextmanager
def recording(model: Any, text_config: str, recorder: AttentionRecorder) -> Iterator[AttentionRecorder]:
    """Let `recorder` see every attention call of the language model; the vision tower keeps its own.

    Restored on leaving. May be nested: the innermost recorder sees what is run within it.
    """
    check_recordable(model, text_config)
    previous = implementation(model, text_config)
    config = getattr(model.config, text_config)
    # `set_attn_implementation` checks every module of the model, at every answer; the twin needs no check
    config._attn_implementation = RECORDED.get(previous, previous)
    token = _ACTIVE.set(recorder)
    try:
        yield recorder
    finally:
        _ACTIVE.reset(token)
        config._attn_implementation = previous
