"""Causal tracing: against a loop of plain hooks on every family, models whose path is known, and by hand."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
import tiny_models
import torch
from patched_by_hand import patched_by_hand
from planted_models import HERE, planted

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.mechanism.causal_trace import CausalTrace
from isi_widget.mechanism.trace_gradients import check_gradient
from isi_widget.mechanism.trace_runs import Plan, _runs
from isi_widget.vlm.inside.hooks import hooked

slow = pytest.mark.slow
QUICK = ("llava", "gemma3", "qwen3_vl", "paligemma")
families = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else slow) for name in tiny_models.BUILDERS],
)
NEAR = 1e-4
CONTEXT, QUESTION = "There was a box.", "Is there a red star?"


def observation(seed, answer, question=QUESTION, context=CONTEXT):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return isi.Observation(pixels, question, context, answer=answer)


PAIR = isi.Pair(observation(0, "yes"), observation(1, "no"))


def difference(vlm, trace, logits, at=0):
    """Logit of the true word minus that of the wrong one, by hand."""
    true, wrong = (spelled(vlm, word, trace.pairs[at].clean)[0] for word in trace.words[at])
    return float(logits[true] - logits[wrong])


def spelled(vlm, word, clean):
    """Tokens of a word, with a space or not, capital or not: those that the model likes best after clean."""
    logits = vlm.prefill(clean).logits
    texts = [f"{space}{form}" for space in ("", " ") for form in (word.lower(), word.capitalize())]
    forms = [vlm.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    begun = [ids for ids in forms if vlm.tokenizer.decode(ids[:1]).strip()]
    return max(begun, key=lambda ids: logits[ids[0]])


def scene_pairs(number, level="attribute"):
    found = []
    for scene in isi.datasets.scenes():
        try:
            found.append(scene.counterfactual(level))
        except InputError:
            continue
        if len(found) == number:
            return tuple(found)
    raise AssertionError("too few scenes")


# Against a naive loop ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "direction"),
    [  # the direction only names which of the runs is the base: nothing in it is a family's own
        pytest.param(name, way, marks=() if name in QUICK and (way == "denoise" or name == "llava") else slow)
        for name in tiny_models.BUILDERS
        for way in ("denoise", "noise")
    ],
)
def test_a_trace_is_a_loop_of_plain_hooks(name, direction):
    vlm = tiny_models.vlm(name)
    groups = ("image", "question", "last")
    found = isi.trace(vlm, PAIR, groups=groups, direction=direction, least=0.0)
    source, base = PAIR.clean, PAIR.corrupt
    if direction == "noise":
        source, base = base, source
    prompt = vlm.encode(base)
    start, end = (difference(vlm, found, vlm.prefill(item).logits) for item in (base, source))
    assert abs(end - start) > 1e-3
    for site, layer, group in np.ndindex(found.recovery.shape):
        rows = [len(prompt) - 1] if groups[group] == "last" else list(prompt.indices(groups[group]))
        logits = patched_by_hand(vlm, found.sites[site], [layer], rows, source, base)
        expected = (difference(vlm, found, logits) - start) / (end - start)
        assert abs(found.recovery[site, layer, group] - expected) < NEAR / abs(end - start)
    assert sorted((found.clean, found.corrupt)) == pytest.approx(sorted((start, end)), abs=1e-5)


@pytest.mark.parametrize("site", ["residual", "attention", "mlp"])
def test_a_window_patches_several_layers(site):
    vlm = tiny_models.vlm()
    found = isi.trace(vlm, PAIR, sites=site, groups="image", window=2, least=0.0)
    assert found.layers == (0, 1) and found.rows_named == ("0 to 1", "1 to 2")
    rows = list(vlm.encode(PAIR.corrupt).indices("image"))
    for row, layer in enumerate(found.layers):
        logits = patched_by_hand(vlm, site, [layer, layer + 1], rows, PAIR.clean, PAIR.corrupt)
        expected = (difference(vlm, found, logits) - found.corrupt) / (found.clean - found.corrupt)
        assert found.recovery[0, row, 0] == pytest.approx(expected, abs=1e-3)


@families
def test_everything_recovers_one_and_corrupt_into_corrupt_nothing(name):
    vlm = tiny_models.vlm(name)
    deep = len(getattr(vlm.model.config.vision_config, "deepstack_visual_indexes", ()))
    found = isi.trace(vlm, PAIR, sites="residual", groups="all", least=0.0)
    assert found.recovery[0, deep:, 0] == pytest.approx(1.0, abs=1e-3)
    assert bool(found.notes) == bool(deep)
    plan = Plan(("residual",), None, (0,), 1, "denoise", "exact", (), "logit_difference", 0, 0, 0.0)
    with vlm.lock, torch.no_grad():
        runs, _ = _runs(vlm, plan, PAIR)
        same = dataclasses.replace(runs, source=runs.base)
        image = list(runs.base.prompt.indices("image"))
        for site in ("residual", "attention", "mlp"):
            logits = same.patched(site, 1, 1, [image, [len(runs.base.prompt) - 1]])
            assert float((logits - runs.base.logits).abs().max()) < 1e-4


def test_other_targets():
    vlm = tiny_models.vlm()
    image = list(vlm.encode(PAIR.corrupt).indices("image"))
    found = isi.trace(vlm, PAIR, sites="residual", layers=1, groups="image", target="p", least=0.0)
    clean, ids = vlm.prefill(PAIR.clean).logits, spelled(vlm, "yes", PAIR.clean)
    probabilities = [
        float(logits.softmax(-1)[ids[0]])
        for logits in (
            clean,
            vlm.prefill(PAIR.corrupt).logits,
            patched_by_hand(vlm, "residual", [1], image, PAIR.clean, PAIR.corrupt),
        )
    ]
    assert (found.clean, found.corrupt) == pytest.approx(probabilities[:2], abs=1e-6)
    share = (probabilities[2] - probabilities[1]) / (probabilities[0] - probabilities[1])
    assert found.recovery[0, 0, 0] == pytest.approx(share, abs=1e-3)
    whole = isi.trace(vlm, PAIR, sites="residual", groups="all", target="log_p_answer", least=0.0)
    logprobs, _ = vlm.teacher_force(PAIR.clean, ids)
    assert whole.clean == pytest.approx(sum(logprobs), abs=1e-4)
    assert whole.recovery[0, 0] == pytest.approx(1.0, abs=1e-3)


# Models whose path is known ---------------------------------------------------------------------------------


def planted_pair(model):
    """Two pictures that differ in the one image token that makes the answer."""
    return isi.Pair(model.observation(True), model.observation(False))


@pytest.mark.parametrize("kind", ["one_hop", "two_hop"])
def test_the_planted_path_is_found(kind):
    model = planted(kind)
    vlm = model.vlm()
    found = isi.trace(vlm, planted_pair(model), controls=3)
    assert found.groups[:2] == ("edited region", "other image") and found.groups[-1] == "last"
    assert found.positions[0][0] == (vlm.encode(found.pairs[0].corrupt).indices("image")[HERE],)
    residual, attention = found.recovery[0], found.recovery[1]
    edited, question, last = (found.groups.index(name) for name in ("edited region", "question", "last"))
    first = model.causal[0][0]  # the layer in which the image token is read
    assert residual[: first + 1, edited] == pytest.approx(1.0, abs=0.05)
    assert residual[first + 1 :, edited] == pytest.approx(0.0, abs=0.05)
    assert np.abs(residual[:, found.groups.index("other image")]).max() < 0.05
    if kind == "two_hop":
        assert residual[first + 1 : model.causal[1][0] + 1, question] == pytest.approx(1.0, abs=0.05)
        assert attention[model.causal[1][0], last] == pytest.approx(1.0, abs=0.1)
    else:
        assert attention[first, last] == pytest.approx(1.0, abs=0.1)
    assert found.flips[0, 0, 0, edited] == 1.0
    assert np.nanmax(np.abs(found.control[0, :, edited])) < 0.05
    assert found.top(1)[0][3] == pytest.approx(1.0, abs=0.1)
    sentence = found.sentence(0, "edited region")
    assert "input of layer 0" in sentence and "100 %" in sentence and "flips from" in sentence
    assert "random tokens: 0 %" in sentence.replace("-0 %", "0 %")


# Estimates --------------------------------------------------------------------------------------------------


def test_integrated_gradients_agree_better_than_one_gradient():
    vlm = isi.load_vlm()
    found = isi.trace(vlm, scene_pairs(3), sites="residual", beside=("integrated", "gradient"))
    known = np.isfinite(found.each)
    for method, values in found.estimates.items():
        correlation = np.corrcoef(found.each[known], values[known])[0, 1]
        assert found.agreement[method]["correlation"] == pytest.approx(correlation)
        assert found.agreement[method]["cells"] == known.sum()
    one, other = (found.agreement[name]["correlation"] for name in ("integrated", "gradient"))
    assert one > 0.9 and one > other
    alone = isi.trace(vlm, scene_pairs(1), method="integrated", sites="residual")
    assert alone.each == pytest.approx(found.estimates["integrated"][:1], abs=1e-4, nan_ok=True)
    assert alone.agreement["integrated"]["cells"] == 8 and np.isnan(alone.flips).all()
    assert "estimate" in alone.sentence(1, "question") and "integrated gradients" in str(alone)
    shortlist = isi.trace(vlm, scene_pairs(1), method="gradient", sites="residual")
    assert "a shortlist" in str(shortlist) and "suggests" in shortlist.sentence(1, "question")


def test_the_gradient_is_that_of_a_finite_difference():
    """One gradient: the slope of the target as a place moves towards the source."""
    vlm = tiny_models.vlm()
    layer, rows = 1, list(vlm.encode(PAIR.corrupt).indices("image"))
    found = isi.trace(vlm, PAIR, sites="residual", groups="image", method="gradient", layers=layer, least=0.0)
    plan = Plan(("residual",), None, (0,), 1, "denoise", "exact", (), "logit_difference", 0, 0, 0.0)
    with vlm.lock, torch.no_grad():
        runs, _ = _runs(vlm, plan, PAIR)
        start, values = runs.base.inputs[layer], []
        for step in (-1e-2, 1e-2):
            states = start.clone()
            states[0, rows] += step * (runs.source.inputs[layer] - start)[0, rows]
            values.append(float(runs.compared.value(runs.base.run_from(layer, states))[0]))
    slope = (values[1] - values[0]) / 2e-2 / (runs.source_value - runs.base_value)
    assert found.recovery[0, 0, 0] == pytest.approx(slope, rel=2e-2, abs=1e-3)
    assert all(parameter.grad is None for parameter in vlm.model.parameters())


def test_lost_gradients_are_refused():
    vlm = tiny_models.vlm()
    plan = Plan(("residual",), None, (0,), 1, "denoise", "exact", (), "logit_difference", 0, 0, 0.0)
    with vlm.lock, torch.no_grad():
        runs, _ = _runs(vlm, plan, PAIR)
        check_gradient(runs)
        lost = [(layer.mlp, "output", lambda _, states: states.detach()) for layer in runs.base.sites.layers]
        with hooked(*lost), pytest.raises(InputError, match=r"Gradients of this model are wrong: they give"):
            check_gradient(runs)


# Prompts of different length, groups ------------------------------------------------------------------------


def test_prompts_of_different_length_are_aligned_by_segment():
    vlm = tiny_models.vlm()
    longer = observation(0, "yes", context="There was a box near the large green square.")
    pair = isi.Pair(longer, observation(1, "no"))
    clean, corrupt = vlm.encode(pair.clean), vlm.encode(pair.corrupt)
    found = isi.trace(vlm, pair, sites="residual", groups=("image", "question", "context"), least=0.0)
    assert np.isnan(found.recovery[0, :, 2]).all() and "'context' was not traced" in found.notes[0]
    assert "was not traced" in found.sentence(0, "context") and " -" in str(found)
    rows, partners = list(corrupt.indices("question")), list(clean.indices("question"))
    logits = patched_by_hand(vlm, "residual", [1], rows, pair.clean, pair.corrupt, partners)
    expected = (difference(vlm, found, logits) - found.corrupt) / (found.clean - found.corrupt)
    assert found.recovery[0, 1, 1] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(InputError, match=r"^No group of tokens can be traced.*context has \d+ tokens"):
        isi.trace(vlm, pair, groups="context", least=0.0)
    both = isi.trace(vlm, [pair, PAIR], groups="context", least=0.0)
    assert both.pairs == (PAIR,) and "Pair 0 was left out: No group" in both.skipped[0]


def test_groups_of_a_pair():
    vlm = tiny_models.vlm()
    clean = observation(0, "yes")
    pixels = np.asarray(clean.stimulus().render()).copy()
    pixels[:18, :20] = 0
    corrupt = isi.Observation(pixels, "Is there a red star!", CONTEXT, answer="no").stimulus()
    pair = isi.Pair(clean, corrupt)
    found = isi.trace(vlm, pair, least=0.0, sites="residual", layers=0)
    assert found.groups == ("edited region", "other image", "context", "edited words", "question", "last")
    prompt, boxes = vlm.encode(corrupt), vlm.token_boxes(corrupt)
    touched = [
        bool(pair.pixels[int(t) : int(np.ceil(b)), int(left) : int(np.ceil(r))].any())
        for left, t, r, b in boxes
    ]
    image = prompt.indices("image")
    assert found.positions[0][0] == tuple(at for at, inside in zip(image, touched, strict=True) if inside)
    assert sorted(found.positions[0][0] + found.positions[0][1]) == list(image)
    tokens = pair.tokens(vlm)
    assert found.positions[0][3] == tokens.corrupt["question"]
    named = isi.trace(vlm, pair, groups={"left": isi.ImageTokens((0, 0, 25, 40)), "two": (3, 5)}, least=0.0)
    assert named.groups == ("left", "two") and named.positions[0][1] == (3, 5)


# Several pairs ----------------------------------------------------------------------------------------------


def test_several_pairs_are_averaged_and_those_without_a_difference_left_out():
    vlm = isi.load_vlm()
    pairs = scene_pairs(3)
    same = isi.Pair(pairs[0].clean, pairs[0].clean)
    found = isi.trace(vlm, [*pairs, same], sites="residual", controls=2, seed=4)
    assert found.n == 3 and found.pairs == pairs and "Pair 3 was left out" in found.skipped[0]
    one = isi.trace(vlm, pairs[0], sites="residual", controls=2, seed=4)
    assert found.each[0] == pytest.approx(one.each[0], nan_ok=True)
    assert found.controls[:, 0] == pytest.approx(one.controls[:, 0], nan_ok=True)
    assert found.recovery == pytest.approx(np.nanmean(found.each, axis=0), nan_ok=True)
    at = found.groups.index("question")
    cell = f"{found.recovery[0, 2, at]:.2f} ({found.control[0, 2, at] + 0.0:.2f})"
    assert cell in str(found) and cell in found._repr_html_()
    assert "In brackets: as many random tokens, mean of 2 draws." in str(found)
    low, high = found.interval()
    middle = found.recovery
    assert (low <= middle + 1e-9).all() and (middle <= high + 1e-9).all()
    draws = np.random.default_rng(0).integers(3, size=(2000, 3))
    means = found.each[draws].mean(axis=1)
    assert low == pytest.approx(np.quantile(means, 0.025, axis=0)) and np.isnan(one.interval()[0]).all()
    again = isi.trace(vlm, pairs[0], sites="residual", controls=2, seed=5)
    assert not np.array_equal(again.controls, one.controls, equal_nan=True)
    frame = found.to_frame()
    assert len(frame) == found.recovery.size and set(frame["group"]) == set(found.groups)
    assert "3 pairs" in found.sentence(0, "edited region") and "<table" in found._repr_html_()


@pytest.mark.parametrize("changed", [False, True])
def test_a_cell_can_be_looked_at_as_an_intervention(changed):
    vlm = isi.load_vlm()
    vlm = vlm.intervene(isi.HeadScale(0, 1, 0.5)) if changed else vlm
    (pair,) = scene_pairs(1)
    found = isi.trace(vlm, pair, sites=("attention",), window=2)
    layer, group, site, value = found.top(1)[0]
    patches = found.patches(layer, group, site)
    assert [patch.layer for patch in patches] == [layer, layer + 1]
    logits = vlm.intervene(*patches).prefill(pair.corrupt).logits
    share = (difference(vlm, found, logits) - found.corrupt) / (found.clean - found.corrupt)
    assert share == pytest.approx(value, abs=1e-3)


def test_the_record_is_exact(tmp_path):
    found = isi.trace(isi.load_vlm(), scene_pairs(2), controls=1, beside="gradient")
    again = CausalTrace.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert again == found and hash(again) == hash(found) and pickle.loads(pickle.dumps(found)) == found
    assert again.sentence(0, "last", "mlp") == found.sentence(0, "last", "mlp")
    found.plot().savefig(tmp_path / "trace.png")
    with pytest.raises(InputError, match="lacks"):
        CausalTrace.from_dict({"pairs": []})
    with pytest.raises(InputError, match="do not belong together"):
        dataclasses.replace(found, layers=(0,))
    with pytest.raises(ValueError, match="read-only"):
        found.each[0] = 1


# Refused, cancelled -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sites": "block"}, "one of residual, attention, mlp"),
        ({"direction": "up"}, "denoise, noise"),
        ({"method": "fast"}, "exact, integrated, gradient"),
        ({"window": 4}, "window"),
        ({"window": 2, "layers": 2}, "windows of 2 begin at layers 0 to 1"),
        ({"window": 2, "method": "gradient"}, "cannot be added up"),
        ({"groups": "sky"}, "edited region"),
        ({"groups": ()}, "is empty"),
        ({"target": "loss"}, "logit_difference"),
        ({"controls": -1}, "controls"),
        ({"beside": "integrated", "method": "gradient"}, "beside belongs to"),
    ],
)
def test_wrong_values_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        isi.trace(tiny_models.vlm(), PAIR, **arguments)


def test_without_a_difference_it_is_refused_with_the_reason():
    vlm = tiny_models.vlm()
    with pytest.raises(InputError, match=r"There is no difference to trace. .*do not differ"):
        isi.trace(vlm, PAIR.clean, PAIR.clean)
    with pytest.raises(InputError, match="cannot be divided into shares"):
        isi.trace(vlm, PAIR, least=1e6)
    with pytest.raises(InputError, match=r"one isi\.Pair or a list of them"):
        isi.trace(vlm, PAIR.clean)


def test_progress_and_cancel():
    vlm, seen = tiny_models.vlm(), []
    isi.trace(vlm, [PAIR, PAIR], least=0.0, progress=lambda *step: seen.append(step))
    assert seen[0] == ("trace", 0, 18) and seen[-1] == ("trace", 18, 18)
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})
    with pytest.raises(Cancelled):
        isi.trace(vlm, PAIR, least=0.0, cancel=lambda: len(seen) > 0)
