"""Facts about the trials of a report that PDF and HTML write alike: what it is made of, and of which data.

Not for drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from isi_widget.report.entries import UNDATED, Entry, Group

_TIMES = "\N{MULTIPLICATION SIGN}"


def byline(entries: Sequence[Entry]) -> str:
    """Return models and days of the trials, as one line."""
    models = dict.fromkeys(str(entry.trial.model.get("name", "")) for entry in entries)
    days = sorted({entry.date.date().isoformat() for entry in entries if entry.date != UNDATED})
    when = [f"{' to '.join(dict.fromkeys((days[0], days[-1])))} (UTC)."] if days else []
    return " ".join(["Report of isi_widget. Model:", f"{', '.join(models)}.", *when])


def data_rows(group: Group) -> list[tuple[str, str]]:
    """Return the facts about the observation of a group: names and values."""
    stimulus = group.baseline.trial.stimulus
    width, height = stimulus.image.width, stimulus.image.height
    presets = stimulus.presets
    rows = [
        ("picture", f"{width} {_TIMES} {height} px, SHA-256 {stimulus.image.sha256[:16]}"),
        ("question", stimulus.question),
        ("context", stimulus.context.strip() and stimulus.context),
        ("true answer", "not known" if stimulus.true_answer is None else stimulus.true_answer),
        ("presets", ", ".join([*presets.images, *presets.contexts])),
        ("trials", ", ".join(str(entry.number) for entry in group.entries)),
        ("compared with", f"trial {group.baseline.number} ({group.baseline.label})"),
    ]
    return [(name, value) for name, value in rows if value]


def same_model(entries: Sequence[Entry]) -> bool:
    """Return whether all trials have the same model and the same entailment model."""
    return _all_equal(_model, entries)


def same_settings(entries: Sequence[Entry]) -> bool:
    """Return whether all trials have the same settings."""
    return _all_equal(lambda entry: entry.view["settings"], entries)


def _model(entry: Entry) -> Any:
    judged = entry.view["uncertainty"]
    return dict(entry.trial.model), None if judged is None else judged["judge"]["label"]


def _all_equal(part: Callable[[Entry], Any], entries: Sequence[Entry]) -> bool:
    return all(part(entry) == part(entries[0]) for entry in entries)
