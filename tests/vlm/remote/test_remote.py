"""Models behind a server: against a small real HTTP server on loopback that speaks or breaks the protocol."""

from __future__ import annotations

import base64
import io
import json
import math
import pickle
import subprocess
import sys
import threading
import time
from email.utils import formatdate

import numpy as np
import pytest
from PIL import Image
from scripted_server import (
    END,
    GOOD,
    KEY,
    SAID,
    SHOWN,
    WHOLE,
    Script,
    quiet,
    sends,
    serving,
    streams,
    token_record,
)
from tiny_models import Shown

from isi_widget import datasets
from isi_widget.attribution import measure_attention
from isi_widget.errors import Cancelled, InputError
from isi_widget.study.identity import identity
from isi_widget.trial import Trial, run_trial
from isi_widget.vlm.remote import (
    BadReply,
    ContentFiltered,
    RateLimited,
    RemoteTimeout,
    ServerFailed,
    Unreachable,
    connect,
)
from isi_widget.vlm.remote import server as remote_server

pytest.importorskip("openai", reason="the openai client is not installed (pip install 'isi-widget[remote]')")

#: What no server gives.
INSIDE = {"attention", "segments", "image_map", "enumeration", "interventions", "sampled_logprobs"}


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


# Cancel ---------------------------------------------------------------------------------------------------


def test_cancel_stops_between_chunks(script, url):
    script.pause, script.said = 0.05, lambda body, index: [("a", -0.1)] * 60
    told = []
    vlm = quiet(url)
    with pytest.raises(Cancelled):
        vlm.answer(SHOWN, on_token=lambda *event: told.append(event), cancel=lambda: len(told) >= 2)
    assert 2 <= len(told) <= 6
    deadline = time.monotonic() + 10
    while script.together and time.monotonic() < deadline:
        time.sleep(0.02)
    assert script.together == 0, "the request is still under way"
    assert script.sent < 60, "the server sent everything although nobody listened"
    script.pause, script.said = 0.0, SAID
    assert vlm.answer(SHOWN).text == "Yes, it is"


@pytest.mark.parametrize("ask", ["answer", "sample", "yes_no"])
def test_cancel_does_not_wait_for_a_silent_server(script, url, ask):
    release = threading.Event()
    script.broken = [lambda handler, body: release.wait(20)]
    start = time.monotonic()
    with pytest.raises(Cancelled):
        getattr(quiet(url), ask)(SHOWN, cancel=lambda: time.monotonic() - start > 0.2)
    assert time.monotonic() - start < 10
    release.set()


def test_cancel_does_not_wait_for_a_pause_between_tries(script, url):
    script.broken = [lambda handler, body: handler.error(429, "Slow down", Retry_After="60")]
    start = time.monotonic()
    with pytest.raises(Cancelled):
        quiet(url).answer(SHOWN, cancel=lambda: time.monotonic() - start > 0.2)
    assert time.monotonic() - start < 10


# What goes wrong ------------------------------------------------------------------------------------------


def usable(script, vlm):
    """Whatever went wrong, the next question is answered."""
    script.broken, script.said, script.finish, script.need_key = [], SAID, "stop", False
    return vlm.answer(SHOWN).text == "Yes, it is"


@both
def test_a_rate_limit_is_waited_for(script, url, stream):
    script.broken = [lambda handler, body: handler.error(429, "Slow down")] * 3
    assert quiet(url, stream=stream).answer(SHOWN).text == "Yes, it is"
    assert len(script.bodies) == 4


def test_pauses_double(script, url, monkeypatch):
    monkeypatch.setattr(remote_server, "FIRST_WAIT", 0.1)
    script.broken = [lambda handler, body: handler.error(429, "Slow down")] * 3
    quiet(url).answer(SHOWN)
    pauses = np.diff(script.times)
    assert all(pauses >= [0.075, 0.15, 0.3])


@pytest.mark.parametrize("form", ["seconds", "milliseconds", "date"])
def test_retry_after_is_kept(script, url, form):
    headers = {
        "seconds": {"Retry_After": "0.6"},
        "milliseconds": {"Retry_After_Ms": "600"},
        "date": {"Retry_After": formatdate(math.floor(time.time()) + 2, usegmt=True)},
    }[form]
    script.broken = [lambda handler, body: handler.error(429, "Slow down", **headers)]
    quiet(url).answer(SHOWN)
    assert script.times[1] - script.times[0] >= 0.55


def test_a_rate_limit_without_end_is_one_clear_error(script, url):
    script.broken = [lambda handler, body: handler.error(429, "Slow down")] * 3
    vlm = quiet(url, max_retries=2)
    with pytest.raises(RateLimited, match=r"429\) after 3 tries.*Slow down\..*concurrency="):
        vlm.answer(SHOWN)
    assert usable(script, vlm)


def test_too_long_a_wait_and_an_empty_purse_are_not_waited_for(script, url):
    vlm = quiet(url)
    script.broken = [lambda handler, body: handler.error(429, "Slow down", Retry_After="3600")]
    with pytest.raises(RateLimited, match="asks to wait 3600 s"):
        vlm.answer(SHOWN)
    script.broken = [lambda handler, body: handler.error(429, "No credit left", "insufficient_quota")]
    with pytest.raises(RateLimited, match="No credit left"):
        vlm.answer(SHOWN)
    assert len(script.bodies) == 2
    assert usable(script, vlm)


@pytest.mark.parametrize("status", [500, 503])
def test_server_errors_are_tried_again_then_told(script, url, status):
    vlm = quiet(url, max_retries=1)
    script.broken = [lambda handler, body: handler.reply(status, b"<html>oops</html>", "text/html")]
    assert vlm.answer(SHOWN).text == "Yes, it is"
    script.broken = [lambda handler, body: handler.error(status, "CUDA out of memory")] * 2
    with pytest.raises(ServerFailed, match=rf"failed \({status}\) after 2 tries.*CUDA out of memory"):
        vlm.answer(SHOWN)
    assert usable(script, vlm)


def test_nothing_listens_there():
    with serving(Script()) as url:
        vlm = quiet(url)
    start = time.monotonic()
    with pytest.raises(Unreachable, match=r"No connection to http://127.*refused.*Check that the"):
        vlm.answer(SHOWN)
    assert time.monotonic() - start < 10
    with pytest.raises(Unreachable):
        connect(url, "seer")


def test_a_broken_connection_is_tried_again(script, url):
    def hang_up(handler, body):
        handler.close_connection = True

    script.broken = [hang_up, hang_up]
    vlm = quiet(url)
    assert vlm.answer(SHOWN).text == "Yes, it is"
    script.broken = [hang_up] * 5
    with pytest.raises(Unreachable, match="after 5 tries"):
        vlm.answer(SHOWN)
    assert usable(script, vlm)


@both
def test_a_silent_server_times_out(script, url, stream):
    release = threading.Event()
    script.broken = [lambda handler, body: release.wait(20)]
    vlm = quiet(url, timeout=0.3, stream=stream)
    with pytest.raises(RemoteTimeout, match=r"kept silent for 0\.3 s.*timeout="):
        vlm.answer(SHOWN)
    release.set()
    assert usable(script, vlm)


def test_a_stall_in_the_middle_of_a_stream_times_out(script, url):
    release = threading.Event()

    def stall(handler, body):
        handler.begin_stream()
        handler.chunk({"index": 0, "delta": {"content": "Yes"}, "finish_reason": None})
        release.wait(20)

    script.broken = [stall]
    vlm, told = quiet(url, timeout=0.3), []
    with pytest.raises(RemoteTimeout):
        vlm.answer(SHOWN, on_token=lambda *event: told.append(event))
    release.set()
    assert [text for _, text, _ in told] == ["Yes"]
    assert len(script.bodies) == 1, "text was shown already: it must not come twice"
    assert usable(script, vlm)


BAD_STREAMS = {
    "broken JSON": streams(GOOD, 'data: {"choices": [\n\n'),
    "no answer": streams("data: [DONE]\n\n"),
    "breaks off": streams(GOOD, "data: [DONE]\n\n"),
    "more after the end": streams(GOOD, END, GOOD),
    "not UTF-8": streams(GOOD, b'data: {"choices": "\xff"}\n\n'),
    "a number": streams("data: 5\n\n"),
    "another answer": streams(GOOD.replace('"index": 0', '"index": 7')),
    "a whole reply": sends({"choices": [WHOLE]}),
    "ends by a tool": streams(GOOD, END.replace("stop", "tool_calls")),
}
BAD_REPLIES = {
    "broken JSON": sends(b'{"choices": ['),
    "a page": sends(b"<html>Welcome</html>", "text/html"),
    "no choices": sends({"choices": []}),
    "choices missing": sends({"hello": 1}),
    "null": sends(b"null"),
    "text is a number": sends({"choices": [{**WHOLE, "message": {"content": 5}}]}),
    "no message": sends({"choices": [{**WHOLE, "index": "first"}]}),
    "breaks off": sends({"choices": [{**WHOLE, "finish_reason": None}]}),
    "odd token": sends({"choices": [{**WHOLE, "logprobs": {"content": [{"token": 5}]}}]}),
    "impossible": sends(
        {"choices": [{**WHOLE, "logprobs": {"content": [{"token": "Yes", "logprob": 2.0}]}}]}
    ),
    "odd bytes": sends(
        {"choices": [{**WHOLE, "logprobs": {"content": [{"token": "Yes", "bytes": [999], "logprob": -1}]}}]}
    ),
}


@pytest.mark.parametrize("name", BAD_STREAMS)
def test_a_stream_that_cannot_be_read(script, url, name):
    script.broken = [BAD_STREAMS[name]]
    vlm = quiet(url)
    with pytest.raises(BadReply) as caught:
        vlm.answer(SHOWN)
    assert len(str(caught.value)) > 20
    assert usable(script, vlm)


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_a_reply_that_cannot_be_read(script, url, name):
    script.broken = [BAD_REPLIES[name]]
    vlm = quiet(url, stream=False)
    with pytest.raises(BadReply) as caught:
        vlm.answer(SHOWN)
    assert len(str(caught.value)) > 20
    assert usable(script, vlm)


def test_a_server_that_does_not_stream_is_found_out_when_connecting(script, url):
    script.broken = [sends({"choices": [WHOLE]})]
    with pytest.raises(BadReply, match="connect with stream=False"):
        connect(url, "seer")


@pytest.mark.parametrize("error", ['{"message": "engine died"}', '"engine died"'])
def test_an_error_in_the_middle_of_a_stream(script, url, error):
    script.broken = [streams(GOOD, f'data: {{"error": {error}}}\n\n')]
    vlm = quiet(url)
    with pytest.raises(ServerFailed, match="engine died"):
        vlm.answer(SHOWN)
    assert usable(script, vlm)


@both
def test_a_content_filter(script, url, stream):
    script.finish = "content_filter"
    vlm = quiet(url, stream=stream)
    with pytest.raises(ContentFiltered, match="withheld an answer"):
        vlm.sample(SHOWN, 3)
    script.broken = [sends({"choices": [{**WHOLE, "message": {"content": None, "refusal": "I cannot"}}]})]
    if not stream:
        with pytest.raises(ContentFiltered, match="I cannot"):
            vlm.answer(SHOWN)
    assert usable(script, vlm)


def test_an_unknown_model_is_told_with_those_that_there_are(script, url):
    with pytest.raises(InputError, match=r"has no model 'sear'. It lists: other, seer\."):
        connect(url, "sear")
    script.names, script.broken = (), [lambda handler, body: handler.error(404, "Not Found")]
    with pytest.raises(InputError, match=r"has no model 'sear', or base_url is wrong"):
        connect(url, "sear")


def test_a_refused_request_carries_the_servers_words(script, url):
    script.refuse = ("temperature",)
    vlm = quiet(url)
    with pytest.raises(InputError, match=r"refuses the request \(400\): Unexpected.*'temperature'"):
        vlm.answer(SHOWN)
    assert vlm.unavailable.keys() == INSIDE, "nothing is learned from that"


def test_the_first_error_of_many_requests_is_raised(script, url):
    script.broken = [lambda handler, body: handler.error(404, "gone")] * 3
    vlm = quiet(url, fields={"n": None}, concurrency=2)
    with pytest.raises(InputError, match="no model"):
        vlm.sample(SHOWN, 20)
    assert len(script.bodies) < 20
    assert usable(script, vlm)


def shown_of(error: BaseException | None) -> str:
    """All that a notebook may show of an error: the whole chain, and the local variables of its frames."""
    shown = []
    while error is not None:
        shown += [str(error), repr(error), repr(vars(error))]
        trace = error.__traceback__
        while trace is not None:
            if "isi_widget" in trace.tb_frame.f_code.co_filename:
                shown.append(repr(trace.tb_frame.f_locals))
            trace = trace.tb_next
        error = error.__cause__ or error.__context__
    return "".join(shown)


# Keys -----------------------------------------------------------------------------------------------------


def test_the_key_is_read_at_each_call(script, url, monkeypatch):
    script.need_key = True
    vlm = quiet(url, api_key_env="SEER_KEY")
    with pytest.raises(InputError, match="SEER_KEY, where the key is looked for, is not set"):
        vlm.answer(SHOWN)
    monkeypatch.setenv("SEER_KEY", f" {KEY}\n")
    assert vlm.answer(SHOWN).text == "Yes, it is"
    monkeypatch.setenv("SEER_KEY", "sk-another")
    with pytest.raises(InputError, match="Check the key in the environment variable SEER_KEY"):
        vlm.answer(SHOWN)
    assert script.keys == ["Bearer none", f"Bearer {KEY}", "Bearer sk-another"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
@both
def test_the_key_is_in_no_error_message(script, url, monkeypatch, status, stream):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    echo = f"Your key {KEY} is not liked. " + KEY * 50
    script.broken = [lambda handler, body: handler.error(status, echo)] * 10
    with pytest.raises((InputError, ServerFailed, RateLimited)) as caught:
        quiet(url, stream=stream, max_retries=1).answer(SHOWN)
    assert KEY not in shown_of(caught.value)
    assert status == 404 or "[key]" in str(caught.value)


def test_the_key_is_in_no_reply_that_cannot_be_read(script, url, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    script.broken = [sends({"choices": [{**WHOLE, "index": KEY}]}), sends({"choices": KEY})]
    vlm = quiet(url, stream=False)
    for _ in range(2):
        with pytest.raises(BadReply) as caught:
            vlm.answer(SHOWN)
        assert KEY not in str(caught.value)
        assert caught.value.__context__ is None


def test_the_key_is_neither_in_the_pickle_nor_in_the_repr(script, url, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    script.need_key = True
    vlm = connect(url, "seer")
    first = vlm.answer(SHOWN)
    stored = pickle.dumps(vlm)
    assert KEY.encode() not in stored
    assert KEY not in repr(vlm)
    assert KEY not in repr(vars(vlm)) + repr(vars(vlm.server))
    assert KEY not in json.dumps(vlm.info())
    copy = pickle.loads(stored)
    assert copy.answer(SHOWN) == first
    assert copy.info() == vlm.info()
    with copy.lock:
        assert copy.sample(copy.prefill(SHOWN), 2)


def test_a_key_with_odd_characters_is_refused_without_being_shown(url, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-schlüssel")
    with pytest.raises(InputError, match="characters that a key cannot hold") as caught:
        quiet(url).answer(SHOWN)
    assert "schl" not in shown_of(caught.value)


def test_a_key_does_not_travel_without_encryption(monkeypatch):
    vlm = quiet("http://models.example/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(InputError, match=r"would travel to models\.example without encryption") as caught:
        vlm.answer(SHOWN)
    assert KEY not in shown_of(caught.value)
    for allowed in ("https://models.example/v1", "http://localhost:1/v1", "http://[::1]:1/v1"):
        assert quiet(allowed).server._key() == KEY
    assert quiet("http://models.example/v1", insecure=True).server._key() == KEY
    assert quiet("http://models.example/v1", api_key_env=None).server._key() == ""


@pytest.mark.parametrize("given", [KEY, "gsk_0123abcDEF"])
def test_a_key_in_place_of_its_name_is_refused_without_being_shown(given):
    with pytest.raises(InputError, match="not the key itself") as caught:
        quiet("https://models.example/v1", api_key_env=given)
    assert given not in str(caught.value)


# Connecting -----------------------------------------------------------------------------------------------


def test_connecting_finds_out_what_the_server_tells(script, url):
    vlm = connect(url, "seer")
    assert len(script.bodies) == 1
    assert script.bodies[0]["max_tokens"] == 1
    assert vlm.unavailable.keys() == INSIDE
    info = vlm.info()
    assert json.loads(json.dumps(info)) == info
    assert (info["name"], info["served"], info["fingerprint"]) == ("seer", "seer-2", "fp")
    assert info["code"] == f"isi.connect({url!r}, 'seer')"
    script.takes_n = script.logprobs = False
    assert {"yes_no", "logprobs"} <= connect(url, "seer").unavailable.keys()


def test_the_code_connects_again(url):
    options = {"timeout": 5.0, "fields": {"seed": None}, "extra_body": {"a": [1, 2]}, "api_key_env": None}
    vlm = quiet(url, **options)
    again = eval(vlm.info()["code"].removeprefix("isi."), {"connect": connect})
    assert again.info()["code"] == vlm.info()["code"]
    assert again.server.timeout == 5.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_url": "localhost:8000"}, "must begin with http"),
        ({"base_url": "ftp://host/v1"}, "must begin with http"),
        ({"base_url": 5}, "must be a text"),
        ({"base_url": "http://host:port/v1"}, "must begin with http"),
        ({"base_url": "https://me:secret@host/v1"}, "must hold no user"),
        ({"base_url": "https://host/v1?key=secret"}, "must hold no user"),
        ({"base_url": "https://host/v1/chat/completions"}, "must end before"),
        ({"model": ""}, "name of a model"),
        ({"timeout": 0}, "timeout must be"),
        ({"timeout": math.inf}, "timeout must be"),
        ({"max_retries": -1}, "max_retries must be"),
        ({"concurrency": 0}, "concurrency must be"),
        ({"detail": "huge"}, "detail must be"),
        ({"fields": {"beams": "n"}}, "fields knows max_new_tokens"),
        ({"fields": {"top_k": 5}}, "fields must name"),
        ({"fields": {"max_new_tokens": None}}, "max_new_tokens needs a name"),
        ({"extra_body": {"temperature": 2}}, "must not hold 'temperature'"),
        ({"extra_body": {"max_tokens": 2}}, "must not hold 'max_tokens'"),
        ({"extra_body": {"a": {1, 2}}}, "must be JSON"),
    ],
)
def test_arguments_without_meaning_are_refused(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        connect(**{"base_url": "https://models.example/v1", "model": "seer", "check": False, **arguments})
    assert "secret" not in str(caught.value)


def test_a_missing_client_is_one_message(monkeypatch):
    monkeypatch.setattr(remote_server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'isi-widget\[remote\]'"):
        connect("https://models.example/v1", "seer")


def test_the_client_is_imported_only_when_it_is_used():
    code = "import isi_widget.vlm.remote, sys; print('openai' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


# What needs the inside ------------------------------------------------------------------------------------


def test_what_needs_the_inside_says_so(url):
    vlm = quiet(url)
    for call in (
        lambda: vlm.prefill(SHOWN, attention=True),
        lambda: vlm.answer(SHOWN, attention=True),
        lambda: vlm.teacher_force(SHOWN, [1]),
        lambda: vlm.encode(SHOWN),
        lambda: vlm.token_boxes(SHOWN),
        lambda: vlm.enumerate_answers(SHOWN, mass=0.9),
        lambda: measure_attention(vlm, SHOWN),
    ):
        with pytest.raises(InputError, match=r"A server shows only text.*isi\.load_vlm"):
            call()


def test_a_prefill_of_another_model_is_refused(url):
    with pytest.raises(InputError, match="belongs to another VLM"):
        quiet(url).answer(quiet(url).prefill(SHOWN))


# Trials ---------------------------------------------------------------------------------------------------


class SameStart:
    """Two answers mean the same if they begin with the same letter; else they contradict each other."""

    name = "same start"

    def probabilities(self, question, answers):
        starts = np.array([answer[:1] for answer in answers])
        same = (starts[:, None] == starts[None, :]).astype(float)
        return np.stack([1 - same, np.zeros_like(same), same], axis=-1)


def test_a_trial_with_log_probabilities(script, url, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    script.need_key = True
    logprobs = [-0.1, -0.2, -0.7, -0.3]
    script.said = lambda body, index: ((("Yes", "No")[index % 2], logprobs[index]),)
    vlm, told = connect(url, "seer"), []
    stimulus = datasets.scenes()[3].stimulus()
    trial = run_trial(
        vlm, stimulus, samples=4, entailment=SameStart(), on_text=lambda *event: told.append(event)
    )
    assert (trial.answer.text, trial.answer.logprobs, trial.attention) == ("Yes", (-0.1,), None)
    weights = np.exp(logprobs)
    p = (weights[0] + weights[2]) / weights.sum()
    assert trial.uncertainty.semantic_entropy == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p))
    assert trial.uncertainty.discrete_semantic_entropy == pytest.approx(math.log(2))
    assert trial.yes_no["no"] == pytest.approx(math.exp(-3.0))
    assert ("answer", 0, "Yes") in told
    assert sorted(event for event in told if event[0] == "sample") == [
        ("sample", row, ("Yes", "No")[row % 2]) for row in range(4)
    ]
    assert any("A server shows only text" in note for note in trial.notes)
    stored = json.dumps(trial.to_dict(), allow_nan=False)
    assert KEY not in stored + repr(trial) + trial.code() + json.dumps(trial.view())
    assert KEY.encode() not in pickle.dumps(trial)
    assert Trial.from_dict(json.loads(stored)) == trial


def test_a_trial_that_is_cancelled_leaves_the_model_usable(script, url):
    script.pause = 0.05
    vlm = quiet(url)
    start = time.monotonic()
    with pytest.raises(Cancelled):
        run_trial(
            vlm,
            datasets.scenes()[3].stimulus(),
            entailment=SameStart(),
            cancel=lambda: time.monotonic() - start > 0.3,
        )
    script.pause = 0.0
    assert usable(script, vlm)
