"""What the figures of this room share: an empty figure, and a matrix with numbers, labels and a legend.

matplotlib is imported on first use. Not for charts of trials (`isi_widget.report`, a floor above).
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget.readable import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of signed values, negative to positive, and of values from 0: both safe for colour-blind readers.
SIGNED, POSITIVE = "PuOr_r", "viridis"
#: Mark (gid) of texts that are as large as their boxes: they get larger and smaller with the figure only.
IN_BOX = "isi in box"
#: No value: hatched grey is drawn over it.
_MISSING = "#DDDDDD"
#: Cells up to which their numbers are written in them.
_WRITTEN = 200
#: Rows and columns up to which each has its name.
_NAMED = 24
#: Inches: least width of a figure with a title, most of a matrix, height of a line; characters in an inch.
_NARROWEST, _WIDEST, _HIGHEST, _LINE, _CHARACTERS = 4.5, 9.6, 7.5, 0.17, 13


def new_figure(size: tuple[float, float], title: str = "") -> Figure:
    """Return an empty figure, which pyplot does not keep open.

    Parameters
    ----------
    size
        Width and height in inches; both grow where the title needs it.
    title
        Title over all axes, broken into lines; "" for none.
    """
    import matplotlib.pyplot as plt

    wide = max(size[0], _NARROWEST) if title else size[0]
    lines = textwrap.wrap(title.replace("$", r"\$"), int(wide * _CHARACTERS))
    figure = plt.figure(figsize=(wide, size[1] + _LINE * max(0, len(lines) - 1)), layout="constrained")
    plt.close(figure)  # else a notebook shows it twice
    if lines:
        figure.suptitle("\n".join(lines), fontsize=9)
    return figure


def cells(rows: int, columns: int) -> tuple[float, float]:
    """Return the width and height in inches of a matrix: cells get smaller where there are many."""
    return min(0.5 * columns, _WIDEST), min(max(0.34 * rows, 0.7), _HIGHEST)


def add_legend(figure: Any, shown: Any, axis: Axes, label: str = "") -> None:
    """Add the legend of colours beside an axis, narrow in a large figure, too."""
    high = figure.get_size_inches()[1]
    bar = figure.colorbar(shown, ax=axis, aspect=max(20.0, 6 * high))
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def plain(text: str, longest: int = 40) -> str:
    """Return text for a figure: shortened, and a dollar sign does not start a formula."""
    return shortened(text, longest).replace("$", r"\$")


def number(value: float, digits: int = 2) -> str:
    """Return a number for a cell; "-" for NaN, and no minus sign before zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}" if np.isfinite(value) else "-"


def draw_matrix(
    axis: Axes,
    values: npt.NDArray[np.floating[Any]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    signed: bool,
    full: float | None = None,
    label: str = "",
    texts: Sequence[Sequence[str]] | None = None,
) -> None:
    """Draw a matrix with its legend.

    Parameters
    ----------
    values
        [rows, columns]; NaN: no value, drawn in grey.
    signed
        Whether colours diverge from 0; else they begin at 0.
    full
        Value with full colour; default: the largest absolute one.
    label
        Title of the legend.
    texts
        Texts of the cells, where there are few; default: the numbers.
    """
    from matplotlib import colormaps

    known = np.abs(values[np.isfinite(values)])
    end = full if full is not None else float(known.max(initial=0.0)) or 1.0
    colors = colormaps[SIGNED if signed else POSITIVE].with_extremes(bad=_MISSING)
    shown = axis.imshow(
        np.ma.masked_invalid(values), cmap=colors, vmin=-end if signed else 0.0, vmax=end, aspect="auto"
    )
    for at, names in ((axis.xaxis, columns), (axis.yaxis, rows)):
        places = range(0, len(names), -(-len(names) // _NAMED))
        at.set_ticks(places, [plain(names[place], 24) for place in places], fontsize=8)
    if any(len(name) > 8 for name in columns):
        for tick in axis.get_xticklabels():
            tick.set(rotation=30, ha="right", rotation_mode="anchor")
    if values.size <= _WRITTEN and max(values.shape) <= _NAMED:
        _write(axis, values, texts, end, signed)
    add_legend(axis.figure, shown, axis, label)


def _write(
    axis: Axes,
    values: npt.NDArray[np.floating[Any]],
    texts: Sequence[Sequence[str]] | None,
    end: float,
    signed: bool,
) -> None:
    digits = max(2, min(5, 1 - math.floor(math.log10(end))))  # two of the largest value
    for (row, column), value in np.ndenumerate(values):
        text = number(float(value), digits) if texts is None else plain(texts[row][column], 12)
        # Both ends of the diverging colours are dark, as is the low end of viridis.
        share = min(abs(value) / end, 1.0) if np.isfinite(value) else 0.5
        dark = share > 0.65 if signed else share < 0.5 and bool(np.isfinite(value))
        axis.text(column, row, text, ha="center", va="center", fontsize=7, color="w" if dark else "k")
