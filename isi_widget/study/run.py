"""`averages`: a data set through one model, one observation after the other, in this process.

It can be stopped and go on later. Not for several models or conditions at once, nor for more than one
process.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isi_widget.datasets import Observation, things
from isi_widget.errors import Cancelled, InputError
from isi_widget.running.stages import Cancel, Progress
from isi_widget.stimulus import Stimulus, checks
from isi_widget.study import record
from isi_widget.study.identity import differences, identity
from isi_widget.study.record import Averages, Row, Skipped
from isi_widget.trial import Trial, choose_judge, run_trial
from isi_widget.trial.settings import Settings, settings_from, takes_settings
from isi_widget.uncertainty.judges import AUTO
from isi_widget.vlm.protocol import check_vlm_like

if TYPE_CHECKING:
    from isi_widget.uncertainty.judge import Entailment
    from isi_widget.vlm.protocol import VLMLike

_LONGEST_REASON = 1000
#: Function from an observation to the stimulus of the run.
Condition = Callable[[Observation], Stimulus]


@takes_settings("do_sample", "num_beams")
def averages(
    vlm: VLMLike,
    data: Sequence[Observation] | None = None,
    *,
    condition: Condition | None = None,
    entailment: Entailment | str | Path | None = AUTO,
    store: str | Path | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    **settings: Any,
) -> Averages:
    """Run each observation of a data set through a model, and keep what is usual for it.

    Parameters
    ----------
    vlm : the model.
    data : a data set or a list of observations; None: the 100 built-in scenes of things.
    condition : function from an observation to its stimulus, such as `lambda obs:
        obs.stimulus().with_context(preset="contradictory")`. None (default): the unchanged observation, with
        its natural image and its own context, which may be empty.
    entailment, settings : as in `run_trial`. The shown answer is greedy. Every observation has the same
        seed, as a trial of its own would have.
    store : JSON file with the results so far, written after each observation. If it exists, the run resumes;
        a complete one is loaded, and nothing is run. A file with different settings, model or data is
        refused.
    on_error : treatment of an observation that cannot be run (damaged picture, context too long, failing
        condition). "raise" (default) stops; "skip" continues without it, and lists it with the reason in
        `Averages.skipped`, in the store, on the page and in a warning. The same call with the same store
        tries what was skipped again.
    progress : called as progress("observations", done, total), from 0 to total; before that as
        progress("entailment", done, 100) where the entailment model has to be loaded.
    cancel : polled between observations and tokens; once it returns True, `Cancelled` is raised.

    Returns
    -------
    Averages. What the model cannot give is NaN in it, and its `notes` say why, and which comparisons of
    meanings are not to be relied on.

    Raises
    ------
    InputError
        Settings out of range, no observations, a condition that gives no stimulus, a `store` of something
        else or that cannot be written, a model that is changed meanwhile; with on_error="skip", no
        observation that could be run. Else whatever is wrong with one observation is raised as it is, with a
        note that names it; earlier results are in the store.
    Cancelled
        `cancel` returned True; earlier results are in the store.

    Warns
    -----
    UserWarning
        Observations were skipped.
    """
    checks.on_error(on_error)
    chosen = settings_from(averages, settings)
    check_vlm_like(vlm, "Averages need")
    observations = _observations(data)
    judge = choose_judge(vlm, entailment, progress, cancel)  # one and the same for all of them
    run = _Run(
        identity(vlm.info()),
        chosen,
        getattr(observations, "name", None) or f"{len(observations)} observations",
        len(observations),
        "" if condition is None else str(getattr(condition, "__name__", type(condition).__name__)),
        judge.label,
        None if store is None else Path(store),
    )
    # the settings of the answer (greedy) and what to measure (all that can be had) are those of run_trial
    _report(progress, 0, run.size)
    for index, observation in enumerate(observations):
        if cancel is not None and cancel():
            raise run.cancelled()
        name = observation.id or str(index)
        trial = None
        try:
            stimulus = _shown(observation, condition)
            if not run.has(index, stimulus, name):
                trial = run_trial(vlm, stimulus, **settings, entailment=judge, cancel=cancel)
        except Cancelled:
            raise run.cancelled() from None
        except _AnotherRun:
            raise
        except Exception as error:
            if on_error == "raise":
                error.add_note(f"at observation {index} ({name!r}) of {run.data}")
                raise
            run.skip(index, name, error)
        if trial is not None:
            run.keep(index, trial, name, observation.level)
        _report(progress, index + 1, run.size)
    made = run.result()
    if made.skipped:
        warnings.warn(_left_out(made.skipped, made.size), UserWarning, stacklevel=2)
    return made


def _left_out(skipped: Sequence[Skipped], size: int) -> str:
    were = "was" if len(skipped) == 1 else "were"
    return (
        f"{len(skipped)} of {size} observations {were} skipped; `skipped` of the averages lists why. "
        f"The first: {skipped[0]}"
    )


def _observations(data: Sequence[Observation] | None) -> Sequence[Observation]:
    """Return the observations; refuse an empty data set."""
    found: Any = things() if data is None else data
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise InputError(
            f"Averages need a data set or a list of observations; got {type(found).__name__}. Of an endless "
            "one, take a part: list(itertools.islice(data, 100))."
        )
    wrong = [type(item).__name__ for item in found if not isinstance(item, Observation)]
    if wrong or not found:
        raise InputError(
            f"Averages need at least one Observation; got {', '.join(dict.fromkeys(wrong)) or 'none'}."
        )
    return found


def _shown(observation: Observation, condition: Condition | None) -> Stimulus:
    """Return the stimulus of an observation under the condition."""
    if condition is None:
        return observation.stimulus()
    stimulus = condition(observation)
    if not isinstance(stimulus, Stimulus):
        raise InputError(f"condition must return a Stimulus; it returned {type(stimulus).__name__}.")
    return stimulus


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress("observations", done, total)


class _AnotherRun(InputError):
    """The store belongs to a different run; no single observation is at fault."""


class _Run:
    """The results so far, in memory and in the store."""

    def __init__(
        self,
        model: dict[str, Any],
        settings: Settings,
        data: str,
        size: int,
        condition: str,
        entailment: str,
        path: Path | None,
    ) -> None:
        self.data, self.size, self._path = data, size, path
        self._model, self._settings = model, settings
        self._condition, self._entailment = condition, entailment
        self._so_far: Averages | None = None
        self._rows: dict[int, Row] = {}
        self._skipped: dict[int, Skipped] = {}
        if path is not None and path.exists():
            self._so_far = self._read(path)
        elif path is not None and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
            raise InputError(
                f"The store {str(path)!r} cannot be made: {str(path.parent)!r} is no folder that can be "
                "written to. Make the folder, or name another file."
            )

    def _read(self, path: Path) -> Averages:
        """Return the results of an earlier run, after checking that they belong to this one."""
        found, size = record.read(record.read_json(path))
        mine = {"data": self.data, "size": self.size, "condition": self._condition}
        theirs = {"data": found.data, "size": size, "condition": found.condition}
        wrong = [f"its {text}" for text in differences(theirs, mine)]
        of = {**found.settings.to_dict(), "entailment": found.entailment}
        now = {**self._settings.to_dict(), "entailment": self._entailment}
        wrong += [f"its {text}" for text in differences(of, now)]
        wrong += [f"its model's {text}" for text in differences(found.model, self._model, early=True)]
        if wrong:
            raise self._refusal("; ".join(wrong))
        self._skipped = {item.index: item for item in found.skipped}
        done = (index for index in range(found.size) if index not in self._skipped)
        self._rows = dict(zip(done, found.rows, strict=True))
        return found

    def _refusal(self, reason: str) -> _AnotherRun:
        return _AnotherRun(
            f"The store {str(self._path)!r} is of another run: {reason}. Name another file, or delete this "
            "one to start again."
        )

    def has(self, index: int, stimulus: Stimulus, name: str) -> bool:
        """Return whether an observation is done; `InputError` if the stored result is for a
        different input.
        """
        if index not in self._rows:
            return False
        row = self._rows[index]
        if (row.id, row.stimulus) != (name, record.stimulus_id(stimulus)):
            raise self._refusal(
                f"observation {index} was a different one (id {row.id!r}), or had a different input"
            )
        return True

    def skip(self, index: int, name: str, error: Exception) -> None:
        """List an observation that cannot be run; one that was run before, from the store, stays."""
        if index in self._rows:
            return
        reason = str(error) or type(error).__name__
        self._skipped[index] = Skipped(index, name, reason[:_LONGEST_REASON])
        if self._so_far is not None:
            self._write(self._so_far)

    def keep(self, index: int, trial: Trial, name: str, level: str | None) -> None:
        """Add a trial, and write the store."""
        model, before = identity(trial.model), self._so_far
        if before is not None and (changed := list(differences(before.model, model))):
            raise InputError(
                f"The model has changed since the earlier observations: its {'; its '.join(changed)}. "
                "Earlier results are kept; start again with a different store."
            )
        self._rows[index] = row = Row.of(trial, name, level)
        self._skipped.pop(index, None)
        notes = list(trial.notes)
        if trial.judgement.reason:
            notes.append("Some answers could not be judged by their truth; see `Trial.judgement`.")
        if trial.correct is not None and trial.stimulus.truth_holds is None:
            notes.append(
                "Of pictures whose edits may change the true answer, a right answer is one that agrees with "
                "the truth of the original picture."
            )
        if trial.uncertainty is not None and trial.uncertainty.judge is not None:
            notes += trial.uncertainty.judge.doubts
        if before is None:
            made = Averages(
                model,
                self._settings,
                self.data,
                (row,),
                self._condition,
                self._entailment,
                tuple(notes),
                trial.versions,
                trial.created,
            )
        else:
            made = replace(
                before,
                notes=tuple(dict.fromkeys([*before.notes, *notes])),
                versions=_together(before.versions, trial.versions),
                created=trial.created,
            )
        self._write(made)

    def _write(self, made: Averages) -> None:
        rows = tuple(self._rows[index] for index in sorted(self._rows))
        skipped = tuple(self._skipped[index] for index in sorted(self._skipped))
        self._so_far = made = replace(made, rows=rows, skipped=skipped)
        if self._path is not None:
            record.write({**made.to_dict(), "size": self.size}, self._path)

    def cancelled(self) -> Cancelled:
        """Return the error with a note on the stored results."""
        kept = (
            "Nothing is kept: give store='file.json' to go on later."
            if self._path is None
            else f"They are kept in {str(self._path)!r}: the same call goes on from there."
        )
        skipped = f" {len(self._skipped)} of them were skipped." if self._skipped else ""
        done = len(self._rows) + len(self._skipped)
        return Cancelled(f"Cancelled after {done} of {self.size} observations.{skipped} {kept}")

    def result(self) -> Averages:
        """Return the averages of the complete run."""
        if self._so_far is None:  # there is at least one observation
            first = self._skipped[min(self._skipped)]
            raise InputError(f"None of the {self.size} observations of {self.data} could be run. {first}")
        return self._so_far


def _together(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of both, "1.0, 1.1" if they differ."""
    both = {}
    for name in dict.fromkeys([*before, *now]):
        every = [*before.get(name, "").split(", "), now.get(name, "")]
        both[name] = ", ".join(dict.fromkeys(version for version in every if version))
    return both
