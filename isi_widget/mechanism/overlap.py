"""`head_overlap`: are the heads that matter the same for two kinds of questions?

V-SEAM (Wang, Hu, Jiang, EMNLP 2025) claims that positive heads are shared within a semantic level (object,
attribute, relation) and differ between levels, while negative heads are shared by all. The share of the top
k heads of one measurement that are among the top k of a second one answers that only beside two others: the
share that random sets have in common, k of all heads; and the share within a level, on two halves of its
items. Contributions are noisy: even the same heads measured twice overlap only in part.

So the items of each level are split into random halves, many times, and every half is compared with a half
of its own level and of each other level: all from as many items. Whether levels differ at all is tested by
giving the items random levels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.mechanism.figures import cells, draw_matrix, new_figure
from isi_widget.mechanism.packing import frozen
from isi_widget.mechanism.recorded import Saved, equal, from_record, matrix, order_of, to_record
from isi_widget.readable import html_table
from isi_widget.uncertainty.bootstrap import percentile_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

KINDS = ("positive", "negative")
_ARRAYS = {
    "positive": np.int64,
    "negative": np.int64,
    "positive_null": np.float64,
    "negative_null": np.float64,
}
_SPLITS, _PERMUTATIONS = 50, 200
#: Splits for each assignment of random levels. Fewer than of the true levels: p is a little too large.
_NULL_SPLITS = 10
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HeadOverlap(Saved):
    """How many of the top heads two measurements share; made by `head_overlap`.

    Attributes
    ----------
    names
        Names of the measurements or levels.
    k
        Number of heads in each set.
    heads
        Number of heads in all.
    positive, negative
        [splits, names, names] number of shared heads among the k with the largest positive, negative
        contribution. Of levels: the diagonal compares two halves of the level. Of measurements: one split,
        and the diagonal is k.
    by_sign
        Whether the negative heads are those with the smallest signed contribution: the unchanged model
        answered no item wrongly, and negative contributions are those to wrong answers.
    positive_null, negative_null
        [permutations] within - across (see `difference`) with random levels; empty without levels.
    """

    names: tuple[str, ...]
    k: int
    heads: int
    positive: Ints
    negative: Ints
    positive_null: npt.NDArray[np.float64]
    negative_null: npt.NDArray[np.float64]
    by_sign: bool = False

    def __post_init__(self) -> None:
        for name, kind in _ARRAYS.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind))
        square = (len(self.positive), len(self.names), len(self.names))
        if not self.positive.size or {self.positive.shape, self.negative.shape} != {square}:
            raise InputError("An overlap must have counts [splits, names, names].")
        if not 1 <= self.k <= self.heads:
            raise InputError(f"k must be from 1 to {self.heads}, got {self.k}.")

    @property
    def of_levels(self) -> bool:
        """Whether levels were compared on halves of their items."""
        return len(self.positive) > 1

    @property
    def expected(self) -> float:
        """Share that two random sets of k heads have in common."""
        return self.k / self.heads

    def share(self, one: str, other: str, kind: str = "positive") -> float:
        """Return the share of the top k heads that two measurements have in common, the mean over splits.

        Parameters
        ----------
        one, other
            Names of two measurements; the same level twice for its overlap with itself.
        kind
            "positive" (default) or "negative".
        """
        return float(self._shared(one, other, kind).mean()) / self.k

    def p_value(self, one: str, other: str, kind: str = "positive") -> float:
        """Return the probability that two random sets of k heads share at least as many (hypergeometric); of
        the median number over splits.
        """
        shared = math.floor(float(np.median(self._shared(one, other, kind))))
        ways = [
            math.comb(self.k, number) * math.comb(self.heads - self.k, self.k - number)
            for number in range(shared, self.k + 1)
        ]
        return sum(ways) / math.comb(self.heads, self.k)

    def difference(self, kind: str = "positive") -> tuple[float, float, float, float]:
        """Return by how much the share within levels exceeds that across levels.

        Returns
        -------
        (mean, low, high, p): low and high hold 95 % of the splits; p is the share of random levels with as
        large a difference, (1 + hits) / (1 + permutations).

        Raises
        ------
        InputError
            If no levels were compared.
        """
        if not self.of_levels or len(self.names) < 2:
            raise InputError("Within and across are those of levels: give contributions of several levels.")
        found = _within_across(self._counts(kind), self.k)
        null = getattr(self, f"{kind}_null")
        p = (1 + int((null >= found.mean() - 1e-12).sum())) / (1 + len(null))
        return (float(found.mean()), *percentile_interval(found, 0.95), p)

    def _counts(self, kind: str) -> Ints:
        checks.one_of(kind, "kind", KINDS)
        counts: Ints = getattr(self, kind)
        return counts

    def _shared(self, one: str, other: str, kind: str) -> Ints:
        for name in (one, other):
            if name not in self.names:
                raise InputError(f"There is no measurement {name!r}; known are {', '.join(self.names)}.")
        return self._counts(kind)[:, self.names.index(one), self.names.index(other)]

    def _pairs(self) -> Iterator[tuple[str, str]]:
        for place, one in enumerate(self.names):
            for other in self.names[place if self.of_levels else place + 1 :]:
                yield one, other

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each pair of measurements and kind: share, expected, p_value."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "one": one,
                    "other": other,
                    "heads": kind,
                    "share": self.share(one, other, kind),
                    "expected": self.expected,
                    "p_value": self.p_value(one, other, kind),
                }
                for one, other in self._pairs()
                for kind in KINDS
            ]
        )

    def plot(self) -> Figure:
        """Return a figure: the shares of positive and of negative heads."""
        size = len(self.names)
        wide, high = cells(size, size)
        figure = new_figure((2 * (2.2 + 1.2 * wide), 1.6 + 1.5 * high))
        for axis, kind in zip(figure.subplots(1, 2), KINDS, strict=True):
            shares = self._counts(kind).mean(axis=0) / self.k
            draw_matrix(axis, shares, self.names, self.names, signed=False, full=1.0, label="share of heads")
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
                f"within {one}" if one == other else f"{one} and {other}",
                *(
                    f"{self.share(one, other, kind):.2f} (p = {self.p_value(one, other, kind):.2g})"
                    for kind in KINDS
                ),
            )
            for one, other in self._pairs()
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the comparison of levels shows, one sentence for each kind of heads, and limits."""
        found = []
        if self.by_sign:
            found.append(
                "The unchanged model answered no item wrongly, so there are no negative contributions: the "
                "heads with the smallest signed contribution stand in their place."
            )
        for kind in KINDS if self.of_levels and len(self.names) > 1 else ():
            mean, low, high, p = self.difference(kind)
            found.append(
                f"{kind.capitalize()} heads: share within a level - share across levels {mean:+.2f} "
                f"({low:+.2f} to {high:+.2f} over splits); with random levels, p = {p:.2g}."
            )
        return tuple(found)

    def _repr_html_(self) -> str:
        title = f"Share of the top {self.k} heads in common; by chance {self.expected:.2f}"
        return html_table(title, ("of", "positive heads", "negative heads"), self._rows(), self.notes)

    def __repr__(self) -> str:
        shown = "; ".join(f"{name}: {positive}" for name, positive, _ in self._rows()[:6])
        return f"HeadOverlap(k={self.k} of {self.heads}, by chance {self.expected:.2f}; {shown})"


def head_overlap(
    contributions: Any,
    k: int | None = None,
    *,
    splits: int = _SPLITS,
    permutations: int = _PERMUTATIONS,
    seed: int = 0,
) -> HeadOverlap:
    """Compare the top heads of the levels of one measurement, or those of several measurements.

    Parameters
    ----------
    contributions
        One `HeadContributions` of items with semantic levels: halves of the items of each level are compared.
        Or {name: `HeadContributions`}: each is compared with each, as it is.
    k
        Number of heads in each set; default: a tenth of all heads, at least 3.
    splits
        Number of random splits of the items of levels; default 50.
    permutations
        Number of random assignments of levels to items; default 200.
    seed
        Seed of splits and permutations; default 0.

    Raises
    ------
    InputError
        For fewer than two measurements, a level with fewer than two items, models of different shapes, or a k
        that is not from 1 to all heads.
    """
    if not isinstance(contributions, Mapping):
        return _of_levels(contributions, k, splits, permutations, seed)
    if len(contributions) < 2:
        raise InputError(
            f"An overlap needs at least two measurements, {{name: contributions}}; got {len(contributions)}."
        )
    if len({matrix(found, "signed").shape for found in contributions.values()}) > 1:
        raise InputError("The contributions are of models with different numbers of layers or heads.")
    first = next(iter(contributions.values()))
    heads, number = _number(first, k)
    found = {
        kind: _counts([_top(each, kind, number) for each in contributions.values()])[None] for kind in KINDS
    }
    none = np.zeros(0)
    return HeadOverlap(
        tuple(map(str, contributions)),
        number,
        heads,
        found["positive"],
        found["negative"],
        none,
        none,
        not any(matrix(each, "negative").any() for each in contributions.values()),
    )


def _of_levels(contributions: Any, k: Any, splits: Any, permutations: Any, seed: Any) -> HeadOverlap:
    heads, number = _number(contributions, k)
    levels = tuple(getattr(contributions, "levels", ()))
    names = tuple(dict.fromkeys(level for level in levels if level))
    members = [[place for place, level in enumerate(levels) if level == name] for name in names]
    if few := [name for name, places in zip(names, members, strict=True) if len(places) < 2]:
        raise InputError(f"Each level needs at least two items, to be split; {few[0]!r} has one.")
    if not names:
        raise InputError(
            "No item has a semantic level. Give observations of data sets with levels, or several "
            "measurements {name: contributions}."
        )
    splits = checks.integer(splits, "splits", low=2, high=10_000)
    permutations = checks.integer(permutations, "permutations", low=0, high=100_000)
    stream = np.random.default_rng(checks.integer(seed, "head_overlap: seed", low=0))
    found = [_split(contributions, members, number, stream) for _ in range(splits)]
    null: list[list[float]] = [[], []]
    pool = [place for places in members for place in places]
    ends = np.cumsum([len(places) for places in members])[:-1]
    for _ in range(permutations if len(names) > 1 else 0):
        drawn = [part.tolist() for part in np.split(stream.permutation(pool), ends)]
        again = [_split(contributions, drawn, number, stream) for _ in range(min(splits, _NULL_SPLITS))]
        for kept, counts in zip(null, zip(*again, strict=True), strict=True):
            kept.append(float(_within_across(np.stack(counts), number).mean()))
    positive, negative = (np.stack(counts) for counts in zip(*found, strict=True))
    nulls = (np.array(null[0]), np.array(null[1]))
    by_sign = not matrix(contributions, "negative").any()
    return HeadOverlap(names, number, heads, positive, negative, *nulls, by_sign)


def _number(contributions: Any, k: Any) -> tuple[int, int]:
    """Return the number of all heads, and of heads in a set."""
    heads = matrix(contributions, "signed").size
    number = min(heads, max(3, heads // 10)) if k is None else k
    return heads, checks.integer(number, "k", low=1, high=heads)


def _split(
    contributions: Any, members: Sequence[Sequence[int]], k: int, stream: np.random.Generator
) -> tuple[Ints, Ints]:
    """Return the shared heads [levels, levels], positive and negative, of halves of the levels' items."""
    halves: list[list[Any]] = [[], []]
    for places in members:
        order = stream.permutation(list(places)).tolist()
        middle = len(order) // 2
        for kept, part in zip(halves, (order[:middle], order[middle:]), strict=True):
            kept.append(contributions.only(sorted(part)))
    made = []
    for kind in KINDS:
        ones, others = ([_top(half, kind, k) for half in part] for part in halves)
        made.append(_counts(ones, others))
    return made[0], made[1]


def _top(contributions: Any, kind: str, k: int) -> set[tuple[int, int]]:
    return set(order_of(contributions, kind)[:k])


def _counts(ones: Sequence[set[Any]], others: Sequence[set[Any]] | None = None) -> Ints:
    found = [[len(one & other) for other in (ones if others is None else others)] for one in ones]
    return np.array(found, dtype=np.int64)


def _within_across(counts: Ints, k: int) -> npt.NDArray[np.float64]:
    """Return, for each split, the mean share on the diagonal less that off it."""
    own = np.eye(counts.shape[1], dtype=bool)
    found: npt.NDArray[np.float64] = (counts[:, own].mean(axis=1) - counts[:, ~own].mean(axis=1)) / k
    return found
