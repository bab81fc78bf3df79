"""`run_study`: conditions x data x models x seeds, one row each, in a store that a killed run resumes from.

Not for one trial (`isi_widget.trial`), nor for what the rows say (`analysis`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isi_widget import checks
from isi_widget.errors import Cancelled, InputError
from isi_widget.readable import counted
from isi_widget.running.stages import Cancel, Progress
from isi_widget.study import arguments
from isi_widget.study.again import record_of
from isi_widget.study.code import study_code
from isi_widget.study.engines import Engine, engine_of
from isi_widget.study.header import OtherRun, check_inputs, continued, header_of, model_differences
from isi_widget.study.identity import identity
from isi_widget.study.live import Run
from isi_widget.study.memory import Memory
from isi_widget.study.plan import Numbers, Plan
from isi_widget.study.rows import columns_of
from isi_widget.study.store import Store
from isi_widget.study.study import Study
from isi_widget.trial.settings import takes_settings
from isi_widget.uncertainty.judges import AUTO

if TYPE_CHECKING:
    from isi_widget.study.arguments import Arguments
    from isi_widget.study.condition import Condition
    from isi_widget.trial import Measure

#: Finished rows after which too many failures stop a study.
_AT_LEAST = 20
_MAX_FAILING = 0.2


@takes_settings("seed")
def run_study(
    models: Any,
    data: Any,
    conditions: Sequence[Condition] | Any = None,
    *,
    baseline: str | None = None,
    measures: Sequence[str | Measure] | str | Measure | None = None,
    of_measures: Mapping[str, Mapping[str, Any]] | None = None,
    seeds: Sequence[int] = (0,),
    entailment: Any = AUTO,
    store: str | Path | None = None,
    engine: str | Engine | None = None,
    max_failing: float = _MAX_FAILING,
    keep_images: bool = True,
    wait: bool = True,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    **settings: Any,
) -> Study:
    """Run every model on every observation under every condition with every seed, one row each.

    What is shared is computed once: one encoding of each picture, one prefill of each stimulus for all its
    measures and seeds.

    Parameters
    ----------
    models : a VLM, a name for `load_vlm`, a list of them, or {label: VLM, name, or dict of arguments of
        `load_vlm`}. Models that are given by name are loaded one after the other, each freed before the next.
    data : a data set or a list of observations.
    conditions : conditions made by `isi.condition`, or functions from a stimulus (or from an observation, if
        their parameter is called `obs`) to a stimulus; a list, or a dict by name. None (default): the
        unchanged input.
    baseline : name of the condition that the others are compared with; None (default): the first one that
        changes nothing, else the first.
    measures, of_measures, entailment, settings : as for `run_trial`.
    seeds : seeds, a row each; default (0,).
    store : folder for the rows; None (default) keeps them in memory. The same call with the same store goes
        on where it stopped, and tries rows that failed again. Models, observations, conditions and seeds may
        be added at the end of their lists. A store of anything else is refused.
    engine : engine of the study: None or "here" (default) for this process, "ray" for Ray, or an engine.
    max_failing : share of failing rows at which the study stops, 0 to 1; default 0.2. Looked at from the
        20th row on. A row that fails has its error and nothing measured.
    keep_images : keep the pictures in the store, by content; default True.
    wait : False returns at once and runs in a thread; see `Study.wait`, `Study.cancel`. Default True.
    progress : called as progress("rows", done, total) after each row.
    cancel : polled between rows and tokens; once it returns True, the study stops.

    Raises
    ------
    InputError
        An argument is out of range, the store is of another run, is being written to or cannot be written to,
        or too many rows failed; finished rows are kept.
    Cancelled
        `cancel` returned True, or the study was cancelled; finished rows are kept. The exception has the
        study with them as `study`, also if it was interrupted from the keyboard.
    """
    given = arguments.checked(
        models, data, conditions, baseline, seeds, measures, of_measures, entailment, settings
    )
    try:
        return start(
            given,
            store,
            engine=engine,
            max_failing=checks.number(max_failing, "max_failing", low=0, high=1),
            keep_images=checks.flag(keep_images, "keep_images"),
            wait=checks.flag(wait, "wait"),
            progress=progress,
            cancel=cancel,
        )
    except Cancelled as error:
        raise error.with_traceback(None) from None  # a person stopped it: the place does not matter


def start(
    given: Arguments,
    store: str | Path | None,
    *,
    engine: str | Engine | None = None,
    max_failing: float = _MAX_FAILING,
    keep_images: bool = True,
    wait: bool = True,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Study:
    """Run a study whose arguments are checked; as `run_study`."""
    chosen = engine_of(engine)
    columns = columns_of(given.measures)
    kept: Memory | Store = Memory(columns) if store is None else Store(store, columns)
    job = _Job(given, kept, chosen, float(max_failing), keep_images, progress)
    others: dict[str, Any] = {} if max_failing == _MAX_FAILING else {"max_failing": max_failing}
    others |= {} if keep_images else {"keep_images": False}
    others |= {"engine": engine} if isinstance(engine, str) else {}
    code = study_code(given, store, **others)
    job.begin(code)
    study = Study(kept, given=given, code=code)
    study._run = run = Run(job.work, len(job.plan), cancel, about=study.title)
    job.plan.cancel = run.stopping
    job.plan.note = run.note
    job.count_old(run)
    study._compute(wait)
    return study


class _Job:
    """One study with its store: opens it, takes rows, closes it."""

    def __init__(
        self,
        given: Arguments,
        store: Memory | Store,
        engine: Engine,
        max_failing: float,
        keep_images: bool,
        progress: Progress | None,
    ) -> None:
        self._given, self._store, self._engine = given, store, engine
        self._max_failing, self._progress = max_failing, progress
        self._keep = keep_images
        self._open = False
        self._finished = self._failed = 0
        self._reasons: dict[str, int] = {}
        self.plan: Plan

    def begin(self, code: str) -> None:
        """Open the store and find what is missing.

        Raises
        ------
        InputError
            The store is of another run, or cannot be used.
        """
        given, store = self._given, self._store
        try:
            if isinstance(store, Store):
                store.open()
                self._open = True
            if isinstance(store, Store) and not store.is_new:
                where = repr(str(store.path))
                header = continued(store.header, given, where, code)
                if header != store.header:
                    store.write_header(header)
                store.drop_failed()
            else:
                store.write_header(header_of(given, code))
            numbers = Numbers([tuple(shape) for shape in store.header["shapes"]])
            self.plan = Plan(given.sources, given.data, given.conditions, given.seeds, given.how, numbers)
            self.plan.meet = self._meet
            if isinstance(store, Store):
                there = store.table(["row"]).column("row").to_numpy()
                if len(there) and not 0 <= there[0] <= there[-1] < len(self.plan):
                    raise InputError(
                        f"The store {str(store.path)!r} is damaged: it has the rows {there[0]} to "
                        f"{there[-1]}, but its study has only {len(self.plan)}. Were files of another study "
                        "copied into it?"
                    )
                self.plan.done[there] = True
                check_inputs(store, given)
                if self._keep:
                    self.plan.keep = store.keep
                self.plan.observe = lambda item, index: store.observe(record_of(item, index))
        except BaseException:
            self._close()
            raise

    def count_old(self, run: Run) -> None:
        """Count the rows of earlier runs."""
        names = [
            *("row", "model", "condition", "error", "error_type", "unjudged", "correct"),
            *("bayesian_semantic_entropy", "answer_probability"),
            *(name for name in self._store.columns if name.startswith("attention_relative_")),
        ]
        table = self._store.table(names)
        self._finished = table.num_rows
        for batch in table.to_batches(max_chunksize=10_000):
            run.old(batch.to_pylist())

    def work(self, run: Run) -> None:
        """Make the missing rows."""
        if not self._open and isinstance(self._store, Store):
            self._store.open()
            self._open = True
        try:
            if self._progress is not None:
                self._progress("rows", self._finished, len(self.plan))

            def take(row: dict[str, Any]) -> None:
                self._take(row)
                run.row(row)

            if not self.plan.done.all():
                self._engine.run(self.plan, take)
        except Cancelled:
            raise Cancelled(self._stopped("Cancelled")) from None
        except KeyboardInterrupt as error:
            error.add_note(self._stopped("Interrupted"))
            raise
        finally:
            self._close()

    def _close(self) -> None:
        self._open = False
        self._store.close()

    def _take(self, row: dict[str, Any]) -> None:
        number = int(row["row"])
        if self.plan.done[number]:
            return
        self._store.add(row)
        self.plan.done[number] = True
        self._finished += 1
        if row.get("error") is not None:
            self._failed += 1
            reason = f"{row['error_type']}: {row['error']}"
            self._reasons[reason] = self._reasons.get(reason, 0) + 1
        if self._progress is not None:
            self._progress("rows", self._finished, len(self.plan))
        if self._finished >= _AT_LEAST and self._failed > self._max_failing * self._finished:
            raise InputError(self._too_many())

    def _too_many(self) -> str:
        most = sorted(self._reasons.items(), key=lambda item: -item[1])[:5]
        listed = "; ".join(f"{count} x {reason:.300}" for reason, count in most)
        further = f"; and {counted(len(self._reasons) - 5, 'other reason')}" if len(self._reasons) > 5 else ""
        return (
            f"{self._failed} of {counted(self._finished, 'row')} failed, more than "
            f"max_failing={self._max_failing:g}: "
            f"{listed}{further}. {self._kept()} Mend the cause and make the same call again, or raise "
            "max_failing."
        )

    def _stopped(self, how: str) -> str:
        failed = f", {self._failed} of which failed" if self._failed else ""
        return f"{how} after {self._finished} of {counted(len(self.plan), 'row')}{failed}. {self._kept()}"

    def _kept(self) -> str:
        if self._store.path is None:
            return "They are kept in the `study` of this exception; give store='folder' to keep them on disk."
        return f"They are kept in {str(self._store.path)!r}: the same call goes on from there."

    def _meet(self, label: str, info: Mapping[str, Any], entailment: str) -> None:
        """Write down which model makes the rows; refuse another one than that of the earlier rows."""
        header = self._store.header
        wrong = list(model_differences(header, label, info, entailment, early=True))
        if wrong:
            place = "this study" if self._store.path is None else f"the store {str(self._store.path)!r}"
            raise OtherRun(
                f"The model has changed since the earlier rows of {place}: {'; '.join(wrong)}. The rows are "
                "kept; start again with a different store."
            )
        now = {"identity": identity(info), "entailment": entailment, "info": _recorded(info)}
        known = header["models"].get(label) or {}
        if known.get("identity") != now["identity"] or known.get("entailment") != entailment:
            models = {**header["models"], label: now}
            self._store.write_header({**header, "models": models})


def _recorded(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `VLM.info` says of how a model is made again; JSON-ready."""
    from isi_widget.trial.packing import packed

    made: dict[str, Any] = packed(dict(info))
    return made
