"""Contrastive decoding: one prefill made of two, whose logits are contrasted at every step.

The keys and values of the worse input ride in the same cache, as further layers: whatever forks, repeats,
selects or reorders the rows of a cache does it for both inputs alike, and every way of decoding (greedy,
samples, beams, enumeration, forcing) stays as it is. See `isi_widget.interventions.contrastive` for the
formulas; not for making the worse input (see `reading`).
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch

from isi_widget.interventions import ContrastiveDecoding
from isi_widget.vlm.decoding.loop import Prefill
from isi_widget.vlm.inside.attention import unobserved

#: How far the logits of implausible tokens lie below those of all plausible ones: a probability of 0.
BELOW = 1e4
#: Largest weight of a difference of logits: M3ID's grows exponentially with the answer.
_HEAVIEST = 1e9


def contrast(
    logits: torch.Tensor, worse: torch.Tensor, item: ContrastiveDecoding, first: int
) -> torch.Tensor:
    """Return contrasted logits, in the shape of `logits`, float32.

    Parameters
    ----------
    logits, worse
        [..., steps, vocabulary] for the input and for the worse one, after the same answer tokens.
    item
        How they are contrasted.
    first
        Number of answer tokens before the first step.
    """
    logits, worse = logits.float(), worse.float()
    steps = range(first, first + logits.shape[-2])
    weights = torch.tensor([_weight(item, step) for step in steps], device=logits.device)
    made = logits + weights[:, None] * (logits - worse)
    if not item.cut:
        return made
    behind = logits - logits.amax(dim=-1, keepdim=True)
    plausible = behind >= math.log(item.cut)
    lowest = made.masked_fill(~plausible, math.inf).amin(dim=-1, keepdim=True)
    return torch.where(plausible, made, lowest - BELOW + behind)


def _weight(item: ContrastiveDecoding, step: int) -> float:
    """Return the factor of the difference of logits at an answer token, counted from 0."""
    strength = float(item.strength or 0.0)
    if item.by == "vcd":
        return strength
    exponent = strength * step  # (1 - g) / g with g = exp(-exponent)
    return _HEAVIEST if exponent > math.log(_HEAVIEST) else math.expm1(exponent)


def contrasted(prefill: Prefill, worse: Prefill, item: ContrastiveDecoding) -> Prefill:
    """Return a prefill whose logits, now and at every further token, are contrasted.

    Parameters
    ----------
    prefill, worse
        The input and the worse one, read by the same model.
    item
        How they are contrasted.
    """
    layers, length = len(prefill.cache.layers), len(prefill.prompt)

    def resumed(*, input_ids: torch.Tensor, past_key_values: Any, **arguments: Any) -> Any:
        own, other = _parted(past_key_values, layers)
        fed = own.get_seq_length() - length + input_ids.shape[1]
        output = prefill.resume(input_ids=input_ids, past_key_values=own, **arguments)
        with unobserved():
            against = worse.resume(input_ids=input_ids, past_key_values=other, **arguments)
        first = fed - output.logits.shape[1] + 1
        return SimpleNamespace(
            logits=contrast(output.logits, against.logits, item, first), past_key_values=past_key_values
        )

    cache = copy.copy(prefill.cache)
    cache.layers = [*prefill.cache.layers, *worse.cache.layers]
    logits = contrast(prefill.logits[None], worse.logits[None], item, 0)[0]
    return replace(prefill, logits=logits, cache=cache, resume=resumed)


def _parted(cache: Any, layers: int) -> tuple[Any, Any]:
    """Return two views of a joined cache: its first layers, and the others."""
    own, other = copy.copy(cache), copy.copy(cache)
    own.layers, other.layers = cache.layers[:layers], cache.layers[layers:]
    return own, other
