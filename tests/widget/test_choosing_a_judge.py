"""Which entailment model compares the meanings in a probe: chosen in Python and on the page, loaded there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fake_page import Page, idle
from huggingface_hub import constants
from scripted_runs import Script

from isi_widget import Cancelled, InputError, Probe, datasets, embedded, load_entailment, load_vlm
from isi_widget.uncertainty import judges as room
from isi_widget.vlm import VLM

FOLDER = str(embedded.ENTAILMENT)


@pytest.fixture(autouse=True)
def _nothing_on_the_disk(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(room, "_loaded", {})


@pytest.fixture(scope="module")
def other() -> VLM:
    """The embedded weights from a folder, as somebody's own model."""
    return load_vlm(embedded.VLM)


@pytest.fixture
def page(probe: Probe) -> Page:
    return Page(probe)


class Loader:
    """Stands in for `load_entailment`: notes what is asked, waits for `go`, then fails or gives the model."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.error: Exception | None = None
        self.go = threading.Event()
        self.go.set()

    def __call__(self, name: str, *, progress: Any = None, cancel: Any = None, **_: Any) -> Any:
        self.names.append(name)
        progress(0.5, f"downloading {name}: 3 of 6 MiB")
        while not self.go.wait(0.01):
            if cancel():
                raise Cancelled("asked to")
        if self.error is not None:
            raise self.error
        return load_entailment(FOLDER)


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loader]:
    made = Loader()
    monkeypatch.setattr(room, "load_entailment", made)
    yield made
    made.go.set()


def test_it_is_chosen_when_a_probe_is_made_and_later(vlm: VLM, script: Script) -> None:
    script.free = True
    made = Probe(vlm, datasets.scenes()[0], entailment="rules")
    try:
        assert made.entailment == made.judge == "rules"
        made.run("answer")
        made.entailment = None
        assert made.entailment == "auto"
        made.run("answer")
        model = load_entailment()
        made.entailment = model
        assert made.entailment is model and made.judge == "embedded"
        made.run("answer")
        assert [run.get("entailment") for run in script.settings] == ["rules", None, model]
    finally:
        made.close()


@pytest.mark.parametrize("wrong", [3, "", "  ", ["rules"]])
def test_what_is_no_entailment_model_is_refused_and_changes_nothing(probe: Probe, wrong: Any) -> None:
    with pytest.raises(InputError, match=r"[Ee]ntailment"):
        probe.entailment = wrong
    assert probe.entailment == probe.judge == "auto"
    with pytest.raises(InputError, match=r"[Ee]ntailment"):
        Probe(entailment=wrong)


def test_the_code_of_the_input_and_of_a_trial_names_it(other: VLM) -> None:
    made = Probe(other, datasets.scenes()[0])
    try:
        assert "entailment" not in made.code()
        made.entailment = "rules"
        assert "entailment='rules'" in made.code()
        trial = made.run("uncertainty", samples=2, max_new_tokens=2)
        assert trial.uncertainty is not None and trial.uncertainty.judge is not None
        assert (trial.uncertainty.entailment, trial.uncertainty.judge.automatic) == ("rules", False)
        assert "entailment='rules'" in trial.code()
    finally:
        made.close()


def test_the_page_is_told_what_there_is_and_what_automatic_takes(
    page: Page, probe: Probe, other: VLM
) -> None:
    page.send({"kind": "judges"})
    page.wait(lambda page: page.of_kind("judges"))
    (message,) = page.of_kind("judges")
    assert message["automatic"] == "embedded" and message["models"][0]["state"] == "shipped"
    assert {entry["state"] for entry in message["models"][1:]} == {"to be downloaded"}
    assert all(entry["download"] > 10**8 and entry["licence"] for entry in message["models"][1:])
    probe.vlm = other
    page.send({"kind": "judges"})
    page.wait(lambda page: len(page.of_kind("judges")) == 2)
    assert page.of_kind("judges")[1]["automatic"] == "rules"


def test_the_page_has_one_loaded_in_the_worker_with_progress(
    page: Page, probe: Probe, loader: Loader
) -> None:
    loader.go.clear()
    page.send({"kind": "judge", "id": "j", "name": "org/base"})
    page.wait(lambda page: page.state["status"]["note"] == "downloading org/base: 3 of 6 MiB")
    assert page.state["status"]["measures"] == ["entailment"] and probe.entailment == "auto"
    loader.go.set()
    page.wait(lambda page: page.state["judge"] == "org/base" and idle(page))
    assert probe.entailment == "org/base" and loader.names == ["org/base"]
    for name in ("rules", "embedded", "auto"):  # nothing to load
        page.send({"kind": "judge", "id": name, "name": name})
        page.wait(lambda page, name=name: page.state["judge"] == name)
    assert loader.names == ["org/base"]


def test_a_load_that_fails_or_is_cancelled_leaves_the_one_before(
    page: Page, probe: Probe, loader: Loader
) -> None:
    probe.entailment = "rules"
    loader.error = InputError("There is no model of that name.")
    page.send({"kind": "judge", "id": "j", "name": "org/none"})
    page.wait(lambda page: page.state["error"] is not None and idle(page))
    assert (
        page.state["error"]["message"] == "There is no model of that name." and page.state["judge"] == "rules"
    )
    loader.error = None
    loader.go.clear()
    page.send({"kind": "judge", "id": "k", "name": "org/slow"})
    page.wait(lambda page: page.state["status"]["state"] == "running")
    page.send({"kind": "cancel", "run": "k"})
    page.wait(idle)
    assert page.state["judge"] == probe.entailment == "rules" and page.state["error"] is None


def test_one_that_cannot_be_loaded_is_an_error_of_the_run_under_the_widget(page: Page, probe: Probe) -> None:
    probe.entailment = "./nowhere"
    page.send({"kind": "run", "id": "r", "measures": ["uncertainty"]})
    page.wait(lambda page: page.state["error"] is not None and idle(page))
    assert "there is no folder './nowhere'" in page.state["error"]["message"] and page.state["trials"] == []


def test_the_page_cannot_set_it_around_the_worker(page: Page, probe: Probe) -> None:
    page.set(judge="org/base")
    assert (
        page.state["judge"] == probe.judge == "auto"
        and "may not set 'judge'" in page.state["error"]["message"]
    )
    page.send({"kind": "judge", "id": "j", "name": ""})
    assert probe.judge == "auto"


def test_another_judge_runs_by_itself_where_runs_follow_changes(vlm: VLM) -> None:
    made = Probe(vlm, datasets.scenes()[0])
    try:
        made.run("uncertainty", samples=2, max_new_tokens=2)
        made.settings = {"samples": 2, "max_new_tokens": 2}
        page = Page(made)
        made.run_on_change = True
        made.entailment = "rules"
        page.wait(lambda page: len(page.state["trials"]) == 2)
        assert made.trials[1].uncertainty is not None and made.trials[1].uncertainty.entailment == "rules"
    finally:
        made.close()
