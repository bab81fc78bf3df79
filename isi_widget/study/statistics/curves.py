"""`curves`: measures against the strength of a change, one curve for each grid and model.

Not for conditions without a strength (`table`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isi_widget.errors import InputError
from isi_widget.study.statistics.rows import ACCURACY, CORRECT, Rows, first_of_conditions
from isi_widget.study.statistics.table import table
from isi_widget.uncertainty.bootstrap import LEADING
from isi_widget.uncertainty.shares import RESAMPLES

if TYPE_CHECKING:
    import pandas as pd


def curves(
    frame: pd.DataFrame,
    columns: Sequence[str] | str | None = None,
    *,
    baseline: str | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the mean of measures at each strength of each grid, with intervals over observations.

    Parameters
    ----------
    frame : rows of a study with conditions that have a level, such as those of
        `isi.condition("noise").noise(isi.grid(sigma=[0, .1, .3]))` or `isi.conditions.degradation()`.
    columns : measures; default "correct" and the Bayesian semantic entropy, as far as measured.
    baseline : condition without a level whose mean stands beside every point; None (default) for none.
    level : level of the intervals; default 0.95.
    resamples : number of resamples of the bootstrap; default 2000.
    seed : seed of the bootstrap; default 0.

    Returns
    -------
    One row per model, curve, level and column, sorted by level: model; curve (the group and, of a grid of two
    parameters, the value of the other one); parameter; level; condition; column; value, low, high; rows;
    baseline_value (NaN without a baseline). A curve has at least two levels.

    Raises
    ------
    InputError
        There is no curve, or no such baseline or column.
    """
    from isi_widget.study.statistics.tables import Table

    rows = Rows(frame)
    if columns is None:
        known = rows.measured()
        columns = [name for name in (CORRECT, LEADING) if name in known] or known[:1]
    names = rows.measured(columns)
    if baseline is not None and baseline not in set(frame["condition"]):
        raise InputError(f"There is no condition {baseline!r} in these rows.")
    points = _points(frame)
    kept = {*points, baseline}
    chosen = frame[frame["condition"].isin(kept)]
    means = table(chosen, names, level=level, resamples=resamples, seed=seed)
    references = {
        (row["model"], name): row[_title(name)]
        for row in means.to_dict("records")
        if row["condition"] == baseline
        for name in names
    }
    found = []
    for row in means.to_dict("records"):
        if row["condition"] not in points:
            continue
        for name in names:
            title = _title(name)
            found.append(
                {
                    "model": row["model"],
                    **points[row["condition"]],
                    "condition": row["condition"],
                    "column": name,
                    "value": row[title],
                    "low": row[f"{title}_low"],
                    "high": row[f"{title}_high"],
                    "rows": row["rows"],
                    "baseline_value": references.get((row["model"], name), math.nan),
                }
            )
    order = {
        key: {value: place for place, value in enumerate(dict.fromkeys(row[key] for row in found))}
        for key in ("model", "column", "curve")
    }
    found.sort(key=lambda row: (*(order[key][row[key]] for key in order), row["level"]))
    notes = [*rows.doubts_note(names), f"{level:.0%} intervals over observations."]
    return Table(found, "Curves", ("condition", "rows"), notes)


def _title(name: str) -> str:
    return ACCURACY if name == CORRECT else name


def _points(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return curve, parameter and level of each condition that is a point of a curve."""
    points: dict[str, dict[str, Any]] = {}
    found = first_of_conditions(frame, ("group", "parameter", "level", "parameters"))
    for condition, row in found.items():
        level, parameter = row.get("level"), row.get("parameter")
        if level is None:
            continue
        name = parameter if isinstance(parameter, str) else None
        others = {key: value for key, value in _parameters(row).items() if key != name}
        curve = ", ".join([str(row.get("group") or ""), *(f"{key}={value}" for key, value in others.items())])
        points[condition] = {"curve": curve, "parameter": name, "level": float(level)}
    counts: dict[str, int] = {}
    for point in points.values():
        counts[point["curve"]] = counts.get(point["curve"], 0) + 1
    points = {name: point for name, point in points.items() if counts[point["curve"]] > 1}
    if not points:
        raise InputError(
            "There is no curve in these rows: no group of conditions has two levels. Make one with a grid, "
            'such as isi.condition("noise").noise(isi.grid(sigma=[0, 0.1, 0.3])).'
        )
    return points


def _parameters(row: dict[str, Any]) -> dict[str, Any]:
    text = row.get("parameters")
    try:
        found = json.loads(text) if isinstance(text, str) and text else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}
