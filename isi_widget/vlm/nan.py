"""NaN in logits: found where they are made, with its likely cause and what helps."""

from __future__ import annotations

from typing import Any

import torch

from isi_widget.pretrained.quantization import computes_in

_FROM_HOOKS = (
    "Its weights are finite, and float32 does not overflow: look for what was put on the model (hooks, "
    "interventions, an adapter), and load it again."
)


class NanLogits(RuntimeError):
    """A model gave NaN; `VLM` says why, see `nan_reason`."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__(f"The model gave NaN logits in {dtype}.")
        self.dtype = dtype


def checked_logits(logits: torch.Tensor) -> torch.Tensor:
    """Logits as float32.

    Raises
    ------
    NanLogits
        If there is a NaN: every answer would be made up.
    """
    if bool(logits.isnan().any()):
        raise NanLogits(logits.dtype)
    return logits.float()


def nan_reason(model: Any, logits: torch.dtype) -> str:
    """Return the likely cause of NaN logits and what to do about it, in whole sentences.

    Parameters
    ----------
    logits : the type that they came in.
    """
    said = f"The model gave NaN logits in {logits}."
    broken = _not_finite(model)
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        cure = (
            "Use another adapter, or none."
            if all("lora_" in name for name in broken)
            else "No dtype helps: download the checkpoint again, or choose another one."
        )
        return f"{said} Its weights hold NaN or infinite values ({broken[0]}{more}). {cure}"
    computes = str(computes_in(model) or model.dtype).removeprefix("torch.")
    if computes == "float16":
        return f"{said} float16 overflows beyond 65,504. Load it with dtype='bfloat16' or dtype='float32'."
    if computes == "bfloat16":
        return f"{said} It computes in bfloat16. Load it with dtype='float32'."
    if computes == "int8":
        return f"{said} It is quantised to int8. Load it without quantization."
    return f"{said} {_FROM_HOOKS}"


def _not_finite(model: Any) -> list[str]:
    """Return the weights with a non-finite value, by name; unreadable ones are left out."""
    return [
        name
        for name, weight in model.named_parameters()
        if weight.is_floating_point() and not weight.is_meta and not bool(torch.isfinite(weight).all())
    ]
