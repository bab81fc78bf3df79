"""The rows of a study as numbers: which rows count, what is grouped with what, which columns are measured.

Every statistic reads a frame through `Rows`. Rows that failed have no numbers; answers that could not be
judged have no `correct`. Rows of one observation (its seeds, its conditions) are no independent cases: they
have the same `case`. Not for intervals (`intervals`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.segments import GROUPS, INPUTS
from isi_widget.uncertainty.bootstrap import LEADING, NAMES
from isi_widget.uncertainty.lexical import WITHOUT_CLUSTERS

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The column of sentences on unreliable comparisons of meanings.
DOUBTS = "entailment_doubts"
#: Columns that every statistic needs.
NEEDED = ("model", "condition", "index", "seed", "correct", "error")
#: Columns that say what a row is about: never a measure, whatever they hold.
OF_ROWS = frozenset(
    ["row", "model", "condition", "group", "parameter", "level", "parameters", "observation", "index"]
    + ["semantic_level", "seed", "question", "context", "image", "image_preset", "context_preset"]
    + ["stimulus", "stimulus_key", "interventions", "truth", "truth_holds", "answer", "unjudged", "error"]
    + ["error_type", "answers", "notes", "created", DOUBTS]
)
#: The order of the columns.
MAIN = (
    "correct",
    "answer_probability",
    *NAMES,
    "clusters",
    *(f"attention_{name}" for name in GROUPS),
    *(f"attention_relative_{name}" for name in INPUTS),
    "modality_dominance_index",
)
#: Columns of the measures of this package that a table has only if they are named.
ON_REQUEST = frozenset(
    ["answer_probability", *NAMES, "clusters", "modality_dominance_index"]
    + [f"attention_{name}" for name in GROUPS]
    + ["seconds", "cut", "rest", "order_changed", "semantic_sets", "lexical_similarity", "p_yes", "p_no"]
    + ["p_rest", "answer_log_likelihood", "answer_tokens", "kernel_language_entropy_heat"]
    + ["kernel_language_entropy_matern", "laplacian_eigenvalues_entail", "laplacian_eigenvalues_contra"]
    + ["degree_matrix_entail", "degree_matrix_contra", "eccentricity_entail", "eccentricity_contra"]
)
ALL = "all"
#: Measures that depend on the comparison of meanings.
OF_MEANINGS = frozenset([*NAMES, "clusters", *WITHOUT_CLUSTERS]) - {
    "predictive_entropy",
    "lexical_similarity",
}
#: The column of right and wrong answers, and its mean.
CORRECT, ACCURACY = "correct", "accuracy"


@dataclass(frozen=True)
class Group:
    """Rows that are taken together: the values that they share, and their places in the frame."""

    key: Mapping[str, Any]
    places: Ints


class Rows:
    """A frame of rows, read as numbers.

    Parameters
    ----------
    frame : rows with the fixed columns of a study; further columns as far as they are used.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        if missing := [name for name in NEEDED if name not in frame]:
            raise InputError(
                f"These are no rows of a study; missing columns: {', '.join(map(repr, missing))}. Use "
                "study.rows or study.frame(...)."
            )
        self.frame = frame
        self._numbers: dict[str, Floats] = {}

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def failed(self) -> npt.NDArray[np.bool_]:
        """Rows that failed, bool [rows]."""
        found: npt.NDArray[np.bool_] = self.frame["error"].notna().to_numpy()
        return found

    @cached_property
    def unjudged(self) -> npt.NDArray[np.bool_]:
        """Rows that did not fail but whose answer is neither right nor wrong, bool [rows]."""
        found: npt.NDArray[np.bool_] = self.frame["correct"].isna().to_numpy() & ~self.failed
        return found

    @cached_property
    def doubtful(self) -> npt.NDArray[np.bool_]:
        """Rows whose entropies over meanings depend on an unreliable comparison of the answers, bool [rows];
        all False if the column is not in the frame.
        """
        if DOUBTS not in self.frame:
            return np.zeros(len(self.frame), dtype=np.bool_)
        texts = self.frame[DOUBTS]
        found: npt.NDArray[np.bool_] = (texts.notna() & (texts != "")).to_numpy(dtype=np.bool_)
        return found & ~self.failed

    def doubts_note(self, names: Sequence[str]) -> list[str]:
        """Return a sentence on unreliable comparisons of meanings, if a measure named depends on them."""
        number = int(self.doubtful.sum())
        if not number or not OF_MEANINGS.intersection(names):
            return []
        texts = self.frame[DOUBTS][self.doubtful].value_counts()
        others = f" (and {len(texts) - 1} other reasons)" if len(texts) > 1 else ""
        return [
            f"(!) In {number:,} of {len(self):,} rows the entropies depend on an unreliable comparison of "
            f"the answers: {texts.index[0]}{others}"
        ]

    @cached_property
    def case(self) -> Ints:
        """Number of the observation of each row, from 0, int [rows]; in the order of their indices, so that
        a seed gives the same resamples whatever the order of the rows.
        """
        return np.unique(self.frame["index"].to_numpy(), return_inverse=True)[1].astype(np.int64)

    def numbers(self, name: str) -> Floats:
        """Return a column as float [rows]; NaN where a row failed, nothing was measured, or the value is
        infinite, which has no mean.
        """
        if name not in self._numbers:
            values = as_numbers(self.column(name), name)
            self._numbers[name] = np.where(self.failed | np.isinf(values), np.nan, values)
        return self._numbers[name]

    def column(self, name: str) -> pd.Series[Any]:
        """Return a column. Raises `InputError` if there is none of this name."""
        if name not in self.frame:
            known = [str(item) for item in self.frame if item not in OF_ROWS]
            raise InputError(
                f"There is no column {name!r} in these rows; the measured ones are {', '.join(known)}."
            )
        return self.frame[name]

    def measured(self, columns: Sequence[str] | str | None = None) -> list[str]:
        """Return the names of columns of numbers.

        Parameters
        ----------
        columns : a name or names, which must exist; "all" for every column of numbers that was measured; None
            (default) for "correct", the first entropy, the attention shares of the inputs and the columns of
            custom measures. "accuracy" is "correct".
        """
        if columns is None or columns == ALL:
            leading = next((name for name in NAMES if name in self._every), None)
            return [
                name for name in self._every if columns == ALL or name == leading or name not in ON_REQUEST
            ]
        names = [columns] if isinstance(columns, str) else list(columns)
        if ACCURACY not in self.frame:
            names = [CORRECT if name == ACCURACY else name for name in names]
        for name in names:
            checks.text(name, "columns: a name")
            if name in OF_ROWS:
                raise InputError(f"The column {name!r} has no numbers to average; name a measure.")
            as_numbers(self.column(name), name)
        return list(dict.fromkeys(names))

    @cached_property
    def _every(self) -> list[str]:
        """The columns with any number; intervals and counts of tokens left out."""
        found = []
        names = [str(name) for name in self.frame]
        for name in sorted(names, key=lambda name: MAIN.index(name) if name in MAIN else len(MAIN)):
            bound = any(name.endswith(end) and name[: -len(end)] in names for end in ("_low", "_high"))
            if name in OF_ROWS or bound or name.startswith("tokens_"):
                continue
            kind = self.frame[name].dtype.kind
            if (kind in "iufb" or name == "correct") and self.frame[name].notna().any():
                found.append(name)
        return found

    def groups(self, by: str | Sequence[str] = "condition") -> list[Group]:
        """Return the rows of each model and each combination of values of columns, in order of appearance.

        by : a column or several, such as "condition" (default), ("condition", "semantic_level") or () for
            all rows of a model.
        """
        names = list(dict.fromkeys(["model", *([by] if isinstance(by, str) else by)]))
        for name in names:
            if name not in self.frame or name not in OF_ROWS:
                known = ("condition", "semantic_level", "group", "seed")
                raise InputError(f"by={name!r} is no column to group by; choose some of {', '.join(known)}.")
        return grouped(self.frame, names)


def grouped(frame: pd.DataFrame, names: Sequence[str]) -> list[Group]:
    """Return the rows of a frame by the values of columns, in order of appearance."""
    if not len(frame):
        return []
    code, values = np.zeros(len(frame), dtype=np.int64), []
    for name in names:
        own, unique = codes(frame[name])
        values.append(unique)
        code = code * len(unique) + own
    _, first, code = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(len(first) + 1))
    found = []
    for number in np.argsort(first, kind="stable"):
        key = {name: value_at(frame[name], int(first[number])) for name in names}
        found.append(Group(key, order[starts[number] : starts[number + 1]]))
    return found


def codes(column: pd.Series[Any]) -> tuple[Ints, Any]:
    """Return whole numbers, equal for equal values (missing ones too), and the values in their order."""
    import pandas as pd

    found, unique = pd.factorize(column, use_na_sentinel=False)
    return found.astype(np.int64), unique


def as_numbers(column: pd.Series[Any], name: str) -> Floats:
    """Return a column as float [rows], NaN where it is empty; true is 1, false 0."""
    try:
        if column.dtype.kind in "iuf" and isinstance(column.dtype, np.dtype):
            return np.asarray(column, dtype=np.float64)
        if column.dtype == object or column.dtype.kind == "b":
            column = column.astype("boolean" if name == "correct" or column.dtype.kind == "b" else "Float64")
        found = column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        example = next((value for value in column if _known(value)), None)
        raise InputError(
            f"The column {name!r} has no numbers; it holds {checks.shown(example)}. Name a measure such as "
            f"{LEADING!r}."
        ) from None


def value_at(column: pd.Series[Any], place: int) -> Any:
    """Return a value of a column by its place; None if it is missing."""
    value = column.iloc[place]
    return value if _known(value) else None


def _known(value: Any) -> bool:
    import pandas as pd

    return not pd.isna(value)


def first_of_conditions(frame: pd.DataFrame, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the values of some columns in the first row of each condition; None for missing ones."""
    names = [name for name in ("condition", *wanted) if name in frame]
    first = frame[names].drop_duplicates("condition").to_dict("records")
    return {
        record["condition"]: {str(key): value if _known(value) else None for key, value in record.items()}
        for record in first
    }


def sums(values: Floats, case: Ints) -> tuple[Floats, Floats]:
    """Return the sum and the number of the known values of each case.

    Parameters
    ----------
    values : float [rows, columns]; NaN is unknown.
    case : number of the case of each row, int [rows].

    Returns
    -------
    Two arrays, float [cases, columns].
    """
    _, own = np.unique(case, return_inverse=True)
    cases = int(own.max()) + 1 if len(own) else 0
    known = ~np.isnan(values)
    total, number = np.zeros((cases, values.shape[1])), np.zeros((cases, values.shape[1]))
    for column in range(values.shape[1]):
        filled = np.where(known[:, column], values[:, column], 0.0)
        total[:, column] = np.bincount(own, weights=filled, minlength=cases)
        number[:, column] = np.bincount(own, weights=known[:, column], minlength=cases)
    return total, number
