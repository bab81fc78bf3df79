"""One OpenAI-compatible server: requests, waiting and trying again, and what its errors mean.

The key is read from the environment for each request, stored nowhere, and removed from every message. Not for
the content of requests (see `model`), nor of replies (see `replies`).
"""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import math
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from isi_widget.errors import InputError
from isi_widget.text import repaired
from isi_widget.vlm.remote.errors import (
    BadReply,
    ContentFiltered,
    RateLimited,
    Refused,
    RemoteTimeout,
    ServerFailed,
    Unreachable,
)
from isi_widget.vlm.remote.replies import Piece, read, web_page
from isi_widget.vlm.remote.watch import Stopped, Watch

#: Seconds before the second try; doubled for each further one, up to the longest.
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
#: A server that asks for a longer pause than this (seconds) is not waited for.
LONGEST_RETRY_AFTER = 120.0
_CONNECT_SECONDS = 10.0
_AGAIN = (408, 409, 429)
_MOST_LISTED = 1000  # models
#: The bounds of the request that this thread is making.
_WATCH: ContextVar[Watch] = ContextVar("watch")


@dataclass(frozen=True)
class _Failure:
    """An error, whether a retry may help, and the pause that the server requests (None: no pause)."""

    error: Exception
    again: bool = False
    pause: float | None = None


def check_openai() -> None:
    """One clear message where the client is not installed."""
    if importlib.util.find_spec("openai") is None:
        raise InputError(
            "A model behind a server needs the openai package, which is not installed. Install it with: "
            "pip install 'isi-widget[remote]'"
        )


class Server:
    """Where a model is served, and how it is reached.

    Parameters
    ----------
    base_url : up to and with the version, such as "http://localhost:8000/v1".
    api_key_env : name of the environment variable that holds the key; None: no key is sent.
    timeout : seconds that the server may keep silent (before the answer, or between two chunks of it).
    max_retries : further tries after 408, 409, 429, 5xx and broken connections.
    stream : whether answers come in chunks.
    insecure : allow a key to travel without encryption.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key_env: str | None,
        timeout: float,
        max_retries: int,
        stream: bool,
        insecure: bool,
    ) -> None:
        self.base_url = _checked_url(base_url)
        self.model, self.api_key_env = model, api_key_env
        self.timeout, self.max_retries = timeout, max_retries
        self.stream, self.insecure = stream, insecure
        self._transport: Any = None  # connections, without the key
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_transport": None, "_lock": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    # Asking -------------------------------------------------------------------------------------------------

    def chat(
        self,
        messages: list[dict[str, Any]],
        settings: Mapping[str, Any],
        watch: Watch,
        seen: Callable[[Any], None] | None = None,
    ) -> Iterator[Piece]:
        """Yield the pieces of one chat completion, after as many tries as it takes, within `watch`'s bounds.

        It ends early once `watch.stop` is set.

        `seen` is called with each raw reply. A request is tried again only before its first piece.

        Raises
        ------
        InputError, RemoteError
        """
        start, tries = time.monotonic(), 0
        while True:
            begun, failure = False, None
            try:
                watch.begin()
                for reply, streamed in self._replies(messages, settings, watch):
                    if watch.stop.is_set():
                        return
                    if seen is not None:
                        seen(reply)
                    for piece in read(reply, streamed=streamed):
                        begun = True
                        if piece.text or piece.reasoning or piece.finish:
                            watch.heard()
                        yield piece
                return
            except InputError:
                raise
            except Exception as error:
                if watch.stop.is_set() or isinstance(_cause(error), Stopped):
                    return
                failure = self._failure(error, tries, time.monotonic() - start)
                if failure is None:
                    raise
            # Raised outside the handler: the client's exception holds the request, and with it the key.
            if begun or not failure.again or tries >= self.max_retries:
                raise failure.error
            if watch.stop.wait(_pause(tries, failure.pause)):
                return
            tries += 1

    def models(self) -> list[str]:
        """Return the models that the server lists, sorted; empty if it lists none."""
        try:
            with self._watched(Watch(min(self.timeout, _CONNECT_SECONDS), 0)):
                listed = self._client().models.list().data
            return sorted(repaired(str(entry.id)[:200]) for entry in listed[:_MOST_LISTED])
        except InputError:
            raise
        except Exception:  # many servers have no list, and a missing list is no reason to fail
            return []

    def _replies(
        self, messages: list[dict[str, Any]], settings: Mapping[str, Any], watch: Watch
    ) -> Iterator[tuple[Any, bool]]:
        """Yield each reply, and whether it is a chunk of a stream."""
        with self._watched(watch):
            reply = self._client().chat.completions.create(
                model=self.model, messages=messages, stream=self.stream, extra_body=dict(settings)
            )
        if not self.stream:
            yield reply, False
            return
        with closing(reply) if hasattr(reply, "close") else nullcontext():
            whole = _whole(getattr(reply, "response", None))
            if whole is not None:
                yield whole, False
                return
            for chunk in reply:
                yield chunk, True

    @contextmanager
    def _watched(self, watch: Watch) -> Iterator[None]:
        """Let `watch` bound the responses that this thread gets."""
        before = _WATCH.set(watch)
        try:
            yield
        finally:
            _WATCH.reset(before)

    def _client(self) -> Any:
        import openai

        with self._lock:
            if self._transport is None:
                self._transport = openai.DefaultHttpxClient(
                    timeout=self._limits(),
                    follow_redirects=False,  # picture, question and key are for this server alone
                    headers={"Accept-Encoding": "identity"},  # compressed, a few bytes can become gigabytes
                    event_hooks={"response": [lambda response: _WATCH.get().bound(response)]},
                )
        # A client is made for each request, so that no object of ours holds the key; it insists on one.
        return openai.OpenAI(
            api_key=self._key() or "none",
            base_url=self.base_url,
            timeout=self._limits(),
            max_retries=0,
            http_client=self._transport,
        )

    def _limits(self) -> Any:
        import openai

        return openai.Timeout(self.timeout, connect=min(self.timeout, _CONNECT_SECONDS))

    def _key(self) -> str:
        key = os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""
        if not key:
            return ""
        url = urlsplit(self.base_url)
        readable = key.isascii() and key.isprintable()
        if readable and (url.scheme == "https" or self.insecure or _is_local(url.hostname or "")):
            return key
        del key  # some notebooks show the local variables of an error's frames
        if not readable:
            raise InputError(
                f"The key in the environment variable {self.api_key_env} holds characters that a key cannot "
                "hold. Copy it again."
            )
        raise InputError(
            f"The key in {self.api_key_env} would travel to {url.hostname} without encryption. Use "
            "https, api_key_env=None if the server needs no key, or insecure=True on a network you trust."
        )

    # What errors mean ---------------------------------------------------------------------------------------

    def _failure(self, error: Exception, tries: int, seconds: float) -> _Failure | None:
        """Convert an error to this package's errors; None if it is not the server's."""
        import openai

        cause = _cause(error)
        if isinstance(cause, ContentFiltered | BadReply | RemoteTimeout):  # found by ourselves
            return _Failure(type(cause)(self._clean(str(cause))))
        spent = f" after {tries + 1} tries in {seconds:.0f} s" if tries else ""
        library = type(error).__module__.split(".")[0]
        timed_out = library.startswith("http") and "Timeout" in type(error).__name__
        if isinstance(error, openai.APITimeoutError) or timed_out:
            return _Failure(
                RemoteTimeout(
                    f"{self.base_url} kept silent for {self.timeout:g} s. Connect with a longer timeout=, or "
                    "ask for fewer samples or new tokens."
                )
            )
        if isinstance(error, openai.APIConnectionError) or library.startswith("http"):
            cause = error.__cause__ or error
            refused = "Connect" in type(cause).__name__
            what = "No connection to" if refused else "The connection broke with"
            detail = self._clean(str(cause) or type(cause).__name__)
            return _Failure(
                Unreachable(
                    f"{what} {self.base_url}{spent}: {detail}. Check that the server runs, and base_url."
                ),
                again=not refused,
            )
        if isinstance(error, openai.APIStatusError):
            return self._status(error, spent)
        if isinstance(error, RecursionError):
            return _Failure(BadReply(f"{self.base_url} sent JSON that is nested too deeply."))
        if isinstance(error, openai.APIResponseValidationError | ValueError | OverflowError):
            return _Failure(BadReply(f"{self.base_url} sent broken JSON: {self._clean(str(error))}."))
        if isinstance(error, openai.APIError):
            return _Failure(ServerFailed(f"{self.base_url} reports an error: {self._said(error)}"))
        return None

    def _status(self, error: Any, spent: str) -> _Failure:
        status, said = int(error.status_code), self._said(error)
        headers = error.response.headers
        if 300 <= status < 400:
            return _Failure(InputError(self._redirected(status, headers.get("location", ""))))
        if status in (401, 403):
            return _Failure(
                InputError(f"{self.base_url} refuses access ({status}): {said} {self._about_key()}")
            )
        if status == 404:
            return _Failure(InputError(self._not_found(said)))
        if status == 429:
            pause = _retry_after(headers)
            wait = f" It asks to wait {pause:.0f} s." if pause is not None else ""
            message = (
                f"{self.base_url} limits the rate of requests (429){spent}: {said}{wait} Connect with a "
                "lower concurrency= or more max_retries=, or wait."
            )
            paid = error.code != "insufficient_quota"
            waits = pause is None or pause <= LONGEST_RETRY_AFTER
            return _Failure(RateLimited(message), again=paid and waits, pause=pause)
        if status >= 500 or status in _AGAIN:
            pause = _retry_after(headers)
            waits = pause is None or pause <= LONGEST_RETRY_AFTER
            return _Failure(
                ServerFailed(f"{self.base_url} failed ({status}){spent}: {said}"),
                again=waits and status not in (501, 505),
                pause=pause,
            )
        return _Failure(Refused(f"{self.base_url} refuses the request ({status}): {said}"))

    def _redirected(self, status: int, location: str) -> str:
        try:
            url = urlsplit(urljoin(f"{self.base_url}/", location))
            target = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}" if location else ""
        except ValueError:
            target = ""
        base = target.removesuffix("/chat/completions").removesuffix("/models")
        where = f" to {self._clean(target)}" if target else ""
        advice = f" If you trust it, connect to it: base_url={self._clean(base)!r}." if target else ""
        return (
            f"{self.base_url} redirects{where} ({status}). That was not followed: picture, question and key "
            f"would go there.{advice}"
        )

    def _not_found(self, said: str) -> str:
        names = self.models()
        if self.model in names or not names:
            return (
                f"{self.base_url} has no model {self.model!r}, or base_url is wrong (it often ends in /v1): "
                f"{said}"
            )
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        return f"{self.base_url} has no model {self.model!r}. It lists: {', '.join(names[:20])}{more}."

    def _about_key(self) -> str:
        if self.api_key_env is None:
            return "No key was sent (api_key_env=None): name the environment variable that holds it."
        if not os.environ.get(self.api_key_env, "").strip():
            return f"The environment variable {self.api_key_env}, where the key is looked for, is not set."
        return f"Check the key in the environment variable {self.api_key_env}, and what it may be used for."

    def _said(self, error: Any) -> str:
        """Return the server's own words."""
        body = error.body
        if isinstance(body, Mapping):
            inner = body.get("error")
            body = inner if isinstance(inner, Mapping) else {**body, "message": body.get("message") or inner}
            body = body.get("message") or body.get("detail") or body
        try:
            text = body if isinstance(body, str) else json.dumps(body, default=str) if body else str(error)
        except (RecursionError, ValueError):
            text = "(an error that cannot be shown)"
        text = self._clean(" ".join(text.split()))
        return text if text.endswith((".", "!", "?")) else f"{text}."

    def _clean(self, text: str) -> str:
        key = os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""
        if key:
            text = text.replace(key, "[key]")
        text = repaired(text)
        return text if len(text) <= 500 else f"{text[:497]}..."


def _whole(response: Any) -> Any:
    """Return the reply of a server that answers a request for a stream with one JSON object; None for a
    stream.

    Raises
    ------
    BadReply
        The reply is a page for people.
    """
    kind = "" if response is None else response.headers.get("content-type", "").lower()
    if kind.startswith("text/html"):
        raise BadReply(web_page(response.read()[:500].decode("utf-8", "replace")))
    return json.loads(response.read()) if kind.partition(";")[0].strip() == "application/json" else None


def _cause(error: BaseException) -> BaseException:
    """Return the client wraps some of our own errors, raised while it reads, into its own."""
    cause = error.__cause__
    return cause if isinstance(cause, ContentFiltered | BadReply | RemoteTimeout | Stopped) else error


def _pause(tries: int, asked: float | None) -> float:
    """Seconds to wait before the next try: what the server asks, else doubling, a little irregular."""
    if asked is not None:
        return asked
    return float(min(FIRST_WAIT * 2.0**tries, LONGEST_WAIT) * random.uniform(0.75, 1.0))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait that the server requests (a number, or the time until a date); None if it
    does not.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except ValueError:
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def _checked_url(base_url: object) -> str:
    expected = 'Give it like "http://localhost:8000/v1".'
    if not isinstance(base_url, str):
        raise InputError(f"base_url must be a text; got {type(base_url).__name__}. {expected}")
    try:
        url = urlsplit(base_url.strip())
        host = url.hostname
        _ = url.port
    except ValueError:
        host = None
    if not host or url.scheme not in ("http", "https"):
        raise InputError(f"base_url must begin with http:// or https:// and name a host. {expected}")
    if url.username or url.password or url.query or url.fragment:
        # Not repeated here: it may hold a secret.
        raise InputError(
            "base_url must hold no user, password, query or fragment: it is kept in trials. Put the key into "
            f"an environment variable and name it by api_key_env=. {expected}"
        )
    path = url.path.rstrip("/")
    if path.endswith("/chat/completions"):
        raise InputError(f"base_url must end before /chat/completions. {expected}")
    return f"{url.scheme}://{url.netloc}{path}"


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
