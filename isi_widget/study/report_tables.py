"""Tables and plots of the report of a study. They compute nothing: each takes a statistic of the study.

A statistic that a study cannot have (no grid, no uncertainty, ...) is left out; one that is refused is named
with the reason. Not for examples and rows (`report_rows`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from isi_widget.errors import InputError
from isi_widget.readable import counted
from isi_widget.report.blocks import Block, Grid, Heading, Plot, Words
from isi_widget.report.studies import words_of
from isi_widget.study.statistics.warned import warnings_of
from isi_widget.uncertainty.bootstrap import LEADING

if TYPE_CHECKING:
    import pandas as pd

    from isi_widget.study.study import Study

#: Rows of a table in a report; its file has all.
MOST = 150
_UNCERTAINTY = (
    "answer_probability", LEADING, "discrete_semantic_entropy", "semantic_entropy", "predictive_entropy",
    "rao_quadratic_entropy", "clusters",
)  # fmt: skip
_ATTENTION = (
    "attention_relative_image", "attention_relative_context", "attention_relative_question",
    "modality_dominance_index",
)  # fmt: skip
_RANKED = (
    LEADING,
    "discrete_semantic_entropy",
    "semantic_entropy",
    "predictive_entropy",
    "answer_probability",
)
_PLOTTED = (LEADING, "predictive_entropy", "answer_probability")


def number(value: Any, digits: int = 3) -> str:
    """Return a number as text; "" for a missing one, whole numbers without a point."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)) or value != value:
        return ""
    if isinstance(value, int) or (hasattr(value, "dtype") and value.dtype.kind in "iu"):
        return f"{int(value):,}"
    return f"{float(value) + 0.0:.{digits}f}"


def interval(row: Mapping[str, Any], name: str, low: str = "", high: str = "") -> str:
    """Return a value, and its interval in a second line."""
    value = number(row.get(name))
    ends = [number(row.get(end)) for end in (low or f"{name}_low", high or f"{name}_high")]
    return f"{value}\n[{ends[0]}, {ends[1]}]" if value and all(ends) else value


def _asked(compute: Callable[[], Any]) -> Any:
    """Return a statistic, or a sentence with the reason why there is none."""
    try:
        return compute()
    except InputError as error:
        return str(error)


def _named(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the columns that name a row and their titles; the model only if there are several."""
    names = ["model"] if frame["model"].nunique() > 1 else []
    names += ["condition"]
    return names, names


def _cut(frame: pd.DataFrame) -> tuple[list[dict[str, Any]], list[Block]]:
    """Return the first rows of a table, and a sentence on the others."""
    left = len(frame) - MOST
    note: list[Block] = [Words(f"{counted(left, 'more row')}: see its file.", True)] if left > 0 else []
    records: Any = frame.head(MOST).to_dict("records")
    return records, note


def _warnings(result: Any) -> list[Block]:
    """Return what warns of the numbers of a statistic."""
    return [Words(note) for note in warnings_of(result)]


def results(study: Study, level: float) -> list[Block]:
    """Return accuracy beside its baselines, uncertainty and attention by condition, and a plot."""
    from isi_widget.report import studies

    table = study.table("all", level=level)
    if not len(table):
        return []
    keys, heads = _named(table)
    records, note = _cut(table)
    counts = [
        name
        for name in ("rows", "failed", "unjudged", "doubtful_meanings")
        if name == "rows" or (name in table and table[name].any())
    ]
    judged = [name for name in ("accuracy",) if name in table and table[name].notna().any()]
    beside = [
        name for name in ("majority", "yes_bias") if judged and name in table and table[name].notna().any()
    ]
    changing = "truth_may_change" in table and bool(table["truth_may_change"].any())
    columns = [*counts, *judged, *beside]
    cells = [
        [*(str(row[key]) for key in keys), *(number(row[name]) for name in counts)]
        + [interval(row, name) for name in judged]
        + [number(row[name]) for name in beside]
        for row in records
    ]
    found: list[Block] = [
        *_warnings(table),
        Grid(
            [*heads, *map(words_of, columns)], cells, frozenset(range(len(keys))), name="table", frame=table
        ),
        *note,
        Words(
            f"In brackets: {level:.0%} intervals over observations. Most frequent answer: accuracy of always "
            "giving the most frequent true answer. Bias to yes: share of yes among the answers minus that "
            "among the truths. Answers that could not be judged count in neither."
            + (" In some rows the truth may not hold for the changed picture." if changing else ""),
            True,
        ),
    ]
    plotted = [name for name in ("accuracy", LEADING, "attention_relative_image") if f"{name}_low" in table]
    if plotted:
        few = [name for name in table if name in ("model", "condition", "group", "majority", *plotted)]
        few += [f"{name}_{end}" for name in plotted for end in ("low", "high")]
        found.append(Plot(partial(studies.plot_table, table[few]), "Means with intervals over observations."))
    for title, names, remark in (
        ("Uncertainty", _UNCERTAINTY, "entropies in nats; means over observations"),
        ("Attention", _ATTENTION, "where the model reads from, not what its answer depends on"),
    ):
        known = [name for name in names if name in table and table[name].notna().any()]
        if known:
            cells = [
                [*(str(row[key]) for key in keys), *(interval(row, name) for name in known)]
                for row in records
            ]
            found += [
                Heading(title, remark),
                Grid([*heads, *map(words_of, known)], cells, frozenset(range(len(keys)))),
            ]
    return found


def paired(study: Study, level: float) -> list[Block]:
    """Return paired differences to the baseline with p-values after Holm."""
    from isi_widget.report import studies

    if len(study.conditions) < 2:
        return []
    table = _asked(lambda: study.paired(level=level))
    if isinstance(table, str):
        return [Words(f"Not available. {table}")]
    if not len(table):
        return []
    keys, heads = _named(table)
    records, note = _cut(table)
    marked = frozenset(
        (at, len(keys) + 1)
        for at, row in enumerate(records)
        if row["p_holm"] == row["p_holm"] and row["p_holm"] < 0.05
    )
    cells = [
        [
            *(str(row[key]) for key in keys),
            words_of(row["column"]),
            interval(row, "difference", "low", "high"),
            number(row["effect"], 2),
            _p_value(row["p"]),
            _p_value(row["p_holm"]),
            number(row["pairs"]),
        ]
        for row in records
    ]
    base = str(table["baseline"].iloc[0])
    tests = ", ".join(dict.fromkeys(filter(None, map(str, table["test"].dropna()))))
    return [
        *_warnings(table),
        Words(f"Each condition minus “{base}”, on the same observations, seeds and models."),
        Grid(
            [*heads, "measure", "difference", "effect", "p", "p (Holm)", "pairs"],
            cells,
            frozenset(range(len(keys) + 1)),
            marked,
            "paired",
            table,
        ),
        *note,
        Words(
            f"In brackets: {level:.0%} intervals. Marked: p below 0.05 after Holm's correction over all rows "
            f"of this table. Effect: mean difference over its standard deviation. Test: {tests}.",
            True,
        ),
        Plot(
            partial(studies.plot_paired, table), "Differences to the baseline; filled: p < 0.05 after Holm."
        ),
    ]


def _p_value(value: Any) -> str:
    if value is None or value != value:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def curves(study: Study, level: float) -> list[Block]:
    """Return measures against the strength of a change, for the grids of a study."""
    from isi_widget.report import studies

    if not any(condition.level is not None for condition in study.conditions):
        return []
    table = _asked(lambda: study.curves(level=level))
    if isinstance(table, str):
        return [Words(f"Not available. {table}")]
    if not len(table):
        return []
    records, note = _cut(table)
    several = table["model"].nunique() > 1
    cells = [
        [*([str(row["model"])] if several else []), str(row["curve"]), words_of(row["column"])]
        + [number(row["level"], 2), interval(row, "value", "low", "high"), number(row["baseline_value"])]
        for row in records
    ]
    heads = [*(["model"] if several else []), "curve", "measure", "level", "value", "baseline"]
    words = frozenset(range(len(heads) - 3))
    return [
        *_warnings(table),
        Grid(heads, cells, words, name="curves", frame=table),
        *note,
        Plot(partial(studies.plot_curves, table), "Measures against the strength; dashed: the baseline."),
    ]


def ranking(study: Study, level: float) -> list[Block]:
    """Return AUROC of each uncertainty for a wrong answer, and risk against coverage."""
    from isi_widget.report import studies

    found: list[Block] = []
    table = _asked(lambda: study.auroc("all", level=level))
    if isinstance(table, str):
        return [Words(f"Not available. {table}")]
    if len(table) and table["auroc"].notna().any():
        found += [
            *_warnings(table),
            Heading("AUROC", "0.5: chance; 1: every wrong answer is more uncertain than every right one"),
        ]
        found += _pivot(table, "auroc", "auroc")
        few = table[table["column"].isin(_PLOTTED)]
        if len(few):
            found.append(
                Plot(
                    partial(studies.plot_auroc, few),
                    "AUROC for “the answer is wrong”; line: chance.",
                )
            )
    elif len(table):
        reasons = " ".join(dict.fromkeys(map(str, table["note"].dropna())))
        found.append(Words(f"AUROC is undefined here. {reasons}"))
    risk = _asked(lambda: study.risk_coverage("all", level=level))
    if not isinstance(risk, str) and len(risk.curve):
        found += [
            Heading(
                "Risk and coverage",
                "area under the curve (AURC): mean risk over all coverages; less is better",
            )
        ]
        found += _pivot(risk.table, "aurc", "risk_coverage")
        few = replace(
            risk,
            table=risk.table[risk.table["column"].isin((LEADING, "answer_probability"))],
            curve=risk.curve[risk.curve["column"].isin((LEADING, "answer_probability"))],
        )
        if len(few.curve):
            found.append(
                Plot(
                    partial(studies.plot_risk_coverage, few),
                    "Share wrong among the most certain answers; grey: a random order.",
                )
            )
    return found


def _pivot(table: pd.DataFrame, value: str, name: str) -> list[Block]:
    """Return one row for each condition, one column for each uncertainty."""
    keys, heads = _named(table)
    columns = [column for column in _RANKED if column in set(table["column"])]
    columns = columns or list(dict.fromkeys(table["column"]))[:5]
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    records: Any = table.to_dict("records")
    for row in records:
        cells = rows.setdefault(tuple(str(row[key]) for key in keys), {})
        cells[row["column"]] = interval(row, value, "low", "high") or "undefined"
    shown = [
        [*key, *(cells.get(column, "") for column in columns)] for key, cells in list(rows.items())[:MOST]
    ]
    return [
        Grid([*heads, *map(words_of, columns)], shown, frozenset(range(len(keys))), name=name, frame=table)
    ]


def calibration(study: Study, level: float) -> list[Block]:
    """Return calibration errors of the model's probabilities, and a reliability diagram."""
    from isi_widget.report import studies

    result = _asked(lambda: study.calibration(level=level))
    if isinstance(result, str) or not len(result.table) or not (result.table["answers"] > 0).any():
        return []
    table = result.table
    keys, heads = _named(table)
    known = table[table["answers"] > 0]
    records, note = _cut(known)
    cells = [
        [
            *(str(row[key]) for key in keys),
            words_of(row["column"]),
            number(row["ece"]),
            number(row["ece_if_calibrated"]),
        ]
        + [
            interval(row, "brier"),
            number(row["mean_probability"]),
            number(row["frequency"]),
            number(row["answers"]),
        ]
        for row in records
    ]
    titles = [
        *heads,
        "probability",
        "ECE",
        "ECE if calibrated",
        "Brier score",
        "mean probability",
        "frequency",
        "answers",
    ]
    own = replace(
        result,
        table=table[table["column"] == "answer_probability"],
        bins=result.bins[result.bins["column"] == "answer_probability"],
    )
    plots: list[Block] = []
    if (own.table["answers"] > 0).any():
        plots.append(
            Plot(
                partial(studies.plot_calibration, own),
                "Reliability: how often an answer of that probability is right; bars: share of the answers.",
            )
        )
    return [
        Grid(titles, cells, frozenset(range(len(keys) + 1)), name="calibration", frame=table),
        *note,
        Words(
            "ECE: expected calibration error over ten bins. ECE if calibrated: its mean for a calibrated "
            "model with as many answers.",
            True,
        ),
        *plots,
    ]


def modality(study: Study, level: float) -> list[Block]:
    """Return importance, dominance, interference and dilution, and why others are missing."""
    from isi_widget.report import studies

    table = _asked(lambda: study.modality(level=level))
    if isinstance(table, str):
        return []
    known = table[table["value"].notna()]
    if not len(known):
        return []
    records, note = _cut(known[known["measure"] != "efficiency"])
    several = known["model"].nunique() > 1
    cells = [
        [
            *([str(row["model"])] if several else []),
            str(row["measure"]),
            str(row["of"]),
            _text(row["condition"]),
        ]
        + [_text(row["reference"]), interval(row, "value", "low", "high"), number(row["rows"])]
        for row in records
    ]
    heads = [*(["model"] if several else []), "measure", "of", "condition", "against", "value", "rows"]
    sources = dict.fromkeys(map(str, known["source"].dropna()))
    return [
        Grid(heads, cells, frozenset(range(len(heads) - 2)), name="modality", frame=table),
        *note,
        *(Words(source, True) for source in sources),
        *(Words(text, True) for text in not_measured(table[table["value"].isna()].to_dict("records"))),
        Plot(partial(studies.plot_modality, table), "What image and context contribute."),
    ]


#: Reasons that are listed, and names of measures beside each.
_LISTED = 5


def not_measured(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return why values of `modality` are missing: each reason once, with the measures it holds for.

    rows : rows without a value, with measure, of and note.
    """
    reasons: dict[str, dict[str, None]] = {}
    for row in rows:
        reasons.setdefault(str(row["note"]), {})[f"{row['measure']} of {row['of']}"] = None
    listed = [
        f"Not measured: {_some(list(names), 'measures')}. {reason}"
        for reason, names in list(reasons.items())[:_LISTED]
    ]
    more = len(reasons) - _LISTED
    return [*listed, *([f"{more} further reasons are in study.modality()."] if more > 0 else [])]


def _some(names: Sequence[str], kind: str) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more {kind}" if more > 0 else "")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
