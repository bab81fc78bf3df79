"""Boxes in the YOLO format (docs.ultralytics.com/datasets/detect and segment): a text file for each image, a
line for each box or segment.

    class x_center y_center width height
    class x1 y1 x2 y2 x3 y3 ...

Classes are numbers from 0; the rest are shares of the width and height of the image, from 0 to 1, origin top
left. `labels/a/1.txt` belongs to `images/a/1.png`; an image without a file has no boxes. A segment is a
closed polygon; its box is around it. Key points are not read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from isi_widget.datasets import box_files as bf
from isi_widget.datasets.files import ImageFolder
from isi_widget.datasets.observation import Dataset, Observation
from isi_widget.errors import InputError
from isi_widget.files.writing import write_file
from isi_widget.stimulus import LabelledBox, Stimulus

_ENDINGS = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".mpo",
        ".jp2",
        ".avif",
    }
)
_SLACK = 1e-3  # shares that rounding may have pushed over the edge
_DIGITS = 10


def from_yolo(
    labels: str | os.PathLike[str],
    images: str | os.PathLike[str],
    classes: Sequence[str] | Mapping[int, str] | str | os.PathLike[str],
    *,
    question: str,
    answer: str | bool | int | None = None,
    name: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> Dataset:
    """Load a data set from YOLO labels: one observation for each image, in the order of their names, with its
    `boxes`. A sixth number of a line, the confidence of a detector, is not read. A segment (a polygon of at
    least three points) gives the box around it and a mask, in `masks`.

    Parameters
    ----------
    labels : folder of the text files.
    images : folder of the images, with the same names and folders.
    classes : names of the classes in their order, {number: name}, or a file: `data.yaml` with `names`, or
        `classes.txt` with a name in each line.
    question, answer, name, on_error : as for `from_coco`; the default name is that of the folder of labels.

    Raises
    ------
    InputError : unusable folder or file of classes, labels without an image, or invalid lines; the message
    lists
        them.

    Warns
    -----
    UserWarning : entries were skipped.
    """
    texts, folder = bf.folder_of(labels, "labels"), bf.folder_of(images, "images")
    names = _classes(classes)
    errors = bf.Errors(str(texts), on_error)
    files = ImageFolder(folder)
    observations = []
    left = {path.relative_to(texts).with_suffix("") for path in texts.rglob("*.txt")}
    left.discard(Path("classes"))
    for path in sorted(item for item in folder.rglob("*") if item.suffix.lower() in _ENDINGS):
        file = path.relative_to(folder)
        left.discard(file.with_suffix(""))
        try:
            source = files.image(file.as_posix())
            size, _ = bf.upright_size(source)
            boxes = _read(texts / file.with_suffix(".txt"), size, names, errors)
            observations.append(bf.observation(files, file.as_posix(), question, answer, boxes, {}))
        except InputError as error:
            errors.add(f"{file.as_posix()}: {error}")
    for stem in sorted(left):
        errors.add(f"{stem.as_posix()}.txt: there is no image of this name in {str(folder)!r}")
    errors.settle(len(observations))
    if not observations:
        raise InputError(f"There are no images in {str(folder)!r}.")
    given = classes if isinstance(classes, str) else _plain(classes)
    code = bf.code(
        "from_yolo",
        [labels, images, given],
        {"question": question, "answer": answer, "name": name, "on_error": on_error},
        {"answer": None, "name": None, "on_error": "raise"},
    )
    return Dataset(observations, texts.name if name is None else name, skipped=errors.found, code=code)


def to_yolo(
    items: Dataset | Sequence[Observation | Stimulus] | Observation | Stimulus,
    folder: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
) -> Path:
    """Write observations or stimuli with their boxes as a folder in the YOLO layout: `images/`, `labels/`,
    `classes.txt` and `data.yaml`. Returns the folder. Boxes are clipped to their image.

    classes : names of the classes, in the order of their numbers; None (default): those of the boxes, in
        alphabetical order.

    Raises
    ------
    InputError : a label that is not among `classes`, or a file that cannot be written.
    """
    found = bf.labelled(items)
    labels = sorted({box.label for _, _, boxes in found for box in boxes})
    names = labels if classes is None else list(classes)
    if missing := [label for label in labels if label not in names]:
        raise InputError(
            f"classes lacks {', '.join(map(repr, missing))}; it has {', '.join(map(repr, names))}."
        )
    target = Path(folder).expanduser()
    with writing(target):
        for stem, item, boxes in found:
            lines = [line(names.index(box.label), box, bf.size_of(item)) for box in boxes]
            put(target / "labels" / f"{stem}.txt", "".join(lines))
            put(target / "images" / f"{stem}.png", item.image.png())
        put(target / "classes.txt", "".join(f"{label}\n" for label in names))
        put(target / "data.yaml", _yaml(names))
    return target


# ---- writing
class writing:
    """Turn an error of the disk into an `InputError` that names the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError):
            raise InputError(
                f"The folder {str(self._folder)!r} cannot be written: {error.strerror or error}. Give a "
                "folder that "
                "may be written to."
            ) from None


def put(path: Path, content: bytes | str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content)


def line(number: int, box: LabelledBox, size: tuple[int, int]) -> str:
    """Return the line of a box in an image of `size` (width, height)."""
    width, height = size
    shares = (
        (box.x + box.width / 2) / width,
        (box.y + box.height / 2) / height,
        box.width / width,
        box.height / height,
    )
    return " ".join([str(number), *(f"{share:.{_DIGITS}g}" for share in shares)]) + "\n"


def _yaml(names: Sequence[str]) -> str:
    import json

    lines = [f"  {number}: {json.dumps(label, ensure_ascii=False)}\n" for number, label in enumerate(names)]
    return "".join(["path: .\n", "train: images\n", "val: images\n", "names:\n", *lines])


# ---- reading
def read_classes(path: Path) -> list[str]:
    """Return the names in a file with a name in each line."""
    return [text.strip() for text in _text(path).splitlines() if text.strip()]


def _classes(classes: Any) -> dict[int, str]:
    if isinstance(classes, str | os.PathLike):
        path = Path(classes).expanduser()
        if path.suffix.lower() in (".yaml", ".yml"):
            classes = _names_of_yaml(path)
        else:
            classes = read_classes(path)
    named = dict(classes) if isinstance(classes, Mapping) else dict(enumerate(classes))
    if not named or not all(isinstance(label, str) and label.strip() for label in named.values()):
        raise InputError(
            "classes must name each class, as a list of texts, {number: name}, or a file (data.yaml, "
            "classes.txt)."
        )
    try:
        return {int(number): label for number, label in named.items()}
    except (TypeError, ValueError):
        raise InputError(f"classes must have whole numbers as keys, not {list(named)[:5]}.") from None


def _names_of_yaml(path: Path) -> Any:
    import yaml

    try:
        found = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML file: {error!s:.200}.") from None
    names = found.get("names") if isinstance(found, dict) else None
    if not isinstance(names, list | dict):
        raise InputError(f"{path} has no list of class names: it needs the key 'names'.")
    if found.get("kpt_shape"):
        raise InputError(f"{path} is of labels with key points, which are not read: only boxes and segments.")
    return names


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"There is no file {str(path)!r} (looked from {str(Path.cwd())!r}).") from None
    except UnicodeError:
        raise InputError(f"{path} is not a text in UTF-8.") from None
    except OSError as error:
        raise InputError(f"The file {str(path)!r} cannot be read: {error.strerror or error}.") from None


def _read(
    path: Path, size: tuple[int, int], names: Mapping[int, str], errors: bf.Errors
) -> list[LabelledBox]:
    """Return the boxes of one file of labels."""
    if not path.exists():
        return []
    found = []
    for number, text in enumerate(_text(path).splitlines(), start=1):
        if text.strip():
            try:
                found.append(_box(text.split(), size, names))
            except InputError as error:
                errors.add(f"{path.name}, line {number}: {error}")
    return found


def _box(cells: Sequence[str], size: tuple[int, int], names: Mapping[int, str]) -> LabelledBox:
    if len(cells) not in (5, 6) and (len(cells) < 7 or len(cells) % 2 == 0):
        raise InputError(
            "expected 'class x_center y_center width height', or a segment 'class x1 y1 x2 y2 x3 y3 ...'; "
            f"got {len(cells)} values"
        )
    try:
        number, shares = float(cells[0]), [float(cell) for cell in cells[1 : 5 if len(cells) < 7 else None]]
    except ValueError:
        raise InputError(f"expected numbers only, got {' '.join(cells)!r:.80}") from None
    if not number.is_integer() or int(number) not in names:
        raise InputError(
            f"there is no class {cells[0]}; the names are of {sorted(names)[:1]} to {max(names)}"
        )
    if not all(math.isfinite(share) and -_SLACK <= share <= 1 + _SLACK for share in shares):
        raise InputError(
            f"{' '.join(cells[1 : len(shares) + 1])[:80]} must be shares of the image from 0 to 1; these "
            "look like pixels"
        )
    if len(shares) > 4:
        points = zip(shares[::2], shares[1::2], strict=True)
        return LabelledBox.around(
            [(min(max(x, 0.0), 1.0) * size[0], min(max(y, 0.0), 1.0) * size[1]) for x, y in points],
            names[int(number)],
        )
    x, y, width, height = shares
    width, height = max(width, 0.0), max(height, 0.0)
    return LabelledBox(
        (x - width / 2) * size[0],
        (y - height / 2) * size[1],
        width * size[0],
        height * size[1],
        names[int(number)],
    )


def _plain(classes: Any) -> Any:
    if isinstance(classes, os.PathLike):
        return os.fspath(classes)
    return dict(classes) if isinstance(classes, Mapping) else list(classes)
