"""The key-value cache of one prompt, shared by all answers to it.

The prompt's keys and values are held once, whatever the number of answers; only the answers' own tokens are
held per answer. transformers' own way (`batch_repeat_interleave`) holds the prompt once per answer, which for
an image of many tokens is nearly all of the memory. Not for decoding (see `decoding.py`).
"""

from __future__ import annotations

import copy
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
        """The rows in another order."""
        if self.keys.numel():
            super().reorder_cache(beam_idx)

    def crop(self, tokens_to_remove: int) -> None:
        """Not possible: tokens of the prompt may be shared."""
        raise NotImplementedError("A shared prompt cannot be cropped.")


def fork(cache: Any, rows: int = 1) -> Any:
    """A cache of `rows` rows that can grow without changing `cache`, which has one.

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
