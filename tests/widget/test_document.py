"""Undo and redo, as pure functions that the page has too."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isi_widget.widget import document as doc
from isi_widget.widget.protocol import check_document

OPERATIONS = st.lists(st.builds(lambda n: {"op": "question", "text": str(n)}, st.integers(0, 99)), max_size=3)


def test_each_gesture_is_one_step_and_undo_takes_it_back() -> None:
    one, two = [{"op": "question", "text": "a"}], [{"op": "question", "text": "b"}]
    document = doc.step(doc.step(doc.empty(), one), two)
    assert document["operations"] == two and len(document["past"]) == 2 and document["future"] == []
    back = doc.undo(document)
    assert back["operations"] == one and len(back["future"]) == 1
    again = doc.undo(back)
    assert again["operations"] == [] and again["past"] == [] and len(again["future"]) == 2
    assert doc.redo(again) == back
    assert doc.redo(back) == document


def test_a_step_is_as_small_as_what_it_changes() -> None:
    many = [{"op": "question", "text": str(n)} for n in range(50)]
    other = [*many[:20], {"op": "question", "text": "x"}, *many[21:]]
    document = doc.step({**doc.empty(), "operations": many}, other)
    assert document["past"] == [{"at": 20, "remove": 1, "insert": [many[20]]}]
    assert doc.undo(document)["future"] == [{"at": 20, "remove": 1, "insert": [other[20]]}]


@given(OPERATIONS, OPERATIONS)
def test_a_step_leads_from_one_list_to_the_other(before: list[Any], after: list[Any]) -> None:
    step = doc.change(before, after)
    assert doc.applied(before, step) == after
    assert len(step["insert"]) <= len(after) and step["remove"] <= len(before)


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


INSIDE = st.none() | st.lists(
    st.builds(
        lambda layer, head: {"kind": "head_scale", "version": 1, "layer": layer, "head": head, "factor": 0},
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    max_size=3,
)


@given(st.lists(st.tuples(OPERATIONS, INSIDE), min_size=1, max_size=60), st.integers(1, 60))
def test_interventions_are_undone_with_what_was_drawn(gestures: list[Any], steps: int) -> None:
    document, states = doc.empty(), [([], [])]
    for operations, interventions in gestures:
        document = doc.step(document, operations, interventions)
        states.append((operations, doc.inside(document)))
        if interventions is not None:
            assert doc.inside(document) == interventions
    there, taken = document, min(steps, len(gestures))
    for count in range(1, taken + 1):
        there = doc.undo(there)
        assert (there["operations"], doc.inside(there)) == states[-1 - count]
        assert doc.patched(document, doc.news(document, there)) == there
        assert doc.patched(there, doc.news(there, document)) == document
    for _ in range(taken):
        there = doc.redo(there)
    assert there == document == check_document(document)


def test_a_page_whose_base_is_not_known_brings_its_interventions() -> None:
    gate = {"kind": "head_scale", "version": 1, "layer": 0, "head": 0, "factor": 0}
    document = doc.on_top(doc.empty(), {"operations": [], "inside": [gate]})
    assert doc.inside(document) == [gate] and doc.undo(document)["operations"] == []
    assert "inside" not in doc.undo(document)
    assert doc.on_top(document, {"operations": [], "inside": [gate]}) == document
