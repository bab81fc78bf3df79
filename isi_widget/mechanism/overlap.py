"""`head_overlap`: are the heads that matter the same for two kinds of questions?

V-SEAM (Wang, Hu, Jiang, EMNLP 2025) claims that positive heads are shared within a semantic level (object,
attribute, relation) and differ between levels, while negative heads are shared by all. Here: the share of the
top k heads of one measurement that are among the top k of another, beside the share that two random sets
have in common (k of all heads), and the probability of at least as many by chance (hypergeometric).

Within a level, compare two measurements of the same level on different items: one measurement alone has no
overlap with itself that would mean anything. With noisy contributions, even the same heads overlap little:
the overlap within a level is the most that one between levels can reach.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.mechanism.figures import draw_matrix, new_figure
from isi_widget.mechanism.packing import frozen
from isi_widget.mechanism.recorded import equal, from_record, matrix, ranked, to_record
from isi_widget.readable import html_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_ARRAYS = ("positive", "negative")


@dataclass(frozen=True, eq=False)
class HeadOverlap:
    """How many of the top heads two measurements share; made by `head_overlap`.

    Attributes
    ----------
    names
        Names of the measurements.
    k
        Number of heads in each set.
    heads
        Number of heads in all.
    positive, negative
        [names, names] number of shared heads among the k with the largest positive, negative contribution.
    """

    names: tuple[str, ...]
    k: int
    heads: int
    positive: npt.NDArray[np.int64]
    negative: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            object.__setattr__(self, name, frozen(getattr(self, name), np.int64))
        square = (len(self.names), len(self.names))
        if self.positive.shape != square or self.negative.shape != square:
            raise InputError("An overlap must have matrices [names, names].")
        if not 1 <= self.k <= self.heads:
            raise InputError(f"k must be from 1 to {self.heads}, got {self.k}.")

    @property
    def expected(self) -> float:
        """Share that two random sets of k heads have in common."""
        return self.k / self.heads

    def share(self, one: str, other: str, kind: str = "positive") -> float:
        """Return the share of the top k heads of one measurement that the other has, too.

        Parameters
        ----------
        one, other
            Names of two measurements.
        kind
            "positive" (default) or "negative".
        """
        return self._shared(one, other, kind) / self.k

    def p_value(self, one: str, other: str, kind: str = "positive") -> float:
        """Return the probability that two random sets of k heads share at least as many."""
        shared = self._shared(one, other, kind)
        ways = [
            math.comb(self.k, number) * math.comb(self.heads - self.k, self.k - number)
            for number in range(shared, self.k + 1)
        ]
        return sum(ways) / math.comb(self.heads, self.k)

    def _shared(self, one: str, other: str, kind: str) -> int:
        checks.one_of(kind, "kind", _ARRAYS)
        for name in (one, other):
            if name not in self.names:
                raise InputError(f"There is no measurement {name!r}; known are {', '.join(self.names)}.")
        found: npt.NDArray[np.int64] = getattr(self, kind)
        return int(found[self.names.index(one), self.names.index(other)])

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each pair of measurements and kind: share, expected, p_value."""
        import pandas as pd

        rows = []
        for place, one in enumerate(self.names):
            for other in self.names[place + 1 :]:
                for kind in _ARRAYS:
                    rows.append(
                        {
                            "one": one,
                            "other": other,
                            "heads": kind,
                            "share": self.share(one, other, kind),
                            "expected": self.expected,
                            "p_value": self.p_value(one, other, kind),
                        }
                    )
        return pd.DataFrame(rows)

    def plot(self) -> Figure:
        """Return a figure: the shares of positive and of negative heads."""
        size = len(self.names)
        figure = new_figure((2 * (2.2 + 0.6 * size), 1.6 + 0.5 * size))
        for axis, kind in zip(figure.subplots(1, 2), _ARRAYS, strict=True):
            draw_matrix(
                axis,
                getattr(self, kind) / self.k,
                self.names,
                self.names,
                signed=False,
                full=1.0,
                label="share of heads",
            )
            axis.set_title(f"{kind} heads, top {self.k} (by chance {self.expected:.2f})", fontsize=9)
        return figure

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return to_record(self)

    @classmethod
    @records.reader("a head overlap")
    def from_dict(cls, record: Mapping[str, Any]) -> HeadOverlap:
        """Rebuild from the record of `to_dict`. Raises `InputError` for any other record."""
        return cls(**from_record(record, _ARRAYS, "a head overlap"))

    def __eq__(self, other: object) -> bool:
        return equal(self, other) if isinstance(other, HeadOverlap) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.names, self.k, self.heads, self.positive.tobytes()))

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                f"{one} and {other}",
                *(
                    f"{self.share(one, other, kind):.2f} (p = {self.p_value(one, other, kind):.2g})"
                    for kind in _ARRAYS
                ),
            )
            for place, one in enumerate(self.names)
            for other in self.names[place + 1 :]
        ]

    def _repr_html_(self) -> str:
        return html_table(
            f"Share of the top {self.k} heads in common; by chance {self.expected:.2f}",
            ("of", "positive heads", "negative heads"),
            self._rows(),
        )

    def __repr__(self) -> str:
        shown = "; ".join(f"{name}: {positive}" for name, positive, _ in self._rows()[:4])
        return f"HeadOverlap(k={self.k} of {self.heads}, by chance {self.expected:.2f}; {shown})"


def head_overlap(contributions: Any, k: int | None = None) -> HeadOverlap:
    """Compare the top heads of several measurements.

    Parameters
    ----------
    contributions
        {name: `HeadContributions`}, such as two of each level; or one `HeadContributions` of several levels,
        whose levels are compared.
    k
        Number of heads in each set; default: a tenth of all heads, at least 3.

    Raises
    ------
    InputError
        For fewer than two measurements, models of different shapes, or a k that is not from 1 to all heads.
    """
    named = contributions if isinstance(contributions, Mapping) else getattr(contributions, "by_level", {})
    if len(named) < 2:
        raise InputError(
            "An overlap needs at least two measurements: {name: contributions}, or the contributions of data "
            f"with several levels; got {len(named)}."
        )
    shapes = {matrix(found, "positive").shape for found in named.values()}
    if len(shapes) > 1:
        raise InputError("The contributions are of models with different numbers of layers or heads.")
    layers, width = shapes.pop()
    heads = layers * width
    number = max(3, heads // 10) if k is None else k
    number = checks.integer(min(number, heads) if k is None else number, "k", low=1, high=heads)

    def shared(kind: str) -> npt.NDArray[np.int64]:
        tops = [set(ranked(matrix(found, kind))[:number]) for found in named.values()]
        return np.array([[len(one & other) for other in tops] for one in tops])

    return HeadOverlap(tuple(map(str, named)), number, heads, shared("positive"), shared("negative"))
