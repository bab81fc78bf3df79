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


def faces(texts: Iterable[str], *, every: bool = False, paths: Iterable[Path] | None = None) -> str:
    """Return `@font-face` rules for the letters of texts; "" if none is needed.

    Parameters
    ----------
    texts : all texts that are shown.
    every : whether common Latin letters are embedded too; default False.
    paths : font files to look through first; None (default): those shipped with matplotlib.

    Characters that no font of this computer draws are left to the reader's.
    """
    letters = {ord(letter) for text in texts for letter in text if letter.isprintable()}
    wanted = letters if every else {letter for letter in letters if letter > _LAST_COMMON}
    rules: list[str] = []
    for path in (*(shipped() if paths is None else paths), None):
        if not wanted:
            break
        for found in fonts.find(wanted) if path is None else [path]:
            drawn = frozenset(wanted & fonts.characters(found))
            if not drawn or (data := _subset(found, drawn)) is None:
                continue
            wanted -= drawn
            rules.append(
                f'@font-face{{font-family:"{family(len(rules))}";src:url(data:font/woff;base64,{data})}}'
            )
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


@lru_cache(maxsize=64)
def _subset(path: Path, letters: frozenset[int]) -> str | None:
    """Return a font with these letters as WOFF in base64; None for a font that cannot be cut."""
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
        return None
    return base64.b64encode(buffer.getvalue()).decode("ascii")
