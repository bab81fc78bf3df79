"""The rule that says whether an answer is right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.text.correctness import asks_yes_no, is_correct, judge


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


IS, MANY, SHORT = "Is there a star?", "How many stars are there?", "Star?"


@pytest.mark.parametrize(
    ("truth", "yes"),
    [("1", True), ("1.0", True), ("1,0", True), ("1.00", True), ("+1", True), ("y", True), ("T", True)]
    + [("0", False), ("0.0", False), ("0,0", False), ("-0", False), ("N", False), ("f", False)],
)
def test_a_short_spelling_of_yes_or_no_is_judged_by_a_yes_no_question_only(truth: str, yes: bool) -> None:
    for answer, says in (("Yes, there is one.", True), ("No.", False), ("True", True), ("**false**", False)):
        assert is_correct(answer, truth, IS) is (says == yes)
    assert is_correct("There is a star.", truth, IS) is False  # begins with neither, as for "Yes"
    unclear = judge("Yes", truth, SHORT)
    assert unclear.correct is None and repr(truth) in unclear.reason
    assert f'"{"Yes" if yes else "No"}"' in unclear.reason
    assert judge("Yes", truth, MANY).correct is False and not judge("Yes", truth, MANY).reason


@pytest.mark.parametrize(("truth", "yes"), [("true", True), ("TRUE", True), ("False", False)])
def test_true_and_false_mean_yes_and_no_whatever_the_question(truth: str, yes: bool) -> None:
    for question in (IS, SHORT, "True or false: there is a star."):
        assert is_correct("Yes.", truth, question) is yes
        assert is_correct("No, I see none.", truth, question) is not yes
        assert is_correct("True", truth, question) is yes


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        ("There are 3 stars.", "3.0", True),
        ("three", "3,0", True),
        ("There are 13 stars.", "3.0", False),
        ("3.5", "3,50", True),
        ("3.5", "3", False),
        ("It is 1234 m.", "1,234", True),
        ("I see 1,234 of them", "1234.0", True),
        ("There are 2, 3 or 4", "3", True),
        ("It is -1.", "-1", True),
        ("It is 1.", "-1", False),
        ("the 3rd", "3", False),
        ("NA", "NA", True),
        ("Her name is Null.", "null", True),
        ("None of them", "None", True),
        ("nan", "NaN", True),
        ("A", "A", True),
        ("B", "A", False),
        ("(A) The red star", "A", True),
        ("The answer is A.", "A", True),
        ("C.", "a", False),
        ("There is a red star", "A", None),
        ("红色。", "红色", True),
        ("它是红色的。", "红色", None),
        ("它是蓝色的。", "红色", False),
        ("はい", "はい", True),
        (":-)", ":-)", True),
        ("happy", ":-)", False),
    ],
)
def test_other_truths_are_compared_as_numbers_names_choices_and_scripts(answer, truth, expected):
    found = judge(answer, truth, "What is it?")
    assert found.correct is expected and bool(found.reason) == (expected is None)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (IS, True),
        ("Isn\u2019t it red?", True),
        ("  does it shine or not?", True),
        ("Is it red or blue?", False),
        (MANY, False),
        ("Star?", False),
        ("图中有红色的圆吗？", False),
        ("", False),
    ],
)
def test_what_can_be_seen_to_ask_for_yes_or_no(question: str, expected: bool) -> None:
    assert asks_yes_no(question) is expected


@given(st.text(), st.text(), st.text())
def test_every_answer_is_judged_or_says_why_not(answer, truth, question):
    found = judge(answer, truth, question)
    assert (found.correct is None) == (bool(found.reason) or not truth.strip())
