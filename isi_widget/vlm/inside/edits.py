"""Edits of a run: one change at one site, and how several go together.

Not for running layers (see `rerun`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from isi_widget.vlm.inside.seen import map_states

#: Where an edit acts: the input of a layer, the outputs of its heads side by side (the input of `o_proj`),
#: the output of its attention, the output of its MLP.
SITES = ("residual", "heads", "attention", "mlp")
Change = Callable[[torch.Tensor, range], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Edit:
    """A change at one site.

    Attributes
    ----------
    layer
        Number of the layer, counted from 0.
    site
        One of `SITES`.
    function
        Called with the states [n or 1, positions, width] from the `first` position on, and the range of batch
        rows being run; returns states [n, positions, width], or [1, positions, width] if all rows are still
        equal. It must not change its input. In the last layer, states inside attention and MLP are zeros at
        positions whose logits are not wanted.
    """

    layer: int
    site: str
    function: Change


def on_states(function: Change, chunk: range) -> Callable[[torch.nn.Module, Any], Any]:
    """Return an edit as a hook on the output, or the input, of a module."""
    return lambda _, output: map_states(output, lambda states: function(states, chunk))


def _chained(first: Change, second: Change) -> Change:
    return lambda states, chunk: second(first(states, chunk), chunk)


def merged(edits: Sequence[Edit]) -> dict[tuple[int, str], Edit]:
    """Return one edit for each site, those of the same site one after the other."""
    found: dict[tuple[int, str], Edit] = {}
    for edit in edits:
        place = edit.layer, edit.site
        before = found.get(place)
        if before is None:
            found[place] = edit
        else:
            found[place] = Edit(*place, _chained(before.function, edit.function))
    return found


def from_first(edit: Edit, first: int) -> Edit:
    """Return an edit of the positions from `first` on, for states of all positions."""

    def function(states: torch.Tensor, chunk: range) -> torch.Tensor:
        changed = edit.function(states[:, first:], chunk)
        return torch.cat([states[:, :first].expand(changed.shape[0], -1, -1), changed], dim=1)

    return Edit(edit.layer, edit.site, function)


@contextmanager
def attention_known(
    attention: torch.nn.Module, projection: torch.nn.Module, heads: torch.Tensor
) -> Iterator[None]:
    """Within it, an attention module projects these outputs of its heads in place of computing them. Restored
    on leaving, also after an exception.
    """
    own = vars(attention).get("forward")  # accelerate puts one there

    def forward(*_: Any, **__: Any) -> tuple[Any, None]:
        return projection(heads), None

    attention.forward = forward
    try:
        yield
    finally:
        if own is None:
            del attention.forward
        else:
            attention.forward = own
