"""The rule that says whether an answer is right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.correctness import is_correct


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        ("Yes, there is a red star.", "Yes", True),
        ("YES", "yes", True),
        ("No, I see no star.", "No", True),
        ("No.", "Yes", False),
        ("There is a star.", "Yes", False),  # begins with neither
        ("Not that I see.", "No", False),  # "not" is not "no"
        ("Nothing.", "No", False),
        ("Yesterday", "Yes", False),
        ("", "No", False),
        ("It is red.", "red", True),
        ("RED!", "Red.", True),
        ("It is not red.", "red", False),
        ("It isn't red", "red", False),
        ("It is not blue, it is red.", "red", True),
        ("It is dark red.", "red", True),
        ("Reddish.", "red", False),  # words, not letters
        ("three", "3", True),
        ("There are 3 stars.", "three", True),
        ("There are 13 stars.", "3", False),
        ("the red star", "a red star", True),
        ("A star that is red", "red star", False),  # in a row only
        ("Straße", "STRASSE", True),
        ("\uff39\uff45\uff53", "Yes", True),  # full-width letters
        ("anything", None, None),
        ("anything", "  ", None),
        ("", "red", False),
    ],
)
def test_the_rule(answer, truth, expected):
    assert is_correct(answer, truth) is expected


@given(st.text(min_size=1))
def test_a_truth_that_is_repeated_word_for_word_is_right_unless_it_has_no_words(text):
    assert is_correct(text, text) in (True, None)


@given(st.sampled_from(["Yes", "No"]), st.text())
def test_yes_and_no_are_never_both_right(first, rest):
    answer = f"{first}, {rest}"
    assert (is_correct(answer, "Yes"), is_correct(answer, "No")) == (first == "Yes", first == "No")
