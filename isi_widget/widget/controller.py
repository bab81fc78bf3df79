"""Runs of the model, and its loading: one worker thread, progress, cancel and errors, told through callbacks.

The page's clicks and their Python twins both end here. Knows no traits: `runs.py` puts what it is told on
the page.

Thread model. `start` and `cancel` only hand over and return at once, from whatever thread a comm message
arrives on. The model runs in the worker thread, one run at a time; a second one waits, a third takes the
place of the second. Loading another model is a job like a run, and waits beside a waiting run. All callbacks
are called in the worker thread (`on_status` also in the caller's).
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isi_widget.errors import Cancelled, InputError
from isi_widget.pretrained.machine import free_memory
from isi_widget.stimulus import Stimulus
from isi_widget.trial import Trial, run_trial
from isi_widget.trial.settings import MEASURES
from isi_widget.uncertainty.judge import Entailment
from isi_widget.uncertainty.judges import AUTO, choose
from isi_widget.vlm import VLM
from isi_widget.widget.jobs import Job, Worker
from isi_widget.widget.models import ModelSlot, Source
from isi_widget.widget.streaming import Stream

# at most ten progress messages a second: a page cannot paint more usefully, and a comm is not a stream
_PROGRESS_SECONDS = 0.1
_WHERE = "probe.last_traceback tells where it failed."
_LOG = logging.getLogger(__name__)

Status = dict[str, Any]
IDLE: Status = {
    "state": "idle",
    "id": None,
    "measures": [],
    "stage": "",
    "note": "",
    "done": 0,
    "total": 0,
    "queued": 0,
}


class Controller:
    """The one place where a probe's model runs.

    Parameters
    ----------
    on_status : told that `status()` is another now. (It is to be asked where it is shown: an older status
        must never replace a newer one.)
    on_trial : told each finished trial and the id of its run.
    on_partial : told the id of the run, its answer so far and its ended samples, as they come.
    on_model : told that a load has put another model in place.
    on_error : told each failure and the id of its run; cancelling is not a failure.

    Attributes
    ----------
    watched : whether anybody looks; a run that begins unwatched has no `on_partial`, at no cost.
    entailment : which model compares the meanings in the runs that start from now on, as `run_trial` takes
        it.
    """

    def __init__(
        self,
        slot: ModelSlot,
        on_status: Callable[[], None],
        on_trial: Callable[[Trial, str], None],
        on_partial: Callable[[str, str | None, list[str]], None],
        on_model: Callable[[], None],
        on_error: Callable[[BaseException, str], None],
    ) -> None:
        self._slot = slot
        self.watched = False
        self.entailment: Entailment | str = AUTO
        self._on_status = on_status
        self._on_trial = on_trial
        self._on_partial = on_partial
        self._on_model = on_model
        self._on_error = on_error
        self._stream: Stream | None = None
        self._stage: tuple[str, int, int] = ("", 0, 0)
        self._note = ""
        self._told = 0.0
        self._worker = Worker("isi-model", on_begin=self._begin, on_end=self._end)

    @property
    def inside(self) -> bool:
        """Whether the caller is the worker thread itself, where waiting for a run would be waiting for
        oneself.
        """
        return self._worker.inside

    def start(
        self,
        id: str,
        stimulus: Stimulus,
        measures: Sequence[str],
        settings: Mapping[str, Any],
        automatic: bool = False,
    ) -> Job:
        """Queue a run of `stimulus` as it is now. Returns at once.

        All three measures are "everything": what the model cannot give is left out, and the trial's notes
        say so. Anything less is asked for by name, and refused if it is not available.

        An automatic run, which nobody asked for, never takes the place of one that was asked for, and tells
        nothing before its result: the last result stays until the next one is there.
        """
        everything = set(measures) == set(MEASURES)
        judge: dict[str, Any] = {} if self.entailment == AUTO else {"entailment": self.entailment}

        def work(job: Job) -> Trial:
            stream = None
            if self.watched and not automatic:
                stream = Stream(lambda answer, samples: self._on_partial(id, answer, samples))
            self._stream = stream
            try:
                trial = run_trial(
                    self._slot.vlm,
                    stimulus,
                    measures=None if everything else tuple(measures),
                    **settings,
                    **judge,
                    progress=self._progress,
                    on_text=None if stream is None else stream.text,
                    cancel=job.cancelled,
                )
            finally:
                if stream is not None:
                    stream.close()
                self._stream = None
            self._on_trial(trial, id)
            return trial

        possible = [name for name in measures if name not in self._slot.unavailable]
        return self._submit(Job(id, work, possible, kind="automatic" if automatic else ""))

    def load(self, id: str, source: Source) -> Job:
        """Queue the loading of another model. Returns at once."""

        def work(job: Job) -> VLM:
            vlm = self._slot.exchange(source, self._percent, job.cancelled)
            self._on_model()
            return vlm

        return self._submit(Job(id, work, ["load"], kind="load"))

    def load_judge(self, id: str, name: str, then: Callable[[], None]) -> Job:
        """Queue the loading of an entailment model, and `then` if it is there. Returns at once."""

        def work(job: Job) -> None:
            scenes = self._slot.vlm.is_embedded
            choose(name, scenes=scenes, free=free_memory, progress=self._percent, cancel=job.cancelled)
            then()

        return self._submit(Job(id, work, ["entailment"], kind="entailment"))

    def _percent(self, part: float, text: str) -> None:
        """The progress of a load: each percent is told, as there may be minutes between two."""
        percent = round(100 * min(max(part, 0.0), 1.0))
        if percent != self._stage[1]:
            self._told = 0.0
        self._note = text
        self._progress("model", percent, 100)

    def _submit(self, job: Job) -> Job:
        self._worker.submit(job)
        self._on_status()
        return job

    def put(self, vlm: VLM) -> None:
        """Make `vlm` the model now; a load that is going or waits was asked for earlier, and is cancelled."""
        active = self._worker.running
        for job in (*self._worker.queued, *(() if active is None else (active,))):
            if job.kind == "load":
                self._worker.cancel(job.id)
        self._slot.put(vlm)
        self._on_status()

    def cancel(self, id: str = "") -> bool:
        """Cancel the run `id`, or whatever runs and waits if `id` is empty; False if there is no such run."""
        found = self._worker.cancel(id or None)
        self._on_status()
        return found

    def release(self) -> None:
        """From now on keep no thread without work, so that nothing is kept alive by it."""
        self._worker.release()

    def status(self) -> Status:
        """Return the current value of the `status` trait."""
        running, queued = self._worker.running, self._worker.queued
        active = running or next(iter(queued), None)
        if active is None:
            return dict(IDLE)
        stage, done, total = self._stage if running is not None else ("", 0, 0)
        return {
            "state": "cancelling" if active.cancelled() else "running",
            "id": active.id,
            "measures": list(active.label),
            "stage": stage,
            "note": self._note if stage else "",
            "done": done,
            "total": total,
            "queued": len(queued) if running is not None else 0,
        }

    # ---- in the worker thread
    def _begin(self, job: Job) -> None:
        self._stage, self._note = ("", 0, 0), ""
        _call(self._on_status)

    def _end(self, job: Job) -> None:
        if job.error is not None and not isinstance(job.error, Cancelled):
            _LOG.debug("run %s failed", job.id, exc_info=job.error)
            _call(self._on_error, job.error, job.id)
        _call(self._on_status)

    def _progress(self, stage: str, done: int, total: int) -> None:
        if self._stream is not None and stage != self._stage[0]:
            self._stream.flush()  # what the stage before has said is said whole
        now = time.monotonic()
        if stage == self._stage[0] and done < total and now - self._told < _PROGRESS_SECONDS:
            return
        self._told, self._stage = now, (stage, done, total)
        _call(self._on_status)


def _call(callback: Callable[..., None], *arguments: Any) -> None:
    """Call what only shows something: whatever it raises, the run goes on and its end is shown."""
    try:
        callback(*arguments)
    except BaseException:  # in the worker thread, where nobody means an interrupt or an exit
        _LOG.exception("showing the state of a run failed; the run goes on")


def explain(error: BaseException) -> tuple[str, str]:
    """Return a message for the page, and what to do about it."""
    try:
        said = str(error)
    except Exception:  # somebody else's exception may be unable to say what it is
        said = ""
    if isinstance(error, InputError):
        return said, ""
    message = f"{type(error).__name__}: {said}".strip().rstrip(":")
    if len(message) > 600:
        message = f"{message[:597]}..."
    text = message.lower()
    if "out of memory" in text or isinstance(error, MemoryError):
        return message, (
            "The device has too little memory for this run. Ask for fewer samples or new tokens, free other "
            'models, or load this one smaller: isi.load_vlm(name, quantization="nf4").'
        )
    if "cuda" in text or "cublas" in text or "hip error" in text:
        return message, (
            "The GPU failed. It usually stays unusable in this process: restart the kernel, "
            'or load the model with isi.load_vlm(name, device="cpu").'
        )
    if isinstance(error, NotImplementedError | AttributeError):
        return message, f"This model may not support what was asked: try Answer alone. {_WHERE}"
    return message, f"The widget still works: change something and run again. {_WHERE}"


def format_traceback(error: BaseException) -> str:
    """Return the whole traceback as text: the exception itself would keep the tensors of all its frames
    alive.
    """
    return "".join(traceback.format_exception(error))
