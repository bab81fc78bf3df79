"""A cell that is run again closes the probe that only it showed: memory stays flat in a notebook."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import ipywidgets
import numpy as np
import pytest
from fake_page import Page
from IPython.core.displaypub import CapturingDisplayPublisher
from ipywidgets.widgets.widget import _instances
from made_study import MadeStudy
from study.made_studies import made_rows

from isi_widget import Observation, Probe, datasets
from isi_widget.vlm import VLM
from isi_widget.widget import cells, outputs
from isi_widget.widget.study import view as views


class Notebook:
    """What of IPython's shell is used here, run cell by cell."""

    def __init__(self) -> None:
        self.user_ns: dict[str, Any] = {"_oh": {}, "_": "", "__": "", "___": ""}
        self.user_ns_hidden = dict(self.user_ns)
        self.displayhook = type("Hook", (), {"_": "", "__": "", "___": ""})()
        self.events = self
        self.callbacks: list[Any] = []
        self.count = 0
        self.parent: dict[str, Any] = {}

    def register(self, event: str, callback: Any) -> None:
        assert event == "post_run_cell"
        self.callbacks.append(callback)

    def get_parent(self) -> dict[str, Any]:
        return self.parent

    def begin(self, cell: str | None, kind: str = "execute_request") -> None:
        self.count += 1
        self.parent = {"header": {"msg_id": f"m{self.count}", "msg_type": kind}, "metadata": {"cellId": cell}}

    def run(self, cell: str | None, show: Probe | None = None, **variables: Any) -> None:
        """A cell that sets variables and ends with a probe."""
        self.begin(cell)
        self.user_ns.update(variables)
        if show is not None:
            show._ipython_display_()
            hook = self.displayhook
            hook.___, hook.__, hook._ = hook.__, hook._, show
            for names in (self.user_ns, self.user_ns_hidden):
                names.update({"_": hook._, "__": hook.__, "___": hook.___, f"_{self.count}": show})
            self.user_ns["_oh"][self.count] = show
        for callback in self.callbacks:
            callback(None)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    made = Notebook()
    monkeypatch.setattr(cells, "get_ipython", lambda: made)
    monkeypatch.setattr(outputs, "display", lambda *_, **__: None)
    yield made
    for probe in list(cells._cells):
        probe.close()


def closed(probe: Probe) -> bool:
    return probe.comm is None


def show(notebook: Notebook, vlm: VLM, cell: str = "a", hold: Any = None) -> weakref.ref[Probe]:
    """Run a cell that shows a new probe; `hold(probe)` becomes the variable `kept`."""
    probe = Probe(vlm, datasets.scenes()[0])
    notebook.run(cell, probe, **({} if hold is None else {"kept": hold(probe)}))
    return weakref.ref(probe)


def is_shown(reference: weakref.ref[Probe]) -> bool:
    """Return whether the probe is alive and open."""
    probe = reference()
    return probe is not None and not closed(probe) and probe.model_id in _instances


def test_a_cell_that_is_run_again_closes_the_probe_before(notebook: Notebook, vlm: VLM) -> None:
    first = show(notebook, vlm)
    comm = first().comm  # type: ignore[union-attr]
    second = show(notebook, vlm)
    assert first() is None and comm._closed and comm.comm_id not in _instances
    assert is_shown(second)
    assert notebook.user_ns["_oh"] == {2: second()} and "_1" not in notebook.user_ns


def test_eight_runs_keep_one_probe(notebook: Notebook, vlm: VLM) -> None:
    def cell() -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
        probe = Probe(vlm, Observation(pixels, "Is there a star?"))
        probe.stimulus = probe.stimulus.box(1, 2, 30, 40)
        references.append(weakref.ref(probe))
        pictures.append(weakref.ref(probe.stimulus.image))
        notebook.run("a", probe, probe=probe)

    references: list[weakref.ref[Probe]] = []
    pictures: list[weakref.ref[Any]] = []
    for _ in range(8):
        cell()
    gc.collect()
    assert [reference() is None for reference in references] == [True] * 7 + [False]
    assert [picture() is None for picture in pictures] == [True] * 7 + [False]


def test_what_is_shown_or_named_elsewhere_stays(notebook: Notebook, vlm: VLM) -> None:
    first = show(notebook, vlm)
    notebook.run("b", first())
    second = show(notebook, vlm)
    assert is_shown(first)  # cell b shows it
    notebook.run("b", second(), kept=first())
    assert is_shown(first)  # a variable names it
    notebook.run("c", kept=None)
    assert first() is None
    box = ipywidgets.HBox([second()])
    third = show(notebook, vlm)
    notebook.run("b")
    assert is_shown(second)  # a widget contains it
    box.close()
    del box
    fourth = show(notebook, vlm, "d")
    assert second() is None and is_shown(third) and is_shown(fourth)


def an_attribute(probe: Probe) -> Any:
    holder: Any = type("Holder", (), {})()
    holder.probe = probe
    return holder


HOLDERS = {
    "list": lambda probe: [probe],
    "dictionary": lambda probe: {"a": {"probe": probe}},
    "attribute": an_attribute,
    "closure": lambda probe: lambda: probe,
    "method": lambda probe: probe.run,
}


@pytest.mark.parametrize("name", HOLDERS)
def test_a_probe_that_anything_holds_stays_as_it_is(notebook: Notebook, vlm: VLM, name: str) -> None:
    first = show(notebook, vlm, hold=HOLDERS[name])
    second = show(notebook, vlm)
    notebook.run("b")
    assert is_shown(first) and is_shown(second)
    assert notebook.user_ns["_oh"][1] is first() is notebook.user_ns["_1"]
    page = Page(first())  # type: ignore[arg-type]
    page.send({"kind": "tokens", "id": "t"})  # it still takes messages
    page.wait(lambda page: page.of_kind("tokens"))
    del page
    gc.collect()
    del first().comm.publish_msg  # type: ignore[union-attr]  # a method of the page, which holds the probe
    notebook.user_ns["kept"] = None
    third = show(notebook, vlm)
    assert first() is None and second() is None and is_shown(third)


def test_a_run_that_goes_on_keeps_its_probe(notebook: Notebook, vlm: VLM) -> None:
    first = show(notebook, vlm)
    go_on, trials = threading.Event(), []

    def observe(change: Any) -> None:
        go_on.wait(120)
        trials.append(change["new"])

    first().observe(observe, "trial")  # type: ignore[union-attr]
    thread = threading.Thread(target=first().run, args=("answer",), kwargs={"max_new_tokens": 2})  # type: ignore[union-attr]
    thread.start()
    show(notebook, vlm)
    assert is_shown(first)
    go_on.set()
    thread.join()
    assert len(trials) == 1


def test_what_somebody_did_on_a_page_stays_within_reach(notebook: Notebook, vlm: VLM) -> None:
    first = show(notebook, vlm)
    page = Page(first())  # type: ignore[arg-type]
    page.send({"kind": "tokens", "id": "t"})
    page.wait(lambda page: page.of_kind("tokens"))
    assert not first().worked_with  # type: ignore[union-attr]  # looked at only
    page.send({"kind": "run", "id": "r", "measures": ["answer"]})
    page.wait(lambda page: len(page.state["trials"]) == 1)
    del page
    for _ in range(2):
        show(notebook, vlm)
    assert is_shown(first) and len(notebook.user_ns["_oh"][1].trials) == 1


def test_a_cell_may_show_several_and_a_loop_too(notebook: Notebook, vlm: VLM) -> None:
    def cell() -> list[weakref.ref[Probe]]:
        notebook.begin("a")
        shown = []
        for observation in list(datasets.scenes())[:3]:
            probe = Probe(vlm, observation)
            probe._ipython_display_()
            shown.append(weakref.ref(probe))
        notebook.callbacks[0](None)
        return shown

    before = cell()
    notebook.run("b")
    assert all(map(is_shown, before))
    after = cell()
    assert [reference() for reference in before] == [None] * 3 and all(map(is_shown, after))


def test_a_captured_output_may_be_shown_anywhere(notebook: Notebook, vlm: VLM) -> None:
    notebook.display_pub = CapturingDisplayPublisher()
    first = show(notebook, vlm)
    del notebook.display_pub
    show(notebook, vlm)
    notebook.user_ns["_oh"].clear()
    show(notebook, vlm)
    assert is_shown(first)


def test_without_cells_nothing_is_closed(notebook: Notebook, vlm: VLM) -> None:
    obs = datasets.scenes()[0]
    plain, captured, clicked = (Probe(vlm, obs) for _ in range(3))
    notebook.run(None, plain)
    notebook.run(None)
    out = ipywidgets.Output()
    notebook.begin("a")
    out.msg_id = notebook.parent["header"]["msg_id"]
    captured._ipython_display_()
    out.msg_id = ""
    notebook.begin("a", kind="comm_msg")
    clicked._ipython_display_()
    notebook.run("a")
    assert not any(map(closed, (plain, captured, clicked)))
    out.close()


def test_a_closed_probe_is_opened_again_when_it_is_displayed(notebook: Notebook, vlm: VLM) -> None:
    probe = Probe(vlm, datasets.scenes()[0])
    trial = probe.run("answer", max_new_tokens=2)
    identity = probe.model_id
    probe.close()
    probe.note(trial, "kept")
    probe._ipython_display_()
    assert not closed(probe) and probe.model_id == identity
    page = Page(probe)
    assert [entry["id"] for entry in page.state["trials"]] == [1] and page.state["notes"] == {"1": "kept"}
    page.send({"kind": "run", "id": "r", "measures": ["answer"]})
    page.wait(lambda page: len(page.state["trials"]) == 2)


def displayed(notebook: Notebook, shown: MadeStudy | None, cell: str, **variables: Any) -> None:
    """Run a cell that displays a study in its middle."""
    notebook.begin(cell)
    notebook.user_ns.update(variables)
    if shown is not None:
        shown._ipython_display_()
    for callback in notebook.callbacks:
        callback(None)


def test_the_view_of_a_study_goes_with_its_study(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "display", lambda *_, **__: None)
    gc.collect()
    before = set(_instances)
    rows = made_rows(observations=4, answers=0)

    def cell() -> None:
        study = MadeStudy(rows)
        displayed(notebook, study, "a", study=study)
        displayed(notebook, study, "b")  # every cell shows the same view
        for worker in study._view._workers.values():
            while worker.running or worker.queued:
                time.sleep(0.01)
        references.append(weakref.ref(study._view))
        parts.append(weakref.ref(study._view._page))

    references: list[weakref.ref[Any]] = []
    parts: list[weakref.ref[Any]] = []
    for _ in range(4):
        cell()
    assert [reference() is None for reference in references] == [True] * 3 + [False]
    assert [part() is None for part in parts] == [True] * 3 + [False]
    view = references[-1]()
    assert view.comm is not None and view.model_id in _instances and view._page.model_id in _instances
    assert notebook.user_ns["study"]._view is view
    del view
    displayed(notebook, None, "a", study=None)
    displayed(notebook, None, "b")
    assert references[-1]() is None and set(_instances) <= before


@pytest.mark.slow
def test_in_a_kernel() -> None:
    """Eight runs of a cell as JupyterLab sends it: one probe and one picture of 12 megapixels are kept."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel()

    def run(code: str, cell: str) -> str:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        message = client.session.msg("execute_request", {**content, "allow_stdin": False})
        message["metadata"] = {"cellId": cell}
        client.shell_channel.send(message)
        text = ""
        while True:
            reply = client.get_iopub_msg(timeout=120)
            if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if reply["msg_type"] == "stream":
                text += reply["content"]["text"]
            if reply["msg_type"] == "error":
                raise AssertionError("\n".join(reply["content"]["traceback"]))
            if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
                return text

    make = (
        "import gc, numpy as np, isi_widget as isi\n"
        "pixels = np.random.default_rng(0).integers(0, 255, (3000, 4000, 3), dtype=np.uint8)\n"
        "probe = isi.Probe(None, isi.Observation(pixels, 'Is there a star?'))\n"
        "probe"
    )
    try:
        for _ in range(8):
            run(make, "a")
        count = (
            "gc.collect()\nfrom isi_widget.stimulus import Picture\n"
            "kinds = [type(o) for o in gc.get_objects()]\n"
            "print(sum(issubclass(kind, isi.Probe) for kind in kinds), kinds.count(Picture))"
        )
        assert run(count, "b").split() == ["1", "1"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
