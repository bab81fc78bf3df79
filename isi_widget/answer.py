"""`Answer` and `Enumeration`: one generated answer, and all probable answers with their exact probabilities;
shared by decoding and by the uncertainty measures.

Plain data, no torch: not for generating (see `isi_widget.vlm`) nor for measuring
(see `isi_widget.uncertainty`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from isi_widget import records
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
    end_logprob : natural log-probability, of the model itself, that the answer ends after its last token,
        summed over all tokens that end one; None where `max_new_tokens` cut it, and where it is not known
        (servers, older records).
    sampled_end_logprob : the same under the distribution that the end was drawn from; None where nothing was
        drawn.
    alternatives : at each answer token the most likely other tokens there, best first, each as (text, natural
        log-probability of the model itself); the text is "" where the answer would have ended. Of
        `VLM.answer` only; empty for beams, for `VLM.sample` and for servers.

    reasoning : what a model behind a server wrote before its answer, in tags or in a field of its own; no
        part of the answer: never judged, compared or clustered. "" where there was none, or none was told.

    A server that does not tell them leaves `logprobs` NaN and `token_ids` -1.
    """

    text: str
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]
    prompt_ids: tuple[int, ...] = field(default=(), repr=False)
    finished: bool = True
    sampled_logprobs: tuple[float, ...] = ()
    alternatives: tuple[tuple[tuple[str, float], ...], ...] = field(default=(), repr=False)
    end_logprob: float | None = None
    sampled_end_logprob: float | None = None
    reasoning: str = field(default="", repr=False)

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
        if self.alternatives and len(self.alternatives) != len(self.logprobs):
            raise InputError(
                f"An Answer of {len(self.logprobs)} tokens has alternatives to {len(self.alternatives)}; to "
                "each, or to none, is needed."
            )
        if not self.finished and (self.end_logprob, self.sampled_end_logprob) != (None, None):
            raise InputError("An Answer that max_new_tokens cut has not ended: its end has no probability.")

    @property
    def missing(self) -> str:
        """Why there is no answer although the model was asked, in one sentence; "" where there is one.

        An empty text that the model ended itself, without reasoning, is an answer.
        """
        if self.text or (self.finished and not self.reasoning):
            return ""
        came = "Only reasoning came, and no answer" if self.reasoning else "No answer came"
        return f"{came}; raise max_new_tokens." if not self.finished else f"{came}."

    @property
    def log_likelihood(self) -> float:
        """Sum of the token log-probabilities, in nats, without the end; 0 for an empty answer."""
        return math.fsum(self.logprobs)

    @property
    def whole_log_likelihood(self) -> float:
        """Log-probability of the whole answer and its end, in nats: "Yes" and nothing after it.

        For an answer that `max_new_tokens` cut, that of all answers that begin like it. NaN where the end is
        not known.
        """
        if not self.finished:
            return self.log_likelihood
        return math.nan if self.end_logprob is None else self.log_likelihood + self.end_logprob

    @property
    def mean_log_likelihood(self) -> float:
        """Length-normalised log-likelihood: mean token log-probability, in nats; 0 for an empty answer."""
        return self.log_likelihood / len(self.logprobs) if self.logprobs else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict (tuples become lists); without `alternatives` and `reasoning` where there
        are none.
        """
        record = {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }
        if not self.reasoning:
            del record["reasoning"]
        places = [[list(other) for other in place] for place in record.pop("alternatives")]
        return {**record, "alternatives": places} if places else record

    @classmethod
    @records.reader("an answer", shown=("log_likelihood", "whole_log_likelihood"))
    def from_dict(cls, record: Mapping[str, Any]) -> Answer:
        """Rebuild from the record of `to_dict`."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in record.items()
        }
        places = values.get("alternatives", ())
        values["alternatives"] = tuple(tuple((text, number) for text, number in place) for place in places)
        return cls(**values)


@dataclass(frozen=True)
class Enumeration:
    """The most probable answers of a VLM, each once, with exact probabilities (`VLM.enumerate_answers`).

    Attributes
    ----------
    answers : by falling probability. Different token ids can read the same: such answers stand apart here,
        and `texts` puts them together.
    probabilities : of each whole answer with its end, under temperature, top-k and top-p. Of an answer that
        `max_new_tokens` cut: of all answers that begin like it.
    rest : probability of all answers that are not listed; `probabilities` and `rest` sum to 1.
    target : the mass that was asked for.
    prefixes, batches : beginnings of answers that were looked at, and forward passes that took.
    budget, temperature, top_k, top_p, max_new_tokens : what was asked for.
    """

    answers: tuple[Answer, ...]
    probabilities: tuple[float, ...]
    rest: float
    target: float
    prefixes: int
    batches: int
    budget: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        if len(self.answers) != len(self.probabilities):
            raise InputError(
                f"An Enumeration needs one probability per answer; got {len(self.answers)} answers, "
                f"{len(self.probabilities)} probabilities."
            )
        numbers = (*self.probabilities, self.rest)
        if not all(0 <= p <= 1 for p in numbers) or abs(math.fsum(numbers) - 1.0) > 1e-6:
            raise InputError(
                "The probabilities of an Enumeration and its rest lie between 0 and 1 and sum to 1; they sum "
                f"to {math.fsum(numbers):.6g}."
            )

    @property
    def mass(self) -> float:
        """Probability of all listed answers together: 1 - `rest`."""
        return 1.0 - self.rest

    @property
    def reached(self) -> bool:
        """Whether the mass that was asked for was found; if not, the answers are too many for the budget."""
        return self.mass >= self.target - 1e-9

    @property
    def cut(self) -> float:
        """Probability of the listed answers that `max_new_tokens` cut."""
        pairs = zip(self.answers, self.probabilities, strict=True)
        return math.fsum(p for answer, p in pairs if not answer.finished)

    @property
    def texts(self) -> dict[str, float]:
        """Probability of each text, whatever its tokens; by falling probability."""
        found: dict[str, float] = {}
        for answer, p in zip(self.answers, self.probabilities, strict=True):
            found[answer.text] = found.get(answer.text, 0.0) + p
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        record = {item.name: getattr(self, item.name) for item in fields(self)}
        answers = [answer.to_dict() for answer in self.answers]
        return record | {"answers": answers, "probabilities": list(self.probabilities)}

    @classmethod
    @records.reader("an enumeration", texts=True)
    def from_dict(cls, record: Mapping[str, Any]) -> Enumeration:
        """Rebuild from the record of `to_dict`."""
        answers = tuple(Answer.from_dict(answer) for answer in record["answers"])
        return cls(**{**record, "answers": answers, "probabilities": tuple(record["probabilities"])})
