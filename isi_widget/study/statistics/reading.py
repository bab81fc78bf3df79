"""`columns_for`: which columns a statistic reads, so that a large store is read only as far as needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isi_widget import checks
from isi_widget.study.statistics.calibration import PROBABILITIES
from isi_widget.study.statistics.ranking import UNCERTAINTIES
from isi_widget.study.statistics.rows import ALL, DOUBTS, MAIN, NEEDED, OF_ROWS, ON_REQUEST
from isi_widget.uncertainty.bootstrap import NAMES

_KEYS = (*NEEDED, "group", "parameter", "level", "parameters", "semantic_level")
_TRUTHS = ("truth", "truth_holds", "answer")
#: Columns that each statistic reads beside those that are named.
FIXED = {
    "table": (*_KEYS, *_TRUTHS, DOUBTS),
    "baselines": (*_KEYS, *_TRUTHS),
    "unjudged": (*_KEYS, "answer", "unjudged"),
    "paired": (*_KEYS, DOUBTS),
    "auroc": (*_KEYS, DOUBTS),
    "risk_coverage": (*_KEYS, DOUBTS),
    "calibration": (*_KEYS, "truth", *PROBABILITIES, "p_no"),
    "curves": (*_KEYS, *_TRUTHS, DOUBTS),
    "modality": (
        *(*_KEYS, *_TRUTHS, "question", "context", "image_preset", "context_preset", "stimulus"),
        *("interventions", "modality_dominance_index"),
        *(f"{kind}_{name}" for kind in ("attention_relative", "tokens") for name in ("image", "context")),
        *("attention_relative_question", "tokens_question"),
    ),
}
#: Statistics that read only a few measures unless others are named.
_FEW = {
    "paired": ("correct",),
    "curves": ("correct",),
    "auroc": UNCERTAINTIES,
    "risk_coverage": UNCERTAINTIES,
}


def columns_for(
    statistic: str, available: Iterable[str], columns: Sequence[str] | str | None = None
) -> list[str]:
    """Return the columns that a statistic reads.

    Parameters
    ----------
    statistic : name of the function, such as "table" or "paired".
    available : the columns of the store.
    columns : the measures that it is called with; None (default) for its default.
    """
    checks.one_of(statistic, "columns_for: statistic", tuple(FIXED))
    wanted = list(FIXED[statistic])
    names = list(available)
    if columns is not None and columns != ALL:
        wanted += [columns] if isinstance(columns, str) else list(columns)
    elif statistic not in ("baselines", "unjudged", "calibration", "modality"):
        measures = [name for name in names if name not in OF_ROWS and not name.startswith("tokens_")]
        if columns is None and statistic in _FEW:
            usual = _FEW[statistic] if statistic not in ("paired", "curves") else MAIN
            own = [name for name in measures if name in usual]
            measures = own or measures
        elif columns is None:
            measures = [name for name in measures if name in NAMES or name not in ON_REQUEST]
        wanted += measures
    have = set(names)
    return [name for name in dict.fromkeys(wanted) if name in have]
