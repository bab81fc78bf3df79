"""Floor 5: trials as pictures, pages, rows and code. Not for measuring anything (see `isi_widget.trial`).

The package can be called: `isi.report(trials, path=None, title=None)` makes the PDF (`pdf.report`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isi_widget.report.pdf.document import Trials


class _Report(ModuleType):
    """Python binds a package's name to its parent, so `isi.report` is this package: it passes the call on."""

    def __call__(
        self, trials: Trials, path: str | Path | None = None, *, title: str | None = None
    ) -> bytes | Path:
        """See `isi_widget.report.pdf.report`."""
        from isi_widget.report.pdf import report

        return report(trials, path, title=title)


sys.modules[__name__].__class__ = _Report
