"""Symmetric token replacement: counts against the tokenizer itself, refusals, pairs."""

from __future__ import annotations

import pytest

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.text.words import whole_words


@pytest.fixture(scope="module")
def plain():
    return isi.datasets.scenes()[0].stimulus().with_question("Is the red star left of the bored circle?")


def test_words_are_replaced_whole(plain):
    assert plain.replace_words("red", "blue").current_question == "Is the blue star left of the bored circle?"
    text = "the star, once more"
    assert (
        plain.with_context(text).replace_words("star,", "ring,", "context").current_context
        == "the ring, once more"
    )
    with pytest.raises(InputError, match=r"'the' must stand once.*2 times.*more words"):
        plain.replace_words("the", "a")
    with pytest.raises(InputError, match=r"'ring' must stand once.*0 times.*Copy them from the text"):
        plain.replace_words("ring", "star")
    with pytest.raises(InputError, match="0 times"):
        plain.replace_words("", "x")
    with pytest.raises(InputError, match="question, context"):
        plain.replace_words("red", "blue", "image")


def test_whole_words():
    assert whole_words("red", "red bored red, (red)") == [(0, 3), (10, 13), (16, 19)]
    assert whole_words("a.b", "axb a.b") == [(4, 7)]
    assert whole_words("赤い", "この赤い星") == [(2, 4)]
    assert whole_words("?", "so? no?") == [(2, 3), (6, 7)]


def test_counts_are_those_of_the_prompt(plain, vlm):
    words = ["blue", "green", "xylophonic", "very large", "rot"]
    found = isi.token_replacements(vlm, plain, "red", words)
    for item in found.found:
        one, two = vlm.encode(plain), vlm.encode(plain.replace_words("red", item.new))
        assert item.counts == (one.token_counts()["question"], two.token_counts()["question"])
        own = len(vlm.tokenizer.tokenize(f" {item.new}"))
        assert item.tokens == (1, own)
        assert item.symmetric == (own == 1) == (len(one) == len(two))
    assert found.symmetric[:2] == ("blue", "green") and "xylophonic" not in found.symmetric
    assert "xylophonic" in found._repr_html_() and "symmetric" in repr(found)


def test_a_pair(plain, vlm):
    pair = isi.replace_tokens(vlm, plain, "red", "blue")
    assert pair.inputs == ("question",) and pair.corrupt.current_question.startswith("Is the blue star")
    tokens = pair.tokens(vlm)
    assert tokens.same_length and len(tokens.clean["question"]) == len(tokens.corrupt["question"]) == 1
    assert isi.token_replacements(vlm, plain, "red", ["very large", "pink"]).pair().change == (
        "'red' becomes 'pink' in the question"
    )


def test_refusals(plain, vlm):
    with pytest.raises(InputError, match=r"'very large' has not as many tokens as 'red'.*[2-9] instead of 1"):
        isi.replace_tokens(vlm, plain, "red", "very large")
    with pytest.raises(InputError, match="No candidate has as many"):
        isi.token_replacements(vlm, plain, "red", ["very large"]).pair()
    with pytest.raises(InputError, match="from 1 to 10000 candidates"):
        isi.token_replacements(vlm, plain, "red", [])
    with pytest.raises(InputError, match="Tokens need a VLM"):
        isi.replace_tokens("llava", plain, "red", "blue")


def test_a_candidate_that_the_model_refuses_has_its_reason(plain, vlm):
    found = isi.token_replacements(vlm, plain, "red", ["blue", vlm.processor.image_token])
    assert found.symmetric == ("blue",) and "control token" in found.found[1].reason


def test_in_the_context(plain, vlm):
    told = plain.with_context("There is a star here.")
    pair = isi.replace_tokens(vlm, told, "star", "ring", part="context")
    assert pair.inputs == ("context",) and pair.corrupt.current_context == "There is a ring here."
