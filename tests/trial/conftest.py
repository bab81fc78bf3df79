"""A transparent entailment rule where a test computes the clusters by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from isi_widget import Stimulus, datasets
from isi_widget.trial import Trial, run_trial
from isi_widget.vlm import VLM


class SameStart:
    """Two answers mean the same if they begin with the same letter; else they contradict each other."""

    name = "same start"

    def probabilities(self, question: str, answers: Sequence[str]) -> npt.NDArray[np.float64]:
        starts = np.array([answer[:1].lower() for answer in answers])
        same = (starts[:, None] == starts[None, :]).astype(float)
        return np.stack([1 - same, np.zeros_like(same), same], axis=-1)


@pytest.fixture
def rule() -> SameStart:
    return SameStart()


@pytest.fixture(scope="session")
def stimulus() -> Stimulus:
    return datasets.scenes()[3].stimulus().box(40, 30, 60, 80).with_context("A ball lies there.")


@pytest.fixture(scope="session")
def trial(vlm: VLM, stimulus: Stimulus) -> Trial:
    return run_trial(vlm, stimulus, samples=12, seed=5, max_new_tokens=8, entailment=SameStart())
