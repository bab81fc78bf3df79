"""The effect of each attention head on one item, by four methods: exact, gradient, integrated, screened.

The effect of a head is the target of the unchanged run minus the target of the run in which the head's output
is replaced: above 0, the head helps.

- `replaced_one_by_one` (exact): a run for each head. The layers below a head are shared, and the heads of a
  layer go through the layers above it as one batch.
- `slopes` (one gradient): (own output - replacement) . gradient, for all heads in one backward pass. A
  trained model is far from linear there: this is a shortlist of heads to look at, no measurement.
- `integrated`: integrated gradients (Sundararajan, Taly & Yan, ICML 2017) through a gate per head, from 1
  (own output) to 0 (replacement), with the two points of Radau's rule, 1 and 1/3 (weights 1/4 and 3/4).
  Closing all gates together leads through states in which nothing works: on the embedded model this agrees
  with exact effects no better than one gradient. So the heads are dealt out to steps - 1 groups, and each
  group closes alone.

Not for several items, nor for statistics (`head_scan`, `head_contributions`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

    from isi_widget.mechanism.items import Aim
    from isi_widget.mechanism.targets import Target
    from isi_widget.vlm.inside.rerun import Clean

REPLACEMENTS = ("mean", "zero", "reference")
POSITIONS = ("all", "last")
METHODS = ("exact", "integrated", "screened", "gradient")
#: Radau's rule on [0, 1] with one end fixed: exact for polynomials of degree 2.
_POINT, _WEIGHT = 1 / 3, 3 / 4
#: Bytes of activations that a graph may hold, and how many activations of the width of the model a layer
#: keeps for it.
_GRAPH, _KEPT = 1 << 30, 40

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scan:
    """What a scan does to the heads.

    Attributes
    ----------
    target
        What is measured.
    replace
        One of `REPLACEMENTS`.
    positions
        One of `POSITIONS`: where heads are replaced.
    reference
        With "reference": mean output of each head, [layers, heads, head_dim]; else None.
    """

    target: Target
    replace: str
    positions: str
    reference: torch.Tensor | None = None

    def value(self, logits: torch.Tensor, aim: Aim) -> torch.Tensor:
        """Return the target [B] of logits [B, rows, vocabulary]."""
        assert self.target.value is not None
        return self.target.value(logits, aim)

    def first(self, clean: Clean) -> int:
        """Return the first position at which heads are replaced."""
        return 0 if self.positions == "all" else len(clean.prompt) - 1

    def replacement(self, own: torch.Tensor, layer: int) -> torch.Tensor:
        """Return what takes the place of each head's output, for outputs [..., heads, head_dim]."""
        if self.replace == "zero":
            return own.new_zeros(()).expand_as(own)
        if self.replace == "mean":
            wide = own.float()
            return ((wide.sum(dim=-2, keepdim=True) - wide) / (own.shape[-2] - 1)).to(own.dtype)
        assert self.reference is not None
        return self.reference[layer].to(own).expand_as(own)

    def changed_rows(self, states: torch.Tensor, first: int) -> slice:
        """Return which positions of states that begin at `first` are changed."""
        return slice(None) if self.positions == "all" else slice(0, 1)


def replaced_one_by_one(
    clean: Clean,
    scan: Scan,
    aim: Aim,
    heads: Sequence[tuple[int, int]] | None = None,
    totals: bool = True,
    step: Callable[[], None] = lambda: None,
    *,
    found: tuple[Floats, Floats] | None = None,
    pause: Callable[[], None] = lambda: None,
) -> tuple[Floats, Floats]:
    """Return the exact effects of heads, [layers, heads], and of all heads of a layer together, [layers].

    Parameters
    ----------
    heads
        (layer, head) of those to measure; None: all. The others are NaN.
    totals
        Whether to measure whole layers, too; else they are NaN.
    step
        Called after each layer.
    found
        The two arrays with what was measured before, which is not measured again; filled in place. None
        (default): nothing was.
    pause
        Called after each batch of heads of a layer.
    """
    import torch

    number, count = clean.layers, clean.sites.heads
    if found is None:
        found = np.full((number, count), np.nan), np.full(number, np.nan)
    effects, together = found
    with torch.no_grad():
        baseline = float(scan.value(clean.logits[None], aim))
        for layer in range(number):
            chosen = [head for head in range(count) if heads is None or (layer, head) in heads]
            left: list[int | None] = [head for head in chosen if np.isnan(effects[layer, head])]
            if totals and np.isnan(together[layer]):
                left.append(None)  # all heads of the layer
            first = _first(clean, scan, layer)
            while left:
                size = clean.at_once(first)
                now, left = left[:size], left[size:]
                rows = [list(range(count)) if head is None else [head] for head in now]
                drops = baseline - _runs(clean, scan, aim, layer, rows, first)
                for head, drop in zip(now, drops, strict=True):
                    if head is None:
                        together[layer] = drop
                    else:
                        effects[layer, head] = drop
                pause()
            step()
    return found


def _first(clean: Clean, scan: Scan, layer: int) -> int:
    """Return the first position at which heads of a layer are replaced."""
    first = scan.first(clean)
    if layer == clean.layers - 1:  # nothing but the wanted rows matters in the last layer
        first = max(first, clean.tokens - clean.rows)
    return first


def _runs(
    clean: Clean, scan: Scan, aim: Aim, layer: int, rows: Sequence[Sequence[int]], first: int
) -> Floats:
    """Return the target of one run for each list of heads of a layer that are replaced together."""
    from isi_widget.vlm.inside.rerun import Edit

    def function(states: torch.Tensor, chunk: range) -> torch.Tensor:
        own = states.unflatten(-1, (clean.sites.heads, -1))
        new = scan.replacement(own, layer)
        edited = own.repeat(len(chunk) // own.shape[0], 1, 1, 1)
        place = scan.changed_rows(states, first)
        for row, number in enumerate(chunk):
            source = min(row, own.shape[0] - 1)
            edited[row, place, rows[number]] = new[source, place, rows[number]]
        return edited.flatten(2)

    logits = clean.run_from(layer, edits=[Edit(layer, "heads", function)], batch=len(rows), first=first)
    return scan.value(logits, aim).double().cpu().numpy()


# Gradients --------------------------------------------------------------------------------------------------


def slopes(clean: Clean, scan: Scan, aim: Aim) -> Floats:
    """Return the first-order effects [layers, heads] from a pass captured with graph=True."""
    import torch

    from isi_widget.vlm.inside.hooks import without_gradients

    with torch.enable_grad(), without_gradients(clean.vlm.model):
        value = scan.value(clean.logits[None], aim).sum()
        gradients = torch.autograd.grad(value, clean.heads, allow_unused=True)
    first = scan.first(clean)
    place = slice(None) if scan.positions == "all" else slice(first, first + 1)
    found = np.zeros((clean.layers, clean.sites.heads))
    for layer, gradient in enumerate(gradients):
        if gradient is not None:
            own = clean.heads_of(layer).detach()[:, place]
            change = own - scan.replacement(own, layer)
            wide = gradient[:, place].unflatten(-1, (clean.sites.heads, -1)).double()
            found[layer] = (wide * change.double()).sum(dim=(0, 1, 3)).cpu().numpy()
    return found


def integrated(
    clean: Clean,
    scan: Scan,
    aim: Aim,
    at_one: Floats,
    steps: int,
    seed: int | Sequence[int],
    step: Callable[[int], None] = lambda count: None,
) -> Floats:
    """Return the effects [layers, heads] by integrated gradients, one group of heads at a time.

    Parameters
    ----------
    at_one
        `slopes` of the same item: the gradient where all gates are 1.
    steps
        Number of gradients, at least 2: that one, and one for each of steps - 1 groups.
    seed
        Seed of the groups.
    step
        Called with the number of gradients that are finished.
    """
    import torch

    member = groups(clean.layers, clean.sites.heads, steps - 1, seed)
    gates = 1 - (1 - _POINT) * torch.from_numpy(member).float()
    found = gate_gradients(clean, scan, aim, gates, step)
    return (1 - _WEIGHT) * at_one + _WEIGHT * (found * member).sum(axis=0)


def groups(layers: int, heads: int, count: int, seed: int | Sequence[int]) -> npt.NDArray[np.bool_]:
    """Deal the heads out to groups, those of a layer as evenly as possible: [count, layers, heads]."""
    generator = np.random.default_rng(seed)
    numbers = np.concatenate([generator.permutation(heads) + layer * heads for layer in range(layers)])
    member = np.zeros((count, layers * heads), dtype=bool)
    member[np.arange(len(numbers)) % count, numbers] = True
    return member.reshape(count, layers, heads)


def gate_gradients(
    clean: Clean,
    scan: Scan,
    aim: Aim,
    gates: torch.Tensor,
    step: Callable[[int], None] = lambda count: None,
) -> Floats:
    """Return the gradients of the target by gates, [B, layers, heads], at gates of the same shape.

    A gate g makes of a head's output g * output + (1 - g) * replacement.
    """
    import torch

    from isi_widget.vlm.inside.hooks import without_gradients

    gates = gates.to(clean.inputs[0].device)
    size, found = _rows_with_graph(clean, scan), []
    with torch.enable_grad(), without_gradients(clean.vlm.model):
        for part in gates.split(size):
            given = part.clone().requires_grad_()
            value = scan.value(_gated(clean, scan, given), aim).sum()
            found.append(torch.autograd.grad(value, given)[0])
            step(len(part))
    return torch.cat(found).double().cpu().numpy()


def _gated(clean: Clean, scan: Scan, gates: torch.Tensor) -> torch.Tensor:
    """Return the logits [B, rows, vocabulary] under gates [B, layers, heads]."""
    from isi_widget.vlm.inside.rerun import Edit

    first = scan.first(clean)

    def edit(layer: int) -> Edit:
        def function(states: torch.Tensor, chunk: range) -> torch.Tensor:
            import torch

            own = states.unflatten(-1, (clean.sites.heads, -1))
            place = scan.changed_rows(states, first)
            mixed = own[:, place]
            new = scan.replacement(mixed, layer)
            gate = gates[chunk.start : chunk.stop, layer, None, :, None].to(own.dtype)
            mixed = new + gate * (mixed - new)
            if scan.positions != "all":
                mixed = torch.cat([mixed, own[:, 1:].expand(len(chunk), -1, -1, -1)], dim=1)
            return mixed.flatten(2)

        return Edit(layer, "heads", function)

    edits = [edit(layer) for layer in range(clean.layers)]
    return clean.run_from(0, edits=edits, batch=len(gates), first=first, at_once=len(gates))


def _rows_with_graph(clean: Clean, scan: Scan) -> int:
    states = clean.inputs[0]
    row = (clean.tokens - scan.first(clean)) * states.shape[-1] * states.element_size() * _KEPT * clean.layers
    return max(1, min(64, _GRAPH // row))


def rank_correlation(one: Floats, other: Floats) -> float:
    """Return Spearman's rank correlation of two arrays; NaN if one is constant."""
    import pandas as pd

    ranks = [pd.Series(np.ravel(values)).rank().to_numpy() for values in (one, other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
