"""`open_report`: loads the trials from a PDF report. Not for writing reports (`isi_widget.report`)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.stimulus import Picture
from isi_widget.trial.record import Trial

_NAME = re.compile(r"trial(-\d+)?\.json")
#: Bounds on reading a report: bytes of its trials, number of trials, pixels of their pictures. A foreign file
#: must not fill the memory.
_LARGEST, _MOST, _MOST_PIXELS = 1_000_000_000, 1000, 1_000_000_000


def open_report(source: str | Path | bytes) -> Trial | list[Trial]:
    """Return the trials of a report made by `report`: one trial, or the list of several, equal to those
    reported.

    source : path of the PDF, or its bytes. Raises `InputError` if the file is missing, is not a PDF, or has
        no trials attached.
    """
    from pypdf import PdfReader, apply_configuration

    if isinstance(source, bytes | bytearray | memoryview):
        name, data = "These bytes are", bytes(source)
    elif isinstance(source, str | Path):
        name, data = f"{source} is", _read(Path(source))
    else:
        raise InputError(f"open_report takes a path or the bytes of a PDF; got {type(source).__name__}.")
    if b"%PDF-" not in data[:1024]:
        raise InputError(f"{name} not a PDF. Give a report made by isi.report.")
    trials: list[Trial] = []
    pictures: dict[str, Picture] = {}  # several trials often share one picture
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
        size = 0
        for key in keys:  # one at a time: each is read, checked and released
            content = attached[key][0]
            size += len(content)
            if size > _LARGEST:
                raise InputError(f"{name} a report with more than {_LARGEST >> 20} MB of trials inside.")
            trials.append(Trial.from_dict(_record(name, key, content), pictures))
            pictures |= trials[-1].stimulus.pictures
            if sum(picture.width * picture.height for picture in pictures.values()) > _MOST_PIXELS:
                raise InputError(
                    f"{name} a report with pictures of more than {_MOST_PIXELS // 10**6} megapixels."
                )
    if not keys:
        raise InputError(
            f"{name} a PDF without trials inside. Give a report made by isi.report, as it was written: some "
            "programs drop attachments when they print or save a PDF again."
        )
    return trials[0] if keys == ["trial.json"] else trials


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
