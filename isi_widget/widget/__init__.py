"""The widgets: `Probe`, whose every click has a Python twin and which runs without a page as well, and
`AttentionPlayer`, which plays an attention map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isi_widget.widget.player import AttentionPlayer
    from isi_widget.widget.probe import Probe

__all__ = ["AttentionPlayer", "Probe"]


def __getattr__(name: str) -> Any:
    """Import the widgets on first use: the rest of this folder works without torch."""
    if name == "AttentionPlayer":
        from isi_widget.widget.player import AttentionPlayer

        return AttentionPlayer
    if name == "Probe":
        from isi_widget.widget.probe import Probe

        return Probe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
