"""What files of boxes share, whatever their format: size of an image file, observations of images with boxes,
names of image files, and lists of errors.

Not for a format itself (`coco`, `yolo`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NoReturn

from PIL import ExifTags, Image

from isi_widget.datasets.files import ImageFolder
from isi_widget.datasets.observation import Dataset, Observation
from isi_widget.errors import InputError
from isi_widget.stimulus import LabelledBox, Stimulus, checks, load_image

#: Number of errors in a message; further errors are counted.
MOST_ERRORS = 50
_TURNED = range(5, 9)  # EXIF orientations that exchange width and height


class Errors:
    """The errors of one file, collected before they are raised or reported.

    Parameters
    ----------
    where : name of the file, for messages.
    on_error : "raise" or "skip".
    """

    def __init__(self, where: str, on_error: Literal["raise", "skip"]) -> None:
        self.where = where
        self.found: list[str] = []
        self._skip = checks.on_error(on_error) == "skip"

    def add(self, message: str) -> None:
        """Note an error."""
        self.found.append(message)

    def settle(self, left: int) -> None:
        """Raise the errors, or warn of what was skipped; `left` is the number of usable images."""
        if not self.found:
            return
        if not self._skip or not left:
            refuse(self.where, self.found)
        warnings.warn(
            f"{self.where}: {len(self.found)} entries were skipped; `skipped` of the data set lists why. The "
            f"first: {self.found[0]}",
            UserWarning,
            stacklevel=3,
        )


def refuse(where: str, errors: Sequence[str]) -> NoReturn:
    """Raise one `InputError` with all errors of a file."""
    more = len(errors) - MOST_ERRORS
    shown = [*errors[:MOST_ERRORS], *([f"... and {more} more"] if more > 0 else [])]
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    raise InputError(f"{where} has {count}:\n  " + "\n  ".join(shown))


def folder_of(path: str | os.PathLike[str], name: str) -> Path:
    """Return a folder that exists."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"{name}={str(folder)!r} is no folder (looked from {str(Path.cwd())!r}).")
    return folder


def upright_size(path: Path) -> tuple[tuple[int, int], bool]:
    """Return (width, height) of an image as it is loaded, and whether its EXIF orientation exchanges the two.
    Only the header is read.
    """
    with Image.open(path) as image:
        width, height = image.size
        try:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
        except Exception:  # a damaged EXIF block; `load_image` ignores it, too
            turned = False
    return ((height, width) if turned else (width, height)), turned


def observation(
    images: ImageFolder,
    file: str,
    question: str,
    answer: str | bool | int | None,
    boxes: Iterable[LabelledBox],
    metadata: Mapping[str, Any],
) -> Observation:
    """Return the observation of an image file with its boxes; the image is loaded when it is first needed."""
    return Observation(
        partial(load_image, images.image(file)),
        question,
        answer=answer,
        id=file,
        metadata={"image": file, **metadata},
        boxes=boxes,
    )


def code(function: str, arguments: Sequence[Any], named: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Return the Python that reads a data set again."""
    shown = [repr(os.fspath(item) if isinstance(item, os.PathLike) else item) for item in arguments]
    shown += [
        f"{name}={value!r}" for name, value in named.items() if name not in usual or value != usual[name]
    ]
    return f"isi.datasets.{function}({', '.join(shown)})"


# ---- out
def labelled(items: Any) -> list[tuple[str, Observation | Stimulus, tuple[LabelledBox, ...]]]:
    """Return (name without ending, item, boxes inside the image) of observations or stimuli; names are
    unique.

    An observation is named as its image file or by its `id`; a stimulus by its place.
    """
    if isinstance(items, Observation | Stimulus):
        items = [items]
    if not isinstance(items, Dataset | Sequence) or isinstance(items, str | bytes):
        raise InputError(f"Boxes are written of observations or stimuli; got {type(items).__name__}.")
    found: list[tuple[str, Observation | Stimulus, tuple[LabelledBox, ...]]] = []
    taken: set[str] = set()
    for place, item in enumerate(items):
        if not isinstance(item, Observation | Stimulus):
            raise InputError(f"Item {place} must be an Observation or a Stimulus, not {type(item).__name__}.")
        name = f"{place:06d}"
        if isinstance(item, Observation):
            name = file_stem(str(item.metadata.get("image") or item.id or name))
        stem, number = name, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        found.append((name, item, inside(item.boxes, size_of(item))))
    return found


def size_of(item: Observation | Stimulus) -> tuple[int, int]:
    """Return (width, height) of the original image of an observation or a stimulus."""
    return item.image.size


def inside(boxes: Iterable[LabelledBox], size: tuple[int, int]) -> tuple[LabelledBox, ...]:
    """Return the boxes clipped to an image; those outside of it are left out with a warning."""
    every = list(boxes)
    found = [clipped for box in every if (clipped := box.inside(size)) is not None]
    if lost := len(every) - len(found):
        warnings.warn(
            f"{lost} of {len(every)} boxes have no area inside the image of {size[0]} x {size[1]} pixels and "
            "are left "
            "out.",
            UserWarning,
            stacklevel=4,
        )
    return tuple(found)


_LONGEST = 80
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))}
)


def file_stem(name: str) -> str:
    """Return a file name without ending that every system takes, and that leads out of no folder."""
    last = PurePosixPath(name.replace("\\", "/")).name
    stem = last.rsplit(".", 1)[0] if "." in last[1:] else last
    kept = "".join(sign if sign.isalnum() or sign in "-_() " else "_" for sign in stem).strip(" .")
    while len(kept.encode()) > _LONGEST:
        kept = kept[:-1]
    kept = kept.strip()
    return f"_{kept}" if not kept or kept.casefold() in _RESERVED else kept
