"""From a probe to the state of its session, as plain JSON with pictures by SHA-256.

In two steps: `Moment` takes references under the probe's lock, which takes microseconds; `state_of` then
works without it. Not for writing (`folder.py`, `archive.py`).
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isi_widget.datasets import Observation
from isi_widget.stimulus import Picture, Stimulus
from isi_widget.trial import Trial
from isi_widget.trial.labels import plain_label
from isi_widget.uncertainty.judges import AUTO
from isi_widget.widget import document as doc
from isi_widget.widget.protocol import MAX_TEXT
from isi_widget.widget.session import journal, layout

if TYPE_CHECKING:
    from isi_widget.widget.probe import Probe


_turns = itertools.count(1)


@dataclass(frozen=True)
class Moment:
    """What a probe holds at one moment, by reference.

    Attributes
    ----------
    turn : number of the moment; later ones have higher numbers.
    current : index of the current observation; -1 without one.
    base : its unchanged stimulus.
    documents : documents by the index of their observation.
    values : parts of the state that are plain data.
    """

    turn: int
    current: int
    base: Stimulus
    name: str
    documents: Mapping[int, doc.Document]
    observations: Mapping[int, Observation | None]
    owned: int
    pictures: Mapping[str, Picture]
    trials: Mapping[int, Trial]
    contributions: Mapping[int, Any]
    values: Mapping[str, Any]

    @classmethod
    def of(cls, probe: Probe) -> Moment:
        """Take what a probe holds now."""
        with probe._exclusive():
            editor, history = probe._editor, probe._history
            documents = editor.documents(probe.document)
            trials = {number: history.get(number) for number in history}
            last = history.last
            values = {
                "judge": _short(probe.judge) or AUTO,
                "settings": dict(probe.settings),
                "run_on_change": probe.run_on_change,
                "traced": probe.traced or None,
                "lens_on": probe.lens_on,
                "pinned": list(probe.pinned),
                "shown": probe.shown,
                "notes": {str(number): text for number, text in probe.notes.items()},
                "last": last,
                "deleted": sorted(set(range(1, last + 1)) - set(trials) - probe._unread),
                "data": {"name": _short(editor.data.name), "code": _short(editor.data.code)},
                "model": {
                    "name": _short(str(probe.model.get("name", ""))),
                    "label": _short(plain_label(probe.model)),
                    "fingerprint": probe.model.get("fingerprint"),
                },
            }
            return cls(
                turn=next(_turns),
                current=editor.index,
                base=editor.base,
                name=editor.name,
                documents=documents,
                observations={index: None if index < 0 else editor.at(index) for index in documents},
                owned=len(editor.data),
                pictures=dict(editor.pictures),
                trials={number: trial for number, trial in trials.items() if trial is not None},
                contributions=dict(probe._jobs.contributions),
                values=values,
            )


class Collector:
    """Makes states of moments; what did not change is taken from the last one."""

    def __init__(self) -> None:
        self._records: dict[int, tuple[Any, dict[str, Any], Stimulus]] = {}
        self._filled: dict[int, tuple[doc.Document, doc.Document]] = {}
        #: Pictures that states name, by SHA-256.
        self.pictures: dict[str, Picture] = {}

    def state(self, moment: Moment) -> journal.State:
        """Return the state at a moment; its pictures are in `pictures` then."""
        self.pictures = dict(moment.pictures)
        observations, documents = {}, {}
        for index, document in moment.documents.items():
            record, base = self._observation(index, moment)
            self.pictures |= {**base.pictures, **_of(base.presets.images)}
            observations[str(index)] = record
            documents[str(index)] = self._whole(index, document, base)
        self._forget(moment)
        return {
            "format": layout.FORMAT,
            "schema": layout.SCHEMA,
            "versions": _versions(),
            **moment.values,
            "current": moment.current,
            "observations": observations,
            "documents": documents,
        }

    def _observation(self, index: int, moment: Moment) -> tuple[dict[str, Any], Stimulus]:
        observation = moment.observations[index]
        current = index == moment.current
        source: Any = moment.base if current else observation
        known = self._records.get(index)
        if known is not None and known[0] is source:
            return known[1], known[2]
        base = moment.base if observation is None or current else observation.stimulus()
        record: dict[str, Any] = {
            "stimulus": base.with_operations([]).to_dict(embed=False),
            "id": moment.name if observation is None else observation.id,
            "level": None if observation is None else observation.level,
            "own": index >= moment.owned,
        }
        if observation is not None and observation.boxes and not observation.is_scene:
            record["boxes"] = [[*box.region, box.label] for box in observation.boxes]
        self._records[index] = (source, record, base)
        return record, base

    def _whole(self, index: int, document: doc.Document, base: Stimulus) -> doc.Document:
        """Return a document that needs no data set: random images and contexts are named in it."""
        known = self._filled.get(index)
        if known is not None and known[0] is document:
            return known[1]
        lists = (
            document["operations"],
            *(step["insert"] for step in (*document["past"], *document["future"])),
        )
        whole = document
        if any(_is_open(item) for operations in lists for item in operations):
            whole = {
                **document,
                "operations": self._named(document["operations"], base),
                **{
                    part: [{**step, "insert": self._named(step["insert"], base)} for step in document[part]]
                    for part in ("past", "future")
                },
            }
        self._filled[index] = (document, whole)
        return whole

    def _named(self, operations: list[doc.Operation], base: Stimulus) -> list[doc.Operation]:
        return [self._filled_in(item, base) if _is_open(item) else item for item in operations]

    def _filled_in(self, operation: doc.Operation, base: Stimulus) -> doc.Operation:
        seed = operation.get("seed") or 0
        if operation["op"] == "context":
            text = base.presets.context("random", seed)
            return {**operation, "text": text} if len(text) <= MAX_TEXT else operation
        picture = base.presets.image("random", seed)
        self.pictures[picture.sha256] = picture
        return {**operation, "image": picture.sha256}

    def _forget(self, moment: Moment) -> None:
        for known in (self._records, self._filled):
            for index in set(known) - set(moment.documents):
                del known[index]


def _short(text: str | None) -> str | None:
    """Return a name that is read back; a longer one is not needed to find what it names."""
    return text if text is None or len(text) <= layout.LONGEST_NAME else None


def _is_open(operation: Mapping[str, Any]) -> bool:
    if operation.get("preset") != "random":
        return False
    return operation.get("image" if operation["op"] == "image" else "text") is None


def _of(pictures: Mapping[str, Picture]) -> dict[str, Picture]:
    return {picture.sha256: picture for picture in pictures.values()}


def trial_record(trial: Trial, contributions: Any) -> tuple[bytes, dict[str, Picture]]:
    """Return the file of a trial, and the pictures that it names."""
    record: dict[str, Any] = {"trial": trial.to_dict(embed=False)}
    if contributions is not None:
        record["contributions"] = contributions.to_dict()
    stimulus = trial.stimulus
    return as_json(record), {**stimulus.pictures, **_of(stimulus.presets.images)}


def as_json(record: Any) -> bytes:
    """Return a record as JSON text."""
    return json.dumps(record, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def _versions() -> dict[str, str]:
    from isi_widget import __version__

    return {"isi_widget": __version__, "python": sys.version.split()[0]}
