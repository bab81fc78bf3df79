"""The last trace of a session, as the page shows it, checked when it is read: a file may come from anyone."""

from __future__ import annotations

import math
from typing import Any

from isi_widget.errors import InputError
from isi_widget.widget import protocol

_TEXTS, _LISTS = ("title", "help"), ("rows", "columns")
#: Most layers or groups of tokens, and characters of a text.
_MOST, _LONGEST = 1000, 5000


def check_trace(value: Any) -> dict[str, Any] | None:
    """Return the view of a trace (`isi_widget.widget.inside.trace_view`), or None where there was none.

    Raises
    ------
    InputError : it is no such view.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InputError(f'"traced" must be an object, not {protocol.short(value)}')
    protocol.check_keys('"traced"', value, {*_TEXTS, *_LISTS, "values", "sentences"}, set())
    for name in _TEXTS:
        protocol.check_text(f"traced: {name}", value[name], _LONGEST)
    for name in _LISTS:
        _check_list(name, value[name], None, _is_text)
    rows, columns = len(value["rows"]), len(value["columns"])
    for name, fits in (("values", _is_share), ("sentences", _is_text)):
        _check_list(name, value[name], rows, lambda line: isinstance(line, list))
        for line in value[name]:
            _check_list(name, line, columns, fits)
    return value


def _check_list(name: str, value: Any, length: int | None, fits: Any) -> None:
    good = isinstance(value, list) and len(value) <= _MOST and all(map(fits, value))
    if not good or (length is not None and len(value) != length):
        raise InputError(f'"traced" has other {name} than a trace has')


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def _is_share(value: Any) -> bool:
    """Whether it is a finite number, or None for a cell that was not traced."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and math.isfinite(value))
