"""How far a quantised VLM is from the same checkpoint in full precision, over some stimuli.

Not for quantising (see `vlm.loading.quantization`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from isi_widget.errors import InputError

if TYPE_CHECKING:
    from isi_widget.vlm.model import VLM
    from isi_widget.vlm.protocol import StimulusLike


@dataclass(frozen=True)
class Drift:
    """How far a model is from a reference, over some stimuli.

    Attributes
    ----------
    token_agreement : share of the reference's greedy answer tokens that the model ranks first too, each after
        the same prompt and the same reference tokens (teacher forcing: one difference does not make all later
        tokens differ).
    max_logit_difference, mean_logit_difference : absolute difference of the first answer token's raw logits,
        largest and mean over vocabulary and stimuli. Natural-log units, but for a constant per stimulus.
    same_answers : share of stimuli with the same greedy answer text.
    tokens : number of reference tokens compared.
    """

    token_agreement: float
    max_logit_difference: float
    mean_logit_difference: float
    same_answers: float
    tokens: int


def quantization_drift(
    vlm: VLM, reference: VLM, stimuli: Sequence[StimulusLike], *, max_new_tokens: int = 16
) -> Drift:
    """Compare a (quantised) model with the same checkpoint in full precision.

    Raises
    ------
    InputError
        Without stimuli, or if the two have different vocabularies.
    """
    if not stimuli:
        raise InputError("quantization_drift needs at least one stimulus; got none.")
    agreed = tokens = same = 0
    largest, means = 0.0, []
    for stimulus in stimuli:
        ours, theirs = vlm.prefill(stimulus, attention=False), reference.prefill(stimulus, attention=False)
        if ours.logits.shape != theirs.logits.shape:
            raise InputError(
                f"{vlm.model_id} has {len(ours.logits)} tokens and {reference.model_id} "
                f"{len(theirs.logits)}: compare two versions of one checkpoint."
            )
        difference = (ours.logits.cpu() - theirs.logits.cpu()).abs()
        largest = max(largest, float(difference.max()))
        means.append(float(difference.mean()))
        answer = reference.answer(theirs, max_new_tokens)
        same += vlm.answer(ours, max_new_tokens).text == answer.text
        choices = _forced_choices(vlm, ours, answer.token_ids)
        agreed += sum(a == b for a, b in zip(choices, answer.token_ids, strict=True))
        tokens += len(answer.token_ids)
    return Drift(
        agreed / tokens if tokens else float("nan"),
        largest,
        sum(means) / len(means),
        same / len(stimuli),
        tokens,
    )


def _forced_choices(vlm: VLM, prefill: Any, token_ids: Sequence[int]) -> list[int]:
    """Return the most likely token at each place of a given answer."""
    from isi_widget.vlm.decoding.cache import fork
    from isi_widget.vlm.decoding.loop import next_logits

    if not token_ids:
        return []
    choices = [int(prefill.logits.argmax())]
    with vlm.lock, torch.no_grad():
        cache = fork(prefill.cache)
        for token in token_ids[:-1]:
            fed = torch.tensor([[token]], device=prefill.logits.device)
            choices.append(int(next_logits(prefill, fed, cache)[0].argmax()))
    return choices
