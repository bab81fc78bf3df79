"""Knock-out curves: against whole forward passes under `Knockout`, and models whose path is known."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
import tiny_models
from planted_models import planted

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.mechanism.knockout import KnockoutCurve

QUICK = ("llava", "gemma3", "paligemma")
families = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in tiny_models.BUILDERS],
)
CUTS = (("question", "image"), ("last", "image"), ("last", "question"))


def observation(seed, answer="yes"):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return isi.Observation(pixels, "Is there a red star?", "There was a box.", answer=answer)


def true_token(vlm, scene):
    logits = vlm.prefill(scene).logits
    forms = [
        vlm.tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("yes", "Yes", " yes", " Yes")
    ]
    begun = [ids[0] for ids in forms if vlm.tokenizer.decode(ids[:1]).strip()]
    return max(begun, key=lambda token: logits[token])


@families
@pytest.mark.parametrize("window", [1, 2])
def test_a_curve_is_a_loop_of_whole_passes(name, window):
    vlm, data = tiny_models.vlm(name), [observation(0), observation(1)]
    found = isi.knockout_curve(vlm, data, CUTS, window=window, controls=0)
    assert found.cuts[0] == "question ↛ image" and found.window == window
    for item, cut, layer in np.ndindex(found.values.shape):
        shown = data[item].stimulus()
        queries, keys = CUTS[cut]
        edit = isi.Knockout(queries, keys, layers=tuple(range(layer, layer + window)))
        plain, logits = vlm.prefill(shown).logits, vlm.intervene(edit).prefill(shown).logits
        token = true_token(vlm, shown)
        assert found.values[item, cut, layer] == pytest.approx(float(logits.softmax(-1)[token]), abs=1e-5)
        assert found.base[item] == pytest.approx(float(plain.softmax(-1)[token]), abs=1e-5)
        assert found.flips[item, cut, layer] == (logits.argmax() != plain.argmax())


def test_the_planted_path_is_needed_where_it_is():
    model = planted("two_hop")
    found = isi.knockout_curve(model.vlm(), model.observations(4), controls=2)
    (read, _), (give, _) = model.causal
    question, last, through = range(3)
    lost = found.base.mean() - found.mean
    assert lost[question, read] > 0.2 and lost[through, give] > 0.2
    for cut, layer in ((question, read), (through, give)):
        assert np.abs(np.delete(lost[cut], layer)).max() < 0.01
    assert np.abs(lost[last]).max() < 0.01 and not found.flipped[last].any()


def test_groups_of_pairs_and_controls_of_the_same_number():
    pair = next(iter(_pairs(1)))
    vlm = isi.load_vlm()
    cuts = {"seen": ("question", "edited region"), "rest": ("question", "other image")}
    found = isi.knockout_curve(vlm, [pair], cuts, controls=3)
    assert found.cuts == ("seen", "rest")
    assert found.keys[0] == len(isi.trace(vlm, pair, sites="residual", layers=0).positions[0][0])
    assert np.isfinite(found.controls[:, 0, 0]).all()
    again = isi.knockout_curve(vlm, [pair], cuts, controls=3)
    other = isi.knockout_curve(vlm, [pair], cuts, controls=3, seed=1)
    assert again == found and not np.array_equal(other.controls, found.controls, equal_nan=True)
    assert np.array_equal(other.values, found.values)


def _pairs(number):
    for scene in isi.datasets.scenes():
        try:
            yield scene.counterfactual("attribute")
        except InputError:
            continue


def test_too_few_other_tokens_are_reported():
    found = isi.knockout_curve(
        tiny_models.vlm(), [observation(0)], ("last", ("image", "context", "question"))
    )
    assert np.isnan(found.controls).all() and "too few other tokens" in found.notes[0]
    assert "random keys" not in str(found).splitlines()[-2]


def test_views_and_record(tmp_path):
    found = isi.knockout_curve(tiny_models.vlm(), [observation(0), observation(1), observation(2)], seed=2)
    again = KnockoutCurve.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert again == found and hash(again) == hash(found) and pickle.loads(pickle.dumps(found)) == found
    low, _ = found.interval()
    draws = np.random.default_rng(0).integers(3, size=(2000, 3))
    assert low == pytest.approx(np.quantile(found.values[draws].mean(axis=1), 0.025, axis=0), abs=1e-12)
    frame = found.to_frame()
    assert len(frame) == found.mean.size and (frame["low"] <= frame["p"]).all()
    assert "question ↛ image" in str(found) and "<table" in found._repr_html_()
    found.plot().savefig(tmp_path / "curve.png")
    with pytest.raises(InputError, match="do not belong together"):
        dataclasses.replace(found, layers=(0,))
    with pytest.raises(InputError, match="lacks"):
        KnockoutCurve.from_dict({})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cuts": ()}, "pairs of groups .* got none"),
        ({"cuts": "image"}, "pairs of groups .*, such as .*; got 'image'"),
        ({"cuts": 3}, "pairs of groups .* got 3"),
        ({"cuts": ["last", "image"]}, "a cut is a pair"),
        ({"cuts": [("last",)]}, "a cut is a pair"),
        ({"cuts": [("last", "sky")]}, "edited region"),
        ({"cuts": [("last", "edited region")]}, "is a group of a pair"),
        ({"cuts": [("last", "system")]}, "There is nothing to cut for"),
        ({"window": 4}, "window"),
        ({"window": 2, "layers": 2}, "begin at layers 0 to 1"),
        ({"target": "log_p_answer"}, "p, logit_difference"),
        ({"controls": -1}, "controls"),
    ],
)
def test_wrong_values_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        isi.knockout_curve(tiny_models.vlm(), [observation(0)], **arguments)


def test_progress_and_cancel():
    vlm, seen = tiny_models.vlm(), []
    isi.knockout_curve(vlm, [observation(0)], progress=lambda *step: seen.append(step))
    assert seen == [("knockout", done, 3) for done in range(4)]
    with pytest.raises(Cancelled):
        isi.knockout_curve(vlm, [observation(0)], cancel=lambda: True)
