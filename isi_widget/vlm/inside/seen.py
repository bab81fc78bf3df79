"""What one forward pass shows of a language model, for running its layers again (`rerun`).

Hooks that see inputs and outputs of layers (`Seen`), stand-ins for the key-value cache (`Keeper`, `Joined`),
the positions that a mask shows, and the way from last hidden states to logits. Not for running anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from isi_widget.errors import InputError
from isi_widget.vlm.inside.hooks import Hook, called, hooked
from isi_widget.vlm.inside.sites import Sites

if TYPE_CHECKING:
    from isi_widget.vlm.inside.door import Loaded

#: Largest relative difference of logits that are computed again from the last hidden states.
_NEAR = {torch.float32: 1e-4, torch.float64: 1e-6}
_NEAR_ELSE = 3e-2


class Seen:
    """What the hooks of one forward pass have seen, layer by layer.

    Parameters
    ----------
    parts : whether outputs of attention and MLP are kept.
    graph : whether gradients by the outputs of heads will be taken.
    """

    def __init__(self, found: Sites, parts: bool, graph: bool = False) -> None:
        self._sites, self._parts, self._graph = found, parts, graph
        self.inputs: list[torch.Tensor] = []
        self.outputs: list[torch.Tensor] = []
        self.heads: list[torch.Tensor] = []
        self.attention: list[torch.Tensor] = []
        self.mlp: list[torch.Tensor] = []
        self.arguments: list[Mapping[str, Any]] = []
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._final: list[torch.Tensor] = []
        #: Whether attention returns (output, weights), as the layers of all known families take it.
        self.pairs = True

    @property
    def final(self) -> torch.Tensor:
        """Hidden states after the last layer."""
        return self._final[-1]

    @contextmanager
    def before(self) -> Iterator[None]:
        """See what layers are given; to be entered before the hooks of interventions, which run again."""
        with ExitStack() as stack:
            for layer in self._sites.layers:
                stack.enter_context(called(layer, self._enter))
            yield

    @contextmanager
    def after(self) -> Iterator[None]:
        """See what modules return; to be entered after the hooks of interventions."""
        hooks: list[Hook] = [(self._sites.norm, "input", _into(self._final))]
        for index, layer in enumerate(self._sites.layers):
            hooks.append((layer, "output", _into(self.outputs)))
            hooks.append((self._sites.o_proj(index), "input", self._head_outputs))
            hooks.append((self._sites.attention(index), "output", self._shape))
            if self._parts:
                hooks.append((self._sites.attention(index), "output", _into(self.attention)))
                hooks.append((self._sites.mlp(index), "output", _into(self.mlp)))
        with hooked(*hooks):
            yield

    def _shape(self, _: torch.nn.Module, output: Any) -> None:
        self.pairs = self.pairs and isinstance(output, tuple) and len(output) == 2

    def _head_outputs(self, _: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
        if self._graph and not states.requires_grad:
            states = states.detach().requires_grad_()
        self.heads.append(states)
        return states

    def _enter(self, hidden: torch.Tensor, arguments: dict[str, Any]) -> dict[str, Any]:
        self.inputs.append(hidden)
        self.arguments.append({**arguments, "past_key_values": None})
        return {**arguments, "past_key_values": Keeper(self.kept)}


def _into(found: list[torch.Tensor]) -> Callable[[torch.nn.Module, Any], None]:
    """Return a hook that appends the states it sees."""
    return lambda _, seen: found.append(states_of(seen))


class Keeper:
    """Stands in for a key-value cache in the clean pass: remembers keys and values, and returns them."""

    def __init__(self, kept: dict[int, tuple[torch.Tensor, torch.Tensor]]) -> None:
        self._kept = kept

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Remember the keys and values of a layer; return them."""
        self._kept[layer] = keys, values
        return keys, values


class Joined:
    """Stands in for a key-value cache: clean keys and values of the positions before `first`, then own ones.

    Parameters
    ----------
    kept : clean keys and values of each layer.
    first : number of positions that they are taken of.
    buffers : joined keys and values by layer, whose clean part is copied once for many runs; used without
        gradients only.
    room : bytes that the buffers may take.
    """

    def __init__(
        self,
        kept: Mapping[int, tuple[torch.Tensor, torch.Tensor]],
        first: int,
        buffers: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]],
        room: int,
    ) -> None:
        self._kept, self._first, self._buffers, self._room = kept, first, buffers, room

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return clean keys and values followed by those of a layer."""
        buffer = None if torch.is_grad_enabled() else self._buffer(keys, layer)
        if buffer is None:
            return self._joined(keys, values, layer)
        for whole, own in zip(buffer, (keys, values), strict=True):
            whole[: len(own), :, self._first :] = own
        return buffer[0][: len(keys)], buffer[1][: len(keys)]

    def _joined(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        parts = (
            (clean[:, :, : self._first].expand(len(own), -1, -1, -1), own)
            for clean, own in zip(self._kept[layer], (keys, values), strict=True)
        )
        joined = [torch.cat(part, dim=2) for part in parts]
        return joined[0], joined[1]

    def _buffer(self, keys: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return what holds the clean keys and values of at least as many batch rows; None without room."""
        if any(first != self._first for _, first in self._buffers):
            self._buffers.clear()
        found = self._buffers.get((layer, self._first))
        if found is not None and len(found[0]) >= len(keys):
            return found
        wanted = sum(clean.numel() * clean.element_size() for clean in self._kept[layer]) * len(keys)
        others = (pair for place, pair in self._buffers.items() if place[0] != layer)
        taken = sum(part.numel() * part.element_size() for pair in others for part in pair)
        if taken + wanted > self._room:
            return None
        made = self._kept[layer]
        whole = [clean.repeat(len(keys), 1, 1, 1) for clean in made]
        self._buffers[layer, self._first] = whole[0], whole[1]
        return whole[0], whole[1]


#: The arguments of layers that have an axis of queries, counted from the end.
QUERY_AXES = {"attention_mask": -2, "position_ids": -1, "position_embeddings": -2}


def from_position(value: Any, axis: int, first: int) -> Any:
    """Return the positions from `first` on of a tensor, or of each of a tuple."""
    if isinstance(value, tuple | list):
        return tuple(from_position(part, axis, first) for part in value)
    return value.narrow(axis, first, value.shape[axis] - first)


def latest_seen(masks: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """Return the latest position that each position attends to in any layer, [T]; None: itself in all."""
    found: torch.Tensor | None = None
    for mask in {id(mask): mask for mask in masks if mask is not None}.values():
        visible = mask if mask.dtype == torch.bool else mask >= torch.finfo(mask.dtype).min / 2
        visible = visible.flatten(0, -3).any(dim=0)
        places = torch.arange(visible.shape[-1], device=visible.device)
        latest = torch.where(visible, places, 0).amax(dim=-1).cpu()
        found = latest if found is None else torch.maximum(found, latest)
    return found


def states_of(output: Any) -> torch.Tensor:
    """Return the hidden states in the output of a module."""
    states: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return states


def map_states(output: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return the output of a module with changed hidden states."""
    return (function(output[0]), *output[1:]) if isinstance(output, tuple) else function(output)


def padded(states: torch.Tensor, tokens: int) -> torch.Tensor:
    """Return states of the last positions with zeros before them."""
    return torch.nn.functional.pad(states, (0, 0, tokens - states.shape[1], 0))


def device_of(module: torch.nn.Module, like: torch.Tensor) -> torch.device:
    """Return where a module is; without parameters where `like` is."""
    parameter = next(module.parameters(), None)
    return like.device if parameter is None else parameter.device


def finish(
    vlm: Loaded, found: Sites, hidden: torch.Tensor, logits: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what the model does with the output of the un-embedding: nothing, a soft cap, or a scale.

    Raises
    ------
    InputError
        If none of these gives the logits of the clean pass.
    """
    config = getattr(vlm.model.config, vlm.family.text_config)
    ways: list[Callable[[torch.Tensor], torch.Tensor]] = [lambda x: x]
    if cap := getattr(config, "final_logit_softcapping", None):
        ways.append(lambda x: torch.tanh(x / cap) * cap)
    if scale := getattr(config, "logit_scale", None):
        ways.append(lambda x: x * scale)
    if divisor := getattr(config, "logits_scaling", None):
        ways.append(lambda x: x / divisor)
    with torch.no_grad():
        normed = found.norm(hidden.to(device_of(found.norm, hidden)))
        raw = found.unembedding(normed.to(device_of(found.unembedding, normed)))[0]
    near = _NEAR.get(vlm.model.dtype, _NEAR_ELSE) * max(1.0, float(logits.abs().max()))
    for way in ways:
        if float((way(raw).float() - logits).abs().max()) <= near:
            return way
    raise InputError(
        f"The logits of {vlm.model_id} are not those that its final norm and output embeddings give: its "
        "inside cannot be run again in parts. Use vlm.intervene(...) with whole forward passes."
    )
