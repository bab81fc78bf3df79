"""A data set through the embedded model: the same numbers as its single trials, stopped and gone on with."""

from __future__ import annotations

import dataclasses
import json
import math
from importlib import metadata

import numpy as np
import pytest
import torch
from made_averages import SameText

import isi_widget
from isi_widget import Cancelled, InputError, Observation, averages, datasets, load_vlm
from isi_widget.datasets import Dataset
from isi_widget.study import METRICS, Averages, work
from isi_widget.trial import run_trial, run_trials

HOW = {"samples": 4, "max_new_tokens": 12, "entailment": SameText()}
DATA = datasets.scenes()[4:9]


@pytest.fixture
def runs(monkeypatch):
    """The stimuli that were run."""
    seen = []

    def counted(vlm, stimulus, *given, **settings):
        seen.append(stimulus)
        return run_trials(vlm, stimulus, *given, **settings)

    monkeypatch.setattr(work, "run_trials", counted)
    return seen


@pytest.fixture(scope="module")
def whole(vlm):
    return averages(vlm, DATA, **HOW)


def same(one, other):
    """Equal but for the time."""
    return dataclasses.replace(one, created="") == dataclasses.replace(other, created="")


def stop_after(done):
    """(progress, cancel): asks to stop once so many observations are done."""
    told = [0]
    return (lambda stage, now, total: told.__setitem__(0, now)), (lambda: told[0] >= done)


# -------------------------------------------------------------------------------------------- what it runs
def test_every_number_is_that_of_the_trial_of_its_own(vlm, whole):
    assert len(whole) == 5 and [row.id for row in whole.rows] == [obs.id for obs in DATA]
    frames = [run_trial(vlm, obs.stimulus(), **HOW) for obs in DATA]
    for name in METRICS:
        if name == "answer_probability":
            expected = [math.exp(sum(trial.answer.logprobs)) for trial in frames]
        else:
            expected = [float(trial.to_frame()[name].iloc[0]) for trial in frames]
        assert whole.values(name) == pytest.approx(np.array(expected), rel=1e-6, nan_ok=True), name
        assert whole.mean(name) == pytest.approx(sum(expected) / 5, rel=1e-6), name
    assert len(set(whole.values("predictive_entropy"))) == 5  # they are of five different observations


def test_it_keeps_what_says_of_what_it_is(vlm, whole):
    assert (whole.data, whole.condition, whole.entailment) == ("scenes demo", "", "same text")
    assert (whole.settings.samples, whole.settings.max_new_tokens) == (4, 12)
    assert whole.model["fingerprint"] == vlm.info()["fingerprint"] and whole.model["name"] == "embedded"
    assert whole.versions["torch"] == metadata.version("torch")
    assert whole.created > "2026" and whole.notes == ()


def test_progress_goes_from_none_to_all(vlm):
    told = []
    averages(vlm, DATA[:2], **HOW, progress=lambda *step: told.append(step))
    assert told == [("observations", done, 2) for done in (0, 1, 2)]


def test_a_condition_changes_what_is_shown(vlm, whole):
    def contradicted(observation):
        return observation.stimulus().with_context(preset="contradictory")

    made = averages(vlm, DATA, condition=contradicted, **HOW)
    assert made.condition == "contradicted" and made.mean("attention_context") > 0
    assert whole.mean("attention_context") == 0
    expected = run_trial(vlm, contradicted(DATA[1]), **HOW)
    assert made.rows[1].predictive_entropy == pytest.approx(expected.uncertainty.predictive_entropy, rel=1e-6)


def test_a_note_says_where_the_truth_is_that_of_the_original_picture(vlm):
    def noted(condition):
        made = averages(vlm, datasets.scenes()[:1], condition=condition, samples=2)
        return any("truth of the original picture" in note for note in made.notes)

    assert noted(lambda obs: obs.stimulus().mirror())
    assert not noted(lambda obs: obs.stimulus().noise(0.1))


def test_observations_without_a_data_set_go_by_their_index(vlm):
    plain = [Observation(obs.image, obs.question) for obs in DATA[:2]]
    made = averages(vlm, plain, **HOW)
    assert made.data == "2 observations" and [row.id for row in made.rows] == ["0", "1"]
    assert math.isnan(made.accuracy)


def test_without_data_it_is_the_built_in_scenes(vlm):
    told = []
    with pytest.raises(Cancelled, match="0 of 100"):
        averages(vlm, progress=lambda *step: told.append(step), cancel=lambda: True)
    assert told == [("observations", 0, 100)]


# ---------------------------------------------------------------------------------------------- going on
@pytest.mark.parametrize("done", [0, 1, 3, 5])
def test_a_run_that_is_cancelled_goes_on_where_it_stopped(vlm, tmp_path, whole, runs, done):
    path = tmp_path / "store"
    progress, cancel = stop_after(done)
    if done < 5:
        with pytest.raises(Cancelled, match=f"{done} of 5 observations.*{path.name}.*goes on"):
            averages(vlm, DATA, **HOW, store=path, progress=progress, cancel=cancel)
    else:
        averages(vlm, DATA, **HOW, store=path)
    assert len(runs) == done and path.is_dir()
    if done < 5:
        with pytest.raises(InputError, match=f"{done} of 5 observations"):
            Averages.load(path)
    told = []
    made = averages(vlm, DATA, **HOW, store=str(path), progress=lambda *step: told.append(step))
    assert len(runs) == 5 and same(made, whole) and Averages.load(path) == made
    assert told == [("observations", number, 5) for number in range(done, 6)]
    assert [item.name for item in tmp_path.iterdir()] == ["store"]


def test_cancel_is_heard_between_tokens(vlm, tmp_path, runs):
    path, polls = tmp_path / "store", [0]

    def cancel():
        polls[0] += len(runs) == 2  # in the second trial, some steps after its beginning
        return polls[0] > 5

    with pytest.raises(Cancelled, match="1 of 5"):
        averages(vlm, DATA, **HOW, store=path, cancel=cancel)
    assert len(runs) == 2 and len(isi_widget.open_study(path)) == 1


def test_cancelled_without_a_store_nothing_is_kept_and_that_is_said(vlm):
    progress, cancel = stop_after(1)
    with pytest.raises(Cancelled, match=r"1 of 5 observations\. Nothing is kept: give store="):
        averages(vlm, DATA, **HOW, progress=progress, cancel=cancel)


def test_a_failure_names_its_observation_and_keeps_those_before(vlm, tmp_path, runs):
    def broken():
        raise InputError("The image is broken.")

    path = tmp_path / "store"
    data = [*DATA[:2], Observation(broken, "Is there a star?", id="bad")]
    with pytest.raises(InputError, match="The image is broken") as caught:
        averages(vlm, data, **HOW, store=path)
    assert caught.value.__notes__ == ["at observation 2 ('bad') of 3 observations"]
    mended = [*data[:2], Observation(DATA[3].image, "Is there a star?", id="bad")]
    assert len(averages(vlm, mended, **HOW, store=path)) == 3 and len(runs) == 3


def test_versions_of_both_parts_are_kept(vlm, tmp_path):
    path = tmp_path / "store"
    progress, cancel = stop_after(1)
    with pytest.raises(Cancelled):
        averages(vlm, DATA[:2], **HOW, store=path, progress=progress, cancel=cancel)
    kept = json.loads((path / "study.json").read_text())
    kept["versions"]["torch"] = "1.0"
    (path / "study.json").write_text(json.dumps(kept))
    made = averages(vlm, DATA[:2], **HOW, store=path)
    assert made.versions["torch"].startswith("1.0, 2.") and ", " not in made.versions["python"]


# ----------------------------------------------------------------------------------------------- refusals
@pytest.fixture
def started(vlm, tmp_path):
    """A store with two of three observations."""
    path = tmp_path / "store"
    progress, cancel = stop_after(2)
    with pytest.raises(Cancelled):
        averages(vlm, DATA[:3], **HOW, store=path, progress=progress, cancel=cancel)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 5}, "samples=4, not 5"),
        ({"temperature": 0.5}, "temperature=0.9, not 0.5"),
        ({"seed": 1}, "its seeds are [0], not [1]"),
        ({"strict_entailment": True}, "strict_entailment=False, not True"),
        ({"max_new_tokens": 13}, "max_new_tokens=12, not 13"),
        ({"entailment": None}, "entailment='same text', not 'embedded'"),
        ({"condition": lambda obs: obs.stimulus()}, "conditions are ['unchanged'], not ['<lambda>']"),
        ({"data": DATA[:2]}, "it has 3 observations, not 2"),
        ({"data": Dataset(list(DATA[:3]), "mine")}, "data are 'scenes demo', not 'mine'"),
        ({"data": DATA[1:4]}, "its data have other ids, questions, contexts or true answers"),
    ],
)
def test_a_store_of_another_run_is_refused(vlm, started, runs, change, message):
    before = {path.name: path.read_bytes() for path in started.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="another run") as caught:
        averages(vlm, **{"data": DATA[:3], **HOW, **change}, store=started)
    assert message in str(caught.value) and "delete this one" in str(caught.value)
    assert not runs
    assert before == {path.name: path.read_bytes() for path in started.rglob("*") if path.is_file()}


def test_a_store_of_another_truth_is_refused(vlm, started, runs):
    first = DATA[0]
    turned = Observation(first.image, first.question, answer="purple", id=first.id)
    data = Dataset([turned, *DATA[1:3]], DATA.name)
    with pytest.raises(InputError, match="its data have other ids, questions, contexts or true answers"):
        averages(vlm, data, **HOW, store=started)
    assert not runs


def test_a_store_of_another_model_is_refused(started, runs):
    with pytest.raises(InputError, match="dtype='float32', not 'bfloat16' in the model"):
        averages(load_vlm(dtype="bfloat16"), DATA[:3], **HOW, store=started)
    assert not runs


def test_a_store_of_the_same_name_with_other_weights_is_refused(started, runs):
    other = load_vlm()
    with torch.no_grad():
        other.model.lm_head.weight[5, 7] += 0.25
    with pytest.raises(InputError, match="fingerprint="):
        averages(other, DATA[:3], **HOW, store=started)
    assert not runs


def test_weights_that_change_meanwhile_are_refused(runs, tmp_path):
    path, other = tmp_path / "store", load_vlm()

    def change(stage, done, total):
        if done == 2:
            with torch.no_grad():
                other.model.lm_head.weight[5, 7] += 0.25

    with pytest.raises(InputError, match=r"has changed since the earlier rows of .*: fingerprint="):
        averages(other, DATA, **HOW, store=path, progress=change)
    assert len(isi_widget.open_study(path)) == 2


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 7}'])
def test_a_store_that_is_none_is_refused_and_left(vlm, tmp_path, runs, text):
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(InputError):
        averages(vlm, DATA, **HOW, store=path)
    assert path.read_text() == text and not runs


def test_a_store_that_cannot_be_written_is_refused_before_anything_is_run(vlm, tmp_path, runs):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="Name a folder that can be written to"):
        averages(vlm, DATA, **HOW, store=tmp_path / "file" / "store")
    assert not runs


# ------------------------------------------------------------------------------- files of earlier versions
def test_a_complete_file_of_an_earlier_version_is_loaded(vlm, whole, runs, tmp_path):
    path = whole.save(tmp_path / "old.json")
    before = path.read_bytes()
    assert averages(vlm, DATA, **HOW, store=path) == whole and not runs
    with pytest.raises(InputError, match="another run: samples=4, not 5"):
        averages(vlm, DATA, **{**HOW, "samples": 5}, store=path)
    with pytest.raises(InputError, match="observation 0 was a different one"):
        averages(vlm, Dataset(list(DATA[::-1]), DATA.name), **HOW, store=path)
    assert not runs and path.read_bytes() == before


def test_an_unfinished_file_of_an_earlier_version_is_left(vlm, whole, runs, tmp_path):
    path = tmp_path / "old.json"
    record = whole.to_dict()
    path.write_text(json.dumps({**record, "rows": record["rows"][:3]}))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"unfinished: 3 of 5 observations. Name a folder"):
        averages(vlm, DATA, **HOW, store=path)
    assert not runs and path.read_bytes() == before


def test_observations_may_be_added(vlm, whole, started, runs):
    assert same(averages(vlm, DATA, **HOW, store=started), whole) and len(runs) == 3


def test_a_study_with_one_condition_is_averages(vlm, whole, tmp_path):
    folder = tmp_path / "study"
    study = isi_widget.run_study(vlm, DATA, store=folder, **HOW)
    made = Averages.load(folder)
    assert made.rows == whole.rows and made.condition == "plain" and len(study) == 5
    isi_widget.run_study(vlm, DATA, store=tmp_path / "two", seeds=(0, 1), measures="answer")
    with pytest.raises(InputError, match="one model, one condition and one seed; this study has 1, 1 and 2"):
        Averages.load(tmp_path / "two")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "samples must be"),
        ({"temperature": 0}, "temperature must be"),
        ({"data": []}, "at least one Observation; got none"),
        ({"data": [3]}, "at least one Observation; got int"),
        ({"data": "photo.jpg"}, "a data set or a list of observations; got str"),
        ({"data": datasets.scenes("train")}, "islice"),
        ({"condition": lambda obs: obs}, "must return a Stimulus; it returned Observation"),
        ({"entailment": 3}, "entailment must be"),
    ],
)
def test_what_makes_no_sense_is_refused(vlm, arguments, message):
    with pytest.raises(InputError, match=message):
        averages(vlm, **{"data": DATA[:1], **arguments})


def test_a_model_is_needed():
    with pytest.raises(InputError, match="need a VLM"):
        averages("embedded", DATA)


# ------------------------------------------------------------------------------------------- one bad item
@pytest.fixture
def table(tmp_path):
    """A CSV data set of five of which one picture is truncated: its header is fine."""
    rows = []
    for i, obs in enumerate(DATA):
        obs.image.pil().save(tmp_path / f"{i}.jpg", quality=95)
        rows.append(f"{i}.jpg,{obs.question},{obs.answer}")
    data = (tmp_path / "2.jpg").read_bytes()
    (tmp_path / "2.jpg").write_bytes(data[: len(data) // 3])
    (tmp_path / "my.csv").write_text("image,question,answer\n" + "\n".join(rows) + "\n")
    return tmp_path, data


def read(folder):
    return datasets.from_csv(folder / "my.csv", folder)


def test_a_truncated_picture_stops_the_run_unless_it_is_to_be_skipped(vlm, table, tmp_path):
    store = tmp_path / "store"
    with pytest.raises(InputError, match="damaged or truncated") as caught:
        averages(vlm, read(table[0]), store=store, **HOW)
    assert caught.value.__notes__ == ["at observation 2 ('2.jpg') of my"]
    with pytest.warns(UserWarning, match=r"1 of 5 observations was skipped.*observation 2 \('2.jpg'\)"):
        made = averages(vlm, read(table[0]), store=store, on_error="skip", **HOW)
    assert [row.id for row in made.rows] == ["0.jpg", "1.jpg", "3.jpg", "4.jpg"] and made.size == 5
    (left,) = made.skipped
    assert (left.index, left.id) == (2, "2.jpg") and "truncated" in left.reason
    assert Averages.load(store) == made == Averages.from_dict(made.to_dict())
    assert "1 of 5 observations were skipped" in made._repr_html_() and "2.jpg" in made._repr_html_()
    assert "1 skipped" in repr(made)


def test_what_was_skipped_is_tried_again_and_nothing_else(vlm, table, tmp_path, runs):
    store = tmp_path / "store"
    with pytest.warns(UserWarning, match="skipped"):
        averages(vlm, read(table[0]), store=store, on_error="skip", **HOW)
    with pytest.warns(UserWarning, match="skipped"):
        again = averages(vlm, read(table[0]), store=store, on_error="skip", **HOW)
    assert len(runs) == 4 and len(again.skipped) == 1
    (table[0] / "2.jpg").write_bytes(table[1])  # mended
    mended = averages(vlm, read(table[0]), store=store, **HOW)
    assert len(runs) == 5 and [row.id for row in mended.rows] == [f"{i}.jpg" for i in range(5)]
    assert mended.skipped == () and "skipped" not in mended.to_dict()
    assert same(mended, averages(vlm, read(table[0]), **HOW))


@pytest.mark.parametrize("kind", [InputError, TypeError, OSError, MemoryError])
def test_any_error_of_one_observation_can_be_skipped_also_the_first(vlm, kind, tmp_path):
    def condition(obs):
        if obs.id in (DATA[0].id, DATA[4].id):
            raise kind("of this one")
        return obs.stimulus()

    store = tmp_path / "store"
    told, cancel = stop_after(3)
    with pytest.raises(Cancelled, match=r"3 of 5 observations\. 1 of them were skipped"):
        averages(
            vlm, DATA, condition=condition, store=store, on_error="skip", progress=told, cancel=cancel, **HOW
        )
    with pytest.warns(UserWarning, match="2 of 5"):
        made = averages(vlm, DATA, condition=condition, store=store, on_error="skip", **HOW)
    assert [item.index for item in made.skipped] == [0, 4] and len(made) == 3
    assert made.skipped[0].reason == "of this one"


def test_if_nothing_can_be_run_the_first_reason_is_said(vlm):
    def condition(obs):
        raise ValueError("no such preset")

    with pytest.raises(InputError, match=r"None of the 5 observations.*observation 0.*no such preset"):
        averages(vlm, DATA, condition=condition, on_error="skip", **HOW)
    with pytest.raises(InputError, match="on_error must be one of"):
        averages(vlm, DATA, on_error="ignore", **HOW)


def test_a_store_of_another_run_is_refused_whatever_is_skipped(vlm, tmp_path):
    store = tmp_path / "store"
    averages(vlm, DATA, store=store, **HOW)
    with pytest.raises(InputError, match="another run"):
        averages(vlm, DATA, condition=lambda obs: obs.stimulus().blur(3), store=store, on_error="skip", **HOW)
    with pytest.raises(InputError, match="another run"):
        averages(vlm, datasets.scenes()[5:10], store=store, on_error="skip", **HOW)


@pytest.mark.parametrize("skipped", [5, [[9, "a", "b"]], [[0, "a"]], [[1, "a", "b"], [1, "a", "b"]], ["abc"]])
def test_a_broken_list_of_what_was_skipped_is_refused(whole, skipped):
    with pytest.raises(InputError, match="broken"):
        Averages.from_dict({**whole.to_dict(), "skipped": skipped})
