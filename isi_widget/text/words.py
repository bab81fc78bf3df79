"""`whole_words`: where words stand in a text, and not as parts of longer words. Any script; no meaning."""

from __future__ import annotations

import re

#: Scripts without spaces between words: Thai to Burmese, Khmer, kana, Chinese characters.
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def whole_words(words: str, text: str) -> list[tuple[int, int]]:
    """Return where words stand in a text: (start, end) of each place, in characters.

    "red" does not stand in "bored". In a script without spaces any place counts.

    Parameters
    ----------
    words : one word or several, in the same case as in the text; white space around them is ignored.
    text : text to search.
    """
    wanted = words.strip()
    if not wanted:
        return []
    before, after = (
        r"(?<!\w)" if _has_edge(wanted[0]) else "",
        r"(?!\w)" if _has_edge(wanted[-1]) else "",
    )
    return [match.span() for match in re.finditer(before + re.escape(wanted) + after, text)]


def _has_edge(character: str) -> bool:
    return re.match(r"\w", character) is not None and UNSPACED.match(character) is None
