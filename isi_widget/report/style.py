"""Colours of what is drawn: one place for the widget, the static page, the plots and the PDF.

Not for names, units and definitions of the measures (`isi_widget.trial.terms`).
"""

from __future__ import annotations

#: One colour per segment everywhere, safe for colour-blind readers (Okabe & Ito, 2008).
SEGMENT_COLORS = {
    "image": "#0072B2",
    "context": "#D55E00",
    "question": "#009E73",
    "system": "#CC79A7",
    "history": "#E69F00",
    "other": "#999999",
}
INPUTS = ("image", "context", "question")
SEGMENTS = (*INPUTS, "other")
#: The order in which shares are stacked; most models have no system prompt and no earlier turns.
STACKED = tuple(SEGMENT_COLORS)
#: Bars that belong to no segment.
NEUTRAL = "#7A7A7A"
