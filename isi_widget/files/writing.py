"""Atomic writing of files: a temporary file next to the old file replaces it.

A reader finds the complete old file or the complete new file, even after a full disk, a kill or a crash. Not
for resumable downloads (`isi_widget.datasets.download`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import stat
from pathlib import Path

from isi_widget.errors import InputError
from isi_widget.files.paths import path_of_user
from isi_widget.files.processes import is_running

_LONGEST = 60  # characters of the old name in the temporary name: file systems allow 255 bytes
_count = itertools.count()


def write_file(path: str | Path, content: bytes | str) -> Path:
    """Write a file completely or not at all; text as UTF-8. Returns the given path.

    The new file has the permissions of the old one, or those of any new file. A symbolic link stays; its
    target is replaced. Pipes and devices are written to directly. Unfinished temporary files of killed writes
    on this computer are removed.

    Raises
    ------
    OSError : the file cannot be written; the old file is unchanged, and no temporary file remains.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    path = Path(path)
    target = Path(os.path.realpath(path))
    try:
        mode: int | None = target.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        target.write_bytes(data)  # raises for a folder
        return path
    _remove_left_over(target)
    part = target.with_name(f"{_begin(target)}{os.getpid()}-{next(_count)}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            part.chmod(stat.S_IMODE(mode))
        part.replace(target)
    except BaseException:  # also after an interrupt
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    return path


def write_for_user(what: str, path: str | Path, content: bytes | str) -> Path:
    """Write a file to a path that a person gave, as `write_file`; "~" is the home folder. Returns the path.

    Parameters
    ----------
    what : name of the content in the message, such as "The report".
    path : the file.
    content : bytes, or text in UTF-8.

    Raises
    ------
    InputError : the file cannot be written; the old file is unchanged.
    """
    target = path_of_user(path, "path")
    try:
        return write_file(target, content)
    except OSError as error:
        raise InputError(
            f"{what} cannot be written to {target}: {error.strerror or error}. Give a file in a folder that "
            "exists and may be written to."
        ) from None


def _begin(target: Path) -> str:
    """Return the prefix of temporary file names for a target on this computer."""
    host = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())[:20]
    return f".{target.name[:_LONGEST]}.{host}-"


def _remove_left_over(target: Path) -> None:
    """Remove temporary files of processes on this computer that have ended."""
    begin = _begin(target)
    with contextlib.suppress(OSError):
        for name in [path.name for path in target.parent.iterdir()]:
            found = re.fullmatch(r"(\d+)-\d+\.part", name[len(begin) :]) if name.startswith(begin) else None
            if found and not is_running(int(found[1])):
                target.with_name(name).unlink(missing_ok=True)
