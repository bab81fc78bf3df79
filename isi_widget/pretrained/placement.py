"""Where the parts of a model are: `device_map`, by which accelerate spreads one over several devices.

Not for single devices (see `isi_widget.pretrained.devices`), nor for loading.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from isi_widget.errors import InputError
from isi_widget.pretrained.devices import choose_device

#: accelerate's own ways to spread a model.
AUTOMATIC = ("auto", "balanced", "balanced_low_0", "sequential")
#: A part that stays in its file and is read whenever it is used.
DISK = "disk"
DeviceMap = str | dict[str, str]


def checked_map(device_map: object, device: object) -> DeviceMap | None:
    """Return a device map with the names of devices that this machine has.

    Parameters
    ----------
    device_map : None, one of `AUTOMATIC`, or module -> device; a whole number is a CUDA device, "disk" the
        file.
    device : `device` argument of `load_vlm`.

    Raises
    ------
    InputError
        For another form, an unknown device, a missing package, and a device beside it.
    """
    if device_map is None:
        return None
    if str(device) != "auto":
        raise InputError(f"device={str(device)!r} and device_map exclude each other: give one of them.")
    if importlib.util.find_spec("accelerate") is None:
        raise InputError(
            "device_map needs accelerate, which is not installed. Install it with: "
            "pip install 'isi-widget[accelerate]', or load with device=... on one device."
        )
    if isinstance(device_map, str):
        if device_map not in AUTOMATIC:
            raise InputError(
                f"device_map is {device_map!r}; choose {', '.join(map(repr, AUTOMATIC))}, or give module -> "
                f"device. One device for all goes into device=."
            )
        return device_map
    if (
        not isinstance(device_map, Mapping)
        or not device_map
        or not all(isinstance(k, str) for k in device_map)
    ):
        raise InputError(
            f"device_map is {device_map!r}; give module -> device, such as {{'model.vision_tower': 0, "
            "'model.language_model': 1, ...}, or 'auto'."
        )
    return {module: _device(value) for module, value in device_map.items()}


def _device(value: object) -> str:
    if value == DISK:
        return DISK
    if isinstance(value, bool) or not isinstance(value, int | str | torch.device):
        raise InputError(
            f"device_map has the device {value!r}; give 0, 'cuda:1', 'cpu', 'disk' or another device."
        )
    place = choose_device(f"cuda:{value}" if isinstance(value, int) else value)
    # "cuda" alone is whichever is current; a map says which.
    return str(torch.device("cuda", torch.cuda.current_device()) if str(place) == "cuda" else place)


def main_device(device_map: DeviceMap | None) -> torch.device:
    """Return the device that inputs go to and outputs come from: as accelerate chooses it, the first that
    computes.
    """
    if device_map is None or isinstance(device_map, str):
        return choose_device("auto")
    computing = [device for device in device_map.values() if device not in ("cpu", DISK)]
    return torch.device(computing[0] if computing else "cpu")


def devices(device_map: DeviceMap) -> tuple[torch.device, ...]:
    """Return the devices that hold weights; of an automatic map all that there are, the CPU last."""
    if isinstance(device_map, str):
        found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        if not found and torch.backends.mps.is_available():
            found = ["mps"]
        return tuple(torch.device(name) for name in (*found, "cpu"))
    return tuple(torch.device(name) for name in dict.fromkeys(device_map.values()) if name != DISK)


def apart(device_map: dict[str, str], model: torch.nn.Module) -> dict[str, str]:
    """Return the same map in which no module stands within another; "" and parents are spelled out.

    Parameters
    ----------
    model : may be without weights.

    Raises
    ------
    InputError
        If it names what the model does not have, or leaves out a weight.
    """
    known = {name for name, _ in model.named_modules()} | {name for name, _ in model.named_parameters()}
    if unknown := sorted(set(device_map) - known):
        raise InputError(
            f"This model has no {', '.join(map(repr, unknown[:3]))}, which device_map names. It has "
            f"{', '.join(_largest(model))}, and what is in them."
        )
    spelled = dict(_spelled(device_map, model, "", None, str(main_device(device_map))))
    lost = [name for name, _ in model.named_parameters() if _of(spelled, name) is None]
    if lost:
        raise InputError(
            f"device_map does not say where {lost[0]!r} goes ({len(lost)} weights in all). Add its module, "
            f"or '' for all that is not named."
        )
    return spelled


def _spelled(
    device_map: Mapping[str, str], module: torch.nn.Module, name: str, device: str | None, main: str
) -> Iterator[tuple[str, str]]:
    device = device_map.get(name, device)
    # Its weights would be missing when its images are encoded: that calls a method, and no hook brings them
    # in.
    bare = device == DISK and hasattr(module, "get_image_features")
    if not bare and not any(key != name and (not name or key.startswith(f"{name}.")) for key in device_map):
        if device is not None:
            yield name, device
        return
    prefix = f"{name}." if name else ""
    for key, child in module.named_children():
        yield from _spelled(device_map, child, prefix + key, device, main)
    for key, _ in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
        chosen = device_map.get(prefix + key, device)
        if chosen is not None:
            yield prefix + key, main if chosen == DISK else chosen


def _of(device_map: Mapping[str, str], name: str) -> str | None:
    """Return the device of a weight."""
    parts = name.split(".")
    ways = (".".join(parts[:count]) for count in range(len(parts), -1, -1))
    return next((device_map[way] for way in ways if way in device_map), None)


def weights_on(device_map: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, int]:
    """Bytes by device, from those of each weight."""
    found: dict[str, int] = {}
    for name, count in sizes.items():
        device = _of(device_map, name)
        if device is not None and device != DISK:
            found[device] = found.get(device, 0) + count
    return found


def _largest(model: torch.nn.Module) -> list[str]:
    """Names of the parts that a map is usually made of."""
    return [
        f"{name}.{inner}" if inner else name
        for name, child in model.named_children()
        for inner in ([key for key, _ in child.named_children()] or [""])
    ]


# Loaded models ----------------------------------------------------------------------------------------------


def input_device(model: Any) -> torch.device:
    """Where the inputs of a loaded model go; its first weight may be on no device at all (offloaded)."""
    placed = getattr(model, "hf_device_map", None)
    if not placed or (len(set(placed.values())) == 1 and DISK not in placed.values()):
        return torch.device(model.device)
    return main_device({module: placed_on(device) for module, device in placed.items()})


def devices_of(model: Any) -> tuple[torch.device, ...]:
    """All devices that a loaded model computes on or keeps weights on."""
    placed = getattr(model, "hf_device_map", None)
    if not placed:
        return (torch.device(model.device),)
    found = [torch.device(placed_on(device)) for device in placed.values() if device != DISK]
    return tuple(dict.fromkeys([input_device(model), *found]))


def placed_on(device: object) -> str:
    """Return a device of a map, as a word."""
    return f"cuda:{device}" if isinstance(device, int) else str(device)


def offloaded(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights that accelerate keeps elsewhere and brings in when they are used, by name; read when
    looked up.
    """
    return _Offloaded(model)


class _Offloaded(dict[str, torch.Tensor]):
    """Looks a weight up in the hook of its module, or of one around it."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self._model = model

    def __missing__(self, name: str) -> torch.Tensor:
        for module in self._around(name):
            hook = getattr(module, "_hf_hook", None)
            for one in getattr(hook, "hooks", [hook]):
                dataset = getattr(one, "weights_map", None)
                if dataset is not None:
                    return torch.as_tensor(getattr(dataset, "dataset", dataset)[name])
        raise KeyError(name)

    def _around(self, name: str) -> Iterator[torch.nn.Module]:
        path = name.rpartition(".")[0]
        while True:
            yield self._model.get_submodule(path)
            if not path:
                return
            path = path.rpartition(".")[0]
