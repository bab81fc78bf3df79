"""What a page may set: every synced value is checked here before anything is done with it.

Pure: values in, checked values (or one `InputError`) out. Not for what an operation means
(`isi_widget.stimulus` checks that), nor for what else a page may ask for (`messages.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.interventions import from_dicts, to_dicts
from isi_widget.readable import counted
from isi_widget.stimulus.loading import MAX_PIXELS
from isi_widget.stimulus.mask import MOST_RUNS
from isi_widget.stimulus.regions import MOST_POINTS
from isi_widget.text import all_repaired, repaired
from isi_widget.trial import Settings
from isi_widget.trial import measures as known
from isi_widget.trial.settings import RENAMED
from isi_widget.widget import document as _document

#: How a run is made, with the defaults: every field of `Settings` but what to measure, which the buttons say.
SETTINGS: dict[str, Any] = {item["name"]: item["default"] for item in Settings.schema()}
TOOLS = (
    "select",
    "box",
    "ellipse",
    "polygon",
    "freehand",
    "line",
    "arrow",
    "text",
    "noise",
    "blur",
    "pixelate",
    "erase",
    "patch",
    "picker",
    "segment",
    "wand",
)

MAX_OPERATIONS = 500
MAX_POINTS = MOST_POINTS
MAX_TEXT = 20_000  # characters of one string: a long context is fine, a pasted book is a mistake
# no pixel coordinate, size or sigma is that large; larger numbers only make a renderer run out of memory
MAX_NUMBER = 1e7
MAX_SEED = 2**63 - 1
MAX_UPLOAD = 64 * 2**20
MAX_NOTE = 2000  # characters
#: Formats of exported trials -> what a browser calls them.
FORMATS = {
    "json": "application/json",
    "csv": "text/csv",
    "pdf": "application/pdf",
    "html": "text/html",
}


def check_measures(measures: Any) -> tuple[str, ...]:
    """Return the measures of a run in their order; "everything" and one name are taken, too."""
    if measures == "everything":
        return tuple(known.by_default())
    names, every = [measures] if isinstance(measures, str) else measures, list(known.measures())
    if not isinstance(names, list | tuple) or not names or any(name not in every for name in names):
        raise InputError(
            f"measures must be some of {', '.join(every)}, or everything; got {short(measures)}."
        )
    return tuple(name for name in every if name in names)


def check_settings(settings: Any, present: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return some or all of the settings of a run, each checked by the rules of `isi_widget.Settings`; an
    unknown one is refused, and so is one that does not go together with the other ones or those of `present`.
    """
    if not isinstance(settings, Mapping):
        raise InputError(f"Settings must be an object, not {short(settings)}.")
    for old, name in RENAMED.items():
        if old in settings:
            hint = "" if name in SETTINGS else ", the first argument of run"
            raise InputError(f"There is no setting {old!r} any more: it is called {name!r} now{hint}.")
    check_keys("the settings", settings, set(), set(SETTINGS))
    given = dict(settings)
    for name, value in given.items():
        default = SETTINGS[name]
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise InputError(f"{name} must be true or false, not {short(value)}.")
        elif isinstance(default, str):
            if not isinstance(value, str) or len(value) > 40:
                raise InputError(f"{name} must be a short text, not {short(value)}.")
        elif isinstance(value, str | list | tuple | Mapping) or (
            isinstance(value, int | float) and not _bounded(name, value)
        ):
            limit = MAX_SEED if name == "seed" else int(MAX_NUMBER)
            raise InputError(f"{name} must be a number of at most {limit:,}, not {short(value)}.")
        elif isinstance(default, int) and isinstance(value, float) and value.is_integer():
            given[name] = int(value)  # JSON knows one kind of number
    checked = Settings(**{**(present or {}), **given})
    return {name: getattr(checked, name) for name in given}


def check_part(value: Any) -> str:
    """Check the name of a random preset: "image" or "context"."""
    if value not in ("image", "context"):
        raise InputError(f"What is drawn at random is 'image' or 'context', not {short(value)}.")
    return str(value)


def check_tool(value: Any) -> str:
    """Return the name of a tool of the canvas."""
    if not isinstance(value, str) or value not in TOOLS:
        raise InputError(f"tool must be one of {', '.join(TOOLS)}; got {short(value)}.")
    return value


def check_selected(value: Any, operations: Sequence[Mapping[str, Any]]) -> list[int]:
    """Check indices of drawings among `operations`; returns them ascending and without repeats."""
    if not isinstance(value, list | tuple) or any(not is_whole(index) for index in value):
        raise InputError(f"selected must be a list of whole numbers, not {short(value)}.")
    drawings = [index for index, operation in enumerate(operations) if is_drawing(operation)]
    for index in value:
        if index not in drawings:
            raise InputError(
                f"selected: operation {short(index)} is no drawing; of the {len(operations)} operations, "
                f"counted from 0, these are: {short(drawings)}."
            )
    return sorted(set(map(int, value)))


def still_selected(value: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """Return what a page has selected without what is no drawing of the present document: a page sends its
    selection a moment after the gesture, and the document may be a different one by then. What can be of no
    document is returned as it is, for `check_selected`.
    """
    if not isinstance(value, list) or any(not is_whole(i) or not 0 <= i < MAX_OPERATIONS for i in value):
        return value
    return [index for index in value if index < len(operations) and is_drawing(operations[index])]


def is_drawing(operation: Mapping[str, Any]) -> bool:
    """Return whether an operation paints, and so can be selected; the others choose an image or a text."""
    return operation["op"] not in ("image", "context", "question")


def check_news(value: Any) -> dict[str, Any] | None:
    """Return the part of a document that a page has changed (`document.news`), its steps unchecked; None if
    `value` is a whole one.
    """
    if not isinstance(value, Mapping) or "kept" not in value:
        return None
    check_keys(
        "the document",
        value,
        {"version", "operations", "past", "future", "kept", "base"},
        {"revision", "inside"},
    )
    check_whole("base", value["base"])
    kept = value["kept"]
    if not isinstance(kept, list | tuple) or len(kept) != 3:
        raise InputError(f'"kept" of the document must be three whole numbers, not {short(kept)}.')
    for name in ("past", "future"):
        if not isinstance(value[name], list | tuple):
            raise InputError(f'"{name}" of the document must be a list, not {short(value[name])}.')
    return {**value, "kept": [check_whole("kept", number) for number in kept]}


def check_document(value: Any, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a document as `document.py` describes it, with plain and bounded values.

    Only the shape is checked: whether the current operations make sense is known when they are applied to a
    stimulus. Steps that the document `known` has too, which is nearly all of them, are not checked again.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"The document must be an object, not {short(value)}.")
    check_keys("the document", value, {"version", "operations", "past", "future"}, {"revision", "inside"})
    if value["version"] != _document.VERSION or isinstance(value["version"], bool):
        raise InputError(
            f"The document has version {short(value['version'])}, this kernel reads version "
            f"{_document.VERSION}: restart the kernel after an upgrade of isi-widget."
        )
    for name in ("past", "future"):
        if not isinstance(value[name], list | tuple):
            raise InputError(f'"{name}" of the document must be a list, not {short(value[name])}.')
    operations = check_operations(value["operations"])
    inside = check_inside(value.get("inside", ()))
    past, future = list(value["past"][-_document.MAX_STEPS :]), list(value["future"][: _document.MAX_STEPS])
    return {
        "version": _document.VERSION,
        "operations": operations,
        "past": _past(past, len(operations), known or _document.empty()),
        "future": _future(future, len(operations), known or _document.empty()),
        **({"inside": inside} if inside else {}),
    }


def _past(past: list[Any], count: int, known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return steps that are undone from the last one on, from `count` operations; those of `known` need no
    look.
    """
    first, end = _document.common_start(past, known["past"])
    kept = past[: end - first]
    added, count = _applied([_step(step) for step in reversed(past[end - first :])], count)
    if count != _count(reversed(known["past"][end:]), len(known["operations"])):
        _applied(kept[::-1], count)
    return [*kept, *reversed(added)]


def _future(future: list[Any], count: int, known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Check redo steps, from the first one on; steps of `known` are not checked again."""
    last = _document.common_end(future, known["future"])
    new, kept = future[: len(future) - last], future[len(future) - last :]
    added, count = _applied([_step(step) for step in new], count)
    if count != _count(known["future"][: len(known["future"]) - last], len(known["operations"])):
        _applied(kept, count)
    return [*added, *kept]


def _applied(steps: list[Any], count: int) -> tuple[list[Any], int]:
    """Return the steps, checked to fit when they are applied to `count` operations, and how many there are
    then.
    """
    for step in steps:
        if step["at"] + step["remove"] > count:
            raise InputError(f"A step of the document changes more than its {count} operations.")
        count += len(step["insert"]) - step["remove"]
    return steps, count


def _count(steps: Iterable[Mapping[str, Any]], count: int) -> int:
    """Return how many operations `steps` make of `count`."""
    return count + sum(len(step["insert"]) - step["remove"] for step in steps)


def _step(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"A step of the document must be an object, not {short(value)}.")
    check_keys("a step of the document", value, {"at", "remove", "insert"}, {"observation", "inside"})
    at, remove = (check_whole(name, value[name]) for name in ("at", "remove"))
    step = {"at": at, "remove": remove, "insert": check_operations(value["insert"])}
    if value.get("observation") is not None:
        step["observation"] = check_whole("observation", value["observation"])
    if value.get("inside") is not None:
        step["inside"] = check_inside(value["inside"])
    return step


def check_inside(value: Any) -> list[dict[str, Any]]:
    """Return interventions on the inside of the model as JSON, each in its normal form.

    Only their form is checked: whether the model has such layers and heads is known when it is run.
    """
    return to_dicts(from_dicts(value))


def check_format(format: Any) -> str:
    """Return the format of an exported file."""
    if not isinstance(format, str) or format not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}; got {short(format)}.")
    return format


def check_export(format: Any, path: str | Path | None) -> str:
    """Return the format of an exported file: from its name if possible, otherwise the given format."""
    named = "" if path is None else Path(path).suffix.lower().removeprefix(".")
    if format is None:
        format = named or "json"
    if named in FORMATS and named != format:
        raise InputError(f"{path} is named as {named}, but format is {short(format)}. Give one of them.")
    return check_format(format)


def check_note(text: Any) -> str:
    """Return the text of a note, without white space around it."""
    return check_text("a note", text, MAX_NOTE).strip()


def check_index(value: Any, count: int) -> int:
    """Return an index into a data set of `count` observations."""
    if not is_whole(value) or not 0 <= value < count:
        raise InputError(f"The observation must be a whole number from 0 to {count - 1}, not {short(value)}.")
    return int(value)


def check_edit(value: Any) -> int:
    """Check the number of an edit of the page."""
    return check_whole("edit", value)


def check_shown(value: Any, numbers: Collection[int]) -> int:
    """Check the number of an existing trial; -1 means none."""
    if not is_whole(value) or not (value == -1 or value in numbers):
        raise InputError(
            f"shown must be the number of one of the {counted(len(numbers), 'trial')}, or -1; not "
            f"{short(value)}."
        )
    return int(value)


def check_pinned(value: Any, numbers: Collection[int]) -> list[int]:
    """Check numbers of existing trials; returns them ascending and without repeats."""
    if not isinstance(value, list | tuple) or len(value) > len(numbers):
        raise InputError(f"pinned must be a list of numbers of trials, not {short(value)}.")
    for number in value:
        if not is_whole(number) or number not in numbers:
            raise InputError(f"pinned has {short(number)}, which is not the number of a trial.")
    return sorted(set(map(int, value)))


def check_keys(where: str, value: Mapping[Any, Any], required: set[str], optional: set[str]) -> None:
    """Refuse missing and unknown keys of an object."""
    several = where.endswith("settings")
    missing = sorted(required - set(value))
    if missing:
        lacks = "lack" if several else "lacks"
        raise InputError(f"{where[0].upper()}{where[1:]} {lacks} {', '.join(missing)}.")
    unknown = sorted(str(key) for key in set(value) - required - optional)
    if unknown:
        known = ", ".join(sorted(required | optional))
        raise InputError(
            f"{where[0].upper()}{where[1:]} {'have' if several else 'has'} unknown keys: "
            f"{short(', '.join(unknown))}; known: {known}."
        )


def check_operations(value: Any) -> list[dict[str, Any]]:
    """Return a list of operations, each a flat object of plain and bounded values."""
    if not isinstance(value, list | tuple):
        raise InputError(f"Operations must be a list, not {short(value)}.")
    if len(value) > MAX_OPERATIONS:
        raise InputError(f"{len(value)} operations are too many; at most {MAX_OPERATIONS} are taken.")
    for position, operation in enumerate(value):
        if not isinstance(operation, Mapping) or not isinstance(operation.get("op"), str):
            raise InputError(
                f'Operation {position} must be an object with a name "op", not {short(operation)}.'
            )
        for key, item in operation.items():
            if not _bounded(key, item):
                name = "a key" if not isinstance(key, str) or len(key) > 40 else f'"{key}"'
                raise InputError(
                    f"{name} of operation {position} ({short(operation['op'])}) is {short(item)}: too "
                    "large, or nothing that an operation holds."
                )
    return [all_repaired(dict(operation)) for operation in value]


def _bounded(key: Any, value: Any, nested: bool = False) -> bool:
    """Return whether an operation could hold this: no huge or infinite number, no huge string, nothing nested
    twice but the points of a polygon and a mask.
    """
    if not nested and isinstance(value, Mapping):
        return set(value) == {"mask"} and _bounded_mask(value["mask"])
    if not nested and isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple):
        points = len(value) <= MAX_POINTS and all(
            isinstance(point, list | tuple) and len(point) == 2 for point in value
        )
        return points and all(_bounded(key, at, nested=True) for point in value for at in point)
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        limit = MAX_SEED if key == "seed" else MAX_NUMBER
        return -limit <= value <= limit  # false for NaN; exact for whole numbers that no float holds
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    is_list = isinstance(value, list | tuple) and not nested and len(value) <= 8
    return is_list and all(_bounded(key, item, nested=True) for item in value)


def _bounded_mask(value: Any) -> bool:
    """Return whether this could be the inside of a mask's JSON form: its own keys, numbers, not too many
    runs.
    """
    if not isinstance(value, Mapping) or not set(value) <= {"size", "runs", "feather"}:
        return False
    runs = value.get("runs")
    if not isinstance(runs, list | tuple) or len(runs) > MOST_RUNS:
        return False
    return all(type(run) is int and 0 <= run <= MAX_PIXELS for run in runs) and all(
        _bounded(key, value.get(key)) for key in ("size", "feather")
    )


def check_whole(name: str, value: Any) -> int:
    """Return a whole number from 0 of ordinary size."""
    if not is_whole(value) or not 0 <= value <= MAX_NUMBER:
        raise InputError(f"{name} must be a whole number from 0, not {short(value)}.")
    return int(value)


def check_text(name: str, value: Any, longest: int) -> str:
    """Check a text of bounded length; lone surrogates are joined or replaced."""
    if not isinstance(value, str) or len(value) > longest:
        raise InputError(f"{name} must be a text of at most {longest} characters, not {short(value)}.")
    return repaired(value)


def short(value: Any) -> str:
    """Return a value for an error message, at most one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
