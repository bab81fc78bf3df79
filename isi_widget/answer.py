"""`Answer` and `Enumeration`: one generated answer, and all probable answers with exact probabilities. Used
by decoding and by the uncertainty measures.

Plain data, no torch. Not for generating answers (see `isi_widget.vlm`), nor for measuring (see
`isi_widget.uncertainty`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.readable import counted, html_table

_ROWS = 30  # of a table in a notebook


@dataclass(frozen=True, repr=False)
class Answer:
    """One answer of a VLM.

    Attributes
    ----------
    text : decoded answer, without special tokens, white space stripped.
    token_ids : ids of the T answer tokens, end-of-sequence token excluded.
    tokens : texts of the T answer tokens, end-of-sequence token excluded.
    logprobs : natural log-probability log p(y_t | prompt, y_<t) of each answer token, before temperature,
        top-k or top-p.
    prompt_ids : token ids of the prompt, image tokens expanded.
    finished : True if the model ended the answer, False if `max_new_tokens` cut it off.
    sampled_logprobs : natural log-probability of each token under the sampling distribution (after
        temperature, top-k and top-p); empty for greedy answers and beams.
    end_logprob : natural log-probability that the answer ends after its last token, summed over all end
        tokens, before temperature, top-k or top-p; None if `max_new_tokens` cut the answer off, or if unknown
        (servers, older records).
    sampled_end_logprob : the same under the sampling distribution; None for greedy answers and beams.
    alternatives : for each answer token, the most likely other tokens at that position, best first, each as
        (text, natural log-probability); the text is "" for the end of the answer. Only from `VLM.answer`;
        empty for beams, `VLM.sample` and servers.

    reasoning : text that a model behind a server wrote before its answer, in tags or in a separate field. Not
        part of the answer: never judged, compared or clustered. "" if the server reported none.

    If a server does not report them, `logprobs` are NaN and `token_ids` are -1.
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
                f"got {counted(len(self.token_ids), 'id')}, {counted(len(self.tokens), 'token')}, "
                f"{counted(len(self.logprobs), 'log-probability', 'log-probabilities')}."
            )
        if self.sampled_logprobs and len(self.sampled_logprobs) != len(self.logprobs):
            raise InputError(
                f"An Answer of {counted(len(self.logprobs), 'token')} needs one log-probability as sampled "
                f"for each, or none; got {len(self.sampled_logprobs)}."
            )
        if self.alternatives and len(self.alternatives) != len(self.logprobs):
            raise InputError(
                f"An Answer of {counted(len(self.logprobs), 'token')} needs alternatives to each, or to "
                f"none; got alternatives to {len(self.alternatives)}."
            )
        if not self.finished and (self.end_logprob, self.sampled_end_logprob) != (None, None):
            raise InputError("An Answer that max_new_tokens cut has not ended: its end has no probability.")

    def __repr__(self) -> str:
        known = f", log-likelihood {self.log_likelihood:.3f}" if self._has_logprobs else ""
        cut = "" if self.finished else ", cut off by max_new_tokens"
        return f"Answer({self.text!r}, {counted(len(self.tokens), 'token')}{known}{cut})"

    def _repr_html_(self) -> str:
        rows = [
            (repr(text), f"{math.exp(logprob):.3f}" if self._has_logprobs else "unknown")
            for text, logprob in zip(self.tokens[:_ROWS], self.logprobs, strict=False)
        ]
        notes = [] if self.finished else ["The answer was cut off by max_new_tokens."]
        if (left := len(self.tokens) - _ROWS) > 0:
            notes.append(f"{counted(left, 'more token')}: tokens, logprobs")
        elif self.end_logprob is not None:
            rows.append(("(end)", f"{math.exp(self.end_logprob):.3f}"))
        title = self.text or ("(empty answer)" if not self.missing else self.missing)
        return html_table(title, ("token", "probability"), rows, notes)

    @property
    def _has_logprobs(self) -> bool:
        return not any(math.isnan(number) for number in self.logprobs)

    @property
    def missing(self) -> str:
        """Why a response holds no answer, in one sentence; "" if there is an answer.

        An empty text without reasoning that the model ended itself is an answer.
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
        """Log-probability of the whole answer with its end, in nats: "Yes" and nothing after it.

        For an answer cut off by `max_new_tokens`: that of all answers that begin like it. NaN if the end is
        unknown.
        """
        if not self.finished:
            return self.log_likelihood
        return math.nan if self.end_logprob is None else self.log_likelihood + self.end_logprob

    @property
    def mean_log_likelihood(self) -> float:
        """Length-normalised log-likelihood: mean token log-probability, in nats; 0 for an empty answer."""
        return self.log_likelihood / len(self.logprobs) if self.logprobs else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict (tuples become lists); empty `alternatives` and `reasoning`
        are left out.
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


@dataclass(frozen=True, repr=False)
class Enumeration:
    """The most probable answers of a VLM, each listed once, with exact probabilities
    (`VLM.enumerate_answers`).

    Attributes
    ----------
    answers : answers by decreasing probability. Different token ids can give the same text: such answers are
        separate here; `texts` merges them.
    probabilities : probability of each whole answer with its end, under temperature, top-k and top-p. For an
        answer cut off by `max_new_tokens`: of all answers that begin like it.
    rest : probability of all unlisted answers; `probabilities` and `rest` sum to 1.
    target : requested mass.
    prefixes : number of evaluated beginnings of answers.
    batches : number of forward passes.
    budget, temperature, top_k, top_p, max_new_tokens : settings of the enumeration.
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
                "An Enumeration needs one probability per answer; got "
                f"{counted(len(self.answers), 'answer')}, "
                f"{counted(len(self.probabilities), 'probability', 'probabilities')}."
            )
        numbers = (*self.probabilities, self.rest)
        if not all(0 <= p <= 1 for p in numbers) or abs(math.fsum(numbers) - 1.0) > 1e-6:
            raise InputError(
                "The probabilities of an Enumeration and its rest lie between 0 and 1 and sum to 1; they sum "
                f"to {math.fsum(numbers):.6g}."
            )

    def __repr__(self) -> str:
        texts = self.texts
        first = ", ".join(f"{text!r} {p:.3f}" for text, p in list(texts.items())[:3])
        more = ", ..." if len(texts) > 3 else ""
        return (
            f"Enumeration({counted(len(self.answers), 'answer')} with {self.mass:.1%} of the probability: "
            f"{first}{more})"
        )

    def _repr_html_(self) -> str:
        texts = self.texts
        rows = [(text or "(empty answer)", f"{p:.4f}") for text, p in list(texts.items())[:_ROWS]]
        rows.append(("(all other answers)", f"{self.rest:.4f}"))
        notes = [] if self.reached else ["Too many answers for the budget: raise budget, or lower mass."]
        if (left := len(texts) - _ROWS) > 0:
            notes.insert(0, f"{counted(left, 'more answer')}: texts")
        title = f"{counted(len(texts), 'answer')} with {self.mass:.1%} of the probability"
        return html_table(title, ("answer", "probability"), rows, notes)

    @property
    def mass(self) -> float:
        """Probability of all listed answers together: 1 - `rest`."""
        return 1.0 - self.rest

    @property
    def reached(self) -> bool:
        """Whether the target mass was reached; if not, there are too many answers for the budget."""
        return self.mass >= self.target - 1e-9

    @property
    def cut(self) -> float:
        """Probability of the listed answers that `max_new_tokens` cut off."""
        pairs = zip(self.answers, self.probabilities, strict=True)
        return math.fsum(p for answer, p in pairs if not answer.finished)

    @property
    def texts(self) -> dict[str, float]:
        """Probability of each text, summed over its tokenisations; by decreasing probability."""
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
