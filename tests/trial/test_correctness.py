"""The rule that says whether an answer is right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.text.correctness import asks_yes_no, is_correct, judge, said_yes


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
    right = tuple(is_correct(f"{first}, {rest}", truth) for truth in ("Yes", "No"))
    assert right == (first == "Yes", first == "No") or (right == (False, False) and _both(first, rest))


def _both(first: str, rest: str) -> bool:
    return said_yes(f"{first}, {rest}") is None


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
        ("There are 2, 3 and 4", "3", True),
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


@pytest.mark.parametrize(
    ("answer", "truths"),
    [
        ("two or three", "23"),
        ("2-3", "23"),
        ("2 to 3 stars", "23"),
        ("between two and three", "23"),
        ("at least 3", "3"),
        ("3 or more", "3"),
        ("more than 3", "3"),
        ("Two, three or four.", "234"),
    ],
)
def test_a_range_of_numbers_is_no_number(answer: str, truths: str) -> None:
    for truth in truths:
        found = judge(answer, truth, MANY)
        assert found.correct is False and found.reason.startswith("Counted as wrong: the answer "), truth


@pytest.mark.parametrize(
    "answer",
    ["either red or blue", "Red or blue.", "It is red/blue", "a red star or a blue one", "red, blue or green"]
    + ["It could be blue or red", "I cannot say whether it is red or blue", "dark red or dark blue"],
)
def test_several_answers_are_no_answer(answer: str) -> None:
    for truth in ("red", "blue"):
        if truth != "blue" or "blue" in answer:
            found = judge(answer, truth)
            assert found.correct is False and "Counted as wrong" in found.reason


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("three or so", "3"),
        ("twenty-one", "21"),
        ("Probably red.", "red"),
        ("About 3.", "3"),
        ("There are 3 stars, one or two of them red", "3"),
        ("One or two red stars", "red"),
        ("Red or blue? Red.", "red"),
        ("red or blue", "Red or blue"),
        ("3 to the left", "3"),
        ("It is red. I cannot tell whether it is large.", "red"),
        ("red or crimson", "red | crimson"),
        ("2 or 3", "2 | 3 | 4"),
        ("black and white", "white"),
    ],
)
def test_one_answer_is_right_though_another_word_is_open(answer: str, truth: str) -> None:
    assert judge(answer, truth, "What is it?") == judge(truth, truth)


def test_alternatives_are_right_only_if_all_are_accepted() -> None:
    assert is_correct("red or blue", "red | crimson") is False
    people = " | ".join(["red"] * 5 + ["blue"] * 5)  # VQA compares whole answers
    assert is_correct("red or blue", people) is False and is_correct("red", people)


@pytest.mark.parametrize(
    "answer", ["Yes and no.", "yes/no", "No. Yes.", "Yes or no", "Yes, but maybe no", "ja und nein"]
)
def test_a_yes_as_well_as_a_no_is_wrong_for_both(answer: str) -> None:
    for truth in ("Yes", "No"):
        assert judge(answer, truth, IS).reason == "Counted as wrong: the answer is a yes as well as a no."
    assert said_yes(answer) is None


@pytest.mark.parametrize("answer", ["maybe", "It depends.", "I don't know", "Not sure", "Perhaps yes"])
def test_doubt_alone_is_neither_yes_nor_no(answer: str) -> None:
    for truth in ("Yes", "No"):
        found = judge(answer, truth, IS)
        assert found.correct is False and found.reason.endswith("neither a yes nor a no.")
