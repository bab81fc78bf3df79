"""What somebody else's code raises (an observer, a send to the page) never stops the worker: runs end, the
waiting call returns, and the failure is shown.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fake_page import Page, idle
from scripted_runs import Script

from isi_widget import Probe, Trial, datasets
from isi_widget.widget.controller import explain
from isi_widget.widget.jobs import Job, Worker
from isi_widget.widget.streaming import Stream

RAISED = [ValueError("of mine"), RuntimeError("of mine"), KeyboardInterrupt("of mine"), SystemExit("of mine")]


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("cannot say")


def raising(error: BaseException) -> Callable[[Any], None]:
    def observer(change: Any) -> None:
        raise error

    return observer


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """The result of a call that must not wait for ever, made in another thread."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "the call did not return"
    return found[0]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", ["busy", "status", "trials", "trial", "error", "model", "shown"])
def test_a_run_ends_whatever_an_observer_raises(
    probe: Probe, script: Script, name: str, error: BaseException
) -> None:
    script.free = True
    page = Page(probe)
    probe.observe(raising(error), name)
    for count in (1, 2):
        trial = within(120, probe.run)
        assert isinstance(trial, Trial) and len(probe.trials) == count and probe.trial is trial
    page.wait(idle)
    if name not in ("error", "model"):  # which did not change
        assert page.state["error"]["message"] == (
            f"An observer of {name!r} failed: {type(error).__name__}: of mine"
        )
        assert "in observer" in probe.last_traceback


def test_the_case_of_the_report(probe: Probe, script: Script) -> None:
    script.free = True
    probe.observe(raising(ValueError("of mine")), "busy")
    assert isinstance(within(120, probe.run), Trial)
    assert not probe.busy and probe.status["state"] == "idle"
    assert probe.error["message"] == "An observer of 'busy' failed: ValueError: of mine"


def test_other_observers_are_called_and_one_can_be_taken_off(probe: Probe, script: Script) -> None:
    script.free = True
    seen: list[Any] = []
    bad, good = raising(ValueError("of mine")), seen.append
    probe.observe(bad, "trial")
    probe.observe(good, "trial")
    probe.observe(good, "trial")  # twice is once, as everywhere
    probe.run()
    assert [change["new"] for change in seen] == [probe.trial]
    probe.unobserve(good, "trial")
    probe.unobserve(bad, "trial")
    probe.error = None
    probe.run()
    assert len(seen) == 1 and probe.error is None


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_the_page_goes_on_whatever_an_observer_raises(probe: Probe, error: BaseException) -> None:
    page = Page(probe)
    probe.observe(raising(error), "stimulus")
    page.draw({"op": "blur", "radius": 3, "region": None})
    assert len(probe.stimulus.operations) == 1
    assert "An observer of 'stimulus' failed" in page.state["error"]["message"]
    page.send({"kind": "restore", "trial": 7})
    assert "no trial 7" in page.state["error"]["message"]


def test_a_cell_is_interrupted_by_its_own_interrupt(probe: Probe) -> None:
    probe.observe(raising(KeyboardInterrupt()), "stimulus")
    with pytest.raises(KeyboardInterrupt):
        probe.stimulus = probe.stimulus.blur(2)
    probe.unobserve_all("stimulus")


def test_the_log_has_what_an_observer_raised(probe: Probe, caplog: pytest.LogCaptureFixture) -> None:
    probe.observe(raising(ValueError("of mine")), "stimulus")
    with caplog.at_level(logging.ERROR):
        probe.stimulus = probe.stimulus.blur(2)
    assert "observer of 'stimulus'" in caplog.text and "ValueError: of mine" in caplog.text
    assert len(probe.stimulus.operations) == 1


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_a_run_ends_though_nothing_can_be_sent(probe: Probe, script: Script, error: BaseException) -> None:
    script.free = True
    script.texts = [("answer", 0, "Yes")]
    page = Page(probe)
    working = probe.comm.publish_msg

    def broken(*args: Any, **keys: Any) -> None:
        raise error

    probe.comm.publish_msg = broken
    assert isinstance(within(120, probe.run), Trial)
    assert "could not be sent" in probe.error["message"] and not probe.busy
    probe.comm.publish_msg = working
    probe.error = None
    assert isinstance(within(120, probe.run), Trial)
    page.wait(idle)
    assert page.state["error"] is None and [entry["id"] for entry in page.state["trials"]] == [1, 2]
    assert page.state["busy"] is False and page.state["shown"] == 2


def test_a_load_ends_whatever_an_observer_raises(probe: Probe) -> None:
    probe.observe(raising(SystemExit(3)), "model")
    probe.observe(raising(ValueError("of mine")), "busy")
    assert within(60, lambda: probe.load("embedded")) is probe.vlm


def test_an_automatic_run_ends_whatever_an_observer_raises(probe: Probe, script: Script) -> None:
    script.free = True
    page = Page(probe)
    probe.observe(raising(ValueError("of mine")), "busy")
    probe.run_on_change = True
    page.draw({"op": "blur", "radius": 3, "region": None})
    page.wait(lambda page: len(page.state["trials"]) == 1 and idle(page))


def test_a_worker_lives_whatever_its_callbacks_raise() -> None:
    for error in RAISED:
        worker = Worker("test", on_begin=raising(error), on_end=raising(error))
        for _ in range(3):
            job = Job("1", lambda job: 7)
            worker.submit(job)
            assert job.wait(120) and job.result == 7 and worker.running is None


def test_a_stream_that_cannot_be_told_ends_and_its_run_goes_on() -> None:
    told: list[Any] = []

    def tell(answer: str | None, samples: list[str]) -> None:
        told.append(answer)
        raise SystemExit

    stream = Stream(tell)
    for text in ("Y", "Ye", "Yes"):
        stream.text("answer", 0, text)
    stream.flush()
    stream.close()
    assert told == ["Y"]


def test_an_error_that_cannot_say_what_it_is_is_shown(probe: Probe, script: Script) -> None:
    script.free, script.error = True, _Unspeakable()
    with pytest.raises(_Unspeakable):
        probe.run()
    assert probe.error["message"] == "_Unspeakable"
    assert explain(_Unspeakable())[0] == "_Unspeakable"


def test_no_thread_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    worker = Worker("test")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            worker.submit(Job("1", lambda job: 7))
    assert worker.queued == ()
    job = Job("2", lambda job: 7)
    worker.submit(job)
    assert job.wait(120) and job.result == 7


def test_a_probe_that_could_not_be_made_is_quiet() -> None:
    with pytest.raises(ValueError, match="vlm must come from"):
        Probe(datasets.scenes()[0])  # type: ignore[arg-type]
