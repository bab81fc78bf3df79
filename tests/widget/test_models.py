"""Switching models: the list, loading from page and Python, what stays when it fails, and who goes first."""

from __future__ import annotations

import gc
import json
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from fake_page import Page, idle
from scripted_runs import Script, once

from isi_widget import Cancelled, HeadScale, InputError, Knockout, Probe, datasets, load_vlm
from isi_widget import models as known_models
from isi_widget.trial.labels import model_label as label
from isi_widget.vlm import VLM
from isi_widget.widget import models
from isi_widget.widget.models import ModelSlot, Source, offer

GIB = 2**30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random LLaVA, as save_pretrained writes it."""
    made = tmp_path_factory.mktemp("models") / "tiny-llava"
    model, processor = tiny_models.llava()
    model.save_pretrained(made)
    processor.save_pretrained(made)
    return made


class Loader:
    """Stands in for `load_vlm`: notes what is asked, looks who is alive, does what a test says."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, dict[str, Any]]] = []
        self.errors: list[BaseException | None] = []
        self.then: Callable[[], None] = lambda: None
        self.slow = False
        self.begun = threading.Event()

    def __call__(
        self, name: Any = None, *, progress: Any = None, cancel: Any = None, **arguments: Any
    ) -> VLM:
        self.calls.append((name, arguments))
        self.begun.set()
        self.then()
        progress(0.25, "reading the weights")
        while self.slow:
            if cancel():
                raise Cancelled("asked to")
            time.sleep(0.005)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return load_vlm(name, progress=progress, cancel=cancel, **arguments)


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loader]:
    made = Loader()
    monkeypatch.setattr(models, "load_vlm", made)
    yield made
    made.slow = False


def memory_of(monkeypatch: pytest.MonkeyPatch, *, needed: int | None, free: int | None, held: int) -> None:
    monkeypatch.setattr(Source, "needed", lambda self: needed)
    monkeypatch.setattr(models, "free_memory", lambda device: free)
    monkeypatch.setattr(models.memory, "model_bytes", lambda model: held)


def by_hand() -> VLM:
    model, processor = tiny_models.llava(seed=1)
    return VLM(model, processor, model_id="my-own")


# ---- the list
def test_the_page_gets_the_models_that_there_are_with_what_they_need(probe: Probe) -> None:
    page = Page(probe)
    page.send({"kind": "models"})
    page.wait(lambda page: page.of_kind("models"))
    (message,) = page.of_kind("models")
    assert [entry["name"] for entry in message["models"]] == [one.name for one in known_models()]
    first, *others = message["models"]
    assert first["name"] == "embedded" and first["memory"].keys() == {"none"}
    assert all(entry["memory"].keys() == {"none", "int8", "nf4"} for entry in others)
    assert all(entry["memory"]["nf4"] < entry["memory"]["int8"] < entry["memory"]["none"] for entry in others)
    small = next(entry for entry in others if entry["name"] == "HuggingFaceTB/SmolVLM-256M-Instruct")
    width = 4 if message["device"] == "cpu" else 2
    assert small["memory"]["none"] > small["parameters"] * width
    assert message["free"] is None or message["free"] > 0
    assert any("gated" in entry["licence"] for entry in others)


def test_what_the_present_model_would_leave_is_told_where_it_matters(vlm: VLM) -> None:
    here = offer(ModelSlot(vlm))
    held = sum(p.numel() * p.element_size() for p in vlm.model.parameters())
    if here["device"] == "cpu":  # where a new model would go
        assert held <= here["held"] < 1.2 * held
    assert ModelSlot(by_hand()).held(torch.device("cpu")) == 0  # it never makes room
    assert ModelSlot(vlm).held(torch.device("meta")) == 0


def test_a_quantised_model_has_a_name_of_its_own() -> None:
    assert label({"name": "a/b", "quantization": None}) == "a/b"
    assert label({"name": "a/b", "quantization": "nf4"}) == "a/b nf4"


def test_what_a_model_needs_is_known_before_it_is_loaded(folder: Path) -> None:
    need = Source(folder).needed()
    assert need is not None
    model, _ = tiny_models.llava()
    weights = 4 * sum(p.numel() for p in model.parameters())
    if Source(folder).device.type == "cpu":
        assert weights < need < weights + 64 * 2**20
    smaller = Source(folder, {"quantization": "nf4"}).needed()
    half = Source(folder, {"dtype": "float16", "device": "cpu"}).needed()
    assert smaller is not None and half is not None and smaller < need and half < need
    assert Source("/no/such/folder").needed() is None
    embedded = Source().needed()
    assert embedded is not None and embedded < 200 * 2**20


# ---- switching
def test_loading_from_python(probe: Probe, folder: Path) -> None:
    page = Page(probe)
    before = probe.run("answer", max_new_tokens=3)
    vlm = probe.load(folder)
    assert probe.vlm is vlm and vlm.model_id == str(folder)
    assert page.state["model"]["name"] == str(folder) and page.state["model"]["label"] == str(folder)
    states = [update["status"] for update in page.updates if "status" in update]
    loading = [status for status in states if status["measures"] == ["load"] and status["stage"]]
    assert {status["stage"] for status in loading} == {"model"}
    assert loading[-1]["done"] == loading[-1]["total"] == 100
    assert any("weights" in status["note"] for status in loading)
    assert idle(page) and page.state["status"]["note"] == ""
    after = probe.run("answer", max_new_tokens=3)
    assert probe.trials == (before, after) and after.model["name"] == str(folder)
    assert [entry["view"]["model"] for entry in page.state["trials"]] == ["embedded", str(folder)]
    assert repr(str(folder)) in probe.code() and "load_vlm()" not in probe.code()
    assert probe.load().is_embedded and "isi.load_vlm(reuse=True)" in probe.code()


def test_loading_from_the_page(probe: Probe, folder: Path) -> None:
    page = Page(probe)
    page.send({"kind": "load", "id": "l1", "name": str(folder), "quantization": None})
    page.wait(lambda page: page.state["model"]["name"] == str(folder))
    page.wait(idle)
    assert page.state["error"] is None and probe.vlm.model_id == str(folder)
    page.send({"kind": "load", "id": "l2", "name": "embedded"})
    page.wait(lambda page: page.state["model"]["name"] == "embedded")
    assert probe.vlm.is_embedded


def test_a_model_object_can_be_set(probe: Probe, folder: Path) -> None:
    page, own = Page(probe), by_hand()
    probe.vlm = own
    assert probe.vlm is own and page.state["model"]["label"] == "my-own"
    assert probe.run("answer", max_new_tokens=2).model["name"] == "my-own"
    with pytest.raises(InputError, match=r"isi\.load_vlm"):
        probe.vlm = "llava"  # type: ignore[assignment]
    assert probe.vlm is own


def test_a_run_ends_with_the_model_that_it_began_with(probe: Probe, script: Script) -> None:
    page = Page(probe)
    page.send({"kind": "run", "id": "r1", "measures": ["answer"]})
    page.wait(lambda page: page.state["status"]["stage"] == "samples")
    probe.vlm = by_hand()
    script.free = True
    page.wait(lambda page: page.of_kind("result"))
    page.wait(idle)  # from then on Python has it, too
    assert probe.trial is not None and probe.trial.model["name"] == "embedded"
    assert page.state["model"]["name"] == "my-own"


def test_loading_waits_for_a_run_and_a_run_for_the_loading(
    probe: Probe, script: Script, folder: Path
) -> None:
    page = Page(probe)
    page.send({"kind": "run", "id": "r1", "measures": ["answer"]})
    page.wait(lambda page: page.state["status"]["stage"] == "samples")
    page.send({"kind": "load", "id": "l1", "name": str(folder)})
    page.send({"kind": "run", "id": "r2", "measures": ["answer"]})
    assert page.state["status"]["queued"] == 2
    script.free = True
    page.wait(lambda page: len(page.of_kind("result")) == 2)
    assert [trial.model["name"] for trial in probe.trials] == ["embedded", str(folder)]


# ---- failure and cancel
@pytest.mark.parametrize("name", ["/no/such/folder", "no-such-owner/..", ""])
def test_a_model_that_is_not_there_is_one_error_and_the_old_one_works(probe: Probe, name: str) -> None:
    page, old = Page(probe), probe.vlm
    page.send({"kind": "load", "id": "l1", "name": name})
    page.wait(lambda page: page.of_kind("error"), 60)
    page.wait(idle)
    assert len(page.of_kind("error")) == 1 and page.state["error"]["id"] == "l1"
    assert probe.vlm is old and page.state["model"]["name"] == "embedded"
    assert probe.run("answer", max_new_tokens=2).model["name"] == "embedded"


def test_a_folder_without_a_model_raises_in_python(probe: Probe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        probe.load(tmp_path)
    with pytest.raises(InputError, match="quantization"):
        probe.load(quantization="nf3")
    assert probe.vlm.is_embedded and probe.status["state"] == "idle"


def test_loading_can_be_cancelled(probe: Probe, loader: Loader, folder: Path) -> None:
    page, old = Page(probe), probe.vlm
    loader.slow = True
    page.send({"kind": "load", "id": "l1", "name": str(folder)})
    page.wait(lambda page: page.state["status"]["done"] == 25)
    assert page.state["status"]["note"] == "reading the weights"
    page.send({"kind": "cancel", "run": ""})
    page.wait(idle)
    assert page.of_kind("error") == [] and probe.vlm is old
    canceller = once(lambda: len(loader.calls) == 2, probe.cancel)
    with pytest.raises(Cancelled):
        probe.load(folder)
    canceller.join()
    assert probe.vlm is old


@pytest.mark.parametrize(
    "where", ["AutoConfig.from_pretrained", "AutoModelForImageTextToText.from_pretrained"]
)
def test_a_load_that_hangs_is_cancelled_and_everything_goes_on(
    probe: Probe, folder: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """In what is asked before (how much it needs) and in the load itself."""
    page, old, hanging = Page(probe), probe.vlm, threading.Event()
    monkeypatch.setattr("isi_widget.running.attended._GRACE", 0.05)
    monkeypatch.setattr("isi_widget.vlm.loading.load._PATIENCE", 0.1)

    def hang(*_: Any, **__: Any) -> None:
        hanging.set()
        while True:
            sum(range(1000))

    with monkeypatch.context() as patch:
        patch.setattr(f"transformers.{where}", hang)
        page.send({"kind": "load", "id": "l1", "name": str(folder)})
        assert hanging.wait(120)
        page.send({"kind": "cancel", "run": ""})
        page.wait(idle, 60)
    assert page.of_kind("error") == [] and probe.vlm is old
    assert probe.run("answer", max_new_tokens=2).model["name"] == "embedded"
    assert probe.load(folder).model_id == str(folder)


def test_an_absurd_config_is_one_error_at_once(probe: Probe, folder: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    record = json.loads((broken / "config.json").read_text())
    record["text_config"]["num_hidden_layers"] = 10**6
    (broken / "config.json").write_text(json.dumps(record))
    page, old = Page(probe), probe.vlm
    page.send({"kind": "load", "id": "l1", "name": str(broken)})
    page.wait(lambda page: page.of_kind("error"), 60)
    assert "num_hidden_layers = 1,000,000" in page.state["error"]["message"] and probe.vlm is old


def test_load_in_an_observer_is_refused_instead_of_waiting_for_itself(probe: Probe, script: Script) -> None:
    raised: list[BaseException] = []

    def again(change: Any) -> None:
        try:
            probe.load()
        except BaseException as error:
            raised.append(error)

    script.free = True
    probe.observe(again, "trial")
    probe.run("answer")
    assert len(raised) == 1 and "observer" in str(raised[0])


@pytest.mark.parametrize("when", ["while it loads", "when it is there"])
def test_a_model_that_is_set_while_another_one_loads_stays(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, probe: Probe, folder: Path, when: str
) -> None:
    mine, other, page = load_vlm(), load_vlm(folder), Page(probe)

    def late(*_: Any, **__: Any) -> VLM:
        probe.vlm = mine
        return other

    if when == "when it is there":
        monkeypatch.setattr(models, "load_vlm", late)
    else:
        loader.then = lambda: setattr(probe, "vlm", mine)
    with pytest.raises(Cancelled):
        probe.load(folder)
    page.wait(idle)
    assert probe.vlm is mine and page.state["model"]["name"] == "embedded" and page.state["error"] is None


def test_a_model_that_is_there_when_it_is_cancelled_is_better_than_none(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    memory_of(monkeypatch, needed=5 * GIB, free=4 * GIB, held=2 * GIB)
    slot, other = ModelSlot(load_vlm()), load_vlm(folder)
    monkeypatch.setattr(models, "load_vlm", lambda *_, **__: other)
    assert slot.exchange(Source(folder, {"device": "cpu"}), lambda *_: None, lambda: True) is other
    assert slot.vlm is other


# ---- who goes first
def test_where_both_fit_the_old_one_stays_until_the_new_one_is_there(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    memory_of(monkeypatch, needed=3 * GIB, free=4 * GIB, held=2 * GIB)
    slot = ModelSlot(load_vlm())
    old = weakref.ref(slot.vlm)
    loader.then = lambda: assert_alive(slot, old)
    new = slot.exchange(Source(folder, {"device": "cpu"}), lambda *_: None, lambda: False)
    assert slot.vlm is new
    gc.collect()
    assert old() is None


def assert_alive(slot: ModelSlot, old: Callable[[], VLM | None]) -> None:
    assert old() is not None and slot.vlm is old()


def test_where_they_do_not_the_old_one_goes_first(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    memory_of(monkeypatch, needed=5 * GIB, free=4 * GIB, held=2 * GIB)
    slot = ModelSlot(load_vlm())
    old, seen = weakref.ref(slot.vlm), list[bool]()

    def gone() -> None:
        seen.append(old() is None)
        with pytest.raises(InputError, match="exchanged"):
            _ = slot.vlm

    loader.then = gone
    new = slot.exchange(Source(folder, {"device": "cpu"}), lambda *_: None, lambda: False)
    assert seen == [True] and slot.vlm is new and new.model_id == str(folder)


@pytest.mark.parametrize(
    "failure", [InputError("too large after all."), Cancelled("asked to"), KeyError("x")]
)
def test_it_comes_back_as_it_was_loaded_if_the_new_one_fails(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, folder: Path, failure: BaseException
) -> None:
    memory_of(monkeypatch, needed=5 * GIB, free=4 * GIB, held=2 * GIB)
    slot = ModelSlot(load_vlm(folder, dtype="bfloat16"))
    old = weakref.ref(slot.vlm)
    loader.errors = [failure]
    texts: list[str] = []
    with pytest.raises(type(failure)):
        slot.exchange(
            Source("org/other", {"device": "cpu"}), lambda _, text: texts.append(text), lambda: True
        )
    assert old() is None
    assert slot.vlm.model_id == str(folder) and slot.vlm.dtype == torch.bfloat16
    assert [name for name, _ in loader.calls] == ["org/other", folder]
    assert f"loading {folder} again" in texts
    slot.vlm.answer(datasets.scenes()[0].stimulus(), max_new_tokens=2)


def test_an_old_model_that_the_notebook_holds_too_is_simply_put_back(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_of(monkeypatch, needed=5 * GIB, free=4 * GIB, held=2 * GIB)
    mine = load_vlm()
    slot = ModelSlot(mine)
    loader.errors = [InputError("not enough memory.")]
    with pytest.raises(InputError, match="not enough"):
        slot.exchange(Source("org/other", {"device": "cpu"}), lambda *_: None, lambda: False)
    assert slot.vlm is mine and len(loader.calls) == 1


def test_an_old_model_comes_back_with_its_interventions(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_of(monkeypatch, needed=5 * GIB, free=4 * GIB, held=2 * GIB)
    edits = (HeadScale(2, 0, 0.0), Knockout("last", "image"))
    slot = ModelSlot(load_vlm().intervene(*edits))
    old = weakref.ref(slot.vlm)
    loader.errors = [InputError("not enough memory.")]
    with pytest.raises(InputError, match="not enough"):
        slot.exchange(Source("org/other", {"device": "cpu"}), lambda *_: None, lambda: False)
    assert old() is None and len(loader.calls) == 2  # it had made room
    assert slot.vlm.interventions == edits


@pytest.mark.parametrize(
    ("needed", "free", "held"),
    [(9 * GIB, 4 * GIB, 2 * GIB), (None, 4 * GIB, 2 * GIB), (5 * GIB, None, 2 * GIB)],
)
def test_it_does_not_go_in_vain(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, needed: int | None, free: int | None, held: int
) -> None:
    """Too large even alone, or nothing known: loading is tried beside it, and says itself what is wrong."""
    memory_of(monkeypatch, needed=needed, free=free, held=held)
    slot = ModelSlot(load_vlm())
    old = weakref.ref(slot.vlm)
    loader.then = lambda: assert_alive(slot, old)
    loader.errors = [InputError("needs about 9 GiB")]
    with pytest.raises(InputError, match="9 GiB"):
        slot.exchange(Source("org/other", {"device": "cpu"}), lambda *_: None, lambda: False)
    assert slot.vlm is old()


def test_a_model_made_by_hand_never_goes_first(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    memory_of(monkeypatch, needed=5 * GIB, free=4 * GIB, held=2 * GIB)
    slot = ModelSlot(by_hand())
    old = weakref.ref(slot.vlm)
    loader.then = lambda: assert_alive(slot, old)
    loader.errors = [InputError("not enough memory.")]
    with pytest.raises(InputError, match="not enough"):
        slot.exchange(Source(folder, {"device": "cpu"}), lambda *_: None, lambda: False)
    assert slot.vlm.model_id == "my-own"


def test_a_model_on_another_device_need_not_go(monkeypatch: pytest.MonkeyPatch, vlm: VLM) -> None:
    memory_of(monkeypatch, needed=5 * GIB, free=4 * GIB, held=2 * GIB)
    assert ModelSlot(vlm).held(torch.device("cuda", 0)) == 0
    assert ModelSlot(vlm).held(torch.device("cpu")) == 2 * GIB


def test_if_neither_can_be_loaded_it_is_said_and_the_next_load_helps(
    probe: Probe, loader: Loader, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    probe.vlm = load_vlm(folder)
    memory_of(monkeypatch, needed=5 * GIB, free=4 * GIB, held=2 * GIB)
    page = Page(probe)
    loader.errors = [InputError("The new one is broken."), InputError("The old one is gone.")]
    page.send({"kind": "load", "id": "l1", "name": "org/other"})
    page.wait(lambda page: page.of_kind("error"))
    page.wait(idle)
    for words in ("org/other", "The new one is broken", str(folder), "The old one is gone", "Choose another"):
        assert words in page.state["error"]["message"]
    with pytest.raises(InputError, match="could not be loaded again"):
        probe.run("answer")
    page.set(settings={**page.state["settings"], "samples": 3})  # everything else works meanwhile
    assert probe.code() and repr(probe)
    page.send({"kind": "load", "id": "l2", "name": "embedded"})
    page.wait(lambda page: page.state["model"]["name"] == "embedded")
    assert probe.run("answer", max_new_tokens=2).answer is not None


def test_one_that_was_set_meanwhile_stays(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    memory_of(monkeypatch, needed=5 * GIB, free=4 * GIB, held=2 * GIB)
    slot, mine = ModelSlot(load_vlm()), by_hand()
    calls: list[None] = []

    def put_once() -> None:
        if not calls:
            slot.put(mine)
        calls.append(None)

    loader.then = put_once
    loader.errors = [InputError("broken.")]
    with pytest.raises(InputError, match="broken"):
        slot.exchange(Source(folder, {"device": "cpu"}), lambda *_: None, lambda: False)
    assert slot.vlm is mine
