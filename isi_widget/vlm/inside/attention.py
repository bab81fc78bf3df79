"""The twin of the attention function: where attention is changed and recorded, for the wanted rows only.

Each attention call of the language model runs as ever. Then one ordered list is worked off: first the
interventions (`editing`), then the observers.

- Rows (queries) that an intervention on attention acts on are computed a second time: logits, change, softmax
  in float32, change, sum of the values; they replace the rows of the output. All other rows stay as they are,
  to the last bit. Outputs of single heads are changed after that.
- Observers are given the weights of the rows they ask for, those of the changed model: for these rows
  softmax(q k^T) is computed beside scaled-dot-product attention, 64 rows at a time. The full matrices are
  never held. Models that run with eager attention (Gemma 2 must, for its soft cap) make the full matrix of
  each layer anyway: its own weights are taken.

Registered with transformers' public AttentionInterface and AttentionMaskInterface (without the mask half the
padding mask would silently be dropped). Not for what the masses mean (see `isi_widget.attribution`).
Attention is where the model reads from, not what it relies on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from isi_widget.errors import InputError
from isi_widget.segments import GROUPS
from isi_widget.vlm.inside.rows import all_queries, last_queries, logits

if TYPE_CHECKING:
    from isi_widget.vlm.inside.editing import Editing

#: The twin of each attention implementation that has one.
RECORDED = {"sdpa": "isi_widget_recorded_sdpa", "eager": "isi_widget_recorded_eager"}
# Rows whose weights are held at once: a long answer that is fed back would need heads x rows x keys.
_ROWS_AT_ONCE = 64


#: The weights [heads, rows, keys], float32, of some consecutive query rows.
Weights = Callable[[range], torch.Tensor]


class Observer(Protocol):
    """Sees each layer of a forward pass, after the interventions."""

    def begin(self, keys: int, rows: int = 1) -> None:
        """Announce a forward pass: number of keys in all, cached and new; of last query rows to see."""

    def record(self, layer: int, queries: int, weights: Weights) -> None:
        """See the attention of one layer; `weights` computes any of the rows 0 to queries - 1 when called."""

    def output(self, layer: int, output: torch.Tensor) -> None:
        """See the outputs of the heads of one layer, [batch, queries, heads, head_dim]."""


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

    def record(self, layer: int, queries: int, weights: Weights) -> None:
        """Sum the weights of the last rows of one layer."""
        first = max(0, queries - self._rows)
        blocks = [
            self._kept(weights(range(start, min(start + _ROWS_AT_ONCE, queries))))
            for start in range(first, queries, _ROWS_AT_ONCE)
        ]
        self._layers[layer] = torch.cat(blocks, dim=1)

    def output(self, layer: int, output: torch.Tensor) -> None:
        """Ignore the outputs of heads."""

    def _kept(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the kept part of the weights [heads, rows, keys] of some rows: [heads, rows, groups]."""
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

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers recorded in the last forward pass."""
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

    def record(self, layer: int, queries: int, weights: Weights) -> None:
        """As `AttentionRecorder.record`, for the chosen layers."""
        if self._wanted is None or layer in self._wanted:
            super().record(layer, queries, weights)

    def _kept(self, weights: torch.Tensor) -> torch.Tensor:
        """[heads, rows, tokens]: tokens that a sliding window has cut off get 0."""
        places = (self._tokens - (self._keys - weights.shape[2])).to(weights.device)
        kept = weights.index_select(2, places.clamp(min=0)).masked_fill(places < 0, 0)
        if self._heads is not None:
            kept = kept[list(self._heads)]
        return (kept.mean(dim=0, keepdim=True) if self.average else kept).cpu()


# The twin ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Active:
    """What a forward pass runs with. `keys`: number of keys in all, cached and new. `last_rows`: (layer, n)
    of a layer in which only the last n queries are computed.
    """

    editing: Editing | None = None
    keys: int = 0
    observers: tuple[Observer, ...] = ()
    last_rows: tuple[int, int] | None = None

    def narrowed(self, layer: int, queries: int) -> int:
        """Return how many of the queries of a layer are computed: the last ones."""
        if self.last_rows is None or self.last_rows[0] != layer:
            return queries
        return min(queries, self.last_rows[1])


_ACTIVE: ContextVar[_Active | None] = ContextVar("isi_widget_inside", default=None)


def _twin_of_sdpa(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    active, queries = _ACTIVE.get(), query.shape[2]
    kept = queries if active is None else active.narrowed(int(module.layer_idx), queries)
    if kept < queries:
        attention_mask = last_queries(attention_mask, query, key, kept)
        query, is_causal = query[:, :, -kept:], False
    output, _ = sdpa_attention_forward(
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
    if active is None:
        return output, None
    causal = bool(getattr(module, "is_causal", True)) if is_causal is None else is_causal

    def plain(rows: range) -> torch.Tensor:
        return logits(query, key, attention_mask, scaling, causal, rows)

    def weights(rows: range) -> torch.Tensor:
        return plain(rows)[0].softmax(dim=-1)

    output, _ = _worked_off(active, module, plain, weights, value, output, kwargs)
    return all_queries(output, queries), None


def _twin_of_eager(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    # Each modelling file of transformers has its own: soft caps, sinks and scales are in it.
    eager: Any = sys.modules[type(module).__module__].__dict__["eager_attention_forward"]
    active, queries = _ACTIVE.get(), query.shape[2]
    kept = queries if active is None else active.narrowed(int(module.layer_idx), queries)
    if kept < queries:
        attention_mask = last_queries(attention_mask, query, key, kept)
        query = query[:, :, -kept:]
    output, made = eager(module, query, key, value, attention_mask, **kwargs)
    if active is None:
        return output, made

    def plain(rows: range) -> torch.Tensor:
        return logits(
            query, key, attention_mask, kwargs.get("scaling"), True, rows, softcap=kwargs.get("softcap")
        )

    def weights(rows: range) -> torch.Tensor:
        found: torch.Tensor = made[0, :, rows.start : rows.stop].float()
        return found

    output, changed = _worked_off(active, module, plain, weights, value, output, kwargs)
    if changed:
        made = made.clone()
        for rows, part in changed:
            made[:, :, rows.start : rows.stop] = part.to(made.dtype)
    return all_queries(output, queries), made


#: Arguments of attention functions that change the weights in ways that the twin does not compute.
_UNKNOWN = ("s_aux", "position_bias")


def _worked_off(
    active: _Active,
    module: Any,
    plain: Weights,
    weights: Weights,
    value: torch.Tensor,
    output: torch.Tensor,
    arguments: dict[str, Any],
) -> tuple[torch.Tensor, list[tuple[range, torch.Tensor]]]:
    """Return the output of one attention call after the interventions, which the observers have seen, and the
    weights [batch, heads, rows, keys] of each block of rows that was changed.

    Parameters
    ----------
    plain
        Logits [batch, heads, rows, keys] of some rows, unchanged.
    weights
        Weights [heads, rows, keys] of some rows of the first of the batch, unchanged.
    """
    layer, queries = int(module.layer_idx), output.shape[1]
    changed: list[tuple[range, torch.Tensor]] = []
    layer_edits = None if active.editing is None else active.editing.at(layer)
    if layer_edits is not None:
        keys = value.shape[2]
        # A sliding window keeps the last keys only.
        key_positions = range(active.keys - keys, active.keys)
        query_positions = range(active.keys - queries, active.keys)
        if layer_edits.touches(query_positions, key_positions):
            if any(arguments.get(name) is not None for name in _UNKNOWN):
                raise InputError("Attention with sinks or position biases cannot be changed.")
            output = output.clone()
            values = repeat_kv(value, output.shape[2] // value.shape[1]).float()
            for rows in layer_edits.rows(query_positions, _ROWS_AT_ONCE):
                made = layer_edits.weights(
                    plain(rows), query_positions[rows.start : rows.stop], key_positions
                )
                mixed = made @ values
                output[:, rows.start : rows.stop] = mixed.transpose(1, 2).to(output.dtype)
                changed.append((rows, made))
        output = layer_edits.outputs(output)
    if active.observers:
        seen = _overlaid(weights, changed) if changed else weights
        for observer in active.observers:
            observer.record(layer, queries, seen)
            observer.output(layer, output)
    return output, changed


def _overlaid(weights: Weights, changed: list[tuple[range, torch.Tensor]]) -> Weights:
    """Return the weights of a layer whose rows were changed in part."""

    def overlaid(rows: range) -> torch.Tensor:
        found = weights(rows).clone()
        for block, made in changed:
            start, stop = max(block.start, rows.start), min(block.stop, rows.stop)
            if start < stop:
                found[:, start - rows.start : stop - rows.start] = made[
                    0, :, start - block.start : stop - block.start
                ]
        return found

    return overlaid


AttentionInterface.register(RECORDED["sdpa"], _twin_of_sdpa)
AttentionMaskInterface.register(RECORDED["sdpa"], sdpa_mask)
AttentionInterface.register(RECORDED["eager"], _twin_of_eager)
AttentionMaskInterface.register(RECORDED["eager"], eager_mask)


def implementation(model: Any, text_config: str) -> str:
    """Return the attention implementation that the language model runs with."""
    return str(getattr(model.config, text_config)._attn_implementation)


def reason_against(model: Any, text_config: str) -> str:
    """Why attention can be neither recorded nor changed with what the model runs; "" if it can."""
    found = implementation(model, text_config)
    # While the twin runs, a callback or another thread finds it in place.
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
def inside(
    model: Any,
    text_config: str,
    *,
    editing: Editing | None = None,
    keys: int = 0,
    observers: tuple[Observer, ...] = (),
    last_rows: tuple[int, int] | None = None,
) -> Iterator[None]:
    """Within it, every attention call of the language model goes through the twin; the vision tower keeps
    its own. Restored on leaving.

    May be nested. Interventions or observers that are given replace those of the outer block; those that are
    not given stay.

    Parameters
    ----------
    editing
        The interventions, placed in a prompt.
    keys
        With `editing`: number of keys in all, cached and new, of the forward pass within.
    last_rows
        (layer, n): of this layer only the last n queries are computed; the others' outputs are zeros.
    """
    check_recordable(model, text_config)
    outer = _ACTIVE.get() or _Active()
    config = getattr(model.config, text_config)
    previous = implementation(model, text_config)
    active = _Active(
        *((outer.editing, outer.keys) if editing is None else (editing, keys)),
        observers or outer.observers,
        last_rows or outer.last_rows,
    )
    # `set_attn_implementation` checks every module of the model, at every answer; the twin needs no check
    config._attn_implementation = RECORDED.get(previous, previous)
    token = _ACTIVE.set(active)
    try:
        yield
    finally:
        _ACTIVE.reset(token)
        config._attn_implementation = previous


@contextmanager
def unobserved() -> Iterator[None]:
    """Within it, no observer or intervention of an outer block sees a forward pass."""
    token = _ACTIVE.set(None)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


@contextmanager
def recording(model: Any, text_config: str, recorder: AttentionRecorder) -> Iterator[AttentionRecorder]:
    """Let `recorder` see every attention call of the language model; see `inside`."""
    with inside(model, text_config, observers=(recorder,)):
        yield recorder
