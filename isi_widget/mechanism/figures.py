"""What the figures of this room share: an empty figure, and a matrix with numbers, labels and a legend.

matplotlib is imported on first use. Not for charts of trials (`isi_widget.report`, a floor above).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of signed values, negative to positive, and of values from 0: both safe for colour-blind readers.
SIGNED, POSITIVE = "PuOr_r", "viridis"
#: No value: hatched grey is drawn over it.
_MISSING = "#DDDDDD"
#: Cells up to which their numbers are written in them.
_WRITTEN = 200


def new_figure(size: tuple[float, float]) -> Figure:
    """Return an empty figure of a size in inches, which pyplot does not keep open."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=size, layout="constrained")
    plt.close(figure)  # else a notebook shows it twice
    return figure


def plain(text: str, longest: int = 40) -> str:
    """Return text for a figure: shortened, and a dollar sign does not start a formula."""
    short = text if len(text) <= longest else text[: longest - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return short.replace("$", r"\$")


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
        Texts of the cells; default: the numbers, where there are few cells.
    """
    from matplotlib import colormaps

    known = np.abs(values[np.isfinite(values)])
    end = full if full is not None else float(known.max(initial=0.0)) or 1.0
    colors = colormaps[SIGNED if signed else POSITIVE].with_extremes(bad=_MISSING)
    shown = axis.imshow(
        np.ma.masked_invalid(values), cmap=colors, vmin=-end if signed else 0.0, vmax=end, aspect="auto"
    )
    axis.set_xticks(range(len(columns)), [plain(name, 24) for name in columns], fontsize=8)
    if any(len(name) > 8 for name in columns):
        axis.tick_params(axis="x", rotation=30)
    axis.set_yticks(range(len(rows)), [plain(name, 24) for name in rows], fontsize=8)
    if texts is not None or values.size <= _WRITTEN:
        _write(axis, values, texts, end, signed)
    bar = axis.figure.colorbar(shown, ax=axis, label=label)
    bar.ax.tick_params(labelsize=7)


def _write(
    axis: Axes,
    values: npt.NDArray[np.floating[Any]],
    texts: Sequence[Sequence[str]] | None,
    end: float,
    signed: bool,
) -> None:
    for (row, column), value in np.ndenumerate(values):
        text = number(float(value)) if texts is None else plain(texts[row][column], 12)
        # Both ends of the diverging colours are dark, as is the low end of viridis.
        share = min(abs(value) / end, 1.0) if np.isfinite(value) else 0.5
        dark = share > 0.65 if signed else share < 0.5 and bool(np.isfinite(value))
        axis.text(column, row, text, ha="center", va="center", fontsize=7, color="w" if dark else "k")
