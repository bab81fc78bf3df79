"""`KnockoutCurve`: what an answer loses when attention between two groups of tokens is cut, layer by layer.

Attention knock-out over sliding windows of layers (Geva et al., Dissecting Recall of Factual Associations in
Auto-Regressive Language Models, EMNLP 2023; for VLMs: Zhang et al., Cross-modal Information Flow in
Multimodal Large Language Models, CVPR 2025). Beside each cut stands one of as many random other keys: cutting
anything disturbs a model. `knocking_out` measures it.

A curve shows in which layers a path is needed. A path that another one replaces does not show. Not for what a
path carries (`isi.trace`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.mechanism.arguments import window_names
from isi_widget.mechanism.figures import number
from isi_widget.mechanism.means import mean, mean_interval
from isi_widget.mechanism.packing import frozen, packed, unpacked
from isi_widget.mechanism.recorded import Saved
from isi_widget.mechanism.targets import target_of
from isi_widget.readable import counted, html_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
#: Targets of a curve.
TARGETS = ("p", "logit_difference")


@dataclass(frozen=True, eq=False, repr=False)
class KnockoutCurve(Saved):
    """The target of N items with attention cut, for each cut and each window of layers.

    Attributes
    ----------
    model : name of the model.
    cuts : names of the cuts, "queries -/-> keys".
    layers : first layer of each window, counted from 0.
    window : number of layers in which attention is cut together.
    target : "p" (probability of the first token of the true answer) or "logit_difference".
    items : names of the items.
    base : the target of the uncut model, float64 [N].
    values : the target with attention cut, float64 [N, cuts, layers]; NaN where the item has no such tokens.
    flips : 1 where the most probable first token changes, else 0; same shape.
    controls, control_flips : the same for as many random keys, float64 [draws, N, cuts, layers]; NaN where
        the prompt has too few other tokens.
    keys : mean number of keys of each cut.
    notes : limits of the result, one sentence each.
    """

    model: str
    cuts: tuple[str, ...]
    layers: tuple[int, ...]
    window: int
    target: str
    items: tuple[str, ...]
    base: Floats
    values: Floats
    flips: Floats
    controls: Floats
    control_flips: Floats
    keys: tuple[float, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            object.__setattr__(self, name, frozen(getattr(self, name), np.float64))
        shape = (len(self.items), len(self.cuts), len(self.layers))
        right = (
            self.base.shape == shape[:1]
            and self.values.shape == self.flips.shape == shape
            and self.controls.ndim == 4
            and self.controls.shape[1:] == shape
            and self.control_flips.shape == self.controls.shape
            and len(self.keys) == len(self.cuts)
        )
        if not right:
            raise InputError("The parts of this knock-out curve do not belong together: their shapes differ.")
        checks.one_of(self.target, "knock-out curve: target", TARGETS)

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.items)

    @property
    def mean(self) -> Floats:
        """Mean of the target with attention cut, [cuts, layers]."""
        return mean(self.values)

    @property
    def flipped(self) -> Floats:
        """Share of items whose answer changes, [cuts, layers]."""
        return mean(self.flips)

    @property
    def control(self) -> Floats:
        """Mean of the target with random keys cut, [cuts, layers]; NaN without any."""
        return mean(self.controls.reshape(-1, *self.values.shape[1:]))

    @property
    def control_flipped(self) -> Floats:
        """Share of items whose answer changes with random keys cut, [cuts, layers]; NaN without any."""
        return mean(self.control_flips.reshape(-1, *self.values.shape[1:]))

    def interval(self, level: float = 0.95, *, seed: int = 0) -> tuple[Floats, Floats]:
        """Return the interval of the mean, two arrays [cuts, layers]; NaN with fewer than two items.

        Percentiles of a bootstrap over items (2000 resamples).

        Parameters
        ----------
        level
            Coverage, between 0 and 1; default 0.95.
        seed
            Seed of the resampling; default 0.
        """
        return mean_interval(self.values, level, seed)

    @property
    def rows_named(self) -> tuple[str, ...]:
        """Names of the windows: "3", or "3 to 5"."""
        return window_names(self.layers, self.window)

    def to_frame(self) -> pd.DataFrame:
        """Return a table: one row per cut and window, with interval, flips and control."""
        import pandas as pd

        low, high = self.interval()
        return pd.DataFrame(
            {
                "cut": self.cuts[cut],
                "layer": self.layers[layer],
                "window": self.window,
                "keys": self.keys[cut],
                self.target: value,
                "low": low[cut, layer],
                "high": high[cut, layer],
                "base": float(self.base.mean()),
                "flipped": self.flipped[cut, layer],
                "control": self.control[cut, layer],
                "control_flipped": self.control_flipped[cut, layer],
                "items": int(np.isfinite(self.values[:, cut, layer]).sum()),
            }
            for (cut, layer), value in np.ndenumerate(self.mean)
        )

    def plot(self) -> Figure:
        """Return a figure: the target over the layers, one panel per cut; random keys dashed."""
        from isi_widget.mechanism import figures

        figure = figures.new_figure((3.2 * len(self.cuts), 3.2))
        panels = figure.subplots(1, len(self.cuts), squeeze=False, sharey=True)[0]
        (low, high), places = self.interval(), range(len(self.layers))
        for at, (axis, cut) in enumerate(zip(panels, self.cuts, strict=True)):
            axis.axhline(float(self.base.mean()), color="#7A7A7A", linewidth=1, label="uncut")
            axis.fill_between(places, low[at], high[at], color="#0072B2", alpha=0.2, linewidth=0)
            axis.plot(places, self.mean[at], "o-", color="#0072B2", markersize=4, label="cut")
            if np.isfinite(self.control[at]).any():
                axis.plot(places, self.control[at], "s--", color="#D55E00", markersize=4, label="random keys")
            axis.set_xticks(places, self.rows_named, fontsize=8)
            axis.set_xlabel("layers", fontsize=8)
            axis.set_title(figures.plain(cut), fontsize=9)
            axis.ticklabel_format(axis="y", useOffset=False)
        panels[0].set_ylabel(target_of(self.target).title, fontsize=8)
        if self.target == "p":
            panels[0].set_ylim(-0.03, 1.03)  # else a change of nothing would look like one
        compared = [at for at in range(len(self.cuts)) if np.isfinite(self.control[at]).any()]
        panels[compared[0] if compared else 0].legend(fontsize=7, frameon=False)
        return figure

    def __str__(self) -> str:
        width = max(len(name) for name, *_ in self._rows) + 2
        lines = [self._heading, "".ljust(width) + "".join(f"{name:>9}" for name in self.rows_named)]
        lines += [name.ljust(width) + "".join(f"{cell:>9}" for cell in cells) for name, *cells in self._rows]
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._heading, ("layers", *self.rows_named), self._rows, self.notes)

    @property
    def _heading(self) -> str:
        title = target_of(self.target).title
        items = counted(self.n, "item")
        return f"Attention cut: mean {title} of {items} (uncut {self.base.mean():.3f})"

    @property
    def _rows(self) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        for at, cut in enumerate(self.cuts):
            found.append((cut, *_numbers(self.mean[at])))
            if np.isfinite(self.control[at]).any():
                found.append(("  as many random keys", *_numbers(self.control[at])))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record; `from_dict` restores it exactly."""
        return {
            **{name: packed(getattr(self, name)) for name in _ARRAYS},
            **{name: getattr(self, name) for name in ("model", "window", "target")},
            **{name: list(getattr(self, name)) for name in _TUPLES},
        }

    @classmethod
    @records.reader("a knock-out curve")
    def from_dict(cls, record: Mapping[str, Any]) -> KnockoutCurve:
        """Rebuild from the record of `to_dict`. Raises `InputError` for any other record."""
        values: dict[str, Any] = {
            **{name: unpacked(record[name], f"knock-out curve: {name}") for name in _ARRAYS},
            **{name: record[name] for name in ("model", "window", "target")},
            **{name: tuple(record.get(name, ())) for name in _TUPLES},
        }
        return cls(**values)

    def __eq__(self, other: object) -> bool:
        return self._content == other._content if isinstance(other, KnockoutCurve) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.model, self.cuts, self.layers, self.values.tobytes()))

    @cached_property
    def _content(self) -> tuple[Any, ...]:
        plain = tuple(getattr(self, name) for name in ("model", "window", "target", *_TUPLES))
        return (*plain, *((getattr(self, name).shape, getattr(self, name).tobytes()) for name in _ARRAYS))


_ARRAYS = ("base", "values", "flips", "controls", "control_flips")
_TUPLES = ("cuts", "layers", "items", "keys", "notes")


def _numbers(values: Floats) -> list[str]:
    return [number(float(value), 3) for value in values]
