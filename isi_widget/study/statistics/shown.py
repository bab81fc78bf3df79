"""Tables of statistics as HTML for notebooks. Not for charts (`isi_widget.report.studies`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from isi_widget.readable import html_table

if TYPE_CHECKING:
    import pandas as pd

_INTERVAL = re.compile(r"\[(-?[\d.]+), (-?[\d.]+)\]")


def frame_html(title: str, frame: pd.DataFrame, notes: Iterable[str] = ()) -> str:
    """Return a frame as an HTML table; numbers with three digits, missing values empty."""
    rows = [[_unbroken(cell(value)) for value in row] for row in frame.to_numpy(dtype=object).tolist()]
    return html_table(title, [str(name).replace("_", " ") for name in frame], rows, notes)


def _unbroken(text: str) -> str:
    """Return a cell whose interval stays on one line."""
    return _INTERVAL.sub("[\\1,\N{NO-BREAK SPACE}\\2]", text)


def cell(value: Any) -> str:
    """Return a value as text: numbers with three digits, missing values empty."""
    if value is None or value != value:
        return ""
    return f"{value + 0.0:.3f}".replace("-0.000", "0.000") if isinstance(value, float) else str(value)
