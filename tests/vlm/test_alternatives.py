"""The tokens that an answer might have gone on with: against one plain forward over prompt and answer."""

from __future__ import annotations

import json
import math

import pytest
import tiny_models
import torch
from tiny_models import VLM, Shown

import isi_widget as isi
from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.vlm.decoding.loop import ALTERNATIVES, decode

SHOWN = Shown(current_context="The star is red.", size=(90, 40))


@pytest.fixture(scope="module")
def vlm():
    return VLM(*tiny_models.BUILDERS["llava"](), model_id="tiny")


@pytest.fixture(scope="module")
def embedded():
    return isi.load_vlm()


def logprobs_of(vlm, shown, token_ids):
    """[T, vocabulary] of a plain forward: no cache, no loop."""
    prompt = vlm.encode(shown)
    ids = torch.cat([prompt.input_ids, torch.tensor([token_ids])], dim=1)
    with torch.no_grad():
        logits = vlm.model(input_ids=ids, **prompt.images, use_cache=False).logits
    return logits[0, prompt.input_ids.shape[1] - 1 : -1].float().log_softmax(-1)


@pytest.mark.parametrize("how", [{}, {"attention": True}, {"do_sample": True, "seed": 3}])
def test_the_best_others_at_every_place(vlm, how):
    answer = vlm.answer(SHOWN, max_new_tokens=12, **how)
    expected = logprobs_of(vlm, SHOWN, answer.token_ids)
    assert len(answer.alternatives) == len(answer.token_ids) > 3
    for taken, row, others in zip(answer.token_ids, expected, answer.alternatives, strict=True):
        row[taken] = -math.inf
        best = row.topk(ALTERNATIVES)
        assert [number for _, number in others] == pytest.approx(best.values.tolist(), abs=1e-4)


@pytest.mark.parametrize("index", range(0, 20, 4))
def test_their_texts_go_on_where_the_answer_stands(embedded, index):
    stimulus = isi.datasets.scenes()[index].stimulus()
    answer = embedded.answer(stimulus, max_new_tokens=8, do_sample=True, temperature=3.0, seed=index)
    expected = logprobs_of(embedded, stimulus, answer.token_ids)
    seen = 0
    for place, others in enumerate(answer.alternatives):
        before = list(answer.token_ids[:place])
        expected[place, answer.token_ids[place]] = -math.inf
        for id, (text, _) in zip(expected[place].topk(ALTERNATIVES).indices.tolist(), others, strict=True):
            if id in embedded.eos_ids:
                assert text == ""
                continue
            whole, start = decode(embedded.tokenizer, [*before, id]), decode(embedded.tokenizer, before)
            if whole != start and "\ufffd" not in whole:
                assert start + text == whole
                seen += 1
    assert seen > 3


def test_an_end_is_an_empty_text():
    model, processor = tiny_models.BUILDERS["llava"]()
    model.generation_config.eos_token_id = list(range(3, model.config.text_config.vocab_size, 2))
    ending = VLM(model, processor, model_id="ending")
    answer = ending.answer(SHOWN, max_new_tokens=6, min_new_tokens=6)
    texts = [text for others in answer.alternatives for text, _ in others]
    assert "" in texts and any(texts)


def test_only_the_shown_answer_has_them(vlm):
    assert all(answer.alternatives == () for answer in vlm.sample(SHOWN, n=2, max_new_tokens=4))
    assert vlm.answer(SHOWN, max_new_tokens=4, num_beams=2).alternatives == ()


def test_to_json_and_back(vlm):
    answer = vlm.answer(SHOWN, max_new_tokens=4)
    assert Answer.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer
    (sample,) = vlm.sample(SHOWN, n=1, max_new_tokens=4)
    assert "alternatives" not in sample.to_dict() and Answer.from_dict(sample.to_dict()) == sample


def test_as_many_as_tokens_or_none():
    with pytest.raises(InputError, match="alternatives to 1"):
        Answer("a b", (1, 2), ("a", " b"), (-1.0, -1.0), alternatives=((("c", -2.0),),))
