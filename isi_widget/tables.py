"""Tables as CSV files: safe to open in a spreadsheet, and read back unchanged.

A spreadsheet treats a cell that begins with =, +, -, @ or a tab as a formula, and a model's answer may begin
like that. Such a text is written with a leading apostrophe, which spreadsheets read as the mark of a text
(OWASP, "CSV injection"); `read_csv` removes it. Not for data sets of observations
(`isi_widget.datasets.from_csv` reads cells unchanged).
"""

from __future__ import annotations

import io
import re
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: Text columns of trials, comparisons and averages, even if the texts look like numbers.
_TEXTS = frozenset(
    ["condition", "note", "notes", "question", "context", "truth", "answer", "operations", "created", "id"]
    + ["level", "stimulus", "stimulus_key", "image_preset", "context_preset", "entailment", "likelihood"]
    + [
        "key",
        "interventions",
        "model",
        "model_family",
        "model_device",
        "model_dtype",
        "model_quantization",
        "model_revision",
    ]
)

_MARK = "'"
#: Texts that a spreadsheet may read as a formula (full-width forms included), and texts that already have the
#: mark.
_RISKY = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def to_csv(frame: pd.DataFrame) -> str:
    """Write a frame as CSV text (RFC 4180), without its index: texts made safe, numbers in full precision,
    missing values as empty cells.
    """
    safe = frame.rename(columns=_guarded).copy()
    for place in range(safe.shape[1]):
        column = safe.iloc[:, place]
        if column.dtype.kind not in "iufbc":
            safe.isetitem(place, [_guarded(value) for value in column])
    # Both line-end characters as terminator: then a text with one of them is quoted.
    text: str = safe.to_csv(index=False, lineterminator="\r\n")
    return text


def read_csv(path: str | PathLike[str] | IO[str], **options: Any) -> pd.DataFrame:
    """Read a file written by `to_csv`; `options` are those of `pandas.read_csv`.

    The apostrophes are removed. Texts of trials stay texts even if they look like numbers ("3", "True"). "NA"
    and "None" are texts; an empty cell is a missing value, also if the text was empty.
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
