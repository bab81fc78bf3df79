"""Several requests at once, in bounded number; callbacks run in the caller's thread, and cancelling abandons
them.

Requests run in separate threads; callbacks and errors reach the caller's thread. Not for the content of
requests.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, Full, Queue

from isi_widget.answer import Answer
from isi_widget.vlm.decoding.loop import Cancel, OnToken, poll
from isi_widget.vlm.remote.errors import NO_ANSWER, BadReply, ContentFiltered, RemoteError
from isi_widget.vlm.remote.replies import Piece, Reply
from isi_widget.vlm.remote.watch import Watch

Rows = Sequence[int]
#: work(rows, watch): one request for some rows; its pieces' indices count within `rows`.
Work = Callable[[Rows, Watch], Iterator[Piece]]
#: Seconds between two looks at `cancel`.
_POLL = 0.05
#: Pieces that may wait for the caller: a server that is faster than it is not read further.
_WAITING = 1000
#: Replies that cannot be read after which nothing more is asked, unless twice as many answers have come.
_HOPELESS = 3


@dataclass
class _Request:
    """One request under way."""

    rows: Rows
    watch: Watch


@dataclass(frozen=True)
class Gathered:
    """What came of some requests.

    Attributes
    ----------
    answers : {row: answer}, ascending.
    failures : reasons for the missing rows.
    unknown : unknown words for the end of an answer.
    """

    answers: Mapping[int, Answer]
    failures: Sequence[RemoteError]
    unknown: frozenset[str]


def gather(
    jobs: Iterable[Rows],
    work: Work,
    *,
    timeout: float,
    concurrency: int,
    max_new_tokens: int,
    on_token: OnToken | None = None,
    on_answer: Callable[[int, Answer], None] | None = None,
    cancel: Cancel | None = None,
) -> Gathered:
    """Run every job, at most `concurrency` at a time.

    A server may return fewer rows than requested, or break off: the other rows are then requested one by one
    (`on_token` restarts). A reply that cannot be read, or breaks off, costs only its own row. After several
    such replies no more requests are sent, and if no answer came at all, the first error is raised. Any other
    error (a refused key, a filter, a limit, an unreachable server) is raised at once. A running request stops
    by itself when the call ends, see `watch`.
    """
    return _Gathering(jobs, work, timeout, concurrency, max_new_tokens, on_token, on_answer, cancel).run()


class _Gathering:
    def __init__(
        self,
        jobs: Iterable[Rows],
        work: Work,
        timeout: float,
        concurrency: int,
        max_new_tokens: int,
        on_token: OnToken | None,
        on_answer: Callable[[int, Answer], None] | None,
        cancel: Cancel | None,
    ) -> None:
        self._todo = deque(tuple(job) for job in jobs)
        self._work, self._timeout, self._concurrency = work, timeout, concurrency
        self._most, self._on_token, self._on_answer, self._cancel = (
            max_new_tokens,
            on_token,
            on_answer,
            cancel,
        )
        self._running: list[_Request] = []
        self._events: Queue[tuple[_Request, Piece | BaseException | None]] = Queue(_WAITING)
        self._replies: dict[int, Reply] = {}
        self._answers: dict[int, Answer] = {}
        self._again: list[RemoteError] = []  # errors of requests whose rows were requested again
        self._failures: list[RemoteError] = []
        self._unknown: set[str] = set()

    def run(self) -> Gathered:
        try:
            while self._todo or self._running:
                poll(self._cancel)
                while self._todo and len(self._running) < self._concurrency:
                    self._start(self._todo.popleft())
                for request in self._running:
                    if request.watch.overdue:
                        self._failed(request, request.watch.too_long())
                        break
                try:
                    request, event = self._events.get(timeout=_POLL)
                except Empty:
                    continue
                if request in self._running:  # else it was given up
                    self._take(request, event)
        finally:
            for request in self._running:
                request.watch.stop.set()
        if not self._answers:
            raise [*self._again, *self._failures][0]
        return Gathered(dict(sorted(self._answers.items())), self._failures, frozenset(self._unknown))

    def _start(self, rows: Rows) -> None:
        request = _Request(rows, Watch(self._timeout, len(rows) * self._most))
        self._running.append(request)
        threading.Thread(target=self._run, args=(request,), daemon=True).start()

    def _run(self, request: _Request) -> None:
        """In a thread of its own."""
        try:
            for piece in self._work(request.rows, request.watch):
                self._put(request, piece)
            self._put(request, None)
        except BaseException as error:  # raised again in the caller's thread
            self._put(request, error)

    def _put(self, request: _Request, event: Piece | BaseException | None) -> None:
        """Hand an event to the caller, waiting while too many wait; dropped once nobody wants it."""
        while not request.watch.stop.is_set():
            try:
                return self._events.put((request, event), timeout=_POLL)
            except Full:
                continue

    def _take(self, request: _Request, event: Piece | BaseException | None) -> None:
        try:
            if isinstance(event, BaseException):
                raise event
            if event is None:
                self._ended(request)
            else:
                self._add(request.rows, event)
        except RemoteError as error:
            begun = any(row in self._replies for row in request.rows)
            if isinstance(error, ContentFiltered) or not (begun or isinstance(error, BadReply)):
                raise
            self._failed(request, error)

    def _add(self, rows: Rows, piece: Piece) -> None:
        if not 0 <= piece.index < len(rows):
            raise BadReply(f"The server sent answer {piece.index} of {len(rows)}, counted from 0.")
        row = rows[piece.index]
        reply = self._replies.setdefault(row, Reply(self._most))
        try:
            told = reply.add(piece)
        except BadReply:
            self._answers.pop(row, None)  # what was taken for the whole answer was not
            raise
        if self._on_token is not None:
            for text, logprob in told:
                self._on_token(row, text, logprob)
        self._finish(row)

    def _finish(self, row: int) -> None:
        reply = self._replies[row]
        if reply.complete and row not in self._answers:
            self._answers[row] = answer = reply.answer()
            self._unknown |= {piece.unknown for piece in reply.pieces} - {""}
            if self._on_answer is not None:
                self._on_answer(row, answer)

    def _ended(self, request: _Request) -> None:
        """End a request; rows without an answer are requested again, one by one."""
        for row in request.rows:
            if row in self._replies:
                self._replies[row].close()
                self._finish(row)
        missing = [row for row in request.rows if row not in self._replies]
        if len(missing) == len(request.rows):
            raise BadReply(f"The server {NO_ANSWER}")
        if any(row not in self._answers for row in request.rows if row not in missing):
            raise BadReply("The server's reply broke off in the middle of an answer.")
        self._running.remove(request)
        self._todo.extend((row,) for row in missing)

    def _failed(self, request: _Request, error: RemoteError) -> None:
        """Keep complete answers. Rows of an unreadable reply are requested again, one by one."""
        request.watch.stop.set()
        self._running.remove(request)
        lost = [row for row in request.rows if row not in self._answers]
        for row in lost:
            self._replies.pop(row, None)
        if len(request.rows) > 1:
            self._todo.extend((row,) for row in lost)
            self._again.append(error)
            return
        self._failures.append(error)
        if len(self._failures) >= _HOPELESS and 2 * len(self._failures) > len(self._answers):
            self._todo.clear()
