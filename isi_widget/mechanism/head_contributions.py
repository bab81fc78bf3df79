"""`HeadContributions`: what attention heads do to the answers of a model, over many items; the record.

`measuring_heads` measures it. The three matrices follow Wang, Hu & Jiang (V-SEAM, EMNLP 2025), with the drop
of the target in place of the drop of a probability:

    signed      mean drop over all items
    positive    mean of max(drop, 0) over the items that the unchanged model answers correctly
    negative    mean of max(-drop, 0) over those that it answers wrongly

A head whose loss does no harm need not be idle: others may stand in for it. Whole layers beside heads
(`totals`) show that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.mechanism import head_words
from isi_widget.mechanism.head_methods import METHODS, POSITIONS, REPLACEMENTS
from isi_widget.mechanism.means import mean_interval
from isi_widget.mechanism.packing import frozen, packed, unpacked
from isi_widget.mechanism.recorded import Saved
from isi_widget.mechanism.targets import TARGETS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
#: The matrices.
MATRICES = ("signed", "positive", "negative")
_ARRAYS = ("drops", "totals", "baseline", "correct", "shortlist")
_KINDS = {"correct": np.bool_}
_DRAWS = 2000
_SHOWN = 8


class Head(NamedTuple):
    """One head of `HeadContributions.top`: layer and head (from 0), value, interval, p-value."""

    layer: int
    head: int
    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, eq=False, repr=False)
class HeadContributions(Saved):
    """Contributions of all attention heads.

    Attributes
    ----------
    drops
        Drop of the target when a head is replaced, float64 [items, layers, heads]; above 0: the head helps.
        NaN for heads that method="screened" did not measure, or that a scan did not reach before it was
        cancelled (`Cancelled.partial`).
    totals
        Drop when all heads of a layer are replaced together, [items, layers]; NaN where not measured.
    baseline
        Target of the unchanged model, [items].
    correct
        Whether the unchanged model's most probable first token is the true answer's, bool [items].
    shortlist
        With "screened": the gradients that chose the heads, [items, layers, heads]; of an exact scan of a
        probe that was cancelled: the estimate before it; else empty.
    names, answers, wrong, levels
        Name, true answer, wrong answer it is compared with and semantic level ("" if unknown) of each item.
    target, method, replace, positions
        As given to `measure_heads`.
    model
        Facts about the model, from `VLM.info`.
    seed
        Seed of groups, intervals and p-values.
    steps
        Gradients an item, for "integrated"; heads measured, for "screened"; else 0.
    agreement
        For an estimate, beside exact drops of some items: "items", "heads", "rank_correlation" (None: all
        drops are equal), "largest_difference", and "recall" of the "k" largest heads among those estimated.
    notes
        Limits of the scan, one sentence each; `remarks` adds those of these items.
    """

    drops: Floats
    totals: Floats
    baseline: Floats
    correct: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    answers: tuple[str, ...]
    wrong: tuple[str, ...]
    levels: tuple[str, ...]
    target: str
    method: str
    replace: str
    positions: str
    model: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    steps: int = 0
    shortlist: Floats = field(default_factory=lambda: np.zeros((0, 0, 0)))
    agreement: Mapping[str, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            object.__setattr__(self, name, frozen(getattr(self, name), _KINDS.get(name, np.float64)))
        if self.drops.ndim != 3 or not self.drops.size:
            raise InputError(f"drops must be [items, layers, heads]; got shape {self.drops.shape}.")
        items, layers, _ = self.drops.shape
        shapes = {"totals": (items, layers), "baseline": (items,), "correct": (items,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(f"{name} must have shape {shape}; got {getattr(self, name).shape}.")
        for name in ("names", "answers", "wrong", "levels"):
            if len(getattr(self, name)) != items:
                raise InputError(f"{name} must have one entry for each of {items} items.")
        checks.one_of(self.method, "HeadContributions: method", METHODS)
        checks.one_of(self.target, "HeadContributions: target", tuple(TARGETS))
        checks.one_of(self.replace, "HeadContributions: replace", REPLACEMENTS)
        checks.one_of(self.positions, "HeadContributions: positions", POSITIONS)
        checks.integer(self.seed, "HeadContributions: seed", low=0)

    # Matrices -----------------------------------------------------------------------------------------------

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.drops)

    @property
    def layers(self) -> int:
        """Number of layers."""
        return int(self.drops.shape[1])

    @property
    def heads(self) -> int:
        """Number of heads of a layer."""
        return int(self.drops.shape[2])

    @property
    def signed(self) -> Floats:
        """Mean drop [layers, heads]."""
        return self._matrix("signed")

    @property
    def positive(self) -> Floats:
        """Mean of max(drop, 0) over items answered correctly, [layers, heads]; NaN without such items."""
        return self._matrix("positive")

    @property
    def negative(self) -> Floats:
        """Mean of max(-drop, 0) over items answered wrongly, [layers, heads]; NaN without such items."""
        return self._matrix("negative")

    @property
    def layer_totals(self) -> Floats:
        """Mean drop when all heads of a layer are replaced together, [layers]; NaN if not measured."""
        return _mean(self.totals)

    @property
    def measured(self) -> int:
        """Number of heads with a value; fewer than all with "screened", and in a scan that was cancelled."""
        return int(np.isfinite(self.signed).sum())

    @property
    def accuracy(self) -> float:
        """Share of items that the unchanged model answers correctly."""
        return float(self.correct.mean())

    def each(self, name: str) -> Floats:
        """Return the values of single items whose mean is a matrix, [items, layers, heads]."""
        checks.one_of(name, "HeadContributions: name", MATRICES)
        if name == "signed":
            return self.drops
        if name == "positive":
            return np.maximum(self.drops[self.correct], 0.0)
        return np.maximum(-self.drops[~self.correct], 0.0)

    def _matrix(self, name: str) -> Floats:
        return _mean(self.each(name))

    @cached_property
    def level_names(self) -> tuple[str, ...]:
        """The semantic levels of the items, in order."""
        return tuple(dict.fromkeys(level for level in self.levels if level))

    def level(self, name: str) -> HeadContributions:
        """Return the contributions over the items of one semantic level.

        Raises
        ------
        InputError
            If no item has that level.
        """
        if name not in self.level_names:
            known = ", ".join(self.level_names) or "none"
            raise InputError(f"No item has the semantic level {name!r}; the levels are: {known}.")
        return self.only([index for index, level in enumerate(self.levels) if level == name])

    def only(self, items: Any) -> HeadContributions:
        """Return the contributions over some items, by their numbers.

        Raises
        ------
        InputError
            Without a number, or for one that no item has.
        """
        if isinstance(items, str) or not isinstance(items, Sequence | np.ndarray) or not len(items):
            raise InputError(f"items must be a list of their numbers, at least one; got {items!r:.60}.")
        chosen = [checks.integer(item, "items", low=0, high=self.n - 1) for item in items]
        listed: dict[str, Any] = {
            name: tuple(getattr(self, name)[index] for index in chosen)
            for name in ("names", "answers", "wrong", "levels")
        }
        arrays: dict[str, Any] = {
            name: getattr(self, name)[chosen] for name in ("drops", "totals", "baseline", "correct")
        }
        shortlist = self.shortlist[chosen] if self.shortlist.size else self.shortlist
        return replace(self, **arrays, **listed, shortlist=shortlist)

    # Statistics ---------------------------------------------------------------------------------------------

    def interval(self, name: str = "signed", *, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the interval of a matrix, two arrays [layers, heads]; NaN with fewer than two items.

        Percentiles of a bootstrap over items (2000 resamples, by `seed`).

        Parameters
        ----------
        name
            "signed" (default), "positive" or "negative".
        level
            Coverage, between 0 and 1; default 0.95.
        """
        return mean_interval(self.each(name), level, self.seed)

    def p_values(self, name: str = "signed", draws: int = _DRAWS) -> Floats:
        """Return how often random heads of the same layer reach a head's value, [layers, heads].

        Each draw takes a random head of the layer for each item. Two-sided, by the distance from the mean of
        the layer; (1 + hits) / (1 + draws), so never 0. Not corrected for the number of heads. NaN with fewer
        than two items, or one head in the layer.
        """
        values = self.each(name)
        items, layers, heads = values.shape
        if items < 2 or heads < 2:
            return np.full((layers, heads), np.nan)
        generator = np.random.default_rng([self.seed, 1])
        drawn = np.zeros((draws, layers))
        number = np.arange(layers)
        for item in values:  # one item at a time keeps memory small
            drawn += item[number, generator.integers(heads, size=(draws, layers))]
        center = values.mean(axis=(0, 2))
        spread = np.sort(np.abs(drawn / items - center), axis=0)
        found = np.abs(values.mean(axis=0) - center[:, None])
        hits = np.stack(
            [
                draws - np.searchsorted(spread[:, layer], found[layer] - 1e-12, side="left")
                for layer in range(layers)
            ]
        )
        p_values: Floats = np.where(np.isfinite(found), (1 + hits) / (1 + draws), np.nan)
        return p_values

    def top(self, k: int = _SHOWN, by: str = "signed") -> tuple[Head, ...]:
        """Return the k heads with the largest values of a matrix, the largest first.

        Parameters
        ----------
        by
            "signed", "positive" or "negative".
        """
        checks.integer(k, "HeadContributions.top: k", low=1)
        values, (low, high), p = self._matrix(by), self.interval(by), self.p_values(by)
        order = np.argsort(-np.where(np.isfinite(values), values, -np.inf), axis=None, kind="stable")
        places = [divmod(int(place), self.heads) for place in order[:k]]
        return tuple(
            Head(*at, *(float(matrix[at]) for matrix in (values, low, high, p)))
            for at in places
            if np.isfinite(values[at])
        )

    # Views --------------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """Return a table, one row for each head."""
        import pandas as pd

        (low, high), p, totals = self.interval(), self.p_values(), self.layer_totals
        matrices = {name: self._matrix(name) for name in MATRICES}
        return pd.DataFrame(
            [
                {
                    "layer": layer,
                    "head": head,
                    **{name: matrix[layer, head] for name, matrix in matrices.items()},
                    "low": low[layer, head],
                    "high": high[layer, head],
                    "p_value": p[layer, head],
                    "layer_total": totals[layer],
                    "items": self.n,
                    "target": self.target,
                    "method": self.method,
                }
                for layer in range(self.layers)
                for head in range(self.heads)
            ]
        )

    def plot(self, name: str = "signed") -> Figure:
        """Return a figure of a matrix: layers x heads, L0H0 in the corner, whole layers beside it."""
        from isi_widget.mechanism import figures

        values = self._matrix(name)
        shown = name == "signed" and bool(np.isfinite(self.layer_totals).any())
        columns = [f"H{head}" for head in range(self.heads)]
        rows = [f"L{layer}" for layer in range(self.layers)]
        wide, high = figures.cells(self.layers, self.heads)
        figure = figures.new_figure((1.8 + wide + 1.6 * shown, 1.4 + high), head_words.heading(self, name))
        ratios = {"width_ratios": [max(3.0, 1.2 * wide), 1.0]} if shown else {}
        axes = figure.subplots(1, 1 + shown, squeeze=False, gridspec_kw=ratios)[0]
        title, unit = TARGETS[self.target].title, TARGETS[self.target].unit
        signed = name == "signed"
        label = f"{'gain' if name == 'negative' else 'drop'} of {title} ({unit})"
        figures.draw_matrix(axes[0], values, rows, columns, signed=signed, label=label)
        if shown:
            figures.draw_matrix(axes[1], self.layer_totals[:, None], rows, ["all"], signed=True)
        return figure

    @property
    def remarks(self) -> tuple[str, ...]:
        """The measured agreement of an estimate, what the items cannot show, and the notes."""
        return head_words.remarks(self)

    def __str__(self) -> str:
        return head_words.table(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return head_words.html(self)

    # Record -------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record; `from_dict` restores it exactly."""
        return {item.name: _recorded(getattr(self, item.name)) for item in fields(self)}

    @classmethod
    @records.reader("head contributions", values=False)
    def from_dict(cls, record: Mapping[str, Any]) -> HeadContributions:
        """Rebuild from the record of `to_dict`. Raises `InputError` for any other record."""
        given = dict(record)
        arrays: dict[str, Any] = {
            name: unpacked(given.pop(name), f"head contributions: {name}")
            for name in _ARRAYS
            if name in given
        }
        records.check_values(cls, "head contributions", given)
        listed: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
        }
        return cls(**arrays, **listed)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HeadContributions):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.drops.tobytes(), self.names, self.target, self.method))


def _recorded(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return packed(value)
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _mean(values: Floats) -> Floats:
    """Return the mean over items; NaN without items."""
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    found: Floats = values.mean(axis=0)
    return found
