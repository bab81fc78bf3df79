"""`Condition`: a named change of the input and of the inside of a model, as data. `condition` begins one.

It has every method of a stimulus that changes it; each returns a new condition with one more step. Not for
running conditions (`running`), nor for ready-made ones (`conditions`).
"""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from isi_widget import checks
from isi_widget.concepts.pair import stimulus_of
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.interventions import Intervention, checked, from_dicts, to_dicts
from isi_widget.stimulus import Picture, Stimulus
from isi_widget.stimulus.operations import Operation
from isi_widget.study.step_values import Grid
from isi_widget.study.steps import CHAIN, Applied, Call, Function, Step, step_from_dict

PLAIN = "plain"
SCHEMA = 1
#: How a condition is described, besides its name.
_DEFAULTS: Mapping[str, Any] = {
    "level": None,
    "group": "",
    "baseline": PLAIN,
    "parameter": None,
    "parameters": {},
}


class Changes:
    """Interventions on the inside whose arguments hold a grid: a class and its arguments."""

    def __init__(
        self, make: Callable[..., Intervention], positional: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        self.make, self.positional, self.named = make, positional, named

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The grids among its arguments."""
        return tuple(item for item in (*self.positional, *self.named.values()) if isinstance(item, Grid))

    def at(self, values: Mapping[str, Any]) -> Intervention:
        """Return the intervention with values in place of its grids."""
        given = {name: values[name] if isinstance(item, Grid) else item for name, item in self.named.items()}
        given |= {
            name: values[name]
            for item in self.positional
            if isinstance(item, Grid)
            for name, _ in item.values
        }
        return checked([self.make(*(i for i in self.positional if not isinstance(i, Grid)), **given)])[0]

    def code(self) -> str:
        """Return Python for its arguments, the class first."""
        given = [*map(repr, self.positional), *(f"{name}={item!r}" for name, item in self.named.items())]
        return ", ".join([f"isi.{self.make.__name__}", *given])


class Condition:
    """A named condition: steps from an observation, or a stimulus, to a stimulus, and interventions on the
    inside of the model. Immutable, equal by content, picklable.

    Parameters
    ----------
    name : name in tables.
    apply : function from a stimulus to a stimulus, as its first step; None (default) for none.
    level : strength on the axis of a curve; None (default) for a condition that is no point of a curve.
    group : curve or set that it belongs to; default "".
    baseline : name of the condition that its answers are compared with; default "plain".
    parameter : name of the parameter that `level` is a value of; None (default) for none.
    parameters : values of all parameters of its grid by name; default none.
    steps : its steps; default none.
    interventions : interventions on the inside of the model; default none.
    """

    __slots__ = (
        "baseline",
        "group",
        "interventions",
        "level",
        "name",
        "parameter",
        "parameters",
        "steps",
    )

    name: str
    level: float | None
    group: str
    baseline: str
    parameter: str | None
    parameters: Mapping[str, Any]
    steps: tuple[Step, ...]
    interventions: tuple[Intervention | Changes, ...]

    def __init__(
        self,
        name: str,
        apply: Callable[[Stimulus], Stimulus] | None = None,
        level: float | None = None,
        group: str = "",
        baseline: str = PLAIN,
        *,
        parameter: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        steps: Iterable[Step] = (),
        interventions: Iterable[Intervention | Changes] = (),
    ) -> None:
        name = checks.text(name, "Condition: name")
        if not name.strip():
            raise InputError("Condition: name must not be empty.")
        if apply is not None and not callable(apply):
            raise InputError(
                f"Condition: apply must be a function from a stimulus to a stimulus, got "
                f"{checks.shown(apply)}."
            )
        first = () if apply is None else (Function.of(apply),)
        values = {
            "name": name,
            "level": None if level is None else float(checks.number(level, "Condition: level")),
            "group": checks.text(group, "Condition: group"),
            "baseline": checks.text(baseline, "Condition: baseline"),
            "parameter": None if parameter is None else checks.text(parameter, "Condition: parameter"),
            "parameters": dict(parameters or {}),
            "steps": (*first, *steps),
            "interventions": tuple(interventions),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("A Condition cannot be changed; every method returns a new one.")

    def _with(self, **changes: Any) -> Condition:
        values = {name: getattr(self, name) for name in self.__slots__} | changes
        return Condition(values.pop("name"), None, **values)

    # ---- making
    def _step(self, method: str, /, *positional: Any, **named: Any) -> Condition:
        return self._with(steps=(*self.steps, Call.of(method, positional, named)))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Condition]:
            """Return one of the methods of `CHAIN`, which are set below the class."""

    def apply(self, *given: Any, **named: Any) -> Condition:
        """Add a function, or operations of `isi.stimulus`, as a step.

        Parameters
        ----------
        given : one function from a stimulus (or from an observation, if its first parameter is called `obs`
            or `observation`, or annotated so) to a stimulus, then grids of its further parameters; or
            operations.
        named : further arguments of the function.
        """
        if given and all(isinstance(item, Operation) for item in given) and not named:
            return self._with(steps=(*self.steps, Applied(tuple(given))))
        if not given or not callable(given[0]):
            raise InputError(
                "apply needs a function from a stimulus to a stimulus, or operations; got "
                f"{checks.shown(given[0] if given else None)}. A condition is called with an observation: "
                "condition(observation)."
            )
        return self._with(steps=(*self.steps, Function.of(given[0], given[1:], named)))

    def intervene(self, *interventions: Any, **named: Any) -> Condition:
        """Add interventions on the inside of the model.

        Parameters
        ----------
        interventions : interventions, as for `vlm.intervene`; or the class of one, then its arguments, which
            may hold a grid: `.intervene(isi.HeadScale, 2, 0, isi.grid(factor=[0, 0.5, 1]))`.
        named : arguments of the class by name.
        """
        if interventions and isinstance(interventions[0], type):
            made = Changes(interventions[0], interventions[1:], named)
            added: tuple[Intervention | Changes, ...] = (made,) if made.grids else (made.at({}),)
        elif named:
            raise InputError(
                f"intervene takes {', '.join(named)} only after the class of an intervention, such as "
                "intervene(isi.HeadScale, 2, 0, factor=0)."
            )
        else:
            added = checked(interventions)
        return self._with(interventions=(*self.interventions, *added))

    def against(self, baseline: str) -> Condition:
        """Return the condition with the name of the one that its answers are compared with."""
        return self._with(baseline=baseline)

    # ---- its points
    @property
    def grids(self) -> tuple[Grid, ...]:
        """The grids in its steps and interventions, in order."""
        return tuple(
            item for step in (*self.steps, *self.interventions) for item in getattr(step, "grids", ())
        )

    def points(self) -> tuple[Condition, ...]:
        """Return one condition for each combination of its grids' values; itself without any grid.

        A point is named after its values ("noise sigma=0.1"). Its `group` is the name of this condition, with
        the values of all but the first parameter: the points of a group are a curve over that parameter.
        """
        grids = self.grids
        if not grids:
            return (self,)
        names = [name for item in grids for name, _ in item.values]
        if len(set(names)) != len(names):
            raise InputError(
                f"The condition {self.name!r} has two grids of the parameter "
                f"{next(n for n in names if names.count(n) > 1)!r}. Use one step with a grid of it."
            )
        found = []
        for values in itertools.product(*(values for item in grids for _, values in item.values)):
            given = dict(zip(names, values, strict=True))
            rest = " ".join(f"{name}={_short(given[name])}" for name in names[1:])
            group = f"{self.group or self.name} {rest}".strip()
            first = given[names[0]]
            found.append(
                self._with(
                    name=f"{self.name} {' '.join(f'{name}={_short(given[name])}' for name in names)}",
                    group=group,
                    parameter=names[0],
                    level=float(first) if checks.is_real(first) and not isinstance(first, bool) else None,
                    parameters=given,
                    steps=tuple(step.at(given) if step.grids else step for step in self.steps),
                    interventions=tuple(
                        item.at(given) if isinstance(item, Changes) else item for item in self.interventions
                    ),
                )
            )
        return tuple(found)

    # ---- in use
    def __call__(self, item: Any) -> Stimulus:
        """Return the stimulus of this condition, from a stimulus or an observation.

        Interventions on the inside are not part of it: `vlm.intervene(*condition.interventions)`.
        """
        if self.grids:
            raise InputError(
                f"The condition {self.name!r} has a grid, so it stands for several: call one of its points()."
            )
        stimulus = stimulus_of(item, f"condition {self.name!r}: its argument")
        observation = None if isinstance(item, Stimulus) else item
        for step in self.steps:
            stimulus = step.on(stimulus, observation)
        return stimulus

    @property
    def changes_nothing(self) -> bool:
        """Whether it has neither steps nor interventions."""
        return not self.steps and not self.interventions

    @property
    def __name__(self) -> str:
        return self.name

    # ---- as data
    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict. Pictures are named by their hash, functions by their name."""
        if self.grids:
            raise InputError(f"The condition {self.name!r} has a grid; its points() have a JSON form.")
        record: dict[str, Any] = {"schema": SCHEMA, "name": self.name}
        for name, default in _DEFAULTS.items():
            if (value := getattr(self, name)) != default:
                record[name] = value
        if self.parameters:
            record["parameters"] = {
                key: checks.plain(value)
                if value is None or isinstance(value, str | int | float)
                else str(value)
                for key, value in self.parameters.items()
            }
        record["steps"] = [step.to_dict() for step in self.steps]
        record["interventions"] = to_dicts([i for i in self.interventions if isinstance(i, Intervention)])
        return record

    @classmethod
    @records.reader("a condition", names=False, values=False)
    def from_dict(cls, record: Mapping[str, Any], pictures: Mapping[str, Picture] | None = None) -> Condition:
        """Rebuild from the record of `to_dict`.

        A function that is not of this package is known by its name only: the condition can be shown and
        compared, and raises `InputError` if it is called.

        Parameters
        ----------
        record : the record.
        pictures : pictures by their hash, for steps that hold some.
        """
        if record.get("schema") != SCHEMA:
            raise InputError(
                f"This is no condition of schema {SCHEMA}: got schema {record.get('schema')!r:.60}."
            )
        known = {} if pictures is None else pictures
        given = {key: value for key, value in record.items() if key in _DEFAULTS}
        steps = [step_from_dict(item, known) for item in record.get("steps", ())]
        changes = from_dicts(record.get("interventions", []))
        return cls(record["name"], None, **given, steps=steps, interventions=changes)

    @property
    def pictures(self) -> dict[str, Picture]:
        """The pictures that its steps hold, by their hash."""
        held: list[Picture] = []
        for step in self.steps:
            if isinstance(step, Applied):
                held += [picture for item in step.operations for picture in item.pictures]
            else:
                held += [item for item in step.arguments.values() if isinstance(item, Picture)]
        return {picture.sha256: picture for picture in held}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Condition):
            return NotImplemented
        return self._content() == other._content()

    def _content(self) -> tuple[Any, ...]:
        values = [getattr(self, name) for name in self.__slots__ if name not in ("steps", "interventions")]
        steps = json.dumps([step.to_dict() for step in self.steps], sort_keys=True)
        inside = [item.code() if isinstance(item, Changes) else item for item in self.interventions]
        return (*values, steps, inside)

    def __hash__(self) -> int:
        return hash((self.name, self.group, self.level, len(self.steps)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, ({name: getattr(self, name) for name in self.__slots__},)

    # ---- as Python
    @property
    def expression(self) -> str:
        """Python for the stimulus that it makes of a stimulus `s`."""
        made = "s"
        for step in self.steps:
            made = step.expression(made)
        return made

    def code(self) -> str:
        """Write Python that makes it, with `import isi_widget as isi`.

        Pictures come from a dict `pictures` by their hash, functions from their own names.
        """
        made = f"isi.condition({', '.join([repr(self.name), *self._described()])})"
        for step in self.steps:
            made = step.code(made)
        inside = [item.code() for item in self.interventions if isinstance(item, Intervention)]
        made += f".intervene({', '.join(inside)})" if inside else ""
        for item in self.interventions:
            made += f".intervene({item.code()})" if isinstance(item, Changes) else ""
        return made

    def _described(self) -> list[str]:
        """Return the arguments of `condition` that differ from their defaults."""
        given = {name: getattr(self, name) for name, default in _DEFAULTS.items()}
        return [f"{name}={value!r}" for name, value in given.items() if value != _DEFAULTS[name]]

    def __repr__(self) -> str:
        return self.code()


def _made(values: dict[str, Any]) -> Condition:
    """Unpickle."""
    return Condition(values.pop("name"), None, **values)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else str(value)


def condition(
    name: str,
    *,
    level: float | None = None,
    group: str = "",
    baseline: str = PLAIN,
    parameter: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Condition:
    """Return a condition that changes nothing yet: `isi.condition("noise .3").noise(0.3)`.

    Parameters
    ----------
    name : name in tables.
    level : strength on the axis of a curve; None (default) for a condition that is no point of a curve.
    group : curve or set that it belongs to; default "".
    baseline : name of the condition that its answers are compared with; default "plain".
    parameter : name of the parameter that `level` is a value of; None (default) for none.
    parameters : values of several parameters by name; default none.
    """
    return Condition(name, None, level, group, baseline, parameter=parameter, parameters=parameters)


def _method(name: str) -> Callable[..., Condition]:
    original = getattr(Stimulus, name)

    def method(self: Condition, /, *positional: Any, **named: Any) -> Condition:
        return self._step(name, *positional, **named)

    method.__name__ = name
    method.__qualname__ = f"Condition.{name}"
    method.__doc__ = (
        f"Add `Stimulus.{name}` as a step; the same arguments. A region may be the name of an object, or "
        f'"about"; any argument may be `isi.grid(...)`.\n\n{inspect.getdoc(original)}'
    )
    method.__signature__ = inspect.signature(original).replace(return_annotation="Condition")  # type: ignore[attr-defined]
    return method


for _name in CHAIN:
    setattr(Condition, _name, _method(_name))
