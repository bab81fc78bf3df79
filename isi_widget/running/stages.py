"""`Stages`: times the stages of a run, reports progress, and cancels between steps.

Not for the work of a stage (see `isi_widget.trial`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from isi_widget.errors import Cancelled

#: Called as progress(stage, done, total), 0 <= done <= total; every stage begins with 0 and ends with total.
Progress = Callable[[str, int, int], None]
#: Polled between steps; True cancels the run.
Cancel = Callable[[], bool]


class Stages:
    """The stages of one run.

    Attributes
    ----------
    seconds : wall-clock seconds of each finished stage.
    """

    def __init__(self, progress: Progress | None, cancel: Cancel | None) -> None:
        self._progress, self._cancel, self._start = progress, cancel, time.perf_counter()
        self.seconds: dict[str, float] = {}

    def check(self) -> None:
        """Raise `Cancelled` if the caller cancelled."""
        if self._cancel is not None and self._cancel():
            raise Cancelled("The trial was cancelled; no result was kept.")

    def report(self, stage: str, done: int, total: int) -> None:
        """Report the progress of a stage."""
        if self._progress is not None:
            self._progress(stage, done, total)

    @contextmanager
    def stage(self, name: str, total: int = 1) -> Iterator[Callable[..., None] | None]:
        """Run a stage of at most `total` steps. Yields a callback to call with the row of each token, or None
        if progress is not reported (this avoids needless decoding).
        """
        self.check()
        start, done, previous = time.perf_counter(), 0, 0
        self.report(name, 0, total)

        def step(row: int, *_: Any) -> None:
            nonlocal done, previous
            if row <= previous:  # answers are decoded in a batch: one step gives every row a token
                done = min(
                    done + 1, total - 1
                )  # answers may end early: only the end of the stage reports `total`
                self.report(name, done, total)
            previous = row

        yield None if self._progress is None else step
        self.seconds[name] = time.perf_counter() - start
        self.report(name, total, total)

    def total(self) -> dict[str, float]:
        """Return the seconds of each stage, and of everything since the start as "total"."""
        return {**self.seconds, "total": time.perf_counter() - self._start}
