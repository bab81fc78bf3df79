"""What the wording of answers settles without a model, and what it leaves open."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.text.correctness import is_correct
from isi_widget.text.wording import normalised, verdict, yes_or_no
from isi_widget.uncertainty import cluster, relation_by_rule
from isi_widget.uncertainty.judge import RuleJudge
from isi_widget.uncertainty.rules import settled

SAME = [
    ("Paris", "Paris."),
    ("Paris", "It's Paris."),
    ("paris", " PARIS! "),
    ("cat", "It\u2019s a cat."),
    ("A cat", "This is a cat"),
    ("The red cat", "a red cat"),
    ("**Yes**", "Yes?"),
    ('"No."', "No"),
    ("_No_", "no"),
    ("Yes, it is.", "Yeah"),
    ("No, it isn't.", "Nope!"),
    ("It's a no.", "No"),
    ("two", "2"),
    ("There are two.", "2"),
    ("twenty-one", "21"),
    ("1,000", "1000"),
    ("\u22125", "-5"),
    ("The answer is: red.", "Red"),
    ("It isn't red", "it is not red"),
    ("«Да»", "да"),
    ("¿Sí?", "sí."),
    ("图中有。", "图中有"),
    ("\uff39\uff25\uff33", "yes"),
    ("نعم،", "نعم"),
]
DIFFERENT = [
    ("Vitamin A", "Vitamin"),
    ("Group A wins", "Group wins"),
    ("A", "B"),
    ("3.5", "35"),
    ("3:1", "31"),
    ("-5", "5"),
    ("10%", "10"),
    ("$5", "5"),
    ("C++", "C"),
    ("C#", "C"),
    ("not red", "red"),
    ("It is not red", "It is red"),
    ("No stars", "stars"),
    ("No one", "No. 1"),
    ("Maße", "Masse"),
    ("2²", "22"),
    ("Si", "Sí"),
    ("है", "हो"),  # vowels of Hindi are marks
    ("Yes, it isn't", "Yes"),
    ("No, it is", "No"),
    ("", "..."),
    ("?", "!"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_the_same_words_entail_each_other(one, two):
    assert relation_by_rule("What is it?", one, two) == relation_by_rule("What is it?", two, one) == 2


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_what_may_be_another_meaning_is_never_the_same_by_rule(one, two):
    both = {relation_by_rule("What is it?", one, two), relation_by_rule("What is it?", two, one)}
    assert both != {2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *((text, "yes") for text in ("Yes", "YES!", "Yes?", "**Yes**", '"Yes"', "Yeah.", "Yes, a dog.")),
        *(
            (text, "yes")
            for text in ("Yes - a dog", "Yes! It is.", "**Yes**, a dog", "Yes, yes", "Yes it is")
        ),
        *((text, "no") for text in ("No.", "no", "«No»", "Nope, there isn't one.", "No\nThere is none")),
        *((text, None) for text in ("", "No stars", "No problem", "No-one", "Yes and no", "Not sure", "Sí.")),
        *(
            (text, None)
            for text in ("No, wait, yes", "Yes, but only one", "Yes, there is no star", "Да", "Yesterday")
        ),
        *((text, None) for text in ("No, I'm not sure", "Ja.", "There is.", "maybe yes")),
    ],
)
def test_a_clear_yes_or_no(text, said):
    assert verdict(text) == said


@pytest.mark.parametrize(
    ("token", "said"),
    [("Yes?", "yes"), (" no", "no"), ('"No', "no"), ("*Yes", "yes"), ("Yes.\n", "yes"), ("(no)", "no")]
    + [("no-", None), ("nothing", None), ("yesno", None), ("#no", None), ("", None), ("\uff39es", "yes")],
)
def test_a_token_that_reads_yes_or_no(token, said):
    assert yes_or_no(token) == said


def test_a_clear_yes_contradicts_a_clear_no():
    question = "Is there a dog?"
    assert relation_by_rule(question, "Yes, a brown one.", "No, I see none.") == 0
    assert relation_by_rule(question, "Yes, a brown one.", "Yes") is None  # what they add is the model's
    assert relation_by_rule(question, "Yes", "Yes, a brown one.") is None
    assert relation_by_rule(question, "Yes, it is red", "No, it is red") is None  # odd: the rest is the same
    assert relation_by_rule(question, "Yes", "There is a dog.") is None


def test_counts_contradict_each_other_only_where_they_are_asked_for():
    assert relation_by_rule("How many stars are there?", "Two.", "3") == 0
    assert relation_by_rule("How many stars are there?", "None", "zero") == 2
    assert relation_by_rule("How many stars are there?", "Two.", "2.0") == 2
    assert relation_by_rule("How many stars are there?", "2.5", "2.50") == 2
    assert relation_by_rule("How many stars are there?", "at least 2", "3") is None
    assert relation_by_rule("Which version is it?", "2", "2.0") is None
    assert relation_by_rule("Which tram goes there?", "2", "3") is None
    assert relation_by_rule("Who is there?", "None", "zero") is None


def test_without_a_model_yes_and_no_and_spellings_are_clustered_and_the_rest_stays_apart():
    def clusters(question, answers, strict=False):
        relations = np.argmax(RuleJudge().probabilities(question, answers), axis=2)
        return cluster(lambda i, j: int(relations[i, j]), len(answers), strict)

    long = "Look at the picture with care, and at each of its corners. " * 8 + "Is there a dog?"
    assert clusters(long, ["Yes", "No", "Yes.", "no!", "**Yes**", "No, no dog."]) == [0, 1, 0, 1, 0, 1]
    assert clusters("Capital?", ["Paris", "Paris.", "It's Paris.", "London"], True) == [0, 0, 0, 1]
    assert clusters("Is it?", ["Yes, a brown dog.", "Yes, two dogs.", "No, a cat."]) == [0, 0, 1]


@given(
    st.lists(st.text(alphabet="yesno 12.?!*'\"-AaéÉ中", max_size=12), min_size=1, max_size=6),
    st.text(max_size=20),
)
def test_the_rules_are_a_relation_that_can_be_relied_on(answers, question):
    found = settled(question, answers)
    settled_pairs = ~np.isnan(found[:, :, 0])
    relations = np.where(settled_pairs, np.argmax(np.nan_to_num(found), axis=2), -1)
    assert (np.diagonal(relations) == 2).all()
    assert (relations == relations.T).all()  # a rule has no direction
    equal = relations == 2
    assert not (np.einsum("ij,jk->ik", equal, equal) > 0)[~equal].any()  # meaning the same is transitive
    for i, one in enumerate(answers):
        assert normalised(one, question) == normalised(one, question)
        for j, two in enumerate(answers):
            assert relation_by_rule(question, one, two) == (None if relations[i, j] < 0 else relations[i, j])


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [("Yes?", "Yes", True), ('"No."', "no", True), ("**Yes**, a dog", "yes", True), ("_No_", "No", True)]
    + [
        ("Nope.", "No", True),
        ("Yeah", "Yes", True),
        ("Yes", "No", False),
        ("B", "A", False),
        ("A.", "A", True),
    ]
    + [("Sí.", "Yes", True), ("हो", "है", False)],
)
def test_judging_an_answer_knows_the_same_forms(answer, truth, right):
    assert is_correct(answer, truth) is right
