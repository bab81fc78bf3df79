"""What changed between two states of a session, and a state with a change applied: pure functions on plain
JSON.

So a gesture costs a line of its own size, however long the history is. Not for files (`folder.py`,
`reading.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isi_widget.widget import document as doc

State = dict[str, Any]

#: Parts of a state that are objects of which only the changed entries are written.
KEYED = ("notes", "observations", "documents")


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> State:
    """Return the changed parts of a state; empty if nothing changed. Null marks a removed entry.

    A changed document holds only its changes ("kept", see `document.news`) if it was there before.
    """
    found: State = {}
    for name, value in after.items():
        old = before.get(name)
        if value is old:
            continue
        if name in KEYED:
            entries = _entries(old or {}, value, changed=_document if name == "documents" else _whole)
            if entries:
                found[name] = entries
        elif value != old:
            found[name] = value
    return found


def applied(state: Mapping[str, Any], change: Mapping[str, Any]) -> State:
    """Return the state after a change.

    Raises
    ------
    KeyError, TypeError, ValueError, IndexError : the change does not fit the state.
    """
    made = dict(state)
    for name, value in change.items():
        if name not in KEYED:
            made[name] = value
            continue
        entries = dict(made.get(name, {}))
        for key, item in value.items():
            if item is None:
                entries.pop(key, None)
            elif name == "documents" and "kept" in item:
                entries[key] = doc.patched(entries[key], item)
            else:
                entries[key] = item
        made[name] = entries
    return made


def _entries(old: Mapping[str, Any], new: Mapping[str, Any], changed: Any) -> dict[str, Any]:
    found = {
        key: changed(old.get(key), value)
        for key, value in new.items()
        if key not in old or (old[key] is not value and old[key] != value)
    }
    return {**found, **{key: None for key in old if key not in new}}


def _whole(old: Any, new: Any) -> Any:
    return new


def _document(old: doc.Document | None, new: doc.Document) -> Mapping[str, Any]:
    return new if old is None else doc.news(old, new)
