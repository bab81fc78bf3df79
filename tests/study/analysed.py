"""A study made of rows alone, with the statistics of a real one."""

from __future__ import annotations

import pandas as pd

from isi_widget.study.analysis import Analysis


class Analysed(Analysis):
    """What `Analysis` needs of a study: some columns at a time, their names, the baseline."""

    def __init__(self, rows: pd.DataFrame, baseline: str | None = "plain") -> None:
        self.rows, self._baseline, self.read = rows, baseline, []

    @property
    def columns(self):
        return tuple(self.rows)

    @property
    def baseline(self):
        return self._baseline

    def frame(self, columns=None):
        self.read.append(list(columns))
        return self.rows[list(columns)]
