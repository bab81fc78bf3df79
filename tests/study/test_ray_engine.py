"""The engine of a cluster: the same rows as in this process, few units under way, lost processes, refusals.

The cluster is a `FakeRay`; `test_on_ray.py` has a real one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.study.engines.ray_engine import packed
from isi_widget.study.work import Task, Unit
from isi_widget.trial import measures
from isi_widget.vlm.cluster import Session

pytest.importorskip("ray")

from fake_ray import Actor, FakeRay, FakeSession
from ray import cloudpickle

#: What two runs never share.
OF_THE_RUN = ["seconds", "created"]
GIVEN = {"samples": 3, "seeds": (0, 5)}
CONDITIONS = (
    isi.condition("plain"),
    isi.condition("noise").noise(isi.grid(sigma=[0.1, 0.6])),
    isi.condition("no head").intervene(isi.HeadScale(2, 0, 0.0)),
)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    ray = FakeRay()
    session = FakeSession(ray)
    monkeypatch.setattr(Session, "open", lambda cluster: session)
    yield ray
    assert session.closed == bool(ray.actors) and all(actor.dead.is_set() for actor in ray.actors), (
        "a worker is left"
    )


@pytest.fixture(scope="module")
def data() -> Any:
    return isi.datasets.scenes()[:6]


@pytest.fixture(scope="module")
def here(vlm: Any, data: Any) -> isi.Study:
    return isi.run_study(vlm, data, CONDITIONS, **GIVEN)


def assert_same(one: isi.Study, other: isi.Study) -> None:
    equal(*(study.rows.drop(columns=OF_THE_RUN) for study in (one, other)))


def equal(one: pd.DataFrame, other: pd.DataFrame) -> None:
    # a judge's last digits depend on which pairs share a batch, thus on the order of the units
    assert_frame_equal(one, other, check_dtype=False, rtol=1e-5, atol=1e-6)


def test_the_rows_are_those_of_this_process(fake: FakeRay, vlm: Any, data: Any, here: isi.Study) -> None:
    engine = isi.RayEngine("ray://head:10001")
    study = isi.run_study(vlm, data, CONDITIONS, engine=engine, **GIVEN)
    assert_same(study, here)
    assert len(fake.actors) == 2
    assert study.models["embedded"]["fingerprint"] == here.models["embedded"]["fingerprint"]


def test_pictures_go_over_a_network_as_png(data: Any) -> None:
    unit = Unit({}, (Task({}, ((0, 0),), data[0].stimulus()),))
    pixels, png = (packed(unit, png=png) for png in (False, True))
    assert cloudpickle.loads(png) == cloudpickle.loads(pixels) == unit
    assert len(png) < len(pixels) / 10


def test_few_units_are_under_way(fake: FakeRay, data: Any) -> None:
    made: list[int] = []

    def counted(obs: Any) -> Any:
        made.append(fake.under_way)
        return obs.stimulus()

    engine = isi.RayEngine(workers=2, in_flight=1)
    isi.run_study("embedded", list(data) * 2, counted, engine=engine, measures="answer")
    assert fake.most <= 2 and max(made) <= 2, "units are made when a worker has room"


def test_a_killed_worker_loses_no_row_and_doubles_none(
    fake: FakeRay, vlm: Any, data: Any, here: isi.Study, tmp_path: Any
) -> None:
    kills = iter([True, False, True] + [False] * 100)

    def before(actor: Actor, method: str, arguments: Any) -> None:
        if method == "rows" and next(kills):
            actor.kill()

    fake.before = before
    study = isi.run_study(vlm, data, CONDITIONS, engine="ray", store=tmp_path / "a", **GIVEN)
    assert_same(study, here)
    assert len(fake.actors) == 4
    assert list(study.rows["row"]) == list(range(len(here.rows)))


def test_a_unit_that_ends_its_worker_each_time_fails_and_the_study_goes_on(
    fake: FakeRay, data: Any, here: isi.Study
) -> None:
    def before(actor: Actor, method: str, arguments: Any) -> None:
        if method == "rows" and cloudpickle.loads(arguments[0]).columns["index"] == 3:
            actor.kill()

    fake.before = before
    engine = isi.RayEngine(retries=1, workers=1)
    study = isi.run_study("embedded", data, CONDITIONS, engine=engine, max_failing=0.5, **GIVEN)
    failed = study.rows[study.rows["error"].notna()]
    assert set(failed["index"]) == {3} and len(failed) == 8 and set(failed["error_type"]) == {"WorkerLost"}
    assert failed["error"].str.contains("ended 2 times").all()
    whole, rest = (made.rows[made.rows["index"] != 3].drop(columns=OF_THE_RUN) for made in (here, study))
    equal(whole, rest)


def test_workers_that_end_while_loading_are_one_error(fake: FakeRay, data: Any) -> None:
    fake.before = lambda actor, method, arguments: actor.kill()
    with pytest.raises(InputError, match="ended 4 times without one finished unit"):
        isi.run_study("embedded", data, engine=isi.RayEngine(workers=1), measures="answer")


def test_a_model_that_cannot_be_loaded_is_one_error(fake: FakeRay, data: Any) -> None:
    with pytest.raises(InputError, match="no model folder"):
        isi.run_study("./nowhere", data, engine="ray", measures="answer")


def test_it_is_cancelled_and_goes_on_from_its_store(
    fake: FakeRay, vlm: Any, data: Any, here: isi.Study, tmp_path: Any
) -> None:
    done: list[int] = []
    with pytest.raises(Cancelled, match="same call goes on") as error:
        isi.run_study(
            vlm,
            data,
            CONDITIONS,
            engine="ray",
            store=tmp_path / "a",
            progress=lambda stage, count, total: done.append(count),
            cancel=lambda: bool(done) and done[-1] >= 8,
            **GIVEN,
        )
    assert 8 <= len(error.value.study.rows) < len(here.rows)
    assert_same(isi.run_study(vlm, data, CONDITIONS, store=tmp_path / "a", **GIVEN), here)


def test_too_many_failing_rows_stop_it(fake: FakeRay, data: Any) -> None:
    def broken(obs: Any) -> Any:
        raise ValueError("broken on purpose")

    with pytest.raises(InputError, match="broken on purpose"):
        isi.run_study("embedded", list(data) * 4, broken, engine="ray", measures="answer")


def test_an_interrupt_leaves_no_worker(fake: FakeRay, data: Any) -> None:
    def progress(stage: str, done: int, total: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isi.run_study("embedded", data, engine="ray", measures="answer", progress=progress)


def test_measures_of_ones_own_are_sent(fake: FakeRay, data: Any) -> None:
    names: list[list[str]] = []

    class Words(isi.Measure):
        name, title = "words", "Words"
        terms = (isi.Term("words", "Words"),)

        def run(self, shared: Any) -> dict[str, int]:
            return {"words": len(shared.answer.text.split())}

        def values(self, record: Any) -> dict[str, Any]:
            return {"words": record["words"]}

    fake.before = lambda actor, method, arguments: (
        names.append([made.name for made in arguments[0].measures]) if method == "load" else None
    )
    isi.register_measure(Words)
    try:
        study = isi.run_study("embedded", data[:2], engine="ray", measures=["answer", "words"])
    finally:
        measures.forget_measure("words")
    assert names and set(map(tuple, names)) == {("words",)}
    assert list(study.rows["words"]) == [len(text.split()) for text in study.rows["answer"]]


def test_a_model_that_a_worker_cannot_load_is_refused(fake: FakeRay, vlm: Any, data: Any) -> None:
    from isi_widget.vlm import VLM

    by_hand = VLM(vlm.model, vlm.processor, model_id="by hand", is_embedded=True)
    with pytest.raises(InputError, match="made by hand"):
        isi.run_study(by_hand, data, engine="ray")
    hook = vlm.model.register_forward_hook(lambda module, inputs, output: None)
    try:
        with pytest.raises(InputError, match="hooks"):
            isi.run_study(vlm, data, engine="ray")
    finally:
        hook.remove()
    with pytest.raises(InputError, match="engine says where"):
        isi.run_study({"there": {"name": None, "on": "ray"}}, data, engine="ray")
    judge = isi.load_entailment()
    with pytest.raises(InputError, match="give its name"):
        isi.run_study(vlm, data, engine="ray", entailment=judge)
    assert not fake.actors, "nothing was started"


def test_a_model_seen_with_interventions_is_made_again(fake: FakeRay, vlm: Any, data: Any) -> None:
    seen = vlm.intervene(isi.HeadScale(1, 0, 0.0))
    there = isi.run_study(seen, data[:2], engine="ray", measures="answer")
    assert_same(there, isi.run_study(seen, data[:2], measures="answer"))


def test_it_runs_in_a_thread(fake: FakeRay, data: Any) -> None:
    study = isi.run_study("embedded", data[:2], engine="ray", measures="answer", wait=False)
    study.wait(120)
    assert len(study.rows) == 2 and threading.current_thread() is threading.main_thread()


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"in_flight": 0}, {"retries": -1}, {"cpus": "many"}])
def test_settings_out_of_range_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="RayEngine"):
        isi.RayEngine(**wrong)


def test_more_cores_than_there_are_is_one_error(fake: FakeRay, data: Any) -> None:
    fake.actors.append(Actor(fake, None))  # the connection was opened
    fake.actors[0].kill()
    with pytest.raises(InputError, match=r"needs 8 CPU cores .* has 2 CPU cores"):
        isi.run_study("embedded", data, engine=isi.RayEngine(cpus=8))
