"""The probe: `Probe`, the interactive widget. Everything in it has a Python twin, and runs without a page as
well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isi_widget.widget.probe import Probe

__all__ = ["Probe"]


def __getattr__(name: str) -> Any:
    """`Probe`, imported when it is asked for: the rest of this folder works without torch."""
    if name == "Probe":
        from isi_widget.widget.probe import Probe

        return Probe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
