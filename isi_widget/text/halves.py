"""Repair of input text: lone surrogates are joined or replaced, so that the text can always be written.

JSON and JavaScript write a character beyond U+FFFF (for example an emoji) as two halves, called surrogates. A
lone half is not a character: files, pages and servers refuse it. Every input of text (replies of servers,
messages of the page, stimuli, data sets, notes, records) calls `repaired` once, so that all other code can
ignore the problem.
"""

from __future__ import annotations

import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")


def repaired(text: str) -> str:
    """Join neighbouring halves to their character; replace any other half by U+FFFD."""
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def held_half(text: str) -> tuple[str, str]:
    """Split off a first half at the end of a text, since its second half may still arrive; returns (text,
    half).
    """
    return (text[:-1], text[-1]) if text and "\ud800" <= text[-1] <= "\udbff" else (text, "")


def all_repaired(value: Any) -> Any:
    """Return a JSON-like value (dicts, lists, tuples) with every text in it repaired."""
    if isinstance(value, str):
        return repaired(value)
    if isinstance(value, dict):
        return {all_repaired(key): all_repaired(item) for key, item in value.items()}
    if isinstance(value, list):
        return [all_repaired(item) for item in value]
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(all_repaired(item) for item in value)
    return value
