"""How estimated effects of heads agree with exact ones, on all heads or on some of them.

Not for measuring either (`measuring_heads`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from isi_widget.mechanism.head_methods import Floats, rank_correlation


def compared(estimate: Floats, count: int | None, seed: int) -> list[tuple[int, int]] | None:
    """Return (layer, head) of the heads to compare: half with the largest estimate, half drawn at random.

    Parameters
    ----------
    estimate
        Effects [layers, heads].
    count
        Number of heads; None: all.
    seed
        Seed of the draw.
    """
    if count is None or count >= estimate.size:
        return None
    order = np.argsort(-np.abs(estimate), axis=None, kind="stable")
    largest = count - count // 2
    drawn = np.random.default_rng([seed, 2]).choice(order[largest:], count // 2, replace=False)
    return [divmod(int(place), estimate.shape[1]) for place in (*order[:largest], *drawn)]


def agreement(
    estimate: Floats, exact: Floats, k: int, screened: npt.NDArray[np.bool_] | None = None
) -> dict[str, float | None]:
    """Return rank correlation (None: all are equal), largest difference, and recall of the largest heads.

    Parameters
    ----------
    estimate
        Effects [layers, heads].
    exact
        The same; NaN for heads that are not compared.
    k
        Number of heads of the recall; at most half of the compared ones, unless all are.
    screened
        Heads that a screening chose, bool [layers, heads]; default: the k largest of the estimate.
    """
    known = np.isfinite(exact).ravel()
    flat, truth = estimate.ravel()[known], exact.ravel()[known]
    k = min(k, len(truth) if known.all() else len(truth) // 2)

    def top(values: Floats) -> set[int]:
        return set(np.argsort(-values, kind="stable")[:k].tolist())

    among = top(flat) if screened is None else set(np.flatnonzero(screened.ravel()[known]).tolist())
    rank = rank_correlation(flat, truth)
    return {
        "rank_correlation": rank if np.isfinite(rank) else None,
        "recall": len(top(truth) & among) / k,
        "k": float(k),
        "heads": float(len(truth)),
        "largest_difference": float(np.abs(flat - truth).max()),
    }
