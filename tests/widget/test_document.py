"""Undo and redo, as pure functions that the page has too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isi_widget.widget import document as doc
from isi_widget.widget.protocol import check_document

OPERATIONS = st.lists(st.builds(lambda n: {"op": "question", "text": str(n)}, st.integers(0, 99)), max_size=3)


def test_each_gesture_is_one_step_and_undo_takes_it_back() -> None:
    one, two = [{"op": "question", "text": "a"}], [{"op": "question", "text": "b"}]
    document = doc.step(doc.step(doc.empty(), one), two)
    assert document["operations"] == two and document["past"] == [[], one] and document["future"] == []
    back = doc.undo(document)
    assert back["operations"] == one and back["future"] == [two]
    again = doc.undo(back)
    assert again["operations"] == [] and again["future"] == [one, two]  # the next one to redo comes first
    assert doc.redo(again) == back
    assert doc.redo(back) == document


def test_without_history_nothing_happens() -> None:
    assert doc.undo(doc.empty()) == doc.empty() == doc.redo(doc.empty())


def test_a_gesture_after_undo_forgets_what_was_undone() -> None:
    document = doc.undo(doc.step(doc.empty(), [{"op": "question", "text": "a"}]))
    assert doc.step(document, [])["future"] == []


@given(st.lists(OPERATIONS, min_size=1, max_size=130), st.integers(1, 130))
def test_undo_then_redo_is_where_one_was(gestures: list[list[dict[str, str]]], steps: int) -> None:
    document = doc.empty()
    for operations in gestures:
        document = doc.step(document, operations)
    assert len(document["past"]) == min(len(gestures), doc.MAX_STEPS)
    there = document
    taken = min(steps, len(document["past"]))
    for _ in range(taken):
        there = doc.undo(there)
    expected = gestures[len(gestures) - taken - 1] if taken < len(gestures) else []
    assert there["operations"] == expected
    for _ in range(taken):
        there = doc.redo(there)
    assert there == document
    assert check_document(document) == document


def test_no_function_changes_its_argument() -> None:
    document = doc.step(doc.step(doc.empty(), [{"op": "question", "text": "a"}]), [])
    copy = check_document(document)
    for function in (doc.undo, doc.redo):
        function(function(document))
    doc.step(document, [])
    assert document == copy
