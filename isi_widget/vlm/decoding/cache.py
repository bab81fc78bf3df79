"""The key-value cache of one prompt, shared by all answers to it.

The prompt's keys and values are held once, whatever the number of answers; only the answers' own tokens are
held per answer. transformers' own way (`batch_repeat_interleave`) holds the prompt once per answer, which for
an image of many tokens is nearly all of the memory. Not for decoding (see `loop.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer


class SharedPromptLayer(DynamicLayer):
    """One layer: keys and values [1, heads, prompt, width] of the prompt, [rows, heads, t, width] of rows.

    `keys` and `values` are those of the rows. Every step joins both for all rows, as a layer that grows does
    anyway, but lets go of the result after the step.
    """

    def __init__(self, prompt: DynamicLayer) -> None:
        super().__init__()
        self._keys, self._values = prompt.keys, prompt.values
        self.lazy_initialization(self._keys, self._values)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append new states of every row; returns keys and values of prompt and rows together."""
        keys, values = super().update(key_states, value_states)
        shape = (len(keys), -1, -1, -1)
        return (
            torch.cat([self._keys.expand(shape), keys], dim=-2),
            torch.cat([self._values.expand(shape), values], dim=-2),
        )

    def get_seq_length(self) -> int:
        """Tokens of the prompt and of a row."""
        return int(self._keys.shape[-2] + super().get_seq_length())

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each row `repeats` times."""
        if self.keys.numel():
            super().batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Only these rows."""
        if self.keys.numel():
            super().batch_select_indices(indices)

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Return the rows in another order."""
        if self.keys.numel():
            super().reorder_cache(beam_idx)

    def crop(self, tokens_to_remove: int) -> None:
        """Not possible: tokens of the prompt may be shared."""
        raise NotImplementedError("A shared prompt cannot be cropped.")


def fork(cache: Any, rows: int = 1) -> Any:
    """Return a cache of `rows` rows that can grow without changing `cache`, which has one.

    Layers of another kind than the plain growing one (sliding windows) are repeated.
    """
    forked = copy.copy(cache)
    forked.layers = [copy.copy(layer) for layer in cache.layers]
    if rows > 1:
        for index, layer in enumerate(forked.layers):
            if _can_share(layer):
                forked.layers[index] = SharedPromptLayer(layer)
            else:
                layer.batch_repeat_interleave(rows)
    return forked


class PrefixCache:
    """Keys and values of a tree of answers to one prompt: prompt and prefixes are held once each.

    Nodes are numbered from 1 in the order in which they are kept; 0 is the prompt.

    Attributes
    ----------
    shares : False if a layer is of another kind than the plain growing one (sliding windows). Then nothing
        is kept, and every prefix has to be read from the prompt on.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self.shares = all(_can_share(layer) for layer in cache.layers)
        #: for each layer keys and values [nodes, heads, width], node 0 left out
        self._kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._places: dict[int, int] = {}

    def fork(self, prefixes: Sequence[Sequence[int]], device: torch.device) -> Any:
        """Return a cache of rows that hold the prompt and their kept nodes, equally many in all rows."""
        if not self.shares:
            return fork(self._cache, len(prefixes))
        forked = copy.copy(self._cache)
        forked.layers = [SharedPromptLayer(layer) for layer in self._cache.layers]
        if prefixes[0]:
            places = torch.tensor([[self._places[node] for node in row] for row in prefixes], device=device)
            for layer, (keys, values) in zip(forked.layers, self._kept, strict=True):
                layer.keys, layer.values = (part[places].transpose(1, 2) for part in (keys, values))
        return forked

    def keep(self, nodes: Sequence[int], cache: Any, places: torch.Tensor) -> None:
        """Keep one token of each row of a fork: token `places` [rows] of the row, as a node each."""
        if not self.shares:
            return
        for node in nodes:
            self._places[node] = len(self._places)
        rows = torch.arange(len(nodes), device=places.device)
        new = [(layer.keys[rows, :, places], layer.values[rows, :, places]) for layer in cache.layers]
        self._kept = (
            [
                (torch.cat([keys, key]), torch.cat([values, value]))
                for (keys, values), (key, value) in zip(self._kept, new, strict=True)
            ]
            if self._kept
            else new
        )


def row_bytes(cache: Any, new_tokens: int) -> int:
    """Bytes that one more row of `new_tokens` tokens needs in a fork of a prompt's cache, at its peak."""
    held, joined = 0.0, 0.0
    for layer in cache.layers:
        prompt = layer.keys.nbytes + layer.values.nbytes
        grown = prompt * (1 + new_tokens / layer.keys.shape[-2])
        held += grown - prompt if _can_share(layer) else grown
        joined = max(joined, grown)
    return round(held + joined)


def _can_share(layer: Any) -> bool:
    return type(layer) is DynamicLayer and layer.is_initialized
