"""From decoded token ids to an `Answer`, with or without recorded attention. Not for decoding."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from isi_widget.answer import Answer
from isi_widget.vlm.decoding.loop import Pieces, Prefill, Row, decode
from isi_widget.vlm.prompts.prompt import Prompt

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class AttendedAnswer(Answer):
    """An `Answer` whose attention was recorded while it was decoded (`VLM.answer(..., attention=True)`).

    Attributes
    ----------
    mass : [answer tokens, layers, heads, groups] float32, groups as in `Prompt.groups`.
    stimulus_key, owner : the stimulus and the VLM it belongs to.
    """

    mass: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    stimulus_key: str = ""
    owner: str = ""

    def plain(self) -> Answer:
        """Return the same answer without the record."""
        return Answer(**{item.name: getattr(self, item.name) for item in fields(Answer)})

    def belongs_to(self, prefill: Prefill) -> bool:
        """Whether the record is of this model and this stimulus."""
        return self.owner == prefill.owner and self.stimulus_key == prefill.prompt.key

    def to_dict(self) -> dict[str, Any]:
        """As `Answer.to_dict`: the record is left out."""
        return self.plain().to_dict()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AttendedAnswer):
            other = other.plain()
        return self.plain() == other

    def __hash__(self) -> int:
        return hash(self.plain())


def pieces(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """Text of each token; joined they are the decoded text."""
    shown = Pieces(tokenizer)
    return tuple(shown.push(token) for token in ids)


#: Tokens before it that decide how an alternative is written: spaces, and characters of several tokens.
_BEFORE = 8


def alternatives(
    tokenizer: Any, row: Row, ends: Collection[int]
) -> tuple[tuple[tuple[str, float], ...], ...]:
    """Return text and log-probability of each alternative of a row; "" for one that would end it."""
    told = []
    for place, others in enumerate(row.alternatives):
        before = row.ids[max(0, place - _BEFORE) : place]
        start = decode(tokenizer, before)
        told.append(tuple((_piece(tokenizer, before, start, id, ends), logprob) for id, logprob in others))
    return tuple(told)


def _piece(tokenizer: Any, before: Sequence[int], start: str, id: int, ends: Collection[int]) -> str:
    """Return the text that a token would add, or its name in the vocabulary if it adds none."""
    if id in ends:
        return ""
    text = decode(tokenizer, [*before, id])
    added = text[len(start) :] if text.startswith(start) else ""
    if not added or "\ufffd" in added:
        return str(tokenizer.convert_ids_to_tokens(id))
    return added


def make_answer(tokenizer: Any, row: Row, prompt: Prompt, ends: Collection[int] = ()) -> Answer:
    """Return the record of a decoded row; `ends` are the tokens that end an answer."""
    return Answer(
        text=decode(tokenizer, row.ids).strip(),
        token_ids=tuple(row.ids),
        tokens=pieces(tokenizer, row.ids),
        logprobs=tuple(row.logprobs),
        prompt_ids=prompt.ids,
        finished=row.finished,
        sampled_logprobs=tuple(row.sampled_logprobs),
        alternatives=alternatives(tokenizer, row, ends),
        end_logprob=row.end_logprob,
        sampled_end_logprob=row.sampled_end_logprob,
    )
