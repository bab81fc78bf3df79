"""Patching and scans against other tools: captum in this process, nnsight in one of its own.

A test is left out where its tool is not installed. See `test_inside_oracles` for single interventions.
"""

from __future__ import annotations

import by_captum
import numpy as np
import patched_by_nnsight as by_nnsight
import pytest
import tiny_models
import torch
from test_families import plain_inputs

import isi_widget as isi
from isi_widget.mechanism.head_methods import groups
from isi_widget.mechanism.items import Item, aim_of


def observation(shown, answer=None):
    """The same picture and texts as an observation."""
    return isi.Observation(shown.render(), shown.current_question, shown.current_context, answer)


CLEAN, CORRUPT = observation(by_nnsight.CLEAN, "yes"), observation(by_nnsight.CORRUPT, "no")
#: Largest difference of a number from that of another tool.
NEAR = 1e-5


def aim(vlm):
    """Ids of the tokens for yes and no that a trace and a scan take."""
    found = aim_of(vlm, Item(CLEAN.stimulus(), "Yes", "No"), vlm.prefill(CLEAN.stimulus()).logits)
    return found.right, found.wrong


def plain_model(vlm, shown):
    """A plain pass over one prompt, scored by logit(yes) - logit(no), for captum."""
    pytest.importorskip("captum", reason="captum is not installed: pip install captum")
    right, wrong = aim(vlm)
    return by_captum.Model(vlm, plain_inputs(vlm, shown), lambda logits: logits[:, right] - logits[:, wrong])


@pytest.fixture(scope="module")
def traced(run_with_nnsight):
    """{family: logits of each case}, from nnsight."""
    folder = run_with_nnsight("patched_by_nnsight.py")
    return {family: torch.load(folder / f"{family}.pt") for family in by_nnsight.FAMILIES}


@pytest.mark.parametrize("family", by_nnsight.FAMILIES)
def test_a_patch_is_that_of_nnsight(traced, family):
    vlm, expected = tiny_models.vlm(family), traced[family]
    corrupt = CORRUPT.stimulus()
    torch.testing.assert_close(vlm.prefill(corrupt).logits, expected["corrupt"], atol=1e-5, rtol=0)
    moved = []
    for site in by_nnsight.SITES:
        for layer in by_nnsight.LAYERS:
            for group in by_nnsight.GROUPS:
                patch = isi.ActivationPatch(site, layer, group, CLEAN.stimulus())
                logits = vlm.intervene(patch).prefill(corrupt).logits
                torch.testing.assert_close(logits, expected[site, layer, group], atol=1e-5, rtol=0)
                moved.append(float((logits - expected["corrupt"]).abs().max()))
    assert sum(size > 1e-2 for size in moved) > len(moved) / 2


# Traces -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", by_nnsight.FAMILIES)
def test_a_trace_is_that_of_nnsight(traced, family):
    vlm, logits = tiny_models.vlm(family), traced[family]
    right, wrong = aim(vlm)
    values = {case: float(found[right] - found[wrong]) for case, found in logits.items()}
    low, high = values["corrupt"], values["clean"]
    found = isi.trace(vlm, CLEAN, CORRUPT, groups=by_nnsight.GROUPS, least=0.0)
    assert (found.corrupt, found.clean) == pytest.approx((low, high), abs=NEAR)
    expected = [
        [
            [(values[site, layer, group] - low) / (high - low) for group in by_nnsight.GROUPS]
            for layer in by_nnsight.LAYERS
        ]
        for site in by_nnsight.SITES
    ]
    assert found.sites == by_nnsight.SITES and found.groups == by_nnsight.GROUPS
    assert found.recovery == pytest.approx(np.array(expected), abs=NEAR / abs(high - low))
    assert np.abs(expected).max() > 0.5


@pytest.mark.parametrize("method", ["exact", "integrated", "gradient"])
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_a_trace_is_that_of_captum(method, direction):
    vlm = tiny_models.vlm()
    clean, corrupt = plain_model(vlm, by_nnsight.CLEAN), plain_model(vlm, by_nnsight.CORRUPT)
    base, source = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
    prompt = vlm.encode(CLEAN.stimulus())
    places = {"image": list(prompt.indices("image")), "question": list(prompt.indices("question"))}
    places["last"] = [len(prompt) - 1]
    with torch.no_grad():
        whole = float(source(source.ids) - base(base.ids))
    expected = np.zeros((3, 3))
    for layer in range(3):
        mine, theirs = by_captum.states(base, layer), by_captum.states(source, layer)
        if method != "exact":
            steps = 8 if method == "integrated" else None
            tokens = by_captum.integrated_states(base, layer, theirs, mine, steps)
        for group, rows in enumerate(places.values()):
            effect = (
                -by_captum.patched(base, layer, rows, theirs)
                if method == "exact"
                else float(tokens[rows].sum())
            )
            expected[layer, group] = effect / whole
    found = isi.trace(
        vlm,
        CLEAN,
        CORRUPT,
        sites=("residual",),
        groups=tuple(places),
        direction=direction,
        method=method,
        least=0.0,
    )
    assert found.recovery[0] == pytest.approx(expected, abs=NEAR / abs(whole))


# Heads ------------------------------------------------------------------------------------------------------


def scan(vlm, **given):
    """Contributions for the clean picture alone, [layers, heads]."""
    found = isi.measure_heads(vlm, [(CLEAN, "Yes", "No")], check=0, **given)
    assert found.baseline[0] == pytest.approx(float(plain_score(vlm)), abs=NEAR)
    return found.signed


def plain_score(vlm):
    right, wrong = aim(vlm)
    logits = vlm.prefill(CLEAN.stimulus()).logits
    return logits[right] - logits[wrong]


@pytest.mark.parametrize("by", ["zero", "mean"])
def test_one_gradient_by_all_gates_is_that_of_captum(by):
    vlm = tiny_models.vlm()
    model = plain_model(vlm, by_nnsight.CLEAN)
    expected = by_captum.gate_gradient(model, np.ones((3, 4)), by).numpy()
    assert scan(vlm, replace=by, method="gradient") == pytest.approx(expected, abs=NEAR)


def test_eight_gradients_are_nearer_to_the_integrals_of_captum_than_one():
    """Two points for each group of heads, on a model that is far from linear in its first layer."""
    vlm = tiny_models.vlm()
    model = plain_model(vlm, by_nnsight.CLEAN)
    expected = sum(
        by_captum.gate_integrals(model, member).numpy() * member for member in groups(3, 4, 7, [0, 0])
    )
    one, eight = (scan(vlm, replace="zero", method=method) for method in ("gradient", "integrated"))
    assert np.abs(eight - expected).mean() < np.abs(one - expected).mean() / 2
    assert np.corrcoef(eight.ravel(), expected.ravel())[0, 1] > 0.9
