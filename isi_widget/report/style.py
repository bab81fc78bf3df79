"""Colours of what is drawn: one place for the widget, the static page, the plots and the PDF.

Not for names, units and definitions of the measures (`isi_widget.trial.measures`).
"""

from __future__ import annotations

from isi_widget.segments import COLORS as SEGMENT_COLORS
from isi_widget.segments import GROUPS as SEGMENTS
from isi_widget.segments import INPUTS, STACKED

__all__ = ["INPUTS", "NEUTRAL", "SEGMENTS", "SEGMENT_COLORS", "STACKED"]

#: Bars that belong to no segment.
NEUTRAL = "#7A7A7A"
