"""Blocks of which a report of a study is made: texts, tables, pictures, plots, code; for PDF and HTML.

They are data. Not for drawing (`pdf.blocks`, `page.blocks`), nor for what a report contains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Words:
    """A paragraph.

    Attributes
    ----------
    text : plain text.
    quiet : whether it is small print; default False.
    """

    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading inside a section, with a remark."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Pairs:
    """Names, values and remarks."""

    rows: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Code:
    """Python, as it is."""

    text: str


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes
    ----------
    heads : title of each column.
    rows : cells, plain text; a line end separates a value from its interval.
    words : numbers of the columns with words, which are aligned at their start; the others hold numbers.
    marked : (row, column) of the cells that are marked; default none.
    name : name of the table's file; "" for none.
    frame : the same numbers, unrounded, for the file; None for none.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[int] = frozenset({0})
    marked: frozenset[tuple[int, int]] = frozenset()
    name: str = ""
    frame: pd.DataFrame | None = None


@dataclass(frozen=True)
class Plot:
    """A plot.

    Attributes
    ----------
    figure : function that returns a matplotlib figure.
    caption : one sentence below it.
    """

    figure: Callable[[], Any]
    caption: str = ""


@dataclass(frozen=True)
class Example:
    """A picture with texts: one condition of a study.

    Attributes
    ----------
    title : name of the condition.
    code : Python for it; "" for none.
    picture : JPEG; None if it could not be made.
    rows : names, values and remarks beside it.
    """

    title: str
    code: str
    picture: bytes | None
    rows: Sequence[tuple[str, str, str]] = ()


Block = Words | Heading | Pairs | Code | Grid | Plot | Example


@dataclass(frozen=True)
class Chapter:
    """A section of a report.

    Attributes
    ----------
    key : its address: letters, digits and "-".
    title : title.
    blocks : content.
    note : small text behind the title; default "".
    """

    key: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
    note: str = ""

    def texts(self) -> list[str]:
        """Return every text, to find fonts."""
        found = [self.title, self.note]
        for block in self.blocks:
            match block:
                case Words(text) | Code(text):
                    found.append(text)
                case Heading(text, note):
                    found += [text, note]
                case Pairs(rows):
                    found += [cell for row in rows for cell in row]
                case Grid(heads, rows):
                    found += [*heads, *(cell for row in rows for cell in row)]
                case Example(title, code, _, rows):
                    found += [title, code, *(cell for row in rows for cell in row)]
                case Plot(_, caption):
                    found.append(caption)
        return found
