"""One worker thread with a short queue: where the probe's slow work (the model, rendering, decoding uploads)
happens.

A newer job takes the place of a queued one of the same kind, so at most one of each kind waits; the running
one is never interrupted from outside, it polls `Job.cancelled`. Whatever a job or a callback raises, the
thread lives and who waits goes on. When Python ends, the running jobs are cancelled and awaited: a daemon
thread that is stopped inside the model would take the process down with it. Knows nothing of widgets or
models.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from isi_widget.errors import Cancelled

_IDLE_SECONDS = 30.0  # a thread without work ends after this, so that a forgotten probe is collected
_REST_SECONDS = 5.0  # an idle thread ends at once
_LAST_SECONDS = 60.0  # how long the end of Python waits for the running jobs, all together
_LOG = logging.getLogger(__name__)
_workers: weakref.WeakSet[Worker] = weakref.WeakSet()
_python_ends = threading.Event()


class Job:
    """A piece of work and, when it is over, its result or its exception. `label` says what it is, for
    others; jobs of another `kind` do not take each other's place in the queue.
    """

    def __init__(
        self, id: str, work: Callable[[Job], Any], label: Sequence[str] = (), kind: str = ""
    ) -> None:
        self.id = id
        self.label = tuple(label)
        self.kind = kind
        self.result: Any = None
        self.error: BaseException | None = None
        self._work = work
        self._cancel = threading.Event()
        self._over = threading.Event()

    def cancelled(self) -> bool:
        """Return whether this job was cancelled, for use as a `cancel=` argument."""
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
        """Let those who `wait` go on; not when Python ends, where all that they could do is complain."""
        if not _python_ends.is_set():
            self._over.set()

    def drop(self, reason: str) -> None:
        """End a job that never ran."""
        self.error = Cancelled(reason)
        self.finish()


class Worker:
    """Runs jobs one after the other in a daemon thread of its own.

    Parameters
    ----------
    name : name of the thread.
    on_begin, on_end : called in the worker thread before and after each job. What they raise is logged, and
        stops nothing.
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
        self._queue: list[Job] = []
        self._ending = False
        _workers.add(self)

    @property
    def running(self) -> Job | None:
        """The job that is running."""
        return self._running

    @property
    def queued(self) -> tuple[Job, ...]:
        """The jobs that wait for the running one to end, in their order."""
        return tuple(self._queue)

    @property
    def inside(self) -> bool:
        """Whether the caller is this worker's own thread."""
        return threading.current_thread() is self._thread

    def submit(self, job: Job) -> Job | None:
        """Queue `job`; returns the queued job of its kind that it replaces (which is over now, with
        `Cancelled`), if any.

        Raises
        ------
        RuntimeError : the system gives no thread; then the queue is as it was.
        """
        if _python_ends.is_set():
            job.drop("Python is ending.")
            return None
        with self._condition:
            replaced = next((waiting for waiting in self._queue if waiting.kind == job.kind), None)
            if self._thread is None:
                thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                thread.start()  # it waits for the condition, which is held here
                self._thread = thread
            self._queue = [*(waiting for waiting in self._queue if waiting is not replaced), job]
            self._condition.notify_all()
        if replaced is not None:
            replaced.drop("Replaced by a newer run before it began.")
        return replaced

    def cancel(self, id: str | None = None) -> bool:
        """Cancel the running and the queued jobs (or only the one named `id`); False if there is none."""
        with self._condition:
            dropped = [job for job in self._queue if id in (None, job.id)]
            self._queue = [job for job in self._queue if job not in dropped]
            running = self._running if self._running is not None and id in (None, self._running.id) else None
            if running is not None:
                running.cancel()
        for job in dropped:
            job.drop("Cancelled before it began.")
        return bool(dropped) or running is not None

    def release(self) -> None:
        """From now on let the thread end as soon as it has no work, so that nothing is kept alive by it. A
        later job has a thread of its own.
        """
        with self._condition:
            self._ending = True
            self._condition.notify_all()

    def rest(self) -> None:
        """End a thread without work now, not after a while; a thread with work goes on."""
        with self._condition:
            if self._running is not None or self._queue or self._thread is None:
                return
            before, thread, self._ending = self._ending, self._thread, True
            self._condition.notify_all()
        thread.join(_REST_SECONDS)
        self._ending = before

    def _end(self, until: float) -> None:
        """Cancel everything and wait for the thread to end, until a time of `time.monotonic`."""
        self.cancel()
        self.release()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))

    def _loop(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._queue or self._ending, _IDLE_SECONDS)
                if not self._queue:
                    self._thread = None
                    return
                self._running = job = self._queue.pop(0)
            self._call(self._on_begin, job)
            job.run()
            with self._condition:
                self._running = None
            self._call(self._on_end, job)
            job.finish()  # last: who waited for the job finds everything as the job left it
            del job  # an idle thread must not keep the last stimulus and its images alive

    def _call(self, callback: Callable[[Job], None] | None, job: Job) -> None:
        if callback is None:
            return
        try:
            callback(job)
        except BaseException:  # an interrupt or an exit, too: who waits for the job must not wait for ever
            _LOG.exception("what is called around job %s failed; the job goes on", job.id)


def _end_all() -> None:
    _python_ends.set()
    until = time.monotonic() + _LAST_SECONDS
    for worker in list(_workers):
        worker._end(until)


atexit.register(_end_all)
