"""Curves and modality of a study, against pandas and counts by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from study.analysed import Analysed
from study.made_studies import CONDITIONS, Made, made_rows

from isi_widget.errors import InputError
from isi_widget.study.statistics import columns_for, curves, modality, paired, table

WITHOUT_IMAGE = Made(
    "context only", 0.55, image_preset="random", context_preset="complementary", image_attention=0.2
)
BESIDE = (
    Made("irrelevant", 0.8, context_preset="irrelevant"),
    Made("1 sentence", 0.8, "dilution", "sentences", 1, context_preset=None),
    Made("4 sentences", 0.7, "dilution", "sentences", 4, context_preset=None),
)
ALL = (*CONDITIONS, WITHOUT_IMAGE, *BESIDE)


# ---- curves
def test_points_are_the_means_of_the_conditions_in_the_order_of_their_levels():
    rows = made_rows(60, (CONDITIONS[3], *CONDITIONS[:3]), models=("a", "b"), rng=1)
    found, means = curves(rows, baseline="plain"), table(rows, ["correct", "bayesian_semantic_entropy"])
    assert list(found["level"]) == [0.1, 0.3, 0.6] * 4
    assert list(found["column"].unique()) == ["correct", "bayesian_semantic_entropy"]
    assert set(found["curve"]) == {"noise"} and set(found["parameter"]) == {"sigma"}
    by = means.set_index(["model", "condition"])
    for row in found.to_dict("records"):
        title = "accuracy" if row["column"] == "correct" else row["column"]
        point = by.loc[(row["model"], row["condition"])]
        for name, column in (("value", title), ("low", f"{title}_low"), ("high", f"{title}_high")):
            assert row[name] == pytest.approx(point[column])
        assert row["baseline_value"] == pytest.approx(by.loc[(row["model"], "plain")][title])


def test_a_grid_of_two_parameters_is_one_curve_for_each_value_of_the_other():
    made = [
        Made(f"noise sigma={s}, size={z}", 0.8 - s / 2, "noise", "sigma", s)
        for z in (8, 16)
        for s in (0.1, 0.4)
    ]
    rows = made_rows(20, made)
    rows["parameters"] = [
        f'{{"sigma": {name[12:15]}, "size": {name.split("=")[2]}}}' for name in rows["condition"]
    ]
    found = curves(rows, "correct")
    assert list(found["curve"].unique()) == ["noise, size=8", "noise, size=16"]
    assert list(found["level"]) == [0.1, 0.4] * 2


def test_rows_without_a_curve_are_refused():
    for made in (CONDITIONS[:1], CONDITIONS[:2]):
        with pytest.raises(InputError, match="no curve"):
            curves(made_rows(5, made))
    with pytest.raises(InputError, match="no condition 'x'"):
        curves(made_rows(5), baseline="x")


# ---- modality
@pytest.fixture(scope="module")
def rows():
    return made_rows(80, ALL, models=("a", "b"), seeds=(0, 1), failing=0.05, rng=2)


@pytest.fixture(scope="module")
def found(rows):
    return modality(rows, "plain")


def test_importance_is_a_paired_difference_of_accuracies(rows, found):
    own = found[found["measure"] == "importance"].set_index(["model", "of"])
    for of, reference in (("image", "context only"), ("context", "plain")):
        two = rows[rows["condition"].isin(["complementary", reference])]
        expected = paired(two, reference, "correct").set_index("model")
        for model in ("a", "b"):
            row = own.loc[(model, of)]
            assert (row["condition"], row["reference"]) == ("complementary", reference)
            for name, column in (("value", "difference"), ("low", "low"), ("high", "high")):
                assert row[name] == pytest.approx(expected.loc[model, column])
    assert own.loc[("a", "image"), "value"] > 0.25 > own.loc[("a", "context"), "value"] > 0


def test_an_answer_to_an_unrelated_image_is_compared_with_the_truth_of_the_original():
    rows = made_rows(60, ALL, rng=3)
    expected = modality(rows, "plain")
    away = rows["image_preset"] == "random"
    stored = rows.copy()
    stored.loc[away, ["truth", "correct"]] = None  # as a study stores it
    stored.loc[away, "unjudged"] = "The true answer is not known."
    pd.testing.assert_frame_equal(modality(stored, "plain"), expected)
    stored.loc[away, "question"] = "another question"
    again = modality(stored, "plain").set_index(["measure", "of"])
    assert math.isnan(again.loc[("importance", "image"), "value"])
    assert "could be judged" in again.loc[("importance", "image"), "note"]


def test_dominance_and_efficiency_are_means_over_rows(rows, found):
    own = rows[(rows["model"] == "b") & rows["error"].isna()]
    shares = own[[f"attention_relative_{name}" for name in ("image", "context", "question")]].to_numpy()
    tokens = own[[f"tokens_{name}" for name in ("image", "context", "question")]].to_numpy(dtype=float)
    tokens = np.where(tokens == 0, np.nan, tokens)
    index = pd.DataFrame(shares / (tokens / np.nansum(tokens, axis=1, keepdims=True)), index=own.index)
    mine = found[found["model"] == "b"].set_index(["measure", "of", "condition"])["value"]
    for name, group in own.groupby("condition"):
        assert mine[("dominance", "text", name)] == pytest.approx(group["modality_dominance_index"].mean())
        for place, of in enumerate(("image", "context", "question")):
            value = mine[("efficiency", of, name)]
            if of == "context" and group["tokens_context"].iloc[0] == 0:
                assert math.isnan(value)
            else:
                assert value == pytest.approx(index.loc[group.index, place].mean())


@pytest.mark.parametrize(
    ("name", "reference", "measure"),
    [
        ("irrelevant", "plain", "interference"),
        ("context only", "complementary", "interference"),
        ("1 sentence", "plain", "dilution"),
        ("4 sentences", "plain", "dilution"),
    ],
)
def test_changed_answers_are_counted_pair_by_pair(rows, found, name, reference, measure):
    row = found[(found["measure"] == measure) & (found["condition"] == name) & (found["model"] == "a")].iloc[
        0
    ]
    wide = rows[rows["model"] == "a"].pivot(index=["index", "seed"], columns="condition", values="answer")
    pairs = wide[[name, reference]].dropna()
    assert row["reference"] == reference and row["rows"] == len(pairs)
    assert row["value"] == pytest.approx((pairs[name] != pairs[reference]).mean())
    assert row["low"] < row["value"] < row["high"]


def test_a_picture_without_its_context_is_no_interference(found):
    assert set(found[found["measure"] == "interference"]["condition"]) == {"irrelevant", "context only"}


def test_the_wording_of_an_answer_is_no_change():
    rows = made_rows(20, (CONDITIONS[0], BESIDE[0]))
    rows["answer"] = np.where(rows["condition"] == "plain", "Yes", "yes, it is.")
    own = modality(rows, "plain").set_index("measure")
    assert own.loc["interference", "value"] == 0


def test_none_is_zero_where_the_question_asks_how_many():
    rows = made_rows(20, (CONDITIONS[0], BESIDE[0]))
    rows["answer"] = np.where(rows["condition"] == "plain", "None", "0")
    values = []
    for question in ("How many stars?", "What is there?"):
        own = modality(rows.assign(question=question), "plain").set_index("measure")
        values.append(own.loc["interference", "value"])
    assert values == [0, 1]


def test_drawn_and_edited_conditions_are_not_taken_for_plain_ones():
    rows = made_rows(20, ALL)
    for column, text in (
        ("stimulus", '[{"op": "noise", "sigma": 0.5}]'),
        ("interventions", '[{"kind": "x"}]'),
    ):
        edited = rows.copy()
        edited.loc[edited["condition"] == "complementary", column] = text
        own = modality(edited, "plain").set_index(["measure", "of"])
        assert "No condition has the natural image" in own.loc[("importance", "image"), "note"]
        given = modality(edited, "plain", both="complementary").set_index(["measure", "of"])
        assert not math.isnan(given.loc[("importance", "image"), "value"])


def test_what_is_missing_is_refused_with_the_reason():
    found = modality(made_rows(10, CONDITIONS[:1]).drop(columns=["tokens_image", "modality_dominance_index"]))
    assert found["value"].isna().all() and (found["note"] != "").all()
    notes = found.groupby("measure")["note"].first()
    assert "complementary" in notes["importance"] and "tokens_image" in notes["efficiency"]
    assert "isi.conditions.interference()" in notes["interference"]
    assert "isi.conditions.dilution()" in notes["dilution"] and "attention" in notes["dominance"]
    assert found["source"].str.len().min() > 20


def test_references_may_be_given_and_come_from_the_conditions_of_a_study(rows):
    found = modality(rows, "plain", references={"4 sentences": "1 sentence"})
    own = found[found["measure"] == "dilution"].set_index(["model", "condition"])
    assert own.loc[("a", "4 sentences"), "reference"] == "1 sentence"
    study = Analysed(rows)
    study._conditions = tuple(
        item.against("complementary") if item.name == "4 sentences" else item for item in study.conditions
    )
    own = study.modality().query("measure == 'dilution'").set_index(["model", "condition"])
    assert own.loc[("a", "4 sentences"), "reference"] == "complementary"
    assert own.loc[("a", "1 sentence"), "reference"] == "plain"


def test_modality_and_curves_read_only_their_columns(rows):
    names = tuple(rows)
    wanted = columns_for("modality", names)
    pd.testing.assert_frame_equal(modality(rows[wanted], "plain"), modality(rows, "plain"))
    pd.testing.assert_frame_equal(curves(rows[columns_for("curves", names)]), curves(rows))
    assert not {"answers", "image"} & set(wanted)
