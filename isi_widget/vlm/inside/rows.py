"""Attention of some query rows: their logits, and calls that compute the last rows only.

Not for changing or recording it (see `attention`).
"""

from __future__ import annotations

import torch


def logits(
    query: torch.Tensor,
    key: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    causal: bool,
    rows: range,
    softcap: float | None = None,
) -> torch.Tensor:
    """Attention logits [batch, heads, rows, keys], float32, of some query rows; -inf where a key is hidden.

    Parameters
    ----------
    query, key
        [batch, heads, queries, width] and [batch, key-value heads, keys, width].
    mask
        [batch or 1, heads or 1, queries, keys], boolean (True: visible) or additive; None: all visible, or
        causal.
    scaling
        Of the products; None: width ** -0.5.
    causal
        Whether a query sees no later key, where there is no mask.
    rows
        Which queries.
    softcap
        Largest absolute logit of a model with soft caps.
    """
    batch, heads, queries, width = query.shape
    shared, keys = key.shape[1], key.shape[2]
    # Grouped queries are folded into the row axis, so the keys are never repeated.
    folded = query[:, :, rows.start : rows.stop].reshape(batch, shared, heads // shared * len(rows), width)
    scores = folded.float() @ key.float().transpose(2, 3)
    scores = scores.reshape(batch, heads, len(rows), keys) * (width**-0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if mask is not None:
        visible = mask[:, :, rows.start : rows.stop, :keys]
        if visible.dtype == torch.bool:
            return scores.masked_fill(~visible, float("-inf"))
        # Additive masks hide with the lowest number of their type.
        hidden = visible < torch.finfo(visible.dtype).min / 2
        return (scores + visible.float()).masked_fill(hidden, float("-inf"))
    if causal and queries > 1:
        positions = torch.arange(keys, device=scores.device)
        last_visible = positions[keys - queries :][rows.start : rows.stop, None]
        scores = scores.masked_fill(positions > last_visible, float("-inf"))
    return scores


def last_queries(
    mask: torch.Tensor | None, query: torch.Tensor, key: torch.Tensor, kept: int
) -> torch.Tensor | None:
    """Return the mask of the last queries; None if they see all keys."""
    if mask is not None:
        return mask[:, :, -kept:]
    if kept == 1:
        return None
    queries, keys = query.shape[2], key.shape[2]
    visible = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)
    return visible[None, None, -kept:]


def all_queries(output: torch.Tensor, queries: int) -> torch.Tensor:
    """Return outputs [batch, queries, heads, head_dim] with zeros for the queries that were left out."""
    missing = queries - output.shape[1]
    return output if missing == 0 else torch.nn.functional.pad(output, (0, 0, 0, 0, missing, 0))
