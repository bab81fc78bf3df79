"""`FolderLock`: one process at a time writes a folder.

The lock is a small file that names its process. The lock of a process that has ended, also by a kill or a
crash, is taken over. On a disk that several computers share, the process of another computer cannot be looked
for: then the lock stays until someone deletes it. Not for waiting until a folder is free.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.files.processes import is_running, started

_LONGEST = 4096  # bytes of a lock
_NAMED = 300  # characters of a notebook's name
#: Tokens of the locks that this process holds.
_tokens: set[str] = set()


class FolderLock:
    """A lock file.

    Parameters
    ----------
    path : path of the lock file, in the folder that it guards.
    what : name of what it guards, for messages, such as "The session 'my-session'".
    hint : further advice, for the message where the folder is in use; default none.
    own_hint : advice before it, where this process itself holds the folder; default none.
    """

    def __init__(self, path: Path, what: str, hint: str = "", own_hint: str = "") -> None:
        self.path = path
        self._what = what
        self._hint = hint
        self._own_hint = own_hint
        self._token = ""

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return bool(self._token)

    @property
    def is_in_place(self) -> bool:
        """Whether the lock that this object holds is the one at its path: the folder may have been moved or
        deleted meanwhile, and made anew by another process.
        """
        try:
            found = json.loads(self.path.read_bytes()[:_LONGEST])
        except (OSError, ValueError):
            return False
        return isinstance(found, dict) and found.get("token") == self._token

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        InputError : it is held by a running process, or by one of another computer.
        OSError : the file cannot be written.
        """
        token = uuid.uuid4().hex
        process = os.getpid()
        mine = {
            "process": process,
            "host": socket.gethostname(),
            "started": started(process),
            "token": token,
        }
        notebook = os.environ.get("JPY_SESSION_NAME", "")  # its path, in JupyterLab and Notebook 7
        if notebook:
            mine["notebook"] = notebook[-_NAMED:]
        with _opened(self.path) as file:
            found = _read(file)
            if _is_held(found):
                raise InputError(self._refusal(found))
            _write(file, json.dumps(mine).encode())
        self._token = token
        _tokens.add(token)

    def release(self) -> None:
        """Give the lock back; nothing happens if this object does not hold it. A forked process leaves the
        lock of its parent as it is.
        """
        token, self._token = self._token, ""
        if not token:
            return
        _tokens.discard(token)
        with contextlib.suppress(OSError), _opened(self.path, create=False) as file:
            found = _read(file)
            if found.get("token") == token and found.get("process") == os.getpid():
                self.path.unlink(missing_ok=True)

    def _refusal(self, found: Mapping[str, Any]) -> str:
        process, host = found.get("process"), found.get("host")
        if host != socket.gethostname():
            return (
                f"{self._what} is in use by process {process} of the computer {host!r}. End it there; if it "
                f"no longer runs, delete the file {str(self.path)!r}.{self._more()}"
            )
        if process == os.getpid():
            own = f" {self._own_hint}" if self._own_hint else ""
            return f"{self._what} is in use in this process already.{own}{self._more()}"
        notebook = found.get("notebook")
        if isinstance(notebook, str) and notebook:
            who = f"by the notebook {notebook[-_NAMED:]!r} (process {process} of this computer)"
        else:
            who = f"by process {process} of this computer, such as the kernel of another notebook"
        return f"{self._what} is in use {who}. Shut down its kernel or close it there first.{self._more()}"

    def _more(self) -> str:
        return f" {self._hint}" if self._hint else ""


def _is_held(found: Mapping[str, Any]) -> bool:
    """Return whether the process of a lock runs, or cannot be looked for."""
    process, host = found.get("process"), found.get("host")
    if not is_whole(process) or process <= 0 or not isinstance(host, str):
        return False  # empty, or cut off when its process was killed
    if host != socket.gethostname():
        return True
    if process == os.getpid() and found.get("token") not in _tokens:
        return False  # of a folder that was moved: its holder has left it
    begun = started(process)
    same = not begun or not found.get("started") or begun == found["started"]
    return is_running(process) and same


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other process does the same work, for moments; `path` is a file that is made for it and
    deleted afterwards. Where the system cannot lock files nothing is waited for.

    Raises
    ------
    OSError : the file cannot be written.
    """
    with _opened(path):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path, create: bool = True) -> Iterator[int]:
    """Open the lock file, alone where the system can lock files, so that reading and writing it are one."""
    flags = os.O_RDWR | (os.O_CREAT if create else 0) | getattr(os, "O_NOFOLLOW", 0)
    while True:
        file = os.open(path, flags, 0o666)
        try:
            _alone(file)
            if _is_at(file, path):
                yield file
                return
        finally:
            os.close(file)


def _alone(file: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    with contextlib.suppress(OSError):  # not every network disk has it
        fcntl.flock(file, fcntl.LOCK_EX)


def _is_at(file: int, path: Path) -> bool:
    """Return whether the open file is still the one at its path; its holder may just have deleted it."""
    if os.name == "nt":
        return True
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))  # noqa: PTH116
    except FileNotFoundError:
        return False


def _read(file: int) -> dict[str, Any]:
    try:
        found = json.loads(os.read(file, _LONGEST))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: int, data: bytes) -> None:
    os.lseek(file, 0, os.SEEK_SET)
    os.ftruncate(file, 0)
    os.write(file, data)
    os.fsync(file)
