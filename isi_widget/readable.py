"""`html_table`: a small HTML table of numeric results for notebooks. `counted`: a number with its noun.
`shortened`: a text of limited length.

No script, no style sheet, no external address; every text is escaped, and the page's colours are used. Not
for charts (`isi_widget.report`).
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

# JupyterLab stripes, centres and right-aligns tables and keeps their cells on one line; these undo it.
_TABLE = "border-collapse:collapse;border:none;margin:2px 0 4px 0;font-size:inherit;color:inherit"
_CELL = "padding:1px 14px 1px 0;border:none;background:none;text-align:start;white-space:normal"
_QUIET = "opacity:.75;font-size:.9em;max-width:60em"
# keeps MathJax (3 and 2) from taking dollar signs for formulas
_PLAIN = "mathjax_ignore tex2jax_ignore"
_COLUMN, _ROW = ' scope="col"', ' scope="row"'


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun in singular or plural: "1 row", "2,000 rows".

    Parameters
    ----------
    number : number of things.
    noun : singular of what is counted.
    plural : plural, where it is not the singular with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def shortened(text: str, longest: int) -> str:
    """Return a text of at most `longest` characters; a longer one ends with an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def html_table(
    title: str, head: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()
) -> str:
    """Return the HTML of a title, a table whose rows begin with their name, and notes in small print."""
    above = "".join(_cell("th", name, _COLUMN) for name in head)
    body = "".join(
        f'<tr style="background:none">{_cell("th", first, _ROW)}{"".join(map(_plain_cell, rest))}</tr>'
        for first, *rest in rows
    )
    below = "".join(f'<div style="{_QUIET}">{html.escape(note)}</div>' for note in notes)
    return (
        f'<div class="{_PLAIN}" style="line-height:1.4;color:inherit"><b>{html.escape(title)}</b>'
        f'<table style="{_TABLE}"><thead><tr>{above}</tr></thead><tbody>{body}</tbody></table>{below}</div>'
    )


def _plain_cell(text: str) -> str:
    return _cell("td", text)


def _cell(kind: str, text: str, more: str = "") -> str:
    weight = ";font-weight:400" if kind == "th" else ""
    return f'<{kind}{more} style="{_CELL}{weight}">{html.escape(text)}</{kind}>'
