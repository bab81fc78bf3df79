"""Odd inputs of the tools for the inside: each gives one clear message, or a right result."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
from matplotlib.backends.backend_agg import FigureCanvasAgg
from planted_models import HEADS, LAYERS, planted
from tiny_models import Shown

import isi_widget as isi
from isi_widget.mechanism import figures
from isi_widget.mechanism.items import aim_of, items_of

MADE = planted("one_hop")
DATA = MADE.observations(6)
VLM = MADE.vlm()


def contributions(items=4, layers=2, heads=3, **changes):
    drops = np.random.default_rng(0).normal(size=(items, layers, heads))
    given = {
        "drops": drops,
        "totals": drops.sum(axis=2),
        "baseline": np.ones(items),
        "correct": np.arange(items) % 2 == 0,
        "names": tuple(map(str, range(items))),
        "answers": ("Yes", "No") * (items // 2),
        "wrong": ("No", "Yes") * (items // 2),
        "levels": ("object", "relation") * (items // 2),
        "target": "logit_difference",
        "method": "exact",
        "replace": "mean",
        "positions": "all",
    }
    return isi.HeadContributions(**given | changes)


MEASURED = contributions(layers=LAYERS, heads=HEADS)
PAIR = isi.Pair(DATA[0], DATA[1])
TRACED = isi.trace(VLM, PAIR, sites="residual", groups="last")
DIVERGENCE = isi.HeadDivergence(np.ones((3, 2, 4)))
LENS = isi.logit_lens(VLM, DATA[0], streams="attention")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: isi.head_ablation(VLM, DATA, MEASURED, seed=-1),
            "seed must be a whole number of at least 0",
        ),
        (lambda: isi.head_overlap(MEASURED, seed=-1), "seed must be a whole number of at least 0"),
        (lambda: TRACED.interval(seed=-1), "interval: seed must be"),
        (lambda: MEASURED.interval(level=0), "interval: level must be"),
        (lambda: MEASURED.only([]), "items must be a list of their numbers, at least one"),
        (lambda: MEASURED.only([9]), "items must be a whole number from 0 to 3; got 9"),
        (lambda: MEASURED.only("01"), "items must be a list of their numbers"),
        (lambda: contributions(replace="foo"), "replace must be one of mean, zero, reference"),
        (lambda: contributions(positions="first"), "positions must be one of all, last"),
        (lambda: isi.measure_heads(VLM, DATA, totals="no"), "totals must be True or False"),
        (lambda: isi.HeadGates.of((2, 4), {2: 0}), r"must name heads as \(layer, head\)"),
        (lambda: DIVERGENCE.gates("a"), "factor must be a"),
        (lambda: DIVERGENCE.top(-1), "k must be a whole number of at least 1"),
        (lambda: DIVERGENCE.interval(2, 0), "layer must be a whole number from 0 to 1"),
        (lambda: isi.trace(VLM, PAIR, sites=3), "sites must be of residual, attention, mlp; got 3"),
        (lambda: isi.trace(VLM, [(DATA[0], DATA[1])]), r"or a list of them .*; got a list of tuple"),
        (lambda: isi.trace(VLM, DATA[0], DATA[0]), "There is no difference to trace: the answers"),
        (lambda: TRACED.patches(1, "last", pair="a"), "pair must be a whole number from 0 to 0"),
        (lambda: isi.knockout_curve(VLM, DATA[0], ("image", "last")), "nothing to cut for 'image ↛ last'"),
        (lambda: isi.logit_lens(VLM, DATA[0], words=None), "words must be a list of words; got None"),
        (lambda: isi.logit_lens(VLM, DATA[0], words=[" "]), "a word is empty or blank"),
        (lambda: LENS.at("a", 5), "x must be a"),
        (lambda: isi.steering_direction(VLM, (DATA[0], DATA[0]), 1), "have the same states at these tokens"),
    ],
)
def test_one_clear_message(call, words):
    with pytest.raises(isi.InputError, match=words):
        call()


def test_remarks_are_those_of_the_items_that_are_left():
    found = contributions()
    assert found.remarks == ()
    assert found.only([0, 2]).remarks == (
        "All true answers are 'Yes': a head that favours this word looks like one that sees. Balance the "
        "answers, or use pairs.",
        "All items are answered correctly, so there is no negative contribution.",
    )
    assert any("answered wrongly" in remark for remark in found.level("relation").remarks)


def test_an_answer_of_several_tokens_is_noted():
    vlm = isi.load_vlm()
    stimulus = isi.datasets.scenes()[3].stimulus()
    notes = isi.measure_heads(vlm, [(stimulus, "red star", "No")], method="gradient", check=0).notes
    assert any("only the first one is compared ('Red' of 'red star')" in note for note in notes)
    whole = isi.measure_heads(
        vlm, [(stimulus, "red star", "No")], target="log_p_answer", method="gradient", check=0
    )
    assert not any("only the first" in note for note in whole.notes)


def test_an_answer_whose_first_token_is_a_part_of_a_character():
    """Vocabularies of bytes spell rare scripts in parts of a character."""
    vlm = tiny_models.vlm("llava")
    picture = Shown(size=(90, 40)).render()
    stimulus = isi.Observation(picture, "Is there a red star?", "The star is red.").stimulus()
    (item,) = items_of([(stimulus, "да", "no")])
    aim = aim_of(vlm, item, vlm.prefill(stimulus).logits)
    assert vlm.tokenizer.decode(list(aim.answer_ids)).strip().lower() == "да"
    assert np.isfinite(isi.measure_heads(vlm, [(stimulus, "да", "no")], target="log_p_answer").signed).all()


def test_a_lens_of_a_true_answer_that_the_vocabulary_lacks():
    picture = Shown(size=(90, 40)).render()
    given = isi.Observation(picture, "Is there a red star?", "The star is red.", answer="赤い")
    lens = isi.logit_lens(tiny_models.vlm("instructblip"), given, words=[" star"])
    assert "star" in lens.words and "赤い" not in lens.words


def test_a_lens_without_the_residual_stream_is_shown():
    assert LENS.answer.words == LENS.token(-1, "attention").words
    assert "(attention)" in repr(LENS) and "(attention)" in LENS._repr_html_()
    assert set(LENS.to_frame().stream) == {"attention"}
    assert "attention" in LENS.plot().axes[0].get_title()


# Figures ----------------------------------------------------------------------------------------------------


def fits(figure):
    """Whether the title and all texts beside the axes lie within the figure."""
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in figure.texts]
    boxes += [axis.get_tightbbox() for axis in figure.axes]
    wide, high = figure.bbox.size
    return all(box.x0 > -3 and box.y0 > -3 and box.x1 < wide + 3 and box.y1 < high + 3 for box in boxes)


LARGE = contributions(4, 80, 64)


@pytest.mark.parametrize(
    "plot",
    [
        lambda: contributions(2, 1, 1).plot(),
        lambda: MEASURED.plot("negative"),
        lambda: contributions(correct=np.ones(4, bool)).plot("negative"),
        lambda: LARGE.plot(),
        lambda: isi.HeadDivergence(np.ones((1, 32, 32))).plot(),
        lambda: isi.head_overlap({f"a rather long name of a level {at}": LARGE for at in range(9)}).plot(),
        lambda: TRACED.plot(),
        lambda: isi.knockout_curve(VLM, DATA[0], ("last", "image"), layers=[1]).plot(),
        lambda: isi.logit_lens(VLM, DATA[0], top=50).plot(),
    ],
)
def test_figures_of_any_size_can_be_read(plot):
    figure = plot()
    wide, high = figure.get_size_inches()
    assert wide <= 18 and high <= 14 and fits(figure)


def test_large_matrices_name_some_of_their_rows():
    axis = figures.new_figure((9, 9)).subplots()
    figures.draw_matrix(axis, np.ones((80, 64)), [f"L{at}" for at in range(80)], ["H"] * 64, signed=True)
    assert [label.get_text() for label in axis.get_yticklabels()][:3] == ["L0", "L4", "L8"]
    assert not axis.texts


def test_a_change_of_nothing_does_not_fill_the_plot():
    axis = isi.knockout_curve(VLM, DATA[0], ("last", "image"), layers=[1]).plot().axes[0]
    assert axis.get_ylim() == (-0.03, 1.03)
