"""Whatever a hostile or faulty page sends, the kernel refuses it in one clear sentence and the probe goes on.

Messages go through the probe's own comm handler, as the widget manager calls it: `protocol.py` alone is
tested in test_protocol.py. No browser, and no model: runs are scripted, nothing is loaded.
"""

from __future__ import annotations

import io
import logging
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_runs import Script

from isi_widget import InputError, Probe, datasets
from isi_widget.vlm import VLM
from isi_widget.widget import controller, messages, protocol
from isi_widget.widget import document as doc
from isi_widget.widget.models import ModelSlot

HUGE = 10**400  # a whole number that no float holds; JSON has such numbers
SCRIPT = "<script>window.pwned = 1</script>"
BOX = {
    "op": "box",
    "x": 1,
    "y": 2,
    "width": 30,
    "height": 40,
    "color": "#000000",
    "fill": True,
    "line_width": 3,
}


class Victim:
    """A probe, what it has told its page, and what its comm handler could not deal with."""

    def __init__(self, vlm: VLM) -> None:
        self.probe = Probe(vlm, datasets.scenes()[0])
        self.told: list[dict[str, Any]] = []
        self.crashes: list[logging.LogRecord] = []
        self.probe.send = self._send
        handler = logging.Handler()
        handler.emit = self.crashes.append  # type: ignore[method-assign]
        self.probe.log.addHandler(handler)  # ipywidgets logs what a handler raises, and goes on

    def _send(self, content: dict[str, Any], buffers: Any = None) -> None:
        if content["kind"] == "error":
            self.told.append({**content, "at once": threading.current_thread() is threading.main_thread()})

    def receive(self, data: dict[str, Any], *buffers: bytes) -> list[str]:
        """One comm message of the page; returns the errors that were told at once."""
        self.told.clear()
        self.probe._handle_msg({"content": {"data": data}, "buffers": list(buffers)})
        # what a worker of an earlier message has to say may come at any time
        return [str(message["message"]) for message in self.told if message["at once"]]

    def message(self, content: Any, *buffers: bytes) -> list[str]:
        return self.receive({"method": "custom", "content": content}, *buffers)

    def state(self, **state: Any) -> list[str]:
        return self.receive({"method": "update", "state": state, "buffer_paths": []})

    def check(self) -> None:
        """Nothing slipped through, and the probe still draws."""
        probe = self.probe
        assert self.crashes == []
        document = protocol.check_document(probe.document)
        assert protocol.check_settings(probe.settings) == probe.settings
        assert protocol.check_tool(probe.tool) in protocol.TOOLS
        assert protocol.check_selected(probe.selected, document["operations"]) == probe.selected
        assert isinstance(probe.run_on_change, bool) and isinstance(probe.busy, bool)
        assert probe.observation_index == -1 or 0 <= probe.observation_index < len(probe.observations)
        assert probe.shown == -1 or 1 <= probe.shown <= len(probe.trials)
        assert probe.error is None or set(probe.error) == {"message", "hint", "id"}
        told = self.state(
            document=doc.step({**document, "past": [], "future": []}, [*document["operations"][-9:], BOX])
        )
        assert told == [] and probe.stimulus.operations[-1].op == "box"

    def close(self) -> None:
        self.probe.cancel()
        self.probe.close()


@pytest.fixture(scope="module")
def victim(vlm: VLM) -> Iterator[Victim]:
    def no_loading(*_: Any, **__: Any) -> VLM:
        raise InputError("Nothing is loaded in this test.")

    script = Script()
    script.free, script.steps = True, 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controller, "run_trial", script)
        patch.setattr(ModelSlot, "exchange", no_loading)
        patch.setattr(controller, "choose", no_loading)
        made = Victim(vlm)
        yield made
        made.close()


def document(*operations: Any, **changes: Any) -> dict[str, Any]:
    return {**doc.empty(), "operations": list(operations), **changes}


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


RUN = {"kind": "run", "id": "a", "measures": ["answer"]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"kind": SCRIPT}, "Unknown kind"),
        ({"kind": HUGE}, "Unknown kind"),
        ({"kind": nested(800)}, "Unknown kind"),
        ({**RUN, SCRIPT: 1}, "unknown keys"),
        ({**RUN, "z" * 10**6: 1}, "unknown keys"),
        ({**RUN, "settings": 0}, "Settings must be an object"),
        ({**RUN, "settings": None}, "Settings must be an object"),
        ({**RUN, "settings": {"samples": HUGE}}, "samples must be"),
        ({**RUN, "settings": {"temperature": HUGE}}, "temperature must be"),
        ({**RUN, "settings": {"temperature": -HUGE}}, "temperature must be"),
        ({**RUN, "settings": {"samples": "9" * 10**6}}, "samples must be"),
        ({**RUN, "settings": {"seed": nested(800)}}, "seed must be"),
        ({**RUN, "settings": {"strict_entailment": SCRIPT}}, "strict_entailment must be"),
        ({**RUN, "settings": {"measures": ["answer"]}}, "unknown keys"),
        ({**RUN, "settings": {"likelihood": SCRIPT * 10**5}}, "likelihood must be"),
        ({"kind": "load", "id": "a", "name": "m", "trust_remote_code": True}, "unknown keys"),
        ({"kind": "load", "id": "a", "name": SCRIPT * 100}, "name must be"),
        ({"kind": "upload", "name": "x.svg"}, "0 buffers"),
    ],
)
def test_a_bad_message_is_refused_in_one_clear_sentence(victim: Victim, content: Any, words: str) -> None:
    (told,) = victim.message(content)
    assert words in told and len(told) < 500
    assert victim.probe.error["message"] == told and victim.probe.status["state"] == "idle"
    victim.check()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"document": document({**BOX, "x": HUGE})}, '"x" of operation 0'),
        ({"document": document({**BOX, "x": nested(800)})}, '"x" of operation 0'),
        ({"document": document({**BOX, SCRIPT: 1})}, SCRIPT),
        ({"document": document({**BOX, "color": "url(https://example.org/x)"})}, '"color"'),
        ({"document": document({**BOX, "color": "red;background:url(x)"})}, '"color"'),
        ({"document": document({"op": SCRIPT})}, '"op" must be one of'),
        ({"document": document(past=nested(800))}, "must be an object"),
        ({"document": nested(800)}, "must be an object"),
        ({"settings": {"temperature": HUGE}}, "temperature must be"),
        ({"tool": SCRIPT}, "tool must be one of"),
        ({"selected": [HUGE]}, "selected"),
        ({"selected": nested(800)}, "selected"),
        ({"run_on_change": SCRIPT * 10**4}, "run_on_change must be"),
        ({"busy": True}, "may not set 'busy'"),
        ({"observation_index": HUGE}, "The observation must be"),
        ({"observation_index": SCRIPT * 10**5}, "The observation must be"),
        ({"shown": HUGE}, "shown must be"),
        ({"error": {"message": SCRIPT, "hint": "", "id": None}}, "only dismiss"),
        ({"trials": []}, "may not set 'trials'"),
        ({"model": {"name": "other"}}, "may not set 'model'"),
        ({"status": {"state": "idle"}}, "may not set 'status'"),
        ({"_esm": "alert(1)"}, "may not set '_esm'"),
        ({"_css": "*{display:none}"}, "may not set '_css'"),
        ({"_view_module": "evil"}, "may not set '_view_module'"),
        ({SCRIPT: 1}, SCRIPT),
        ({"tooltip": 5}, "'tooltip'"),
        ({"layout": 5}, "'layout'"),
    ],
)
def test_a_bad_value_of_a_trait_never_becomes_one(victim: Victim, state: Any, words: str) -> None:
    victim.state(error=None)
    before = {name: getattr(victim.probe, name) for name in ("document", "settings", "shown", "trials")}
    (told,) = victim.state(**state)
    assert words in told and len(told) < 500
    assert {name: getattr(victim.probe, name) for name in before} == before
    assert victim.probe._esm != "alert(1)"
    victim.check()


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG that says it is so large, and holds nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        (
            "drawing.svg",
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='pwned()'/>",
            "not a readable image",
        ),
        ("page.png", SCRIPT.encode(), "not a readable image"),
        ("print.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a readable image"),
        ("bomb.png", png_header(60_000, 60_000), "megapixels"),
        ("bomb.png", png_header(12_000, 12_000), "megapixels"),
        (f"{SCRIPT}.png", png_header(9, 9), "damaged"),
    ],
)
def test_a_hostile_file_is_refused_by_its_name(victim: Victim, name: str, data: bytes, words: str) -> None:
    before = victim.probe.stimulus
    victim.message({"kind": "upload", "name": name}, data)
    wait_for(victim, lambda: victim.told != [])
    message = victim.told[0]["message"]
    assert name in message and words in message and victim.probe.stimulus == before
    victim.check()


def wait_for(victim: Victim, true: Any) -> None:
    """Until the upload thread is through: jobs are done in their order."""
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, victim.probe.error
        time.sleep(0.005)  # the upload thread tells nobody when it is through


# ---- anything at all
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([HUGE, -HUGE, 2**63, 2**31, -1, 0, 1, 1e308, -0.0])
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from([SCRIPT, "", "x" * 30_000, "everything", "\ud800", "\u202e", "a\x00b", "__proto__"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
KINDS = st.sampled_from(sorted(messages.KINDS))
WORDS = st.sampled_from(["answer", "uncertainty", "attention", "everything", "embedded", "nf4"])
SETTINGS = st.dictionaries(
    st.sampled_from([*protocol.SETTINGS, "what", "constructor"]), SCALARS | st.integers(0, 20), max_size=4
)
MESSAGES = (
    JSON
    | st.fixed_dictionaries(
        {"kind": KINDS | JSON},
        optional={
            "id": st.just("a") | JSON,
            "measures": st.lists(WORDS | JSON, max_size=4) | JSON,
            "settings": SETTINGS | JSON,
            "name": WORDS | JSON,
            "quantization": WORDS | JSON,
            "indexes": st.lists(st.integers(-3, 120), max_size=4) | JSON,
            "part": st.sampled_from(["image", "context"]) | JSON,
            "also": JSON,
        },
    )
)  # fmt: skip
FIELDS = (
    *("x", "y", "width", "height", "color", "fill", "line_width", "start", "end", "text", "size", "sigma"),
    *(
        "seed",
        "region",
        "preset",
        "image",
        "angle",
        "hidden",
        "locked",
        "label",
        "points",
        "radius",
        "source",
    ),
)
OPERATIONS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(
            ["box", "ellipse", "line", "arrow", "text", "noise", "image", "context", "question"]
        )
    },
    optional={
        name: SCALARS | st.integers(0, 99) | st.lists(st.integers(0, 99), min_size=2, max_size=4) | JSON
        for name in FIELDS
    },
)
STEPS = st.lists(OPERATIONS, max_size=3)
SPLICES = st.fixed_dictionaries(
    {"at": st.integers(0, 3) | JSON, "remove": st.integers(0, 3) | JSON, "insert": STEPS | JSON}
)
DOCUMENTS = JSON | st.fixed_dictionaries(
    {"version": st.just(1) | JSON, "operations": STEPS | JSON},
    optional={name: st.lists(SPLICES, max_size=2) | JSON for name in ("past", "future")},
)
STATES = st.fixed_dictionaries(
    {},
    optional={
        "document": DOCUMENTS,
        "settings": SETTINGS | JSON,
        "observation_index": st.integers(-3, 120) | JSON,
        "shown": st.integers(-3, 5) | JSON,
        "tool": st.sampled_from(protocol.TOOLS) | JSON,
        "selected": st.lists(st.integers(-1, 3), max_size=3) | JSON,
        "run_on_change": st.booleans() | JSON,
        "busy": JSON,
        "error": JSON,
        "trials": JSON,
        "_entry_0": JSON,
        "preview": JSON,
        "inputs": JSON,
        "_esm": JSON,
        "layout": SCALARS,  # an object would be one of ipywidgets' own
        "tooltip": JSON,
    },
)
FUZZ = settings(
    max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
KNOWN = set(messages.KINDS)


def clear(told: list[str]) -> None:
    """Each error is short, and written for a person: not what Python said when it met the value."""
    for message in told:
        assert 0 < len(message) < 1000
        assert not message.startswith(
            ("OverflowError", "RecursionError", "TypeError", "KeyError", "Attribute")
        )


@given(MESSAGES, st.lists(st.binary(max_size=4), max_size=2))
@FUZZ
def test_any_message_at_all(victim: Victim, content: Any, buffers: list[bytes]) -> None:
    told = victim.message(content, *buffers)
    clear(told)
    kind = content.get("kind") if isinstance(content, dict) else None
    if not (isinstance(kind, str) and kind in KNOWN) or "also" in content:
        assert len(told) == 1
    victim.check()


@given(STATES)
@FUZZ
def test_any_state_at_all(victim: Victim, state: dict[str, Any]) -> None:
    told = victim.state(**state)
    clear(told)
    if {"trials", "_entry_0", "preview", "inputs", "_esm"} & set(state):
        assert told
    victim.check()
    victim.probe.set_trait("observation_index", 0)


def test_a_good_image_is_taken_after_all_that(victim: Victim) -> None:
    """The probe is not merely deaf: the same way in is open to what is right."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 48), "orange").save(out, "PNG")
    assert victim.message({"kind": "upload", "name": "own.png"}, out.getvalue()) == []
    wait_for(victim, lambda: victim.probe.stimulus.current_image.size == (64, 48))
    assert victim.message({**RUN, "settings": {"samples": 3}}) == []
    assert victim.state(settings={"samples": 7}) == [] and victim.probe.settings["samples"] == 7
    victim.check()
