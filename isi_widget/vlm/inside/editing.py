"""Interventions placed in one prompt, layer by layer, as the attention twin applies them.

One class for each kind of change. A new kind of `isi_widget.interventions` gets its counterpart here; changes
of the residual stream are in `streams`: module hooks, entered beside the twin.
Changes that change nothing (a factor of 1, a group without tokens) are left out, so that they cost nothing
and change nothing, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from isi_widget.errors import InputError
from isi_widget.interventions import (
    ActivationPatch,
    AttentionReplace,
    AttentionScale,
    ContrastiveDecoding,
    HeadGates,
    HeadReplace,
    HeadScale,
    Intervention,
    Knockout,
    Steer,
)
from isi_widget.interventions.tokens import Tokens
from isi_widget.readable import counted
from isi_widget.vlm.inside import streams
from isi_widget.vlm.inside.groups import Span, span_of
from isi_widget.vlm.inside.hooks import Hook
from isi_widget.vlm.inside.sites import Sites
from isi_widget.vlm.inside.steering import Steered
from isi_widget.vlm.prompts.prompt import Prompt

if TYPE_CHECKING:
    from isi_widget.vlm.inside.groups import Boxes
    from isi_widget.vlm.inside.streams import Patched, StreamEdit

_HIDDEN = float("-inf")


def check(interventions: Sequence[Intervention], sites: Sites) -> None:
    """Refuse layers and heads that a model does not have, and values of another width.

    Raises
    ------
    InputError
        Naming the intervention, and what the model has.
    """
    layers = len(sites.layers)
    for item in interventions:
        if isinstance(item, ActivationPatch):
            _in_range(item, "layer", (item.layer,), layers)
        elif isinstance(item, HeadScale | HeadReplace):
            _in_range(item, "layer", (item.layer,), layers)
            _in_range(item, "head", (item.head,), sites.heads)
            if isinstance(item, HeadReplace) and item.by == "mean" and sites.heads == 1:
                raise InputError(f"{item.label}: the layer has no other heads to take the mean of.")
            if isinstance(item, HeadReplace) and item.values is not None:
                width = sites.head_dim(item.layer)
                if len(item.values) != width:
                    raise InputError(
                        f"{item.label}: this model's heads have {width} numbers, got {len(item.values)} "
                        "values."
                    )
        elif isinstance(item, HeadGates):
            if item.shape != (layers, sites.heads):
                raise InputError(
                    f"Gates of this model are a matrix of {counted(layers, 'layer')} and "
                    f"{counted(sites.heads, 'head')}; got {counted(item.shape[0], 'row')} of "
                    f"{counted(item.shape[1], 'number')}."
                )
        elif isinstance(item, Steer):
            _in_range(item, "layer", (item.where,), layers)
            if len(item.direction.values) != (width := sites.hidden_size):
                raise InputError(
                    f"{item.label}: the residual stream of this model has {width} numbers, the direction has "
                    f"{len(item.direction.values)}."
                )
        elif isinstance(item, Knockout | AttentionScale | AttentionReplace):
            _in_range(item, "layer", item.layers or (), layers)
            _in_range(item, "head", item.heads or (), sites.heads)
    if sum(isinstance(item, ContrastiveDecoding) for item in interventions) > 1:
        raise InputError("A model takes one contrastive decoding at a time: contrasts are not added up.")


def _in_range(item: Intervention, name: str, numbers: Sequence[int], count: int) -> None:
    if wrong := [number for number in numbers if number >= count]:
        raise InputError(
            f"{item.label}: this model has {count} {name}s, numbered 0 to {count - 1}; there is no {name} "
            f"{', '.join(map(str, wrong))}."
        )


# Attention --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Cells:
    """Which queries, keys and heads a change of attention acts on; heads None: all."""

    queries: Span
    keys: Span
    heads: tuple[int, ...] | None

    @property
    def empty(self) -> bool:
        return self.queries.empty or self.keys.empty

    def touch(self, queries: range, keys: range) -> bool:
        """Whether it acts on any of these positions."""
        return self.queries.any_at(queries) and self.keys.any_at(keys)

    def at(self, queries: range, keys: range, like: torch.Tensor) -> torch.Tensor:
        """[heads or 1, queries, keys] bool, for values [batch, heads, queries, keys]."""
        device = like.device
        cells = (self.queries.at(queries, device)[:, None] & self.keys.at(keys, device))[None]
        if self.heads is None:
            return cells
        chosen = torch.zeros(like.shape[1], 1, 1, dtype=torch.bool, device=device)
        chosen[list(self.heads)] = True
        return cells & chosen


@dataclass(frozen=True, eq=False)
class _Cut:
    cells: _Cells

    def __call__(self, logits: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        return logits.masked_fill(cells, _HIDDEN)


@dataclass(frozen=True, eq=False)
class _Scaled:
    cells: _Cells
    factor: float
    add: float

    def __call__(self, logits: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        return torch.where(cells & (logits > _HIDDEN), logits * self.factor + self.add, logits)


@dataclass(frozen=True, eq=False)
class _Redistributed:
    cells: _Cells
    by: str
    seed: int
    layer: int

    def __call__(
        self, weights: torch.Tensor, visible: torch.Tensor, cells: torch.Tensor, keys: range
    ) -> torch.Tensor:
        """Return the changed weights; `visible` marks the keys that are not hidden, in the same shape."""
        acts = cells.any(dim=-1, keepdim=True)
        places = cells.any(dim=1).any(dim=0).nonzero().squeeze(1)
        part, shown = weights[..., places], visible[..., places]
        if self.by == "uniform":
            count = shown.sum(dim=-1, keepdim=True).clamp(min=1)
            new = torch.where(shown, part.sum(dim=-1, keepdim=True) / count, part)
        elif self.by == "shuffled":
            by_position = torch.arange(len(places), device=weights.device).float()
            ranks = self._ranks(weights.shape[1], places + keys.start)
            new = _moved(part, _order(by_position, shown), _order(ranks[:, None, :], shown))
        else:
            new = _moved(part, _order(-part, shown), _order(part, shown))
        changed = weights.clone()
        changed[..., places] = torch.where(acts, new, part)
        return changed

    def _ranks(self, heads: int, positions: torch.Tensor) -> torch.Tensor:
        """[heads, positions]: random numbers that stay with a position, whatever else is read."""
        # What NumPy's generator draws first does not depend on how much is drawn.
        stream = np.random.default_rng([self.seed, self.layer])
        drawn = stream.random((int(positions[-1]) + 1, heads), dtype=np.float32)
        return torch.from_numpy(drawn).to(positions.device)[positions].T


def _order(values: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """Return indices that sort the visible ones, smallest first; the hidden ones come last."""
    return values.expand(shown.shape).masked_fill(~shown, float("inf")).argsort(dim=-1, stable=True)


def _moved(part: torch.Tensor, to: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Return the i-th of `source` at the place of the i-th of `to`."""
    return torch.zeros_like(part).scatter(-1, to, part.gather(-1, source))


# Heads ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Gated:
    """The factors of all heads of a layer."""

    factors: tuple[float, ...]

    def __call__(self, output: torch.Tensor) -> torch.Tensor:
        # As one number times a tensor of half precision does: multiplied in float32, then rounded.
        factors = torch.tensor(self.factors, dtype=torch.float32, device=output.device)
        return (output * factors[:, None]).to(output.dtype)


# One layer --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LayerEdits:
    """What is changed in one layer, each list in the order of the interventions."""

    logits: tuple[_Cut | _Scaled, ...] = ()
    redistributed: tuple[_Redistributed, ...] = ()
    heads: tuple[HeadScale | HeadReplace | _Gated, ...] = ()

    def touches(self, queries: range, keys: range) -> bool:
        """Whether attention from any of these queries to any of these keys is changed."""
        return any(change.cells.touch(queries, keys) for change in (*self.logits, *self.redistributed))

    def rows(self, queries: range, at_once: int) -> Iterator[range]:
        """Return the changed queries in blocks of at most `at_once` consecutive ones, counted from 0."""
        acts = torch.zeros(len(queries), dtype=torch.bool)
        for change in (*self.logits, *self.redistributed):
            acts |= change.cells.queries.at(queries, acts.device)
        chosen = acts.nonzero().squeeze(1).tolist()
        start = 0
        for place in range(1, len(chosen) + 1):
            ends = place == len(chosen) or chosen[place] != chosen[place - 1] + 1
            if ends or place - start == at_once:
                yield range(chosen[start], chosen[place - 1] + 1)
                start = place

    def weights(self, logits: torch.Tensor, queries: range, keys: range) -> torch.Tensor:
        """Return the changed weights of some queries; 0 for a query that has no key left.

        Parameters
        ----------
        logits
            [batch, heads, queries, keys] float32, unchanged; -inf where a key is hidden.
        queries, keys
            Their positions.
        """
        for change in self.logits:
            logits = change(logits, change.cells.at(queries, keys, logits))
        visible = logits > _HIDDEN
        weights = logits.softmax(dim=-1).masked_fill(~visible.any(dim=-1, keepdim=True), 0.0)
        for moved in self.redistributed:
            if moved.cells.touch(queries, keys):
                weights = moved(weights, visible, moved.cells.at(queries, keys, weights), keys)
        return weights

    def outputs(self, output: torch.Tensor) -> torch.Tensor:
        """Return the changed outputs of the heads, [batch, queries, heads, head_dim]."""
        if not self.heads:
            return output
        output = output.clone()
        for item in self.heads:
            if isinstance(item, _Gated):
                output = item(output)
                continue
            own = output[:, :, item.head]
            if isinstance(item, HeadScale):
                new = own * item.factor
            elif item.by == "mean":
                wide = output.float()
                new = ((wide.sum(dim=2) - wide[:, :, item.head]) / (output.shape[2] - 1)).to(output.dtype)
            elif item.values is None:
                new = torch.zeros_like(own)
            else:
                new = own.new_tensor(item.values).expand_as(own)
            output[:, :, item.head] = new
        return output


# All layers -------------------------------------------------------------------------------------------------


class Editing:
    """The interventions on a model, placed in one prompt.

    Parameters
    ----------
    interventions
        In order; checked against the model (`check`).
    sites
        The parts of the model.
    prompt, boxes
        The prompt, and what gives the boxes of its image tokens.
    patched
        The patches of activations among them, with what they put in place.
    kept
        Positions of `prompt` that are read, where a part of it is left out; None: all.

    Attributes
    ----------
    streams
        Changes of the residual stream and of what attention and MLP add to it, in order.

    Raises
    ------
    InputError
        If a group of tokens is not in the prompt, see `groups.span_of`.
    """

    def __init__(
        self,
        interventions: Sequence[Intervention],
        sites: Sites,
        prompt: Prompt,
        boxes: Boxes,
        patched: Mapping[ActivationPatch, Patched] | None = None,
        kept: Sequence[int] | None = None,
    ) -> None:
        self._sites = sites
        moved: list[StreamEdit] = []
        found: dict[int, tuple[list[Any], list[Any], list[Any]]] = {}
        layers = len(sites.layers)

        def lists(layer: int) -> tuple[list[Any], list[Any], list[Any]]:
            return found.setdefault(layer, ([], [], []))

        def span(tokens: Tokens) -> Span:
            whole = span_of(tokens, prompt, boxes)
            return whole if kept is None else whole.only(kept)

        for item in interventions:
            if isinstance(item, ActivationPatch):
                patch = (patched or {})[item]
                moved.append(patch if kept is None else patch.only(kept))
            elif isinstance(item, HeadScale | HeadReplace):
                if not (isinstance(item, HeadScale) and item.factor == 1):
                    lists(item.layer)[2].append(item)
            elif isinstance(item, HeadGates):
                for layer, factors in enumerate(item.factors):
                    if any(factor != 1 for factor in factors):
                        lists(layer)[2].append(_Gated(factors))
            elif isinstance(item, Steer):
                at = span(item.tokens)
                if not at.empty and item.scale and any(item.direction.values):
                    moved.append(Steered(item, at))
            elif isinstance(item, Knockout | AttentionScale | AttentionReplace):
                cells = _Cells(span(item.queries), span(item.keys), item.heads)
                if cells.empty:
                    continue
                for layer in range(layers) if item.layers is None else item.layers:
                    if isinstance(item, Knockout):
                        lists(layer)[0].append(_Cut(cells))
                    elif isinstance(item, AttentionReplace):
                        lists(layer)[1].append(_Redistributed(cells, item.by, item.seed, layer))
                    elif item.factor != 1 or item.add:
                        lists(layer)[0].append(_Scaled(cells, item.factor, item.add))
            elif not isinstance(item, ContrastiveDecoding):  # acts on logits, see `decoding.contrast`
                raise InputError(f"This version cannot apply {type(item).__name__}.")
        self._layers = {layer: LayerEdits(*map(tuple, parts)) for layer, parts in found.items() if any(parts)}
        self.streams = tuple(moved)

    @property
    def empty(self) -> bool:
        """Whether nothing is changed in this prompt."""
        return not self._layers and not self.streams

    @property
    def attends(self) -> bool:
        """Whether attention or outputs of heads are changed, by the twin of the attention function."""
        return bool(self._layers)

    def at(self, layer: int) -> LayerEdits | None:
        """Return the changes in a layer; None for none."""
        return self._layers.get(layer)

    def hooks(self, keys: int) -> tuple[Hook, ...]:
        """Return the module hooks of one forward pass.

        Parameters
        ----------
        keys
            Number of keys in all, cached and new, of the pass.
        """
        return streams.hooks(self.streams, self._sites, keys)
