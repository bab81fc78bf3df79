"""Partial texts of a run for the page: the growing answer and the finished samples.

They are sent at a limited rate, independent of the speed of the model. Not for results: a `Trial` holds them
and replaces everything here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

# Limits that are enough for a page and safe for a comm: seconds between two messages, and characters per
# second (a thousand long samples are then sent less often, not faster).
_SECONDS = 0.06
_CHARACTERS_PER_SECOND = 400_000
_LOG = logging.getLogger(__name__)

#: Function called with (answer so far or None, texts of the finished samples in order of finishing).
Tell = Callable[[str | None, list[str]], None]


class Stream:
    """Collects the texts of one run and reports the latest state, until it is closed.

    Early texts are delayed and reported later, by a separate thread if nothing follows. If `tell` raises, the
    error is logged and the stream ends; the run continues.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._answer: str | None = None
        self._samples: dict[int, str] = {}
        self._next = 0.0
        self._timer: threading.Timer | None = None  # runs while texts are delayed
        self._open = True

    def text(self, what: str, row: int, text: str) -> None:
        """Receive a text: the `on_text` of `run_trial`."""
        with self._lock:
            if what == "answer":
                self._answer = text.lstrip()
            else:  # a sample that is decoded again replaces its former text
                self._samples[row] = text
            wait = self._next - time.monotonic()
            if wait <= 0:
                self._now()
            elif self._timer is None:
                self._timer = threading.Timer(wait, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Report delayed texts, if any."""
        with self._lock:
            if self._timer is not None:
                self._now()

    def close(self) -> None:
        """Stop reporting: the result now holds the texts."""
        with self._lock:
            self._open = False
            self._stop()

    def _now(self) -> None:
        self._stop()
        if not self._open:
            return
        samples = list(self._samples.values())
        size = len(self._answer or "") + sum(map(len, samples))
        self._next = time.monotonic() + max(_SECONDS, size / _CHARACTERS_PER_SECOND)
        try:
            self._tell(self._answer, samples)
        except BaseException:  # also an interrupt or an exit: a failing display must not end the run
            self._open = False
            _LOG.exception("what a run has said so far could not be passed on; its result will be")

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
