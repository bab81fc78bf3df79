"""What a live study draws, from the tables of `statistics`: differences to the baseline, curves over grids.

Not for figures that are published (`isi_widget.report`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isi_widget.study.live.columns import Column
from isi_widget.study.live.table import known

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Difference:
    """A condition minus the baseline; `p` is adjusted for the number of comparisons, None while unknown."""

    model: str
    condition: str
    value: float
    low: float | None
    high: float | None
    p: float | None
    pairs: int


@dataclass(frozen=True)
class Point:
    """The mean at one value of a parameter, and its interval."""

    level: float
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Curve:
    """The means of a group of conditions over the values of its parameter."""

    model: str
    group: str
    parameter: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Plot:
    """The drawings of one measure."""

    column: Column
    differences: tuple[Difference, ...]
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Plots:
    """The drawings of a study; `note` says what intervals and p-values are."""

    baseline: str = ""
    plots: tuple[Plot, ...] = ()
    note: str = ""


def differences_of(paired: pd.DataFrame, column: str, order: Sequence[str]) -> tuple[Difference, ...]:
    """Return the differences of one column, out of a frame that `statistics.paired` made."""
    place = {name: at for at, name in enumerate(order)}
    found = []
    for _, row in paired[paired["column"] == column].iterrows():
        value = known(row["difference"])
        if value is not None:
            ends = known(row["low"]), known(row["high"])
            found.append(
                Difference(
                    str(row["model"]),
                    str(row["condition"]),
                    value,
                    *ends,
                    known(row["p_holm"]),
                    int(row["pairs"]),
                )
            )
    models = list(dict.fromkeys(item.model for item in found))
    return tuple(
        sorted(found, key=lambda item: (models.index(item.model), place.get(item.condition, len(place))))
    )


def curves_of(curves: pd.DataFrame, column: str) -> tuple[Curve, ...]:
    """Return the curves of one column, out of a frame that `statistics.curves` made."""
    points: dict[tuple[str, str, str], list[Point]] = {}
    for _, row in curves[curves["column"] == column].iterrows():
        value = known(row["value"])
        if value is not None:
            key = str(row["model"]), str(row["curve"]), str(row["parameter"])
            point = Point(float(row["level"]), value, known(row["low"]), known(row["high"]))
            points.setdefault(key, []).append(point)
    return tuple(Curve(*key, tuple(found)) for key, found in points.items() if len(found) > 1)
