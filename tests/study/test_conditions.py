"""Ready-made conditions: what they show, their code, and the runner against plain trials."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.study.conditions import SENTENCES, Condition
from isi_widget.text.wording import normalised
from isi_widget.uncertainty.shares import wilson

ALL = [*isi.conditions.degradation(seed=3), *isi.conditions.interference(4), *isi.conditions.dilution()[1:]]


@pytest.fixture(scope="module")
def data():
    return isi.datasets.scenes()[:3]


@pytest.mark.parametrize("condition", ALL, ids=lambda condition: condition.name)
def test_the_code_is_the_condition(condition, data):
    for obs in data[:2]:
        s = obs.stimulus()
        made = condition(obs)
        assert made == condition(s) == eval(condition.expression, {"isi": isi, "s": s})
        assert pickle.loads(pickle.dumps(condition))(s) == made
        assert (made == s) == (condition.name == "plain")


def test_degradation_in_order():
    found = isi.conditions.degradation("noise", "jpeg", noise=(0.1, 0.4), jpeg=(30,))
    assert [condition.name for condition in found] == ["plain", "noise 0.1", "noise 0.4", "jpeg 30"]
    assert [condition.level for condition in found] == [None, 0.1, 0.4, 30]
    with pytest.raises(InputError, match="downscale, blur, jpeg, noise"):
        isi.conditions.degradation("fog")


def test_stronger_is_farther_from_the_picture(data):
    clean = np.asarray(data[0].stimulus().render()).astype(float)
    for kind in ("downscale", "blur", "jpeg", "noise"):
        steps = [c(data[0]) for c in isi.conditions.degradation(kind)[1:]]
        away = [np.abs(np.asarray(step.render()) - clean).mean() for step in steps]
        assert away == sorted(away) and away[0] > 0


def test_interference_changes_one_modality(data):
    text, beside, image, irrelevant, other = (c(data[0]) for c in isi.conditions.interference())
    assert text.current_context == beside.current_context == data[0].contexts["complementary"]
    assert text.current_image == data[0].image != beside.current_image
    assert image.current_context == "" and irrelevant.current_context == data[0].contexts["irrelevant"]
    assert image.current_image == irrelevant.current_image == other.current_image
    assert other.context_preset == "random"
    shown = {isi.conditions.interference()[1](obs).current_image.sha256 for obs in isi.datasets.scenes()[:30]}
    assert len(shown) > 15  # not the same image beside every question


def test_dilution_grows(data):
    contexts = [c(data[0]).current_context for c in isi.conditions.dilution((1, 3, 16))]
    assert contexts[0] == "" and contexts[1] == SENTENCES[0]
    assert contexts[2].startswith(contexts[1]) and contexts[3] == " ".join(SENTENCES)
    told = data[0].stimulus().with_context("A text.")
    assert isi.conditions.diluted(told, 1).current_context == f"A text. {SENTENCES[0]}"
    own = isi.conditions.dilution((2,), texts=("One.", "Two."))[1]
    assert eval(own.expression, {"isi": isi, "s": told}) == own(told)
    with pytest.raises(InputError, match="from 1 to 2"):
        isi.conditions.dilution((3,), texts=("One.", "Two."))


def test_the_sentences_say_nothing_of_scenes():
    from isi_widget.datasets.grammar import COLOURS, NUMBERS, RELATIONS, SHAPES
    from isi_widget.datasets.nouns import CATEGORIES, THINGS

    words = set(" ".join(SENTENCES).lower().replace(".", "").replace(",", "").split())
    named = {*COLOURS, *SHAPES, *THINGS, *CATEGORIES, *NUMBERS[2:]}
    assert not words & {*named, *(word.split()[0] for word in RELATIONS)}


# ---- running
@pytest.fixture(scope="module")
def rows(vlm, data):
    chosen = [*isi.conditions.degradation("blur", blur=(4, 32)), *isi.conditions.dilution((4,))[1:]]
    return isi.conditions.run(vlm, data, chosen, samples=2, seed=1, entailment="rules")


def test_rows_are_plain_trials(vlm, data, rows):
    assert len(rows) == 4 * len(data)
    for row in rows.itertuples():
        obs = data[row.observation]
        stimulus = {
            "plain": obs.stimulus(),
            "blur 4": obs.stimulus().blur(4),
            "blur 32": obs.stimulus().blur(32),
            "4 sentences": obs.stimulus().with_context(" ".join(SENTENCES[:4])),
        }[row.condition]
        trial = isi.run_trial(
            vlm, stimulus, measures=("answer", "uncertainty"), samples=2, seed=1, entailment="rules"
        )
        assert (row.answer, row.correct) == (trial.answer.text, trial.correct)
        assert row.semantic_entropy == trial.uncertainty.semantic_entropy


def test_the_summary_against_a_loop(rows):
    found = isi.conditions.summary(rows, entropy="semantic_entropy").set_index("condition")
    assert list(found.index) == ["plain", "blur 4", "blur 32", "4 sentences"]
    plain = [row for row in rows.itertuples() if row.condition == "plain"]
    for name in found.index:
        own = [row for row in rows.itertuples() if row.condition == name]
        right = sum(row.correct for row in own)
        changed = sum(
            normalised(one.answer, one.question) != normalised(two.answer, two.question)
            for one, two in zip(own, plain, strict=True)
        )
        line = found.loc[name]
        assert line["n"] == len(own) and line["accuracy"] == right / len(own)
        assert (line["accuracy_low"], line["accuracy_high"]) == wilson(right, len(own))
        assert line["changed"] == changed / len(own)
        assert line["entropy"] == pytest.approx(np.mean([row.semantic_entropy for row in own]))
        assert line["entropy_low"] <= line["entropy"] <= line["entropy_high"]
    assert found.loc["plain", "changed"] == 0
    lost = rows.assign(semantic_entropy=[float("nan")] + [0.5] * (len(rows) - 1))
    assert isi.conditions.summary(lost, entropy="semantic_entropy")["entropy"].tolist() == [0.5] * 4
    alone = isi.conditions.summary(rows[rows["condition"] != "plain"])
    assert all(map(math.isnan, alone["changed"]))


def test_as_a_condition_of_averages(vlm, data):
    blurred = isi.conditions.degradation("blur", blur=(4,))[1]
    made = isi.averages(vlm, data[:2], condition=blurred, samples=2, entailment="rules")
    assert made.condition == "blur 4" and len(made) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: isi.conditions.degradation("blur", blur=4), "degradation: blur must be a list"),
        (lambda: isi.conditions.degradation("blur", blur=("x",)), '"radius" must be a number'),
        (lambda: isi.conditions.degradation("jpeg", jpeg=(0,)), '"quality" must be'),
        (lambda: isi.conditions.degradation(noise=(0.1, 2)), '"sigma" must be a number from 0 to 1'),
        (lambda: isi.conditions.degradation(seed=-1), "degradation: seed"),
        (lambda: isi.conditions.interference("x"), "interference: seed"),
        (lambda: isi.conditions.dilution(3), "dilution: sentences must be a list"),
        (lambda: isi.conditions.Condition("red", 3), "apply must be a function"),
    ],
)
def test_wrong_sets_are_refused_where_they_are_made(make, words):
    with pytest.raises(InputError) as caught:
        make()
    assert words in str(caught.value)


def test_refusals(vlm, data):
    plain = isi.conditions.plain()
    with pytest.raises(InputError, match="different names"):
        isi.conditions.run(vlm, data, [plain, plain])
    with pytest.raises(InputError, match="got 0 observations"):
        isi.conditions.run(vlm, [], [plain])
    with pytest.raises(InputError, match="must be Condition objects; got function"):
        isi.conditions.run(vlm, data, [lambda s: s])
    with pytest.raises(InputError, match="must return a Stimulus; it returned NoneType"):
        Condition("nothing", lambda s: None)(data[0])
    with pytest.raises(Cancelled):
        isi.conditions.run(vlm, data, [plain], cancel=lambda: True)
    alone = isi.Observation(data[0].image, "Is there a star?")
    with pytest.raises(InputError) as caught:
        isi.conditions.run(vlm, [alone], isi.conditions.interference())
    assert "at the condition 'text question' of observation 0" in caught.value.__notes__
