"""Runs and loading of the model in one worker thread, with progress, cancelling and errors through callbacks.

Both the page's clicks and their Python twins use it. It has no traits: `runs.py` passes its reports to the
page.

Thread model. `start` and `cancel` return at once, from any thread that receives a comm message. The model
runs in the worker thread, one run at a time; a second run waits, and a third replaces the second. Loading a
model is a job like a run, and waits next to a waiting run. All callbacks are called in the worker thread
(`on_status` also in the caller's).
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isi_widget.errors import Cancelled, InputError
from isi_widget.interventions import Intervention
from isi_widget.pretrained.machine import free_memory
from isi_widget.stimulus import Stimulus
from isi_widget.trial import Trial, run_trial
from isi_widget.trial import measures as known
from isi_widget.uncertainty.judge import Entailment
from isi_widget.uncertainty.judges import AUTO, choose
from isi_widget.vlm import VLM
from isi_widget.widget.jobs import Job, Worker
from isi_widget.widget.models import ModelSlot, Source
from isi_widget.widget.streaming import Stream

# at most ten progress messages a second: more would not help on the page and would load the comm
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
    """Runs the model of a probe.

    Parameters
    ----------
    on_status : function called when `status()` changes. Read `status()` where it is shown: an older status
        must never replace a newer one.
    on_trial : function called with each finished trial and the id of its run.
    on_partial : function called with the id of the run, its answer so far and its finished samples.
    on_model : function called when a load has replaced the model.
    on_error : function called with each failure and the id of its run; cancelling is not a failure.
    on_completed : function called when the pixels of pending edits are computed; default none.

    Attributes
    ----------
    watched : whether a page shows the run; an unwatched run calls no `on_partial` and has no cost for it.
    entailment : entailment model of future runs, as in `run_trial`.
    """

    def __init__(
        self,
        slot: ModelSlot,
        on_status: Callable[[], None],
        on_trial: Callable[[Trial, str], None],
        on_partial: Callable[[str, str | None, list[str]], None],
        on_model: Callable[[], None],
        on_error: Callable[[BaseException, str], None],
        on_completed: Callable[[], None] = lambda: None,
    ) -> None:
        self._slot = slot
        self.watched = False
        self.entailment: Entailment | str = AUTO
        self._on_status = on_status
        self._on_trial = on_trial
        self._on_partial = on_partial
        self._on_model = on_model
        self._on_error = on_error
        self._on_completed = on_completed
        self._stream: Stream | None = None
        self._stage: tuple[str, int, int] = ("", 0, 0)
        self._note = ""
        self._told = 0.0
        self._worker = Worker("isi-model", on_begin=self._begin, on_end=self._end)

    @property
    def inside(self) -> bool:
        """Whether the caller is the worker thread, which must not wait for its own run."""
        return self._worker.inside

    def start(
        self,
        id: str,
        stimulus: Stimulus,
        measures: Sequence[str],
        settings: Mapping[str, Any],
        automatic: bool = False,
        interventions: Sequence[Intervention] = (),
    ) -> Job:
        """Queue a run of the current `stimulus`. Returns at once.

        All measures together mean "everything": unavailable ones are left out, with a note in the trial.
        Otherwise measures are named, and an unavailable one is refused.

        An automatic run never replaces a requested one, and reports nothing before its result: the last
        result stays until the next one arrives. `interventions` come after those of the model; default none.
        """
        everything = set(measures) == set(known.by_default())
        judge: dict[str, Any] = {} if self.entailment == AUTO else {"entailment": self.entailment}

        def work(job: Job) -> Trial:
            stream = None
            if self.watched and not automatic:
                stream = Stream(lambda answer, samples: self._on_partial(id, answer, samples))
            self._stream = stream
            try:
                vlm = self._slot.vlm
                trial = run_trial(
                    vlm.intervene(*interventions) if interventions else vlm,
                    self._completed(stimulus, job),
                    measures=None if everything else tuple(measures),
                    **settings,
                    **judge,
                    progress=self.progress,
                    on_text=None if stream is None else stream.text,
                    cancel=job.cancelled,
                )
            finally:
                if stream is not None:
                    stream.close()
                self._stream = None
            self._on_trial(trial, id)
            return trial

        found = ((name, known.find_measure(name)) for name in measures)
        possible = [name for name, made in found if made and not made.unavailable(self._slot.vlm)]
        return self._submit(Job(id, work, possible, kind="automatic" if automatic else ""))

    def complete(self, id: str, stimulus: Stimulus) -> Job:
        """Queue the computation of the pixels of pending edits. Returns at once."""
        return self._submit(Job(id, lambda job: self._completed(stimulus, job), ["edit"], kind="edit"))

    def _completed(self, stimulus: Stimulus, job: Job) -> Stimulus:
        """Return the stimulus with the pixels of all edits, and report new ones."""
        made = stimulus.completed(progress=self.progress, cancel=job.cancelled)
        if made is not stimulus:
            self._on_completed()
        return made

    def load(self, id: str, source: Source) -> Job:
        """Queue the loading of a different model. Returns at once."""

        def work(job: Job) -> VLM:
            vlm = self._slot.exchange(source, self._percent, job.cancelled)
            self._on_model()
            return vlm

        return self._submit(Job(id, work, ["load"], kind="load"))

    def load_judge(self, id: str, name: str, then: Callable[[], None]) -> Job:
        """Queue the loading of an entailment model; calls `then` when it is loaded. Returns at once."""

        def work(job: Job) -> None:
            scenes = self._slot.vlm.is_embedded
            choose(name, scenes=scenes, free=free_memory, progress=self._percent, cancel=job.cancelled)
            then()

        return self._submit(Job(id, work, ["entailment"], kind="entailment"))

    def measure(self, job: Job) -> Job | None:
        """Queue a job that uses the model and reports by `progress`; returns at once, with the waiting job
        that it replaces.
        """
        replaced = self._worker.submit(job)
        self._on_status()
        return replaced

    def _percent(self, part: float, text: str) -> None:
        """Report the progress of a load at each percent, since a percent may take minutes."""
        percent = round(100 * min(max(part, 0.0), 1.0))
        if percent != self._stage[1]:
            self._told = 0.0
        self._note = text
        self.progress("model", percent, 100)

    def _submit(self, job: Job) -> Job:
        self._worker.submit(job)
        self._on_status()
        return job

    def put(self, vlm: VLM) -> None:
        """Replace the model by `vlm` now; a running or waiting load is older and is cancelled."""
        active = self._worker.running
        for job in (*self._worker.queued, *(() if active is None else (active,))):
            if job.kind == "load":
                self._worker.cancel(job.id)
        self._slot.put(vlm)
        self._on_status()

    def cancel(self, id: str = "") -> bool:
        """Cancel the run `id`, or all running and waiting jobs if `id` is empty; False if there is no such
        run.
        """
        found = self._worker.cancel(id or None)
        self._on_status()
        return found

    def release(self) -> None:
        """End the thread when it has no work, so that it keeps nothing alive."""
        self._worker.release()

    def rest(self) -> None:
        """End a thread without work now."""
        self._worker.rest()

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

    def progress(self, stage: str, done: int, total: int) -> None:
        """Report how far the running job is."""
        if self._stream is not None and stage != self._stage[0]:
            self._stream.flush()  # send all texts of the stage before
        now = time.monotonic()
        if stage == self._stage[0] and done < total and now - self._told < _PROGRESS_SECONDS:
            return
        self._told, self._stage = now, (stage, done, total)
        _call(self._on_status)


def _call(callback: Callable[..., None], *arguments: Any) -> None:
    """Call a function that only shows something: if it raises, the run continues and its end is shown."""
    try:
        callback(*arguments)
    except BaseException:  # in the worker thread, interrupts and exits are not intended for us
        _LOG.exception("showing the state of a run failed; the run goes on")


def explain(error: BaseException) -> tuple[str, str]:
    """Return a message for the page, and advice."""
    try:
        said = str(error)
    except Exception:  # a foreign exception may fail to describe itself
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
