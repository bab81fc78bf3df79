"""One worker thread with a queue of length one: where the probe's slow work (the model, rendering, decoding
uploads) happens.

A newer job takes the place of a queued one; the running one is never interrupted from outside, it polls
`Job.cancelled`. Knows nothing of widgets or models.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from isi_widget.errors import Cancelled

_IDLE_SECONDS = 30.0  # a thread without work ends after this, so that a forgotten probe is collected


class Job:
    """A piece of work and, when it is over, its result or its exception. `label` says what it is, for
    others.
    """

    def __init__(self, id: str, work: Callable[[Job], Any], label: Sequence[str] = ()) -> None:
        self.id = id
        self.label = tuple(label)
        self.result: Any = None
        self.error: BaseException | None = None
        self._work = work
        self._cancel = threading.Event()
        self._over = threading.Event()

    def cancelled(self) -> bool:
        """Whether someone asked this job to stop: for a `cancel=` argument."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Ask the job to stop at its next poll."""
        self._cancel.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the job is over; False if it is not after `seconds`."""
        return self._over.wait(seconds)

    def run(self) -> None:
        """Do the work here and now; whatever it raises is kept in `error`."""
        try:
            if self.cancelled():
                raise Cancelled("Cancelled before it began.")
            self.result = self._work(self)
        except BaseException as error:  # kept, and raised again where the result is wanted
            self.error = error

    def finish(self) -> None:
        """Let those who `wait` go on."""
        self._over.set()

    def drop(self, reason: str) -> None:
        """End a job that never ran."""
        self.error = Cancelled(reason)
        self.finish()


class Worker:
    """Runs jobs one after the other in a daemon thread of its own.

    Parameters
    ----------
    name : of the thread.
    on_begin, on_end : called in the worker thread before and after each job. They must not raise.
    """

    def __init__(
        self,
        name: str,
        on_begin: Callable[[Job], None] | None = None,
        on_end: Callable[[Job], None] | None = None,
    ) -> None:
        self._name = name
        self._on_begin = on_begin
        self._on_end = on_end
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._running: Job | None = None
        self._queued: Job | None = None

    @property
    def running(self) -> Job | None:
        """The job that is running."""
        return self._running

    @property
    def queued(self) -> Job | None:
        """The job that waits for the running one to end."""
        return self._queued

    @property
    def inside(self) -> bool:
        """Whether the caller is this worker's own thread."""
        return threading.current_thread() is self._thread

    def submit(self, job: Job) -> Job | None:
        """Queue `job`; returns the queued job whose place it took (which is over now, with `Cancelled`), if
        any.
        """
        with self._condition:
            replaced, self._queued = self._queued, job
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()
            self._condition.notify_all()
        if replaced is not None:
            replaced.drop("Replaced by a newer run before it began.")
        return replaced

    def cancel(self, id: str | None = None) -> bool:
        """Cancel the running and the queued job (or only the one named `id`); False if there is none."""
        with self._condition:
            dropped = None
            if self._queued is not None and id in (None, self._queued.id):
                dropped, self._queued = self._queued, None
            running = self._running if self._running is not None and id in (None, self._running.id) else None
            if running is not None:
                running.cancel()
        if dropped is not None:
            dropped.drop("Cancelled before it began.")
        return dropped is not None or running is not None

    def _loop(self) -> None:
        while True:
            with self._condition:
                if self._queued is None and not self._condition.wait_for(
                    lambda: self._queued is not None, _IDLE_SECONDS
                ):
                    self._thread = None
                    return
                job, self._queued = self._queued, None
                self._running = job
            assert job is not None
            if self._on_begin is not None:
                self._on_begin(job)
            job.run()
            with self._condition:
                self._running = None
            if self._on_end is not None:
                self._on_end(job)
            job.finish()  # last: who waited for the job finds everything as the job left it
            del job  # an idle thread must not keep the last stimulus and its images alive
