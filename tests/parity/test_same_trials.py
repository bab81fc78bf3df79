"""The code gives the trials that it gave before it was re-arranged: field by field, up to renamed names."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import recorded_trials
from recorded_trials import RECORD, WHOLE, WHOLE_RECORD, cases, described, read, run, short

from isi_widget.trial import Trial

HERE = Path(__file__).parent
RECORDED = {trial["name"]: trial for trial in read(HERE / RECORD)}
#: Fields and columns that are called otherwise now: where they were recorded -> name.
RENAMED = {
    "stimulus/answer": "true_answer",
    "settings/what": "measures",
    "settings/strict": "strict_entailment",
    "row/strict": "strict_entailment",
}
#: Fields that the record does not have, and what they hold for a trial as it was.
ADDED: dict[str, Callable[[Any], bool]] = {
    "/row/key": lambda value: len(value) == 64,  # of stimulus and interventions
    "/row/interventions": lambda value: value is None,
    "/row/truth_holds": lambda value: value in (True, None),
    "/stimulus/about": lambda value: isinstance(value, list),  # parts of the image that decide the answer
}
# Another processor adds float32 numbers in another order: four layers leave about 1e-6 of that. Texts, token
# ids, clusters and counts are compared exactly.
RELATIVE, ABSOLUTE = 1e-5, 1e-5


def renamed(value: Any, at: str = "") -> Any:
    """Recorded data with the present names."""
    if isinstance(value, dict):
        places = {name: f"{at}/{name}".removeprefix("/") for name in value}
        return {RENAMED.get(at, name): renamed(value[name], at) for name, at in places.items()}
    return [renamed(item, at) for item in value] if isinstance(value, list) else value


def differences(was: Any, now: Any, at: str = "") -> list[str]:
    """Where two trees of plain data differ, as lines to read."""
    if isinstance(was, dict) and isinstance(now, dict):
        lines = [f"{at}/{name} is missing" for name in was.keys() - now.keys()]
        for name, value in now.items():
            if name in was:
                lines += differences(was[name], value, f"{at}/{name}")
            elif not ADDED.get(f"{at}/{name}", lambda _: False)(value):
                lines.append(f"{at}/{name} is new: {value!r:.80}")
        return lines
    if isinstance(was, list) and isinstance(now, list):
        if len(was) != len(now):
            return [f"{at}: {len(was)} entries were recorded, there are {len(now)}"]
        return [
            line
            for index, (one, other) in enumerate(zip(was, now, strict=True))
            for line in differences(one, other, f"{at}/{index}")
        ]
    if isinstance(was, float) and isinstance(now, float):
        same = math.isclose(was, now, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    else:
        same = type(was) is type(now) and was == now
    return [] if same else [f"{at}: {was!r:.80} was recorded, now it is {now!r:.80}"]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_trial_is_as_recorded(case):
    trial, heat = run(case)
    made = short({"name": case.name, **described(trial), "map": heat})
    assert differences(renamed(RECORDED[case.name]), made) == []


@pytest.mark.parametrize("name", WHOLE)
def test_a_trial_s_older_record_is_read(name):
    trial = Trial.from_dict(read(HERE / WHOLE_RECORD)[name])
    recorded = {key: value for key, value in RECORDED[name].items() if key not in ("name", "map")}
    assert differences(renamed(recorded), short(described(trial))) == []


def test_every_operation_preset_and_measure_is_recorded():
    from isi_widget.stimulus.operations import CONTEXT_PRESETS, IMAGE_PRESETS, OPERATIONS
    from isi_widget.trial.settings import MEASURES, Settings

    assert list(RECORDED) == [case.name for case in cases()]
    operations = [item for trial in RECORDED.values() for item in trial["stimulus"]["operations"]]
    assert {item["op"] for item in operations} == set(OPERATIONS)
    assert {item["preset"] for item in operations if item["op"] == "image"} == set(IMAGE_PRESETS)
    contexts = {item["preset"] for item in operations if item["op"] == "context"}
    assert contexts - {None} == set(CONTEXT_PRESETS)
    for name in MEASURES:
        assert any(trial[name] is None for trial in RECORDED.values())
        assert sum(trial[name] is not None for trial in RECORDED.values()) >= 40
    usual = short(Settings().to_dict())
    for name, value in usual.items():
        assert any(renamed(trial)["settings"][name] != value for trial in RECORDED.values()), name


def test_a_difference_is_seen():
    was = RECORDED["embedded: none"]
    assert differences(was, was) == []
    entropy = dict(was["uncertainty"], semantic_entropy=was["uncertainty"]["semantic_entropy"] + 1e-3)
    assert len(differences(was, {**was, "uncertainty": entropy})) == 1
    assert len(differences(was, {**was, "answer": {**was["answer"], "token_ids": [1]}})) == 1
    assert len(differences(was, {**was, "other": 1})) == 1
    assert recorded_trials.short(float("inf")) == "inf"
