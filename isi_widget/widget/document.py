"""The probe's document: the list of operations and its undo history, as pure functions on plain JSON.

The same functions exist in js/src/document.ts, and both sides must agree: page and kernel hand the same
document to and fro. Not for what an operation means (`isi_widget.stimulus`), nor for what a page may send
(`protocol.py`).

    {"version": 1, "operations": [op...], "past": [step...], "future": [step...]}

A step is a splice, {"at": i, "remove": n, "insert": [op...]}: undo applies `past[-1]` to the operations, redo
`future[0]`. So a step is as small as what it changed, however long the list. A document is never changed in
place: traits only sync new values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Operation = dict[str, Any]
Step = dict[str, Any]
Document = dict[str, Any]

VERSION = 1
MAX_STEPS = 10_000  # more than anybody takes back; all of them travel with each gesture


def change(before: Sequence[Operation], after: Sequence[Operation]) -> Step:
    """The step that makes `after` of `before`: what lies between what they begin and end with alike."""
    shortest = min(len(before), len(after))
    start = next((i for i in range(shortest) if before[i] != after[i]), shortest)
    rest = shortest - start
    end = next((i for i in range(rest) if before[-1 - i] != after[-1 - i]), rest)
    return {"at": start, "remove": len(before) - start - end, "insert": list(after[start : len(after) - end])}


def applied(operations: Sequence[Operation], step: Mapping[str, Any]) -> list[Operation]:
    """The operations after a step."""
    at, remove = step["at"], step["remove"]
    return [*operations[:at], *step["insert"], *operations[at + remove :]]


def empty() -> Document:
    """A document without operations and without history."""
    return {"version": VERSION, "operations": [], "past": [], "future": []}


def step(document: Mapping[str, Any], operations: Sequence[Operation]) -> Document:
    """One gesture: `operations` become the current ones, the way back becomes the last undo step, redo is
    forgotten.
    """
    past = [*document["past"], change(operations, document["operations"])][-MAX_STEPS:]
    return {"version": VERSION, "operations": list(operations), "past": past, "future": []}


def undo(document: Mapping[str, Any]) -> Document:
    """One step back; without one, an equal document."""
    if not document["past"]:
        return dict(document)
    now = document["operations"]
    before = applied(now, document["past"][-1])
    return {
        "version": VERSION,
        "operations": before,
        "past": list(document["past"][:-1]),
        "future": [change(before, now), *document["future"]],
    }


def redo(document: Mapping[str, Any]) -> Document:
    """One step forward again; without one, an equal document."""
    if not document["future"]:
        return dict(document)
    now = document["operations"]
    after = applied(now, document["future"][0])
    return {
        "version": VERSION,
        "operations": after,
        "past": [*document["past"], change(after, now)][-MAX_STEPS:],
        "future": list(document["future"][1:]),
    }
