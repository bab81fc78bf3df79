"""Quantisation of a VLM by bitsandbytes: the configuration, and the traps of its CPU kernels.

An optional extra, imported only when asked for.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from isi_widget.errors import InputError

QUANTIZATIONS = ("int8", "nf4")


def check_quantization(quantization: str | None) -> None:
    """Refuse unknown names and missing packages with one message each."""
    if quantization is None:
        return
    if quantization not in QUANTIZATIONS:
        raise InputError(f"quantization is {quantization!r}; choose None, 'int8' or 'nf4'.")
    missing = [name for name in ("bitsandbytes", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"quantization={quantization!r} needs {' and '.join(missing)}, which is not installed. "
            "Install it with: pip install 'isi-widget[quant]', or load without quantization."
        )


def quantization_config(quantization: str, dtype: torch.dtype) -> Any:
    """The transformers configuration; embeddings, norms and lm_head are not quantised and stay in `dtype`."""
    from transformers import BitsAndBytesConfig

    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def keep_layout(model: Any) -> None:
    """To be called right after loading, before any forward.

    On processors with AVX512-BF16 an eval-mode Linear4bit repacks its weight at the first forward without
    gradient: it then refuses some widths, silently loses gradients, and is saved corrupted. Turning the
    repacking off costs a little speed and avoids all three.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
