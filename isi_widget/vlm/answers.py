"""From decoded token ids to an `Answer`, with or without recorded attention. Not for decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from isi_widget.answer import Answer
from isi_widget.vlm.decoding import Pieces, Prefill, Row, decode
from isi_widget.vlm.prompt import Prompt

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class AttendedAnswer(Answer):
    """An `Answer` whose attention was recorded while it was decoded (`VLM.answer(..., attention=True)`).

    Attributes
    ----------
    mass : [answer tokens, layers, heads, groups] float32, groups as in `isi_widget.vlm.recording.GROUPS`.
    stimulus_key, owner : the stimulus and the VLM it belongs to.
    """

    mass: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    stimulus_key: str = ""
    owner: str = ""

    def plain(self) -> Answer:
        """The same answer without the record."""
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


def make_answer(tokenizer: Any, row: Row, prompt: Prompt) -> Answer:
    """The record of a decoded row."""
    return Answer(
        text=decode(tokenizer, row.ids).strip(),
        token_ids=tuple(row.ids),
        tokens=pieces(tokenizer, row.ids),
        logprobs=tuple(row.logprobs),
        prompt_ids=prompt.ids,
        finished=row.finished,
        sampled_logprobs=tuple(row.sampled_logprobs),
    )
