"""Floor 5: trials as pictures, pages, rows and code. Not for measuring anything (see `isi_widget.trial`).

The package can be called: `isi.report(trials, path=None, title=None)` makes a PDF or an HTML file
(`making.report`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from isi_widget.report.making import Trials


class _Report(ModuleType):
    """Python binds a package's name to its parent, so `isi.report` is this package: it passes the call on."""

    def __call__(
        self,
        trials: Trials,
        path: str | Path | None = None,
        *,
        title: str | None = None,
        notes: Mapping[int, str] | None = None,
        numbers: Sequence[int] | None = None,
        format: Literal["pdf", "html"] | None = None,
    ) -> bytes | Path:
        """See `isi_widget.report.making.report`."""
        from isi_widget.report.making import report

        return report(trials, path, title=title, notes=notes, numbers=numbers, format=format)


sys.modules[__name__].__class__ = _Report
