"""Model, settings and record of a trial as rows of names and values, the same in PDF and HTML.

Not for drawing them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from isi_widget.report.entries import Entry
from isi_widget.report.pdf.words import MODEL


def model_rows(entry: Entry) -> list[tuple[str, str, str]]:
    """Return the model and the entailment model: name, value, remark."""
    model, rows = entry.trial.model, []
    for key, value in model.items():
        if value in (None, "", [], {}, ()) and key != "quantization":
            continue
        name = MODEL.get(str(key), str(key))
        rows.append((name, _model_value(str(key), value), ""))
    if entry.view["uncertainty"] is not None:
        judge = entry.view["uncertainty"]["judge"]
        chosen = f" Chosen automatically. {judge['reason']}" if judge["reason"] else ""
        rows.append(("entailment model", f"{judge['label'] or 'not recorded'}.{chosen}", ""))
    return rows


def settings_rows(entry: Entry) -> list[tuple[str, str, str]]:
    """Return every setting: name, value, meaning."""
    return [(name, value, words) for name, value, words in entry.view["settings_in_words"]]


def record_rows(entry: Entry) -> list[tuple[str, str]]:
    """Return date, times, versions and keys: name, value."""
    trial = entry.trial
    seconds = ", ".join(
        f"{name} {value:.3f}" for name, value in trial.seconds.items() if math.isfinite(value)
    )
    versions = ", ".join(f"{name} {version}" for name, version in trial.versions.items())
    rows = [("ended", trial.created), ("seconds", seconds), ("versions", versions)]
    rows.append(("stimulus", trial.stimulus.key))
    if trial.key != trial.stimulus.key:
        rows.append(("stimulus and interventions", trial.key))
    return [row for row in rows if row[1]]


def _model_value(key: str, value: Any) -> str:
    if key == "quantization" and value is None:
        return "none"
    if key == "parameters" and isinstance(value, int):
        return f"{value:,}"
    if key == "history":
        return "; ".join(" \N{RIGHTWARDS ARROW} ".join(map(str, turn)) for turn in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={item!r}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
