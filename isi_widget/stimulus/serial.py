"""A Stimulus as JSON and back: versioned, self-contained (pictures as PNG in base64), strict when reading.

`schema.json` beside this file describes the same form as JSON Schema. Not for checking single fields
(`checks`).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.stimulus.loading import load_image
from isi_widget.stimulus.operations import plain
from isi_widget.stimulus.picture import Picture
from isi_widget.stimulus.presets import Presets

if TYPE_CHECKING:
    from isi_widget.stimulus.core import Stimulus

FORMAT = "isi_widget.stimulus"
_MOST_PIXELS = 500_000_000  # of all pictures of one stimulus: 1.5 GB
VERSION = 1

#: "answer" is the former name of "true_answer": read, never written.
_OPTIONAL = {"context", "true_answer", "answer", "presets", "operations", "about", "pictures"}
_KEYS = {"format", "version", "image", "question"} | _OPTIONAL


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12); `$defs/operation` is one operation as the front
    end sends it.
    """
    text = (Path(__file__).parent / "schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def parse_json(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object; NaN and Infinity, which are not JSON, are refused."""
    if not isinstance(text, (str, bytes)):
        raise InputError(f"from_json needs JSON text, got {type(text).__name__}; from_dict takes a dict.")
    record = records.parse_json(text, "The stimulus")
    if not isinstance(record, dict):
        raise InputError(f"The stimulus must be a JSON object, got {type(record).__name__}.")
    return record


def stimulus_to_dict(stimulus: Stimulus, *, embed: bool = True) -> dict[str, Any]:
    """Return the JSON-ready record of a stimulus; without `embed` the pictures are named by their SHA-256
    only.
    """
    annotated = stimulus.presets.images
    record: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "image": stimulus.image.sha256,
        "question": stimulus.question,
        "context": stimulus.context,
        "true_answer": stimulus.true_answer,
        "presets": {
            "images": {name: picture.sha256 for name, picture in annotated.items()},
            "contexts": stimulus.presets.contexts,
        },
        "operations": [operation.to_dict() for operation in stimulus.operations],
    }
    if stimulus.about is not None:
        record["about"] = [plain(region) for region in stimulus.about]
    if embed:
        pictures = {**stimulus.pictures, **{picture.sha256: picture for picture in annotated.values()}}
        record["pictures"] = {
            digest: base64.b64encode(picture.png()).decode("ascii") for digest, picture in pictures.items()
        }
    return record


def stimulus_from_dict(
    make: type[Stimulus], record: Any, pictures: Mapping[str, Picture] | None = None
) -> Stimulus:
    """Rebuild from the record of `stimulus_to_dict`; `make` is the class `Stimulus`, which uses this module.

    Raises
    ------
    InputError : unknown or missing key, wrong type, unknown version, damaged or unknown picture, or bad
        operation.
    """
    with records.damaged("a stimulus"):
        return _from_dict(make, _object(record, "The stimulus", _KEYS, _KEYS - _OPTIONAL), pictures)


def _from_dict(
    make: type[Stimulus], record: Mapping[str, Any], pictures: Mapping[str, Picture] | None
) -> Stimulus:
    if record["format"] != FORMAT:
        raise InputError(f'"format" must be {FORMAT!r}, got {record["format"]!r}.')
    if record["version"] != VERSION or isinstance(record["version"], bool):
        raise InputError(
            f'"version" must be {VERSION}, got {record["version"]!r}; it needs a newer isi_widget.'
        )
    known = {**(pictures or {}), **_decoded(record.get("pictures", {}), pictures or {})}
    presets = _object(record.get("presets", {}), '"presets"', {"images", "contexts"})
    images = _object(presets.get("images", {}), '"presets.images"')
    operations = record.get("operations", [])
    if not isinstance(operations, list):
        raise InputError(f'"operations" must be a list, got {type(operations).__name__}.')
    if {"answer", "true_answer"} <= record.keys():
        raise InputError('"answer" is the former name of "true_answer"; give only one of them.')
    truth = "answer" if "answer" in record else "true_answer"
    if record.get(truth) is not None and not isinstance(record[truth], str):
        raise InputError(f'"{truth}" must be text or null, got {record[truth]!r}.')
    about = record.get("about")
    if about is not None and not isinstance(about, list):
        raise InputError(f'"about" must be a list of regions or null, got {type(about).__name__}.')
    bare = make(
        image=_picture(record["image"], "image", known),
        question=record["question"],
        context=record.get("context", ""),
        true_answer=record.get(truth),
        presets=Presets(
            {name: _picture(digest, f"presets.images.{name}", known) for name, digest in images.items()},
            _object(presets.get("contexts", {}), '"presets.contexts"'),
        ),
        about=None if about is None else tuple(about),
    )
    return bare.with_operations(operations, known)


def _object(
    value: Any, name: str, known: set[str] | None = None, needed: set[str] | None = None
) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{name} must be an object, got {type(value).__name__}.")
    unknown = [str(key) for key in value if known is not None and key not in known]
    if unknown:
        named = ", ".join(map(repr, unknown))
        raise InputError(f"{name}: unknown key {named}; known are {', '.join(sorted(known or ()))}.")
    missing = sorted((needed or set()) - set(value))
    if missing:
        raise InputError(f"{name}: missing key {', '.join(map(repr, missing))}.")
    return value


def _decoded(value: Any, known: Mapping[str, Picture]) -> dict[str, Picture]:
    """Return the embedded pictures, each checked against the SHA-256 that names it; known ones
    are skipped.
    """
    result: dict[str, Picture] = {}
    pixels = 0
    for digest, text in _object(value, '"pictures"').items():
        if digest in known:
            continue
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise InputError(f'"pictures": {str(digest)[:12]!r} must be a PNG file in base64.') from None
        picture = load_image(data)
        if picture.sha256 != digest:
            raise InputError(f'"pictures": the image under {str(digest)[:12]!r} does not match its SHA-256.')
        result[digest] = picture
        pixels += picture.width * picture.height
        if pixels > _MOST_PIXELS:
            raise InputError(f"The pictures of a stimulus have at most {_MOST_PIXELS // 10**6} megapixels.")
    return result


def _picture(digest: Any, name: str, known: Mapping[str, Picture]) -> Picture:
    if not isinstance(digest, str):
        raise InputError(f'"{name}" must be the SHA-256 of a picture, got {digest!r}.')
    if digest not in known:
        raise InputError(f'"{name}" names the picture {digest[:12]!r}, which is not under "pictures".')
    return known[digest]
