"""Small static charts as HTML tables with one inline SVG bar per row: numbers stay readable where SVG is
not shown.

No script, no style sheet, no outside address; text and lines take the page's own colour, so that light and
dark themes both work. All text is escaped here. Not for whole results (see `html.py`) nor for print (see
`charts.py`).
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from isi_widget.report.style import NEUTRAL

_WIDTH, _HEIGHT = 180, 12
# JupyterLab stripes, centres and right-aligns tables and keeps their cells on one line; these undo it.
TABLE = "border-collapse:collapse;border:none;margin:2px 0 10px 0;font-size:inherit;color:inherit"
_ROW = "background:none;border:none"
_CELL = "padding:1px 10px 1px 0;border:none;background:none;vertical-align:middle;white-space:normal"
_HEAD = _CELL + ";text-align:start;font-weight:400;max-width:16em"
HEADING = "font-weight:600;margin:6px 0 2px 0"
QUIET = "opacity:.75;font-size:.9em"
#: Classes that keep MathJax (3 and 2) from taking dollar signs in questions and answers for formulas.
NO_FORMULAS = "mathjax_ignore tex2jax_ignore"


@dataclass(frozen=True)
class Bar:
    """One row: label, value (None: not available) and its text, colour, interval, a sentence for hovering,
    own scale.
    """

    label: str
    value: float | None
    text: str
    color: str = NEUTRAL
    low: float | None = None
    high: float | None = None
    note: str = ""
    maximum: float | None = None


def escape(text: object) -> str:
    """Return text made safe for HTML, also inside attributes."""
    return html.escape(str(text), quote=True)


def number(value: float) -> str:
    """Return a coordinate: at most two decimals, so that equal charts are equal text."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def bar(
    value: float | None, maximum: float, color: str, low: float | None = None, high: float | None = None
) -> str:
    """Return one bar as an SVG: track, bar from 0 to `value`, the interval as a whisker; what is beyond
    `maximum` is cut off there, and an arrow says so.
    """
    scale = (_WIDTH - 2) / maximum if maximum > 0 else 0.0

    def x(amount: float) -> float:
        return 1 + scale * min(max(amount, 0.0), maximum)

    parts = [_box(1, _WIDTH - 2, "currentColor", ' opacity="0.08"')]
    if value is not None and math.isfinite(value):
        parts.append(_box(1, x(value) - 1, color))
        if max(value, high or value) > maximum:
            tip = f"M{_WIDTH - 7} 1L{_WIDTH - 1} {number(_HEIGHT / 2)}L{_WIDTH - 7} {_HEIGHT - 1}z"
            parts.append(f'<path d="{tip}" fill="currentColor"/>')
    if low is not None and high is not None:
        left, right, middle = number(x(low)), number(x(high)), _HEIGHT / 2
        parts.append(
            f'<path d="M{left} 2V{_HEIGHT - 2}M{left} {number(middle)}H{right}M{right} 2V{_HEIGHT - 2}" '
            'stroke="currentColor" stroke-width="1.5" fill="none"/>'
        )
    return _svg(parts)


def stack(shares: Sequence[tuple[float, str]]) -> str:
    """Draw shares with a sum of at most 1 side by side in one bar, as an SVG."""
    parts, start = [], 1.0
    for share, color in shares:
        width = (_WIDTH - 2) * max(share, 0.0)
        parts.append(_box(start, width, color))
        start += width
    return _svg(parts)


def _box(x: float, width: float, color: str, more: str = "") -> str:
    place = f'x="{number(x)}" y="1" width="{number(width)}" height="{_HEIGHT - 2}"'
    return f'<rect {place} fill="{escape(color)}"{more}/>'


def _svg(parts: Sequence[str]) -> str:
    # No page may shrink it to its column, as JupyterLab does: the same number is the same length in each.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true" '
        f'style="display:block;max-width:none">{"".join(parts)}</svg>'
    )


def bar_table(bars: Sequence[Bar], maximum: float | None = None) -> str:
    """Return rows of label, bar and value, scaled to their own maximum, else `maximum`, else the largest
    value.
    """
    ends = [end for row in bars for end in (row.value, row.high) if end is not None and math.isfinite(end)]
    scale = maximum if maximum is not None else max(ends, default=1.0)
    rows = []
    for row in bars:
        note = f' title="{escape(row.note)}"' if row.note else ""
        rows.append(
            f'<tr style="{_ROW}"{note}>'
            f'<th scope="row" dir="auto" style="{_HEAD}">{escape(row.label)}</th><td style="{_CELL}">'
            f"{bar(row.value, row.maximum or scale, row.color, row.low, row.high)}</td>"
            f'<td style="{_CELL};text-align:left;white-space:nowrap">{escape(row.text)}</td></tr>'
        )
    return f'<table style="{TABLE}"><tbody>{"".join(rows)}</tbody></table>'
