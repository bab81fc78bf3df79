"""One search for a font: what each font file draws, and which fonts of this computer draw the rest.

The DejaVu fonts that matplotlib brings draw Latin, Greek, Cyrillic, Arabic, Hebrew and many signs. For the
rest (Chinese, Japanese, Korean, emoji, ...) the installed fonts are looked through, and only then: a package
cannot carry them. Plots and the PDF use this; a browser searches by itself, and text drawn on a picture has
its one shipped font, so that the pixels are the same everywhere. Not for laying out text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

#: Stands for a character that no font draws.
UNDRAWABLE = "\N{REPLACEMENT CHARACTER}"

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


def find(wanted: Iterable[int], paths: Iterable[Path] | None = None) -> list[Path]:
    """Return fonts of this computer that together draw as much as can be of `wanted` (code points).

    paths : files to look through; None: those that matplotlib finds installed.
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
    """Return what to say of characters that no font draws."""
    named = "".join(sorted(set(missing)))
    more = f" and {len(named) - 40} more" if len(named) > 40 else ""
    return (
        f"No font of this computer draws {named[:40]}{more}: {UNDRAWABLE} stands in their place. Install one "
        f"that does (Debian: apt install {' '.join(sorted(set(map(_package, named))))})."
    )


def _package(character: str) -> str:
    """Return the package of Debian that draws a character, as far as its name says it."""
    name = unicodedata.name(character, "")
    if any(part in name for part in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH")):
        return "fonts-noto-cjk"
    return "fonts-symbola" if unicodedata.category(character).startswith("S") else "fonts-noto-core"


def installed() -> Sequence[Path]:
    """Return the font files of this computer, those that cover much first."""
    from matplotlib.font_manager import findSystemFonts

    def rank(path: Path) -> tuple[int, bool, str]:
        name = path.name.lower().replace("-", "").replace(" ", "")
        place = next((i for i, part in enumerate(_PREFERRED) if part in name), len(_PREFERRED))
        return place, "regular" not in name, str(path)

    return sorted(map(Path, findSystemFonts()), key=rank)


@cache
def characters(path: Path) -> frozenset[int]:
    """Return code points that a font draws as outlines; none if it cannot be read."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, lazy=True, fontNumber=0) as font:
            if any(table in font for table in _PAINTED) or not ("glyf" in font or "CFF " in font):
                return frozenset()
            return frozenset(font.getBestCmap() or ())
    except (OSError, TTLibError, KeyError, AssertionError, ValueError):  # one of many files of a stranger
        return frozenset()
