"""A row is made again from the data of the run or from the store alone: stimulus, trial, probe, code."""

from __future__ import annotations

import json
import shutil

import pytest
from stub_vlm import StubVLM

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.study import again


def crossed(stimulus, text: str):
    """A function of the tests."""
    return stimulus.text(5, 5, text)


CONDITIONS = (
    isi.condition("plain"),
    isi.condition("noise").noise(isi.grid(sigma=[0.2, 0.5]), seed=3),
    isi.condition("told").with_context(preset="contradictory"),
    isi.condition("another picture").with_image(preset="random", seed=4).with_question("Is there a cat?"),
    isi.condition("annotated").with_image(preset="annotated"),
    isi.condition("gone").erase("about", fill="inpaint"),
    isi.condition("crossed").apply(crossed, text="no"),
    isi.condition("no head").intervene(isi.HeadScale(2, 0, 0.0)),
)


@pytest.fixture(scope="module")
def data():
    return isi.datasets.scenes()[:2]


@pytest.fixture(scope="module")
def study(vlm, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("again") / "a"
    return isi.run_study(vlm, data, CONDITIONS, seeds=(3,), store=folder, samples=3, max_failing=1)


@pytest.fixture(scope="module")
def opened(study, tmp_path_factory):
    """The store alone, at another place."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "b"
    shutil.copytree(study.store, elsewhere)
    return isi.open_study(elsewhere)


def worked(study):
    return study.rows[study.rows["error"].isna()]


def test_the_stimulus_of_each_row(study, opened, data):
    points = {condition.name: condition for condition in study.conditions}
    assert len(worked(study)) >= 16
    for _, row in worked(study).iterrows():
        expected = points[row["condition"]](data[row["index"]])
        for source in (study, opened):
            made = source.stimulus(int(row["row"]))
            assert made.key == expected.key == row["stimulus_key"]
            assert made.truth == expected.truth and made.truth_holds == expected.truth_holds
            assert made.render().tobytes() == expected.render().tobytes()


def test_the_trial_of_a_row(study, opened, vlm):
    for number in (1, 4, len(study) - 1):
        row = study.rows.iloc[number]
        for source, given in ((study, None), (opened, vlm), (opened, None)):
            trial = source.trial(row, given)
            assert trial.answer.text == row["answer"]
            assert trial.settings.seed == 3 and trial.settings.samples == 3
            assert trial.uncertainty.bayesian_semantic_entropy == pytest.approx(
                row["bayesian_semantic_entropy"]
            )
            assert json.loads(row["interventions"]) == [item.to_dict() for item in trial.interventions]


def test_a_row_in_a_probe(study, opened):
    number = int(study.rows[study.rows["condition"] == "no head"]["row"].iloc[0])
    for source in (study, opened):
        probe = source.probe(number)
        assert probe.stimulus.key == source.stimulus(number).key
        assert probe.interventions == (isi.HeadScale(2, 0, 0.0),)
        assert probe.settings["seed"] == 3 and probe.settings["samples"] == 3
        assert probe.trial is None
        probe.close()
    told = int(study.rows[study.rows["condition"] == "told"]["row"].iloc[1])
    probe = opened.probe(told, run=True)
    assert probe.trial.answer.text == study.rows.set_index("row")["answer"][told]
    assert "contradictory" in probe.stimulus.presets.context_names
    probe.close()


def test_the_observation_of_a_row(study, opened, data):
    assert study.observation(0) == data[0]
    read = opened.observation(0)
    assert (read.question, read.context, read.answer, read.level) == (
        data[0].question,
        data[0].context,
        data[0].answer,
        data[0].level,
    )
    assert read.image == data[0].image and read.contexts == data[0].contexts


def test_what_cannot_be_made_again(study, opened, tmp_path, data):
    with pytest.raises(InputError, match="no finished row 99"):
        study.stimulus(99)
    bare = isi.run_study(StubVLM(), data, measures="answer", store=tmp_path / "bare", keep_images=False)
    assert bare.stimulus(0) == data[0].stimulus()
    assert not (tmp_path / "bare" / "images").exists()
    with pytest.raises(InputError, match="is not in the store: it was run with keep_images=False"):
        isi.open_study(tmp_path / "bare").stimulus(0)
    with pytest.raises(InputError, match=r"was not loaded by isi.load_vlm"):
        isi.open_study(tmp_path / "bare").trial(0)
    with pytest.raises(InputError, match=r"not the model 'embedded' of the study: name="):
        opened.trial(0, StubVLM())
    broken = isi.run_study(
        StubVLM(), data, isi.condition("of an object").box("unicorn"), measures="answer", max_failing=1
    )
    with pytest.raises(InputError, match="has no stimulus: its condition 'of an object'"):
        broken.stimulus(0)


def test_a_store_of_somebody_else_runs_no_code(opened, tmp_path):
    shutil.copytree(opened.store, tmp_path / "theirs")
    path = tmp_path / "theirs" / "study.json"
    header = json.loads(path.read_text())
    header["models"]["embedded"]["info"]["loaded_with"] = {"trust_remote_code": True}
    path.write_text(json.dumps(header))
    with pytest.raises(InputError, match="was loaded with trust_remote_code, which could run code"):
        isi.open_study(tmp_path / "theirs").trial(0)
    read = isi.open_study(tmp_path / "theirs")
    crossed = next(item for item in read.conditions if item.name == "crossed")
    with pytest.raises(InputError, match="of which only the name is known here"):
        crossed(isi.datasets.scenes()[0])


def test_the_code_repeats_the_study(vlm):
    conditions = [
        isi.condition("plain"),
        isi.condition("noise").noise(isi.grid(sigma=[0.2, 0.5])),
        isi.condition("crossed").apply(crossed, text="no"),
        isi.condition("of another").apply(isi.conditions.random_context, seed=2),
        isi.condition("inside").intervene(isi.HeadScale, 2, 0, isi.grid(factor=[0.0, 0.5])),
    ]
    data = isi.datasets.scenes()[2:4]
    study = isi.run_study(vlm, data, conditions, seeds=(0, 1), measures="answer", baseline="crossed")
    place: dict = {}
    exec(study.code(), place)
    repeated = place["study"]
    different = ["seconds", "created"]
    assert repeated.rows.drop(columns=different).equals(study.rows.drop(columns=different))
    assert repeated.baseline == "crossed"
    assert [item.code() for item in repeated.conditions] == [item.code() for item in study.conditions]


def test_the_code_of_several_models(vlm):
    edited = vlm.intervene(isi.HeadScale(1, 1, 0.0))
    data = isi.datasets.scenes()
    study = isi.run_study({"a": vlm, "b": edited, "c": {"name": None}}, [data[0], data[5]], measures="answer")
    assert list(study.rows["model"]) == ["a", "a", "b", "b", "c", "c"]
    place: dict = {}
    exec(study.code(), place)
    assert list(place["study"].rows["answer"]) == list(study.rows["answer"])
    assert again.model_of(study, "c", None).model_id == "embedded"


def test_a_second_run_is_compared_with_what_is_stored(study, opened, vlm):
    from isi_widget.study.stored import again_words, stored_words

    number = int(worked(study).iloc[3]["row"])
    row, trial = opened.stored(number), study.trial(number)
    assert row["row"] == number and study.differences(number, trial) == {} == opened.differences(row, trial)
    assert trial.answer.text in stored_words(row)
    other = isi.run_trial(vlm, study.stimulus(number).noise(0.9, seed=1), samples=3, seed=3)
    found = opened.differences(number, other)
    assert found["semantic_entropy"] == (row["semantic_entropy"], other.uncertainty.semantic_entropy)
    assert "it gives other results" in again_words(row, found)
    failed = {"row": 1, "error": "no such region", "error_type": "InputError"}
    assert stored_words(failed) == "Stored: failed. InputError: no such region"
    assert again_words(failed, {}) == "Run again with its seed, it does not fail."
    with pytest.raises(InputError, match="no finished row 999"):
        study.stored(999)
