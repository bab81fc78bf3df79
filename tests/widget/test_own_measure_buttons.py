"""A measure of one's own, registered in a cell: the page is offered it, runs it, and gets what it draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fake_page import Page

import isi_widget as isi
from isi_widget import Probe, datasets
from isi_widget.trial.measures import Measure, Term, forget_measure, register_measure
from isi_widget.vlm import VLM


class Length(Measure):
    """Number of words of the answer."""

    name, title, help = "length", "Length", "How long the answer is."
    terms = (Term("length", "Words", "words", "Number of words of the answer.", scale=20.0),)
    by_default = False

    def run(self, shared: Any) -> Any:
        return {"length": len(shared.answer.text.split())}

    def values(self, record: Any) -> Any:
        return record


@pytest.fixture
def length() -> Iterator[None]:
    register_measure(Length)
    yield
    forget_measure("length")


def test_the_page_is_offered_the_measures_of_this_package(vlm: VLM) -> None:
    probe = Probe(vlm, datasets.scenes()[0])
    names = {measure["name"]: measure["by_default"] for measure in Page(probe).state["measures"]}
    assert names == {"answer": True, "uncertainty": True, "attention": True}
    assert all(measure["title"] and measure["help"] for measure in probe.measures)
    probe.close()


def test_one_of_the_users_own_is_offered_run_and_drawn_by_its_columns(vlm: VLM, length: None) -> None:
    probe = Probe(vlm, datasets.scenes()[0])
    page = Page(probe)
    assert [m for m in page.state["measures"] if m["name"] == "length"] == [
        {
            "name": "length",
            "title": "Length",
            "help": "How long the answer is.",
            "by_default": False,
            "unavailable": "",
        }
    ]
    page.send({"kind": "run", "id": "r", "measures": ["length"]})
    page.wait(lambda page: page.of_kind("result") or page.state["error"])
    page.wait(lambda page: page.state["status"]["state"] == "idle")  # from then on Python has it, too
    assert page.state["error"] is None
    (drawn,) = [m for m in page.state["_entry_0"]["view"]["measures"] if m["name"] == "length"]
    (column,) = drawn["columns"]
    assert drawn["title"] == "Length" and column["label"] == "Words" and column["scale"] == 20
    assert column["value"] == len(probe.trial.answer.text.split())
    probe.close()


def test_one_that_is_registered_later_is_offered_at_once_until_it_is_forgotten(vlm: VLM) -> None:
    probe = Probe(vlm, datasets.scenes()[0])
    page = Page(probe)

    def offered() -> list[str]:
        return [measure["name"] for measure in page.state["measures"]]

    before = offered()
    register_measure(Length)
    try:
        assert offered() == [*before, "length"]
    finally:
        forget_measure("length")
    assert offered() == before
    probe.close()


def test_one_that_was_only_given_to_a_run_is_not_offered(vlm: VLM) -> None:
    stimulus = datasets.scenes()[0].stimulus()
    try:
        isi.run_trial(vlm, stimulus, measures=["answer", Length()])
        probe = Probe(vlm, datasets.scenes()[0])
        assert "length" not in [measure["name"] for measure in Page(probe).state["measures"]]
        probe.close()
    finally:
        forget_measure("length")


def test_an_unknown_one_is_refused_with_those_that_there_are(vlm: VLM, length: None) -> None:
    probe = Probe(vlm, datasets.scenes()[0])
    with pytest.raises(isi.InputError, match=r"measures must be some of answer, .*length"):
        probe.run("width")
    probe.close()
