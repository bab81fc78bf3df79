"""Interventions done by hand on plain transformers: what the door to the inside is compared with.

Eager attention alone; the functions of the modelling files are replaced, weights are changed as matrices, and
nothing is taken from `isi_widget.vlm.inside` (`record`, which tests its recorders alone, apart).
"""

from __future__ import annotations

import sys
from contextlib import contextmanager

import torch

from isi_widget.vlm.inside.attention import logits


def is_decoder_attention(module):
    """Whether a module is an attention of the language model."""
    return hasattr(module, "layer_idx") and hasattr(module, "o_proj") and module.layer_idx is not None


def attentions(vlm):
    """The attention modules of the language model, by layer."""
    found = {m.layer_idx: m for m in vlm.family.decoder(vlm.model).modules() if is_decoder_attention(m)}
    return [found[layer] for layer in sorted(found)]


@contextmanager
def eager(vlm, change=None, log=None):
    """Plain eager attention, with `change(layer, weights)` applied to the weights of each layer, and the
    attention output made of them again. `log` collects (layer, weights).
    """
    owner = sys.modules[type(attentions(vlm)[0]).__module__]
    original, ours = owner.eager_attention_forward, set(map(id, attentions(vlm)))

    def by_hand(module, query, key, value, attention_mask, **kwargs):
        output, weights = original(module, query, key, value, attention_mask, **kwargs)
        if id(module) not in ours:
            return output, weights
        if change is not None:
            weights = change(module.layer_idx, weights.clone())
            repeated = value.repeat_interleave(weights.shape[1] // value.shape[1], dim=1)
            output = (weights.to(value.dtype) @ repeated).transpose(1, 2).contiguous()
        if log is not None:
            log.append((module.layer_idx, weights))
        return output, weights

    text = vlm.model.config.text_config
    previous = text._attn_implementation
    owner.eager_attention_forward = by_hand
    text._attn_implementation = "eager"
    try:
        yield
    finally:
        owner.eager_attention_forward = original
        text._attn_implementation = previous


def cut(weights, queries, keys, heads=slice(None)):
    """Zero the weights of a cell and renormalise; positions are those of the matrix."""
    cell = torch.zeros(weights.shape[2:], dtype=torch.bool)
    cell[torch.tensor(queries)[:, None], torch.tensor(keys)[None]] = True
    part = weights[:, heads].masked_fill(cell, 0.0)
    total = part.sum(-1, keepdim=True)
    weights[:, heads] = torch.where(total > 0, part / total.clamp(min=1e-30), 0.0)
    return weights


def record(recorder, layer, query, key, mask=None, scaling=None):
    """Let a recorder see one layer, as the twin of the attention function does."""
    recorder.record(
        layer,
        query.shape[2],
        lambda rows: logits(query, key, mask, scaling, True, rows)[0].softmax(dim=-1),
    )


@contextmanager
def scores(vlm):
    """Yield {layer: attention logits [batch, heads, queries, keys]} of the eager forwards run within it."""
    found = {}

    def note(module, query, key, scaling, softcap=None, **_):
        repeated = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        logits = query @ repeated.transpose(2, 3) * scaling
        found[module.layer_idx] = torch.tanh(logits / softcap) * softcap if softcap else logits

    owner = sys.modules[type(attentions(vlm)[0]).__module__]
    original, ours = owner.eager_attention_forward, set(map(id, attentions(vlm)))

    def noting(module, query, key, value, attention_mask, **kwargs):
        if id(module) in ours:
            note(module, query, key, **kwargs)
        return original(module, query, key, value, attention_mask, **kwargs)

    owner.eager_attention_forward = noting
    try:
        yield found
    finally:
        owner.eager_attention_forward = original
