"""A fingerprint of a model's weights: numbers of one model are never taken for those of another of its name.

It knows the parameters, those of an adapter among them, and what was given beside them (system prompt,
earlier turns, settings of the processor, interventions). Training mode and adapters that are switched give
another one; with a hook on the model there is none, as nobody knows what it does. Of processor, chat template
and configuration it knows what was changed after the model was loaded (`in_place.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch

from isi_widget.pretrained import state
from isi_widget.pretrained.placement import offloaded


class Fingerprint:
    """The fingerprint of one model; its weights are read again only after they have changed."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self._state: tuple[object, ...] | None = None
        self._tree = state.Tree(model)
        self._text: str | None = None
        self._adapters = state.switches(model.modules())
        self._kinds = frozenset(map(type, model.modules()))
        self._functions = state.functions_of(self._kinds)

    def __call__(self, beside: Mapping[str, Any] | None = None) -> str | None:
        """Return 16 hexadecimal digits, or None where weights cannot be read, or a hook may change results.

        `beside`: other settings that change its results, JSON; what is empty does not count. If all are
        empty, the fingerprint is that of the weights.
        """
        modules = self._tree.modules()
        if state.hooked(modules) or any(map(state.replaced, modules)):
            return None
        if state.functions_of(self._kinds) != self._functions:  # somebody has put others in their place
            return None
        read = state.checksums(state.samples(state.parameters(modules)))
        if read != self._state:
            self._text, self._state = fingerprint(self._model), read
        changed = {"adapters": state.switches(modules), "training": state.training(modules)}
        known = {name: value for name, value in (beside or {}).items() if value}
        # An adapter as it was loaded has been in the fingerprint of its weights alone all along.
        if changed["training"]:
            known["training"] = True
        if changed["adapters"] != self._adapters:
            known["adapters"] = changed["adapters"]
        if self._text is None or not known:
            return self._text
        record = json.dumps([self._text, known], sort_keys=True)
        return hashlib.sha256(record.encode()).hexdigest()[:16]


def fingerprint(model: torch.nn.Module) -> str | None:
    """SHA-256, its first 16 hexadecimal digits, of name, type, shape and values of each parameter.

    Above 64 MiB of parameters, of 4,096 values of each. The same weights in another precision, or quantised,
    have another fingerprint. None where weights cannot be read.
    """
    found, elsewhere = hashlib.sha256(), offloaded(model)
    for name, parameter, values in _read(model, elsewhere):
        if values.is_meta:
            return None
        found.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}\n".encode())
        found.update(_bytes(values))
    return found.hexdigest()[:16]


def _read(
    model: torch.nn.Module, elsewhere: Mapping[str, torch.Tensor]
) -> Iterator[tuple[str, torch.nn.Parameter, torch.Tensor]]:
    """Yield name, parameter and the values of it that are read, flat; on the meta device where they are
    neither in memory nor `elsewhere`.
    """
    named = sorted(model.named_parameters())
    whole = state.read_whole(parameter for _, parameter in named)
    for name, parameter in named:
        values = parameter.data.reshape(-1)
        if values.is_meta:
            with suppress(KeyError):
                values = elsewhere[name].to(parameter.dtype).reshape(-1)
        yield name, parameter, values if whole or values.is_meta else state.sample(values)


def _bytes(values: torch.Tensor) -> Any:
    """Return the bytes of a flat tensor, as a buffer; also of types that NumPy lacks."""
    return values.contiguous().view(torch.uint8).cpu().numpy()
