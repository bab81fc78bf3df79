"""Column names that a custom measure cannot take: a table of trials has columns of these names already.

Not for the columns of measures, which follow from the measures (`Measure.row`).
"""

from __future__ import annotations

from isi_widget.setting import settings_of
from isi_widget.trial.settings import Settings

#: Columns of `Trial.to_frame` that belong to the trial itself, its settings left out.
OF_TRIAL = (
    *("created", "stimulus_key", "key", "question", "context", "truth", "image_preset", "context_preset"),
    *("operations", "correct", "truth_holds", "model", "interventions", "notes", "seconds"),
)
#: Beginnings of further names: facts about the model, versions.
BEGINNINGS = ("model_", "version_")
#: Columns that stand beside those of a trial: in comparisons and exports.
BESIDE = ("condition", "trial", "number", "note", "observation")
#: Further columns of the rows of a study and of its tables.
OF_STUDY = (
    *("row", "group", "parameter", "level", "parameters", "index", "semantic_level", "seed", "image"),
    *("stimulus", "answer", "unjudged", "error", "error_type", "answer_probability", "cut", "answers"),
    *("accuracy", "rows", "failed", "observations", "truth_may_change", "baseline", "column"),
)
#: Names with a meaning of their own where measures are named.
WORDS = ("everything",)


def taken(name: str) -> bool:
    """Return whether a column of this name belongs to something else than a measure."""
    fixed = (*OF_TRIAL, *BESIDE, *OF_STUDY, *WORDS, *settings_of(Settings))
    return name in fixed or name.startswith(BEGINNINGS)
