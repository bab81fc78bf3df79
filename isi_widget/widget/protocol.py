"""What a page may send to the kernel: every message and every synced value is checked here before anything is
done with it.

Pure: values in, checked values (or one `InputError`) out. Not for what an operation means
(`isi_widget.stimulus` checks that), nor for acting on a message (`probe.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from isi_widget.errors import InputError
from isi_widget.settings import WHAT, Settings
from isi_widget.stimulus.regions import MOST_POINTS
from isi_widget.widget import document as _document

#: How a run is made, with the defaults: every field of `Settings` but what to measure, which the buttons say.
SETTINGS: dict[str, Any] = {name: value for name, value in asdict(Settings()).items() if name != "what"}
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
FORMATS = {"json": "application/json", "csv": "text/csv", "pdf": "application/pdf"}
MAX_EXPORTED = 1000  # trials in one file
MAX_THUMBNAILS = 100  # in one answer: more rows than a page shows at once
QUANTIZATIONS = (None, "int8", "nf4")  # what the page offers
# what it may ask for: it keeps the precision of the present model, which Python may have loaded otherwise
LOADABLE = (*QUANTIZATIONS, "nf4-double")


@dataclass(frozen=True)
class Run:
    """Start a run: what to measure, and with which settings (only the given ones)."""

    id: str
    what: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Cancel:
    """Stop the run `id`; an empty id stops whatever runs or waits."""

    id: str


@dataclass(frozen=True)
class Upload:
    """An image file of the user's own."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Thumbnails:
    """Asks for small pictures of observations, by their places in the data set."""

    indexes: tuple[int, ...]


@dataclass(frozen=True)
class Tokens:
    """Asks how many tokens the texts have for the present model."""


@dataclass(frozen=True)
class Reshuffle:
    """Another random item in the place of the shown one: "image" or "context"."""

    part: str


Asked = Thumbnails | Tokens | Reshuffle  # by the input panels


@dataclass(frozen=True)
class Code:
    """Asks for the Python that does what was clicked."""

    id: str


@dataclass(frozen=True)
class Models:
    """Asks for the models that can be loaded."""


@dataclass(frozen=True)
class Color:
    """Asks for the colour of one pixel of what the model sees."""

    id: str
    x: int
    y: int


@dataclass(frozen=True)
class Font:
    """Asks for the font that the kernel writes with, so that the page measures and draws texts alike."""


@dataclass(frozen=True)
class Map:
    """Asks for the attention of one token of a trial's answer, as a layer over the picture."""

    id: str
    trial: int
    token: int


@dataclass(frozen=True)
class Cut:
    """Cut a patch from another observation's image."""

    operation: int
    observation: int


@dataclass(frozen=True)
class Detail:
    """Asks for a part of the picture at full resolution: left, top, width and height in pixels of the image,
    and how many pixels of the screen it has in width.
    """

    id: str
    region: tuple[int, int, int, int]
    width: int


@dataclass(frozen=True)
class Editor:
    """Asks for the source of the editor, which is not saved in the notebook."""


@dataclass(frozen=True)
class Load:
    """Load another model: a name as `load_vlm` takes it, or "embedded"."""

    id: str
    name: str
    quantization: str | None


@dataclass(frozen=True)
class Restore:
    """Make the input of a trial, named by its number, the present input."""

    trial: int


@dataclass(frozen=True)
class Delete:
    """Forget a trial."""

    trial: int


@dataclass(frozen=True)
class Note:
    """What to remember of a trial, in the user's words."""

    trial: int
    text: str


@dataclass(frozen=True)
class Export:
    """Asks for a file with some trials in it."""

    id: str
    trials: tuple[int, ...]
    format: str


Message = (
    Run
    | Cancel
    | Upload
    | Code
    | Models
    | Editor
    | Cut
    | Detail
    | Font
    | Map
    | Color
    | Load
    | Restore
    | Delete
    | Note
    | Export
)

_KEYS = {
    "run": ({"kind", "id", "what"}, {"settings"}),
    "cancel": ({"kind"}, {"id"}),
    "upload": ({"kind", "name"}, set[str]()),
    "code": ({"kind", "id"}, set[str]()),
    "models": ({"kind"}, set[str]()),
    "editor": ({"kind"}, set[str]()),
    "detail": ({"kind", "id", "region", "width"}, set[str]()),
    "cut": ({"kind", "operation", "observation"}, set[str]()),
    "map": ({"kind", "id", "trial", "token"}, set[str]()),
    "font": ({"kind"}, set[str]()),
    "color": ({"kind", "id", "x", "y"}, set[str]()),
    "load": ({"kind", "id", "name"}, {"quantization"}),
    "restore": ({"kind", "trial"}, set[str]()),
    "delete": ({"kind", "trial"}, set[str]()),
    "note": ({"kind", "trial", "text"}, set[str]()),
    "export": ({"kind", "id", "trials", "format"}, set[str]()),
    "thumbnails": ({"kind", "indexes"}, set[str]()),
    "tokens": ({"kind"}, set[str]()),
    "reshuffle": ({"kind", "part"}, set[str]()),
}


def parse_message(content: Any, buffers: Sequence[Any] | None = None) -> Message | Asked:
    """The checked form of a custom message; `InputError` says what was wrong with it."""
    if not isinstance(content, Mapping):
        raise InputError(f"A message must be an object, not {_short(content)}.")
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in _KEYS:
        raise InputError(f"Unknown kind of message: {_short(kind)}; expected one of {', '.join(_KEYS)}.")
    required, optional = _KEYS[kind]
    check_keys(f'a "{kind}" message', content, required, optional)
    count = len(buffers or ())
    if count != (1 if kind == "upload" else 0):
        raise InputError(
            f'A "{kind}" message came with {count} buffers; expected {1 if kind == "upload" else 0}.'
        )
    if kind == "run":
        return Run(
            _text("id", content["id"], 200),
            check_what(content["what"]),
            check_settings(content.get("settings", {})),
        )
    if kind == "cancel":
        return Cancel(_text("id", content.get("id", ""), 200))
    if kind == "tokens":
        return Tokens()
    if kind == "reshuffle":
        return Reshuffle(check_part(content["part"]))
    if kind == "thumbnails":
        indexes = content["indexes"]
        if not isinstance(indexes, list) or not 1 <= len(indexes) <= MAX_THUMBNAILS:
            raise InputError(f"indexes must be a list of 1 to {MAX_THUMBNAILS}, not {_short(indexes)}.")
        for index in indexes:
            if isinstance(index, bool) or not isinstance(index, int):
                raise InputError(f"indexes must be whole numbers, not {_short(index)}.")
        return Thumbnails(tuple(indexes))
    if kind == "code":
        return Code(_text("id", content["id"], 200))
    if kind == "models":
        return Models()
    if kind == "editor":
        return Editor()
    if kind == "map":
        return Map(
            _text("id", content["id"], 200), _number(content["trial"]), _whole("token", content["token"])
        )
    if kind == "cut":
        return Cut(*(_whole(name, content[name]) for name in ("operation", "observation")))
    if kind == "detail":
        region = content["region"]
        if not isinstance(region, list | tuple) or len(region) != 4:
            raise InputError(f"region must be four whole numbers of pixels, not {_short(region)}.")
        left, top, wide, high = (_whole("region", at) for at in region)
        return Detail(
            _text("id", content["id"], 200), (left, top, wide, high), _whole("width", content["width"])
        )
    if kind == "font":
        return Font()
    if kind == "color":
        return Color(_text("id", content["id"], 200), *(_whole(name, content[name]) for name in "xy"))
    if kind == "load":
        name = _text("name", content["name"], 1000).strip()
        if not name:
            raise InputError("A model needs a name: one on the hub ('owner/model'), or a folder.")
        quantization = content.get("quantization")
        if quantization not in LOADABLE:
            kinds = ", ".join(map(repr, LOADABLE))
            raise InputError(f"quantization must be one of {kinds}; got {_short(quantization)}.")
        return Load(_text("id", content["id"], 200), name, quantization)
    if kind == "restore":
        return Restore(_number(content["trial"]))
    if kind == "delete":
        return Delete(_number(content["trial"]))
    if kind == "note":
        return Note(_number(content["trial"]), check_note(content["text"]))
    if kind == "export":
        numbers = content["trials"]
        if not isinstance(numbers, list | tuple) or not 0 < len(numbers) <= MAX_EXPORTED:
            raise InputError(
                f"trials must be a list of 1 to {MAX_EXPORTED} numbers of trials, not {_short(numbers)}."
            )
        chosen = tuple(map(_number, numbers))
        return Export(_text("id", content["id"], 200), chosen, check_format(content["format"]))
    assert buffers is not None
    data = bytes(buffers[0])
    if not data:
        raise InputError("The uploaded file is empty.")
    if len(data) > MAX_UPLOAD:
        raise InputError(
            f"The uploaded file has {len(data) >> 20} MB; at most {MAX_UPLOAD >> 20} MB are taken."
        )
    return Upload(_text("name", content["name"], 1000), data)


def check_what(what: Any) -> tuple[str, ...]:
    """`what` of a run, in the fixed order and without repeats. One name alone is taken, and "everything"."""
    if what == "everything":
        return WHAT
    names = [what] if isinstance(what, str) else what
    if not isinstance(names, list | tuple) or not names or any(name not in WHAT for name in names):
        raise InputError(f"what to run must be some of {', '.join(WHAT)}, or everything; got {_short(what)}.")
    return tuple(name for name in WHAT if name in names)


def check_settings(settings: Any, present: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Some or all of the settings of a run, each checked by the rules of `isi_widget.Settings`; an unknown
    one is refused, and so is one that does not go together with the other ones or those of `present`.
    """
    if not isinstance(settings, Mapping):
        raise InputError(f"Settings must be an object, not {_short(settings)}.")
    check_keys("the settings", settings, set(), set(SETTINGS))
    given = dict(settings)
    for name, value in given.items():
        default = SETTINGS[name]
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise InputError(f"{name} must be true or false, not {_short(value)}.")
        elif isinstance(default, str):
            if not isinstance(value, str) or len(value) > 40:
                raise InputError(f"{name} must be a short text, not {_short(value)}.")
        elif isinstance(value, str | list | tuple | Mapping) or (
            isinstance(value, int | float) and not _bounded(name, value)
        ):
            raise InputError(f"{name} must be a number of ordinary size, not {_short(value)}.")
        elif isinstance(default, int) and isinstance(value, float) and value.is_integer():
            given[name] = int(value)  # JSON knows one kind of number
    checked = Settings(**{**(present or {}), **given})
    return {name: getattr(checked, name) for name in given}


def check_part(value: Any) -> str:
    """What can be drawn at random: "image" or "context"."""
    if value not in ("image", "context"):
        raise InputError(f"What is drawn at random is 'image' or 'context', not {_short(value)}.")
    return str(value)


def check_tool(value: Any) -> str:
    """The name of a tool of the canvas."""
    if not isinstance(value, str) or value not in TOOLS:
        raise InputError(f"tool must be one of {', '.join(TOOLS)}; got {_short(value)}.")
    return value


def check_selected(value: Any, operations: Sequence[Mapping[str, Any]]) -> list[int]:
    """The places of drawings among `operations`, rising and without repeats."""
    if not isinstance(value, list | tuple) or any(
        isinstance(index, bool) or not isinstance(index, int) for index in value
    ):
        raise InputError(f"selected must be a list of whole numbers, not {_short(value)}.")
    drawings = [index for index, operation in enumerate(operations) if is_drawing(operation)]
    for index in value:
        if index not in drawings:
            raise InputError(
                f"selected: operation {_short(index)} is no drawing; of the {len(operations)} operations, "
                f"counted from 0, these are: {_short(drawings)}."
            )
    return sorted(set(value))


def is_drawing(operation: Mapping[str, Any]) -> bool:
    """Whether an operation paints, and so can be selected; the others choose an image or a text."""
    return operation["op"] not in ("image", "context", "question")


def check_document(value: Any, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A document as `document.py` describes it, with plain and bounded values.

    Only the shape is checked: whether the current operations make sense is known when they are applied to a
    stimulus. Steps that the document `known` has too, which is nearly all of them, are not checked again.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"The document must be an object, not {_short(value)}.")
    check_keys("the document", value, {"version", "operations", "past", "future"}, set())
    if value["version"] != _document.VERSION or isinstance(value["version"], bool):
        raise InputError(
            f"The document has version {_short(value['version'])}, this kernel reads version "
            f"{_document.VERSION}: restart the kernel after an upgrade of isi-widget."
        )
    for name in ("past", "future"):
        if not isinstance(value[name], list | tuple):
            raise InputError(f'"{name}" of the document must be a list, not {_short(value[name])}.')
    operations = check_operations(value["operations"])
    past, future = list(value["past"][-_document.MAX_STEPS :]), list(value["future"][: _document.MAX_STEPS])
    checked: list[list[Any]] = [[], []] if known is None else [known["past"][::-1], known["future"]]
    # A gesture adds or takes a step at the end of the past, undo and redo at the beginning of the future, so
    # steps are known by their place from the other end.
    return {
        "version": _document.VERSION,
        "operations": operations,
        "past": _steps(past[::-1], checked[0], len(operations))[::-1],
        "future": _steps(future, checked[1], len(operations)),
    }


def _steps(steps: list[Any], known: Sequence[Any], count: int) -> list[dict[str, Any]]:
    """Steps in the order in which they are applied to `count` operations; known ones need no look."""
    found = []
    for left, step in zip(range(len(steps), 0, -1), steps, strict=True):
        if not (left <= len(known) and known[-left] == step):
            step = _step(step)
        if step["at"] + step["remove"] > count:
            raise InputError(f"A step of the document changes more than its {count} operations.")
        count += len(step["insert"]) - step["remove"]
        found.append(step)
    return found


def _step(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"A step of the document must be an object, not {_short(value)}.")
    check_keys("a step of the document", value, {"at", "remove", "insert"}, set())
    at, remove = (_whole(name, value[name]) for name in ("at", "remove"))
    return {"at": at, "remove": remove, "insert": check_operations(value["insert"])}


def check_format(format: Any) -> str:
    """The format of an exported file."""
    if not isinstance(format, str) or format not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}; got {_short(format)}.")
    return format


def check_note(text: Any) -> str:
    """The text of a note, without white space around it."""
    return _text("a note", text, MAX_NOTE).strip()


def check_index(value: Any, count: int) -> int:
    """An index into a data set of `count` observations."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise InputError(
            f"The observation must be a whole number from 0 to {count - 1}, not {_short(value)}."
        )
    return value


def check_edit(value: Any) -> int:
    """The number of an edit of the page."""
    return _whole("edit", value)


def check_shown(value: Any, numbers: Collection[int]) -> int:
    """The number of a trial that is there; -1 is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not (value == -1 or value in numbers):
        raise InputError(
            f"shown must be the number of one of the {len(numbers)} trials, or -1; not {_short(value)}."
        )
    return value


def check_keys(where: str, value: Mapping[Any, Any], required: set[str], optional: set[str]) -> None:
    """Refuse missing and unknown keys of an object."""
    missing = sorted(required - set(value))
    if missing:
        raise InputError(f"{where[0].upper()}{where[1:]} lacks {', '.join(missing)}.")
    unknown = sorted(str(key) for key in set(value) - required - optional)
    if unknown:
        known = ", ".join(sorted(required | optional))
        raise InputError(
            f"{where[0].upper()}{where[1:]} has unknown keys: {_short(', '.join(unknown))}; known: {known}."
        )


def check_operations(value: Any) -> list[dict[str, Any]]:
    """A list of operations, each a flat object of plain and bounded values."""
    if not isinstance(value, list | tuple):
        raise InputError(f"Operations must be a list, not {_short(value)}.")
    if len(value) > MAX_OPERATIONS:
        raise InputError(f"{len(value)} operations are too many; at most {MAX_OPERATIONS} are taken.")
    for position, operation in enumerate(value):
        if not isinstance(operation, Mapping) or not isinstance(operation.get("op"), str):
            raise InputError(
                f'Operation {position} must be an object with a name "op", not {_short(operation)}.'
            )
        for key, item in operation.items():
            if not _bounded(key, item):
                name = "a key" if not isinstance(key, str) or len(key) > 40 else f'"{key}"'
                raise InputError(
                    f"{name} of operation {position} ({_short(operation['op'])}) is {_short(item)}: too "
                    "large, or nothing that an operation holds."
                )
    return [dict(operation) for operation in value]


def _bounded(key: Any, value: Any, nested: bool = False) -> bool:
    """Whether an operation could hold this: no huge or infinite number, no huge string, nothing nested twice
    but the points of a polygon.
    """
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


def _number(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows one kind of number
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SEED:
        raise InputError(f"trial must be the number of a trial, from 1; got {_short(value)}.")
    return value


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NUMBER:
        raise InputError(f"{name} must be a whole number from 0, not {_short(value)}.")
    return value


def _text(name: str, value: Any, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise InputError(f"{name} must be a text of at most {longest} characters, not {_short(value)}.")
    return value


def _short(value: Any) -> str:
    """A value in an error message: never more than a line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
