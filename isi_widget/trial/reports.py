"""`open_report`: loads the trials from a PDF or HTML report. Not for writing one (`isi_widget.report`)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.report import carried
from isi_widget.stimulus import Picture
from isi_widget.trial.record import Trial

_NAME = re.compile(r"trial(-\d+)?\.json")
#: Bounds on reading a report: bytes of its trials, number of trials, pixels of their pictures. A foreign file
#: must not fill the memory.
_LARGEST, _MOST, _MOST_PIXELS = 1_000_000_000, 1000, 1_000_000_000


def open_report(source: str | Path | bytes) -> Trial | list[Trial]:
    """Return the trials of a report made by `report`: one trial, or the list of several, equal to those
    reported.

    source : path of the PDF or HTML file, or its bytes. Raises `InputError` if the file is missing, is
        neither, or has no trials inside.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        name, data = "These bytes are", bytes(source)
    elif isinstance(source, str | Path):
        name, data = f"{source} is", _read(Path(source))
    else:
        raise InputError(f"open_report takes a path or the bytes of a report; got {type(source).__name__}.")
    if b"%PDF-" in data[:1024]:
        return _of_pdf(name, data)
    if b"<html" in data[:1024].lower():
        return _of_page(name, data)
    raise InputError(f"{name} neither a PDF nor HTML. Give a report made by isi.report.")


class _Reader:
    """Reads trials one by one within the bounds; pictures that several share are read once."""

    def __init__(self, name: str) -> None:
        self.trials: list[Trial] = []
        self._name, self._size = name, 0
        self._pictures: dict[str, Picture] = {}

    def add(self, title: str, content: bytes, shared: Mapping[str, Any] | None = None) -> None:
        """Read a record; with shared pictures, one in which those are named by their digests."""
        self._size += len(content)
        if self._size > _LARGEST:
            raise InputError(f"{self._name} a report with more than {_LARGEST >> 20} MB of trials inside.")
        record = _record(self._name, title, content)
        if shared is not None:
            record = _with_pictures(record, shared)
        self.trials.append(Trial.from_dict(record, self._pictures))
        self._pictures |= self.trials[-1].stimulus.pictures
        if sum(picture.width * picture.height for picture in self._pictures.values()) > _MOST_PIXELS:
            raise InputError(
                f"{self._name} a report with pictures of more than {_MOST_PIXELS // 10**6} megapixels."
            )


def _of_page(name: str, data: bytes) -> Trial | list[Trial]:
    try:
        lines = carried.find(data, _LARGEST)
    except InputError as error:
        raise InputError(f"{name} a damaged report: {error}") from None
    if lines is None:
        raise InputError(
            f"{name} HTML without trials inside. Give a report of trials made by isi.report, as it was "
            "written: a report of a study has none, and some programs drop them when they save a page again."
        )
    if len(lines) - 1 > _MOST:
        raise InputError(f"{name} a report of {len(lines) - 1} trials; at most {_MOST} are read.")
    head = _record(name, "the head of the trials", lines[0])
    if not isinstance(head, Mapping) or head.get("schema") != carried.SCHEMA:
        raise InputError(f"{name} a report of a different version. Upgrade isi-widget to read it.")
    shared = head.get("pictures")
    if not isinstance(shared, Mapping):
        raise InputError(f"{name} a damaged report: its pictures are missing. Make the report again.")
    reader = _Reader(name)
    for number, line in enumerate(lines[1:], 1):
        reader.add(f"trial {number}", line, shared)
    if not reader.trials:
        raise InputError(f"{name} a damaged report: its trials are missing. Make the report again.")
    return reader.trials[0] if head.get("single") is True and len(reader.trials) == 1 else reader.trials


def _with_pictures(record: Any, shared: Mapping[str, Any]) -> Any:
    """Return the record of a trial, with the pictures that its stimulus names."""
    with records.damaged("a trial"):
        trial = record["trial"]
        stimulus = trial["stimulus"]
        pictures = {digest: shared[digest] for digest in stimulus["pictures"]}
        return {**trial, "stimulus": {**stimulus, "pictures": pictures}}


def _of_pdf(name: str, data: bytes) -> Trial | list[Trial]:
    from pypdf import PdfReader, apply_configuration

    reader = _Reader(name)
    with (
        _readable(name),
        apply_configuration(
            zlib_maximum_output_length=records.MOST_BYTES,
            maximum_declared_stream_length=records.MOST_BYTES,
            stream_decoding_work_maximum_length=2 * records.MOST_BYTES,
        ),
    ):
        attached = PdfReader(io.BytesIO(data)).attachments
        keys = sorted((key for key in attached if _NAME.fullmatch(key)), key=_number)
        if len(keys) > _MOST:
            raise InputError(f"{name} a report of {len(keys)} trials; at most {_MOST} are read.")
        for key in keys:  # one at a time: each is read, checked and released
            reader.add(key, attached[key][0])
    if not keys:
        raise InputError(
            f"{name} a PDF without trials inside. Give a report made by isi.report, as it was written: some "
            "programs drop attachments when they print or save a PDF again."
        )
    return reader.trials[0] if keys == ["trial.json"] else reader.trials


def _record(name: str, key: str, content: bytes) -> Any:
    try:
        return records.parse_json(content, f"{key} inside it")
    except InputError as error:
        reason = str(error).replace("is no valid JSON", "is no JSON")
        raise InputError(f"{name} a damaged report: {reason}") from None


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Convert pypdf's errors, and errors from damaged objects, to an `InputError`."""
    from pypdf.errors import PyPdfError

    try:
        yield
    except InputError:
        raise
    except (
        PyPdfError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        AssertionError,
        NotImplementedError,
    ) as error:
        raise InputError(f"{name} a damaged PDF: {error!s:.200}. Make the report again.") from None


def _read(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > _LARGEST:
            raise InputError(f"The report {path} has {size >> 20} MB; at most {_LARGEST >> 20} MB are read.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"The report {path} cannot be read: {error.strerror or error}.") from None


def _number(name: str) -> int:
    digits = re.findall(r"\d+", name)
    return int(digits[0]) if digits else 0
