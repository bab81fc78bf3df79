"""What the view of a study shows above its rows: counts, the table with intervals, plots, failures.

From the finished rows; `isi_widget.study.live` has the sums of a run that goes on. Not for the rows
(`pages`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isi_widget.errors import InputError
from isi_widget.study.live.columns import Column, columns_of
from isi_widget.study.live.plots import Plot, Plots, curves_of, differences_of
from isi_widget.study.live.run import Progress
from isi_widget.study.live.table import Table, table_of
from isi_widget.study.live.tally import Failure, Tally
from isi_widget.study.statistics import columns_for
from isi_widget.study.statistics.curves import curves
from isi_widget.study.statistics.paired import paired
from isi_widget.study.statistics.table import table
from isi_widget.study.statistics.warned import warnings_of

if TYPE_CHECKING:
    import pandas as pd

_NOTE = (
    "95% intervals over observations. p is adjusted after Holm: for accuracy and entropy together, as in "
    "study.paired(), and for the shares of attention together."
)


def needed(columns: Sequence[str]) -> list[str]:
    """Return the names of the columns that `tables` reads, out of those of a study."""
    wanted = {name for kind in ("table", "paired", "curves") for name in columns_for(kind, columns)}
    return [name for name in columns if name in wanted]


def tables(frame: pd.DataFrame, baseline: str, order: Sequence[str]) -> tuple[Table, Plots]:
    """Return the table with intervals, and the plots.

    Parameters
    ----------
    frame : finished rows with the columns of `needed`.
    baseline : condition that the others are compared with.
    order : names of the conditions in the order of the study.
    """
    measures = columns_of([str(name) for name in frame if frame[name].notna().any()])
    names = [measure.name for measure in measures]
    if not names:
        return Table(), Plots()
    found = table_of(table(frame, names), order)
    return found, _plots(frame, measures, names, baseline, order)


def _plots(
    frame: pd.DataFrame, measures: Sequence[Column], names: list[str], baseline: str, order: Sequence[str]
) -> Plots:
    # what `study.paired()` compares is adjusted together, and so is the rest: the same numbers here as there
    first = [name for name in names if not name.startswith("attention_")]
    families = [family for family in (first, [name for name in names if name not in first]) if family]
    compared = [_or_none(lambda family=family: paired(frame, baseline, family)) for family in families]
    pairs = [table for table in compared if table is not None]
    grids = _or_none(lambda: curves(frame, names))
    plots = tuple(
        Plot(
            measure,
            tuple(item for table in pairs for item in differences_of(table, measure.name, order)),
            () if grids is None else curves_of(grids, measure.name),
        )
        for measure in measures
    )
    shown = tuple(plot for plot in plots if plot.differences or plot.curves)
    warned = dict.fromkeys(note for table in pairs for note in warnings_of(table))
    return Plots(baseline, shown, " ".join([*warned, _NOTE]) if shown else "")


def _or_none(make: Any) -> Any:
    """Return a table of `statistics`; None for a study that has none, such as one without a grid."""
    try:
        return make()
    except InputError:
        return None


def counted(frame: pd.DataFrame, total: int) -> Progress:
    """Return how far a study is that is not run here.

    Parameters
    ----------
    frame : finished rows with the columns correct and error.
    total : number of rows of the whole study.
    """
    failed = frame["error"].notna()
    unjudged = frame["correct"].isna() & ~failed
    state: Any = "finished" if len(frame) >= total else "waiting"
    return Progress(state, len(frame), total, int(failed.sum()), int(unjudged.sum()))


def failures_of(frame: pd.DataFrame) -> tuple[tuple[Failure, ...], int]:
    """Return the reasons for which rows failed, the most frequent first, and how many rows have others."""
    tally = Tally()
    for row in frame[frame["error"].notna()].to_dict("records"):
        tally.add({str(name): value for name, value in row.items()})
    return tally.failures, tally.other_reasons
