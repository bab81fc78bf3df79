"""What the tutorial on heads and gates states is what its cells show."""

from __future__ import annotations

import pytest
from tutorials import variables_of


@pytest.fixture(scope="module")
def shown():
    """The variables after all cells of the tutorial."""
    names = variables_of("04_heads_and_gates.ipynb")
    yield names
    names["probe"].close()


def test_the_answer_rests_on_a_head_that_does_not_look_at_the_picture(shown):
    table = shown["table"]
    assert shown["obs"].answer == shown["vlm"].answer(shown["s"]).text == "Yes"
    assert table.loc["L2H5", "attention on the image"] < 0.01 and table.loc["L2H5", "effect"] > 1
    assert table["effect"].idxmax() == "L2H5" and abs(shown["rank_correlation"]) < 0.5
    looking = table.sort_values("attention on the image", ascending=False).iloc[1:5]
    assert looking["attention on the image"].min() > 0.88 and looking["effect"].max() < 0.01


def test_one_head_leads_both_lists_and_its_interval_is_above_zero(shown):
    heads = shown["heads"]
    first = heads.top(1)[0]
    assert (first.layer, first.head) == (1, 0) and first.low > 0 and first.p_value < 0.01
    assert heads.p_values()[1, 2] > 0.5 and (1, 2) in {(head.layer, head.head) for head in heads.top(8)}
    assert shown["named"]("positive")[0] == shown["named"]("negative")[0] == "L1H0"
    assert 0.6 < heads.accuracy < 0.85


def test_layer_0_matters_more_than_its_heads_one_by_one(shown):
    layers = shown["layers"]
    assert layers["whole layer"][0] > 2 * layers["single heads, summed"][0] > 0
    ratios = layers["whole layer"] / layers["single heads, summed"]
    assert ratios.idxmax() == 0 and ratios[1:].max() < 1.2


def test_the_measured_pictures_are_not_tested(shown):
    measured, tested = ({obs.id for obs in shown[name]} for name in ("measured", "tested"))
    assert len(measured) == 100 and len(tested) == 100 and not measured & tested


def test_the_first_heads_carry_the_answer_on_new_pictures(shown):
    curves, named = shown["curves"], shown["named"]
    assert set(named("positive", 3)) == set(named("negative", 3))
    assert named("positive", 2) == named("negative", 2)
    for kind in ("positive", "negative"):
        assert all(low > 0 for _, low, _ in curves.beyond_random(kind))
        assert all(drop > 0 for drop in curves.drop(kind))
    assert curves.drop("positive")[:2] == pytest.approx(curves.drop("negative")[:2])


def test_positive_heads_are_those_of_a_level_and_of_negative_ones_nothing_is_shown(shown):
    overlap = shown["overlap"]
    _, low, _, p = overlap.difference("positive")
    assert low > 0 and p < 0.02
    assert overlap.difference("negative")[3] > 0.05
    within = {name: overlap.share(name, name) for name in overlap.names}
    assert (
        min(within["attribute"], within["relation"]) > 0.8 > 0.5 > max(within["object"], within["counting"])
    )
    assert (~shown["heads"].correct).sum() == 27


def test_no_gain_of_gates_is_shown(shown):
    fit = shown["fit"]
    low, high = fit.interval()
    assert fit.verdict.startswith("No gain") and len(fit.before) == 60
    assert low <= 0 <= high and fit.beyond_random()[1] < 0 < fit.beyond_random()[2]


def test_without_the_head_the_answer_turns_into_no(shown):
    (plain, high), (changed, low) = shown["by_hand"]
    assert (plain, changed) == ("Yes", "No") and high > 0.9 and low < 0.5
