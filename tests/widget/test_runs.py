"""Runs from page and Python: one at a time, progress, cancel, errors, and results that stay."""

from __future__ import annotations

import contextlib
import io
import threading
from typing import Any

import pytest
import torch
from fake_page import BOX, Page, idle
from PIL import Image
from scripted_runs import Script, once

from isi_widget import Cancelled, InputError, Probe, datasets, run_trial
from isi_widget.vlm import VLM
from isi_widget.widget import protocol


def run(page: Page, id: str, *what: str, **settings: Any) -> None:
    message = {"kind": "run", "id": id, "measures": list(what or ("answer",)), "settings": settings}
    page.send(message)


def test_a_run_of_the_real_model_from_the_page(vlm: VLM) -> None:
    probe = Probe(vlm, datasets.scenes()[4])
    page = Page(probe)
    page.draw(BOX)
    run(page, "r1", "answer", "uncertainty", "attention", samples=4, max_new_tokens=6, seed=3)
    page.wait(lambda page: page.of_kind("result"), 120)
    page.wait(idle)
    expected = run_trial(vlm, probe.stimulus, samples=4, max_new_tokens=6, seed=3)
    assert probe.trial is probe.trials[0]
    assert probe.trial.answer == expected.answer
    assert probe.trial.uncertainty == expected.uncertainty
    assert probe.trial.attention is not None and expected.attention is not None
    assert probe.trial.attention.absolute() == pytest.approx(expected.attention.absolute())
    assert probe.trial.stimulus.render().tobytes() == probe.stimulus.render().tobytes()
    assert page.state["shown"] == 1 and page.of_kind("result") == [{"kind": "result", "id": "r1", "trial": 1}]
    (entry,) = page.state["trials"]
    assert entry["id"] == 1 and entry["key"] == page.state["inputs"]["key"] == probe.stimulus.key
    assert entry["view"]["answer"]["text"] == expected.answer.text  # type: ignore[union-attr]
    assert entry["view"]["operations"] == page.operations()
    assert entry["view"]["attention"]["segments"] == ["image", "context", "question", "other"]
    assert max(Image.open(io.BytesIO(entry["thumbnail"])).size) == 96
    stages = [message["stage"] for message in page.of_kind("progress")]
    assert {"prompt", "answer", "samples", "clusters", "attention"} >= set(stages) and "samples" in stages
    assert "isi.datasets.scenes()[4]" in entry["view"]["code"]
    assert page.state["error"] is None
    probe.close()


def test_the_python_twin_does_the_same(vlm: VLM) -> None:
    probe = Probe(vlm, datasets.scenes()[4])
    page = Page(probe)
    trial = probe.run("answer", max_new_tokens=6)
    assert trial is probe.trial is probe.trials[-1] and trial.uncertainty is None
    assert trial.answer == vlm.answer(probe.stimulus, max_new_tokens=6)
    assert page.state["shown"] == 1 and page.state["trials"][0]["view"]["uncertainty"] is None
    assert idle(page) and probe.status["state"] == "idle"
    assert probe.settings["max_new_tokens"] != 6  # for that run only
    probe.close()


def test_what_is_measured_is_what_was_there_at_the_click(probe: Probe, script: Script) -> None:
    page = Page(probe)
    page.draw(BOX)
    at_click = probe.stimulus
    run(page, "r1")
    page.draw({**BOX, "x": 200})
    script.free = True
    page.wait(lambda page: page.of_kind("result"))
    page.wait(idle)  # from then on Python has it, too
    assert script.begun == [at_click] and probe.trial is not None and probe.trial.stimulus == at_click
    assert page.state["trials"][0]["key"] == at_click.key != page.state["inputs"]["key"]


def test_progress_is_told_and_the_page_is_free_meanwhile(probe: Probe, script: Script) -> None:
    page = Page(probe)
    run(page, "r1", "uncertainty")
    page.wait(lambda page: page.state["status"]["stage"] == "samples")
    status = page.state["status"]
    assert (status["state"], status["id"], status["measures"]) == ("running", "r1", ["uncertainty"])
    page.draw(BOX)  # everything else works while the model runs
    page.set(observation_index=3)
    assert probe.stimulus == datasets.scenes()[3].stimulus()
    script.go(3)
    page.wait(lambda page: page.of_kind("result"))
    page.wait(idle)
    assert page.state["status"]["stage"] == ""


def test_progress_is_throttled(probe: Probe, script: Script) -> None:
    page = Page(probe)
    script.steps, script.free = 5000, True
    run(page, "r1")
    page.wait(lambda page: page.of_kind("result"))
    assert 1 <= len(page.of_kind("progress")) < 100


def test_a_second_run_waits_and_a_third_takes_its_place(probe: Probe, script: Script) -> None:
    page = Page(probe)
    run(page, "r1")
    page.wait(lambda page: len(script.begun) == 1)
    page.draw(BOX)
    run(page, "r2")
    assert page.state["status"]["queued"] == 1 and page.state["status"]["id"] == "r1"
    page.draw({**BOX, "x": 200})
    run(page, "r3")
    assert page.state["status"]["queued"] == 1
    script.free = True
    page.wait(lambda page: len(page.of_kind("result")) == 2)
    page.wait(idle)
    assert [message["id"] for message in page.of_kind("result")] == ["r1", "r3"]
    assert [len(stimulus.operations) for stimulus in script.begun] == [0, 2]
    assert page.of_kind("error") == []  # being replaced is no failure


def test_cancel_from_the_page(probe: Probe, script: Script) -> None:
    page = Page(probe)
    run(page, "r1")
    page.wait(lambda page: page.state["status"]["stage"] == "samples")
    page.send({"kind": "cancel", "run": "other"})
    assert page.state["status"]["state"] == "running"
    page.send({"kind": "cancel", "run": "r1"})
    page.wait(idle)
    assert "cancelling" in [update["status"]["state"] for update in page.updates if "status" in update]
    assert probe.trials == () and page.state["error"] is None and page.of_kind("result") == []
    script.free = True
    run(page, "r2")
    page.wait(lambda page: page.of_kind("result"))


def test_cancelling_the_running_one_lets_the_waiting_one_go(probe: Probe, script: Script) -> None:
    page = Page(probe)
    run(page, "r1")
    page.wait(lambda page: len(script.begun) == 1)
    run(page, "r2")
    page.send({"kind": "cancel", "run": "r1"})
    page.wait(lambda page: page.state["status"]["id"] == "r2")
    script.free = True
    page.wait(lambda page: page.of_kind("result"))
    assert [message["id"] for message in page.of_kind("result")] == ["r2"]


def test_the_cancel_of_the_page_stops_what_runs_and_what_waits(probe: Probe, script: Script) -> None:
    page = Page(probe)
    run(page, "r1")
    page.wait(lambda page: len(script.begun) == 1)
    run(page, "r2")
    assert page.state["status"]["queued"] == 1
    page.send({"kind": "cancel", "run": ""})
    page.wait(idle)
    script.free = True
    run(page, "r3")
    page.wait(lambda page: page.of_kind("result"))
    assert [message["id"] for message in page.of_kind("result")] == ["r3"] and len(script.begun) == 2
    assert page.of_kind("error") == []


def test_everything_is_what_the_model_can_give_and_less_is_asked_by_name(
    probe: Probe, script: Script
) -> None:
    page = Page(probe)
    script.free = True
    run(page, "r1", "answer", "uncertainty", "attention")
    page.wait(lambda page: len(page.of_kind("result")) == 1)
    run(page, "r2", "attention")
    page.wait(lambda page: len(page.of_kind("result")) == 2)
    assert script.measures == [None, ("attention",)]


def test_what_a_model_cannot_give_is_told_and_left_out(vlm: VLM) -> None:
    class Blind(VLM):
        unavailable = {"attention": "its layers take no recorder."}  # noqa: RUF012

    blind = Blind.__new__(Blind)
    blind.__dict__.update(vlm.__dict__)
    probe = Probe(blind, datasets.scenes()[4])
    page = Page(probe)
    assert page.state["model"]["unavailable"] == {"attention": "its layers take no recorder."}
    trial = probe.run(samples=2, max_new_tokens=4)
    assert trial.attention is None and trial.uncertainty is not None
    whats = [update["status"]["measures"] for update in page.updates if "status" in update]
    assert ["answer", "uncertainty"] in whats and not any("attention" in what for what in whats)
    (note,) = page.state["trials"][0]["view"]["notes"]
    assert "attention" in note and "its layers take no recorder" in note
    with pytest.raises(InputError, match="attention"):
        probe.run("attention")
    probe.close()


def test_a_cancelled_python_run_raises(probe: Probe, script: Script) -> None:
    canceller = once(lambda: script.begun, probe.cancel)
    with pytest.raises(Cancelled):
        probe.run("answer")
    canceller.join()
    assert probe.status["state"] == "idle" and probe.trials == ()


@pytest.mark.parametrize(
    ("error", "words", "hint"),
    [
        (RuntimeError("weights went away"), "RuntimeError: weights went away", "last_traceback"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), "out of memory", "nf4"),
        (RuntimeError("CUDA error: device-side assert triggered"), "device-side", "restart the kernel"),
        (MemoryError(), "MemoryError", "memory"),
        (InputError("samples must be a whole number"), "samples must be a whole number", ""),
        (KeyError("x" * 5000), "KeyError", "last_traceback"),
    ],
)
def test_a_failing_model_gives_an_error_and_a_working_widget(
    probe: Probe, script: Script, error: Exception, words: str, hint: str
) -> None:
    page = Page(probe)
    script.error, script.free = error, True
    run(page, "r1")
    page.wait(lambda page: page.of_kind("error"))
    page.wait(idle)
    (told,) = page.of_kind("error")
    assert (
        told["id"] == "r1"
        and words in told["message"]
        and hint in told["hint"]
        and len(told["message"]) < 1000
    )
    assert page.state["error"] == {key: told[key] for key in ("message", "hint", "id")}
    assert "Traceback" in probe.last_traceback and "scripted_runs.py" in probe.last_traceback
    with pytest.raises(type(error)):
        probe.run("answer")
    script.error = None
    run(page, "r2")
    page.wait(lambda page: page.of_kind("result"))
    page.wait(idle)  # from then on Python has it, too
    assert page.state["error"] is None and probe.trial is not None


def test_choosing_an_older_trial(probe: Probe, script: Script) -> None:
    page, heard = Page(probe), []
    script.free = True
    probe.observe(lambda change: heard.append(change["new"]), "trial")
    first = probe.run("answer")
    page.draw(BOX)
    second = probe.run("answer")
    assert heard == [first, second] and page.state["shown"] == 2
    page.set(shown=1)
    assert probe.trial is first
    probe.shown = -1
    assert probe.trial is None and page.state["shown"] == -1
    assert probe.trials == (first, second)


def test_all_trials_are_kept_and_the_last_fifty_sent(probe: Probe, script: Script) -> None:
    page = Page(probe)
    script.free, script.steps = True, 1
    made = [probe.run("answer", seed=seed) for seed in range(53)]
    assert list(probe.trials) == made
    assert [entry["id"] for entry in page.state["trials"]] == list(range(4, 54))
    assert page.state["shown"] == 53
    probe.shown = 1
    assert probe.trial is made[0]


def test_bad_run_arguments(probe: Probe, script: Script) -> None:
    for what, settings in (("dance", {}), ((), {}), ("answer", {"samples": 0}), ("answer", {"beams": 3})):
        with pytest.raises(InputError):
            probe.run(what, **settings)  # type: ignore[arg-type]
    assert script.begun == []


def test_run_in_an_observer_is_refused_instead_of_waiting_for_itself(probe: Probe, script: Script) -> None:
    raised: list[BaseException] = []

    def again(change: Any) -> None:
        try:
            probe.run("answer")
        except BaseException as error:
            raised.append(error)

    script.free = True
    probe.observe(again, "trial")
    probe.run("answer")
    assert len(raised) == 1 and "observer" in str(raised[0])


def test_settings_of_the_page_reach_the_model(probe: Probe, script: Script) -> None:
    page = Page(probe)
    script.free = True
    page.set(
        settings={
            "samples": 7,
            "temperature": 0.4,
            "seed": 11,
            "max_new_tokens": 5,
            "strict_entailment": True,
        }
    )
    run(page, "r1", samples=3)
    page.wait(lambda page: page.of_kind("result"))
    set_here = {"samples": 3, "temperature": 0.4, "seed": 11, "max_new_tokens": 5, "strict_entailment": True}
    assert script.settings == [{**protocol.SETTINGS, **set_here}]


def test_messages_may_come_on_any_thread(probe: Probe, script: Script) -> None:
    """As on a sub-shell: page and cells change things at the same time, and nothing is lost or stuck."""
    page, failures = Page(probe), []
    script.free, script.steps = True, 2

    def guarded(work: Any) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    def draw() -> None:
        for x in range(40):
            page.draw({**BOX, "x": x})
            run(page, f"p{x}")

    def python() -> None:
        for n in range(40):
            probe.settings = {"seed": n}
            probe.shown = -1

    def runs() -> None:
        for n in range(10):
            with contextlib.suppress(Cancelled):  # replaced by a newer run of the page
                probe.run("answer", seed=n)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (draw, python, runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert failures == []
    page.wait(idle)
    assert len(probe.stimulus.operations) == 40 and probe.stimulus.key == page.state["inputs"]["key"]
    assert [entry["id"] for entry in page.state["trials"]][-1] == len(probe.trials)
    probe.run("answer")
    assert probe.trial is probe.trials[-1]


def test_a_closed_probe_stops_its_run_and_keeps_its_results(vlm: VLM, script: Script) -> None:
    probe = Probe(vlm, datasets.scenes()[0])
    page = Page(probe)
    run(page, "r1")
    page.wait(lambda page: page.state["status"]["stage"] == "samples")
    job = probe._runs.controller._worker.running
    assert job is not None
    probe.close()
    assert job.wait(120) and isinstance(job.error, Cancelled)
    script.free = True
    assert probe.run("answer") is probe.trials[-1]


def test_what_a_server_turns_out_not_to_tell_is_known_to_the_page_after_the_first_run(vlm: VLM) -> None:
    class Server(VLM):
        unavailable = {}  # noqa: RUF012

        def yes_no(self, *args: Any, **keywords: Any) -> dict[str, float]:
            self.unavailable["yes_no"] = "The server tells none."
            raise InputError("yes_no is not available")

    server = Server.__new__(Server)
    server.__dict__.update(vlm.__dict__)
    probe = Probe(server, datasets.scenes()[4])
    page = Page(probe)
    assert page.state["model"]["unavailable"] == {}
    probe.run(samples=2, max_new_tokens=2)
    assert page.state["model"]["unavailable"] == {"yes_no": "The server tells none."}
    (note,) = page.state["trials"][0]["view"]["notes"]
    assert note == "Not available: the probability of yes and no. The server tells none."
    probe.close()
