"""The probe's document: the list of operations, the interventions inside the model, and the undo history of
both, as pure functions on plain JSON.

The same functions exist in js/src/document.ts, and both sides must agree: page and kernel hand the same
document to and fro. Not for what an operation means (`isi_widget.stimulus`), nor for what a page may send
(`protocol.py`).

    {"version": 1, "operations": [op...], "past": [step...], "future": [step...]}

A step is a splice, {"at": i, "remove": n, "insert": [op...]}: undo applies `past[-1]` to the operations, redo
`future[0]`. So a step is as small as what it changed, however long the list. One with an "observation", a
number, goes to that observation instead, whose document is as it was left (`editor.py` does this). A document
is never changed in place: traits only sync new values.

The interventions stand beside the operations, as "inside": [intervention...], in the JSON form of
`isi_widget.interventions`; a document without any has no such key. A step that changes them has an "inside",
too: the whole list that it goes back (or forward) to.

Between page and kernel a short document travels whole. Of a longer one only the operations travel, and the
steps that the other side does not have (`news`): {..., "past": new ones, "future": new ones,
"kept": [i, j, k], "base": number}, to be put behind past[i:j] and before future[k:] of the document of that
number. So a gesture costs the same however many there were before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Operation = dict[str, Any]
Step = dict[str, Any]
Document = dict[str, Any]

VERSION = 1
MAX_STEPS = 10_000  # more than anybody takes back
_SHORT = 32  # steps, which travel whole
_LIGHT = 4_000  # entries of their lists (points) and characters of their texts, all together
_SHIFT = 64  # steps by which a past that is full may have moved


def change(before: Sequence[Operation], after: Sequence[Operation]) -> Step:
    """Return the step that makes `after` of `before`: what lies between what they begin and end
    with alike.
    """
    shortest = min(len(before), len(after))
    start = next((i for i in range(shortest) if before[i] != after[i]), shortest)
    rest = shortest - start
    end = next((i for i in range(rest) if before[-1 - i] != after[-1 - i]), rest)
    return {"at": start, "remove": len(before) - start - end, "insert": list(after[start : len(after) - end])}


def applied(operations: Sequence[Operation], step: Mapping[str, Any]) -> list[Operation]:
    """Return the operations after a step."""
    at, remove = step["at"], step["remove"]
    return [*operations[:at], *step["insert"], *operations[at + remove :]]


def empty() -> Document:
    """Return a document without operations and without history."""
    return {"version": VERSION, "operations": [], "past": [], "future": []}


def is_empty(document: Mapping[str, Any]) -> bool:
    """Return whether nothing was drawn or changed, nor can be undone or redone."""
    return not any(document.get(part) for part in ("operations", "past", "future", "inside"))


def crossing(observation: int) -> Step:
    """Return the step that changes the observation."""
    return {"at": 0, "remove": 0, "insert": [], "observation": observation}


def inside(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the interventions of a document, as JSON."""
    return list(document.get("inside", ()))


def _made(
    operations: Sequence[Operation],
    past: Sequence[Step],
    future: Sequence[Step],
    interventions: Sequence[Mapping[str, Any]],
) -> Document:
    """Return a document of its parts, with no more steps than are kept."""
    made = {
        "version": VERSION,
        "operations": list(operations),
        "past": list(past[-MAX_STEPS:]),
        "future": list(future[:MAX_STEPS]),
    }
    return {**made, "inside": list(interventions)} if interventions else made


def with_inside(document: Mapping[str, Any], interventions: Sequence[Mapping[str, Any]]) -> Document:
    """Return the document with other interventions, without a step."""
    return _made(document["operations"], document["past"], document["future"], interventions)


def step(
    document: Mapping[str, Any],
    operations: Sequence[Operation],
    interventions: Sequence[Mapping[str, Any]] | None = None,
) -> Document:
    """Return one gesture: `operations` and `interventions` (None: as they are) become the current ones, the
    way back becomes the last undo step, redo is forgotten.
    """
    now = inside(document)
    after = now if interventions is None else list(interventions)
    back = change(operations, document["operations"])
    if after != now:
        back["inside"] = now
    return _made(operations, [*document["past"], back], [], after)


def _moved(document: Mapping[str, Any], way: Step) -> tuple[list[Operation], list[dict[str, Any]], Step]:
    """Return operations and interventions after a step, and the step that goes back."""
    now, changed = document["operations"], inside(document)
    operations = applied(now, way)
    back = change(operations, now)
    if "inside" not in way:
        return operations, changed, back
    return operations, list(way["inside"]), {**back, "inside": changed}


def undo(document: Mapping[str, Any]) -> Document:
    """Return the document one step back; an equal document if there is none."""
    if not document["past"]:
        return dict(document)
    operations, interventions, forward = _moved(document, document["past"][-1])
    return _made(operations, document["past"][:-1], [forward, *document["future"]], interventions)


def redo(document: Mapping[str, Any]) -> Document:
    """Return the document one step forward; an equal document if there is none."""
    if not document["future"]:
        return dict(document)
    operations, interventions, back = _moved(document, document["future"][0])
    return _made(operations, [*document["past"], back], document["future"][1:], interventions)


def untyped(document: Mapping[str, Any], part: str) -> Operation | None:
    """Return the latest operation that set the `part` ("context" or "question") by a preset; None if it was
    typed over the observation's own text. An operation without a preset is typed.
    """
    operations: Sequence[Operation] = document["operations"]
    for step in [*reversed(document["past"]), None]:
        chosen = next((item for item in reversed(operations) if item["op"] == part), None)
        if chosen is None or chosen.get("preset") is not None:
            return chosen
        if step is None or "observation" in step:
            break
        operations = applied(operations, step)
    return None


# ---- what travels
def is_short(document: Mapping[str, Any]) -> bool:
    """Return whether to send the whole history with each gesture: few and short steps."""
    steps = [*document["past"][: _SHORT + 1], *document["future"][: _SHORT + 1]]
    if len(steps) > _SHORT:
        return False
    items = (item for step in steps for item in [*step["insert"], *step.get("inside", ())])
    return sum(_weight(value) for item in items for value in item.values()) <= _LIGHT


def _weight(value: Any) -> int:
    """Return the number of characters of a text, of entries of a list, of runs of a mask; 0 for others."""
    if isinstance(value, Mapping):
        return len(value["mask"]["runs"]) if "mask" in value else 0
    return len(value) if isinstance(value, str | list) else 0


def news(known: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes from `known` to `now`, with "kept", but without the number of `known` ("base")."""
    first, end = common_start(now["past"], known["past"])
    last = common_end(now["future"], known["future"])
    return {
        "version": VERSION,
        "operations": now["operations"],
        "past": now["past"][end - first :],
        "future": now["future"][: len(now["future"]) - last],
        "kept": [first, end, len(known["future"]) - last],
        **({"inside": inside(now)} if inside(now) else {}),
    }


def patched(known: Mapping[str, Any], change: Mapping[str, Any]) -> Document:
    """Rebuild `now` from `known` and `news(known, now)`."""
    first, end, rest = change["kept"]
    return _made(
        change["operations"],
        [*known["past"][first:end], *change["past"]],
        [*change["future"], *known["future"][rest:]],
        change.get("inside", ()),
    )


def on_top(document: Mapping[str, Any], change: Mapping[str, Any]) -> Document:
    """Return the document of a page whose base is unknown here: its operations, as one step."""
    operations, interventions = change["operations"], change.get("inside", [])
    if not isinstance(operations, list) or not isinstance(interventions, list):
        return {**document, "operations": operations, "inside": interventions}  # the check refuses it
    if operations == document["operations"] and interventions == inside(document):
        return dict(document)
    return step(document, operations, interventions)


def common_start(steps: Sequence[Step], known: Sequence[Step]) -> tuple[int, int]:
    """Return which of the `known` steps `steps` begins with: (first, end). A full past may have lost some."""
    if not steps:
        return 0, 0
    moved = known[:_SHIFT] if len(steps) == MAX_STEPS else []
    first = next((i for i, step in enumerate(moved) if step is steps[0]), 0)
    most = min(len(steps), len(known) - first)
    for count in (most, most - 1):  # a gesture changes one step: lists are compared at once
        if count >= 0 and steps[:count] == known[first : first + count]:
            return first, first + count
    return first, first + next((i for i in range(most) if steps[i] != known[first + i]), most)


def common_end(steps: Sequence[Step], known: Sequence[Step]) -> int:
    """Return how many of the `known` steps `steps` ends with."""
    most = min(len(steps), len(known))
    for count in (most, most - 1):
        if count >= 0 and steps[len(steps) - count :] == known[len(known) - count :]:
            return count
    return next((i for i in range(most) if steps[-1 - i] != known[-1 - i]), most)
