"""Whatever a page sends is checked: the right passes unchanged, the wrong gives one clear error."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.errors import InputError
from isi_widget.trial.settings import Settings
from isi_widget.widget import document as doc
from isi_widget.widget import protocol
from isi_widget.widget.messages import (
    KINDS,
    Cancel,
    Code,
    Color,
    Cut,
    Detail,
    Editor,
    Font,
    Load,
    Map,
    Models,
    Reshuffle,
    Run,
    Thumbnails,
    Tokens,
    Upload,
    parse_message,
)
from isi_widget.widget.protocol import check_document, check_selected, check_settings, check_tool
from isi_widget.widget.requests import Requests


def test_the_probe_has_an_answer_to_every_kind_of_message() -> None:
    handlers = {name.removeprefix("_on_") for name in dir(Requests) if name.startswith("_on_")}
    assert {kind for kind in KINDS if kind not in handlers} == set()


def test_good_messages() -> None:
    settings = {"samples": 5, "temperature": 0.5, "seed": 3, "max_new_tokens": 8, "strict_entailment": True}
    run = parse_message({"kind": "run", "id": "a", "measures": ["attention", "answer"], "settings": settings})
    assert run == Run("a", ("answer", "attention"), settings)
    assert parse_message({"kind": "tokens"}) == Tokens()
    assert parse_message({"kind": "thumbnails", "indexes": [3, -1, 3]}) == Thumbnails((3, -1, 3))
    assert parse_message({"kind": "reshuffle", "part": "image"}) == Reshuffle("image")
    assert parse_message({"kind": "cancel", "run": "a"}) == Cancel("a")
    assert parse_message({"kind": "code", "id": "a"}, []) == Code("a")
    assert parse_message({"kind": "models"}) == Models()
    assert parse_message({"kind": "editor"}) == Editor()
    assert parse_message({"kind": "font"}) == Font()
    part = {"kind": "detail", "id": "a", "region": [1, 2, 3, 4], "width": 5}
    assert parse_message(part) == Detail("a", (1, 2, 3, 4), 5)
    assert parse_message({"kind": "cut", "operation": 0, "observation": 7}) == Cut(0, 7)
    assert parse_message({"kind": "map", "id": "a", "trial": 2, "token": 0}) == Map("a", 2, 0)
    assert parse_message({"kind": "color", "id": "a", "x": 3, "y": 0}) == Color("a", 3, 0)
    load = {"kind": "load", "id": "a", "name": " org/model "}
    assert parse_message(load) == Load("a", "org/model", None)
    for kind in ("nf4", "nf4-double"):  # the page keeps the precision of a model that Python loaded
        assert parse_message({**load, "quantization": kind}) == Load("a", "org/model", kind)
    assert parse_message({"kind": "upload", "name": "x.png"}, [memoryview(b"abc")]) == Upload("x.png", b"abc")


@pytest.mark.parametrize(
    ("content", "buffers", "words"),
    [
        (None, [], "must be an object"),
        ("run", [], "must be an object"),
        ({}, [], "Unknown kind"),
        ({"kind": "explode"}, [], "'explode'"),
        ({"kind": ["run"]}, [], "Unknown kind"),
        ({"kind": "run", "id": "a"}, [], "lacks measures"),
        ({"kind": "detail", "id": "a", "region": [1, 2, 3], "width": 5}, [], "four whole numbers"),
        ({"kind": "detail", "id": "a", "region": [1, 2, 3, -4], "width": 5}, [], "region must be"),
        ({"kind": "color", "id": "a", "x": -1, "y": 0}, [], "x must be a whole number from 0"),
        ({"kind": "color", "id": "a", "x": 0, "y": 0.5}, [], "y must be a whole number from 0"),
        ({"kind": "run", "id": "a", "measures": []}, [], "measures must be some of"),
        ({"kind": "run", "id": "a", "measures": ["answer", "dance"]}, [], "measures must be some of"),
        ({"kind": "run", "id": "a", "measures": [["answer"]]}, [], "measures must be some of"),
        ({"kind": "run", "id": 7, "measures": ["answer"]}, [], "id must be a text"),
        ({"kind": "run", "id": "x" * 300, "measures": ["answer"]}, [], "id must be a text"),
        ({"kind": "run", "id": "a", "measures": ["answer"], "also": 1}, [], "unknown keys: 'also'"),
        (
            {"kind": "run", "id": "a", "measures": ["answer"], "settings": [1]},
            [],
            "Settings must be an object",
        ),
        ({"kind": "run", "id": "a", "measures": ["answer"]}, [b"x"], "1 buffers"),
        ({"kind": "load", "id": "a"}, [], "lacks name"),
        ({"kind": "load", "id": "a", "name": "  "}, [], "needs a name"),
        ({"kind": "load", "id": "a", "name": ["x"]}, [], "name must be"),
        ({"kind": "load", "id": "a", "name": "x" * 2000}, [], "name must be"),
        ({"kind": "load", "id": "a", "name": "x", "quantization": "nf3"}, [], "quantization must be"),
        ({"kind": "load", "id": "a", "name": "x", "quantization": ["nf4"]}, [], "quantization must be"),
        ({"kind": "load", "id": "a", "name": "x", "trust_remote_code": True}, [], "unknown keys"),
        ({"kind": "thumbnails"}, [], "lacks indexes"),
        ({"kind": "thumbnails", "indexes": []}, [], "indexes must be"),
        ({"kind": "thumbnails", "indexes": list(range(101))}, [], "indexes must be"),
        ({"kind": "thumbnails", "indexes": "0"}, [], "indexes must be"),
        ({"kind": "thumbnails", "indexes": [0, True]}, [], "whole numbers"),
        ({"kind": "thumbnails", "indexes": [0.5]}, [], "whole numbers"),
        ({"kind": "tokens", "text": "x"}, [], "unknown keys"),
        ({"kind": "reshuffle"}, [], "lacks part"),
        ({"kind": "reshuffle", "part": "question"}, [], "'image' or 'context'"),
        ({"kind": "reshuffle", "part": ["image"]}, [], "'image' or 'context'"),
        ({"kind": "upload", "name": "x"}, [], "0 buffers"),
        ({"kind": "upload", "name": "x"}, [b""], "empty"),
        ({"kind": "upload", "name": None}, [b"x"], "name must be"),
    ],
)
def test_bad_messages(content: Any, buffers: list[bytes], words: str) -> None:
    with pytest.raises(InputError) as error:
        parse_message(content, buffers)
    assert words in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    "settings",
    [
        {"samples": 0},
        {"samples": 1001},
        {"samples": 2.5},
        {"samples": True},
        {"samples": "10"},
        {"samples": None},
        {"temperature": 0},
        {"temperature": -1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": "hot"},
        {"seed": -1},
        {"seed": 2**70},
        {"max_new_tokens": 0},
        {"max_new_tokens": 10**9},
        {"strict_entailment": 1},
        {"top_secret": 1},
        {"top_k": -1},
        {"top_k": "all"},
        {"top_p": 0},
        {"top_p": 1.5},
        {"num_beams": 0},
        {"num_beams": 65},
        {"do_sample": "yes"},
        {"do_sample": 1},
        {"prepend_question": None},
        {"likelihood": "cooked"},
        {"likelihood": 1},
        {"likelihood": ["raw"]},
        {"likelihood": "r" * 10**6},
        {"do_sample": True, "num_beams": 4},
        {"measures": ["answer"]},
    ],
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        check_settings(settings)


def test_a_whole_float_is_a_whole_number() -> None:
    checked = check_settings({"samples": 10.0})
    assert checked == {"samples": 10} and isinstance(checked["samples"], int)


def test_defaults_are_settings() -> None:
    assert check_settings(protocol.SETTINGS) == protocol.SETTINGS
    assert list(protocol.SETTINGS) == [item["name"] for item in Settings.schema()]


def test_settings_must_go_together_with_those_that_stay() -> None:
    assert check_settings({"num_beams": 4}) == {"num_beams": 4}
    with pytest.raises(InputError, match="exclude each other"):
        check_settings({"num_beams": 4}, {"do_sample": True})
    assert check_settings({"num_beams": 4, "do_sample": False}, {"do_sample": True})["num_beams"] == 4


def test_tools_and_selections() -> None:
    operations = [BOX, {"op": "context", "text": "a", "preset": None}, BOX]
    assert check_selected([2, 0, 2], operations) == [0, 2]
    assert check_selected([], operations) == []
    for bad in ([1], [3], [-1], [True], ["0"], [0.0], "0", None, [10**400]):
        with pytest.raises(InputError, match="selected") as error:
            check_selected(bad, operations)
        assert len(str(error.value)) < 500
    assert [check_tool(tool) for tool in protocol.TOOLS] == list(protocol.TOOLS)
    for other in ("hammer", "", 1, None, ["box"]):
        with pytest.raises(InputError, match="tool must be one of select, box"):
            check_tool(other)


BOX = {
    "op": "box",
    "x": 1,
    "y": 2,
    "width": 3,
    "height": 4,
    "color": "#000000",
    "fill": True,
    "line_width": 3,
}


def document(*operations: Any, **changes: Any) -> dict[str, Any]:
    return {**doc.empty(), "operations": list(operations), **changes}


def cut(at: Any, remove: Any, *insert: Any) -> dict[str, Any]:
    return {"at": at, "remove": remove, "insert": list(insert)}


def test_a_good_document_passes_unchanged() -> None:
    noise = {"op": "noise", "sigma": 0.2, "seed": 2**31, "region": [0, 0, 10.5, 10]}
    good = document(BOX, noise, past=[cut(0, 1), cut(1, 1)], future=[cut(2, 0, BOX)])
    assert check_document(good) == good


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (None, "must be an object"),
        ([], "must be an object"),
        ({"operations": []}, "lacks"),
        (document(extra=1), "unknown keys"),
        (document(version=2), "version 2"),
        (document(version=True), "version"),
        (document(operations=None), "must be a list"),
        (document(7), "Operation 0"),
        (document(BOX, {"x": 1}), "Operation 1"),
        (document({"op": 7}), "Operation 0"),
        (document({**BOX, "x": 1e300}), '"x" of operation 0'),
        (document({**BOX, "x": math.nan}), '"x"'),
        (document({**BOX, "x": -math.inf}), '"x"'),
        (document({**BOX, "x": {"a": 1}}), '"x"'),
        (document({**BOX, "x": [[1]]}), '"x"'),
        (document({"op": "text", "text": "x" * 100_000}), '"text" of operation 0'),
        (document(*[BOX] * 501), "too many"),
        (document(past=[BOX]), "A step of the document lacks"),
        (document(past=[[]]), "must be an object"),
        (document(past=[cut(0, 0, 7)]), "Operation 0"),
        (document(past=[{**cut(0, 0), "x": 1}]), "unknown keys"),
        (document(BOX, past=[cut(-1, 1)]), "at must be"),
        (document(BOX, past=[cut(0, 0.5)]), "remove must be"),
        (document(BOX, past=[cut(1, 1)]), "more than its 1 operations"),
        (document(BOX, past=[cut(0, 1), cut(0, 1)]), "more than its 0 operations"),
        (document(BOX, future=[cut(0, 1), cut(0, 1)]), "more than its 0 operations"),
        (document(future={"a": 1}), "must be a list"),
    ],
)
def test_bad_documents(bad: Any, words: str) -> None:
    with pytest.raises(InputError) as error:
        check_document(bad)
    assert words in str(error.value)
    assert len(str(error.value)) < 500


def test_known_steps_are_taken_as_they_are_and_new_ones_checked() -> None:
    strange = cut(0, 1, {**BOX, "x": 1e99})  # would be refused if it were looked at
    known = document(BOX, past=[cut(0, 0), strange], future=[strange])
    for new in (
        document(BOX, BOX, past=[cut(0, 0), strange, cut(1, 1)]),
        document(BOX, past=[cut(0, 0)], future=[cut(0, 0), strange]),
    ):
        assert check_document(new, known) == new
    for bad in (document(BOX, past=[strange]), document({**BOX, "x": 1e99}, past=[cut(0, 0)])):
        with pytest.raises(InputError):
            check_document(bad, known)


def test_messages_agree_with_what_they_are_of() -> None:
    with pytest.raises(InputError, match=r"^The settings have unknown keys"):
        check_settings({"shadow": 1})
    with pytest.raises(InputError, match="'strict' any more: it is called 'strict_entailment' now"):
        check_settings({"strict": True})
    with pytest.raises(InputError, match="it is called 'measures' now, the first argument of run"):
        check_settings({"what": "answer"})
    with pytest.raises(InputError, match=r"^The document has unknown keys"):
        check_document(document(extra=1))


def test_a_huge_history_is_cut_before_it_is_looked_at() -> None:
    checked = check_document(document(past=[cut(0, 0, BOX)] * 100_000, future=[cut(0, 0)] * 100_000))
    assert len(checked["past"]) == len(checked["future"]) == doc.MAX_STEPS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["kind", "id", "what", "settings", "name", "version", "operations", "past", "future", "op", "x"]
)
VALUES = JSON | st.sampled_from(["run", "cancel", "upload", "code", "answer", "box", 1, []])


@given(JSON | st.dictionaries(KEYS, VALUES, max_size=6), st.lists(st.binary(max_size=4), max_size=2))
def test_anything_at_all_gives_a_message_or_an_input_error(content: Any, buffers: list[bytes]) -> None:
    for check in (
        lambda: parse_message(content, buffers),
        lambda: check_document(content),
        lambda: check_settings(content),
    ):
        try:
            json.dumps(check(), default=str)
        except InputError as error:
            assert str(error)
