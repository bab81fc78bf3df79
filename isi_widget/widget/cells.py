"""Probes, and views of studies, that a notebook no longer shows: a cell that is run again replaces its
outputs.

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
from typing import Any, Protocol

from IPython import get_ipython
from IPython.core.displaypub import CapturingDisplayPublisher
from ipywidgets import Output
from ipywidgets.widgets.widget import _instances


class Shown(Protocol):
    """A widget that is freed once no cell shows it.

    Attributes
    ----------
    parts : further widgets that are freed with it, such as its children.
    worked_with : whether somebody has worked with it on its page.
    """

    comm: Any
    parts: tuple[Any, ...]
    worked_with: bool

    def _rest(self) -> None: ...

    def _handle_msg(self, message: Any) -> None: ...


#: Names by which IPython keeps results: `_`, `__`, `___`, `_12`.
_CACHES = re.compile(r"_{1,3}|_\d+")
#: In the place of a cell: shown where no cell that is run again takes it away.
_ELSEWHERE = ""
#: Cells that show each probe, and the execution in which each did so last.
_cells: weakref.WeakKeyDictionary[Shown, dict[str, str]] = weakref.WeakKeyDictionary()
#: Those that something else was found to hold, since a probe was displayed last.
_held: weakref.WeakSet[Shown] = weakref.WeakSet()
_listening: weakref.WeakSet[Any] = weakref.WeakSet()  # shells


def displayed(probe: Shown) -> None:
    """Remember in which cell a probe or view is displayed, if in any."""
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


def is_run_again(probe: Shown) -> bool:
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
    for reference, numbers, give_back in taken:
        probe = reference()
        if probe is not None and probe.comm is not None:
            _instances.update(zip(numbers, (probe, *probe.parts), strict=True))
            give_back(probe)
            _held.add(probe)


def _unused(shell: Any) -> list[Shown]:
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


def _is_named(probe: Shown, shell: Any) -> bool:
    """Return whether a variable of the notebook names the probe, or `Out` one that somebody worked with."""
    names = [name for name, value in list(shell.user_ns.items()) if value is probe]
    if not all(_CACHES.fullmatch(name) for name in names):
        return True
    return probe.worked_with and any(value is probe for value in shell.user_ns.get("_oh", {}).values())


def _let_go(probe: Shown, shell: Any) -> tuple[weakref.ref[Shown], list[str], Callable[[Shown], None]]:
    """Take the probe out of what holds every widget and every result; return how to put it back."""
    probe._rest()
    numbers = []
    for widget in (probe, *probe.parts):
        numbers.append(widget.comm.comm_id)
        widget.comm.on_msg(_weakly(widget._handle_msg))  # ipywidgets' own callback holds the widget
        _instances.pop(numbers[-1], None)
    return weakref.ref(probe), numbers, _forget(probe, shell)


def _weakly(handle: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a callback that calls a bound method without holding its object."""
    handler = weakref.WeakMethod(handle)

    def receive(message: Any) -> None:
        if (found := handler()) is not None:
            found(message)

    return receive


def _forget(probe: Shown, shell: Any) -> Callable[[Shown], None]:
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

    def give_back(probe: Shown) -> None:
        results.update(dict.fromkeys(numbers, probe))
        for names, name in places:
            names[name] = probe
        for name in last:
            setattr(shell.displayhook, name, probe)

    return give_back
