"""The plots: bars, points and intervals stand where the numbers are."""

from __future__ import annotations

import io
import warnings

import matplotlib as mpl
import pytest
from made_fonts import make_font
from made_trials import HOSTILE, make_trial

from isi_widget.report import fonts
from isi_widget.report.style import SEGMENT_COLORS
from isi_widget.study.compare import Comparison

mpl.use("agg")


def drawn(figure):
    figure.draw_without_rendering()
    return {axis.get_title().split("\n")[0]: axis for axis in figure.get_axes()}


def test_a_trial_has_a_panel_for_each_result(trial, bare):
    assert len(trial.plot().get_axes()) == 4
    assert list(drawn(trial.plot())) == [
        "",
        "Uncertainty: 4 samples, T = 0.9,",
        "Clusters: share of the answers, count",
        "Attention (not importance)",
    ]
    visible = [axis for axis in bare.plot().get_axes() if axis.axison]
    assert len(visible) == 1


def test_pyplot_keeps_no_figure(trial):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    trial.plot()
    assert plt.get_fignums() == before


def test_attention_bars_have_their_shares_and_colours(trial):
    axis = drawn(trial.plot())["Attention (not importance)"]
    full = {
        mpl.colors.to_hex(bar.get_facecolor()).upper(): bar.get_width()
        for bar in axis.patches
        if not bar.get_hatch()
    }
    shares = trial.attention.absolute()
    assert full == pytest.approx({SEGMENT_COLORS[name].upper(): shares[name] for name in shares})
    hatched = sorted(bar.get_width() for bar in axis.patches if bar.get_hatch())
    assert hatched == pytest.approx(sorted(trial.attention.relative().values()))


def test_entropies_stand_at_their_values_with_their_intervals(trial):
    axis = drawn(trial.plot())["Uncertainty: 4 samples, T = 0.9,"]
    view = trial.view()["uncertainty"]["entropies"]
    points = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"]
    assert points == pytest.approx([entropy["value"] for entropy in view])
    spans = [tuple(line.get_xdata()) for line in axis.lines if len(line.get_xdata()) == 2]
    assert spans == [(entropy["low"], entropy["high"]) for entropy in view]


def test_cluster_bars_are_shares_and_the_rest_is_counted():
    axis = drawn(make_trial(texts=("a", "b", "b")).plot())["Clusters: share of the answers, count"]
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([2 / 3, 1 / 3])
    many = make_trial(texts=tuple(f"answer {i}" for i in range(11)))
    axis = drawn(many.plot())["Clusters: share of the answers, count"]
    assert len(axis.patches) == 8 and "(3 more not shown)" in axis.get_title()


def test_texts_are_drawn_as_they_are(hostile):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hostile.plot().canvas.draw()  # a dollar sign would start a formula, and a broken one is an error
        Comparison((hostile, make_trial()), (HOSTILE, "b")).plot().canvas.draw()


def test_the_image_is_the_rendered_stimulus(trial):
    import numpy as np

    image = trial.plot().get_axes()[0].get_images()[0]
    np.testing.assert_array_equal(np.asarray(image.get_array()), np.asarray(trial.stimulus.render()))


def test_a_comparison_shows_every_condition(bare):
    trials = (make_trial(), make_trial(shift=0.2), bare)
    axes = drawn(Comparison(trials, ("first", "second", "third")).plot())
    assert {"first", "second", "third"} <= set(axes)
    points = [
        line.get_xdata()[0]
        for line in axes["Semantic entropy, Bayesian (nats)"].lines
        if line.get_marker() == "o"
    ]
    assert points == pytest.approx([trials[0].uncertainty.bayesian_semantic_entropy] * 2)
    widths = [bar.get_width() for bar in axes["Attention, relative to the inputs"].patches]
    assert widths[:3] == pytest.approx(list(trials[0].attention.relative().values()))
    assert widths[3:6] == pytest.approx(list(trials[1].attention.relative().values()))
    assert len(Comparison((bare,), ("only",)).plot().get_axes()) == 1


def test_without_likelihoods_the_bars_are_shares_of_the_answers(silent):
    figure = silent.plot()
    axes = drawn(figure)
    assert [bar.get_width() for bar in axes["Clusters: share of the answers, count"].patches] == [
        0.5,
        0.25,
        0.25,
    ]
    texts = [text.get_text().strip() for text in axes["Uncertainty: 4 samples, T = 0.9,"].texts]
    assert texts == ["not available"] * 2
    assert "A server shows only text." in figure.get_supxlabel()


def test_conditions_of_which_one_has_no_likelihoods_are_compared_all_the_same(silent):
    told = make_trial()
    axes = drawn(Comparison((told, silent), ("a", "b")).plot())
    axis = axes["Semantic entropy, Bayesian (nats)"]
    points = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"]
    assert points == [trial.uncertainty.bayesian_semantic_entropy for trial in (told, silent)]


def test_the_legend_of_a_comparison_does_not_cover_the_numbers_of_its_axis():
    for trials in ((make_trial(),) * 2, (make_trial(),) * 6):
        figure = Comparison(trials, tuple("abcdef"[: len(trials)])).plot()
        axis = drawn(figure)["Attention, relative to the inputs"]
        legend = axis.get_legend().get_window_extent()
        assert all(not legend.overlaps(label.get_window_extent()) for label in axis.get_xticklabels())


CHINESE = "\u56fe\u4e2d\u6709\u661f\u5417"


def shown_texts(figure):
    figure.savefig(io.BytesIO())  # the canvas of a figure without a backend draws nothing
    return "".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def test_letters_that_the_usual_font_has_not_are_drawn_by_a_font_of_the_computer(tmp_path, monkeypatch):
    path = make_font(tmp_path, {ord(c): f"g{ord(c):x}" for c in CHINESE}, "Made Han")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(fonts, "installed", lambda: [tmp_path / "broken.ttf", path])
    trial = make_trial(question=CHINESE + "?", texts=(CHINESE, "No.", "No.", "No."))
    both = Comparison((trial, trial), (CHINESE, "b"))
    for figure in (trial.plot(), both.plot()):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # matplotlib warns of each letter that it has no shape for
            assert CHINESE in shown_texts(figure) and fonts.UNDRAWABLE not in shown_texts(figure)


def test_letters_that_no_font_has_are_warned_of_once(monkeypatch):
    monkeypatch.setattr(fonts, "installed", lambda: [])
    trial = make_trial(question=CHINESE + "?", texts=(CHINESE, "No.", "No.", "No."))
    for made in (trial, Comparison((trial, trial), (CHINESE, "b"))):
        with pytest.warns(UserWarning, match="No font of this computer draws .*fonts-noto-cjk") as caught:
            figure = made.plot()
        assert len(caught) == 1 and all(letter in str(caught[0].message) for letter in CHINESE)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert fonts.UNDRAWABLE * 5 in shown_texts(figure) and CHINESE not in shown_texts(figure)


@pytest.mark.parametrize(
    ("letters", "package"),
    [
        ("\u56fe", "cjk"),
        ("\uac83", "cjk"),
        ("\u0e14", "core"),
        ("\u0915\u093e", "core"),
        ("\U0001f468", "symbola"),
    ],
)
def test_the_package_that_is_named_draws_the_letters(letters, package):
    assert fonts.advice(letters).endswith(
        f"(Debian: apt install fonts-{'noto-' * (package != 'symbola')}{package})."
    )


def test_control_characters_are_drawn_as_python_writes_them():
    odd = "a\x00b\x1b[31m"
    trial = make_trial(question=odd, texts=(odd, "No.", "No.", "No."))
    for figure in (trial.plot(), Comparison((trial, trial), (odd, "b")).plot()):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert r"\x1b[31m" in shown_texts(figure)


def test_no_font_is_looked_for_where_the_usual_ones_do(trial, monkeypatch):
    monkeypatch.setattr(fonts, "installed", lambda: pytest.fail("not needed"))
    make_trial(
        question="\u0395\u03bb\u03bb\u03ac\u03b4\u03b1 \u0420\u043e\u0441\u0441\u0438\u044f \u2713"
    ).plot()
