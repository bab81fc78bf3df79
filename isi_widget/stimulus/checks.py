"""Checks of single values from callers and from the page. Each check returns the normal form of the value or
raises one clear `InputError`.

Not for images (see `loading`), nor for whole records (see `operations` and `core`). `name` is the field's
name in the message, for example ``box: "width"``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

from PIL import ImageColor

from isi_widget.errors import InputError
from isi_widget.text import repaired

#: Largest coordinate or size, in pixels; keeps arithmetic far from overflow.
LARGEST = 1_000_000.0
#: Longest context, question or drawn text, in characters.
LONGEST_TEXT = 100_000
#: Largest integer that JavaScript and JSON hold exactly.
LARGEST_SEED = 2**53 - 1


def number(value: Any, name: str, *, low: float = -LARGEST, high: float = LARGEST) -> float:
    """Return a finite real number on [low, high] as a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name} must be a number, got {_shown(value)}.")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise InputError(f"{name} must be a finite number, got {result}.")
    if not low <= result <= high:
        raise InputError(f"{name} must lie between {low:g} and {high:g}, got {result:g}.")
    return result + 0.0  # no negative zero: equal operations have one JSON form


def integer(value: Any, name: str, *, low: int = 0, high: int = LARGEST_SEED) -> int:
    """Return a whole number on [low, high]."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{name} must be a whole number, got {_shown(value)}.")
    result = int(value)
    if not low <= result <= high:
        raise InputError(f"{name} must lie between {low} and {high}, got {result}.")
    return result


def flag(value: Any, name: str) -> bool:
    """Return True or False; other truthy values (1, "yes") are refused."""
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false, got {_shown(value)}.")
    return value


def text(value: Any, name: str, *, longest: int = LONGEST_TEXT) -> str:
    """Return a string of at most `longest` characters; lone surrogates are joined or replaced
    (`repaired`).
    """
    if not isinstance(value, str):
        raise InputError(f"{name} must be text, got {_shown(value)}.")
    if len(value) > longest:
        raise InputError(f"{name} must have at most {longest} characters, got {len(value)}.")
    return repaired(value)


def one_of(value: Any, name: str, choices: Sequence[str]) -> str:
    """Return the value if it is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}; got {_shown(value)}.")
    return value


def on_error(value: Any) -> str:
    """Return how to treat a bad item of many: "raise" an error, or "skip" it and list it."""
    return one_of(value, "on_error", ("raise", "skip"))


def color(value: Any, name: str) -> str:
    """Return a CSS colour name or hex value as lower-case ``#rrggbb``; transparency is refused."""
    if not isinstance(value, str):
        raise InputError(f'{name} must be a colour such as "red" or "#ff0000", got {_shown(value)}.')
    try:
        channels = ImageColor.getrgb(value.strip())
    except ValueError:
        raise InputError(
            f'{name} must be a colour such as "red" or "#ff0000", got {_shown(value)}.'
        ) from None
    if len(channels) == 4 and channels[3] != 255:
        raise InputError(f"{name} must be opaque, got {_shown(value)}.")
    if any(not 0 <= channel <= 255 for channel in channels):
        raise InputError(f"{name} has a channel outside 0 to 255: {_shown(value)}.")
    return "#{:02x}{:02x}{:02x}".format(*channels[:3])


def numbers(value: Any, name: str, count: int, wanted: str) -> tuple[float, ...]:
    """Return a list, tuple or array of `count` finite numbers; `wanted` describes it, for
    example ``[x, y]``.
    """
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or not hasattr(value, "__iter__"):
        raise InputError(f"{name} must be {wanted}, got {_shown(value)}.")
    if len(value) != count:
        raise InputError(f"{name} must be {wanted}, got {len(value)} values.")
    return tuple(number(item, name) for item in value)


def point(value: Any, name: str) -> tuple[float, float]:
    """Return [x, y] in pixels."""
    x, y = numbers(value, name, 2, "[x, y]")
    return x, y


def region(value: Any, name: str) -> tuple[float, float, float, float]:
    """Return [x, y, width, height] in pixels, width and height not negative."""
    x, y, width, height = numbers(value, name, 4, "[x, y, width, height]")
    if width < 0 or height < 0:
        raise InputError(f"{name} must have a width and height of 0 or more, got {width:g} x {height:g}.")
    return x, y, width, height


def missing(value: Any) -> bool:
    """Return whether a value stands for an empty table cell: None, NaN, pandas' NA or NaT."""
    if isinstance(value, str):
        return False
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (Real, Decimal)) and value != value


def truth(value: Any, name: str = "answer") -> str | None:
    """Return the true answer: True, 1 and any spelling of "yes" become "Yes", False, 0 and "no" become "No";
    other text stays, stripped.

    Values of NumPy and pandas count as those of Python. Empty text and a missing value (NaN, NA) are None.
    Other numbers are refused, since 0 and 1 already mean no and yes: pass a count as text.
    """
    if getattr(value, "ndim", None) == 0:  # a number of NumPy, or an array of one
        value = value.item()
    if missing(value):
        return None
    if not isinstance(value, str) and isinstance(value, (Real, Decimal)):
        if value in (0, 1):
            return "Yes" if value else "No"
        raise InputError(
            f'{name} as a number must be 1 (yes) or 0 (no), got {value}; pass a count as text, as in "3".'
        )
    stripped = text(value, name).strip()
    return {"yes": "Yes", "no": "No", "": None}.get(stripped.casefold(), stripped)


def _shown(value: Any) -> str:
    """Return the value and its type, short enough for a message."""
    shown = repr(value)  # of a lone half an escape
    return f"{shown if len(shown) <= 60 else shown[:57] + '...'} ({type(value).__name__})"
