"""The display of a cell that waits for a study: an HTML page that is replaced a few times a second.

It needs no widget and no answer from the page, so it works in every notebook and in converted ones. Not for
the interactive view (`isi_widget.widget`).
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from isi_widget.readable import counted
from isi_widget.study.live.page import run_html

if TYPE_CHECKING:
    from isi_widget.study.live.run import Run

#: Seconds between two looks at the run, and after which the page is replaced though nothing is new.
_PAUSE, _LONGEST = 0.25, 1.0


def in_notebook() -> bool:
    """Return whether this code runs in a kernel that shows displays."""
    ipython = sys.modules.get("IPython")  # not imported: no notebook
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def attend(run: Run) -> None:
    """Show the progress of a started run until it is over.

    An interrupt cancels the run: this waits until the current token is done, so that no row is half stored.
    A second interrupt is raised at once.
    """
    handle = _show(run)
    shown, at = run.version, time.monotonic()
    try:
        while not run.wait(_PAUSE):
            if run.version != shown or time.monotonic() - at >= _LONGEST:
                shown, at = run.version, time.monotonic()
                _update(handle, run)
    except KeyboardInterrupt:
        run.cancel()
        _update(handle, run)
        run.wait()
    finally:
        _update(handle, run)


def _show(run: Run) -> Any:
    from IPython.display import display

    return display(_bundle(run), raw=True, display_id=True)  # type: ignore[no-untyped-call]


def _update(handle: Any, run: Run) -> None:
    handle.update(_bundle(run), raw=True)


def _bundle(run: Run) -> dict[str, str]:
    progress = run.progress()
    about, total = run.about + ": " if run.about else "", counted(progress.total, "row")
    line = f"{about}{progress.done} of {total}, {progress.state}"
    return {"text/html": run_html(run), "text/plain": line}
