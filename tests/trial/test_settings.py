"""Settings: every value out of range is one clear error, and what is kept comes back from JSON."""

from __future__ import annotations

import copy
import inspect
import json
import math
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.trial.settings import MEASURES, Settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": 0}, r"samples must be a whole number from 1 to 1000; got 0"),
        ({"samples": 1001}, r"samples must be .* got 1001"),
        ({"samples": 2.5}, r"samples must be a whole number.*got 2\.5"),
        ({"samples": True}, r"samples must be a whole number.*got True"),
        ({"samples": "ten"}, r"samples must be a whole number.*got 'ten'"),
        ({"temperature": 0}, r"temperature must be a number above 0; got 0\. .*vlm\.answer"),
        ({"temperature": -1.0}, r"temperature must be a number above 0"),
        ({"temperature": math.nan}, r"temperature must be a number above 0; got nan"),
        ({"temperature": math.inf}, r"temperature must be a number above 0; got inf"),
        ({"temperature": "0.9"}, r"temperature must be a number above 0; got '0\.9'"),
        ({"temperature": None}, r"temperature must be a number above 0; got None"),
        ({"top_k": -1}, r"top_k must be .*0 keeps every token"),
        ({"top_p": 0}, r"top_p must be a number above 0, at most 1"),
        ({"top_p": 1.01}, r"top_p must be a number above 0, at most 1"),
        ({"seed": -1}, r"seed must be a whole number"),
        ({"seed": 0.5}, r"seed must be a whole number"),
        ({"max_new_tokens": 0}, r"max_new_tokens must be"),
        ({"num_beams": 0}, r"num_beams must be"),
        ({"num_beams": 3, "do_sample": True}, r"exclude each other"),
        ({"measures": ()}, r"measures must name at least one of answer, uncertainty, attention; got none"),
        ({"measures": ("answer", "two words")}, r"got 'two words'"),
    ],
)
def test_a_value_out_of_range_is_one_clear_error(values, message):
    with pytest.raises(InputError, match=message):
        Settings(**values)


def test_measures_are_put_in_order_and_a_single_name_is_enough():
    assert Settings(measures=("attention", "answer")).measures == ("answer", "attention")
    assert Settings(measures="uncertainty").measures == ("uncertainty",)


def test_numbers_of_numpy_become_plain_ones():
    settings = Settings(samples=np.int64(7), temperature=np.float32(0.5), seed=np.uint8(3))
    assert (type(settings.samples), type(settings.temperature), type(settings.seed)) == (int, float, int)
    json.dumps(settings.to_dict())


@given(
    st.builds(
        Settings,
        measures=st.lists(st.sampled_from(MEASURES), min_size=1).map(tuple),
        samples=st.integers(1, 1000),
        temperature=st.floats(1e-6, 1e6),
        top_k=st.integers(0, 10**6),
        top_p=st.floats(1e-6, 1.0),
        seed=st.integers(0, 2**63 - 1),
        max_new_tokens=st.integers(1, 4096),
        strict_entailment=st.booleans(),
        do_sample=st.booleans(),
    )
)
def test_settings_come_back_from_json_and_from_what_changed(settings):
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict(), allow_nan=False))) == settings
    assert Settings(**settings.changed()) == settings


@pytest.mark.parametrize("name", ["strict_entailment", "do_sample", "prepend_question"])
def test_a_word_is_no_truth_value(name):
    with pytest.raises(InputError, match=f"{name} must be True or False; got 'no'"):
        Settings(**{name: "no"})
    assert getattr(Settings(**{name: np.True_}), name) is True


@pytest.mark.parametrize("measures", [None, 5])
def test_measures_that_name_nothing_are_one_clear_error(measures):
    with pytest.raises(InputError, match=f"measures must name at least one of answer.*got {measures}"):
        Settings(measures=measures)


def test_the_schema_says_all_of_each_setting_and_is_plain_json():
    schema = Settings.schema()
    assert json.loads(json.dumps(schema, allow_nan=False)) == schema
    assert {item["name"]: item["default"] for item in schema} == {
        name: value for name, value in Settings().to_dict().items() if name != "measures"
    }
    assert all(item["label"] and item["help"].endswith(".") and item["rule"] for item in schema)
    assert {item["measure"] for item in schema} <= {"", *MEASURES}
    names = {item["name"] for item in schema}
    assert all(item["when"] is None or item["when"]["name"] in names for item in schema)


@pytest.mark.parametrize("item", Settings.schema(), ids=lambda item: item["name"])
def test_what_the_schema_allows_is_what_is_taken(item):
    name, low, high = item["name"], item["minimum"], item["maximum"]
    if item["kind"] == "choice":
        good, bad = [choice["value"] for choice in item["choices"]], ["other", 1]
    elif item["kind"] == "flag":
        good, bad = [True, False], [1, "yes"]
    else:
        step = 1 if item["kind"] == "integer" else 0.001
        good = [low + step * item["exclusive"], item["default"], *([] if high is None else [high])]
        bad = [
            low - step * (not item["exclusive"]),
            *([] if high is None else [high + step]),
            "1",
            None,
            True,
        ]
    for value in good:
        assert getattr(Settings(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(InputError, match=f"{name} must be "):
            Settings(**{name: value})


@pytest.mark.parametrize("function", [isi.run_trial, isi.measure_uncertainty, isi.averages])
def test_functions_list_the_settings_that_they_take_and_refuse_others(function):
    taken = inspect.signature(function).parameters
    defaults = {item["name"]: item["default"] for item in Settings.schema() if item["name"] in taken}
    assert len(defaults) >= 12 and all(taken[name].default == value for name, value in defaults.items())
    shown = isi.datasets.scenes()[:1] if function is isi.averages else isi.datasets.scenes()[0].stimulus()
    with pytest.raises(TypeError, match="no argument 'strict', which is called strict_entailment now"):
        function(isi.load_vlm(), shown, strict=True)
    with pytest.raises(TypeError, match="no argument 'what'") as caught:
        function(isi.load_vlm(), shown, what="answer")
    assert ("which is called measures now" in str(caught.value)) == ("measures" in taken)


def test_what_is_derived_from_the_settings_is_of_today():
    folder = Path(__file__).parents[2] / "docs"
    sys.path.insert(0, str(folder))
    try:
        import make_settings as made
    finally:
        sys.path.remove(str(folder))
    assert made.TABLE.read_text(encoding="utf-8") == made.document(), "run python docs/make_settings.py"
    assert made.FORM.read_text(encoding="utf-8") == made.form(), "run python docs/make_settings.py"


@pytest.mark.parametrize(("name", "now"), [("what", "measures"), ("strict", "strict_entailment")])
def test_former_names_are_refused_with_those_of_today(name, now):
    with pytest.raises(TypeError, match=f"no argument '{name}', which is called {now} now"):
        Settings(**{name: True})
    settings = Settings("answer", samples=3)
    assert pickle.loads(pickle.dumps(settings)) == settings == copy.copy(settings)


def test_older_names_are_read():
    assert Settings.from_dict({"what": ["answer"], "strict": True}) == Settings(
        ("answer",), strict_entailment=True
    )
