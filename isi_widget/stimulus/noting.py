"""What reading an image changes, as clauses: collected for the picture and the page, or warned of.

Not for reading images (`isi_widget.stimulus.loading`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)
#: The changes of the image that is being loaded.
_changes: ContextVar[list[str] | None] = ContextVar("changes", default=None)


@contextmanager
def noting() -> Iterator[list[str]]:
    """Collect notes about loaded images instead of warning. Each note is a clause about one change, such as
    "turned upright, as its EXIF orientation says".
    """
    yield from _collecting(_noted)


@contextmanager
def changing() -> Iterator[list[str]]:
    """Collect the changes of one image; warnings stay warnings."""
    yield from _collecting(_changes)


def _collecting(into: ContextVar[list[str] | None]) -> Iterator[list[str]]:
    found: list[str] = []
    token = into.set(found)
    try:
        yield found
    finally:
        into.reset(token)


def note(clause: str) -> None:
    """Note a usual, correct change: `noting` collects it, and the picture keeps it (`Picture.changes`)."""
    for found in (_noted.get(), _changes.get()):
        if found is not None and clause not in found:
            found.append(clause)


def warn(name: str, clause: str, level: int) -> None:
    """Report an unexpected loss: as a warning too, unless `noting` collects it.

    level : frames from the call of `load_image` to this one.
    """
    note(clause)
    if _noted.get() is None:
        warnings.warn(f"{name}: {clause}.", UserWarning, stacklevel=level + 2)
