"""Records as JSON and back, without loss: infinities and NaN, numbers of NumPy, tuples.

Not for what a record must contain (`isi_widget.files.records`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.text import repaired


def packed(value: Any) -> Any:
    """Convert to JSON-ready values, recursively. JSON has no infinities: they become {"float": "-inf"}.
    Tuples become lists; numbers of NumPy or torch become Python's.

    Raises
    ------
    InputError
        A value has no form in JSON.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): packed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [packed(item) for item in value]
    if isinstance(value, int):
        if abs(value) > sys.float_info.max:
            raise InputError(f"A record can hold no number of this size: {checks.shown(value)}.")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return {"float": repr(float(value))}
        return float(value)
    if (plain := checks.plain(value)) is not value and isinstance(plain, bool | int | float):
        return packed(plain)
    raise InputError(
        "A record can hold numbers, texts, lists and dicts of them, as JSON does; got "
        f"{checks.shown(value)}. Convert it: an array by .tolist(), a set by sorted(...), an object by a "
        "method to_dict."
    )


def unpacked(value: Any) -> Any:
    """Rebuild from the record of `packed`, up to tuples; texts are repaired."""
    if isinstance(value, Mapping):
        if value.keys() == {"float"} and isinstance(value["float"], str):
            return float(value["float"])
        return {key: unpacked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    return repaired(value) if isinstance(value, str) else value
