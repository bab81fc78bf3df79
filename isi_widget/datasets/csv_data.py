"""`from_csv`: a data set from your own table and folders of images.

Images are loaded when first needed. Not for the layout of the ISI VQA data set (see `isi_data`, which calls
this).
"""

from __future__ import annotations

import codecs
import csv
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from isi_widget.datasets.box_files import refuse
from isi_widget.datasets.coco import read_boxes
from isi_widget.datasets.files import ImageFolder, refuse_other_format
from isi_widget.datasets.observation import Dataset, Observation
from isi_widget.errors import InputError
from isi_widget.stimulus import LabelledBox, checks, load_image
from isi_widget.text.correctness import asks_for_other
from isi_widget.text.truths import (
    NO_VALUE,
    is_no_truth,
    is_yes_no_cell,
    listed,
    number_in_one_form,
    truth_of_cell,
)

NEEDED = ("image", "question")
CONTEXTS = ("complementary", "contradictory", "irrelevant", "nudging")
_SEPARATOR = re.compile(r"sep=(.?)", re.IGNORECASE)
KNOWN = (*NEEDED, "annotated", "context", "answer", *CONTEXTS, "level", "id")


def from_csv(
    path: str | os.PathLike[str],
    images: str | os.PathLike[str],
    annotated: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    delimiter: str = ",",
    on_error: Literal["raise", "skip"] = "raise",
    boxes: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Load a data set from a CSV file (UTF-8, with a header) and one or two folders of images.

    Columns: ``image`` (file name in `images`) and ``question`` are required. ``answer``, ``context``,
    ``complementary``, ``contradictory``, ``irrelevant``, ``nudging``, ``level``, ``id`` and ``annotated``
    (file name in the folder `annotated`) are optional; an empty cell means no value. Other columns are kept
    as metadata.
    Cells are read as text ("NA", "None" and "nan" too, except in a column of truths that are yes/no or
    numbers); surrounding white space is stripped.

    An ``answer`` column with only yes / no, true / false (also in other languages), y / n, t / f and 1 / 0
    (also 1.0 or 1,0, as spreadsheets and pandas write them next to an empty cell) holds yes/no truths, except
    in rows whose question asks for something else ("How many ...?"). In such a column, and in one of numbers,
    "nan", "NA", "n/a", "None" and "null" are empty cells; "unknown" and "?" stay, and answers to them are not
    judged. In any other column "1" is the text "1"; see `isi_widget.text.correctness.judge` for its
    comparison.

    Several accepted answers: "red | crimson", or a list as JSON or Python prints it ("['red', 'crimson']").
    Ten answers of ten people, as in VQA, keep their repeats.

    Parameters
    ----------
    path : CSV file.
    images : folder of the images.
    annotated : folder of the annotated images; None (default) for none. Without a column ``annotated``, the
        files there have the same names as the images.
    name : name of the data set; default is the file name without its ending.
    delimiter : character between cells; default ",".
    on_error : "raise" (default) refuses a table with invalid rows; "skip" leaves them out, with a warning,
        and lists them in `Dataset.skipped`.
    boxes : COCO annotations with boxes of the images, by their file names; None (default) for none.

    Only the header of each image is read here. Damage after the header is detected when the image is loaded;
    `isi_widget.averages` has its own `on_error`.

    Raises
    ------
    InputError : unusable file or folder, or invalid rows. The message lists all invalid rows with their row
        (the header is row 1) and column. With "skip", only if no row is left.

    Warns
    -----
    UserWarning : rows were skipped.
    """
    checks.on_error(on_error)
    table = Path(path).expanduser()
    folder = _folder(images, "images")
    other = None if annotated is None else _folder(annotated, "annotated")
    header, rows = _read(table, delimiter)
    if other is None and "annotated" in header:
        raise InputError(
            f"{table}: there is a column 'annotated', so its folder is needed: from_csv(..., annotated=...)."
        )
    labelled = {} if boxes is None else read_boxes(boxes)
    kind = _kind({row.get("answer", "") for _, row in rows})
    seen: Counter[str] = Counter()
    observations: list[Observation] = []
    errors: list[str] = []
    for number, row in rows:
        found: list[str] = []
        observation = _observation(row, folder, other, kind, seen, found, labelled)
        errors += [f"row {number}, {message}" for message in found]
        if observation is not None:
            observations.append(observation)
    if errors and (on_error == "raise" or not observations):
        refuse(str(table), errors)
    if not observations:
        raise InputError(f"{table} has a header but no rows.")
    if errors:
        left = len(rows) - len(observations)
        warnings.warn(
            f"{table}: {left} of {len(rows)} rows {'was' if left == 1 else 'were'} skipped; `skipped` of the "
            f"data set lists why. The first: {errors[0]}",
            UserWarning,
            stacklevel=2,
        )
    given = {"name": name, "delimiter": delimiter, "on_error": on_error}
    given |= {} if boxes is None else {"boxes": os.fspath(boxes)}
    usual = {"name": None, "delimiter": ",", "on_error": "raise"}
    folders = [folder for folder in (images, annotated) if folder is not None]
    arguments = [repr(os.fspath(argument)) for argument in (path, *folders)]
    arguments += [f"{key}={value!r}" for key, value in given.items() if value != usual.get(key)]
    code = f"isi.datasets.from_csv({', '.join(arguments)})"
    return Dataset(observations, table.stem if name is None else name, skipped=errors, code=code)


def _observation(
    row: Mapping[str, str],
    images: ImageFolder,
    annotated: ImageFolder | None,
    kind: str,
    seen: Counter[str],
    errors: list[str],
    boxes: Mapping[str, Sequence[LabelledBox]],
) -> Observation | None:
    """Build the observation of one row; None after adding its errors, each with its column, to `errors`."""
    files: dict[str, Path] = {}
    wanted = [("image", images, row["image"])]
    if annotated is not None:
        wanted.append(("annotated", annotated, row.get("annotated", row["image"])))
    for column, folder, file in wanted:
        if not file:
            continue
        try:
            files[column] = folder.image(file)
        except InputError as error:
            errors.append(f'column "{column}": {error}')
    errors.extend(f'column "{column}": the cell is empty' for column in NEEDED if not row[column])
    errors.extend(
        f'column "{column}": the cell must have at most {checks.LONGEST_TEXT} characters, got {len(cell)}.'
        for column, cell in row.items()
        if len(cell) > checks.LONGEST_TEXT
    )
    id = row.get("id") or row["image"]
    seen[id] += 1
    if seen[id] > 1:
        if row.get("id"):
            errors.append(f'column "id": {id!r} was given to an earlier row')
        id = f"{id} ({seen[id]})"  # several questions about one image
    answer = None
    try:
        answer = _truth(row.get("answer", ""), row["question"], kind)
    except InputError as error:
        errors.append(f'column "answer": {error}')
    if errors:
        return None
    return Observation(
        image=partial(load_image, files["image"]),
        question=row["question"],
        context=row.get("context", ""),
        answer=answer,
        annotated=partial(load_image, files["annotated"]) if "annotated" in files else None,
        contexts={column: row[column] for column in CONTEXTS if row.get(column)},
        level=row.get("level") or None,
        id=id,
        metadata={"image": row["image"]} | {key: cell for key, cell in row.items() if key not in KNOWN},
        boxes=boxes.get(row["image"], ()),
    )


def _kind(cells: set[str]) -> str:
    """Return what a column of truths holds: "yes or no", "numbers" or "texts"."""
    answers = [cell for cell in cells if cell.casefold() not in NO_VALUE and not is_no_truth(cell)]
    if answers and all(map(is_yes_no_cell, answers)):
        return "yes or no"
    numbers = bool(answers) and all(number_in_one_form(cell) is not None for cell in answers)
    return "numbers" if numbers else "texts"


def _truth(cell: str, question: str, kind: str) -> str | None:
    """Return the truth of a cell in a column of this kind."""
    if kind == "yes or no":
        return truth_of_cell(cell, asks_for_other(question))
    if kind == "numbers" and cell.casefold() in NO_VALUE and cell != "none":  # which may be a count of 0
        return None
    several = listed(cell)
    return cell if several is None else checks.truth(several)


def _read(table: Path, delimiter: str) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read the header and the rows (number, cells by column), white space stripped; empty rows
    are skipped.
    """
    try:
        refuse_other_format(table)
        with table.open(encoding=_encoding(table), newline="") as file:
            lines = list(_lines(file, table, delimiter))
    except FileNotFoundError:
        raise InputError(f"There is no CSV file {str(table)!r} (looked from {str(Path.cwd())!r}).") from None
    except IsADirectoryError:
        raise InputError(f"{str(table)!r} is a folder, not a CSV file.") from None
    except UnicodeError as error:
        raise InputError(f"{table} is not UTF-8 ({error}); save it as CSV UTF-8.") from None
    except OSError as error:
        raise InputError(f"The CSV file {str(table)!r} cannot be read: {error}.") from None
    if lines and (named := _SEPARATOR.fullmatch(lines[0][1][0])):  # a line for spreadsheets
        sign = named[1] or delimiter  # where it is the delimiter, it has ended the cell
        if sign != delimiter:
            raise InputError(f"{table} has {sign!r} between its cells: from_csv(..., delimiter={sign!r}).")
        lines.pop(0)
    if not lines:
        raise InputError(f"{table} is empty; expected a header with the columns {', '.join(NEEDED)}.")
    header = [cell.casefold() if cell.casefold() in KNOWN else cell for cell in lines[0][1]]
    missing = [column for column in NEEDED if column not in header]
    if missing:
        hint = ""
        if len(header) == 1:
            other = next((sign for sign in ";\t,|" if sign in header[0]), None)
            hint = f" Is the delimiter {delimiter!r} right?"
            hint += "" if other is None else f" It seems to be {other!r}: from_csv(..., delimiter={other!r})."
        raise InputError(
            f"{table}: the header has no column {', '.join(map(repr, missing))}; it has {header}.{hint}"
        )
    twice = [column for column, count in Counter(header).items() if count > 1 and column]
    if twice:
        raise InputError(f"{table}: the column {', '.join(map(repr, twice))} occurs more than once.")
    long = [
        f"row {number}: {len(cells)} cells, but the header has {len(header)}; "
        f"put text that holds {delimiter!r} in quotes"
        for number, cells in lines[1:]
        if any(cells[len(header) :])
    ]
    if long:
        refuse(str(table), long)
    rows = [
        (number, {column: cells[i] if i < len(cells) else "" for i, column in enumerate(header) if column})
        for number, cells in lines[1:]
        if any(cells)
    ]
    return header, rows


def _encoding(table: Path) -> str:
    """Return the encoding: UTF-8, or UTF-16 if the file begins with its byte order mark (a spreadsheet's
    "Unicode text").
    """
    with table.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _lines(file: Any, table: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the row number (the header is row 1, as in a spreadsheet) and stripped cells of each record."""
    try:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
    except TypeError:
        raise InputError(f"delimiter must be one character, got {delimiter!r}.") from None
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            yield number, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"{table}, row {number + 1}: {error}.") from None


def _folder(path: str | os.PathLike[str], name: str) -> ImageFolder:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"{name}={str(folder)!r} is no folder (looked from {str(Path.cwd())!r}).")
    return ImageFolder(folder)
