"""The rows of a study, a page at a time: filtered and sorted here, so that a browser never has more than one
page.

Texts that repeat are kept once (categories), and an order is computed once for each filter and sorting: a
million rows take about 1.5 s to index and 114 MB, and a turn of the page 20 ms. Not for what is open in a
probe (`view`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.study.live.columns import columns_of
from isi_widget.study.statistics.rows import DOUBTS
from isi_widget.widget.study.query import VERDICTS, Query

if TYPE_CHECKING:
    import pandas as pd

#: Rows of a page.
SIZE = 20
#: Columns of the rows that are read, beside those of measures.
_TEXTS = (
    *("model", "condition", "observation", "question", "answer", "truth"),
    *("error", "error_type", "unjudged"),
)
_NUMBERS = ("row", "seed", "index")
#: Columns by which a page may sort, beside those of measures.
_SORTED = ("row", "model", "condition", "observation", "seed", "answer", "truth")
#: Longest text in a cell.
_LONGEST = 300

Ints = npt.NDArray[np.int64]


class Pages:
    """Pages of the rows that a frame had when it was read.

    Parameters
    ----------
    frame : rows of a study with the columns of `needed`, as far as the study has them.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.size = len(frame)
        measured = columns_of([str(name) for name in frame if frame[name].notna().any()])
        self.columns = tuple(column for column in measured if column.name != "correct")  # a mark shows it
        self._texts = {name: frame[name].astype("category") for name in _TEXTS if name in frame}
        self._verdicts = _verdicts(frame)
        self._doubtful = _doubtful(frame)
        self._frame = frame.drop(columns=[*self._texts, DOUBTS], errors="ignore")
        self._found: tuple[Query, Ints] | None = None

    @staticmethod
    def needed(columns: Sequence[str]) -> list[str]:
        """Return the names of the columns to read, out of those of a study."""
        measures = [column.name for column in columns_of(columns)]
        return [name for name in (*_NUMBERS, *_TEXTS, DOUBTS, *measures) if name in columns]

    def page(self, query: Query) -> dict[str, Any]:
        """Return one page, JSON-ready.

        A page beyond the last one is the last one. Raises `InputError` for a column that cannot be sorted by.
        """
        base = self._base(query)
        order = self._order(query, base)
        last = max(0, (len(order) - 1) // SIZE * SIZE)
        start = min(query.start, last)
        found = order[start : start + SIZE]
        kinds = np.bincount(self._verdicts[base], minlength=len(VERDICTS))
        counts = {name: int(kinds[at]) for at, name in enumerate(VERDICTS)}
        return {
            "query": query.to_dict(),
            "rows": [self._row(int(place)) for place in found],
            "columns": [asdict(column) for column in self.columns],
            "total": len(order),
            "counts": {**counts, "all": int(base.sum())},
            "size": SIZE,
            "start": start,
        }

    def _base(self, query: Query) -> npt.NDArray[np.bool_]:
        """Return which rows are of the model and the condition, bool [rows]."""
        found = np.ones(self.size, dtype=np.bool_)
        for name, wanted in (("model", query.model), ("condition", query.condition)):
            if wanted:
                found &= (self._texts[name] == wanted).to_numpy()
        return found

    def _order(self, query: Query, base: npt.NDArray[np.bool_]) -> Ints:
        """Return the places of all rows of a query, in their order."""
        whole = replace(query, start=0)
        if self._found is None or self._found[0] != whole:
            if query.verdict != "all":
                base = base & (self._verdicts == VERDICTS.index(query.verdict))
            places = np.flatnonzero(base)
            keys = self._keys(query.sort)[places]
            order = np.argsort(-keys if query.descending else keys, kind="stable")
            self._found = whole, places[order]
        return self._found[1]

    def _keys(self, name: str) -> npt.NDArray[np.float64]:
        """Return what rows are sorted by; NaN, which comes last, where a row has no value."""
        if name in self._texts and name in _SORTED:
            codes = self._texts[name].cat.codes.to_numpy().astype(np.float64)  # categories are sorted
            return np.where(codes < 0, np.nan, codes)
        if name in (*_SORTED, *(column.name for column in self.columns)) and name in self._frame:
            return self._frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        raise InputError(f"Rows cannot be sorted by {name!r:.60}.")

    def _row(self, place: int) -> dict[str, Any]:
        frame, verdict = self._frame, VERDICTS[self._verdicts[place]]
        texts = {name: _text(column.iat[place]) for name, column in self._texts.items()}
        error, kind = texts.pop("error", ""), texts.pop("error_type", "")
        unjudged = texts.pop("unjudged", "")
        return {
            **texts,
            "row": _whole(frame["row"].iat[place]),
            "seed": _whole(frame["seed"].iat[place]) if "seed" in frame else 0,
            "verdict": verdict,
            "reason": f"{kind}: {error}" if verdict == "failed" else unjudged,
            "doubt": "" if self._doubtful is None else _text(self._doubtful.iat[place]),
            "values": [_number(frame[column.name].iat[place]) for column in self.columns],
        }


class Reader:
    """Reads the pages of a study, again only if it has more rows.

    Parameters
    ----------
    columns : returns the names of the study's columns.
    read : reads some columns of the finished rows.
    """

    def __init__(
        self, columns: Callable[[], Sequence[str]], read: Callable[[Sequence[str]], pd.DataFrame]
    ) -> None:
        self._columns, self._read = columns, read
        self._pages: Pages | None = None
        self._version: object = None

    def pages(self, version: object) -> Pages:
        """Return the pages of the rows at a version: a value that changes with the rows."""
        if self._pages is None or version != self._version:
            self._pages = Pages(self._read(Pages.needed(self._columns())))
            self._version = version
        return self._pages

    @property
    def last(self) -> Pages | None:
        """The pages that were read last."""
        return self._pages


def _verdicts(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the place in `VERDICTS` of each row."""
    correct = frame["correct"].to_numpy(dtype=np.float64, na_value=np.nan)
    found = np.where(np.isnan(correct), 3, np.where(correct > 0, 1, 2))
    return np.where(frame["error"].notna().to_numpy(), 4, found).astype(np.int64)


def _doubtful(frame: pd.DataFrame) -> pd.Series[Any] | None:
    """Return why the entropies of each row are doubtful; None if none is. Texts are kept once."""
    if DOUBTS not in frame or not (frame[DOUBTS].fillna("") != "").any():
        return None
    return frame[DOUBTS].astype("category")


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _whole(value: Any) -> int:
    return int(value)


def _number(value: Any) -> float | None:
    if value is None or value != value:
        return None
    number = float(value)
    return number if np.isfinite(number) else None
