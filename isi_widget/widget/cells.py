"""Probes that a notebook no longer shows: a cell that is run again replaces its outputs.

ipywidgets keeps every widget alive until it is closed, and IPython keeps every result in `Out`. So a cell
that makes a probe would keep one more probe, with its pictures and trials, each time it is run. `ran` closes
a probe once every cell that showed it was run again and no variable of the notebook names it. Nothing is lost
by that: a closed probe works on in Python, and displaying it opens it again.

Needs the identifiers of cells, which JupyterLab, Notebook 7 and VS Code send; elsewhere nothing is closed.
"""

from __future__ import annotations

import gc
import re
import weakref
from typing import TYPE_CHECKING, Any

from IPython import get_ipython
from ipywidgets import Output
from ipywidgets.widgets.widget import _instances

if TYPE_CHECKING:
    from isi_widget.widget.probe import Probe

#: Names by which IPython keeps results: `_`, `__`, `___`, `_12`.
_CACHES = re.compile(r"_{1,3}|_\d+")
#: In the place of a cell: shown where no cell that is run again takes it away.
_ELSEWHERE = ""
#: Cells that show each probe, and the execution in which each did so last.
_cells: weakref.WeakKeyDictionary[Probe, dict[str, str]] = weakref.WeakKeyDictionary()
_listening: weakref.WeakSet[Any] = weakref.WeakSet()  # shells


def displayed(probe: Probe) -> None:
    """Remember in which cell a probe is displayed, if in any."""
    shell = get_ipython()
    if shell is None:
        return
    execution, cell = _execution(shell)
    captured = any(isinstance(other, Output) and other.msg_id == execution for other in _instances.values())
    _cells.setdefault(probe, {})[_ELSEWHERE if captured or not cell else cell] = execution
    if shell not in _listening:
        _listening.add(shell)
        shell.events.register("post_run_cell", ran)


def ran(result: Any = None) -> None:
    """Close the probes that are shown nowhere any more, now that a cell has been run."""
    shell = get_ipython()
    if shell is None:
        return
    unused = _unused(shell)
    for probe in unused:
        _forget(probe, shell)
        probe.close()
    if unused:
        del probe, unused
        gc.collect()  # a few objects with large pictures: Python itself would wait for many objects


def _unused(shell: Any) -> list[Probe]:
    """Return the open probes that are no longer shown and that no variable names."""
    execution, cell = _execution(shell)
    found = []
    for probe, cells in list(_cells.items()):
        if cell and cells.get(cell, execution) != execution:
            del cells[cell]
        if not cells and probe.comm is not None and not _is_used(probe, shell):
            found.append(probe)
    return found


def _execution(shell: Any) -> tuple[str, str]:
    """Return the identifiers of the present execution and of its cell; "" where there is none."""
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    header = (parent or {}).get("header") or {}
    if header.get("msg_type") != "execute_request":
        return "", ""
    return str(header.get("msg_id", "")), str((parent.get("metadata") or {}).get("cellId") or "")


def _is_used(probe: Probe, shell: Any) -> bool:
    """Return whether a variable of the notebook names the probe, or another widget contains it."""
    names = (name for name, value in list(shell.user_ns.items()) if value is probe)
    if not all(_CACHES.fullmatch(name) for name in names):
        return True
    others = list(_instances.values())
    return any(child is probe for other in others for child in getattr(other, "children", ()))


def _forget(probe: Probe, shell: Any) -> None:
    """Take the probe out of IPython's caches of results, as `%xdel` does, but leave the user's own alone."""
    results = shell.user_ns.get("_oh", {})
    for number in [number for number, value in results.items() if value is probe]:
        del results[number]
    for names in (shell.user_ns, shell.user_ns_hidden):
        for name in [name for name, value in names.items() if value is probe]:
            if name.strip("_"):
                del names[name]
            else:
                names[name] = None
    for name in ("_", "__", "___"):
        if getattr(shell.displayhook, name, None) is probe:
            setattr(shell.displayhook, name, None)
