"""Phrases that several reports share. Not for definitions: those belong to the measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def doubts_of(views: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the reasons why the clusters of some trials are unreliable, each once."""
    judges = [view["uncertainty"]["judge"] for view in views if view["uncertainty"]]
    return list(dict.fromkeys(doubt for judge in judges for doubt in judge["doubts"]))


def how_many(cluster: Mapping[str, Any], samples: int) -> str:
    """Return the number of samples in a cluster; "" for enumerated answers."""
    return "" if cluster["count"] is None else f"{cluster['count']} of {samples}"


def how_often(answer: Mapping[str, Any]) -> str:
    """Return how often a wording was sampled, or its exact probability."""
    if answer["count"] is None:
        return f"{answer['probability']:.3f}"
    return f"{answer['count']} \N{MULTIPLICATION SIGN}"


def number_of(column: Mapping[str, Any]) -> str:
    """Return the value of a column with its interval and unit, as text."""
    low_high = column["interval"]
    interval = "" if low_high is None else f" [{low_high[0]:.3f}, {low_high[1]:.3f}]"
    unit = f" {column['unit']}" if column["unit"] and column["value"] is not None else ""
    return f"{column['text']}{interval}{unit}"


def is_bar(column: Mapping[str, Any]) -> bool:
    """Return whether a column has a bar."""
    value = column["value"]
    return column["scale"] is not None and isinstance(value, int | float) and not isinstance(value, bool)
