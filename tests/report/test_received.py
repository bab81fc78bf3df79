"""A received record is data: whatever it says, its code holds literals, calls nothing that it names, and only
comments on what could do harm.
"""

from __future__ import annotations

import ast
import dataclasses
import json
from typing import Any

import numpy as np
import pytest

import isi_widget as isi
from isi_widget import Trial
from isi_widget.trial.literals import NoLiteral, call, literal, read_call
from isi_widget.trial.settings import Settings
from isi_widget.vlm import load_vlm

ALLOWED = {"load_vlm", "connect", "Observation", "b64decode", "stimulus", "run_trial"}
HOSTILE: list[Any] = [
    "__import__('os').system('touch pwned')",
    "isi.connect('http://a/v1', 'm')\nimport os",
    "isi.connect('http://a/v1', __import__('os').getcwd())",
    "isi.connect(*__import__('os').listdir())",
    "isi.connect('http://a/v1', 'm') or pwned()",
    "(lambda: pwned())()",
    "isi.connect.__globals__['os']('a', 'm')",
    "isi.connect('http://a/v1', 'm'",
    "isi.connect('a', 'm', **{'x y': 1})",
    "f'{pwned()}'",
    "(" * 5000,
    "isi.connect(" + "-" * 50_000 + "1)",
    None,
    7,
    ["isi.connect('a', 'm')"],
    {"a": "pwned()"},
]


def made(model: dict[str, Any]) -> Trial:
    stimulus = isi.Stimulus(np.full((8, 9, 3), 200, np.uint8), "Is there a star?")
    return Trial(stimulus, {}, model, Settings())


def received(model: dict[str, Any]) -> Trial:
    return Trial.from_dict(json.loads(json.dumps(made(model).to_dict())))


def calls(code: str) -> set[str]:
    functions = [node.func for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return {node.attr if isinstance(node, ast.Attribute) else ast.unparse(node) for node in functions}


@pytest.mark.parametrize("code", HOSTILE)
@pytest.mark.parametrize("of", [made, received])
def test_the_code_of_a_server_is_never_taken_as_it_is(of: Any, code: Any) -> None:
    found = of({"name": "m", "code": code}).code()
    assert calls(found) <= ALLOWED and "\nvlm = " not in found
    assert "pwned()\n" not in found and "make vlm yourself" in found


@pytest.mark.parametrize(
    "switches",
    [
        {"x=pwned(), y": True},
        {"trust_remote_code)\npwned(": True},
        {"class": True},
        {"trust_remote_code": True},
        {"allow_pickle": True},
        {"check_memory": False},
        {"use_safetensors": False},
        {"no_such_argument": "a"},
        {"progress": "a"},
        {"trust_remote_code": {"a": ["b\npwned()"]}},
    ],
)
def test_what_could_do_harm_is_a_comment(switches: dict[str, Any]) -> None:
    code = received({"name": "owner/model", "loaded_with": switches}).code()
    assert calls(code) <= ALLOWED
    assert "vlm = isi.load_vlm('owner/model')" in code.splitlines()
    assert any(line.startswith("# ") and repr(switches) in line for line in code.splitlines())


@pytest.mark.parametrize("switches", [["a"], "a", 7, {"revision": {"a": float}}, {"revision": 10**40}])
def test_what_is_no_plain_value_is_no_code(switches: Any) -> None:
    code = made({"name": "owner/model", "loaded_with": switches}).code()
    assert calls(code) <= ALLOWED and "make vlm yourself" in code


def test_what_is_harmless_is_code() -> None:
    for of in (made, received):
        code = of({"name": "a", "quantization": "nf4", "loaded_with": {"quantize_vision": True}}).code()
        assert "vlm = isi.load_vlm('a', quantization='nf4', quantize_vision=True)" in code.splitlines()


def test_what_one_has_done_oneself_is_code() -> None:
    model = {"name": "a", "loaded_with": {"trust_remote_code": True}}
    assert "vlm = isi.load_vlm('a', trust_remote_code=True)" in made(model).code().splitlines()
    reached = "isi.connect('http://localhost:8000/v1', 'm', extra_body={'a': [1, 2.5, None]})"
    assert f"vlm = {reached}" in made({"name": "m", "code": reached}).code().splitlines()


def test_a_server_of_a_received_trial_is_asked_before_it_is_reached() -> None:
    reached = "isi.connect('http://somewhere:8000/v1', 'm', api_key_env='MY_KEY', insecure=True)"
    lines = received({"name": "m", "code": reached}).code().splitlines()
    assert f"# vlm = {reached}" in lines and not any(line.startswith("vlm") for line in lines)
    assert any("trust" in line for line in lines)


def test_a_trial_knows_where_it_comes_from() -> None:
    trial = made({"name": "a"})
    again = received({"name": "a"})
    assert again == trial and again.received and not trial.received
    assert "received" not in again.to_dict() and "received" not in {f.name for f in dataclasses.fields(Trial)}
    read = isi.open_report(trial.report())
    assert isinstance(read, Trial) and read.received


def test_every_dangerous_argument_is_one_of_load_vlm() -> None:
    import inspect

    from isi_widget.trial.code import DANGEROUS

    assert set(inspect.signature(load_vlm).parameters) > DANGEROUS


# ---- literals
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -3,
        2.5,
        1e300,
        "a'\"\\\n\u2028\u202e",
        [],
        (),
        (1,),
        {"a": [1, {"b": (2.0, None)}]},
        [[[[[1]]]]],
    ],
)
def test_a_literal_is_the_value(value: Any) -> None:
    text = literal(value)
    assert ast.literal_eval(text) == value and len(text.splitlines()) == 1 and text.isprintable()


class Sly(str):
    def __repr__(self) -> str:
        return "pwned()"


@pytest.mark.parametrize(
    "value",
    [object(), float("nan"), float("inf"), Sly("a"), {1, 2}, b"a", 10**31, [[[[[[[1]]]]]]], "a" * 20_000_001],
)
def test_what_is_no_literal(value: Any) -> None:
    with pytest.raises(NoLiteral):
        literal(value)


def test_calls() -> None:
    assert call("f", 1, "a", b=[2]) == "f(1, 'a', b=[2])"
    assert read_call("f(1, 'a', b=[-2])", "f") == ([1, "a"], {"b": [-2]})
    with pytest.raises(NoLiteral, match="no name"):
        call("f", **{"a b": 1})
    with pytest.raises(NoLiteral):
        read_call("g(1)", "f")


def test_the_longest_texts_are_code() -> None:
    stimulus = isi.Stimulus(np.full((8, 9, 3), 200, np.uint8), "q" * 100_000, "\u202e" * 100_000)
    trial = Trial(stimulus, {}, {"name": "a"}, Settings())
    assert "q" * 100_000 in trial.code() and trial.view()["code"] == trial.code()
