"""Fonts for letters that a reader's computer may lack, as CSS: subsets inside an HTML or an SVG file.

Common letters of Latin scripts are left to the reader's own fonts, which are used first for every letter.
Not for finding fonts (`fonts`), nor for PDF.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from isi_widget.report import fonts

#: Name of the first embedded font; the others are numbered.
FAMILY = "isi-embedded"
_LAST_COMMON = 0x24F  # Latin letters with their accents


def faces(texts: Iterable[str]) -> str:
    """Return `@font-face` rules for the letters of texts; "" if none is needed.

    texts : all texts that are shown. Characters that no font of this computer draws are left to the reader's.
    """
    letters = {ord(letter) for text in texts for letter in text if letter.isprintable()}
    wanted = {letter for letter in letters if letter > _LAST_COMMON}
    rules: list[str] = []
    for path in (*shipped(), None):
        if not wanted:
            break
        for found in fonts.find(wanted) if path is None else [path]:
            data, drawn = subset(found, frozenset(wanted))
            if data:
                wanted -= drawn
                source = f"url(data:font/woff;base64,{base64.b64encode(data).decode('ascii')})"
                rules.append(f'@font-face{{font-family:"{family(len(rules))}";src:{source}}}')
    return "".join(rules)


def family(number: int) -> str:
    """Return the name of an embedded font, counted from 0."""
    return FAMILY if number == 0 else f"{FAMILY}-{number + 1}"


def families(rules: str) -> list[str]:
    """Return the names of the fonts of rules made by `faces`."""
    return [family(number) for number in range(rules.count("@font-face"))]


def shipped() -> list[Path]:
    """Return the fonts that matplotlib brings and draws with."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [folder / "DejaVuSans.ttf"]


def subset(path: Path, letters: frozenset[int]) -> tuple[bytes, frozenset[int]]:
    """Return a font with those of the letters that it draws, as WOFF, and these letters; else nothing."""
    drawn = letters & fonts.characters(path)
    data = _subset(path, drawn) if drawn else b""
    return (data, drawn) if data else (b"", frozenset())


@lru_cache(maxsize=64)
def _subset(path: Path, letters: frozenset[int]) -> bytes:
    """Return a font with these letters as WOFF; nothing for a font that cannot be cut."""
    from fontTools import subset
    from fontTools.ttLib import TTFont, TTLibError

    options = subset.Options(layout_features=["*"], notdef_outline=True, hinting=False)
    options.drop_tables += ["FFTM"]  # fontTools cannot cut it, and logs that
    try:
        with warnings.catch_warnings(), TTFont(path, fontNumber=0, recalcTimestamp=False) as font:
            warnings.simplefilter("ignore")
            cutter = subset.Subsetter(options)
            cutter.populate(unicodes=sorted(letters))
            cutter.subset(font)
            font.flavor = "woff"
            buffer = io.BytesIO()
            font.save(buffer, reorderTables=False)
    except (OSError, TTLibError, KeyError, AssertionError, ValueError, subset.Subsetter.SubsettingError):
        return b""
    return buffer.getvalue()
