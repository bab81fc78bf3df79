"""`save_observation`: a stimulus becomes a row of your own data set, in the ISI layout.

    folder/vlm_dataset.csv          one row for each observation, appended
    folder/natural_images/a.png     the picture without drawings
    folder/annotated_images/a.png   the picture as it was shown, with its drawings
    folder/boxes_coco.json          the drawn boxes, of all pictures (COCO)
    folder/labels/a.txt             the drawn boxes of one picture (YOLO); classes.txt has their names

`isi_vqa(folder)` and `from_csv` read it back. Not for reading (`csv_data`).
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import EllipsisType
from typing import Any

from isi_widget.checks import text
from isi_widget.datasets import box_files as bf
from isi_widget.datasets import coco, yolo
from isi_widget.datasets.csv_data import CONTEXTS
from isi_widget.datasets.isi_data import ANNOTATED, BOXES, IMAGES, TABLE
from isi_widget.datasets.observation import Observation
from isi_widget.errors import InputError
from isi_widget.files.lock import alone
from isi_widget.files.paths import path_of_user
from isi_widget.stimulus import LabelledBox, Picture, Stimulus, checks, load_image
from isi_widget.stimulus.labelled_boxes import BoxLike
from isi_widget.stimulus.labelled_boxes import checked as checked_boxes

COLUMNS = ("image", "annotated", "question", "context", "answer", *CONTEXTS, "level", "id")
LABELS, CLASSES = "labels", "classes.txt"


def save_observation(
    folder: str | os.PathLike[str],
    stimulus: Stimulus,
    *,
    id: str | None = None,
    answer: str | bool | int | EllipsisType | None = ...,
    level: str | None = None,
    boxes: Iterable[BoxLike] | None = None,
    labels: str | Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Observation:
    """Append a stimulus to a data set in a folder, which is made if it does not exist. Returns the
    observation.

    The natural image is the picture without drawings, the annotated image the picture as a model is shown it;
    texts are the current ones, contexts those of the presets. A row that the table has already is not written
    again. A picture of the same name with other pixels gets a number behind its name. The row comes last:
    after a kill it is there with all its files, or not at all.

    Parameters
    ----------
    folder : folder of the data set.
    stimulus : stimulus to save.
    id : name of the observation and its pictures; None (default): the name of the
        picture's file, or "observation".
    answer : true answer, as for `Observation`; ... (default): the known truth of the stimulus, if any.
    level : semantic level; None (default) for none.
    boxes : boxes around things; None (default): the drawn ones, `stimulus.boxes`.
    labels : name of the boxes, or a name for each of them; None (default): their own.
    metadata : values for further columns that the table has; default none.

    Raises
    ------
    InputError : a table of another kind, wrong labels, or files that cannot be written.
    """
    if not isinstance(stimulus, Stimulus):
        raise InputError(
            f"save_observation takes a folder and a stimulus; got {type(stimulus).__name__}. Of an "
            "observation, give observation.stimulus()."
        )
    id = None if id is None else text(id, "save_observation: id")
    found = _labelled(stimulus.boxes if boxes is None else checked_boxes(boxes), labels)
    target = path_of_user(folder, "folder")
    with yolo.writing(target):
        target.mkdir(parents=True, exist_ok=True)
        with alone(target / ".lock"):
            table = _Table(target / TABLE)
            natural, annotated = _pictures(stimulus)
            if annotated is None and "annotated" not in table.header:
                annotated = natural  # both folders have every name there
            name = _name(target, _stem(stimulus, id), natural, annotated)
            truth = (
                stimulus.truth if answer is ... else checks.truth(answer, question=stimulus.current_question)
            )
            row = {
                "image": name,
                "annotated": name if annotated is not None and "annotated" in table.header else "",
                "question": stimulus.current_question,
                "context": stimulus.current_context,
                "answer": truth or "",
                **{part: stimulus.presets.contexts.get(part, "") for part in CONTEXTS},
                "level": level or "",
                "id": id or "",
                **{key: str(value) for key, value in (metadata or {}).items() if key in table.extra},
            }
            if not row["question"].strip():
                raise InputError("The question is empty; a row of a data set needs one.")
            _write_pictures(target, name, natural, annotated)
            _write_boxes(target, name, natural.size, bf.inside(found, natural.size))
            row["id"] = table.append(row)
    return Observation(
        partial(load_image, target / IMAGES / name),
        row["question"].strip(),
        row["context"].strip(),
        truth,
        annotated=None if annotated is None else partial(load_image, target / ANNOTATED / name),
        contexts={part: row[part] for part in CONTEXTS if row[part]},
        level=level,
        id=row["id"] or name,
        metadata={"image": name},
        boxes=found,
    )


def _labelled(boxes: Iterable[LabelledBox], labels: str | Sequence[str] | None) -> tuple[LabelledBox, ...]:
    every = tuple(boxes)
    if labels is None:
        return every
    names = [labels] * len(every) if isinstance(labels, str) else list(labels)
    if len(names) != len(every):
        raise InputError(
            f"labels must name each of the {len(every)} boxes, or all by one text; got {len(names)}."
        )
    return tuple(LabelledBox(*box.region, name) for box, name in zip(every, names, strict=True))


def _pictures(stimulus: Stimulus) -> tuple[Picture, Picture | None]:
    """Return the natural picture and the annotated one, or None."""
    own = stimulus.image_preset in ("natural", "annotated")
    natural = stimulus.image if own else stimulus.current_image
    if stimulus.drawings:
        return natural, Picture(stimulus.render())
    if stimulus.image_preset == "annotated":
        return natural, stimulus.current_image
    return natural, stimulus.presets.images.get("annotated") if own else None


def _stem(stimulus: Stimulus, id: str | None) -> str:
    named = id or (stimulus.current_image.path and Path(stimulus.current_image.path).name) or "observation"
    return bf.file_stem(checks.text(named, "id"))


def _name(folder: Path, stem: str, natural: Picture, annotated: Picture | None) -> str:
    """Return the first name that both folders have not given to another picture."""
    taken = {
        part: {path.name.casefold(): path for path in (folder / part).iterdir()}
        if (folder / part).is_dir()
        else {}
        for part in (IMAGES, ANNOTATED)
    }
    number = 1
    while True:
        name = f"{stem}.png" if number == 1 else f"{stem}-{number}.png"
        if _fits(taken[IMAGES].get(name.casefold()), name, natural) and (
            annotated is None or _fits(taken[ANNOTATED].get(name.casefold()), name, annotated)
        ):
            return name
        number += 1


def _fits(path: Path | None, name: str, picture: Picture) -> bool:
    if path is None:
        return True
    try:
        return path.name == name and load_image(path).sha256 == picture.sha256
    except InputError:
        return False


def _write_pictures(folder: Path, name: str, natural: Picture, annotated: Picture | None) -> None:
    for part, picture in ((IMAGES, natural), (ANNOTATED, annotated)):
        (folder / part).mkdir(exist_ok=True)
        target = folder / part / name
        if picture is not None and not target.exists():
            yolo.put(target, picture.png())


def _write_boxes(folder: Path, name: str, size: tuple[int, int], boxes: Sequence[LabelledBox]) -> None:
    """Write the boxes of a picture beside those of others; without any only a file with boxes is changed."""
    all_boxes, classes = folder / BOXES, folder / LABELS / CLASSES
    if not boxes and not all_boxes.exists():
        return
    coco.write(all_boxes, coco.add(coco.read_or_begin(all_boxes), name, size, boxes))
    names = yolo.read_classes(classes) if classes.exists() else []
    names += [label for label in dict.fromkeys(box.label for box in boxes) if label not in names]
    yolo.put(classes, "".join(f"{label}\n" for label in names))
    lines = [yolo.line(names.index(box.label), box, size) for box in boxes]
    yolo.put(folder / LABELS / f"{Path(name).stem}.txt", "".join(lines))


class _Table:
    """The table of a data set, to which rows are appended; what is in it stays byte for byte."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = path.read_bytes() if path.exists() else b""
        if self._content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise InputError(f"{path} is in UTF-16. Save it as CSV UTF-8, then rows can be appended.")
        try:
            text = self._content.decode("utf-8-sig")
            self._rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except UnicodeError as error:
            raise InputError(f"{path} is not UTF-8 ({error}); save it as CSV UTF-8.") from None
        except csv.Error as error:
            raise InputError(f"{path} is damaged: {error}.") from None
        self._new = not self._rows
        if self._new:
            self._rows = [list(COLUMNS)]
        self.header = [self._known(cell.strip()) for cell in self._rows[0]]
        if missing := {"image", "question"} - set(self.header):
            raise InputError(
                f"{path}: the header has no column {', '.join(map(repr, sorted(missing)))} (cells are "
                "separated by "
                f"commas); it has {self.header}."
            )
        #: Columns that are not of an observation.
        self.extra = [cell for cell in self.header if cell not in COLUMNS]

    @staticmethod
    def _known(cell: str) -> str:
        return cell.casefold() if cell.casefold() in COLUMNS else cell

    def append(self, row: Mapping[str, str]) -> str:
        """Append a row, unless the same one is there; columns that the table lacks are added to its header.

        Returns its id, which has a number behind it if another row has the same; "" for a row without one.
        """
        first = row["id"].strip()
        place = self.header.index("id") if "id" in self.header else None
        taken = set() if place is None else {_cells(old, place + 1)[place] for old in self._rows[1:]}
        for number in itertools.count(1):
            id = first if number == 1 else f"{first}-{number}"
            cells = {key: value.strip() for key, value in {**row, "id": id}.items()}
            lacks = [key for key in COLUMNS if cells.get(key) and key not in self.header]
            made = [cells.get(key, "") for key in (*self.header, *lacks)]
            if any(_cells(old, len(made)) == made for old in self._rows[1:]):
                return id
            if not id or id not in taken:
                break
        self._write(made, lacks)
        return id

    def _write(self, cells: Sequence[str], lacks: Sequence[str]) -> None:
        end = "\r\n" if b"\r\n" in self._content else "\n"
        if self._new or lacks:
            mark = codecs.BOM_UTF8 if self._content.startswith(codecs.BOM_UTF8) else b""
            header, *rows = self._rows
            padded = [[*old, *[""] * (len(cells) - len(old))] if old else old for old in rows]
            content = mark + _text([[*header, *lacks], *padded, cells], end)
        else:
            between = b"" if self._content.endswith((b"\n", b"\r")) else end.encode()
            content = self._content + between + _text([cells], end)
        yolo.put(self._path, content)


def _cells(row: Sequence[str], count: int) -> list[str]:
    return [cell.strip() for cell in row] + [""] * (count - len(row))


def _text(rows: Iterable[Sequence[str]], end: str) -> bytes:
    made = io.StringIO(newline="")
    csv.writer(made, lineterminator=end).writerows(rows)
    return made.getvalue().encode("utf-8")
