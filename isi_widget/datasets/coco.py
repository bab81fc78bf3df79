"""Boxes in the COCO format (Lin et al. 2014, cocodataset.org/#format-data): one JSON file for many images.

    {"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name"}],
     "annotations": [{"id", "image_id", "category_id", "bbox": [x, y, width, height], "area", "iscrowd"}]}

Boxes are pixels from the top left corner, floats allowed; ids are any whole numbers. Masks, key points and
captions are not read.
"""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from isi_widget._version import __version__
from isi_widget.checks import is_real, is_whole
from isi_widget.datasets import box_files as bf
from isi_widget.datasets.files import ImageFolder
from isi_widget.datasets.observation import Dataset, Observation
from isi_widget.errors import InputError
from isi_widget.files.writing import write_for_user
from isi_widget.readable import counted
from isi_widget.stimulus import LabelledBox, Stimulus


def from_coco(
    annotations: str | os.PathLike[str] | Mapping[str, Any],
    images: str | os.PathLike[str],
    *,
    question: str,
    answer: str | bool | int | None = None,
    name: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> Dataset:
    """Load a data set from COCO annotations: one observation for each image, with its `boxes`.

    Boxes of crowds (`iscrowd`) are left out, with a warning that counts them: each is around many things.

    Parameters
    ----------
    annotations : JSON file, or its content as a dict.
    images : folder of the images; `file_name` may lead into folders below it.
    question : question about each image. `obs.with_texts(question, answer=...)` asks another one.
    answer : true answer to it; None (default) if it differs or is unknown.
    name : name of the data set; default is the file name without its ending.
    on_error : "raise" (default) refuses a file with invalid entries; "skip" leaves them out, with a warning,
        and lists them in `Dataset.skipped`.

    Raises
    ------
    InputError : unusable file or folder, or invalid entries; the message lists them. An image whose size is
        not the one in the file is invalid, since its boxes would lie elsewhere.

    Warns
    -----
    UserWarning : entries were skipped, or boxes of crowds left out.
    """
    record, where, given = _read(annotations)
    folder = ImageFolder(bf.folder_of(images, "images"))
    errors = bf.Errors(where, on_error)
    names = _categories(record, errors)
    boxes = _boxes(record, names, errors)
    observations = []
    for entry in _list(record, "images"):
        file = entry.get("file_name")
        if not isinstance(file, str) or not file:
            errors.add(f"image {_id(entry)}: it has no file_name")
            continue
        if not isinstance(entry.get("id"), int | str):
            errors.add(f"image {_id(entry)}: its id must be a number or a text")
            continue
        try:
            _check_size(folder.image(file), entry)
            found = boxes.pop(entry.get("id"), ())
            metadata = {"coco_image_id": entry.get("id")}
            observations.append(bf.observation(folder, file, question, answer, found, metadata))
        except InputError as error:
            boxes.pop(entry.get("id"), None)
            errors.add(f"image {_id(entry)}: {error}")
    for image in boxes:
        errors.add(f"annotations of image {image!r:.40}: there is no such image")
    _refuse_twice(record, errors)
    errors.settle(len(observations))
    _note_crowds(record, where)
    if not observations:
        raise InputError(f"{where} has no images.")
    code = bf.code(
        "from_coco",
        [given, images],
        {"question": question, "answer": answer, "name": name, "on_error": on_error},
        {"answer": None, "name": None, "on_error": "raise"},
    )
    stem = "coco" if given is None else Path(given).stem
    return Dataset(
        observations,
        stem if name is None else name,
        skipped=errors.found,
        code=None if given is None else code,
    )


def read_boxes(path: str | os.PathLike[str]) -> dict[str, tuple[LabelledBox, ...]]:
    """Return the boxes of a COCO file by the file name of their image.

    Raises
    ------
    InputError : unusable file, or invalid entries.
    """
    record, where, _ = _read(path)
    errors = bf.Errors(where, "raise")
    boxes = _boxes(record, _categories(record, errors), errors)
    errors.settle(0)
    _note_crowds(record, where)
    images = [entry for entry in _list(record, "images") if isinstance(entry.get("id"), int | str)]
    return {str(entry.get("file_name")): tuple(boxes.get(entry["id"], ())) for entry in images}


def to_coco(
    items: Dataset | Sequence[Observation | Stimulus] | Observation | Stimulus,
    path: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Return the boxes of observations or stimuli in the COCO format, and write them to `path` if it is
    given.

    Boxes are clipped to their image. An image is named as its file in the data set, or as its `id` with the
    ending .png. Categories are numbered from 1, in alphabetical order.

    Raises
    ------
    InputError : nothing with boxes was given, or the file cannot be written.
    """
    record = _empty()
    adder = _Adder(record)
    for stem, item, boxes in bf.labelled(items):
        known = item.metadata.get("image") if isinstance(item, Observation) else None
        adder.add(str(known or f"{stem}.png"), bf.size_of(item), boxes)
    record["categories"].sort(key=lambda entry: entry["name"])
    numbers = {entry["id"]: place for place, entry in enumerate(record["categories"], start=1)}
    for entry in (*record["categories"], *record["annotations"]):
        key = "id" if "name" in entry else "category_id"
        entry[key] = numbers[entry[key]]
    if path is not None:
        write(path, record)
    return record


# ---- writing
def add(
    record: dict[str, Any], file: str, size: tuple[int, int], boxes: Sequence[LabelledBox]
) -> dict[str, Any]:
    """Add an image with its boxes to COCO annotations, in place; an image of the same name is replaced."""
    _Adder(record).add(file, size, boxes)
    return record


class _Adder:
    """Adds images with their boxes to COCO annotations, each in time of its own boxes.

    record : the annotations, changed in place.
    """

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record
        self._images = {entry.get("file_name"): entry.get("id") for entry in reversed(record["images"])}
        self._categories = {entry["name"]: entry["id"] for entry in record["categories"]}
        self._next = {key: _next(record[key]) for key in ("images", "annotations", "categories")}

    def add(self, file: str, size: tuple[int, int], boxes: Sequence[LabelledBox]) -> None:
        """Add an image; one of the same name is replaced."""
        if file in self._images:
            self._remove(file, self._images[file])
        else:
            self._images[file] = self._number("images")
        number = self._images[file]
        self._record["images"].append({"id": number, "file_name": file, "width": size[0], "height": size[1]})
        for box in boxes:
            if box.label not in self._categories:
                self._categories[box.label] = self._number("categories")
                self._record["categories"].append({"id": self._categories[box.label], "name": box.label})
            self._record["annotations"].append(
                {
                    "id": self._number("annotations"),
                    "image_id": number,
                    "category_id": self._categories[box.label],
                    "bbox": [_short(value) for value in box.region],
                    "area": _short(box.width * box.height),
                    "iscrowd": 0,
                }
            )

    def _remove(self, file: str, number: Any) -> None:
        record = self._record
        record["annotations"] = [item for item in record["annotations"] if item["image_id"] != number]
        record["images"] = [item for item in record["images"] if item.get("file_name") != file]

    def _number(self, key: str) -> int:
        """Return the next free id of images, annotations or categories."""
        number = self._next[key]
        self._next[key] += 1
        return number


def write(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Write COCO annotations, completely or not at all."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1)
    write_for_user("The file of boxes", os.fspath(path), text)


def read_or_begin(path: Path) -> dict[str, Any]:
    """Return the annotations of a file to which more are added; empty ones if it does not exist."""
    if not path.exists():
        return _empty()
    record, where, _ = _read(path)
    errors = bf.Errors(where, "raise")
    _boxes(record, _categories(record, errors), errors)
    errors.settle(0)
    return record


def _empty() -> dict[str, Any]:
    return {
        "info": {"description": f"boxes written by isi_widget {__version__}"},
        "images": [],
        "annotations": [],
        "categories": [],
    }


def _next(entries: Sequence[Mapping[str, Any]]) -> int:
    return max((entry["id"] for entry in entries if is_whole(entry.get("id"))), default=0) + 1


def _short(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


# ---- reading
def _read(
    annotations: str | os.PathLike[str] | Mapping[str, Any],
) -> tuple[dict[str, Any], str, str | None]:
    """Return the annotations, the name of their file for messages, and the file."""
    if isinstance(annotations, Mapping):
        record, where, given = dict(annotations), "The annotations", None
    else:
        path, given = Path(annotations).expanduser(), os.fspath(annotations)
        where = str(path)
        try:
            record = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise InputError(f"There is no file {where!r} (looked from {str(Path.cwd())!r}).") from None
        except OSError as error:
            raise InputError(f"The file {where!r} cannot be read: {error.strerror or error}.") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is no JSON file of COCO annotations: {error!s:.200}.") from None
    if not isinstance(record, dict) or not {"images", "annotations", "categories"} <= record.keys():
        raise InputError(
            f"{where} does not hold COCO annotations of boxes: it must be an object with the lists images, "
            "annotations and categories."
        )
    for key in ("images", "annotations", "categories"):
        _list(record, key, where)
    return record, where, given


def _list(record: Mapping[str, Any], key: str, where: str = "") -> list[dict[str, Any]]:
    found = record[key]
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise InputError(f"{where}: {key!r} must be a list of objects.")
    return found


def _categories(record: Mapping[str, Any], errors: bf.Errors) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for entry in _list(record, "categories"):
        name, number = entry.get("name"), entry.get("id")
        if not isinstance(name, str) or not name.strip() or not is_whole(number):
            errors.add(f"category {_id(entry)}: it needs a whole number as id and a name")
        elif number in names:
            errors.add(f"category {number}: its id was given to {names[number]!r}")
        else:
            names[number] = name
    return names


def _boxes(
    record: Mapping[str, Any], names: Mapping[Any, str], errors: bf.Errors
) -> dict[Any, list[LabelledBox]]:
    """Return the boxes by the id of their image."""
    found: dict[Any, list[LabelledBox]] = {}
    for entry in _list(record, "annotations"):
        if entry.get("iscrowd"):
            continue
        where, box, category = f"annotation {_id(entry)}", entry.get("bbox"), entry.get("category_id")
        image = entry.get("image_id")
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_real, box)):
            errors.add(f"{where}: bbox must be [x, y, width, height] in pixels, not {box!r:.80}")
        elif min(box[2:]) < 0:
            errors.add(f"{where}: bbox {box} has a negative size; it must be [x, y, width, height]")
        elif not isinstance(category, int) or category not in names:
            errors.add(f"{where}: there is no category {category!r:.40}")
        elif not isinstance(image, int | str):
            errors.add(f"{where}: it has no image_id")
        else:
            try:
                x, y, width, height = box
                made = LabelledBox(x, y, width, height, names[category])
            except InputError as error:
                errors.add(f"{where}: {error}")
                continue
            found.setdefault(image, []).append(made)
    return found


def _note_crowds(record: Mapping[str, Any], where: str) -> None:
    crowds = sum(bool(entry.get("iscrowd")) for entry in _list(record, "annotations"))
    if crowds:
        warnings.warn(
            f"{where}: {counted(crowds, 'box', 'boxes')} of crowds (iscrowd) left out: such a box is around "
            "many things.",
            UserWarning,
            stacklevel=3,
        )


def _check_size(path: Path, entry: Mapping[str, Any]) -> None:
    (width, height), turned = bf.upright_size(path)
    stated = entry.get("width"), entry.get("height")
    if stated[0] is None and stated[1] is None:
        return
    if stated == (width, height):
        return
    if turned and stated == (height, width):
        raise InputError(
            f"{path.name} is turned by its EXIF orientation, but its boxes are of the picture as it is "
            "stored. Turn "
            "the file itself, or remove the orientation."
        )
    wanted = f"{stated[0]} x {stated[1]}"
    raise InputError(f"the file has {width} x {height} pixels, but {wanted} in the annotations")


def _refuse_twice(record: Mapping[str, Any], errors: bf.Errors) -> None:
    numbers = Counter(
        entry.get("id") for entry in _list(record, "images") if isinstance(entry.get("id"), int | str)
    )
    for number, count in numbers.items():
        if count > 1:
            errors.add(f"image {number}: its id is given {count} times")


def _id(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('id', '?')!r:.40}"
