"""A small real HTTP server on loopback that speaks or breaks the protocol of OpenAI-compatible servers."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tiny_models import Shown

from isi_widget.vlm.remote import connect

KEY = "sk-Very-Secret-0123456789"
SHOWN = Shown(current_question=" Is there a star? ", current_context=" A ball lies there. ")
#: What no server gives.
INSIDE = {"attention", "segments", "image_map", "enumeration", "interventions", "sampled_logprobs"}
#: What the server says by default: tokens with their log-probabilities.
SAID = (("Yes", -0.25), (",", -0.5), (" it is", -1.0))
TOP = [("Yes", -0.25), (" yes.", -2.0), ("No", -3.0), ("Maybe", -4.0)]


@dataclass
class Script:
    """What the server does, and what it was asked."""

    takes_n: bool | str = True  # True | False: one answer whatever n | "refuse": 400
    logprobs: bool | str = True
    broken: list[Any] = field(default_factory=list)  # one entry for each request that is to go wrong
    said: Any = SAID
    finish: str | None = "stop"
    pause: float = 0.0  # before each chunk
    need_key: bool = False
    refuse: tuple[str, ...] = ()
    names: tuple[str, ...] = ("seer", "other")
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    together: int = 0
    most_together: int = 0
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tokens(self, body: dict[str, Any], index: int) -> list[tuple[str, float]]:
        return list(self.said(body, index) if callable(self.said) else self.said)


def token_record(text: str, logprob: float, top: int) -> dict[str, Any]:
    likeliest = [{"token": t, "bytes": list(t.encode()), "logprob": p} for t, p in TOP[:top]]
    return {"token": text, "bytes": list(text.encode()), "logprob": logprob, "top_logprobs": likeliest}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def log_message(self, *_: Any) -> None:
        pass

    def reply(self, status: int, body: Any, content_type: str = "application/json", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def error(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        self.reply(status, {"error": {"message": message, "code": code, "type": "x"}}, **headers)

    def do_GET(self) -> None:
        if self.script.names:
            self.reply(200, {"object": "list", "data": [{"id": name} for name in self.script.names]})
        else:
            self.reply(500, b"Internal Server Error", "text/plain")

    def do_POST(self) -> None:
        script = self.script
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with script.lock:
            script.bodies.append(body)
            script.keys.append(self.headers.get("Authorization", ""))
            script.times.append(time.monotonic())
            script.together += 1
            script.most_together = max(script.most_together, script.together)
            broken = script.broken.pop(0) if script.broken else None
        try:
            if broken is not None:
                broken(self, body)
            else:
                self.chat(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with script.lock:
                script.together -= 1

    def chat(self, body: dict[str, Any]) -> None:
        script = self.script
        if script.need_key and self.headers.get("Authorization") != f"Bearer {KEY}":
            return self.error(401, f"Incorrect API key provided: {self.headers.get('Authorization')}")
        if script.names and body["model"] not in script.names:
            return self.error(404, f"The model {body['model']} does not exist", "model_not_found")
        unknown = [name for name in script.refuse if name in body]
        unknown += ["n"] if script.takes_n == "refuse" and body.get("n", 1) > 1 else []
        unknown += ["logprobs"] if script.logprobs == "refuse" and body.get("logprobs") else []
        if unknown:
            return self.error(400, f"Unexpected fields: {unknown}")
        answers = range(body.get("n", 1) if script.takes_n is True else 1)
        time.sleep(script.pause)
        if body["stream"]:
            return self.stream(body, answers)
        choices = []
        for index in answers:
            tokens = script.tokens(body, index)[: body["max_tokens"]]
            choice = {"index": index, "finish_reason": script.finish}
            choice["message"] = {"role": "assistant", "content": "".join(t for t, _ in tokens)}
            if script.logprobs is True and body.get("logprobs"):
                top = body.get("top_logprobs", 0)
                choice["logprobs"] = {"content": [token_record(t, p, top) for t, p in tokens]}
            choices.append(choice)
        return self.reply(
            200, {"id": "1", "object": "chat.completion", "model": "seer-2", "choices": choices}
        )

    def stream(self, body: dict[str, Any], answers: range) -> None:
        script = self.script
        self.begin_stream()
        for index in answers:
            self.chunk({"index": index, "delta": {"role": "assistant"}, "finish_reason": None})
        told = {index: script.tokens(body, index)[: body["max_tokens"]] for index in answers}
        for step in range(max(map(len, told.values()), default=0)):
            for index in answers:  # side by side, as servers send them
                if step < len(told[index]):
                    text, logprob = told[index][step]
                    choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
                    if script.logprobs is True and body.get("logprobs"):
                        top = body.get("top_logprobs", 0)
                        choice["logprobs"] = {"content": [token_record(text, logprob, top)]}
                    self.chunk(choice)
                    time.sleep(script.pause)
        for index in answers:
            self.chunk({"index": index, "delta": {}, "finish_reason": script.finish})
        self.raw(b'data: {"choices": [], "usage": {}}\n\n')
        self.raw(b"data: [DONE]\n\n")
        self.end_stream()

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, choice: dict[str, Any]) -> None:
        record = {"id": "1", "object": "chat.completion.chunk", "model": "seer-2", "choices": [choice]}
        self.raw(f"data: {json.dumps({**record, 'system_fingerprint': 'fp'})}\n\n".encode())

    def raw(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()
        self.script.sent += 1

    def end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")


class Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # clients that cancel hang up
            super().handle_error(request, address)


@contextmanager
def serving(script: Script) -> Iterator[str]:
    handler = type("ScriptedHandler", (Handler,), {"script": script})
    http = Http(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}/v1"
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def quiet(url, **options):
    """Connected without the first question, so that the script sees only what a test asks."""
    return connect(url, "seer", **{"check": False, **options})


def sends(data, content_type="application/json"):
    return lambda handler, body: handler.reply(200, data, content_type)


def streams(*parts):
    def act(handler, body):
        handler.begin_stream()
        for part in parts:
            handler.raw(part.encode() if isinstance(part, str) else part)
        handler.end_stream()

    return act


GOOD = 'data: {"choices": [{"index": 0, "delta": {"content": "Ye"}}]}\n\n'
END = 'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
WHOLE = {"index": 0, "finish_reason": "stop", "message": {"content": "Yes"}}


def usable(script, vlm):
    """Whatever went wrong, the next question is answered."""
    script.broken, script.said, script.finish, script.need_key = [], SAID, "stop", False
    return vlm.answer(SHOWN).text == "Yes, it is"
