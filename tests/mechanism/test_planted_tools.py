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
