"""Which matrices of a VLM bitsandbytes quantises, and in which type it multiplies them.

Only matrices of the language model are quantised, and those of the vision side on request; never embeddings,
norms, biases and the language-model head. bitsandbytes is an optional extra, imported only when needed. Not
for estimating sizes (see `memory.py`) nor for loading (see `load.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def compute_dtype(dtype: torch.dtype, device: torch.device, *, chosen: bool) -> torch.dtype:
    """Return the type that 4-bit matrices are multiplied in.

    Parameters
    ----------
    dtype : number type of the parts that are not quantised.
    chosen : whether the caller named it; then it is used here too. Otherwise a CPU with bfloat16 instructions
        multiplies in bfloat16 whatever `dtype`: the error of that is far below the error of four bits.
    """
    if not chosen and device.type == "cpu" and _cpu_has_bfloat16():
        return torch.bfloat16
    return dtype


def _cpu_has_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 in hardware; False if an older torch does not report it."""
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
