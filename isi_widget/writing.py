"""Writing files so that nothing is lost: beside the old file, then in its place.

Whoever reads the file finds the old one or the new one, whole, whatever happens at the write (a full disk, a
kill, a crash). Not for downloads that go on where they broke off (`isi_widget.datasets.download`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import stat
from pathlib import Path

_LONGEST = 60  # characters of the old name in the new one: file systems take 255 bytes
_count = itertools.count()


def write_file(path: str | Path, content: bytes | str) -> Path:
    """Write a file at once or not at all; text as UTF-8. Returns the path as it was given.

    The new file has the permissions of the old one, or those of any new file. A symbolic link stays, and what
    it leads to is replaced. What is no ordinary file (a pipe, a device) is written to as it is. What an
    earlier write of this computer left half-written when it was killed is removed.

    Raises
    ------
    OSError : it cannot be written; the old file is as it was, and nothing is left beside it.
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
    except BaseException:  # an interrupt, too, leaves nothing behind
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    return path


def _begin(target: Path) -> str:
    """Return how the names of the unfinished files of a target begin, on this computer."""
    host = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())[:20]
    return f".{target.name[:_LONGEST]}.{host}-"


def _remove_left_over(target: Path) -> None:
    """Remove unfinished files of processes of this computer that are no more."""
    begin = _begin(target)
    with contextlib.suppress(OSError):
        for name in [path.name for path in target.parent.iterdir()]:
            found = re.fullmatch(r"(\d+)-\d+\.part", name[len(begin) :]) if name.startswith(begin) else None
            if found and not _is_running(int(found[1])):
                target.with_name(name).unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True  # asking there is not as simple, and signal 0 would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
