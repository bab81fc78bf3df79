"""A pair as HTML for a notebook: both pictures with the difference outlined, and the words that differ.

No script, no style sheet, no external address; every text is escaped.
"""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from isi_widget.concepts.pair import Pair
    from isi_widget.stimulus import Stimulus

_LONGEST = 320
_OUTLINE, _AROUND = "#E69F00", "#000000"
_CELL = "padding:2px 14px 2px 0;border:none;background:none;text-align:start;vertical-align:top"
_TABLE = "border-collapse:collapse;border:none;margin:2px 0 4px 0;font-size:inherit;color:inherit"
_MARK = "background:rgba(230,159,0,.3);color:inherit;font-weight:600;padding:0 2px"
_QUIET = "opacity:.75;font-size:.9em;max-width:60em"
_PLAIN = "mathjax_ignore tex2jax_ignore"


def pair_html(pair: Pair) -> str:
    """Return a table with one column per stimulus, below it what differs and the warnings."""
    both = (pair.clean, pair.corrupt)
    box = pair.box
    rows = [
        _row("", ["<b>clean</b>", "<b>corrupt</b>"]),
        _row(
            "",
            [
                _picture(stimulus, box, name)
                for stimulus, name in zip(both, ("Clean", "Corrupt"), strict=True)
            ],
        ),
        _row("question", _texts(pair, "question")),
    ]
    if any(stimulus.current_context.strip() for stimulus in both):
        rows.append(_row("context", _texts(pair, "context")))
    rows.append(_row("truth", [escape("unknown" if truth is None else truth) for truth in pair.truths]))
    lines = [" ".join(filter(None, (f"Level: {pair.level}." if pair.level else "", _sentence(pair.change))))]
    if box is not None and pair.share is not None:
        lines.append(
            f"{100 * pair.share:.2g} % of the pixels differ; they lie in the box x {box[0]}, y {box[1]}, "
            f"{box[2]} x {box[3]} pixels, outlined."
        )
    lines += [f"(!) {warning}" for warning in pair.warnings]
    below = "".join(f'<div style="{_QUIET}">{escape(line)}</div>' for line in lines if line)
    return (
        f'<div class="isi-pair {_PLAIN}" style="line-height:1.4;color:inherit;overflow-x:auto">'
        f'<table style="{_TABLE}"><tbody>{"".join(rows)}</tbody></table>{below}</div>'
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _row(name: str, cells: list[str]) -> str:
    head = f'<th scope="row" style="{_CELL};font-weight:400;{_QUIET}">{name}</th>'
    body = "".join(f'<td dir="auto" style="{_CELL}">{cell}</td>' for cell in cells)
    return f'<tr style="background:none">{head}{body}</tr>'


def _texts(pair: Pair, name: str) -> list[str]:
    """Return both texts with the words that differ marked."""
    found = []
    for side in ("clean", "corrupt"):
        parts = [
            text if piece.same else f'<mark style="{_MARK}">{text}</mark>'
            for piece in pair.wording(name)
            if (text := escape(getattr(piece, side)))
        ]
        found.append("".join(parts) or "(empty)")
    return found


def _picture(stimulus: Stimulus, box: tuple[int, int, int, int] | None, name: str) -> str:
    """Return the picture, reduced, with an outline around the box that does not cover it."""
    image = stimulus.render()
    scale = min(1.0, _LONGEST / max(image.size))
    small = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS
    )
    if box is not None:
        x, y, width, height = box
        pen = ImageDraw.Draw(small)
        corners = (x * scale, y * scale, (x + width) * scale, (y + height) * scale)
        for out, color in ((4, _AROUND), (3, _OUTLINE), (2, _OUTLINE), (1, _AROUND)):
            pen.rectangle(
                (corners[0] - out, corners[1] - out, corners[2] + out - 1, corners[3] + out - 1),
                outline=color,
            )
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    alt = f"{name} picture" + (", the part that differs outlined" if box is not None else "")
    return f'<img alt="{alt}" src="data:image/png;base64,{data}" style="max-width:100%"/>'
