"""Fonts of the PDF report: which there are, what each can draw, and what is written where none can.

The DejaVu fonts that matplotlib brings draw Latin, Greek, Cyrillic, Arabic, Hebrew and many signs. For the
rest (Chinese, Japanese, Korean, emoji, ...) the fonts of the computer are looked through, and only then: a
package cannot carry them. Not for laying out text (see `pdf_sheet`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: Stands for a character that no font draws; the page that has one says so.
UNDRAWABLE = "\N{REPLACEMENT CHARACTER}"
#: Stands for the number of pages. Noncharacters: `clean` lets none through, so no text can contain it.
PAGES = "\ufdd0\ufdd0\ufdd0"
SANS, MONO = "isi sans", "isi mono"

_LONGEST_RUN = 30
#: Parts of names of fonts that cover much and look calm; others come after them, by name.
_PREFERRED = (
    "notosanscjk",
    "notosans",
    "sourcehansans",
    "droidsansfallback",
    "wqy",
    "pingfang",
    "hiraginosans",
    "yugoth",
    "msyh",
    "malgun",
    "applesdgothic",
    "arialuni",
    "segoeui",
    "symbola",
    "notoemoji",
    "unifont",
)
#: Drawn as bitmaps or in layers of colour, which a page of outlines cannot hold.
_PAINTED = ("CBDT", "sbix", "SVG ")


@dataclass(frozen=True)
class Face:
    """One font file, and which font of it: a collection (.ttc) has several."""

    family: str
    path: Path
    style: str = ""
    number: int = 0


@cache
def shipped() -> tuple[Face, ...]:
    """The fonts of every report, as matplotlib brings them."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return (
        Face(SANS, folder / "DejaVuSans.ttf"),
        Face(SANS, folder / "DejaVuSans-Bold.ttf", "B"),
        Face(MONO, folder / "DejaVuSansMono.ttf"),
    )


def others(wanted: frozenset[int], paths: Iterable[Path] | None = None) -> list[Face]:
    """Fonts of this computer that together draw as much as can be of `wanted` (code points).

    paths : files to look through; None: those that matplotlib finds installed.
    """
    found: list[Face] = []
    left = set(wanted)
    for path in _installed() if paths is None else paths:
        if not left:
            break
        drawn = left & characters(path)
        if drawn:
            found.append(Face(f"isi other {len(found)}", path))
            left -= drawn
    return found


def _installed() -> Sequence[Path]:
    from matplotlib.font_manager import findSystemFonts

    def rank(path: Path) -> tuple[int, bool, str]:
        name = path.name.lower().replace("-", "").replace(" ", "")
        place = next((i for i, part in enumerate(_PREFERRED) if part in name), len(_PREFERRED))
        return place, "regular" not in name, str(path)

    return sorted(map(Path, findSystemFonts()), key=rank)


@cache
def characters(path: Path) -> frozenset[int]:
    """Code points that a font draws as outlines; none if it cannot be read."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, lazy=True, fontNumber=0) as font:
            if any(table in font for table in _PAINTED) or not ("glyf" in font or "CFF " in font):
                return frozenset()
            return frozenset(font.getBestCmap() or ())
    except (OSError, TTLibError, KeyError, AssertionError, ValueError):  # one of many files of a stranger
        return frozenset()


@cache
def readable() -> frozenset[int]:
    """Code points that the shipped fonts draw."""
    return frozenset().union(*(characters(face.path) for face in shipped()))


def clean(text: str) -> str:
    """Text in which every character has a shape or a use: what control characters would do, they do not.

    Control characters are written as in Python (\\x1b), lone surrogates and noncharacters become U+FFFD, tabs
    four spaces; variation selectors, which choose between colour and outline, go.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return "".join(_shown(character) for character in lines)


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
    if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or code == 0xFEFF:
        return ""
    if unicodedata.category(character) == "Cs" or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return UNDRAWABLE
    return character


def goes_left(text: str) -> bool:
    """Whether a paragraph runs from right to left: by its first letter with a direction (UAX 9, rule P2)."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


def with_direction(text: str) -> str:
    """The text, with an invisible mark of its direction in long runs of signs that have none.

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
