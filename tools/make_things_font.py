"""Make the artwork of the everyday things: a subset of Noto Color Emoji with only the glyphs that are used.

Usage: python tools/make_things_font.py /path/to/NotoColorEmoji.ttf

The source is the font of Debian's package fonts-noto-color-emoji (SIL Open Font License 1.1); the glyphs are
listed in isi_widget/datasets/nouns.py. The same source and list give the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

from isi_widget.datasets.nouns import THINGS
from isi_widget.datasets.scenes.sprites import FONT


def make(source: Path, target: Path = FONT) -> None:
    """Write the subset of `source` with the glyphs of all things to `target`."""
    options = subset.Options()
    options.layout_features = []
    options.drop_tables += ["GSUB", "GPOS", "vhea", "vmtx"]
    options.recalc_timestamp = False
    font = TTFont(source, recalcTimestamp=False)
    chosen = subset.Subsetter(options)
    chosen.populate(unicodes=[ord(word.glyph) for word in THINGS.values()])
    chosen.subset(font)
    font.save(target)
    print(f"{target.name}: {len(THINGS)} glyphs, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
