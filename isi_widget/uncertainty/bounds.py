"""Certain bounds on the entropy over meanings when most, but not all, of the probability is known.

Enumerated answers (`VLM.enumerate_answers`) have exact probabilities. Their sums are the known parts m_1 ...
m_K of the masses of K meanings. The rest, r = 1 - sum m_k, was not enumerated and may belong to any meaning,
known or unknown. Every way to distribute it is a completion m + r w, w >= 0, sum w = 1. The Shannon entropy
is concave, so

- Lower bound: a concave function is smallest at a corner, where one meaning gets all of r. The largest known
  meaning gives the smallest entropy, since its completion majorises every other one. The bound needs no
  assumption, and it is reached.
- Upper bound: **without an assumption there is none.** Splitting r over more and more meanings adds r
  ln(their number) without limit. With at most M further meanings the entropy is largest when r fills the
  smallest masses, including M empty ones, up to one level (water-filling); this bound is also reached. M
  matters only by its logarithm: doubling it adds at most r ln 2, .007 nats for r = .01. M is reported with
  the bound.
- Point estimate: r is divided in proportion to the known masses. This is a completion, so it lies between the
  bounds.

Pure NumPy; not for sampled answers (see `posterior`).

Sources: Marshall, Olkin & Arnold, Inequalities: Theory of Majorization, 2011, chapters 1 and 3; Cover &
Thomas, Elements of Information Theory, 2006, section 9.4 (water-filling).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.uncertainty._checks import Floats, vector

#: A smaller rest is rounding error of probabilities that sum to 1.
_NOTHING = 1e-12


@dataclass(frozen=True)
class EntropyBounds:
    """Bounds on the entropy over meanings, in nats, from known masses.

    Attributes
    ----------
    low : smallest entropy of any completion. Certain.
    high : largest entropy of any completion with at most `further` meanings beyond the known ones. Certain
        under that assumption; without it there is no upper bound.
    point : entropy if the rest is divided like the known masses; low <= point <= high.
    rest : probability that was not enumerated.
    further : assumed number of further meanings, see `high`.
    """

    low: float
    high: float
    point: float
    rest: float
    further: int


def entropy_bounds(masses: npt.ArrayLike, *, further: int | None = None) -> EntropyBounds:
    """Bound the entropy over meanings from the known parts of their masses.

    Parameters
    ----------
    masses : known probability of each meaning, float [K], K >= 1; the sum is above 0 and at most 1. The
        difference to 1 is the rest.
    further : largest number of further meanings in the rest, >= 0; None (default) is K.

    Raises
    ------
    InputError : no masses, negative ones, a sum of 0 or above 1.
    """
    known = vector(masses, "masses of the meanings")
    total = float(known.sum())
    if (known < 0).any() or not 0 < total <= 1 + 1e-9:
        raise InputError(
            "The masses of the meanings are not negative and sum to at most 1, above 0; they sum to "
            f"{total:.6g}."
        )
    count = len(known) if further is None else checks.integer(further, "further", low=0)
    rest = max(0.0, 1.0 - total)
    if rest < _NOTHING:
        entropy = _entropy(known / total)
        return EntropyBounds(entropy, entropy, entropy, 0.0, count)
    low = known.copy()
    low[known.argmax()] += rest
    point = _entropy(known / total)
    # Equal up to rounding if one meaning is known and no further meaning is allowed
    return EntropyBounds(
        low=min(_entropy(low), point),
        high=max(_entropy(filled(np.append(known, np.zeros(count)), rest)), point),
        point=point,
        rest=rest,
        further=count,
    )


def filled(levels: Floats, amount: float) -> Floats:
    """Pour `amount` >= 0 onto `levels` [n] so that the lowest end at one common level (water-filling)."""
    rising = np.sort(levels)
    numbers = np.arange(1, len(levels) + 1)
    # With the n lowest levels covered, the surface is at (amount + their sum) / n
    surfaces = (amount + rising.cumsum()) / numbers
    under = int(np.flatnonzero(surfaces > rising)[-1]) if amount > 0 else 0
    return np.maximum(levels, surfaces[under]) if amount > 0 else levels


def _entropy(p: Floats) -> float:
    p = p[p > 0]
    return max(0.0, float(-(p * np.log(p)).sum()))
