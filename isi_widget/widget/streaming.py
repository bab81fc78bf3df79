"""What a run has said so far, for the page: the answer while it grows, and the samples that have ended.

Sent in a calm rhythm, whatever the pace of the model. Not for results: a `Trial` holds those, and takes the
place of everything here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# A page cannot show more than this usefully, and a comm is not a stream: seconds between two messages, and
# how many characters a second may pass (a thousand long samples then travel less often, not faster).
_SECONDS = 0.06
_CHARACTERS_PER_SECOND = 400_000

#: Told (answer so far or None, texts of the ended samples in the order of their ending).
Tell = Callable[[str | None, list[str]], None]


class Stream:
    """Gathers the texts of one run and tells them on, the newest state at a time; used by one thread."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._answer: str | None = None
        self._samples: dict[int, str] = {}
        self._changed = False
        self._next = 0.0

    def text(self, what: str, row: int, text: str) -> None:
        """The `on_text` of `run_trial`."""
        if what == "answer":
            self._answer = text
        else:  # one that was decoded again replaces itself
            self._samples[row] = text
        self._changed = True
        self.pump()

    def pump(self, at_once: bool = False) -> None:
        """Tell what is new, if it is time to, or `at_once`."""
        now = time.monotonic()
        if not self._changed or (now < self._next and not at_once):
            return
        samples = list(self._samples.values())
        size = len(self._answer or "") + sum(map(len, samples))
        self._changed = False
        self._next = now + max(_SECONDS, size / _CHARACTERS_PER_SECOND)
        self._tell(self._answer, samples)
