"""The cells of a tutorial, run in an IPython shell of this process: tests look at its variables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

FOLDER = Path(__file__).parents[1] / "notebooks"


def variables_of(name: str) -> dict[str, Any]:
    """Return the variables after all cells of a notebook; raises what a cell raises.

    The result of each cell is formatted for every kind of display, as a kernel does for the page.
    """
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    for cell in json.loads((FOLDER / name).read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            found = shell.run_cell("".join(cell["source"]))
            found.raise_error()
            if found.result is not None:
                formats, _ = shell.display_formatter.format(found.result)
                assert "text/plain" in formats or hasattr(found.result, "_ipython_display_")
    return dict(shell.user_ns)
