"""The table of conditions that a live study shows, from running sums or from `statistics.table`.

Not for drawing it (`page`, the widget), nor for the intervals themselves (`statistics`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isi_widget.readable import counted
from isi_widget.study.live.columns import Column, columns_of
from isi_widget.study.live.tally import Tally

if TYPE_CHECKING:
    import pandas as pd

#: Where the tables of `statistics` name a mean differently than the rows.
_NAMES = {"correct": "accuracy"}


@dataclass(frozen=True)
class Cell:
    """A mean, its interval (None while unknown) and the number of rows that have a value."""

    value: float
    low: float | None
    high: float | None
    count: int | None


@dataclass(frozen=True)
class Line:
    """One condition under one model; `cells` has one item per column, None where nothing was measured.

    `majority` is the accuracy of always giving the most frequent true answer; `yes`, of the questions of
    yes or no, the share whose true answer is yes, and `bias` how much more often the model says it; None
    where unknown. `doubtful` is the number of rows whose entropies depend on an unreliable comparison of the
    answers.
    """

    model: str
    condition: str
    rows: int
    failed: int
    unjudged: int
    cells: tuple[Cell | None, ...]
    majority: float | None = None
    yes: float | None = None
    bias: float | None = None
    doubtful: int = 0


@dataclass(frozen=True)
class Table:
    """All conditions; `intervals` says what the intervals are, "" if there are none yet."""

    columns: tuple[Column, ...] = ()
    groups: tuple[Line, ...] = ()
    intervals: str = ""


def running_table(tally: Tally) -> Table:
    """Return the means of the rows so far, without intervals."""
    groups = list(tally.groups.values())
    columns = columns_of({name for group in groups for name in group.sums})

    def cell(group: Any, column: Column) -> Cell | None:
        mean = group.mean(column.name)
        return None if mean is None else Cell(mean, None, None, group.count(column.name))

    lines = tuple(
        Line(
            group.model,
            group.condition,
            group.rows,
            group.failed,
            group.unjudged,
            tuple(cell(group, column) for column in columns),
            doubtful=group.doubtful,
        )
        for group in groups
    )
    return Table(columns, lines)


def table_of(frame: pd.DataFrame, order: Sequence[str] = ()) -> Table:
    """Return the table of a frame that `statistics.table` made, with its intervals.

    Parameters
    ----------
    frame : one row per model and condition.
    order : names of the conditions in the order of the study; others follow.
    """
    back = {mean: name for name, mean in _NAMES.items()}
    columns = columns_of({back.get(str(name), str(name)) for name in frame})
    place = {name: at for at, name in enumerate(order)}
    rows = [row for _, row in frame.iterrows()]
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    rows.sort(key=lambda row: (models.index(str(row["model"])), place.get(str(row["condition"]), len(place))))
    lines = tuple(
        Line(
            str(row["model"]),
            str(row["condition"]),
            int(row["rows"]),
            int(row.get("failed", 0)),
            int(row.get("unjudged", 0)),
            tuple(_cell(row, column.name) for column in columns),
            known(row.get("majority")),
            known(row.get("truth_yes")),
            known(row.get("yes_bias")),
            int(row.get("doubtful_meanings", 0)),
        )
        for row in rows
    )
    observations = max((int(row["observations"]) for row in rows), default=0)
    return Table(columns, lines, f"95% intervals over {counted(observations, 'observation')}.")


def _cell(row: Any, column: str) -> Cell | None:
    name = _NAMES.get(column, column)
    value = known(row.get(name))
    if value is None:
        return None
    return Cell(value, known(row.get(f"{name}_low")), known(row.get(f"{name}_high")), None)


def known(value: Any) -> float | None:
    """Return a number as float; None if it is missing or not finite."""
    if value is None or not math.isfinite(found := float(value)):
        return None
    return found
