"""Marks functions that run where the model is: in this process, or in the process of a cluster that holds it.

A measurement inside a model needs its modules. Of a model on a cluster (`vlm.cluster`) the call is sent there
as records, and its result comes back as a record. Not for methods of a VLM, which a `ClusterVLM` has itself.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar, cast

from isi_widget.errors import InputError

_F = TypeVar("_F", bound=Callable[..., Any])
_MARK = "_runs_at_model"
_PACKAGE = __name__.partition(".")[0]


def at_the_model(function: _F) -> _F:
    """Decorate a function whose first parameter is a VLM: of a model on a cluster, it runs there."""
    first = next(iter(inspect.signature(function).parameters))

    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        vlm = arguments[0] if arguments else named.get(first)
        there = getattr(vlm, "run_function", None)
        if there is None:
            return function(*arguments, **named)
        named.pop(first, None)
        return there(function, arguments[1:], named)

    setattr(run, _MARK, True)
    return cast(_F, run)


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, for `named`."""
    return f"{function.__module__}:{function.__qualname__}"


def named(name: str) -> Callable[..., Any]:
    """Return the marked function of a name; no other function can be named.

    Raises
    ------
    InputError
        There is no such function here.
    """
    module, _, function = name.partition(":")
    found = None
    if module.split(".")[0] == _PACKAGE:
        try:
            found = getattr(import_module(module), function, None)
        except ImportError:
            found = None
    if found is None or not getattr(found, _MARK, False):
        raise InputError(
            f"The cluster has no function {name!r}. Install the same version of isi-widget there as here."
        )
    return cast(Callable[..., Any], found)
