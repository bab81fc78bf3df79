"""Which of the kernel's shells takes the messages of a page: the one thing here that depends on ipykernel's
insides.
"""

from __future__ import annotations

from typing import Any


def take_any_shell(comm: Any) -> None:
    """Let the page's messages be taken by the shell that the page chose, so that they need not wait for a
    cell.

    JupyterLab (4.4 and newer) sends comm messages to a sub-shell, a thread beside the one of the cells.
    ipykernel 7.4 sends them back to the shell that last wrote to the comm, which is the one of the cells: a
    click on Cancel would wait for the very `probe.run()` that it is to stop. The probe's handlers are safe on
    any thread. Elsewhere (older kernels, VS Code, Colab) nothing changes: there messages wait for the cell to
    end.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default
