"""Averages that are in use in this process: those that `Averages.use` has put there, beside the shipped ones.

Only the list, thread-safe. Not for which of them belong to a trial (`beside.py`).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isi_widget.study.record import Averages

_lock = threading.Lock()
_used: tuple[Averages, ...] = ()


def use(averages: Averages, on: bool) -> None:
    """Put averages in use in this process, or out of use."""
    global _used
    with _lock:
        rest = tuple(other for other in _used if other != averages)
        _used = (*rest, averages) if on else rest


def used() -> tuple[Averages, ...]:
    """Return the averages in use, in the order in which they were put there."""
    return _used
