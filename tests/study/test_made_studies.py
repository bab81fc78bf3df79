"""The rows that tests of studies are made of follow the law that they are said to follow."""

import numpy as np
import pytest
from scipy import stats
from study.made_studies import AUROC, COLUMNS, CONDITIONS, ENTROPIES, FAILED, made_rows

ROWS = made_rows(4000, seeds=(0, 1), rng=1, answers=0)


@pytest.mark.parametrize("made", CONDITIONS, ids=lambda made: made.name)
def test_accuracy_is_that_of_the_condition(made):
    of = ROWS[ROWS["condition"] == made.name]
    assert abs(of["correct"].astype(float).mean() - made.accuracy) < 0.025
    assert abs(of["answer_probability"].mean() - made.accuracy) < 0.01


def test_every_entropy_separates_wrong_from_right_as_promised():
    wrong = ~ROWS["correct"].astype(bool)
    for name in ENTROPIES:
        u = stats.mannwhitneyu(ROWS[name][wrong], ROWS[name][~wrong]).statistic
        assert abs(u / (wrong.sum() * (~wrong).sum()) - AUROC) < 0.01


def test_seeds_of_an_observation_agree_more_than_by_chance():
    plain = ROWS[ROWS["condition"] == "plain"].pivot(index="index", columns="seed", values="correct")
    assert np.corrcoef(plain[0].astype(float), plain[1].astype(float))[0, 1] > 0.03


def test_columns_and_what_failed():
    rows = made_rows(200, failing=0.1, unjudged=0.1)
    assert tuple(rows) == COLUMNS
    failed = rows["error"].notna()
    assert 0.05 < failed.mean() < 0.15 and set(rows["error"][failed]) == {FAILED}
    assert rows["answer"][failed].isna().all() and rows["semantic_entropy"][failed].isna().all()
    assert rows["correct"][rows["unjudged"].notna()].isna().all()
    assert list(rows["row"]) == list(range(len(rows)))
