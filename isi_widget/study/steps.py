"""The steps of a condition, as data: a method of `Stimulus` with its arguments, or a function.

A region may be named instead of given: "about" stands for the parts of the picture that decide the true
answer, any other text for an object of the picture ("red star"). Both are looked up in each observation. Not
for the conditions themselves (`condition`).
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.stimulus import Mask, Picture, Stimulus, load_image
from isi_widget.stimulus.operations import (
    Operation,
    operation_from_dict,
    operation_kind,
    picture_fields,
)
from isi_widget.study.step_values import Grid, filled, operation_code, packed, unpacked, written
from isi_widget.trial.literals import is_name

#: Name of the region that decides the true answer.
ABOUT = "about"
#: Arguments of methods that are regions of the current picture.
_REGIONS = ("region", "other")
#: Methods that act on a box, which may be that of a named region.
_BOXES = ("box", "ellipse")
#: Arguments of methods that are pictures.
_PICTURES = ("image", "picture", "pixels")
#: Functions of this package that are called again when a condition is read; others are known by name only.
_OWN = "isi_widget.study.conditions"
OWN_FUNCTIONS = ("random_image", "random_context", "diluted")

#: Methods of `Stimulus` that change it: the methods of a condition.
CHAIN = (
    *("box", "ellipse", "polygon", "line", "arrow", "text", "noise", "blur", "pixelate", "downscale", "jpeg"),
    *("erase", "patch", "with_image", "with_context", "with_question", "replace_words"),
    *("remove", "insert", "recolor", "retexture", "resize", "move", "swap", "mirror"),
)


@dataclass(frozen=True)
class Call:
    """A method of a stimulus with its arguments, by name.

    Attributes
    ----------
    method : name of the method, one of `CHAIN`; or "apply" with operations under "operations".
    arguments : the arguments by name. Pictures are `Picture`, operations `Operation`.
    """

    method: str
    arguments: Mapping[str, Any] = field(hash=False)

    @classmethod
    def of(cls, method: str, positional: Sequence[Any], named: Mapping[str, Any]) -> Call:
        """Return the call, its arguments checked by name."""
        signature = inspect.signature(getattr(Stimulus, method))
        grids = [item for item in positional if isinstance(item, Grid)]
        given = dict(named)
        for item in grids:
            for name, values in item.values:
                if name not in signature.parameters:
                    known = ", ".join(list(signature.parameters)[1:])
                    raise InputError(f"{method}: a grid of {name!r} is not possible; it has {known}.")
                if name in given:
                    raise InputError(f"{method}: {name!r} is given twice, once in a grid.")
                given[name] = Grid(((name, values),))
        for name, value in given.items():
            if isinstance(value, Grid) and [key for key, _ in value.values] != [name]:
                raise InputError(
                    f"{method}: {name}={value!r} must be a grid of {name!r}. Give it by position, or name it "
                    "so."
                )
        try:
            bound = signature.bind(None, *(i for i in positional if not isinstance(i, Grid)), **given)
        except TypeError as error:
            boxed = method in _BOXES and _names_region(positional, given)
            if not boxed:
                raise InputError(f"{method}: {error}. It takes {signature}.") from None
            bound = signature.bind_partial(None, *(i for i in positional if not isinstance(i, Grid)), **given)
        arguments = dict(list(bound.arguments.items())[1:])
        for name in _PICTURES:
            if arguments.get(name) is not None and not isinstance(arguments[name], Grid | Picture):
                arguments[name] = load_image(arguments[name])
        return cls(method, arguments)

    def on(self, stimulus: Stimulus, observation: Any) -> Stimulus:
        """Return the stimulus after this step; `observation` gives the masks of named objects."""
        made = stimulus
        for arguments in self._resolved(stimulus, observation):
            made = getattr(made, self.method)(**arguments)
        return made

    def _resolved(self, stimulus: Stimulus, observation: Any) -> Iterator[dict[str, Any]]:
        """Yield the arguments of each call: one for each part of a region "about"."""
        arguments = dict(self.arguments)
        if self.method in _BOXES and isinstance(arguments.get("x"), str):
            for region in named_regions(arguments.pop("x"), stimulus, observation):
                left, top, right, bottom = _edges(region)
                yield {**arguments, "x": left, "y": top, "width": right - left, "height": bottom - top}
            return
        parts: list[Any] | None = None
        for name in _REGIONS:
            if isinstance(arguments.get(name), str):
                found = named_regions(arguments[name], stimulus, observation)
                if name == _REGIONS[0] and self.method not in ("swap", "move", "resize"):
                    parts = list(found)
                elif len(found) != 1:
                    raise InputError(
                        f"{self.method}: {arguments[name]!r} stands for {len(found)} regions of this "
                        "picture; expected one."
                    )
                else:
                    arguments[name] = found[0]
        if parts is None:
            yield arguments
        else:
            yield from ({**arguments, "region": part} for part in parts)

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The grids among its arguments."""
        return tuple(value for value in self.arguments.values() if isinstance(value, Grid))

    def at(self, values: Mapping[str, Any]) -> Call:
        """Return the call with values in place of its grids."""
        return Call(self.method, filled(self.arguments, values))

    def expression(self, subject: str) -> str:
        """Return Python for what it makes of `subject`."""
        return self.code(subject)

    def code(self, subject: str) -> str:
        """Return Python for the call on `subject`."""
        return f"{subject}.{self.method}({written(self.arguments, self._by_position())})"

    def _by_position(self) -> int:
        """Return how many arguments code gives by position: the required ones, in a row from the first."""
        count = 0
        for name, parameter in list(inspect.signature(getattr(Stimulus, self.method)).parameters.items())[1:]:
            keyword = parameter.kind is parameter.KEYWORD_ONLY
            first = count == 0 and name in self.arguments and not keyword
            if not (first or parameter.default is parameter.empty) or name not in self.arguments or keyword:
                break
            count += 1
        return count

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; pictures by their hash."""
        return {
            "method": self.method,
            "arguments": {key: packed(item) for key, item in self.arguments.items()},
        }


@dataclass(frozen=True)
class Applied:
    """Operations of `isi_widget.stimulus`, appended as they are."""

    operations: tuple[Operation, ...]
    grids: tuple[Grid, ...] = ()

    def on(self, stimulus: Stimulus, observation: Any) -> Stimulus:
        """Return the stimulus with the operations, their pixels computed."""
        return stimulus.apply(*self.operations).completed()

    def at(self, values: Mapping[str, Any]) -> Applied:
        """Return itself: it has no grid."""
        return self

    def expression(self, subject: str) -> str:
        """Return Python for what it makes of `subject`."""
        return self.code(subject)

    def code(self, subject: str) -> str:
        """Return Python for the step on `subject`."""
        return f"{subject}.apply({', '.join(operation_code(item) for item in self.operations)})"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; pictures by their hash."""
        return {"operations": [item.to_dict() for item in self.operations]}


#: Stands in Python for a function without a name, such as a lambda.
UNNAMED = "a_function"


@dataclass(frozen=True)
class Function:
    """A function from a stimulus or an observation to a stimulus.

    Attributes
    ----------
    name : qualified name, "module.function".
    function : the function; None for a condition that was read from a record, unless it is of this package.
    arguments : further arguments by name.
    takes : "stimulus" or "observation"; a function of an observation must be the first step.
    source : digest of its source code, where that can be found; "" otherwise.
    """

    name: str
    function: Callable[..., Any] | None = field(compare=False, hash=False)
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    takes: str = "stimulus"
    source: str = ""

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        positional: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
        takes: str = "",
    ) -> Function:
        """Return the step of a function; what it takes is seen from its first parameter unless given."""
        given = dict(named or {})
        for item in positional:
            if not isinstance(item, Grid):
                raise InputError(
                    "apply: further arguments of a function are given by name, or as isi.grid(...); got "
                    f"{checks.shown(item)}."
                )
            given |= {name: Grid(((name, values),)) for name, values in item.values}
        return cls(qualified(function), function, given, takes or _taken_by(function), _source_of(function))

    def on(self, stimulus: Stimulus, observation: Any) -> Stimulus:
        """Return what the function returns, if it is a stimulus."""
        if self.function is None:
            raise InputError(
                f"The condition calls the function {self.name!r}, of which only the name is known here. Make "
                "the condition again with .apply(function)."
            )
        made = self.function(self._argument(stimulus, observation), **self.arguments)
        if not isinstance(made, Stimulus):
            raise InputError(
                f"The function {self.name!r} must return a Stimulus; it returned {type(made).__name__}."
            )
        return made

    def _argument(self, stimulus: Stimulus, observation: Any) -> Any:
        if self.takes == "stimulus":
            return stimulus
        if observation is None:
            raise InputError(
                f"The function {self.name!r} takes an observation. Call the condition with the observation, "
                "not with its stimulus."
            )
        if stimulus.operations:
            raise InputError(
                f"The function {self.name!r} takes an observation, so it must be the first step of a "
                "condition; other steps stand before it here."
            )
        return observation

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The grids among its arguments."""
        return tuple(value for value in self.arguments.values() if isinstance(value, Grid))

    def at(self, values: Mapping[str, Any]) -> Function:
        """Return the step with values in place of its grids."""
        return Function(self.name, self.function, filled(self.arguments, values), self.takes, self.source)

    def expression(self, subject: str) -> str:
        """Return Python for what it makes of `subject`."""
        return f"{self.short}({', '.join(filter(None, [subject, written(self.arguments, 0)]))})"

    def code(self, subject: str) -> str:
        """Return Python for the step on the condition `subject`."""
        return f"{subject}.apply({', '.join(filter(None, [self.short, written(self.arguments, 0)]))})"

    @property
    def short(self) -> str:
        """The function as Python; a function of this package has a public name."""
        module, _, name = self.name.rpartition(".")
        if module == _OWN and is_name(name):
            return f"isi.conditions.{name}"
        return name if is_name(name) else UNNAMED

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: name and arguments; the function itself has none."""
        record: dict[str, Any] = {"function": self.name, "takes": self.takes}
        if self.arguments:
            record["arguments"] = {key: packed(item) for key, item in self.arguments.items()}
        return record | ({"source": self.source} if self.source else {})


Step = Call | Applied | Function


def step_from_dict(record: Mapping[str, Any], pictures: Mapping[str, Picture]) -> Step:
    """Return a step from its JSON form.

    Raises
    ------
    InputError
        It is no such form, or names a picture that is not known.
    """
    with records.damaged("a condition"):
        if wrong := [name for name in record.get("arguments", {}) if not is_name(name)]:
            raise InputError(f"A condition has an argument {wrong[0]!r:.60}, which is no name in Python.")
        if "operations" in record:
            return Applied(tuple(_operation(item, pictures) for item in record["operations"]))
        arguments = {str(key): unpacked(item, pictures) for key, item in record.get("arguments", {}).items()}
        if "function" in record:
            name = checks.text(record["function"], "function")
            takes = checks.one_of(record.get("takes", "stimulus"), "takes", ("stimulus", "observation"))
            return Function(name, _own(name), arguments, takes, str(record.get("source", "")))
        method = checks.one_of(record["method"], "method", CHAIN)
        call = Call.of(method, (), arguments)
        return call


def _operation(record: Mapping[str, Any], pictures: Mapping[str, Picture]) -> Operation:
    """Return an operation from its JSON form, with its pictures."""
    kind = operation_kind(record)
    held = {
        name: pictures[record[name]]
        for name in picture_fields(kind)
        if record.get(name) is not None and record[name] in pictures
    }
    if not held:
        return operation_from_dict(record)
    values = {name: value for name, value in record.items() if name != "op" and name not in held}
    return kind(**values, **{picture_fields(kind)[name]: picture for name, picture in held.items()})


def named_regions(name: str, stimulus: Stimulus, observation: Any) -> tuple[Any, ...]:
    """Return the regions that a name stands for in one observation.

    Raises
    ------
    InputError
        They are not known, or the picture has no such object.
    """
    if name == ABOUT:
        if not stimulus.about and observation is not None and observation.is_scene:
            raise InputError(
                f'The region "about" is not known for the question {stimulus.current_question!r:.100}: no '
                "part of the picture alone decides its answer. Name an object instead: "
                f"{', '.join(observation.masks)}."
            )
        if not stimulus.about:
            raise InputError(
                'The region "about" is not known for this observation: only built-in scenes know the parts '
                "of the picture that decide the true answer. Give a region, or the name of an object."
            )
        return tuple(stimulus.about)
    if observation is None:
        raise InputError(
            f"The region {name!r} is the name of an object, which only an observation knows. Call the "
            "condition with the observation, not with its stimulus."
        )
    return (observation.mask(name),)


def _edges(region: Any) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a region, in pixels."""
    if region is None:
        raise InputError("A box around the whole picture needs its size: give x, y, width and height.")
    if isinstance(region, Mask):
        return region.bounds
    if isinstance(region[0], tuple | list):
        xs, ys = zip(*region, strict=True)
        return min(xs), min(ys), max(xs), max(ys)
    x, y, width, height = region
    return x, y, x + width, y + height


def _names_region(positional: Sequence[Any], named: Mapping[str, Any]) -> bool:
    return isinstance(positional[0] if positional else named.get("x"), str)


def qualified(function: Callable[..., Any]) -> str:
    """Return the qualified name of a function."""
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    name = str(name or type(function).__qualname__)
    module = getattr(function, "__module__", "") or ""
    return f"{module}.{name}" if module else name


def _source_of(function: Callable[..., Any]) -> str:
    """Return a digest of the source code and of the values that a function holds; "" if unknown."""
    if getattr(function, "__module__", "") == _OWN:
        return ""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        return ""
    closed = getattr(function, "__closure__", None) or ()
    for cell in closed:
        try:
            text += f"\n{cell.cell_contents!r:.1000}"
        except ValueError:  # not set yet
            continue
    text += f"\n{getattr(function, '__defaults__', None)!r:.1000}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _own(name: str) -> Callable[..., Any] | None:
    """Return a public function of the ready-made conditions by its qualified name; None for any other."""
    module, _, plain_name = name.rpartition(".")
    if module != _OWN or plain_name not in OWN_FUNCTIONS:
        return None
    found: Callable[..., Any] = getattr(importlib.import_module(_OWN), plain_name)
    return found


def _taken_by(function: Any) -> str:
    """Return what a function takes: an observation if its first parameter is annotated so, or is called
    `obs` or `observation`; a stimulus otherwise.
    """
    try:
        first = next(iter(inspect.signature(function).parameters.values()))
    except (TypeError, ValueError, StopIteration):
        return "stimulus"
    if first.annotation is not first.empty:
        return "observation" if "Observation" in str(first.annotation) else "stimulus"
    return "observation" if first.name in ("obs", "observation") else "stimulus"
