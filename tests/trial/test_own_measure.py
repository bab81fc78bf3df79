"""A measure that somebody else defines, as docs/add_your_measure.md shows it: the very code runs here."""

from __future__ import annotations

import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from pypdf import PdfReader

import isi_widget as isi
from isi_widget.errors import InputError, OutOfMemory
from isi_widget.study.compare import Comparison
from isi_widget.trial import columns as columns_of_trials
from isi_widget.trial import measures as known

DOCUMENT = Path(__file__).parents[2] / "docs" / "add_your_measure.md"


def block(name):
    """The Python below a comment of the document."""
    return re.search(rf"<!-- {name} -->\n```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)[1]


@pytest.fixture(scope="module")
def vlm():
    return isi.load_vlm()


@pytest.fixture(scope="module")
def stimulus():
    return isi.datasets.scenes()[3].stimulus()


@pytest.fixture
def words():
    namespace = {}
    exec(block("measure"), namespace)
    yield namespace["Words"]
    for name in ("words", "long_words", "broken", "heavy"):
        known.forget_measure(name)


def test_it_is_short():
    assert len(block("measure").strip().splitlines()) <= 30


@pytest.mark.filterwarnings("ignore:The font")
def test_it_is_found_everywhere(words, vlm, stimulus):
    everything = isi.run_trial(vlm, stimulus, samples=2)
    said = everything.answer.text.split()
    assert list(everything.results) == ["answer", "yes_no", "uncertainty", "attention", "words"]
    assert everything.results["words"] == said and everything.settings.measures[-1] == "words"
    trial = isi.run_trial(vlm, stimulus, measures=["words"])
    assert trial.answer == everything.answer  # what it needs is kept
    assert isi.Trial.from_dict(json.loads(json.dumps(trial.to_dict(), allow_nan=False))) == trial

    frame = trial.to_frame()
    assert frame["words"][0] == len(said) and frame["words_longest"][0] == max(said, key=len)

    (measure,) = trial.view()["measures"]
    assert (measure["name"], measure["title"]) == ("words", "Words")
    number, longest = measure["columns"]
    assert number == {
        "name": "words",
        "label": "Words",
        "unit": "words",
        "value": len(said),
        "text": str(len(said)),
        "interval": None,
        "scale": 20,
        "definition": "Number of words of the answer. A long one is not better.",
    }
    assert (longest["value"], longest["scale"]) == (max(said, key=len), None)
    json.dumps(trial.view(), allow_nan=False)

    page = trial._repr_html_()
    assert "Longest word" in page and "A long one is not better." in page
    text = "".join(part.extract_text() for part in PdfReader(_file(trial)).pages)
    assert "How long the answer is, in words." in text and "Longest word" in text
    assert trial.plot().get_axes()[-1].get_title() == "Words"


def _file(trials):
    import io

    return io.BytesIO(isi.report(trials))


def test_a_comparison_has_a_row_for_each_number_and_marks_what_differs(words, vlm, stimulus):
    one = isi.run_trial(vlm, stimulus, measures=["words"])
    other = one.with_results(words=["a", "longer", "answer"])
    page = Comparison((one, one, other), ("a", "b", "c"))._repr_html_()
    (row,) = re.findall(r"<tr[^>]*><th[^>]*>Words \(words\).*?</tr>", page)
    assert row.count("<svg") == 3 and re.findall(r"<mark[^>]*>(\d+)</mark>", row) == ["3"]
    made = isi.compare([stimulus, stimulus.noise(0.5)], vlm, measures=["words"])
    assert list(made.to_frame()["words"]) == [len(trial.results["words"]) for trial in made.trials]
    assert Comparison.from_dict(made.to_dict()).to_dict() == made.to_dict()
    assert "Longest word" in "".join(part.extract_text() for part in PdfReader(_file(made)).pages)


def test_where_it_is_not_known_its_record_is_kept(words, vlm, stimulus):
    trial = isi.run_trial(vlm, stimulus, measures=["words"])
    record = trial.to_dict()
    known.forget_measure("words")
    read = isi.Trial.from_dict(record)
    assert read.results["words"].data == trial.results["words"] and read.to_dict() == record
    assert read.view()["measures"] == [] and "words" not in read.to_frame()
    (note,) = [note for note in read.view()["notes"] if "'words'" in note]
    assert "register_measure" in note
    assert read._repr_html_() and isi.report(read)
    isi.register_measure(words)
    assert isi.Trial.from_dict(record) == trial


def test_an_object_is_taken_with_its_settings(words, vlm, stimulus):
    namespace = {"isi": isi, "vlm": vlm, "stimulus": stimulus}
    exec(block("settings"), namespace)
    trial, long_words = namespace["trial"], namespace["LongWords"]
    assert trial.results["long_words"] == sum(len(word) >= 3 for word in trial.answer.text.split())
    assert trial.settings.of_measures == {"long_words": {"letters": 3}}
    read = isi.Trial.from_dict(json.loads(json.dumps(trial.to_dict())))
    assert read == trial and read.settings == trial.settings
    assert isi.open_report(isi.report(trial)).settings == trial.settings
    assert read.view(details=True)["settings"]["long_words, letters"] == 3
    again = {"isi": isi}
    exec(read.code(), again)
    assert again["trial"].results == trial.results and again["trial"].settings == trial.settings
    assert "long_words" not in isi.run_trial(vlm, stimulus, samples=2).results  # only passed, not registered
    with pytest.raises(InputError, match="letters must be a whole number from 1 to 40; got 0"):
        isi.run_trial(vlm, stimulus, measures="long_words", of_measures={"long_words": {"letters": 0}})
    with pytest.raises(InputError, match="'long_words' has no setting length; it has letters"):
        isi.run_trial(vlm, stimulus, measures="long_words", of_measures={"long_words": {"length": 0}})
    assert isi.run_trial(vlm, stimulus, measures=[long_words()]).settings.of_measures == {}


def test_what_the_document_says_runs(words, vlm):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        namespace = {"isi": isi}
        exec(block("use"), namespace)
    assert namespace["trial"].results["words"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "two words"}, "needs a name that is a Python name"),
        ({"name": "answer"}, "'answer' is a measure of isi_widget itself"),
        ({"title": ""}, "needs a title and at least one Term"),
        ({"terms": ()}, "needs a title and at least one Term"),
        ({"needs": ("soup",)}, "needs soup; what there is: prompt, answer, attention, samples"),
        ({"terms": (isi.Term("length", "Length"),)}, "must be called 'broken' or begin with 'broken_'"),
    ],
)
def test_what_is_no_measure_is_refused(change, message):
    body = {"name": "broken", "title": "Broken", "terms": (isi.Term("broken", "Broken"),), **change}
    with pytest.raises(InputError, match=message):
        isi.register_measure(type("Broken", (isi.Measure,), body))
    with pytest.raises(InputError, match=r"must be an isi\.Measure; got int"):
        isi.register_measure(3)


def test_a_name_that_is_not_known_is_refused(vlm, stimulus):
    with pytest.raises(InputError, match=r"at least one of answer, yes_no, .* got 'shapley'"):
        isi.run_trial(vlm, stimulus, measures=["answer", "shapley"])


def test_an_error_says_which_measure_it_was_and_one_that_does_not_fit_loses_nothing(words, vlm, stimulus):
    class Heavy(words):
        name, title, uses_model = "heavy", "Heavy measure", True
        terms = (isi.Term("heavy", "Heavy"),)

        def run(self, shared):
            raise OutOfMemory("It does not fit.")

    trial = isi.run_trial(vlm, stimulus, measures=["answer", Heavy()])
    assert trial.answer is not None and "heavy" not in trial.results
    assert trial.notes[-1] == "The heavy measure was not measured: It does not fit."

    class Broken(Heavy):
        name = "broken"
        terms = (isi.Term("broken", "Broken"),)

        def run(self, shared):
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong") as caught:
        isi.run_trial(vlm, stimulus, measures=["answer", Broken()])
    assert caught.value.__notes__ == ["in the measure 'broken'"]


def test_a_registered_measure_that_fails_and_that_nobody_named_loses_nothing(words, forgotten, vlm, stimulus):
    class Broken(words):
        name, title, needs = "broken", "Broken measure", ("answer",)
        terms = (isi.Term("broken", "Broken"),)

        def run(self, shared):
            raise ZeroDivisionError("wrong")

    isi.register_measure(Broken)
    with pytest.warns(UserWarning, match="'broken' failed and was left out: ZeroDivisionError: wrong"):
        trial = isi.run_trial(vlm, stimulus, samples=2)
    assert trial.answer is not None and trial.uncertainty is not None and "broken" not in trial.results
    assert any("'broken' failed" in note for note in trial.notes)
    with pytest.raises(ZeroDivisionError):
        isi.run_trial(vlm, stimulus, measures=["answer", "broken"])


def test_yes_and_no_alone_are_drawn_as_any_measure(vlm, stimulus):
    trial = isi.run_trial(vlm, stimulus, measures="yes_no")
    assert trial.answer is None and set(trial.results) == {"yes_no"}
    (measure,) = trial.view()["measures"]
    assert [column["value"] for column in measure["columns"]] == list(trial.yes_no.values())
    assert isi.Trial.from_dict(trial.to_dict()) == trial


# Records, names and settings that would go wrong later ----------------------------------------------------


def measure(name="mine", returns=1, values=None, **body):
    """A measure of one number, which returns the same record for every stimulus."""
    shown = (lambda record: {name: record}) if values is None else values
    return type(
        "Mine",
        (isi.Measure,),
        {
            "name": name,
            "title": "Mine",
            "terms": (isi.Term(name, "Mine"),),
            "run": lambda self, shared: returns,
            "values": lambda self, record: shown(record),
            **body,
        },
    )()


@pytest.fixture
def forgotten():
    yield
    for name in set(known.measures()) - {own.name for own in known.OWN}:
        known.forget_measure(name)


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(5), 5),
        (np.bool_(True), True),
        (torch.tensor(0.5), 0.5),
        (math.inf, math.inf),
        ("a <b>text</b>\x00", "a <b>text</b>\x00"),
    ],
)
def test_numbers_of_other_libraries_are_kept_and_shown_as_pythons(forgotten, vlm, stimulus, returned, value):
    trial = isi.run_trial(vlm, stimulus, measures=[measure(returns=returned)])
    assert isi.Trial.from_dict(json.loads(json.dumps(trial.to_dict(), allow_nan=False))) == trial
    json.dumps(trial.view(), allow_nan=False)
    assert type(trial.to_frame()["mine"].tolist()[0]) is type(value) and trial.to_frame()["mine"][0] == value
    assert trial._repr_html_()
    known.forget_measure("mine")  # the trial in memory stays whole
    assert isi.Trial.from_dict(trial.to_dict()) == trial
    assert any("'mine' is not known here" in note for note in trial.view()["notes"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"returns": {1, 2}}, r"got \{1, 2\} \(set\)\. Convert it"),
        ({"returns": np.arange(3)}, "an array by .tolist"),
        ({"returns": 1j}, "A record can hold numbers, texts, lists and dicts"),
        ({"returns": 10**400}, "no number of this size"),
        ({"returns": [1, 2]}, r"The value of 'mine' must be a number .* got \[1, 2\]"),
        ({"values": lambda record: 5}, "values of the measure 'mine' must return a dict"),
        ({"values": lambda record: {"mine": 1, "other": 2}}, "has other; its terms are mine"),
        ({"intervals": lambda self, record: {"mine": (0,)}}, r"The interval of 'mine' must be two numbers"),
        ({"intervals": lambda self, record: {"mine": "ab"}}, r"The interval of 'mine' must be two numbers"),
    ],
)
def test_a_record_that_could_not_be_kept_or_shown_is_refused_by_the_run(
    forgotten, vlm, stimulus, body, message
):
    with pytest.raises(InputError, match=message) as caught:
        isi.run_trial(vlm, stimulus, measures=["answer", measure(**body)])
    assert caught.value.__notes__ == ["in the measure 'mine'"]


def test_the_columns_of_a_trial_are_taken(vlm, stimulus):
    columns = set(isi.run_trial(vlm, stimulus, samples=2).to_frame())
    for name in (*columns, "everything", "condition"):
        with pytest.raises(InputError, match=r"taken|itself"):
            isi.register_measure(measure(name))
    measured = {name for own in known.OWN for name in own.row(None)}
    kept = {name for name in columns - measured if not name.endswith(("_low", "_high"))}
    assert kept == {name for name in kept if columns_of_trials.taken(name)}
    assert set(columns_of_trials.OF_TRIAL) <= columns


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": None}, "needs a name that is a Python name"),
        ({"needs": "answer"}, "must be a tuple, such as"),
        ({"terms": ("broken",)}, r"must be isi\.Term; got 'broken'"),
        ({"terms": (isi.Term("broken", "a"), isi.Term("broken", "b"))}, "'broken', a name that is taken"),
        (
            {"terms": (isi.Term("broken", "a", scale=0),)},
            "scale of the term 'broken' must be a number above 0",
        ),
        ({"terms": (isi.Term("broken", None),)}, "label of a term of the measure 'broken' must be text"),
    ],
)
def test_what_could_not_be_listed_or_drawn_is_refused(body, message):
    with pytest.raises(InputError, match=message):
        isi.register_measure(measure(**{"name": "broken", **body}))


def test_two_measures_cannot_have_one_column(forgotten):
    isi.register_measure(measure("long", terms=(isi.Term("long_word", "Word"),)))
    with pytest.raises(InputError, match="'long_word', which is one of 'long'"):
        isi.register_measure(measure("long_word"))
    isi.register_measure(measure("long"))  # one of the same name is replaced
    isi.register_measure(measure("long_word"))


def test_settings_of_measures_are_checked_and_stay_with_their_run(words, forgotten, vlm, stimulus):
    namespace = {"isi": isi, "vlm": vlm, "stimulus": stimulus}
    exec(block("settings"), namespace)
    long_words = namespace["LongWords"]
    with pytest.raises(InputError, match="letters must be a whole number from 1 to 40; got 0"):
        isi.run_trial(vlm, stimulus, measures=[long_words(letters=0)])
    for wrong in (3, [1], {"long_words": 3}):
        with pytest.raises(InputError, match="must be a dict"):
            isi.run_trial(vlm, stimulus, measures="long_words", of_measures=wrong)
    with pytest.raises(InputError, match="settings of long_word, but this run measures long_words"):
        isi.run_trial(vlm, stimulus, measures="long_words", of_measures={"long_word": {"letters": 2}})
    for wrong in (3, {"a": 3}, {"a": {"b": math.nan}}, {"a": {"b": []}}):
        with pytest.raises(InputError, match="of_measures must be a dict"):
            isi.Settings(of_measures=wrong)
    by_object = isi.run_trial(vlm, stimulus, measures=[long_words(letters=1)])
    by_name = isi.run_trial(vlm, stimulus, measures="long_words")
    assert by_object.settings.of_measures and not by_name.settings.of_measures
    words_of = by_name.answer.text.split()
    assert by_name.results["long_words"] == sum(len(word) >= 5 for word in words_of)
    assert by_object.results["long_words"] == len(words_of)
