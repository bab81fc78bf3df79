"""The unit of work of a study: one model, one observation, all conditions and seeds. `rows_of` runs it.

What is shared is computed once: the features of a picture (the model keeps them), one prefill for each
stimulus with all its measures and seeds, one result for equal stimuli of several conditions. A unit can be
pickled and run in any process; its rows are the same everywhere. Not for what is in a unit (`plan`), nor for
the order of units (`engines`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from isi_widget.interventions import Intervention
from isi_widget.running.stages import Cancel
from isi_widget.stimulus import Stimulus
from isi_widget.study.rows import failure_of, input_of, interventions_of, row_of
from isi_widget.trial import choose_judge, run_trials
from isi_widget.trial.measures import OWN
from isi_widget.trial.run import available
from isi_widget.uncertainty.judges import AUTO

if TYPE_CHECKING:
    from isi_widget.trial import Trial
    from isi_widget.uncertainty.judge import Chosen
    from isi_widget.vlm.protocol import VLMLike


@dataclass(frozen=True)
class How:
    """How every trial of a study is run: the arguments of `run_trial`, without stimulus and seed.

    Attributes
    ----------
    measures : names or objects of the measures; None for all that a model can give.
    of_measures : settings of registered measures; None for none.
    entailment : entailment model, as for `run_trial`.
    settings : the other settings by name.
    raising : whether what fails raises its exception instead of becoming a row; default False.
    """

    measures: Any = None
    of_measures: Mapping[str, Mapping[str, Any]] | None = None
    entailment: Any = AUTO
    settings: Mapping[str, Any] = field(default_factory=dict)
    raising: bool = False


@dataclass(frozen=True)
class Task:
    """One condition of a unit, with the rows that are to be made.

    Attributes
    ----------
    columns : columns of the condition: condition, group, parameter, level, parameters.
    rows : (number of the row, seed) of each row.
    stimulus : the input; None where it could not be made.
    interventions : interventions on the inside of the model.
    failure : columns of the error where the stimulus could not be made; empty otherwise.
    notes : warnings of the making, one sentence each.
    """

    columns: Mapping[str, Any]
    rows: tuple[tuple[int, int], ...]
    stimulus: Stimulus | None = None
    interventions: tuple[Intervention, ...] = ()
    failure: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unit:
    """One model and one observation under all conditions and seeds. Picklable.

    Attributes
    ----------
    columns : columns of all its rows: model, observation, index, semantic_level; and question and context of
        the unchanged observation, for rows that fail.
    tasks : its conditions.
    how : how the trials are run.
    place : which observation it is, in words, for the notes of an exception.
    """

    columns: Mapping[str, Any]
    tasks: tuple[Task, ...]
    how: How = How()
    place: str = ""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its rows."""
        return tuple(number for task in self.tasks for number, _ in task.rows)


def judge_of(vlm: VLMLike, how: How, cancel: Cancel | None = None) -> Chosen | None:
    """Return the entailment model of a study, loaded; None if its measures need none.

    A process calls it once for each model, before its first row, and passes the result to `rows_of`.

    Raises
    ------
    InputError
        The model cannot give a measure that was named, or the entailment model cannot be loaded.
    """
    measures = available(vlm, how.measures, how.of_measures or {})
    if all(measure in OWN and measure.name != "uncertainty" for measure in measures):
        return None
    return choose_judge(vlm, how.entailment, None, cancel)


def rows_of(
    vlm: VLMLike, unit: Unit, cancel: Cancel | None = None, *, judge: Chosen | None = None
) -> Iterator[dict[str, Any]]:
    """Run a unit; yield each finished row as a plain dict with the columns of docs/studies.md.

    A trial that fails is a row, too: with `error` and `error_type`, and nothing measured.

    Parameters
    ----------
    vlm : the model.
    unit : the unit.
    cancel : polled between trials and tokens; once it returns True, `Cancelled` is raised.
    judge : entailment model of `judge_of`; None (default) for that of the unit.

    Raises
    ------
    Cancelled
        `cancel` returned True; the rows that were yielded are finished.
    """
    made: dict[Any, list[Any]] = {}
    for task in unit.tasks:
        common = {
            **unit.columns,
            **task.columns,
            "interventions": interventions_of(task.interventions),
        }
        seeds = tuple(seed for _, seed in task.rows)
        stimulus = task.stimulus
        if stimulus is None:
            for number, seed in task.rows:
                yield {**common, "row": number, "seed": seed, **task.failure, "notes": list(task.notes)}
            continue
        key = (stimulus.key, task.interventions, seeds)
        if key not in made:
            made[key] = _trials(vlm, task, stimulus, seeds, unit.how, judge, cancel)
        for (number, seed), trial in zip(task.rows, made[key], strict=True):
            if unit.how.raising and isinstance(trial, Exception):
                trial.add_note(unit.place)
                raise trial
            row = {**common, "row": number, "seed": seed}
            yield row | _content(trial, stimulus, task.notes)


def failed_rows(unit: Unit, error: BaseException) -> Iterator[dict[str, Any]]:
    """Yield a row with an error for each row of a unit that could not be run as a whole."""
    for task in unit.tasks:
        shown = {} if task.stimulus is None else input_of(task.stimulus)
        failure = task.failure if task.stimulus is None else failure_of(error)
        common = {**unit.columns, **task.columns, "interventions": interventions_of(task.interventions)}
        for number, seed in task.rows:
            yield {**common, "row": number, "seed": seed, **shown, **failure, "notes": list(task.notes)}


def _trials(
    vlm: VLMLike,
    task: Task,
    stimulus: Stimulus,
    seeds: tuple[int, ...],
    how: How,
    judge: Chosen | None,
    cancel: Cancel | None,
) -> list[Trial | Exception]:
    """Return a trial, or its error, for each seed."""
    try:
        model = vlm.intervene(*task.interventions) if task.interventions else vlm
    except Exception as error:
        return [error for _ in seeds]
    return run_trials(
        model,
        stimulus,
        seeds,
        measures=how.measures,
        of_measures=how.of_measures,
        entailment=how.entailment if judge is None else judge,
        cancel=cancel,
        **how.settings,
    )


def _content(trial: Trial | Exception, stimulus: Stimulus, notes: tuple[str, ...]) -> dict[str, Any]:
    """Return the columns of one result."""
    if isinstance(trial, Exception):
        return {**input_of(stimulus), **failure_of(trial), "notes": list(notes)}
    if trial.stimulus is not stimulus:  # of an equal one, whose truth may be another
        trial = replace(trial, stimulus=stimulus)
    row = row_of(trial)
    return row | {"notes": [*notes, *row["notes"]]}


#: Called with each finished row.
Take = Callable[[dict[str, Any]], None]
