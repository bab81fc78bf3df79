"""Reading the files of a study's store, which anyone may have made: the header and the lines, checked.

A damaged header is one `InputError`. A damaged line is left out, as the half line of a killed run: its row is
made again. Links are refused, since they would read or write outside of the folder. Not for Parquet files
(`table`), nor for writing (`store`).
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isi_widget.checks import is_real, is_whole
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.study.rows import FIRST
from isi_widget.study.table import typed

SCHEMA = 1
FORMAT = "isi_widget.study"
HEADER, OPEN, PARTS, IMAGES = "study.json", "open.jsonl", "parts", "images"
OBSERVATIONS, LOCK = "observations.jsonl", "lock"
KINDS = ("int64", "float64", "bool", "str", "answers", "texts")
_MOST_ROWS = 2**53
_INT64 = 2**63


@dataclass(frozen=True)
class _Header:
    """The kinds of what a header must have."""

    settings: Mapping[str, Any]
    models: Mapping[str, Mapping[str, Any]]
    data: Mapping[str, Any]
    versions: Mapping[str, str]
    seeds: tuple[int, ...]
    conditions: tuple[Mapping[str, Any], ...]
    shapes: tuple[tuple[int, int, int, int], ...]
    baseline: str
    entailment: str
    created: str
    code: Any  # a text, of any length
    columns: Mapping[str, str]
    measures: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Data:
    """The kinds of what a header says of the data."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class _Model:
    """The kinds of what a header says of a model that has met the study."""

    identity: Mapping[str, Any]
    entailment: str
    info: Mapping[str, Any]


def refuse_links(folder: Path) -> None:
    """Refuse a folder with a link, or anything else that is no ordinary file, in the place of a file of a
    store.
    """
    known = (HEADER, OPEN, OBSERVATIONS, PARTS, IMAGES, LOCK)
    for path in [*(folder / name for name in known), *_inside(folder / PARTS), *_inside(folder / IMAGES)]:
        try:
            mode = path.lstat().st_mode
        except OSError:
            continue
        if not (stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and path.parent == folder)):
            raise InputError(
                f"The store {str(folder)!r} has {path.name!r}, which is a link or no ordinary file. It may "
                "lead out of the folder: replace it by the file itself, or delete it."
            )


def _inside(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as found:
            yield from (Path(entry.path) for entry in found if not entry.is_file(follow_symlinks=False))
    except OSError:
        return


def read_header(folder: Path) -> dict[str, Any]:
    """Return the header of a store.

    Raises
    ------
    InputError
        It cannot be read, is damaged, or of another schema.
    """
    where = f"The file {str(folder / HEADER)!r}"
    found = records.parse_json(_content(folder / HEADER, where), where)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{where} is not that of a study.")
    if found.get("schema") != SCHEMA:
        raise InputError(
            f"{where} has schema {found.get('schema')!r:.60}; this version of isi_widget reads schema "
            f"{SCHEMA}. Upgrade to read it."
        )
    needed = [name for name in _Header.__dataclass_fields__ if name not in ("measures", "columns")]
    if missing := [name for name in needed if name not in found]:
        raise InputError(f"{where} is damaged: {missing[0]!r} is missing or of a wrong kind.")
    title = f"a study ({str(folder / HEADER)!r})"
    with records.damaged(title):
        _check_header(title, where, found)
    return found


def _check_header(title: str, where: str, found: Mapping[str, Any]) -> None:
    columns = found.get("columns")
    if not isinstance(columns, dict) or not set(FIRST) <= columns.keys():
        raise InputError(f"{where} is damaged: it must list the columns.")
    if wrong := [name for name, kind in columns.items() if kind not in KINDS]:
        raise InputError(f"{where} is damaged: the column {wrong[0]!r:.60} has no known type.")
    records.check_values(_Header, title, found)
    records.check_names(_Data, title, found["data"], ("named",))
    records.check_values(_Data, title, found["data"])
    for model in found["models"].values():
        if model:
            records.check_names(_Model, title, model)
            records.check_values(_Model, title, model)
    numbers = [number for shape in found["shapes"] for number in shape] + [found["data"]["size"]]
    sizes = [math.prod(shape) for shape in found["shapes"]]
    if not sizes or min(numbers) < 0 or max(sizes) > _MOST_ROWS or not isinstance(found["code"], str):
        name = "code" if sizes and not isinstance(found["code"], str) else "shapes"
        raise InputError(f"{where} is damaged: {name!r} is of a wrong kind.")


def _content(path: Path, where: str) -> bytes:
    """Return the content of a file; a large one is refused before it is in memory."""
    try:
        with path.open("rb") as file:
            data = file.read(records.MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror}.") from None
    if len(data) > records.MOST_BYTES:
        raise InputError(f"{where} has more than {records.MOST_BYTES >> 20} MB; no more is read.")
    return data


def lines(path: Path, whole: bool) -> Iterator[dict[str, Any]]:
    """Yield the records of a file of JSON lines; none without the file. Damaged lines are left out.

    whole : whether a last line without its end is left out, too.
    """
    try:
        content = _content(path, f"The file {str(path)!r}")
    except FileNotFoundError:
        return
    for line in content.splitlines(keepends=True):
        if whole and not line.endswith(b"\n"):
            return
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def fits(row: Mapping[str, Any], columns: Mapping[str, str]) -> bool:
    """Return whether the values of a row are of the types of their columns, or can be turned into them."""
    return is_whole(row.get("row")) and all(_fits(row.get(name), kind) for name, kind in columns.items())


def _fits(value: Any, kind: str) -> bool:
    if value is None:
        return True
    if kind in ("answers", "texts"):
        each = _is_answer if kind == "answers" else lambda item: isinstance(item, str)
        return isinstance(value, list) and all(map(each, value))
    if kind == "bool":
        return isinstance(value, bool)
    try:
        made = typed(value, kind)
    except (TypeError, ValueError, OverflowError):
        return False
    return kind != "int64" or -_INT64 <= made < _INT64


def _is_answer(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    text, likelihood = item.get("text"), item.get("log_likelihood")
    numbers = all(_is_number(item.get(name)) for name in ("cluster", "tokens"))
    return numbers and (text is None or isinstance(text, str)) and (likelihood is None or is_real(likelihood))


def _is_number(value: Any) -> bool:
    return value is None or (is_whole(value) and -_INT64 <= value < _INT64)
