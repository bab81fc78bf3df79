"""A run of a study seen from outside: progress, running sums, cancel, resume, and the display of a cell."""

import re
import threading
from copy import deepcopy

import pytest

from isi_widget.errors import Cancelled, InputError
from isi_widget.study.live import Live, Run
from isi_widget.study.live import cell as cells
from isi_widget.study.live.page import duration, run_html, sentence


def row(number, condition="plain", **values):
    return {"row": number, "model": "m", "condition": condition, "error": None, "unjudged": None, **values}


class Counting:
    """Work of ten rows; stops where it is asked to, and goes on where it stopped."""

    def __init__(self, total=10, stop_at=None):
        self.rows, self.total, self.stop_at, self.step = 0, total, stop_at, threading.Event()
        self.step.set()

    def __call__(self, run):
        while self.rows < self.total:
            self.step.wait(120)
            if self.rows == self.stop_at:
                self.stop_at = None
                run.cancel()
            if run.stopping():
                raise Cancelled("stopped")
            run.row(row(self.rows, "plain" if self.rows % 2 else "noise", correct=self.rows % 4 == 0, x=1.5))
            self.rows += 1


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_sums_are_the_means_of_the_rows():
    run = Run(lambda run: None, 6)
    run.row(row(0, correct=True, attention=0.25, seed=3, row_text="no number"))
    run.row(row(1, correct=False, attention=float("nan")))
    run.row(row(2, correct=None, attention=0.75, unjudged="no truth"))
    run.row(row(3, "noise", error="too long", error_type="InputError"))
    run.row(row(3, "noise", error="too long", error_type="InputError"))  # counted once
    run.row(row(4, "noise", error="too long", error_type="InputError"), old=True)
    tally = run.sums(deepcopy)
    plain, noise = tally.groups["m", "plain"], tally.groups["m", "noise"]
    assert (plain.mean("correct"), plain.count("correct"), plain.unjudged) == (0.5, 2, 1)
    assert (plain.mean("attention"), plain.count("attention")) == (0.5, 2)
    assert "seed" not in plain.sums and "row" not in plain.sums
    assert (noise.rows, noise.failed, noise.mean("correct")) == (2, 2, None)
    [failure] = tally.failures
    assert (failure.kind, failure.reason, failure.rows, failure.first) == ("InputError", "too long", 2, 3)
    assert (run.progress().done, run.progress().failed, run.progress().unjudged) == (5, 2, 1)


def test_reasons_are_bounded():
    run = Run(lambda run: None, 1000)
    for number in range(1000):
        run.row(row(number, error=f"reason {number}" * 500, error_type="E"))
    tally = run.sums(deepcopy)
    assert len(tally.failures) == tally.MOST_REASONS and tally.other_reasons == 900
    assert all(len(failure.reason) <= 1000 for failure in tally.failures)


def test_a_run_is_cancelled_and_resumed():
    work = Counting(stop_at=4)
    run = Run(work, 10)
    assert run.state == "waiting" and run.wait(0)
    run.start()
    assert run.wait(120) and run.state == "cancelled" and run.progress().done == 4
    assert isinstance(run.error, Cancelled)
    run.resume()
    assert run.wait(120) and run.state == "finished" and run.progress().done == 10 and run.error is None
    run.resume()  # nothing is left
    assert run.state == "finished" and work.rows == 10


def test_a_run_that_gets_no_thread_is_not_running(monkeypatch):
    run = Run(Counting(), 10)

    def refused(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="new thread"):
            run.start()
    assert run.state == "failed" and run.wait(0) and "new thread" in run.progress().error
    run.resume()
    assert run.wait(120) and run.state == "finished"


def test_displays_are_called_when_it_starts_and_may_look_at_it():
    """From a thread of their own, too: it is not locked meanwhile."""

    class Display:
        def look(self):
            thread = threading.Thread(target=lambda: seen.append(run.progress().total))
            thread.start()
            thread.join(120)

    seen, display = [], Display()
    run = Run(Counting(), 10)
    run.at_start(display.look)
    run.start()
    assert run.wait(120) and seen == [10]
    run.here()
    assert seen == [10, 10]


def test_the_callers_cancel_stops_it():
    run = Run(Counting(), 10, cancel=lambda: run.progress().done >= 3)
    with pytest.raises(Cancelled):
        run.here()
    assert run.progress().done == 3 and run.state == "cancelled"


def test_what_stops_it_is_kept_and_raised():
    def work(run):
        raise InputError("more than 20 % of the rows failed")

    run = Run(work, 10)
    with pytest.raises(InputError, match="20 %"):
        run.here()
    assert run.state == "failed" and "20 %" in run.progress().error
    run.start()
    study = Live()
    study._run = run
    with pytest.raises(InputError, match="20 %"):
        study.wait(120)


def test_time_left_is_rows_over_pace():
    clock = Clock()
    run = Run(lambda run: None, 100, clock=clock)
    run._begin()
    assert run.progress().left is None
    for number in range(20):
        clock.now += 0.5
        run.row(row(number))
    progress = run.progress()
    assert progress.rate == pytest.approx(2.0) and progress.left == pytest.approx(40.0)
    # it became slower: the last minute counts, and what was stored before does not
    for number in range(20, 60):
        clock.now += 5.0
        run.row(row(number))
    run.row(row(60), old=True)
    progress = run.progress()
    assert progress.rate == pytest.approx(0.2, rel=0.01)
    assert progress.left == pytest.approx(39 / progress.rate)


def test_a_study_waits_cancels_and_goes_on():
    work = Counting(stop_at=2)
    study = Live()
    assert not study.running and study.wait()
    study.cancel()
    with pytest.raises(InputError, match="same store"):
        study.resume()
    study._run = Run(work, 10)
    work.step.clear()
    study._compute(wait=False)
    assert study.running and not study.wait(0)
    work.step.set()
    assert study.wait(120) and study._run.state == "cancelled"
    study.resume()
    study.wait(120)
    assert study._run.state == "finished"


def test_a_stopped_study_is_in_the_exception():
    study = Live()
    study._run = Run(Counting(stop_at=3), 10)
    with pytest.raises(Cancelled) as caught:
        study._compute(wait=True)
    assert caught.value.study is study and "study.resume()" in caught.value.__notes__[0]
    assert study._run.progress().done == 3


class Handle:
    """Display of a cell; `then` is called at each update."""

    def __init__(self, run, then):
        self.pages, self.run, self.then = [cells._bundle(run)["text/html"]], run, then

    def update(self, bundle, raw):
        assert raw and set(bundle) == {"text/html", "text/plain"}
        self.pages.append(bundle["text/html"])
        self.then(self)


def attended(monkeypatch, run, then=lambda handle: None):
    handles = []
    monkeypatch.setattr(cells, "in_notebook", lambda: True)
    monkeypatch.setattr(cells, "_PAUSE", 0.01)
    monkeypatch.setattr(cells, "_show", lambda run: handles.append(Handle(run, then)) or handles[0])
    try:
        run.here()
    finally:
        shown = handles[0].pages
    return shown


def test_a_waiting_cell_shows_the_rows_so_far(monkeypatch):
    work = Counting()
    work.step.clear()
    run = Run(work, 10, about="2 conditions × 5 observations")
    halfway = []
    shown = cells._bundle

    def bundle(run):
        halfway.append(run.progress().done)
        page = shown(run)
        work.step.set()  # rows come once the first page is made
        return page

    monkeypatch.setattr(cells, "_bundle", bundle)
    pages = attended(monkeypatch, run)
    assert "0 of 10 rows" in pages[0] and "2 conditions × 5 observations" in pages[0]
    assert "10 rows finished" in pages[-1] and halfway[0] == 0 and halfway[-1] == 10


def test_while_it_runs_a_cell_shows_means_and_after_that_the_end_alone():
    run = Run(lambda run: None, 3)
    run._begin()
    run.row(row(0, correct=True))
    run.row(row(1, "noise", correct=False))
    page = run_html(run)
    assert "Accuracy" in page and "noise" in page and 'aria-valuenow="2"' in page
    assert not re.search(r"<script|https?://(?!www.w3.org)", page)
    run.row(row(2, error="too long", error_type="InputError"))
    run._go()
    page = run_html(run)
    assert "3 rows finished" in page and "Accuracy" not in page and "too long" in page


def test_an_interrupt_of_the_cell_cancels_between_rows(monkeypatch):
    work = Counting()
    work.step.clear()

    def interrupt(handle):
        if handle.run.state == "running" and not handle.run._stop.is_set():
            raise KeyboardInterrupt
        work.step.set()

    run = Run(work, 10)
    timer = threading.Timer(0.1, lambda: run.note("loading"))  # something new to show
    timer.start()
    study = Live()
    study._run = run
    handles = []
    monkeypatch.setattr(cells, "in_notebook", lambda: True)
    monkeypatch.setattr(cells, "_show", lambda run: handles.append(Handle(run, interrupt)) or handles[0])
    with pytest.raises(Cancelled) as caught:
        study._compute(wait=True)
    assert caught.value.study is study and run.state == "cancelled"
    assert (
        "stopping" in handles[0].pages[-2] and "cancelled; the finished rows are kept" in handles[0].pages[-1]
    )


def test_text_of_models_and_errors_is_escaped():
    run = Run(lambda run: None, 2)
    run.row(row(0, "<b>&", error="<script>", error_type="E<"))
    page = run_html(run)
    assert "<b>&" not in page and "<script>" not in page and "&lt;script&gt;" in page and "&lt;b&gt;" in page


def test_progress_in_words():
    run = Run(lambda run: None, 4, clock=(clock := Clock()))
    run._begin()
    run.note("loading llava")
    assert sentence(run.progress()) == "0 of 4 rows · loading llava"
    clock.now += 2
    run.row(row(0))
    assert sentence(run.progress()) == "1 of 4 rows · 0.5 rows/s · loading llava · 6 s left"
    assert [duration(x) for x in (0.2, 99, 101, 5999, 9001)] == ["1 s", "99 s", "2 min", "2 h", "3 h"]
