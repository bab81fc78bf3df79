"""`Run`: the computation of a study's rows, seen from outside: how far it is, and how to stop it.

It can run in a thread of its own, be cancelled and resumed. Other threads look at it by `progress()`; no row
is reported to them, so watching costs the run nothing. Not for what a row is (`study/work.py`).
"""

from __future__ import annotations

import atexit
import contextvars
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from isi_widget.errors import Cancelled
from isi_widget.study.live import cell
from isi_widget.study.live.tally import Tally

State = Literal["waiting", "running", "finished", "cancelled", "failed"]
T = TypeVar("T")

#: Seconds of the past whose pace estimates the time left, and between two of its samples.
_WINDOW, _SAMPLE = 60.0, 0.5
#: Seconds that the end of Python waits for a run, so that no thread is stopped inside a model.
_LAST_SECONDS = 60.0
_runs: weakref.WeakSet[Run] = weakref.WeakSet()


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    state : "waiting" (not started), "running", "finished" (all rows are there), "cancelled" or "failed".
    done, total : rows that are finished (failing ones included), rows of the study.
    failed, unjudged : finished rows with an error; finished rows whose answer cannot be judged.
    seconds : time that this part of the run has taken, since it was started or resumed.
    rate : rows per second at the present pace; None while unknown.
    left : seconds that the rest takes at this pace; None while unknown, or if the run is over.
    note : current activity besides rows, such as the load of a model; "" for none.
    error : message of what stopped the run; "" for none.
    stopping : whether a cancelled run has not ended yet.
    """

    state: State
    done: int
    total: int
    failed: int = 0
    unjudged: int = 0
    seconds: float = 0.0
    rate: float | None = None
    left: float | None = None
    note: str = ""
    error: str = ""
    stopping: bool = False


class Run:
    """The run of one study.

    Parameters
    ----------
    work : function that computes the rows which are not stored yet. It calls `row` after each stored row,
        polls `stopping`, and returns when all rows are there. Calling it again resumes.
    total : number of rows of the whole study.
    cancel : function of the caller; True stops the run, too. None: none.
    about : one line about the study for the display of a cell; default "".
    clock : seconds that only grow; for tests.
    """

    def __init__(
        self,
        work: Callable[[Run], None],
        total: int,
        cancel: Callable[[], bool] | None = None,
        about: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.about = about
        self.error: BaseException | None = None
        self._work = work
        self._cancel = cancel
        self._clock = clock
        self._state: State = "waiting"
        self._tally = Tally()
        self._counted = bytearray(total)  # rows by number
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._over = threading.Event()
        self._note = ""
        self._thread: threading.Thread | None = None
        self._seconds = 0.0  # of the parts of the run that are over
        self._begun = 0.0
        self._pace: deque[tuple[float, int]] = deque()  # (time, rows done in this part)
        self._fresh = 0
        self._at_start: list[weakref.WeakMethod[Callable[[], None]]] = []
        _runs.add(self)

    # ---- for the function that computes the rows
    def row(self, row: Mapping[str, Any], *, old: bool = False) -> None:
        """Count a stored row; a row that was counted before is ignored.

        Parameters
        ----------
        row : the row, by column.
        old : whether it was stored before this run began; default False.
        """
        with self._lock:
            number = int(row["row"])
            if self._counted[number]:
                return
            self._counted[number] = 1
            self._tally.add(row)
            if old:
                return
            self._fresh += 1
            now = self._clock()
            if not self._pace or now - self._pace[-1][0] >= _SAMPLE:
                self._pace.append((now, self._fresh))
                while len(self._pace) > 2 and now - self._pace[1][0] > _WINDOW:
                    self._pace.popleft()

    def old(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count rows that were stored before this run began."""
        for row in rows:
            self.row(row, old=True)

    def note(self, text: str = "") -> None:
        """Set the current activity besides rows, such as "loading llava-1.5-7b"; "" for none."""
        self._note = text

    def stopping(self) -> bool:
        """Return whether the run should stop; polled between rows and tokens."""
        return self._stop.is_set() or (self._cancel is not None and bool(self._cancel()))

    # ---- for the owner of the study
    @property
    def state(self) -> State:
        """Whether it is "waiting", "running", "finished", "cancelled" or "failed"."""
        return self._state

    @property
    def running(self) -> bool:
        """Whether rows are being computed."""
        return self._state == "running"

    def start(self) -> None:
        """Compute the rows in a thread of its own. Nothing happens if they are being computed."""
        with self._lock:
            if self.running:
                return
            self._begin()
            context = contextvars.copy_context()
            self._thread = threading.Thread(
                target=context.run, args=(self._go,), name="isi-study", daemon=True
            )
            try:
                self._thread.start()
            except RuntimeError as error:  # the system gives no thread
                self._end("failed", error)
                raise
        self._show_start()

    def here(self) -> None:
        """Compute the rows and wait for them. Raises what stops the run.

        In a notebook the cell shows the progress meanwhile, and an interrupt of the kernel cancels the run.
        """
        if cell.in_notebook():
            self.start()
            cell.attend(self)
        else:
            with self._lock:
                self._begin()
            self._show_start()
            self._go()
        if self.error is not None:
            raise self.error

    def cancel(self) -> None:
        """Stop after the current token; finished rows stay. Returns at once."""
        if self.running:
            self._stop.set()

    def resume(self) -> None:
        """Compute the remaining rows in a thread of its own; nothing happens if there are none."""
        if self._state != "finished":
            self.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the run is over, at most `seconds` (None: for ever); return whether it is over."""
        return self._state == "waiting" or self._over.wait(seconds)

    # ---- for displays
    def at_start(self, method: Callable[[], None]) -> None:
        """Call a bound method whenever the run starts or resumes; it does not keep its object alive."""
        self._at_start = [other for other in self._at_start if other() is not None]
        self._at_start.append(weakref.WeakMethod(method))

    @property
    def version(self) -> tuple[int, State, str, bool]:
        """A value that changes with whatever `progress` and `sums` return, except for the time."""
        return self._tally.rows, self._state, self._note, self._stop.is_set()

    def progress(self) -> Progress:
        """Return how far the run is."""
        with self._lock:
            tally, now = self._tally, self._clock()
            seconds = self._seconds + (now - self._begun if self.running else 0.0)
            rate = self._rate(now)
            rest = self.total - tally.rows
            left = rest / rate if rate and self.running else None
            error = "" if self.error is None or self._state != "failed" else str(self.error)
            stopping = self.running and self._stop.is_set()
            note = self._note if self.running else ""
            return Progress(
                self._state,
                tally.rows,
                self.total,
                tally.failed,
                tally.unjudged,
                seconds,
                rate,
                left,
                note,
                error,
                stopping,
            )

    def sums(self, read: Callable[[Tally], T]) -> T:
        """Return what `read` makes of the running sums, which do not change meanwhile."""
        with self._lock:
            return read(self._tally)

    def _rate(self, now: float) -> float | None:
        """Return rows per second: over the last minute while it runs, else over the whole part."""
        if not self._fresh:
            return None
        if not self.running:
            return self._fresh / self._seconds if self._seconds > 0 else None
        start, rows = self._pace[0]
        if self._pace[0][1] <= 1 or len(self._pace) < 2:
            start, rows = self._begun, 0
        passed = now - start
        return (self._fresh - rows) / passed if passed > 0 and self._fresh > rows else None

    # ---- inside
    def _begin(self) -> None:
        self._over.clear()  # first: a wait for a run that is "running" lasts until its end
        self._stop.clear()
        self._state, self.error = "running", None
        self._pace.clear()
        self._fresh, self._seconds, self._begun = 0, 0.0, self._clock()

    def _show_start(self) -> None:
        """Call the displays; not under the lock, since they have locks of their own."""
        for reference in self._at_start:
            if (method := reference()) is not None:
                method()

    def _go(self) -> None:
        """Do the work; whatever it raises is kept in `error`."""
        try:
            self._work(self)
        except (Cancelled, KeyboardInterrupt) as error:
            self._end("cancelled", error)
        except BaseException as error:
            self._end("failed", error)
        else:
            self._end("finished")

    def _end(self, state: State, error: BaseException | None = None) -> None:
        with self._lock:
            self._seconds, self._note = self._clock() - self._begun, ""
            self._state, self.error = state, error
            self._over.set()


def _end_all() -> None:
    """Cancel all runs and wait for them to end."""
    until = time.monotonic() + _LAST_SECONDS
    threads = [run._thread for run in list(_runs) if run.running and run._thread is not None]
    for run in list(_runs):
        run.cancel()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


atexit.register(_end_all)
