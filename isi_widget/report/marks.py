"""From when on two trials differ: the rules by which comparisons mark differences, in every form of a report.

So that differences are seen, not tested. Not for texts, which differ if they are not equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: A probability, or a share of attention, that differs by at least this much is marked.
SHARE_DIFFERENCE = 0.05


def shares_apart(now: float | None, was: float | None) -> bool:
    """Return whether two shares or probabilities differ enough."""
    return now is not None and was is not None and abs(now - was) >= SHARE_DIFFERENCE


def yes_no_apart(now: Mapping[str, float] | None, was: Mapping[str, float] | None) -> bool:
    """Return whether the probabilities of yes or of no differ enough."""
    return bool(now and was) and any(shares_apart(now[name], was[name]) for name in ("yes", "no"))  # type: ignore[index]


def entropies_apart(own: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether the intervals of two entropies of `Trial.view` do not overlap."""
    ends = (own["low"], own["high"], other["low"], other["high"])
    return None not in ends and bool(own["low"] > other["high"] or own["high"] < other["low"])
