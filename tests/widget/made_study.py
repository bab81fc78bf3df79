"""A study of made rows, with what a view asks of a study; it needs no model."""

from types import SimpleNamespace

import ipywidgets
import pandas as pd

from isi_widget.errors import InputError
from isi_widget.study.live import Live


class MadeStudy(Live):
    """Rows made by chance, with what a view asks of a study."""

    data, baseline, store, seeds = "made", "plain", None, (0,)
    settings = SimpleNamespace(measures=("answer",))

    def __init__(self, frame: pd.DataFrame) -> None:
        self.whole, self.finished = frame, len(frame)
        self.size = len(frame)
        self.title = "a made study"
        names = list(dict.fromkeys(frame["condition"]))
        self.header = {
            "conditions": [{"name": name} for name in names],
            "data": {"size": frame["index"].nunique()},
            "models": dict.fromkeys(frame["model"]),
        }
        self.columns = tuple(frame)
        self.opened: list[int] = []
        self.differ: dict[str, tuple[object, object]] = {}
        self.read: list[tuple[str, ...]] = []

    def frame(self, columns):
        self.read.append(tuple(columns))
        return self.whole.iloc[: self.finished][list(columns)].copy()

    def stored(self, row):
        if row >= self.size:
            raise InputError(f"The study has no finished row {row}.")
        return self.whole.iloc[row].to_dict()

    @property
    def failed(self):
        return self.whole[self.whole["error"].notna()]

    def differences(self, row, trial):
        return self.differ

    def probe(self, row):
        if row >= self.size:
            raise InputError(f"The study has no finished row {row}.")
        self.opened.append(row)
        made = ipywidgets.HTML(str(row))
        made.worked_with = False
        made.run = lambda measures: self.opened.append(measures)
        return made
