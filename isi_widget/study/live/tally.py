"""Running sums of a study: counts and means of each condition, row by row, without reading any row again.

Not for intervals or tests (`study/statistics`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Columns of a row that are no measure, though they may hold numbers.
_OF_THE_ROW = frozenset({"row", "index", "level", "seed", "truth_holds"})
#: Longest reason of a failure that is kept.
_LONGEST = 1000


@dataclass
class Group:
    """Counts and sums of the rows of one model and one condition."""

    model: str
    condition: str
    rows: int = 0
    failed: int = 0
    unjudged: int = 0
    doubtful: int = 0  # rows whose entropies depend on an unreliable comparison of the answers
    sums: dict[str, tuple[int, float]] = field(default_factory=dict)  # {column: (values, their sum)}

    def mean(self, column: str) -> float | None:
        """Return the mean of a column over the rows that have it; None if no row has."""
        values, total = self.sums.get(column, (0, 0.0))
        return total / values if values else None

    def count(self, column: str) -> int:
        """Return how many rows have a value in a column."""
        return self.sums.get(column, (0, 0.0))[0]


@dataclass
class Failure:
    """One reason for which rows failed."""

    kind: str
    reason: str
    rows: int
    first: int  # number of the first row that failed for it


class Tally:
    """Sums over the rows so far. Not safe to use from several threads: its owner holds a lock."""

    #: Distinct reasons that are listed; further ones are counted together.
    MOST_REASONS = 100

    def __init__(self) -> None:
        self.rows = 0
        self.failed = 0
        self.unjudged = 0
        self.groups: dict[tuple[str, str], Group] = {}
        self._reasons: dict[tuple[str, str], Failure] = {}
        self.other_reasons = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one finished row; `row` has the columns of a study's rows."""
        key = str(row["model"]), str(row["condition"])
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(*key)
        self.rows += 1
        group.rows += 1
        if row.get("error") is not None:
            self.failed += 1
            group.failed += 1
            self._failed(str(row.get("error_type") or "Error"), str(row["error"]), int(row["row"]))
            return
        if row.get("unjudged") is not None:
            self.unjudged += 1
            group.unjudged += 1
        if row.get("entailment_doubts"):
            group.doubtful += 1
        sums = group.sums
        for name, value in row.items():
            # bool is an int: `correct` is summed as 0 and 1
            if isinstance(value, (int, float)) and name not in _OF_THE_ROW and math.isfinite(value):
                values, total = sums.get(name, (0, 0.0))
                sums[name] = values + 1, total + value

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Reasons for which rows failed, the most frequent first."""
        return tuple(sorted(self._reasons.values(), key=lambda failure: (-failure.rows, failure.first)))

    def _failed(self, kind: str, reason: str, row: int) -> None:
        key = kind, reason[:_LONGEST]
        found = self._reasons.get(key)
        if found is not None:
            found.rows += 1
            found.first = min(found.first, row)
        elif len(self._reasons) < self.MOST_REASONS:
            self._reasons[key] = Failure(*key, 1, row)
        else:
            self.other_reasons += 1
