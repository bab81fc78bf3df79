"""The name of a model beside a result, from `VLM.info()` as a trial keeps it. Not for conditions
(`isi_widget.stimulus.labels`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isi_widget.interventions import from_dicts, summary
from isi_widget.readable import counted


def model_label(info: Mapping[str, Any]) -> str:
    """Return the name of a model for display, with everything that distinguishes it: quantisation, adapter,
    prompts.
    """
    given = info.get("processor_args")
    arguments = [f"{name} {value}" for name, value in given.items()] if isinstance(given, Mapping) else []
    turns = len(info.get("history") or ())
    parts = [
        *([f"+ {_tail(info['adapter'])}"] if info.get("adapter") else []),
        *arguments,
        *(["system prompt"] if info.get("system") else []),
        *([counted(turns, "earlier turn")] if turns else []),
        summary(from_dicts(info.get("interventions", ()))),
    ]
    name = " ".join(str(info[key]) for key in ("name", "quantization") if info.get(key))
    return ", ".join(filter(None, [name, *parts])).replace(", + ", " + ")


def plain_label(info: Mapping[str, Any]) -> str:
    """Return the name of a model without the interventions that it was seen with."""
    return model_label({**info, "interventions": ()})


def before_lines(info: Mapping[str, Any]) -> list[str]:
    """Return the texts before every question, one line each: the system prompt and the earlier turns."""
    system = [f"system prompt: {info['system']}"] if info.get("system") else []
    turns = [f"earlier turn: {' | '.join(map(str, turn))}" for turn in info.get("history") or ()]
    return [*system, *turns]


def intervention_lines(info: Mapping[str, Any]) -> list[str]:
    """Return the interventions of a model, one line each."""
    return [item.label for item in from_dicts(info.get("interventions", ()))]


def other_interventions(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return how the interventions of a trial's model differ from a loaded one's; "" for equal ones."""
    before, after = (from_dicts(info.get("interventions", ())) for info in (was, now))
    if before == after:
        return ""
    if summary(before) == summary(after):
        return (
            f"with {', '.join(item.label for item in before)}, not {', '.join(item.label for item in after)}"
        )
    return f"with {summary(before) or 'no interventions'}, not with {summary(after) or 'none'}"


def _tail(name: object) -> str:
    """Return the last part of a folder, or of a hub name without its commit."""
    return str(name).rstrip("/").rpartition("/")[2].partition("@")[0]
