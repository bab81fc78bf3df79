"""`Plan`: which rows a study has, which of them are missing, and the units of work that make them.

Not for running units (`work`, `engines`), nor for storing rows (`store`).
"""

from __future__ import annotations

import gc
import hashlib
import itertools
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from isi_widget.errors import Cancelled
from isi_widget.readable import counted
from isi_widget.running.stages import Cancel
from isi_widget.study.condition import Condition
from isi_widget.study.rows import failure_of
from isi_widget.study.work import How, Task, Unit

if TYPE_CHECKING:
    from isi_widget.datasets import Observation
    from isi_widget.stimulus import Picture
    from isi_widget.vlm.protocol import VLMLike

#: Numbers of models, observations, conditions and seeds.
Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Source:
    """One model of a study: loaded already, or with the arguments that load it.

    Attributes
    ----------
    label : its name in the rows.
    vlm : the model; None if it is loaded for its turn and freed after it.
    arguments : arguments of `load_vlm`; None for a model that is given.
    """

    label: str
    vlm: VLMLike | None = None
    arguments: Mapping[str, Any] | None = None

    @contextmanager
    def opened(
        self, progress: Callable[[float, str], None] | None = None, cancel: Cancel | None = None
    ) -> Iterator[VLMLike]:
        """Yield the model; one that is loaded here is freed at the end."""
        if self.vlm is not None:
            yield self.vlm
            return
        from isi_widget.pretrained.out_of_memory import free_caches
        from isi_widget.vlm import load_vlm

        held = [load_vlm(**(self.arguments or {}), progress=progress, cancel=cancel)]
        try:
            yield held[0]
        finally:
            held.clear()
            gc.collect()
            free_caches()


class Numbers:
    """The number of each row, which never changes, also when a study grows.

    A study may get further models, observations, conditions or seeds at the end of each list. The rows of the
    first plan are numbered in the order model, observation, condition, seed; those that a later plan adds
    follow in the same order.

    Parameters
    ----------
    shapes : shapes of the plans, each at least as large as the one before it in every direction.
    """

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self.shapes = tuple(shapes)

    def __len__(self) -> int:
        return int(np.prod(self.shapes[-1]))

    def of(self, model: int, observation: int, condition: int, seed: int) -> int:
        """Return the number of a row."""
        key = (model, observation, condition, seed)
        for at, shape in enumerate(self.shapes):
            if all(place < size for place, size in zip(key, shape, strict=True)):
                number = _before(key, shape)
                if at:
                    earlier = self.shapes[at - 1]
                    number += int(np.prod(earlier)) - _before(key, earlier)
                return number
        raise IndexError(key)


def _before(key: Shape, shape: Shape) -> int:
    """Return how many places of a shape come before a key in lexical order."""
    count = 0
    for at, (place, size) in enumerate(zip(key, shape, strict=True)):
        count += min(place, size) * int(np.prod(shape[at + 1 :]))
        if place >= size:
            break
    return count


@dataclass
class Plan:
    """The rows of a study and what is missing of them.

    Attributes
    ----------
    sources : the models, which take their turns in this order.
    data : the observations.
    conditions : the conditions, without grids.
    seeds : the seeds.
    how : how the trials are run.
    numbers : the numbers of the rows.
    done : whether each row is there already, bool [rows].
    meet : called as meet(label, info of the model, label of the entailment model) before the first row of a
        model; raises `InputError` if it is not the model of the earlier rows.
    keep : called with the pictures of each stimulus before its rows are made.
    observe : called as observe(observation, index) with each observation that has a stimulus.
    note : called with a few words on what is going on.
    cancel : polled between trials and tokens; None for never.
    """

    sources: tuple[Source, ...]
    data: Sequence[Observation]
    conditions: tuple[Condition, ...]
    seeds: tuple[int, ...]
    how: How
    numbers: Numbers
    done: Any = None
    meet: Callable[[str, Mapping[str, Any], str], None] = lambda label, info, entailment: None
    keep: Callable[[Mapping[str, Picture]], None] = lambda pictures: None
    observe: Callable[[Observation, int], None] = lambda observation, index: None
    note: Callable[[str], None] = lambda text: None
    cancel: Cancel | None = None
    _labels: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.done is None:
            self.done = np.zeros(len(self.numbers), dtype=np.bool_)
        self._labels = {source.label: at for at, source in enumerate(self.sources)}

    def __len__(self) -> int:
        return len(self.numbers)

    def missing(self, label: str) -> bool:
        """Return whether a model has rows to make."""
        return next(self._open(label), None) is not None

    def open_units(self, label: str, most: int) -> int:
        """Return how many units of a model have missing rows, counted up to `most`."""
        return sum(1 for _ in itertools.islice(self._open(label), most))

    def units(self, label: str) -> Iterator[Unit]:
        """Yield the units of a model that have missing rows; pictures are loaded one unit at a time.

        Raises
        ------
        Cancelled
            `cancel` returned True.
        """
        for index, tasks in self._open(label):
            if self.cancel is not None and self.cancel():
                raise Cancelled("The study was cancelled.")
            yield self._unit(label, index, tasks)

    def _open(self, label: str) -> Iterator[tuple[int, list[tuple[int, tuple[tuple[int, int], ...]]]]]:
        """Yield (observation, [(condition, ((row, seed), ...)), ...]) where rows are missing."""
        model = self._labels[label]
        for index in range(len(self.data)):
            tasks = []
            for at in range(len(self.conditions)):
                numbers = (self.numbers.of(model, index, at, place) for place in range(len(self.seeds)))
                rows = [
                    (number, seed)
                    for number, seed in zip(numbers, self.seeds, strict=True)
                    if not self.done[number]
                ]
                if rows:
                    tasks.append((at, tuple(rows)))
            if tasks:
                yield index, tasks

    def _unit(self, label: str, index: int, tasks: list[tuple[int, tuple[tuple[int, int], ...]]]) -> Unit:
        observation = self.data[index]
        columns = {
            "model": label,
            "observation": name_of(observation, index),
            "index": index,
            "semantic_level": observation.level,
            "question": observation.question,
            "context": observation.context,
        }
        data = getattr(self.data, "name", None) or counted(len(self.data), "observation")
        place = f"at observation {index} ({columns['observation']!r}) of {data}"
        made = tuple(self._task(observation, self.conditions[at], rows, place) for at, rows in tasks)
        if any(task.stimulus is not None for task in made):
            self.observe(observation, index)
        return Unit(columns, made, self.how, place)

    def _task(
        self, observation: Observation, condition: Condition, rows: tuple[tuple[int, int], ...], place: str
    ) -> Task:
        columns = {
            "condition": condition.name,
            "group": condition.group,
            "parameter": condition.parameter,
            "level": condition.level,
            "parameters": json.dumps(dict(condition.parameters), default=str),
        }
        interventions: Any = condition.interventions
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            try:
                stimulus = condition(observation)
            except Exception as error:
                if self.how.raising:
                    error.add_note(place)
                    raise
                return Task(columns, rows, None, interventions, failure_of(error))
        self.keep(stimulus.pictures)
        notes = tuple(dict.fromkeys(str(item.message) for item in heard))
        return Task(columns, rows, stimulus, interventions, notes=notes)


def name_of(observation: Observation, index: int) -> str:
    """Return the id of an observation, or its index."""
    return observation.id or str(index)


def data_digest(data: Sequence[Observation]) -> list[str]:
    """Return 12 hexadecimal digits for the texts and the truth of each observation; loads no picture."""
    return [
        hashlib.sha256(
            json.dumps(
                [
                    item.id,
                    item.question,
                    item.context,
                    item.answer,
                    item.level,
                    sorted(item.contexts.items()),
                ],
                ensure_ascii=True,
            ).encode()
        ).hexdigest()[:12]
        for item in data
    ]
