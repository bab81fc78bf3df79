"""An entropy as a function of the number of samples, and the number of samples needed for an interval of a
given width.

For the Bayesian semantic entropy both follow from its posterior (`posterior`), which includes unseen
meanings. For the other entropies both use only the sampled answers, so a meaning that was never sampled is
missing. Not for the intervals of the entropies themselves (`posterior`, `bootstrap`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.readable import counted, html_table
from isi_widget.uncertainty._checks import Floats, Ints, contiguous, distance_matrix
from isi_widget.uncertainty.bootstrap import (
    LEADING,
    NAMES,
    check_level,
    entropies_of_counts,
    percentile_interval,
)
from isi_widget.uncertainty.posterior import MeaningPosterior
from isi_widget.uncertainty.record import WEIGHTED, Uncertainty

_CELLS = 2_000_000  # sets x answers held at once: 16 MB per intermediate array
_MOST = 1_000_000  # samples; larger estimates are meaningless
_SIZES = 100
_ROWS = 12  # rows of a table in a notebook
_FUTURES, _DRAWS = 12, 400


@dataclass(frozen=True, repr=False)
class EntropyCurve:
    """One entropy, computed from fewer of the same answers.

    Attributes
    ----------
    name : name of the entropy.
    samples : numbers n of answers, rising to N.
    mean : mean over subsets of n of the N answers; rises with n if the estimate is biased low. For the
        Bayesian semantic entropy: its estimate after the first n answers.
    low, high : ends of the interval that holds a share `level` of the subsets. The subsets overlap, so it is
        too narrow for n near N, and a point at N: it shows how misleading n answers can be, not how certain N
        answers are. For the Bayesian semantic entropy: its interval after the first n answers.
    exact : for each n, True if all subsets (or the first n answers) were used, False for random subsets.
    """

    name: str
    samples: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    exact: tuple[bool, ...]
    level: float

    def __repr__(self) -> str:
        ends = {0, len(self.samples) - 1}
        points = ", ".join(
            f"n={self.samples[i]}: {self.mean[i]:.3f} [{self.low[i]:.3f}, {self.high[i]:.3f}]"
            for i in sorted(ends)
        )
        return f"EntropyCurve({self.name!r}, {counted(len(self.samples), 'point')}; {points})"

    def _repr_html_(self) -> str:
        shown = range(0, len(self.samples), max(1, -(-len(self.samples) // _ROWS)))
        rows = [
            (
                str(self.samples[i]),
                f"{self.mean[i]:.3f}",
                f"[{self.low[i]:.3f}, {self.high[i]:.3f}]",
                "all" if self.exact[i] else "random",
            )
            for i in sorted({*shown, len(self.samples) - 1})
        ]
        return html_table(
            f"{self.name.replace('_', ' ')} against the number of samples (nats)",
            ("samples", "mean", f"{self.level:.0%} of the subsets", "subsets"),
            rows,
            ["Subsets of the answers there are. Where the mean still rises, more samples find more."],
        )


@dataclass(frozen=True, repr=False)
class SamplesNeeded:
    """Number of samples that would make the interval of an entropy narrow enough.

    Attributes
    ----------
    name : name of the entropy.
    width : wanted width of the interval.
    width_now : width of the interval with the present N answers.
    total : number of samples in all; None if it cannot be estimated.
    more : number of samples beyond N; None if it cannot be estimated.
    basis : basis of the estimate, or why there is none, in plain sentences.
    """

    name: str
    width: float
    width_now: float
    total: int | None
    more: int | None
    basis: str

    def __repr__(self) -> str:
        total = (
            "not to be estimated"
            if self.total is None
            else f"{counted(self.total, 'sample')} ({self.more} more)"
        )
        return f"SamplesNeeded({self.name!r}: {total} for an interval of {self.width:g}. {self.basis})"

    def _repr_html_(self) -> str:
        rows = [
            (
                "asked for",
                f"{self.width:.3f}",
                "" if self.total is None else f"{self.total} ({self.more} more)",
            ),
            ("now", f"{self.width_now:.3f}", ""),
        ]
        title = f"Samples for an interval of the {self.name.replace('_', ' ')}"
        return html_table(title, ("interval", "width (nats)", "samples"), rows, [self.basis])


def entropy_curve(
    uncertainty: Uncertainty,
    name: str = LEADING,
    *,
    sizes: Sequence[int] | None = None,
    subsamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    distances: npt.ArrayLike | None = None,
) -> EntropyCurve:
    """Compute an entropy as a function of the number of samples. The Bayesian semantic entropy uses the first
    n answers; the others use subsets drawn without replacement.

    Parameters
    ----------
    uncertainty : uncertainty of N answers.
    name : name of one of its entropies.
    sizes : numbers of answers, each 1 to N; default all, or 100 evenly spaced numbers if N is larger.
    subsamples : number of random subsets per size; all subsets are used if there are no more. For the
        Bayesian semantic entropy, the number of posterior draws.
    level : level of the interval.
    seed : seed of the choice of subsets.
    distances : distances, float [N, N], only for Rao's entropy (`entropy.meaning_distances`): an
        `Uncertainty` does not store them.

    Raises
    ------
    InputError : no such entropy, no likelihoods or distances for it, numbers out of range.
    """
    ids, ll, d = _parts(uncertainty, name, distances)
    check_level(level)
    checks.integer(subsamples, "subsamples", low=1)
    checks.integer(seed, "seed", low=0)
    n = len(ids)
    if sizes is None:
        sizes = sorted(set(np.linspace(1, n, min(n, _SIZES)).round().astype(int).tolist()))
    if not len(sizes) or any(checks.integer(size, "A size", low=1) > n for size in sizes):
        raise InputError(f"sizes are numbers of answers from 1 to {n}; got {list(sizes)}.")
    if name == LEADING:
        return _curve_of_posterior(uncertainty, [int(size) for size in sizes], level, subsamples, seed)
    random = np.random.default_rng(seed)
    # One set of orders for all sizes: the subsets are nested and the curve is smooth
    places = random.permuted(np.tile(np.arange(n), (subsamples, 1)), axis=1)
    rows = []
    for size in sizes:
        exact = math.comb(n, size) <= subsamples
        chosen = _all_subsets(n, size) if exact else places < size
        values = _values(chosen, name, ids, ll, d)
        low, high = percentile_interval(values, level)
        rows.append((float(values.mean()), low, high, exact))
    mean, lows, highs, exacts = zip(*rows, strict=True)
    return EntropyCurve(name, tuple(map(int, sizes)), mean, lows, highs, exacts, level)


def samples_needed(
    uncertainty: Uncertainty,
    width: float,
    name: str = LEADING,
    *,
    resamples: int = 2000,
    seed: int = 0,
    distances: npt.ArrayLike | None = None,
) -> SamplesNeeded:
    """Estimate how many samples are needed until the interval of an entropy is at most `width` wide.

    For the Bayesian semantic entropy, further answers are simulated from its posterior, and the width of
    their interval is averaged. For the other entropies, the sampled answers represent the model: m of them
    are drawn with replacement. Both are repeated for m = N, 2N, 4N, ..., until the interval (at the level of
    `uncertainty`) is narrow enough. Between the last two m, the logarithm of the width is interpolated
    linearly in that of m. For large m the width decreases as 1 / sqrt(m).

    Parameters
    ----------
    uncertainty : uncertainty of N answers.
    width : wanted width, in the unit of the entropy, > 0.
    name : name of the entropy; default is the leading one.
    resamples : number of bootstrap resamples; default 2000.
    seed : seed of the resamples or simulations; default 0.
    distances : as in `entropy_curve`.

    Returns
    -------
    SamplesNeeded. `total` and `more` are None, with the reason in `basis`, if more than a million samples
    would be needed. For entropies other than the Bayesian one, also if the answers show no spread (one
    cluster) or the entropy is infinite. Ten answers give only the order of magnitude: docs/uncertainty.md has
    the measured errors.

    Raises
    ------
    InputError : no such entropy, no likelihoods or distances for it, numbers out of range.
    """
    ids, ll, d = _parts(uncertainty, name, distances)
    if isinstance(width, bool) or not (math.isfinite(width) and width > 0):
        raise InputError(f"width is a number above 0, in the unit of the entropy; got {width!r}.")
    checks.integer(resamples, "resamples", low=1)
    checks.integer(seed, "seed", low=0)
    n = len(ids)
    if name == LEADING:
        posterior, level = uncertainty.posterior, uncertainty.level
        basis = (
            f"Futures of {counted(n, 'answer')} in {counted(int(ids.max()) + 1, 'cluster')}, drawn from "
            "what these say of all meanings."
        )
        low, high = percentile_interval(posterior.entropies(seed=uncertainty.seed), level)
        return _search(
            name, width, n, high - low, lambda m: _future_width(posterior, m - n, level, seed), basis
        )

    def width_at(m: int) -> float:
        counts = np.random.default_rng(seed).multinomial(m, np.full(n, 1.0 / n), size=resamples)
        low, high = percentile_interval(_values(counts, name, ids, ll, d), uncertainty.level)
        return high - low if math.isfinite(low) else math.nan

    now = width_at(n)
    if not math.isfinite(now):
        return SamplesNeeded(
            name, width, now, None, None, "Not estimable: an answer has probability zero, so it is infinite."
        )
    if now == 0.0:
        why = "all answers mean the same" if ids.max() == 0 else "the answers show no spread"
        return SamplesNeeded(
            name,
            width,
            now,
            None,
            None,
            f"Not estimable: {why}, and {counted(n, 'sample')} cannot say how often others would come.",
        )
    basis = (
        f"Bootstrap of {counted(n, 'answer')} in {counted(int(ids.max()) + 1, 'cluster')}, drawn again up to "
        "the number named."
    )
    if name != "predictive_entropy" and (unseen := (np.bincount(ids) == 1).sum() / n) > 0.2:
        # Good (1953): the share of answers whose cluster is seen once estimates the mass of unseen clusters
        basis += (
            f" About {unseen:.0%} of the model's answers may mean something that was not sampled yet "
            "(Good-Turing): take the number as a lower bound."
        )
    return _search(name, width, n, now, width_at, basis)


def _search(
    name: str, width: float, n: int, now: float, width_at: Callable[[int], float], basis: str
) -> SamplesNeeded:
    """Find the number of samples at which the interval, of width `now` with n samples, has width `width`."""
    if now <= width:
        return SamplesNeeded(name, width, now, n, 0, basis)
    before, wide, m = n, now, n
    while m < _MOST:
        m *= 2
        narrow = width_at(m)
        if narrow <= width:
            step = (math.log(wide) - math.log(width)) / (math.log(wide) - math.log(narrow)) if narrow else 1.0
            total = max(n + 1, math.ceil(before * (m / before) ** step))
            return SamplesNeeded(name, width, now, total, total - n, basis)
        before, wide = m, narrow
    return SamplesNeeded(name, width, now, None, None, f"Not estimable: more than a million samples. {basis}")


def _future_width(posterior: MeaningPosterior, more: int, level: float, seed: int) -> float:
    """Return the width of the interval after `more` further samples, averaged over simulations."""
    widths = []
    for future in range(_FUTURES):
        after = posterior.after(more, seed=seed + future)
        low, high = percentile_interval(after.entropies(_DRAWS, seed=seed + future), level)
        widths.append(high - low)
    return float(np.mean(widths))


def _curve_of_posterior(
    uncertainty: Uncertainty, sizes: list[int], level: float, draws: int, seed: int
) -> EntropyCurve:
    rows = []
    for size in sizes:
        entropies = uncertainty.posterior_after(size).entropies(draws, seed=seed)
        rows.append((float(np.median(entropies)), *percentile_interval(entropies, level)))
    median, low, high = zip(*rows, strict=True)
    return EntropyCurve(LEADING, tuple(sizes), median, low, high, (True,) * len(sizes), level)


def _parts(
    uncertainty: Uncertainty, name: str, distances: npt.ArrayLike | None
) -> tuple[Ints, Floats, Floats | None]:
    """Return cluster ids, log-likelihoods (0 if the entropy needs none) and, for Rao's entropy, distances."""
    if name not in NAMES:
        raise InputError(f"There is no entropy {name!r}; there are: {', '.join(NAMES)}.")
    ids = contiguous(uncertainty.cluster_ids)
    if name in WEIGHTED and not uncertainty.has_likelihoods:
        raise InputError(
            f"The model does not report log-probabilities, which {name} needs; "
            "use 'discrete_semantic_entropy'."
        )
    ll = np.asarray(uncertainty.log_likelihoods) if name in WEIGHTED else np.zeros(len(ids))
    if name != "rao_quadratic_entropy":
        return ids, ll, None
    if distances is None:
        raise InputError(
            "Rao's entropy needs distances=meaning_distances(model.probabilities(question, texts), strict): "
            "an Uncertainty does not keep them."
        )
    return ids, ll, distance_matrix(distances, len(ids))


def _values(counts: npt.NDArray[np.generic], name: str, ids: Ints, ll: Floats, d: Floats | None) -> Floats:
    step = max(1, _CELLS // counts.shape[1])
    return np.concatenate(
        [
            entropies_of_counts(counts[k : k + step].astype(np.int64), ids, ll, d)[name]
            for k in range(0, len(counts), step)
        ]
    )


def _all_subsets(n: int, size: int) -> npt.NDArray[np.bool_]:
    """Return every subset of `size` of n answers, bool [subsets, n]."""
    chosen = np.array(list(itertools.combinations(range(n), size)))
    subsets = np.zeros((len(chosen), n), dtype=bool)
    np.put_along_axis(subsets, chosen, True, axis=1)
    return subsets
