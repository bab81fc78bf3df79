"""Contributions of heads against naive loops, zeroed weights, captum, planted models; records and stores."""

from __future__ import annotations

import json
import pickle
from itertools import pairwise

import numpy as np
import planted_models
import pytest
import tiny_models
import torch
from tiny_models import BUILDERS, Shown
from untouched import untouched

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.mechanism import gating, head_agreement, head_methods, head_scan
from isi_widget.mechanism.head_contributions import HeadContributions
from isi_widget.mechanism.items import aim_of, items_of
from isi_widget.mechanism.targets import TARGETS
from isi_widget.vlm.inside import sites
from isi_widget.vlm.inside.hooks import hooked

families = pytest.mark.parametrize("name", sorted(BUILDERS))
NEAR = 2e-5


def observation(seed=0, answer="yes", level=None):
    picture = Shown(size=(90, 40), seed=seed).render()
    return isi.Observation(picture, "Is there a red star?", "The star is red.", answer=answer, level=level)


def target_of_plain(vlm, given, target="logit_difference", aim=None):
    """The target of one whole forward pass."""
    logits = vlm.prefill(given.stimulus, attention=False).logits
    return float(TARGETS[target].value(logits[None, None], aim or aim_of(vlm, given, logits)))


def naive(vlm, given, replace, target="logit_difference", rows=slice(None)):
    """Drops of all heads: one whole forward a head, hooks on `o_proj`, nothing shared."""
    found = sites(vlm.model, vlm.family)
    aim = aim_of(vlm, given, vlm.prefill(given.stimulus).logits)
    baseline = target_of_plain(vlm, given, target, aim)
    drops = np.zeros((len(found.layers), found.heads))
    for layer in range(len(found.layers)):
        for head in range(found.heads):

            def hook(_, states, head=head):
                parts = list(states.clone().split(states.shape[-1] // found.heads, dim=-1))
                others = [part for index, part in enumerate(parts) if index != head]
                new = sum(others) / len(others) if replace == "mean" else torch.zeros_like(parts[head])
                parts[head] = parts[head].clone()
                parts[head][:, rows] = new[:, rows]
                return torch.cat(parts, dim=-1)

            with hooked((found.o_proj(layer), "input", hook)):
                drops[layer, head] = baseline - target_of_plain(vlm, given, target, aim)
    return drops


def near(one, other, scale=1.0):
    assert np.abs(one - other).max() <= NEAR * max(scale, np.abs(other).max())


# Exact ------------------------------------------------------------------------------------------------------


@families
def test_exact_drops_are_those_of_a_naive_loop(name):
    vlm = tiny_models.vlm(name)
    (item,) = items_of([observation()])
    vlm.prefill(item.stimulus)  # transformers hooks its vision tower at the first forward pass
    with untouched(vlm.model):
        found = {
            key: isi.measure_heads(vlm, [observation()], replace=key, positions=where)
            for key, where in (("mean", "all"), ("zero", "last"))
        }
    scale = abs(float(found["mean"].baseline[0]))
    near(found["mean"].signed, naive(vlm, item, "mean"), scale)
    near(found["zero"].signed, naive(vlm, item, "zero", rows=slice(-1, None)), scale)


def test_replacing_by_zero_is_zeroing_columns_of_the_output_projection():
    model, processor = tiny_models.qwen2_vl(seed=5)
    vlm = tiny_models.VLM(model, processor, model_id="tiny")
    (item,) = items_of([observation()])
    found = isi.measure_heads(vlm, [observation()], replace="zero")
    aim = aim_of(vlm, item, vlm.prefill(item.stimulus).logits)
    parts = sites(model, vlm.family)
    for layer, head in ((0, 1), (2, 3)):
        weight = parts.o_proj(layer).weight
        before = weight.detach().clone()
        width = parts.head_dim(layer)
        with torch.no_grad():
            weight[:, head * width : (head + 1) * width] = 0
        drop = found.baseline[0] - target_of_plain(vlm, item, aim=aim)
        with torch.no_grad():
            weight.copy_(before)
        assert found.signed[layer, head] == pytest.approx(drop, abs=1e-4)


@pytest.mark.parametrize("replace", ["mean", "zero", "reference"])
def test_the_intervention_of_the_same_name_does_the_same(replace):
    vlm = tiny_models.vlm("gemma3")
    data = [observation(0), observation(1, "no")]
    found = isi.measure_heads(vlm, data, replace=replace, target="p")
    for index, item in enumerate(items_of(data)):
        aim = aim_of(vlm, item, vlm.prefill(item.stimulus).logits)
        for layer, head in ((0, 0), (1, 2), (2, 3)):
            values = None
            if replace == "reference":
                stimuli = [one.stimulus for one in items_of(data)]
                values = isi_reference(vlm, stimuli, layer, head)
            edited = vlm.intervene(isi.HeadReplace(layer, head, replace, values))
            drop = found.baseline[index] - target_of_plain(edited, item, "p", aim)
            assert found.drops[index, layer, head] == pytest.approx(drop, abs=2e-5)


def isi_reference(vlm, stimuli, layer, head):
    from isi_widget.vlm.inside import reference_head

    return reference_head(vlm, stimuli, layer, head).values


def test_whole_layers_are_all_heads_replaced_together():
    vlm = tiny_models.vlm("llava")
    (item,) = items_of([observation()])
    found = isi.measure_heads(vlm, [observation()], replace="zero")
    aim = aim_of(vlm, item, vlm.prefill(item.stimulus).logits)
    for layer in range(3):
        edited = vlm.intervene(*(isi.HeadReplace(layer, head, "zero") for head in range(4)))
        drop = found.baseline[0] - target_of_plain(edited, item, aim=aim)
        assert found.layer_totals[layer] == pytest.approx(drop, abs=1e-4)


def test_the_whole_answer_is_scored_by_teacher_forcing():
    vlm = tiny_models.vlm("llava")
    given = [(observation().stimulus(), "large star")]
    found = isi.measure_heads(vlm, given, "log_p_answer", replace="zero")
    last = isi.measure_heads(vlm, given, "log_p_answer", replace="zero", positions="last")
    (item,) = items_of(given)
    ids = aim_of(vlm, item, vlm.prefill(item.stimulus).logits).answer_ids
    assert len(ids) > 1
    baseline = sum(vlm.teacher_force(item.stimulus, ids)[0])
    assert found.baseline[0] == pytest.approx(baseline, abs=1e-4)
    edited = vlm.intervene(isi.HeadReplace(1, 2, "zero"))
    drop = baseline - sum(edited.teacher_force(item.stimulus, ids)[0])
    assert found.signed[1, 2] == pytest.approx(drop, abs=1e-4)
    assert np.abs(last.signed).max() > 1e-3 and np.abs(last.signed - found.signed).max() > 1e-3


def test_a_view_is_scanned_under_its_interventions():
    vlm = tiny_models.vlm("llava").intervene(isi.HeadScale(0, 1, 0.2), isi.Knockout("last", "image", (1,)))
    (item,) = items_of([observation()])
    near(isi.measure_heads(vlm, [observation()]).signed, naive(vlm, item, "mean"), 10)


def test_semantic_entropy_is_that_of_the_changed_model():
    planted = planted_models.planted("one_hop")
    vlm, data = planted.vlm(), planted.observations(1)
    found = isi.measure_heads(vlm, data, "semantic_entropy", replace="zero")
    edited = vlm.intervene(isi.HeadReplace(*planted.causal[0], "zero"))
    entropies = [
        isi.measure_uncertainty(
            one, data[0].stimulus(), method="enumerated", temperature=1.0
        ).bayesian_semantic_entropy
        for one in (vlm, edited)
    ]
    assert found.baseline[0] == pytest.approx(entropies[0], abs=1e-6)
    assert found.signed[planted.causal[0]] == pytest.approx(entropies[0] - entropies[1], abs=1e-6)
    with pytest.raises(InputError, match="exact"):
        isi.measure_heads(vlm, data, "semantic_entropy", method="gradient")


# Estimates --------------------------------------------------------------------------------------------------


@families
def test_gradients_are_those_of_finite_differences(name):
    vlm = tiny_models.vlm(name)
    found = isi.measure_heads(vlm, [observation()], method="gradient", replace="zero", check=0)
    (item,) = items_of([observation()])
    aim = aim_of(vlm, item, vlm.prefill(item.stimulus).logits)
    layer, head = np.unravel_index(np.abs(found.signed).argmax(), found.signed.shape)
    up, down = (
        target_of_plain(vlm.intervene(isi.HeadScale(int(layer), int(head), factor)), item, aim=aim)
        for factor in (1.01, 0.99)
    )
    assert found.signed[layer, head] == pytest.approx((up - down) / 0.02, rel=3e-2, abs=2e-3)
    assert all(parameter.grad is None for parameter in vlm.model.parameters())


@pytest.mark.parametrize("positions", ["all", "last"])
def test_integrated_gradients_are_captums_along_the_same_path(positions):
    """Captum integrates over the same gates; the two points of Radau's rule are given to it one by one."""
    captum = pytest.importorskip("captum.attr")
    vlm = tiny_models.vlm("llava")
    found = isi.measure_heads(
        vlm, [observation()], method="integrated", replace="mean", positions=positions, steps=4, check=0
    )
    forward = gated_forward(vlm, items_of([observation()])[0], "mean", positions)
    member = head_methods.groups(3, 4, 3, [0, 0])
    slope = captum.Saliency(forward)
    ones = torch.ones(1, 3, 4)
    expected = slope.attribute(ones, abs=False)[0].numpy() / 4
    for group in member:
        gates = torch.where(torch.from_numpy(group)[None], torch.tensor(1 / 3), ones)
        expected = expected + 0.75 * group * slope.attribute(gates, abs=False)[0].numpy()
    near(found.signed, expected, 1)


def gated_forward(vlm, item, replace, positions):
    """Function from gates [batch of 1, layers, heads] to the target; hooks only, for captum."""
    parts = sites(vlm.model, vlm.family)
    aim = aim_of(vlm, item, vlm.prefill(item.stimulus).logits)
    prompt = vlm.encode(item.stimulus)
    place = slice(None) if positions == "all" else slice(-1, None)

    def forward(gates):
        def hook(layer):
            def function(_, states):
                own = states.unflatten(-1, (parts.heads, -1))
                new = (own.sum(2, keepdim=True) - own) / (parts.heads - 1) if replace == "mean" else 0 * own
                mixed = new + gates[0, layer][:, None] * (own - new)
                return torch.cat(
                    [own[:, : own.shape[1] - mixed[:, place].shape[1]], mixed[:, place]], 1
                ).flatten(2)

            return function

        hooks = [(parts.o_proj(layer), "input", hook(layer)) for layer in range(len(parts.layers))]
        with hooked(*hooks):
            given = vlm.image_features.inputs(prompt)
            logits = vlm.model(input_ids=prompt.input_ids, **given, logits_to_keep=1).logits
        return TARGETS["logit_difference"].value(logits.float(), aim)

    return forward


def test_exact_drops_are_captums_feature_ablation():
    captum = pytest.importorskip("captum.attr")
    vlm = tiny_models.vlm("qwen3_vl")
    found = isi.measure_heads(vlm, [observation()], replace="zero")
    forward = gated_forward(vlm, items_of([observation()])[0], "zero", "all")
    with torch.no_grad():
        ablation = captum.FeatureAblation(forward)
        expected = ablation.attribute(torch.ones(1, 3, 4), baselines=0)[0].numpy()
    near(found.signed, expected, 10)


@pytest.mark.parametrize("kind", planted_models.KINDS)
@pytest.mark.parametrize("method", head_methods.METHODS)
def test_planted_heads_are_found(kind, method):
    planted = planted_models.planted(kind)
    found = isi.measure_heads(planted.vlm(), planted.observations(4), method=method, replace="zero")
    assert {(head.layer, head.head) for head in found.top(len(planted.causal))} == set(planted.causal)
    if method == "exact":
        first = found.top(1)[0]
        total = found.layer_totals[first.layer]
        if kind == "twins":  # each stands in for the other: only the whole layer shows them
            assert total > 10 * first.value
        else:
            assert total == pytest.approx(first.value, rel=1e-2)
    elif method != "screened":
        assert found.agreement["items"] == 3 and found.agreement["rank_correlation"] > 0.9


def test_screened_heads_are_exact_and_the_others_unknown():
    vlm = tiny_models.vlm("llava")
    data = [observation(seed, answer) for seed, answer in ((0, "yes"), (1, "no"), (2, "yes"))]
    exact = isi.measure_heads(vlm, data)
    found = isi.measure_heads(vlm, data, method="screened", k=3)
    gradient = isi.measure_heads(vlm, data, method="gradient", check=0)
    known = np.isfinite(found.signed)
    assert known.sum() == 3 and found.shortlist.shape == exact.drops.shape
    near(found.signed[known], exact.signed[known], 1)
    near(found.shortlist, gradient.drops, 1)
    order = np.argsort(-np.abs(gradient.drops).mean(axis=0), axis=None)
    assert set(np.flatnonzero(known).tolist()) == set(order[:3].tolist())
    assert "shortlist" in str(gradient) and "shortlist" in gradient._repr_html_()
    assert 0 <= found.agreement["recall"] <= 1


def test_an_estimate_can_be_compared_on_some_heads():
    vlm = tiny_models.vlm("llava")
    data = [observation(0, "yes")]
    exact = isi.measure_heads(vlm, data).drops[0]
    steps = []
    found = isi.measure_heads(
        vlm, data, method="integrated", check_heads=4, progress=lambda *step: steps.append(step[1:])
    )
    estimate = found.drops[0]
    heads = head_agreement.compared(estimate, 4, 0)
    assert len(set(heads)) == 4 and head_agreement.compared(estimate, exact.size, 0) is None
    largest = np.argsort(-np.abs(estimate), axis=None)[:2]
    assert [divmod(int(place), estimate.shape[1]) for place in largest] == heads[:2]
    some = tuple(np.array(heads).T)
    assert found.agreement["heads"] == 4 and found.agreement["k"] == 2
    near(found.agreement["rank_correlation"], head_methods.rank_correlation(estimate[some], exact[some]), 1)
    near(found.agreement["largest_difference"], np.abs(estimate - exact)[some].max(), 1)
    assert "exact drops of 1 scanned item, 4 heads" in str(found)
    assert len(steps) > found.steps and steps[-1] == (found.steps + found.layers,) * 2
    whole = isi.measure_heads(vlm, data, method="integrated")
    assert whole.agreement["heads"] == exact.size
    with pytest.raises(InputError, match="check_heads"):
        isi.measure_heads(vlm, data, method="integrated", check_heads=1)


def test_groups_hold_each_head_once_and_spread_layers():
    for layers, heads, count in ((4, 6, 7), (3, 4, 3), (2, 2, 9)):
        member = head_methods.groups(layers, heads, count, 0)
        assert member.shape == (count, layers, heads) and (member.sum(axis=0) == 1).all()
        assert member.sum(axis=2).max() <= -(-heads // count)


def test_wrong_gradients_of_a_quantised_model_are_refused(monkeypatch):
    planted = planted_models.planted("one_hop")
    model = planted.vlm()
    monkeypatch.setattr(type(model), "quantization", "nf4", raising=False)
    monkeypatch.setattr(model, "quantization", "nf4")
    assert isi.measure_heads(model, planted.observations(1), method="gradient", check=0).n == 1
    original = gating.gated_logits
    lost = lambda clean, sets: original(clean, sets.detach()) + 0 * sets.sum()  # noqa: E731
    monkeypatch.setattr(gating, "gated_logits", lost)
    with pytest.raises(InputError, match="Gradients of this model are wrong"):
        isi.measure_heads(model, planted.observations(1), method="gradient", check=0)


# Statistics -------------------------------------------------------------------------------------------------


def contributions(drops, correct=None, levels=None, **changes):
    items, layers, _ = drops.shape
    given = {
        "totals": np.full((items, layers), np.nan),
        "baseline": np.ones(items),
        "correct": np.ones(items, dtype=bool) if correct is None else np.array(correct),
        "names": tuple(map(str, range(items))),
        "answers": ("yes",) * items,
        "wrong": ("no",) * items,
        "levels": levels or ("",) * items,
        "target": "p",
        "method": "exact",
        "replace": "mean",
        "positions": "all",
    }
    return HeadContributions(drops, **{**given, **changes})


def test_the_matrices_follow_the_rule():
    drops = np.random.default_rng(0).normal(size=(5, 2, 3))
    correct = [True, False, True, True, False]
    found = contributions(drops, correct, ("object", "object", "relation", "", "relation"))
    for layer in range(2):
        for head in range(3):
            values = drops[:, layer, head]
            right = [max(v, 0) for v, ok in zip(values, correct, strict=True) if ok]
            wrong = [max(-v, 0) for v, ok in zip(values, correct, strict=True) if not ok]
            assert found.signed[layer, head] == pytest.approx(values.mean())
            assert found.positive[layer, head] == pytest.approx(np.mean(right))
            assert found.negative[layer, head] == pytest.approx(np.mean(wrong))
    assert found.level_names == ("object", "relation")
    assert np.allclose(found.level("relation").signed, drops[[2, 4]].mean(axis=0))
    assert found.level("object").n == 2 and found.accuracy == pytest.approx(0.6)
    with pytest.raises(InputError, match="'colour'"):
        found.level("colour")
    assert np.isnan(contributions(drops).negative).all()


def test_intervals_hold_the_mean_as_often_as_they_say():
    """Drops with a known mean: the interval of 95 % holds it in about 95 % of the heads."""
    drops = np.random.default_rng(1).normal(0.3, 1.0, size=(60, 20, 20))
    low, high = contributions(drops).interval()
    assert 0.90 < ((low < 0.3) & (high > 0.3)).mean() < 0.97
    again = contributions(drops).interval()
    assert np.array_equal(low, again[0])
    assert not np.array_equal(low, contributions(drops, seed=1).interval()[0])


def test_p_values_are_uniform_without_an_effect_and_small_with_one():
    drops = np.random.default_rng(2).normal(size=(30, 10, 12))
    drops[:, 3, 5] += 2.0
    p = contributions(drops).p_values()
    assert p[3, 5] == p.min() and p[3, 5] < 0.002
    others = np.delete(p.ravel(), 3 * 12 + 5)
    assert 0.01 < (others < 0.05).mean() < 0.10 and others.min() > 0


def test_p_values_equal_all_draws_of_a_small_case():
    """Two items, three heads: all nine draws, by hand."""
    drops = np.array([[[3.0, 0.0, 0.0]], [[2.0, 1.0, 0.0]]])
    center = drops.mean()
    null = [abs((a + b) / 2 - center) for a in drops[0, 0] for b in drops[1, 0]]
    observed = np.abs(drops.mean(axis=0)[0] - center)
    expected = [np.mean([value >= one - 1e-12 for value in null]) for one in observed]
    assert np.allclose(contributions(drops).p_values(draws=20000)[0], expected, atol=0.02)


def test_top_table_and_figure():
    drops = np.random.default_rng(3).normal(size=(6, 2, 3))
    found = contributions(drops, totals=np.ones((6, 2)))
    best = found.top(2)
    order = np.argsort(-found.signed, axis=None)
    assert [(one.layer, one.head) for one in best] == [divmod(int(place), 3) for place in order[:2]]
    assert best[0].low < best[0].value < best[0].high
    frame = found.to_frame()
    assert len(frame) == 6 and frame.loc[4, "signed"] == pytest.approx(found.signed[1, 1])
    assert list(frame.loc[0, ["layer", "head"]]) == [0, 0]
    figure = found.plot()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["L0", "L1"]
    assert "L" in str(found) and "6 items" in str(found) and "<table" in found._repr_html_()
    assert "p in its layer" in str(found)


def test_records_restore_everything():
    drops = np.random.default_rng(4).normal(size=(3, 2, 2))
    drops[:, 0, 1] = np.nan
    found = contributions(
        drops, [True, False, True], method="screened", shortlist=drops, agreement={"items": 1.0}, notes=("a",)
    )
    again = HeadContributions.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found and pickle.loads(pickle.dumps(found)) == found and hash(again) == hash(found)
    assert again != contributions(drops)
    with pytest.raises(InputError, match="head contributions"):
        HeadContributions.from_dict({**found.to_dict(), "names": 3})
    with pytest.raises(InputError, match="totals must have shape"):
        contributions(drops, totals=np.ones((2, 2)))


# Long scans -------------------------------------------------------------------------------------------------


def same(one, other):
    """Equal but for rounding: a pass with gradients may run another attention kernel."""
    assert np.allclose(one.drops, other.drops, atol=1e-5, equal_nan=True)
    assert (one.names, one.notes, one.wrong) == (other.names, other.notes, other.wrong)


@pytest.mark.parametrize("method", head_methods.METHODS)
def test_a_cancelled_scan_goes_on_where_it_stopped(method, tmp_path, monkeypatch):
    vlm = tiny_models.vlm("llava")
    data = [observation(seed, answer) for seed, answer in ((0, "yes"), (1, "no"), (2, "yes"))]
    whole = isi.measure_heads(vlm, data, method=method, check=1)
    done = []
    with untouched(vlm.model), pytest.raises(Cancelled):
        isi.measure_heads(
            vlm,
            data,
            method=method,
            check=1,
            store=tmp_path,
            progress=lambda *step: done.append(step),
            cancel=lambda: bool(done) and done[-1][1] > done[-1][2] // 2,
        )
    captured = []
    original = head_scan.HeadScan.captured
    monkeypatch.setattr(
        head_scan.HeadScan,
        "captured",
        lambda *given, **named: (captured.append(1), original(*given, **named))[1],
    )
    steps = []
    again = isi.measure_heads(
        vlm, data, method=method, check=1, store=tmp_path, progress=lambda *step: steps.append(step)
    )
    same(again, whole)
    first = len(captured)
    same(isi.measure_heads(vlm, data, method=method, check=1, store=tmp_path), whole)
    assert len(captured) == first  # nothing was run again
    assert steps[0][0] == "heads" and steps[-1][1] == steps[-1][2]
    assert all(one[1] <= two[1] <= two[2] for one, two in pairwise(steps))


def test_what_was_finished_of_a_cancelled_scan_stays(tmp_path, monkeypatch):
    vlm = tiny_models.vlm("llava")
    data = [observation(seed, answer) for seed, answer in ((0, "yes"), (1, "no"), (2, "yes"))]
    whole = isi.measure_heads(vlm, data, totals=False)
    done = []

    def stopped_after(steps, items, **more):
        done.clear()
        with untouched(vlm.model), pytest.raises(Cancelled) as stop:
            isi.measure_heads(
                vlm,
                items,
                totals=False,
                progress=lambda *step: done.append(step),
                cancel=lambda: not steps or (bool(done) and done[-1][1] >= steps),
                **more,
            )
        return stop.value.partial

    # the items that were finished
    some = stopped_after(2 * whole.layers, data)
    assert np.array_equal(some.drops, whole.drops[:2]) and some.names == whole.names[:2]
    assert "stopped after 2 of 3 items" in some.notes[-1]
    assert stopped_after(0, data) is None
    # the heads of the first one that were measured
    monkeypatch.setattr("isi_widget.vlm.inside.rerun.Clean.at_once", lambda *_: 2)
    part = stopped_after(1, data[:1], store=tmp_path)
    near(part.drops[0, 0], whole.drops[0, 0])
    assert np.isnan(part.drops[0, 2:]).all()
    assert 0 < part.measured < whole.layers * whole.heads
    assert f"{part.measured} of {whole.layers * whole.heads} heads are measured" in str(part)
    assert HeadContributions.from_dict(part.to_dict()) == part
    # and the same call goes on from them, from a file or from memory
    again = []
    original = head_methods._runs
    monkeypatch.setattr(
        head_methods, "_runs", lambda *given: (again.append(len(given[4])), original(*given))[1]
    )
    for store in (tmp_path, head_scan.begun(part)):
        again.clear()
        found = isi.measure_heads(vlm, data[:1], totals=False, store=store)
        near(found.drops, whole.drops[:1])
        assert sum(again) == whole.layers * whole.heads - part.measured


def test_a_store_of_something_else_is_refused(tmp_path):
    vlm = tiny_models.vlm("llava")
    path = tmp_path / "scan.jsonl"
    isi.measure_heads(vlm, [observation()], store=path)
    with pytest.raises(InputError, match=r"different run \(not the same replace\)"):
        isi.measure_heads(vlm, [observation()], replace="zero", store=path)
    with pytest.raises(InputError, match=r"not the same items"):
        isi.measure_heads(vlm, [observation(3)], store=path)
    path.write_text(path.read_text()[:-30])  # cut off by a crash
    assert isi.measure_heads(vlm, [observation()], store=path).n == 1
    other = tmp_path / "notes.txt"
    other.write_text("hello\n")
    with pytest.raises(InputError, match="no store"):
        isi.measure_heads(vlm, [observation()], store=other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "accuracy"}, "target"),
        ({"replace": "noise"}, "replace"),
        ({"positions": "first"}, "positions"),
        ({"method": "fast"}, "method"),
        ({"k": 0}, "k"),
        ({"steps": 1}, "steps"),
        ({"reference": []}, "belongs to replace"),
        ({"store": 5}, "path of a file or folder"),
    ],
)
def test_values_out_of_range_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        isi.measure_heads(tiny_models.vlm("llava"), [observation()], **changes)


@pytest.mark.parametrize("method", head_methods.METHODS)
def test_a_model_with_fewer_heads_than_are_asked_for(method):
    vlm = tiny_models.vlm("llava", num_hidden_layers=1)
    found = isi.measure_heads(vlm, [observation()], method=method, check=1)
    exact = isi.measure_heads(vlm, [observation()])
    assert found.signed.shape == (1, 4) and np.isfinite(found.signed).all()
    assert found.steps == {"integrated": 5, "screened": 4}.get(method, 0)
    if method == "screened":
        near(found.signed, exact.signed, 1)


def test_a_reference_may_be_other_stimuli():
    vlm = tiny_models.vlm("llava")
    own = isi.measure_heads(vlm, [observation()], replace="reference")
    other = isi.measure_heads(
        vlm, [observation()], replace="reference", reference=[observation(7).stimulus()]
    )
    assert any("scanned items themselves" in note for note in own.notes)
    assert not any("scanned items themselves" in note for note in other.notes)
    assert not np.allclose(own.signed, other.signed)
