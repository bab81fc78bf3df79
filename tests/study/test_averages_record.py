"""The record of averages: nothing is lost in a file, and every statistic agrees with another way to it."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_averages import HOSTILE, make_averages, make_row, make_silent_trial, make_trial
from scipy import stats

from isi_widget import InputError
from isi_widget.study import METRICS, Averages, Row, record

# seven significant digits, as rows keep them; NaN and infinity among them
numbers = st.floats(min_value=-1e6, max_value=1e6).map(lambda x: float(f"{x:.7g}") + 0.0) | st.sampled_from(
    [math.nan, math.inf]
)
rows = st.builds(
    make_row,
    numbers,
    id=st.text(),
    level=st.none() | st.text(),
    correct=st.none() | st.booleans(),
    answer_probability=numbers,
    predictive_entropy=numbers,
    clusters=numbers,
    attention_image=numbers,
    tokens=st.integers(0, 4096),
)
few = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=30)


def of(values, name="semantic_entropy"):
    return make_averages(*(make_row(index=i, **{name: value}) for i, value in enumerate(values)))


# ------------------------------------------------------------------------------------------------ as data
@given(st.lists(rows, min_size=1, max_size=4), st.text(), st.text())
def test_nothing_is_lost_in_json_or_pickle(many, data, condition):
    made = make_averages(*many, data=data, condition=condition, notes=(data,))
    text = json.dumps(made.to_dict(), allow_nan=False)
    for again in (Averages.from_dict(json.loads(text)), pickle.loads(pickle.dumps(made))):
        assert again == made and hash(again) == hash(made)
        assert repr(again.rows) == repr(made.rows)  # NaN is not equal to itself
        assert (again.settings, again.notes) == (made.settings, made.notes)


def test_a_file_holds_it_and_a_failed_write_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    first, second = of([1, 2]), of([3, 4])
    assert first.save(path) == path and Averages.load(path) == first
    with monkeypatch.context() as patch:
        patch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(InputError, match="No space left"):
            second.save(path)
    assert Averages.load(path) == first and [item.name for item in tmp_path.iterdir()] == ["a.json"]
    second.save(path)
    assert Averages.load(path) == second


def test_it_cannot_be_changed():
    made = make_averages()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.data = "other"
    assert made != dataclasses.replace(made, data="other") and made != "shapes"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("rows"), "lacks rows"),
        (lambda r: r.update(schema=2), "schema 1: got schema 2"),
        (lambda r: r.update(more=1), "newer isi-widget"),
        (lambda r: r["columns"].reverse(), "have the columns"),
        (lambda r: r["rows"][0].pop(), "row of these averages is broken"),
        (lambda r: r["rows"].append(3), "row of these averages is broken"),
        (lambda r: r["rows"][0].__setitem__(5, "much"), "row of these averages is broken"),
        (lambda r: r.update(size=9), "4 of 9 observations"),
        (lambda r: r.update(rows=[]), "at least one observation"),
    ],
)
def test_broken_records_are_refused(change, message):
    broken = make_averages().to_dict()
    change(broken)
    with pytest.raises(InputError, match=message):
        Averages.from_dict(broken)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\ufffd", '{"schema": 1}', "{}"])
def test_files_of_something_else_are_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        Averages.load(path)


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.json.*No such file"):
        Averages.load(tmp_path / "none.json")
    with pytest.raises(InputError, match="No such file"):
        make_averages().save(tmp_path / "none" / "a.json")


# ------------------------------------------------------------------------------------------------ a row
def test_a_row_keeps_what_the_trials_own_frame_says():
    trial = make_trial()
    row, frame = Row.of(trial, "a", "object"), trial.to_frame().iloc[0]
    for name in METRICS:
        if name != "answer_probability":
            assert row.get(name) == pytest.approx(float(frame[name]), rel=1e-6), name
    assert row.get("answer_probability") == pytest.approx(math.exp(-1), rel=1e-6)
    assert (row.id, row.level, row.correct, row.tokens, row.cut) == ("a", "object", True, 2, 0)
    relative = trial.attention.relative()
    assert {name: row.get(f"attention_relative_{name}") for name in relative} == pytest.approx(relative)


def test_what_a_model_does_not_tell_is_nan_not_zero():
    row = Row.of(make_silent_trial(), "a", None)
    told = {name for name in METRICS if not math.isnan(row.get(name))}
    known = {"bayesian_semantic_entropy", "discrete_semantic_entropy", "rao_quadratic_entropy"}
    assert told == {"correct", "clusters", *known}
    made = make_averages(row)
    assert math.isnan(made.mean("semantic_entropy")) and math.isnan(made.percentile("semantic_entropy", 1))
    assert all(map(math.isnan, made.interval("semantic_entropy")))
    assert "not available" in made._repr_html_()


def test_an_empty_answer_has_no_probability_and_no_truth_no_verdict():
    trial = make_trial()
    empty = dataclasses.replace(trial.answer, text="", token_ids=(), tokens=(), logprobs=())
    silent = trial.with_results(answer=empty, attention=None)
    assert math.isnan(Row.of(silent, "a", None).answer_probability)
    free = dataclasses.replace(trial, stimulus=dataclasses.replace(trial.stimulus, true_answer=None))
    row = Row.of(free, "a", None)
    assert row.correct is None and math.isnan(row.get("correct"))
    assert math.isnan(make_averages(row).accuracy)


def test_cut_answers_and_the_longest_one_are_counted():
    trial = make_trial()
    cut = dataclasses.replace(trial.uncertainty.answers[1], finished=False)
    long = dataclasses.replace(
        trial.uncertainty.answers[0], token_ids=(1,) * 9, tokens=("a",) * 9, logprobs=(-1.0,) * 9
    )
    sampled = dataclasses.replace(trial.uncertainty, answers=(long, cut, cut, trial.uncertainty.answers[3]))
    shown = dataclasses.replace(trial.answer, finished=False)
    row = Row.of(trial.with_results(uncertainty=sampled, answer=shown), "a", None)
    assert (row.tokens, row.cut) == (9, 3)


def test_the_id_of_a_stimulus_tells_what_is_shown_and_what_is_true():
    one = make_trial().stimulus
    others = (one.box(0, 0, 2, 2), one.with_context(""), dataclasses.replace(one, true_answer="No"))
    ids = {record.stimulus_id(stimulus) for stimulus in (one, *others)}
    assert len(ids) == 4 and record.stimulus_id(dataclasses.replace(one)) in ids


# ------------------------------------------------------------------------------------------- statistics
@given(few, st.sampled_from(METRICS[1:-3]))
def test_means_agree_with_a_loop(values, name):
    assert of(values, name).mean(name) == pytest.approx(sum(values) / len(values))


def test_means_are_over_what_was_measured():
    made = of([1.0, math.nan, 4.0])
    assert made.mean("semantic_entropy") == 2.5 and len(made) == 3
    assert of([1.0, math.inf]).mean("semantic_entropy") == math.inf
    right = make_averages(*(make_row(correct=value) for value in (True, False, None, True)))
    assert right.accuracy == pytest.approx(2 / 3)


@given(few, st.integers(-1, 5))
def test_percentiles_agree_with_scipy(values, value):
    expected = stats.percentileofscore(values, value, kind="mean")
    assert of(values).percentile("semantic_entropy", value) == pytest.approx(expected)


@given(few, st.integers(-1, 5))
def test_percentiles_agree_with_counting(values, value):
    below = sum(1 for other in values if other < value)
    equal = sum(1 for other in values if other == value)
    shown = of([*values, math.nan]).percentile("semantic_entropy", value)
    assert shown == pytest.approx(100 * (below + equal / 2) / len(values))


def test_values_that_differ_by_rounding_alone_are_equal():
    made = of([0.1 + 0.2, 0.3, 12.34567])
    assert made.percentile("semantic_entropy", 0.3) == pytest.approx(100 / 3)
    assert made.percentile("semantic_entropy", 12.345672) == pytest.approx(100 * 2.5 / 3)
    assert made.percentile("semantic_entropy", 0.3001) == pytest.approx(100 * 2 / 3)
    assert made.percentile("semantic_entropy", math.inf) == 100
    assert math.isnan(made.percentile("semantic_entropy", math.nan))


def test_intervals_agree_with_scipys_bootstrap_and_with_the_normal_limit():
    values = np.random.default_rng(3).gamma(2.0, 0.4, 200).round(4)
    low, high = of(values).interval("semantic_entropy", resamples=20_000)
    scipy = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1)
    error = values.std() / math.sqrt(len(values))
    assert (low, high) == pytest.approx(tuple(scipy.confidence_interval), abs=0.1 * error)
    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.2 * error
    )
    wide = of(values).interval("semantic_entropy", level=0.99)
    assert wide[0] < low < high < wide[1]


def test_an_interval_is_that_of_a_loop_over_resamples(monkeypatch):
    values = [0.0, 0.0, 1.0, 3.0, 7.0]
    random = np.random.default_rng(5)
    means = sorted(np.mean([values[i] for i in random.integers(5, size=5)]) for _ in range(400))
    expected = (means[math.ceil(0.05 * 400) - 1], means[math.ceil(0.95 * 400) - 1])
    made = of(values)
    found = made.interval("semantic_entropy", level=0.9, resamples=400, seed=5)
    assert found == pytest.approx(expected)
    monkeypatch.setattr(record, "_CELLS", 7)  # one resample at a time
    assert made.interval("semantic_entropy", level=0.9, resamples=400, seed=5) == pytest.approx(expected)


def test_an_interval_of_one_observation_is_its_value():
    assert of([2.0]).interval("semantic_entropy") == (2.0, 2.0)
    with pytest.raises(InputError, match="level"):
        of([2.0]).interval("semantic_entropy", level=95)


@pytest.mark.parametrize("ask", ["mean", "interval", "values"])
def test_unknown_measures_are_refused_with_the_known_ones(ask):
    with pytest.raises(InputError, match=r"'entropy'.*semantic_entropy"):
        getattr(make_averages(), ask)("entropy")


# ------------------------------------------------------------------------------------------- as pictures
class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.text += data


def test_the_page_escapes_every_text():
    model = dict.fromkeys(make_averages().model, HOSTILE)
    made = make_averages(
        data=HOSTILE,
        condition=HOSTILE,
        notes=(HOSTILE,),
        model=model,
        entailment=HOSTILE,
        versions={HOSTILE: HOSTILE},
        created=HOSTILE,
    )
    page = _Tags()
    page.feed(made._repr_html_())
    assert not page.tags & {"script", "img"} and page.text.count(HOSTILE) >= 8
    assert repr(made)


def test_the_page_and_the_line_show_means_with_intervals():
    made = make_averages()
    for name in ("bayesian_semantic_entropy", "semantic_entropy"):
        low, high = made.interval(name)
        text = f"{made.mean(name):.3f} [{low:.3f}, {high:.3f}]"
        assert f"{text} nats" in made._repr_html_()
        assert (f"{name}={text}" in repr(made)) == (name == "bayesian_semantic_entropy")
    assert "accuracy=1.000" in repr(made) and "4 observations" in repr(made)
    assert "0.50 of the inputs" in made._repr_html_()


def test_a_frame_has_every_measure_of_every_observation():
    made = of([0.5, math.nan, 2.0])
    frame = made.to_frame()
    assert list(frame.id) == ["o0", "o1", "o2"] and set(METRICS) < set(frame.columns)
    assert frame.semantic_entropy.mean() == pytest.approx(made.mean("semantic_entropy"))
    assert frame.attention_relative_image.tolist() == pytest.approx([0.5] * 3)
    assert frame.correct.tolist() == [True] * 3
