"""`head_ablation`: do the heads that a scan names carry the answer? Zero the first k of them, k growing.

Three kinds of sets are removed: the heads with the largest positive contribution, those with the largest
negative one, and random heads of the same number. Positive heads that matter make p(true answer) and the
accuracy fall faster than random heads do; without the random curve, any fall looks like a finding (V-SEAM:
Wang, Hu, Jiang, EMNLP 2025, whose test this is).

Measure contributions on other items than those that are tested here: on the same items, heads are chosen by
the noise that they are then tested with. Zeros are states that the model was never trained in, and a set of
heads may be redundant with another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.mechanism.arguments import check_inside
from isi_widget.mechanism.figures import new_figure
from isi_widget.mechanism.gating import identity_of, score, shape_of
from isi_widget.mechanism.items import items_of, usable
from isi_widget.mechanism.packing import frozen
from isi_widget.mechanism.paired import interval
from isi_widget.mechanism.recorded import Saved, equal, from_record, matrix, order_of, ranked, to_record
from isi_widget.mechanism.scan_store import Store
from isi_widget.readable import html_table
from isi_widget.running.bar import Shown, called, with_bar
from isi_widget.vlm.at_model import at_the_model

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from isi_widget.running.stages import Cancel
    from isi_widget.vlm import VLM

#: Which heads are zeroed.
KINDS = ("positive", "negative", "random")
#: What is measured of each run.
MEASURES = ("p", "accuracy")
_COLORS = {"positive": "#0072B2", "negative": "#D55E00", "random": "#777777"}
_STYLES = {"positive": "-", "negative": "--", "random": ":"}
_ARRAYS = ("p", "right", "plain_p", "plain_right")


class Beyond(NamedTuple):
    """Mean of paired differences from random heads, with its bootstrap interval over items."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class HeadAblation(Saved):
    """Answers with heads set to zero; made by `head_ablation`.

    Attributes
    ----------
    ks
        Numbers of heads that were zeroed.
    series
        Kind of each series of sets: "positive", "negative", then "random" once for each draw.
    p, right
        [series, ks, items] probability of the true answer's first token, and whether it was the most likely
        token.
    plain_p, plain_right
        [items] the same without any change.
    named
        Number of heads with a positive and with a negative contribution above 0. A curve goes on beyond them
        with the heads of the largest (positive) or smallest (negative) signed contribution.
    model
        Name of the model.
    seed
        Seed of the random sets.
    """

    ks: tuple[int, ...]
    series: tuple[str, ...]
    p: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    plain_p: npt.NDArray[np.float64]
    plain_right: npt.NDArray[np.bool_]
    named: tuple[int, int]
    model: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            kind = np.bool_ if "right" in name else np.float64
            object.__setattr__(self, name, frozen(getattr(self, name), kind))
        shape = (len(self.series), len(self.ks), len(self.plain_p))
        if self.p.shape != shape or self.right.shape != shape or self.plain_right.shape != shape[2:]:
            raise InputError(f"An ablation must have arrays [series, ks, items]; got {self.p.shape}.")
        if not set(self.series) <= set(KINDS) or not self.plain_p.size:
            raise InputError(f"An ablation has series of {', '.join(KINDS)}, and at least one item.")

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.plain_p)

    def _items(self, kind: str, measure: str) -> npt.NDArray[np.float64]:
        """Return the drops [ks, items] of a kind of sets, the mean over its draws."""
        checks.one_of(kind, "kind", KINDS)
        checks.one_of(measure, "measure", MEASURES)
        rows = [place for place, name in enumerate(self.series) if name == kind]
        if not rows:
            raise InputError(f"This ablation has no {kind} sets.")
        values, plain = (self.p, self.plain_p) if measure == "p" else (self.right, self.plain_right)
        found: npt.NDArray[np.float64] = plain.astype(np.float64) - values[rows].mean(axis=0)
        return found

    def drop(self, kind: str, measure: str = "p") -> tuple[float, ...]:
        """Return the mean drop for each k: of p of the true answer, or of the accuracy.

        Parameters
        ----------
        kind
            "positive", "negative" or "random" (the mean over its draws).
        measure
            "p" (default) or "accuracy".
        """
        return tuple(self._items(kind, measure).mean(axis=1).tolist())

    def interval(
        self, kind: str, measure: str = "p", *, level: float = 0.95
    ) -> tuple[tuple[float, float], ...]:
        """Return the bootstrap interval over items of each mean drop."""
        return tuple(interval(row, level=level, seed=self.seed) for row in self._items(kind, measure))

    def beyond_random(
        self, kind: str = "positive", measure: str = "p", *, level: float = 0.95
    ) -> tuple[Beyond, ...]:
        """Return how much more is lost than with random heads of the same number, for each k of `ks`."""
        found = self._items(kind, measure) - self._items("random", measure)
        return tuple(Beyond(float(row.mean()), *interval(row, level=level, seed=self.seed)) for row in found)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know when reading the curves, one sentence each."""
        found = []
        for kind, count in zip(KINDS[:2], self.named, strict=True):
            if count < self.ks[-1]:
                have = "No head has" if not count else f"{count} head{'s have' if count > 1 else ' has'}"
                others = "largest" if kind == "positive" else "smallest"
                found.append(
                    f"{have} a {kind} contribution: beyond k = {count}, the {kind} curve removes the heads "
                    f"with the {others} signed contribution."
                )
        return tuple(found)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each kind, k and measure: drop, low, high."""
        import pandas as pd

        rows = []
        for kind in dict.fromkeys(self.series):
            for measure in MEASURES:
                parts = zip(self.ks, self.drop(kind, measure), self.interval(kind, measure), strict=True)
                for k, drop, (low, high) in parts:
                    rows.append(
                        {"heads": kind, "k": k, "measure": measure, "drop": drop, "low": low, "high": high}
                    )
        return pd.DataFrame(rows)

    def plot(self) -> Figure:
        """Return a figure: drop of p and of the accuracy over k, with 95 % intervals."""
        figure = new_figure((8.0, 3.2))
        for axis, measure in zip(figure.subplots(1, 2, sharey=True), MEASURES, strict=True):
            for kind in dict.fromkeys(self.series):
                low, high = np.array(self.interval(kind, measure)).T
                axis.plot(
                    self.ks,
                    self.drop(kind, measure),
                    _STYLES[kind],
                    color=_COLORS[kind],
                    marker=".",
                    label=kind,
                )
                axis.fill_between(self.ks, low, high, color=_COLORS[kind], alpha=0.15, linewidth=0)
            axis.axhline(0, color="k", linewidth=0.6)
            axis.set_xlabel("heads set to zero")
            axis.set_title("drop of p(true answer)" if measure == "p" else "drop of accuracy", fontsize=9)
        axis.legend(fontsize=8)
        return figure

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return to_record(self)

    @classmethod
    @records.reader("a head ablation")
    def from_dict(cls, record: Mapping[str, Any]) -> HeadAblation:
        """Rebuild from the record of `to_dict`. Raises `InputError` for any other record."""
        return cls(**from_record(record, _ARRAYS, "a head ablation"))

    def __eq__(self, other: object) -> bool:
        return equal(self, other) if isinstance(other, HeadAblation) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.ks, self.series, self.p.tobytes()))

    def _rows(self) -> list[tuple[str, ...]]:
        found = []
        for place, k in enumerate(self.ks):
            row = [str(k)]
            for kind in dict.fromkeys(self.series):
                low, high = self.interval(kind)[place]
                accuracy = self.drop(kind, "accuracy")[place]
                row.append(f"{self.drop(kind)[place]:.3f} ({low:.3f} to {high:.3f}); {accuracy:.3f}")
            found.append(tuple(row))
        return found

    def _repr_html_(self) -> str:
        return html_table(
            f"Heads set to zero: drop of p (95 % interval); drop of accuracy. {self.n} items",
            ("heads", *dict.fromkeys(self.series)),
            self._rows(),
            self.notes,
        )

    def __repr__(self) -> str:
        parts = [f"{kind} {self.drop(kind)[-1]:.3f}" for kind in dict.fromkeys(self.series)]
        return f"HeadAblation(n={self.n}, drop of p at {self.ks[-1]} heads: {', '.join(parts)})"


@with_bar
@at_the_model
def head_ablation(
    vlm: VLM,
    stimuli: Any,
    contributions: Any,
    ks: Sequence[int] | None = None,
    *,
    random: int = 5,
    seed: int = 0,
    on_error: str = "raise",
    progress: Shown = True,
    cancel: Cancel | None = None,
    store: str | Path | None = None,
) -> HeadAblation:
    """Set the first k heads of a scan to zero, k growing, beside random heads of the same number.

    Parameters
    ----------
    stimuli
        Items to test on, as for `measure_heads`; better not those that the contributions were measured on.
    contributions
        `HeadContributions`: heads are ranked by their positive and by their negative contribution.
    ks
        Numbers of heads; default: about six from 1 to half of all heads.
    random
        Number of draws of random sets; default 5. Sets of one draw grow: the first k of one random order.
    seed
        Seed of the draws; default 0.
    on_error
        "raise" (default), or "skip": items that cannot be used (a damaged picture, too long a text, no known
        answer) are left out, with a warning. Each item is then read once more.
    progress, cancel
        True (default) shows the time left; or called with ("items", done, total). `cancel` is
        polled between forward passes.
    store
        File (JSON lines) or folder with the results so far. The same call goes on from there.

    Raises
    ------
    InputError
        If the contributions are of a model of another shape, or for a k that is not from 1 to all heads.
    Cancelled
        If `cancel` returned True.
    """
    check_inside(vlm, "An ablation of heads")
    shape = shape_of(vlm)
    heads = shape[0] * shape[1]
    signed = matrix(contributions, "signed")
    if signed.shape != shape:
        raise InputError(
            f"The contributions are of {signed.shape[0]} layers x {signed.shape[1]} heads; this model has "
            f"{shape[0]} x {shape[1]}."
        )
    orders, named = {}, []
    for kind in ("positive", "negative"):
        named.append(int((matrix(contributions, kind) > 0).sum()))
        orders[kind] = [order_of(contributions, kind)]
    numbers = _numbers(ks, heads)
    draws = checks.integer(random, "head_ablation: random", low=1, high=1000)
    stream = np.random.default_rng(checks.integer(seed, "head_ablation: seed", low=0))
    orders["random"] = [ranked(stream.random(shape)) for _ in range(draws)]
    series = tuple(kind for kind, found in orders.items() for _ in found)
    sets = [np.ones(shape)]
    for order in (order for found in orders.values() for order in found):
        for k in numbers:
            zeroed = np.ones(shape)
            zeroed[tuple(np.array(order[:k]).T)] = 0.0
            sets.append(zeroed)
    stimuli, _ = usable(vlm, stimuli, on_error, "head_ablation", cancel)
    items, every = items_of(stimuli), np.stack(sets)
    kept = Store(store, identity_of(vlm, items, every), "ablation")
    scores = score(vlm, items, every, progress=called(progress), cancel=cancel, store=kept)
    split = (len(series), len(numbers), -1)
    return HeadAblation(
        ks=numbers,
        series=series,
        p=scores.p[1:].reshape(split),
        right=scores.right[1:].reshape(split),
        plain_p=scores.p[0],
        plain_right=scores.right[0],
        named=(named[0], named[1]),
        model=vlm.model_id,
        seed=int(seed),
    )


def _numbers(ks: Any, heads: int) -> tuple[int, ...]:
    if ks is None:
        return tuple(sorted({round(value) for value in np.geomspace(1, max(1, heads // 2), 6).tolist()}))
    if isinstance(ks, str) or not isinstance(ks, Sequence | np.ndarray) or not len(ks):
        raise InputError(f"ks must be a list of numbers of heads, such as [1, 2, 4]; got {ks!r:.60}.")
    return tuple(sorted({checks.integer(k, "ks", low=1, high=heads) for k in ks}))
