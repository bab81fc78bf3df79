"""Operations on a stimulus: the base class, its JSON form, and the operations that replace image, context or
question.

Operations that paint are drawings (see `base`). Not for resolving preset names to pictures and texts:
`core.Stimulus` does that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from isi_widget.errors import InputError
from isi_widget.stimulus import checks
from isi_widget.stimulus.coverage import Bounds
from isi_widget.stimulus.mask import Mask
from isi_widget.stimulus.picture import Picture

IMAGE_PRESETS = ("natural", "annotated", "random", "custom")
CONTEXT_PRESETS = ("empty", "complementary", "contradictory", "irrelevant", "nudging", "random")

#: Metadata of a field that is written to JSON only when it differs from its default.
SPARSE = {"sparse": True}
#: Metadata of a field that holds a picture; in JSON its SHA-256, under "image".
PICTURE = {"picture": True, "json": "image"}
#: JSON name ("op") -> class.
OPERATIONS: dict[str, type[Operation]] = {}
_O = TypeVar("_O", bound="type[Operation]")


def register(kind: _O) -> _O:
    """Register an operation under its `op` name (class decorator)."""
    OPERATIONS[kind.op] = kind
    return kind


@dataclass(frozen=True)
class Operation:
    """One change of a stimulus. Immutable; compared by content."""

    op: ClassVar[str]

    @property
    def truth(self) -> str:
        """Effect on the known answer to the question: "keeps" or "may change". Replacing the image, context
        or question keeps it where `Stimulus.truth` is known.
        """
        return "keeps"

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures that it holds."""
        held = (getattr(self, item.name) for item in fields(self) if "picture" in item.metadata)
        return tuple(picture for picture in held if picture is not None)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what it paints: its JSON form without the fields that only the page uses."""
        record = {key: value for key, value in self.to_dict().items() if key not in ("hidden", "locked")}
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return (left, top, right, bottom), half-open: the pixels that may change; all 0 if none."""
        return (0, 0, 0, 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: "op" and every field; rarely used fields only where they differ from their
        default.
        """
        record: dict[str, Any] = {"op": self.op}
        for item in sorted(fields(self), key=lambda item: "sparse" in item.metadata):
            value = getattr(self, item.name)
            if "sparse" not in item.metadata or value != item.default:
                record[item.metadata.get("json", item.name)] = plain(value)
        return record

    def _name(self, name: str) -> str:
        return f'{self.op}: "{name}"'

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


def plain(value: Any) -> Any:
    """Convert to JSON-ready values: whole floats become integers, as in JavaScript; a picture becomes its
    SHA-256, a mask its runs.
    """
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mask):
        return value.to_dict()
    return value.sha256 if isinstance(value, Picture) else value


@register
@dataclass(frozen=True)
class ReplaceImage(Operation):
    """Show a different image. The last replacement counts; drawings stay on top.

    preset : "natural" (the observation's own image), "annotated", "random" (the image of another observation,
        chosen by `seed`) or "custom".
    picture : image; in JSON its SHA-256, under "image".
    seed : seed of the preset "random"; None (default) for other presets.
    """

    op: ClassVar[str] = "image"
    preset: str
    picture: Picture = field(metadata=PICTURE)
    seed: int | None = None

    def __post_init__(self) -> None:
        checks.one_of(self.preset, self._name("preset"), IMAGE_PRESETS)
        if not isinstance(self.picture, Picture):
            raise InputError(f"{self._name('picture')} must be a Picture, got {type(self.picture).__name__}.")
        self._set(seed=random_seed(self.preset, self.seed, self.op))

    def bounds(self, size: tuple[int, int]) -> Bounds:
        """Return the whole image."""
        return (0, 0, *size)


@register
@dataclass(frozen=True)
class ReplaceContext(Operation):
    """Give a different context. The last replacement counts.

    text : context sent to the model.
    preset : preset that the text comes from; None (default) for custom text.
    seed : seed of the preset "random"; None (default) for other presets.
    """

    op: ClassVar[str] = "context"
    text: str
    preset: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        self._set(text=checks.text(self.text, self._name("text")))
        if self.preset is not None:
            checks.one_of(self.preset, self._name("preset"), CONTEXT_PRESETS)
        if self.preset == "empty" and self.text:
            raise InputError(
                f'{self._name("text")} must be empty for the preset "empty", got {len(self.text)} characters.'
            )
        self._set(seed=random_seed(self.preset, self.seed, self.op))


@register
@dataclass(frozen=True)
class ReplaceQuestion(Operation):
    """Ask a different question. The last replacement counts."""

    op: ClassVar[str] = "question"
    text: str

    def __post_init__(self) -> None:
        self._set(text=checks.text(self.text, self._name("text")))


def random_seed(preset: str | None, seed: Any, op: str) -> int | None:
    """Return the seed of a random preset (0 if none is given); other presets take none."""
    if preset == "random":
        return checks.integer(0 if seed is None else seed, f'{op}: "seed"')
    if seed is not None:
        raise InputError(f'{op}: "seed" belongs to the preset "random" only, got {seed!r} with {preset!r}.')
    return None


def operation_from_dict(record: Any) -> Operation:
    """Build an operation from its JSON form. Operations with pictures need `core.Stimulus.with_operations`,
    which knows the pictures.

    Raises
    ------
    InputError : not an object, unknown "op", unknown or missing field, or wrong value.
    """
    kind = operation_kind(record)
    held = picture_fields(kind)
    if kind is ReplaceImage or any(record.get(name) is not None for name in held):
        raise InputError(
            f"An operation {kind.op!r} with a picture is resolved by Stimulus.with_operations, which knows "
            "the pictures."
        )
    return kind(**{held.get(name, name): value for name, value in record.items() if name != "op"})


def picture_fields(kind: type[Operation]) -> dict[str, str]:
    """Return the fields of a class that hold pictures: {name in JSON: name of the field}."""
    return {
        item.metadata.get("json", item.name): item.name for item in fields(kind) if "picture" in item.metadata
    }


def operation_kind(record: Any, optional: tuple[str, ...] = ()) -> type[Operation]:
    """Return the class named by a JSON form, after checking its keys; fields in `optional` may be missing."""
    if not isinstance(record, Mapping):
        raise InputError(f'An operation must be an object with an "op", got {type(record).__name__}.')
    name = record.get("op")
    if not isinstance(name, str) or name not in OPERATIONS:
        raise InputError(f'"op" must be one of {", ".join(sorted(OPERATIONS))}; got {name!r}.')
    kind = OPERATIONS[name]
    known = {item.metadata.get("json", item.name): item.default is MISSING for item in fields(kind)}
    unknown = [str(key) for key in record if key != "op" and key not in known]
    if unknown:
        raise InputError(
            f"{name}: unknown field {', '.join(map(repr, unknown))}; known are {', '.join(sorted(known))}."
        )
    missing = [key for key, needed in known.items() if needed and key not in record and key not in optional]
    if missing:
        raise InputError(f"{name}: missing field {', '.join(map(repr, missing))}.")
    return kind
