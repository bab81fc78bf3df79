"""What averages keep of a study with one model, one condition and one seed. Not for running it (`run`)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.readable import counted
from isi_widget.segments import GROUPS as SEGMENTS
from isi_widget.study.averages_row import Row, Skipped, rounded
from isi_widget.study.memory import Memory
from isi_widget.study.rows import NO_TRUTH
from isi_widget.study.store import Store
from isi_widget.trial.settings import Settings
from isi_widget.uncertainty.bootstrap import NAMES

#: Name of the condition of a run without any.
UNCHANGED = "unchanged"
_LONGEST_REASON = 1000
_NUMBERS = ("answer_probability", *NAMES, "clusters", *(f"attention_{name}" for name in SEGMENTS))
_UNJUDGED = "Some answers could not be judged by their truth; see `Trial.judgement`."
_ORIGINAL = (
    "Of pictures whose edits may change the true answer, a right answer is one that agrees with the truth of "
    "the original picture."
)


def parts_of(store: Store | Memory, *, finished: bool = False) -> dict[str, Any]:
    """Return the arguments of `Averages` for the rows of a study.

    Parameters
    ----------
    store : rows of a study with one model, one condition and one seed.
    finished : whether to refuse an unfinished study; default False.

    Raises
    ------
    InputError
        The study has several of them, is unfinished, or has no row that worked.
    """
    header = store.header
    if not header:
        raise InputError(f"There is no study in {str(store.path)!r}: it has no file study.json.")
    with records.damaged("averages"):
        models, size, conditions, seeds = header["shapes"][-1]
        if (models, conditions, seeds) != (1, 1, 1):
            raise InputError(
                f"Averages are of one model, one condition and one seed; this study has {models}, "
                f"{conditions} and {seeds}. Read it with isi.open_study."
            )
        rows = _rows(store)
        if finished and len(rows) != size:
            raise InputError(
                f"These averages are of an unfinished run: {len(rows)} of {counted(size, 'observation')}. "
                "Finish it with isi.averages(..., store=...) and the same folder."
            )
        worked = [row for row in rows if row["error"] is None]
        skipped = tuple(
            Skipped(int(row["index"]), str(row["observation"]), str(row["error"])[:_LONGEST_REASON])
            for row in rows
            if row["error"] is not None
        )
        data = str(header["data"]["name"])
        if not worked:
            why = f" {skipped[0]}" if skipped else ""
            raise InputError(f"None of the {size} observations of {data} could be run.{why}")
        ((_, model),) = header["models"].items()
        condition = str(header["conditions"][0]["name"])
        return {
            "model": model["identity"],
            "settings": Settings.from_dict(header["settings"]),
            "data": data,
            "rows": tuple(map(_row, worked)),
            "condition": "" if condition == UNCHANGED else condition,
            "entailment": str(model["entailment"]),
            "notes": _notes(worked),
            "versions": dict(header["versions"]),
            "created": max(str(row["created"]) for row in worked),
            "skipped": skipped,
        }


def _rows(store: Store | Memory) -> list[dict[str, Any]]:
    names = [
        *("row", "observation", "index", "semantic_level", "stimulus_key", "truth", "truth_holds", "correct"),
        *("unjudged", "error", "answer_tokens", "cut", "answers", "notes", "entailment_doubts", "created"),
        *_NUMBERS,
    ]
    found: list[dict[str, Any]] = store.table(names).to_pylist()
    return found


def _row(row: Mapping[str, Any]) -> Row:
    tokens = [row.get("answer_tokens") or 0, *(item["tokens"] for item in row.get("answers") or ())]
    return Row(
        id=str(row["observation"]),
        level=row["semantic_level"],
        stimulus=hashlib.sha256(f"{row['stimulus_key']} {row['truth']}".encode()).hexdigest()[:16],
        correct=row["correct"],
        tokens=int(max(tokens)),
        cut=int(row["cut"] or 0),
        **{name: rounded(math.nan if row.get(name) is None else row[name]) for name in _NUMBERS},
    )


def _notes(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return each note once, in the order of the rows."""
    found: list[str] = []
    for row in rows:
        found += row.get("notes") or ()
        if row["unjudged"] not in (None, NO_TRUTH):
            found.append(_UNJUDGED)
        if row["correct"] is not None and row["truth_holds"] is None:
            found.append(_ORIGINAL)
        found += filter(None, [row.get("entailment_doubts")])
    return tuple(dict.fromkeys(found))
