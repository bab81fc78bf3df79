"""`Automatic`: starts runs automatically, a moment after the last change.

The last change wins: a change during a run of an older input cancels that run. Requested runs are not
cancelled. Not for choosing what to run and when (`runs.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from isi_widget.widget.jobs import Job

_SECONDS = 0.3  # between the last change and the run: short for the eye, longer than a key press


class Automatic:
    """Starts a run after a moment without changes.

    Parameters
    ----------
    run : function called with the names of changed values; starts a run and returns its job, or None. Called
        in a separate thread.
    cancel : function called with the id of a job to stop.
    seconds : seconds to wait after the last change.
    """

    def __init__(
        self,
        run: Callable[[frozenset[str]], Job | None],
        cancel: Callable[[str], object],
        seconds: float = _SECONDS,
    ) -> None:
        self._run = run
        self._cancel = cancel
        self._seconds = seconds
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._changed: set[str] = set()
        self._job: Job | None = None

    def changed(self, name: str) -> None:
        """Note a change: cancel the automatic run of the older input."""
        with self._lock:
            outdated = self._forget()
            self._changed.add(name)
            self._timer = threading.Timer(self._seconds, self._fire)
            self._timer.daemon = True
            self._timer.start()
        self._drop(outdated)

    def stop(self) -> None:
        """Stop automatic runs."""
        with self._lock:
            outdated = self._forget()
            self._changed.clear()
        self._drop(outdated)

    def _forget(self) -> Job | None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        job, self._job = self._job, None
        return job

    def _drop(self, job: Job | None) -> None:
        if job is not None and not job.wait(0):
            self._cancel(job.id)

    def _fire(self) -> None:
        with self._lock:
            if threading.current_thread() is not self._timer:
                return  # a change just now: its own timer follows
            changed, self._changed = frozenset(self._changed), set()
        job = self._run(changed)
        with self._lock:
            late = self._timer is not threading.current_thread()
            if not late:
                self._timer, self._job = None, job
        if late:
            self._drop(job)
