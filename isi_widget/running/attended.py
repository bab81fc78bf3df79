"""Runs work in a separate thread, so that its caller can abandon it even if it hangs.

A template that loops for ever, or a download that never returns, cannot be cancelled from inside. The caller
stops waiting at once. The thread is asked to end (`Call` raises in it); if it is still busy after a while, an
exception is raised in it from outside, which ends any loop written in Python. Work that hangs in compiled
code continues, and its result is ignored. Locks that others need must be held by the caller, never by the
work.
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
#: Runs a function in the waiting caller's thread and returns its result.
Call = Callable[[Callable[[], Any]], Any]

#: Seconds between two polls by the caller.
_PAUSE = 0.05
#: Seconds that abandoned work has to end by itself; then the number of interrupts and the pause between them.
_GRACE, _TRIES, _BETWEEN = 3.0, 40, 0.25


class _GivenUp(SystemExit):
    """Ends the thread of abandoned work; `threading` ignores a SystemExit."""


class _Request:
    """A function for the caller to run, and its result."""

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
        except BaseException as error:  # the caller raises it again
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
    """Run `work` in a separate thread and wait for it.

    Parameters
    ----------
    work : function to run; its argument is a function that runs other functions in the caller's thread.
    attend : function called in the caller's thread about twenty times a second; any exception it raises
        abandons the work.

    Returns
    -------
    The result of `work`. Its exceptions are raised here.
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
    except BaseException:  # also an interrupt of the notebook
        _give_up(thread, state)
        raise
    if state.error is not None:
        raise state.error
    result: T = state.result
    return result


def within(seconds: float, work: Callable[[], T], late: Callable[[], BaseException]) -> T:
    """Run `work` for at most `seconds` seconds; then raise the exception that `late` returns."""
    end = time.monotonic() + seconds

    def attend() -> None:
        if time.monotonic() > end:
            raise late()

    return attended(lambda call: work(), attend)


def _give_up(thread: threading.Thread, state: _Work) -> None:
    """Ask a thread to end, and enforce it in the background."""
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
