"""True answers as tables and lists write them, and how answers are judged by them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from isi_widget import Observation, Stimulus
from isi_widget.datasets import from_csv
from isi_widget.errors import InputError
from isi_widget.text.correctness import is_correct, judge, said_yes
from isi_widget.text.truths import BAR, YES_NO, accepted, is_no_truth, joined, listed

IS, MANY, WHAT = "Is there a star?", "How many stars are there?", "What colour is it?"


# ---- yes and no
@pytest.mark.parametrize(
    "truth", ["Yes", "yes.", "YES!", "Yeah", "Yes, there is a star.", "ja", "Oui", "Sí", "是的", "да"]
)
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("Yes.", True),
        ("Yep, there is.", True),
        ("Ja, da ist ein Stern.", True),
        ("Oui.", True),
        ("¡Sí!", True),
        ("はい。", True),
        ("是的，有一颗星。", True),
        ("हाँ।", True),
        ("Да, есть.", True),
        ("The answer is yes.", True),
        ("Let me see: five corners. So the answer is: **Yes**", True),
        ("No", False),
        ("Nein.", False),
        ("Não há.", False),
        ("不是", False),
        ("没有。", False),
        ("नहीं।", False),
        ("いいえ、ありません。", False),
        ("The answer is no.", False),
    ],
)
def test_yes_and_no_in_their_spellings(truth, answer, says):
    assert is_correct(answer, truth, IS) is says
    assert is_correct(answer, {"Yes": "No"}.get(truth, "no"), IS) is not says


@pytest.mark.parametrize(
    "answer", ["Nothing.", "Yesterday", "There is a star.", "Javelins", "Nonsense", "Siamese"]
)
def test_an_answer_that_begins_with_neither_is_wrong_as_before(answer):
    assert is_correct(answer, "Yes", IS) is False and is_correct(answer, "No", IS) is False


def test_an_answer_in_letters_without_a_known_yes_is_not_judged():
    found = judge("เห็นดาว", "Yes", IS)
    assert found.correct is None and "letters" in found.reason
    assert judge("12", "Yes", IS).correct is False and judge("", "Yes", IS).correct is False


@pytest.mark.parametrize("answer", ["Non-metallic ones.", "不锈钢", "对面", "네모", "예쁜 별"])
def test_words_that_begin_like_a_yes_or_no_are_none(answer):
    assert said_yes(answer) is None


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [("It is Si.", "Si", True), ("The sign reads NON FUMEURS", "non", True), ("Silicon", "Si", False)],
)
def test_a_foreign_yes_is_a_word_like_any_other_where_the_question_asks_what(answer, truth, expected):
    assert is_correct(answer, truth, "What does the sign read?") is expected


@pytest.mark.parametrize("word", sorted(YES_NO))
def test_every_word_means_the_same_as_a_truth_and_as_an_answer(word):
    same, other = YES_NO[word], {"yes": "No", "no": "Yes"}[YES_NO[word]]
    assert said_yes(word) is said_yes(word.upper() + ".") is (same == "yes")
    assert is_correct(word, same, IS) is True and is_correct(word, other, IS) is False
    assert is_correct(same, word, IS) is True and is_correct(other, word, IS) is False


@pytest.mark.parametrize("text", ["", "red", "star", "one", "maybe", "A"])
def test_other_texts_are_neither(text):
    assert said_yes(text) is None


# ---- numbers
@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        ("twelve", "12", True),
        ("There are twenty-one stars.", "21", True),
        ("twenty one", "21.0", True),
        ("thirteen", "3", False),
        ("Twenty.", "2", False),
        ("None.", "0", True),
        ("There are no stars.", "0", True),
        ("zero", "none", True),
        ("No.", "0", True),
        ("I see no stars, so none.", "3", False),
        ("0", "No", True),
        ("two", "2.0", True),
    ],
)
def test_counts(answer, truth, expected):
    assert is_correct(answer, truth, MANY) is expected


# ---- several answers
@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        ("It is crimson.", "red | crimson", True),
        ("dark red", "red|crimson", True),
        ("It is not red.", "red | crimson", False),
        ("blue", "red | crimson", False),
        ("two", "2 | two stars", True),
        ("Yes, it is.", "yes | red", True),
        ("red | crimson", "red | crimson", True),
        ("red", "| red |", True),
        ("red", "red |", True),
        ("blue", "A | red", False),
        ("a", "A | red", True),
        ("There is a red one", "A | blue", None),  # "A" cannot be judged
        ("green", "unknown | red", None),
    ],
)
def test_any_of_several_truths_is_right(answer, truth, expected):
    found = judge(answer, truth, WHAT)
    assert found.correct is expected and bool(found.reason) == (expected is None)


@pytest.mark.parametrize(
    ("answer", "votes", "expected"),
    [("net", 3, True), ("net", 10, True), ("net", 2, None), ("net", 1, None), ("bat", 4, False)],
)
def test_ten_people_as_in_vqa(answer, votes, expected):
    truth = joined(["net"] * votes + [f"racket{i}" for i in range(8 - votes)] + ["ball"] * 2)
    found = judge(answer, truth, "What is it?")
    assert found.correct is expected
    if expected is None:
        assert f"{votes} of 10 people" in found.reason and f"{votes}/3" in found.reason


def test_ten_different_answers_are_a_list_of_accepted_ones():
    truth = joined([f"word{i}" for i in range(10)])
    assert is_correct("word7", truth) is True and is_correct("word", truth) is False


@given(st.lists(st.text(st.characters(exclude_characters=BAR, exclude_categories=["Cs"])), min_size=1))
def test_joined_answers_are_read_back(answers):
    kept = [text for item in answers if (text := item.strip())]
    truth = joined(answers)
    if not kept:
        assert truth is None
    else:
        assert truth is not None and (list(accepted(truth)) == kept)


# ---- no truth
@pytest.mark.parametrize(
    "truth", ["n/a", "N/A", "#N/A", "<NA>", "nan", "NaN", "unknown", "Unknown.", "?", "-", "TBD"]
)
def test_a_truth_that_states_no_answer_is_not_judged(truth):
    found = judge("Yes", truth, IS)
    assert found.correct is None and "does not state an answer" in found.reason
    assert is_no_truth(truth)
    assert judge(truth, truth, IS).correct is True  # the same words


@pytest.mark.parametrize("truth", ["NA", "None", "null"])
def test_words_that_may_be_an_answer_are_none_of_a_yes_no_question(truth):
    assert judge("Yes", truth, IS).correct is None
    assert judge("red", truth, WHAT).correct is False
    assert judge(truth, truth, WHAT).correct is True


# ---- lists of Python, NumPy and pandas
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["red", "crimson"], "red | crimson"),
        (("red", "red", "blue"), "red | red | blue"),
        ({"b", "a"}, "a | b"),
        (np.array(["red", "blue"], dtype=object), "red | blue"),
        (pd.Series(["red", None, "blue"]), "red | blue"),
        ([True, "y"], "Yes | y"),
        (["yes"], "Yes"),
        ([], None),
        (["", None, float("nan")], None),
    ],
)
def test_observations_and_stimuli_take_lists(given, kept):
    picture = Image.new("RGB", (8, 8))
    assert Observation(picture, WHAT, answer=given).answer == kept
    assert Stimulus(picture, WHAT, true_answer=given).true_answer == kept


def test_a_list_that_cannot_be_kept_is_refused():
    picture = Image.new("RGB", (8, 8))
    with pytest.raises(InputError, match="must not contain"):
        Observation(picture, WHAT, answer=["red | blue"])
    with pytest.raises(InputError, match="pass a count as text"):
        Observation(picture, IS, answer=[3, 4])


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ('["red", "crimson"]', ["red", "crimson"]),
        ("['red', 'dark red']", ["red", "dark red"]),
        ("['red' 'dark red'\n 'blue']", ["red", "dark red", "blue"]),
        ("[3, 4.5, true, null]", ["3", "4.5", "Yes"]),
        ("[True, False, None]", ["Yes", "No"]),
        ('[{"answer": "net", "answer_confidence": "yes"}, {"answer": "ball"}]', ["net", "ball"]),
        ("[]", []),
        ("red", None),
        ("[red, blue]", None),
        ("[['a'], 'b']", None),
        ("[__import__('os').getcwd()]", None),
        ("[" * 9999 + "]" * 9999, None),
    ],
)
def test_lists_in_cells(cell, found):
    assert listed(cell) == found


# ---- tables
def read(tmp_path, answers, questions=IS, **how):
    images = tmp_path / "images"
    images.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(images / "a.png")
    if isinstance(questions, str):
        questions = [questions] * len(answers)
    frame = pd.DataFrame({"image": "a.png", "question": questions, "answer": answers})
    frame.to_csv(tmp_path / "t.csv", index=False, **how)
    return [item.answer for item in from_csv(tmp_path / "t.csv", images)]


def test_ones_and_zeros_beside_an_empty_cell_are_yes_and_no(tmp_path):
    assert read(tmp_path, [1, 0, None]) == ["Yes", "No", None]
    assert read(tmp_path, [1, 0, None], na_rep="n/a") == ["Yes", "No", None]
    assert read(tmp_path, ["ja", "Nein", ""]) == ["Yes", "No", None]
    assert read(tmp_path, ["WAHR", "FALSCH", "wahr"]) == ["Yes", "No", "Yes"]


def test_a_cell_that_states_no_answer_leaves_the_others_yes_and_no_and_is_counted(tmp_path):
    found = read(tmp_path, ["1", "0", "unknown", "?"])
    assert found == ["Yes", "No", "unknown", "?"]
    assert [judge("Yes", truth, IS).correct for truth in found] == [True, False, None, None]


def test_counts_beside_an_empty_cell(tmp_path):
    found = read(tmp_path, [3, 0, None], MANY)
    assert found == ["3.0", "0.0", None]
    assert [is_correct("three", truth, MANY) for truth in found] == [True, False, None]
    assert read(tmp_path, [3, 12, None], MANY, na_rep="nan")[2] is None
    assert read(tmp_path, ["3", "none", "None"], MANY) == ["3", "none", None]
    assert read(tmp_path, ["red", "nan"], WHAT) == ["red", "nan"]  # texts stay as they are


def test_lists_and_bars_in_a_table(tmp_path):
    found = read(
        tmp_path, ["red | crimson", "['red', 'crimson']", '["a", "a"]', str(np.array(["x y", "z"]))], WHAT
    )
    assert found == ["red | crimson", "red | crimson", "a | a", "x y | z"]


def test_a_list_with_a_bar_in_an_answer_is_a_wrong_row(tmp_path):
    with pytest.raises(InputError, match=r'row 2, column "answer".*must not contain'):
        read(tmp_path, ["['a|b', 'c']"], WHAT)


# ---- truths that a table or a list means otherwise than it says
@pytest.mark.parametrize(
    "count", [1, 0, 3, np.int64(1), np.float64(1.0), pd.array([1], dtype="Int64")[0], 2.5]
)
def test_a_number_is_a_count_where_the_question_asks_for_one(count):
    observation = Observation(Image.new("RGB", (8, 8)), MANY, answer=count)
    assert observation.answer == f"{float(count):g}"
    assert judge(f"{float(count):g}", observation.answer, MANY).correct is True
    assert judge("Yes", observation.answer, MANY).correct is not True
    assert Stimulus(observation.image, MANY, true_answer=count).truth == observation.answer


def test_numbers_of_a_list_are_counts_too_and_booleans_are_not():
    picture = Image.new("RGB", (8, 8))
    assert Observation(picture, MANY, answer=[1, 0]).answer == "1 | 0"
    assert Observation(picture, MANY, answer=True).answer == "Yes"
    assert Observation(picture, IS, answer=1).answer == "Yes"


@pytest.mark.parametrize("truth", ["2", "-1", "0.5", "maybe", "x", "对吗", "\N{BALLOT BOX WITH CHECK}"])
def test_a_yes_no_question_whose_truth_is_neither_is_not_judged(truth):
    for answer in ("Yes", "No, it is not."):
        found = judge(answer, truth, IS)
        assert found.correct is None and "neither yes nor no" in found.reason
    assert judge("Yes", truth, WHAT).correct is False


@pytest.mark.parametrize(
    ("frame", "truths"),
    [
        (pd.Series([1, 0, None], dtype="Int64"), ["Yes", "No", None]),
        (pd.Series([True, False, None], dtype="boolean"), ["Yes", "No", None]),
        (pd.Series([True, False, None], dtype=object), ["Yes", "No", None]),
        (pd.Series(["yes", "no", None], dtype="category"), ["Yes", "No", None]),
        (pd.Series([1.0, 0.0, np.nan]), ["Yes", "No", None]),
        (pd.Series([" Yes ", "no\u00a0", "YES"]), ["Yes", "No", "Yes"]),
        (pd.Series(["真", "假", "真"]), ["Yes", "No", "Yes"]),
        (pd.Series(["✓", "✗", "✓"]), ["Yes", "No", "Yes"]),
    ],
)
def test_columns_of_pandas(tmp_path, frame, truths):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    table = pd.DataFrame({"image": "a.png", "question": IS, "answer": frame})
    table.to_csv(tmp_path / "t.csv", index=False, encoding="utf-8-sig")
    assert [one.answer for one in from_csv(tmp_path / "t.csv", tmp_path)] == truths


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t.csv", b"image;question\na.png;q", r"from_csv\(..., delimiter=';'\)"),
        ("t.csv", b"image\tquestion\na.png\tq", r"delimiter='\\t'"),
        ("t.csv", b"sep=;\nimage;question\na.png;q", r"delimiter=';'"),
        ("t.parquet", b"PAR1\x00", r"Parquet.*read_parquet"),
        ("t.xlsx", b"PK\x03\x04\xff", "workbook"),
        ("t.json", b'[{"image": "a.png"}]', "is JSON"),
        ("t.csv.gz", b"\x1f\x8b\x08", "unpack it"),
    ],
)
def test_a_table_in_another_format_is_named(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=words):
        from_csv(tmp_path / name, tmp_path)


def test_a_line_for_spreadsheets_is_no_header(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("sep=;\nimage;question;answer\na.png;Is it?;ja\n", encoding="utf-8-sig")
    assert [one.answer for one in from_csv(tmp_path / "t.csv", tmp_path, delimiter=";")] == ["Yes"]
