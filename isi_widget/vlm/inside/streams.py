"""Changes of the residual stream and of what attention and MLP add to it: module hooks beside the twin.

    residual     input of layer i
    attention    output of its self_attn, before a norm that may follow (Gemma): a norm acts token by token
    mlp          output of its MLP, likewise
    output       output of layer i; steering alone acts there

Several changes at one site act in the order of the interventions. Changes of attention and of single heads
are in `attention` and `editing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch

from isi_widget.vlm.inside.aligning import aligned
from isi_widget.vlm.inside.groups import span_of
from isi_widget.vlm.inside.hooks import Hook, hooked
from isi_widget.vlm.inside.sites import Sites, sites

if TYPE_CHECKING:
    from isi_widget.interventions import ActivationPatch
    from isi_widget.vlm.inside.door import Loaded
    from isi_widget.vlm.prompts.prompt import Prompt


class StreamEdit(Protocol):
    """One change, placed in a prompt."""

    @property
    def site(self) -> str:
        """One of `isi_widget.interventions.SITES`, or "output"."""

    @property
    def layer(self) -> int:
        """Number of the layer."""

    def touches(self, positions: range) -> bool:
        """Whether it acts on any of these positions; costs no transfer from a device."""

    def __call__(self, states: torch.Tensor, positions: range) -> torch.Tensor:
        """Return the changed states [batch, positions, width]; those given stay as they are."""


def hooks(edits: Iterable[StreamEdit], parts: Sites, keys: int) -> tuple[Hook, ...]:
    """Return the hooks of a forward pass with `keys` keys in all, cached and new."""

    def of(edit: StreamEdit) -> Hook:
        def function(states: torch.Tensor) -> torch.Tensor | None:
            positions = range(keys - states.shape[1], keys)
            return edit(states, positions) if edit.touches(positions) else None

        return on(parts, edit.site, edit.layer, function)

    return tuple(map(of, edits))


def on(parts: Sites, site: str, layer: int, function: Callable[[torch.Tensor], torch.Tensor | None]) -> Hook:
    """Return a hook that gives the states at a site to `function`; None leaves them as they are."""
    if site == "residual":
        return parts.layers[layer], "input", lambda _, states: function(states)
    if site == "output":
        module = parts.layers[layer]
    else:
        module = parts.attention(layer) if site == "attention" else parts.mlp(layer)

    def output(_: torch.nn.Module, made: Any) -> Any:
        states = made[0] if isinstance(made, tuple) else made
        changed = function(states)
        if changed is None:
            return None
        return (changed, *made[1:]) if isinstance(made, tuple) else changed

    return module, "output", output


# Activation patching ----------------------------------------------------------------------------------------


class Patched:
    """States of some prompt positions, replaced by given ones.

    Parameters
    ----------
    rows : positions in the prompt, sorted.
    values : [rows, width].
    """

    def __init__(self, site: str, layer: int, rows: Sequence[int], values: torch.Tensor) -> None:
        self.site, self.layer = site, layer
        self._rows, self._values = list(rows), values

    def only(self, kept: Sequence[int]) -> Patched:
        """Return the same patch in a prompt of which only some positions are kept."""
        places = {position: place for place, position in enumerate(kept)}
        left = [index for index, row in enumerate(self._rows) if row in places]
        return Patched(
            self.site, self.layer, [places[self._rows[index]] for index in left], self._values[left]
        )

    def touches(self, positions: range) -> bool:
        """Whether any of the rows is among these positions."""
        return any(row in positions for row in self._rows)

    def __call__(self, states: torch.Tensor, positions: range) -> torch.Tensor:
        """Return the states with the rows replaced."""
        kept = [index for index, row in enumerate(self._rows) if row in positions]
        changed = states.clone()
        places = [self._rows[index] - positions.start for index in kept]
        changed[:, places] = self._values[kept].to(states.device, states.dtype)
        return changed


def patched(
    vlm: Loaded, reader: Loaded, prompt: Prompt, patches: Sequence[ActivationPatch]
) -> dict[ActivationPatch, Patched]:
    """Return patches with the activations of their sources; each source is read once.

    Parameters
    ----------
    vlm
        The model whose prompt is patched.
    reader
        The same weights, which read the sources; with what interventions, is the caller's choice.
    prompt
        The prompt that is patched.

    Raises
    ------
    InputError
        If tokens of the two prompts do not correspond, or a group is not in the prompt.
    """
    found: dict[ActivationPatch, Patched] = {}
    by_source: dict[str, list[ActivationPatch]] = {}
    for patch in dict.fromkeys(patches):
        by_source.setdefault(patch.source.key, []).append(patch)
    parts = sites(vlm.model, vlm.family)
    for group in by_source.values():
        source = reader.encode(group[0].source)
        partners = aligned(prompt, source)
        states: dict[tuple[str, int], torch.Tensor] = {}
        wanted = {(patch.site, patch.layer) for patch in group}
        with hooked(*(on(parts, *place, _keeper(states, place)) for place in wanted)):
            reader.read(source)
        for patch in group:
            span = span_of(patch.tokens, prompt, lambda: vlm.boxes(prompt)).prompt
            rows = span.nonzero().squeeze(1).tolist()
            values = states[patch.site, patch.layer][0, list(partners.of(rows, patch.label))]
            found[patch] = Patched(patch.site, patch.layer, rows, values)
    return found


def _keeper(states: dict[tuple[str, int], torch.Tensor], place: tuple[str, int]) -> Any:
    def keep(found: torch.Tensor) -> None:
        states[place] = found.detach()

    return keep
