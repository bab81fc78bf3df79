"""How well an uncertainty separates wrong answers from right ones: `auroc` and `risk_coverage`.

Both use only the order of the values, so uncertainties with different units may be compared. Not for whether
a probability is right as a number (`calibration`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.study.statistics.intervals import NONE, quantile_of
from isi_widget.study.statistics.rows import ALL, Floats, Ints, Rows
from isi_widget.uncertainty.bootstrap import NAMES, Interval, check_level

if TYPE_CHECKING:
    import pandas as pd

    from isi_widget.study.statistics.tables import Table

#: Columns that are lower where the model is less certain; any other is higher.
CERTAINTIES = frozenset({"answer_probability", "answer_log_likelihood", "lexical_similarity"})
#: Columns that "all" ranks, as far as they were measured; by default the first entropy and the probability.
UNCERTAINTIES = (
    *NAMES,
    *("answer_probability", "clusters", "kernel_language_entropy_heat", "kernel_language_entropy_matern"),
    *("laplacian_eigenvalues_entail", "laplacian_eigenvalues_contra", "degree_matrix_entail"),
    *("degree_matrix_contra", "eccentricity_entail", "eccentricity_contra", "semantic_sets"),
    *("lexical_similarity", "answer_log_likelihood"),
)
#: Points of a curve of risk and coverage.
POINTS = 200


def auroc(
    frame: pd.DataFrame,
    columns: Sequence[str] | str | None = None,
    by: str | Sequence[str] = "condition",
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """Return the area under the ROC curve of each uncertainty for "the answer is wrong".

    It is the probability that a wrong answer has a higher uncertainty than a right one, ties counting half:
    0.5 by chance, 1 where every wrong answer is above every right one. Rows that failed or were not judged
    are left out. Columns that are lower where the model is less certain (`CERTAINTIES`) are turned round.

    Parameters
    ----------
    frame : rows of a study.
    columns : uncertainties; default the leading entropy and the answer's probability, as far as measured;
        "all" for every one that was measured.
    by : as for `table`; () puts all conditions of a model together.
    level : level of the intervals; default 0.95.

    Returns
    -------
    One row per model, group and column: column, auroc, low, high, wrong and right (numbers of rows), note:
    why it is undefined (all answers right, all wrong, or none judged), "" if it is not.

    The interval is Obuchowski's, for rows that come in observations (DeLong's with one row each), on the
    logit scale; where its variance is 0, as for perfectly separated answers, Newcombe's score interval.
    Sources: Mann & Whitney 1947; DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988; Obuchowski,
    Biometrics 53, 1997; Newcombe, Statistics in Medicine 25, 2006.
    """
    from isi_widget.study.statistics.tables import Table

    check_level(level)
    rows = Rows(frame)
    found = []
    for key, name, values, wrong, case in _ranked(rows, columns, by):
        value, low, high, note = _auroc(values, wrong, case, level)
        found.append(
            {
                **key,
                "column": name,
                "auroc": value,
                "low": low,
                "high": high,
                "wrong": int(wrong.sum()),
                "right": int((~wrong).sum()),
                "note": note,
            }
        )
    notes = [
        *rows.doubts_note([row["column"] for row in found]),
        f"0.5: chance; 1: every wrong answer above every right one. {level:.0%} intervals over observations.",
    ]
    return Table(found, "AUROC for “the answer is wrong”", (), notes)


@dataclass(frozen=True, repr=False)
class RiskCoverage:
    """What answering only where the model is certain would gain.

    Attributes
    ----------
    table : one row per model, group and uncertainty: aurc (mean risk over all coverages; lower is better)
        with low and high; risk (the share of wrong answers at full coverage, which is also the aurc of a
        random order); best (the aurc of the best order) and excess, aurc minus best; answers; note.
    curve : coverage (share of the answers given, the least uncertain ones first) and risk (share of wrong
        ones among them), at most 200 points for each row of the table.
    warnings : sentences on unreliable comparisons of meanings, if an uncertainty depends on them.
    """

    table: pd.DataFrame
    curve: pd.DataFrame
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"RiskCoverage({len(self.table)} curves)\n{self._shown()!r}"

    def _repr_html_(self) -> str:
        return self._shown().page("`.table` and `.curve` have all numbers as columns.")

    def _shown(self) -> Table:
        from isi_widget.study.statistics.tables import Table

        notes = [
            *self.warnings,
            "aurc: mean risk over all coverages, lower is better; risk: that of a random order; best: that "
            "of the best order; excess: aurc minus best.",
        ]
        return Table(self.table, "Risk and coverage", (), notes)


def risk_coverage(
    frame: pd.DataFrame,
    columns: Sequence[str] | str | None = None,
    by: str | Sequence[str] = "condition",
    *,
    level: float = 0.95,
) -> RiskCoverage:
    """Return risk against coverage, for answering only where the uncertainty is low enough.

    Parameters as for `auroc`. Equal uncertainties stand in random order: the risk is its mean over these
    orders. The interval is normal, from the infinitesimal jackknife over observations.

    Sources: El-Yaniv & Wiener, JMLR 11, 2010; excess over the best order: Geifman, Uziel & El-Yaniv, ICLR
    2019; infinitesimal jackknife: Jaeckel 1972.
    """
    import pandas as pd

    z = quantile_of(level)
    rows = Rows(frame)
    table, curves = [], []
    for key, name, values, wrong, case in _ranked(rows, columns, by):
        row: dict[str, Any] = {**key, "column": name}
        if not len(values):
            nothing = dict.fromkeys(("aurc", "low", "high", "risk", "best", "excess"), math.nan)
            table.append(row | nothing | {"answers": 0, "note": _NONE_JUDGED})
            continue
        risks, influence = _risks(values, wrong)
        area, best = float(risks.mean()), _best(int(wrong.sum()), len(wrong))
        _, own = np.unique(case, return_inverse=True)
        deviation = math.sqrt(float((np.bincount(own, weights=influence) ** 2).sum()))
        several = own.max() > 0
        table.append(
            row
            | {
                "aurc": area,
                "low": max(area - z * deviation, 0.0) if several else math.nan,
                "high": min(area + z * deviation, 1.0) if several else math.nan,
                "risk": float(wrong.mean()),
                "best": best,
                "excess": area - best,
                "answers": len(wrong),
                "note": "",
            }
        )
        at = np.unique(np.ceil(np.linspace(1 / POINTS, 1, POINTS) * len(risks)).astype(int)) - 1
        curves.append(pd.DataFrame(row | {"coverage": (at + 1) / len(risks), "risk": risks[at]}))
    curve = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame()
    return RiskCoverage(pd.DataFrame(table), curve, tuple(rows.doubts_note([row["column"] for row in table])))


_NONE_JUDGED = "No answer was judged."


def _ranked(
    rows: Rows, columns: Sequence[str] | str | None, by: str | Sequence[str]
) -> list[tuple[dict[str, Any], str, Floats, npt.NDArray[np.bool_], Ints]]:
    """Return key, column, uncertainty, whether the answer is wrong, and case, of every group and column."""
    if columns is None or columns == ALL:
        known = rows.measured(ALL)
        names = [name for name in UNCERTAINTIES if name in known]
        if columns is None:
            usual = next((name for name in NAMES if name in names), None)
            names = [name for name in names if name in (usual, "answer_probability")] or names[:1]
        if not names:
            raise InputError(
                "No uncertainty was measured in these rows. Run the study with measures=('answer', "
                "'uncertainty'), or name columns=[...]."
            )
    else:
        names = rows.measured(columns)
    correct = rows.numbers("correct")
    values = {name: rows.numbers(name) * (-1 if name in CERTAINTIES else 1) for name in names}
    found = []
    for group in rows.groups(by):
        for name in names:
            known_rows = ~np.isnan(correct[group.places]) & ~np.isnan(values[name][group.places])
            places = group.places[known_rows]
            found.append(
                (dict(group.key), name, values[name][places], correct[places] == 0, rows.case[places])
            )
    return found


def _auroc(
    values: Floats, wrong: npt.NDArray[np.bool_], case: Ints, level: float
) -> tuple[float, float, float, str]:
    from scipy import stats

    m, n = int(wrong.sum()), int((~wrong).sum())
    if not m or not n:
        note = "All answers are right." if n else "All answers are wrong." if m else _NONE_JUDGED
        return math.nan, *NONE, note
    ranks = stats.rankdata(values)
    own = np.empty(len(values))
    own[wrong] = stats.rankdata(values[wrong])
    own[~wrong] = stats.rankdata(values[~wrong])
    # Share of the other kind that is below (for a wrong answer) or above (for a right one), ties half
    placement = np.where(wrong, (ranks - own) / n, 1 - (ranks - own) / m)
    area = float(placement[wrong].mean())
    _, cluster = np.unique(case, return_inverse=True)
    deviations = np.where(wrong, (placement - area) / m, (placement - area) / n)
    clusters = int(cluster.max()) + 1
    per_case = np.bincount(cluster, weights=deviations, minlength=clusters)
    variance = float((per_case**2).sum()) * clusters / max(clusters - 1, 1)
    z = quantile_of(level)
    if variance < 1e-12 or not 0 < area < 1:
        pairs = len(np.unique(cluster[wrong])), len(np.unique(cluster[~wrong]))
        return area, *_score_interval(area, *pairs, z), ""
    half = z * math.sqrt(variance) / (area * (1 - area))
    middle = math.log(area / (1 - area))
    low, high = (1 / (1 + math.exp(-(middle + side * min(half, 50.0)))) for side in (-1, 1))
    return area, low, high, ""


def _score_interval(area: float, wrong: int, right: int, z: float) -> Interval:
    """Return Newcombe's interval (his method 5) of an area from independent cases."""
    from scipy import optimize

    half = (wrong + right) / 2 - 1

    def excess(bound: float) -> float:
        spread = half * ((1 - bound) / (2 - bound) + bound / (1 + bound))
        return (area - bound) ** 2 - z**2 * bound * (1 - bound) * (1 + spread) / (wrong * right)

    # The area is itself a zero where it is 0 or 1, and excess is negative between the bounds
    near = 1e-9
    low = 0.0 if area <= near else float(optimize.brentq(excess, 0.0, area - near))
    high = 1.0 if area >= 1 - near else float(optimize.brentq(excess, area + near, 1.0))
    return low, high


def _risks(values: Floats, wrong: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the risk at each coverage k / n, float [n], and the influence of each answer on their mean.

    Within equal values the wrong answers are spread evenly, which is their mean over random orders.
    """
    order = np.argsort(values, kind="stable")
    _, group, counts = np.unique(values[order], return_inverse=True, return_counts=True)

    def even(numbers: npt.NDArray[Any]) -> Floats:
        """Return the mean of the numbers of each group of equal values."""
        mean: Floats = (np.bincount(group, weights=numbers) / counts)[group]
        return mean

    n, mistaken = len(order), wrong[order]
    covered = np.arange(1, n + 1)
    risks = np.cumsum(even(mistaken)) / covered
    # Derivative of the mean risk with respect to the weight of each answer: its own risk counts more often,
    # and every risk from it on moves towards it
    later = np.cumsum((1 / covered)[::-1])[::-1]
    later_risks = np.cumsum((risks / covered)[::-1])[::-1]
    influence = np.empty(n)
    influence[order] = (even(risks - risks.mean() - later_risks) + mistaken * even(later)) / n
    return risks, influence


def _best(wrong: int, n: int) -> float:
    """Return the area where all right answers come first: mean of max(0, k - right) / k over k."""
    right = n - wrong
    k = np.arange(right + 1, n + 1)
    return float(((k - right) / k).sum() / n)
