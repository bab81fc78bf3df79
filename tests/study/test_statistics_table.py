"""Means, counts, baselines and paired differences of a study, against pandas and closed forms."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from study.made_studies import CONDITIONS, UNJUDGED, Made, made_rows

from isi_widget.errors import InputError
from isi_widget.study.statistics import (
    baselines,
    calibration,
    columns_for,
    curves,
    modality,
    paired,
    risk_coverage,
    table,
    unjudged,
)
from isi_widget.study.statistics.rows import Rows
from isi_widget.study.statistics.table import NO_ANSWER, NO_REASON

ROWS = made_rows(150, models=("a", "b"), seeds=(0, 1), failing=0.06, unjudged=0.06, rng=3)
ENTROPY = "bayesian_semantic_entropy"


def judged(frame):
    known = frame[frame["error"].isna() & frame["correct"].notna()]
    return known.assign(correct=known["correct"].astype(float))


# ---- table
def test_means_and_counts_are_those_of_pandas():
    found = table(ROWS, ["correct", ENTROPY, "attention_image"])
    assert list(zip(found["model"], found["condition"], strict=True)) == [
        (model, made.name) for model in ("a", "b") for made in CONDITIONS
    ]
    for row in found.to_dict("records"):
        own = ROWS[(ROWS["model"] == row["model"]) & (ROWS["condition"] == row["condition"])]
        assert row["rows"] == 300 and row["observations"] == 150
        assert row["failed"] == own["error"].notna().sum() > 0
        assert row["unjudged"] == own["unjudged"].notna().sum() > 0
        assert row["truth_may_change"] == 0
        assert row["accuracy"] == pytest.approx(judged(own)["correct"].mean())
        assert row[ENTROPY] == pytest.approx(own[ENTROPY].mean())
        for name in ("accuracy", ENTROPY):
            assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
        assert row["attention_image_low"] == pytest.approx(row["attention_image"])  # the same everywhere
        level = dict(zip(found["condition"], found["level"], strict=True))["noise sigma=0.3"]
        assert level == 0.3


def test_one_seed_has_the_interval_of_wilson_and_the_bootstrap_over_rows():
    rows = made_rows(80, CONDITIONS[:1], rng=5)
    found = table(rows, "all", level=0.9).iloc[0]
    right = int(rows["correct"].sum())
    expected = proportion_confint(right, 80, alpha=0.1, method="wilson")
    assert (found["accuracy_low"], found["accuracy_high"]) == pytest.approx(expected)
    values = rows["predictive_entropy"].to_numpy()
    theirs = stats.bootstrap((values,), np.mean, confidence_level=0.9, method="percentile", rng=0)
    ours = found["predictive_entropy_low"], found["predictive_entropy_high"]
    assert ours == pytest.approx(tuple(theirs.confidence_interval), rel=0.05)


def test_more_seeds_of_the_same_observations_do_not_add_observations():
    """Twenty seeds narrow the interval far less than twenty times as many observations."""
    one, many = (made_rows(60, CONDITIONS[:1], seeds=range(n), rng=7) for n in (1, 20))
    more = made_rows(1200, CONDITIONS[:1], rng=7)
    widths = []
    for rows in (one, many, more):
        row = table(rows, ["correct", "answer_probability"]).iloc[0]
        widths.append(row["answer_probability_high"] - row["answer_probability_low"])
    assert widths[1] > 0.8 * widths[0] and widths[2] < 0.4 * widths[0]


def test_by_level_by_several_columns_and_all_together():
    found = table(ROWS, "correct", by=("condition", "semantic_level"))
    assert len(found) == 2 * len(CONDITIONS) * 3
    row = found[(found["model"] == "a") & (found["condition"] == "plain")].set_index("semantic_level")
    own = judged(ROWS[(ROWS["model"] == "a") & (ROWS["condition"] == "plain")])
    means = own.groupby("semantic_level")["correct"].mean()
    assert row["accuracy"].to_dict() == pytest.approx(means.to_dict())
    assert list(table(ROWS, "correct", by=())["rows"]) == [len(ROWS) // 2] * 2


def test_columns_of_a_measure_of_your_own_are_in_the_table_and_missing_ones_are_named():
    rows = made_rows(20, CONDITIONS[:2]).assign(my_measure=1.5, my_measure_low=1.0, text="words")
    found = table(rows)
    assert (found["my_measure"] == 1.5).all() and "my_measure_low_low" not in found
    assert "answer_log_likelihood" not in found and "answer_log_likelihood" in table(rows, "all")
    with pytest.raises(InputError, match=r"no column 'nothing'.*my_measure"):
        table(rows, "nothing")
    for name in ("text", "answer"):
        with pytest.raises(InputError, match=name):
            table(rows, name)
    with pytest.raises(InputError, match="by='my_measure'"):
        table(rows, by="my_measure")
    with pytest.raises(InputError, match="no rows of a study"):
        table(pd.DataFrame({"answer": ["Yes"]}))


def test_accuracy_is_another_name_for_correct():
    rows = made_rows(20, CONDITIONS[:2])
    pd.testing.assert_frame_equal(table(rows, "accuracy"), table(rows, "correct"))
    pd.testing.assert_frame_equal(paired(rows, "plain", ["accuracy"]), paired(rows, "plain", "correct"))
    assert (table(rows.assign(accuracy=0.25), "accuracy")["accuracy"] == 0.25).all()  # a measure of your own


def test_infinite_and_missing_numbers_have_no_mean():
    rows = made_rows(30, CONDITIONS[:1])
    rows.loc[0, "predictive_entropy"] = math.inf
    rows["rao_quadratic_entropy"] = np.nan
    found = table(rows, ["predictive_entropy", "rao_quadratic_entropy"]).iloc[0]
    assert found["predictive_entropy"] == pytest.approx(rows["predictive_entropy"][1:].mean())
    assert math.isnan(found["rao_quadratic_entropy"]) and math.isnan(found["rao_quadratic_entropy_low"])


@pytest.mark.parametrize("change", ["boolean", "float", "all failed", "no truth", "empty"])
def test_every_form_of_correct(change):
    rows = made_rows(12, CONDITIONS[:1], rng=2)
    expected = rows["correct"].astype(float).mean()
    if change == "boolean":
        rows["correct"] = rows["correct"].astype("boolean")
    elif change == "float":
        rows["correct"] = rows["correct"].astype(float)
    elif change == "all failed":
        rows["error"], expected = "x", math.nan
    elif change == "no truth":
        rows["correct"], rows["truth"], expected = None, None, math.nan
    else:
        assert len(table(rows[:0])) == 0
        return
    found = table(rows, "correct").iloc[0]
    assert found["accuracy"] == pytest.approx(expected, nan_ok=True)
    assert found["failed"] == 12 * (change == "all failed")
    assert found["unjudged"] == 12 * (change == "no truth")
    if change == "no truth":
        assert unjudged(rows)["reason"].tolist() == [NO_REASON]


def test_why_answers_were_not_judged():
    rows = made_rows(40, CONDITIONS[:2], unjudged=0.3, rng=1)
    rows.loc[0, ["correct", "unjudged", "answer"]] = None
    found = unjudged(rows)
    assert set(found["reason"]) == {UNJUDGED, NO_ANSWER}
    assert found["rows"].sum() == rows["correct"].isna().sum()
    assert len(unjudged(made_rows(5))) == 0


# ---- baselines
def test_majority_and_bias_to_yes():
    rows = made_rows(200, CONDITIONS[:1], rng=4, yes_bias=0.4)
    rows.loc[rows["index"] < 80, "truth"] = "no"
    rows["correct"] = rows["answer"].str.casefold() == rows["truth"].str.casefold()
    found = baselines(rows).iloc[0]
    yes, says = rows["truth"].str.casefold() == "yes", rows["answer"] == "Yes"
    assert found["majority_truth"] == "No" and found["majority"] == pytest.approx(1 - yes.mean())
    assert found["above_majority"] == pytest.approx(found["accuracy"] - found["majority"])
    assert found["truth_yes"] == pytest.approx(yes.mean()) and found["says_yes"] == pytest.approx(says.mean())
    assert found["yes_bias"] == pytest.approx(says.mean() - yes.mean())
    assert found["yes_bias_low"] < found["yes_bias"] < found["yes_bias_high"]
    assert found["recall_yes"] == pytest.approx(says[yes].mean())
    assert found["recall_no"] == pytest.approx((~says)[~yes].mean())
    assert found["balanced_accuracy"] == pytest.approx((says[yes].mean() + (~says)[~yes].mean()) / 2)
    beside = table(rows, "correct").iloc[0]
    for name in ("majority", "above_majority", "yes_bias", "majority_truth"):
        assert beside[name] == found[name]


def test_a_model_that_always_answers_yes_is_no_better_than_its_baseline():
    rows = made_rows(100, CONDITIONS[:1], yes_bias=1.0)
    found = baselines(rows).iloc[0]
    assert found["above_majority"] == 0 and found["balanced_accuracy"] == 0.5 and found["yes_bias"] == 0.5


def test_truths_that_are_no_yes_or_no_have_a_majority_and_no_bias():
    rows = made_rows(10, CONDITIONS[:1])
    rows["truth"] = ["red"] * 6 + ["blue"] * 4
    found = baselines(rows).iloc[0]
    assert (found["majority_truth"], found["majority"]) == ("red", 0.6) and math.isnan(found["yes_bias"])
    assert baselines(rows.assign(correct=None)).iloc[0]["majority_truth"] is None


# ---- paired
def test_differences_are_means_of_pairs():
    found = paired(ROWS, "plain", ["correct", ENTROPY])
    assert len(found) == 2 * 6 * 2
    for row in found.to_dict("records"):
        own = ROWS[(ROWS["model"] == row["model"]) & ROWS["error"].isna()]
        values = own.assign(value=own[row["column"]].astype(float))
        wide = values.pivot(index=["index", "seed"], columns="condition", values="value")
        pairs = wide[[row["condition"], "plain"]].dropna()
        means = pairs.groupby("index").mean()
        differences = means[row["condition"]] - means["plain"]
        assert row["difference"] == pytest.approx(differences.mean())
        assert row["mean"] == pytest.approx(means[row["condition"]].mean())
        assert row["baseline_mean"] == pytest.approx(means["plain"].mean())
        assert row["effect"] == pytest.approx(differences.mean() / differences.std())
        assert row["pairs"] == len(pairs) and row["observations"] == len(means)
        assert row["left_out"] == 300 - len(pairs) > 0 and row["unpaired"] == 0
        assert row["higher"] + row["lower"] + row["equal"] == len(means)
        assert row["low"] < row["difference"] < row["high"]
        assert row["p_holm"] >= row["p"]


def test_one_seed_is_mcnemars_test_and_holms_family_is_the_whole_table():
    rows = made_rows(300, rng=8)
    found = paired(rows, "plain", "correct").set_index("condition")
    wide = rows.pivot(index="index", columns="condition", values="correct").astype(bool)
    for name, row in found.iterrows():
        better, worse = (wide[name] & ~wide["plain"]).sum(), (~wide[name] & wide["plain"]).sum()
        assert (row["higher"], row["lower"]) == (better, worse)
        assert row["p"] == pytest.approx(stats.binomtest(int(better), int(better + worse)).pvalue)
    smallest = found["p"].min()
    assert found["p_holm"].min() == pytest.approx(6 * smallest)
    assert paired(rows, "plain").p_holm.min() == pytest.approx(12 * paired(rows, "plain").p.min())


def test_the_interval_of_a_number_is_the_bootstrap_of_differences():
    rows = made_rows(120, CONDITIONS[:2], rng=9)
    wide = rows.pivot(index="index", columns="condition", values=ENTROPY)
    differences = (wide["noise sigma=0.1"] - wide["plain"]).to_numpy()
    theirs = stats.bootstrap((differences,), np.mean, method="percentile", rng=0).confidence_interval
    found = paired(rows, "plain", ENTROPY).iloc[0]
    width = theirs.high - theirs.low
    assert (found["low"], found["high"]) == pytest.approx(tuple(theirs), abs=0.08 * width)


def test_pairs_are_made_by_observation_seed_and_model_whatever_the_order():
    rows = made_rows(40, models=("a", "b"), seeds=(3, 1), rng=1)
    expected = paired(rows, "plain")
    mixed = rows.sample(frac=1, random_state=0).reset_index(drop=True)
    found = paired(mixed, "plain").set_index(["model", "condition", "column"]).sort_index()
    pd.testing.assert_frame_equal(found, expected.set_index(["model", "condition", "column"]).sort_index())


def test_rows_without_a_partner_are_counted():
    rows = made_rows(20, CONDITIONS[:2], seeds=(0, 1))
    left = rows.drop(rows.index[(rows["condition"] == "plain") & (rows["index"] < 3)])
    found = paired(left, "plain", "correct").iloc[0]
    assert (found["unpaired"], found["pairs"], found["observations"]) == (6, 34, 17)
    only = rows.assign(model=np.where(rows["condition"] == "plain", "a", "b"))
    with pytest.raises(InputError, match="same model"):
        paired(only, "plain")


def test_nothing_to_compare_is_refused_with_what_there_is():
    rows = made_rows(10, CONDITIONS[:2])
    with pytest.raises(InputError, match=r"no condition 'plian'.*'plain', 'noise sigma=0.1'"):
        paired(rows, "plian")
    with pytest.raises(InputError, match="second condition"):
        paired(rows[rows["condition"] == "plain"], "plain")
    with pytest.raises(InputError, match="same trial"):
        paired(pd.concat([rows, rows]), "plain")


def test_equal_conditions_differ_by_nothing():
    rows = made_rows(30, CONDITIONS[:1])
    both = pd.concat([rows, rows.assign(condition="again")], ignore_index=True)
    found = paired(both, "plain")
    assert (found["difference"] == 0).all() and (found["p"] == 1).all() and found["effect"].isna().all()
    accuracy = found.set_index("column").loc["correct"]
    assert accuracy["low"] == pytest.approx(-accuracy["high"]) and accuracy["high"] > 0.02


def test_one_observation_has_a_difference_and_no_interval():
    found = paired(made_rows(1, CONDITIONS[:2]), "plain", ENTROPY).iloc[0]
    assert not math.isnan(found["difference"]) and math.isnan(found["low"]) and found["p"] == 1


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_promised():
    """Two conditions with the same law, seeds of an observation alike: p < 0.05 in about 5 %."""
    same = (Made("plain", 0.7), Made("same", 0.7))
    p = {name: [] for name in ("correct", ENTROPY)}
    for number in range(300):
        found = paired(made_rows(40, same, seeds=(0, 1, 2), rng=number, answers=0), "plain", resamples=50)
        for row in found.to_dict("records"):
            p[row["column"]].append(row["p"])
    for values in p.values():
        assert 0.02 <= np.mean(np.array(values) < 0.05) <= 0.08


# ---- reading
def test_a_statistic_reads_only_its_columns():
    names = tuple(ROWS)
    for columns in (None, "all", ["correct"], [ENTROPY, "tokens_image"]):
        for statistic, run in (("table", table), ("paired", lambda rows, c: paired(rows, "plain", c))):
            wanted = columns_for(statistic, names, columns)
            pd.testing.assert_frame_equal(run(ROWS[wanted], columns), run(ROWS, columns))
            assert not {"answers", "stimulus", "notes", "created"} & set(wanted)
    for statistic, run in (("baselines", baselines), ("unjudged", unjudged)):
        pd.testing.assert_frame_equal(run(ROWS[columns_for(statistic, names)]), run(ROWS))
    assert len(columns_for("paired", names, ["correct"])) <= 12


def test_groups_keep_the_order_of_the_rows_and_missing_values_are_one_group():
    rows = made_rows(6, CONDITIONS[:3])
    rows.loc[rows["index"] == 0, "semantic_level"] = None
    groups = Rows(rows).groups("semantic_level")
    assert [group.key["semantic_level"] for group in groups] == [None, "attribute", "relation", "object"]
    assert sorted(np.concatenate([group.places for group in groups])) == list(range(len(rows)))


# ---- shown
def test_a_table_is_shown_with_intervals_beside_their_numbers():
    rows = made_rows(40, CONDITIONS[:3], unjudged=0.1, rng=1)
    found = table(rows)
    shown = found.show()
    assert list(shown) == [
        *("condition", "rows", "unjudged", "accuracy", "majority", "yes bias", "bayesian semantic entropy"),
        *(f"attention relative {name}" for name in ("image", "context", "question")),
    ]
    row = found.iloc[0]
    expected = f"{row['accuracy']:.3f} [{row['accuracy_low']:.3f}, {row['accuracy_high']:.3f}]"
    assert shown["accuracy"][0] == expected and expected in repr(found)
    unbroken = expected.replace(", ", ",\N{NO-BREAK SPACE}")  # an interval stays on one line of its cell
    assert unbroken in found._repr_html_()
    two = table(pd.concat([rows, rows.assign(model="<b>")])).show()
    assert "model" in two and "&lt;b&gt;" in table(rows.assign(condition="<b>"))._repr_html_()


def test_of_one_model_no_table_names_it_and_columns_without_values_are_left_out():
    rows = made_rows(60, CONDITIONS[:2], rng=1)
    reliability, risk = calibration(rows), risk_coverage(rows)
    for found in (reliability, risk):
        shown = found._shown().show()
        assert not {"model", "note", "brier low", "brier high", "low", "high"} & set(shown)
        assert shown.to_string(index=False) in repr(found)
    assert " [" in reliability._shown().show()["brier"][0] and " [" in risk._shown().show()["aurc"][0]
    assert "`.table` and `.b" in reliability._repr_html_() and "`.curve`" in risk._repr_html_()
    refused = modality(rows)
    assert refused["model"].isna().any() and "model" not in refused.show()


def test_small_p_values_and_signs_are_readable():
    shown = paired(made_rows(400, rng=1), "plain").show()
    assert "<0.001" in set(shown["p holm"]) and not shown["difference"].str.contains("-0.000").any()
    assert list(shown) == ["condition", "column", "difference", "effect", "p", "p holm", "observations"]


def test_levels_are_shown_in_full():
    small = [Made(f"x{level}", 0.5, "x", "x", level) for level in (1e-5, 0.25, 12)]
    assert list(curves(made_rows(5, small), "correct").show()["level"]) == ["1e-05", "0.25", "12"]


def test_what_is_taken_from_a_table_is_an_ordinary_frame():
    found = table(made_rows(10, CONDITIONS[:2]))
    for taken in (found[["accuracy"]], found.copy(), found.query("rows > 0"), found.sort_values("accuracy")):
        assert type(taken) is pd.DataFrame
    back = pickle.loads(pickle.dumps(found))
    pd.testing.assert_frame_equal(back, found)
    assert repr(back) == repr(found) and type(back) is type(found)
    long = table(made_rows(3, [Made(f"c{i}", 0.5) for i in range(230)]), "correct")
    assert "30 more rows" in long._repr_html_() and "..." in repr(long)
    assert repr(table(made_rows(3)[:0])) and table(made_rows(3)[:0])._repr_html_()
