"""Scans of heads on models whose inside is known: what `measure_heads` finds must be the planted heads."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from planted_models import HEADS, LAYERS, planted
from scipy.stats import spearmanr

import isi_widget as isi

ONE_PATH = ("one_hop", "two_hop", "decoys")


@cache
def scanned(kind, **given):
    made = planted(kind)
    return isi.measure_heads(made.vlm(), made.observations(4), **given)


def largest(matrix, count):
    """The places of the largest values, as a set."""
    order = np.argsort(-matrix, axis=None, kind="stable")[:count]
    return {divmod(int(place), matrix.shape[1]) for place in order}


@pytest.mark.parametrize(
    ("replace", "target"),
    [
        pytest.param(replace, target, marks=() if (one - other) % 3 == 0 else pytest.mark.slow)
        for one, replace in enumerate(("zero", "mean", "reference"))
        for other, target in enumerate(("logit_difference", "p", "log_p_answer"))
    ],
)
@pytest.mark.parametrize("kind", ONE_PATH)
def test_exact_finds_the_planted_heads(kind, replace, target):
    made, found = planted(kind), scanned(kind, target=target, replace=replace)
    share = found.signed / found.baseline.mean() if target == "logit_difference" else found.signed
    assert largest(share, len(made.causal)) == set(made.causal)
    smallest = min(share[place] for place in made.causal)
    assert smallest > (0.6 if target == "logit_difference" else 0.3)
    assert all(abs(share[place]) < smallest / 5 for place in made.idle)
    assert found.accuracy == 1 and (found.positive >= 0).all()
    assert largest(found.positive, len(made.causal)) == set(made.causal)
    assert {(head.layer, head.head) for head in found.top(len(made.causal))} == set(made.causal)


@pytest.mark.parametrize("kind", ONE_PATH)
def test_the_last_position_alone_finds_the_head_that_acts_there(kind):
    made = planted(kind)
    found = scanned(kind, positions="last", replace="zero")
    assert largest(found.signed, 1) == {made.causal[-1]}
    assert all(
        abs(found.signed[place]) < 0.3 for place in np.ndindex(LAYERS, HEADS) if place != made.causal[-1]
    )


def test_a_layer_shows_what_its_twins_hide():
    made = planted("twins")
    found = scanned("twins", replace="zero")
    layer = made.causal[0][0]
    assert np.abs(found.signed).max() < 0.2
    assert found.layer_totals[layer] == pytest.approx(found.baseline.mean(), rel=0.05)
    assert all(abs(found.layer_totals[other]) < 0.5 for other in range(LAYERS) if other != layer)


def test_attention_misleads_and_the_scan_does_not():
    """The rank correlation that the page shows beside its scatter is negative here."""
    made = planted("decoys")
    found = scanned("decoys", replace="zero").signed
    prefill = made.vlm().prefill(made.observation(True).stimulus())
    attention = np.asarray(prefill.mass)[..., prefill.prompt.groups.index("image")]
    assert largest(attention, 1).isdisjoint(made.causal)
    assert found[next(iter(largest(attention, 1)))] == pytest.approx(0, abs=1e-4)
    assert spearmanr(attention.ravel(), found.round(3).ravel()).statistic < -0.4


def test_wrong_answers_are_explained_by_the_same_head():
    """With the true answers exchanged, the planted head is the one that does the harm."""
    made = planted("one_hop")
    items = [(seen, made.answers[seen.answer == made.answers[0]]) for seen in made.observations(4)]
    found = isi.measure_heads(made.vlm(), items, replace="zero")
    assert found.accuracy == 0 and np.isnan(found.positive).all()
    assert largest(found.negative, 1) == {made.causal[0]} and largest(-found.signed, 1) == {made.causal[0]}
    assert any("All items are answered wrongly" in note for note in found.remarks)
