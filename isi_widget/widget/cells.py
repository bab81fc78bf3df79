"""Probes that a notebook no longer shows: a cell that is run again replaces its outputs.

ipywidgets keeps every widget alive until it is closed, and IPython keeps every result in `Out`. So a cell
that makes a probe would keep one more probe, with its pictures and trials, each time it is run. `ran` frees a
probe once every cell that showed it was run again and nothing but ipywidgets and IPython holds it: no
variable, list, attribute, function, thread or other widget. A result in `Out` counts, too, once somebody has
worked with the probe on its page: drawings and trials stay within reach.

Needs the identifiers of cells, which JupyterLab, Notebook 7 and VS Code send; elsewhere nothing is freed.
"""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython import get_ipython
from IPython.core.displaypub import CapturingDisplayPublisher
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
#: Those that something else was found to hold, since a probe was displayed last.
_held: weakref.WeakSet[Probe] = weakref.WeakSet()
_listening: weakref.WeakSet[Any] = weakref.WeakSet()  # shells


def displayed(probe: Probe) -> None:
    """Remember in which cell a probe is displayed, if in any."""
    shell = get_ipython()
    if shell is None:
        return
    execution, cell = _execution(shell)
    captured = any(isinstance(other, Output) and other.msg_id == execution for other in _instances.values())
    captured = captured or isinstance(getattr(shell, "display_pub", None), CapturingDisplayPublisher)
    _cells.setdefault(probe, {})[_ELSEWHERE if captured or not cell else cell] = execution
    _held.clear()
    if shell not in _listening:
        _listening.add(shell)
        shell.events.register("post_run_cell", ran)


def is_run_again(probe: Probe) -> bool:
    """Return whether the cell that runs now is the only one that shows a probe: it replaces its output."""
    shell = get_ipython()
    if shell is None:
        return False
    _, cell = _execution(shell)
    return bool(cell) and set(_cells.get(probe, {})) == {cell}


def ran(result: Any = None) -> None:
    """Free the probes that are shown nowhere any more and that nothing else holds, after a cell was run."""
    shell = get_ipython()
    if shell is None:
        return
    unused = _unused(shell)
    if not unused:
        return
    taken = [_let_go(probe, shell) for probe in unused]
    del unused
    gc.collect()  # it closes what is freed: see `ipywidgets.Widget.__del__`
    for reference, number, give_back in taken:
        probe = reference()
        if probe is not None and probe.comm is not None:
            _instances[number] = probe
            give_back(probe)
            _held.add(probe)


def _unused(shell: Any) -> list[Probe]:
    """Return the open probes that are no longer shown and that no variable names."""
    execution, cell = _execution(shell)
    found = []
    for probe, cells in list(_cells.items()):
        if cell and cells.get(cell, execution) != execution:
            del cells[cell]
        if not cells and probe.comm is not None and probe not in _held and not _is_named(probe, shell):
            found.append(probe)
    return found


def _execution(shell: Any) -> tuple[str, str]:
    """Return the identifiers of the present execution and of its cell; "" where there is none."""
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    header = (parent or {}).get("header") or {}
    if header.get("msg_type") != "execute_request":
        return "", ""
    return str(header.get("msg_id", "")), str((parent.get("metadata") or {}).get("cellId") or "")


def _is_named(probe: Probe, shell: Any) -> bool:
    """Return whether a variable of the notebook names the probe, or `Out` one that somebody worked with."""
    names = [name for name, value in list(shell.user_ns.items()) if value is probe]
    if not all(_CACHES.fullmatch(name) for name in names):
        return True
    return probe.worked_with and any(value is probe for value in shell.user_ns.get("_oh", {}).values())


def _let_go(probe: Probe, shell: Any) -> tuple[weakref.ref[Probe], str, Callable[[Probe], None]]:
    """Take the probe out of what holds every widget and every result; return how to put it back."""
    handler = weakref.WeakMethod(probe._handle_msg)

    def receive(message: Any) -> None:
        if (handle := handler()) is not None:
            handle(message)

    probe._rest()
    number = probe.comm.comm_id
    probe.comm.on_msg(receive)  # ipywidgets' own callback holds the widget
    _instances.pop(number, None)
    return weakref.ref(probe), number, _forget(probe, shell)


def _forget(probe: Probe, shell: Any) -> Callable[[Probe], None]:
    """Take the probe out of IPython's caches of results, as `%xdel` does; return how to put it back."""
    results = shell.user_ns.get("_oh", {})
    numbers = [number for number, value in results.items() if value is probe]
    for number in numbers:
        del results[number]
    places = [
        (names, name)
        for names in (shell.user_ns, shell.user_ns_hidden)
        for name in [name for name, value in names.items() if value is probe]
    ]
    for names, name in places:
        if name.strip("_"):
            del names[name]
        else:
            names[name] = None
    last = [name for name in ("_", "__", "___") if getattr(shell.displayhook, name, None) is probe]
    for name in last:
        setattr(shell.displayhook, name, None)

    def give_back(probe: Probe) -> None:
        results.update(dict.fromkeys(numbers, probe))
        for names, name in places:
            names[name] = probe
        for name in last:
            setattr(shell.displayhook, name, probe)

    return give_back
