"""`calibration`: is what the model takes for likely as often right as it should be?

Two probabilities can be checked: `answer_probability`, the probability of the shown answer's tokens, against
"the answer is right"; and `p_yes`, the probability that the answer begins with yes, against "the true answer
is yes". Both are probabilities of words, not of facts: a right answer with many wordings has a low
`answer_probability`. Not for entropies, which are no probabilities (`ranking`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.study.statistics.intervals import resampled_sums
from isi_widget.study.statistics.rows import Floats, Ints, Rows, codes, sums
from isi_widget.study.statistics.table import said
from isi_widget.uncertainty.bootstrap import check_level
from isi_widget.uncertainty.shares import RESAMPLES

if TYPE_CHECKING:
    import pandas as pd

    from isi_widget.study.statistics.tables import Table

PROBABILITIES = ("answer_probability", "p_yes")
EVENTS = {"answer_probability": "the answer is right", "p_yes": "the true answer is yes"}


@dataclass(frozen=True, repr=False)
class Calibration:
    """Reliability of the model's probabilities.

    Attributes
    ----------
    table : one row per model, group and probability: event; ece (expected calibration error: mean distance
        of frequency and probability over the bins, weighted by their answers) with low and high;
        ece_if_calibrated, its mean for a model that is perfectly calibrated, which is above 0 since bins are
        finite; brier (mean squared error; lower is better) with brier_low and brier_high; mean_probability;
        frequency (of the event); answers; note.
    bins : one row per bin: its bounds (from, to), answers, probability (mean), frequency, low, high
        (bootstrap over observations).
    """

    table: pd.DataFrame
    bins: pd.DataFrame

    def __repr__(self) -> str:
        return f"Calibration\n{self._shown()!r}"

    def _repr_html_(self) -> str:
        return self._shown().page("`.table` and `.bins` have all numbers as columns.")

    def _shown(self) -> Table:
        from isi_widget.study.statistics.tables import Table

        notes = [
            "ece: mean distance of frequency and probability; ece if calibrated, and its upper end: the same "
            "for a perfectly calibrated model with as many answers. The interval beside brier is over "
            "observations."
        ]
        return Table(self.table, "Calibration", (), notes)


def calibration(
    frame: pd.DataFrame,
    columns: Sequence[str] | str | None = None,
    by: str | Sequence[str] = "condition",
    *,
    bins: int = 10,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Calibration:
    """Compare the model's probabilities with how often their events happen.

    Parameters
    ----------
    frame : rows of a study.
    columns : "answer_probability", "p_yes" or both; default those that were measured. p_yes is divided by
        p_yes + p_no where the latter was measured.
    by : as for `table`.
    bins : number of bins of equal width from 0 to 1; default 10.
    level : level of the intervals; default 0.95.
    resamples : number of resamples of observations; default 2000.
    seed : seed of the bootstrap; default 0.

    Raises
    ------
    InputError
        Neither probability was measured.

    Sources: expected calibration error, Naeini, Cooper & Hauskrecht, AAAI 2015, and Guo et al., ICML 2017;
    its value under perfect calibration, Bröcker & Smith, Weather and Forecasting 22, 2007; Brier 1950.
    """
    import pandas as pd

    check_level(level)
    count = checks.integer(bins, "calibration: bins", low=2, high=1000)
    rows = Rows(frame)
    found = []
    for group in rows.groups(by):
        for name in _chosen(rows, columns):
            probability, happened = _events(rows, name)
            known = ~np.isnan(probability[group.places]) & ~np.isnan(happened[group.places])
            places = group.places[known]
            key = {**group.key, "column": name, "event": EVENTS[name]}
            found.append((key, _Binned(probability[places], happened[places], rows.case[places], count)))
    drawn = resampled_sums([binned.sums for _, binned in found], resamples=resamples, seed=seed)
    table, of_bins = [], []
    for (key, binned), resampled in zip(found, drawn, strict=True):
        table.append(key | binned.summary(resampled, level, seed))
        of_bins += [key | row for row in binned.rows(resampled, level)]
    return Calibration(pd.DataFrame(table), pd.DataFrame(of_bins))


def _chosen(rows: Rows, columns: Sequence[str] | str | None) -> list[str]:
    if columns is None:
        names = [name for name in PROBABILITIES if name in rows.frame]
    else:
        names = [columns] if isinstance(columns, str) else list(columns)
    for name in names:
        checks.one_of(name, "calibration: columns", PROBABILITIES)
        rows.column(name)
    if not names:
        raise InputError(
            "No probability was measured in these rows, so calibration is unknown: run the study with "
            "measures=('answer', ...). Models behind a server may not report probabilities."
        )
    return names


def _events(rows: Rows, name: str) -> tuple[Floats, Floats]:
    """Return a probability and whether its event happened (1, 0 or NaN), float [rows] each."""
    if name == "answer_probability":
        return rows.numbers(name), rows.numbers("correct")
    truth, values = codes(rows.column("truth"))
    yes = rows.numbers(name)
    if "p_no" in rows.frame:
        total = yes + rows.numbers("p_no")
        yes = np.divide(yes, total, out=np.full(len(yes), np.nan), where=total > 0)
    return yes, said(values)[truth]


class _Binned:
    """Probabilities in bins. `sums` holds, for each case, the number, the probabilities and the events of
    each bin, then number and squared errors of all: float [cases, 3 * bins + 2].
    """

    def __init__(self, probability: Floats, happened: Floats, case: Ints, bins: int) -> None:
        self.bins = bins
        self.place = np.minimum((probability * bins).astype(np.int64), bins - 1)
        self.probability, self.happened = probability, happened
        if not len(probability):
            self.sums: Floats = np.zeros((0, 3 * bins + 2))
            return
        _, own = np.unique(case, return_inverse=True)
        cases = int(own.max()) + 1
        cell = own * bins + self.place
        parts = [
            np.bincount(cell, weights=weights, minlength=cases * bins).reshape(cases, bins)
            for weights in (np.ones(len(own)), probability, happened)
        ]
        errors, number = sums(((probability - happened) ** 2)[:, None], case)
        self.sums = np.concatenate([*parts, number, errors], axis=1)

    def summary(self, drawn: Floats, level: float, seed: int) -> dict[str, Any]:
        names = ["ece", "ece_if_calibrated", "ece_if_calibrated_high", "brier", "brier_low", "brier_high"]
        row: dict[str, Any] = dict.fromkeys([*names, "mean_probability", "frequency"], math.nan)
        row |= {"answers": len(self.probability), "note": ""}
        if not len(self.probability):
            return row | {"note": "No answer was judged with a known probability."}
        whole = self.sums.sum(axis=0, keepdims=True)
        row["ece"] = float(self._error(whole)[0])
        row["brier"] = float(whole[0, -1] / whole[0, -2])
        row["mean_probability"] = float(self.probability.mean())
        row["frequency"] = float(self.happened.mean())
        if len(self.sums) > 1:
            tails = [(1 - level) / 2, (1 + level) / 2]
            usual = self._errors_if_calibrated(len(drawn), seed)
            row["ece_if_calibrated"] = float(usual.mean())
            row["ece_if_calibrated_high"] = float(np.quantile(usual, level))
            brier = drawn[:, -1] / drawn[:, -2]
            row["brier_low"], row["brier_high"] = map(float, np.quantile(brier, tails))
        return row

    def _error(self, table: Floats) -> Floats:
        """Return the expected calibration error of sums, float [..., 3 * bins + 2]."""
        probability, happened = table[:, self.bins : 2 * self.bins], table[:, 2 * self.bins : 3 * self.bins]
        error: Floats = np.abs(probability - happened).sum(axis=1) / table[:, -2]
        return error

    def _errors_if_calibrated(self, draws: int, seed: int) -> Floats:
        """Return errors of a perfectly calibrated model, float [draws]: the deviations of the bins are
        normal, with the covariance of the observations' deviations from the mean of their bin.
        """
        number, probability, happened = (
            self.sums[:, part * self.bins : (part + 1) * self.bins] for part in range(3)
        )
        deviation = happened - probability
        counts = number.sum(axis=0)
        mean = np.divide(deviation.sum(axis=0), counts, out=np.zeros(self.bins), where=counts > 0)
        centred = deviation - mean * number
        normal = np.random.default_rng([seed, self.bins]).standard_normal((draws, self.bins))
        values, vectors = np.linalg.eigh(centred.T @ centred)
        drawn = normal @ (np.sqrt(np.clip(values, 0, None)) * vectors).T
        error: Floats = np.abs(drawn).sum(axis=1) / counts.sum()
        return error

    def rows(self, drawn: Floats, level: float) -> list[dict[str, Any]]:
        whole, found = self.sums.sum(axis=0), []
        for place in range(self.bins):
            number, probability, happened = (whole[place + part * self.bins] for part in range(3))
            use = drawn[:, place] > 0
            low = high = math.nan
            if use.any() and np.count_nonzero(self.sums[:, place]) > 1:
                shares = drawn[use, 2 * self.bins + place] / drawn[use, place]
                low, high = map(float, np.quantile(shares, [(1 - level) / 2, (1 + level) / 2]))
            found.append(
                {
                    "from": place / self.bins,
                    "to": (place + 1) / self.bins,
                    "answers": int(number),
                    "probability": probability / number if number else math.nan,
                    "frequency": happened / number if number else math.nan,
                    "low": low,
                    "high": high,
                }
            )
        return found
