"""Refusing, before anything large is read, a model that the free memory has no room for; with what would fit.

Not for the estimates (see `memory.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from isi_widget.errors import InputError
from isi_widget.pretrained import placement
from isi_widget.pretrained.machine import free_memory
from isi_widget.vlm.loading.checkpoints import models
from isi_widget.vlm.loading.memory import PROMPT_TOKENS, MemoryNeed, estimate, size, weights_bytes


def check_fits(
    name: str,
    model: Any,
    device: torch.device,
    *,
    quantization: str | None,
    dtype: torch.dtype,
    quantize_vision: bool,
    device_map: placement.DeviceMap | None = None,
) -> None:
    """Refuse, before anything large is read, a model that cannot even read one prompt and answer it once.

    Parameters
    ----------
    model : without weights, see `skeleton`.
    device : device of its inputs.
    device_map : how it is spread over several devices. An automatic one has the room of all together; of a
        map by modules, each device must hold its weights, and the one of the inputs the rest too.

    Raises
    ------
    InputError
        The message gives the needed and the free memory, and options that fit.
    """
    if isinstance(device_map, dict):
        weights = weights_bytes(model, quantization, dtype, quantize_vision)
        _check_each(
            name,
            estimate(model, quantization=quantization, dtype=dtype, samples=1),
            device,
            device_map,
            weights,
        )
        return
    places = (device,) if device_map is None else placement.devices(device_map)
    rooms = [room for place in places if (room := free_memory(place)) is not None]
    if not rooms:
        return
    free = sum(rooms)

    def need(quantization: str | None, vision: bool) -> MemoryNeed:
        return estimate(
            model, quantization=quantization, dtype=dtype, quantize_vision=vision, samples=1
        )  # more samples are decoded in smaller batches where memory is short

    needed = need(quantization, quantize_vision)
    if needed.total <= free:
        return
    ways: list[str] = []
    smaller: list[tuple[str, bool]] = [("int8", False), ("nf4", False), ("nf4", True)]
    for other, vision in smaller if device.type in ("cpu", "cuda", "xpu") else ():
        less = need(other, vision)
        if less.total < needed.total and less.total <= free:
            extra = ", quantize_vision=True" if vision else ""
            ways.append(f"quantization={other!r}{extra} ({size(less.total)})")
            break
    if device.type != "cpu":
        host = free_memory("cpu")
        if host is not None and needed.total <= host:
            ways.append(f"device='cpu' ({size(host)} free, slow)")
    ways += _smaller_checkpoint(name, model.config.model_type, free)
    would = f"What would fit: {'; '.join(ways)}." if ways else "No known model fits but the embedded one."
    raise InputError(
        f"{name} needs about {needed} for one prompt of {PROMPT_TOKENS} tokens and one answer, but "
        f"{size(free)} are free on {_listed(places)}. {would} Close what else uses memory, or pass "
        f"check_memory=False "
        "to try all the same."
    )


def _listed(devices: Sequence[torch.device]) -> str:
    *others, last = map(str, devices)
    return f"{', '.join(others)} and {last} together" if others else last


def _check_each(
    name: str,
    need: MemoryNeed,
    device: torch.device,
    device_map: Mapping[str, str],
    weights: Mapping[str, int],
) -> None:
    on = placement.weights_on(device_map, weights)
    on[str(device)] = on.get(str(device), 0) + need.cache + need.working
    for place, count in on.items():
        free = free_memory(place)
        if free is not None and count > free:
            raise InputError(
                f"What device_map puts of {name} on {place} needs about {size(count)}, but {size(free)} are "
                f"free there. Give it fewer modules, the others to another device or to 'disk', or pass "
                "check_memory=False to try all the same."
            )


def _smaller_checkpoint(name: str, model_type: str, free: int) -> list[str]:
    """Return the largest known checkpoint that fits, of the same family if there is one."""
    fitting = [
        (known.model_type == model_type, known.parameters, -rank, known.name, quantization, need)
        for known in models()
        for rank, quantization in enumerate((None, "nf4"))
        if known.name not in (name, "embedded") and (need := known.memory(quantization, samples=1)) <= free
    ]
    if not fitting:
        return []
    *_, found, quantization, need = max(fitting, key=lambda row: row[:3])
    how = f", quantization={quantization!r}" if quantization else ""
    return [f"{found!r}{how} ({size(need)})"]
