"""`CausalTrace`: how much of the difference between two runs each place of the model carries; the record.

`tracing` measures it; `trace_words` puts cells into words. Not for heads (`isi.measure_heads`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.concepts.pair import Pair
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.interventions import SITES, ActivationPatch
from isi_widget.mechanism import trace_words
from isi_widget.mechanism.arguments import window_names
from isi_widget.mechanism.means import mean, mean_interval
from isi_widget.mechanism.packing import frozen, packed, unpacked
from isi_widget.mechanism.recorded import Saved

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
#: "denoise": clean activations go into the corrupt run; "noise": corrupt ones into the clean run.
DIRECTIONS = ("denoise", "noise")
METHODS = ("exact", "integrated", "gradient")


@dataclass(frozen=True, eq=False, repr=False)
class CausalTrace(Saved):
    """Recovery of each cell: site x first layer x group of tokens.

    The recovery is the share of the difference between the two runs that a patch carries over,
    (patched - base) / (source - base), where the base run receives activations of the source run. 0: nothing;
    1: all of it. It can be below 0 or above 1.

    Attributes
    ----------
    pairs : the N pairs, clean and corrupt.
    model : name of the model.
    sites, groups : names of the places.
    layers : first layer of each window, counted from 0.
    window : number of layers patched together.
    direction : one of `DIRECTIONS`.
    method : one of `METHODS`: how `each` was measured. "gradient" is a shortlist, no measurement.
    target : name of the value that is compared.
    words : for each pair the two answers that the target compares, true and wrong.
    answers : for each pair the first word of the answer of the clean and of the corrupt run.
    clean_values, corrupt_values : the target in both runs, float64 [N].
    each : recovery, float64 [N, sites, layers, groups]; NaN where a pair has no such cell.
    flips : 1 where the first word of the answer becomes that of the source run, 0 where not, NaN where the
        two runs agree, or for an estimate; same shape.
    controls : recovery of as many random tokens, float64 [draws, N, sites, layers, groups]; NaN where the
        prompt has too few other tokens.
    positions : for each pair and group the patched positions in the prompt of the base run.
    estimates : {method: recovery by another method, [N, sites, layers, groups]}.
    agreement : {method: {"cells", "correlation", "largest_difference"}}: an estimate beside exact values.
    skipped : why pairs were left out, one sentence each.
    notes : limits of the result, one sentence each.
    """

    pairs: tuple[Pair, ...]
    model: str
    sites: tuple[str, ...]
    layers: tuple[int, ...]
    groups: tuple[str, ...]
    window: int
    direction: str
    method: str
    target: str
    words: tuple[tuple[str, str], ...]
    answers: tuple[tuple[str, str], ...]
    clean_values: Floats
    corrupt_values: Floats
    each: Floats
    flips: Floats
    controls: Floats
    positions: tuple[tuple[tuple[int, ...], ...], ...]
    estimates: Mapping[str, Floats] = field(default_factory=dict)
    agreement: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            object.__setattr__(self, name, frozen(getattr(self, name), np.float64))
        object.__setattr__(
            self, "estimates", {name: frozen(value, np.float64) for name, value in self.estimates.items()}
        )
        shape = (len(self.pairs), len(self.sites), len(self.layers), len(self.groups))
        same = (self.each, self.flips, *self.estimates.values())
        right = (
            all(array.shape == shape for array in same)
            and self.controls.ndim == 5
            and self.controls.shape[1:] == shape
            and self.clean_values.shape == self.corrupt_values.shape == shape[:1]
            and len(self.words) == len(self.answers) == len(self.positions) == len(self.pairs)
            and all(len(groups) == len(self.groups) for groups in self.positions)
        )
        if not right:
            raise InputError("The parts of this causal trace do not belong together: their shapes differ.")
        checks.one_of(self.direction, "causal trace: direction", DIRECTIONS)
        checks.one_of(self.method, "causal trace: method", METHODS)
        for site in self.sites:
            checks.one_of(site, "causal trace: sites", SITES)

    # Numbers --------------------------------------------------------------------------------------------

    @property
    def recovery(self) -> Floats:
        """Mean recovery over the pairs, [sites, layers, groups]; NaN for a cell that no pair has."""
        return mean(self.each)

    @property
    def flipped(self) -> Floats:
        """Share of the pairs whose answer flips, [sites, layers, groups]; NaN where none could."""
        return mean(self.flips)

    @property
    def control(self) -> Floats:
        """Mean recovery of random tokens over draws and pairs, [sites, layers, groups]; NaN without any."""
        return mean(self.controls.reshape(-1, *self.each.shape[1:]))

    @property
    def clean(self) -> float:
        """Mean of the target in the clean runs."""
        return float(self.clean_values.mean())

    @property
    def corrupt(self) -> float:
        """Mean of the target in the corrupt runs."""
        return float(self.corrupt_values.mean())

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    def interval(self, level: float = 0.95, *, seed: int = 0) -> tuple[Floats, Floats]:
        """Return the interval of the mean recovery, two arrays [sites, layers, groups].

        Percentiles of a bootstrap over pairs (2000 resamples); NaN with fewer than two pairs.

        Parameters
        ----------
        level
            Coverage, between 0 and 1; default 0.95.
        seed
            Seed of the resampling; default 0.
        """
        return mean_interval(self.each, level, seed)

    def top(self, k: int = 5) -> tuple[tuple[int, str, str, float], ...]:
        """Return the k cells with the largest recovery: (first layer, group, site, recovery)."""
        checks.integer(k, "causal trace: k", low=0)
        found = self.recovery
        order = np.argsort(-np.where(np.isfinite(found), found, -np.inf), axis=None, kind="stable")
        cells = [np.unravel_index(int(at), found.shape) for at in order[:k]]
        return tuple(
            (self.layers[layer], self.groups[group], self.sites[site], float(found[site, layer, group]))
            for site, layer, group in cells
            if np.isfinite(found[site, layer, group])
        )

    # One cell -------------------------------------------------------------------------------------------

    def index(self, layer: int, group: str, site: str) -> tuple[int, int, int]:
        """Return the indices (site, layer, group) of a cell.

        Raises
        ------
        InputError
            If the trace has no such cell.
        """
        checks.one_of(site, "causal trace: site", self.sites)
        checks.one_of(group, "causal trace: group", self.groups)
        if layer not in self.layers:
            raise InputError(
                f"causal trace: layer is {layer!r}; traced are {', '.join(map(str, self.layers))}."
            )
        return self.sites.index(site), self.layers.index(layer), self.groups.index(group)

    def sentence(self, layer: int, group: str, site: str = "residual") -> str:
        """Return what a cell shows, in one sentence."""
        return trace_words.sentence(self, *self.index(layer, group, site))

    def patches(
        self, layer: int, group: str, site: str = "residual", pair: int = 0
    ) -> tuple[ActivationPatch, ...]:
        """Return the interventions of a cell, to look at it: `vlm.intervene(*patches)`.

        They belong to the base run of the pair: the corrupt stimulus for "denoise", the clean one for
        "noise".
        """
        _, _, at = self.index(layer, group, site)
        pair = checks.integer(pair, "causal trace: pair", low=0, high=self.n - 1)
        tokens = self.positions[pair][at]
        if not tokens:
            raise InputError(f"Pair {pair} has no tokens of the group {group!r} that correspond.")
        chosen = self.pairs[pair]
        source = chosen.clean if self.direction == "denoise" else chosen.corrupt
        return tuple(
            ActivationPatch(site, number, tokens, source) for number in range(layer, layer + self.window)
        )

    # Views ----------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """Return a table: one row per site, layer and group, with interval, flips and control."""
        import pandas as pd

        low, high = self.interval()
        rows = []
        for (site, layer, group), value in np.ndenumerate(self.recovery):
            cell = (site, layer, group)
            counts = [len(groups[group]) for groups in self.positions]
            rows.append(
                {
                    "site": self.sites[site],
                    "layer": self.layers[layer],
                    "group": self.groups[group],
                    "tokens": float(np.mean(counts)),
                    "recovery": value,
                    "low": low[cell],
                    "high": high[cell],
                    "flipped": self.flipped[cell],
                    "control": self.control[cell],
                    **{name: mean(values)[cell] for name, values in self.estimates.items()},
                    "pairs": int(np.isfinite(self.each[:, site, layer, group]).sum()),
                    "method": self.method,
                    "direction": self.direction,
                    "target": self.target,
                }
            )
        return pd.DataFrame(rows)

    def plot(self) -> Figure:
        """Return a figure: layers x groups, one panel per site."""
        from isi_widget.mechanism import figures

        wide, high = 1.6 + 0.85 * len(self.groups), 2.1 + figures.cells(len(self.layers), 1)[1]
        figure = figures.new_figure((wide * len(self.sites), high), trace_words.heading(self))
        panels = figure.subplots(1, len(self.sites), squeeze=False)[0]
        for at, (axis, site) in enumerate(zip(panels, self.sites, strict=True)):
            figures.draw_matrix(
                axis,
                self.recovery[at],
                [self.rows_named[row] for row in range(len(self.layers))],
                self.groups,
                signed=True,
                full=max(1.0, float(np.nanmax(np.abs(self.recovery), initial=0.0))),
                label="recovery" if at == len(self.sites) - 1 else "",
            )
            axis.set_title(trace_words.SITE_TITLES[site], fontsize=9)
        panels[0].set_ylabel("layer", fontsize=8)
        return figure

    @property
    def rows_named(self) -> tuple[str, ...]:
        """Names of the rows: "3", or "3 to 5" for a window."""
        return window_names(self.layers, self.window)

    def __str__(self) -> str:
        return trace_words.table(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return trace_words.html(self)

    # Record ---------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record, with the pairs and their pictures; `from_dict` restores it exactly."""
        return {
            "pairs": [pair.to_dict() for pair in self.pairs],
            "estimates": {name: packed(value) for name, value in self.estimates.items()},
            "agreement": {name: dict(value) for name, value in self.agreement.items()},
            **{name: packed(getattr(self, name)) for name in _ARRAYS},
            **{name: getattr(self, name) for name in _PLAIN},
            **{name: _listed(getattr(self, name)) for name in _TUPLES},
        }

    @classmethod
    @records.reader("a causal trace", values=False)
    def from_dict(cls, record: Mapping[str, Any]) -> CausalTrace:
        """Rebuild from the record of `to_dict`. Raises `InputError` for any other record."""
        records.check_values(cls, "a causal trace", {**record, "estimates": {}})
        values: dict[str, Any] = {
            **{name: unpacked(record[name], f"causal trace: {name}") for name in _ARRAYS},
            **{name: record[name] for name in _PLAIN},
            **{name: _tupled(record.get(name, ())) for name in _TUPLES},
        }
        return cls(
            pairs=tuple(map(Pair.from_dict, record["pairs"])),
            estimates={
                str(name): unpacked(value, f"causal trace: {name}")
                for name, value in record.get("estimates", {}).items()
            },
            agreement={str(name): dict(value) for name, value in record.get("agreement", {}).items()},
            **values,
        )

    def __eq__(self, other: object) -> bool:
        return self._content == other._content if isinstance(other, CausalTrace) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.model, self.sites, self.layers, self.groups, self.each.tobytes()))

    @cached_property
    def _content(self) -> tuple[Any, ...]:
        arrays = [getattr(self, name) for name in _ARRAYS]
        arrays += [self.estimates[name] for name in sorted(self.estimates)]
        return (
            self.pairs,
            *(getattr(self, name) for name in (*_PLAIN, *_TUPLES)),
            sorted(self.estimates),
            {name: dict(value) for name, value in self.agreement.items()},
            *((array.shape, array.tobytes()) for array in arrays),
        )


_ARRAYS = ("clean_values", "corrupt_values", "each", "flips", "controls")
_PLAIN = ("model", "window", "direction", "method", "target")
_TUPLES = ("sites", "layers", "groups", "words", "answers", "positions", "skipped", "notes")


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(item) for item in value) if isinstance(value, list | tuple) else value
