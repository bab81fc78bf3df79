"""Decoding: equal to transformers' generate, to teacher forcing and by seed; the prefill is never changed."""

from __future__ import annotations

import json
import math
import threading

import numpy as np
import pytest
import tiny_models
import torch
from scipy import stats
from tiny_models import VLM, Shown
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

import isi_widget as isi
from isi_widget.answer import Answer
from isi_widget.errors import Cancelled, InputError, OutOfMemory
from isi_widget.vlm.decoding import loop as decoding
from isi_widget.vlm.decoding.cache import SharedPromptLayer, fork, row_bytes
from isi_widget.vlm.decoding.loop import Pieces, Row, Sampler, decode
from isi_widget.vlm.inside.attention import implementation

FAMILIES = [("llava", {}), ("llava_next", {}), ("llava", {"num_key_value_heads": 2})]
families = pytest.mark.parametrize(("family", "text"), FAMILIES)
SHOWN = Shown(current_context="The star is red.", size=(90, 40))


def ending_vlm(family="llava", n_eos=40, **text):
    """A tiny VLM many of whose tokens end an answer, so that answers of a random model do end."""
    model, processor = tiny_models.BUILDERS[family](**text)
    model.generation_config.eos_token_id = list(range(100, 100 + n_eos))
    return VLM(model, processor, model_id="ending")


def inputs_of(vlm, shown):
    prompt = vlm.encode(shown)
    return {"input_ids": prompt.input_ids, **prompt.images}


def teacher_forced(vlm, shown, token_ids):
    """Log-probabilities of an answer from one plain forward over prompt + answer: no cache, no loop."""
    inputs = inputs_of(vlm, shown)
    prompt_length = inputs["input_ids"].shape[1]
    inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([token_ids])], dim=1)
    with torch.no_grad():
        logits = vlm.model(**inputs, use_cache=False).logits[0, prompt_length - 1 : -1].float()
    return logits.log_softmax(-1)[torch.arange(len(token_ids)), torch.tensor(token_ids)].numpy()


def generated(vlm, shown, **arguments):
    """The answer tokens of transformers' own generate, its end-of-sequence token cut off."""
    inputs = inputs_of(vlm, shown)
    with torch.no_grad():
        ids = vlm.model.generate(**inputs, do_sample=False, pad_token_id=3, **arguments)[0].tolist()
    ids = ids[inputs["input_ids"].shape[1] :]
    ends = [position for position, token in enumerate(ids) if token in vlm.eos_ids]
    return tuple(ids[: ends[0]] if ends else ids)


@families
@pytest.mark.parametrize("seed", range(3))
def test_greedy_tokens_equal_generate(family, text, seed):
    vlm = VLM(*tiny_models.BUILDERS[family](seed=seed, **text), model_id="tiny")
    answer = vlm.answer(SHOWN, max_new_tokens=20)
    assert answer.token_ids == generated(vlm, SHOWN, max_new_tokens=20)


@pytest.mark.parametrize("family", ["llava", "llava_next"])
def test_greedy_with_several_ends_equals_generate(family):
    lengths = set()
    for seed in range(8):
        model, processor = tiny_models.BUILDERS[family](seed=seed)
        model.generation_config.eos_token_id = list(range(100, 180))
        vlm = VLM(model, processor, model_id="ending")
        answer = vlm.answer(SHOWN, max_new_tokens=12)
        assert answer.token_ids == generated(vlm, SHOWN, max_new_tokens=12)
        assert not set(answer.token_ids) & vlm.eos_ids
        assert answer.finished == (len(answer.token_ids) < 12)
        lengths.add(len(answer.token_ids))
    assert len(lengths) > 2, "the check is empty unless answers end at different lengths"


@families
def test_logprobs_equal_teacher_forcing(family, text):
    vlm = tiny_models.vlm(family, **text)
    answers = [vlm.answer(SHOWN, max_new_tokens=16), *vlm.sample(SHOWN, n=6, max_new_tokens=16, seed=1)]
    for answer in answers:
        expected = teacher_forced(vlm, SHOWN, answer.token_ids)
        np.testing.assert_allclose(answer.logprobs, expected, atol=1e-5)


def test_logprobs_are_the_models_own_whatever_the_sampling_settings():
    vlm = tiny_models.vlm()
    for settings in ({"temperature": 0.3}, {"temperature": 2.0}, {"top_k": 5}, {"top_p": 0.5}):
        answer = vlm.sample(SHOWN, n=1, max_new_tokens=8, **settings)[0]
        np.testing.assert_allclose(answer.logprobs, teacher_forced(vlm, SHOWN, answer.token_ids), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "warpers"),
    [
        ({"temperature": 0.6}, [TemperatureLogitsWarper(0.6)]),
        (
            {"temperature": 1.4, "top_k": 20, "top_p": 0.8},
            [TemperatureLogitsWarper(1.4), TopKLogitsWarper(20), TopPLogitsWarper(0.8)],
        ),
    ],
)
def test_logprobs_as_sampled_equal_those_of_the_warped_forward(settings, warpers):
    vlm = ending_vlm()
    for answer in vlm.sample(SHOWN, n=6, max_new_tokens=10, seed=2, **settings):
        inputs = inputs_of(vlm, SHOWN)
        start = inputs["input_ids"].shape[1]
        fed = torch.tensor([answer.token_ids], dtype=torch.long)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], fed], dim=1)
        with torch.no_grad():
            scores = vlm.model(**inputs, use_cache=False).logits[0, start - 1 : -1].float()
        for warper in warpers:
            scores = warper(fed, scores)
        chosen = scores.log_softmax(-1)[: fed.shape[1]].gather(1, fed.T).squeeze(1)
        np.testing.assert_allclose(answer.sampled_logprobs, chosen, atol=1e-5)
    assert vlm.answer(SHOWN, max_new_tokens=3).sampled_logprobs == ()


def end_scores(vlm, shown, token_ids):
    """Raw logits [vocabulary] after an answer's last token, from one plain forward: no cache, no loop."""
    inputs = inputs_of(vlm, shown)
    fed = torch.tensor([token_ids], dtype=torch.long)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], fed], dim=1)
    with torch.no_grad():
        return vlm.model(**inputs, use_cache=False).logits[0, -1].float()


@pytest.mark.parametrize("n_eos", [1, 40])
@pytest.mark.parametrize(
    ("settings", "warpers"),
    [
        ({"temperature": 1.0}, []),
        ({"temperature": 0.6}, [TemperatureLogitsWarper(0.6)]),
        (
            {"temperature": 1.4, "top_k": 300, "top_p": 0.9},
            [TemperatureLogitsWarper(1.4), TopKLogitsWarper(300), TopPLogitsWarper(0.9)],
        ),
    ],
)
def test_the_end_has_the_probability_of_all_tokens_that_end_an_answer(settings, warpers, n_eos):
    vlm = ending_vlm(n_eos=n_eos)
    ends, ended = sorted(vlm.eos_ids), 0
    for answer in vlm.sample(SHOWN, n=40 if n_eos > 1 else 64, max_new_tokens=24, seed=2, **settings):
        if not answer.finished:
            assert answer.end_logprob is None and answer.sampled_end_logprob is None
            assert answer.whole_log_likelihood == answer.log_likelihood
            continue
        if vlm.tokenizer.convert_tokens_to_ids("<image>") in answer.token_ids:
            continue  # drawn as a word; a plain forward would look for its picture
        ended += 1
        raw = warped = end_scores(vlm, SHOWN, answer.token_ids)[None]
        for warper in warpers:
            warped = warper(torch.zeros((1, 0), dtype=torch.long), warped)
        assert answer.end_logprob == pytest.approx(float(raw.softmax(-1)[0, ends].sum().log()), abs=1e-5)
        expected = float(warped.softmax(-1)[0, ends].sum().log())
        assert answer.sampled_end_logprob == pytest.approx(expected, abs=1e-5)
        assert answer.whole_log_likelihood == pytest.approx(sum(answer.logprobs) + answer.end_logprob)
    assert ended > 0, "the check is empty unless answers end"


@pytest.mark.parametrize("num_beams", [1, 3])
def test_greedy_answers_and_beams_know_their_end(num_beams):
    ended = 0
    for seed in range(8):
        model, processor = tiny_models.llava(seed=seed)
        model.generation_config.eos_token_id = list(range(100, 180))
        vlm = VLM(model, processor, model_id="ending")
        answer = vlm.answer(SHOWN, max_new_tokens=8, num_beams=num_beams)
        assert answer.sampled_end_logprob is None, "nothing was drawn"
        assert (answer.end_logprob is not None) == answer.finished
        if answer.finished:
            ended += 1
            raw = end_scores(vlm, SHOWN, answer.token_ids).log_softmax(-1)
            assert answer.end_logprob == pytest.approx(float(raw[100:180].logsumexp(0)), abs=1e-5)
        assert Answer.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer
    assert ended > 1


def test_a_record_from_before_ends_were_kept_is_read():
    answers = ending_vlm().sample(SHOWN, n=20, max_new_tokens=12)
    record = next(answer for answer in answers if answer.finished).to_dict()
    assert record.pop("end_logprob") < 0 and record.pop("sampled_end_logprob") < 0
    old = Answer.from_dict(record)
    assert old.end_logprob is None and math.isnan(old.whole_log_likelihood)
    with pytest.raises(InputError, match="has not ended"):
        Answer("a", (1,), ("a",), (-1.0,), finished=False, end_logprob=-0.5)


def test_samples_are_told_as_they_end():
    vlm = ending_vlm()
    told = []
    answers = vlm.sample(SHOWN, n=12, max_new_tokens=10, on_answer=lambda *event: told.append(event))
    assert sorted(row for row, _ in told) == list(range(12))
    assert all(answers[row] is answer for row, answer in told)
    steps = [len(answer.token_ids) + answer.finished for _, answer in told]
    assert steps == sorted(steps), "shorter answers end first"
    assert len(set(steps)) > 2


def test_rows_that_end_leave_the_batch_and_the_others_stay_exact():
    vlm = ending_vlm()
    answers = vlm.sample(SHOWN, n=30, max_new_tokens=12, seed=3)
    assert len({len(answer.token_ids) for answer in answers}) > 4
    for answer in answers:
        assert not set(answer.token_ids) & vlm.eos_ids
        assert answer.finished == (len(answer.token_ids) < 12)
        if answer.token_ids:
            np.testing.assert_allclose(
                answer.logprobs, teacher_forced(vlm, SHOWN, answer.token_ids), atol=1e-5
            )


def test_an_answer_that_ends_at_once_is_empty():
    model, processor = tiny_models.llava()
    vlm = VLM(model, processor, model_id="tiny")
    first = vlm.answer(SHOWN, max_new_tokens=1).token_ids[0]
    model.generation_config.eos_token_id = first
    answer = VLM(model, processor, model_id="tiny").answer(SHOWN)
    assert (answer.text, answer.token_ids, answer.logprobs, answer.finished) == ("", (), (), True)


def test_min_new_tokens_holds_back_the_end():
    vlm = ending_vlm(n_eos=300)
    short = vlm.sample(SHOWN, n=20, max_new_tokens=10)
    long = vlm.sample(SHOWN, n=20, max_new_tokens=10, min_new_tokens=5)
    assert min(len(answer.token_ids) for answer in short) < 5
    assert min(len(answer.token_ids) for answer in long) >= 5
    assert vlm.answer(SHOWN, max_new_tokens=8, min_new_tokens=4).token_ids == generated(
        vlm, SHOWN, max_new_tokens=8, min_new_tokens=4
    )


def test_samples_repeat_by_seed_whatever_their_number_and_their_batch(monkeypatch):
    vlm = ending_vlm()
    reference = vlm.sample(SHOWN, n=12, max_new_tokens=10, seed=5)
    ids = [answer.token_ids for answer in reference]
    assert [answer.token_ids for answer in vlm.sample(SHOWN, n=12, max_new_tokens=10, seed=5)] == ids
    assert [answer.token_ids for answer in vlm.sample(SHOWN, n=4, max_new_tokens=10, seed=5)] == ids[:4]
    assert [answer.token_ids for answer in vlm.sample(SHOWN, n=12, max_new_tokens=10, seed=6)] != ids
    monkeypatch.setattr("isi_widget.vlm.decoding.loop.ROWS_AT_ONCE", 5)
    assert [answer.token_ids for answer in vlm.sample(SHOWN, n=12, max_new_tokens=10, seed=5)] == ids
    assert len(set(ids)) > 6


def test_sampling_leaves_the_global_random_state_alone():
    vlm = tiny_models.vlm()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    vlm.sample(SHOWN, n=2, max_new_tokens=3)
    assert torch.rand(3).equal(expected)


def test_a_sampled_answer_is_the_first_sample():
    vlm = tiny_models.vlm()
    one = vlm.answer(SHOWN, max_new_tokens=8, do_sample=True, temperature=0.9, seed=4)
    assert one.token_ids == vlm.sample(SHOWN, n=3, max_new_tokens=8, temperature=0.9, seed=4)[0].token_ids


@pytest.mark.parametrize(
    ("settings", "warpers"),
    [
        ({"temperature": 0.7}, [TemperatureLogitsWarper(0.7)]),
        ({"temperature": 1.3, "top_k": 4}, [TemperatureLogitsWarper(1.3), TopKLogitsWarper(4)]),
        ({"temperature": 1.0, "top_p": 0.6}, [TopPLogitsWarper(0.6)]),
    ],
)
def test_the_sampler_draws_from_transformers_distribution(settings, warpers):
    """20,000 draws of one token against the probabilities that transformers' warpers give: chi-squared."""
    logits = torch.tensor([[2.0, 1.0, 0.5, 0.0, -1.0, -2.0, 1.5, 0.9]])
    expected = logits
    for warper in warpers:
        expected = warper(torch.zeros((1, 0), dtype=torch.long), expected)
    probabilities = expected.softmax(-1)[0].numpy().astype(float)
    sampler = Sampler(seed=0, **({"top_k": 0, "top_p": 1.0} | settings))
    draws = 20_000
    tokens, drawn = sampler(logits.expand(draws, -1), [Row(index) for index in range(draws)])
    np.testing.assert_allclose(drawn[0], probabilities / probabilities.sum(), rtol=1e-6)
    assert (drawn == drawn[0]).all()
    counts = np.bincount(tokens.numpy(), minlength=8)
    possible = probabilities > 0
    assert counts[~possible].sum() == 0
    assert possible.sum() > 1
    wanted = probabilities[possible] / probabilities[possible].sum() * draws
    assert stats.chisquare(counts[possible], wanted).pvalue > 1e-3


def test_neighbouring_seeds_and_rows_are_independent_streams():
    logits = torch.zeros((1, 1000))
    firsts = {
        int(Sampler(temperature=1.0, top_k=0, top_p=1.0, seed=seed)(logits, [Row(row)])[0])
        for seed in range(-5, 15)
        for row in range(20)
    }
    # 400 uniform draws from 1000 tokens: 330 distinct ones expected.
    assert 300 < len(firsts) < 360


@pytest.mark.parametrize("family", ["llava", "llava_next"])
def test_one_prefill_serves_everything_and_is_not_changed(family):
    vlm = tiny_models.vlm(family)
    prefill = vlm.prefill(SHOWN)
    before = [(layer.keys.clone(), layer.values.clone()) for layer in prefill.cache.layers]
    answer = vlm.answer(prefill, max_new_tokens=6)
    beams = vlm.answer(prefill, max_new_tokens=6, num_beams=3)
    samples = vlm.sample(prefill, n=4, max_new_tokens=6)
    vlm.teacher_force(prefill, answer.token_ids)
    for (keys, values), layer in zip(before, prefill.cache.layers, strict=True):
        assert layer.keys.equal(keys) and layer.values.equal(values)
    assert vlm.answer(prefill, max_new_tokens=6) == answer == vlm.answer(SHOWN, max_new_tokens=6)
    assert vlm.answer(prefill, max_new_tokens=6, num_beams=3) == beams
    assert vlm.sample(prefill, n=4, max_new_tokens=6) == samples == vlm.sample(SHOWN, n=4, max_new_tokens=6)


def test_a_forked_cache_shares_the_prompt_s_memory():
    prompt = tiny_models.vlm().prefill(SHOWN).cache
    alone, shared = fork(prompt), fork(prompt, 3)
    assert alone.layers[0].keys.data_ptr() == prompt.layers[0].keys.data_ptr()
    for layer, original in zip(shared.layers, prompt.layers, strict=True):
        assert isinstance(layer, SharedPromptLayer)
        assert layer.keys.numel() == 0
        assert layer.get_seq_length() == original.get_seq_length()
        assert layer._keys.data_ptr() == original.keys.data_ptr()


def test_a_shared_prompt_is_the_same_as_a_repeated_one():
    """transformers' own repeated cache through growth, dropping of rows and reordering: bit by bit."""
    prompt = tiny_models.vlm().prefill(SHOWN).cache
    shared, repeated = fork(prompt, 4), fork(prompt)
    repeated.batch_repeat_interleave(4)
    generator = torch.Generator().manual_seed(0)
    rows, width = 4, prompt.layers[0].keys.shape[-1]
    changes = [
        None,
        ("batch_select_indices", [0, 2, 3]),
        ("reorder_cache", [2, 2, 0]),
        ("batch_repeat_interleave", 2),
        ("batch_select_indices", [5, 1]),
    ]
    for change in changes:
        if change is not None:
            name, value = change
            argument = value if isinstance(value, int) else torch.tensor(value)
            for cache in (shared, repeated):
                getattr(cache, name)(argument)
            rows = rows * value if isinstance(value, int) else len(value)
        new = torch.randn((2, rows, 4, 1, width), generator=generator)
        for layer in range(len(prompt.layers)):
            ours, theirs = (cache.update(new[0], new[1], layer) for cache in (shared, repeated))
            assert all(mine.equal(other) for mine, other in zip(ours, theirs, strict=True))
        assert shared.get_seq_length() == repeated.get_seq_length()
        assert shared.get_mask_sizes(1, 0) == repeated.get_mask_sizes(1, 0)
    with pytest.raises(NotImplementedError):
        shared.layers[0].crop(-1)


def test_a_prefill_of_another_model_is_refused():
    prefill = tiny_models.vlm("llava").prefill(SHOWN)
    with pytest.raises(InputError, match="another VLM"):
        tiny_models.vlm("llava_next").answer(prefill)


def test_an_unchanged_image_is_encoded_once(monkeypatch):
    vlm = VLM(*tiny_models.llava(), model_id="tiny")
    calls = []
    original = vlm.model.get_image_features
    monkeypatch.setattr(vlm.model, "get_image_features", lambda **kw: calls.append(1) or original(**kw))
    first = vlm.prefill(Shown("Is it red?"))
    vlm.prefill(Shown("Is it blue?", "Maybe."))
    assert len(calls) == 1
    vlm.prefill(Shown(seed=1))
    assert len(calls) == 2
    # And the cached features give the same logits as the model's own route through pixel_values.
    with torch.no_grad():
        plain = vlm.model(**inputs_of(vlm, Shown("Is it red?"))).logits[0, -1]
    torch.testing.assert_close(first.logits, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["llava", "llava_next"])
def test_tokens_are_called_back_in_order_and_join_to_the_text(family):
    vlm = tiny_models.vlm(family)
    seen: dict[int, list[tuple[str, float]]] = {}
    answers = vlm.sample(
        SHOWN,
        n=3,
        max_new_tokens=9,
        on_token=lambda row, text, lp: seen.setdefault(row, []).append((text, lp)),
    )
    for row, answer in enumerate(answers):
        assert tuple(text for text, _ in seen[row]) == answer.tokens
        assert tuple(logprob for _, logprob in seen[row]) == answer.logprobs


@pytest.mark.parametrize("kind", ["byte", "piece"])
@pytest.mark.parametrize("text", ["Yes, there is a red star.", "naïve 東京 🙂 ok", "  two  spaces "])
def test_pieces_join_to_the_decoded_text(kind, text):
    tokenizer = tiny_models.tokenizer(kind)
    ids = tokenizer.encode(text, add_special_tokens=False)
    pieces = Pieces(tokenizer)
    assert "".join(pieces.push(token) for token in ids) == decode(tokenizer, ids)


def test_cancelling_between_tokens():
    vlm = tiny_models.vlm()
    tokens = []
    for run in (
        lambda **kw: vlm.answer(SHOWN, max_new_tokens=20, **kw),
        lambda **kw: vlm.sample(SHOWN, n=1, max_new_tokens=20, **kw),
        lambda **kw: vlm.answer(SHOWN, max_new_tokens=20, attention=True, **kw),
    ):
        tokens.clear()
        with pytest.raises(Cancelled):
            run(on_token=lambda *token: tokens.append(token), cancel=lambda: len(tokens) >= 5)
        assert len(tokens) == 5
    polled = iter([False, False, True])
    with pytest.raises(Cancelled):
        vlm.answer(SHOWN, max_new_tokens=20, num_beams=2, cancel=lambda: next(polled))
    # Nothing is left behind: the attention implementation is restored and the model answers as before.
    assert vlm.model.config.text_config._attn_implementation == "sdpa"
    assert vlm.answer(SHOWN, max_new_tokens=5).token_ids == generated(vlm, SHOWN, max_new_tokens=5)


BAD = [
    ({"temperature": 0}, "temperature must be .*; got 0.*vlm.answer"),
    ({"temperature": -1.0}, "temperature must be .*; got -1"),
    ({"temperature": float("nan")}, "temperature must be .*; got nan"),
    ({"temperature": float("inf")}, "temperature must be .*; got inf"),
    ({"temperature": "hot"}, "temperature must be .*; got 'hot'"),
    ({"n": 0}, "from 1 to 1000"),
    ({"n": 1001}, "from 1 to 1000"),
    ({"n": 2.5}, "from 1 to 1000"),
    ({"n": True}, "from 1 to 1000"),
    ({"top_p": 0.0}, "top_p must be .*; got 0.0"),
    ({"top_p": 1.1}, "top_p must be .*; got 1.1"),
    ({"top_k": -1}, "top_k must be .*; got -1"),
    ({"seed": 1.5}, "seed must be .*; got 1.5"),
    ({"max_new_tokens": 0}, "max_new_tokens must be .*; got 0"),
    ({"min_new_tokens": 65}, "min_new_tokens must be .*; got 65"),
]


@pytest.mark.parametrize(("settings", "message"), BAD)
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        tiny_models.vlm().sample(SHOWN, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beams": 0}, "num_beams must be .*; got 0"),
        ({"num_beams": 65}, "num_beams must be .*; got 65"),
        ({"num_beams": 2, "do_sample": True}, "cannot be combined"),
        ({"do_sample": True, "temperature": 0}, "temperature must be .*; got 0"),
    ],
)
def test_answer_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        tiny_models.vlm().answer(SHOWN, **settings)


def test_numpy_numbers_are_numbers():
    answers = tiny_models.vlm().sample(
        SHOWN, n=np.int64(2), temperature=np.float32(0.5), seed=np.int64(1), max_new_tokens=np.int64(2)
    )
    assert len(answers) == 2


@pytest.mark.parametrize("family", ["llava", "llava_next"])
@pytest.mark.parametrize(("num_beams", "n_eos"), [(2, 1), (3, 60), (4, 10), (5, 150)])
def test_beams_equal_generate(family, num_beams, n_eos):
    ended = 0
    for seed in range(6):
        model, processor = tiny_models.BUILDERS[family](seed=seed)
        model.generation_config.eos_token_id = list(range(100, 100 + n_eos))
        vlm = VLM(model, processor, model_id="tiny")
        settings = {"max_new_tokens": 7, "num_beams": num_beams, "min_new_tokens": seed % 3}
        answer = vlm.answer(SHOWN, **settings)
        assert answer.token_ids == generated(vlm, SHOWN, **settings)
        if answer.token_ids:
            expected = teacher_forced(vlm, SHOWN, answer.token_ids)
            np.testing.assert_allclose(answer.logprobs, expected, atol=1e-5)
        ended += answer.finished
    assert n_eos < 50 or ended > 0


def test_yes_no_counts_every_surface_form():
    vlm = tiny_models.vlm()
    vocabulary = vlm.tokenizer.get_vocab()
    forms = {
        word: [i for token, i in vocabulary.items() if token.replace("Ġ", " ").strip(" .,").lower() == word]
        for word in ("yes", "no")
    }
    assert len(forms["no"]) > 2
    with torch.no_grad():
        probabilities = vlm.model(**inputs_of(vlm, SHOWN)).logits[0, -1].softmax(-1)
    measured = vlm.yes_no(SHOWN)
    for word, ids in forms.items():
        assert measured[word] == pytest.approx(float(probabilities[ids].sum()), abs=1e-6)
    assert sum(measured.values()) == pytest.approx(1, abs=1e-9)


def test_yes_no_says_when_the_tokenizer_has_no_such_token():
    vlm = VLM(*tiny_models.llava(), model_id="tiny")
    tokenizer = vlm.tokenizer

    class NoWords:
        all_special_ids = tokenizer.all_special_ids

        def get_vocab(self):
            return {token: i for token, i in tokenizer.get_vocab().items() if "yes" not in token.lower()}

        def decode(self, *args, **kwargs):
            return tokenizer.decode(*args, **kwargs)

    vlm.processor.tokenizer = NoWords()
    with pytest.raises(InputError, match="no single token for 'yes'"):
        vlm.yes_no(SHOWN)


def test_several_threads_may_ask_at_once():
    vlm = tiny_models.vlm()
    expected = [vlm.sample(SHOWN, n=2, max_new_tokens=6, seed=seed) for seed in range(6)]
    found: list[object] = [None] * 6

    def ask(seed):
        found[seed] = vlm.sample(SHOWN, n=2, max_new_tokens=6, seed=seed)
        vlm.answer(SHOWN, max_new_tokens=4, attention=True)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_what_a_model_can_give_does_not_change_while_it_answers():
    """Another thread, or a callback, looks while attention is being recorded."""
    vlm = tiny_models.vlm()
    expected = vlm.answer(SHOWN, 6, min_new_tokens=6, attention=True)
    found, read = [], []

    def look(row, text, logprob):
        thread = threading.Thread(target=lambda: found.append(dict(vlm.unavailable)))
        thread.start()
        thread.join()
        read.append(vlm.prefill(SHOWN))  # records attention of its own

    answer = vlm.answer(SHOWN, 6, min_new_tokens=6, attention=True, on_token=look)
    assert found == [{}] * 6
    np.testing.assert_array_equal(answer.mass, expected.mass)
    for prefill in read:
        np.testing.assert_array_equal(prefill.mass, expected.mass[0])
    assert implementation(vlm.model, "text_config") == "sdpa"


def test_a_model_that_was_moved_encodes_its_images_again():
    (model, processor), (fresh, _) = tiny_models.llava(), tiny_models.llava()
    vlm = VLM(model, processor, model_id="moved")
    vlm.prefill(SHOWN)
    model.to(torch.bfloat16)
    expected = VLM(fresh.to(torch.bfloat16), processor, model_id="fresh").prefill(SHOWN)
    assert torch.equal(vlm.prefill(SHOWN).logits, expected.logits)


@pytest.mark.parametrize(
    ("shown", "message"), [("what?", "got str"), (isi.datasets.scenes()[0], r"Call .stimulus\(\)")]
)
def test_only_a_stimulus_can_be_shown(shown, message):
    for use in (tiny_models.vlm().answer, tiny_models.vlm().encode, tiny_models.vlm().token_boxes):
        with pytest.raises(InputError, match=message):
            use(shown)


def test_logits_without_numbers_are_said_so():
    model, processor = tiny_models.llava()
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(RuntimeError, match="NaN logits"):
        VLM(model, processor, model_id="tiny").answer(SHOWN)


@pytest.mark.parametrize("settings", [{}, {"do_sample": True}, {"num_beams": 3}, {"attention": True}])
def test_logits_that_lose_their_numbers_later_are_said_so(settings):
    model, processor = tiny_models.llava()
    forwards = []

    def overflow(module, arguments, output):
        forwards.append(module)
        if len(forwards) > 2:
            output.logits.fill_(float("nan"))

    model.register_forward_hook(overflow)
    with pytest.raises(RuntimeError, match=r"NaN logits in torch.float32"):
        VLM(model, processor, model_id="tiny").answer(SHOWN, 6, min_new_tokens=6, **settings)


class Cramped:
    """A forward that runs out of memory with more than `rows` rows, as torch says it on a GPU or a CPU."""

    def __init__(self, model, rows, error):
        self.rows, self.error, self.failed = rows, error, 0
        self._forward = model.forward

    def __call__(self, *args, **kwargs):
        if kwargs["input_ids"].shape[0] > self.rows:
            self.failed += 1
            raise self.error
        return self._forward(*args, **kwargs)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ],
)
def test_samples_that_do_not_fit_side_by_side_are_drawn_fewer_at_once(monkeypatch, error):
    vlm = ending_vlm()
    expected = [answer.token_ids for answer in vlm.sample(SHOWN, n=12, max_new_tokens=8, seed=4)]
    cramped = Cramped(vlm.model, 3, error)
    monkeypatch.setattr(vlm.model, "forward", cramped)
    told, pieces = [], {}

    def on_token(row, piece, logprob):
        pieces.setdefault(row, []).append(piece)

    answers = vlm.sample(
        SHOWN, n=12, max_new_tokens=8, seed=4, on_answer=lambda row, _: told.append(row), on_token=on_token
    )
    assert cramped.failed >= 2
    assert [answer.token_ids for answer in answers] == expected
    assert sorted(told) == list(range(12)), "each answer is told once"
    for row, answer in enumerate(answers):
        if answer.tokens:
            assert tuple(pieces[row][-len(answer.tokens) :]) == answer.tokens


def test_out_of_memory_is_one_clear_error_and_the_model_stays_usable(monkeypatch):
    vlm = tiny_models.vlm()
    expected = vlm.answer(SHOWN, max_new_tokens=4)
    with monkeypatch.context() as patch:
        patch.setattr(
            vlm.model, "forward", Cramped(vlm.model, 0, torch.OutOfMemoryError("CUDA out of memory"))
        )
        for call in (vlm.answer, vlm.sample, vlm.prefill):
            with pytest.raises(OutOfMemory, match=r"Out of memory while .* Try fewer samples"):
                call(SHOWN)
    assert vlm.answer(SHOWN, max_new_tokens=4) == expected


def test_the_batch_is_as_large_as_memory_allows():
    vlm = tiny_models.vlm()
    cache = vlm.prefill(SHOWN).cache
    prompt = len(vlm.encode(SHOWN))
    # keys and values, 4 heads of width 16, 4 bytes: 3 layers of 10 new tokens, one layer of everything
    row = 2 * 4 * 16 * 4 * (3 * 10 + prompt + 10)
    assert row_bytes(cache, 10) == row
    share = decoding.SHARE_OF_MEMORY
    assert decoding.rows_at_once(cache, 10, int(5.5 * row / share)) == 5
    assert decoding.rows_at_once(cache, 10, 0) == 1
    assert decoding.rows_at_once(cache, 10, None) == decoding.ROWS_AT_ONCE
    assert decoding.rows_at_once(cache, 10, 10**15) == decoding.ROWS_AT_ONCE
