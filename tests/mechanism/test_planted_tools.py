"""Each tool on models whose inside is known: it must point to the planted heads, tokens and layers."""

from __future__ import annotations

import numpy as np
import pytest
from planted_models import HERE, LAYERS, box, planted

import isi_widget as isi

ONE_PATH = ("one_hop", "two_hop", "decoys")


def pair(made):
    """The same picture with the one patch red and blue."""
    return made.observation(True), made.observation(False)


# Lens -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*ONE_PATH, "twins"])
@pytest.mark.parametrize("right", [True, False])
def test_the_lens_finds_the_answer_after_the_layer_that_writes_it(kind, right):
    made = planted(kind)
    observation = made.observation(right)
    lens = isi.logit_lens(made.vlm(), observation, words=made.answers)
    writes, true = made.causal[-1][0], observation.answer
    at_last = lens.probability(true)[:, -1]
    # Before that the model knows that it has to answer, and not what.
    assert np.allclose(at_last[:writes], 0.5, atol=0.05)
    assert (at_last[writes:] > 0.9).all()
    assert lens.answer.words[LAYERS - 1][0][0].strip() == true
    # The image token that knows it does not hold it as a word.
    left, top, width, height = box(HERE)
    here = lens.at(left + width / 2, top + height / 2)
    assert kind == "twins" or all(
        word.strip() not in made.answers for words in here.words for word, _ in words[:1]
    )


# Trace ------------------------------------------------------------------------------------------------------


def path(made):
    """Where the answer is at the input of each layer: the group of tokens."""
    first, last = made.causal[0][0], made.causal[-1][0]
    return [
        "edited region" if layer <= first else "question" if layer <= last else "last"
        for layer in range(LAYERS)
    ]


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("kind", ONE_PATH)
def test_the_trace_follows_the_answer(kind, direction):
    made = planted(kind)
    found = isi.trace(made.vlm(), *pair(made), direction=direction)
    assert {"edited region", "other image", "question", "last"} <= set(found.groups)
    residual = found.recovery[found.sites.index("residual")]
    expected = np.zeros_like(residual)
    for layer, group in enumerate(path(made)):
        expected[layer, found.groups.index(group)] = 1
    assert residual == pytest.approx(expected, abs=0.08)
    attention = found.recovery[found.sites.index("attention")]
    written = np.zeros_like(attention)
    for (layer, _), group in zip(made.causal, ["question", "last"][-len(made.causal) :], strict=True):
        written[layer, found.groups.index(group)] = 1
    assert attention == pytest.approx(written, abs=0.08)
    assert np.abs(found.recovery[found.sites.index("mlp")]).max() < 0.08


@pytest.mark.parametrize("kind", ONE_PATH)
def test_estimates_of_the_trace_point_there_too(kind):
    made = planted(kind)
    found = isi.trace(made.vlm(), *pair(made), sites=("residual",), beside=("integrated", "gradient"))
    for layer, group in enumerate(path(made)):
        for values in found.estimates.values():
            assert found.groups[int(np.nanargmax(values[0, 0, layer]))] == group
    assert found.agreement["integrated"]["largest_difference"] < 0.1


def test_one_gradient_misses_what_saturates():
    """Where one of two twins suffices, the answer hardly moves with what either reads."""
    made = planted("twins")
    found = isi.trace(made.vlm(), *pair(made), sites=("residual",), beside=("gradient",))
    at = (0, 0, 0, found.groups.index("edited region"))
    assert found.each[at] == pytest.approx(1, abs=0.05)
    assert found.estimates["gradient"][at] < 0.1
    assert found.agreement["gradient"]["largest_difference"] > 0.9


def test_random_tokens_carry_nothing():
    made = planted("two_hop")
    found = isi.trace(made.vlm(), *pair(made), groups=("edited region", "last"), controls=3, seed=1)
    assert np.abs(found.controls).max() < 0.08
    sentence = found.sentence(1, "edited region")
    assert "carries over 100 %" in sentence and "as many random tokens: 0 % (3 draws)" in sentence


def test_a_cell_is_an_intervention():
    made = planted("two_hop")
    red, blue = pair(made)
    found = isi.trace(made.vlm(), red, blue, sites=("residual",), window=2)
    for layer, group, flips in ((1, "edited region", True), (2, "question", True), (0, "question", False)):
        edited = made.vlm().intervene(*found.patches(layer, group))
        assert edited.answer(blue.stimulus(), 4).text == ("Yes" if flips else "No")
    with pytest.raises(isi.InputError, match="k must be a whole number"):
        found.top(-1)


def test_a_group_that_the_prompt_does_not_have_is_named():
    made = planted("one_hop")
    with pytest.raises(isi.InputError, match="'context' was not traced: the prompt has no such tokens"):
        isi.trace(made.vlm(), *pair(made), groups="context")


def test_words_of_the_lens_are_found_without_their_space():
    made = planted("one_hop")
    lens = isi.logit_lens(made.vlm(), made.observation(True))
    assert "Yes" not in lens.words
    last = made.vlm().prefill(made.observation(True).stimulus()).logits.softmax(-1)[made.token_id("Yes")]
    assert lens.probability("Yes")[-1, -1] == pytest.approx(float(last), abs=1e-6)


# Knock-out curves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ONE_PATH)
def test_a_cut_in_the_layer_that_reads_takes_the_answer(kind):
    made = planted(kind)
    here = isi.ImageTokens(box(HERE))
    cuts = {"question": ("question", here), "last": ("last", here), "across": ("last", "question")}
    found = isi.knockout_curve(made.vlm(), made.observations(4), cuts, controls=2, seed=3)
    expected = np.zeros((len(cuts), LAYERS))
    names = ["last"] if kind == "one_hop" else ["question", "across"]
    for (layer, _), name in zip(made.causal, names, strict=True):
        expected[list(cuts).index(name), layer] = 1
    # Without its fact the model has to guess between two answers.
    lost = (found.base.mean() - found.mean) / (found.base.mean() - 0.5)
    assert lost == pytest.approx(expected, abs=0.15)
    assert np.nanmax(np.abs(found.base.mean() - found.control[:2])) < 0.05
