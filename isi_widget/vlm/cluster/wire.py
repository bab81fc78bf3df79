"""What is sent between this process and the one that holds a model: plain records.

Numbers, texts, bytes, arrays, lists and dicts go as they are; objects of this package by their own
`to_dict` / `from_dict`; pictures by their SHA-256, and once as PNG. Nothing else is sent, no code above all.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image

from isi_widget.answer import Answer
from isi_widget.concepts.pair import Pair
from isi_widget.errors import InputError
from isi_widget.stimulus import Picture, Stimulus
from isi_widget.vlm.decoding.answers import AttendedAnswer
from isi_widget.vlm.prompts.prompt import Prompt

#: Version of these records; both sides must have the same.
VERSION = 1
_PACKAGE = __name__.partition(".")[0]
_KIND = "$kind"
_PLAIN = (type(None), bool, int, float, str, bytes)
_PROMPT = (
    "text",
    "context",
    "question",
    "ids",
    "segment_ids",
    "key",
    "straddling",
    "image_token_id",
    "unavailable",
    "segments",
    "size",
)


@dataclass(frozen=True)
class Shown:
    """What a model is shown: the pixels that were rendered here, and the texts.

    Fonts and libraries may be different ones where the model is; pixels are the same.
    """

    picture: Picture
    current_question: str
    current_context: str
    key: str

    @classmethod
    def of(cls, stimulus: Any) -> Shown:
        """Return what a model is shown of a stimulus.

        Raises
        ------
        InputError
            If it is no stimulus.
        """
        try:
            picture = Picture.of(stimulus.render())
            return cls(picture, stimulus.current_question, stimulus.current_context, stimulus.key)
        except AttributeError:
            raise InputError(
                f"A model needs a stimulus, as obs.stimulus() returns it; got {type(stimulus).__name__}."
            ) from None

    def render(self) -> Image.Image:
        """Return the pixels."""
        return self.picture.pil()


class Missing(Exception):
    """Pictures that the receiver does not have, by SHA-256."""

    def __init__(self, digests: tuple[str, ...]) -> None:
        super().__init__(*digests)
        self.digests = digests


class Encoder:
    """Makes records of values, and keeps the pictures that they name.

    Attributes
    ----------
    pictures : {SHA-256: picture}.
    """

    def __init__(self) -> None:
        self.pictures: dict[str, Picture] = {}

    def picture(self, picture: Picture) -> str:
        """Return the name of a picture."""
        self.pictures[picture.sha256] = picture
        return picture.sha256

    def encode(self, value: Any) -> Any:
        """Return the record of a value.

        Raises
        ------
        InputError
            If it is nothing that can be sent.
        """
        if type(value) in _PLAIN or isinstance(value, np.ndarray):
            return value
        if isinstance(value, np.generic):
            return value.item()
        if type(value) is list:
            return [self.encode(item) for item in value]
        if isinstance(value, Mapping):
            items = [[self.encode(key), self.encode(item)] for key, item in value.items()]
            return {_KIND: "dict", "items": items}
        if type(value) in (tuple, range):
            return {_KIND: "tuple", "items": [self.encode(item) for item in value]}
        if isinstance(value, Shown):
            texts = (value.current_question, value.current_context, value.key)
            return {_KIND: "shown", "picture": self.picture(value.picture), "texts": list(texts)}
        if isinstance(value, Stimulus):
            return self._stimulus(value)
        if isinstance(value, Pair):
            sides = [self._stimulus(side)["pictures"] for side in (value.clean, value.corrupt)]
            return {_KIND: "pair", "record": value.to_dict(embed=False), "pictures": [*sides[0], *sides[1]]}
        if isinstance(value, Prompt):
            return {_KIND: "prompt", "fields": {name: getattr(value, name) for name in _PROMPT}}
        if isinstance(value, AttendedAnswer):
            record = {"record": value.to_dict(), "mass": value.mass, "key": value.stimulus_key}
            return {_KIND: "attended", **record}
        return self._object(value)

    def _stimulus(self, value: Stimulus) -> dict[str, Any]:
        used = (*value.pictures.values(), *value.presets.images.values())
        record = {"record": value.to_dict(embed=False), "pictures": [self.picture(item) for item in used]}
        return {_KIND: "stimulus", **record, "pixels": Picture.of(value.render()).sha256}

    def _object(self, value: Any) -> Any:
        kind = type(value)
        if kind.__name__ == "Observation" and kind.__module__.startswith(f"{_PACKAGE}."):
            given = {name: getattr(value, name) for name in ("context", "answer", "level", "id")}
            named = {"image": self.picture(value.image), "question": value.question, "given": given}
            return {_KIND: "observation", "class": _name(kind), **named}
        if not hasattr(kind, "from_dict") or not hasattr(value, "to_dict"):
            if hasattr(kind, "__getitem__") and hasattr(kind, "__len__"):  # a data set
                return [self.encode(value[index]) for index in range(len(value))]
            raise InputError(
                f"A value of type {kind.__name__} cannot be sent to the cluster that holds the model. Send "
                "stimuli, observations, numbers, texts and results of isi_widget, or load the model here."
            )
        return {_KIND: "object", "class": _name(kind), "record": value.to_dict()}


class Decoder:
    """Makes values of records.

    Parameters
    ----------
    pictures
        Returns the picture of a SHA-256, or None.
    """

    def __init__(self, pictures: Callable[[str], Picture | None]) -> None:
        self._pictures = pictures

    def decode(self, record: Any) -> Any:
        """Return the value of a record.

        Raises
        ------
        Missing
            Pictures are not here.
        InputError
            If it is no record of `Encoder`, or a stimulus is drawn differently here.
        """
        if isinstance(record, list):
            return [self.decode(item) for item in record]
        if not isinstance(record, dict):
            return record
        kind = record.get(_KIND)
        reader = getattr(self, f"_{kind}", None) if isinstance(kind, str) else None
        if reader is None:
            raise InputError(
                f"A record of kind {kind!r:.80} cannot be read. Use the same version on both sides."
            )
        return reader(record)

    def _found(self, *digests: str) -> dict[str, Picture]:
        found = {digest: self._pictures(digest) for digest in digests}
        if missing := tuple(digest for digest, picture in found.items() if picture is None):
            raise Missing(missing)
        return {digest: picture for digest, picture in found.items() if picture is not None}

    def _dict(self, record: Any) -> Any:
        return {self.decode(key): self.decode(item) for key, item in record["items"]}

    def _tuple(self, record: Any) -> Any:
        return tuple(self.decode(item) for item in record["items"])

    def _shown(self, record: Any) -> Any:
        (picture,) = self._found(record["picture"]).values()
        return Shown(picture, *record["texts"])

    def _stimulus(self, record: Any) -> Any:
        stimulus = Stimulus.from_dict(record["record"], self._found(*record["pictures"]))
        if Picture.of(stimulus.render()).sha256 != record["pixels"]:
            raise InputError(
                "This stimulus is drawn differently where the model is: fonts or versions of Pillow are not "
                "the same there as here. Install the same ones, or send the pixels: "
                "isi.Observation(stimulus.render(), question, context)."
            )
        return stimulus

    def _pair(self, record: Any) -> Any:
        return Pair.from_dict(record["record"], self._found(*record["pictures"]))

    def _observation(self, record: Any) -> Any:
        (picture,) = self._found(record["image"]).values()
        return _class(record["class"])(picture, record["question"], **record["given"])

    def _prompt(self, record: Any) -> Any:
        return Prompt(**record["fields"], images={}, token_inputs={})

    def _attended(self, record: Any) -> Any:
        plain = Answer.from_dict(record["record"])
        return AttendedAnswer(**vars(plain), mass=record["mass"], stimulus_key=record["key"])

    def _object(self, record: Any) -> Any:
        return _class(record["class"]).from_dict(record["record"])


def png(picture: Picture) -> bytes:
    """Return a picture as it is sent."""
    return picture.png()


def picture_of(data: bytes) -> Picture:
    """Return the picture of `png`."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return Picture(image.convert("RGB"))


def _name(kind: type) -> str:
    if not kind.__module__.startswith(f"{_PACKAGE}."):
        raise InputError(
            f"{kind.__name__} is not a class of isi_widget, so the cluster does not know it. Load the "
            "model here."
        )
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> Any:
    module, _, kind = name.partition(":")
    found = getattr(import_module(module), kind, None) if module.startswith(f"{_PACKAGE}.") else None
    if not isinstance(found, type):
        raise InputError(f"There is no class {name!r:.80}. Use the same version of isi_widget on both sides.")
    return found
