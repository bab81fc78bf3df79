"""Values in the steps of a condition: grids, and values as JSON and as Python.

Not for the steps themselves (`steps`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.stimulus import Mask, Picture
from isi_widget.stimulus.inpainting import Inpainter
from isi_widget.stimulus.operations import Operation, plain
from isi_widget.trial.literals import is_name


@dataclass(frozen=True)
class Grid:
    """Values of one or several parameters, each combination of which makes one condition; see `grid`."""

    values: tuple[tuple[str, tuple[Any, ...]], ...]

    def __repr__(self) -> str:
        return f"isi.grid({', '.join(f'{name}={list(values)!r}' for name, values in self.values)})"


def grid(**parameters: Sequence[Any]) -> Grid:
    """Return values of parameters for a method of a condition: one condition for each combination.

    `isi.condition("noise").noise(isi.grid(sigma=[0, 0.1, 0.3, 0.6]))` is a curve of four points.

    Parameters
    ----------
    parameters : names of the method's parameters, each with its list of values, all different. The first is
        the axis of the curve.

    Raises
    ------
    InputError
        No parameter, or a value that is no list or holds nothing.
    """
    if not parameters:
        raise InputError("grid needs at least one parameter with its values, such as grid(sigma=[0, 0.3]).")
    found = []
    for name, values in parameters.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
            raise InputError(
                f"grid: {name} must be a list of values, such as [0, 0.1, 0.3]; got {checks.shown(values)}."
            )
        listed = tuple(checks.plain(value) for value in values)
        if not listed or any(one == other for at, one in enumerate(listed) for other in listed[:at]):
            raise InputError(f"grid: {name} needs values that are all different; got {list(listed)!r:.200}.")
        found.append((name, listed))
    return Grid(tuple(found))


def filled(arguments: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with values in place of grids."""
    return {
        name: values[item.values[0][0]] if isinstance(item, Grid) else item
        for name, item in arguments.items()
    }


def packed(value: Any) -> Any:
    """Return a value as JSON; a picture by its hash."""
    if isinstance(value, Grid):
        return {"grid": [[name, [packed(item) for item in values]] for name, values in value.values]}
    if isinstance(value, Picture):
        return {"picture": value.sha256}
    if isinstance(value, Mask):
        return {"mask": value.to_dict()}
    if isinstance(value, Inpainter):
        return value.name
    if isinstance(value, tuple | list):
        return [packed(item) for item in value]
    value = checks.plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"A condition can hold finite numbers only; got {value!r}.")
    if value is None or isinstance(value, str | bool | int | float):
        return plain(value)
    if isinstance(value, Mapping):
        return {"dict": {str(key): packed(item) for key, item in value.items()}}
    if hasattr(value, "to_dict"):
        return {"object": type(value).__name__, "value": value.to_dict()}
    return {"object": type(value).__name__, "value": repr(value)[:200]}


def unpacked(value: Any, pictures: Mapping[str, Picture]) -> Any:
    """Return a value from its JSON form."""
    if isinstance(value, list):
        return tuple(unpacked(item, pictures) for item in value)
    if isinstance(value, float) and not math.isfinite(value):  # 1e999 in JSON
        raise InputError(f"A condition can hold finite numbers only; got {value!r}.")
    if not isinstance(value, Mapping):
        return value
    if "grid" in value:
        if wrong := [name for name, _ in value["grid"] if not is_name(name)]:
            raise InputError(f"A grid has a parameter {wrong[0]!r:.60}, which is no name in Python.")
        return Grid(
            tuple(
                (str(name), tuple(unpacked(item, pictures) for item in items))
                for name, items in value["grid"]
            )
        )
    if "mask" in value:
        return Mask.from_dict(value["mask"])
    if "picture" in value:
        digest = str(value["picture"])
        if digest not in pictures:
            raise InputError(f"A condition needs the picture {digest[:12]}, which is not known here.")
        return pictures[digest]
    if "dict" in value:
        return {str(key): unpacked(item, pictures) for key, item in value["dict"].items()}
    return value


def written(arguments: Mapping[str, Any], by_position: int) -> str:
    """Return arguments as Python; the first ones by position."""
    found = []
    for at, (name, value) in enumerate(arguments.items()):
        if isinstance(value, Grid):
            found.append((True, repr(value)))
        elif at < by_position:
            found.append((True, literal(value)))
        else:
            found.append((False, f"{name}={literal(value)}"))
    return ", ".join(text for first in (True, False) for position, text in found if position == first)


def literal(value: Any) -> str:
    """Return a value as Python."""
    if isinstance(value, Picture):
        return f"pictures[{value.sha256!r}]"
    if isinstance(value, Mask):
        return value.code()
    if isinstance(value, Path):
        return repr(str(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, tuple):
        inner = ", ".join(map(literal, value))
        return f"({inner}{',' if len(value) == 1 else ''})"
    if isinstance(value, Inpainter):
        return repr(value.name)
    return repr(value)


def operation_code(operation: Operation) -> str:
    """Return Python for an operation."""
    given = []
    for item in fields(operation):
        value = getattr(operation, item.name)
        default = item.default is not MISSING and value == item.default
        if not default and item.name not in ("pixels", "beneath"):
            given.append(f"{item.name}={literal(value)}")
    return f"isi.stimulus.{type(operation).__name__}({', '.join(given)})"
