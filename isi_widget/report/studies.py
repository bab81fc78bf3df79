"""Statistics of a study as matplotlib figures: for notebooks, papers and slides.

Each function draws one table of `isi_widget.study.statistics` and computes nothing. Rows of dots keep the
same height however many there are, so that a figure of 30 conditions is higher than one of two and as
readable.
Colour is never the only difference: series have markers and dashes of their own. Not for single trials
(`charts`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from isi_widget.errors import InputError
from isi_widget.report.charts import lettered, new_figure, plain
from isi_widget.report.style import NEUTRAL, SERIES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Most panels of one figure; a title counts the others.
MOST_PANELS = 36
#: Most rows of dots of one panel.
MOST_ROWS = 150
_ROW, _LABEL = 0.26, 34  # inches, characters
#: Columns of a table that name a row, in the order of its label.
_KEYS = ("model", "condition", "semantic_level", "group", "seed")
#: Columns of numbers between 0 and 1, whose axis shows all of it.
_SHARES = ("accuracy", "answer_probability", "attention_", "p_yes", "p_no", "p_rest")


#: What people read in place of the names of columns.
_WORDS = {
    "correct": "accuracy",
    "accuracy": "accuracy",
    "majority": "most frequent answer",
    "yes_bias": "bias to yes",
    "answer_probability": "probability of the answer",
    "bayesian_semantic_entropy": "semantic entropy, Bayesian",
    "discrete_semantic_entropy": "semantic entropy, discrete",
    "semantic_entropy": "semantic entropy, likelihood-weighted",
    "rao_quadratic_entropy": "Rao's quadratic entropy",
    "attention_relative_image": "image, of the inputs",
    "attention_relative_context": "context, of the inputs",
    "attention_relative_question": "question, of the inputs",
    "attention_image": "image",
    "attention_context": "context",
    "attention_question": "question",
    "modality_dominance_index": "modality dominance index",
}
_NATS = ("bayesian_semantic_entropy", "discrete_semantic_entropy", "semantic_entropy", "predictive_entropy")


def plot_table(table: Any) -> Figure:
    """Plot means with intervals: a panel for each measure, a row for each condition, a colour for each model.

    Beside an accuracy a grey tick shows that of always giving the most frequent true answer.
    """
    names = [name for name in table if f"{name}_low" in table and table[name].notna().any()]
    if not names:
        raise InputError("No measure of this table has a value to plot; call table(columns=[...]).")
    labels, models, place_of = _rows(table)
    figure, panels = _side_by_side(len(names), len(labels), len(models))
    for axis, name in zip(panels, names, strict=True):
        for number, model in enumerate(models):
            own = table[table["model"] == model]
            places = [place_of[key] for key in _keys(own)]
            _dots(axis, own, name, f"{name}_low", f"{name}_high", places, number, len(models))
            if name == "accuracy" and "majority" in own:
                axis.plot(
                    own["majority"],
                    [_shifted(place, number, len(models)) for place in places],
                    *("|",),
                    color=NEUTRAL,
                    markersize=9,
                    zorder=1,
                )
        if name.startswith(_SHARES) and not name.endswith("log_likelihood"):
            axis.set_xlim(-0.02, 1.02)
        majority = "\n(| most frequent answer)" if name == "accuracy" and "majority" in table else ""
        axis.set_title(_with_unit(name) + majority, fontsize=9)
    _finish(panels, labels, models)
    return _titled(figure, "Means with intervals over observations")


def plot_paired(table: Any) -> Figure:
    """Plot paired differences as a forest: filled where Holm's p-value is below 0.05, else hollow."""
    columns = list(dict.fromkeys(table["column"]))
    labels, models, place_of = _rows(table)
    figure, panels = _side_by_side(len(columns), len(labels), len(models))
    for axis, column in zip(panels, columns, strict=True):
        axis.axvline(0, color=NEUTRAL, linewidth=1, zorder=0)
        for number, model in enumerate(models):
            own = table[(table["model"] == model) & (table["column"] == column)]
            places = [place_of[key] for key in _keys(own)]
            filled = (own["p_holm"] < 0.05).to_list()
            _dots(axis, own, "difference", "low", "high", places, number, len(models), filled)
        axis.set_title(_with_unit(column), fontsize=9)
    _finish(panels, labels, models)
    baseline = plain(str(table["baseline"].iloc[0]), _LABEL)
    return _titled(figure, f"Difference to “{baseline}”; filled: p < 0.05 (Holm)")


def plot_curves(table: Any) -> Figure:
    """Plot measures against the strength of a change: a panel for each grid and measure, a line for each
    model; dashed: the baseline.
    """
    columns, curves = (list(dict.fromkeys(table[name])) for name in ("column", "curve"))
    models = list(dict.fromkeys(table["model"]))
    pairs = [(column, curve) for column in columns for curve in curves]
    across = min(len(curves), 4) if len(columns) > 1 and len(curves) <= 4 else min(len(pairs), 4)
    figure, panels, left = _grid(len(pairs), across, (2.7, 2.3))
    for axis, (column, curve) in zip(panels, pairs, strict=False):
        for number, model in enumerate(models):
            own = table[(table["model"] == model) & (table["column"] == column) & (table["curve"] == curve)]
            color, marker, dashes = SERIES[number % len(SERIES)]
            axis.plot(own["level"], own["value"], color=color, marker=marker, markersize=4, linestyle=dashes)
            axis.fill_between(own["level"], own["low"], own["high"], color=color, alpha=0.18, linewidth=0)
            reference = own["baseline_value"].dropna()
            if len(reference):
                axis.axhline(reference.iloc[0], color=color, linewidth=0.8, linestyle=(0, (4, 4)), alpha=0.7)
        parameter = table.loc[table["curve"] == curve, "parameter"].iloc[0]
        axis.set_xlabel(plain(str(parameter) if isinstance(parameter, str) else "level"), fontsize=8)
        axis.set_title(f"{_with_unit(column)}\n{plain(str(curve), 30)}", fontsize=8)
        axis.tick_params(labelsize=7)
        if column == "correct":
            axis.set_ylim(-0.02, 1.02)
    _legend(panels[0], models)
    dashed = "; dashed: baseline" if table["baseline_value"].notna().any() else ""
    return _titled(figure, f"Curves with intervals over observations{dashed}{left}")


def plot_auroc(table: Any) -> Figure:
    """Plot areas under the ROC curve: a panel for each model, a row for each condition, a colour for each
    uncertainty.
    """
    columns, (labels, models, place_of) = list(dict.fromkeys(table["column"])), _rows(table)
    figure, panels = _side_by_side(len(models), len(labels), len(columns))
    for axis, model in zip(panels, models, strict=True):
        axis.axvline(0.5, color=NEUTRAL, linewidth=1, zorder=0)
        for number, column in enumerate(columns):
            own = table[(table["column"] == column) & (table["model"] == model)]
            places = [place_of[key] for key in _keys(own)]
            _dots(axis, own, "auroc", "low", "high", places, number, len(columns))
        unknown = table[(table["model"] == model) & table["auroc"].isna()]
        for place in {place_of[key] for key in _keys(unknown)}:
            axis.text(0.02, place, "undefined", va="center", fontsize=7, color=NEUTRAL)
        axis.set_xlim(-0.02, 1.02)
        axis.set_title(plain(str(model), _LABEL) if len(models) > 1 else "", fontsize=9)
    _finish(panels, labels, [_words(column) for column in columns])
    return _titled(figure, "AUROC for “the answer is wrong”; line: chance")


def plot_calibration(result: Any) -> Figure:
    """Plot a reliability diagram for each model, group and probability; bars: share of the answers."""
    table, bins = result.table, result.bins
    table = table[table["answers"] > 0]
    if not len(table):
        raise InputError("No answer was judged with a known probability, so there is no reliability diagram.")
    named = [name for name in (*_KEYS, "column") if name in table]
    figure, panels, left = _grid(len(table), 6 if len(table) > 8 else 4, (2.2, 2.4))
    for axis, (_, row) in zip(panels, table.iterrows(), strict=False):
        own = bins
        for name in named:
            own = own[own[name] == row[name]] if row[name] is not None else own[own[name].isna()]
        shares = own["answers"] / max(own["answers"].sum(), 1)
        axis.bar(own["from"], shares, own["to"] - own["from"], align="edge", color="#DDDDDD", zorder=0)
        axis.plot([0, 1], [0, 1], color=NEUTRAL, linewidth=1, zorder=1)
        known = own[own["answers"] > 0]
        axis.vlines(known["probability"], known["low"], known["high"], color=SERIES[0][0], linewidth=1.5)
        axis.plot(known["probability"], known["frequency"], "o", color=SERIES[0][0], markersize=4)
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.tick_params(labelsize=7)
        axis.set_xlabel(_words(row["column"]), fontsize=7)
        axis.set_title(f"{_short(row, table)}\nECE {row['ece']:.3f}, n = {row['answers']}", fontsize=8)
    panels[0].set_ylabel(f"how often\n{plain(str(table['event'].iloc[0]))}", fontsize=7)
    return _titled(figure, "Reliability; bars: share of the answers" + left)


def plot_risk_coverage(result: Any) -> Figure:
    """Plot risk against coverage: a panel for each model and group, a line for each uncertainty; grey: a
    random order.
    """
    table, curve = result.table, result.curve
    if not len(curve):
        raise InputError("No answer was judged, so there is no curve of risk and coverage.")
    columns = list(dict.fromkeys(table["column"]))
    keys = list(dict.fromkeys(_keys(curve, models=True)))
    figure, panels, left = _grid(len(keys), 6 if len(keys) > 8 else 4, (2.2, 2.2))
    of_curve, of_table = _keys(curve, models=True), _keys(table, models=True)
    for axis, key in zip(panels, keys, strict=False):
        own = curve[[item == key for item in of_curve]]
        row = table[[item == key for item in of_table]]
        axis.axhline(row["risk"].iloc[0], color=NEUTRAL, linewidth=1, zorder=0)
        for number, column in enumerate(columns):
            line = own[own["column"] == column]
            color, _, dashes = SERIES[number % len(SERIES)]
            axis.plot(line["coverage"], line["risk"], color=color, linestyle=dashes, linewidth=1.5)
        axis.set_xlim(0, 1)
        axis.set_ylim(0, max(0.05, float(curve["risk"].max()) * 1.05))
        axis.tick_params(labelsize=7)
        axis.set_title(_short(row.iloc[0], table), fontsize=8)
    for axis in panels:
        axis.set_xlabel("coverage", fontsize=7)
    panels[0].set_ylabel("risk (share wrong)", fontsize=7)
    _legend(panels[0], [_words(column) for column in columns], markers=False)
    return _titled(figure, "Risk and coverage; grey: random order" + left)


def plot_modality(table: Any) -> Figure:
    """Plot importance, dominance, efficiency, interference and dilution, each in a panel with rows of its
    own; those that were refused are left out.
    """
    known = table[table["value"].notna()]
    left = ""
    if known["condition"].nunique() > 8 and (known["measure"] != "efficiency").any():
        known, left = known[known["measure"] != "efficiency"], "\n(efficiency not shown: many conditions)"
    if not len(known):
        reasons = " ".join(dict.fromkeys(table["note"]))
        raise InputError(f"None of the measures of modality could be computed. {reasons}")
    measures = list(dict.fromkeys(known["measure"]))
    models = list(dict.fromkeys(known["model"]))
    parts = []
    for measure in measures:
        own = known[known["measure"] == measure]
        parts.append((measure, own, list(dict.fromkeys(map(_of_modality, own.to_dict("records"))))))
    heights = [max(2, min(len(labels), MOST_ROWS)) for _, _, labels in parts]
    figure = new_figure((7.5, sum(heights) * _row_height(len(models)) + 0.75 * len(parts) + 0.4))
    panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (measure, own, labels) in zip(panels, parts, strict=True):
        if measure in ("importance", "efficiency", "dominance"):
            axis.axvline(0 if measure == "importance" else 1, color=NEUTRAL, linewidth=1, zorder=0)
        for number, model in enumerate(models):
            mine = own[own["model"] == model]
            places = [labels.index(_of_modality(row)) for row in mine.to_dict("records")]
            _dots(axis, mine, "value", "low", "high", places, number, len(models))
        axis.set_title(measure, fontsize=9)
        _finish([axis], labels, models if axis is panels[0] else models[:1])
    return _titled(figure, "What image and context contribute" + left)


KINDS: dict[str, Callable[[Any], Figure]] = {
    "table": plot_table,
    "paired": plot_paired,
    "curves": plot_curves,
    "auroc": plot_auroc,
    "calibration": plot_calibration,
    "risk_coverage": plot_risk_coverage,
    "modality": plot_modality,
}


# ---- rows of dots
def _rows(table: pd.DataFrame) -> tuple[list[str], list[str], dict[tuple[Any, ...], int]]:
    """Return the labels of the rows, the models, and the place of each row by its values."""
    place_of = {key: place for place, key in enumerate(dict.fromkeys(_keys(table)))}
    return [_label(key) or "all rows" for key in place_of], list(dict.fromkeys(table["model"])), place_of


def _keys(table: pd.DataFrame, models: bool = False) -> list[tuple[Any, ...]]:
    """Return what names each row of a table, the model only if wanted."""
    grouped = "condition" in table
    names = [
        name
        for name in _KEYS
        if name in table and (models or name != "model") and not (name == "group" and grouped)
    ]
    if not names:
        return [()] * len(table)
    return list(table[names].itertuples(index=False, name=None))


def _label(key: Sequence[Any]) -> str:
    return _shortened(", ".join(str(value) for value in key if value is not None and value == value))


def _shortened(text: str, longest: int = _LABEL) -> str:
    """Return a text without its middle, since long names of conditions often differ at their end."""
    if len(text) > longest:
        end = longest // 2 - 2
        text = f"{text[: longest - end - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}{text[-end:].lstrip()}"
    return plain(text, longest + 1)


def _short(row: Any, table: pd.DataFrame) -> str:
    """Return the label of a panel: what differs between the rows of its table."""
    names = [name for name in _KEYS if name in table and not (name == "group" and "condition" in table)]
    parts = [str(row[name]) for name in names if name != "model" or table["model"].nunique() > 1]
    return _shortened(", ".join(parts), 30) or "all rows"


def _of_modality(row: dict[str, Any]) -> str:
    reference = row["reference"]
    beside = f" against {reference}" if isinstance(reference, str) else ""
    return _shortened(f"{row['of']}: {row['condition']}{beside}", 60)


def _dots(
    axis: Axes,
    rows: pd.DataFrame,
    value: str,
    low: str,
    high: str,
    places: Sequence[int],
    number: int,
    series: int,
    filled: Sequence[bool] | None = None,
) -> None:
    """Draw a dot with its interval in each row, beside those of other series."""
    color, marker, _ = SERIES[number % len(SERIES)]
    shown = [place < MOST_ROWS for place in places]
    rows = rows[shown]
    at = [_shifted(place, number, series) for place, keep in zip(places, shown, strict=True) if keep]
    axis.hlines(at, rows[low], rows[high], color=color, linewidth=1.6)
    full = [True] * len(places) if filled is None else list(filled)
    full = [value for value, keep in zip(full, shown, strict=True) if keep]
    for kind in (True, False):
        use = [place for place, value in enumerate(full) if value is kind]
        axis.plot(
            rows[value].iloc[use],
            [at[place] for place in use],
            marker,
            color=color,
            markerfacecolor=color if kind else "white",
            markersize=5,
            zorder=3,
        )


def _shifted(place: int, number: int, series: int) -> float:
    return place + (number - (series - 1) / 2) * 0.8 / max(series, 2)


def _row_height(series: int) -> float:
    return max(_ROW, 0.13 * series + 0.08)


def _side_by_side(panels: int, rows: int, series: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels that share their rows."""
    height = max(3, min(rows, MOST_ROWS)) * _row_height(series) + 1.3
    figure = new_figure((2.6 + 2.6 * panels, height))
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _finish(panels: Sequence[Axes], labels: Sequence[str], series: Sequence[Any]) -> None:
    """Label the rows, and the series if there are several."""
    shown = list(labels[:MOST_ROWS])
    for axis in panels:
        axis.grid(axis="x", color="#E4E4E4", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.locator_params(axis="x", nbins=5)
        axis.tick_params(labelsize=8)
        for place in range(1, len(shown), 2):
            axis.axhspan(place - 0.5, place + 0.5, color="#F4F4F4", linewidth=0, zorder=-1)
        axis.set_yticks(range(len(shown)))
        axis.set_ylim(len(shown) - 0.4, -0.6)
        axis.tick_params(axis="y", labelleft=axis is panels[0], length=0)
    panels[0].set_yticks(range(len(shown)), shown, fontsize=8)
    left = len(labels) - len(shown)
    if left:
        panels[0].set_xlabel(f"({left} more rows not shown)", fontsize=8)
    _legend(panels[-1], series)


def _legend(axis: Axes, series: Sequence[Any], markers: bool = True) -> None:
    from matplotlib.lines import Line2D

    if len(series) < 2:
        return
    lines = []
    for number, name in enumerate(series):
        color, marker, dashes = SERIES[number % len(SERIES)]
        style: Any = dashes
        lines.append(
            Line2D(
                [],
                [],
                color=color,
                marker=marker if markers else "",
                linestyle="" if markers else style,
                markersize=5,
                label=plain(str(name), _LABEL),
            )
        )
    figure: Any = axis.figure
    figure.legend(
        handles=lines, loc="outside lower center", ncols=min(len(lines), 4), fontsize=8, frameon=False
    )


def _grid(panels: int, across: int, size: tuple[float, float]) -> tuple[Figure, list[Axes], str]:
    """Return a figure of small panels, and a note on those that are left out."""
    shown = min(panels, MOST_PANELS)
    across = max(1, min(across, shown))
    down = math.ceil(shown / across)
    figure = new_figure((max(size[0] * across, 4.2) + 0.4, size[1] * down + 0.6))
    axes = list(figure.subplots(down, across, squeeze=False).ravel())
    for axis in axes[shown:]:
        axis.set_axis_off()
    left = panels - shown
    return figure, axes[:shown], f"\n({left} more panels not shown)" if left else ""


def _titled(figure: Figure, title: str) -> Figure:
    figure.suptitle(plain(title, 200), fontsize=10)
    return lettered(figure)


def warned(figure: Figure, notes: Sequence[str]) -> Figure:
    """Add below a figure what warns of its numbers, such as unreliable comparisons."""
    if notes:
        figure.supxlabel(plain("\n".join(fill(note, 110) for note in notes), 600), fontsize=7)
    return figure


def words_of(name: Any) -> str:
    """Return what people read in place of the name of a column."""
    return _WORDS.get(str(name), str(name).replace("_", " "))


def _words(name: Any) -> str:
    """Return the name of a measure on a plot; shares of attention with that word."""
    kind, _, part = str(name).partition("_")
    if kind == "attention" and part:
        absolute = "" if part.startswith("relative_") else " (absolute)"
        return plain(f"attention, {part.removeprefix('relative_').replace('_', ' ')}{absolute}")
    return plain(words_of(name))


def _with_unit(name: Any) -> str:
    return f"{_words(name)} (nats)" if name in _NATS else _words(name)
