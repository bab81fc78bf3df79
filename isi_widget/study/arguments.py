"""What `run_study` is given, checked and in one form: models, data, conditions, seeds, settings.

Not for running (`running`), nor for comparing a run with its store (`header`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isi_widget import checks
from isi_widget.datasets import Observation
from isi_widget.errors import InputError
from isi_widget.study.condition import PLAIN, Condition
from isi_widget.study.identity import label_of
from isi_widget.study.plan import Source
from isi_widget.study.steps import Function, qualified
from isi_widget.study.work import How
from isi_widget.trial import Measure, Settings, run_trial
from isi_widget.trial import measures as known
from isi_widget.trial.settings import settings_from
from isi_widget.vlm.protocol import check_vlm_like, is_vlm


@dataclass(frozen=True)
class Arguments:
    """The checked arguments of a study.

    Attributes
    ----------
    sources : the models, with different labels.
    data : the observations.
    given : the conditions as they were given, grids among them.
    conditions : the conditions without grids, with different names.
    baseline : name of the condition that the others are compared with.
    seeds : the seeds, all different.
    how : how the trials are run.
    settings : all settings, with the first seed.
    measures : the measures that a run without any limits would have.
    """

    sources: tuple[Source, ...]
    data: Sequence[Observation]
    given: tuple[Condition, ...]
    conditions: tuple[Condition, ...]
    baseline: str
    seeds: tuple[int, ...]
    how: How
    settings: Settings
    measures: tuple[Measure, ...]


def checked(
    models: Any,
    data: Any,
    conditions: Any,
    baseline: str | None,
    seeds: Any,
    measures: Any,
    of_measures: Any,
    entailment: Any,
    settings: Mapping[str, Any],
) -> Arguments:
    """Return the arguments of `run_study` in one form.

    Raises
    ------
    InputError
        One of them is something else than is expected, or has a value out of range.
    """
    given = conditions_of(conditions)
    points = tuple(point for condition in given for point in condition.points())
    names = [point.name for point in points]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"Conditions must have different names; given more than once: {', '.join(map(repr, twice[:5]))}."
        )
    observations = _data(data)
    numbers = _seeds(seeds)
    if not isinstance(of_measures, Mapping | None):
        raise checks.wrong(of_measures, "of_measures", "a dict {name of a measure: {setting: value}}")
    listed = known.by_default() if measures is None else measures
    asked = known.resolve(listed, of_measures or {})
    own = {measure.name: measure.own_settings for measure in asked if measure.own_settings}
    if "seed" in settings:
        raise InputError("A study takes seeds=(...), a row for each, and no seed.")
    chosen = settings_from(
        run_trial, {**settings, "seed": numbers[0]}, [measure.name for measure in asked], own
    )
    if unknown := [str(name) for name in of_measures or {} if name not in [m.name for m in asked]]:
        raise InputError(
            f"of_measures has settings of {', '.join(unknown)}, but this study measures "
            f"{', '.join(measure.name for measure in asked)}."
        )
    sources = sources_of(models)
    labels = [source.label for source in sources]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise InputError(
            f"Models must have different labels; given more than once: {', '.join(map(repr, twice[:5]))}. "
            "Label them yourself: {label: model}."
        )
    return Arguments(
        sources,
        observations,
        given,
        points,
        _baseline(baseline, points),
        numbers,
        How(measures, of_measures, entailment, dict(settings)),
        chosen,
        tuple(dict.fromkeys([*known.OWN, *asked])),
    )


# ---- models
def sources_of(models: Any) -> tuple[Source, ...]:
    """Return the models of a study from a VLM, a name, a list of them, or a dict by label."""
    if isinstance(models, Mapping):
        if not models:
            raise InputError("A study needs at least one model; got an empty dict.")
        return tuple(_source(item, str(label)) for label, item in models.items())
    if isinstance(models, str | Path | None) or is_vlm(models):
        return (_source(models, ""),)
    if isinstance(models, Sequence) and models:
        found = [_source(item, "") for item in models]
        labels = [source.label for source in found]
        return tuple(
            Source(
                label if labels.count(label) == 1 else f"{label} ({labels[: at + 1].count(label)})",
                source.vlm,
                source.arguments,
            )
            for at, (label, source) in enumerate(zip(labels, found, strict=True))
        )
    check_vlm_like(models, "A study needs")
    raise AssertionError


def _source(model: Any, label: str) -> Source:
    if model is None:
        return Source(label or "embedded", None, {"name": None})
    if isinstance(model, str | Path):
        return Source(label or str(model), None, {"name": str(model)})
    if isinstance(model, Mapping):
        import inspect

        from isi_widget.vlm import load_vlm

        takes = inspect.signature(load_vlm).parameters
        if wrong := [str(name) for name in model if name not in takes or name in ("progress", "cancel")]:
            raise InputError(
                f"The model {label!r} is given by the arguments of load_vlm, "
                f"which does not take {', '.join(wrong)} here."
            )
        return Source(label, None, dict(model))
    check_vlm_like(model, "A study needs")
    return Source(label or label_of(model), model)


# ---- data and seeds
def _data(data: Any) -> Sequence[Observation]:
    if isinstance(data, Observation):
        return [data]
    if not isinstance(data, Sequence) or isinstance(data, str | bytes):
        raise InputError(
            f"A study needs a data set or a list of observations; got {type(data).__name__}. Of an endless "
            "one, take a part: list(itertools.islice(data, 100))."
        )
    if not len(data):
        raise InputError("A study needs at least one observation; the data set is empty.")
    wrong = {type(item).__name__ for item in data if not isinstance(item, Observation)}
    if wrong:
        raise InputError(
            f"A study needs observations, such as isi.datasets.scenes(); got {', '.join(sorted(wrong))}. "
            "Changes of them are conditions."
        )
    return data


def _seeds(seeds: Any) -> tuple[int, ...]:
    listed = [seeds] if checks.is_whole(seeds) else seeds
    if isinstance(listed, str) or not isinstance(listed, Iterable):
        raise InputError(f"seeds must be whole numbers, such as range(3); got {checks.shown(seeds)}.")
    found = tuple(checks.integer(seed, "seeds", low=0) for seed in listed)
    if not found or len(set(found)) != len(found):
        raise InputError(f"seeds must be whole numbers that are all different; got {list(found)!r:.200}.")
    return found


# ---- conditions
def conditions_of(conditions: Any) -> tuple[Condition, ...]:
    """Return conditions from a list of conditions and functions, a dict {name: either}, or one of them."""
    if conditions is None:
        return (Condition(PLAIN),)
    if isinstance(conditions, Mapping):
        return tuple(_condition(item, str(name)) for name, item in conditions.items())
    if isinstance(conditions, Condition) or callable(conditions):
        return (_condition(conditions),)
    if isinstance(conditions, str) or not isinstance(conditions, Iterable):
        raise InputError(
            f"conditions must be a list of isi.condition(...) or functions; got {checks.shown(conditions)}."
        )
    found = tuple(map(_condition, conditions))
    if not found:
        raise InputError("A study needs at least one condition; None is the unchanged input.")
    return found


def _condition(item: Any, name: str = "") -> Condition:
    if isinstance(item, Condition):
        return item._with(name=name) if name else item
    if not callable(item):
        raise InputError(
            f"A condition is made by isi.condition(name), or is a function; got {checks.shown(item)}."
        )
    called = name or str(getattr(item, "__name__", "") or qualified(item).rpartition(".")[2])
    return Condition(called, steps=[Function.of(item)])


def _baseline(name: str | None, conditions: Sequence[Condition]) -> str:
    names = [condition.name for condition in conditions]
    if name is None:
        plain: Callable[[Condition], bool] = lambda condition: condition.changes_nothing  # noqa: E731
        return next((condition.name for condition in conditions if plain(condition)), names[0])
    return checks.one_of(name, "baseline", tuple(names))
