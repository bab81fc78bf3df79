"""What travels of a document: a gesture costs the same however many there were, and nothing is lost."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from fake_page import Page

from isi_widget import Probe
from isi_widget.errors import InputError
from isi_widget.widget import document as doc
from isi_widget.widget.protocol import check_document
from isi_widget.widget.revisions import Revisions


def box(x: float) -> dict[str, Any]:
    return {
        "op": "box",
        "x": x,
        "y": 2,
        "width": 3,
        "height": 4,
        "color": "#000000",
        "fill": True,
        "line_width": 3,
    }


def after(gestures: int, start: int = 0) -> doc.Document:
    """A document of so many gestures, each of which moves the one box."""
    document = doc.empty()
    for i in range(start, start + gestures):
        document = doc.step(document, [box(i % 90)])
    return document


def copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


# ---- pure
def test_news_are_what_was_added() -> None:
    known = after(200)
    for now, past, future in (
        (doc.step(known, [box(1), box(2)]), 1, 0),
        (doc.undo(known), 0, 1),
        (doc.undo(doc.undo(known)), 0, 2),
        (doc.redo(doc.undo(known)), 0, 0),
        (known, 0, 0),
    ):
        news = doc.news(known, now)
        assert (len(news["past"]), len(news["future"])) == (past, future)
        assert doc.patched(copied(known), copied(news)) == now


def test_news_of_a_full_past_are_what_was_added() -> None:
    known = after(doc.MAX_STEPS)
    now = doc.step(doc.step(known, [box(1), box(2)]), [box(3)])
    news = doc.news(known, now)
    assert len(now["past"]) == doc.MAX_STEPS and news["kept"][:2] == [2, doc.MAX_STEPS]
    assert len(news["past"]) == 2 and doc.patched(known, news) == now
    assert check_document(now, known) == now


def test_news_along_random_walks() -> None:
    for seed in range(60):
        chance, known, now = random.Random(seed), after(3), after(3)
        for _ in range(40):
            way = chance.random()
            if way < 0.4:
                now = doc.step(now, [box(chance.randrange(90)) for _ in range(chance.randrange(4))])
            else:
                now = doc.undo(now) if way < 0.7 else doc.redo(now)
            if chance.random() < 0.3:
                assert doc.patched(copied(known), copied(doc.news(known, now))) == now
                assert check_document(doc.patched(known, copied(doc.news(known, now))), known) == now
                known = now if chance.random() < 0.7 else known


def test_new_steps_are_checked_and_must_fit() -> None:
    known = after(50)
    good = doc.news(known, doc.step(known, [box(1), box(2)]))
    bad = [
        {**good, "past": [{"at": 0, "remove": 9, "insert": []}]},
        {**good, "past": [{"at": 0, "remove": 1, "insert": [{**box(1), "x": 1e300}]}]},
        {**good, "operations": []},
        {**good, "kept": [0, 49, 0], "past": [{"at": 0, "remove": 2, "insert": []}]},
        {**good, "past": [7]},
    ]
    for change in bad:
        with pytest.raises(InputError):
            check_document(doc.patched(known, change), known)


def test_a_short_history_travels_whole_unless_its_steps_are_long() -> None:
    assert doc.is_short(after(32)) and not doc.is_short(after(33))
    points = [[i, i] for i in range(5000)]
    mask = {"op": "polygon", "points": points, "color": "#000000", "fill": True, "line_width": 3}
    assert not doc.is_short(doc.step(doc.step(doc.empty(), [mask]), []))
    runs = {"op": "erase", "fill": "mean", "region": {"mask": {"size": [100, 100], "runs": [1] * 5000}}}
    assert not doc.is_short(doc.step(doc.step(doc.empty(), [runs]), []))
    assert doc.is_short(doc.step(doc.empty(), [runs]))


def test_a_page_that_starts_from_what_is_not_known_is_told_apart() -> None:
    revisions, first = Revisions(), after(40)
    base = revisions.number(first)
    of_page = doc.step(first, [box(1), box(2)])
    revisions.reply(of_page, base)
    again = {**doc.news(first, doc.step(of_page, [box(3)])), "base": base}
    assert revisions.read(again, of_page) == doc.step(of_page, [box(3)])  # sent before the reply came
    of_python = doc.step(of_page, [box(4)])
    revisions.update(of_python)
    assert revisions.read(again, of_python) is None
    assert revisions.read({**again, "base": 10**6}, of_python) is None


# ---- a probe and its page
def cost(page: Page, document: doc.Document) -> tuple[int, int]:
    """Bytes to the kernel and from it, of one gesture."""
    sent, came = len(page.sent), len(page.came)
    page.edit(document)
    page.wait(lambda page: page.state["inputs"]["question"])
    return sum(page.sent[sent:]), sum(size for size in page.came[came:])


@pytest.mark.parametrize("gestures", [100, 10_000])
def test_a_gesture_costs_the_same(probe: Probe, gestures: int) -> None:
    page = Page(probe)
    probe.document = after(gestures)
    for document in (
        doc.step(page.state["document"], [box(7.5)]),
        doc.step(doc.step(page.state["document"], [box(7.5)]), [box(8.5)]),
    ):
        sent, came = cost(page, document)
        assert sent < 700 and came < 4000
    sent, came = cost(page, doc.undo(page.state["document"]))
    assert sent < 700 and came < 4000
    size = len(page.came)
    probe.stimulus = probe.stimulus.replace(0, probe.stimulus.operations[0]).blur(2)  # from a cell
    assert sum(page.came[size:]) < 4000
    assert page.missed == 0 and page.state["document"] == probe.document
    assert len(probe.document["past"]) == min(gestures + 2, doc.MAX_STEPS)


def test_after_a_reload_everything_is_there(probe: Probe) -> None:
    page = Page(probe)
    probe.document = after(60)
    page.draw(box(1))
    page.edit(doc.undo(page.state["document"]))
    again = Page(probe)
    assert again.state["document"] == probe.document == page.state["document"]
    again.draw(box(2))
    assert again.state["document"] == probe.document and len(probe.document["past"]) == 61


def test_gestures_that_are_made_before_the_first_is_answered(probe: Probe) -> None:
    page = Page(probe)
    probe.document = after(60)
    known, revision = page.known, page.revision
    document = page.known
    for i in range(5):
        document = doc.step(document, [box(i), box(i + 1)])
        page.known, page.revision = known, revision  # no answer has come
        page.edit(document)
    document = doc.undo(document)
    page.known, page.revision = known, revision
    page.edit(document)
    assert probe.document == document == page.state["document"]
    assert page.state["error"] is None


def test_python_in_between_is_not_lost(probe: Probe) -> None:
    page = Page(probe)
    probe.document = after(60)
    known, revision = page.known, page.revision
    probe.stimulus = probe.stimulus.blur(2)
    page.known, page.revision = known, revision  # that has not come
    page.edit(doc.step(known, [box(5), box(6)]))
    assert probe.document["operations"] == [box(5), box(6)] == page.operations()
    probe.undo()
    assert [operation.op for operation in probe.stimulus.operations] == ["box", "blur"]
    assert page.state["document"] == probe.document and len(probe.document["past"]) == 61


def test_a_page_that_missed_something_asks_for_all_of_it(probe: Probe) -> None:
    page = Page(probe)
    probe.document = after(60)
    page.revision, page.known = 10**6, doc.empty()
    probe.stimulus = probe.stimulus.blur(2)
    assert page.missed == 1
    page.send({"kind": "history"})
    assert page.state["document"] == probe.document


def test_what_is_refused_is_set_right(probe: Probe) -> None:
    page = Page(probe)
    probe.document = after(60)
    good = probe.document
    page.set(
        document={**doc.news(page.known, good), "operations": [{"op": "explode"}], "base": page.revision}
    )
    assert "explode" in page.state["error"]["message"]
    assert probe.document == good == page.state["document"]
    for odd in ({"kept": 7}, {"kept": [0, 1]}, {"kept": [-1, 0, 0]}, {"base": "a"}, {"past": 7}, {"more": 1}):
        page.set(document={**doc.news(page.known, good), "base": page.revision, **odd})
        assert probe.document == good == page.state["document"]


def test_the_page_is_answered_by_an_echo(probe: Probe) -> None:
    """Which the widget manager drops while the page makes its next gesture: that one is not undone by it."""
    page = Page(probe)
    page.updates.clear()
    page.draw(box(1))
    assert all("document" not in update for update in page.updates)
    assert page.known == probe.document and page.revision == probe.get_state()["revision"]
