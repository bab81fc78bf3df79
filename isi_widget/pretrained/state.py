"""What some modules compute with, as a token: two equal tokens mean equal outputs for equal inputs.

For what is remembered of a model, which must not outlive a change of it. A version counter is not enough:
`p.data[...] = x` and NumPy views change weights without it. So the weights are read, every time; that costs a
small part of running the modules. Where it cannot be known what modules do (hooks, a `forward` that somebody
has put there, training mode with its random dropout, weights that are elsewhere), there is no token, and
nothing may be reused.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import FunctionType, MethodType
from typing import Any

import torch
from torch.nn.modules import module as torch_module

#: Hooks that only copy outputs: transformers installs them at the first forward and leaves them.
_HARMLESS = ("transformers.utils.output_capturing",)
#: Attributes that modules set on themselves in a forward pass.
_OWN = frozenset({"_output_capturing_hooks_installed", "compute_type_is_set", "rope_deltas"})
_PLAIN = frozenset((bool, int, float, str, type(None), torch.dtype))
_HOLDERS = frozenset((tuple, list, dict, set))
#: Words of 8 bytes up to which a tensor is summed with weights; larger ones by rows and columns.
_SMALL = 2**17
#: Width of the grid that a large tensor is laid out in: a prime, so that no layout of weights repeats in it.
_WIDTH = 1021


def token(modules: Iterable[torch.nn.Module], configs: Iterable[Any] = ()) -> tuple[object, ...] | None:
    """Return the state of modules (not of their children), or None where it cannot be known.

    Parameters
    ----------
    modules
        The modules that run.
    configs
        Objects whose plain attributes they read.
    """
    found = list(modules)
    if hooked(found) or training(found) or any(map(replaced, found)):
        return None
    tensors = [tensor for module in found for tensor in _tensors(module)]
    sums = checksums(tensors)
    if sums is None:
        return None
    attributes = tuple((type(module).__name__, *_plain(vars(module))) for module in found)
    settings = tuple(tuple(_plain(vars(config))) for config in configs)
    return (attributes, settings, tuple(sums), functions(found), torch.is_autocast_enabled())


def functions(modules: Iterable[torch.nn.Module]) -> tuple[object, ...]:
    """Return the functions of the modules' classes, and those set on single modules: somebody may have put
    others in their place.
    """
    found = list(modules)
    own = [
        getattr(value, "__func__", value)
        for module in found
        for value in vars(module).values()
        if type(value) in (FunctionType, MethodType)
    ]
    return (*functions_of(map(type, found)), *own)


def functions_of(kinds: Iterable[type]) -> tuple[object, ...]:
    """Return the functions of classes of modules, and of what they inherit from."""
    every = dict.fromkeys(kind for made in dict.fromkeys(kinds) for kind in made.__mro__)
    return tuple(
        value
        for kind in every
        if kind not in (torch.nn.Module, object)
        for value in vars(kind).values()
        if type(value) is FunctionType
    )


def hooked(modules: Iterable[torch.nn.Module]) -> bool:
    """Whether a hook, of one of the modules or of all modules, may change what is computed."""
    everywhere = (torch_module._global_forward_hooks, torch_module._global_forward_pre_hooks)
    if any(everywhere):
        return True
    return any(
        getattr(hook, "__module__", None) not in _HARMLESS
        for module in modules
        for hook in itertools.chain(module._forward_hooks.values(), module._forward_pre_hooks.values())
    )


def training(modules: Iterable[torch.nn.Module]) -> bool:
    """Whether any module is in training mode, in which some (dropout) draw at random."""
    return any(module.training for module in modules)


def switches(modules: Iterable[torch.nn.Module]) -> list[Any]:
    """Which adapters are on, with which strength, as (active, disabled, merged, scaling) of adapted layers.

    JSON-ready; empty without adapters, each kind of setting once.
    """
    found: dict[str, Any] = {}
    for module in map(_anything, modules):
        if "merged_adapters" in vars(module):
            state = [
                list(module.active_adapters),
                bool(getattr(module, "disable_adapters", False)),
                list(module.merged_adapters),
                {str(name): float(scale) for name, scale in getattr(module, "scaling", {}).items()},
            ]
            found.setdefault(repr(state), state)
    return list(found.values())


def _anything(module: Any) -> Any:
    """Return the module; PyTorch types every attribute of one as a tensor."""
    return module


def replaced(module: torch.nn.Module) -> bool:
    """Whether an instance has a `forward` of its own; accelerate's, which only moves tensors, is known."""
    if "forward" not in vars(module):
        return False
    return not type(vars(module).get("_hf_hook")).__module__.startswith("accelerate")


def _tensors(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    for tensor in itertools.chain(module._parameters.values(), module._buffers.values()):
        if tensor is not None:
            yield tensor


def _plain(attributes: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return the attributes that are plain values, or hold some; a list for its speed."""
    own = [
        (name, value if type(value) in _PLAIN else _shown(value))
        for name, value in attributes.items()
        if name not in _OWN
        and (type(value) in _PLAIN or (value and type(value) in _HOLDERS and name[0] != "_"))
    ]
    active = attributes.get("_active_adapter")  # of a layer that peft has adapted
    return own if active is None else [*own, ("_active_adapter", _shown(active))]


def _shown(value: Any) -> str:
    items = value.items() if isinstance(value, dict) else (value,) if isinstance(value, str) else value
    return repr([item for item in items if _is_plain(item)])


def _is_plain(value: Any) -> bool:
    return type(value) in _PLAIN or (type(value) is tuple and all(type(item) in _PLAIN for item in value))


# Weights ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def checksums(tensors: Iterable[torch.Tensor]) -> list[float] | None:
    """Return a number for each tensor that changes with its values; None where one is on the meta device.

    Of float32 on the CPU, where time counts, the product with fixed random weights: what it does not see (a
    change of one value by less than 1e-4 of the spread of all) is rounding to the model. Of all others exact
    arithmetic on the bits, modulo 2^64.
    """
    sums: list[torch.Tensor] = []
    products: list[float] = []
    shapes: list[int] = []
    for tensor in tensors:
        if tensor.is_meta:
            return None
        if tensor.dtype == torch.float32 and tensor.device.type == "cpu":
            products.append(_product(tensor.detach().reshape(-1)))
        else:
            sums.append(_checksum(tensor.detach()))
        shapes.append(hash((tensor.shape, tensor.dtype, tensor.device)))
    if len({one.device for one in sums}) > 1:
        sums = [one.cpu() for one in sums]
    return [*products, *(torch.stack(sums).tolist() if sums else []), *shapes]


def _product(values: torch.Tensor) -> float:
    if len(values) <= _SMALL:
        return float(torch.dot(values, _random(_SMALL)[: len(values)]))
    rows = len(values) // _WIDTH
    sums = torch.mv(values[: rows * _WIDTH].view(rows, _WIDTH), _random(_SMALL)[:_WIDTH]).double()
    weights = _weights(rows, values.device).double() % 1021
    return float(torch.dot(sums, weights)) + _product(values[rows * _WIDTH :])


@lru_cache(maxsize=1)
def _random(count: int) -> torch.Tensor:
    """Return fixed random numbers of either sign, none near zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(False):
        drawn = 2 * torch.rand(count, generator=generator) - 1
        return drawn + drawn.sign() / 2


def _checksum(tensor: torch.Tensor) -> torch.Tensor:
    data = tensor.contiguous().reshape(-1).view(torch.uint8)
    if data.storage_offset() % 8:
        data = data.clone()
    whole = len(data) // 8 * 8
    words = data[:whole].view(torch.int64)
    if len(words) <= _SMALL:
        total = (words * _weights(len(words), words.device)).sum()
    else:
        rows = len(words) // _WIDTH
        grid = words[: rows * _WIDTH].view(rows, _WIDTH)
        rest = words[rows * _WIDTH :]
        total = _weighted(grid.sum(dim=1)) + 3 * _weighted(grid.sum(dim=0)) + 5 * _weighted(rest)
    if whole < len(data):
        total = total + 7 * _weighted(data[whole:].to(torch.int64))
    return total


def _weighted(values: torch.Tensor) -> torch.Tensor:
    return (values * _weights(len(values), values.device)).sum()


@lru_cache(maxsize=256)
def _weights(count: int, device: torch.device) -> torch.Tensor:
    """Odd numbers, all different, with bits set all over (Knuth's multiplicative hash)."""
    with torch.inference_mode(False):
        return torch.arange(count, device=device) * 2_654_435_761 * 2 + 1
