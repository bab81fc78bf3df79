"""`GateFit`: gates of heads with what they change on a held-out split; made by `fit_gates`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.interventions import HeadGates
from isi_widget.mechanism.figures import cells, draw_matrix, new_figure
from isi_widget.mechanism.packing import frozen
from isi_widget.mechanism.paired import interval, mcnemar
from isi_widget.mechanism.recorded import Saved, equal, from_record, to_record
from isi_widget.readable import counted, html_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_ARRAYS = {
    "before": np.bool_,
    "after": np.bool_,
    "p_before": np.float64,
    "p_after": np.float64,
    "random": np.bool_,
}


@dataclass(frozen=True, eq=False)
class GateFit(Saved):
    """Fitted gates, and the accuracy with and without them on items that were not used to fit or choose.

    Attributes
    ----------
    gates
        The intervention: `vlm.intervene(fit.gates)`.
    method
        "contributions" or "gradient".
    chosen
        What was chosen on the validation items: "no change", "strength 2", "epoch 3".
    choices, choice_accuracy
        What could be chosen, and its accuracy on the validation items.
    before, after
        [items] whether the answer was right on the held-out items, without and with the gates.
    p_before, p_after
        [items] probability of the true answer's first token there.
    random
        [draws, items] whether it was right with the fitted factors given to random heads.
    counts
        Number of items to fit, to choose, to report.
    model
        Name of the model.
    seed
        Seed of the split and of the random gates.
    """

    gates: HeadGates
    method: str
    chosen: str
    choices: tuple[str, ...]
    choice_accuracy: tuple[float, ...]
    before: npt.NDArray[np.bool_]
    after: npt.NDArray[np.bool_]
    p_before: npt.NDArray[np.float64]
    p_after: npt.NDArray[np.float64]
    random: npt.NDArray[np.bool_]
    counts: tuple[int, int, int]
    model: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in _ARRAYS.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind))
        items = self.before.shape
        shapes = {self.after.shape, self.p_before.shape, self.p_after.shape, self.random.shape[1:]}
        if len(items) != 1 or shapes != {items} or not self.before.size:
            raise InputError("A fit of gates must have results [items], the same items in all.")

    @property
    def accuracy_before(self) -> float:
        """Accuracy on the held-out items without gates."""
        return float(self.before.mean())

    @property
    def accuracy_after(self) -> float:
        """Accuracy on the held-out items with the gates."""
        return float(self.after.mean())

    @property
    def gain(self) -> float:
        """Accuracy after - before."""
        return self.accuracy_after - self.accuracy_before

    def interval(self, *, level: float = 0.95) -> tuple[float, float]:
        """Return the paired bootstrap interval of the gain over the held-out items."""
        return interval(self.after.astype(float) - self.before, level=level, seed=self.seed)

    @property
    def p_value(self) -> float:
        """McNemar's exact two-sided p-value: as many items became right as became wrong."""
        return mcnemar(self.before, self.after)

    @property
    def random_gains(self) -> tuple[float, ...]:
        """Gain of each random set of gates of the same size."""
        return tuple((self.random.mean(axis=1) - self.before.mean()).tolist())

    def beyond_random(self, *, level: float = 0.95) -> tuple[float, float, float]:
        """Return (mean, low, high) of the paired difference: right with these gates - with random ones."""
        found = self.after.astype(float) - self.random.mean(axis=0)
        return (float(found.mean()), *interval(found, level=level, seed=self.seed))

    @property
    def verdict(self) -> str:
        """What the held-out items show, in a sentence or two."""
        low, high = self.interval()
        n = len(self.before)
        numbers = (
            f"{self.accuracy_before:.1%} before, {self.accuracy_after:.1%} after, "
            f"{counted(n, 'held-out item')}"
        )
        if not self.gates.changed:
            return f"No gain: no gates were better than no change on the validation items ({numbers})."
        spread = f"McNemar p = {self.p_value:.2g}"
        if n > 1:
            spread = f"95 % interval {low:+.1%} to {high:+.1%}, {spread}"
        if not (low > 0 or high < 0):  # nor with a single item, which has no interval
            return f"No gain is shown: {numbers}; difference {self.gain:+.1%} ({spread})."
        if self.gain < 0:
            return f"A loss: {numbers}; difference {self.gain:+.1%} ({spread})."
        mean, less, more = self.beyond_random()
        against = f"{mean:+.1%} ({less:+.1%} to {more:+.1%}) beyond random gates of the same size"
        if not less > 0:
            return f"A gain ({numbers}; {self.gain:+.1%}; {spread}), but not shown to be {against}."
        return f"A gain: {numbers}; difference {self.gain:+.1%} ({spread}); {against}."

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each held-out item: before, after, p before and after, share of random right."""
        import pandas as pd

        return pd.DataFrame(
            {
                "before": self.before,
                "after": self.after,
                "p_before": self.p_before,
                "p_after": self.p_after,
                "random": self.random.mean(axis=0),
            }
        )

    def plot(self) -> Figure:
        """Return a figure: the gates, and the gain beside those of random gates."""
        layers, heads = self.gates.shape
        wide, high = cells(layers, heads)
        figure = new_figure((5.5 + wide, max(2.6, 1.2 + high)))
        matrix, gains = figure.subplots(1, 2, width_ratios=(2, 1))
        draw_matrix(
            matrix,
            np.array(self.gates.factors) - 1,
            [f"layer {layer}" for layer in range(layers)],
            [str(head) for head in range(heads)],
            signed=True,
            full=1.0,
            label="gate - 1",
            texts=[[f"{factor:.2g}" for factor in row] for row in self.gates.factors]
            if layers * heads <= 200
            else None,
        )
        matrix.set_xlabel("head")
        matrix.set_title(f"gates, {self.chosen}", fontsize=9)
        gains.hist(self.random_gains, color="#999999", label="random gates")
        gains.axvline(self.gain, color="#0072B2", label="fitted gates")
        gains.axvspan(*self.interval(), color="#0072B2", alpha=0.15, linewidth=0)
        gains.set_xlabel("gain in accuracy")
        gains.legend(fontsize=7)
        return figure

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return to_record(self)

    @classmethod
    @records.reader("a fit of gates")
    def from_dict(cls, record: Mapping[str, Any]) -> GateFit:
        """Rebuild from the record of `to_dict`. Raises `InputError` for any other record."""
        found = from_record(record, _ARRAYS, "a fit of gates")
        gates = HeadGates.from_dict(record["gates"])
        return cls(**{**found, "gates": gates})

    def __eq__(self, other: object) -> bool:
        return equal(self, other) if isinstance(other, GateFit) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.gates, self.chosen, self.after.tobytes()))

    def _repr_html_(self) -> str:
        low, high = self.interval()
        mean, less, more = self.beyond_random()
        rows = (
            ("accuracy before", f"{self.accuracy_before:.3f}"),
            ("accuracy after", f"{self.accuracy_after:.3f}"),
            ("gain", f"{self.gain:+.3f} ({low:+.3f} to {high:+.3f}), McNemar p = {self.p_value:.2g}"),
            ("beyond random gates", f"{mean:+.3f} ({less:+.3f} to {more:+.3f})"),
            ("chosen", f"{self.chosen}, of {', '.join(self.choices)}"),
        )
        return html_table(f"Gates of {len(self.gates.changed)} heads", ("", ""), rows, (self.verdict,))

    def __repr__(self) -> str:
        return f"GateFit({self.method}, {self.chosen}: {self.verdict})"
