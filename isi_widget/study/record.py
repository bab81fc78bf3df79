"""`Averages`: what a model did on each observation of a data set, and what is usual for it.

Plain data: numbers per observation, with a full description of their origin. Not for running
(`isi_widget.study.run`), nor for comparing a trial with them (`isi_widget.study.beside`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.files.writing import write_for_user
from isi_widget.readable import counted
from isi_widget.segments import GROUPS as SEGMENTS
from isi_widget.segments import INPUTS
from isi_widget.study.averages_row import COLUMNS, NUMBERS
from isi_widget.study.averages_row import Row as Row
from isi_widget.study.averages_row import Skipped as Skipped
from isi_widget.study.averages_row import stimulus_id as stimulus_id
from isi_widget.study.from_study import parts_of
from isi_widget.study.in_use import use
from isi_widget.study.store import Store
from isi_widget.text import all_repaired
from isi_widget.trial.settings import Settings
from isi_widget.uncertainty.bootstrap import LEADING, NAMES, Interval, check_level, percentile_interval

if TYPE_CHECKING:
    import pandas as pd


SCHEMA = 1
#: The measures that have a mean, an interval and percentiles; the names are those of `Trial.to_frame`.
METRICS = (
    "correct",
    "answer_probability",
    *NAMES,
    "clusters",
    *(f"attention_{name}" for name in SEGMENTS),
    *(f"attention_relative_{name}" for name in INPUTS),
)
#: Values nearer than this count as equal: another machine adds the same numbers in another order.
TIE = 1e-6
_CELLS = 2_000_000  # resamples x observations held at once
_TITLE = "averages"


@dataclass(frozen=True, repr=False, eq=False)
class Averages:
    """What one model did on each observation of a data set, made by `isi_widget.averages`.

    Immutable, picklable, equal by content.

    Attributes
    ----------
    model : identity of the model: name, family, precision, quantisation, revision, fingerprint.
    settings : settings of each run.
    entailment : name of the model that compared the meanings, with its commit if it is from the hub
        (`Judge.label`).
    data : name of the data set.
    condition : name of the condition; "" for none.
    rows : one row per observation.
    notes : what could not be measured, and why.
    versions : versions of python, isi_widget, torch, ...; several if packages changed during the run.
    created : end of the run, ISO 8601 in UTC.
    skipped : observations that could not be run, by index; no row is of them.
    """

    model: Mapping[str, Any]
    settings: Settings
    data: str
    rows: tuple[Row, ...]
    condition: str = ""
    entailment: str = ""
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    skipped: tuple[Skipped, ...] = ()

    def __post_init__(self) -> None:
        if not self.rows:
            raise InputError("Averages need at least one observation; got none.")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> int:
        """How many observations there were: those with a row and those that were skipped."""
        return len(self.rows) + len(self.skipped)

    # ---- numbers
    def values(self, name: str) -> npt.NDArray[np.float64]:
        """Return one of `METRICS`, float [observations], read-only; NaN where not measured."""
        if name not in METRICS:
            raise InputError(f"There is no measure {name!r} in averages; choose one of {', '.join(METRICS)}.")
        return self._table[name]

    @cached_property
    def _table(self) -> dict[str, npt.NDArray[np.float64]]:
        table = {name: np.array([row.get(name) for row in self.rows]) for name in METRICS}
        for values in table.values():
            values.flags.writeable = False
        return table

    def _measured(self, name: str) -> npt.NDArray[np.float64]:
        values = self.values(name)
        return values[~np.isnan(values)]

    def mean(self, name: str) -> float:
        """Return the mean over the observations with this measure; NaN if there are none."""
        values = self._measured(name)
        return float(values.mean()) if len(values) else math.nan

    @property
    def accuracy(self) -> float:
        """Share of right answers, by `is_correct`, among the observations with a truth; NaN without any."""
        return self.mean("correct")

    def interval(self, name: str, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
        """Bootstrap percentile interval (low, high) of the mean, over the observations.

        It shows how much the mean would vary with other observations of the same kind, not with other samples
        of the same answers. Source: Efron, Annals of Statistics 7, 1979.
        """
        check_level(level)
        values, random = self._measured(name), np.random.default_rng(seed)
        if not len(values):
            return math.nan, math.nan
        means: list[npt.NDArray[np.float64]] = []
        step = max(1, _CELLS // len(values))
        for start in range(0, resamples, step):
            shape = (min(step, resamples - start), len(values))
            means.append(values[random.integers(len(values), size=shape)].mean(axis=1))
        return percentile_interval(np.concatenate(means), level)

    def percentile(self, name: str, value: float) -> float:
        """Return the mid-rank percentile of a value in the data set, 0 to 100.

        100 times the share of observations strictly below plus half of those that are equal (to a
        millionth), among those where it was measured. Where many are equal, as entropies of 0 are, it is
        less than the share that the value exceeds or equals, and more than the share that it exceeds.
        NaN for a value that is NaN, or where nothing was measured.
        """
        values = self._measured(name)
        if math.isnan(value) or not len(values):
            return math.nan
        equal = np.isclose(values, value, rtol=TIE, atol=TIE)
        below = (values < value) & ~equal
        return float(100 * (below.sum() + equal.sum() / 2) / len(values))

    # ---- as data
    def to_dict(self) -> dict[str, Any]:
        """Return a dict for `json.dumps(..., allow_nan=False)`, without loss."""
        record: dict[str, Any] = {
            "schema": SCHEMA,
            "model": dict(self.model),
            "settings": self.settings.to_dict(),
            "entailment": self.entailment,
            "data": self.data,
            "condition": self.condition,
            "size": self.size,
            "created": self.created,
            "versions": dict(self.versions),
            "notes": list(self.notes),
            "columns": list(COLUMNS),
            "rows": [[_packed(getattr(row, name)) for name in COLUMNS] for row in self.rows],
        }
        if self.skipped:
            record["skipped"] = [[item.index, item.id, item.reason] for item in self.skipped]
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Averages:
        """Rebuild from the record of `to_dict`. Raises `InputError` if it is no such record, or of an
        unfinished run.
        """
        made, size = read(record)
        if made.size != size:
            raise InputError(
                f"These averages are of an unfinished run: {made.size} of {counted(size, 'observation')}. "
                "Finish it with isi.averages(..., store=...) and the same store."
            )
        return made

    def save(self, path: str | Path) -> Path:
        """Write it to a JSON file, at once or not at all; returns the path."""
        return write(self.to_dict(), path)

    @classmethod
    def load(cls, path: str | Path) -> Averages:
        """Read what `save` wrote, or the folder of a finished `store`; `InputError` if it is neither."""
        if Path(path).is_dir():
            return cls(**parts_of(Store(path), finished=True))
        return cls.from_dict(read_json(path))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per observation: id, level, stimulus, every measure of `METRICS`, tokens, cut."""
        import pandas as pd

        columns: dict[str, Any] = {
            name: [getattr(row, name) for row in self.rows] for name in ("id", "level", "stimulus", "correct")
        }
        columns |= {name: self.values(name) for name in METRICS if name != "correct"}
        columns |= {name: [getattr(row, name) for row in self.rows] for name in ("tokens", "cut")}
        return pd.DataFrame(columns)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Averages) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.data, self.settings, self.created, len(self.rows)))

    # ---- in use
    def use(self, on: bool = True) -> Averages:
        """Show these averages beside the trials of their model, in this process, in place of shipped ones.

        `on=False` ends that. Returns itself. Nothing else puts averages in use.
        """
        use(self, on)
        return self

    # ---- as pictures
    def __repr__(self) -> str:
        parts = [f"{self.data!r}", counted(len(self), "observation"), f"model={self.model.get('name')!r}"]
        if self.skipped:
            parts.append(f"{len(self.skipped)} skipped")
        if not math.isnan(self.accuracy):
            parts.append(f"accuracy={self.accuracy:.3f}")
        if not math.isnan(self.mean(LEADING)):
            low, high = self.interval(LEADING)
            parts.append(f"{LEADING}={self.mean(LEADING):.3f} [{low:.3f}, {high:.3f}]")
        return f"Averages({', '.join(parts)})"

    def _repr_html_(self) -> str:
        from isi_widget.study.page import averages_html

        return averages_html(self)


# ------------------------------------------------------------------------------------------------ as JSON
def _packed(value: Any) -> Any:
    """Convert a number for JSON, which has no NaN and no infinities: null is not measured, "inf" infinite.
    Whole numbers stay short.
    """
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return int(value) if value.is_integer() else value


def _row(values: Sequence[Any]) -> Row:
    named = dict(zip(COLUMNS, values, strict=True))
    for name in NUMBERS:
        named[name] = math.nan if named[name] is None else float(named[name])
    records.check_values(Row, _TITLE, named)
    return Row(**named)


def read(record: Mapping[str, Any]) -> tuple[Averages, int]:
    """Return the averages of a record, also of an unfinished run, and the size of its data set."""
    with records.damaged(_TITLE):
        return _read(all_repaired(record))


def _read(record: Mapping[str, Any]) -> tuple[Averages, int]:
    checks.fields(_TITLE, record, ("schema",), record)
    if record["schema"] != SCHEMA:
        raise InputError(
            f"These are no averages of schema {SCHEMA}: got schema {record['schema']!r}. Make them again "
            "with isi.averages(...)."
        )
    known = {item.name for item in fields(Averages)} | {"schema", "size", "columns"}
    checks.fields(_TITLE, record, known - {"skipped"}, known)
    own = {name: value for name, value in record.items() if name not in ("rows", "skipped")}
    records.check_values(Averages, _TITLE, own)
    records.check_model(_TITLE, record["model"])
    if list(record["columns"]) != list(COLUMNS):
        raise InputError(
            f"These averages have the columns {record['columns']}; expected {list(COLUMNS)}. Make them "
            "again with isi.averages(...)."
        )
    try:
        rows, size = tuple(map(_row, record["rows"])), int(record["size"])
        skipped = tuple(Skipped(int(at), str(id), str(why)) for at, id, why in record.get("skipped", ()))
        indices = [item.index for item in skipped]
        if sorted(set(indices)) != indices or not all(0 <= at < len(rows) + len(indices) for at in indices):
            raise ValueError(f"the indices of what was skipped are {indices}")
    except (TypeError, ValueError) as error:
        raise InputError(f"A row of these averages is broken: {error}. Make them again.") from None
    kept = {
        name: record[name] for name in ("model", "data", "condition", "entailment", "versions", "created")
    }
    settings = Settings.from_dict(record["settings"])
    notes = tuple(record["notes"])
    return Averages(**kept, settings=settings, rows=rows, notes=notes, skipped=skipped), size


def read_json(path: str | Path) -> dict[str, Any]:
    """Return the JSON object in a file; `InputError` if there is none."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"The averages in {str(path)!r} cannot be read: {error.strerror}.") from None
    try:
        record = records.parse_json(content, f"The file {str(path)!r}")
    except InputError as error:
        raise InputError(f"The file {str(path)!r} holds no averages: {error}") from None
    if not isinstance(record, dict):
        raise InputError(f"The file {str(path)!r} holds no averages: it is no JSON object.")
    return record


def write(record: Mapping[str, Any], path: str | Path) -> Path:
    """Write a record atomically, one line per observation."""
    path = Path(path)
    head = json.dumps({key: item for key, item in record.items() if key != "rows"}, ensure_ascii=False)
    dense = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in record["rows"])
    text = head[:-1] + ', "rows": [\n' + ",\n".join(dense) + "\n]}\n"
    return write_for_user("The file of averages", path, text)
