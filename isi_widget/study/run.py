"""`averages`: a data set through one model, as a study with one condition and one seed, in this process.

Not for several models or conditions at once, nor for more than one process: `run_study`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isi_widget.datasets import Observation, things
from isi_widget.errors import Cancelled, InputError
from isi_widget.readable import counted
from isi_widget.running.stages import Cancel, Progress
from isi_widget.stimulus import Stimulus, checks
from isi_widget.study import arguments, record
from isi_widget.study.condition import Condition
from isi_widget.study.from_study import UNCHANGED, parts_of
from isi_widget.study.identity import differences, identity
from isi_widget.study.record import Averages, Skipped
from isi_widget.study.running import start
from isi_widget.study.steps import Function
from isi_widget.trial import choose_judge
from isi_widget.trial.settings import settings_from, takes_settings
from isi_widget.uncertainty.judges import AUTO
from isi_widget.vlm.protocol import check_vlm_like

if TYPE_CHECKING:
    from isi_widget.study.study import Study
    from isi_widget.trial.settings import Settings
    from isi_widget.uncertainty.judge import Entailment
    from isi_widget.vlm.protocol import VLMLike


@takes_settings("do_sample", "num_beams")
def averages(
    vlm: VLMLike,
    data: Sequence[Observation] | None = None,
    *,
    condition: Condition | Callable[[Observation], Stimulus] | None = None,
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
    condition : condition, or function from an observation to its stimulus, such as `lambda obs:
        obs.stimulus().with_context(preset="contradictory")`. None (default): the unchanged observation, with
        its natural image and its own context, which may be empty.
    entailment, settings : as in `run_trial`. The shown answer is greedy. Every observation has the same
        seed, as a trial of its own would have.
    store : folder with the rows so far, each written at once: that of a study, which `isi.open_study` reads.
        If it exists, the run resumes; of a complete one nothing is run. A folder with different settings,
        model or data is refused; observations may be added at the end. A complete JSON file of an earlier
        version is loaded, too.
    on_error : treatment of an observation that cannot be run (damaged picture, context too long, failing
        condition). "raise" (default) stops; "skip" continues without it, and lists it with the reason in
        `Averages.skipped`, in the store, on the page and in a warning. The same call with the same store
        tries what was skipped again.
    progress : called as progress("observations", done, total), from the observations in the store to all;
        before that as progress("entailment", done, 100) where the entailment model has to be loaded.
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
    shown = _condition(condition)
    file = None if store is None or not Path(store).is_file() else record.read(record.read_json(store))
    judge = choose_judge(vlm, entailment, progress, cancel)  # one and the same for all of them
    if file is not None:
        return _of_file(file, str(store), vlm, observations, shown, chosen, judge.label)
    rest = {name: value for name, value in settings.items() if name != "seed"}
    given = arguments.checked(vlm, observations, shown, None, (chosen.seed,), None, None, judge, rest)
    given = replace(given, how=replace(given.how, raising=on_error == "raise"))
    try:
        study = start(
            given, store, max_failing=1.0, keep_images=False, progress=_reporting(progress), cancel=cancel
        )
    except Cancelled as error:
        raise _cancelled(error, store, len(observations)) from None
    made = Averages(**parts_of(study._store))
    if made.skipped:
        warnings.warn(_left_out(made.skipped, made.size), UserWarning, stacklevel=2)
    return made


def _left_out(skipped: Sequence[Skipped], size: int) -> str:
    were = "was" if len(skipped) == 1 else "were"
    return (
        f"{len(skipped)} of {counted(size, 'observation')} {were} skipped; `skipped` of the averages "
        f"lists why. The first: {skipped[0]}"
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


def _condition(condition: Condition | Callable[[Observation], Stimulus] | None) -> Condition:
    """Return the one condition of the study."""
    if condition is None:
        return Condition(UNCHANGED)
    if isinstance(condition, Condition):
        if condition.grids:
            raise InputError(
                f"Averages have one condition; {condition.name!r} has a grid. Take one of its points(), or "
                "run a study: isi.run_study."
            )
        return condition
    if not callable(condition):
        raise InputError(
            f"condition must be an isi.condition(...) or a function; got {type(condition).__name__}."
        )
    name = str(getattr(condition, "__name__", type(condition).__name__))
    return Condition(name, steps=[Function.of(condition, takes="observation")])


def _reporting(progress: Progress | None) -> Progress | None:
    return None if progress is None else lambda _, done, total: progress("observations", done, total)


def _cancelled(error: Cancelled, store: str | Path | None, size: int) -> Cancelled:
    """Return the error with a note on the stored results."""
    study: Study | None = getattr(error, "study", None)
    done = 0 if study is None else len(study)
    failed = 0 if study is None else len(study.failed)
    kept = (
        "Nothing is kept: give store='folder' to go on later."
        if store is None
        else f"They are kept in {str(store)!r}: the same call goes on from there."
    )
    skipped = f" {failed} of them were skipped." if failed else ""
    return Cancelled(f"Cancelled after {done} of {counted(size, 'observation')}.{skipped} {kept}")


def _of_file(
    found: tuple[Averages, int],
    path: str,
    vlm: VLMLike,
    observations: Sequence[Observation],
    condition: Condition,
    settings: Settings,
    entailment: str,
) -> Averages:
    """Return the averages of a JSON file, if it is complete and of this run.

    Raises
    ------
    InputError
        It is of another run, or was not finished by the version that wrote it.
    """
    made, size = found
    name = getattr(observations, "name", None) or f"{len(observations)} observations"
    shown = "" if condition.name == UNCHANGED else condition.name
    now = {"data": name, "size": len(observations), "condition": shown}
    then = {"data": made.data, "size": size, "condition": made.condition}
    wrong = list(differences(then, now))
    of: dict[str, Any] = {**made.settings.to_dict(), "entailment": made.entailment}
    wrong += differences(of, {**settings.to_dict(), "entailment": entailment})
    changed = differences(made.model, identity(vlm.info()), early=True)
    wrong += [f"{text} in the model" for text in changed]
    if wrong:
        raise InputError(
            f"The store {path!r} is of another run: {'; '.join(wrong)}. Name another folder, or delete this "
            "one to start again."
        )
    _check_inputs(made, observations, condition, path)
    if made.size != size:
        raise InputError(
            f"The file {path!r} was written by an earlier version and is unfinished: {made.size} of {size} "
            "observations. Name a folder as store= to run them; the file stays as it is."
        )
    return made


def _check_inputs(
    made: Averages, observations: Sequence[Observation], condition: Condition, path: str
) -> None:
    """Refuse a file whose rows are of different observations or inputs."""
    left_out = {item.index for item in made.skipped}
    places = [index for index in range(made.size) if index not in left_out]
    for index, row in zip(places, made.rows, strict=True):
        observation = observations[index]
        same = row.id == (observation.id or str(index))
        if not same or row.stimulus != record.stimulus_id(condition(observation)):
            raise InputError(
                f"The store {path!r} is of another run: observation {index} was a different one (id "
                f"{row.id!r}), or had a different input. Name another folder, or delete this one to start "
                "again."
            )
