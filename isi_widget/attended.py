"""Work in a thread of its own, attended by its caller, who can give it up whatever hangs in it.

A template that loops for ever, or a download of code that never returns, cannot be asked to stop. Its caller
stops waiting at once; the thread is asked to end (`Call` raises in it), and if it is still busy after a
while an exception is raised in it from outside, which ends any loop that is written in Python. What hangs in
compiled code goes on unheard. Locks that others need must be held by the caller, never by the work.
"""

from __future__ import annotations

import contextvars
import ctypes
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
#: Runs a function in the thread of the caller who attends, and returns its result.
Call = Callable[[Callable[[], Any]], Any]

#: Seconds between two looks of the caller.
_PAUSE = 0.05
#: Seconds that work which was given up has to end by itself; then how often it is interrupted, and the pause.
_GRACE, _TRIES, _BETWEEN = 3.0, 40, 0.25


class _GivenUp(SystemExit):
    """Ends the thread of work that nobody waits for; `threading` passes over a SystemExit in silence."""


class _Request:
    """A function to be called by the caller, and what came of it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.result: Any = None
        self.done = threading.Event()


class _Work:
    """The work of one thread and how it ended."""

    def __init__(self, work: Callable[[Call], Any]) -> None:
        self._work = work
        self.requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self.given_up = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._work(self._call)
        except BaseException as error:  # raised again by the caller
            self.error = error
        finally:
            self.requests.put(None)

    def _call(self, function: Callable[[], Any]) -> Any:
        if self.given_up.is_set():
            raise _GivenUp
        request = _Request(function)
        self.requests.put(request)
        while not request.done.wait(_PAUSE):
            if self.given_up.is_set():
                raise _GivenUp
        return request.result


def attended(work: Callable[[Call], T], attend: Callable[[], None], name: str = "isi_widget work") -> T:
    """Do `work` in a thread of its own and wait for it.

    Parameters
    ----------
    work : called with a function that runs others in the caller's thread.
    attend : called in the caller's thread about twenty times a second; whatever it raises gives the work up.

    Returns
    -------
    What `work` returns. What it raises is raised here.
    """
    state = _Work(work)
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(state.run,), name=name, daemon=True)
    thread.start()
    try:
        while True:
            try:
                request = state.requests.get(timeout=_PAUSE)
            except queue.Empty:
                attend()
                continue
            if request is None:
                break
            request.result = request.function()
            request.done.set()
    except BaseException:  # an interrupt of the notebook, too
        _give_up(thread, state)
        raise
    if state.error is not None:
        raise state.error
    result: T = state.result
    return result


def within(seconds: float, work: Callable[[], T], late: Callable[[], BaseException]) -> T:
    """Do `work`, for so long at most; then raise what `late` returns."""
    end = time.monotonic() + seconds

    def attend() -> None:
        if time.monotonic() > end:
            raise late()

    return attended(lambda call: work(), attend)


def _give_up(thread: threading.Thread, state: _Work) -> None:
    """Ask a thread to end, and see to it in the background."""
    state.given_up.set()

    def interrupt() -> None:
        thread.join(_GRACE)
        for _ in range(_TRIES):
            if not thread.is_alive() or thread.ident is None:
                return
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(_GivenUp)
            )
            thread.join(_BETWEEN)

    threading.Thread(target=interrupt, name=f"end of {thread.name}", daemon=True).start()
