"""Quantisation of a VLM by bitsandbytes: its configuration, the traps of its CPU kernels, the drift it costs.

Only matrices of the language model are quantised, and those of the vision side if asked for; never
embeddings, norms, biases and the language-model head. bitsandbytes is an optional extra, imported only when
asked for. Not for estimating sizes (see `memory.py`) nor for loading (see `loading.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from isi_widget.errors import InputError

if TYPE_CHECKING:
    from isi_widget.vlm.model import VLM
    from isi_widget.vlm.prompt import StimulusLike


def compute_dtype(dtype: torch.dtype, device: torch.device, *, chosen: bool) -> torch.dtype:
    """The type that 4-bit matrices are multiplied in.

    Parameters
    ----------
    dtype : of the parts that are not quantised. chosen : the caller named it, and it holds here too.
        Otherwise a CPU with bfloat16 instructions multiplies in bfloat16 whatever `dtype`: the error of that
        is far below the error of four bits.
    """
    if not chosen and device.type == "cpu" and _cpu_has_bfloat16():
        return torch.bfloat16
    return dtype


def _cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware, where torch tells; older versions do not."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def kept_modules(model: Any, quantize_vision: bool) -> tuple[str, ...]:
    """Paths of the modules whose matrices are not quantised, from a model that need not have weights.

    The output head always; without `quantize_vision` whatever is not the text decoder: the vision tower, the
    projector, a Q-Former.
    """
    head, decoder = model.get_output_embeddings(), model.get_decoder()
    kept = [name for name, module in model.named_modules() if module is head]
    if not quantize_vision:
        kept += [name for name in _outside(model, decoder) if name not in kept]
    return tuple(sorted(kept))


def _outside(model: Any, decoder: Any) -> list[str]:
    """Paths of the largest modules that neither are nor hold the decoder."""
    within = {id(module) for module in decoder.modules()}
    found: list[str] = []
    for name, module in model.named_modules():
        if id(module) in within or any(inner is decoder for inner in module.modules()):
            continue
        if not any(name.startswith(f"{outer}.") for outer in found):
            found.append(name)
    return found


def is_kept(name: str, kept: Sequence[str]) -> bool:
    """Whether the module at this path is, or stands in, one of those that are not quantised."""
    return any(name == outer or name.startswith(f"{outer}.") for outer in kept)


def is_quantized(module: Any) -> bool:
    """Whether a layer holds a weight that bitsandbytes quantised; a layer around it, of an adapter, does
    not.
    """
    return type(module._parameters.get("weight")).__name__ in ("Params4bit", "Int8Params")


def computes_in(model: Any) -> str | None:
    """What quantised matrices are multiplied in, as a word for records; None for a model without any."""
    for module in model.modules():
        if is_quantized(module):
            chosen = getattr(module, "compute_dtype", None)
            return "int8" if chosen is None else str(chosen).removeprefix("torch.")
    return None


def not_quantized(model: Any) -> tuple[str, ...]:
    """Paths of the largest modules with matrices, none of which is quantised; found in the loaded model.

    Embeddings and convolutions count; norms, biases and the matrices of an adapter (never quantised) do not.
    Empty for a model without any quantised layer.
    """
    plain: set[str] = set()
    touched: set[str] = set()
    for name, module in model.named_modules():
        if is_quantized(module):
            touched |= set(_ancestors(name))
        elif name and "lora_" not in name and any(w.ndim > 1 for w in module.parameters(recurse=False)):
            plain.add(name)
    if not touched:
        return ()
    largest = {next(path for path in _ancestors(name) if path not in touched) for name in plain}
    return tuple(sorted(largest))


def _ancestors(name: str) -> list[str]:
    """The paths of a module and of those around it, outermost first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


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
    """The most likely token at each place of a given answer."""
    from isi_widget.vlm.cache import fork
    from isi_widget.vlm.decoding import next_logits

    if not token_ids:
        return []
    choices = [int(prefill.logits.argmax())]
    with vlm.lock, torch.no_grad():
        cache = fork(prefill.cache)
        for token in token_ids[:-1]:
            fed = torch.tensor([[token]], device=prefill.logits.device)
            choices.append(int(next_logits(prefill, fed, cache)[0].argmax()))
    return choices
