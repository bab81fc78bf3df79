"""Log-likelihoods of answers and the probabilities of sampling them.

Not for entropies (`entropy`), nor for the posterior over meanings (`posterior`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.uncertainty._checks import Floats
from isi_widget.uncertainty.entropy import Length, sequence_log_likelihoods

Likelihood = Literal["raw", "sampled"]


def _ends(answers: Sequence[Answer], likelihood: Likelihood) -> list[float | None]:
    return [a.sampled_end_logprob if likelihood == "sampled" else a.end_logprob for a in answers]


def lacking_end(answers: Sequence[Answer], likelihood: Likelihood) -> int:
    """Return how many finished answers lack the log-probability of their end."""
    ends = _ends(answers, likelihood)
    return sum(a.finished and end is None for a, end in zip(answers, ends, strict=True))


def log_likelihoods(
    answers: Sequence[Answer], likelihood: Likelihood, length: Length, include_end: bool
) -> Floats:
    """Compute l_i of each answer, [N]; all NaN if the model does not report one of them."""
    if likelihood == "raw":
        rows = [answer.logprobs for answer in answers]
    elif likelihood == "sampled":
        rows = [answer.sampled_logprobs for answer in answers]
        if missing := sum(not row and bool(a.token_ids) for row, a in zip(rows, answers, strict=True)):
            raise InputError(
                f"likelihood='sampled' needs answers that were sampled; {missing} of {len(answers)} have no "
                "log-probabilities as sampled (greedy, beams, or a model that does not report them). Use "
                "likelihood='raw'."
            )
    else:
        raise InputError(f"likelihood is 'raw' or 'sampled', not {likelihood!r}.")
    # A server without log-probabilities has no token ids either; NaN with token ids means a broken model
    if any(
        a.token_ids and max(a.token_ids) < 0 and np.isnan(r).all() for a, r in zip(answers, rows, strict=True)
    ):
        return np.full(len(rows), math.nan)
    if include_end and (lacking := lacking_end(answers, likelihood)):
        raise InputError(
            f"include_end=True needs the log-probability of each answer's end; {lacking} of {len(answers)} "
            "have none (servers, older records, or likelihood='sampled' for answers that were not sampled). "
            "Use include_end=False."
        )
    return sequence_log_likelihoods(
        rows, length, end_logprobs=_ends(answers, likelihood) if include_end else None
    )


def drawn_probability(answer: Answer) -> float:
    """Return the probability of sampling the whole answer; NaN if a token or the end lacks its
    log-probability.
    """
    ended = answer.sampled_end_logprob if answer.finished else 0.0
    if ended is None or len(answer.sampled_logprobs) != len(answer.token_ids):
        return math.nan
    return math.exp(math.fsum(answer.sampled_logprobs) + ended)
