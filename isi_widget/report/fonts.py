"""Font search: which characters a font file draws, and which installed fonts draw the others.

The DejaVu fonts of matplotlib cover Latin, Greek, Cyrillic, Arabic, Hebrew and many symbols. Only for other
characters (Chinese, Japanese, Korean, emoji, ...) the installed fonts are searched: such fonts are too large
to ship. Plots and the PDF use this module. A browser does its own search, and text drawn on a picture always
uses the shipped font, so that the pixels are the same everywhere. Not for laying out text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

#: Replaces a character that no font draws.
UNDRAWABLE = "\N{REPLACEMENT CHARACTER}"

#: Parts of font names with wide coverage and a plain look, preferred in this order; other fonts follow by
#: name.
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
#: Font tables of bitmaps or colour layers, which a PDF with outlines cannot hold.
_PAINTED = ("CBDT", "sbix", "SVG ")


def find(wanted: Iterable[int], paths: Iterable[Path] | None = None) -> list[Path]:
    """Find installed fonts that together draw as many as possible of `wanted` (code points).

    paths : font files to search; None (default): the installed fonts that matplotlib finds.
    """
    found: list[Path] = []
    left = set(wanted)
    for path in (installed() if left else ()) if paths is None else paths:
        if not left:
            break
        drawn = left & characters(path)
        if drawn:
            found.append(path)
            left -= drawn
    return found


def advice(missing: Iterable[str]) -> str:
    """Return a message about characters that no font draws."""
    named = "".join(sorted(set(missing)))
    more = f" and {len(named) - 40} more" if len(named) > 40 else ""
    return (
        f"No font of this computer draws {named[:40]}{more}: {UNDRAWABLE} stands in their place. Install one "
        f"that does (Debian: apt install {' '.join(sorted(set(map(_package, named))))})."
    )


def _package(character: str) -> str:
    """Return the Debian package whose font draws a character, guessed from the character's Unicode name."""
    name = unicodedata.name(character, "")
    if any(part in name for part in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH")):
        return "fonts-noto-cjk"
    return "fonts-symbola" if unicodedata.category(character).startswith("S") else "fonts-noto-core"


def installed() -> Sequence[Path]:
    """Return the installed font files, those with wide coverage first."""
    from matplotlib.font_manager import findSystemFonts

    def rank(path: Path) -> tuple[int, bool, str]:
        name = path.name.lower().replace("-", "").replace(" ", "")
        place = next((i for i, part in enumerate(_PREFERRED) if part in name), len(_PREFERRED))
        return place, "regular" not in name, str(path)

    return sorted(map(Path, findSystemFonts()), key=rank)


@cache
def characters(path: Path) -> frozenset[int]:
    """Return the code points that a font draws as outlines; none if it cannot be read."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, lazy=True, fontNumber=0) as font:
            if any(table in font for table in _PAINTED) or not ("glyf" in font or "CFF " in font):
                return frozenset()
            return frozenset(font.getBestCmap() or ())
    except (
        OSError,
        TTLibError,
        KeyError,
        AssertionError,
        ValueError,
    ):  # a broken installed font must not stop the search
        return frozenset()
