"""The probe's document: the list of operations and its undo history, as pure functions on plain JSON.

The same functions exist in js/src/document.ts, and both sides must agree: page and kernel hand the same
document to and fro. Not for what an operation means (`isi_widget.stimulus`), nor for what a page may send
(`protocol.py`).

    {"version": 1, "operations": [op...], "past": [[op...]...], "future": [[op...]...]}

`past[-1]` is what undo goes back to, `future[0]` what redo goes on to. A document is never changed in place:
traits only sync new values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Operation = dict[str, Any]
Document = dict[str, Any]

VERSION = 1
MAX_STEPS = (
    100  # undo steps kept; each holds a whole list of operations, and all of it travels with each gesture
)


def empty() -> Document:
    """A document without operations and without history."""
    return {"version": VERSION, "operations": [], "past": [], "future": []}


def step(document: Mapping[str, Any], operations: Sequence[Operation]) -> Document:
    """One gesture: `operations` become the current ones, the old ones become the last undo step, redo is
    forgotten.
    """
    past = [*document["past"], list(document["operations"])][-MAX_STEPS:]
    return {"version": VERSION, "operations": list(operations), "past": past, "future": []}


def undo(document: Mapping[str, Any]) -> Document:
    """One step back; without one, an equal document."""
    if not document["past"]:
        return dict(document)
    return {
        "version": VERSION,
        "operations": list(document["past"][-1]),
        "past": list(document["past"][:-1]),
        "future": [list(document["operations"]), *document["future"]],
    }


def redo(document: Mapping[str, Any]) -> Document:
    """One step forward again; without one, an equal document."""
    if not document["future"]:
        return dict(document)
    return {
        "version": VERSION,
        "operations": list(document["future"][0]),
        "past": [*document["past"], list(document["operations"])][-MAX_STEPS:],
        "future": list(document["future"][1:]),
    }
