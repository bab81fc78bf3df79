"""Trials made by hand, as fixtures."""

from __future__ import annotations

import dataclasses

import pytest
from made_trials import HOSTILE, make_silent_trial, make_trial


@pytest.fixture
def trial():
    return make_trial()


@pytest.fixture
def hostile():
    made = make_trial(texts=(HOSTILE, HOSTILE, "No."), question=HOSTILE, context=HOSTILE)
    shown = made.stimulus.text(1, 1, HOSTILE)
    return dataclasses.replace(
        made, stimulus=shown, model={"name": HOSTILE, "note": HOSTILE}, created=HOSTILE
    )


@pytest.fixture
def bare(trial):
    return trial.with_results(answer=None, uncertainty=None, attention=None, yes_no=None)


@pytest.fixture
def silent():
    return make_silent_trial()
