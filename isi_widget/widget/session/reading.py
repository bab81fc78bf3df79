"""From the files of a session to checked values: the state, the trials, the pictures.

The files may come from anyone and may be damaged. What makes the state unreadable is one `InputError`; a
trial that cannot be read is left out, with its reason, and its file stays as it is. Not for files
(`sources.py`), nor for putting the values into a probe (`restoring.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from isi_widget.checks import is_whole
from isi_widget.datasets import Dataset, Observation
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.mechanism.head_contributions import HeadContributions
from isi_widget.stimulus import Picture, Stimulus, load_image
from isi_widget.text import all_repaired
from isi_widget.trial import Trial
from isi_widget.widget import protocol
from isi_widget.widget.session import journal, layout
from isi_widget.widget.session.sources import Source
from isi_widget.widget.session.traces import check_trace
from isi_widget.widget.uploads import ImageFile

_PNG = b"\x89PNG\r\n\x1a\n"
_STATE = {
    "format",
    "schema",
    "generation",
    "versions",
    "model",
    "judge",
    "settings",
    "run_on_change",
    "pinned",
    "shown",
    "notes",
    "last",
    "deleted",
    "data",
    "current",
    "observations",
    "documents",
}
#: Those that sessions of before do not have.
_LATER = {"traced", "lens_on"}


@dataclass(frozen=True)
class Seen:
    """An observation that a session names.

    Attributes
    ----------
    observation : the observation, outside of a data set.
    base : its unchanged stimulus.
    own : whether it is a picture of the user's own.
    """

    observation: Observation
    base: Stimulus
    own: bool


@dataclass(frozen=True)
class Kept:
    """What a session holds.

    Attributes
    ----------
    title : name for messages.
    state : the checked state, as it is written; empty for a session without one.
    generation : number of the state's file, and how many lines of changes follow it.
    seen : the observations by their index.
    trials : trials by their number.
    contributions : contributions of heads by the number of their trial.
    pictures : the pictures that documents name, by SHA-256.
    problems : parts that could not be read, one sentence each.
    received : whether it was read from a file.
    """

    title: str
    state: journal.State = field(default_factory=dict)
    generation: int = 0
    seen: Mapping[int, Seen] = field(default_factory=dict)
    trials: Mapping[int, Trial] = field(default_factory=dict)
    contributions: Mapping[int, HeadContributions] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    received: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to restore."""
        return not self.state and not self.trials

    def data(self) -> Dataset | None:
        """Return the data set of the session: a built-in one by its name, else the observations that the
        session holds; None if it holds none.
        """
        named = self.state.get("data", {})
        found = _built_in(named.get("code"))
        every = [item.observation for _, item in sorted(self.seen.items()) if not item.own]
        if found is not None and all(_holds(found, index, item) for index, item in self.seen.items()):
            return found
        return Dataset(every, named.get("name") or "session") if every else None


def _holds(data: Dataset, index: int, item: Seen) -> bool:
    if item.own or index < 0:
        return True
    return index < len(data) and data[index].question == item.base.question


def _built_in(code: Any) -> Dataset | None:
    """Return a built-in data set by the Python that makes it, which is compared and never run."""
    from isi_widget.datasets import scenes, things

    for make, splits in (
        (things, ("", "validation", "test")),
        (scenes, ("", "validation", "test", "varied")),
    ):
        for split in splits:
            if code == f"isi.datasets.{make.__name__}({repr(split) if split else ''})":
                found = make(split) if split else make()
                return found if isinstance(found, Dataset) else None
    return None


def read(source: Source) -> Kept:
    """Read and check a session; `Kept.is_empty` where nothing was kept yet.

    Raises
    ------
    InputError : the state is damaged, or of a newer version. Nothing was changed.
    """
    names = source.names()
    pictures = _Pictures(source)
    problems: list[str] = []
    state, generation = _state(source, problems)
    seen, found = {}, {}
    if state:
        with _damaged(source, layout.STATE):
            seen = {int(index): _seen(item, pictures) for index, item in state["observations"].items()}
            found = pictures.named_in(state["documents"])
            if state["current"] not in seen or str(state["current"]) not in state["documents"]:
                raise InputError("its current observation is missing")
    trials, contributions = _trials(source, names, state, pictures, problems)
    return Kept(
        source.title, state, generation, seen, trials, contributions, found, tuple(problems), source.bounded
    )


# ---- the state
def _state(source: Source, problems: list[str]) -> tuple[journal.State, int]:
    content = source.read(layout.STATE)
    if content is None:
        return {}, 0
    with _damaged(source, layout.STATE):
        found = records.parse_json(content, layout.STATE)
        if not isinstance(found, dict) or found.get("format") != layout.FORMAT:
            raise InputError("it is not the state of a session")
        schema = found.get("schema")
        if not is_whole(schema) or schema < 1:
            raise InputError(f"it has schema {protocol.short(schema)}")
        if schema > layout.SCHEMA:
            raise _Newer(
                f"{source.title} was written by a newer isi-widget (schema {schema}; this one reads "
                f"{layout.SCHEMA}). Upgrade isi-widget to open it; nothing was changed."
            )
        generation = protocol.check_whole("generation", found.get("generation"))
        state = _changed(source, found, generation, problems)
        return _checked(all_repaired(state), problems), generation


def _changed(source: Source, state: journal.State, generation: int, problems: list[str]) -> journal.State:
    """Return the state after the lines of changes that belong to it."""
    lines = (source.read(layout.CHANGES) or b"").split(b"\n")
    last = lines.pop()  # empty, or cut off when its process was killed
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            if record["of"] != generation:
                continue
            state = journal.applied(state, record["changes"])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            lost = len(lines) - number + 1 + bool(last)
            problems.append(
                f"{layout.CHANGES} is damaged at line {number}: {lost} of its {len(lines)} changes are lost, "
                "and a "
                f"copy of it stays as damaged-{layout.CHANGES}."
            )
            break
    return state


def _checked(state: journal.State, problems: list[str]) -> journal.State:
    """Return the state with every part checked as if a page had sent it."""
    protocol.check_keys("the state", state, _STATE, _LATER)
    notes = {_number(key): protocol.check_note(text) for key, text in _object(state, "notes").items()}
    numbers = {name: _numbers(state[name], name) for name in ("pinned", "deleted")}
    for name in ("run_on_change", "lens_on"):
        if not isinstance(state.get(name, False), bool):
            raise InputError(f'"{name}" must be true or false')
    shown = -1 if state["shown"] == -1 else protocol.check_whole("shown", state["shown"])
    documents = _object(state, "documents")
    if set(documents) - set(_object(state, "observations")):
        raise InputError("a document has no observation")
    return {
        **state,
        **numbers,
        "notes": notes,
        "shown": shown,
        "last": protocol.check_whole("last", state["last"]),
        "judge": protocol.check_text("judge", state["judge"], layout.LONGEST_NAME),
        "settings": protocol.check_settings(state["settings"]),
        "model": _texts(state, "model"),
        "data": _texts(state, "data"),
        "current": _index(str(state["current"])),
        "traced": _trace(state.get("traced"), problems),
        "documents": {key: protocol.check_document(value) for key, value in documents.items()},
    }


def _trace(value: Any, problems: list[str]) -> dict[str, Any] | None:
    try:
        return check_trace(value)
    except InputError as error:  # nothing else depends on it
        problems.append(f"The last trace cannot be read and is left out: {error}")
        return None


def _object(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = state[name]
    if not isinstance(value, dict) or len(value) > layout.MOST_OBSERVATIONS:
        raise InputError(f"{name!r} must be an object, not {protocol.short(value)}")
    if name in ("observations", "documents"):
        for key in value:
            _index(key)
    return value


def _texts(state: Mapping[str, Any], name: str) -> dict[str, str]:
    return {
        key: protocol.check_text(f"{name}: {key}", value, layout.LONGEST_NAME)
        for key, value in _object(state, name).items()
        if value is not None
    }


def _index(key: str) -> int:
    if not layout.INDEX.fullmatch(key):
        raise InputError(f"{key[:40]!r} is not the index of an observation")
    return int(key)


def _number(key: Any) -> int:
    if not (isinstance(key, str) and key.isascii() and key.isdecimal() and 0 < len(key) < 10):
        raise InputError(f"{protocol.short(key)} is not the number of a trial")
    return int(key)


def _numbers(value: Any, name: str) -> list[int]:
    if not isinstance(value, list):
        raise InputError(f"{name!r} must be a list of numbers of trials")
    return sorted({protocol.check_whole(name, number) for number in value})


def _seen(record: Any, pictures: _Pictures) -> Seen:
    if not isinstance(record, Mapping):
        raise InputError("an observation must be an object")
    protocol.check_keys("an observation", record, {"stimulus", "id", "level", "own"}, {"boxes"})
    if not isinstance(record["own"], bool):
        raise InputError('"own" of an observation must be true or false')
    base = Stimulus.from_dict(record["stimulus"], pictures.named_in(record["stimulus"]))
    if base.operations:
        raise InputError("an observation has operations")
    annotated = base.presets.images.get("annotated")
    observation = Observation(
        pictures.file(base.image),
        base.question,
        base.context,
        base.true_answer,
        annotated=None if annotated is None else pictures.file(annotated),
        contexts=base.presets.contexts,
        level=record["level"],
        id=record["id"],
        boxes=record.get("boxes", ()),
    )
    return Seen(observation, base, record["own"])


# ---- the trials
def _trials(
    source: Source, names: Iterable[str], state: journal.State, pictures: _Pictures, problems: list[str]
) -> tuple[dict[int, Trial], dict[int, HeadContributions]]:
    """Return the trials that are not deleted. A file with a higher number than any in the state was written
    when its process was killed.
    """
    deleted = set(state.get("deleted", ()))
    trials: dict[int, Trial] = {}
    contributions: dict[int, HeadContributions] = {}
    found = (layout.TRIAL_NAME.fullmatch(name) for name in names)
    numbers = sorted(int(match[1]) for match in found if match)
    for number in numbers:
        if number in deleted or number < 1:
            continue
        name = layout.trial_name(number)
        try:
            content = source.read(name)
            record = records.parse_json(content or b"", name)
            trials[number], heads = _trial(record, pictures)
            if heads is not None:
                contributions[number] = heads
        except InputError as error:
            problems.append(f"Trial {number} cannot be read and is left out: {error}")
    there = {*numbers, *deleted}
    lost = [number for number in range(1, state.get("last", 0) + 1) if number not in there]
    if lost:
        named = ", ".join(map(str, lost[:10])) + (", ..." if len(lost) > 10 else "")
        problems.append(f"The files of these trials are missing: {named}.")
    return trials, contributions


def _trial(record: Any, pictures: _Pictures) -> tuple[Trial, HeadContributions | None]:
    with records.damaged("a trial of a session"):
        protocol.check_keys("a trial of a session", record, {"trial"}, {"contributions"})
        trial = Trial.from_dict(record["trial"], pictures.named_in(record["trial"].get("stimulus")))
        heads = record.get("contributions")
        return trial, None if heads is None else HeadContributions.from_dict(heads)


# ---- pictures
class _Pictures:
    """The pictures of a session, each read once and checked against its name."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[str, Picture] = {}
        self._files: dict[str, bytes] = {}
        self._pixels = 0

    def named_in(self, record: Any) -> dict[str, Picture]:
        """Return the pictures that a record names; a missing one is left out.

        Raises
        ------
        InputError : one of them is damaged, too large, or another picture than its name means.
        """
        named = set(layout.DIGEST.findall(json.dumps(record)))
        found = {digest: self._picture(digest) for digest in named}
        return {digest: picture for digest, picture in found.items() if picture is not None}

    def _picture(self, digest: str) -> Picture | None:
        if digest in self._known:
            return self._known[digest]
        name = layout.picture_name(digest)
        data = self._source.read(name)
        if data is None:
            return None
        if not data.startswith(_PNG):
            raise InputError(f"{name} is not a PNG file.")
        picture = load_image(data)
        if picture.sha256 != digest:
            raise InputError(f"{name} does not match its SHA-256: it was changed or damaged.")
        self._pixels += picture.width * picture.height
        if self._source.bounded and self._pixels > layout.MOST_PIXELS:
            raise InputError(f"The pictures have more than {layout.MOST_PIXELS // 10**6} megapixels.")
        self._known[digest], self._files[digest] = picture, data
        return picture

    def file(self, picture: Picture) -> ImageFile:
        """Return the file of a picture that was read, which is smaller than its pixels."""
        return ImageFile(self._files[picture.sha256], picture)


# ---- messages
class _Newer(InputError):
    pass


@contextmanager
def _damaged(source: Source, name: str) -> Iterator[None]:
    """Turn any error of a damaged file into one `InputError` that states what to do."""
    try:
        yield
    except _Newer:
        raise
    except Exception as error:  # a file that anyone may have made can fail in any way
        what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error!s:.200}"
        advice = (
            "Ask for the file again."
            if source.bounded
            else f"Nothing was changed. Put back a copy of {name}; or move {name} and {layout.CHANGES} "
            "elsewhere and open the session again: its trials are read, its drawings are not."
        )
        raise InputError(f"{source.title} is damaged: {name}: {what.rstrip('.'):.600}. {advice}") from error
