"""Averages and trials made by hand, with numbers that a test can follow, and texts that try to break out."""

from __future__ import annotations

import math

import numpy as np

from isi_widget.answer import Answer
from isi_widget.attribution import AttentionShares
from isi_widget.stimulus import Stimulus
from isi_widget.study import Averages, Row
from isi_widget.trial import Trial
from isi_widget.trial.settings import Settings
from isi_widget.uncertainty import uncertainty_of

HOSTILE = "</div><script>alert('x')</script><img src=x onerror=\"alert(1)\"> & {braces}"
MODEL = {
    "name": "owner/model",
    "family": "LLaVA-1.5",
    "parameters": 100,
    "dtype": "float32",
    "quantization": None,
    "compute_dtype": None,
    "revision": "abc",
    "fingerprint": "0123456789abcdef",
}
INFO = {**MODEL, "device": "cpu", "not_quantized": [], "loaded_with": {}, "note": ""}


class SameText:
    name = "same text"

    def probabilities(self, question, answers):
        same = (np.array(answers)[:, None] == np.array(answers)[None, :]).astype(float)
        return np.stack([1 - same, np.zeros_like(same), same], axis=-1)


def make_row(semantic=0.5, index=0, **other):
    values = {
        "id": f"o{index}",
        "level": "object",
        "stimulus": f"{index:016x}",
        "correct": True,
        "answer_probability": 0.8,
        "bayesian_semantic_entropy": 0.625,
        "semantic_entropy": semantic,
        "discrete_semantic_entropy": 0.25,
        "predictive_entropy": 0.75,
        "rao_quadratic_entropy": 0.125,
        "clusters": 2.0,
        "attention_image": 0.4,
        "attention_context": 0.1,
        "attention_question": 0.3,
        "attention_other": 0.2,
        "tokens": 6,
        "cut": 0,
    }
    return Row(**{**values, **other})


def make_averages(*rows, **other):
    values = {
        "model": MODEL,
        "settings": Settings(samples=4),
        "data": "shapes",
        "rows": rows or tuple(make_row(value, i) for i, value in enumerate((0.0, 0.0, 0.5, 1.0))),
        "entailment": "same text",
        "versions": {"python": "3.11"},
        "created": "2026-01-02T00:00:00.000+00:00",
    }
    return Averages(**{**values, **other})


def make_answer(text, *logprobs):
    tokens = tuple(f"t{i}" for i in range(len(logprobs)))
    return Answer(text, tuple(range(len(logprobs))), tokens, tuple(logprobs))


def make_trial(texts=("Yes.", "Yes.", "No.", "Maybe."), *, model=None, entailment=None, **settings):
    """All sampled answers equally likely; the shown answer is right and has probability 1 / e."""
    stimulus = Stimulus(np.full((6, 9, 3), 200, np.uint8), "Is there a star?", "A context.", "Yes")
    answers = [make_answer(text, -0.5) for text in texts]
    mass = np.empty((2, 3, 4, 4), np.float32)
    mass[:] = [0.4, 0.1, 0.3, 0.2]
    counts = {"image": 64, "context": 4, "question": 6, "other": 5}
    return Trial(
        stimulus,
        {
            "answer": make_answer("Yes.", -0.25, -0.75),
            "yes_no": {"yes": 0.7, "no": 0.2, "rest": 0.1},
            "uncertainty": uncertainty_of(answers, "Is there a star?", entailment or SameText()),
            "attention": AttentionShares(mass, counts, ("a", "b")),
        },
        INFO if model is None else model,
        Settings(**{"samples": len(texts), **settings}),
        {"total": 0.4},
        {"python": "3.11"},
        "2026-01-01T00:00:00.000+00:00",
    )


def make_silent_trial(texts=("No.", "Yes.", "No.", "Maybe.")):
    """Of a server that tells no log-probabilities: NaN everywhere, token ids -1."""
    answers = [Answer(text, (-1,), (text,), (math.nan,)) for text in texts]
    made = make_trial(texts)
    return Trial(
        made.stimulus,
        {"answer": answers[0], "uncertainty": uncertainty_of(answers, "Is there a star?", SameText())},
        made.model,
        made.settings,
        created=made.created,
    )
