"""One run: what is in the trial is what the model did, computed a second time by other means."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from isi_widget import Stimulus, datasets
from isi_widget.attribution import measure_attention
from isi_widget.errors import Cancelled, InputError, OutOfMemory
from isi_widget.trial import Settings, Trial, measure_uncertainty, run_trial
from isi_widget.vlm import VLM


def test_the_entropies_are_those_of_the_kept_answers(trial):
    uncertainty = trial.uncertainty
    means = [math.fsum(a.logprobs) / len(a.logprobs) for a in uncertainty.answers]
    starts = [answer.text[:1].lower() for answer in uncertainty.answers]
    # The clusters are the first letters, numbered by appearance.
    assert list(uncertainty.cluster_ids) == [list(dict.fromkeys(starts)).index(start) for start in starts]
    mass, counts = defaultdict(float), defaultdict(int)
    for start, mean in zip(starts, means, strict=True):
        mass[start] += math.exp(mean)
        counts[start] += 1
    total = sum(mass.values())
    shares = {start: value / total for start, value in mass.items()}
    assert uncertainty.semantic_entropy == pytest.approx(-sum(p * math.log(p) for p in shares.values()))
    assert uncertainty.discrete_semantic_entropy == pytest.approx(
        -sum(n / 12 * math.log(n / 12) for n in counts.values())
    )
    assert uncertainty.predictive_entropy == pytest.approx(-sum(means) / 12)
    # 0/1 distances between clusters: the share of pairs of different samples that lie in different ones
    equal = sum(n * (n - 1) for n in counts.values())
    assert uncertainty.rao_quadratic_entropy == pytest.approx(1 - equal / (12 * 11))


def test_the_answer_and_the_samples_are_those_of_the_model_alone(trial, vlm, stimulus):
    alone = vlm.answer(stimulus, max_new_tokens=8)
    assert trial.answer.token_ids == alone.token_ids
    assert trial.answer.logprobs == pytest.approx(alone.logprobs, abs=1e-5)
    samples = vlm.sample(stimulus, n=12, temperature=0.9, seed=5, max_new_tokens=8)
    assert [s.token_ids for s in trial.uncertainty.answers] == [s.token_ids for s in samples]
    assert trial.yes_no == pytest.approx(vlm.yes_no(stimulus), abs=1e-6)


def test_the_attention_is_that_of_the_answer_shown(trial, vlm, stimulus):
    again = measure_attention(vlm, stimulus, trial.answer)  # teacher-forced, with a prefill of its own
    assert trial.attention.tokens == trial.answer.tokens
    np.testing.assert_allclose(trial.attention.mass, again.mass, atol=1e-5)
    segments = trial.attention.segments
    by_hand = {
        name: float(np.mean([row[..., index].mean() for row in trial.attention.mass]))
        for index, name in enumerate(segments)
    }
    assert trial.attention.absolute() == pytest.approx(by_hand, abs=1e-6)
    assert sum(trial.attention.absolute().values()) == pytest.approx(1, abs=1e-5)
    inputs = by_hand["image"] + by_hand["context"] + by_hand["question"]
    assert trial.attention.relative()["context"] == pytest.approx(by_hand["context"] / inputs, abs=1e-6)


def test_the_attention_of_a_sampled_and_of_a_beam_answer_is_its_own(vlm, stimulus):
    for how in ({"do_sample": True, "temperature": 1.5, "seed": 3}, {"num_beams": 3}):
        trial = run_trial(vlm, stimulus, measures=("answer", "attention"), max_new_tokens=5, **how)
        again = measure_attention(vlm, stimulus, trial.answer)
        assert trial.attention.tokens == trial.answer.tokens
        np.testing.assert_allclose(trial.attention.mass, again.mass, atol=1e-5)


def test_the_prompt_is_read_once(vlm, stimulus, rule, monkeypatch):
    read = []
    encode = vlm.encode
    monkeypatch.setattr(vlm, "encode", lambda shown: (read.append(shown), encode(shown))[1])
    run_trial(vlm, stimulus, samples=3, max_new_tokens=3, entailment=rule)
    assert read == [stimulus]


def test_only_what_is_asked_for_is_run(vlm, stimulus, rule):
    asked = {"max_new_tokens": 3, "samples": 2, "entailment": rule}
    answer = run_trial(vlm, stimulus, measures="answer", **asked)
    assert answer.answer is not None and answer.uncertainty is None and answer.attention is None
    uncertainty = run_trial(vlm, stimulus, measures=("uncertainty",), **asked)
    assert uncertainty.answer is None and uncertainty.yes_no is None and uncertainty.correct is None
    assert len(uncertainty.uncertainty.answers) == 2
    attention = run_trial(vlm, stimulus, measures=("attention",), **asked)
    assert attention.answer is not None and attention.attention is not None and attention.uncertainty is None


def test_the_same_seed_gives_the_same_trial_and_another_seed_other_samples(vlm, stimulus, rule):
    def run(seed):
        trial = run_trial(
            vlm, stimulus, samples=6, temperature=2.0, seed=seed, max_new_tokens=6, entailment=rule
        )
        return trial.uncertainty

    assert run(1) == run(1)
    assert [a.token_ids for a in run(1).answers] != [a.token_ids for a in run(2).answers]


def test_measure_uncertainty_is_the_trial_s_uncertainty(trial, vlm, stimulus, rule):
    alone = measure_uncertainty(vlm, stimulus, samples=12, seed=5, max_new_tokens=8, entailment=rule)
    assert [a.token_ids for a in alone.answers] == [a.token_ids for a in trial.uncertainty.answers]
    assert alone.semantic_entropy == pytest.approx(trial.uncertainty.semantic_entropy, abs=1e-5)
    assert alone.interval("semantic_entropy") == pytest.approx(
        trial.uncertainty.interval("semantic_entropy"), abs=1e-5
    )


def test_the_record_says_with_what_and_when_it_was_made(trial, vlm):
    assert trial.model == vlm.info()
    assert trial.settings == Settings(samples=12, seed=5, max_new_tokens=8)
    assert trial.versions["torch"] == torch.__version__
    assert trial.versions["transformers"] == transformers.__version__
    created = datetime.fromisoformat(trial.created)
    assert created.utcoffset() == timedelta(0) and abs(datetime.now(UTC) - created) < timedelta(hours=2)
    stages = {name: value for name, value in trial.seconds.items() if name != "total"}
    assert set(stages) == {"prompt", "answer", "attention", "samples", "clusters"}
    assert 0 < sum(stages.values()) <= trial.seconds["total"]


def test_progress_goes_through_every_stage_from_zero_to_its_total(vlm, stimulus, rule):
    told = []
    run_trial(
        vlm, stimulus, samples=70, max_new_tokens=4, entailment=rule, progress=lambda *step: told.append(step)
    )
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == [
        "prompt",
        "answer",
        "attention",
        "samples",
        "clusters",
    ]
    for stage in {stage for stage, _, _ in told}:
        steps = [(done, total) for name, done, total in told if name == stage]
        assert steps[0][0] == 0 and steps[-1][0] == steps[-1][1]
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        assert len({total for _, total in steps}) == 1
    # 70 samples are two batches; each decoding step is told once, not once per sample
    assert len([1 for stage, _, _ in told if stage == "samples"]) <= 2 + 2 * 4


@pytest.mark.parametrize("after", [0, 1, 2, 4, 8])
def test_cancel_stops_between_tokens_and_leaves_the_model_usable(vlm, stimulus, rule, after):
    polls = 0

    def cancel():
        nonlocal polls
        polls += 1
        return polls > after

    with pytest.raises(Cancelled):
        run_trial(
            vlm, stimulus, samples=4, temperature=3.0, max_new_tokens=64, entailment=rule, cancel=cancel
        )
    assert polls == after + 1
    assert vlm.lock.acquire(blocking=False)
    vlm.lock.release()
    assert run_trial(vlm, stimulus, measures="answer", max_new_tokens=2).answer is not None


def test_a_failing_progress_callback_is_not_swallowed(vlm, stimulus):
    def fail(*_):
        raise RuntimeError("the page is gone")

    with pytest.raises(RuntimeError, match="the page is gone"):
        run_trial(vlm, stimulus, progress=fail)
    assert vlm.lock.acquire(blocking=False)
    vlm.lock.release()


def test_an_empty_answer_has_no_attention(vlm, stimulus):
    class Silent(VLM):
        eos_ids = frozenset(range(len(vlm.tokenizer)))  # whatever comes first ends the answer

    silent = Silent(vlm.model, vlm.processor, model_id="silent")
    trial = run_trial(silent, stimulus, measures=("answer", "attention"))
    assert trial.answer.text == "" and trial.answer.token_ids == ()
    assert trial.attention is None and trial.correct is False


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda vlm, s: run_trial(vlm, datasets.scenes()[0]),
            r"needs a Stimulus; got Observation\. .*\.stimulus\(\)",
        ),
        (lambda vlm, s: run_trial(vlm, "a picture"), r"needs a Stimulus; got str"),
        (lambda vlm, s: run_trial("llava", s), r"needs a VLM, as load_vlm\(\) returns it; got str"),
        (lambda vlm, s: run_trial(vlm, s, samples=0), r"samples must be"),
        (lambda vlm, s: run_trial(vlm, s, entailment=3, samples=1, max_new_tokens=1), r"entailment must be"),
        (lambda vlm, s: measure_uncertainty(vlm, s, temperature=0), r"temperature must be a number above 0"),
        (lambda vlm, s: measure_uncertainty(vlm, s, samples=1001), r"samples must be"),
    ],
)
def test_bad_input_is_one_clear_error(vlm, stimulus, call, message):
    with pytest.raises(InputError, match=message):
        call(vlm, stimulus)


def test_bad_settings_are_refused_before_the_model_runs(vlm, stimulus, monkeypatch):
    monkeypatch.setattr(vlm, "prefill", lambda *_, **__: pytest.fail("the model was run"))
    with pytest.raises(InputError):
        run_trial(vlm, stimulus, temperature=0)


@pytest.mark.parametrize("entailment", [3, "no/such/folder"])
def test_a_wrong_entailment_model_is_refused_before_the_model_runs(vlm, stimulus, entailment, monkeypatch):
    monkeypatch.setattr(vlm, "prefill", lambda *_, **__: pytest.fail("the model was run"))
    for run in (run_trial, measure_uncertainty):
        with pytest.raises(InputError):
            run(vlm, stimulus, entailment=entailment)


def test_a_trial_of_text_truth_is_judged_by_the_stimulus_truth(vlm, rule):
    shown = Stimulus(datasets.scenes()[0].stimulus().image, "What is there?", true_answer="red star")
    trial = run_trial(vlm, shown, measures="answer", max_new_tokens=1)
    assert trial.correct is ("red star" in trial.answer.text.lower())
    assert run_trial(vlm, shown.with_question("Why?"), measures="answer", max_new_tokens=1).correct is None


def test_total_time_is_wall_clock(vlm, stimulus, rule):
    start = time.perf_counter()
    trial = run_trial(vlm, stimulus, samples=2, max_new_tokens=2, entailment=rule)
    assert trial.seconds["total"] <= time.perf_counter() - start


def test_texts_are_told_while_they_come(vlm, stimulus, rule):
    told = []
    trial = run_trial(
        vlm, stimulus, samples=6, max_new_tokens=8, entailment=rule, on_text=lambda *event: told.append(event)
    )
    growing = [text for what, _, text in told if what == "answer"]
    assert len(growing) == len(trial.answer.tokens)
    assert all(later.startswith(text) for text, later in itertools.pairwise(growing))
    assert growing[-1].strip() == trial.answer.text
    samples = {row: text for what, row, text in told if what == "sample"}
    assert samples == {row: answer.text for row, answer in enumerate(trial.uncertainty.answers)}
    assert len(told) == len(growing) + 6


class Closed:
    """A VLM that shows nothing of its inside."""

    unavailable: ClassVar = {
        "attention": "A server shows only text.",
        "yes_no": "It tells no probabilities.",
    }

    def __init__(self, vlm):
        self._vlm = vlm

    def __getattr__(self, name):
        return getattr(self._vlm, name)


def test_what_a_vlm_cannot_give_is_left_out_with_the_reason(vlm, stimulus, rule):
    trial = run_trial(Closed(vlm), stimulus, samples=3, max_new_tokens=8, entailment=rule)
    assert trial.attention is None
    assert trial.answer is not None
    assert trial.uncertainty is not None
    assert "A server shows only text." in trial.notes[0]
    assert Trial.from_dict(json.loads(json.dumps(trial.to_dict()))) == trial
    assert trial.view()["notes"] == list(trial.notes)
    with pytest.raises(InputError, match="'attention' is not available from embedded: A server shows"):
        run_trial(Closed(vlm), stimulus, measures=["answer", "attention"])
    with pytest.raises(InputError, match="measures must name at least one"):
        run_trial(vlm, stimulus, measures=())


def test_a_trial_whose_samples_do_not_fit_keeps_its_answer(vlm, stimulus, rule, monkeypatch):
    def sample(*args, **kwargs):
        raise OutOfMemory("Out of memory while drawing answers. Try fewer samples.")

    monkeypatch.setattr(vlm, "sample", sample)
    trial = run_trial(vlm, stimulus, max_new_tokens=8, entailment=rule)
    assert trial.answer is not None
    assert trial.attention is not None
    assert trial.uncertainty is None
    assert "Try fewer samples" in trial.notes[0]
    with pytest.raises(OutOfMemory):
        run_trial(vlm, stimulus, measures="uncertainty", entailment=rule)


def test_what_a_server_turns_out_not_to_tell_is_noted_in_the_same_trial(vlm, stimulus, rule):
    class Server(Closed):
        def __init__(self, vlm):
            super().__init__(vlm)
            self.unavailable = {}

        def yes_no(self, *args, **kwargs):
            self.unavailable["yes_no"] = "The server tells none."
            raise InputError("yes_no is not available")

    trial = run_trial(Server(vlm), stimulus, samples=2, max_new_tokens=2, entailment=rule)
    assert trial.notes == ("Not available: the probability of yes and no. The server tells none.",)
    assert trial.to_frame()["notes"].item() == trial.notes[0]


def test_likelihoods_that_a_server_does_not_tell_are_refused_before_answers_are_paid_for(vlm, stimulus, rule):
    class Server(Closed):
        unavailable: ClassVar = {**Closed.unavailable, "sampled_logprobs": "It does not send them."}

        def prefill(self, *args, **kwargs):
            raise AssertionError("asked all the same")

    for run in (run_trial, measure_uncertainty):
        with pytest.raises(InputError, match=r"likelihood='sampled'.*It does not send them.*'raw'"):
            run(Server(vlm), stimulus, likelihood="sampled", entailment=rule)


def test_a_trial_says_what_was_changed_when_its_image_was_read(vlm):
    clear = Image.new("RGBA", (40, 30), (200, 0, 0, 100))
    trial = run_trial(vlm, Stimulus(clear, "Is it red?"), measures="answer", max_new_tokens=2)
    (note,) = [note for note in trial.notes if "when it was read" in note]
    assert "transparent parts were laid on white" in note
    drawn = trial.stimulus.with_image(Image.new("RGB", (40, 30), "red"))
    later = run_trial(vlm, drawn, measures="answer", max_new_tokens=2)
    assert not any("when it was read" in note for note in later.notes)
