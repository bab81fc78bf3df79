"""The worker thread: one job at a time, one waiting, the newest wins."""

from __future__ import annotations

import threading

import pytest

from isi_widget.errors import Cancelled
from isi_widget.widget.jobs import Job, Worker


def blocking(id: str) -> tuple[Job, threading.Event, threading.Event]:
    begun, go = threading.Event(), threading.Event()

    def work(job: Job) -> str:
        begun.set()
        while not go.wait(0.01):
            if job.cancelled():
                raise Cancelled("asked to")
        return id

    return Job(id, work), begun, go


def test_jobs_run_in_one_other_thread_in_order() -> None:
    worker, seen = Worker("test"), []
    for n in range(5):
        job = Job(str(n), lambda job: seen.append((job.id, threading.get_ident())))
        worker.submit(job)
        assert job.wait(120)
    assert [id for id, _ in seen] == list("01234")
    assert len({thread for _, thread in seen}) == 1 and seen[0][1] != threading.get_ident()


def test_a_newer_job_takes_the_place_of_the_waiting_one() -> None:
    worker = Worker("test")
    (first, begun, go), (second, *_), (third, _, go3) = blocking("1"), blocking("2"), blocking("3")
    worker.submit(first)
    assert begun.wait(120)
    assert worker.submit(second) is None and worker.queued == (second,) and worker.running is first
    assert worker.submit(third) is second
    assert second.wait(120) and isinstance(second.error, Cancelled) and "newer" in str(second.error)
    go.set()
    go3.set()
    assert first.wait(120) and first.result == "1"
    assert third.wait(120) and third.result == "3"


def test_a_job_of_another_kind_waits_beside_it() -> None:
    worker = Worker("test")
    (first, begun, go), (run, *_), (load, _, go_load), (newer, _, go_newer) = map(blocking, "1234")
    load.kind = "load"
    worker.submit(first)
    assert begun.wait(120)
    assert [worker.submit(job) for job in (run, load, newer)] == [None, None, run]
    assert worker.queued == (load, newer)
    for gate in (go, go_load, go_newer):
        gate.set()
    assert newer.wait(120) and [first.result, load.result, newer.result] == ["1", "3", "4"]


def test_cancel_stops_the_running_job_and_drops_the_waiting_one() -> None:
    worker = Worker("test")
    (first, begun, _), (second, begun2, _) = blocking("1"), blocking("2")
    worker.submit(first)
    assert begun.wait(120)
    worker.submit(second)
    assert not worker.cancel("nobody")
    assert not first.cancelled()
    assert worker.cancel()
    assert first.wait(120) and second.wait(120)
    assert isinstance(first.error, Cancelled) and isinstance(second.error, Cancelled)
    assert not begun2.is_set()
    assert worker.running is None and worker.queued == () and not worker.cancel()


def test_cancel_by_id_leaves_the_other_one_alone() -> None:
    worker = Worker("test")
    (first, begun, go), (second, *_) = blocking("1"), blocking("2")
    worker.submit(first)
    assert begun.wait(120)
    worker.submit(second)
    assert worker.cancel("2") and not first.cancelled()
    go.set()
    assert first.wait(120) and first.error is None
    assert isinstance(second.error, Cancelled)


def test_an_exception_is_kept_and_the_worker_goes_on() -> None:
    ended: list[str] = []
    worker = Worker("test", on_end=lambda job: ended.append(job.id))
    bad = Job("bad", lambda job: 1 / 0)
    worker.submit(bad)
    assert bad.wait(120) and isinstance(bad.error, ZeroDivisionError)
    good = Job("good", lambda job: 7)
    worker.submit(good)
    assert good.wait(120) and good.result == 7
    assert ended == ["bad", "good"]


def test_who_waits_for_a_job_finds_it_announced() -> None:
    announced = threading.Event()
    worker = Worker("test", on_end=lambda job: announced.set())
    for _ in range(50):
        announced.clear()
        job = Job("1", lambda job: None)
        worker.submit(job)
        assert job.wait(120) and announced.is_set() and worker.running is None


def test_an_idle_thread_ends_and_a_later_job_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isi_widget.widget.jobs._IDLE_SECONDS", 0.05)
    worker = Worker("test-idle")
    for _ in range(2):
        job = Job("1", lambda job: threading.current_thread())
        worker.submit(job)
        assert job.wait(120)
        job.result.join(120)
        assert not job.result.is_alive()
