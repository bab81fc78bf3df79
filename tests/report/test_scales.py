"""The same number is the same length: in static pages, side by side, in figures and on paper; what goes on
beyond the end of its bar has an arrow. A picture that was drawn on is judged by the original's truth.
"""

import dataclasses
import re

import matplotlib
import pytest
from made_trials import make_trial

from isi_widget.report import html, style, svg
from isi_widget.report.charts import draw_entropies, new_figure, plot_comparison
from isi_widget.report.comparison import comparison_html
from isi_widget.report.pdf import charts as pdf_charts
from isi_widget.report.pdf import results as pdf_results
from isi_widget.stimulus import Arrow, Box
from isi_widget.study.compare import Comparison
from isi_widget.trial.measures import uncertainty_terms as terms

matplotlib.use("Agg")

FEW = ("Yes.", "No.")
MANY = ("Yes.", "No.", "Maybe.", "Both.", "None.", "All.", "Some.", "One.")  # ln 8 = 2.08 nats


def bars(page):
    """Widths of the bars of a static page, without their tracks."""
    boxes = re.findall(r'<rect x="1" y="1" width="([\d.]+)" height="10" fill="([^"]+)"', page)
    return [float(width) for width, fill in boxes if fill == style.NEUTRAL]


@pytest.fixture(scope="module")
def trials():
    return make_trial(FEW), make_trial(MANY)


def test_every_unit_has_its_scale_and_it_is_said_with_the_numbers(trials):
    for measure in terms.ENTROPIES:
        assert measure.scale == terms.SCALES[measure.unit]
    for trial in trials:
        uncertainty = trial.view()["uncertainty"]
        assert [entropy["scale"] for entropy in uncertainty["entropies"]] == [
            measure.scale for measure in terms.ENTROPIES
        ]
        assert svg.escape(uncertainty["scale_note"]) in trial._repr_html_()
    assert svg.escape(terms.SCALE_NOTE) in comparison_html(Comparison(trials, ("a", "b")))


def test_static_pages_draw_each_entropy_on_its_scale(trials):
    for trial in trials:
        drawn = bars(html._uncertainty(trial.view()["uncertainty"]))
        entropies = trial.view()["uncertainty"]["entropies"]
        wanted = [178 * min(entropy["value"] / entropy["scale"], 1.0) for entropy in entropies]
        assert drawn[: len(wanted)] == pytest.approx(wanted, abs=0.01)


def test_side_by_side_a_larger_number_never_has_a_shorter_bar(trials):
    page = comparison_html(Comparison(trials, ("few", "many")))
    for index, entropy in enumerate(trials[0].view()["uncertainty"]["entropies"]):
        (row,) = re.findall(rf"<tr[^>]*><th[^>]*>{re.escape(svg.escape(entropy['label']))}.*?</tr>", page)
        values = [trial.view()["uncertainty"]["entropies"][index]["value"] for trial in trials]
        wanted = [178 * min(value / entropy["scale"], 1.0) for value in values]
        assert bars(row) == pytest.approx(wanted, abs=0.01)


def test_on_paper_the_ends_of_the_bars_are_those_of_the_scale(trials, monkeypatch):
    ends = []
    monkeypatch.setattr(
        pdf_charts,
        "interval_bar",
        lambda *args, **_: ends.append((args[4], args[5])) if len(args) > 7 else None,
    )
    tops = []
    monkeypatch.setattr(pdf_charts, "curve", lambda *args: tops.append(args[-1]))
    for trial in trials:
        ends.clear()
        trial.report()
        found = trial.view()["uncertainty"]["entropies"]
        assert ends[: len(found)] == [(entropy["value"], entropy["scale"]) for entropy in found]
    assert set(tops) <= {terms.SCALES["nats"]}
    assert pdf_results.charts is pdf_charts


def test_figures_have_one_axis(trials):
    limits = set()
    for trial in trials:
        figure = new_figure((4, 4))
        axis = figure.subplots()
        draw_entropies(axis, trial.view())
        limits.add(axis.get_xlim())
    spread = plot_comparison(trials, ("few", "many")).axes
    limits.add(next(axis.get_xlim() for axis in spread if "intervals" in axis.get_title()))
    assert len(limits) == 1
    assert limits.pop()[1] == terms.SCALES["nats"]


@pytest.mark.parametrize(
    ("value", "high", "beyond"), [(0.5, 0.9, False), (2.9, 3.4, True), (4.0, None, True)]
)
def test_what_is_beyond_the_end_has_an_arrow(value, high, beyond):
    low = None if high is None else 0.1
    shown = svg.bar(value, 3.0, "#000000", low, high)
    assert ('z" fill="currentColor"' in shown) is beyond
    figure = new_figure((4, 4))
    axis = figure.subplots()
    from isi_widget.report.charts import _draw_interval

    _draw_interval(axis, 0, {"value": value, "low": low, "high": high}, terms.SCALES["nats"])
    assert (">" in [line.get_marker() for line in axis.lines]) is beyond


# ---- judged by the original's truth


@pytest.mark.parametrize(
    ("operations", "texts", "mark", "judged"),
    [
        ((), ("Yes.",), "right", "right"),
        ((), ("No.",), "wrong", "wrong"),
        ((Box(5, 5, 20, 20),), ("No.",), "differs", "differs from the truth of the original picture"),
        ((Box(5, 5, 20, 20),), ("Yes.",), "agrees", "agrees with the truth of the original picture"),
        ((Arrow((5, 5), (20, 20)),), ("No.",), "wrong", "wrong"),
        ((Box(5, 5, 20, 20, hidden=True),), ("No.",), "wrong", "wrong"),  # it is not in the picture
    ],
)
def test_a_picture_that_was_drawn_on_is_judged_by_the_originals_truth(operations, texts, mark, judged):
    trial = make_trial(texts * 2, operations=operations)
    answer = trial.view()["answer"]
    assert (answer["mark"], answer["judged"]) == (mark, judged)
    edited = mark in ("agrees", "differs")
    assert trial.view()["truth_holds"] is (None if edited else True)
    assert ("agrees_with_original_truth=" in repr(trial)) is edited
    assert ("truth of the original picture: " in trial._repr_html_()) is edited
    assert trial.to_frame()["truth_holds"].tolist() == [None if edited else True]
    assert judged in trial._repr_html_().replace("&#x27;", "'")
    assert mark in comparison_html(Comparison((trial, trial), ("a", "b")))
    assert judged in trial.plot().get_suptitle()
    words = {"right", "wrong", "agrees", "differs"} - {mark}
    assert not words & set(re.findall(r"\b(?:right|wrong|agrees|differs)\b", html.verdict(answer)))
    unjudged = dataclasses.replace(trial, stimulus=trial.stimulus.with_question("Why?"))
    assert unjudged.view()["answer"]["mark"] == ""


def test_static_compare_marks_probabilities_that_differ(trials):
    other = trials[0].with_results(yes_no={"yes": 0.2, "no": 0.7, "rest": 0.1})
    near = trials[0].with_results(yes_no={"yes": 0.69, "no": 0.21, "rest": 0.1})
    page = comparison_html(Comparison((trials[0], other, near), ("a", "b", "c")))
    (row,) = re.findall(r"<tr[^>]*><th[^>]*>p\(yes\), p\(no\).*?</tr>", page)
    assert [("<mark" in cell) for cell in re.findall(r"<td.*?</td>", row)] == [False, True, False]
