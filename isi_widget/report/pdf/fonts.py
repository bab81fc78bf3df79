"""Fonts of the PDF report: those it always has, and what is written where no font draws a character.

Not for finding fonts (`isi_widget.report.fonts`) nor for laying out text (see `pdf_sheet`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from isi_widget.report import fonts
from isi_widget.report.fonts import UNDRAWABLE, characters

#: Stands for the number of pages. Noncharacters: `clean` lets none through, so no text can contain it.
PAGES = "\ufdd0\ufdd0\ufdd0"
SANS, MONO = "isi sans", "isi mono"

_LONGEST_RUN = 30


@dataclass(frozen=True)
class Face:
    """One font file, and which font of it: a collection (.ttc) has several."""

    family: str
    path: Path
    style: str = ""
    number: int = 0


@cache
def shipped() -> tuple[Face, ...]:
    """Return the fonts of every report, shipped with matplotlib."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return (
        Face(SANS, folder / "DejaVuSans.ttf"),
        Face(SANS, folder / "DejaVuSans-Bold.ttf", "B"),
        Face(MONO, folder / "DejaVuSansMono.ttf"),
    )


def others(wanted: frozenset[int], paths: Iterable[Path] | None = None) -> list[Face]:
    """Find installed fonts that together draw as many as possible of `wanted` (code points).

    paths : files to look through; None: those that matplotlib finds installed.
    """
    return [Face(f"isi other {number}", path) for number, path in enumerate(fonts.find(wanted, paths))]


@cache
def readable() -> frozenset[int]:
    """Return the code points that the shipped fonts draw."""
    return frozenset().union(*(characters(face.path) for face in shipped()))


def clean(text: str, *, selectors: bool = False) -> str:
    """Text in which every character has a shape or a use: what control characters would do, they do not.

    Control characters are written as in Python (\\x1b), lone surrogates and noncharacters become U+FFFD, tabs
    four spaces; variation selectors, which choose between colour and outline, go unless `selectors`.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return "".join(
        character if selectors and _is_selector(ord(character)) else _shown(character) for character in lines
    )


def _is_selector(code: int) -> bool:
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF


def _shown(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return character if character == "\n" else f"\\x{code:02x}"
    if code < 0x7F:
        return character
    if code in (0x2028, 0x2029):
        return "\n"
    if code <= 0x9F:
        return f"\\x{code:02x}"
    if _is_selector(code) or code == 0xFEFF:
        return ""
    if unicodedata.category(character) == "Cs" or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return UNDRAWABLE
    return character


def goes_left(text: str) -> bool:
    """Return whether a paragraph runs from right to left: by its first letter with a direction (UAX 9, rule
    P2).
    """
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


def with_direction(text: str) -> str:
    """Return the text, with an invisible mark of its direction in long runs of signs that have none.

    fpdf2 2.8 looks from every sign for the next letter with a direction, by recursion: a line of a thousand
    dashes would be too deep for Python, and one of some hundreds slow.
    """
    mark = "\N{RIGHT-TO-LEFT MARK}" if goes_left(text) else "\N{LEFT-TO-RIGHT MARK}"
    parts, run = [], 0
    for character in text:
        run = 0 if unicodedata.bidirectional(character) in ("L", "R", "AL", "AN", "EN") else run + 1
        if run > _LONGEST_RUN:
            parts.append(mark)
            run = 1
        parts.append(character)
    return "".join(parts)
