"""Models behind a server: keys, what connecting finds out, and whole trials."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
from scripted_server import (
    INSIDE,
    KEY,
    SHOWN,
    WHOLE,
    quiet,
    sends,
    usable,
)

from isi_widget import datasets
from isi_widget.attribution import measure_attention
from isi_widget.errors import Cancelled, InputError
from isi_widget.trial import Trial, run_trial
from isi_widget.vlm.remote import (
    BadReply,
    RateLimited,
    ServerFailed,
    connect,
)
from isi_widget.vlm.remote import server as remote_server

pytest.importorskip("openai", reason="the openai client is not installed (pip install 'isi-widget[remote]')")

both = pytest.mark.parametrize("stream", [True, False])


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
