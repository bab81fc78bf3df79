"""Checks of single values: what is taken, in which type it comes back, what the message says."""

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from isi_widget import checks
from isi_widget.errors import InputError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_whole_numbers_come_back_as_python_s(value):
    assert checks.integer(value, "n", low=3, high=3) == 3
    assert type(checks.integer(value, "n")) is int


@pytest.mark.parametrize("value", [True, np.True_, 3.0, "3", None, [3], np.array([3]), 2, 10**400])
def test_what_is_no_whole_number_in_the_bounds_is_refused(value):
    with pytest.raises(InputError, match=r"^n must be a whole number from 3 to 9; got .*\. Count again\.$"):
        checks.integer(value, "n", low=3, high=9, hint="Count again.")


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({}, "a finite number"),
        ({"low": 0}, "a number of at least 0"),
        ({"high": 1e6}, "a number of at most 1000000"),
        ({"low": -1.5, "high": 1}, "a number from -1.5 to 1"),
        ({"above": 0}, "a number above 0"),
        ({"above": 0, "high": 1}, "a number above 0, at most 1"),
        ({"above": 0, "wanted": "a probability"}, "a probability"),
    ],
)
def test_the_message_names_the_bounds(bounds, words):
    with pytest.raises(InputError, match=f"^x must be {re.escape(words)}; got 'a'"):
        checks.number("a", "x", **bounds)
    if "wanted" not in bounds:
        with pytest.raises(InputError, match=r"^x must be a finite number.*; got nan\.$"):
            checks.number(float("nan"), "x", **bounds)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), Fraction(1, 2), torch.tensor(0.5), np.array(0.5)])
def test_numbers_come_back_as_python_s(value):
    assert checks.number(value, "x", above=0, high=0.5) == 0.5
    assert type(checks.number(value, "x")) is float


@pytest.mark.parametrize("value", [True, "0.5", None, 0, 0.6, float("inf"), 10**400, 0.5j, Decimal("NaN")])
def test_what_is_no_number_in_the_bounds_is_refused(value):
    with pytest.raises(InputError, match=r"^x must be a (finite )?number above 0, at most 0\.5; got "):
        checks.number(value, "x", above=0, high=0.5)


def test_there_is_no_negative_zero():
    assert str(checks.number(-0.0, "x")) == "0.0"


def test_flags_texts_and_choices():
    assert checks.flag(np.True_, "f") is True and checks.flag(False, "f") is False
    assert checks.text("a\ud83d\ude00", "t") == "a\U0001f600"
    assert checks.one_of("b", "c", ("a", "b")) == "b"
    for check, message in (
        (lambda: checks.flag(1, "f"), r"f must be True or False; got 1\."),
        (lambda: checks.flag("no", "f"), r"f must be True or False; got 'no' \(str\)\."),
        (lambda: checks.text(1.5, "t"), r"t must be text; got 1\.5\."),
        (lambda: checks.text("abc", "t", longest=2), r"t must have at most 2 characters; got 3\."),
        (lambda: checks.one_of("d", "c", ("a", "b")), r"c must be one of a, b; got 'd' \(str\)\."),
        (lambda: checks.one_of(["a"], "c", ("a", "b")), r"c must be one of a, b; got \['a'\] \(list\)\."),
    ):
        with pytest.raises(InputError, match=f"^{message}$"):
            check()


def test_a_message_shows_no_more_than_fits():
    with pytest.raises(InputError) as caught:
        checks.flag("x" * 1000, "f")
    assert len(str(caught.value)) < 120
    with pytest.raises(InputError, match="got a number of thousands of digits"):
        checks.integer(10**6000, "n", high=1)


def test_fields_of_a_record():
    checks.fields("a thing", {"a": 1}, ("a",), {"a", "b"})
    for record, message in (
        ([], "A record of a thing must be a dict"),
        ({}, "no complete record of a thing: it lacks a"),
        ({"a": 1, "c": 2}, "has fields that are not known here: c"),
    ):
        with pytest.raises(InputError, match=message):
            checks.fields("a thing", record, ("a",), {"a", "b"})
