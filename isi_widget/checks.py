"""Checks of single values from callers, files and the page: numbers, flags, choices, texts, fields.

Each returns the value in its normal form (Python's own type) or raises one clear `InputError`: what was
wrong, what was expected and, by `hint`, what to do. `name` is the value's name in the message, for example
``box: "width"``. Not for whole records (see `isi_widget.files.records`) nor for what a room alone knows.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

from isi_widget.errors import InputError
from isi_widget.text import repaired

#: Longest text, in characters, unless a check sets a lower bound.
LONGEST_TEXT = 100_000
_LARGEST_FLOAT = sys.float_info.max


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is an integer of Python or NumPy, but not a bool."""
    return type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))


def is_real(value: object) -> TypeGuard[float]:
    """Return whether a value is a number of Python or NumPy, not complex, but not a bool."""
    return type(value) is float or (isinstance(value, Real) and not isinstance(value, bool))


def integer(
    value: Any,
    name: str,
    *,
    low: float | None = None,
    high: float | None = None,
    wanted: str = "",
    hint: str = "",
) -> int:
    """Return a whole number within [low, high]; True and 3.0 are refused.

    Parameters
    ----------
    value : the number; NumPy's and arrays of no dimension are taken too.
    name : its name in the message.
    low, high : bounds, included; None for none.
    wanted : expected value in words; "": derived from the bounds.
    hint : a sentence at the end of the message: what to do.

    Raises
    ------
    InputError
        If it is none.
    """
    given = plain(value)
    inside = is_whole(given) and (low is None or given >= low) and (high is None or given <= high)
    if inside:
        return int(given)
    raise wrong(value, name, wanted or f"a whole number{_between(low, high)}", hint)


def number(
    value: Any,
    name: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    wanted: str = "",
    hint: str = "",
) -> float:
    """Return a finite number within the bounds as a float; text and True are refused.

    Parameters
    ----------
    value : the number; NumPy's and arrays of no dimension are taken too.
    name : its name in the message.
    low, high : bounds, included; None for none.
    above : a lower bound that is not included, in place of `low`.
    wanted : expected value in words; "": derived from the bounds.
    hint : a sentence at the end of the message: what to do.

    Raises
    ------
    InputError
        If it is none.
    """
    given = plain(value)
    if is_real(given):
        try:
            result = float(given)
        except OverflowError:
            result = math.inf
        inside = (low is None or result >= low) and (high is None or result <= high)
        if math.isfinite(result) and inside and (above is None or result > above):
            return result + 0.0  # no negative zero: equal values have one JSON form
    finite = not is_real(given) or abs(given) <= _LARGEST_FLOAT  # False for NaN
    bounds = _between(low, high)
    if above is not None:
        bounds = f" above {above:g}" + ("" if high is None else f", at most {high:g}")
    raise wrong(value, name, wanted or f"a {'' if finite and bounds else 'finite '}number{bounds}", hint)


def flag(value: Any, name: str) -> bool:
    """Return True or False, also NumPy's; other truthy values (1, "yes") are refused."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise wrong(value, name, "True or False")
    return bool(value)


def text(value: Any, name: str, *, longest: int = LONGEST_TEXT) -> str:
    """Return a string of at most `longest` characters, halves of characters repaired."""
    if not isinstance(value, str):
        raise wrong(value, name, "text")
    if len(value) > longest:
        raise InputError(f"{name} must have at most {longest} characters; got {len(value)}.")
    return repaired(value)


def one_of(value: Any, name: str, choices: Sequence[str], *, wanted: str = "", hint: str = "") -> str:
    """Return the value if it is one of `choices`; `wanted` and `hint` as for `integer`."""
    if not isinstance(value, str) or value not in choices:
        raise wrong(value, name, wanted or f"one of {', '.join(choices)}", hint)
    return value


def fields(title: str, record: object, required: Collection[str], known: Collection[str]) -> None:
    """Refuse a record that is no object, lacks a field, or has one that is not known.

    Parameters
    ----------
    title : name of the thing recorded, for the message.
    record : as `to_dict` made it, maybe elsewhere.
    required : fields that must be there.
    known : fields that may be there.

    Raises
    ------
    InputError
        If it is damaged, or of a newer version.
    """
    if not isinstance(record, Mapping):
        raise InputError(
            f"A record of {title} must be a dict made by to_dict(); got {type(record).__name__}."
        )
    if missing := [name for name in required if name not in record]:
        raise InputError(f"This is no complete record of {title}: it lacks {', '.join(missing)}.")
    if unknown := [str(name) for name in record if name not in known]:
        raise InputError(
            f"This record of {title} has fields that are not known here: {', '.join(unknown)}. It may be of "
            "a newer isi-widget: upgrade to read it."
        )


def wrong(value: Any, name: str, wanted: str, hint: str = "") -> InputError:
    """Return the error for a value that is not what was wanted."""
    return InputError(f"{name} must be {wanted}; got {shown(value)}.{' ' * bool(hint)}{hint}")


def shown(value: Any) -> str:
    """Return a value as a message shows it: short, and with its type where that is no number."""
    try:
        plain = repr(value)  # of a half of a character an escape
    except ValueError:  # Python writes no integer of more than 4,300 digits
        plain = "a number of thousands of digits"
    plain = plain if len(plain) <= 60 else f"{plain[:57]}..."
    kind = type(value)
    return plain if value is None or kind in (int, float, bool) else f"{plain} ({kind.__name__})"


def plain(value: Any) -> Any:
    """Return the number in an array of no dimension (NumPy, torch); anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def _between(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {_figure(low)} to {_figure(high)}"
    if low is not None:
        return f" of at least {_figure(low)}"
    return "" if high is None else f" of at most {_figure(high)}"


def _figure(bound: float) -> str:
    return f"{bound:.15g}" if isinstance(bound, float) else str(bound)
