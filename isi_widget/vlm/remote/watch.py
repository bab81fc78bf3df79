"""What one request may cost: bytes, seconds, and a stop that works while bytes come in.

A `Watch` belongs to one request. `heard` is called when part of a reply is used, and every piece of the body
is checked before it is stored. Not for the content of the bytes (see `replies`).
"""

from __future__ import annotations

import codecs
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from isi_widget.vlm.remote.errors import BadReply, RemoteTimeout

#: Bytes of a whole reply, of it between two pieces of an answer, and of an error's text (the rest is cut).
MOST_BYTES, MOST_BETWEEN, MOST_OF_ERROR = 64 * 2**20, 8 * 2**20, 64 * 2**10
#: Seconds that a token may take on average, beyond the time-out; and those after which the caller no longer
#: waits for a thread that should have ended itself.
SLOWEST_TOKEN, PATIENCE = 5.0, 60.0
#: Bytes of a line of an event stream that show what it is.
_KNOWN = 16


class Stopped(Exception):
    """The caller no longer wants the reply."""


class Watch:
    """The bounds of one request.

    Parameters
    ----------
    timeout : seconds between two pieces of an answer, comments to keep the connection alive not counted.
    tokens : largest number of requested tokens in all answers of the request together.
    """

    def __init__(self, timeout: float, tokens: int, stop: threading.Event | None = None) -> None:
        self.stop = threading.Event() if stop is None else stop
        self.timeout, self.longest = timeout, timeout + SLOWEST_TOKEN * tokens
        self.begin()

    def begin(self) -> None:
        """Begin a new try."""
        self._begun = self._last = time.monotonic()
        self._bytes = self._between = 0

    def heard(self) -> None:
        """Note that a piece of an answer has come out."""
        self._last, self._between = time.monotonic(), 0

    @property
    def overdue(self) -> bool:
        """Whether it should have ended long ago, whatever it is waiting for."""
        return time.monotonic() - self._begun > self.longest + PATIENCE

    def too_long(self) -> RemoteTimeout:
        """Return the error for a reply that does not end."""
        return RemoteTimeout(
            f"The server's reply did not end within {self.longest:.0f} s. Connect with a longer timeout=, or "
            "ask for fewer samples or new tokens."
        )

    def bound(self, response: Any) -> None:
        """Put the bounds on a response of the HTTP client whose body has not been read yet."""
        watch, stream, failed = self, response.stream, response.status_code >= 300
        events = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity"):
            raise BadReply(
                f"The server sent a reply compressed by {encoding[:40]!r}, though none was requested: a few "
                "bytes of it can grow without bound. Turn compression off there."
            )
        self._last = time.monotonic()  # sending a large picture may have taken its time
        # httpx, or the library that follows it in newer clients
        library = sys.modules[type(response).__module__.partition(".")[0]]

        class Bounded(library.SyncByteStream):  # type: ignore[name-defined]
            def __iter__(self) -> Iterator[bytes]:
                if failed:
                    return watch._error_text(stream)
                body = watch._body(stream)
                return _events(body) if events else body

            def close(self) -> None:
                stream.close()

            def __getattr__(self, name: str) -> Any:
                return getattr(stream, name)

        response.stream = Bounded()

    def _body(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in stream:
            self._look(len(chunk))
            yield chunk

    def _error_text(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in stream:
            if self.stop.is_set():
                raise Stopped
            left = MOST_OF_ERROR - self._bytes
            self._bytes += len(chunk)
            yield chunk[:left]
            if self._bytes >= MOST_OF_ERROR or time.monotonic() - self._last > self.timeout:
                return

    def _look(self, size: int) -> None:
        if self.stop.is_set():
            raise Stopped
        self._bytes += size
        self._between += size
        if self._bytes > MOST_BYTES:
            raise BadReply(
                f"The server's reply is longer than {MOST_BYTES / 2**20:.0f} MiB; it was left there."
            )
        if self._between > MOST_BETWEEN:
            raise BadReply(
                f"The server sent {MOST_BETWEEN / 2**20:.0f} MiB without a piece of an answer; it was left "
                "there."
            )
        now = time.monotonic()
        if now - self._last > self.timeout:
            raise RemoteTimeout(
                f"The server sent nothing of an answer for {self.timeout:g} s, only signs of life. Connect "
                "with a longer timeout=, or ask for fewer samples or new tokens."
            )
        if now - self._begun > self.longest:
            raise self.too_long()


def _events(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the data and the blank lines of an event stream; byte order mark, comments, names of events and
    empty data, which the client would take for replies, are left out.
    """
    start: bytes | None = b""  # of a line of which it is not known yet whether it is kept; None: it is known
    kept, first = False, True
    for chunk in chunks:
        passed = []
        if first and chunk:
            chunk, first = chunk.removeprefix(codecs.BOM_UTF8), False
        for part in chunk.splitlines(keepends=True):
            ended = part.endswith((b"\n", b"\r"))
            if start is not None:
                start += part
                if not ended and len(start) < _KNOWN:
                    continue
                kept = not start.strip() or (start.startswith(b"data:") and start[5:].strip() != b"")
                part, start = start, None
            if kept:
                passed.append(part)
            if ended:
                start = b""
        yield b"".join(passed)
    if start:
        yield start
