"""Checks of records when they are read (JSON from `to_dict`), based on the annotations of the class.

A record may come from someone else or from a damaged file: any fault raises one `InputError`. A new field is
covered by its annotation. Not for the meaning of values: the class itself checks that.
"""

from __future__ import annotations

import functools
import json
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.text import all_repaired

MOST_BYTES = 300_000_000  # largest size of one record as JSON text
MOST_VALUES = 20_000_000  # largest number of numbers, texts, lists and objects in one record
LONGEST = 1_000_000  # most characters of a text field
DEEPEST = 40
_LARGEST = 10**300  # largest whole number: it fits into a float
#: Entries of `VLM.info()` that are shown as text.
_SAID = (
    "name",
    "family",
    "device",
    "dtype",
    "quantization",
    "compute_dtype",
    "revision",
    "note",
    "server",
    "served",
    "fingerprint",
)
#: What may be a number that is read as infinite; half a character, which only an escape can write.
_LARGE = re.compile(rb"[eE]\+?[1-9]\d\d|\d{300}")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_MESSAGE = 1000  # most characters of an error message
_FLOATS = ("nan", "inf", "-inf")  # JSON has no such numbers
_DAMAGED = (
    TypeError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
_F = TypeVar("_F", bound=Callable[..., Any])


class _Wrong(Exception):
    """A mismatch: what was expected, and where."""


def reader(
    title: str,
    also: Collection[str] = (),
    *,
    names: bool = True,
    values: bool = True,
    texts: bool = False,
    shown: Collection[str] = (),
) -> Callable[[_F], _F]:
    """Decorate the `from_dict` of a dataclass (below `@classmethod`) with a check of its record.

    Parameters
    ----------
    title : name of the record's content, with its article.
    also : keys of the record besides the fields of the class; default none.
    names : False leaves the check of missing and unknown keys to `from_dict`; default True.
    values : False leaves the check of values to `from_dict`; default True.
    texts : True allows the numbers "nan", "inf" and "-inf" as text, which `from_dict` converts; default
        False.
    shown : properties of the result that every display needs. They are computed once, so that a record that
        cannot be displayed is refused.
    """

    def decorate(from_dict: _F) -> _F:
        @functools.wraps(from_dict)
        def checked(cls: type, record: Any, *arguments: Any, **named: Any) -> Any:
            with damaged(title):
                if not isinstance(record, Mapping):
                    raise InputError(
                        f"A record of {title} must be a dict made by to_dict(); got {type(record).__name__}."
                    )
                if names:
                    check_names(cls, title, record, also)
                if values:
                    check_values(cls, title, record, texts)
                made = from_dict(cls, record, *arguments, **named)
                for name in shown:
                    getattr(made, name)
                return made

        return typing.cast(_F, checked)

    return decorate


@contextmanager
def damaged(title: str) -> Iterator[None]:
    """Turn any exception that a broken record causes in its reader into an `InputError`."""
    try:
        yield
    except InputError as error:
        if len(str(error)) > _MESSAGE:
            raise type(error)(f"{str(error)[:_MESSAGE]}...") from None
        raise
    except _DAMAGED as error:
        raise InputError(
            f"This record of {title} is damaged: {type(error).__name__}: {error!s:.200}. It must be one that "
            "to_dict() has made."
        ) from error


def check_names(cls: type, title: str, record: Mapping[str, Any], also: Collection[str] = ()) -> None:
    """Refuse a record that lacks a field without a default, or has an unknown field."""
    every = fields(typing.cast(Any, cls))
    needed = [item.name for item in every if item.default is item.default_factory is MISSING]
    if missing := [name for name in needed if name not in record]:
        raise InputError(f"This is no complete record of {title}: it lacks {', '.join(missing)}.")
    known = {*also, *(item.name for item in every)}
    if unknown := [str(name)[:60] for name in record if name not in known]:
        raise InputError(
            f"This record of {title} has fields that are not known here: {', '.join(unknown[:5])}. It may "
            "be of a newer isi-widget: upgrade to read it."
        )


def check_values(cls: type, title: str, record: Mapping[str, Any], texts: bool = False) -> None:
    """Refuse a record with a field that does not match the annotations of the class; other keys
    are ignored.
    """
    for name, hint in _hints(cls).items():
        if name in record:
            try:
                _check(hint, record[name], 0, texts)
            except _Wrong as wrong:
                raise InputError(
                    f"This record of {title} is damaged: {name!r} must be {wrong}. It must be one that "
                    "to_dict() has made."
                ) from None


def check_model(title: str, model: Mapping[str, Any]) -> None:
    """Refuse a `VLM.info()` in a record that could not be displayed."""
    for name in _SAID:
        if not isinstance(model.get(name, ""), str | None):
            raise InputError(f"This record of {title} is damaged: the model's {name} must be a text or null.")
    if not _is_whole(model.get("parameters") or 0):
        raise InputError(f"This record of {title} is damaged: the model's parameters must be their number.")


@functools.cache
def _hints(cls: type) -> Mapping[str, Any]:
    hints = typing.get_type_hints(cls)
    return {item.name: hints[item.name] for item in fields(typing.cast(Any, cls))}


def _check(hint: Any, value: Any, depth: int, texts: bool) -> None:
    """Raise `_Wrong` unless the JSON value matches the annotation."""
    if depth > DEEPEST:
        raise _Wrong("less deeply nested")
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _check_any(inner, value, depth, texts)
    if origin is Literal:
        if value not in inner or type(value) not in map(type, inner):
            raise _wrong(f"one of {', '.join(map(repr, inner))}", value)
    elif hint is type(None):
        if value is not None:
            raise _wrong("null", value)
    elif hint is bool:
        if type(value) is not bool:
            raise _wrong("true or false", value)
    elif hint is int:
        if not _is_whole(value):
            raise _wrong("a whole number", value)
    elif hint is float:
        if not _is_float(value, texts):
            raise _wrong("a number", value)
    elif hint is str:
        if not isinstance(value, str) or len(value) > LONGEST:
            raise _wrong("a text", value)
    elif origin in (tuple, list):
        _check_list(inner, value, depth, texts)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong("an object", value)
        for key, item in value.items():
            _check(inner[0], key, depth + 1, texts)
            _check(inner[1], item, depth + 1, texts)
    elif getattr(origin, "__name__", "") == "ndarray":
        return None  # the class converts it to an array, which is faster
    elif is_dataclass(hint) or hasattr(hint, "from_dict"):
        if not isinstance(value, Mapping):  # its own reader checks the content
            raise _wrong("an object", value)
    else:
        _check_plain(value, depth)
    return None


def _check_any(hints: tuple[Any, ...], value: Any, depth: int, texts: bool) -> None:
    expected = []
    for hint in hints:
        try:
            return _check(hint, value, depth, texts)
        except _Wrong as wrong:
            expected.append(str(wrong).partition(", not ")[0])
    raise _wrong(" or ".join(expected), value)


def _check_list(inner: tuple[Any, ...], value: Any, depth: int, texts: bool) -> None:
    if not isinstance(value, list | tuple) or len(value) > MOST_VALUES:
        raise _wrong("a list", value)
    if len(inner) == 1 or (len(inner) == 2 and inner[1] is Ellipsis):
        for item in value:
            _check(inner[0], item, depth + 1, texts)
    elif len(value) != len(inner):
        raise _wrong(f"a list of {len(inner)}", value)
    else:
        for hint, item in zip(inner, value, strict=True):
            _check(hint, item, depth + 1, texts)


def _check_plain(value: Any, depth: int) -> None:
    """Check that a value consists of JSON types only."""
    if depth > DEEPEST:
        raise _Wrong("less deeply nested")
    if value is None or type(value) in (float, str, bool):  # most values; abstract classes are slower to ask
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str:
                raise _wrong("an object with texts as names", key)
            _check_plain(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_plain(item, depth + 1)
    elif isinstance(value, int):
        if abs(value) >= _LARGEST:
            raise _wrong("a number of ordinary size", value)
    elif not isinstance(value, float | str):
        raise _wrong("plain JSON", value)


def _is_whole(value: Any) -> bool:
    return is_whole(value) and bool(abs(value) < _LARGEST)


def _is_float(value: Any, texts: bool) -> bool:
    if isinstance(value, str):
        return texts and value in _FLOATS
    return type(value) is float or _is_whole(value) or isinstance(value, float | np.floating)


def _wrong(expected: str, value: Any) -> _Wrong:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or a number with thousands of digits
        text = ""
    return _Wrong(f"{expected}, not {text if 0 < len(text) <= 60 else 'a ' + type(value).__name__}")


# ---- texts
def parse_json(content: bytes | str, title: str, most: int = MOST_BYTES) -> Any:
    """Parse JSON text; its size, depth and number of values are checked before memory is allocated.

    Raises
    ------
    InputError : not JSON (NaN and Infinity are not JSON, nor numbers that are read as such), or too large.
    """
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(data) > most:
        raise InputError(f"{title} has {len(data) >> 20} MB; at most {most >> 20} MB are read.")
    if (values := data.count(b",") + data.count(b"[") + data.count(b"{")) > MOST_VALUES:
        raise InputError(f"{title} holds {values:,} values; at most {MOST_VALUES:,} are read.")
    try:
        found = json.loads(
            data.decode("utf-8"),
            parse_constant=_no_constant,
            parse_float=_finite if _LARGE.search(data) else None,
        )
        return all_repaired(found) if _HALF.search(data) else found
    except (ValueError, RecursionError) as error:
        raise InputError(f"{title} is no valid JSON: {error!s:.200}.") from None


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _no_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which JSON does not have")
