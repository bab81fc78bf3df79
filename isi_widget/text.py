"""Text that can always be written: halves of characters joined or replaced, where a text comes in.

JSON and JavaScript write a character beyond U+FFFF (an emoji, say) as two halves, called surrogates. A half
alone is no character: no file, no page and no server takes it. Each entrance of a text (replies of servers,
messages of the page, stimuli, data sets, notes, records) calls `repaired` once, so that nothing behind it
has to care. Not for what a text means.
"""

from __future__ import annotations

import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")


def repaired(text: str) -> str:
    """Return the text with neighbouring halves joined to their character, and any other half as U+FFFD."""
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def held_half(text: str) -> tuple[str, str]:
    """Return (text, half): a first half at the very end is split off, since its other half may still come."""
    return (text[:-1], text[-1]) if text and "\ud800" <= text[-1] <= "\udbff" else (text, "")


def all_repaired(value: Any) -> Any:
    """Return a value made of dicts, lists and tuples, as JSON gives it, with every text in it repaired."""
    if isinstance(value, str):
        return repaired(value)
    if isinstance(value, dict):
        return {all_repaired(key): all_repaired(item) for key, item in value.items()}
    if isinstance(value, list):
        return [all_repaired(item) for item in value]
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(all_repaired(item) for item in value)
    return value
