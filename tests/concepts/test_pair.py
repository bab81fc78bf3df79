"""Pairs: what differs in pixels, words and tokens; warnings; JSON; the notebook's view."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isi_widget as isi
from isi_widget.concepts.pair_tokens import touches
from isi_widget.concepts.wording import compared
from isi_widget.errors import InputError


@pytest.fixture(scope="module")
def plain():
    return isi.datasets.scenes()[0].stimulus()


def test_a_box_is_the_difference(plain):
    pair = isi.Pair(plain, plain.box(30, 40, 50, 60, color="#010203"), "object", "a box")
    expected = np.zeros((plain.image.height, plain.image.width), dtype=bool)
    expected[40:100, 30:80] = True
    assert np.array_equal(pair.pixels, expected)
    assert pair.box == (30, 40, 50, 60)
    assert pair.share == pytest.approx(3000 / expected.size)
    assert pair.inputs == ("image",)
    assert not pair.pixels.flags.writeable
    assert pair.swapped().clean == pair.corrupt and pair.swapped().corrupt == pair.clean


def test_scattered_pixels_are_more_than_a_mask_can_hold(monkeypatch):
    monkeypatch.setattr("isi_widget.stimulus.mask.MOST_RUNS", 20)
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[::2, ::2] = 255
    pair = isi.Pair(isi.Stimulus(np.zeros_like(pixels), "q?"), isi.Stimulus(pixels, "q?"))
    assert pair.box == (0, 0, 19, 19) and pair._repr_html_()
    with pytest.raises(InputError, match=r"Use pair\.box"):
        _ = pair.mask


def test_observations_are_taken():
    first, second = isi.datasets.scenes()[:2]
    pair = isi.Pair(first, second)
    assert pair.clean == first.stimulus() and pair.corrupt == second.stimulus()
    with pytest.raises(InputError, match=r"Pair: corrupt must be a Stimulus or an Observation; got str"):
        isi.Pair(first, "star")
    with pytest.raises(InputError, match=r"level"):
        isi.Pair(first, second, "counting")


def test_warnings(plain):
    assert "Nothing differs" in isi.Pair(plain, plain).warnings[0]
    assert isi.Pair(plain, plain).inputs == ()
    both = isi.Pair(plain, plain.box(1, 1, 9, 9).with_question("Is there a ring?"))
    assert any("image and question differ at once" in text for text in both.warnings)
    small = isi.Pair(plain, plain.with_image(np.zeros((50, 60, 3), np.uint8)))
    assert any("different sizes" in text for text in small.warnings)
    assert small.pixels is None and small.box is None and small.share is None
    same = isi.Pair(plain, plain.noise(0.1))
    assert same.warnings == (f"The true answer is {plain.truth!r} for both.",)


def test_an_edit_that_may_change_the_truth_has_none(plain):
    covered = plain.box(0, 0, plain.image.width, plain.image.height)
    pair = isi.Pair(plain, covered)
    assert pair.truths == (plain.truth, None) and pair.flips is None and pair.warnings == ()
    told = isi.Stimulus(covered.render(), plain.question, true_answer="No")
    assert isi.Pair(plain, told).flips is True


def test_white_space_that_no_model_reads_is_no_difference(plain):
    assert isi.Pair(plain, plain.with_question(f"  {plain.question} ")).inputs == ()


def test_words(plain):
    pair = isi.Pair(
        plain.with_question("Is the red star large?"), plain.with_question("Is the blue star small?")
    )
    marked = [(piece.clean, piece.corrupt) for piece in pair.wording("question") if not piece.same]
    assert marked == [("red ", "blue "), ("large", "small")]
    with pytest.raises(InputError, match="context, question"):
        pair.wording("image")


@given(st.text(alphabet="ab ,.?\n", max_size=30), st.text(alphabet="ab ,.?\n", max_size=30))
def test_pieces_give_the_texts_back(one, two):
    pieces = compared(one, two)
    assert "".join(piece.clean for piece in pieces) == one
    assert "".join(piece.corrupt for piece in pieces) == two
    assert all(piece.same for piece in pieces) == (one == two)


def test_json(plain):
    pair = isi.Pair(plain, plain.box(30, 40, 50, 60), "object", "a box over the star")
    record = json.loads(json.dumps(pair.to_dict()))
    again = isi.Pair.from_dict(record)
    assert np.array_equal(again.pixels, pair.pixels)
    assert again.to_dict() == pair.to_dict()
    pictures = {**pair.clean.pictures, **pair.clean.presets.images}
    pictures = {picture.sha256: picture for picture in pictures.values()}
    assert isi.Pair.from_dict(pair.to_dict(embed=False), pictures).box == pair.box
    with pytest.raises(InputError, match="lacks corrupt"):
        isi.Pair.from_dict({"clean": record["clean"]})


def test_views(plain):
    pair = isi.Pair(plain, plain.with_question("Is <b> there?").box(30, 40, 50, 60), "object", "a box")
    html = pair._repr_html_()
    assert html.count("<img ") == 2 and "<mark" in html and "<b> there" not in html
    assert "(!)" in html and "outlined" in html and "http" not in html
    assert "a box" in repr(pair) and "differs: image, question" in repr(pair)


# ---- tokens
def test_tokens_of_a_changed_picture(plain, vlm):
    pair = isi.Pair(plain, plain.box(30, 40, 120, 60))
    found = pair.tokens(vlm)
    prompt, boxes = vlm.encode(plain), vlm.token_boxes(plain)
    places = prompt.indices("image")
    left, top, right, bottom = 30, 40, 150, 100
    by_hand = tuple(
        place
        for place, (x0, y0, x1, y1) in zip(places, boxes, strict=True)
        if x0 < right and x1 > left and y0 < bottom and y1 > top
    )
    assert by_hand and found.clean["image"] == found.corrupt["image"] == by_hand
    assert found.segments == ("image",) and found.same_length and found.lengths == (len(prompt),) * 2
    assert isi.TokenDifference.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_tokens_of_changed_words(plain, vlm):
    one, two = plain.with_question("Is the star red?"), plain.with_question("Is the star blue?")
    found = isi.Pair(one, two).tokens(vlm)
    first, second = vlm.encode(one).ids, vlm.encode(two).ids
    assert found.same_length and len(first) == len(second)
    assert found.clean["question"] == tuple(at for at in range(len(first)) if first[at] != second[at]) != ()
    assert found.segments == ("question",)


def test_tokens_of_a_longer_text(plain, vlm):
    one, two = plain.with_question("Is the star red?"), plain.with_question("Is the large star red?")
    found = isi.Pair(one, two).tokens(vlm)
    assert not found.same_length and found.clean["question"] == ()
    assert len(found.corrupt["question"]) == found.lengths[1] - found.lengths[0] > 0
    ids = vlm.encode(two).ids
    assert [ids[at] for at in range(len(ids)) if at not in found.corrupt["question"]] == list(
        vlm.encode(one).ids
    )
    assert any("The question has" in warning for warning in found.warnings)


def test_no_model(plain):
    with pytest.raises(InputError, match="needs a VLM"):
        isi.Pair(plain, plain).tokens("llava")


@given(st.integers(0, 2**32 - 1))
def test_boxes_that_touch_marked_pixels(seed):
    rng = np.random.default_rng(seed)
    pixels = rng.random((9, 13)) < 0.08
    edges = np.sort(rng.uniform(0, 13, (20, 2))), np.sort(rng.uniform(0, 9, (20, 2)))
    boxes = np.stack([edges[0][:, 0], edges[1][:, 0], edges[0][:, 1], edges[1][:, 1]], axis=1)
    boxes[3] = np.nan
    slow = [
        any(x0 < x + 1 and x1 > x and y0 < y + 1 and y1 > y for y, x in zip(*np.nonzero(pixels), strict=True))
        for x0, y0, x1, y1 in boxes
    ]
    assert touches(boxes, pixels).tolist() == slow
