"""Enumerated answers against exhaustive loops over plain forwards, for every family; sums, budgets, stops."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
import tiny_models
import torch
from test_families import plain_forward, plain_inputs, with_answer
from tiny_models import VLM, Shown
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

import isi_widget as isi
from isi_widget.answer import Answer, Enumeration
from isi_widget.errors import Cancelled, InputError, OutOfMemory
from isi_widget.vlm.decoding import enumeration
from isi_widget.vlm.decoding.cache import PrefixCache

SHOWN = Shown(current_context="The star is red.", size=(90, 40))
FAMILIES = sorted(tiny_models.BUILDERS)
families = pytest.mark.parametrize("name", FAMILIES)


def ending_model(name, n_eos):
    """A tiny model many of whose tokens end an answer, so that answers of a random model do end."""
    model, processor = tiny_models.BUILDERS[name]()
    model.generation_config.eos_token_id = list(range(100, 100 + n_eos))
    return model, processor


def peaked_vlm():
    """A tiny VLM with a few dozen probable answers: its logits are those of a random model, times 8."""
    model, processor = ending_model("llava", 40)
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach() * 8.0)
    return VLM(model, processor, model_id="peaked")


@torch.no_grad()
def next_distribution(vlm, shown, prefix, warpers):
    """Probabilities [vocabulary] of the next token: one plain forward over prompt and prefix, no cache."""
    inputs = plain_inputs(vlm, shown)
    if prefix:
        inputs = with_answer(inputs, prefix)
    scores = plain_forward(vlm, inputs).logits[:, -1].float()
    for warper in warpers:
        scores = warper(torch.zeros((1, 0), dtype=torch.long), scores)
    return scores[0].double().softmax(-1)


def brute_force(vlm, shown, length, warpers=(), floor=1e-4):
    """{token ids: (probability, finished)} of all answers above `floor`: depth first, a forward a prefix."""
    found, ends = {}, sorted(vlm.eos_ids)
    stack = [((), 1.0)]
    while stack:
        prefix, mass = stack.pop()
        q = next_distribution(vlm, shown, prefix, warpers)
        end = float(q[ends].sum()) * mass
        if end > floor:
            found[prefix] = (end, True)
        q[ends] = 0
        for token in torch.nonzero(q * mass > floor).flatten().tolist():
            child = ((*prefix, token), float(q[token]) * mass)
            if len(child[0]) == length:
                found[child[0]] = (child[1], False)
            else:
                stack.append(child)
    return found


def as_dict(result):
    pairs = zip(result.answers, result.probabilities, strict=True)
    return {answer.token_ids: (p, answer.finished) for answer, p in pairs}


def assert_same(found, expected, floor):
    """Every answer of more than `floor` on both sides, with the same probability and end."""
    large = {ids for ids, (p, _) in (*found.items(), *expected.items()) if p > floor}
    assert len(large) > 5, "the check is empty unless there are several answers"
    for ids in large:
        assert found[ids][0] == pytest.approx(expected[ids][0], rel=2e-3, abs=1e-6), ids
        assert found[ids][1] == expected[ids][1]


@families
def test_probabilities_equal_an_exhaustive_loop(name):
    vlm = VLM(*ending_model(name, 200), model_id="ending")
    expected = brute_force(vlm, SHOWN, 3, [TopKLogitsWarper(5)], floor=0.0)
    result = vlm.enumerate_answers(SHOWN, mass=1.0, max_new_tokens=3, top_k=5)
    assert as_dict(result).keys() == expected.keys()
    assert_same(as_dict(result), expected, 0.0)
    assert result.reached and sum(p for p, _ in expected.values()) == pytest.approx(1.0, abs=1e-6)
    assert math.fsum((*result.probabilities, result.rest)) == pytest.approx(1.0, abs=1e-12)
    assert {answer.finished for answer in result.answers} == {True, False}
    assert result.cut == pytest.approx(sum(p for p, ended in as_dict(result).values() if not ended))


@pytest.mark.parametrize(
    ("settings", "warpers"),
    [
        ({"temperature": 0.7}, [TemperatureLogitsWarper(0.7)]),
        ({"temperature": 1.5, "top_k": 6}, [TemperatureLogitsWarper(1.5), TopKLogitsWarper(6)]),
        (
            {"temperature": 2.0, "top_k": 20, "top_p": 0.8},
            [TemperatureLogitsWarper(2.0), TopKLogitsWarper(20), TopPLogitsWarper(0.8)],
        ),
    ],
)
def test_probabilities_are_those_of_the_distribution_that_is_drawn_from(settings, warpers):
    vlm = peaked_vlm()
    expected = brute_force(vlm, SHOWN, 3, warpers)
    result = vlm.enumerate_answers(SHOWN, mass=0.999, budget=3000, max_new_tokens=3, **settings)
    assert_same(as_dict(result), expected, 5e-4)
    for answer, p in zip(result.answers, result.probabilities, strict=True):
        parts = [
            *answer.sampled_logprobs,
            *([] if answer.sampled_end_logprob is None else [answer.sampled_end_logprob]),
        ]
        assert math.fsum(parts) == pytest.approx(math.log(p), abs=1e-9)


def test_samples_come_as_often_as_their_probability_says():
    vlm = peaked_vlm()
    result = vlm.enumerate_answers(SHOWN, mass=0.999, budget=3000, max_new_tokens=4, temperature=1.2)
    drawn = vlm.sample(SHOWN, n=1000, temperature=1.2, max_new_tokens=4, seed=5)
    counts = Counter(answer.token_ids for answer in drawn)
    for answer, p in zip(result.answers, result.probabilities, strict=True):
        assert abs(counts[answer.token_ids] - 1000 * p) < 5 * math.sqrt(1000 * p) + 3
    known = {answer.token_ids: answer for answer in result.answers}
    assert sum(answer.token_ids in known for answer in drawn) > 950
    for answer in drawn:
        if answer.token_ids in known:
            same = known[answer.token_ids]
            assert (
                same.text == answer.text
                and same.tokens == answer.tokens
                and same.prompt_ids == answer.prompt_ids
            )
            np.testing.assert_allclose(same.logprobs, answer.logprobs, atol=2e-4)
            assert same.whole_log_likelihood == pytest.approx(answer.whole_log_likelihood, abs=5e-4)


def test_everything_there_is_can_be_found():
    vlm = peaked_vlm()
    result = vlm.enumerate_answers(SHOWN, mass=1.0, budget=5000, max_new_tokens=2, top_k=4)
    assert result.rest < 1e-9 and result.reached and result.prefixes < 5000
    assert len(result.answers) <= 1 + 4 + 16
    assert_same(as_dict(result), brute_force(vlm, SHOWN, 2, [TopKLogitsWarper(4)], floor=0.0), 0.0)


def test_a_larger_budget_never_finds_less():
    vlm = peaked_vlm()
    settings = {"mass": 0.99, "temperature": 1.5, "max_new_tokens": 6}
    results = [
        vlm.enumerate_answers(SHOWN, budget=b, **settings) for b in (1, 2, 3, 5, 8, 20, 64, 65, 200, 900)
    ]
    masses = [result.mass for result in results]
    assert masses == sorted(masses) and masses[0] < masses[4] < masses[-1]
    for result in results:
        assert result.prefixes <= result.budget
        assert result.reached == (result.mass >= 0.99)
        assert result.reached or result.prefixes == result.budget, "it stops for one of the two reasons"
        assert list(result.probabilities) == sorted(result.probabilities, reverse=True)
        assert math.fsum((*result.probabilities, result.rest)) == pytest.approx(1.0, abs=1e-12)


def test_few_prefixes_are_looked_at_and_many_at_once():
    """The embedded model: no more prefixes than a search one by one needs, in far fewer passes."""
    vlm = isi.load_vlm()
    stimulus = isi.datasets.scenes()[3].stimulus().noise(0.6, seed=1)
    result = vlm.enumerate_answers(stimulus, mass=0.97)
    assert result.reached and result.batches <= 20 and len(result.answers) <= result.prefixes
    one_by_one = best_first(vlm, stimulus, 0.97)
    assert result.prefixes <= one_by_one + 4 * result.batches
    assert set(result.texts) >= {"Yes", "No"} and len(result.texts) <= len(result.answers)
    assert sum(result.texts.values()) == pytest.approx(result.mass)
    assert list(result.texts.values()) == sorted(result.texts.values(), reverse=True)


def best_first(vlm, stimulus, mass):
    """How many prefixes a heap that opens one at a time looks at."""
    import heapq

    prefill, ends = vlm.prefill(stimulus), sorted(vlm.eos_ids)
    heap, found, looked = [(-1.0, ())], 0.0, 0
    while found < mass:
        weight, prefix = heapq.heappop(heap)
        looked += 1
        logits = vlm.feed(prefill, prefix, vlm.recorder(prefill.prompt))[-1] if prefix else prefill.logits
        q = logits.double().softmax(-1)
        found += -weight * float(q[ends].sum())
        q[ends] = 0
        for token in torch.nonzero(q > 1e-5).flatten().tolist():
            heapq.heappush(heap, (weight * float(q[token]), (*prefix, token)))
    return looked


@pytest.mark.parametrize("rows", [1, 3])
def test_the_result_does_not_depend_on_how_many_fit_side_by_side(monkeypatch, rows):
    vlm = peaked_vlm()
    settings = {"mass": 0.99, "budget": 300, "max_new_tokens": 5}
    expected = as_dict(vlm.enumerate_answers(SHOWN, **settings))
    monkeypatch.setattr(VLM, "_rows_at_once", lambda *_: rows)
    found = as_dict(vlm.enumerate_answers(SHOWN, **settings))
    for ids, (p, ended) in expected.items():
        if p > 2e-3:
            assert found[ids] == (pytest.approx(p, rel=1e-3), ended)


def test_what_does_not_fit_side_by_side_is_read_fewer_at_once(monkeypatch):
    vlm = peaked_vlm()
    settings = {"mass": 0.99, "budget": 300, "max_new_tokens": 5}
    expected = vlm.enumerate_answers(SHOWN, **settings)
    read, sizes = enumeration._read, []

    def small_memory(prefill, tree, keys, nodes):
        sizes.append(len(nodes))
        if len(nodes) > 2:
            raise torch.OutOfMemoryError("no")
        return read(prefill, tree, keys, nodes)

    monkeypatch.setattr(enumeration, "_read", small_memory)
    result = vlm.enumerate_answers(SHOWN, **settings)
    assert max(sizes) > 2 and result.batches > expected.batches
    assert result.mass == pytest.approx(expected.mass, abs=0.005)

    def no_memory(*_):
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(enumeration, "_read", no_memory)
    with pytest.raises(OutOfMemory, match="enumerating answers"):
        vlm.enumerate_answers(SHOWN, **settings)
    monkeypatch.undo()
    assert vlm.enumerate_answers(SHOWN, **settings) == expected, "the model can still be used"


def test_it_can_be_stopped_and_says_how_far_it_is():
    vlm = peaked_vlm()
    prefill = vlm.prefill(SHOWN)
    steps, answers = [], []
    result = vlm.enumerate_answers(
        prefill,
        max_new_tokens=5,
        on_batch=lambda *step: steps.append(step),
        on_answer=lambda *event: answers.append(event),
    )
    assert steps == sorted(steps) and steps[-1][0] == result.prefixes and len(steps) > 2
    assert steps[-1][1] == pytest.approx(result.mass, abs=1e-3)
    assert [number for number, _ in answers] == list(range(len(answers)))
    listed = {answer.token_ids: answer for answer in result.answers}
    assert answers and all(listed[answer.token_ids] is answer for _, answer in answers)
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(Cancelled):
        vlm.enumerate_answers(prefill, max_new_tokens=5, cancel=stop)
    assert vlm.enumerate_answers(prefill, max_new_tokens=5) == result, "the prefill was not changed"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mass": 0.0}, "mass must be a probability above 0, at most 1; got 0.0"),
        ({"mass": 1.2}, "above 0, at most 1"),
        ({"mass": True}, "mass must be .* got True"),
        ({"mass": math.nan}, "mass must be .* got nan"),
        ({"budget": 0}, "budget must be .* got 0"),
        ({"budget": 2.5}, "whole number from 1 to 100000"),
        ({"temperature": 0}, "temperature must be .*; got 0"),
        ({"top_p": 0}, "top_p must be .*; got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be .*; got 0"),
    ],
)
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        tiny_models.vlm().enumerate_answers(SHOWN, **settings)


def test_a_record_round_trips_and_is_checked():
    result = peaked_vlm().enumerate_answers(SHOWN, mass=0.9, max_new_tokens=4)
    assert Enumeration.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False))) == result
    yes = Answer("Yes", (1,), ("Yes",), (-0.5,), end_logprob=-0.1)
    with pytest.raises(InputError, match="1 answer, 2 probabilities"):
        Enumeration((yes,), (0.5, 0.1), 0.4, 0.9, 1, 1, 8)
    with pytest.raises(InputError, match=r"they sum to 0\.9"):
        Enumeration((yes,), (0.5,), 0.4, 0.9, 1, 1, 8)
    same = Enumeration((yes, yes), (0.5, 0.25), 0.25, 0.9, 1, 1, 8)
    assert same.texts == {"Yes": 0.75} and not same.reached and same.mass == 0.75


def test_what_answers_share_is_held_once():
    vlm = tiny_models.vlm()
    keys = PrefixCache(vlm.prefill(SHOWN).cache)
    prompt = vlm.prefill(SHOWN).cache.layers[0].keys
    cache = keys.fork([[], []], prompt.device)
    new = torch.arange(2 * prompt.shape[1] * prompt.shape[3]).reshape(2, prompt.shape[1], 1, prompt.shape[3])
    for layer in cache.layers:
        layer.update(new.float(), -new.float())
    keys.keep([1, 2], cache, torch.tensor([0, 0]))
    again = keys.fork([[2], [1], [2]], prompt.device)
    joined, values = again.layers[0].update(new[[0, 0, 1]].float(), new[[0, 0, 1]].float())
    assert joined.shape[2] == prompt.shape[2] + 2 and again.get_seq_length() == prompt.shape[2] + 2
    assert torch.equal(joined[:, :, -2], new[[1, 0, 1], :, 0].float())
    assert torch.equal(values[:, :, -2], -new[[1, 0, 1], :, 0].float())
