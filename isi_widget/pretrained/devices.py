"""The device of a model: chosen by name and checked for availability.

Torch is imported when it is asked. Not for how much memory a device has (see `machine.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isi_widget.errors import InputError

if TYPE_CHECKING:
    import torch


def choose_device(device: str | torch.device, preferred: Sequence[str] = ("cuda", "mps")) -> torch.device:
    """Return the device with this name; for "auto" the first available preferred device, else the CPU.

    Raises
    ------
    InputError
        For an unknown name, and for a device that this machine does not have.
    """
    import torch

    if str(device) == "auto":
        if "cuda" in preferred and torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if "mps" in preferred and torch.backends.mps.is_available() else "cpu")
    try:
        place = torch.device(device)
        if place.type == "meta":
            raise RuntimeError("nothing can be computed there")
    except (RuntimeError, TypeError):
        raise InputError(
            f"Unknown device {str(device)!r}. Use 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'."
        ) from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device='cuda' was requested, but torch sees no CUDA device. Use device='cpu' or 'auto'."
        )
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"There is no device {str(place)!r}; torch sees {torch.cuda.device_count()} CUDA device(s)."
        )
    if place.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(
            "device='mps' was requested, but torch sees no Apple GPU. Use device='cpu' or 'auto'."
        )
    return place
