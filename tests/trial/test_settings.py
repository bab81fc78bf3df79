"""Settings: every value out of range is one clear error, and what is kept comes back from JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isi_widget.errors import InputError
from isi_widget.trial.settings import WHAT, Settings


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
        ({"what": ()}, r"what must name at least one of answer, uncertainty, attention; got none"),
        ({"what": ("answer", "shapley")}, r"got 'shapley'"),
    ],
)
def test_a_value_out_of_range_is_one_clear_error(values, message):
    with pytest.raises(InputError, match=message):
        Settings(**values)


def test_what_is_put_in_order_and_a_single_name_is_enough():
    assert Settings(what=("attention", "answer")).what == ("answer", "attention")
    assert Settings(what="uncertainty").what == ("uncertainty",)


def test_numbers_of_numpy_become_plain_ones():
    settings = Settings(samples=np.int64(7), temperature=np.float32(0.5), seed=np.uint8(3))
    assert (type(settings.samples), type(settings.temperature), type(settings.seed)) == (int, float, int)
    json.dumps(settings.to_dict())


@given(
    st.builds(
        Settings,
        what=st.lists(st.sampled_from(WHAT), min_size=1).map(tuple),
        samples=st.integers(1, 1000),
        temperature=st.floats(1e-6, 1e6),
        top_k=st.integers(0, 10**6),
        top_p=st.floats(1e-6, 1.0),
        seed=st.integers(0, 2**63 - 1),
        max_new_tokens=st.integers(1, 4096),
        strict=st.booleans(),
        do_sample=st.booleans(),
    )
)
def test_settings_come_back_from_json_and_from_what_changed(settings):
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict(), allow_nan=False))) == settings
    assert Settings(**settings.changed()) == settings


@pytest.mark.parametrize("name", ["strict", "do_sample", "prepend_question"])
def test_a_word_is_no_truth_value(name):
    with pytest.raises(InputError, match=f"{name} must be True or False; got 'no'"):
        Settings(**{name: "no"})
    assert getattr(Settings(**{name: np.True_}), name) is True


@pytest.mark.parametrize("what", [None, 5])
def test_what_that_names_nothing_is_one_clear_error(what):
    with pytest.raises(InputError, match=f"what must name at least one of answer.*got {what}"):
        Settings(what=what)
