"""Reading the files of a session, from a folder or a zip file that anyone may have made.

A zip file is never unpacked to the disk; a name that is not one of a session's is refused, and so is a link.
Sizes are bounded before and while something is read. Not for what the files mean (`reading.py`).
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.widget.session import layout

_ENCRYPTED = 0x1


class Source(Protocol):
    """The files of one session.

    Attributes
    ----------
    title : name for messages.
    bounded : whether the bounds of a foreign file hold.
    """

    title: str
    bounded: bool

    def names(self) -> list[str]:
        """Return the names of all files of a session."""

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if it does not exist. Raises `InputError` if it cannot be
        read.
        """


class FolderSource:
    """A folder. Links are refused: they would read or write outside of it."""

    bounded = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.title = f"The session {str(path)!r}"
        self._refuse_links()

    def names(self) -> list[str]:
        """Return the names of the files of a session in the folder."""
        found = [name for name in (layout.STATE, layout.CHANGES) if (self.path / name).is_file()]
        for folder in (layout.TRIALS, layout.PICTURES):
            found += [f"{folder}/{entry.name}" for entry in self._entries(folder)]
        return [name for name in found if _is_known(name)]

    def read(self, name: str) -> bytes | None:
        """Return the content of a file in the folder."""
        flags = os.O_RDONLY | _flags("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")  # a pipe must not block
        try:
            with os.fdopen(os.open(self.path / name, flags), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise InputError(f"{self.title} is damaged: {name} is not an ordinary file.")
                return _bounded(file, self.title, name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{self.title}: {name} cannot be read: {error.strerror or error}.") from None

    def _refuse_links(self) -> None:
        entries = [*self._entries(), *self._entries(layout.TRIALS), *self._entries(layout.PICTURES)]
        for entry in entries:
            if entry.is_symlink():
                raise InputError(
                    f"{self.title} holds the link {entry.name!r}. Links are not followed, since they may "
                    "lead out of the folder: replace it by the file itself, or delete it."
                )

    def _entries(self, folder: str = "") -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.path / folder) as found:
                return sorted(found, key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(
                f"{self.title} cannot be read: {folder or 'its folder'}: {error.strerror or error}."
            ) from None


class ZipSource:
    """A zip file with the layout of a session; closed by `close`."""

    bounded = True

    def __init__(self, path: Path) -> None:
        self.title = f"The file {str(path)!r}"
        try:
            with self._readable():
                self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise InputError(f"{self.title} cannot be read: {error.strerror or error}.") from None
        self._left = layout.MOST_BYTES
        try:
            self._files = self._checked()
        except InputError:
            self._zip.close()
            raise

    def names(self) -> list[str]:
        """Return the names of its files."""
        return list(self._files)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file in the zip file."""
        found = self._files.get(name)
        if found is None:
            return None
        with self._readable(name), self._zip.open(found) as file:
            data = _bounded(file, self.title, name)
        self._left -= len(data)
        if self._left < 0:
            raise InputError(
                f"{self.title} unpacks to more than {layout.MOST_BYTES >> 20} MB; no more is read."
            )
        return data

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def _checked(self) -> dict[str, zipfile.ZipInfo]:
        every = self._zip.infolist()
        if len(every) > layout.MOST_FILES:
            raise InputError(
                f"{self.title} holds {len(every):,} files; at most {layout.MOST_FILES:,} are read."
            )
        found: dict[str, zipfile.ZipInfo] = {}
        for item in every:
            name = item.filename
            if name in (f"{layout.TRIALS}/", f"{layout.PICTURES}/"):
                continue
            if not _is_known(name) or item.orig_filename != name:
                raise InputError(
                    f"{self.title} is not a session as probe.save() writes it: it holds "
                    f"{item.orig_filename[:80]!r}, "
                    "which is not the name of a file of a session. Nothing was read from it."
                )
            if name in found:
                raise InputError(f"{self.title} is damaged: it holds {name} twice. Nothing was read from it.")
            if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(f"{self.title} is damaged: {name} is compressed in an unknown way.")
            if item.flag_bits & _ENCRYPTED:
                raise InputError(f"{self.title} is encrypted. Save the session again without a password.")
            found[name] = item
        if sum(item.file_size for item in every) > layout.MOST_BYTES:
            raise InputError(
                f"{self.title} unpacks to more than {layout.MOST_BYTES >> 20} MB. Nothing was read from it."
            )
        return found

    @contextmanager
    def _readable(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            ValueError,
            LookupError,
        ) as error:
            what = f"its {name} is damaged ({error!s:.100})" if name else "it is not a zip file"
            raise InputError(
                f"{self.title} cannot be read: {what}. Give a file made by probe.save(), as it was written."
            ) from None


def _is_known(name: str) -> bool:
    if name in (layout.STATE, layout.CHANGES):
        return True
    return bool(layout.TRIAL_NAME.fullmatch(name) or layout.PICTURE_NAME.fullmatch(name))


def _flags(*names: str) -> int:
    """Return flags of `os.open`, those of them that this system has."""
    return sum(getattr(os, flag, 0) for flag in names)


def _bounded(file: IO[bytes], title: str, name: str) -> bytes:
    data = file.read(records.MOST_BYTES + 1)
    if len(data) > records.MOST_BYTES:
        raise InputError(f"{title}: {name} has more than {records.MOST_BYTES >> 20} MB; no more is read.")
    return data
