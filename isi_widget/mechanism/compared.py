"""What the two runs of a pair are compared by: the true word, its counterpart, and the value of a target.

Not for sets of single stimuli (`items`) nor for how runs are made (`isi_widget.vlm.inside.rerun`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isi_widget.concepts.pair import Pair
from isi_widget.errors import InputError
from isi_widget.mechanism.items import Aim, Item, aim_of
from isi_widget.mechanism.targets import Target, target_of

if TYPE_CHECKING:
    import torch

    from isi_widget.vlm import VLM

#: Targets of a trace: least difference between the two runs that can be divided by.
LEAST = {"logit_difference": 0.1, "p": 0.02, "log_p_answer": 0.1}
TARGETS = tuple(LEAST)


@dataclass(frozen=True)
class Compared:
    """The target of one pair.

    Attributes
    ----------
    aim : tokens of the true answer and of its counterpart.
    target : the target.
    words : both answers.
    """

    aim: Aim
    target: Target
    words: tuple[str, str]

    def value(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the target [batch] of logits [batch, rows, vocabulary]."""
        assert self.target.value is not None  # `TARGETS` has no others
        return self.target.value(logits, self.aim)

    @property
    def fed(self) -> tuple[int, ...]:
        """Answer tokens that the runs must read."""
        return self.aim.answer_ids if self.target.whole_answer else ()


def compared(vlm: VLM, pair: Pair, clean: torch.Tensor, corrupt: torch.Tensor, target: str) -> Compared:
    """Return what a pair is compared by.

    The true answers of clean and corrupt, where both are known and differ; else the words that the model
    itself begins its answers with.

    Parameters
    ----------
    clean, corrupt
        Logits [vocabulary] after both prompts.

    Raises
    ------
    InputError
        If both begin with the same token, so that nothing distinguishes them.
    """
    wanted = target_of(target)
    right, wrong = pair.truths
    if pair.flips and right is not None:
        aim = aim_of(vlm, Item(pair.clean, right, wrong), clean)
        return Compared(aim, wanted, (right, wrong or aim.wrong_text.strip()))
    ids = int(clean.argmax()), int(corrupt.argmax())
    texts = token_text(vlm, ids[0]), token_text(vlm, ids[1])
    if ids[0] == ids[1]:
        raise InputError(f"the answers to clean and corrupt do not differ: both begin with {texts[0]!r}.")
    whole = tuple(vlm.answer(pair.clean).token_ids) if wanted.whole_answer else (ids[0],)
    return Compared(Aim(*ids, *texts, whole), wanted, (texts[0].strip(), texts[1].strip()))


def token_text(vlm: VLM, token: int) -> str:
    """Return the text of one token; its name in the vocabulary if it is no text by itself."""
    from isi_widget.vlm.decoding.loop import decode

    text = decode(vlm.tokenizer, [token])
    if text and "\N{REPLACEMENT CHARACTER}" not in text:
        return text
    name = vlm.tokenizer.convert_ids_to_tokens(token)  # None where the vocabulary is padded
    return f"<{token}>" if name is None else str(name)
