"""Quantisation by bitsandbytes, as VLMs and entailment models share it: names, checks, configuration, a trap.

bitsandbytes and accelerate are an optional extra; torch is imported when a model is loaded. Not for choosing
the quantised parts of a VLM (see `isi_widget.vlm.loading.quantization`).
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from isi_widget.errors import InputError

if TYPE_CHECKING:
    import torch

Quantization = Literal["int8", "nf4", "nf4-double"]
#: int8: LLM.int8() (Dettmers et al., NeurIPS 2022). nf4: 4-bit NormalFloat in blocks of 64 weights;
#: nf4-double: the blocks' scales are quantised too (Dettmers et al., QLoRA, NeurIPS 2023).
QUANTIZATIONS = ("int8", "nf4", "nf4-double")
_CHOICES = "None, 'int8', 'nf4' or 'nf4-double'"
#: Where bitsandbytes has kernels that this package has been tried with or is documented for.
_DEVICES = ("cpu", "cuda", "xpu")


def check_quantization(quantization: str | None, device: torch.device | None = None) -> None:
    """Refuse unknown names, missing packages and devices without kernels, with one message each."""
    check_name(quantization)
    if quantization is None:
        return
    missing = [name for name in ("bitsandbytes", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"quantization={quantization!r} needs {' and '.join(missing)}, which is not installed. "
            "Install it with: pip install 'isi-widget[quant]', or load a model that is not quantised."
        )
    if device is not None and device.type not in _DEVICES:
        raise InputError(
            f"quantization={quantization!r} runs on CUDA and on the CPU, not on {device.type!r}. Load "
            "without quantization, or with device='cpu'."
        )


def check_name(quantization: str | None) -> None:
    """Refuse unknown names."""
    if quantization is not None and quantization not in QUANTIZATIONS:
        raise InputError(f"quantization is {quantization!r}; choose {_CHOICES}.")


def quantization_config(quantization: str, compute: torch.dtype, kept: Sequence[str]) -> Any:
    """Return the transformers configuration.

    Parameters
    ----------
    compute : number type for multiplying 4-bit matrices.
    kept : paths of modules that are not quantised.
    """
    from transformers import BitsAndBytesConfig

    quieten()
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(kept))
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=quantization == "nf4-double",
        bnb_4bit_compute_dtype=compute,
        llm_int8_skip_modules=list(kept),
    )


def quieten() -> None:
    """Mute warnings about an optional kernel, at import, and at every int8 layer of every forward."""
    logger = logging.getLogger("bitsandbytes")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.ERROR)


def keep_layout(model: Any) -> None:
    """To be called right after loading, before any forward.

    On processors with AVX512-BF16 an eval-mode Linear4bit repacks its weight at the first forward without
    gradient: it then refuses widths that are not multiples of 64 (in) and 32 (out), silently loses gradients,
    and is saved corrupted. Without the repacking every width works and none of the three happens; one token
    at a time is slower then.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def is_quantized(module: Any) -> bool:
    """Whether a layer holds a weight that bitsandbytes quantised; a layer around it, of an adapter, does
    not.
    """
    return type(module._parameters.get("weight")).__name__ in ("Params4bit", "Int8Params")


def computes_in(model: Any) -> str | None:
    """Return the dtype that quantised matrices are multiplied in, for records; None without any."""
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
    """Return the paths of a module and of those around it, outermost first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
