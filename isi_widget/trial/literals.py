"""Values of a record as Python that is nothing but data: literals, and calls whose arguments are literals.

A record may come from somebody else. Whatever stands in it becomes a checked literal here, or no code at all.
Not for what a stimulus is as code (`isi_widget.stimulus.code`, whose operations are checked when they are
made).
"""

from __future__ import annotations

import ast
import keyword
import math
from collections.abc import Mapping
from typing import Any

_DEEPEST = 6
_LONGEST = 20_000_000  # characters of the code of one value: that of every text that a record may have
_CALL = 100_000  # characters of a call that is read


class NoLiteral(ValueError):
    """A value that is no plain data, or too large to be read as code."""


def literal(value: Any, depth: int = 0) -> str:
    """Return Python that is equal to `value`: None, truth values, finite numbers, texts, and lists, tuples
    and dicts of these. One line, whatever the texts hold.

    Raises
    ------
    NoLiteral : it is anything else, nested deeper than six times, or longer than 20 million characters.
    """
    if depth > _DEEPEST:
        raise NoLiteral("nested too deeply")
    kind = type(value)
    number = (kind is float and math.isfinite(value)) or (kind is int and abs(value) < 10**30)
    if value is None or number or kind in (bool, str):
        text = repr(value)
    elif kind in (list, tuple):
        inner = ", ".join(literal(item, depth + 1) for item in value)
        left, right = "[]" if kind is list else "()"
        text = f"{left}{inner}{',' if kind is tuple and len(value) == 1 else ''}{right}"
    elif isinstance(value, Mapping):
        pairs = (f"{literal(key, depth + 1)}: {literal(item, depth + 1)}" for key, item in value.items())
        text = f"{{{', '.join(pairs)}}}"
    else:
        raise NoLiteral(f"a {kind.__name__} is no plain value")
    if len(text) > _LONGEST:
        raise NoLiteral(f"{len(text)} characters are too many")
    return text


def is_name(name: Any) -> bool:
    """Return whether a text can be the name of an argument."""
    return type(name) is str and name.isidentifier() and not keyword.iskeyword(name)


def call(function: str, *arguments: Any, **named: Any) -> str:
    """Return a call of `function` (code, not data) with literals. `NoLiteral` if something is none."""
    if wrong := [name for name in named if not is_name(name)]:
        raise NoLiteral(f"{wrong[0]!r:.60} is no name of an argument")
    given = [literal(value) for value in arguments]
    given += [f"{name}={literal(value)}" for name, value in named.items()]
    return f"{function}({', '.join(given)})"


def read_call(text: Any, function: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a piece of code that is one call of `function` with literals, and nothing else.

    Raises
    ------
    NoLiteral : it is anything else.
    """
    try:
        if type(text) is not str or len(text) > _CALL:
            raise ValueError
        node = ast.parse(text, mode="eval").body
        if not isinstance(node, ast.Call) or ast.unparse(node.func) != function:
            raise ValueError
        named = {item.arg or "": ast.literal_eval(item.value) for item in node.keywords}
        arguments = [ast.literal_eval(item) for item in node.args]
        call(function, *arguments, **named)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise NoLiteral(f"it is no plain call of {function}") from None
    return arguments, named
