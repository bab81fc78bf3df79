"""The widgets: `Probe`, whose every click has a Python twin and which runs without a page as well,
`StudyView`, which shows a study while it runs and after, and `AttentionPlayer`, which plays an attention map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isi_widget.widget.player import AttentionPlayer
    from isi_widget.widget.probe import Probe
    from isi_widget.widget.study import StudyView

__all__ = ["AttentionPlayer", "Probe", "StudyView"]


def __getattr__(name: str) -> Any:
    """Import the widgets on first use: the rest of this folder works without torch."""
    if name == "AttentionPlayer":
        from isi_widget.widget.player import AttentionPlayer

        return AttentionPlayer
    if name == "Probe":
        from isi_widget.widget.probe import Probe

        return Probe
    if name == "StudyView":
        from isi_widget.widget.study import StudyView

        return StudyView
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
