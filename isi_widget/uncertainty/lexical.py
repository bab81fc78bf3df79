"""Similarity of sampled answers as strings of words, without meaning: the baseline of uncertainty tools.

It measures wording only: "Yes" and "Yes, there is a star." share one word of many, and "It is left" is close
to "It is right". It needs no entailment model and no likelihoods. Pure Python; not for meaning (`clusters`,
`graphs`).

Sources: Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004, section 3 (ROUGE-L); Fomicheva et
al., TACL 8, 2020 (lexical similarity as uncertainty); as in Kuhn et al., ICLR 2023, and lm-polygraph (Fadeeva
et al., EMNLP 2023).
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

from isi_widget.errors import InputError
from isi_widget.uncertainty.graphs import GRAPH_MEASURES

WITHOUT_CLUSTERS: Mapping[str, str] = {**GRAPH_MEASURES, "lexical_similarity": ""}
"""Name and unit of every measure of sampled answers that needs no clusters; "" where there is no unit."""


def lexical_similarity(texts: Sequence[str]) -> float:
    """Compute the mean ROUGE-L F-measure over all pairs of N answers.

    Returns 0 (no word in common) to 1 (the same words in the same order), no unit; NaN for one answer. Unlike
    the entropies, it decreases as the answers spread.
    """
    if not texts:
        raise InputError("Lexical similarity needs at least one answer; got none.")
    counts = Counter(tuple(words(text)) for text in texts)
    n = len(texts)
    if n == 1:
        return math.nan
    equal = sum(count * (count - 1) / 2 for count in counts.values())
    alike = [rouge_l(one, two) * counts[one] * counts[two] for one, two in combinations(counts, 2)]
    return (equal + math.fsum(alike)) / (n * (n - 1) / 2)


def rouge_l(one: Sequence[str], two: Sequence[str]) -> float:
    """Return ROUGE-L F-measure of two lists of words: 2 LCS / (length of one + length of two); 1 if both are
    empty.
    """
    return 2 * longest_common(one, two) / (len(one) + len(two)) if one or two else 1.0


def words(text: str) -> list[str]:
    """Split a text into lower-case words: runs of letters, digits and their marks.

    For English, these are the tokens of Google's rouge_score without stemming. Han characters and kana,
    written without spaces, are one word each.
    """
    spaced = []
    for letter in unicodedata.normalize("NFC", text).lower():
        if _stands_alone(letter):
            spaced.append(f" {letter} ")
        else:
            spaced.append(letter if unicodedata.category(letter)[0] in "LNM" else " ")
    return "".join(spaced).split()


def longest_common(one: Sequence[str], two: Sequence[str]) -> int:
    """Compute the length of the longest common subsequence, bit-parallel (Hyyrö, 2004): one bit per word of
    `one`.
    """
    places: dict[str, int] = {}
    for k, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << k
    full = (1 << len(one)) - 1
    open_ = full
    for word in two:
        met = open_ & places.get(word, 0)
        open_ = ((open_ + met) | (open_ - met)) & full
    return len(one) - open_.bit_count()


def _stands_alone(letter: str) -> bool:
    code = ord(letter)
    return 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or code >= 0x20000
