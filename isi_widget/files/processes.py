"""Whether a process of this computer still runs: for locks and temporary files that a killed process left."""

from __future__ import annotations

import os
from pathlib import Path


def is_running(process: int) -> bool:
    """Return whether a process of this number runs on this computer; True where this cannot be known."""
    if os.name == "nt":
        return True  # Windows: the check is less simple, and signal 0 would end the process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return _state(process) != "Z"  # killed, and its parent has not looked yet


def started(process: int) -> str:
    """Return when a process began, as a text to compare: numbers of processes are given again. "" where the
    system does not show it.
    """
    fields = _fields(process)
    if len(fields) < 20:
        return ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        boot = ""
    return f"{fields[19]} {boot}".strip()


def _state(process: int) -> str:
    return next(iter(_fields(process)), "")


def _fields(process: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name of the program, which may hold spaces."""
    try:
        text = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
