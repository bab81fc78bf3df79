"""`table`: means by condition with intervals, and beside each accuracy the baselines that need no picture.

Not for differences between conditions (`paired`), which are known better than their means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget.study.statistics.intervals import (
    NONE,
    difference_interval,
    ratio_interval,
    resampled_sums,
    share_interval,
)
from isi_widget.study.statistics.rows import (
    ACCURACY,
    CORRECT,
    Floats,
    Group,
    Ints,
    Rows,
    codes,
    sums,
    value_at,
)
from isi_widget.text.correctness import said_yes
from isi_widget.uncertainty.bootstrap import check_level
from isi_widget.uncertainty.shares import RESAMPLES

if TYPE_CHECKING:
    import pandas as pd

NO_REASON = "There is no true answer for this input."
NO_ANSWER = "No answer was measured."
#: Columns of the rows that are the same in a whole condition, and stand in its row of a table.
OF_CONDITION = ("group", "parameter", "level")
_HIDDEN = (*OF_CONDITION, "observations", "majority_truth", "above_majority", "truth_yes", "says_yes")
_UNITS = "Entropies in nats; attention relative: of what image, context and question get together."
_WORDS = (
    "majority: accuracy of always giving the most frequent true answer; yes bias: share of yes among the "
    "answers minus that among the truths."
)


def table(
    frame: pd.DataFrame,
    columns: Sequence[str] | str | None = None,
    by: str | Sequence[str] = "condition",
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the mean of every measure, by model and condition, with intervals over observations.

    Parameters
    ----------
    frame : rows of a study.
    columns : measures; default accuracy, the leading entropy, the attention shares of the inputs and
        measures of your own, as far as measured; "all" for every column of numbers.
    by : column or columns to group by, beside the model; default "condition"; also
        ("condition", "semantic_level") or () for all rows of a model.
    level : level of the intervals; default 0.95.
    resamples : number of resamples of the bootstrap; default 2000.
    seed : seed of the bootstrap; default 0.

    Returns
    -------
    One row per model and group, in order of appearance: rows; failed; unjudged (neither right nor wrong);
    doubtful_meanings, if there are any (rows whose entropies depend on an unreliable comparison of answers);
    truth_may_change (judged rows whose true answer is that of the original picture and may not hold for the
    changed one); observations; accuracy over the judged rows with accuracy_low and accuracy_high, and
    the columns of `baselines`; for each measure its mean, name_low and name_high. NaN where nothing was
    measured, and for an interval from fewer than two observations.
    """
    from isi_widget.study.statistics.tables import Table

    check_level(level)
    rows = Rows(frame)
    groups = rows.groups(by)
    names = rows.measured(columns)
    others = [name for name in names if name != CORRECT]
    values = {name: rows.numbers(name) for name in others}
    found, tables = [], []
    for group in groups:
        found.append(_counts(rows, group))
        if CORRECT in names:
            found[-1] |= _accuracy(rows, group.places, level)
            found[-1] |= _baselines(rows, group.places, level)
        own = np.stack([values[name][group.places] for name in others], axis=1) if others else None
        if own is not None:
            tables.append(np.concatenate(sums(own, rows.case[group.places]), axis=1))
    drawn = resampled_sums(tables, resamples=resamples, seed=seed)
    for row, sums_of, resampled in zip(found, tables, drawn, strict=False):  # no tables for accuracy alone
        row |= _means(others, sums_of, resampled, level)
    notes = [*rows.doubts_note(names), f"{level:.0%} intervals over observations. {_UNITS}", _WORDS]
    return Table(found, "Means by condition", _HIDDEN, notes)


def baselines(
    frame: pd.DataFrame, by: str | Sequence[str] = "condition", *, level: float = 0.95
) -> pd.DataFrame:
    """Return how far each accuracy is from what needs no picture, and how far answers lean to yes.

    Parameters
    ----------
    frame : rows of a study.
    by : as for `table`.
    level : level of the intervals; default 0.95.

    Returns
    -------
    One row per model and group, over its judged rows: judged, accuracy (with low and high); majority_truth,
    its most frequent true answer; majority, the accuracy of always giving that answer; above_majority, the
    accuracy minus it. Over those whose truth is yes or no: truth_yes, the share of true answers that are
    yes; says_yes, the share of clear answers that are yes; yes_bias, the second minus the first over the
    rows with a clear answer, with its interval (yes_bias_low, yes_bias_high); recall_yes and recall_no, the
    accuracy where the truth is yes, and where it is no; balanced_accuracy, their mean, which is 0.5 for a
    model that always gives the same answer.
    """
    from isi_widget.study.statistics.tables import Table

    check_level(level)
    rows = Rows(frame)
    found = []
    for group in rows.groups(by):
        judged = int((~np.isnan(rows.numbers(CORRECT)[group.places])).sum())
        accuracy = _accuracy(rows, group.places, level)
        found.append(
            {**group.key, "judged": judged, **accuracy, **_baselines(rows, group.places, level, more=True)}
        )
    return Table(found, "Accuracy beside what needs no picture", (), [_WORDS])


def unjudged(frame: pd.DataFrame) -> pd.DataFrame:
    """Return why answers were not judged: one row for each model, condition and reason, with the number of
    rows; most frequent reasons first.
    """
    rows = Rows(frame)
    lost = frame[rows.unjudged]
    reason = lost["unjudged"] if "unjudged" in lost else lost["error"]
    reason = reason.astype(object).where(reason.notna() & (reason != ""), NO_REASON)
    if "answer" in lost:
        reason = reason.where(lost["answer"].notna(), NO_ANSWER)
    made = lost[["model", "condition"]].astype(object).assign(reason=reason)
    counts = made.groupby(["model", "condition", "reason"], sort=False).size().rename("rows").reset_index()
    found: pd.DataFrame = counts.sort_values("rows", ascending=False, kind="stable", ignore_index=True)
    return found


def _counts(rows: Rows, group: Group) -> dict[str, Any]:
    places = group.places
    row: dict[str, Any] = dict(group.key)
    if "condition" in row:
        row |= {
            name: value_at(rows.frame[name], int(places[0])) for name in OF_CONDITION if name in rows.frame
        }
    row["rows"] = len(places)
    row["failed"] = int(rows.failed[places].sum())
    row["unjudged"] = int(rows.unjudged[places].sum())
    if rows.doubtful.any():
        row["doubtful_meanings"] = int(rows.doubtful[places].sum())
    if "truth_holds" in rows.frame:
        judged = ~np.isnan(rows.numbers(CORRECT)[places])
        row["truth_may_change"] = int((judged & rows.frame["truth_holds"].isna().to_numpy()[places]).sum())
    row["observations"] = len(np.unique(rows.case[places]))
    return row


def _accuracy(rows: Rows, places: Ints, level: float) -> dict[str, float]:
    totals, numbers = sums(rows.numbers(CORRECT)[places][:, None], rows.case[places])
    low, high = share_interval(totals[:, 0], numbers[:, 0], level)
    return {
        ACCURACY: _ratio(float(totals.sum()), float(numbers.sum())),
        f"{ACCURACY}_low": low,
        f"{ACCURACY}_high": high,
    }


def _means(names: Sequence[str], table: Floats, drawn: Floats, level: float) -> dict[str, float]:
    row = {}
    for number, name in enumerate(names):
        totals, numbers = table[:, number], table[:, len(names) + number]
        row[name] = _ratio(float(totals.sum()), float(numbers.sum()))
        several = np.count_nonzero(numbers) > 1
        row[f"{name}_low"], row[f"{name}_high"] = (
            ratio_interval(drawn[:, number], drawn[:, len(names) + number], level) if several else NONE
        )
    return row


def _baselines(rows: Rows, places: Ints, level: float, more: bool = False) -> dict[str, Any]:
    """Return the baselines over the judged rows of a group; `more` adds the recalls."""
    names = ["majority_truth", "majority", "above_majority", "truth_yes", "says_yes", "yes_bias"]
    bounds, recalls = ["yes_bias_low", "yes_bias_high"], ["recall_yes", "recall_no", "balanced_accuracy"]
    row: dict[str, Any] = dict.fromkeys([*names, *(bounds + recalls if more else [])], math.nan)
    row["majority_truth"] = None
    correct = rows.numbers(CORRECT)[places]
    known = ~np.isnan(correct)
    if "truth" not in rows.frame or "answer" not in rows.frame or not known.any():
        return row
    judged, correct = places[known], correct[known]
    truth, values = codes(rows.frame["truth"].iloc[judged])
    counts = np.bincount(truth)
    yes = said(values)[truth]
    clear = ~np.isnan(yes)
    row["majority_truth"], row["majority"] = _majority(values, counts, yes)
    row["above_majority"] = float(correct.mean()) - row["majority"]
    if not clear.any():
        return row
    answer, texts = codes(rows.frame["answer"].iloc[judged[clear]])
    answered = said(texts)[answer]
    true, right = yes[clear], correct[clear]
    row["truth_yes"] = float(true.mean())
    bias = answered - true
    heard = ~np.isnan(bias)
    if heard.any():
        row["says_yes"], row["yes_bias"] = float(answered[heard].mean()), float(bias[heard].mean())
    if more:
        totals, numbers = sums(bias[:, None], rows.case[judged[clear]])
        use = numbers[:, 0] > 0
        means = totals[use, 0] / numbers[use, 0]
        row["yes_bias_low"], row["yes_bias_high"] = difference_interval(means, level)
        row["recall_yes"], row["recall_no"] = (_mean(right[true == value]) for value in (1.0, 0.0))
        row["balanced_accuracy"] = (row["recall_yes"] + row["recall_no"]) / 2
    return row


def said(values: Sequence[Any]) -> Floats:
    """Return 1 for a text that is a clear yes, 0 for a clear no, NaN for others; float [texts]."""
    return np.array([_said(value) for value in values], dtype=np.float64)


def _said(value: Any) -> float:
    word = said_yes(value) if isinstance(value, str) else None
    return math.nan if word is None else float(word)


def _majority(values: Sequence[Any], counts: npt.NDArray[np.int64], yes: Floats) -> tuple[str, float]:
    """Return the most frequent truth and its share; spellings of yes, and of no, are one truth."""
    total = float(counts.sum())
    found = [("Yes", float(np.nansum(yes))), ("No", float(np.nansum(1 - yes)))]
    found += [
        (str(value), float(count))
        for value, count in zip(values, counts, strict=True)
        if math.isnan(_said(value))
    ]
    name, count = max(found, key=lambda item: item[1])
    return name, count / total


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan


def _ratio(total: float, number: float) -> float:
    return total / number if number else math.nan
