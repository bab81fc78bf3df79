"""Small charts of the PDF report, drawn as lines and boxes: bars with intervals, stacked shares, tokens.

They compute nothing: every number comes from `Trial.view`. Not for matplotlib's figures (see `charts`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from isi_widget.report.pdf.sheet import INK, LABEL, MARGIN, SMALL, Sheet, Style, rgb
from isi_widget.report.style import NEUTRAL, SEGMENT_COLORS, STACKED

_TRACK, _PALE = "#EDEDED", "#B4B4B4"
_TOKEN = Style(8.0, 11.0, mono=True)


def box(sheet: Sheet, x: float, y: float, width: float, height: float, color: str) -> None:
    """Draw a filled box."""
    if width > 0:
        sheet.set_fill_color(*rgb(color))
        sheet.rect(x, y, width, height, style="F")


def outline(sheet: Sheet, x: float, y: float, width: float, height: float, color: str) -> None:
    """Draw an empty box with its line inside."""
    if width > 1:
        sheet.set_draw_color(*rgb(color))
        sheet.set_line_width(0.8)
        sheet.rect(x + 0.4, y + 0.4, width - 0.8, height - 0.8, style="D")


def interval_bar(
    sheet: Sheet,
    x: float,
    y: float,
    width: float,
    value: float,
    maximum: float,
    low: float | None = None,
    high: float | None = None,
    color: str = _PALE,
    height: float = 7.0,
) -> None:
    """Draw a bar from 0 to `value` on a track that ends at `maximum`, with the interval as a whisker; an
    arrow at the end of what goes on beyond it.
    """

    def at(amount: float) -> float:
        return x + width * min(max(amount / maximum, 0.0), 1.0) if maximum > 0 else x

    box(sheet, x, y, width, height, _TRACK)
    box(sheet, x, y, at(value) - x, height, color)
    if max(value, high or value) > maximum:
        end, middle = x + width, y + height / 2
        sheet.set_fill_color(*rgb(INK))
        sheet.polygon([(end + 1, y), (end + 1 + height / 2, middle), (end + 1, y + height)], style="F")
    if low is not None and high is not None:
        sheet.set_draw_color(*rgb(INK))
        sheet.set_line_width(0.9)
        middle = y + height / 2
        sheet.line(at(low), middle, at(high), middle)
        for end in (at(low), at(high)):
            sheet.line(end, y + 1.2, end, y + height - 1.2)


def share_stack(
    sheet: Sheet, x: float, y: float, width: float, shares: Mapping[str, float | None], height: float = 7.0
) -> None:
    """Draw the shares of segments side by side."""
    box(sheet, x, y, width, height, _TRACK)
    start = x
    for name in STACKED:
        part = width * max(shares.get(name) or 0.0, 0.0)
        box(sheet, start, y, part, height, SEGMENT_COLORS[name])
        start += part


def layer_columns(
    sheet: Sheet,
    x: float,
    y: float,
    width: float,
    height: float,
    layers: Sequence[Mapping[str, float | None]],
) -> None:
    """Draw one column per layer, counted from 0, its shares stacked from the bottom; numbers below some."""
    step = width / len(layers)
    gap = min(2.0, step * 0.15)
    every = max(1, math.ceil(len(layers) * 14 / width))
    for index, shares in enumerate(layers):
        bottom = y + height
        for name in STACKED:
            part = height * max(shares.get(name) or 0.0, 0.0)
            box(sheet, x + index * step, bottom - part, step - gap, part, SEGMENT_COLORS[name])
            bottom -= part
        if index % every == 0:
            wide = sheet.width_of(str(index), SMALL)
            sheet.line_of(
                str(index), x + index * step + (step - gap - wide) / 2, y + height + 1, wide + 2, SMALL
            )


def curve(
    sheet: Sheet,
    x: float,
    y: float,
    width: float,
    height: float,
    points: Mapping[str, Sequence[float]],
    top: float,
) -> None:
    """Draw a mean over numbers of samples as a line in the band from `low` to `high`, on an axis from 0 to
    `top`.

    points : "samples", "mean", "low", "high", each of the same length of at least 2.
    """
    samples = points["samples"]

    def at(sample: float, value: float) -> tuple[float, float]:
        along = (sample - samples[0]) / (samples[-1] - samples[0])
        return x + width * along, y + height * (1 - min(value / top, 1.0))

    def line(name: str) -> list[tuple[float, float]]:
        return [at(*point) for point in zip(samples, points[name], strict=True)]

    sheet.set_fill_color(*rgb("#DDDDDD"))
    sheet.polygon([*line("high"), *reversed(line("low"))], style="F")
    sheet.set_draw_color(*rgb("#999999"))
    sheet.set_line_width(0.5)
    sheet.line(x, y + height, x + width, y + height)
    sheet.set_draw_color(*rgb(INK))
    sheet.set_line_width(1.0)
    sheet.polyline(line("mean"))
    for sample in (samples[0], samples[-1]):
        place = at(sample, 0.0)[0]
        sheet.line_of(str(sample), place - 10, y + height + 1, 20, SMALL, "C")
    sheet.line_of(f"{top:g}", x - 44, y - 4, 40, SMALL, "R")
    sheet.line_of("0", x - 44, y + height - 5, 40, SMALL, "R")


def legend(sheet: Sheet, x: float, y: float, names: Sequence[str]) -> None:
    """Write the names of segments, each after a box of its colour, in one line."""
    for name in names:
        box(sheet, x, y + 2, 7, 7, SEGMENT_COLORS[name])
        sheet.line_of(name, x + 10, y, 80, LABEL)
        x += 10 + sheet.width_of(name, LABEL) + 14


def tokens(
    sheet: Sheet,
    pieces: Sequence[tuple[str, float]],
    others: Sequence[Sequence[tuple[str, float]]] = (),
) -> None:
    """Draw tokens shaded by their probability, with the number below, on as many pages as needed.

    pieces : text and log-probability of each token, NaN if not reported. White space is made visible.
    others : the likeliest other tokens at each place, best first, whose first one stands below; or none.
    """
    x, right, row = MARGIN, sheet.w - MARGIN, 35.0 if any(others) else 25.0
    sheet.need(row)
    for (piece, logprob), other in zip(pieces, itertools.chain(others, itertools.repeat(())), strict=False):
        text = sheet.shortened(_visible(piece), 150.0, _TOKEN, 1)
        probability = math.exp(min(logprob, 0.0)) if not math.isnan(logprob) else 0.0
        number = "-" if math.isnan(logprob) else f"{probability:.3f}"
        below = ""
        if other:
            name = _visible(other[0][0]) if other[0][0] else "end"
            below = f"{sheet.shortened(name, 60.0, SMALL, 1)} {math.exp(other[0][1]):.3f}"
        width = max(
            sheet.width_of(text, _TOKEN) + 6, *(sheet.width_of(line, SMALL) + 6 for line in (number, below))
        )
        if x + width > right:
            x = MARGIN
            sheet.y += row
            sheet.need(row)
        box(sheet, x, sheet.y, width, 13, _mixed(0.08 + 0.42 * probability))
        sheet.line_of(text, x + 3, sheet.y + 1, width, _TOKEN)
        sheet.line_of(number, x + 3, sheet.y + 13.5, width, SMALL)
        sheet.line_of(below, x + 3, sheet.y + 23, width, SMALL)
        x += width + 3
    sheet.y += row


def _mixed(amount: float) -> str:
    """Return the neutral grey on white at this strength."""
    return "#" + "".join(f"{round(255 + (part - 255) * amount):02X}" for part in rgb(NEUTRAL))


def _visible(text: str) -> str:
    """Replace spaces and line ends by symbols, so that tokens of white space are visible."""
    return (
        text.replace(" ", "\N{OPEN BOX}").replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}")
        or "(empty)"
    )
