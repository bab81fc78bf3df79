"""`Answer`: the record of one generated answer, shared by decoding and by the uncertainty measures.

Plain data, no torch: not for generating (see `isi_widget.vlm`) nor for measuring
(see `isi_widget.uncertainty`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from isi_widget.errors import InputError


@dataclass(frozen=True)
class Answer:
    """One answer of a VLM.

    Attributes
    ----------
    text : the decoded answer, without special tokens, white space stripped.
    token_ids, tokens : the T answer tokens, the end-of-sequence token excluded.
    logprobs : natural log p(y_t | prompt, y_<t) of each answer token, of the model itself, before
        temperature, top-k or top-p.
    prompt_ids : ids of the prompt that it answers, image tokens expanded.
    finished : True if the model ended the answer itself, False if `max_new_tokens` cut it.
    sampled_logprobs : natural log-probability of each token under the distribution that it was drawn from
        (after temperature, top-k and top-p); empty where nothing was drawn (greedy, beams).

    A server that does not tell them leaves `logprobs` NaN and `token_ids` -1.
    """

    text: str
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]
    prompt_ids: tuple[int, ...] = field(default=(), repr=False)
    finished: bool = True
    sampled_logprobs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.token_ids), len(self.tokens), len(self.logprobs)}
        if len(lengths) != 1:
            raise InputError(
                "An Answer needs one token and one log-probability per token id; "
                f"got {len(self.token_ids)} ids, {len(self.tokens)} tokens, "
                f"{len(self.logprobs)} log-probabilities."
            )
        if self.sampled_logprobs and len(self.sampled_logprobs) != len(self.logprobs):
            raise InputError(
                f"An Answer of {len(self.logprobs)} tokens has {len(self.sampled_logprobs)} "
                "log-probabilities as sampled; one each, or none, is needed."
            )

    @property
    def log_likelihood(self) -> float:
        """Sum of the token log-probabilities, in nats; 0 for an empty answer."""
        return math.fsum(self.logprobs)

    @property
    def mean_log_likelihood(self) -> float:
        """Length-normalised log-likelihood: mean token log-probability, in nats; 0 for an empty answer."""
        return self.log_likelihood / len(self.logprobs) if self.logprobs else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dict (tuples become lists)."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Answer:
        """The inverse of `to_dict`."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in record.items()
        }
        return cls(**values)
