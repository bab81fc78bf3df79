"""`paired`: each condition against a baseline on the same observation, model and seed.

The answers of one observation under two conditions are alike, so their difference is known far better than
the difference of two means. Observations are independent, their seeds are not: the seeds of an observation
are averaged first. Not for the conditions on their own (`table`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isi_widget.errors import InputError
from isi_widget.study.statistics.intervals import (
    NONE,
    difference_interval,
    ratio_interval,
    resampled_sums,
)
from isi_widget.study.statistics.rows import CORRECT, Floats, Ints, Rows, codes, grouped
from isi_widget.study.statistics.testing import holm, sign_flip_test
from isi_widget.uncertainty.bootstrap import LEADING, check_level
from isi_widget.uncertainty.shares import RESAMPLES

if TYPE_CHECKING:
    import pandas as pd


def paired(
    frame: pd.DataFrame,
    baseline: str,
    columns: Sequence[str] | str | None = None,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare every condition with a baseline on the same observations, seeds and models.

    Parameters
    ----------
    frame : rows of a study.
    baseline : name of the condition to compare with.
    columns : measures to compare; default "correct" and the Bayesian semantic entropy, as far as measured;
        "all" for every measure. Each adds to the family of comparisons.
    level : level of the intervals; default 0.95.
    resamples : number of resamples of the bootstrap; default 2000.
    seed : seed of the bootstrap; default 0.

    Returns
    -------
    One row for each model, condition and column: baseline; column; difference (mean over the observations of
    condition minus baseline, the seeds of an observation averaged first) with its interval (low, high); mean
    and baseline_mean of the same pairs; effect (the mean difference over the standard deviation of the
    observations' differences: Cohen's d_z; NaN where that is 0); higher, lower, equal (number of
    observations); p and p_holm, corrected over all rows of this table that have a p-value, and the test
    (`testing.sign_flip_test`); observations and pairs that were compared; left_out, pairs where one side
    failed, was not measured or could not be judged, and unpaired, rows without a row on the other side.

    The interval of "correct" is Agresti and Min's, that of others the percentiles of a bootstrap over
    observations.

    Raises
    ------
    InputError
        There is no such baseline or column, no other condition, or two rows are of the same trial.
    """
    from isi_widget.study.statistics.tables import Table

    check_level(level)
    rows = Rows(frame)
    conditions = list(dict.fromkeys(frame["condition"]))
    if baseline not in conditions:
        names = ", ".join(map(repr, conditions))
        raise InputError(f"There is no condition {baseline!r} to compare with; choose one of {names}.")
    if len(conditions) < 2:
        raise InputError(
            f"paired needs a second condition beside {baseline!r}; run the study with conditions=[...]."
        )
    chosen = rows.measured(_default(rows) if columns is None else columns)
    if not chosen:
        raise InputError("Nothing was measured in these rows, so there is nothing to compare.")
    found: list[dict[str, Any]] = []
    pending: list[tuple[Floats, Floats]] = []
    for model, condition, pairs in pairs_of(rows, baseline):
        per_case = _differences(rows, chosen, pairs)
        pending.append((per_case.differences, per_case.known))
        for number, name in enumerate(chosen):
            found.append(
                {
                    "model": model,
                    "condition": condition,
                    "baseline": baseline,
                    "column": name,
                    **_summary(per_case, number, name == CORRECT, level),
                    "unpaired": pairs.unpaired,
                }
            )
    if not found:
        raise InputError(f"No other condition was run with the same model as {baseline!r}.")
    tables = [np.concatenate([np.nan_to_num(d), known], axis=1) for d, known in pending]
    for place, drawn in enumerate(resampled_sums(tables, resamples=resamples, seed=seed)):
        for number, name in enumerate(chosen):
            row = found[place * len(chosen) + number]
            if name != CORRECT and row["observations"] > 1:
                totals, numbers = drawn[:, number], drawn[:, len(chosen) + number]
                row["low"], row["high"] = ratio_interval(totals, numbers, level)
    corrected = holm(np.array([row["p"] for row in found]))
    found = [_with_holm(row, float(p)) for row, p in zip(found, corrected, strict=True)]
    notes = [
        *rows.doubts_note(chosen),
        f"{level:.0%} intervals over observations. Effect: Cohen's d of the differences.",
        f"p holm: corrected for the {len(found)} comparisons of this table.",
    ]
    return Table(found, f"Differences to {baseline!r}", _HIDDEN, notes)


_HIDDEN = ("baseline", "mean", "baseline_mean", "higher", "lower", "equal", "test", "pairs")


def _with_holm(row: dict[str, Any], p: float) -> dict[str, Any]:
    """Return a row with the corrected p-value beside the other one."""
    place = list(row).index("p") + 1
    items = list(row.items())
    return dict([*items[:place], ("p_holm", p), *items[place:]])


def _default(rows: Rows) -> list[str]:
    known = rows.measured()
    return [name for name in (CORRECT, LEADING) if name in known] or known[:1]


class Pairs:
    """Places of the rows of a condition and of the baseline that belong together, int [pairs] each."""

    def __init__(self, own: Ints, other: Ints, unpaired: int, case: Ints) -> None:
        self.own, self.other, self.unpaired, self.case = own, other, unpaired, case


def pairs_of(rows: Rows, baseline: str) -> list[tuple[Any, str, Pairs]]:
    """Return model, condition and pairs of every comparison."""
    seeds, unique = codes(rows.frame["seed"])
    key = rows.case * len(unique) + seeds
    groups = grouped(rows.frame, ["model", "condition"])
    sorted_keys = {}
    for group in groups:
        order = np.argsort(key[group.places], kind="stable")
        places = group.places[order]
        if len(places) > 1 and (np.diff(key[places]) == 0).any():
            raise InputError(
                f"Two rows are of the same trial: condition {group.key['condition']!r}, same model, "
                "observation and seed. Were the rows of a study put together twice?"
            )
        sorted_keys[group.key["model"], group.key["condition"]] = places
    found = []
    for (model, condition), own in sorted_keys.items():
        other = sorted_keys.get((model, baseline))
        if condition == baseline or other is None:
            continue
        both, first, second = np.intersect1d(key[own], key[other], assume_unique=True, return_indices=True)
        unpaired = len(own) + len(other) - 2 * len(both)
        pairs = Pairs(own[first], other[second], unpaired, rows.case[own[first]])
        found.append((model, condition, pairs))
    return found


class _PerCase:
    """Means of the observations: float [observations, columns] each, NaN where nothing could be compared;
    `known` is 1 where it could. `pairs` and `left_out` count pairs, int [columns].
    """

    def __init__(self, own: Floats, other: Floats, pairs: Ints, left_out: Ints) -> None:
        self.own, self.other, self.pairs, self.left_out = own, other, pairs, left_out
        self.differences = own - other
        self.known = (~np.isnan(self.differences)).astype(np.float64)


def _differences(rows: Rows, names: Sequence[str], pairs: Pairs) -> _PerCase:
    _, case = np.unique(pairs.case, return_inverse=True)
    cases = int(case.max()) + 1 if len(case) else 0
    means = np.full((2, cases, len(names)), np.nan)
    counts = np.zeros((2, len(names)), dtype=np.int64)
    for number, name in enumerate(names):
        values = rows.numbers(name)
        own, other = values[pairs.own], values[pairs.other]
        known = ~np.isnan(own) & ~np.isnan(other)
        counts[:, number] = known.sum(), (~known).sum()
        weights = np.bincount(case[known], minlength=cases)
        some = weights > 0
        for side, side_values in enumerate((own, other)):
            total = np.bincount(case[known], weights=side_values[known], minlength=cases)
            means[side, some, number] = total[some] / weights[some]
    return _PerCase(means[0], means[1], counts[0], counts[1])


def _summary(per_case: _PerCase, number: int, share: bool, level: float) -> dict[str, Any]:
    known = per_case.known[:, number] > 0
    differences = per_case.differences[known, number]
    # Two means of the same numbers in another order may differ by their rounding
    size = np.abs(per_case.own[known, number]) + np.abs(per_case.other[known, number])
    differences = np.where(np.abs(differences) <= 1e-12 * size, 0.0, differences)
    n = len(differences)
    deviation = float(differences.std(ddof=1)) if n > 1 else math.nan
    mean = float(differences.mean()) if n else math.nan
    low, high = difference_interval(differences, level) if share else NONE
    p, test = sign_flip_test(differences)
    return {
        "difference": mean,
        "low": low,
        "high": high,
        "mean": float(per_case.own[known, number].mean()) if n else math.nan,
        "baseline_mean": float(per_case.other[known, number].mean()) if n else math.nan,
        "effect": mean / deviation if n > 1 and deviation > 0 else math.nan,
        "higher": int((differences > 0).sum()),
        "lower": int((differences < 0).sum()),
        "equal": int((differences == 0).sum()),
        "p": p,
        "test": test,
        "observations": n,
        "pairs": int(per_case.pairs[number]),
        "left_out": int(per_case.left_out[number]),
    }
