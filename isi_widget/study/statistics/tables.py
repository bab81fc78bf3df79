"""`Table`: a frame of a statistic that is shown with each interval beside its number, and few columns.

The frame itself has all numbers in columns of their own. This module loads pandas; the other ones import it
when they make a frame. Not for charts (`isi_widget.report.studies`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from isi_widget.readable import counted
from isi_widget.study.statistics.shown import cell, frame_html
from isi_widget.study.statistics.warned import warnings_of

#: Columns that are shown only where a row has more than 0 in them.
_COUNTS = ("failed", "unjudged", "doubtful_meanings", "truth_may_change", "left_out", "unpaired")
_MOST = 200  # rows of a page


class Table(pd.DataFrame):
    """A frame whose `repr` and HTML are easier to read; anything taken from it is an ordinary frame.

    Parameters
    ----------
    rows : the rows.
    title : title on a page.
    hidden : columns that are not shown.
    notes : sentences below the table on a page.
    """

    _metadata = ("_title", "_hidden", "_notes")
    _title: str
    _hidden: Sequence[str]
    _notes: Sequence[str]

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]] | pd.DataFrame,
        title: str = "",
        hidden: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        initialise: Any = super().__init__  # its stubs have no arguments
        initialise(rows if isinstance(rows, pd.DataFrame) else list(rows))
        object.__setattr__(self, "_title", title)
        object.__setattr__(self, "_hidden", tuple(hidden))
        object.__setattr__(self, "_notes", tuple(notes))

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __reduce__(self) -> tuple[Any, ...]:
        return Table, (pd.DataFrame(self), self._title, self._hidden, self._notes)

    def show(self) -> pd.DataFrame:
        """Return the table as it is shown: texts, "0.833 [0.552, 0.953]" for a number with its interval.

        Left out: the model if there is only one, counts that are all 0, and columns without any value.
        """
        names = [str(name) for name in self]
        ends = {name: (f"{name}_low", f"{name}_high") for name in names if f"{name}_low" in names}
        if "low" in names:
            ends[names[names.index("low") - 1]] = ("low", "high")
        bounds = {end for pair in ends.values() for end in pair}
        records: list[dict[str, Any]] = [
            {str(key): value for key, value in record.items()}
            for record in pd.DataFrame(self).astype(object).to_dict("records")
        ]
        made: dict[str, list[str]] = {}
        for name in names:
            if name in bounds or name in self._hidden or not self._is_shown(name):
                continue
            write = _WRITTEN.get(name, cell)
            made[name.replace("_", " ")] = [
                _with_ends(*(write(row[part]) for part in (name, *ends.get(name, ())))) for row in records
            ]
        return pd.DataFrame(made)

    def _is_shown(self, name: str) -> bool:
        column = self[name]
        if name == "model":
            return bool(column.nunique() > 1)
        if name in _COUNTS:
            return bool(column.any())
        return not len(self) or bool((column.notna() & (column != "")).any())

    def __repr__(self) -> str:
        most = pd.get_option("display.max_rows")
        return "\n".join(
            [self.show().to_string(index=False, max_rows=most, max_colwidth=60), *warnings_of(self)]
        )

    def _repr_html_(self) -> str:
        return self.page("All numbers are columns of this frame; `list(frame)` names them.")

    def page(self, where: str) -> str:
        """Return the HTML of the table; `where` says where all numbers are."""
        shown, left = self.show().head(_MOST), len(self) - _MOST
        notes = [*self._notes, where]
        return frame_html(
            self._title, shown, [f"{counted(left, 'more row')}.", *notes] if left > 0 else notes
        )


def _with_ends(text: str, low: str = "", high: str = "") -> str:
    return f"{text} [{low}, {high}]" if text and low and high else text


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else cell(value)


def _level(value: Any) -> str:
    return f"{value:g}" if value == value and value is not None else ""


#: Columns that are not written with three digits.
_WRITTEN = {"p": _p_value, "p_holm": _p_value, "level": _level}
