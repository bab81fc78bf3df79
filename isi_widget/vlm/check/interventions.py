"""Rows of `check_vlm` on interventions: compared with hooks and matrices of plain eager attention.

Not for the rows on a plain model (see `run`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers.integrations.sdpa_attention import repeat_kv

from isi_widget.interventions import (
    AttentionScale,
    ContrastiveDecoding,
    HeadScale,
    Knockout,
    Steer,
    SteeringDirection,
)
from isi_widget.stimulus.effects import GaussianNoise
from isi_widget.vlm.decoding.cache import fork
from isi_widget.vlm.decoding.loop import next_logits
from isi_widget.vlm.inside.attention import implementation
from isi_widget.vlm.inside.hooks import hooked
from isi_widget.vlm.inside.sites import Sites, sites
from isi_widget.vlm.prompts.noisy import Noisy

if TYPE_CHECKING:
    from isi_widget.vlm.model import VLM
    from isi_widget.vlm.plain import Plain
    from isi_widget.vlm.protocol import StimulusLike

_FACTOR = 0.25


def nothing(vlm: VLM, shown: StimulusLike) -> float:
    """Largest difference of logits under interventions that change nothing."""
    edited = vlm.intervene(HeadScale(0, 0, 1.0), AttentionScale("all", 1.0))
    return _largest(_logits(edited, shown) - _logits(vlm, shown))


def head(vlm: VLM, shown: StimulusLike) -> float:
    """Largest difference of logits under a scaled head from those under a hook on `o_proj`."""
    found = sites(vlm.model, vlm.family)
    layer, number = len(found.layers) // 2, found.heads - 1
    with hooked((found.o_proj(layer), "input", _scaling(found, layer, number))):
        expected = _logits(vlm, shown)
    return _largest(_logits(vlm.intervene(HeadScale(layer, number, _FACTOR)), shown) - expected)


def steered(vlm: VLM, shown: StimulusLike) -> float:
    """Largest difference of logits under a steered layer from those under a hook on the layer."""
    found = sites(vlm.model, vlm.family)
    layer = len(found.layers) // 2
    made = SteeringDirection((1.0,) + (0.0,) * (found.hidden_size - 1), layer).random(0)

    def add(_: torch.nn.Module, output: Any) -> Any:
        states = output[0] if isinstance(output, tuple) else output
        moved = (states.float() + torch.from_numpy(made.array).to(states.device)).to(states.dtype)
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    with hooked((found.layers[layer], "output", add)):
        expected = _logits(vlm, shown)
    return _largest(_logits(vlm.intervene(Steer(made)), shown) - expected)


def contrasted(vlm: VLM, shown: StimulusLike, plain: Plain) -> float:
    """Largest difference of logits contrasted with a noisy picture from those of two plain forwards."""
    item = ContrastiveDecoding("vcd", 1.0, cut=0.0)
    noisy = Noisy(shown, GaussianNoise(item.noise or 0.0, item.seed))
    own, worse = (plain.generate(plain.inputs(each), 1)[1][0, 0].cpu() for each in (shown, noisy))
    return _largest(_logits(vlm.intervene(item), shown) - (2 * own - worse))


def knockout(vlm: VLM, shown: StimulusLike) -> float:
    """Largest difference of logits under a knock-out from weights zeroed and renormalised by hand."""
    prompt = vlm.encode(shown)
    last, keys = len(prompt) - 1, list(prompt.indices("question"))
    expected = _by_hand(vlm, lambda: _logits(vlm, shown), [last], keys)
    return _largest(_logits(vlm.intervene(Knockout("last", "question")), shown) - expected)


def answer(vlm: VLM, shown: StimulusLike, tokens: int) -> tuple[float, int]:
    """Largest difference of log-probabilities of an answer under interventions from forcing it step by step
    with a hook; and its number of tokens.
    """
    found = sites(vlm.model, vlm.family)
    layer = len(found.layers) - 1
    given = vlm.intervene(HeadScale(layer, 0, _FACTOR)).answer(shown, tokens, min_new_tokens=1)
    with vlm.lock, hooked((found.o_proj(layer), "input", _scaling(found, layer, 0))):
        expected = _forced(vlm, shown, given.token_ids)
    return _largest(torch.tensor(given.logprobs) - expected), len(given.token_ids)


@torch.no_grad()
def _forced(vlm: VLM, shown: StimulusLike, token_ids: Sequence[int]) -> torch.Tensor:
    """Return the log-probabilities of given answer tokens, one forward pass each."""
    prefill = vlm.prefill(shown, attention=False)
    logits, cache, found = prefill.logits, fork(prefill.cache), []
    for token in token_ids:
        found.append(float(logits.log_softmax(-1)[token]))
        logits = next_logits(prefill, torch.tensor([[token]], device=logits.device), cache)[0]
    return torch.tensor(found)


def _logits(vlm: VLM, shown: StimulusLike) -> torch.Tensor:
    return vlm.prefill(shown, attention=False).logits.cpu()


def _scaling(found: Sites, layer: int, number: int) -> Callable[[torch.nn.Module, Any], Any]:
    width = found.head_dim(layer)

    def scale(_: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
        states = states.clone()
        states[..., number * width : (number + 1) * width] *= _FACTOR
        return states

    return scale


def _by_hand(
    vlm: VLM, read: Callable[[], torch.Tensor], queries: Sequence[int], keys: Sequence[int]
) -> torch.Tensor:
    """Return what `read` does under eager attention whose weights in a cell are zeroed and renormalised."""
    found = sites(vlm.model, vlm.family)
    attentions = [found.attention(layer) for layer in range(len(found.layers))]
    with _eager(vlm, attentions, queries, keys):
        return read()


@contextmanager
def _eager(
    vlm: VLM, attentions: Sequence[torch.nn.Module], queries: Sequence[int], keys: Sequence[int]
) -> Iterator[None]:
    owner: Any = sys.modules[type(attentions[0]).__module__]
    original, ours = owner.eager_attention_forward, set(map(id, attentions))

    def cut(module: Any, query: Any, key: Any, value: Any, mask: Any, **arguments: Any) -> Any:
        output, weights = original(module, query, key, value, mask, **arguments)
        if id(module) not in ours:
            return output, weights
        cell = torch.zeros(weights.shape[2:], dtype=torch.bool, device=weights.device)
        cell[torch.tensor(queries)[:, None], torch.tensor(keys)] = True
        left = weights.float().masked_fill(cell, 0.0)
        total = left.sum(dim=-1, keepdim=True)
        weights = torch.where(total > 0, left / total.clamp(min=1e-30), 0.0).to(value.dtype)
        made = weights @ repeat_kv(value, weights.shape[1] // value.shape[1])
        return made.transpose(1, 2).contiguous(), weights

    config = getattr(vlm.model.config, vlm.family.text_config)
    previous = implementation(vlm.model, vlm.family.text_config)
    owner.eager_attention_forward, config._attn_implementation = cut, "eager"
    try:
        yield
    finally:
        owner.eager_attention_forward, config._attn_implementation = original, previous


def _largest(difference: torch.Tensor) -> float:
    return float(difference.abs().max()) if difference.numel() else 0.0
