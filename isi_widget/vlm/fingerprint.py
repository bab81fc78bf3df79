"""A fingerprint of a model's weights: numbers of one model are never taken for those of another of its name.

It knows the parameters, those of an adapter among them, and what was given beside them (system prompt,
earlier turns, settings of the processor, interventions). Training mode and adapters that are switched give
another one; with a hook on the model there is none, as nobody knows what it does. Prompt templates are not
seen by it.
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

#: Models up to this size are read completely; for larger ones, this number of elements per parameter.
_WHOLE_BYTES = 64 * 2**20
_ELEMENTS = 4096
#: A prime as step scatters the places over rows and columns alike; no random generator, whose numbers a
#: version of torch may change.
_STEP = 2_654_435_761


class Fingerprint:
    """The fingerprint of one model; its weights are read again only after they have changed.

    Parameters
    ----------
    beside : other settings that change its results, JSON. If all are empty, the fingerprint is that of the
        weights.
    """

    def __init__(self, model: torch.nn.Module, beside: Mapping[str, Any] | None = None) -> None:
        self._model = model
        self._beside = {name: value for name, value in (beside or {}).items() if value}
        self._state: list[float] | None = None
        self._text: str | None = None
        self._adapters = state.switches(model.modules())
        self._kinds = list(dict.fromkeys(map(type, model.modules())))
        self._functions = state.functions_of(self._kinds)

    def __call__(self, beside: Mapping[str, Any] | None = None) -> str | None:
        """16 hexadecimal digits, or None where weights cannot be read, or a hook may change results.

        `beside`: more of what makes its numbers others; what is empty does not count.
        """
        modules = list(self._model.modules())
        if state.hooked(modules) or any(map(state.replaced, modules)):
            return None
        if state.functions_of(self._kinds) != self._functions:  # somebody has put others in their place
            return None
        read = state.checksums(values for _, _, values in _read(self._model) if not values.is_meta)
        if read != self._state:
            self._text, self._state = fingerprint(self._model), read
        changed = {"adapters": state.switches(modules), "training": state.training(modules)}
        known = {name: value for name, value in {**self._beside, **(beside or {})}.items() if value}
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
    model: torch.nn.Module, elsewhere: Mapping[str, torch.Tensor] | None = None
) -> Iterator[tuple[str, torch.nn.Parameter, torch.Tensor]]:
    """Yield name, parameter and the values of it that are read, flat; on the meta device where they are
    neither in memory nor `elsewhere`.
    """
    named = sorted(model.named_parameters())
    whole = sum(p.numel() * p.element_size() for _, p in named) <= _WHOLE_BYTES
    for name, parameter in named:
        values = parameter.data.reshape(-1)
        if values.is_meta and elsewhere is not None:
            with suppress(KeyError):
                values = elsewhere[name].to(parameter.dtype).reshape(-1)
        if not values.is_meta and not whole and len(values) > _ELEMENTS:
            places = torch.arange(_ELEMENTS, device=values.device) * _STEP % len(values)
            values = values[places]
        yield name, parameter, values


def _bytes(values: torch.Tensor) -> Any:
    """Return the bytes of a flat tensor, as a buffer; also of types that NumPy lacks."""
    return values.contiguous().view(torch.uint8).cpu().numpy()
