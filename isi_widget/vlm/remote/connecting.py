"""`connect`: from an address and a model's name to a `RemoteVLM`, arguments checked. Not for asking."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.text import repaired
from isi_widget.vlm.prompts.turns import checked_history, checked_system
from isi_widget.vlm.remote.model import RemoteVLM
from isi_widget.vlm.remote.request import FIELDS
from isi_widget.vlm.remote.server import Server, check_openai

_AT_THE_SERVER = {
    "adapter": "start the server with it, and give its name as the model",
    "processor_args": "set it at the server, or in the fields that it knows (vLLM: "
    "extra_body={'mm_processor_kwargs': {...}})",
    "device_map": "set it at the server",
    "device": "set it at the server",
    "dtype": "set it at the server",
    "quantization": "set it at the server",
    "quantize_vision": "set it at the server",
    "revision": "start the server with it",
}
_OURS = ("model", "messages", "stream", "temperature", "top_p", "logprobs", "top_logprobs")


def connect(
    base_url: str,
    model: str,
    *,
    api_key_env: str | None = "OPENAI_API_KEY",
    timeout: float = 120.0,
    max_retries: int = 4,
    concurrency: int = 4,
    stream: bool = True,
    detail: str | None = None,
    system: str | None = None,
    history: Sequence[Any] | None = None,
    fields: Mapping[str, str | None] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    insecure: bool = False,
    check: bool = True,
    **of_loading: Any,
) -> RemoteVLM:
    """Use a vision-language model behind an OpenAI-compatible server in place of a loaded one.

    Parameters
    ----------
    base_url : up to and with the version, such as "http://localhost:8000/v1".
    model : the server's name of the model.
    api_key_env : name of the environment variable that holds the key. It is read for each request and kept
        nowhere. If it is not set, or None, no key is sent.
    timeout : seconds that the server may keep silent before its answer or between two chunks of it.
    max_retries : further tries after 408, 409, 429, 5xx and broken connections, with growing pauses, or as
        long as the server asks (Retry-After).
    concurrency : requests at a time, 1 to 64.
    stream : receive answers in chunks, so that tokens show as they come; False for servers that cannot.
    detail : "low", "high" or "auto" where the server knows the protocol's image detail.
    system : a system prompt.
    history : earlier turns, pairs (user, model) or messages; both stand before every question, see
        `load_vlm`.
    fields : our names of settings -> the server's, beyond or in place of `FIELDS`; for example
        {"top_k": "top_k", "min_new_tokens": "min_tokens"} (vLLM),
        {"max_new_tokens": "max_completion_tokens"}, {"seed": None} (the server takes none).
    extra_body : further fields of every request; JSON. They are kept in trials: put no secret there.
    insecure : allow the key to travel over http to another machine.
    check : ask for one token of a grey image at once: a wrong address, key or model shows here, and
        `unavailable` is known from the start. Without it they show at the first use.
    of_loading : nothing: what `load_vlm` takes beside these is refused with a word on where to set it.

    Raises
    ------
    InputError
        For an argument without meaning, a missing openai package, a refused key, an unknown model.
    RemoteError
        When the server cannot be reached or fails.
    """
    _refuse(of_loading)
    check_openai()
    given: dict[str, Any] = {
        "timeout": timeout,
        "max_retries": max_retries,
        "concurrency": concurrency,
        "stream": stream,
        "detail": detail,
        "system": checked_system(system),
        "history": [list(turn) for turn in checked_history(history)] or None,
        "fields": None if fields is None else dict(fields),
        "extra_body": None if extra_body is None else dict(extra_body),
        "insecure": insecure,
    }
    _check_arguments(model, api_key_env, **given)
    model = repaired(model)
    server = Server(
        base_url,
        model,
        api_key_env=api_key_env,
        timeout=float(timeout),
        max_retries=max_retries,
        stream=bool(stream),
        insecure=bool(insecure),
    )
    defaults = inspect.signature(connect).parameters
    changed = {"api_key_env": api_key_env, **given}
    options = "".join(f", {k}={v!r}" for k, v in changed.items() if v != defaults[k].default)
    vlm = RemoteVLM(
        server,
        concurrency=concurrency,
        fields={**FIELDS, **(fields or {})},
        extra_body=extra_body or {},
        detail=detail,
        system=given["system"],
        history=given["history"] or (),
        code=f"isi.connect({server.base_url!r}, {model!r}{options})",
    )
    if check:
        vlm.check()
    return vlm


def _refuse(of_loading: Mapping[str, Any]) -> None:
    """Refuse arguments of `load_vlm`, which only the server can be given."""
    for name in of_loading:
        if name not in _AT_THE_SERVER:
            raise TypeError(f"connect() got an unexpected keyword argument {name!r}")
    if of_loading:
        named = ", ".join(of_loading)
        raise InputError(
            f"A server loads its model itself, so connect takes no {named}: "
            f"{_AT_THE_SERVER[next(iter(of_loading))]}."
        )


def _check_arguments(model: object, api_key_env: object, **given: Any) -> None:
    if not isinstance(model, str) or not model.strip():
        raise InputError(f"model must be the server's name of a model; got {model!r}.")
    # Upper case only, and not repeated here: some keys read like a name, and the name is kept in trials.
    named = isinstance(api_key_env, str) and re.fullmatch(r"[A-Z_][A-Z0-9_]*", api_key_env)
    if api_key_env is not None and not named:
        raise InputError(
            "api_key_env must be the name of an environment variable in upper case, such as "
            "'OPENAI_API_KEY', or None; not the key itself."
        )
    checks.number(given["timeout"], "timeout", above=0, hint="It counts seconds.")
    for name, low, high in (("max_retries", 0, 100), ("concurrency", 1, 64)):
        checks.integer(given[name], name, low=low, high=high)
    if given["detail"] not in (None, "low", "high", "auto"):
        raise InputError(f"detail must be None, 'low', 'high' or 'auto'; got {given['detail']!r}.")
    fields = given["fields"] or {}
    if unknown := [name for name in fields if name not in FIELDS]:
        raise InputError(f"fields knows {', '.join(FIELDS)}; got {', '.join(map(repr, unknown))}.")
    if (
        not all(isinstance(value, str | None) for value in fields.values())
        or fields.get("max_new_tokens", "") is None
    ):
        raise InputError("fields must name the server's fields, or None; max_new_tokens needs a name.")
    taken = {*_OURS, *filter(None, {**FIELDS, **fields}.values())}
    if clash := [name for name in given["extra_body"] or {} if name in taken]:
        raise InputError(
            f"extra_body must not hold {', '.join(map(repr, clash))}: isi_widget sets it itself."
        )
    try:
        json.dumps(given["extra_body"], allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"extra_body must be JSON: {error}.") from None
