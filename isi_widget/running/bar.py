"""Progress of a long measurement as one line with the time left, in a notebook or a terminal.

    @with_bar
    def measure(vlm, data, *, progress: Shown = True, cancel: Cancel | None = None): ...

`progress=True` shows the line once the measurement takes longer than a second, and removes it at the end;
False shows nothing; a function is called as progress(stage, done, total). In a script whose errors go into a
file nothing is shown. Not for the stages of a trial (`stages`), nor for studies, which have a page of their
own (`isi_widget.study.live`).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

from isi_widget.errors import InputError
from isi_widget.running.stages import Progress

#: What the argument `progress` of a long measurement may be.
Shown: TypeAlias = "Progress | bool | None"

#: Seconds after which a line appears: what is over before needs none.
_DELAY = 1.0
_FORMAT = "{desc}: {percentage:3.0f}% |{bar:24}| {n_fmt} of {total_fmt}, {elapsed} so far, {remaining} left"
_F = TypeVar("_F", bound=Callable[..., Any])


def with_bar(function: _F) -> _F:
    """Decorate a measurement with the keywords `progress` and `cancel`: it gets a function or None as
    `progress`; the line of progress=True (its default) is removed when it ends, also by an error.

    The decorated function raises `InputError` if one of the two is neither a function nor a usual value.
    """

    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        progress, cancel = named.get("progress", True), named.get("cancel")
        if not (progress is None or isinstance(progress, bool) or callable(progress)):
            raise InputError(
                f"{function.__name__}: progress must be True (a line with the time left), False, or a "
                f"function that is called with (stage, done, total); got {progress!r:.60}."
            )
        if cancel is not None and not callable(cancel):
            raise InputError(
                f"{function.__name__}: cancel must be a function without arguments that returns True to "
                f"stop; got {cancel!r:.60}."
            )
        if progress is not True:
            return function(*arguments, **{**named, "progress": progress or None})
        place = _place()
        if place is None:
            return function(*arguments, **{**named, "progress": None})
        bar = Bar(place)
        try:
            return function(*arguments, **{**named, "progress": bar})
        finally:
            bar.close()

    return cast(_F, run)


def called(progress: Shown) -> Progress | None:
    """Return what a function decorated by `with_bar` was given, as the function that it is."""
    return progress if callable(progress) else None


class Bar:
    """A progress function that shows a line; each stage has its own, one after the other.

    Parameters
    ----------
    place
        Where the line is written: a text file, such as sys.stderr.
    """

    def __init__(self, place: Any) -> None:
        self._place, self._stage, self._line = place, ("", 0), None  # type: Any, tuple[str, int], Any

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show the progress of a stage."""
        if self._stage != (stage, total):
            self.close()
            self._stage = stage, total
            self._line = _line(stage, total, self._place)
        if self._line is not None:
            self._line.update(done - self._line.n)

    def close(self) -> None:
        """Remove the line."""
        if self._line is not None:
            self._line.close()
        self._line = None


def _line(stage: str, total: int, place: Any) -> Any:
    from tqdm.std import tqdm

    class Line(tqdm):  # type: ignore[type-arg]
        monitor_interval = 0  # no thread that writes now and then

    return Line(total=total, desc=stage, file=place, delay=_DELAY, leave=False, bar_format=_FORMAT)


def _place() -> Any:
    """Return where a line can be shown: the cell of a notebook, a terminal; None for nowhere."""
    ipython = sys.modules.get("IPython")  # not imported: no notebook
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is not None:
        return _Cell()
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return sys.stderr if terminal else None


class _Cell:
    """The display of a notebook's cell as a file of one line, which each writing replaces.

    It is plain text: it needs no widget, and a saved notebook does not show it.
    """

    encoding = "utf-8"

    def __init__(self) -> None:
        self._handle: Any = None

    def write(self, text: str) -> None:
        """Show a line; an empty one removes it."""
        line = text.strip()
        shown = {"text/plain": line} if line else {"text/plain": "", "text/html": ""}
        if self._handle is not None:
            self._handle.update(shown, raw=True)
        elif line:
            from IPython.display import display

            self._handle = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def flush(self) -> None:
        """Nothing waits to be written."""
