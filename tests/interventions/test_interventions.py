"""Interventions as data: equality, JSON, Python, and clear refusals. No torch."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import isi_widget as isi
from isi_widget import interventions
from isi_widget.errors import InputError

EVERY = [
    isi.HeadScale(2, 0, 0.5),
    isi.HeadScale(0, 3, 0),
    isi.HeadReplace(1, 2),
    isi.HeadReplace(1, 2, "zero"),
    isi.HeadReplace(1, 2, "reference", (0.5, -1.0, 3.0)),
    isi.Knockout("last", "image"),
    isi.Knockout(("question", "last"), isi.ImageTokens((1, 2, 30, 4.5)), layers=(1, 2), heads=(0,)),
    isi.Knockout((5, 6), isi.ImageTokens([(0, 0), (9.5, 0), (4, 8)])),
    isi.AttentionScale("image", 0.5, layers=(3,)),
    isi.AttentionScale("context", add=0.7, queries=("last", "answer")),
    isi.AttentionReplace("image", "uniform"),
    isi.AttentionReplace("image", "shuffled", seed=7, heads=(1, 2)),
    isi.AttentionReplace(isi.ImageTokens(None), "reversed", queries="question"),
    isi.Knockout("last", isi.ImageTokens(isi.Mask((5, 4), [3, 2, 15], feather=1.5))),
    isi.HeadGates([[1, 0.5, 2], [0, 1.25, -1]]),
    isi.HeadGates.of((4, 6), {(2, 4): 0, (0, 1): 0.5}),
    isi.HeadGates.of((4, 6), {(2, 4): 0.25}),
    isi.HeadGates.of((4, 6), {}),
    isi.Steer([0.5, -1, 3], 2),
    isi.Steer(isi.SteeringDirection([0.1, 1e-30], 1, "mean of 3 pairs"), scale=-2.5, keep_norm=True),
    isi.Steer([0.1, 0.2], 0, 4, tokens=("last", "answer")),
    isi.Steer([0.1, 0.2], 0, 4, tokens=isi.ImageTokens((1, 2, 30, 4.5))),
    isi.ContrastiveDecoding(),
    isi.ContrastiveDecoding("vcd", 0.5, cut=0, noise=0.25, seed=3),
    isi.ContrastiveDecoding("m3id", cut=0.2),
]
each = pytest.mark.parametrize("item", EVERY, ids=lambda item: item.label)


@each
def test_json_and_back(item):
    record = json.loads(json.dumps(item.to_dict(), allow_nan=False))
    again = interventions.from_dict(record)
    assert again == item and hash(again) == hash(item)
    assert type(item).from_dict(record) == item
    assert again.to_dict() == item.to_dict()
    assert pickle.loads(pickle.dumps(item)) == item


@each
def test_its_code_makes_it_again(item):
    assert eval(item.code(), {"isi": isi}) == item


@each
def test_it_cannot_be_changed(item):
    with pytest.raises(AttributeError):
        item.heads = (1,)


def test_equal_by_content_in_whatever_form_it_was_given():
    one = isi.Knockout(
        ["image", "last", "image"], [3, 1, np.int64(3)], layers=range(1, 3), heads=np.array([1])
    )
    other = isi.Knockout(("last", "image"), (1, 3), layers=(2, 1), heads=1)
    assert one == other and hash(one) == hash(other)
    assert isi.Knockout(("image",), 4) == isi.Knockout("image", [4])
    assert isi.HeadScale(1, 2, 1) == isi.HeadScale(np.int32(1), 2, 1.0)
    assert isi.HeadReplace(0, 0, "reference", np.array([1, 2], np.float32)) == isi.HeadReplace(
        0, 0, "reference", [1, 2]
    )
    assert isi.HeadScale(1, 2, 0.0) == isi.HeadScale(1, 2, -0.0)
    assert len(set(EVERY)) == len(EVERY)


def test_gates_are_a_matrix():
    gates = isi.HeadGates(np.array([[1, 0.5], [2, 1]], np.float32))
    assert gates == isi.HeadGates([[1, 0.5], (2.0, 1)]) and gates.shape == (2, 2)
    assert gates.changed == {(0, 1): 0.5, (1, 0): 2.0} and gates.changed_heads == ((0, 1), (1, 0))
    assert isi.HeadGates.of((2, 2), gates.changed) == gates
    assert gates.label == "2 heads changed" and isi.HeadGates.of((1, 2), {(0, 1): 0}).label == "L0H1 × 0"
    assert "of((4, 6), {(2, 4): 0.25})" in EVERY[16].code() and "[[1, 0.5, 2]" in EVERY[14].code()


def test_a_direction_is_kept_by_value():
    values = np.random.default_rng(0).standard_normal(50)
    made = isi.SteeringDirection(values, layer=3, made="by hand")
    assert np.array_equal(made.array, values.astype(np.float32)) and made.array.dtype == np.float32
    assert isi.SteeringDirection(made.text, 3, "by hand") == made
    assert isi.SteeringDirection.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert made.digest == isi.SteeringDirection(values).digest != isi.SteeringDirection(values * 2).digest
    assert isi.SteeringDirection([0.0, -0.0]).digest == isi.SteeringDirection([-0.0, 0.0]).digest
    assert isi.Steer(made) == isi.Steer(made, 3) and isi.Steer(made, 1).layer == 1
    with pytest.raises(InputError, match="the record is damaged"):
        isi.SteeringDirection.from_dict({**made.to_dict(), "digest": "0" * 16})


def test_a_random_direction_has_the_same_norm():
    made = isi.SteeringDirection(np.arange(200.0), layer=3)
    one, other = made.random(1), made.random(2)
    assert one == made.random(1) != other
    assert one.norm == pytest.approx(made.norm, rel=1e-6) == pytest.approx(other.norm, rel=1e-6)
    assert one.layer == 3 and made.digest in one.made and "seed 1" in one.made
    cosines = [float(made.random(seed).array @ made.array) / made.norm**2 for seed in range(40)]
    assert abs(np.mean(cosines)) < 0.05 and 0.03 < np.std(cosines) < 0.12  # 1 / sqrt(200) = .07


def test_a_contrast_has_the_strength_of_its_kind():
    assert (isi.ContrastiveDecoding().strength, isi.ContrastiveDecoding().noise) == (1, 0.5)
    assert isi.ContrastiveDecoding("m3id").strength == 0.02 and isi.ContrastiveDecoding("m3id").noise is None
    assert isi.ContrastiveDecoding() == isi.ContrastiveDecoding("vcd", 1, noise=0.5)


def test_lists_keep_their_order():
    one, other = EVERY[:3], EVERY[2::-1]
    assert interventions.from_dicts(interventions.to_dicts(one)) == tuple(one)
    assert interventions.digest(one) == interventions.digest(tuple(one)) != interventions.digest(other)
    assert interventions.digest(()) == "" and len(interventions.digest(one)) == 16


def test_code_of_a_list():
    class Model:
        def intervene(self, *given):
            return given

    assert eval(interventions.code(EVERY, "m"), {"isi": isi, "m": Model()}) == tuple(EVERY)
    assert interventions.code((), "vlm") == "vlm"
    assert interventions.code(EVERY[:1]) == "vlm.intervene(isi.HeadScale(2, 0, 0.5))"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ((), ""),
        (EVERY[:1], "1 head changed"),
        ((isi.HeadScale(0, 0, 0), isi.HeadReplace(0, 0), isi.HeadScale(0, 1, 0)), "2 heads changed"),
        (EVERY[4:7], "1 head changed, attention cut"),
        (EVERY[8:13], "attention scaled, attention redistributed"),
        (EVERY[14:15], "5 heads changed"),
        ((EVERY[16], isi.HeadScale(2, 4, 2), isi.HeadScale(0, 0, 2)), "2 heads changed"),
        (EVERY[17:], "no head changed, steered, contrastive decoding"),
    ],
)
def test_summary(found, words):
    assert interventions.summary(found) == words


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: isi.HeadScale(-1, 0, 1), r'"layer" must be .*from 0'),
        (lambda: isi.HeadScale(0, True, 1), '"head" must be a whole number'),
        (lambda: isi.HeadScale(0, 0.5, 1), '"head" must be a whole number'),
        (lambda: isi.HeadScale(0, 0, float("nan")), "finite"),
        (lambda: isi.HeadScale(0, 0, "0"), '"factor" must be a number'),
        (lambda: isi.HeadScale(0, 0, 1e9), r'"factor" must be .*10000'),
        (lambda: isi.HeadReplace(0, 0, "median"), "mean, zero, reference"),
        (lambda: isi.HeadReplace(0, 0, "reference"), "needs it"),
        (lambda: isi.HeadReplace(0, 0, "zero", (1.0,)), 'belongs to by="reference"'),
        (lambda: isi.HeadReplace(0, 0, "reference", ()), "from 1 to"),
        (lambda: isi.HeadReplace(0, 0, "reference", "12"), "list of numbers"),
        (lambda: isi.HeadReplace(0, 0, "reference", [1, None]), "must be a number"),
        (lambda: isi.HeadReplace(0, 0, "reference", [1, -2e12]), "to 1000000000000; got"),
        (lambda: isi.HeadReplace(0, 0, "reference", np.zeros((4, 4))), "must be a number"),
        (lambda: isi.Knockout("picture", "last"), "must be one of image, context"),
        (lambda: isi.Knockout("last", None), "group of tokens"),
        (lambda: isi.Knockout("last", []), "empty"),
        (lambda: isi.Knockout("last", [1, "image"]), "whole number"),
        (lambda: isi.Knockout("last", -1), "from 0"),
        (lambda: isi.Knockout("last", "image", layers=[]), "None for all"),
        (lambda: isi.Knockout("last", "image", layers="all"), "whole number"),
        (lambda: isi.Knockout("last", "image", heads=[0, -2]), "from 0"),
        (lambda: isi.ImageTokens((1, 2)), "region"),
        (lambda: isi.ImageTokens((0, 0, -5, 2)), "0 or more"),
        (lambda: isi.AttentionScale("image", float("inf")), "finite"),
        (lambda: isi.AttentionReplace("image", "random"), "uniform, shuffled, reversed"),
        (lambda: isi.AttentionReplace("image", "uniform", seed=3), 'belongs to by="shuffled"'),
        (lambda: isi.HeadGates([]), "with 1 to"),
        (lambda: isi.HeadGates([[1, 2], [1]]), "same number of heads in every layer; got rows of 1, 2"),
        (lambda: isi.HeadGates([1, 2]), "matrix"),
        (lambda: isi.HeadGates("11"), "matrix"),
        (lambda: isi.HeadGates([[1, None]]), "must be a number"),
        (lambda: isi.HeadGates([[1, 1e9]]), "10000"),
        (lambda: isi.HeadGates.of((2, 3), {(2, 0): 1}), "There is no head L2H0 among 2 layers of 3"),
        (lambda: isi.Steer([1, 2]), '"layer" is missing'),
        (lambda: isi.Steer([], 1), "from 1 to"),
        (lambda: isi.Steer([1, float("nan")], 1), "finite"),
        (lambda: isi.Steer([1, 1e200], 1), "finite numbers of float32"),
        (lambda: isi.Steer("no base64", 1), "base64"),
        (lambda: isi.Steer(None, 1), "list of numbers, got NoneType"),
        (lambda: isi.Steer([1], 1, scale="2"), "must be a number"),
        (lambda: isi.Steer([3e30], 1, scale=-1e3), r"-1000 times a direction of norm 3e\+30"),
        (lambda: isi.Steer([1], 1, tokens="picture"), "must be one of image"),
        (lambda: isi.Steer([1], 1, keep_norm=1), "must be True or False"),
        (lambda: isi.SteeringDirection([1], made=3), '"made" must be a text'),
        (lambda: interventions.from_dict({"kind": "steer", "direction": {"value": 1}}), "fields values"),
        (lambda: isi.ContrastiveDecoding("dola"), "vcd, m3id"),
        (lambda: isi.ContrastiveDecoding("m3id", noise=0.5), 'by="vcd" only'),
        (lambda: isi.ContrastiveDecoding("m3id", seed=2), 'by="vcd" only'),
        (lambda: isi.ContrastiveDecoding(cut=1.5), '"cut" must be'),
        (lambda: isi.ContrastiveDecoding(noise=2), '"noise" must be'),
        (lambda: isi.ContrastiveDecoding(strength=-1), '"strength" must be'),
        (lambda: interventions.from_dict(None), "must be an object"),
        (lambda: interventions.from_dict({"kind": "explode"}), '"kind" must be one of'),
        (lambda: interventions.from_dict({"kind": ["head_scale"]}), '"kind" must be one of'),
        (
            lambda: interventions.from_dict({"kind": "head_scale", "layer": 1}),
            "missing field 'head', 'factor'",
        ),
        (
            lambda: interventions.from_dict({**EVERY[0].to_dict(), "tokens": "all"}),
            "unknown field 'tokens'; known are layer, head, factor",
        ),
        (lambda: interventions.from_dict({**EVERY[0].to_dict(), "version": 2}), "another version"),
        (lambda: interventions.from_dict({**EVERY[5].to_dict(), "keys": {"area": 1}}), 'field "region"'),
        (lambda: interventions.from_dicts({}), "must be a list"),
        (lambda: isi.Knockout.from_dict(EVERY[0].to_dict()), "kind 'knockout', got 'head_scale'"),
        (lambda: interventions.checked([EVERY[0], "knockout"]), "must be one of"),
        (lambda: interventions.checked([EVERY]), r"vlm.intervene\(\*interventions\)"),
    ],
)
def test_refused_with_one_clear_message(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_a_record_from_a_damaged_file_is_an_input_error():
    deep: object = 1
    for _ in range(2000):
        deep = [deep]
    for keys in (deep, {"region": deep}, [[1]], [{}], "\ud800", 10**400):
        with pytest.raises(InputError):
            interventions.from_dict({"kind": "knockout", "queries": "last", "keys": keys})
        with pytest.raises(InputError):
            interventions.from_dict({"kind": "head_gates", "factors": {"rows": keys}})
        for direction in (
            {"values": keys},
            {"values": [1.0], "digest": keys},
            {"values": [1], "layer": deep},
        ):
            with pytest.raises(InputError):
                interventions.from_dict({"kind": "steer", "layer": 1, "direction": direction})


def test_no_torch_is_loaded():
    script = "import isi_widget.interventions, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
