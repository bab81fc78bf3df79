"""`InsideTwins`: Python twins of what the panel "Inside" measures: contributions of heads, traces, the lens.

Each waits for the model's thread, as `probe.run` does. Not for setting gates (`probe.interventions`).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from isi_widget.trial import Trial
from isi_widget.widget.inside import is_partial
from isi_widget.widget.jobs import Job
from isi_widget.widget.sync import Synced

if TYPE_CHECKING:
    from isi_widget.mechanism.causal_trace import CausalTrace
    from isi_widget.mechanism.head_contributions import HeadContributions
    from isi_widget.mechanism.lens import LogitLens
    from isi_widget.widget.inside import InsideJobs
    from isi_widget.widget.runs import Runs


def awaited(job: Job) -> Any:
    """Return the result of a job, or its exception raised here; the notebook's interrupt cancels the job."""
    try:
        while not job.wait(0.2):  # an unlimited wait cannot be interrupted on every system
            pass
    except KeyboardInterrupt:
        job.cancel()
        raise
    if job.error is not None:
        raise job.error
    return job.result


class InsideTwins(Synced):
    """Methods for the inside of the model."""

    _jobs: InsideJobs
    _runs: Runs

    def contributions(self, trial: int | Trial | None = None, **options: Any) -> HeadContributions:
        """Return what each head does to the answer of a trial (None: the shown one).

        Without options it is the matrix of the page, measured once for each trial: exactly for models of up
        to 64 heads, else an estimate beside the exact drops of 16 heads (see `agreement` of the result).
        Where "Measure exactly" was cancelled on the page, heads that it did not reach are NaN, and the
        estimate is the result's `shortlist`.

        Parameters
        ----------
        trial : number of the trial, or the trial.
        **options : as for `isi.measure_heads`; with any, the default is target="log_p_answer" of the shown
            answer, replace="mean", method="exact".

        Raises
        ------
        InputError : no such trial, no answer, a trial of a different model, or the inside of the model is not
            available.
        """
        number = self._number(trial)
        known = None if options else self._jobs.contributions.get(number)
        # what was cancelled goes on, unless it would take long
        if known is not None and (known.shortlist.size or not is_partial(known)):
            return known
        self._may_wait("contributions")
        found: HeadContributions = awaited(self._jobs.heads(uuid.uuid4().hex, number, **options))
        return found

    def trace_between(self, clean: int | Trial, corrupt: int | Trial, **options: Any) -> CausalTrace:
        """Return the trace between the inputs of two trials, as the page's "Trace between them".

        **options : as for `isi.trace`; default sites=("residual",). Raises `InputError` as `contributions`
            does, and where the two inputs cannot be compared.
        """
        self._may_wait("trace_between")
        numbers = self._history.number(clean), self._history.number(corrupt)
        found: CausalTrace = awaited(self._jobs.trace(uuid.uuid4().hex, *numbers, **options))
        return found

    def lens(self, trial: int | Trial | None = None, **options: Any) -> LogitLens:
        """Return the words of each layer at the image tokens of a trial's input (None: of the shown trial),
        as the page's lens. `options` as for `isi.logit_lens`. Raises `InputError` as `contributions` does.
        """
        self._may_wait("lens")
        job = self._jobs.lens(uuid.uuid4().hex, self._number(trial), lambda found: None, **options)
        found: LogitLens = awaited(job)
        return found

    def _number(self, trial: int | Trial | None) -> int:
        return self._history.number(self.shown if trial is None else trial)

    def _may_wait(self, name: str) -> None:
        if self._runs.controller.inside or self._mine:
            raise RuntimeError(f"probe.{name}() waits: it cannot be called by an observer of the probe.")
