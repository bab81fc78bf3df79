"""`Study`: the rows of a study, what was run, and its trials again. `open_study` reads one from its store.

Not for running (`running`), nor for statistics (`analysis`, which it inherits).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.interventions import Intervention
from isi_widget.study import again
from isi_widget.study.analysis import Analysis
from isi_widget.study.condition import Condition
from isi_widget.study.live import Live
from isi_widget.study.memory import Memory
from isi_widget.study.received_code import received_code
from isi_widget.study.report import Reported
from isi_widget.study.rows import NESTED
from isi_widget.study.store import Store
from isi_widget.study.stored import differences_of
from isi_widget.study.table import frame_of, refuse_too_large
from isi_widget.trial import Settings

if TYPE_CHECKING:
    import pandas as pd

    from isi_widget.datasets import Observation
    from isi_widget.stimulus import Picture, Stimulus
    from isi_widget.study.again import Probe
    from isi_widget.study.arguments import Arguments
    from isi_widget.trial import Trial
    from isi_widget.vlm.protocol import VLMLike


class Study(Analysis, Live, Reported):
    """The rows of a study, made by `isi_widget.run_study` or read by `isi_widget.open_study`.

    Equal by content. During a run it has the rows that are finished.
    """

    def __init__(
        self, store: Memory | Store, *, given: Arguments | None = None, code: str | None = None
    ) -> None:
        self._store = store
        self._given = given
        self._code = code
        self._read: tuple[Any, pd.DataFrame] | None = None

    # ---- what was run
    @property
    def header(self) -> Mapping[str, Any]:
        """What was run, JSON-ready, as in the file `study.json`."""
        return self._store.header

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions, without grids. Functions of conditions read from a store are known by name only."""
        if self._given is not None:
            return self._given.conditions
        pictures = _Pictures(self._store)
        with records.damaged("a study"):
            return tuple(Condition.from_dict(item, pictures) for item in self.header["conditions"])

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """Identity of each model by its label: name, family, precision, fingerprint. Empty before it ran."""
        return {label: dict(item.get("identity", {})) for label, item in self.header["models"].items()}

    @property
    def data(self) -> str:
        """Name of the data set."""
        return str(self.header["data"]["name"])

    @property
    def baseline(self) -> str:
        """Name of the condition that the others are compared with."""
        return str(self.header["baseline"])

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(self.header["seeds"])

    @cached_property
    def settings(self) -> Settings:
        """The settings of every trial; their seed is that of the row."""
        return Settings.from_dict(self.header["settings"])

    @property
    def store(self) -> Path | None:
        """Folder of the rows; None if they are in memory only."""
        return self._store.path

    @property
    def size(self) -> int:
        """Number of rows of the whole study, finished or not."""
        shape = self.header["shapes"][-1]
        return int(shape[0] * shape[1] * shape[2] * shape[3])

    @property
    def title(self) -> str:
        """The study in one line."""
        counts = [
            _count(len(self.header["models"]), "model"),
            f"{self.header['data']['size']} x {self.data}",
            _count(len(self.header["conditions"]), "condition"),
            _count(len(self.seeds), "seed"),
        ]
        return ", ".join(counts)

    def code(self) -> str:
        """Return Python that repeats the study.

        Of up to 200 observations made by hand, pictures are their files, small ones stand in the code, and
        large ones are the files of the store. What has none of these, pictures that functions make, and
        functions without source code, are comments in it. Of a study that was read from a folder, whatever
        is not plain data is a comment, too: the folder may be from somebody else.
        """
        return received_code(str(self.header["code"])) if self._code is None else self._code

    # ---- rows
    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns, nested ones included; reads no rows."""
        return tuple(self._store.columns)

    @property
    def rows(self) -> pd.DataFrame:
        """The finished rows, sorted by number, without the nested columns `answers` and `notes`, which
        `frame` reads.

        Raises
        ------
        InputError
            They do not fit into the free memory.
        """
        version = self._store.version
        if self._read is None or self._read[0] != version:
            self._read = (version, self.frame())
        return self._read[1]

    def frame(
        self, columns: Sequence[str] | None = None, *, numbers: Sequence[int] | None = None
    ) -> pd.DataFrame:
        """Read some columns of the finished rows, sorted by the number of the row.

        Parameters
        ----------
        columns : names of columns, nested ones too; those that the study does not have are left out. None
            (default): all but the nested ones.
        numbers : numbers of the rows to read; None (default): all.

        Raises
        ------
        InputError
            They do not fit into the free memory.
        """
        wanted = [name for name in self.columns if name not in NESTED] if columns is None else columns
        if numbers is None:
            refuse_too_large(*self._store.size_of(list(wanted)), self.store)
        return frame_of(self._store.table(list(wanted), numbers))

    def __len__(self) -> int:
        return len(self.frame(["row"]))

    @property
    def failed(self) -> pd.DataFrame:
        """The rows that failed: which, under what condition, and why."""
        names = ["row", "model", "condition", "observation", "index", "seed", "error_type", "error"]
        frame = self.frame(names)
        found: pd.DataFrame = frame[frame["error"].notna()].reset_index(drop=True)
        return found

    @property
    def interventions(self) -> dict[str, tuple[Intervention, ...]]:
        """The interventions on the inside by condition, of those that have some."""
        found = {
            condition.name: tuple(item for item in condition.interventions if isinstance(item, Intervention))
            for condition in self.conditions
        }
        return {name: items for name, items in found.items() if items}

    # ---- rows again
    @property
    def pictures(self) -> Mapping[str, Picture]:
        """The pictures that the store keeps, by their hash; each is read when it is used."""
        return _Pictures(self._store)

    def observation(self, row: Any) -> Observation:
        """Return the observation of a row, given by its number or as a row of `rows`."""
        return again.observation_again(self, row)

    def stimulus(self, row: Any) -> Stimulus:
        """Return exactly what the model was shown in a row.

        A study of this process makes it from its data, an opened one from the pictures of its store.

        Parameters
        ----------
        row : number of the row, or a row of `rows`.

        Raises
        ------
        InputError
            There is no such row, or its stimulus cannot be made again.
        """
        return again.stimulus_again(self, row)

    def trial(self, row: Any, vlm: VLMLike | None = None) -> Trial:
        """Run a row again, with the same stimulus, interventions, settings and seed.

        Parameters
        ----------
        row : number of the row, or a row of `rows`.
        vlm : model of the row; None (default): that of the run, or loaded again by its name.

        Raises
        ------
        InputError
            There is no such row, it cannot be made again, or the model is not that of the row.
        """
        return again.trial_again(self, row, vlm)

    def probe(self, row: Any, vlm: VLMLike | None = None, *, run: bool = False) -> Probe:
        """Open a row in a probe: its input, interventions, settings and seed.

        Parameters
        ----------
        row, vlm : as for `trial`.
        run : True also runs the model; default False.
        """
        return again.probe_again(self, row, vlm, run)

    def differences(self, row: Any, trial: Trial) -> dict[str, tuple[Any, Any]]:
        """Compare a trial of a row's input, such as `trial(row)`, with what the row stores.

        Parameters
        ----------
        row : number of the row, or a row of `rows`.
        trial : the trial.

        Returns
        -------
        {column: (stored, now)} of the columns of measures that differ by more than 1e-4, relative or
        absolute; empty if all agree.
        """
        return differences_of(self.stored(row), trial)

    def stored(self, row: Any) -> dict[str, Any]:
        """Return one finished row as a dict, read alone; missing values are None.

        Parameters
        ----------
        row : number of the row, or a row of `rows`.

        Raises
        ------
        InputError
            There is no such finished row.
        """
        number = again.row_of(self, row)["row"]
        return again.plain_row(self.frame(numbers=[number]))

    # ---- as text
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Study):
            return NotImplemented
        if self is other:
            return True
        mine, theirs = (json.dumps(item.header, sort_keys=True) for item in (self, other))
        return bool(mine == theirs and self._store.table().equals(other._store.table()))

    def __hash__(self) -> int:
        return hash((self.header["created"], self.data))

    def __repr__(self) -> str:
        error = self.frame(["error"])["error"]
        failed = int(error.notna().sum())
        parts = [self.title, f"{len(error)} of {self.size} rows"]
        parts += [f"{failed} failed"] if failed else []
        parts += [] if self.store is None else [f"store={str(self.store)!r}"]
        return f"Study({', '.join(parts)})"


class _Pictures(dict[str, Any]):
    """The pictures of a store by their hash, each read on its first use."""

    def __init__(self, store: Memory | Store) -> None:
        super().__init__()
        self._store = store

    def __missing__(self, digest: str) -> Any:
        found = self._store.picture(digest) if len(digest) == 64 else None
        if found is None:
            raise KeyError(digest)
        self[digest] = found
        return found

    def __contains__(self, digest: object) -> bool:
        try:
            self[str(digest)]
        except KeyError:
            return False
        return True


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def open_study(path: str | Path) -> Study:
    """Read a study from its store; the store may be one that is being written to.

    Parameters
    ----------
    path : folder of the store.

    Raises
    ------
    InputError
        The folder holds no study, or one of a newer schema.
    """
    store = Store(path)
    if store.is_new:
        raise InputError(
            f"There is no study in {str(path)!r}: it has no file study.json. Give the folder that was "
            "store= of isi.run_study."
        )
    return Study(store)
