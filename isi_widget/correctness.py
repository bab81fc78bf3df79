"""`is_correct`: the one rule by which an answer agrees with a truth or not.

Not for judging meaning (see `isi_widget.uncertainty.entailment`): it compares words, and says so.
"""

from __future__ import annotations

import re
import unicodedata

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS)}
_NEGATIONS = frozenset({"not", "no", "never", "neither", "nor", "isnt", "arent", "without"})


def _words(text: str) -> list[str]:
    """Lower-case words without punctuation, articles or apostrophes; number words as digits."""
    plain = (
        unicodedata.normalize("NFKC", text)
        .casefold()
        .replace("'", "")
        .replace("\N{RIGHT SINGLE QUOTATION MARK}", "")
    )
    return [_DIGITS.get(word, word) for word in re.findall(r"\w+", plain) if word not in {"a", "an", "the"}]


def is_correct(answer: str, truth: str | None) -> bool | None:
    """Whether an answer agrees with the truth; None when there is no truth to compare with.

    The rule, on lower-case words without punctuation and articles, number words as digits:

    - the truth is "yes" or "no": the answer's first word is that word ("No, I see no star." is a "no"; an
      answer that begins with neither is wrong);
    - any other truth: the answer equals it, or holds its words in a row, not right after a negation
      ("It is red." for "red"; not "It is not red.").
    """
    if truth is None or not _words(truth):
        return None
    said, true = _words(answer), _words(truth)
    if true in (["yes"], ["no"]):
        return said[:1] == true
    starts = (i for i in range(len(said) - len(true) + 1) if said[i : i + len(true)] == true)
    return said == true or any(i == 0 or said[i - 1] not in _NEGATIONS for i in starts)
