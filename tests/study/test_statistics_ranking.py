"""AUROC, risk and coverage, calibration, against SciPy, brute force, closed forms and simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from study.made_studies import AUROC, CONDITIONS, Made, made_rows

from isi_widget.errors import InputError
from isi_widget.study.statistics import auroc, calibration, columns_for, risk_coverage
from isi_widget.study.statistics.ranking import UNCERTAINTIES, _risks, _score_interval

ENTROPY = "semantic_entropy"


def rows_of(wrong, values, index=None):
    """Rows of one condition with these answers."""
    n = len(wrong)
    rows = made_rows(n, CONDITIONS[:1], answers=0)
    rows["correct"] = [not value for value in wrong]
    rows[ENTROPY] = np.asarray(values, dtype=float)
    if index is not None:
        rows["index"] = index
    return rows


# ---- AUROC
def test_the_area_is_the_u_statistic_of_scipy():
    rows = made_rows(120, seeds=(0, 1), failing=0.1, unjudged=0.1, rng=1)
    found = auroc(rows, "all")
    for row in found.to_dict("records"):
        own = rows[(rows["condition"] == row["condition"]) & rows["error"].isna() & rows["correct"].notna()]
        wrong = own["correct"] == False  # noqa: E712
        values = own[row["column"]] * (-1 if row["column"].startswith("answer") else 1)
        u = stats.mannwhitneyu(values[wrong], values[~wrong]).statistic
        assert row["auroc"] == pytest.approx(u / (wrong.sum() * (~wrong).sum()))
        assert (row["wrong"], row["right"]) == (wrong.sum(), (~wrong).sum()) and row["note"] == ""
        assert row["low"] < row["auroc"] < row["high"]


def delong(values, wrong):
    """Variance of the area as DeLong, DeLong and Clarke-Pearson write it: one pair after the other."""
    x, y = values[wrong], values[~wrong]
    psi = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    return psi.mean(), psi.mean(axis=1).var(ddof=1) / len(x) + psi.mean(axis=0).var(ddof=1) / len(y)


def test_one_row_an_observation_has_delongs_interval():
    random = np.random.default_rng(2)
    wrong = random.random(400) < 0.3
    values = (random.normal(size=400) + wrong).round(1)
    row = auroc(rows_of(wrong, values), ENTROPY).iloc[0]
    area, variance = delong(values, wrong)
    half = 1.959964 * math.sqrt(variance) / (area * (1 - area))
    bounds = [1 / (1 + math.exp(-(math.log(area / (1 - area)) + side * half))) for side in (-1, 1)]
    assert row["auroc"] == pytest.approx(area)
    assert [row["low"], row["high"]] == pytest.approx(bounds, abs=1e-3)


def test_copies_of_every_row_as_further_seeds_change_nothing():
    random = np.random.default_rng(3)
    wrong = random.random(150) < 0.4
    values = random.normal(size=150) + wrong
    once = auroc(rows_of(wrong, values), ENTROPY).iloc[0]
    index = np.tile(np.arange(150), 3)
    thrice = auroc(rows_of(np.tile(wrong, 3), np.tile(values, 3), index), ENTROPY).iloc[0]
    for name in ("auroc", "low", "high"):
        assert thrice[name] == pytest.approx(once[name], abs=1e-9)


@pytest.mark.parametrize(
    ("wrong", "note"),
    [([False] * 5, "All answers are right."), ([True] * 5, "All answers are wrong.")],
)
def test_it_is_undefined_where_all_answers_are_alike(wrong, note):
    row = auroc(rows_of(wrong, range(5)), ENTROPY).iloc[0]
    assert math.isnan(row["auroc"]) and math.isnan(row["low"]) and row["note"] == note
    rows = rows_of(wrong, range(5)).assign(correct=None)
    assert auroc(rows, ENTROPY).iloc[0]["note"] == "No answer was judged."


@pytest.mark.parametrize("turned", [False, True])
def test_perfectly_separated_answers_have_an_interval_with_a_width(turned):
    values = np.arange(20.0) * (-1 if turned else 1)
    row = auroc(rows_of([False] * 10 + [True] * 10, values), ENTROPY).iloc[0]
    low, high = (row["low"], row["high"]) if not turned else (1 - row["high"], 1 - row["low"])
    assert high == 1 and 0.6 < low < 0.95
    assert _score_interval(1.0, 10, 10, 1.96)[0] < _score_interval(1.0, 100, 100, 1.96)[0]


def test_newcombes_bounds_solve_his_equation():
    low, high = _score_interval(0.8, 30, 50, 1.96)
    for bound in (low, high):
        spread = 39 * ((1 - bound) / (2 - bound) + bound / (1 + bound))
        variance = bound * (1 - bound) * (1 + spread) / 1500
        assert (0.8 - bound) ** 2 == pytest.approx(1.96**2 * variance, rel=1e-6)
    assert low < 0.8 < high


def test_uncertainties_that_are_certainties_are_turned_round():
    rows = made_rows(500, CONDITIONS[:1], rng=4)
    rows["lexical_similarity"] = -rows[ENTROPY]
    found = auroc(rows, [ENTROPY, "lexical_similarity"])
    assert found["auroc"].iloc[0] == pytest.approx(found["auroc"].iloc[1])


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_areas_and_risks_are_covered(seeds):
    """Share of 400 studies whose interval holds the true area, and the mean risk of a large study."""
    made = [Made("plain", 0.7)]
    large = made_rows(60_000, made, rng=10**6, answers=0)
    mean_risk = risk_coverage(large, ENTROPY).table["aurc"].iloc[0]
    held = np.zeros(2)
    for number in range(400):
        rows = made_rows(80, made, seeds=range(seeds), rng=number, answers=0)
        area, risk = auroc(rows, ENTROPY).iloc[0], risk_coverage(rows, ENTROPY).table.iloc[0]
        held += [area["low"] <= AUROC <= area["high"], risk["low"] <= mean_risk <= risk["high"]]
    assert (held / 400 >= 0.91).all() and (held / 400 <= 0.985).all()


# ---- risk and coverage
def brute_area(values, wrong, orders=4000):
    """Mean over random orders of equal values of the mean risk, as it is defined."""
    random, found = np.random.default_rng(0), []
    for _ in range(orders):
        order = np.lexsort([random.random(len(values)), values])
        found.append(np.mean(np.cumsum(wrong[order]) / np.arange(1, len(values) + 1)))
    return np.mean(found)


def test_the_mean_risk_is_that_of_random_orders_of_equal_values():
    random = np.random.default_rng(5)
    values, wrong = random.integers(0, 5, size=30).astype(float), random.random(30) < 0.4
    row = risk_coverage(rows_of(wrong, values), ENTROPY).table.iloc[0]
    assert row["aurc"] == pytest.approx(brute_area(values, wrong), abs=0.003)
    assert row["risk"] == pytest.approx(wrong.mean()) and row["answers"] == 30


def test_an_uncertainty_that_knows_nothing_has_the_risk_of_all_answers():
    wrong = np.arange(10) < 3
    result = risk_coverage(rows_of(wrong, np.zeros(10)), ENTROPY)
    assert result.table["aurc"].iloc[0] == pytest.approx(0.3)
    assert result.curve["risk"].to_numpy() == pytest.approx(0.3)


def test_the_best_order_has_no_excess_and_the_area_of_the_paper():
    n, share = 4000, 0.25
    wrong = np.arange(n) < share * n
    row = risk_coverage(
        rows_of(wrong, wrong.astype(float) * 1.0 + np.arange(n) / n * wrong), ENTROPY
    ).table.iloc[0]
    assert row["best"] == pytest.approx(share + (1 - share) * math.log(1 - share), abs=1e-3)
    assert row["excess"] == pytest.approx(0, abs=1e-3)


def test_the_curve_has_few_points_and_ends_at_the_risk_of_all():
    rows = made_rows(3000, CONDITIONS[:1], rng=6)
    result = risk_coverage(rows, ENTROPY)
    assert len(result.curve) == 200 and result.curve["coverage"].iloc[-1] == 1
    assert result.curve["risk"].iloc[-1] == pytest.approx(result.table["risk"].iloc[0])
    middle = result.curve[result.curve["coverage"] == 0.5]["risk"].iloc[0]
    order = rows[ENTROPY].argsort()[:1500]
    assert middle == pytest.approx(1 - rows["correct"].astype(float).iloc[order].mean())


@pytest.mark.parametrize("ties", [False, True])
def test_influences_are_the_derivative_of_the_mean_risk(ties):
    """Against counting each answer a little more often; of equal values only the sum is defined."""
    random = np.random.default_rng(7)
    values = random.integers(0, 6, size=25).astype(float) if ties else random.normal(size=25)
    wrong = random.random(25) < 0.5
    order = np.argsort(values, kind="stable")

    def mean_risk(weights):
        shares = np.array([np.average(wrong[own], weights=weights[own]) for own in values[:, None] == values])
        weights = weights[order]
        return np.average(np.cumsum(weights * shares[order]) / np.cumsum(weights), weights=weights)

    risks, influence = _risks(values, wrong)
    assert mean_risk(np.ones(25)) == pytest.approx(risks.mean())
    steps = np.eye(25) * 1e-5
    slopes = np.array([(mean_risk(1 + step) - mean_risk(1 - step)) / 2e-5 for step in steps])
    for value in np.unique(values):
        own = values == value
        assert influence[own].sum() == pytest.approx(slopes[own].sum(), abs=1e-8)
    assert influence.sum() == pytest.approx(0, abs=1e-12)


def test_nothing_to_rank():
    rows = made_rows(5, CONDITIONS[:1])
    none = risk_coverage(rows.assign(correct=None), ENTROPY)
    assert none.table["note"].iloc[0] == "No answer was judged." and not len(none.curve)
    assert "RiskCoverage(1 curves)" in repr(none) and "<table" in none._repr_html_()
    others = [name for name in rows if "entropy" not in name and name not in UNCERTAINTIES]
    with pytest.raises(InputError, match="No uncertainty was measured"):
        auroc(rows[others])


def test_by_default_the_leading_entropy_and_the_probability_are_ranked():
    rows = made_rows(30, CONDITIONS[:1])
    assert list(auroc(rows)["column"]) == ["bayesian_semantic_entropy", "answer_probability"]
    assert set(auroc(rows, "all")["column"]) == set(UNCERTAINTIES) & set(rows)
    without = rows.drop(columns="answer_probability").assign(bayesian_semantic_entropy=np.nan)
    assert list(auroc(without)["column"]) == ["discrete_semantic_entropy"]


# ---- calibration
def test_the_error_and_the_bins_are_those_of_the_definition():
    rows = made_rows(300, CONDITIONS[:1], seeds=(0, 1), unjudged=0.1, rng=8)
    result = calibration(rows, "answer_probability", bins=7)
    own = rows[rows["correct"].notna()]
    p, right = own["answer_probability"].to_numpy(), own["correct"].astype(float).to_numpy()
    place = np.digitize(p, np.linspace(0, 1, 8)[1:-1])
    expected = sum(
        (place == b).mean() * abs(right[place == b].mean() - p[place == b].mean())
        for b in range(7)
        if (place == b).any()
    )
    row = result.table.iloc[0]
    assert row["ece"] == pytest.approx(expected) and row["answers"] == len(own)
    assert row["brier"] == pytest.approx(((p - right) ** 2).mean())
    assert row["brier_low"] < row["brier"] < row["brier_high"]
    assert list(result.bins["answers"]) == [int((place == b).sum()) for b in range(7)]
    full = result.bins.iloc[6]
    assert full["frequency"] == pytest.approx(right[place == 6].mean())
    assert full["low"] < full["frequency"] < full["high"]
    assert (full["from"], full["to"]) == pytest.approx((6 / 7, 1))


def test_a_calibrated_model_is_below_its_bound_and_an_overconfident_one_above():
    above = {"right": 0, "sure": 0}
    for number in range(40):
        rows = made_rows(300, [Made("plain", 0.7)], seeds=(0, 1), rng=number, answers=0)
        for name, frame in (
            ("right", rows),
            ("sure", rows.assign(answer_probability=rows["answer_probability"] ** 0.3)),
        ):
            row = calibration(frame, "answer_probability", resamples=400).table.iloc[0]
            above[name] += row["ece"] > row["ece_if_calibrated_high"]
    assert above["right"] <= 6 and above["sure"] == 40  # 5 % of 40, and a margin


def test_the_error_by_chance_is_that_of_simulated_calibrated_answers():
    rows = made_rows(150, [Made("plain", 0.6)], rng=9)
    row = calibration(rows, "answer_probability").table.iloc[0]
    p, random = rows["answer_probability"].to_numpy(), np.random.default_rng(0)
    place, errors = np.minimum((p * 10).astype(int), 9), []
    for _ in range(2000):
        off = np.bincount(place, weights=(random.random(150) < p) - p, minlength=10)
        errors.append(np.abs(off).sum() / 150)
    assert row["ece_if_calibrated"] == pytest.approx(np.mean(errors), rel=0.12)
    assert row["ece_if_calibrated_high"] == pytest.approx(np.quantile(errors, 0.95), rel=0.12)


def test_the_probability_of_yes_is_of_yes_or_no_and_its_event_a_true_yes():
    rows = made_rows(50, CONDITIONS[:1], rng=1)
    rows["p_rest"] = 0.5
    rows[["p_yes", "p_no"]] *= 0.5
    rows.loc[0, ["p_yes", "p_no"]] = 0.0
    rows.loc[1, "truth"] = "red"
    row = calibration(rows, "p_yes").table.iloc[0]
    known = rows.iloc[2:]
    assert row["answers"] == 48 and row["event"] == "the true answer is yes"
    assert row["mean_probability"] == pytest.approx((2 * known["p_yes"]).mean())
    assert row["frequency"] == pytest.approx((known["truth"] == "Yes").mean())


def test_probabilities_at_the_ends_and_unknown_ones():
    rows = rows_of([False, True, False], [0, 0, 0])
    rows["answer_probability"] = [1.0, 0.0, np.nan]
    result = calibration(rows, "answer_probability")
    assert result.table["ece"].iloc[0] == 0 and result.table["answers"].iloc[0] == 2
    assert list(result.bins["answers"]) == [1, *[0] * 8, 1]
    none = calibration(rows.assign(correct=None), "answer_probability")
    assert "No answer was judged" in none.table["note"].iloc[0] and "<table" in none._repr_html_()
    with pytest.raises(InputError, match="answer_probability"):
        calibration(rows, ENTROPY)
    with pytest.raises(InputError, match="No probability was measured"):
        calibration(rows.drop(columns=["answer_probability", "p_yes"]))


def test_only_the_columns_that_are_needed_are_read():
    rows = made_rows(40, CONDITIONS[:2], rng=1)
    for name, run in (("auroc", auroc), ("risk_coverage", lambda f: risk_coverage(f).table)):
        pd.testing.assert_frame_equal(run(rows[columns_for(name, tuple(rows))]), run(rows))
    wanted = columns_for("calibration", tuple(rows))
    pd.testing.assert_frame_equal(calibration(rows[wanted]).table, calibration(rows).table)
    assert len(wanted) < 20
