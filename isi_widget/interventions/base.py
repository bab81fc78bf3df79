"""What every intervention has: fields, JSON form, Python form; and lists of interventions.

Not for what an intervention does (see `isi_widget.vlm.inside`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.readable import counted
from isi_widget.stimulus import Stimulus, checks

#: Version of the JSON form.
VERSION = 1
#: Most interventions on one model: more than every head of a large one.
MOST = 10_000
#: Layers and heads that no model exceeds; a model's own numbers are checked by `VLM.intervene`.
MOST_LAYERS = 10_000
#: Fields without a default that code gives by position.
_BY_POSITION = ("direction", "layer", "head", "factor")
#: JSON name ("kind") -> class.
KINDS: dict[str, type[Intervention]] = {}
_I = TypeVar("_I", bound="type[Intervention]")


def register(kind: _I) -> _I:
    """Register an intervention under its `kind` name (class decorator)."""
    KINDS[kind.kind] = kind
    return kind


@runtime_checkable
class Part(Protocol):
    """A value of a field that has a JSON form and a Python form of its own."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""

    def code(self) -> str:
        """Return Python that makes it."""


@dataclass(frozen=True)
class Intervention:
    """One change inside a model. Immutable, hashable, equal by content."""

    kind: ClassVar[str]
    #: What a list of such interventions is called where there is little room.
    title: ClassVar[str] = "inside changed"

    @property
    def label(self) -> str:
        """The intervention in a few words."""
        raise NotImplementedError

    @property
    def changed_heads(self) -> tuple[tuple[int, int], ...]:
        """(layer, head) of each single head whose output is changed."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: "kind", "version", and every field that differs from its default."""
        record: dict[str, Any] = {"kind": self.kind, "version": VERSION}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.default is MISSING or value != item.default:
                record[item.name] = plain(value)
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Intervention:
        """Rebuild from the record of `to_dict`; called on a subclass it accepts that kind only.

        Raises
        ------
        InputError
            For an unknown kind, a newer version, unknown or missing fields, or a wrong value.
        """
        found = from_dict(record)
        if not isinstance(found, cls):
            raise InputError(f"Expected an intervention of kind {cls.kind!r}, got {found.kind!r}.")
        return found

    def content(self) -> dict[str, Any]:
        """Return what makes it equal to another one, JSON-ready and short; by default its JSON form."""
        return self.to_dict()

    def code(self, of_stimulus: Callable[[Stimulus], str] | None = None) -> str:
        """Return Python that makes this intervention.

        Parameters
        ----------
        of_stimulus
            Writes the Python expression of a stimulus that it holds; default: from its JSON.
        """
        arguments = []
        for item in fields(self):
            value = getattr(self, item.name)
            if item.default is MISSING and item.name in _BY_POSITION:
                arguments.append(literal(value))
            elif item.default is MISSING or value != item.default:
                arguments.append(f"{item.name}={literal(value)}")
        return f"isi.{type(self).__name__}({', '.join(arguments)})"

    def _name(self, name: str) -> str:
        return f'{self.kind}: "{name}"'

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


# Fields -----------------------------------------------------------------------------------------------------


def check_index(value: Any, name: str) -> int:
    """Return the number of a layer or head, counted from 0."""
    return checks.integer(value, name, high=MOST_LAYERS)


def check_indices(value: Any, name: str) -> tuple[int, ...] | None:
    """Return numbers of layers or heads, sorted, each once; None for all; a single number
    stands for itself.
    """
    if value is None:
        return None
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return (check_index(value, name),)
    items = sorted({check_index(item, name) for item in value})
    if not items:
        raise InputError(f"{name} is empty: give the numbers, counted from 0, or None for all.")
    return tuple(items)


def plain(value: Any) -> Any:
    """Convert to JSON-ready values; whole floats become integers, as in JavaScript."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Part):
        return value.to_dict()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def literal(value: Any) -> str:
    """Return a field as Python."""
    if isinstance(value, Part):
        return value.code()
    return repr(value)


# Lists ------------------------------------------------------------------------------------------------------


def checked(interventions: Iterable[Any]) -> tuple[Intervention, ...]:
    """Return interventions as a tuple.

    Raises
    ------
    InputError
        If one of them is no intervention, or they are too many.
    """
    found = tuple(interventions)
    for item in found:
        if not isinstance(item, Intervention):
            known = ", ".join(sorted(kind.__name__ for kind in KINDS.values()))
            raise InputError(
                f"An intervention must be one of {known}; got {type(item).__name__}. Lists are passed as "
                "vlm.intervene(*interventions)."
            )
    if len(found) > MOST:
        raise InputError(f"A model takes at most {MOST} interventions; got {len(found)}.")
    return found


def from_dict(record: Any) -> Intervention:
    """Return an intervention from its JSON form; see `Intervention.from_dict`."""
    with records.damaged("an intervention"):
        if not isinstance(record, Mapping):
            raise InputError(f'An intervention must be an object with a "kind", got {type(record).__name__}.')
        name = record.get("kind")
        if not isinstance(name, str) or name not in KINDS:
            raise InputError(f'"kind" must be one of {", ".join(sorted(KINDS))}; got {name!r:.60}.')
        version = record.get("version", VERSION)
        if version != VERSION or isinstance(version, bool):
            raise InputError(
                f'{name}: "version" must be {VERSION}, got {version!r:.60}; it needs another version of '
                "isi_widget."
            )
        kind = KINDS[name]
        given = {key: value for key, value in record.items() if key not in ("kind", "version")}
        known = {item.name: item.default is MISSING for item in fields(kind)}
        if unknown := [str(key)[:60] for key in given if key not in known]:
            raise InputError(
                f"{name}: unknown field {', '.join(map(repr, unknown[:5]))}; known are {', '.join(known)}."
            )
        if missing := [key for key, needed in known.items() if needed and key not in given]:
            raise InputError(f"{name}: missing field {', '.join(map(repr, missing))}.")
        return kind(**given)


def from_dicts(found: Any) -> tuple[Intervention, ...]:
    """Return interventions from a list of JSON forms, in order."""
    if not isinstance(found, list | tuple):
        raise InputError(f'"interventions" must be a list, got {type(found).__name__}.')
    if len(found) > MOST:
        raise InputError(f"A model takes at most {MOST} interventions; got {len(found)}.")
    return tuple(from_dict(record) for record in found)


def to_dicts(interventions: Sequence[Intervention]) -> list[dict[str, Any]]:
    """Return the JSON forms, in order."""
    return [item.to_dict() for item in interventions]


def digest(interventions: Sequence[Intervention]) -> str:
    """Return 16 hexadecimal digits, equal for equal interventions in equal order; "" for none."""
    if not interventions:
        return ""
    text = json.dumps([item.content() for item in interventions], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def keyed(key: str, interventions: Sequence[Intervention]) -> str:
    """Return the key of a stimulus for a model with interventions; `key` itself without any."""
    if not interventions:
        return key
    return hashlib.sha256(f"{key} {digest(interventions)}".encode()).hexdigest()


def code(
    interventions: Sequence[Intervention],
    name: str = "vlm",
    of_stimulus: Callable[[Stimulus], str] | None = None,
) -> str:
    """Return a Python expression of the VLM `name` with these interventions; `name` alone without any.

    `of_stimulus` writes the expressions of stimuli that interventions hold; default: from their JSON.
    """
    if not interventions:
        return name
    calls = [item.code(of_stimulus) for item in interventions]
    joined = f"{name}.intervene({', '.join(calls)})"
    if len(joined) <= 100:
        return joined
    return "\n".join([f"{name}.intervene(", *(f"    {call}," for call in calls), ")"])


def summary(interventions: Sequence[Intervention]) -> str:
    """Return a few words for all of them, such as "2 heads changed, attention cut"; "" for none."""
    heads = {head for item in interventions for head in item.changed_heads}
    parts = [f"{counted(len(heads), 'head')} changed"] if heads else []
    parts += dict.fromkeys(item.title for item in interventions if not item.changed_heads)
    return ", ".join(parts)
