"""Models behind a server: what is cancelled or goes wrong is one clear error and leaves them usable."""

from __future__ import annotations

import math
import threading
import time
from email.utils import formatdate

import numpy as np
import pytest
from scripted_server import (
    END,
    GOOD,
    INSIDE,
    SAID,
    SHOWN,
    WHOLE,
    Script,
    quiet,
    sends,
    serving,
    streams,
    usable,
)

from isi_widget.errors import Cancelled, InputError
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

both = pytest.mark.parametrize("stream", [True, False])


# Cancel ---------------------------------------------------------------------------------------------------


def test_cancel_stops_between_chunks(script, url):
    script.pause, script.said = 0.05, lambda body, index: [("a", -0.1)] * 600
    told = []
    vlm = quiet(url)
    with pytest.raises(Cancelled):
        vlm.answer(SHOWN, 600, on_token=lambda *event: told.append(event), cancel=lambda: len(told) >= 2)
    assert 2 <= len(told) <= 6
    deadline = time.monotonic() + 120
    while script.together and time.monotonic() < deadline:
        time.sleep(0.02)
    assert script.together == 0, "the request is still under way"
    assert script.sent < 600, "the server sent everything although nobody listened"
    script.pause, script.said = 0.0, SAID
    assert vlm.answer(SHOWN).text == "Yes, it is"


@pytest.mark.parametrize("ask", ["answer", "sample", "yes_no"])
def test_cancel_does_not_wait_for_a_silent_server(script, url, ask):
    release = threading.Event()
    script.broken = [lambda handler, body: release.wait(120)]
    start = time.monotonic()
    with pytest.raises(Cancelled):
        getattr(quiet(url), ask)(SHOWN, cancel=lambda: time.monotonic() - start > 0.2)
    assert time.monotonic() - start < 60
    release.set()


def test_cancel_does_not_wait_for_a_pause_between_tries(script, url):
    script.broken = [lambda handler, body: handler.error(429, "Slow down", Retry_After="60")]
    start = time.monotonic()
    with pytest.raises(Cancelled):
        quiet(url).answer(SHOWN, cancel=lambda: time.monotonic() - start > 0.2)
    assert time.monotonic() - start < 50


# What goes wrong ------------------------------------------------------------------------------------------


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
    def refuse(handler, body):
        headers = {
            "seconds": {"Retry_After": "0.6"},
            "milliseconds": {"Retry_After_Ms": "600"},
            "date": {"Retry_After": formatdate(math.floor(time.time()) + 2, usegmt=True)},  # from now on
        }[form]
        handler.error(429, "Slow down", **headers)

    script.broken = [refuse]
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
    assert time.monotonic() - start < 60
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
    script.broken = [lambda handler, body: release.wait(120)]
    vlm = quiet(url, timeout=0.3, stream=stream)
    with pytest.raises(RemoteTimeout, match=r"kept silent for 0\.3 s.*timeout="):
        vlm.answer(SHOWN)
    release.set()
    vlm.server.timeout = 120  # for the next question, however slow this machine is
    assert usable(script, vlm)


def test_a_stall_in_the_middle_of_a_stream_times_out(script, url):
    release = threading.Event()

    def stall(handler, body):
        handler.begin_stream()
        handler.chunk({"index": 0, "delta": {"content": "Yes"}, "finish_reason": None})
        release.wait(120)

    script.broken = [stall]
    vlm, told = quiet(url, timeout=0.3), []
    with pytest.raises(RemoteTimeout):
        vlm.answer(SHOWN, on_token=lambda *event: told.append(event))
    release.set()
    assert [text for _, text, _ in told] == ["Yes"]
    assert len(script.bodies) == 1, "text was shown already: it must not come twice"
    vlm.server.timeout = 120
    assert usable(script, vlm)


BAD_STREAMS = {
    "broken JSON": streams(GOOD, 'data: {"choices": [\n\n'),
    "no answer": streams("data: [DONE]\n\n"),
    "breaks off": streams(GOOD, "data: [DONE]\n\n"),
    "more after the end": streams(GOOD, END, GOOD),
    "not UTF-8": streams(GOOD, b'data: {"choices": "\xff"}\n\n'),
    "a number": streams("data: 5\n\n"),
    "another answer": streams(GOOD.replace('"index": 0', '"index": 7')),
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
    script.broken = [sends(b"Yes", "text/plain")]
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
