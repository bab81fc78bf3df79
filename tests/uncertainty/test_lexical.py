"""Lexical similarity: published examples of ROUGE-L, and a brute-force longest common subsequence."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.errors import InputError
from isi_widget.uncertainty.lexical import lexical_similarity, longest_common, rouge_l, words

sentences = st.lists(st.sampled_from(["yes", "no", "the", "star", "is", "red"]), max_size=7)


def slow_lcs(one, two):
    """All subsequences of one, longest first, that are subsequences of two."""

    def inside(short, long):
        rest = iter(long)
        return all(word in rest for word in short)

    for length in range(len(one), -1, -1):
        if any(inside(chosen, two) for chosen in itertools.combinations(one, length)):
            return length
    raise AssertionError("the empty one is a subsequence of everything")


@given(sentences, sentences)
def test_longest_common_subsequence_against_brute_force(one, two):
    assert longest_common(one, two) == longest_common(two, one) == slow_lcs(one, two)


def test_examples_of_the_paper_and_of_the_reference_code():
    """Lin 2004, section 3.1 (S1 to S4), and the README of google-research/rouge."""
    first = ["police", "killed", "the", "gunman"]
    assert rouge_l(first, ["police", "kill", "the", "gunman"]) == 0.75
    assert rouge_l(first, ["the", "gunman", "kill", "police"]) == 0.5
    assert rouge_l(first, ["the", "gunman", "police", "killed"]) == 0.5
    one, two = "The quick brown fox jumps over the lazy dog", "The quick brown dog jumps on the log."
    assert lexical_similarity([one, two]) == pytest.approx(0.5882352941176471)


@given(st.lists(sentences, min_size=2, max_size=6))
def test_it_is_the_mean_over_all_pairs(rows):
    texts = [" ".join(row) for row in rows]
    expected = [
        1.0 if not a and not b else 2 * slow_lcs(a, b) / (len(a) + len(b))
        for a, b in itertools.combinations(rows, 2)
    ]
    assert lexical_similarity(texts) == pytest.approx(sum(expected) / len(expected))


def test_ends_of_the_range():
    assert lexical_similarity(["Yes.", "yes", "YES!"]) == 1.0
    assert lexical_similarity(["Yes", "No", "Perhaps"]) == 0.0
    assert lexical_similarity(["", ""]) == 1.0 and lexical_similarity(["", "Yes"]) == 0.0
    assert math.isnan(lexical_similarity(["Yes"]))
    with pytest.raises(InputError, match="at least one answer"):
        lexical_similarity([])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's a star-shaped thing_1.", ["it", "s", "a", "star", "shaped", "thing", "1"]),
        ("Zażółć GRÜSSE", ["zażółć", "grüsse"]),
        ("图中有 red 星", ["图", "中", "有", "red", "星"]),
        ("はい、見えます", list("はい見えます")),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("e\u0301te\u0301", ["été"]),
        ("...", []),
    ],
)
def test_words_of_any_script(text, expected):
    assert words(text) == expected
