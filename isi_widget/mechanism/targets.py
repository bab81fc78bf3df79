"""What an intervention is judged by: one number per run, from the logits of the answer.

    "logit_difference"   logit of the true answer's first token - that of the wrong answer's (default)
    "p"                  probability of the true answer's first token (Wang, Hu & Jiang, V-SEAM, EMNLP 2025)
    "log_p_answer"       log-probability of the whole true answer, whose tokens the model is given
    "semantic_entropy"   entropy over the meanings of all probable answers, in nats; needs whole answers

A probability near 0 or 1 hardly moves, whatever is cut: the difference of logits does not saturate, so it is
the default. Not for the tokens themselves (`items.Aim`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isi_widget.errors import InputError

if TYPE_CHECKING:
    import torch

    from isi_widget.mechanism.items import Aim


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes
    ----------
    name, title, unit
        Its name, what axes are called, and its unit.
    value
        Function from logits [B, rows, vocabulary] and an `Aim` to values [B]; None: it is measured on whole
        answers, not on logits.
    whole_answer
        Whether the model is given the true answer; rows are then the positions that predict its tokens. Else
        there is one row, the last of the prompt.
    """

    name: str
    title: str
    unit: str
    value: Callable[[torch.Tensor, Aim], torch.Tensor] | None
    whole_answer: bool = False


def _difference(logits: torch.Tensor, aim: Aim) -> torch.Tensor:
    return logits[:, 0, aim.right] - logits[:, 0, aim.wrong]


def _probability(logits: torch.Tensor, aim: Aim) -> torch.Tensor:
    return logits[:, 0].softmax(dim=-1)[:, aim.right]


def _log_probability(logits: torch.Tensor, aim: Aim) -> torch.Tensor:
    ids = logits.new_tensor(aim.answer_ids).long()
    return logits.log_softmax(dim=-1).gather(2, ids[None, :, None].expand(len(logits), -1, 1)).sum(dim=(1, 2))


TARGETS = {
    target.name: target
    for target in (
        Target("logit_difference", "logit difference", "logits", _difference),
        Target("p", "probability of the true answer", "probability", _probability),
        Target(
            "log_p_answer", "log-probability of the true answer", "nats", _log_probability, whole_answer=True
        ),
        Target("semantic_entropy", "semantic entropy", "nats", None),
    )
}


def target_of(name: str) -> Target:
    """Return a target by its name.

    Raises
    ------
    InputError
        For an unknown name.
    """
    if not isinstance(name, str) or name not in TARGETS:
        raise InputError(f"target must be one of {', '.join(TARGETS)}; got {name!r}.")
    return TARGETS[name]
