"""Colours of what is drawn: one place for the widget, the static page, the plots and the PDF.

Not for names, units and definitions of the measures (`isi_widget.trial.measures`).
"""

from __future__ import annotations

from isi_widget.segments import COLORS as SEGMENT_COLORS
from isi_widget.segments import GROUPS as SEGMENTS
from isi_widget.segments import INPUTS, STACKED

__all__ = ["INPUTS", "NEUTRAL", "SEGMENTS", "SEGMENT_COLORS", "SERIES", "STACKED"]

#: Bars that belong to no segment.
NEUTRAL = "#7A7A7A"
#: Several series in one plot: colour (Okabe & Ito, 2008), marker and dashes, each different.
SERIES = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#E69F00", "v", (0, (5, 1))),
    ("#56B4E9", "P", (0, (3, 1, 1, 1))),
    ("#000000", "X", (0, (1, 1))),
)
