"""A trial as plain JSON for the page (`trial_view`) and as one row of a table (`trial_row`).

The page and the reports draw these values and compute nothing themselves. Each measure provides its own part.
Not for pictures: the page gets them as separate bytes.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from isi_widget.interventions import summary, to_dicts
from isi_widget.setting import settings_of
from isi_widget.trial.labels import before_lines, intervention_lines, model_label
from isi_widget.trial.measures import OWN, Measure, find_measure, measures
from isi_widget.trial.settings import Settings
from isi_widget.trial.unread import Unread

if TYPE_CHECKING:
    from isi_widget.trial.record import Trial


def trial_view(trial: Trial, *, details: bool = False, code: str | None = None) -> dict[str, Any]:
    """Return the trial as JSON for drawing; see `Trial.view`.

    `json.dumps(..., allow_nan=False)` takes it: numbers that are not finite are null. A measure with its own
    panel is under its name (null if it was not run); "measures" lists the others as {"name", "title", "help",
    "columns"}, whose columns are those of `Measure.columns`.
    """
    view = {
        "question": trial.stimulus.current_question,
        "context": trial.stimulus.current_context,
        "image_preset": trial.stimulus.image_preset,
        "context_preset": trial.stimulus.context_preset,
        "truth": trial.stimulus.truth,
        "truth_holds": trial.stimulus.truth_holds,
        "operations": [operation.to_dict() for operation in trial.stimulus.operations],
        "model": model_label(trial.model),
        "interventions": summary(trial.interventions),
        "intervention_lines": intervention_lines(trial.model),
        "settings": _settings(trial.settings),
        "seconds": dict(trial.seconds),
        "created": trial.created,
        "code": trial.code() if code is None else code,
        "notes": _notes(trial),
    }
    for measure in OWN:
        if measure.has_panel:
            record = trial.results.get(measure.name)
            view[measure.name] = None if record is None else measure.view(record, trial, details)
    view["measures"] = [_generic(measure, trial.results[measure.name]) for measure in _without_panel(trial)]
    return view | _details(trial) if details else view


def _settings(settings: Settings) -> dict[str, Any]:
    """Return the settings by name; those of single measures as "name of the measure, name"."""
    shown = settings.to_dict()
    own = shown.pop("of_measures", {})
    return shown | {
        f"{measure}, {name}": value for measure, given in own.items() for name, value in given.items()
    }


def _without_panel(trial: Trial) -> list[Measure]:
    """Return the measures of a trial that are drawn from their columns."""
    found = []
    for name, record in trial.results.items():
        measure = find_measure(name)
        if measure is None or isinstance(record, Unread) or measure.has_panel:
            continue
        if measure.panel_of not in trial.results:
            found.append(measure)
    return found


def _generic(measure: Measure, record: Any) -> dict[str, Any]:
    return {
        "name": measure.name,
        "title": measure.title,
        "help": measure.help,
        "columns": measure.columns(record),
    }


def _details(trial: Trial) -> dict[str, Any]:
    """Return the additional parts of reports: settings in words, the model, and definitions of the terms."""
    named = settings_of(Settings)
    settings = [["measures", ", ".join(trial.settings.measures), ""]]
    settings += [[name, str(getattr(trial.settings, name)), made.summary] for name, made in named.items()]
    settings += [
        [name, str(dict(own)), "Settings of its own."] for name, own in trial.settings.of_measures.items()
    ]
    known = [(measure, trial.results.get(measure.name)) for measure in measures().values()]
    return {
        "settings_in_words": settings,
        "before": before_lines(trial.model),
        "definitions": [
            list(line) for measure, record in known if record is not None for line in measure.definitions()
        ],
    }


def _notes(trial: Trial) -> list[str]:
    """Return notes on values that could not be measured, judged or read."""
    notes = [*trial.notes, *filter(None, [trial.judgement.reason])]
    for name, record in trial.results.items():
        if isinstance(record, Unread) or find_measure(name) is None:
            notes.append(
                f"The measure {name!r} is not known here: its record is kept as it is, and not shown. Make "
                "it known with isi.register_measure and read the trial again."
            )
    return notes


def trial_row(trial: Trial) -> dict[str, Any]:
    """Return the trial as one flat row: tidy names; numbers that were not measured are NaN, texts None."""
    stimulus, settings, model = trial.stimulus, trial.settings, trial.model
    operations = [operation.to_dict() for operation in stimulus.operations]
    row: dict[str, Any] = {
        "created": trial.created,
        "stimulus_key": stimulus.key,
        "key": trial.key,
        "question": stimulus.current_question,
        "context": stimulus.current_context,
        "truth": stimulus.truth,
        "image_preset": stimulus.image_preset,
        "context_preset": stimulus.context_preset,
        "operations": json.dumps(operations, ensure_ascii=False),
        "correct": trial.correct,
        "truth_holds": stimulus.truth_holds,
    }
    for name, measure in measures().items():
        record = trial.results.get(name)
        if not isinstance(record, Unread) and (measure in OWN or record is not None):
            row |= measure.row(record)
    for name in ("name", "family", "parameters", "device", "dtype", "quantization", "revision"):
        row["model" if name == "name" else f"model_{name}"] = model.get(name)
    row["model_adapter"], row["model_system"] = model.get("adapter"), model.get("system")
    changed = to_dicts(trial.interventions)
    row["interventions"] = json.dumps(changed, ensure_ascii=False) if changed else None
    for name in ("history", "processor_args"):
        row[f"model_{name}"] = json.dumps(model[name], ensure_ascii=False) if model.get(name) else None
    row |= {name: getattr(settings, name) for name in settings_of(Settings)}
    row["notes"] = " ".join(_notes(trial))
    row["seconds"] = trial.seconds.get("total", math.nan)
    row |= {f"version_{name}": version for name, version in trial.versions.items()}
    return row
