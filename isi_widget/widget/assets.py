"""Where the built front end lies (`isi_widget/static/`, built from `js/`), and what to do when it does
not.
"""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"


def asset(name: str) -> Path:
    """The path of a built file of the front end.

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
