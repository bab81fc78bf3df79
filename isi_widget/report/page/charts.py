"""Small charts of an HTML report as inline SVG, with the numbers beside them as text.

They compute nothing: every number comes from `Trial.view`. Not for matplotlib's figures
(`isi_widget.report.charts`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from isi_widget.report.page.skeleton import own_direction, text
from isi_widget.report.style import SEGMENT_COLORS, STACKED
from isi_widget.report.svg import Bar, bar, number


def bars(rows: Sequence[Bar], maximum: float, *, notes: bool = False) -> str:
    """Return rows of label, bar and value.

    rows : bars; one without a value has its text alone.
    maximum : scale of the bars without one of their own.
    notes : whether the note of a bar stands below it; default False.
    """
    lines = []
    for row in rows:
        drawn = (
            "" if row.value is None else bar(row.value, row.maximum or maximum, row.color, row.low, row.high)
        )
        note = f'<div class="quiet" dir="auto">{text(row.note)}</div>' if notes and row.note else ""
        lines.append(
            f'<tr><th scope="row" dir="auto">{text(row.label)}{note}</th><td>{drawn}</td>'
            f"<td>{own_direction(row.text)}</td></tr>"
        )
    return f'<table class="bars"><tbody>{"".join(lines)}</tbody></table>' if lines else ""


def tokens(pieces: Sequence[Mapping[str, Any]]) -> str:
    """Return tokens shaded by their probability, with the number and the likeliest other token below."""
    shown = []
    for piece in pieces:
        logprob = piece["logprob"]
        known = logprob is not None or bool(piece.get("impossible"))
        probability = math.exp(min(logprob, 0.0)) if logprob is not None else 0.0
        other = ""
        if found := piece.get("alternatives"):
            share = 0.0 if found[0]["logprob"] is None else math.exp(found[0]["logprob"])
            other = f"<br/>{own_direction(_visible(found[0]['text']) or 'end')} {share:.3f}"
        value = f"{probability:.3f}" if known else "-"
        shade = f"background:rgba(128,128,128,{0.1 + 0.45 * probability:.2f})"
        word = text(_visible(piece["text"]) or "(empty)")
        shown.append(f'<span><b dir="auto" style="{shade}">{word}</b>{value}{other}</span>')
    return f'<div class="tokens">{"".join(shown)}</div>'


def _visible(value: str) -> str:
    """Replace spaces and line ends by symbols, so that tokens of white space are visible."""
    return value.replace(" ", "\N{OPEN BOX}").replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}")


def layers(by_layer: Sequence[Mapping[str, float | None]]) -> str:
    """Return one column per layer, counted from 0, with its shares stacked from the bottom."""
    width, height = (22 if len(by_layer) <= 16 else 10), 84
    columns = []
    for index, found in enumerate(by_layer):
        bottom, parts = float(height), []
        for name in STACKED:
            part = height * max(found.get(name) or 0.0, 0.0)
            bottom -= part
            parts.append(
                f'<rect x="0" y="{number(bottom)}" width="{width}" height="{number(part)}" '
                f'fill="{SEGMENT_COLORS[name]}"/>'
            )
        shares = ", ".join(f"{name} {share:.3f}" for name, share in found.items() if share is not None)
        named = index if len(by_layer) <= 16 or index % 4 == 0 else "\N{NO-BREAK SPACE}"
        columns.append(
            f'<span title="layer {index}: {text(shares)}"><svg xmlns="http://www.w3.org/2000/svg" '
            f'width="{width}" height="{height}" aria-hidden="true">{"".join(parts)}</svg>{named}</span>'
        )
    return f'<div class="layers">{"".join(columns)}</div>'


def curve(points: Mapping[str, Any]) -> str:
    """Return a mean over numbers of samples as a line in the band from `low` to `high`.

    points : "samples", "mean", "low", "high" of one length of at least 2, and "scale", the top of the axis.
    """
    samples, top = points["samples"], points["scale"]
    left, width, height = 34, 260, 96

    def line(name: str) -> list[str]:
        return [
            f"{number(left + width * (sample - samples[0]) / (samples[-1] - samples[0]))} "
            f"{number(6 + height * (1 - min(value / top, 1.0)))}"
            for sample, value in zip(samples, points[name], strict=True)
        ]

    band = "L".join([*line("high"), *reversed(line("low"))])
    bottom = 6 + height
    words = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11" fill="currentColor">{value}</text>'
        for x, y, anchor, value in (
            (left, bottom + 14, "start", samples[0]),
            (left + width, bottom + 14, "end", samples[-1]),
            (left - 4, 14, "end", f"{top:g}"),
            (left - 4, bottom, "end", 0),
        )
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 6} {bottom + 20}" '
        f'width="{left + width + 6}" role="img" aria-label="line over numbers of samples">'
        f'<path d="M{band}z" fill="currentColor" opacity="0.15"/>'
        f'<path d="M{left} {bottom}H{left + width}" stroke="currentColor" opacity="0.5"/>'
        f'<path d="M{"L".join(line("mean"))}" stroke="currentColor" stroke-width="1.6" fill="none"/>'
        f"{words}</svg>"
    )
