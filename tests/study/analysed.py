"""A study made of rows alone, with the statistics of a real one."""

from __future__ import annotations

import pandas as pd

from isi_widget.study.analysis import Analysis
from isi_widget.study.condition import condition


class Analysed(Analysis):
    """What `Analysis` needs of a study: some columns at a time, their names, conditions and baseline."""

    def __init__(self, rows: pd.DataFrame, baseline: str = "plain") -> None:
        self.rows, self._baseline, self.read = rows, baseline, []
        self._conditions = tuple(map(condition, dict.fromkeys(rows["condition"])))

    @property
    def columns(self):
        return tuple(self.rows)

    @property
    def conditions(self):
        return self._conditions

    @property
    def baseline(self):
        return self._baseline

    def frame(self, columns=None):
        self.read.append(list(columns))
        return self.rows[list(columns)]
