"""What some modules compute with, as a token: two equal tokens mean equal outputs for equal inputs.

For what is remembered of a model, which must not outlive a change of it. A version counter is not enough:
`p.data[...] = x` and NumPy views change weights without it. So the weights are read, every time; that costs a
small part of running the modules. Where it cannot be known what modules do (hooks, a `forward` that somebody
has put there, training mode with its random dropout, weights that are elsewhere), there is no token, and
nothing may be reused.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import FunctionType, MethodType
from typing import Any

import torch
from torch.nn.modules import module as torch_module

#: Hooks that only copy outputs: transformers installs them at the first forward and leaves them.
_HARMLESS = ("transformers.utils.output_capturing",)
PLAIN = frozenset((bool, int, float, str, type(None), torch.dtype))
_FUNCTIONS = frozenset((FunctionType, MethodType))
_HOLDERS = frozenset((tuple, list, dict, set))
#: Attributes that say nothing of what is computed: those of every module, which are read on their own (hooks,
#: training, weights, children), what modules set in a forward pass, names of classes.
LEFT_OUT = frozenset(vars(torch.nn.Module())) | {
    "_output_capturing_hooks_installed",
    "compute_type_is_set",
    "rope_deltas",
    "id2label",
    "label2id",
}
#: Attribute of a layer that peft has adapted.
_ADAPTERS = ("_active_adapter",)
#: Values up to which tensors are put behind each other and summed as one.
_TINY = 2**12
#: Values up to which a tensor is summed with a random weight each; larger ones row by row.
_SMALL = 2**16
#: Width of the grid that a large tensor is laid out in: a prime, so that no layout of weights repeats in it.
_WIDTH = 2039


def token(modules: Sequence[torch.nn.Module], configs: Iterable[Any] = ()) -> tuple[object, ...] | None:
    """Return the state of modules (not of their children), or None where it cannot be known.

    Parameters
    ----------
    modules
        The modules that run.
    configs
        Objects whose plain attributes they read.
    """
    if hooked(modules) or training(modules) or any(map(replaced, modules)):
        return None
    sums = checksums(_tensors(modules))
    if sums is None:
        return None
    attributes: list[object] = []
    for module in modules:
        attributes.append(type(module))
        _add_plain(attributes, vars(module))
    for config in configs:
        attributes.append(type(config))
        _add_plain(attributes, vars(config))
    return (attributes, sums, functions_of(map(type, modules)), torch.is_autocast_enabled())


def functions_of(kinds: Iterable[type]) -> list[object]:
    """Return the functions of classes of modules, and of what they inherit from: somebody may have put others
    in their place.
    """
    return [
        value
        for kind in _ancestors(frozenset(kinds))
        for value in vars(kind).values()
        if type(value) is FunctionType
    ]


@lru_cache(maxsize=64)
def _ancestors(kinds: frozenset[type]) -> list[type]:
    every = dict.fromkeys(kind for made in kinds for kind in made.__mro__)
    return [kind for kind in every if kind not in (torch.nn.Module, object)]


class Tree:
    """All modules of a model, walked again only after one was exchanged, added or removed."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._found = [model]
        self._links: list[int] = []

    def modules(self) -> list[torch.nn.Module]:
        """Return the model and all modules in it, each once: the same list as long as nothing changed."""
        if self._links != _links(self._found):
            self._found = walked(self._found[0])
            self._links = _links(self._found)
        return self._found


def walked(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Return a model and all modules in it, each once, parents first; quicker than `model.modules()`."""
    found = [model]
    known = {id(model)}
    for module in found:  # grows on the way
        for child in module._modules.values():
            if child is not None and id(child) not in known:
                known.add(id(child))
                found.append(child)
    return found


def _links(modules: Iterable[torch.nn.Module]) -> list[int]:
    """Return who is whose child; ids suffice where the children are held as well."""
    return [id(child) for module in modules for child in module._modules.values()]


def hooked(modules: Iterable[torch.nn.Module]) -> bool:
    """Whether a hook, of one of the modules or of all modules, may change what is computed."""
    everywhere = (torch_module._global_forward_hooks, torch_module._global_forward_pre_hooks)
    if any(everywhere):
        return True
    return any(
        getattr(hook, "__module__", None) not in _HARMLESS
        for module in modules
        if module._forward_hooks or module._forward_pre_hooks
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


def parameters(modules: Iterable[torch.nn.Module]) -> list[torch.Tensor]:
    """Return the parameters of modules (not of their children), each once."""
    found = {id(p): p for module in modules for p in module._parameters.values() if p is not None}
    return list(found.values())


def _tensors(modules: Iterable[torch.nn.Module]) -> list[torch.Tensor]:
    """Return the parameters and buffers of modules (not of their children)."""
    return [
        tensor
        for module in modules
        for tensors in (module._parameters, module._buffers)
        for tensor in tensors.values()
        if tensor is not None
    ]


def _add_plain(found: list[object], attributes: Mapping[str, Any]) -> None:
    """Add the attributes that are plain values, or hold some, and functions."""
    for name in attributes.keys() - LEFT_OUT:
        value = attributes[name]
        if type(value) in PLAIN:
            found += (name, value)
        elif value and type(value) in _HOLDERS and (name[0] != "_" or name in _ADAPTERS):
            found += (name, _shown(value))
        elif type(value) in _FUNCTIONS:
            found += (name, getattr(value, "__func__", value))


def _shown(value: Any) -> object:
    if type(value) is tuple and _is_plain(value):
        return value
    items = value.items() if isinstance(value, dict) else value
    return repr([item for item in items if _is_plain(item)])


def _is_plain(value: Any) -> bool:
    return type(value) in PLAIN or (type(value) is tuple and all(type(item) in PLAIN for item in value))


# Weights ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def checksums(tensors: Iterable[torch.Tensor]) -> tuple[object, ...] | None:
    """Return numbers that change with the values of tensors; None where one is on the meta device.

    Of float32 on the CPU, where time counts, products with fixed random weights: what they do not see (a
    change of one value by less than 1e-4 of the spread of its tensor) is rounding to the model. Of all others
    exact arithmetic on the bits, modulo 2^64.
    """
    layout: list[object] = []
    products: list[torch.Tensor] = []
    tiny: list[torch.Tensor] = []
    words: dict[torch.device, list[torch.Tensor]] = {}
    for tensor in tensors:
        if tensor.is_meta:
            return None
        dtype, device = tensor.dtype, tensor.device
        layout.append((tensor.shape, dtype, device))
        values = tensor if tensor.dim() == 1 else tensor.reshape(-1)
        if dtype is not torch.float32 or not tensor.is_cpu:
            words.setdefault(device, []).extend(_words(values))
        elif (count := values.numel()) <= _TINY:
            tiny.append(values)
        elif count <= _SMALL:
            products.append(torch.dot(values, _random(count)))
        else:
            grid = values.unfold(0, _WIDTH, _WIDTH)
            tiny += (torch.mv(grid, _random(_WIDTH)), values[grid.numel() :])
    if tiny:  # one product for all; in float64, as they may differ in size
        joined = torch.cat(tiny).double()
        products.append(torch.dot(joined, _random(joined.numel()).double()))
    sums = [_weighted(torch.cat(parts)) for parts in words.values()]
    return (*layout, *map(float, products), *map(int, sums))


def _words(values: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield integers that stand for the bits of a flat tensor: few, also where it is large."""
    data = values.contiguous().view(torch.uint8)
    if data.storage_offset() % 8:
        data = data.clone()
    whole = len(data) // 8 * 8
    words = data[:whole].view(torch.int64)
    if len(words) > _TINY:
        rows = len(words) // _WIDTH
        grid = words[: rows * _WIDTH].view(rows, _WIDTH)
        yield grid.sum(dim=1)
        yield grid.sum(dim=0)
        words = words[rows * _WIDTH :]
    yield words
    if whole < len(data):
        yield data[whole:].to(torch.int64)


def _weighted(values: torch.Tensor) -> torch.Tensor:
    return (values * _integers(values.numel(), values.device)).sum()


@lru_cache(maxsize=512)
def _random(count: int) -> torch.Tensor:
    """Return fixed random numbers of either sign, none near zero; float32."""
    return _drawn(max(_SMALL, 2 ** (count - 1).bit_length()))[:count]


@lru_cache(maxsize=16)
def _drawn(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(False):
        drawn = 2 * torch.rand(count, generator=generator) - 1
        return drawn + drawn.sign() / 2


@lru_cache(maxsize=16)
def _integers(count: int, device: torch.device) -> torch.Tensor:
    """Return fixed random odd integers of 64 bits."""
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(False):
        drawn = torch.randint(-(2**62), 2**62, (count,), generator=generator)
        return (2 * drawn + 1).to(device)


# Samples of large models ------------------------------------------------------------------------------------

#: Models up to this size are read completely; for larger ones, this number of elements per parameter.
_WHOLE_BYTES = 64 * 2**20
_ELEMENTS = 4096
#: A prime as step scatters the places over rows and columns alike; no random generator, whose numbers a
#: version of torch may change.
_STEP = 2_654_435_761


def samples(tensors: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Yield the values that are read of the tensors that are in memory: all of a small model."""
    whole = read_whole(tensors)
    for tensor in tensors:
        if not tensor.is_meta:
            yield tensor if whole else sample(tensor.detach().reshape(-1))


def read_whole(tensors: Iterable[torch.Tensor]) -> bool:
    """Return whether all values of a model of these tensors are read."""
    return sum(tensor.nbytes for tensor in tensors) <= _WHOLE_BYTES


def sample(values: torch.Tensor) -> torch.Tensor:
    """Return the values that are read of a flat tensor of a large model."""
    return values[_places(len(values), values.device)] if len(values) > _ELEMENTS else values


@lru_cache(maxsize=64)
def _places(count: int, device: torch.device) -> torch.Tensor:
    """Return which of this number of values are read, scattered over all."""
    with torch.inference_mode(False):
        return torch.arange(_ELEMENTS, device=device) * _STEP % count
