"""`Automatic`: runs that follow changes by themselves, a moment after the last one.

The last change wins: one that comes while a run of an older input is going cancels that run. Runs that
somebody asked for are left alone. Not for what is run, nor whether it is worth it (`runs.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from isi_widget.widget.jobs import Job

_SECONDS = 0.3  # between the last change and the run: shorter than a glance at the result, longer than a key


class Automatic:
    """Starts a run when nothing has changed for a moment.

    Parameters
    ----------
    run : told the names of what has changed; starts a run and returns its job, or None. Called in a thread
        of its own.
    cancel : told the id of a job that is to stop.
    seconds : to wait after the last change.
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
        """Something has changed: what is running for the input before is of no use any more."""
        with self._lock:
            outdated = self._forget()
            self._changed.add(name)
            self._timer = threading.Timer(self._seconds, self._fire)
            self._timer.daemon = True
            self._timer.start()
        self._drop(outdated)

    def stop(self) -> None:
        """Run nothing that was not asked for."""
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
                return  # something changed at the very moment: its own timer follows
            changed, self._changed = frozenset(self._changed), set()
        job = self._run(changed)
        with self._lock:
            late = self._timer is not threading.current_thread()
            if not late:
                self._timer, self._job = None, job
        if late:
            self._drop(job)
