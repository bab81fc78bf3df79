"""Both embedded models together, on the built-in scenes: a trial says what a person sees happen."""

from __future__ import annotations

import pytest

from isi_widget import datasets
from isi_widget.trial import run_trial


@pytest.fixture(scope="module")
def plain(vlm):
    observations = list(datasets.scenes())[::5]
    return [run_trial(vlm, observation.stimulus()) for observation in observations]


@pytest.fixture(scope="module")
def covered(vlm, plain):
    def cover(stimulus):
        return stimulus.box(0, 0, stimulus.image.width, stimulus.image.height)

    return [run_trial(vlm, cover(trial.stimulus)) for trial in plain]


def share_right(trials):
    return sum(trial.correct is True for trial in trials) / len(trials)


def mean_entropy(trials):
    return sum(trial.uncertainty.semantic_entropy for trial in trials) / len(trials)


def test_the_model_is_right_on_what_it_sees_and_not_on_what_is_covered(plain, covered):
    assert len(plain) == 20
    assert share_right(plain) >= 0.8
    assert share_right(covered) <= share_right(plain) - 0.2


def test_a_covered_image_makes_it_less_certain(plain, covered):
    assert mean_entropy(covered) > mean_entropy(plain) + 0.1


def test_a_plain_yes_and_a_plain_no_are_two_meanings(plain, covered):
    seen = 0
    for trial in plain + covered:
        clusters = {"yes": set(), "no": set()}
        for answer, cluster in zip(trial.uncertainty.answers, trial.uncertainty.cluster_ids, strict=True):
            word = answer.text.strip(".").lower()
            if word in clusters:
                clusters[word].add(cluster)
        if all(clusters.values()):
            seen += 1
            assert len(clusters["yes"]) == len(clusters["no"]) == 1
            assert clusters["yes"] != clusters["no"]
    assert seen >= 3


def test_yes_and_no_have_the_probabilities_of_the_first_token(plain):
    for trial in plain:
        assert sum(trial.yes_no.values()) == pytest.approx(1)
        if trial.stimulus.truth in ("Yes", "No"):
            said = trial.answer.text.split()[0].strip(".,").lower()
            assert max(trial.yes_no, key=trial.yes_no.__getitem__) == said


def test_attention_on_the_context_needs_a_context(vlm, plain):
    for trial in plain[:5]:
        assert trial.attention.absolute()["context"] == 0 and trial.attention.token_counts["context"] == 0
        told = run_trial(
            vlm,
            trial.stimulus.with_context(preset="contradictory"),
            measures=("attention",),
        )
        assert told.attention.token_counts["context"] > 0
        assert told.attention.relative()["context"] > 0
