"""What the panel "Inside" measures: contributions of heads, the trace between two trials, the lens; from a
page and from Python.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_page import Page, idle

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.vlm import VLM
from isi_widget.widget import Probe
from isi_widget.widget.inside import EXACT_HEADS
from isi_widget.widget.jobs import Job

ROOT = Path(__file__).resolve().parents[2]
FAST = {"max_new_tokens": 4}


@pytest.fixture(scope="module")
def differing(vlm: VLM) -> tuple[isi.Observation, isi.Stimulus]:
    """An observation, and its picture painted over so that the answer differs."""
    for scene in isi.datasets.scenes():
        stimulus = scene.stimulus()
        width, height = stimulus.image.size
        covered = stimulus.box(0, 0, width, height, color="white")
        first = [vlm.answer(item, 1).text for item in (stimulus, covered)]
        if first[0] != first[1]:
            return scene, covered
    raise AssertionError("the model answers alike with and without a picture")


@pytest.fixture
def pair(vlm: VLM, differing: tuple[isi.Observation, isi.Stimulus]) -> Iterator[tuple[Probe, Page]]:
    """A probe with two trials, of both stimuli."""
    scene, covered = differing
    probe = Probe(vlm, scene)
    probe.run(["answer", "attention"], **FAST)
    probe.stimulus = covered
    probe.run("answer", **FAST)
    yield probe, Page(probe)
    probe.cancel()
    probe.close()


def test_contributions_of_heads_stand_beside_the_trial(pair: tuple[Probe, Page], vlm: VLM) -> None:
    probe, page = pair
    page.send({"kind": "heads", "id": "h", "trial": 1})
    page.wait(lambda page: bool(page.of_kind("done")) and idle(page))
    view = page.state["trials"][0]["inside"]["contribution"]
    found = probe.contributions(1)
    trial = probe.trials[0]
    assert np.allclose(view["values"], found.signed, atol=1e-4)
    # the definition, by hand: the head that helps most, replaced by the mean of the others
    layer, head = np.unravel_index(found.signed.argmax(), found.signed.shape)
    edited = vlm.intervene(isi.HeadReplace(int(layer), int(head)))

    def log_p(model: VLM) -> float:
        prefill = model.prefill(trial.stimulus)
        return float(sum(model.teacher_force(prefill, trial.answer.token_ids)[0]))

    assert log_p(vlm) - log_p(edited) == pytest.approx(found.signed[layer, head], abs=1e-3)
    assert probe.contributions(1) is found and "inside" not in page.state["trials"][1]
    # a page that is opened later has it, too
    assert Page(probe).state["trials"][0]["inside"] == page.state["trials"][0]["inside"]
    probe.delete(1)
    with pytest.raises(InputError, match="no trial 1"):
        probe.contributions(1)


def test_a_large_model_is_estimated_first_and_exact_on_request(
    pair: tuple[Probe, Page], vlm: VLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isi_widget.widget.inside.EXACT_HEADS", 8)
    probe, page = pair
    exact = probe.contributions(1, totals=False)
    page.send({"kind": "heads", "id": "h", "trial": 1})
    page.wait(lambda page: "h" in {item["id"] for item in page.of_kind("done")} and idle(page))
    view = page.state["trials"][0]["inside"]["contribution"]
    found = probe.contributions(1)
    assert found.method == "integrated" and np.allclose(view["values"], found.signed, atol=1e-4)
    assert found.agreement["heads"] == 16 and found.agreement["rank_correlation"] > 0.5
    assert "measured on 16 heads" in view["estimate"]
    assert f"rank correlation of the two {found.agreement['rank_correlation']:.2f}" in view["estimate"]
    steps = [(item["done"], item["total"]) for item in page.of_kind("progress") if item["stage"] == "heads"]
    # the gradients, and the layers of the exact runs
    assert steps[-1] == (found.steps + found.layers,) * 2
    page.send({"kind": "heads", "id": "e", "trial": 1, "exact": True})
    page.wait(lambda page: {"h", "e"} <= {item["id"] for item in page.of_kind("done")} and idle(page))
    view = page.state["trials"][0]["inside"]["contribution"]
    assert view["estimate"] == "" and np.allclose(view["values"], exact.signed, atol=1e-4)
    assert probe.contributions(1).method == "exact"


@pytest.mark.parametrize("large", [False, True])
def test_an_exact_run_that_is_cancelled_keeps_what_it_has_measured(
    pair: tuple[Probe, Page], monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    from isi_widget.mechanism import head_methods

    monkeypatch.setattr("isi_widget.widget.inside.EXACT_HEADS", 8 if large else 64)
    monkeypatch.setattr("isi_widget.vlm.inside.rerun.Clean.at_once", lambda *_: 2)
    probe, page = pair
    exact = probe.contributions(1, totals=False)
    if large:
        page.send({"kind": "heads", "id": "h", "trial": 1})
        page.wait(lambda page: bool(page.of_kind("done")) and idle(page))
    estimate = probe.contributions(1) if large else None
    runs, original = [], head_methods._runs

    def run(*given: Any) -> Any:
        if len(runs) == 5:
            page.send({"kind": "cancel", "run": "e"})
        runs.append(given[4])
        return original(*given)

    monkeypatch.setattr(head_methods, "_runs", run)
    page.send({"kind": "heads", "id": "e", "trial": 1, "exact": True})
    page.wait(lambda page: "e" in {item["id"] for item in page.of_kind("dropped")} and idle(page))
    view = page.state["trials"][0]["inside"]["contribution"]
    assert view["measured"] == 12 and view["estimate"].startswith("Measured: 12 of 24 heads, until it was")
    values = np.array(view["values"], dtype=float)
    assert np.allclose(values[:2], exact.signed[:2], atol=1e-3)
    if estimate is None:
        assert np.isnan(values[2:]).all() and "The others are blank." in view["estimate"]
    else:
        assert np.allclose(values[2:], estimate.signed[2:], atol=1e-4)
        assert "The others are estimated from 8 gradients" in view["estimate"]
        assert probe.contributions(1).measured == 12  # the page's matrix, without a long run
    # a page that is opened later has it, too
    page = Page(probe)
    assert page.state["trials"][0]["inside"]["contribution"] == view
    # the next click measures the others only
    runs.clear()
    if large:
        page.send({"kind": "heads", "id": "f", "trial": 1, "exact": True})
        page.wait(lambda page: "f" in {item["id"] for item in page.of_kind("done")} and idle(page))
    found = probe.contributions(1)
    assert np.allclose(found.signed, exact.signed, atol=1e-4) and sum(map(len, runs)) == 12
    view = Page(probe).state["trials"][0]["inside"]["contribution"]
    assert view["measured"] == 0 and view["estimate"] == ""


def test_options_of_python_change_nothing_on_the_page(pair: tuple[Probe, Page]) -> None:
    probe, page = pair
    other = probe.contributions(1, target="p", replace="zero", totals=False)
    assert "inside" not in page.state["trials"][0]
    assert probe.contributions(1).target == "log_p_answer" and other.target == "p"
    from isi_widget.widget.inside import contribution_view

    rough = probe.contributions(1, method="gradient", check=0)  # sessions of before may hold such a one
    assert contribution_view(rough)["estimate"].endswith("and not compared with exact drops.")


def test_page_and_kernel_agree_on_what_is_large() -> None:
    source = (ROOT / "js" / "src" / "panels" / "paths.tsx").read_text("utf-8")
    assert f"const EXACT_HEADS = {EXACT_HEADS};" in source


def test_measurements_of_different_kinds_wait_side_by_side(pair: tuple[Probe, Page]) -> None:
    probe, page = pair
    free = threading.Event()
    blocked = Job("b", lambda job: free.wait(120), ["answer"])
    probe._runs.controller.measure(blocked)
    page.send({"kind": "lens", "id": "l", "trial": 1})
    page.send({"kind": "trace", "id": "t", "clean": 1, "corrupt": 2})
    page.send({"kind": "heads", "id": "h", "trial": 1})
    page.send({"kind": "lens", "id": "m", "trial": 2})
    free.set()
    page.wait(lambda page: len(page.of_kind("done")) == 2 and bool(page.of_kind("lens")) and idle(page))
    assert {item["id"] for item in page.of_kind("done")} == {"t", "h"}
    assert [item["id"] for item in page.of_kind("lens")] == ["m"]
    assert [item["id"] for item in page.of_kind("dropped")] == ["l"]  # a newer one of its kind came


def test_contributions_are_those_under_the_gates_of_the_trial(pair: tuple[Probe, Page]) -> None:
    probe, _ = pair
    gate = isi.HeadScale(0, 0, 0.0)
    probe.interventions = (gate,)
    probe.restore(1)
    probe.interventions = (gate,)
    trial = probe.run("answer", **FAST)
    probe.interventions = ()
    plain = probe.contributions(1, target="logit_difference")
    changed = probe.contributions(trial, target="logit_difference")
    assert plain.signed.shape == changed.signed.shape
    assert not np.allclose(plain.signed, changed.signed)


def test_a_trace_between_two_trials(pair: tuple[Probe, Page], vlm: VLM) -> None:
    probe, page = pair
    page.send({"kind": "trace", "id": "t", "clean": 1, "corrupt": 2})
    page.wait(lambda page: bool(page.of_kind("done")) and idle(page))
    view = page.state["traced"]
    assert view["title"] == "Trace from trial 1 to trial 2"
    layers, groups = len(view["rows"]), len(view["columns"])
    assert (
        np.array(view["sentences"]).shape == (layers, groups) == np.array(view["values"], dtype=float).shape
    )
    again = isi.trace(vlm, probe.trials[0].stimulus, probe.trials[1].stimulus, sites=("residual",))
    assert np.allclose(np.array(view["values"], dtype=float), again.recovery[0], atol=1e-4, equal_nan=True)
    assert view["sentences"][0][0] == again.sentence(again.layers[0], again.groups[0])
    twin = probe.trace_between(2, 1)
    assert twin.clean == pytest.approx(-again.corrupt, abs=1e-3) or twin.clean != again.clean
    assert page.state["traced"]["title"] == "Trace from trial 2 to trial 1"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"kind": "trace", "clean": 1, "corrupt": 1}, "have the same input"),
        ({"kind": "trace", "clean": 1, "corrupt": 9}, "no trial 9"),
        ({"kind": "heads", "trial": 9}, "no trial 9"),
        ({"kind": "lens", "trial": 9}, "no trial 9"),
    ],
)
def test_what_cannot_be_measured_is_answered_with_the_reason(
    pair: tuple[Probe, Page], message: dict[str, Any], expected: str
) -> None:
    _, page = pair
    page.send({**message, "id": "m"})
    page.wait(lambda page: any(item["id"] == "m" for item in page.of_kind("error")))
    assert expected in page.of_kind("error")[-1]["message"]


def test_an_answer_without_a_word_has_no_heads_to_measure(
    pair: tuple[Probe, Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    probe, _ = pair
    answer = probe.trials[0].answer
    monkeypatch.setattr(isi.Trial, "answer", property(lambda trial: replace(answer, text=" ")))
    with pytest.raises(InputError, match="The answer of trial 1 has no letters"):
        probe.contributions(1)


def test_the_lens_has_words_for_each_layer_at_each_image_token(pair: tuple[Probe, Page]) -> None:
    probe, page = pair
    page.send({"kind": "lens", "id": "l", "trial": 1})
    page.wait(lambda page: bool(page.of_kind("lens")))
    found = json.loads(json.dumps(page.of_kind("lens")[0]))
    lens = probe.lens(1)
    assert len(found["boxes"]) == len(found["words"]) - 1 == probe.trials[0].attention.token_counts["image"]
    left, top, right, bottom = found["boxes"][5]
    token = lens.at((left + right) / 2, (top + bottom) / 2)
    layers = [[found["vocabulary"][word] for word in layer] for layer in found["words"][5]]
    assert layers == [[word for word, _ in layer[:3]] for layer in token.words]
    last = found["words"][-1][-1][0]
    assert found["vocabulary"][last] == lens.answer.words[-1][0][0]


def test_cancelling_drops_the_question(pair: tuple[Probe, Page], monkeypatch: pytest.MonkeyPatch) -> None:
    _, page = pair

    def asked(*arguments: Any, progress: Any, cancel: Any, **options: Any) -> Any:
        progress("heads", 1, 24)
        page.send({"kind": "cancel", "run": "h"})
        if cancel():
            raise Cancelled("asked to")
        raise AssertionError("not cancelled")

    monkeypatch.setattr("isi_widget.mechanism.measuring_heads.measure_heads", asked)
    page.send({"kind": "heads", "id": "h", "trial": 1})
    page.wait(lambda page: bool(page.of_kind("dropped")) and idle(page))
    assert page.of_kind("dropped")[0]["id"] == "h" and page.state["error"] is None
    assert [item for item in page.of_kind("progress") if item["stage"] == "heads"]
    assert "inside" not in page.state["trials"][0]


def test_trials_of_a_different_model_are_refused(pair: tuple[Probe, Page], vlm: VLM) -> None:
    probe, _ = pair
    probe.vlm = vlm.intervene(isi.HeadScale(0, 0, 0.5))
    with pytest.raises(InputError, match="with other weights, precision or hooks"):
        probe.contributions(1, method="gradient")
