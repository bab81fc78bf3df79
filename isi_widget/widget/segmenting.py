"""`Segmenting`: finds, for a page, the object that a person marks on the picture.

It has a thread of its own and takes no model's lock, so that neither runs nor previews wait for it. Only the
newest request counts: an older one, even a running one, is answered by "dropped". Not for finding objects
(see `isi_widget.concepts`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isi_widget.concepts.segmenting import find
from isi_widget.stimulus import Mask, Stimulus
from isi_widget.widget import messages
from isi_widget.widget.jobs import Job, Worker


class Segmenting:
    """Takes the "segment" requests of one probe.

    Parameters
    ----------
    reply : called in the worker thread with a request's id and its answer.
    drop : called with the id of a request that is superseded or cancelled.
    fail : called in the worker thread with an exception and the request's id.
    """

    def __init__(
        self,
        reply: Callable[[str, dict[str, Any]], None],
        drop: Callable[[str], None],
        fail: Callable[[BaseException, str], None],
    ) -> None:
        self._reply, self._drop, self._fail = reply, drop, fail
        self._worker = Worker("isi-segments")

    def start(self, asked: messages.Segment, stimulus: Callable[[], Stimulus], back_end: Any) -> None:
        """Find the object in the picture of `stimulus()`, read when the request is taken up."""
        self._supersede()

        def work(job: Job) -> None:
            try:
                answer = _answer(asked, stimulus(), back_end)
            except BaseException as error:  # no other code would see it in this thread
                if job.cancelled():
                    self._drop(asked.id)
                else:
                    self._fail(error, asked.id)
                return
            if job.cancelled():
                self._drop(asked.id)
            else:
                self._reply(asked.id, answer)

        self._worker.submit(Job(asked.id, work, kind=asked.id))

    def cancel(self, id: str) -> None:
        """Drop the request `id`, or all of them if it is empty; nothing happens if there is none."""
        waiting = [job.id for job in self._worker.queued if id in ("", job.id)]
        self._worker.cancel(id or None)  # a running one is dropped when it ends
        for dropped in waiting:
            self._drop(dropped)

    def release(self) -> None:
        """End the thread when it has no work."""
        self._worker.release()

    def rest(self) -> None:
        """End a thread without work now."""
        self._worker.rest()

    def _supersede(self) -> None:
        self.cancel("")


def _answer(asked: messages.Segment, stimulus: Stimulus, back_end: Any) -> dict[str, Any]:
    """Return the fields of an answer: the mask in its JSON form, and a note in words ("" for none)."""
    options = {}
    if asked.point is not None:
        back_end = "wand"
        if asked.tolerance is not None:
            options["tolerance"] = asked.tolerance
    found, _ = find(
        stimulus,
        asked.box,
        None if asked.point is None else [asked.point],
        strokes=list(asked.strokes),
        mask=asked.mask,
        back_end=asked.back_end or back_end,
        options=options,
    )
    return {**Mask.from_array(found.inside).to_dict(), "note": found.note}
