"""Tables as CSV files that are safe to open in a spreadsheet, and come back as they were.

A spreadsheet takes a cell that begins with =, +, -, @ or a tab for a formula, and an answer of a model may
begin so. Such a text is written with an apostrophe before it, which spreadsheets take for the mark of a text
(OWASP, "CSV injection"); `read_csv` takes it away again. Not for data sets of observations
(`isi_widget.datasets.from_csv` reads cells as they stand).
"""

from __future__ import annotations

import io
import re
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: Columns of trials, comparisons and averages that hold texts, whatever they look like.
_TEXTS = frozenset(
    ["condition", "note", "notes", "question", "context", "truth", "answer", "operations", "created", "id"]
    + ["level", "stimulus", "stimulus_key", "image_preset", "context_preset", "entailment", "likelihood"]
    + ["model", "model_family", "model_device", "model_dtype", "model_quantization", "model_revision"]
)

_MARK = "'"
#: What a spreadsheet may take for a formula, the full-width forms too; and what carries the mark already.
_RISKY = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def to_csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV text (RFC 4180), without its index: texts made harmless, numbers in full
    precision, what is missing as an empty cell.
    """
    safe = frame.rename(columns=_guarded).copy()
    for place in range(safe.shape[1]):
        column = safe.iloc[:, place]
        if column.dtype.kind not in "iufbc":
            safe.isetitem(place, [_guarded(value) for value in column])
    # Both signs of a line's end in the terminator: a text that has one of them is then quoted.
    text: str = safe.to_csv(index=False, lineterminator="\r\n")
    return text


def read_csv(path: str | PathLike[str] | IO[str], **options: Any) -> pd.DataFrame:
    """Return the frame in a file that was written by `to_csv`; `options` are those of `pandas.read_csv`.

    Texts are as they were before they were made harmless, and texts of trials stay texts if they look like
    numbers ("3", "True"). "NA" and "None" are texts; an empty cell is missing, whether the text was empty or
    there was none.
    """
    import pandas as pd

    usual = {"keep_default_na": False, "na_values": [""]}
    if isinstance(path, str | PathLike):
        text = Path(path).read_bytes().decode("utf-8-sig")
    else:
        text = path.read()
    head = pd.read_csv(io.StringIO(text, newline=""), nrows=0).columns
    texts = {name: str for name in head if name in _TEXTS or name.startswith("version_")}
    made = pd.read_csv(io.StringIO(text, newline=""), **{"dtype": texts, **usual, **options})
    frame: pd.DataFrame = made.rename(columns=_plain)
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if column.dtype.kind not in "iufbc":
            frame.isetitem(place, [_plain(value) for value in column])
    return frame


def _guarded(value: Any) -> Any:
    return _MARK + value if isinstance(value, str) and _RISKY.match(value) else value


def _plain(value: Any) -> Any:
    guarded = isinstance(value, str) and value[:1] == _MARK and _RISKY.match(value)
    return value[1:] if guarded else value
