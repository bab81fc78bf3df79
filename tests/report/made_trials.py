"""Trials made by hand, with numbers that a test can follow, and texts that try to break out."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from isi_widget.answer import Answer
from isi_widget.attribution import AttentionShares
from isi_widget.stimulus import Stimulus
from isi_widget.trial import Settings, Trial
from isi_widget.uncertainty import uncertainty_of

HOSTILE = "</pre></div><script>alert('x')</script><img src=x onerror=\"alert(1)\"> & $\\alpha$ {braces} 'q'"


class SameText:
    name = "same text"

    def probabilities(self, question, answers):
        same = (np.array(answers)[:, None] == np.array(answers)[None, :]).astype(float)
        return np.stack([1 - same, np.zeros_like(same), same], axis=-1)


def make_answer(text, *logprobs):
    return Answer(
        text, tuple(range(len(logprobs))), tuple(f"t{i}" for i in range(len(logprobs))), tuple(logprobs)
    )


def make_trial(
    texts=("Yes.", "Yes.", "No.", "Maybe."), question="Is there a star?", context="", operations=(), shift=0.0
):
    """All sampled answers equally likely: p(cluster) is its share of the answers."""
    pixels = np.full((60, 90, 3), 200, np.uint8)
    stimulus = Stimulus(pixels, question, context, "Yes").with_operations(operations)
    answers = [make_answer(text, -0.5) for text in texts]
    mass = np.empty((2, 3, 4, 4), np.float32)
    mass[:] = [0.4 - shift, 0.1 + shift, 0.3, 0.2]
    counts = {"image": 64, "context": 4, "question": 6, "other": 5}
    return Trial(
        stimulus,
        {
            "answer": make_answer(texts[0], -0.25, -0.75),
            "yes_no": {"yes": 0.7, "no": 0.2, "rest": 0.1},
            "uncertainty": uncertainty_of(answers, question, SameText(), seed=1),
            "attention": AttentionShares(mass, counts, ("a", "b")),
        },
        {
            "name": "embedded",
            "family": "LLaVA-1.5",
            "dtype": "float32",
            "device": "cpu",
            "note": "Scenes only.",
        },
        Settings(samples=len(texts), seed=7),
        {"prompt": 0.1, "total": 0.4},
        {"python": "3.11"},
        "2026-01-01T00:00:00.000+00:00",
    )


def make_silent_trial(texts=("No.", "Yes.", "No.", "Maybe.")):
    """Of a server that tells no log-probabilities: NaN everywhere, token ids -1."""
    made = make_trial(("Yes.",))
    answers = [Answer(text, (-1,), (text,), (math.nan,)) for text in texts]
    return dataclasses.replace(
        made,
        results={
            "answer": answers[0],
            "uncertainty": uncertainty_of(answers, "Is there a star?", SameText(), seed=1),
        },
        settings=Settings(("answer", "uncertainty"), samples=len(texts)),
        notes=("Not available: attention. A server shows only text.",),
    )
