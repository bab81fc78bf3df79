"""`Keeper`: keeps the work of a probe in a folder as it happens, in a thread of its own.

A gesture only wakes the thread. The thread takes references under the probe's lock and writes what changed: a
line of changes, new trials, new pictures. Where the disk refuses, the work goes on in memory, one message is
shown, and each later change tries again. Not for the files (`folder.py`), nor for what is put back
(`restoring.py`).
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isi_widget.errors import InputError
from isi_widget.files.lock import FolderLock
from isi_widget.files.paths import path_of_user
from isi_widget.study.store import holds_study
from isi_widget.widget import cells
from isi_widget.widget.jobs import Job, Worker
from isi_widget.widget.session import journal, layout
from isi_widget.widget.session.collecting import Collector, Moment, as_json, trial_record
from isi_widget.widget.session.folder import NOTHING, SessionFolder
from isi_widget.widget.session.reading import Kept, read
from isi_widget.widget.session.sources import FolderSource

if TYPE_CHECKING:
    from isi_widget.widget.probe import Probe

#: Traits whose changes are kept.
FOLLOWED = (
    "document",
    "observation_index",
    "observation",
    "observations",
    "settings",
    "notes",
    "pinned",
    "shown",
    "trials",
    "judge",
    "run_on_change",
    "model",
    "traced",
    "lens_on",
)
_HINT = "A second session needs another folder."
_OWN_HINT = "Close the probe that keeps it, probe.close(), or show that probe again."
_MOVED = (
    "The folder {folder!r} was moved or deleted while this probe was open, so it was made anew, with all of "
    "its work. isi.open_probe(folder) opens the moved one."
)
_LOG = logging.getLogger(__name__)
_keepers: weakref.WeakValueDictionary[Path, Keeper] = weakref.WeakValueDictionary()


class Keeper:
    """The session of one probe.

    Attributes
    ----------
    folder : folder of the session, as it was given.
    problem : why the work is not kept now; "" if it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problem = ""
        self.notes: list[str] = []
        self._path = path_of_user(folder, "session").resolve()
        self._lock = FolderLock(self._path / layout.LOCK, f"The session {str(folder)!r}", _HINT, _OWN_HINT)
        self._files = SessionFolder(self._path, 0, set())
        self._worker = Worker("isi-session")
        self._writing = threading.RLock()
        self._collector = Collector()
        self._probe: weakref.ref[Probe] | None = None
        self._state: journal.State | None = None  # as it was written last; None: write the whole state next
        self._trials: dict[int, Any] = {}  # the written ones, each with its contributions
        self._unkept: set[int] = set()
        self._damaged = False
        self._closed = False
        self._process = os.getpid()
        self._mark: tuple[int, int] | None = None
        self._turn = 0  # of the moment that was written last

    def open(self) -> Kept:
        """Lock the folder and read what is in it. Where the disk cannot be written, `problem` says so.

        Raises
        ------
        InputError : another probe keeps this session, or it is damaged, or of a newer version, or the folder
            is the store of a study.
        """
        if holds_study(self._path):
            raise InputError(
                f"{str(self.folder)!r} is the store of a study. Give the session a folder of its own; "
                "isi.open_study(folder) opens the study."
            )
        self._make_way()
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except (FileExistsError, NotADirectoryError):
            raise InputError(
                f"session must be a folder, but {str(self.folder)!r} is a file or lies below one. "
                "isi.open_probe(path) opens the file of a session."
            ) from None
        except OSError as error:
            self.problem = self._reason(error)
        try:
            source = FolderSource(self._path)
            kept = read(source)
            names = source.names()
        except BaseException:
            self._lock.release()
            raise
        found = [layout.PICTURE_NAME.fullmatch(name) for name in names]
        self._files = SessionFolder(self._path, kept.generation, {match[1] for match in found if match})
        self._trials = {number: kept.contributions.get(number) for number in kept.trials}
        self._damaged = any(layout.CHANGES in text for text in kept.problems)
        self._mark = self._files.mark
        _keepers[self._path] = self
        weakref.finalize(self, self._lock.release).atexit = False
        return kept

    def begin_with_nothing(self) -> None:
        """Treat the folder as empty: all trials of a received file are to be written."""
        self._trials = {}

    def _make_way(self) -> None:
        """Close the probe of this process that keeps the session, if only the running cell had shown it."""
        other = _keepers.get(self._path)
        probe = None if other is None or other._probe is None else other._probe()
        if other is not None and not other._closed and probe is not None and cells.is_run_again(probe):
            probe.close()

    def follow(self, probe: Probe, fresh: bool) -> None:
        """Keep what changes from now on.

        fresh : whether the present state is not on the disk yet.
        """
        self._probe = weakref.ref(probe)
        self.show(probe)
        probe._observe_inside(self.changed, list(FOLLOWED))
        if fresh:
            self.changed()

    def show(self, probe: Probe) -> None:
        """Show on the page where the work is kept, or why it is not."""
        shown = {"folder": str(self.folder), "problem": self.problem, "note": " ".join(self.notes)}
        with probe._exclusive():
            probe.set_trait("kept", shown)

    # ---- writing
    def changed(self, change: Any = None) -> None:
        """Have what changed written soon; returns at once."""
        probe = None if self._probe is None else self._probe()
        if probe is None or self._closed:
            return
        with contextlib.suppress(RuntimeError):  # no thread is left: the next change tries again
            self._worker.submit(Job("session", lambda job: self._write(probe), kind="session"))

    def flush(self) -> None:
        """Write now what is not on the disk yet."""
        probe = None if self._probe is None else self._probe()
        if probe is not None and not self._closed:
            self._write(probe)

    def _write(self, probe: Probe) -> None:
        """Write a moment of the probe. The locks of the probe and of the writer are never held at once: an
        observer of the probe may wait for the disk.
        """
        moment = Moment.of(probe)
        error: Exception | None = None
        with self._writing:
            if self._closed or os.getpid() != self._process or moment.turn < self._turn:
                return
            try:
                moved = self._lock.held and not self._lock.is_in_place
                if moved:
                    self._lock.release()
                    self._look_again()
                if not self._lock.held:
                    self._take_again()
                self._write_moment(moment)
                self._turn = moment.turn
            except Exception as failure:  # whatever fails, the work goes on in memory
                error = failure
                self._look_again()
        if error is not None:
            self._failed(probe, error)
            return
        if moved:
            self.notes = [*(note for note in self.notes if note != self._moved), self._moved]
            _LOG.warning(self._moved)
            self.show(probe)
        if self.problem:
            self._worked(probe)

    def _write_moment(self, moment: Moment) -> None:
        state = self._collector.state(moment)
        for number, trial in moment.trials.items():
            heads = moment.contributions.get(number)
            if number in self._unkept or (number in self._trials and self._trials[number] is heads):
                continue
            try:
                record, pictures = trial_record(trial, heads)
            except (InputError, TypeError, ValueError) as error:  # of a measure of the user's own
                self._unkept.add(number)
                _LOG.warning("trial %d cannot be kept in %s: %s", number, self.folder, error)
                continue
            self._files.write_pictures(record, pictures)
            self._files.write_trial(number, record)
            self._trials[number] = heads
        change = None if self._state is None else journal.difference(self._state, state)
        if change is None or self._files.is_long:
            self._files.write_pictures(as_json(state), self._collector.pictures)
            self._files.write_state(state, keep_changes=self._damaged)
            self._damaged = False
        elif change:
            self._files.write_pictures(as_json(change), self._collector.pictures)
            self._files.append(change)
        for number in [number for number in self._trials if number not in moment.trials]:
            self._files.remove_trial(number)  # after the state names it as deleted
            del self._trials[number]
        self._state, self._mark = state, self._files.mark

    def _take_again(self) -> None:
        """Lock the folder again; refuse where another probe has gone on with the session meanwhile."""
        self._path.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        if self._mark is not None and self._files.mark not in (self._mark, NOTHING):
            self._lock.release()
            raise InputError(
                f"Another probe has changed the session {str(self.folder)!r} meanwhile, so this one no "
                "longer keeps "
                "its work there. Save it with probe.save(path), or make a new probe on the session."
            )

    @property
    def _moved(self) -> str:
        return _MOVED.format(folder=str(self.folder))

    def _look_again(self) -> None:
        """Write the whole state next, and all files that are not on the disk."""
        self._state = None
        with contextlib.suppress(OSError):
            self._files.forget()
            self._trials = {
                number: heads for number, heads in self._trials.items() if self._files.has_trial(number)
            }

    def _failed(self, probe: Probe, error: Exception) -> None:
        message = self._reason(error)
        first, self.problem = not self.problem, message
        self.show(probe)
        if not first:
            return
        _LOG.warning(message)
        hint = "Your work goes on in memory; each change tries again. probe.save(path) writes it elsewhere."
        probe._fail(error, message=message, hint=hint)
        if not self.problem:  # written in another thread meanwhile
            self._take_back(probe, message)

    def _reason(self, error: Exception) -> str:
        why = str(error) if isinstance(error, InputError) else getattr(error, "strerror", None) or str(error)
        why = why.rstrip(".") or type(error).__name__
        return f"The session {str(self.folder)!r} is not kept at present: {why}."

    def _worked(self, probe: Probe) -> None:
        message, self.problem = self.problem, ""
        self.show(probe)
        self._take_back(probe, message)

    def _take_back(self, probe: Probe, message: str) -> None:
        """Remove the message from the page, unless another one is shown."""
        with probe._exclusive():
            if probe.error is not None and probe.error.get("message") == message:
                probe.error = None

    # ---- ending
    def close(self) -> None:
        """Write all changes and give the folder back; nothing is kept from then on."""
        self.flush()
        with self._writing:
            self._closed = True
        self._worker.release()
        self._lock.release()

    def give_up(self) -> None:
        """Give the folder back; the probe was not made."""
        self._closed = True
        self._lock.release()

    def reopen(self) -> None:
        """Keep the work again, after `close`."""
        if self._closed:
            self._closed = False
            self.changed()

    def rest(self) -> None:
        """End a thread without work now."""
        self._worker.rest()


def _flush_all() -> None:
    """Write all changes when Python ends; threads get no work any more then."""
    for keeper in list(_keepers.values()):
        with contextlib.suppress(Exception):
            keeper.close()


atexit.register(_flush_all)
