"""A model on a cluster: the same results as here, progress, cancelling, errors.

The process of the model is called directly, through pickles, without Ray: `tests/study/test_on_ray.py` does
the same through a cluster, and breaks it.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import isi_widget as isi
from isi_widget import Cancelled, InputError
from isi_widget.vlm import VLM
from isi_widget.vlm.cluster import ClusterVLM, ConnectionLost, RayCluster, checked_cluster, connecting
from isi_widget.vlm.cluster import model as cluster_model
from isi_widget.vlm.cluster.actor import ModelActor
from isi_widget.vlm.cluster.link import Link
from isi_widget.vlm.cluster.wire import Decoder, Encoder, Missing
from isi_widget.vlm.protocol import is_vlm

ADDRESS = "ray://cluster:10001"

#: What two runs of one trial never share.
_OF_THE_RUN = ("seconds", "created")


class Called:
    """Calls a method of an actor in a thread, as Ray does: arguments and results go through pickles."""

    def __init__(self, method: Any, pool: ThreadPoolExecutor) -> None:
        self._method, self._pool = method, pool

    def remote(self, *arguments: Any) -> Future[Any]:
        sent = pickle.dumps(arguments)
        return self._pool.submit(lambda: pickle.dumps(self._method(*pickle.loads(sent))))


class DirectLink(Link):
    """A link to an actor in this process."""

    def _start(self) -> None:
        actor, pool = ModelActor(self._load), ThreadPoolExecutor(4)
        names = ("run", "events", "cancel")
        self._actor = SimpleNamespace(**{name: Called(getattr(actor, name), pool) for name in names})
        self._session: Any = SimpleNamespace(entered=self._entered)

    @contextmanager
    def _entered(self) -> Iterator[Any]:
        yield SimpleNamespace(get=lambda reply, timeout=None: pickle.loads(reply.result(timeout)))


@pytest.fixture(scope="module")
def told() -> list[tuple[float, str]]:
    return []


@pytest.fixture(scope="module")
def there(told: list[tuple[float, str]]) -> Iterator[ClusterVLM]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_model, "Link", DirectLink)
        made: Any = isi.load_vlm(on=ADDRESS, progress=lambda part, text: told.append((part, text)))
    yield made


@pytest.fixture(scope="module")
def stimulus() -> isi.Stimulus:
    return isi.datasets.scenes()[3].stimulus().box(10, 10, 30, 30).text(5, 5, "cat")


def same(one: isi.Trial, other: isi.Trial) -> bool:
    """Whether two trials are equal, but for what belongs to the run and the place."""
    frames = [trial.to_frame().drop(columns=list(_OF_THE_RUN)) for trial in (one, other)]
    return bool(frames[0].equals(frames[1])) and one.results == other.results


def test_it_is_a_vlm_with_the_facts_of_the_model(vlm: VLM, there: ClusterVLM) -> None:
    assert is_vlm(there)
    assert (there.model_id, there.is_embedded, there.unavailable) == ("embedded", True, vlm.unavailable)
    info = there.info()
    assert info["on"] == ADDRESS
    assert {**info, "on": None, "loaded_with": None} == {**vlm.info(), "on": None, "loaded_with": None}


def test_loading_reports_its_progress(there: ClusterVLM, told: list[tuple[float, str]]) -> None:
    assert told[0] == (0.0, f"connecting to {ADDRESS}")
    assert told[-1] == (1.0, "loaded embedded")
    assert [part for part, _ in told] == sorted(part for part, _ in told)


def test_a_trial_is_the_same_as_here(vlm: VLM, there: ClusterVLM, stimulus: isi.Stimulus) -> None:
    given = {"samples": 4, "seed": 3}
    assert same(isi.run_trial(vlm, stimulus, **given), isi.run_trial(there, stimulus, **given))


def test_answers_one_by_one_are_the_same_as_here(vlm: VLM, there: ClusterVLM, stimulus: isi.Stimulus) -> None:
    for ask in (
        lambda model: model.answer(stimulus),
        lambda model: model.answer(stimulus, num_beams=3),
        lambda model: model.sample(stimulus, n=3, seed=5),
        lambda model: model.yes_no(stimulus),
        lambda model: model.enumerate_answers(stimulus, budget=200).to_dict(),
        lambda model: model.token_boxes(stimulus).tolist(),
        lambda model: dataclasses.astuple(model.encode(stimulus))[:5],
        lambda model: isi.measure_attention(model, stimulus),
    ):
        assert ask(there) == ask(vlm)


def test_interventions_act_there(vlm: VLM, there: ClusterVLM, stimulus: isi.Stimulus) -> None:
    changes = (isi.HeadScale(1, 2, 0.0), isi.Knockout(queries="last", keys="image"))
    seen = there.intervene(*changes)
    assert seen != there and seen == there.intervene(*changes) and seen.interventions == changes
    mine, theirs = (isi.run_trial(model.intervene(*changes), stimulus, samples=3) for model in (vlm, there))
    assert same(mine, theirs) and mine.model["fingerprint"] == theirs.model["fingerprint"]
    with pytest.raises(InputError, match="layer"):
        there.intervene(isi.HeadScale(99, 0, 0.0))


def test_the_inside_is_measured_there(vlm: VLM, there: ClusterVLM) -> None:
    scene = isi.datasets.scenes()[3]
    pair = scene.counterfactual("object")
    stimulus = scene.stimulus()
    steps: list[tuple[Any, ...]] = []
    measured: Any = isi.measure_attention_map(there, stimulus)
    assert measured == isi.measure_attention_map(vlm, stimulus)
    heads = isi.measure_heads(there, [scene], progress=lambda *step: steps.append(step))
    assert np.array_equal(heads.signed, isi.measure_heads(vlm, [scene]).signed)
    assert steps[-1][1] == steps[-1][2]
    assert isi.logit_lens(there, stimulus).to_dict() == isi.logit_lens(vlm, stimulus).to_dict()
    found = isi.trace(there, pair, sites=("residual",))
    assert np.array_equal(found.recovery, isi.trace(vlm, pair, sites=("residual",)).recovery)


def test_tokens_and_samples_arrive_while_they_are_made(there: ClusterVLM, stimulus: isi.Stimulus) -> None:
    texts: list[tuple[str, int, str]] = []
    stages: list[tuple[str, int, int]] = []
    trial = isi.run_trial(
        there,
        stimulus,
        samples=3,
        on_text=lambda *text: texts.append(text),
        progress=lambda *stage: stages.append(stage),
    )
    assert trial.answer is not None and trial.uncertainty is not None
    assert [text for kind, _, text in texts if kind == "answer"][-1].strip() == trial.answer.text
    samples = {row: text for kind, row, text in texts if kind == "sample"}
    assert [samples[row] for row in range(3)] == [answer.text for answer in trial.uncertainty.answers]
    assert stages[-1][1] == stages[-1][2]


def test_a_run_is_cancelled_between_tokens(there: ClusterVLM, stimulus: isi.Stimulus) -> None:
    seen: list[str] = []
    with pytest.raises(Cancelled):
        there.sample(
            stimulus,
            n=1000,
            max_new_tokens=2000,
            min_new_tokens=1900,
            on_token=lambda row, text, logprob: seen.append(text),
            cancel=lambda: len(seen) > 0,
        )
    assert there.answer(stimulus).text  # it can be used again


def test_an_error_there_is_raised_here_as_it_is(there: ClusterVLM, stimulus: isi.Stimulus) -> None:
    with pytest.raises(InputError, match="temperature"):
        there.sample(stimulus, temperature=0)
    with pytest.raises(InputError, match="stimulus"):
        there.answer("no stimulus")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="written where the model is"):
        isi.measure_heads(there, [isi.datasets.scenes()[3]], store="heads.jsonl")
    with pytest.raises(InputError, match="cannot be sent"):
        isi.measure_heads(there, [object()])


def test_parts_of_the_model_are_not_here(there: ClusterVLM) -> None:
    with pytest.raises(InputError, match="load it in the process"):
        _ = there.model
    assert not hasattr(there, "model")
    with pytest.raises(InputError, match="loaded_with"):
        pickle.dumps(there)


def test_the_code_of_a_trial_connects_again(there: ClusterVLM, stimulus: isi.Stimulus) -> None:
    trial = isi.run_trial(there, stimulus, measures="answer")
    assert f"vlm = isi.load_vlm(on='{ADDRESS}')" in trial.code()
    assert isi.load_vlm(on=ADDRESS, reuse=True) is there and isi.load_vlm(reuse=True) is not there
    received = isi.Trial.from_dict(trial.to_dict())
    lines = [line for line in received.code().splitlines() if ADDRESS in line]
    assert all(line.startswith("#") for line in lines), "a received record must not connect anywhere"


def test_a_probe_runs_on_it(there: ClusterVLM) -> None:
    from isi_widget.widget.models import offer

    obs = isi.datasets.scenes()[3]
    probe = isi.Probe(there, obs)  # type: ignore[arg-type]
    trial = probe.run(samples=3)
    assert same(trial, isi.run_trial(there, obs.stimulus(), samples=3))
    assert probe.model["layers"] == 4 and probe.model["on"] == there.info()["on"]
    assert offer(probe._runs.slot)["held"] == 0
    probe.close()


def test_a_probe_loads_a_model_on_a_cluster(vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_model, "Link", DirectLink)
    probe = isi.Probe(vlm, isi.datasets.scenes()[3])
    loaded: Any = probe.load("embedded", on=ADDRESS)
    assert isinstance(loaded, ClusterVLM) and probe.vlm is loaded
    assert probe.run(measures="answer").model["on"] == ADDRESS
    assert probe.load(None).info().get("on") is None
    probe.close()


def test_a_request_that_nobody_marked_is_refused(there: ClusterVLM) -> None:
    with pytest.raises(InputError, match="no function"):
        there.run_function(os.getenv, ["HOME"], {})


def test_pictures_are_sent_once(there: ClusterVLM) -> None:
    sent: list[int] = []
    obs = isi.datasets.scenes()[7]
    exchange = there._link._exchange

    def watched(request: dict[str, Any], *rest: Any) -> Any:
        found = exchange(request, *rest)
        sent.append(sum(map(len, request.get("pictures", {}).values())))
        return found

    there._link._exchange = watched  # type: ignore[method-assign]
    try:
        isi.run_trial(there, obs.stimulus(), samples=2)
        isi.run_trial(there, obs.stimulus().with_context("Something else."), samples=2)
    finally:
        del there._link._exchange
    assert sent[0] > 0 and not any(sent[1:])


def test_more_pictures_than_are_kept_are_sent_all_the_same(
    vlm: VLM, there: ClusterVLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isi_widget.vlm.cluster import actor

    monkeypatch.setattr(actor, "_PIXELS", 2 * 480 * 480)
    scenes = list(isi.datasets.scenes()[10:14])
    there.answer(scenes[0].stimulus())  # one of them is there, and dropped on the way
    given = {"positions": "last", "method": "gradient", "check": 0}
    found = isi.measure_heads(there, scenes, **given)
    assert np.array_equal(found.signed, isi.measure_heads(vlm, scenes, **given).signed)


def test_a_prefill_that_was_dropped_is_read_again(there: ClusterVLM, stimulus: isi.Stimulus) -> None:
    first = there.prefill(stimulus)
    before = there.answer(first)
    for context in ("one", "two", "three"):
        there.prefill(stimulus.with_context(context))
    assert there.answer(first) == before
    with pytest.raises(InputError, match="belongs to another VLM"):
        there.intervene(isi.HeadScale(1, 2, 0.0)).answer(first)


def test_what_is_sent_is_plain_and_comes_back_equal() -> None:
    scene = isi.datasets.scenes()[3]
    pair = isi.Pair(scene.stimulus(), scene.stimulus().box(1, 2, 30, 40))
    values = [None, 1, 2.5, "text", b"bytes", [1, (2, 3)], {"a": {1: "b"}}, scene.stimulus(), pair]
    values += [isi.HeadScale(1, 2, 0.0), range(3)]
    encoder = Encoder()
    record = encoder.encode(values)
    plain(record)
    back = Decoder(encoder.pictures.get).decode(record)
    assert back == [*values[:-1], tuple(range(3))]
    observation = Decoder(encoder.pictures.get).decode(encoder.encode(scene))
    assert observation.stimulus().render().tobytes() == scene.stimulus().render().tobytes()
    assert (observation.question, observation.answer, observation.level, observation.id) == (
        *(scene.question, scene.answer, scene.level, scene.id),
    )
    with pytest.raises(Missing):
        Decoder(lambda digest: None).decode(record)


def plain(record: Any) -> None:
    """Refuse anything that is no plain data."""
    if isinstance(record, list):
        for item in record:
            plain(item)
    elif isinstance(record, dict):
        for key, item in record.items():
            assert type(key) is str
            plain(item)
    else:
        assert record is None or type(record) in (bool, int, float, str, bytes, np.ndarray)


def test_a_stimulus_that_is_drawn_differently_there_is_refused(stimulus: isi.Stimulus) -> None:
    encoder = Encoder()
    record = encoder.encode(stimulus)
    with pytest.raises(InputError, match="drawn differently"):
        Decoder(encoder.pictures.get).decode({**record, "pixels": "0" * 64})


@pytest.mark.parametrize("class_", ["os:system", "isi_widget.errors:nothing", "isi_widget.checks:integer"])
def test_records_name_classes_of_this_package_only(class_: str) -> None:
    with pytest.raises(InputError, match="no class"):
        Decoder(lambda digest: None).decode({"$kind": "object", "class": class_, "record": {}})


def test_a_lost_process_is_one_error_until_it_is_connected_again(
    there: ClusterVLM, stimulus: isi.Stimulus
) -> None:
    before, actor = there.answer(stimulus), there._link._actor

    class Dead:
        def remote(self, *arguments: Any) -> Any:
            raise ConnectionLost("The process there that held the model has ended.")

    there._link._actor = SimpleNamespace(run=Dead())
    for _ in range(2):
        with pytest.raises(ConnectionLost, match=r"has ended\. Everything .* vlm\.reconnect\(\)"):
            there.answer(stimulus)
    del actor
    assert there.reconnect() is there and there.answer(stimulus) == before


@pytest.mark.parametrize("on", ["http://cluster:8000", "ray://", "", 5, "cluster:10001"])
def test_an_address_that_is_none_is_refused(on: Any) -> None:
    with pytest.raises(InputError, match=r"ray://host:port"):
        checked_cluster(on)


def test_resources_of_a_model() -> None:
    whole: Any = SimpleNamespace(resources=lambda: {"CPU": 8.0, "GPU": 2.0})
    without: Any = SimpleNamespace(resources=lambda: {"CPU": 8.0})
    cluster = RayCluster("ray://cluster:10001")
    assert cluster.resources(whole, {"name": "a/b"}) == {"num_cpus": 1, "num_gpus": 1.0}
    assert cluster.resources(without, {"name": "a/b"}) == {"num_cpus": 1, "num_gpus": 0.0}
    assert cluster.resources(whole, {"name": None})["num_gpus"] == 0
    assert cluster.resources(whole, {"name": "a/b", "device": "cpu"})["num_gpus"] == 0
    assert RayCluster("auto", gpus=0.25).resources(whole, {"name": None})["num_gpus"] == 0.25
    for wrong in ({"cpus": -1}, {"gpus": -1}, {"address": ""}, {"runtime_env": "pip"}):
        with pytest.raises(InputError, match="RayCluster"):
            RayCluster(**wrong)


def test_without_ray_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "isi-widget\[ray\]"'):
        isi.load_vlm(on=ADDRESS)


TRACE = """Initialization failure from server:
Traceback (most recent call last):
  File "proxier.py", line 746, in Datapath
    raise RuntimeError(
RuntimeError: Starting Ray client server failed. See ray_client_server_23000.err for detailed logs.
"""


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (TRACE, "server: RuntimeError: Starting Ray client server failed. See ray_client_server_23000.err"),
        ("Initialization failure from server:\nNo free ports for a client.\n", "server: No free ports for a"),
        ("Initialization failure from server:\n", "Initialization failure from server:."),
    ],
)
def test_a_connection_that_the_cluster_refuses_gives_its_cause(
    monkeypatch: pytest.MonkeyPatch, message: str, cause: str
) -> None:
    pytest.importorskip("ray")

    def refused(*_: Any) -> None:
        raise ConnectionAbortedError(message)

    monkeypatch.setattr(connecting, "_connect_client", refused)
    with pytest.raises(ConnectionLost) as found:
        connecting.Session.open(RayCluster(ADDRESS))
    text = str(found.value)
    assert cause in text and "answers, but opened no connection" in text and "ray_client_server*.err" in text
