"""Several requests at once, bounded, told in the caller's thread, and left when the caller cancels.

Requests run in threads of their own; callbacks and errors come out in the caller's. Not for what is asked.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import Empty, SimpleQueue

from isi_widget.answer import Answer
from isi_widget.vlm.decoding import Cancel, OnToken, poll
from isi_widget.vlm.remote.errors import NO_ANSWER, BadReply
from isi_widget.vlm.remote.replies import Piece, Reply

Rows = Sequence[int]
#: work(rows, stop): one request for some rows; its pieces' indices count within `rows`.
Work = Callable[[Rows, threading.Event], Iterator[Piece]]
#: Seconds between two looks at `cancel`.
_POLL = 0.05


def gather(
    jobs: Iterable[Rows],
    work: Work,
    *,
    concurrency: int,
    on_token: OnToken | None = None,
    on_answer: Callable[[int, Answer], None] | None = None,
    cancel: Cancel | None = None,
) -> list[Answer]:
    """Run every job, at most `concurrency` at a time; the answers in the order of their rows.

    A server may answer fewer rows than it was asked for: the others are then asked for one by one. The first
    error ends everything. A request that is under way when the call ends is left alone: its thread stops at
    the next piece, or at the time-out.
    """
    todo, running = deque(tuple(job) for job in jobs), 0
    replies: dict[int, Reply] = {}
    answers: dict[int, Answer] = {}
    events: SimpleQueue[tuple[Rows, Piece | BaseException | None]] = SimpleQueue()
    stop = threading.Event()

    def run(rows: Rows) -> None:
        try:
            for piece in work(rows, stop):
                events.put((rows, piece))
            events.put((rows, None))
        except BaseException as error:  # raised again in the caller's thread
            events.put((rows, error))

    try:
        while todo or running:
            poll(cancel)
            while todo and running < concurrency:
                threading.Thread(target=run, args=(todo.popleft(),), daemon=True).start()
                running += 1
            try:
                rows, event = events.get(timeout=_POLL)
            except Empty:
                continue
            if isinstance(event, BaseException):
                raise event
            if event is None:
                running -= 1
                todo.extend((row,) for row in _missing(rows, replies))
                continue
            if not 0 <= event.index < len(rows):
                raise BadReply(f"The server sent answer {event.index} of {len(rows)}, counted from 0.")
            row = rows[event.index]
            reply = replies.setdefault(row, Reply())
            reply.add(event)
            _tell(on_token, row, event)
            if reply.complete and row not in answers:
                answers[row] = reply.answer()
                if on_answer is not None:
                    on_answer(row, answers[row])
        return [answers[row] for row in sorted(answers)]
    finally:
        stop.set()


def _missing(rows: Rows, replies: dict[int, Reply]) -> list[int]:
    """The rows of a finished request that the server left out."""
    missing = [row for row in rows if row not in replies]
    if len(missing) == len(rows):
        raise BadReply(f"The server {NO_ANSWER}")
    if any(not replies[row].complete for row in rows if row not in missing):
        raise BadReply("The server's reply broke off in the middle of an answer.")
    return missing


def _tell(on_token: OnToken | None, row: int, piece: Piece) -> None:
    if on_token is None:
        return
    if piece.tokens:
        for token in piece.tokens:
            on_token(row, token.text, token.logprob)
    elif piece.text:
        on_token(row, piece.text, math.nan)
