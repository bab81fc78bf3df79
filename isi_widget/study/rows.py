"""The rows of a study: their columns with types, and the row of a trial or of a failure, as plain dicts.

The columns are those of docs/studies.md. Not for storing them (`store`), nor for running (`work`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from isi_widget import checks
from isi_widget.interventions import to_dicts
from isi_widget.stimulus import Stimulus
from isi_widget.trial import Trial
from isi_widget.trial.measures import OWN, Measure, find_measure
from isi_widget.trial.unread import Unread

#: Columns that every row has, before those of the measures: {name: type}.
FIRST: Mapping[str, str] = {
    "row": "int64",
    "model": "str",
    "condition": "str",
    "group": "str",
    "parameter": "str",
    "level": "float64",
    "parameters": "str",
    "observation": "str",
    "index": "int64",
    "semantic_level": "str",
    "seed": "int64",
    "question": "str",
    "context": "str",
    "image": "str",
    "image_preset": "str",
    "context_preset": "str",
    "stimulus": "str",
    "stimulus_key": "str",
    "interventions": "str",
    "truth": "str",
    "truth_holds": "bool",
    "answer": "str",
    "correct": "bool",
    "unjudged": "str",
    "error": "str",
    "error_type": "str",
    "answer_probability": "float64",
    "cut": "int64",
}
#: Columns after those of the measures.
LAST: Mapping[str, str] = {
    "answers": "answers",
    "notes": "texts",
    "seconds": "float64",
    "created": "str",
}
#: Columns with lists, which are read only if requested.
NESTED = ("answers", "notes")
_LONGEST = 2000  # characters of the message of an error
NO_TRUTH = "Not judged: no true answer is known for this input."


def columns_of(measures: Iterable[Measure]) -> dict[str, str]:
    """Return the columns of the rows of a run by name with their types, as far as known before it.

    A measure that is not of this package may add columns of numbers or texts while it runs.
    """
    found: dict[str, str] = {}
    for measure in measures:
        for name, value in measure.row(None).items():
            found[name] = "int64" if name.startswith("tokens_") else "str" if value is None else "float64"
    measured = {name: kind for name, kind in found.items() if name not in FIRST}
    return {**FIRST, **measured, **LAST}


def type_of(value: Any) -> str:
    """Return the type of a value of a column that was not known before the run."""
    return "float64" if value is None or isinstance(value, bool | int | float) else "str"


def row_of(trial: Trial) -> dict[str, Any]:
    """Return what a trial adds to its row; missing values are None."""
    answer, uncertainty = trial.answer, trial.uncertainty
    row = input_of(trial.stimulus)
    for name, record in trial.results.items():
        measure = find_measure(name)
        if measure is not None and not isinstance(record, Unread):
            row |= {key: plain(value) for key, value in measure.row(record).items()}
    sampled = () if uncertainty is None else uncertainty.answers
    every = [*(() if answer is None else (answer,)), *sampled]
    judgement = trial.judgement
    unjudged = answer is not None and judgement.correct is None
    reason = (judgement.reason or NO_TRUTH) if unjudged else ""
    return row | {
        "answer": None if answer is None else answer.text,
        "answer_probability": plain(math.exp(answer.log_likelihood)) if answer and answer.tokens else None,
        "cut": sum(not item.finished for item in every) if every else None,
        "correct": judgement.correct,
        "unjudged": reason or None,
        "error": None,
        "error_type": None,
        "answers": _answers(trial),
        "notes": list(trial.notes),
        "seconds": plain(trial.seconds.get("total", math.nan)),
        "created": trial.created,
    }


def input_of(stimulus: Stimulus) -> dict[str, Any]:
    """Return the columns that describe the input."""
    operations = [operation.to_dict() for operation in stimulus.operations]
    return {
        "question": stimulus.current_question,
        "context": stimulus.current_context,
        "image": stimulus.image.sha256,
        "image_preset": stimulus.image_preset,
        "context_preset": stimulus.context_preset,
        "stimulus": json.dumps(operations, ensure_ascii=False),
        "stimulus_key": stimulus.key,
        "truth": stimulus.truth,
        "truth_holds": stimulus.truth_holds,
    }


def interventions_of(interventions: Iterable[Any]) -> str:
    """Return interventions as the text of their column."""
    return json.dumps(to_dicts(list(interventions)), ensure_ascii=False)


def failure_of(error: BaseException) -> dict[str, Any]:
    """Return the columns of an error."""
    text = "\n".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])
    return {"error": text[:_LONGEST], "error_type": type(error).__name__}


def plain(value: Any) -> Any:
    """Return a value of a measure as a number, a text or a truth value of Python; None where missing."""
    value = checks.plain(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _answers(trial: Trial) -> list[dict[str, Any]]:
    uncertainty = trial.uncertainty
    if uncertainty is None:
        return []
    return [
        {
            "text": answer.text,
            "cluster": int(cluster),
            "log_likelihood": plain(answer.log_likelihood),
            "tokens": len(answer.token_ids),
        }
        for answer, cluster in zip(uncertainty.answers, uncertainty.cluster_ids, strict=True)
    ]


def is_own(measure: Measure) -> bool:
    """Return whether a measure is one of this package."""
    return measure in OWN
