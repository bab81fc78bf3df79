"""A model of an unlisted family, tried once: do answers from one prefill equal those of `generate`?

Some models keep more of their image than a cache that can be shared (Llama 3.2 Vision does), and would answer
without it. Not for a whole comparison (see `check_vlm`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from isi_widget.errors import InputError
from isi_widget.pretrained.out_of_memory import is_out_of_memory
from isi_widget.vlm.decoding.loop import Prefill, Sampler, decode_rows
from isi_widget.vlm.loaded import LoadedModel
from isi_widget.vlm.plain import TOLERANCES, Plain, precision
from isi_widget.vlm.prompts.samples import drawing
from isi_widget.vlm.protocol import StimulusLike

#: Mean difference of log-probabilities that counts as more than rounding, at least.
_OTHER_ANSWERS = 1e-2
_ANSWERS, _TOKENS = 2, 4


def try_answers(model: LoadedModel, prefill: Callable[[StimulusLike], Prefill]) -> None:
    """Compare two short answers, decoded side by side from one prefill, with those of `generate`.

    Parameters
    ----------
    model : model of an unlisted family.
    prefill : function that reads a stimulus with it.

    Raises
    ------
    InputError
        If the log-probabilities differ by more than rounding does, or the model cannot be run.
    """
    kind = f"Models of type {model.family.model_type!r}"
    advice = "Write an adapter for it (docs/add_your_vlm.md), or choose a model of a listed family."
    try:
        differences = _differences(model, prefill)
    except InputError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"{kind} are not listed, and a first answer failed ({type(error).__name__}: "
            f"{_first_line(error)}). {advice}"
        ) from error
    # The mean: in half precision single tokens may be far off.
    difference = math.fsum(differences) / len(differences)
    if not difference <= max(TOLERANCES[precision(model.model)][0], _OTHER_ANSWERS):
        raise InputError(
            f"{kind} are not listed, and their answers cannot be decoded from one reading of the prompt: the "
            f"log-probabilities are {difference:.2g} off those of transformers' generate. {advice}"
        )


def _differences(model: LoadedModel, prefill: Callable[[StimulusLike], Prefill]) -> list[float]:
    """Return the differences of the log-probabilities of all tokens."""
    shown, plain = drawing(0), Plain(model)
    with model.explained("trying a model of an unlisted family"):
        rows = decode_rows(
            prefill(shown),
            range(_ANSWERS),
            Sampler(temperature=1.0, top_k=0, top_p=1.0, seed=0),
            eos_ids=model.eos_ids,
            max_new_tokens=_TOKENS,
            min_new_tokens=_TOKENS,
        )
    inputs = plain.inputs(shown)
    differences: list[float] = []
    for row in rows:
        expected = plain.logprobs(inputs, row.ids)
        differences += (torch.tensor(row.logprobs) - expected).abs().tolist()
    return differences


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
