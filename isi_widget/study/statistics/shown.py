"""Tables of statistics as HTML for notebooks. Not for charts (`isi_widget.report.studies`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from isi_widget.readable import html_table

if TYPE_CHECKING:
    import pandas as pd


def frame_html(title: str, frame: pd.DataFrame, notes: Iterable[str] = ()) -> str:
    """Return a frame as an HTML table; numbers with three digits, missing values empty."""
    rows = [[_cell(value) for value in row] for row in frame.to_numpy(dtype=object).tolist()]
    return html_table(title, [str(name).replace("_", " ") for name in frame], rows, notes)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.3g}" if abs(value) < 0.001 else f"{value:.3f}"
    return f"{value:g}" if isinstance(value, float) else str(value)
