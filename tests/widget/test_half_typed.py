"""Halves of characters that a page or a cell sends never stop a run, a save, an export or a report."""

import json

import pytest

import isi_widget as isi
from isi_widget.widget import document as doc
from isi_widget.widget import messages

HALF, OTHER, FACE, GONE = "\ud83d", "\ude00", "\U0001f600", "\ufffd"


def sent(probe):
    """The state as it travels to the page, and into the saved notebook."""
    return json.dumps(probe.get_state(), ensure_ascii=False, default=repr).encode()


def test_notes(probe):
    probe.run("answer")
    probe.note(1, f"a{HALF}{OTHER} b{HALF}")
    assert probe.notes[1] == f"a{FACE} b{GONE}"
    note = messages.parse_message({"kind": "note", "trial": 1, "text": f"c{OTHER}"})
    assert note.text == f"c{GONE}"
    sent(probe)
    for format in ("json", "csv", "pdf", "html"):
        assert probe.export([1], format=format)


@pytest.mark.parametrize("op", ["question", "context"])
def test_texts_of_the_page(probe, op):
    operations = [
        {"op": op, "text": f"Is there a star{HALF}?"},
        {"op": "text", "x": 1, "y": 2, "text": f"x{HALF}{OTHER}", "color": "#000000", "size": 12},
    ]
    document = doc.step(probe.document, operations)
    data = {"method": "update", "state": {"document": document}, "buffer_paths": []}
    probe._handle_msg({"content": {"data": data}, "buffers": []})
    assert probe.stimulus.operations[0].text == f"Is there a star{GONE}?"
    assert probe.stimulus.operations[1].text == f"x{FACE}"
    probe.run("answer")
    assert len(probe.trials) == 1
    sent(probe)
    again = isi.Trial.from_dict(
        json.loads(json.dumps(probe.trials[0].to_dict(), ensure_ascii=False).encode())
    )
    assert again == probe.trials[0]
    assert probe.trials[0].report().startswith(b"%PDF")
