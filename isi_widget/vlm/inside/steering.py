"""A direction added to the residual stream, placed in a prompt; see `isi_widget.interventions.steering`."""

from __future__ import annotations

import torch

from isi_widget.interventions import Steer
from isi_widget.vlm.inside.groups import Span


class Steered:
    """A direction added at some positions of the output of a layer; a change as `streams` runs them.

    Parameters
    ----------
    item
        The intervention.
    span
        The positions.
    """

    site = "output"

    def __init__(self, item: Steer, span: Span) -> None:
        self.layer = item.where
        self._span, self._keep_norm = span, item.keep_norm
        self._added = torch.from_numpy(item.direction.array) * item.scale

    def touches(self, positions: range) -> bool:
        """Whether any of these positions is steered."""
        return self._span.any_at(positions)

    def __call__(self, states: torch.Tensor, positions: range) -> torch.Tensor:
        """Return the steered states [batch, positions, hidden]; those given stay as they are."""
        before = states.float()
        after = before + self._added.to(states.device)
        if self._keep_norm:
            size = after.norm(dim=-1, keepdim=True)
            scaled = after * (before.norm(dim=-1, keepdim=True) / size.clamp(min=1e-30))
            after = torch.where(size > 0, scaled, before)
        acts = self._span.at(positions, states.device)[:, None]
        return torch.where(acts, after.to(states.dtype), states)
