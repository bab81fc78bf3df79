"""Observers of the user's own and failing sends: they stop nothing inside a widget.

`Guarded` is one observer; `Quiet` makes a whole widget so. The probe has its own rules (`traits.py`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import traitlets as t

if TYPE_CHECKING:
    from ipywidgets import Widget as _Widget
else:
    _Widget = object

_LOG = logging.getLogger(__name__)


class Guarded:
    """A foreign observer. Its exceptions go to `failed`, which returns whether to raise them after all. It is
    equal to the observer itself, so that `unobserve` finds it.
    """

    def __init__(self, observer: Callable[[Any], Any], failed: Callable[[BaseException, str], bool]) -> None:
        self._observer = observer
        self._failed = failed

    def __call__(self, change: Any) -> None:
        """Call the observer."""
        try:
            self._observer(change)
        except BaseException as error:
            if self._failed(error, change["name"]):
                raise

    def __eq__(self, other: object) -> bool:
        return bool(self._observer == (other._observer if isinstance(other, Guarded) else other))

    def __hash__(self) -> int:
        return hash(self._observer)


class Quiet(_Widget):
    """A widget whose foreign observers and sends may fail: failures are logged, and the work goes on."""

    def observe(self, handler: Any, names: Any = t.All, type: Any = "change") -> None:
        """Observe a trait, as `traitlets.HasTraits.observe`. An exception of the observer is logged; an
        interrupt or an exit is raised if the main thread has set the trait.
        """
        own = isinstance(handler, t.EventHandler)  # an observer of a class, by @observe
        super().observe(handler if own else Guarded(handler, self._observer_failed), names, type)

    def _observer_failed(self, error: BaseException, name: str) -> bool:
        if not isinstance(error, Exception) and threading.current_thread() is threading.main_thread():
            return True
        _LOG.error("an observer of %r failed", name, exc_info=error)
        return False

    def _send(self, msg: Any, buffers: Any = None) -> None:
        try:
            super()._send(msg, buffers)
        except Exception as error:
            _LOG.error("a message to the page could not be sent", exc_info=error)
