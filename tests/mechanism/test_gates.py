"""Sets of gates, ablation curves, overlap of heads, fitted gates: on planted and tiny models."""

from __future__ import annotations

import json
import math
import pickle
from types import SimpleNamespace

import numpy as np
import planted_models
import pytest
import tiny_models
import torch
from untouched import untouched

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.mechanism.ablation import HeadAblation, head_ablation
from isi_widget.mechanism.fitting_gates import fit_gates, rule
from isi_widget.mechanism.gate_fit import GateFit
from isi_widget.mechanism.gating import check_gradient, gated_logits, score, shape_of
from isi_widget.mechanism.items import items_of
from isi_widget.mechanism.overlap import HeadOverlap, head_overlap
from isi_widget.mechanism.paired import interval, mcnemar
from isi_widget.vlm.inside.hooks import without_gradients
from isi_widget.vlm.inside.rerun import capture

FAMILIES, SHOWN = sorted(tiny_models.BUILDERS), tiny_models.Shown(size=(90, 40))
SHAPE = (planted_models.LAYERS, planted_models.HEADS)


def zeroed_one_by_one():
    """[1 + heads, layers, heads]: no change, then each head zeroed."""
    sets = np.ones((1 + math.prod(SHAPE), *SHAPE))
    for place in range(math.prod(SHAPE)):
        sets[place + 1].flat[place] = 0
    return sets


def contributions_of(vlm, observations):
    """What a scan would find by zeroing heads, from `score` alone."""
    found = score(vlm, items_of(observations), zeroed_one_by_one())
    signed = (found.p[:1] - found.p[1:]).mean(axis=1).reshape(SHAPE)
    return SimpleNamespace(signed=signed, positive=signed.clip(0), negative=(-signed).clip(0))


@pytest.fixture(scope="module")
def one_hop():
    made = planted_models.planted("one_hop")
    return made, made.vlm(), made.observations(8)


@pytest.fixture(scope="module")
def spoilt():
    """Two heads know the answer, and one of them is turned against it: the model is always wrong."""
    made = planted_models.planted("twins")
    wrong = isi.HeadScale(*made.causal[1], -1.5)
    return made, made.vlm().intervene(wrong), made.observations(16)


# Sets of gates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_a_batch_of_gates_is_one_intervention_each(name):
    vlm = tiny_models.vlm(name)
    shape = shape_of(vlm)
    stream = np.random.default_rng(0)
    sets = np.ones((4, *shape))
    sets[1] = stream.uniform(0, 2, shape)
    sets[2, -1, 0] = 0
    sets[3, 1:] = stream.uniform(0, 2, shape)[1:]
    with vlm.lock, torch.no_grad():
        logits = gated_logits(capture(vlm, vlm.encode(SHOWN)), torch.tensor(sets, dtype=torch.float32))[:, 0]
    for gates, found in zip(sets, logits, strict=True):
        expected = vlm.intervene(isi.HeadGates(gates)).prefill(SHOWN).logits
        assert float((found - expected).abs().max()) < 5e-5


def test_gates_have_a_gradient_and_weights_have_none():
    vlm = tiny_models.vlm()
    vlm.prefill(SHOWN)  # transformers adds hooks of its own to the vision tower, once
    with untouched(vlm.model), vlm.lock, without_gradients(vlm.model):
        clean = capture(vlm, vlm.encode(SHOWN))
        gates = torch.full((1, *shape_of(vlm)), 0.9, requires_grad=True)
        target = int(clean.logits[0].argmax())
        (gradient,) = torch.autograd.grad(gated_logits(clean, gates)[0, 0, target], [gates])
        for place in ((0, 0, 0), (0, 1, 2), (0, 2, 3)):
            step = torch.zeros_like(gates)
            step[place] = 1e-2
            with torch.no_grad():
                up, down = (gated_logits(clean, gates + sign * step)[0, 0, target] for sign in (1, -1))
            assert float(gradient[place]) == pytest.approx(float(up - down) / 2e-2, abs=2e-3)


def test_a_gradient_that_is_lost_is_refused(monkeypatch):
    vlm = tiny_models.vlm()
    with vlm.lock, without_gradients(vlm.model):
        clean = capture(vlm, vlm.encode(SHOWN))
        token = int(clean.logits[0].argmax())
        gates = torch.ones(shape_of(vlm))

        def value(logits):
            return logits[:, 0, token]

        check_gradient(clean, value, gates)
        plain = torch.autograd.grad
        monkeypatch.setattr(torch.autograd, "grad", lambda *given: (plain(*given)[0] * 0,))
        with pytest.raises(InputError, match="Gradients of this model are wrong"):
            check_gradient(clean, value, gates)


def test_scores_are_those_of_single_answers(one_hop):
    made, vlm, observations = one_hop
    sets = np.stack([np.ones(SHAPE), np.ones(SHAPE)])
    sets[1][made.causal[0]] = 0
    found = score(vlm, items_of(observations), sets)
    assert found.right[0].all() and found.p.shape == (2, len(observations))
    edited = vlm.intervene(isi.HeadGates.of(SHAPE, {made.causal[0]: 0}))
    for place, observation in enumerate(observations):
        logits = edited.prefill(observation.stimulus()).logits
        token = made.token_id(observation.answer)
        assert found.p[1, place] == pytest.approx(float(logits.softmax(-1)[token]), abs=1e-5)


# Ablation curves --------------------------------------------------------------------------------------------


def test_the_planted_head_is_what_the_curve_falls_with(one_hop):
    made, vlm, observations = one_hop
    found = head_ablation(
        vlm, observations, contributions_of(vlm, observations[:4]), ks=[1, 2, 4], random=4, seed=1
    )
    assert found.ks == (1, 2, 4) and found.series == ("positive", "negative", *["random"] * 4)
    # half of the items are still right by chance
    assert found.drop("positive")[0] > 0.3 and found.drop("positive", "accuracy")[0] == 0.5
    assert abs(found.drop("negative")[0]) < 0.05
    assert found.drop("random")[0] < found.drop("positive")[0]
    mean, low, high = found.beyond_random()[0]
    assert found.beyond_random()[0].low == low
    assert low <= mean <= high and mean == pytest.approx(found.drop("positive")[0] - found.drop("random")[0])
    edited = vlm.intervene(isi.HeadScale(*made.causal[0], 0))
    first = edited.prefill(observations[0].stimulus()).logits.softmax(-1)
    assert found.p[0, 0, 0] == pytest.approx(float(first[made.token_id(observations[0].answer)]), abs=1e-5)


def test_curves_go_on_with_the_least_contributing_heads_and_say_so(one_hop):
    _, vlm, observations = one_hop
    signed = np.arange(-1.0, 15).reshape(SHAPE)  # one head is negative, one idle
    given = SimpleNamespace(signed=signed, positive=signed.clip(0), negative=(-signed).clip(0))
    found = head_ablation(vlm, observations[:2], given, ks=[1, 4], random=1)
    assert found.named == (14, 1) and found.notes == found.notes[:1]
    assert found.notes[0].startswith("1 head has a negative contribution: beyond k = 1, the negative curve")
    # no item was answered wrongly: nothing is negative by the rule
    given.negative = np.full(SHAPE, np.nan)
    other = head_ablation(vlm, observations[:2], given, ks=[1, 4], random=1)
    assert other.named == (14, 0) and np.array_equal(other.p, found.p)
    assert other.notes[0].startswith("No head has a negative contribution")
    zeroed = isi.HeadGates.of(SHAPE, {(0, head): 0 for head in range(4)})
    first = vlm.intervene(zeroed).prefill(observations[0].stimulus()).logits.softmax(-1)
    token = items_of(observations)[0]
    expected = float(first[vlm.tokenizer.encode(" " + token.answer, add_special_tokens=False)[0]])
    assert found.p[1, 1, 0] == pytest.approx(expected, abs=1e-5)
    assert found.notes[0] in found._repr_html_()


def test_an_ablation_is_a_record_with_views(one_hop):
    _, vlm, observations = one_hop
    contributions = contributions_of(vlm, observations[:2])
    found = head_ablation(vlm, observations[:4], contributions, random=2)
    assert found.ks[0] == 1 and found.ks[-1] == math.prod(SHAPE) // 2
    again = HeadAblation.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert again == found and hash(again) == hash(found) and pickle.loads(pickle.dumps(found)) == found
    frame = found.to_frame()
    assert set(frame["heads"]) == {"positive", "negative", "random"} and len(frame) == 6 * len(found.ks)
    assert bool(((frame["low"] <= frame["drop"] + 1e-12) & (frame["drop"] <= frame["high"] + 1e-12)).all())
    assert found.plot().axes and "positive" in found._repr_html_() and "drop of p" in repr(found)
    assert found == head_ablation(vlm, observations[:4], contributions, random=2)  # seeds
    with pytest.raises(InputError):
        HeadAblation.from_dict({**found.to_dict(), "ks": [1]})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ks": []}, "ks must be a list"),
        ({"ks": [0]}, "ks must be"),
        ({"ks": [99]}, "ks must be"),
        ({"random": 0}, "random must be"),
        ({"contributions": 3}, "HeadContributions of isi.measure_heads"),
        ({"contributions": SimpleNamespace(signed=np.ones((2, 2)))}, "has 4 x 4"),
        ({"stimuli": []}, "at least one stimulus"),
    ],
)
def test_ablations_refuse(one_hop, change, words):
    _, vlm, observations = one_hop
    ones = SimpleNamespace(signed=np.ones(SHAPE), positive=np.ones(SHAPE), negative=np.ones(SHAPE))
    given = {"stimuli": observations[:1], "contributions": ones} | change
    with pytest.raises(InputError, match=words):
        head_ablation(vlm, given.pop("stimuli"), given.pop("contributions"), **given)


# Overlap ----------------------------------------------------------------------------------------------------


def of(positive, negative=None):
    positive = np.asarray(positive, dtype=float)
    negative = positive if negative is None else negative
    return SimpleNamespace(signed=positive - negative, positive=positive, negative=negative)


class Contributions:
    """Drops [items, layers, heads] of items with levels, as `HeadContributions` has them."""

    def __init__(self, drops, levels):
        self.drops, self.levels = np.asarray(drops), tuple(levels)

    @property
    def signed(self):
        return self.drops.mean(axis=0)

    @property
    def positive(self):
        return self.drops.clip(0).mean(axis=0)

    @property
    def negative(self):
        return (-self.drops).clip(0).mean(axis=0)

    def only(self, items):
        return Contributions(self.drops[list(items)], [self.levels[item] for item in items])


def levelled():
    """20 items of each level: other positive heads in each, the same negative ones."""
    stream = np.random.default_rng(0)
    drops = stream.normal(0, 0.5, (40, 4, 5))
    drops[:20, 0, :3] += 3
    drops[20:, 1, :3] += 3
    drops[:, 3, :3] -= 3
    return Contributions(drops, ["object"] * 20 + ["relation"] * 20)


def test_shared_heads_and_chance():
    values = np.zeros((4, 5))
    one, other = values.copy(), values.copy()
    one[0, :3], other[0, 1:4] = (3, 2, 1), (1, 2, 3)
    found = head_overlap({"a": of(one, other), "b": of(other, other)}, k=3)
    assert found.share("a", "b") == 2 / 3 and found.share("a", "b", "negative") == 1
    assert found.expected == 3 / 20
    # hypergeometric: C(3,2) C(17,1) + C(3,3) of C(20,3)
    assert found.p_value("a", "b") == pytest.approx((3 * 17 + 1) / 1140)
    assert found.p_value("a", "b", "negative") == pytest.approx(1 / 1140)
    again = HeadOverlap.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found and pickle.loads(pickle.dumps(found)) == found
    assert len(found.to_frame()) == 2 and found.plot().axes and "a and b" in found._repr_html_()
    assert found.notes == ()
    shares = [
        len(set(stream.permutation(20)[:3].tolist()) & {0, 1, 2}) / 3
        for stream in map(np.random.default_rng, range(400))
    ]
    assert np.mean(shares) == pytest.approx(found.expected, abs=0.03)


def test_levels_share_negative_heads_and_differ_in_positive_ones():
    """V-SEAM's claim, where it holds by construction."""
    found = head_overlap(levelled(), k=3, splits=10, permutations=60)
    assert found.names == ("object", "relation") and found.of_levels
    assert found.share("object", "object") == found.share("relation", "relation") == 1
    assert found.share("object", "relation") == 0 and found.share("object", "relation", "negative") == 1
    mean, low, high, p = found.difference("positive")
    assert (mean, low, high) == (1, 1, 1) and 1 / 61 <= p < 0.06
    mean, _, _, p = found.difference("negative")
    assert mean == 0 and p > 0.5
    assert "within object" in found._repr_html_() and "Positive heads" in found.notes[0]
    assert HeadOverlap.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert len(found.to_frame()) == 6 and found.plot().axes
    assert found == head_overlap(levelled(), k=3, splits=10, permutations=60)  # seeds


def test_without_wrong_answers_negative_heads_are_those_of_the_sign():
    found = head_overlap({"a": of(np.eye(4), np.zeros((4, 4))), "b": of(np.eye(4), np.zeros((4, 4)))})
    assert found.by_sign and "answered no item wrongly" in found.notes[0]
    assert HeadOverlap.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert not head_overlap(levelled(), k=3, splits=2, permutations=0).by_sign


def test_levels_without_a_difference_show_none():
    """The same heads in both: noise alone; and halves of noise share what chance does."""
    stream = np.random.default_rng(1)
    noise = Contributions(stream.normal(size=(40, 8, 8)), ["a"] * 20 + ["b"] * 20)
    found = head_overlap(noise, k=8, splits=30, permutations=60)
    assert abs(found.difference()[0]) < 0.1 and found.difference()[3] > 0.05
    assert found.share("a", "a") == pytest.approx(found.expected, abs=0.12)


@pytest.mark.parametrize(
    ("given", "change", "words"),
    [
        ({"a": of(np.eye(4))}, {}, "at least two measurements"),
        ({"a": of(np.eye(4)), "b": of(np.ones((2, 2)))}, {}, "different numbers"),
        ({"a": of(np.eye(4)), "b": of(np.eye(4))}, {"k": 17}, "k must be"),
        (Contributions(np.ones((2, 2, 2)), ["", ""]), {}, "No item has a semantic level"),
        (Contributions(np.ones((3, 2, 2)), ["a", "a", "b"]), {}, "'b' has one"),
        (levelled(), {"splits": 1}, "splits must be"),
        (3, {}, "HeadContributions of isi.measure_heads"),
    ],
)
def test_overlaps_refuse(given, change, words):
    with pytest.raises(InputError, match=words):
        head_overlap(given, **change)


def test_questions_to_an_overlap_that_has_no_answer():
    found = head_overlap({"a": of(np.eye(4)), "b": of(np.eye(4))})
    with pytest.raises(InputError, match="no measurement 'c'"):
        found.share("a", "c")
    with pytest.raises(InputError, match="several levels"):
        found.difference()


# Fitted gates -----------------------------------------------------------------------------------------------


def test_the_rule_is_v_seams_on_normalised_scores():
    signed = np.array([[0.02, -0.01], [0.0, 0.005]])
    assert rule(signed, 1).tolist() == [[2, 0.5], [1, 1.25]]
    assert rule(signed, 4).tolist() == [[2, 0], [1, 2]]
    assert rule(np.zeros((2, 2)), 4).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("method", ["contributions", "gradient"])
def test_gates_repair_a_model_with_a_head_against_it(spoilt, method):
    made, vlm, observations = spoilt
    train, validation, test = observations[:6], observations[6:10], observations[10:]
    given = {"contributions": contributions_of(vlm, train)} if method == "contributions" else {"epochs": 12}
    with untouched(vlm.model):
        fit = fit_gates(vlm, train, validation, test, method=method, random=12, **given)
    assert (fit.accuracy_before, fit.accuracy_after, fit.gain) == (0, 1, 1)
    assert fit.gates.factors[made.causal[1][0]][made.causal[1][1]] < 1
    assert fit.interval() == (1, 1) and fit.p_value == pytest.approx(2 / 2**6)
    assert np.mean(fit.random_gains) < 0.7 and fit.beyond_random()[1] > 0
    assert fit.verdict.startswith("A gain: 0.0% before, 100.0% after, 6 held-out items")
    repaired = vlm.intervene(fit.gates)
    assert all(repaired.answer(seen.stimulus(), 1).text == seen.answer for seen in test)


def test_contributions_are_measured_where_none_are_given(spoilt):
    made, vlm, observations = spoilt
    fit = fit_gates(vlm, observations[:4], observations[4:12], random=2)
    assert fit.gain == 1 and fit.gates.factors[made.causal[1][0]][made.causal[1][1]] < 1
    measured = isi.measure_heads(vlm, observations[:4])
    assert fit == fit_gates(vlm, observations[:4], observations[4:12], contributions=measured, random=2)


@pytest.mark.parametrize("method", ["contributions", "gradient"])
def test_a_fit_that_was_stopped_goes_on(spoilt, method, tmp_path):
    _, vlm, observations = spoilt
    given = {"contributions": contributions_of(vlm, observations[:2])} if method == "contributions" else {}
    given |= {"method": method, "epochs": 2, "random": 2}
    parts = (observations[:4], observations[4:6], observations[6:8])
    whole = fit_gates(vlm, *parts, **given)
    for polls in (3, 9, 13):
        left = iter([False] * polls)
        with pytest.raises(Cancelled):
            fit_gates(
                vlm, *parts, **given, store=tmp_path / "a.jsonl", cancel=lambda left=left: next(left, True)
            )
        if method == "contributions":
            break
    steps = []
    again = fit_gates(vlm, *parts, **given, store=tmp_path / "a.jsonl", progress=lambda *s: steps.append(s))
    assert again == whole
    read = []
    plain = vlm.encode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vlm, "encode", lambda shown: read.append(shown) or plain(shown))
        assert fit_gates(vlm, *parts, **given, store=tmp_path / "a.jsonl") == whole
    assert not read  # all of it was there
    with pytest.raises(InputError, match="another"):
        fit_gates(vlm, *parts[::-1], **given, store=tmp_path / "a.jsonl")


def test_an_ablation_that_was_stopped_goes_on(one_hop, tmp_path):
    _, vlm, observations = one_hop
    given = contributions_of(vlm, observations[:2])
    whole = head_ablation(vlm, observations[:4], given, [1, 2], random=2)
    polls = iter([False] * 5)
    with pytest.raises(Cancelled):
        head_ablation(
            vlm, observations[:4], given, [1, 2], random=2, store=tmp_path, cancel=lambda: next(polls, True)
        )
    assert head_ablation(vlm, observations[:4], given, [1, 2], random=2, store=tmp_path) == whole
    with pytest.raises(InputError, match=r"different run \(not the same numbers\)"):
        head_ablation(vlm, observations[:4], given, [1, 3], random=2, store=tmp_path)


def test_a_gain_that_is_not_there_is_reported_as_not_there(one_hop):
    _, vlm, observations = one_hop
    idle = SimpleNamespace(signed=np.random.default_rng(0).standard_normal(SHAPE) * 1e-3)
    fit = fit_gates(vlm, observations[:2], observations[2:], contributions=idle, strengths=[0.5], random=3)
    assert fit.gain == 0 and fit.verdict.startswith("No gain") and fit.counts == (2, 3, 3)
    wrong = fit_gates(
        vlm,
        observations[:2],
        [(seen, "No" if seen.answer == "Yes" else "Yes") for seen in observations[2:4]],
        observations[4:],
        contributions=SimpleNamespace(signed=-contributions_of(vlm, observations[:2]).signed),
        random=3,
    )
    assert wrong.gain <= 0 and not wrong.verdict.startswith("A gain")


def test_a_fit_is_a_record_with_views(spoilt):
    _, vlm, observations = spoilt
    signed = contributions_of(vlm, observations[:2])
    fit = fit_gates(vlm, observations[:2], observations[2:10], contributions=signed, random=3, seed=4)
    again = GateFit.from_dict(json.loads(json.dumps(fit.to_dict(), allow_nan=False)))
    assert again == fit and hash(again) == hash(fit) and pickle.loads(pickle.dumps(fit)) == fit
    assert fit == fit_gates(vlm, observations[:2], observations[2:10], contributions=signed, random=3, seed=4)
    assert len(fit.to_frame()) == 4 and len(fit.plot().axes) >= 2
    assert fit.choices[0] == "no change" and fit.chosen in fit.choices
    assert fit.verdict in fit._repr_html_() and fit.verdict in repr(fit)


def test_fits_report_and_stop(spoilt):
    _, vlm, observations = spoilt
    seen = []
    fit_gates(
        vlm,
        observations[:2],
        observations[2:6],
        method="gradient",
        epochs=1,
        random=1,
        progress=lambda *step: seen.append(step),
    )
    assert seen[0] == ("epoch 1 of 1", 0, 2) and seen[-1][0].startswith("testing") and seen[-1][1:] == (2, 2)
    polls = iter([False, True])
    with untouched(vlm.model), pytest.raises(Cancelled):
        fit_gates(
            vlm, observations[:4], observations[4:], method="gradient", cancel=lambda: next(polls, True)
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "magic"}, "contributions, gradient"),
        ({"validation": "two"}, "cannot be split into a half"),
        ({"strengths": []}, "strengths must be a list"),
        ({"strengths": [0]}, "strengths must be"),
        ({"contributions": SimpleNamespace(signed=np.ones((2, 2)))}, r"have the shape \(2, 2\)"),
        ({"method": "gradient"}, 'contributions belong to method="contributions"'),
        ({"method": "gradient", "contributions": None, "epochs": 0}, "epochs must be"),
        ({"method": "gradient", "contributions": None, "penalty": -1}, "penalty must be"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
    ],
)
def test_fits_refuse(one_hop, change, words):
    _, vlm, observations = one_hop
    change = {"validation": observations[2:6]} | change
    if change["validation"] == "two":
        change["validation"] = observations[2:4]
    with pytest.raises(InputError, match=words):
        fit_gates(
            vlm, observations[:2], **({"contributions": SimpleNamespace(signed=np.ones(SHAPE))} | change)
        )


@pytest.mark.parametrize("method", ["contributions", "gradient"])
def test_no_item_may_be_in_two_sets(one_hop, method):
    """Fitting and testing on the same items shows a gain of any gates."""
    _, vlm, seen = one_hop
    read = []

    def refused(*sets):
        with pytest.raises(InputError, match="give every item to one set only") as error:
            fit_gates(vlm, *sets, method=method, random=1, progress=lambda *step: read.append(step))
        return str(error.value)

    text = refused(seen[:3], seen[3:5], [seen[6], *seen[:3]])
    assert text.startswith("fit_gates: train and test share 3 items (such as ") and "validation" not in text
    same = [(each.stimulus(), each.answer.lower()) for each in seen[2:4]]  # another way to give two of them
    text = refused(seen[:3], same, seen[3:6])
    assert "train and validation share 1 item (" in text and "validation and test share 1 item (" in text
    assert "train and the first half of validation share" in refused(seen[:8], seen[:8])
    halves = refused(seen[:1], [seen[1]] * 4)
    assert "the first half of validation and its second half share 2 items" in halves
    assert not read  # before anything is run


def test_equal_stimuli_with_other_answers_are_other_items(one_hop):
    _, vlm, seen = one_hop
    other = [(each, "No" if each.answer == "Yes" else "Yes") for each in seen[:2]]
    given = {"contributions": SimpleNamespace(signed=np.ones(SHAPE)), "random": 1, "strengths": [1]}
    assert fit_gates(vlm, seen[:2], other, seen[2:4], **given).counts == (2, 2, 2)


def test_contrastive_views_are_refused(one_hop):
    _, vlm, observations = one_hop
    with pytest.raises(InputError, match="one alone cannot be run again in parts"):
        score(vlm.intervene(isi.ContrastiveDecoding()), items_of(observations[:1]), np.ones((1, *SHAPE)))


# Pairs of runs ----------------------------------------------------------------------------------------------


def test_mcnemar_is_the_binomial_test():
    from scipy.stats import binomtest

    stream = np.random.default_rng(0)
    for _ in range(20):
        before, after = stream.random(30) < 0.5, stream.random(30) < 0.7
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        assert mcnemar(before, after) == pytest.approx(binomtest(gained, gained + lost).pvalue)
    assert mcnemar(before, before) == 1


def test_the_interval_of_a_mean_is_that_of_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(3).exponential(size=80)
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=1).confidence_interval
    ours = interval(values)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.03)
    assert all(map(math.isnan, interval(np.array([1.0]))))
    for level in (1.5, -0.1, "all"):
        with pytest.raises(InputError, match="interval: level must be"):
            interval(values, level=level)
