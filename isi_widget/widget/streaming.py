"""What a run has said so far, for the page: the answer while it grows, and the samples that have ended.

Sent in a calm rhythm, whatever the pace of the model. Not for results: a `Trial` holds those, and takes the
place of everything here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

# A page cannot show more than this usefully, and a comm is not a stream: seconds between two messages, and
# how many characters a second may pass (a thousand long samples then travel less often, not faster).
_SECONDS = 0.06
_CHARACTERS_PER_SECOND = 400_000
_LOG = logging.getLogger(__name__)

#: Told (answer so far or None, texts of the ended samples in the order of their ending).
Tell = Callable[[str | None, list[str]], None]


class Stream:
    """Gathers the texts of one run and tells them on, the newest state at a time, until it is closed.

    What comes too soon is held back and told when it is time, by a thread of its own if nothing follows. If
    `tell` raises, it is logged and the stream ends; the run that is streamed goes on.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._answer: str | None = None
        self._samples: dict[int, str] = {}
        self._next = 0.0
        self._timer: threading.Timer | None = None  # while something is held back
        self._open = True

    def text(self, what: str, row: int, text: str) -> None:
        """The `on_text` of `run_trial`."""
        with self._lock:
            if what == "answer":
                self._answer = text.lstrip()
            else:  # one that was decoded again replaces itself
                self._samples[row] = text
            wait = self._next - time.monotonic()
            if wait <= 0:
                self._now()
            elif self._timer is None:
                self._timer = threading.Timer(wait, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Tell what is held back, if anything."""
        with self._lock:
            if self._timer is not None:
                self._now()

    def close(self) -> None:
        """Tell nothing more: what the run said is its result's business now."""
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
        except BaseException:  # an interrupt or an exit, too: the run is not to be lost for its looks
            self._open = False
            _LOG.exception("what a run has said so far could not be passed on; its result will be")

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
