"""Checks of what a stimulus is made of: coordinates, colours, points, regions, truths, bounded numbers.

Each returns the value in its normal form or raises one clear `InputError`. Not for images (see `loading`),
for whole records (see `operations` and `core`), nor for what other rooms need too (see `isi_widget.checks`).
"""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any

from PIL import ImageColor

from isi_widget import checks
from isi_widget.checks import LONGEST_TEXT, flag, one_of, shown, text
from isi_widget.errors import InputError
from isi_widget.text.correctness import asks_for_other
from isi_widget.text.truths import joined, number_in_one_form

__all__ = [
    "LARGEST",
    "LARGEST_SEED",
    "LONGEST_TEXT",
    "color",
    "flag",
    "integer",
    "missing",
    "number",
    "numbers",
    "on_error",
    "one_of",
    "point",
    "region",
    "text",
    "truth",
]

#: Largest coordinate or size, in pixels; keeps arithmetic far from overflow.
LARGEST = 1_000_000.0
_LARGEST_COUNT = 10**15
#: Largest integer that JavaScript and JSON hold exactly.
LARGEST_SEED = 2**53 - 1


def number(value: Any, name: str, *, low: float = -LARGEST, high: float = LARGEST) -> float:
    """Return a finite real number on [low, high] as a float."""
    return checks.number(value, name, low=low, high=high)


def integer(value: Any, name: str, *, low: int = 0, high: int = LARGEST_SEED) -> int:
    """Return a whole number on [low, high]."""
    return checks.integer(value, name, low=low, high=high)


def on_error(value: Any) -> str:
    """Return how to treat a bad item of many: "raise" an error, or "skip" it and list it."""
    return one_of(value, "on_error", ("raise", "skip"))


def color(value: Any, name: str) -> str:
    """Return a CSS colour name or hex value as lower-case ``#rrggbb``; transparency is refused."""
    if not isinstance(value, str):
        raise InputError(f'{name} must be a colour such as "red" or "#ff0000"; got {shown(value)}.')
    try:
        channels = ImageColor.getrgb(value.strip())
    except ValueError:
        raise InputError(f'{name} must be a colour such as "red" or "#ff0000"; got {shown(value)}.') from None
    if len(channels) == 4 and channels[3] != 255:
        raise InputError(f"{name} must be opaque; got {shown(value)}.")
    if any(not 0 <= channel <= 255 for channel in channels):
        raise InputError(f"{name} has a channel outside 0 to 255: {shown(value)}.")
    return "#{:02x}{:02x}{:02x}".format(*channels[:3])


def numbers(value: Any, name: str, count: int, wanted: str) -> tuple[float, ...]:
    """Return a list, tuple or array of `count` finite numbers; `wanted` describes it, for
    example ``[x, y]``.
    """
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or not hasattr(value, "__iter__"):
        raise InputError(f"{name} must be {wanted}; got {shown(value)}.")
    if len(value) != count:
        raise InputError(f"{name} must be {wanted}; got {len(value)} values.")
    return tuple(number(item, name) for item in value)


def point(value: Any, name: str) -> tuple[float, float]:
    """Return [x, y] in pixels."""
    x, y = numbers(value, name, 2, "[x, y]")
    return x, y


def region(value: Any, name: str) -> tuple[float, float, float, float]:
    """Return [x, y, width, height] in pixels, width and height not negative."""
    x, y, width, height = numbers(value, name, 4, "[x, y, width, height]")
    if width < 0 or height < 0:
        raise InputError(f"{name} must have a width and height of 0 or more; got {width:g} x {height:g}.")
    return x, y, width, height


def missing(value: Any) -> bool:
    """Return whether a value stands for an empty table cell: None, NaN, pandas' NA or NaT."""
    if isinstance(value, str):
        return False
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (Real, Decimal)) and value != value


def truth(value: Any, name: str = "answer", question: str = "") -> str | None:
    """Return the true answer: True, 1 and any spelling of "yes" become "Yes", False, 0 and "no" become "No";
    other text stays, stripped.

    Several accepted answers, as a list or an array, become one text with bars between them. Values of NumPy
    and pandas count as those of Python. Empty text and a missing value (NaN, NA) are None.
    Other numbers are refused, since 0 and 1 already mean no and yes: pass a count as text. Where `question`
    clearly asks for something else than yes or no ("How many ...?"), every number stands for itself.
    """
    if getattr(value, "ndim", None) == 0:  # a number of NumPy, or an array of one
        value = value.item()
    if missing(value):
        return None
    if not isinstance(value, str) and isinstance(value, (Real, Decimal)):
        if checks.is_real(value) and asks_for_other(question) and abs(value) < _LARGEST_COUNT:
            return number_in_one_form(str(value)) or str(value)
        if value in (0, 1):
            return "Yes" if value else "No"
        raise InputError(
            f'{name} as a number must be 1 (yes) or 0 (no); got {value}; pass a count as text, as in "3".'
        )
    if isinstance(value, (list, tuple, set, frozenset)) or getattr(value, "ndim", None) == 1:
        given = sorted(value) if isinstance(value, (set, frozenset)) else list(value)
        each = [truth(item, f"{name}: an accepted answer", question) for item in given]
        try:
            return joined(item for item in each if item is not None)
        except ValueError as error:
            raise InputError(f"{name}: {error}") from None
    stripped = text(value, name).strip()
    return {"yes": "Yes", "no": "No", "": None}.get(stripped.casefold(), stripped)
