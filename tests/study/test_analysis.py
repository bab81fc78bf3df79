"""The statistics of a study as its methods, and their figures."""

from __future__ import annotations

import itertools

import duckdb
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
from matplotlib.figure import Figure
from PIL import Image
from pyarrow import parquet
from study.analysed import Analysed
from study.made_studies import CONDITIONS, Made, made_rows

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.report import studies
from isi_widget.report.figures import WIDTHS, save_figure
from isi_widget.study import statistics
from isi_widget.uncertainty.bootstrap import LEADING

MANY = [Made("plain", 0.8)]
MANY += [Made(f"blur radius={i}", 0.8 - 0.02 * i, "blur", "radius", i) for i in range(1, 15)]
MANY += [Made(f"a condition with a name that is long, number {i}", 0.5 + 0.02 * i) for i in range(15)]


@pytest.fixture(scope="module")
def study():
    return Analysed(made_rows(50, models=("a", "b"), seeds=(0, 1), failing=0.05, unjudged=0.05))


def test_methods_are_the_functions_on_the_rows(study):
    rows = study.rows
    for found, expected in (
        (study.table(level=0.9), statistics.table(rows, level=0.9)),
        (study.table(by="semantic_level"), statistics.table(rows, by="semantic_level")),
        (study.paired(), statistics.paired(rows, "plain")),
        (study.paired("complementary", "all"), statistics.paired(rows, "complementary", "all")),
        (study.baselines(), statistics.baselines(rows)),
        (study.unjudged(), statistics.unjudged(rows)),
        (study.auroc(by=()), statistics.auroc(rows, by=())),
        (study.risk_coverage().table, statistics.risk_coverage(rows).table),
        (study.calibration("p_yes", bins=5).bins, statistics.calibration(rows, "p_yes", bins=5).bins),
        (study.curves(), statistics.curves(rows, baseline="plain")),
        (study.modality(), statistics.modality(rows, "plain")),
    ):
        pd.testing.assert_frame_equal(found, expected)
    assert all("answers" not in columns for columns in study.read)


def test_the_statistics_of_a_real_study_in_memory_and_from_its_store(tmp_path):
    conditions = [isi.condition("plain"), isi.condition("noise").noise(isi.grid(sigma=[0.3, 0.9]))]
    run = {"measures": ("answer",), "seeds": (0, 1), "progress": None}
    study = isi.run_study(isi.load_vlm(), isi.datasets.scenes()[:6], conditions, store=tmp_path / "a", **run)
    for made in (study, isi.open_study(tmp_path / "a")):
        found = made.table("correct")
        assert list(found["condition"]) == ["plain", "noise sigma=0.3", "noise sigma=0.9"]
        assert list(found["rows"]) == [12] * 3 and list(found["observations"]) == [6] * 3
        assert list(made.paired()["observations"]) == [6, 6]
        assert list(made.curves("correct")["level"]) == [0.3, 0.9]
        assert isinstance(made.plot(), Figure)
    assert set(study.auroc()["column"]) == {"answer_probability"}


STATISTICS = {
    "table": lambda rows: statistics.table(rows, "all"),
    "table by level": lambda rows: statistics.table(rows, "correct", by=("condition", "semantic_level")),
    "paired": lambda rows: statistics.paired(rows, "plain", "all"),
    "baselines": statistics.baselines,
    "unjudged": statistics.unjudged,
    "auroc": statistics.auroc,
    "risk_coverage": lambda rows: statistics.risk_coverage(rows).table,
    "calibration": lambda rows: statistics.calibration(rows).bins,
    "curves": lambda rows: statistics.curves(rows, baseline="plain"),
    "modality": lambda rows: statistics.modality(rows, "plain"),
}


@pytest.fixture(scope="module")
def read_by(tmp_path_factory):
    """The same rows as several libraries read them."""
    rows = made_rows(25, models=("a", "b"), failing=0.05, unjudged=0.05)
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    parquet.write_table(pa.Table.from_pandas(rows), path)
    categories = rows.copy()
    for name in ("model", "condition", "answer", "truth", "semantic_level"):
        categories[name] = categories[name].astype("category")
    return rows, {
        "pandas": pd.read_parquet(path),
        "pandas, Arrow": pd.read_parquet(path, dtype_backend="pyarrow"),
        "pandas, nullable": pd.read_parquet(path, dtype_backend="numpy_nullable"),
        "polars": polars.read_parquet(path).to_pandas(),
        "DuckDB": duckdb.sql(f"from '{path}'").df(),
        "categories": categories,
        "other index": rows.set_index(pd.Index(range(1000, 1000 + len(rows)))),
    }


@pytest.mark.parametrize("name", STATISTICS)
def test_rows_may_be_read_by_any_library(read_by, name):
    rows, forms = read_by
    expected = STATISTICS[name](rows)
    for form in forms.values():
        pd.testing.assert_frame_equal(STATISTICS[name](form), expected, check_dtype=False)


# ---- figures
def texts(figure):
    return [item.get_text() for item in figure.findobj(lambda item: hasattr(item, "get_text"))]


def drawn(figure):
    """Draw it, as saving it does."""
    figure.canvas.draw()
    return figure


@pytest.mark.parametrize("kind", sorted(studies.KINDS))
def test_every_kind_is_drawn(study, kind):
    figure = drawn(study.plot(kind))
    assert isinstance(figure, Figure) and max(figure.get_size_inches()) < 25


@pytest.mark.parametrize("kind", ["table", "paired", "curves"])
def test_plots_that_are_wider_than_a_column_are_saved(study, kind, tmp_path):
    path = tmp_path / "a.png"
    save_figure(study, path, width="column", dpi=60, kind=kind)
    with Image.open(path) as image:
        assert image.width == round(WIDTHS["column"] * 60)


def test_measures_have_the_same_name_on_each_plot_and_entropies_a_unit():
    rows = made_rows(20, (CONDITIONS[0], *(Made(f"x{i}", 0.5, "x", "x", i) for i in (1, 2))), rng=1)
    name = "semantic entropy, Bayesian"
    for kind in ("table", "paired", "curves"):
        titles = [axis.get_title() for axis in Analysed(rows).plot(kind, ["correct", LEADING]).axes]
        assert any(title.startswith(f"{name} (nats)") for title in titles), titles
        assert any(title.startswith("accuracy") for title in titles), titles
    assert "dashed: baseline" in Analysed(rows).plot("curves").get_suptitle()
    assert name in [text.get_text() for text in Analysed(rows).plot("auroc").legends[0].get_texts()]


def test_a_kind_that_there_is_not_is_refused(study):
    with pytest.raises(InputError, match="risk_coverage"):
        study.plot("pie")


def test_dots_stand_at_their_values_beside_the_names_of_their_conditions():
    rows = made_rows(40, CONDITIONS[:2], models=("a", "b"), rng=1)
    table = statistics.table(rows, "correct")
    axis = drawn(studies.plot_table(table)).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["plain", "noise sigma=0.1"]
    dots = {round(x, 6) for line in axis.lines if line.get_marker() in "os" for x in line.get_xdata()}
    assert dots == {round(value, 6) for value in table["accuracy"]}
    ticks = {x for line in axis.lines if line.get_marker() == "|" for x in line.get_xdata()}
    assert ticks == set(table["majority"])


def test_significant_differences_are_filled():
    rows = made_rows(300, (CONDITIONS[0], CONDITIONS[5], Made("same", 0.85)), rng=2)
    found = statistics.paired(rows, "plain", "correct")
    axis = drawn(studies.plot_paired(found)).axes[0]
    filled = {
        x
        for line in axis.lines
        if line.get_marker() == "o" and line.get_markerfacecolor() != "white"
        for x in line.get_xdata()
    }
    assert filled == set(found.loc[found["p_holm"] < 0.05, "difference"]) and len(filled) == 1


def test_thirty_conditions_are_readable(study):
    many = Analysed(made_rows(30, MANY, models=("a", "b"), answers=0))
    for kind in ("table", "paired", "curves", "auroc"):
        figure = drawn(many.plot(kind))
        axis = figure.axes[0]
        if kind == "curves":
            continue
        labels = [label.get_text() for label in axis.get_yticklabels()]
        assert len(labels) == len(set(labels)) == (29 if kind == "paired" else 30)
        boxes = [label.get_window_extent() for label in axis.get_yticklabels()]
        assert all(one.y0 > two.y1 for one, two in itertools.pairwise(boxes))  # none over another
    figure = drawn(many.plot("calibration"))
    assert "24 more panels not shown" in " ".join(texts(figure))


def test_more_rows_than_fit_are_counted():
    made = [Made(f"c{i}", 0.5) for i in range(studies.MOST_ROWS + 7)]
    figure = drawn(Analysed(made_rows(4, made, answers=0), "c0").plot("table", "correct"))
    assert "(7 more rows not shown)" in texts(figure) and figure.get_size_inches()[1] < 60


def test_an_undefined_area_is_written():
    rows = made_rows(30, CONDITIONS[:2])
    rows.loc[rows["condition"] == "plain", "correct"] = True
    assert "undefined" in texts(drawn(studies.plot_auroc(statistics.auroc(rows, "semantic_entropy"))))


def test_names_with_signs_of_formulas_are_drawn_as_they_are():
    rows = made_rows(10, (Made("costs $5 or $6", 0.5), Made("<b>", 0.6)))
    figure = drawn(studies.plot_table(statistics.table(rows, "correct")))
    assert next(t.get_text() for t in figure.axes[0].get_yticklabels()) == r"costs \$5 or \$6"


def test_measures_without_any_value_have_no_panel():
    rows = made_rows(10, CONDITIONS[:2]).assign(correct=None)
    figure = drawn(Analysed(rows).plot())
    assert [axis.get_title() for axis in figure.axes] == [
        "semantic entropy, Bayesian (nats)",
        "attention, image",
    ]
    with pytest.raises(InputError, match="No measure"):
        Analysed(rows).plot(columns="correct")


def test_a_measure_that_there_is_not_is_refused_with_the_one_that_was_meant():
    rows = made_rows(5, CONDITIONS[:2])
    with pytest.raises(InputError, match=r"no column 'acuracy'\. Did you mean 'accuracy'\?"):
        Analysed(rows).table("acuracy")
    with pytest.raises(InputError, match=r"study\.columns"):
        Analysed(rows).paired(columns=["correct", "zzz"])


def test_what_cannot_be_drawn_is_refused():
    rows = made_rows(5, CONDITIONS[:1]).assign(correct=None)
    with pytest.raises(InputError, match="reliability"):
        studies.plot_calibration(statistics.calibration(rows, "answer_probability"))
    with pytest.raises(InputError, match="risk"):
        studies.plot_risk_coverage(statistics.risk_coverage(rows, "clusters"))
    gone = rows.drop(columns=[name for name in rows if name.startswith(("attention", "modality"))])
    with pytest.raises(InputError, match="No condition has"):
        studies.plot_modality(statistics.modality(gone))


@pytest.mark.slow
def test_a_million_rows_are_drawn():
    rows = made_rows(143_000, answers=0, rng=np.random.default_rng(0))
    study = Analysed(rows)
    for kind in ("table", "paired", "curves", "auroc", "calibration", "risk_coverage"):
        drawn(study.plot(kind))
