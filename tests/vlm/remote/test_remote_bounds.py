"""A server cannot fill memory, never end, or lead elsewhere. The scripted servers listen on loopback and are
bounded themselves: each sends a few hundred MiB at most, and stops when the client hangs up.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
import tracemalloc

import pytest
from scripted_server import END, GOOD, KEY, SHOWN, WHOLE, Script, quiet, sends, serving, streams

from isi_widget.errors import Cancelled, InputError
from isi_widget.vlm.remote import BadReply, RemoteTimeout, connect, gathering, watch
from isi_widget.vlm.remote.replies import Piece, Reply

pytest.importorskip("openai", reason="the openai client is not installed (pip install 'isi-widget[remote]')")

MIB = 2**20


@pytest.fixture
def small(monkeypatch):
    """The same bounds, but lower, so that tests are quick."""
    monkeypatch.setattr(watch, "MOST_BYTES", 2 * MIB)
    monkeypatch.setattr(watch, "MOST_BETWEEN", MIB)


both = pytest.mark.parametrize("stream", [True, False])


def flood(data, first="", most=300 * MIB, pause=0.0):
    """Sends `first`, then `data` again and again until the client hangs up, or `most` bytes are out."""

    def act(handler, body):
        handler.begin_stream()
        if first:
            handler.raw(first.encode())
        sent = 0
        while sent < most:
            handler.raw(data)
            sent += len(data)
            handler.script.flooded = sent
            time.sleep(pause)
        handler.end_stream()

    return act


def refused(url, error, match, **options):
    """The error, raised with little memory; the server is usable after it."""
    vlm = quiet(url, **options)
    tracemalloc.start()
    try:
        with pytest.raises(error, match=match):
            vlm.answer(SHOWN)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * MIB
    vlm.server.timeout = 120  # for the next question, however slow this machine is
    assert vlm.answer(SHOWN).text == "Yes, it is"


# Bytes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["", GOOD, "data: "])
def test_a_line_without_end(script, url, small, first):
    script.broken = [flood(b"x" * 65536, first)]
    refused(url, BadReply, "1 MiB without a piece of an answer|2 MiB")
    assert script.flooded < 100 * MIB


def test_an_event_of_many_lines_without_end(script, url, small):
    script.broken = [flood(b"data: [\n" * 4096)]
    refused(url, BadReply, "without a piece")


def test_a_whole_reply_without_end(script, url, small):
    script.broken = [flood(b" " * 65536)]
    refused(url, BadReply, "without a piece", stream=False)


def test_small_chunks_without_end_are_bounded_by_the_tokens_asked_for(script, url):
    script.broken = [flood(GOOD.replace("Ye", "Ye" * 100).encode() * 10, most=30 * MIB)]
    refused(url, BadReply, r"far beyond max_new_tokens=64.*max_completion_tokens")


def test_a_fast_server_waits_for_a_slow_reader(script, url, monkeypatch):
    monkeypatch.setattr(gathering, "_WAITING", 4)
    script.broken = [flood(GOOD.encode(), most=40 * len(GOOD))]
    waiting = []

    def look(*_):
        time.sleep(0.005)
        waiting.append(script.sent)

    with pytest.raises(BadReply, match="broke off"):
        quiet(url).answer(SHOWN, on_token=look)
    assert len(waiting) == 40


def test_reasoning_without_end_is_bounded_too(monkeypatch):
    monkeypatch.setattr("isi_widget.vlm.remote.replies._MOST_REASONING", 1000)
    reply = Reply(8)
    with pytest.raises(BadReply, match="far beyond"):
        for _ in range(100):
            reply.add(Piece(0, "", None, None, "x" * 100))
    reply = Reply(8)
    with pytest.raises(BadReply, match="far beyond"):
        for text in ("<think>", *["x" * 1000] * 100):
            reply.add(Piece(0, text, None, None))


@both
@pytest.mark.parametrize("status", [400, 500])
def test_an_error_text_without_end_is_cut(script, url, status, stream):
    def act(handler, body):
        handler.send_response(status)
        handler.send_header("Content-Length", str(10 * 2**30))
        handler.end_headers()
        for _ in range(4000):
            handler.wfile.write(b"e" * 65536)

    script.broken = [act] * 3
    vlm = quiet(url, stream=stream, max_retries=0)
    tracemalloc.start()
    with pytest.raises(Exception, match="eee") as caught:
        vlm.answer(SHOWN)
    assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    tracemalloc.stop()
    assert len(str(caught.value)) < 1000


@both
def test_a_compressed_reply_is_refused(script, url, stream):
    bomb = gzip.compress(b" " * 30 * MIB)
    script.broken = [lambda handler, body: handler.reply(200, bomb, Content_Encoding="gzip")]
    refused(url, BadReply, "compressed by 'gzip', though none was requested", stream=stream)


def test_no_compression_is_asked_for(script, url):
    seen = []
    script.broken = [
        lambda handler, body: (seen.append(handler.headers["Accept-Encoding"]), handler.chat(body))
    ]
    quiet(url).answer(SHOWN)
    assert seen == ["identity"]


# What is in it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [10_000_000_000, 5, True, 1.5, "Yes", {"a": 1}, [1.5], [None], [-1]])
def test_bytes_of_a_token_are_a_list_of_bytes(script, url, spelling):
    told = {"content": [{"token": "Yes", "bytes": spelling, "logprob": -1}]}
    script.broken = [sends({"choices": [{**WHOLE, "logprobs": told}]})]
    refused(url, BadReply, "bytes of a token", stream=False)


@pytest.mark.parametrize("logprob", [10**400, 1e400, "x", []])
def test_log_probabilities_beyond_all_numbers(script, url, logprob):
    told = {"content": [{"token": "Yes", "logprob": logprob}]}
    script.broken = [sends({"choices": [{**WHOLE, "logprobs": told}]})]
    refused(url, BadReply, ".", stream=False)


@pytest.mark.parametrize("top", [5, "ab", {"a": 1}])
def test_likeliest_tokens_are_a_list(script, url, top):
    told = {"content": [{"token": "Yes", "logprob": -1.0, "top_logprobs": top}]}
    script.broken = [sends({"choices": [{**WHOLE, "logprobs": told}]})]
    refused(url, BadReply, "token of the reply", stream=False)


@both
@pytest.mark.parametrize("depth", [600, 100_000])
@pytest.mark.parametrize("place", ["reply", "content", "usage"])
def test_json_that_is_nested_deeply(script, url, depth, place, stream):
    deep = "[" * depth + "]" * depth
    name = "delta" if stream else "message"
    text = {
        "reply": deep,
        "content": f'{{"choices": [{{"index": 0, "{name}": {{"content": {deep}}}}}]}}',
        "usage": f'{{"usage": {deep}, "choices": []}}',
    }[place]
    act = streams(f"data: {text}\n\n") if stream else sends(text.encode())
    script.broken = [act]
    vlm = quiet(url, stream=stream)
    with pytest.raises(BadReply):
        vlm.answer(SHOWN)
    assert vlm.answer(SHOWN).text == "Yes, it is"


@pytest.mark.parametrize("depth", [600, 100_000])
def test_an_error_that_is_nested_deeply(script, url, depth):
    deep = b'{"error": ' * depth + b"1" + b"}" * depth
    script.broken = [lambda handler, body: handler.reply(400, deep)] * 2
    with pytest.raises(InputError, match="400"):
        quiet(url).answer(SHOWN)


def test_numbers_of_many_digits(script, url):
    script.broken = [sends(b'{"choices": [], "n": ' + b"9" * 10_000 + b"}")]
    refused(url, BadReply, "broken JSON", stream=False)


# Seconds --------------------------------------------------------------------------------------------------


def test_signs_of_life_are_no_answer(script, url):
    script.broken = [flood(b": still here\n\n", pause=0.02, most=4000)]
    refused(url, RemoteTimeout, "only signs of life", timeout=0.4)


def test_one_byte_at_a_time(script, url):
    def drip(handler, body):
        handler.begin_stream()
        for byte in (GOOD * 40).encode():
            handler.raw(bytes([byte]))
            time.sleep(0.02)

    script.broken = [drip]
    refused(url, RemoteTimeout, "only signs of life", timeout=0.4)


def test_pieces_that_come_too_slowly_for_ever(script, url, monkeypatch):
    monkeypatch.setattr(watch, "SLOWEST_TOKEN", 0.001)
    script.broken = [flood(GOOD.encode(), pause=0.05, most=10**5)]
    refused(url, RemoteTimeout, "did not end within", timeout=0.5)


def test_a_head_that_never_ends_is_not_waited_for(script, url, monkeypatch):
    monkeypatch.setattr(watch, "SLOWEST_TOKEN", 0.001)
    monkeypatch.setattr(watch, "PATIENCE", 0.2)

    def drip(handler, body):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(200):
            handler.wfile.write(b"x")
            time.sleep(0.05)
        handler.close_connection = True

    script.broken = [drip]
    refused(url, RemoteTimeout, "did not end within", timeout=0.5)


# Cancel ---------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("data", [b"x" * 1000, b": still here\n\n", GOOD.encode()])
def test_cancel_ends_the_request_while_bytes_come_in(script, url, data, stream):
    script.broken = [flood(data, pause=0.02, most=10**6)]
    asked = threading.Event()
    real = script.broken[0]
    script.broken = [lambda handler, body: (asked.set(), real(handler, body))]
    with pytest.raises(Cancelled):
        quiet(url, stream=stream).answer(SHOWN, cancel=asked.is_set)
    deadline = time.monotonic() + 120
    while script.together and time.monotonic() < deadline:
        time.sleep(0.02)
    assert script.together == 0, "the request is still under way"


# Elsewhere ------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(script, url, status, stream, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    other = Script()
    with serving(other) as elsewhere:
        target = f"{elsewhere}/chat/completions?key={KEY}"
        script.broken = [lambda handler, body: handler.reply(status, b"", Location=target)]
        vlm = quiet(url, stream=stream)
        with pytest.raises(InputError, match=r"redirects to .*was not followed") as caught:
            vlm.answer(SHOWN)
        assert f"base_url={elsewhere!r}" in str(caught.value)
        assert KEY not in str(caught.value)
    assert other.bodies == []
    assert vlm.answer(SHOWN).text == "Yes, it is"


@pytest.mark.parametrize(
    "location", ["", "/elsewhere", "http://[bad", "//host/x", "http://me:pw@host/v1/models"]
)
def test_odd_redirects(script, url, location):
    script.broken = [lambda handler, body: handler.reply(302, b"", Location=location)]
    with pytest.raises(InputError, match="redirects") as caught:
        quiet(url).answer(SHOWN)
    assert "pw" not in str(caught.value)


def test_a_redirected_list_of_models_is_not_followed(script, url):
    other = Script()
    with serving(other) as elsewhere:
        script.broken = [lambda handler, body: handler.error(404, "gone")]
        script.redirect = elsewhere
        with pytest.raises(InputError, match="no model"):
            connect(url, "sear")
    assert other.bodies == []


def test_a_good_reply_is_not_bounded(script, url):
    """Far below the bounds, and in one chunk: what a server may well send."""
    text = "Yes " * 500
    script.broken = [streams(GOOD.replace("Ye", text), END)]
    assert quiet(url).answer(SHOWN, max_new_tokens=512).text == text.strip()
    json.dumps(script.bodies[0])
