"""A row as it is stored, in words, and how a trial of the same input differs from it.

A row lacks what a probe shows of a trial (tokens, attention by layer and head), so an opened row is run
again; these functions show what was stored, and whether it came out the same. Not for running (`again`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from isi_widget import checks
from isi_widget.readable import shortened
from isi_widget.study.live.columns import columns_of
from isi_widget.study.rows import FIRST, LAST, row_of
from isi_widget.trial import Trial

#: Two numbers agree if they differ by less than this, relative or absolute: a different device or batch may
#: round the last digits differently.
TOLERANCE = 1e-4
#: Columns of a row that a trial of the same input repeats, beside those of measures.
_REPEATED = ("answer", "correct", "answer_probability", "cut")
#: Columns of time.
_TIMES = ("seconds", "created")
_LONGEST = 120


def differences_of(row: Mapping[str, Any], trial: Trial) -> dict[str, tuple[Any, Any]]:
    """Return the columns in which a trial differs from a stored row: {name: (stored, now)}; empty if all
    agree.

    Only what both have is compared: input and times are left out.
    """
    now = row_of(trial)
    inputs = {*FIRST, *LAST, *_TIMES} - {*_REPEATED}
    names = [name for name in now if name in row and name not in inputs]
    pairs = {name: (_plain(row[name]), _plain(now[name])) for name in names}
    return {name: (a, b) for name, (a, b) in pairs.items() if a is not None and not _agree(a, b)}


def stored_words(row: Mapping[str, Any]) -> str:
    """Return what a row stores, on one line: verdict, answer, entropy, shares of attention."""
    if row.get("error"):
        return f"Stored: failed. {_short(row.get('error_type'))}: {_short(row['error'])}"
    correct, answer = _plain(row.get("correct")), row.get("answer")
    verdict = "not judged" if correct is None else "right" if correct else "wrong"
    parts = [] if answer is None else [f"{_short(answer)} ({verdict})"]
    for column in columns_of([name for name in row if _plain(row[name]) is not None]):
        value = _plain(row[column.name])
        if column.name != "correct" and isinstance(value, int | float):
            parts.append(f"{column.label} {value:.3f}{f' {column.unit}' if column.unit else ''}")
    return f"Stored: {'; '.join(parts)}." if parts else ""


def again_words(row: Mapping[str, Any], found: Mapping[str, tuple[Any, Any]]) -> str:
    """Return whether a second run of a row gave what is stored, as a sentence.

    Parameters
    ----------
    row : the stored row.
    found : its `differences_of` the second run.
    """
    if row.get("error"):
        return "Run again with its seed, it does not fail."
    if not found:
        return "Run again with its seed: all stored results agree."
    labels = {column.name: column.label for column in columns_of(list(found))} | {"correct": "right"}
    listed = [
        f"{labels.get(name, name.replace('_', ' '))} {_value(now)} (stored {_value(then)})"
        for name, (then, now) in list(found.items())[:5]
    ]
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"Run again with its seed, it gives other results: {'; '.join(listed)}{more}."


def _plain(value: Any) -> Any:
    return None if value is None or value != value else checks.plain(value)


def _agree(stored: Any, now: Any) -> bool:
    if isinstance(stored, int | float) and isinstance(now, int | float):
        return math.isclose(stored, now, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(stored == now)


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "nothing"}[value]
    return f"{value:.4g}" if isinstance(value, float) else _short(value)


def _short(value: Any) -> str:
    return shortened(" ".join(str(value or "").split()), _LONGEST)
