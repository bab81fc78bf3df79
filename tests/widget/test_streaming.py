"""What a run says while it goes on: gathered in a calm rhythm, nothing lost, nothing where nobody looks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import SimpleNamespace

import pytest
from fake_page import Page, idle
from scripted_runs import Script

from isi_widget import Probe, datasets
from isi_widget.vlm import VLM
from isi_widget.widget import streaming
from isi_widget.widget.streaming import Stream


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr(streaming, "time", made)
    yield made


class Later:
    """A timer that goes off when a test says so."""

    def __init__(self, seconds: float, act: Callable[[], None]) -> None:
        self.seconds, self.act, self.waits = seconds, act, True

    def start(self) -> None:
        pass

    def cancel(self) -> None:
        self.waits = False


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> list[Later]:
    """Every timer that is made."""
    made: list[Later] = []

    def timer(seconds: float, act: Callable[[], None]) -> Later:
        made.append(Later(seconds, act))
        return made[-1]

    monkeypatch.setattr(streaming, "threading", SimpleNamespace(Timer=timer, Lock=threading.Lock))
    return made


def told() -> tuple[Stream, list[tuple[str | None, list[str]]]]:
    heard: list[tuple[str | None, list[str]]] = []
    return Stream(lambda answer, samples: heard.append((answer, samples))), heard


# ---- the rhythm
def test_the_first_text_is_told_at_once_and_later_ones_every_sixty_milliseconds_at_most(
    clock: Clock,
) -> None:
    stream, heard = told()
    for number in range(1, 601):  # 600 tokens in 0.6 s
        stream.text("answer", 0, "x" * number)
        clock.now += 0.001
    assert heard[0] == ("x", [])
    assert 8 <= len(heard) <= 12
    stream.flush()
    assert heard[-1] == ("x" * 600, [])
    stream.close()


def test_what_was_held_back_comes_in_time_even_if_nothing_follows() -> None:
    heard: list[list[str]] = []
    both = threading.Event()

    def tell(answer: str | None, samples: list[str]) -> None:
        heard.append(samples)
        if len(samples) == 2:
            both.set()

    stream = Stream(tell)
    stream.text("sample", 3, "c")
    stream.text("sample", 0, "a")
    assert both.wait(120) and heard == [["c"], ["c", "a"]]
    stream.flush()
    assert len(heard) == 2  # nothing new, nothing told


def test_what_comes_early_is_held_back(timers: list[Later]) -> None:
    stream, heard = told()
    for number in range(1, 4):
        stream.text("answer", 0, "x" * number)
    assert heard == [("x", [])]
    [later] = timers
    assert later.seconds == pytest.approx(streaming._SECONDS) and later.waits
    later.act()
    assert heard == [("x", []), ("xxx", [])]
    stream.flush()
    assert len(heard) == 2


def test_the_space_before_the_first_word_is_none_of_the_answer() -> None:
    stream, heard = told()
    stream.text("answer", 0, " Yes")
    stream.close()
    assert heard == [("Yes", [])]


def test_nothing_is_told_after_the_end(timers: list[Later]) -> None:
    stream, heard = told()
    stream.text("answer", 0, "a")
    stream.text("answer", 0, "ab")
    [later] = timers
    stream.close()
    assert not later.waits
    stream.text("answer", 0, "abc")
    stream.flush()
    later.act()  # it went off just before it was stopped
    assert heard == [("a", [])]


def test_samples_stand_in_the_order_of_their_ending_and_one_decoded_again_replaces_itself(
    clock: Clock,
) -> None:
    stream, heard = told()
    for row, text in ((2, "c"), (0, "a"), (2, "C"), (1, "b")):
        stream.text("sample", row, text)
    stream.flush()
    assert heard[-1] == (None, ["C", "a", "b"])


def test_much_text_travels_less_often_instead_of_more(clock: Clock) -> None:
    stream, heard = told()
    for row in range(1000):  # 1000 samples of 1000 characters, one each millisecond
        stream.text("sample", row, "y" * 1000)
        clock.now += 0.001
    characters = sum(len(text) for _, samples in heard for text in samples)
    # 17 messages in the usual rhythm would be eight million characters; here: a second's worth and one list.
    assert characters < 400_000 + 1_000_000 and len(heard) > 2
    stream.flush()
    assert len(heard[-1][1]) == 1000
    stream.close()


# ---- through the probe
def test_partials_reach_the_page_and_end_with_the_whole_text(probe: Probe, script: Script) -> None:
    page = Page(probe)
    script.texts = [("answer", 0, "Y"), ("answer", 0, "Yes"), ("sample", 1, "No"), ("sample", 0, "Yes")]
    script.steps = 1
    page.send({"kind": "run", "id": "r1", "measures": ["answer", "uncertainty"], "settings": {}})
    page.wait(lambda page: page.of_kind("partial"))
    script.free = True
    page.wait(lambda page: page.of_kind("result"))
    first = page.of_kind("partial")[0]
    assert first == {"kind": "partial", "id": "r1", "answer": "Y", "samples": []}
    kinds = [message["kind"] for message in page.messages]
    assert kinds.index("partial") < kinds.index("result")


def test_nothing_is_gathered_where_nobody_looks(probe: Probe, script: Script) -> None:
    script.free = True
    probe.run("answer")
    assert script.on_text == [None]
    probe._repr_mimebundle_()  # shown: from now on there is a page
    probe.run("answer")
    assert script.on_text[1] is not None


def test_a_page_that_only_speaks_is_a_page_too(probe: Probe, script: Script) -> None:
    """In a container of other widgets the probe itself is never displayed."""
    page = Page(probe)
    page.set(settings={**page.state["settings"], "samples": 3})
    script.free = True
    probe.run("answer")
    assert script.on_text[0] is not None


def test_many_tokens_of_many_rows_do_not_flood_the_comm(probe: Probe, script: Script) -> None:
    page = Page(probe)
    script.steps, script.free = 40, True
    script.texts = [("sample", row, f"answer {row}") for row in range(64)]  # 2,560 texts as fast as they can
    page.send({"kind": "run", "id": "r1", "measures": ["uncertainty"], "settings": {}})
    page.wait(lambda page: page.of_kind("result"))
    assert 1 <= len(page.of_kind("partial")) < 40


def test_the_real_model_streams_what_it_then_answers(vlm: VLM) -> None:
    probe = Probe(vlm, datasets.scenes()[4])
    page = Page(probe)
    settings = {"samples": 5, "max_new_tokens": 8, "seed": 3}
    page.send({"kind": "run", "id": "r1", "measures": ["answer", "uncertainty"], "settings": settings})
    page.wait(lambda page: page.of_kind("result"), 120)
    page.wait(idle)
    partials = page.of_kind("partial")
    assert probe.trial is not None and probe.trial.answer is not None and probe.trial.uncertainty is not None
    assert {partial["id"] for partial in partials} == {"r1"}
    answers = [partial["answer"] for partial in partials if partial["answer"] is not None]
    assert answers[-1].strip() == probe.trial.answer.text
    assert all(late.startswith(early) for early, late in pairwise(answers))
    samples = partials[-1]["samples"]
    assert Counter(samples) == Counter(answer.text for answer in probe.trial.uncertainty.answers)
    probe.close()
