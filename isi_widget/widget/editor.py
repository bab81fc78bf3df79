"""What a probe is looking at: the data set, the chosen observation, and the stimulus that a document of
operations stands for.

No traits, no threads of its own: `sync.py` shows what is decided here. Not for drawing or checking
operations (`isi_widget.stimulus`).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from isi_widget.datasets import Dataset, Observation
from isi_widget.errors import InputError
from isi_widget.stimulus import CopiedPatch, Picture, Presets, Stimulus, checks
from isi_widget.stimulus.holes import HoleEdit
from isi_widget.stimulus.operations import OPERATIONS
from isi_widget.widget import document as doc
from isi_widget.widget import preview as pictures

_EDITS = frozenset(kind for kind in OPERATIONS.values() if issubclass(kind, HoleEdit))
OWN = -1  # the index of a stimulus that is not of the data set
_SEEDS = 1_000_000  # of random presets, as the page draws them
_TRIES = 20  # seeds that are tried for an item that was not seen yet


class Editor:
    """The chosen observation and its stimulus without operations (`base`), to which documents are applied.

    Parameters
    ----------
    observation : first observation.
    data : observations to choose from; None: the observation's own data set, or only itself.
    """

    def __init__(self, observation: Observation, data: Dataset | None = None) -> None:
        self.data = data if data is not None else observation.dataset or Dataset([observation], "own")
        self.index = _find(self.data, observation)
        self.observation: Observation | None = observation
        self.base = observation.stimulus()
        self.name = observation.id or ""
        self._pictures: dict[
            str, Picture
        ] = {}  # custom images set from Python: undo and redo name them by their digest
        self._last: tuple[Stimulus, Any, Stimulus] | None = None
        self._left: dict[int, doc.Document] = {}  # of observations that were looked at before
        # pictures of the user's own, numbered after those of the data set
        self._own: list[Observation] = []
        self._told: list[tuple[str, str | None]] | None = None  # question and truth of each, as in `rows`
        # random items that were shown on the present base, by part: a text, or the checksum of an image
        self._seen: dict[str, set[str]] = {}
        self._seen_on: Stimulus | None = None

    def resolve(self, document: Mapping[str, Any]) -> Stimulus:
        """Build the stimulus of a document; `InputError` if its operations are invalid here."""
        operations, last = document["operations"], self._last
        if last is not None and last[0] is self.base and last[1] == operations:
            return last[2]
        stimulus = self.base.with_operations(operations, self._pictures)
        self._keep(stimulus)
        pending = stimulus.pending  # its pixels may be known at the next call
        self._last = None if pending else (self.base, [dict(item) for item in operations], stimulus)
        return stimulus

    def keep(self, picture: Picture) -> None:
        """Keep a picture, so that operations may name it by its SHA-256."""
        self._pictures[picture.sha256] = picture

    def _keep(self, stimulus: Stimulus) -> None:
        """Keep the in-painted pixels: the document names them by their SHA-256, also in its past."""
        edits = (item for item in stimulus.operations if isinstance(item, HoleEdit))
        self._pictures.update((item.pixels.sha256, item.pixels) for item in edits if item.pixels is not None)

    def completed(self, document: doc.Document) -> doc.Document:
        """Return the document whose edits name the pixels that the kernel has computed; the same object if
        nothing changes. Not a step of its own.
        """
        operations = document["operations"]
        if not any(OPERATIONS.get(item["op"]) in _EDITS for item in operations):
            return document
        made = [
            item.to_dict() if isinstance(item, HoleEdit) else record
            for item, record in zip(self.resolve(document).operations, operations, strict=True)
        ]
        return document if made == operations else {**document, "operations": made}

    def original(self, document: doc.Document) -> Stimulus:
        """Return the original picture with the texts that those typed by hand have replaced."""
        texts = (doc.untyped(document, part) for part in ("context", "question"))
        return self.base.with_operations([operation for operation in texts if operation is not None])

    @property
    def pictures(self) -> Mapping[str, Picture]:
        """The kept pictures, by SHA-256."""
        return self._pictures

    def documents(self, document: doc.Document) -> dict[int, doc.Document]:
        """Return the documents by their observation: the current one, and others that are not empty. An own
        picture always has one.
        """
        own = {len(self.data) + place: doc.empty() for place in range(len(self._own))}
        left = {index: item for index, item in self._left.items() if not doc.is_empty(item)}
        return {**own, **left, self.index: document}

    def put_back(
        self, own: Sequence[Observation], left: Mapping[int, doc.Document], pictures: Mapping[str, Picture]
    ) -> None:
        """Take over what another editor of the same data set held."""
        self._own, self._left = list(own), dict(left)
        self._pictures.update(pictures)

    def show(self, base: Stimulus, name: str) -> None:
        """Look at a stimulus that is of no observation."""
        self.index, self.observation, self.base, self.name = OWN, None, base, name

    def find(self, base: Stimulus) -> int:
        """Return the index of the observation of a stimulus without operations; `OWN` if there is none."""
        return self._index_of(base)

    def leave(self, document: doc.Document) -> None:
        """Store the document of the chosen observation until it is chosen again."""
        if self.index != OWN:
            self._left[self.index] = document

    @property
    def count(self) -> int:
        """How many observations can be chosen: those of the data set, and the user's own."""
        return len(self.data) + len(self._own)

    @property
    def is_own(self) -> bool:
        """Whether a picture of the user's own is looked at."""
        return self.index == OWN or self.index >= len(self.data)

    def at(self, index: int) -> Observation:
        """Return an observation by its number."""
        return self.data[index] if index < len(self.data) else self._own[index - len(self.data)]

    def arrive(self, inside: Sequence[Mapping[str, Any]] = ()) -> doc.Document:
        """Return the document of the observation that was just chosen: nothing is done to it, and undo brings
        back what was when it was left. Own pictures keep their question and context.

        inside : interventions inside the model, which stay as they are from one observation to the next.
        """
        found = self._left.pop(self.index, None)
        if found is None:
            return doc.with_inside(doc.empty(), inside)
        return self.bare(found, inside)

    def bare(self, document: doc.Document, inside: Sequence[Mapping[str, Any]] | None = None) -> doc.Document:
        """Return a document of the chosen observation with nothing done to it, one step on; `inside` as for
        `arrive` (None: as they are).
        """
        texts = ("question", "context") if self.is_own else ()
        kept = [operation for operation in document["operations"] if operation["op"] in texts]
        same = inside is None or list(inside) == doc.inside(document)
        return document if same and kept == document["operations"] else doc.step(document, kept, inside)

    def choose(self, index: int) -> None:
        """Look at another observation."""
        observation = self.at(index)
        base = observation.stimulus()  # may fail on an unreadable image: then nothing has changed
        self.index, self.observation, self.base, self.name = (
            index,
            observation,
            base,
            observation.id or f"{index}",
        )

    def open(self, observation: Observation, document: doc.Document) -> doc.Document:
        """Look at an observation of the user's own, which is kept among those that can be chosen; returns its
        document, in which undo goes back to the present one as `document` leaves it.
        """
        former, number = self.index, self.count
        base = observation.stimulus()
        self._own.append(observation)
        self.index, self.observation, self.base, self.name = (
            number,
            observation,
            base,
            observation.id or "own",
        )
        here = doc.with_inside(doc.empty(), doc.inside(document))
        if former == OWN:
            return here
        self._left[former] = {**document, "future": [doc.crossing(number)]}
        return {**here, "past": [doc.crossing(former)]}

    def cross(self, step: Mapping[str, Any], document: doc.Document) -> doc.Document:
        """Go where a step that is undone or made again goes; returns the document there, as it was left.

        Raises
        ------
        InputError : there is no such observation, or its image cannot be read.
        """
        number = step["observation"]
        if not 0 <= number < self.count:
            raise InputError(f"There is no observation {number}; there are {self.count}, from 0.")
        former, self.index = self.index, OWN
        try:
            self.choose(number)
        except BaseException:
            self.index = former
            raise
        if former != OWN:
            self._left[former] = document
        return self._left.pop(number, doc.empty())

    def tell_truth(self, answer: str | bool | int | None, document: doc.Document) -> doc.Document:
        """Say what is right about a picture of the user's own: of the question as it is now, which becomes
        its own. Returns the document.

        Raises
        ------
        InputError : the chosen observation is one of the data set.
        """
        if not self.is_own:
            raise InputError(
                "The truth of an observation of the data set is fixed; set the truth only of a picture "
                "of your own: probe.open_image(image, question, answer=...)."
            )
        now, base = self.resolve(document), self.base
        asked = now.current_question
        self.base = replace(base, question=asked, true_answer=checks.truth(answer, question=asked))
        if self.index != OWN:
            self._keep_texts()
        rest = [operation for operation in document["operations"] if operation["op"] != "question"]
        return document if rest == document["operations"] else doc.step(document, rest)

    def _keep_texts(self) -> None:
        """Put texts and truth of the base into the own observation that is looked at."""
        place, base = self.index - len(self.data), self.base
        self.observation = self._own[place].with_texts(base.question, base.context, base.true_answer)
        self._own[place] = self.observation

    def reshuffled(self, current: Stimulus, part: str) -> doc.Operation:
        """Return the operation that shows another random item ("image" or "context") than `current` does.

        Items that were not shown yet come first, as long as they are found.

        Raises
        ------
        InputError : the observation has no random preset of that part, or the data set no other item.
        """
        presets = current.presets
        if "random" not in (presets.image_names if part == "image" else presets.context_names):
            raise InputError(
                f"There is no random {part} here: the observation needs others beside it in its data set."
            )
        if self._seen_on is not self.base:
            self._seen, self._seen_on = {}, self.base
        shown = current.current_image.sha256 if part == "image" else current.current_context
        seen = self._seen.setdefault(part, set())
        seen.add(shown)
        other: tuple[int, str] | None = None
        for _ in range(_TRIES):
            seed = secrets.randbelow(_SEEDS)
            if part == "image":
                item = presets.image("random", seed).sha256
            else:
                item = presets.context("random", seed)
            if item != shown:
                other = (seed, item)
                if item not in seen:
                    break
        else:
            seen.intersection_update({shown})  # all were shown, as far as is known: from the beginning
        if other is None:
            raise InputError(f"The data set of this observation has no other random {part}.")
        seen.add(other[1])
        return {"op": part, "preset": "random", "seed": other[0]}

    def cut(self, current: Stimulus, operation: int, observation: int) -> Stimulus:
        """Return the stimulus whose patch number `operation` is cut from another observation's image, at the
        same place; from its own image, if that is the present observation.

        Raises
        ------
        InputError : the operation is not a copied patch, or the observation does not exist.
        """
        count = len(current.operations)
        patch = current.operations[operation] if 0 <= operation < count else None
        if not isinstance(patch, CopiedPatch):
            raise InputError(f"Operation {operation} is no patch; only a patch is cut from an image.")
        if not 0 <= observation < self.count:
            raise InputError(f"There is no observation {observation}; there are {self.count}, from 0.")
        picture = None if observation == self.index else self.at(observation).image
        return current.replace(operation, replace(patch, picture=picture))

    def thumbnail(self, index: int) -> bytes:
        """Return a small JPEG of an observation of the data set; empty if there is no such one, or its image
        cannot be read.
        """
        if not 0 <= index < self.count:
            return b""
        try:
            return pictures.thumbnail(self.at(index).image.pil())
        except Exception:  # a user's own image may fail in any way; choosing it reports the error
            return b""

    def adopt(
        self,
        stimulus: Stimulus,
        document: Mapping[str, Any],
        inside: Sequence[Mapping[str, Any]] | None = None,
    ) -> doc.Document:
        """Return the document that shows `stimulus`: one more step if it has the same base, else a new one on
        its own base. `inside`: interventions inside the model, as JSON (None: as they are).
        """
        self._pictures.update(stimulus.pictures)
        operations = [operation.to_dict() for operation in stimulus.operations]
        base = stimulus.with_operations([])
        if base == self.base:
            return doc.step(document, operations, inside)
        self.leave(dict(document))
        index = self._index_of(base)
        self.base = base
        self.index, self.observation = index, None if index == OWN else self.at(index)
        if index >= len(self.data):
            self._keep_texts()
        self.name = (self.observation.id or f"{index}") if self.observation is not None else "own"
        kept = doc.inside(document) if inside is None else inside
        return doc.with_inside({**doc.empty(), "operations": operations}, kept)

    def _index_of(self, base: Stimulus) -> int:
        """Return the observation of the data set that a base is of: texts first, since comparing images loads
        them.
        """
        for index, observation in enumerate(self.data):
            texts = (observation.question, observation.context, observation.answer)
            if texts == (base.question, base.context, base.true_answer) and observation.image == base.image:
                return index
        # Texts and truth of an own picture are whatever the user last said of it.
        own = (place for place, observation in enumerate(self._own) if observation.image == base.image)
        place = next(own, OWN)
        return OWN if place == OWN else len(self.data) + place

    # ---- as the page sees it
    def rows(self) -> list[dict[str, Any]]:
        """Return the `observations` trait: one row for each observation that can be chosen."""
        own = [_row(len(self.data) + place, item) for place, item in enumerate(self._own)]
        self._told = self._texts()
        for row, (question, answer) in zip(own, self._told, strict=True):
            row.update(question=question, answer=answer, own=True)
        return [*(_row(index, observation) for index, observation in enumerate(self.data)), *own]

    def rows_changed(self) -> bool:
        """Return whether `rows` have changed since the last call."""
        return self._told != self._texts()

    def _texts(self) -> list[tuple[str, str | None]]:
        """Return question and truth of each own picture, as they were left."""
        found = []
        for place, item in enumerate(self._own):
            operations = self._left.get(len(self.data) + place, doc.empty())["operations"]
            asked = [operation["text"] for operation in operations if operation["op"] == "question"]
            found.append((asked[-1], None) if asked else (item.question, item.answer))
        return found

    def record(self) -> dict[str, Any]:
        """Return the `observation` trait: the description of the chosen observation."""
        base, presets = self.base, self.base.presets
        if self.observation is not None:
            row = _row(self.index, self.observation)
        else:
            row = {
                "index": OWN,
                "id": self.name,
                "question": base.question,
                "answer": base.true_answer,
                "level": None,
            }
        return {
            **row,
            "own": self.is_own,
            "question": base.question,
            "answer": base.true_answer,
            "context": base.context,
            "width": base.image.width,
            "height": base.image.height,
            "image_presets": list(presets.image_names) if _has_choice(presets) else [],
            "context_presets": list(presets.context_names),
        }

    def expression(self, stimulus: Stimulus) -> str | None:
        """Return Python that gets the observation of a stimulus, if it is of a data set that can be made
        again.
        """
        base = stimulus.with_operations([])
        index = self.index if base == self.base else self._index_of(base)
        return self.data[index].code if 0 <= index < len(self.data) else None


def check_observation(observation: Any, data: Any) -> tuple[Observation, Dataset | None]:
    """Return the argument of `Probe`, or the first of the built-in scenes of things."""
    if data is not None and not isinstance(data, Dataset):
        if not isinstance(data, Sequence) or not all(isinstance(item, Observation) for item in data):
            raise InputError(
                "data must be a data set or a list of observations, for example isi.datasets.things()."
            )
        data = Dataset(data, "data")
    if data is not None and not len(data):
        raise InputError("data is empty; a probe needs at least one observation.")
    if observation is None:
        if data is None:
            from isi_widget.datasets import things

            data = things()
        observation = data[0]
    if isinstance(observation, Dataset):
        raise InputError(
            "observation must be one Observation, not a Dataset: isi.Probe(vlm, data=data) shows its "
            "first and offers all of it; isi.Probe(vlm, data[5], data=data) begins with another."
        )
    if not isinstance(observation, Observation):
        raise InputError(
            f"observation must be an Observation, not {type(observation).__name__}: "
            "isi.datasets.things()[0], or isi.Observation(image, question). "
            "A Stimulus is set afterwards: probe.stimulus = s."
        )
    return observation, data


def _row(index: int, observation: Observation) -> dict[str, Any]:
    return {
        "index": index,
        "id": observation.id or f"{index}",
        "question": observation.question,
        "answer": observation.answer,
        "level": observation.level,
    } | _grade(observation)


def _grade(observation: Observation) -> dict[str, str]:
    """Return the grade of difficulty, of data sets that have grades."""
    grade = observation.metadata.get("difficulty")
    return {"difficulty": grade} if isinstance(grade, str) else {}


def _has_choice(presets: Presets) -> bool:
    return len(presets.image_names) > 1


def _find(data: Dataset, observation: Observation) -> int:
    if observation.dataset is data and observation.index < len(data):
        return observation.index
    return next((index for index, item in enumerate(data) if item is observation or item == observation), OWN)
