"""A study is what single trials give, one row each; it resumes from its store; failing items are rows."""

from __future__ import annotations

import json
import math
import threading

import pandas as pd
import pytest
from stub_vlm import StubVLM

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.study.store import Store

SAMPLES = {"samples": 3}
CONDITIONS = (
    isi.condition("plain"),
    isi.condition("noise").noise(isi.grid(sigma=[0.1, 0.6])),
    isi.condition("told").with_context(preset="contradictory"),
    isi.condition("no head").intervene(isi.HeadScale(2, 0, 0.0)),
)


@pytest.fixture(scope="module")
def data():
    return isi.datasets.scenes()[:3]


@pytest.fixture(scope="module")
def study(vlm, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "a"
    return isi.run_study(vlm, data, CONDITIONS, seeds=(0, 5), store=folder, **SAMPLES)


def test_each_row_is_a_trial(study, vlm, data):
    rows = study.rows
    assert list(rows["row"]) == list(range(3 * 5 * 2)) and study.size == len(study) == 30
    points = study.conditions
    assert [point.name for point in points][1:3] == ["noise sigma=0.1", "noise sigma=0.6"]
    for number in (0, 5, 13, 18, 29):
        row = rows.iloc[number]
        point = points[(number // 2) % 5]
        observation = data[number // 10]
        assert row["condition"] == point.name and row["observation"] == observation.id
        model = vlm.intervene(*point.interventions)
        trial = isi.run_trial(model, point(observation), seed=int(row["seed"]), **SAMPLES)
        expected = trial.to_frame().iloc[0]
        for name in set(expected.index) & set(rows.columns) - {"seconds", "created", "notes", "model"}:
            if name == "interventions":
                assert json.loads(row[name]) == [item.to_dict() for item in point.interventions]
            elif pd.isna(row[name]):
                assert pd.isna(expected[name]), name
            else:
                assert row[name] == pytest.approx(expected[name]), name
        assert row["answer_probability"] == pytest.approx(math.exp(trial.answer.log_likelihood))
        nested = study.frame(["answers"])["answers"][number]
        assert [item["text"] for item in nested] == [item.text for item in trial.uncertainty.answers]
        assert [item["cluster"] for item in nested] == list(trial.uncertainty.cluster_ids)


def test_the_columns_of_a_condition(study):
    noise = study.rows[study.rows["group"] == "noise"]
    assert set(noise["level"]) == {0.1, 0.6} and set(noise["parameter"]) == {"sigma"}
    assert json.loads(noise["parameters"].iloc[0]) == {"sigma": 0.1}
    assert study.baseline == "plain" and set(study.rows["seed"]) == {0, 5}


def test_a_study_is_read_from_its_store(study):
    read = isi.open_study(study.store)
    assert read == study and read.conditions == study.conditions and read.settings == study.settings
    assert read.models == study.models and read.models["embedded"]["fingerprint"]
    assert list(study.columns) == list(study.frame(study.columns).columns)
    assert list(study.frame(["seed", "nothing", "condition"]).columns) == ["seed", "condition"]


def test_other_tools_read_the_parts(study):
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    parts = study.store / "parts"
    pandas_rows = pd.read_parquet(parts).sort_values("row")
    polars_rows = polars.read_parquet(parts / "*.parquet").sort("row")
    ((count, questions),) = duckdb.sql(
        f"select count(*), count(distinct question) from '{parts}/*.parquet'"
    ).fetchall()
    assert count == 30 and questions == study.rows["question"].nunique()
    assert list(pandas_rows["answer"]) == polars_rows["answer"].to_list() == list(study.rows["answer"])
    assert polars_rows["answers"][0][0]["cluster"] == 0


def test_the_same_call_makes_nothing_again(study, vlm, data, monkeypatch):
    monkeypatch.setattr("isi_widget.study.work.run_trials", None)  # would raise
    again = isi.run_study(vlm, data, CONDITIONS, seeds=(0, 5), store=study.store, **SAMPLES)
    assert again == study


def test_a_stopped_study_resumes(vlm, data, tmp_path):
    calls = []

    def stop():
        calls.append(1)
        return len(calls) > 60

    folder = tmp_path / "b"
    with pytest.raises(Cancelled, match=r"after \d+ of 12 rows.*goes on from there") as caught:
        isi.run_study(vlm, data, CONDITIONS[:3], store=folder, cancel=stop, **SAMPLES)
    assert len(caught.traceback) == 2  # a cell shows no inner frames of what a person stopped
    partial = caught.value.study
    assert 0 < len(partial) < 12
    assert len(isi.open_study(folder)) == len(partial)
    before = pd.read_parquet(folder / "parts").set_index("row")["created"]
    whole = isi.run_study(vlm, data, CONDITIONS[:3], store=folder, **SAMPLES)
    assert list(whole.rows["row"]) == list(range(12))
    after = whole.rows.set_index("row")["created"]
    assert before.equals(after[before.index])  # not made again
    alone = isi.run_study(vlm, data, CONDITIONS[:3], **SAMPLES)
    different = ["seconds", "created"]
    pd.testing.assert_frame_equal(whole.rows.drop(columns=different), alone.rows.drop(columns=different))


def test_a_store_of_another_run_is_refused(study, vlm, data):
    def run(*given, **changed):
        arguments = {"seeds": (0, 5), **SAMPLES, **changed}
        return isi.run_study(*given, store=study.store, **arguments)

    with pytest.raises(InputError, match="another run: samples=3, not 4"):
        run(vlm, data, CONDITIONS, samples=4)
    with pytest.raises(InputError, match=r"its seeds are \[0, 5\], not \[0\]"):
        run(vlm, data, CONDITIONS, seeds=(0,))
    stronger = (*CONDITIONS[:3], CONDITIONS[3].intervene(isi.HeadScale(0, 0, 0.0)))
    with pytest.raises(InputError, match=r"condition 'no head' was different \(interventions\)"):
        run(vlm, data, stronger)
    with pytest.raises(InputError, match="its conditions are"):
        run(vlm, data, CONDITIONS[1:])
    with pytest.raises(InputError, match="other ids, questions"):
        run(vlm, isi.datasets.scenes()[3:6], CONDITIONS)
    with pytest.raises(InputError, match="it has 3 observations, not 2"):
        run(vlm, data[:2], CONDITIONS)
    with pytest.raises(InputError, match="in the model 'embedded'"):
        run({"embedded": vlm.intervene(isi.HeadScale(1, 1, 0.5))}, data, CONDITIONS)
    assert len(study) == 30


def test_a_study_grows_at_the_end(vlm, data, tmp_path):
    folder = tmp_path / "c"
    first = isi.run_study(vlm, data[:2], CONDITIONS[:1], store=folder, measures="answer")
    made = first.rows[["row", "created"]]
    grown = isi.run_study(
        vlm, data, (*CONDITIONS[:1], CONDITIONS[2]), seeds=(0, 1), store=folder, measures="answer"
    )
    assert len(grown) == 3 * 2 * 2 and list(grown.rows["row"]) == list(range(12))
    pd.testing.assert_frame_equal(grown.rows[["row", "created"]].iloc[:2], made)
    keys = grown.rows[["observation", "condition", "seed"]]
    assert len(keys.drop_duplicates()) == 12
    last = isi.run_study(
        vlm, data, (*CONDITIONS[:1], CONDITIONS[2]), seeds=(0, 1, 2), store=folder, measures="answer"
    )
    assert sorted(last.rows["row"]) == list(range(18)) and len(set(last.rows["created"])) > 1


def test_a_failing_item_is_a_row(vlm, data, tmp_path):
    def breaks(stimulus):
        if "star" in stimulus.question:
            raise RuntimeError("no stars")
        return stimulus

    conditions = [isi.condition("plain"), isi.condition("breaks").apply(breaks)]
    study = isi.run_study(vlm, data, conditions, measures="answer", store=tmp_path / "d")
    failed = study.failed
    assert 0 < len(failed) < 3 and set(failed["error"]) == {"no stars"}
    assert set(failed["error_type"]) == {"RuntimeError"} and set(failed["condition"]) == {"breaks"}
    broken = study.rows[study.rows["error"].notna()]
    assert broken["answer"].isna().all() and broken["question"].notna().all()
    assert len(study.rows) == 6


def test_too_many_failures_stop_a_study(vlm, tmp_path):
    def breaks(stimulus):
        raise RuntimeError("always")

    with pytest.raises(InputError, match=r"20 of 20 rows failed, more than max_failing=0.5.*20 x RuntimeErr"):
        isi.run_study(
            vlm,
            isi.datasets.scenes()[:30],
            isi.condition("breaks").apply(breaks),
            max_failing=0.5,
            measures="answer",
            store=tmp_path / "e",
        )
    assert len(isi.open_study(tmp_path / "e").failed) == 20


def test_failed_rows_are_tried_again(vlm, data, tmp_path):
    broken = True

    def breaks(stimulus):
        if broken:
            raise RuntimeError("once")
        return stimulus

    condition = isi.condition("sometimes").apply(breaks)
    plain = isi.condition("plain")
    given = {"measures": "answer", "store": tmp_path / "f"}
    first = isi.run_study(vlm, data, [plain, condition], **given)
    assert len(first.failed) == 3
    kept = first.rows.set_index("row")["created"][[0, 2, 4]]
    broken = False
    condition.steps[0].__dict__["source"] = first.conditions[1].steps[0].source
    again = isi.run_study(vlm, data, [plain, first.conditions[1]], **given)
    assert not len(again.failed) and len(pd.read_parquet(tmp_path / "f" / "parts")) == 6
    assert again.rows.set_index("row")["created"][[0, 2, 4]].equals(kept)


def test_what_cannot_be_a_study(vlm, data, tmp_path):
    plain = isi.condition("a")
    with pytest.raises(InputError, match="at least one observation"):
        isi.run_study(vlm, [], plain)
    with pytest.raises(InputError, match="different names; given more than once: 'a'"):
        isi.run_study(vlm, data, [plain, isi.condition("a").noise(0.1)])
    with pytest.raises(InputError, match="all different"):
        isi.run_study(vlm, data, plain, seeds=(1, 1))
    with pytest.raises(InputError, match="got Stimulus"):
        isi.run_study(vlm, [data[0].stimulus()], plain)
    with pytest.raises(InputError, match="needs a VLM"):
        isi.run_study(data, data, plain)
    with pytest.raises(TypeError, match="no argument 'sample'"):
        isi.run_study(vlm, data, plain, sample=3)
    (tmp_path / "file.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no study, but something else"):
        isi.run_study(vlm, data, plain, store=tmp_path)


def test_one_run_writes_at_a_time(vlm, data, tmp_path):
    isi.run_study(vlm, data[:1], measures="answer", store=tmp_path / "g")
    other = Store(tmp_path / "g")
    other.open()
    with pytest.raises(InputError, match="Another run writes to the store"):
        isi.run_study(vlm, data[:1], measures="answer", store=tmp_path / "g")
    assert len(isi.open_study(tmp_path / "g")) == 1
    other.close()
    isi.run_study(vlm, data[:1], measures="answer", store=tmp_path / "g")


def test_a_store_of_other_pictures_or_functions_is_refused(data, tmp_path):
    first = [isi.Observation(obs.image, "Is there a star?", id=str(i)) for i, obs in enumerate(data)]
    other = [first[0], isi.Observation(data[0].image, "Is there a star?", id="1"), first[2]]
    word = "a"

    def marked(stimulus):
        return stimulus.text(1, 1, word)

    given = {"measures": "answer", "store": tmp_path / "a"}
    isi.run_study(StubVLM(), first, marked, **given)
    with pytest.raises(InputError, match="the picture of observation 1 is different"):
        isi.run_study(StubVLM(), other, marked, **given)
    word = "b"
    with pytest.raises(InputError, match="another run"):
        isi.run_study(StubVLM(), first, marked, **given)
    word = "a"
    assert len(isi.run_study(StubVLM(), first, marked, **given)) == 3


def test_an_interrupt_keeps_the_rows(data, tmp_path):
    def interrupted(stage, done, total):
        if done == 2:
            raise KeyboardInterrupt

    given = {"measures": "answer", "store": tmp_path / "a", "seeds": (0, 1)}
    with pytest.raises(KeyboardInterrupt) as caught:
        isi.run_study(StubVLM(), data, progress=interrupted, **given)
    assert any(
        "after 2 of 6 rows" in note and "goes on from there" in note for note in caught.value.__notes__
    )
    assert len(caught.value.study) == 2 == len(isi.open_study(tmp_path / "a"))
    assert len(isi.run_study(StubVLM(), data, **given)) == 6


def test_a_study_in_a_thread_is_cancelled_and_resumed(data, tmp_path):
    given = {"measures": "answer", "store": tmp_path / "a", "seeds": range(20), "do_sample": True}
    go_on = threading.Event()

    class Held(StubVLM):
        def answer(self, *given, cancel=None, **named):
            while self.calls.count("answer") > 25 and not go_on.wait(0.01):  # the first 20 rows are stored
                if cancel():
                    raise isi.Cancelled("cancelled between tokens")
            return super().answer(*given, **named)

    study = isi.run_study(Held(), data, wait=False, **given)
    while len(study) < 3:
        study.wait(0.01)
    study.cancel()
    assert study.wait(120) and 3 <= len(study) < 60
    go_on.set()
    study.resume()
    assert study.wait(120) and len(study) == 60 and study.rows["row"].is_unique


def test_models_take_their_turns_and_are_freed(data, tmp_path, monkeypatch):
    import weakref

    from isi_widget.study import plan

    alive: dict = {}

    def load(name, progress=None, cancel=None):
        assert not [other for other, held in alive.items() if held() is not None]
        model = StubVLM(name)
        alive[name] = weakref.ref(model)
        return model

    monkeypatch.setattr("isi_widget.vlm.load_vlm", load)
    assert plan.Source("a", None, {"name": "a"}).vlm is None
    study = isi.run_study(["a", "b", StubVLM("c")], data, measures="answer", store=tmp_path / "a")
    assert list(alive) == ["a", "b"] and set(study.rows["model"]) == {"a", "b", "c"}
    assert study.models["b"]["fingerprint"] == "b-1"
    alive.clear()
    isi.run_study(["a", "b", StubVLM("c")], data, measures="answer", store=tmp_path / "a")
    assert not alive  # nothing is loaded where nothing is missing


def test_what_is_shared_is_computed_once(data):
    stub = StubVLM()
    conditions = [isi.condition("plain"), isi.condition("again").with_image(preset="natural")]
    study = isi.run_study(stub, data[:1], conditions, seeds=(0, 1, 2), measures=["answer", "uncertainty"])
    assert len(study) == 6
    assert stub.calls.count("prefill") == 1 and stub.calls.count("answer") == 1
    assert stub.calls.count("sample") == 3
    assert len(set(study.rows["stimulus_key"])) == 1
    expected = isi.run_trial(StubVLM(), data[0].stimulus(), seed=2, measures=["answer", "uncertainty"])
    assert study.rows["discrete_semantic_entropy"][5] == expected.uncertainty.discrete_semantic_entropy


def test_a_custom_measure_adds_its_columns(data, tmp_path):
    class Words(isi.Measure):
        name, title = "words", "Words"
        terms = (isi.Term("words", "Words"), isi.Term("words_first", "First"))

        def run(self, shared):
            return {"count": len(shared.answer.text), "first": shared.answer.text[:1]}

        def values(self, record):
            return {"words": record["count"], "words_first": record["first"]}

        def intervals(self, record):
            return {"words": (0.0, 9.0)}

    study = isi.run_study(StubVLM(), data, measures=["answer", Words()], store=tmp_path / "a")
    assert set(study.rows["words"]) <= {2.0, 3.0} and set(study.rows["words_first"]) <= {"Y", "N"}
    assert set(study.rows["words_high"]) == {9.0}
    assert isi.open_study(tmp_path / "a") == study
    assert set(pd.read_parquet(tmp_path / "a" / "parts")["words_first"]) <= {"Y", "N"}


def test_parts_change_with_new_columns(tmp_path, data, monkeypatch):
    from isi_widget.study import store as stores

    monkeypatch.setattr(stores, "PART", 2)
    count = 0

    class Late(isi.Measure):
        name, title = "late", "Late"
        terms = (isi.Term("late", "Late"),)

        def run(self, shared):
            nonlocal count
            count += 1
            return {"value": "text" if count > 4 else float(count)}

        def values(self, record):
            return {"late": record["value"]}

    study = isi.run_study(StubVLM(), data, seeds=(0, 1, 2), measures=["answer", Late()], store=tmp_path / "a")
    found = pd.read_parquet(tmp_path / "a" / "parts").sort_values("row")["late"]
    assert list(found) == ["1.0", "2.0", "3.0", "4.0", *["text"] * 5]
    assert list(isi.open_study(tmp_path / "a").rows["late"]) == list(found) and len(study) == 9


def test_pictures_of_any_size_and_regions_of_another_picture(data, tmp_path):
    import numpy as np

    sizes = [(3, 5), (700, 20), (64, 64)]
    observations = [
        isi.Observation(np.full((height, width, 3), 90, np.uint8), "Is there a star?")
        for width, height in sizes
    ]
    mask = isi.Mask.from_array(np.ones((64, 64), dtype=bool))
    conditions = [
        isi.condition("plain"),
        isi.condition("masked").noise(0.2, region=mask),
        isi.condition("far").box(200, 2, 10, 10),
    ]
    study = isi.run_study(StubVLM(), observations, conditions, measures="answer", max_failing=1)
    failed = study.failed
    assert list(failed["index"]) == [0, 1] and set(failed["condition"]) == {"masked"}
    notes = study.frame(["condition", "index", "notes"])
    outside = notes[(notes["condition"] == "far") & (notes["index"] != 1)]["notes"]
    assert all("paints nothing" in note[0] for note in outside)


def test_a_running_study_holds_no_pictures(tmp_path):
    import gc
    import weakref

    import numpy as np

    from isi_widget.stimulus import Picture, load_image

    alive: list = []
    most = 0

    def lazy(i):
        def make():
            picture = load_image(np.full((50, 60, 3), i % 251, np.uint8))
            alive.append(weakref.ref(picture))
            return picture

        return make

    def watch(stage, done, total):
        nonlocal most
        if done % 10 == 0:
            gc.collect()
            most = max(most, sum(1 for held in alive if held() is not None))

    observations = [isi.Observation(lazy(i), "Is there a star?", id=str(i)) for i in range(60)]
    isi.run_study(StubVLM(), observations, measures="answer", store=tmp_path / "a", progress=watch)
    assert len(alive) == 60 and 0 < most < 12 and isinstance(alive, list) and Picture


def test_a_server_is_a_model_like_any_other(data, tmp_path, monkeypatch):
    pytest.importorskip("openai")
    from scripted_server import Script, serving

    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with serving(Script(logprobs=False)) as address:
        study = isi.run_study(
            isi.connect(address, "seer"), data[:2], samples=2, store=tmp_path / "a", entailment="rules"
        )
        rows = study.frame(study.columns)
        assert not len(study.failed) and set(rows["answer"]) == {"Yes, it is"}
        assert rows["attention_image"].isna().all() and rows["answer_log_likelihood"].isna().all()
        assert rows["discrete_semantic_entropy"].notna().all()
        assert all(any("Not available" in note for note in notes) for notes in rows["notes"])
        with pytest.raises(InputError, match="'attention' is not available"):
            isi.run_study(isi.connect(address, "seer"), data[:2], measures=["answer", "attention"])
    assert isi.open_study(tmp_path / "a") == study
