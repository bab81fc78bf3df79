"""The trials of a probe: their numbers, what the page gets of them, and the files that are made of them.

A trial keeps its number when others are deleted. No traits, no threads. Not for what a trial is
(`isi_widget.trial`), nor for drawing it (`isi_widget.report`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.tables import to_csv
from isi_widget.trial import Trial

#: Number of trials that a page shows, the newest ones; a notebook may save them. Python keeps all trials.
KEPT = 50
SCHEMA = 1
#: What the page gets of a trial: its number, the key of its stimulus, its view, a thumbnail.
Entry = dict[str, Any]


class History:
    """The trials of one probe by their numbers, which begin at 1 and are never given twice.

    What the page gets of a trial, its entry, lies in one of `KEPT` places and stays there: so a new trial is
    sent alone.
    """

    def __init__(self) -> None:
        self._trials: dict[int, Trial] = {}
        self._places: list[Entry | None] = [None] * KEPT
        self._last = 0

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All of them, oldest first."""
        return tuple(self._trials.values())

    @property
    def entries(self) -> list[Entry]:
        """What the page gets: the last `KEPT` ones, oldest first, each with its number as "id"."""
        return sorted((entry for entry in self._places if entry is not None), key=lambda entry: entry["id"])

    def __contains__(self, number: object) -> bool:
        return number in self._trials

    def __iter__(self) -> Iterator[int]:
        """Return the numbers, oldest first."""
        return iter(self._trials)

    def get(self, number: int) -> Trial | None:
        """Return the trial of a number if it still exists."""
        return self._trials.get(number)

    def add(self, trial: Trial, entry: Mapping[str, Any]) -> tuple[int, int]:
        """Append a trial.

        Returns
        -------
        The number of the trial, and the place of its entry: an empty one, or that of the oldest entry.
        """
        self._last += 1
        self._trials[self._last] = trial
        place = min(range(KEPT), key=lambda place: (self._places[place] or {"id": 0})["id"])
        self._places[place] = {"id": self._last, **entry}
        return self._last, place

    @property
    def last(self) -> int:
        """The highest number that was given."""
        return self._last

    def put_back(
        self, trials: Mapping[int, Trial], entries: Mapping[int, Mapping[str, Any]], last: int
    ) -> None:
        """Take over trials by their numbers, the entries of the newest ones, and the highest number given."""
        self._trials = dict(sorted(trials.items()))
        self._last = max([last, *self._trials])
        for place, (number, entry) in enumerate(sorted(entries.items())[-KEPT:]):
            self._places[place] = {"id": number, **entry}

    def annotate(self, number: int, more: Mapping[str, Any]) -> int | None:
        """Add to the entry of a trial; returns its place, None if the page has no entry of it."""
        for place, entry in enumerate(self._places):
            if entry is not None and entry["id"] == number:
                self._places[place] = {**entry, **more}
                return place
        return None

    def remove(self, number: int) -> tuple[Trial, int | None]:
        """Forget a trial; returns it, and the place of its entry if the page has one."""
        place = next((at for at, entry in enumerate(self._places) if entry and entry["id"] == number), None)
        if place is not None:
            self._places[place] = None
        return self._trials.pop(number), place

    def entry(self, place: int) -> Entry | None:
        """Return the entry at an index."""
        return self._places[place]

    def number(self, trial: int | Trial) -> int:
        """Return the number of a trial, given as its number or as the trial itself.

        Raises
        ------
        InputError : there is no such trial here.
        """
        if isinstance(trial, Trial):
            found = next((number for number, other in self._trials.items() if other is trial), None)
            if found is None:
                raise InputError("This trial is not one of this probe's: it was made elsewhere, or deleted.")
            return found
        if not is_whole(trial) or trial not in self._trials:
            there = _listed(self._trials)
            raise InputError(f"There is no trial {trial!r}; there {there}.")
        return trial

    def numbers(self, trials: int | Trial | Iterable[int | Trial] | None) -> list[int]:
        """Return the numbers of some trials (None: all), oldest first and without repeats; at least one."""
        if trials is None:
            chosen = set(self._trials)
        elif isinstance(trials, int | Trial | str) or not isinstance(trials, Iterable):
            chosen = {self.number(trials)}
        else:
            chosen = {self.number(trial) for trial in trials}
        if not chosen:
            raise InputError("There is no trial: run one first, or name at least one.")
        return sorted(chosen)

    def neighbour(self, number: int) -> int:
        """Return what to show in the place of a trial that goes: the one before it, else the one after it,
        else -1.
        """
        others = [other for other in self._trials if other != number]
        before = [other for other in others if other < number]
        return before[-1] if before else others[0] if others else -1


def _listed(numbers: Iterable[int]) -> str:
    known = list(map(str, numbers))
    if not known:
        return "are none yet"
    return f"are {', '.join(known if len(known) < 12 else [known[0], '...', known[-1]])}"


def file_name(numbers: list[int], format: str) -> str:
    """Return a file name with the numbers of its trials."""
    if len(numbers) == 1:
        return f"trial-{numbers[0]}.{format}"
    shown = "-".join(map(str, numbers)) if len(numbers) <= 6 else f"{numbers[0]}-to-{numbers[-1]}"
    return f"trials-{shown}.{format}"


def file_of(trials: Mapping[int, Trial], notes: Mapping[int, str], format: str) -> bytes:
    """Return trials by number as one file.

    json : {"schema", "trials": [{"id", "note", "trial"}]}, without loss: `Trial.from_dict(entry["trial"])`
    gives a trial back, its image inside. csv : one row per trial, its number and its note first, then as
    `Trial.to_frame`; `isi_widget.tables.read_csv` reads it back. Not for reports (`Probe.report`).
    """
    if format == "json":
        entries = [
            {"id": number, "note": notes.get(number, ""), "trial": trial.to_dict()}
            for number, trial in trials.items()
        ]
        record = {"schema": SCHEMA, "trials": entries}
        return json.dumps(record, allow_nan=False, ensure_ascii=False, indent=1).encode()
    import pandas as pd

    frame = pd.concat([trial.to_frame() for trial in trials.values()], ignore_index=True)
    frame.insert(0, "trial", list(trials))
    frame.insert(1, "note", [notes.get(number, "") for number in trials])
    return to_csv(frame).encode()
