"""The messages of a page: what it may ask for beside setting synced values, and the check of each field.

Pure: an object in, a checked message (or one `InputError`) out. Longer than other modules because it holds
one class per message. `requests.py` handles messages; `protocol.py` checks the synced values.

Every message may carry an `id`, chosen by the page. It is answered once: by a message of the same kind with
the requested values, by "done" if there is nothing to send, by "error", or by "dropped" if a newer message
replaced it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from isi_widget.checks import is_whole
from isi_widget.concepts.segmenters import MOST_STROKES, Stroke
from isi_widget.errors import InputError
from isi_widget.stimulus import Mask, checks
from isi_widget.widget import protocol
from isi_widget.widget.protocol import check_text, check_whole, short

MAX_THUMBNAILS = 100  # in one answer: more rows than a page shows at once
MAX_EXPORTED = 1000  # trials in one file
QUANTIZATIONS = (None, "int8", "nf4")  # what the page offers
# what it may ask for: it keeps the precision of the present model, which Python may have loaded otherwise
LOADABLE = (*QUANTIZATIONS, "nf4-double")


def _checked(check: Callable[[Any], Any], default: Any = MISSING) -> Any:
    """Define a field whose value `check` accepts or refuses; a field without a default is required."""
    if default is MISSING:
        return field(metadata={"check": check})
    return field(default=default, metadata={"check": check})


def _id(value: Any) -> str:
    return check_text("id", value, 200)


def _whole(name: str) -> Any:
    return _checked(lambda value: check_whole(name, value))


def _trial(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows one kind of number
    if not is_whole(value) or not 1 <= value <= protocol.MAX_SEED:
        raise InputError(f"trial must be the number of a trial, from 1; got {short(value)}.")
    return value


def _trials(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_EXPORTED:
        raise InputError(
            f"trials must be a list of 1 to {MAX_EXPORTED} numbers of trials, not {short(value)}."
        )
    return tuple(map(_trial, value))


def _indexes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_THUMBNAILS:
        raise InputError(f"indexes must be a list of 1 to {MAX_THUMBNAILS}, not {short(value)}.")
    for index in value:
        if not is_whole(index):
            raise InputError(f"indexes must be whole numbers, not {short(index)}.")
    return tuple(value)


def _region(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or len(value) != 4:
        raise InputError(f"region must be four whole numbers of pixels, not {short(value)}.")
    return tuple(check_whole("region", at) for at in value)


def _flag(value: Any, name: str = "keep") -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false, not {short(value)}.")
    return value


def _model(value: Any) -> str:
    name = check_text("name", value, 1000).strip()
    if not name:
        raise InputError("A model needs a name: one on the hub ('owner/model'), or a folder.")
    return name


def _quantization(value: Any) -> str | None:
    if value not in LOADABLE:
        kinds = ", ".join(map(repr, LOADABLE))
        raise InputError(f"quantization must be one of {kinds}; got {short(value)}.")
    return value


def _file(value: bytes) -> bytes:
    if not value:
        raise InputError("The uploaded file is empty.")
    if len(value) > protocol.MAX_UPLOAD:
        raise InputError(
            f"The uploaded file has {len(value) >> 20} MB; at most {protocol.MAX_UPLOAD >> 20} MB are taken."
        )
    return value


def _strokes(value: Any) -> tuple[Stroke, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_STROKES:
        raise InputError(f"strokes must be a list of at most {MOST_STROKES} strokes, not {short(value)}.")
    return tuple(map(Stroke.of, value))


def _mask(value: Any) -> Mask | None:
    return None if value is None else Mask.from_dict({"mask": value})


def _maybe(check: Callable[[Any], Any]) -> Any:
    """Define a field that may be null or missing."""
    return _checked(lambda value: None if value is None else check(value), None)


@dataclass(frozen=True)
class Asked:
    """A message whose answer, if it has an id, carries the same one."""

    id: str = field(default="", kw_only=True, metadata={"check": _id})


@dataclass(frozen=True)
class Run:
    """Start a run: what to measure, and with which settings (only the given ones).

    plain : without the interventions inside the model that the page has.
    """

    id: str = _checked(_id)
    measures: tuple[str, ...] = _checked(protocol.check_measures)
    settings: Mapping[str, Any] | None = _checked(protocol.check_settings, None)
    plain: bool = _checked(lambda value: _flag(value, "plain"), False)


@dataclass(frozen=True)
class Cancel(Asked):
    """Stop the run of this id; an empty one stops whatever runs or waits."""

    run: str = _checked(_id, "")


@dataclass(frozen=True)
class Upload:
    """An image file of the user's own, or one part of it; the data come as the only buffer.

    keep : True keeps the picture for operations that name it, instead of opening it.
    """

    name: str = _checked(lambda value: check_text("name", value, 1000))
    data: bytes = _checked(_file)
    id: str = _checked(_id, "")
    part: int = _checked(lambda value: check_whole("part", value), 0)
    parts: int = _checked(lambda value: check_whole("parts", value), 1)
    keep: bool = _checked(_flag, False)


@dataclass(frozen=True)
class Picture(Asked):
    """Asks to keep a picture for operations that name it: the image of an observation, by its number, or
    (null) the picture as it is shown now.
    """

    observation: int | None = _checked(
        lambda value: None if value is None else check_whole("observation", value), None
    )


@dataclass(frozen=True)
class Inpainters(Asked):
    """Asks for the in-painters that can fill the holes of edits."""


@dataclass(frozen=True)
class Complete(Asked):
    """Asks to compute the pixels of pending edits again, after an error or a cancel."""


@dataclass(frozen=True)
class Undo(Asked):
    """Take back the last step, where it went from one observation to another: the page does others itself."""


@dataclass(frozen=True)
class Redo(Asked):
    """Make such a step again."""


@dataclass(frozen=True)
class Truth(Asked):
    """What is the right answer about a picture of the user's own; an empty text: none is known."""

    text: str = _checked(lambda value: check_text("truth", value, protocol.MAX_NOTE))


@dataclass(frozen=True)
class Thumbnails(Asked):
    """Asks for small pictures of observations, by their places in the data set."""

    indexes: tuple[int, ...] = _checked(_indexes)


@dataclass(frozen=True)
class Tokens(Asked):
    """Asks how many tokens the texts have for the present model."""


@dataclass(frozen=True)
class Reshuffle(Asked):
    """Another random item in the place of the shown one: "image" or "context"."""

    part: str = _checked(protocol.check_part)


@dataclass(frozen=True)
class Code:
    """Asks for the Python that does what was clicked, or that repeats a trial."""

    id: str = _checked(_id)
    trial: int | None = _checked(_trial, None)


@dataclass(frozen=True)
class Conditions(Asked):
    """Asks for the Python that makes the pinned trials, or all, conditions of a study."""


@dataclass(frozen=True)
class Models(Asked):
    """Asks for the models that can be loaded."""


@dataclass(frozen=True)
class Color:
    """Asks for the colour of one pixel of what the model sees."""

    id: str = _checked(_id)
    x: int = _whole("x")
    y: int = _whole("y")


@dataclass(frozen=True)
class Font(Asked):
    """Asks for the font that the kernel writes with, so that the page measures and draws texts alike."""


@dataclass(frozen=True)
class Map:
    """Asks for the attention of one token of a trial's answer, as a layer over the picture."""

    id: str = _checked(_id)
    trial: int = _checked(_trial)
    token: int = _whole("token")


@dataclass(frozen=True)
class Cut(Asked):
    """Cut a patch from another observation's image."""

    operation: int = _whole("operation")
    observation: int = _whole("observation")


@dataclass(frozen=True)
class Detail:
    """Asks for a part of the picture at full resolution: left, top, width and height in pixels of the image,
    and how many pixels of the screen it has in width.
    """

    id: str = _checked(_id)
    region: tuple[int, int, int, int] = _checked(_region)
    width: int = _whole("width")


@dataclass(frozen=True)
class Editor(Asked):
    """Asks for the source of the editor, which is not saved in the notebook."""


@dataclass(frozen=True)
class Still(Asked):
    """Asks for the still that a notebook keeps beside the widget, where its own is older."""


@dataclass(frozen=True)
class History(Asked):
    """Asks for the whole document, of which the page does not have all steps."""


@dataclass(frozen=True)
class Segment:
    """Asks for the object that was marked on the picture as it is shown now, with all drawings.

    A box alone gives a first outline; a mask with strokes (and the box) refines it; a point gives the
    connected area of its colour. All in pixels of the image.

    box : (x, y, width, height), or None.
    strokes : painted lines: this is the object, this is not.
    mask : selection so far, {"size": ..., "runs": ..., "feather": ...}, or None.
    point : (x, y) of the colour wand, or None.
    tolerance : tolerance of the colour wand, CIELAB; None for the default.
    back_end : name of the segmenter; None for that of the probe.
    """

    id: str = _checked(_id)
    box: tuple[float, ...] | None = _maybe(lambda value: checks.region(value, "box"))
    strokes: tuple[Stroke, ...] = _checked(_strokes, ())
    mask: Mask | None = field(default=None, metadata={"check": _mask})
    point: tuple[float, float] | None = _maybe(lambda value: checks.point(value, "point"))
    tolerance: float | None = _maybe(lambda value: checks.number(value, "tolerance", low=0, high=300))
    back_end: str | None = _maybe(lambda value: check_text("back_end", value, 200))


@dataclass(frozen=True)
class Load:
    """Load another model: a name as `load_vlm` takes it, or "embedded"."""

    id: str = _checked(_id)
    name: str = _checked(_model)
    quantization: str | None = _checked(_quantization, None)


@dataclass(frozen=True)
class Judges(Asked):
    """Asks for the entailment models that can compare the meanings."""


@dataclass(frozen=True)
class Judge:
    """Have another entailment model compare the meanings, from the next run on.

    One that is not on the disk is downloaded: the page has said its size.
    """

    id: str = _checked(_id)
    name: str = _checked(_model)


@dataclass(frozen=True)
class Lens:
    """Asks for the words of each layer at the image tokens of a trial's input."""

    id: str = _checked(_id)
    trial: int = _checked(_trial)


@dataclass(frozen=True)
class Heads(Lens):
    """Asks what each head does to a trial's answer; `exact`: by a run of its own, however many there are."""

    exact: bool = _checked(lambda value: _flag(value, "exact"), False)


@dataclass(frozen=True)
class Trace:
    """Asks for a trace between the inputs of two trials: from the states of the first to the second."""

    id: str = _checked(_id)
    clean: int = _checked(_trial)
    corrupt: int = _checked(_trial)


@dataclass(frozen=True)
class Restore(Asked):
    """Make the input of a trial, named by its number, the present input."""

    trial: int = _checked(_trial)


@dataclass(frozen=True)
class Delete(Restore):
    """Forget a trial."""


@dataclass(frozen=True)
class Note(Asked):
    """What to remember of a trial, in the user's words."""

    trial: int = _checked(_trial)
    text: str = _checked(protocol.check_note)


@dataclass(frozen=True)
class Save(Asked):
    """Asks for all work of the probe as one file."""


@dataclass(frozen=True)
class Export:
    """Asks for a file with some trials in it."""

    id: str = _checked(_id)
    trials: tuple[int, ...] = _checked(_trials)
    format: str = _checked(protocol.check_format)


Message = (
    Run
    | Cancel
    | Upload
    | Picture
    | Inpainters
    | Complete
    | Undo
    | Redo
    | Truth
    | Thumbnails
    | Tokens
    | Reshuffle
    | Code
    | Conditions
    | Models
    | Color
    | Font
    | Map
    | Cut
    | Detail
    | Editor
    | Still
    | History
    | Segment
    | Load
    | Judges
    | Judge
    | Heads
    | Trace
    | Lens
    | Restore
    | Delete
    | Note
    | Save
    | Export
)
#: The messages by what a page calls them, which is their name.
KINDS: dict[str, type] = {message.__name__.lower(): message for message in Message.__args__}


def parse_message(content: Any, buffers: Sequence[Any] | None = None) -> Message:
    """Return the checked form of a custom message; `InputError` says what was wrong with it."""
    if not isinstance(content, Mapping):
        raise InputError(f"A message must be an object, not {short(content)}.")
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"Unknown kind of message: {short(kind)}; expected one of {', '.join(KINDS)}.")
    wanted = {item.name: item for item in fields(KINDS[kind])}
    buffered = {"data"} & set(wanted)
    required = {name for name, item in wanted.items() if item.default is MISSING} - buffered
    optional = set(wanted) - required - buffered
    protocol.check_keys(f'a "{kind}" message', content, {"kind", *required}, optional)
    given = [*buffers] if buffers else []
    if len(given) != len(buffered):
        raise InputError(f'A "{kind}" message came with {len(given)} buffers; expected {len(buffered)}.')
    values = {**content, **{name: bytes(data) for name, data in zip(buffered, given, strict=True)}}
    checked = {name: item.metadata["check"](values[name]) for name, item in wanted.items() if name in values}
    message: Message = KINDS[kind](**checked)
    return message
