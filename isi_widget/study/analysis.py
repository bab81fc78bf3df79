"""`Analysis`: the statistics and plots of a `Study`, as its methods.

Each method reads only the columns that it needs and calls the function of the same name in
`isi_widget.study.statistics`, which documents what it returns. Not for the rows themselves (`Study`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from isi_widget.errors import InputError
from isi_widget.study.condition import PLAIN, Condition

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from isi_widget.study.statistics import Calibration, RiskCoverage

Columns = Sequence[str] | str | None


class Analysis:
    """Statistics of a study. A class that inherits it has `frame`, `columns`, `conditions`, `baseline`."""

    if TYPE_CHECKING:

        @property
        def columns(self) -> tuple[str, ...]:
            """The names of all columns."""

        @property
        def conditions(self) -> tuple[Condition, ...]:
            """The conditions."""

        @property
        def baseline(self) -> str:
            """The name of the condition that others are compared with."""

        def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
            """Return some columns of the rows."""

    def _needed(self, statistic: str, columns: Columns = None, more: Columns = ()) -> pd.DataFrame:
        """Return the columns that a statistic needs."""
        from isi_widget.study.statistics import columns_for

        asked = [columns] if isinstance(columns, str) else list(columns or ())
        for name in asked:
            if name not in self.columns and name not in ("accuracy", "all"):
                near = get_close_matches(str(name), [*self.columns, "accuracy"], n=1)
                meant = f" Did you mean {near[0]!r}?" if near else ""
                raise InputError(f"This study has no column {name!r}.{meant} `study.columns` names all.")
        wanted = columns_for(statistic, self.columns, columns)
        names = [more] if isinstance(more, str) else list(more or ())
        return self.frame(list(dict.fromkeys([*wanted, *(name for name in names if name in self.columns)])))

    def table(
        self, columns: Columns = None, by: str | Sequence[str] = "condition", *, level: float = 0.95
    ) -> pd.DataFrame:
        """Return accuracy and every measure by condition, with intervals over observations.

        Parameters
        ----------
        columns : measures; default accuracy, the leading entropy, the attention shares of the inputs and
            measures of your own; "all" for every column of numbers.
        by : column or columns to group by, beside the model; default "condition"; also "semantic_level".
        level : level of the intervals; default 0.95.

        Returns
        -------
        The frame of `isi_widget.study.statistics.table`: counts of rows, failed and unjudged ones; accuracy
        with its interval beside majority and yes-bias; each measure with name_low and name_high. It is shown
        with each interval beside its number (`.show()`); the columns hold plain numbers.
        """
        from isi_widget.study import statistics

        return statistics.table(self._needed("table", columns, by), columns, by, level=level)

    def paired(
        self, baseline: str | None = None, columns: Columns = None, *, level: float = 0.95
    ) -> pd.DataFrame:
        """Return differences to a baseline on the same observations, seeds and models.

        Parameters
        ----------
        baseline : name of the condition to compare with; default the study's.
        columns : measures; default "correct" and the Bayesian semantic entropy. Each adds to the comparisons
            that Holm's correction counts.
        level : level of the intervals; default 0.95.

        Returns
        -------
        The frame of `isi_widget.study.statistics.paired`: difference, interval, effect size, p and p_holm.

        Raises
        ------
        InputError
            There is nothing to compare with.
        """
        from isi_widget.study import statistics

        chosen = self.baseline if baseline is None else baseline
        return statistics.paired(self._needed("paired", columns), chosen, columns, level=level)

    def baselines(self, by: str | Sequence[str] = "condition", *, level: float = 0.95) -> pd.DataFrame:
        """Return beside each accuracy that of always giving the most frequent answer, and the bias to yes.

        Parameters
        ----------
        by : as for `table`.
        level : level of the intervals; default 0.95.
        """
        from isi_widget.study import statistics

        return statistics.baselines(self._needed("baselines", more=by), by, level=level)

    def unjudged(self) -> pd.DataFrame:
        """Return why answers were not judged: reason and number of rows by model and condition."""
        from isi_widget.study import statistics

        return statistics.unjudged(self._needed("unjudged"))

    def auroc(
        self, columns: Columns = None, by: str | Sequence[str] = "condition", *, level: float = 0.95
    ) -> pd.DataFrame:
        """Return how well each uncertainty separates wrong answers from right ones.

        Parameters
        ----------
        columns : uncertainties; default the leading entropy and the answer's probability; "all" for every
            one that was measured.
        by : as for `table`; () puts all conditions together.
        level : level of the intervals; default 0.95.

        Returns
        -------
        The frame of `isi_widget.study.statistics.auroc`; undefined, with a note, where all answers are right.
        """
        from isi_widget.study import statistics

        return statistics.auroc(self._needed("auroc", columns, by), columns, by, level=level)

    def risk_coverage(
        self, columns: Columns = None, by: str | Sequence[str] = "condition", *, level: float = 0.95
    ) -> RiskCoverage:
        """Return the share of wrong answers against the share of questions answered, most certain first.

        Parameters as for `auroc`.
        """
        from isi_widget.study import statistics

        frame = self._needed("risk_coverage", columns, by)
        return statistics.risk_coverage(frame, columns, by, level=level)

    def calibration(
        self,
        columns: Columns = None,
        by: str | Sequence[str] = "condition",
        *,
        bins: int = 10,
        level: float = 0.95,
    ) -> Calibration:
        """Compare the model's probabilities with how often they are right.

        Parameters
        ----------
        columns : "answer_probability", "p_yes" or both; default those that were measured.
        by : as for `table`.
        bins : number of bins of equal width; default 10.
        level : level of the intervals; default 0.95.
        """
        from isi_widget.study import statistics

        frame = self._needed("calibration", columns, by)
        return statistics.calibration(frame, columns, by, bins=bins, level=level)

    def curves(self, columns: Columns = None, *, level: float = 0.95) -> pd.DataFrame:
        """Return measures against the strength of a change, for every grid and model.

        Parameters
        ----------
        columns : measures; default "correct" and the Bayesian semantic entropy.
        level : level of the intervals; default 0.95.
        """
        from isi_widget.study import statistics

        frame = self._needed("curves", columns)
        return statistics.curves(frame, columns, baseline=self.baseline, level=level)

    def modality(
        self,
        *,
        both: str | None = None,
        image_only: str | None = None,
        context_only: str | None = None,
        references: Mapping[str, str] | None = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Return importance, dominance, interference and dilution of image and context.

        Parameters
        ----------
        both, image_only, context_only : names of the conditions with both inputs, without context, and with
            an unrelated image; None (default) finds them by their presets.
        references : condition -> the one that its answers are compared with; None (default): as the
            conditions give them.
        level : level of the intervals; default 0.95.

        Returns
        -------
        The frame of `isi_widget.study.statistics.modality`; a measure whose conditions are missing is refused
        with the reason.
        """
        from isi_widget.study import statistics

        if references is None:
            names = {condition.name: condition.baseline for condition in self.conditions}
            references = {name: other for name, other in names.items() if other in names and other != PLAIN}
        return statistics.modality(
            self._needed("modality"),
            self.baseline,
            both=both,
            image_only=image_only,
            context_only=context_only,
            references=references,
            level=level,
        )

    def plot(
        self,
        kind: str = "table",
        columns: Columns = None,
        *,
        by: str | Sequence[str] = "condition",
        baseline: str | None = None,
        level: float = 0.95,
    ) -> Figure:
        """Plot one of the statistics as a matplotlib figure.

        Parameters
        ----------
        kind : "table" (means with intervals; default), "paired" (differences to the baseline), "curves",
            "auroc", "calibration" (reliability diagram), "risk_coverage" or "modality".
        columns : measures; default the first few of the statistic.
        by : as for `table`; not for "paired", "curves" and "modality".
        baseline : name of the condition that "paired" compares with; default the study's.
        level : level of the intervals; default 0.95.
        """
        from isi_widget import checks
        from isi_widget.report import studies
        from isi_widget.study.statistics.warned import warnings_of

        checks.one_of(kind, "plot: kind", tuple(studies.KINDS))
        given: dict[str, Any] = {"level": level}
        if kind != "modality":
            given["columns"] = columns if columns is not None else _few(kind, self.columns)
        if kind in ("table", "auroc", "calibration", "risk_coverage"):
            given["by"] = by
        if kind == "paired":
            given["baseline"] = baseline
        result = getattr(self, kind)(**given)
        made: Figure = studies.KINDS[kind](result)
        return studies.warned(made, warnings_of(result))


def _few(kind: str, available: Sequence[str]) -> list[str] | None:
    """Return the measures of a plot that names none: few enough to be read; None for the statistic's own."""
    from isi_widget.uncertainty.bootstrap import LEADING

    usual = {
        "table": ("correct", LEADING, "attention_relative_image"),
        "risk_coverage": (LEADING, "answer_probability"),
        "auroc": (LEADING, "predictive_entropy", "answer_probability"),
        "calibration": ("answer_probability",),
    }.get(kind, ())
    return [name for name in usual if name in available] or None
