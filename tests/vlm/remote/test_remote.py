"""Models behind a server: against a small real HTTP server on loopback that speaks or breaks the protocol."""

from __future__ import annotations

import base64
import io
import math
import threading

import numpy as np
import pytest
from PIL import Image
from scripted_server import (
    SAID,
    SHOWN,
    quiet,
    token_record,
)
from tiny_models import Shown

from isi_widget import datasets
from isi_widget.errors import InputError
from isi_widget.study.identity import identity
from isi_widget.trial import run_trial
from isi_widget.vlm.remote import (
    connect,
)

pytest.importorskip("openai", reason="the openai client is not installed (pip install 'isi-widget[remote]')")

both = pytest.mark.parametrize("stream", [True, False])


# What is sent ---------------------------------------------------------------------------------------------


@both
def test_the_request_holds_the_exact_pixels_and_one_text(script, url, stream):
    stimulus = datasets.scenes()[3].stimulus().box(10, 12, 30, 20).with_context(" One star. ")
    quiet(url, stream=stream).answer(stimulus, max_new_tokens=7)
    body = script.bodies[0]
    image, text = body["messages"][0]["content"]
    assert len(body["messages"]) == 1
    assert text == {"type": "text", "text": f"One star.\n{stimulus.current_question}"}
    header, data = image["image_url"]["url"].split(",")
    assert header == "data:image/png;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert np.array_equal(pixels, np.asarray(stimulus.render()))
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("seer", 0, 7)
    assert not {"seed", "n", "top_p"} & body.keys()


def test_without_a_context_the_text_is_the_question(script, url):
    quiet(url).answer(Shown(current_question="Why? ", current_context="  "))
    assert script.bodies[0]["messages"][0]["content"][1]["text"] == "Why?"


def test_a_system_prompt_and_earlier_turns_stand_before_the_question(script, url):
    given = {"system": " Be brief. ", "history": [("What is this?", "A star.")]}
    vlm = quiet(url, **given)
    trial = run_trial(vlm, datasets.scenes()[3].stimulus(), measures=("answer",))
    *before, last = script.bodies[0]["messages"]
    assert before == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is this?"},
        {"role": "assistant", "content": "A star."},
    ]
    assert last["role"] == "user" and last["content"][1]["text"] == datasets.scenes()[3].question
    assert (trial.model["system"], trial.model["history"]) == ("Be brief.", [["What is this?", "A star."]])
    assert "system='Be brief.', history=[['What is this?', 'A star.']]" in trial.code()
    assert trial.view()["model"] == "seer, system prompt, 1 earlier turn"
    assert identity(vlm.info()) != identity(quiet(url).info())
    assert "system" not in quiet(url).info()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"adapter": "a/b"}, "takes no adapter: start the server with it"),
        ({"processor_args": {"max_pixels": 5}}, "takes no processor_args: .*mm_processor_kwargs"),
        ({"device_map": "auto"}, "takes no device_map: set it at the server"),
        ({"quantization": "nf4"}, "takes no quantization"),
        ({"system": ""}, "system is ''"),
        ({"history": "a"}, "history is str"),
    ],
)
def test_what_only_the_server_can_be_given_is_refused(script, url, given, words):
    with pytest.raises(InputError, match=words):
        connect(url, "seer", **given)
    assert not script.bodies
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        connect(url, "seer", nonsense=1)


def test_an_image_is_encoded_once_for_each_stimulus(url):
    class Counted(Shown):
        renders = 0

        def render(self):
            Counted.renders += 1
            return super().render()

    vlm, shown = quiet(url), Counted(current_question="What?", current_context="")
    prefill = vlm.prefill(shown, attention=False)
    vlm.answer(shown)
    vlm.sample(prefill, 3)
    vlm.yes_no(shown)
    assert Counted.renders == 1
    assert vlm.prefill(prefill) is prefill
    for number in range(20):
        vlm.prefill(Shown(current_question=f"What {number}?", current_context=""))
    assert len(vlm._prefills) < 10


def test_settings_and_extra_fields_reach_the_server_by_their_names(script, url):
    vlm = quiet(
        url,
        fields={"top_k": "top_k", "min_new_tokens": "min_tokens"},
        extra_body={"repetition_penalty": 1.0},
        detail="high",
    )
    vlm.sample(SHOWN, 2, temperature=0.7, top_k=5, top_p=0.8, seed=3, max_new_tokens=9, min_new_tokens=2)
    body = script.bodies[0]
    names = ("temperature", "top_k", "top_p", "max_tokens", "min_tokens", "n", "repetition_penalty")
    assert [body[name] for name in names] == [0.7, 5, 0.8, 9, 2, 2, 1.0]
    assert body["messages"][0]["content"][0]["image_url"]["detail"] == "high"


def test_settings_that_a_server_cannot_honour_are_refused_before_anything_is_sent(script, url):
    vlm = quiet(url)
    for settings in ({"top_k": 5}, {"min_new_tokens": 2}):
        (name,) = settings
        with pytest.raises(InputError, match=f"{name} is not part of the protocol.*fields="):
            vlm.sample(SHOWN, 2, **settings)
        with pytest.raises(InputError, match=name):
            vlm.answer(SHOWN, do_sample=True, **settings)
    with pytest.raises(InputError, match="no beam search"):
        vlm.answer(SHOWN, num_beams=2)
    with pytest.raises(InputError, match="temperature must be a number above 0; got 0"):
        vlm.sample(SHOWN, 2, temperature=0)
    with pytest.raises(InputError, match=r"number of samples must be .*; got 0"):
        vlm.sample(SHOWN, 0)
    with pytest.raises(InputError, match="question is empty"):
        vlm.answer(Shown(current_question=" ", current_context="x"))
    assert script.bodies == []


# What comes back ------------------------------------------------------------------------------------------


@both
def test_an_answer_with_log_probabilities(url, stream):
    told = []
    answer = quiet(url, stream=stream).answer(SHOWN, on_token=lambda *event: told.append(event))
    assert answer.text == "Yes, it is"
    assert answer.tokens == ("Yes", ",", " it is")
    assert answer.logprobs == (-0.25, -0.5, -1.0)
    assert (answer.token_ids, answer.prompt_ids, answer.finished) == ((-1, -1, -1), (), True)
    assert answer.sampled_logprobs == ()
    assert told == [(0, text, logprob) for text, logprob in SAID]


@both
@pytest.mark.parametrize("how", [False, "refuse"])
def test_an_answer_without_log_probabilities(script, url, stream, how):
    script.logprobs = how
    vlm, told = quiet(url, stream=stream), []
    answer = vlm.answer(SHOWN, on_token=lambda *event: told.append(event))
    assert answer.text == "Yes, it is"
    assert answer.tokens == (("Yes", ",", " it is") if stream else ("Yes, it is",))
    assert all(math.isnan(value) for value in answer.logprobs)
    assert set(answer.token_ids) == {-1}
    assert "".join(text for _, text, _ in told) == "Yes, it is"
    assert all(math.isnan(value) for _, _, value in told)
    assert {"logprobs", "yes_no"} <= vlm.unavailable.keys()
    asked = len(script.bodies)
    vlm.answer(SHOWN)  # known by now: asked once, without them
    assert len(script.bodies) == asked + 1
    assert "logprobs" not in script.bodies[-1]


def test_an_answer_cut_off_is_not_finished(script, url):
    script.finish = "length"
    assert quiet(url).answer(SHOWN).finished is False


@both
def test_an_empty_answer(script, url, stream):
    script.said = ()
    answer = quiet(url, stream=stream).answer(SHOWN)
    assert (answer.text, answer.tokens, answer.logprobs, answer.finished) == ("", (), (), True)


@pytest.mark.parametrize("end", ["", "</s>"])
def test_an_end_of_sequence_token_in_the_list_is_not_a_token_of_the_answer(script, url, end):
    def with_end(handler, body):
        listed = [token_record(t, p, 0) for t, p in (*SAID, (end, -0.1))]
        choice = {"index": 0, "finish_reason": "stop", "logprobs": {"content": listed}}
        handler.reply(200, {"choices": [{**choice, "message": {"content": "Yes, it is"}}]})

    script.broken = [with_end]
    assert quiet(url, stream=False).answer(SHOWN).logprobs == (-0.25, -0.5, -1.0)


def test_tokens_that_do_not_spell_the_answer_are_not_its_likelihood(script, url):
    def with_thoughts(handler, body):
        listed = [token_record(t, -0.1, 0) for t in ("Let", " me", " think", "Yes")]
        choice = {"index": 0, "finish_reason": "stop", "logprobs": {"content": listed}}
        handler.reply(200, {"choices": [{**choice, "message": {"content": "Yes"}}]})

    script.broken = [with_thoughts]
    answer = quiet(url, stream=False).answer(SHOWN)
    assert (answer.text, answer.tokens) == ("Yes", ("Yes",))
    assert math.isnan(answer.logprobs[0])


def test_characters_split_over_tokens_are_put_together_from_their_bytes(script, url):
    def split(handler, body):
        first, second = "é".encode()[:1], "é".encode()[1:]
        listed = [
            {"token": "\ufffd", "bytes": list(part), "logprob": -0.5, "top_logprobs": []}
            for part in (first, second)
        ]
        choice = {"index": 0, "finish_reason": "stop", "logprobs": {"content": listed}}
        handler.reply(200, {"choices": [{**choice, "message": {"content": "é"}}]})

    script.broken = [split]
    assert quiet(url, stream=False).answer(SHOWN).logprobs == (-0.5, -0.5)


def test_the_stand_in_for_an_unlikely_token_is_not_a_number(script, url):
    script.said = (("Yes", -0.1), (" hm", -9999.0))
    assert all(math.isnan(value) for value in quiet(url).answer(SHOWN).logprobs)


def test_yes_no_is_the_sum_over_the_forms_that_are_told(script, url):
    found = quiet(url).yes_no(SHOWN)
    yes, no = math.exp(-0.25) + math.exp(-2.0), math.exp(-3.0)
    assert found == pytest.approx({"yes": yes, "no": no, "rest": 1 - yes - no})
    body = script.bodies[-1]
    assert (body["temperature"], body["max_tokens"], body["top_logprobs"]) == (1, 1, 20)


def test_yes_no_asks_for_fewer_tokens_where_the_server_allows_fewer(script, url):
    script.broken = [lambda handler, body: handler.error(400, "top_logprobs must be at most 5")]
    assert quiet(url).yes_no(SHOWN)["no"] == pytest.approx(math.exp(-3.0))
    assert [body["top_logprobs"] for body in script.bodies] == [20, 5]


@pytest.mark.parametrize("how", [False, "refuse"])
def test_yes_no_is_unavailable_without_log_probabilities(script, url, how):
    script.logprobs = how
    vlm = connect(url, "seer")
    assert "yes_no" in vlm.unavailable
    asked = len(script.bodies)
    with pytest.raises(InputError, match="yes_no is not available from seer"):
        vlm.yes_no(SHOWN)
    assert len(script.bodies) == asked


# Samples --------------------------------------------------------------------------------------------------


def by_seed(body, index):
    """An answer that depends on the seed of its request and on its number."""
    return ((f"{body.get('seed', 0)}/{index}", -0.5),)


@both
def test_samples_come_in_one_request_where_the_server_takes_n(script, url, stream):
    script.said = lambda body, index: ((f"Answer {index}", -0.5), (" ends", -0.1 * (index + 1)))
    vlm, told, ended = quiet(url, stream=stream), [], []
    answers = vlm.sample(
        SHOWN, 5, on_token=lambda *e: told.append(e), on_answer=lambda row, a: ended.append((row, a))
    )
    assert [answer.text for answer in answers] == [f"Answer {index} ends" for index in range(5)]
    assert [answer.logprobs[1] for answer in answers] == pytest.approx([-0.1, -0.2, -0.3, -0.4, -0.5])
    assert len(script.bodies) == 1
    assert sorted(ended, key=lambda pair: pair[0]) == list(enumerate(answers))
    for row, answer in enumerate(answers):
        assert "".join(text for number, text, _ in told if number == row) == answer.text


@both
@pytest.mark.parametrize("how", [False, "refuse"])
def test_samples_come_in_n_requests_where_it_does_not(script, url, stream, how):
    script.takes_n, script.said = how, by_seed
    vlm = quiet(url, stream=stream)
    answers = vlm.sample(SHOWN, 6, seed=11)
    seeds = [int(answer.text.split("/")[0]) for answer in answers]
    assert len(set(seeds)) == 6, "one seed for all requests would give one answer six times"
    asked = len(script.bodies)
    again = vlm.sample(SHOWN, 6, seed=11)
    assert len(script.bodies) == asked + 6, "by now it is known that the server does not take n"
    assert [a.text for a in again] == [a.text for a in answers]
    assert vlm.sample(SHOWN, 6, seed=12)[0].text != answers[0].text
    assert all(seed < 2**31 for seed in seeds)


def test_a_server_without_seeds_gets_none(script, url):
    quiet(url, fields={"seed": None, "n": None}).sample(SHOWN, 3)
    assert len(script.bodies) == 3
    assert not any({"seed", "n"} & body.keys() for body in script.bodies)


def test_a_server_may_give_fewer_answers_than_asked(script, url):
    def three(handler, body):
        handler.begin_stream()
        for index in range(3):
            handler.chunk({"index": index, "delta": {"content": "A"}, "finish_reason": "stop"})
        handler.end_stream()

    script.broken = [three]
    answers = quiet(url).sample(SHOWN, 5)
    assert [answer.text for answer in answers] == ["A"] * 3 + ["Yes, it is"] * 2
    assert [body.get("n") for body in script.bodies] == [5, None, None]


def test_many_samples_come_in_several_requests(script, url):
    answers = quiet(url).sample(SHOWN, 130)
    assert len(answers) == 130
    assert sorted(body.get("n", 1) for body in script.bodies) == [2, 64, 64]


@pytest.mark.parametrize("limit", [1, 3])
def test_requests_at_a_time_are_bounded(script, url, limit):
    script.takes_n, script.pause = False, 0.03
    quiet(url, concurrency=limit, fields={"n": None}).sample(SHOWN, 9)
    assert script.most_together == limit


def test_callbacks_come_in_the_callers_thread(url):
    threads = set()
    quiet(url, fields={"n": None}).sample(
        SHOWN, 4, on_token=lambda *_: threads.add(threading.current_thread())
    )
    assert threads == {threading.current_thread()}


def test_threads_may_share_a_model(script, url):
    vlm, found = quiet(url, fields={"n": None}), {}

    def ask(number):
        with vlm.lock:  # as run_trial does
            found[number] = [a.text for a in vlm.sample(SHOWN, 3)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(3), ["Yes, it is"] * 3)
