"""Where the built front end lies (`isi_widget/static/`, built from `js/`), and what to do when it does
not.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"


def asset(name: str) -> Path:
    """Return the path of a built file of the front end.

    Raises
    ------
    FileNotFoundError : it has not been built, which happens in a source checkout only.
    """
    path = STATIC / name
    if not path.is_file():
        raise FileNotFoundError(
            f"The front end of the probe is not built: {path} is missing. In a source checkout run "
            "`npm ci && npm run build` (Node 20 or newer); an installed isi-widget has it: reinstall."
        )
    return path


@cache
def source(name: str) -> str:
    """Return the text of a built file of the front end. `FileNotFoundError`: as for `asset`.

    Given to anywidget as text: of a path it watches the file, and the watcher keeps every widget alive.
    """
    return asset(name).read_text(encoding="utf-8")
