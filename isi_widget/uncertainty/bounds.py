"""What is certain about the entropy over meanings when most of the probability is known, and the rest is not.

Answers that were enumerated (`VLM.enumerate_answers`) have exact probabilities. Their sums are known parts
m_1 ... m_K of the masses of K meanings; r = 1 - sum m_k was not looked at, and may belong to any meaning,
known or not. Every way to give it away is a completion m + r w, w >= 0, sum w = 1. The Shannon entropy is
concave, so

- Lower bound: a concave function is smallest at a corner, all of r given to one meaning; of these the largest
  known meaning makes the smallest entropy, since its completion majorises every other one. It holds without
  any assumption, and it is reached.
- Upper bound: **without an assumption there is none.** r split over more and more meanings adds
  r ln(their number) without end. With at most M further meanings the entropy is largest where r fills up the
  smallest masses to one level, M empty ones among them (water-filling); that is reached, too. M enters by its
  logarithm only: twice the number adds at most r ln 2, .007 nats for r = .01. M is told with the bound.
- Point estimate: r divided as the known masses are. It is a completion, so it lies between the bounds.

Pure NumPy; not for sampled answers (see `posterior`).

Sources: Marshall, Olkin & Arnold, Inequalities: Theory of Majorization, 2011, chapters 1 and 3; Cover &
Thomas, Elements of Information Theory, 2006, section 9.4 (water-filling).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.uncertainty._checks import Floats, vector, whole_number

#: A rest below it is the rounding of probabilities that sum to 1.
_NOTHING = 1e-12


@dataclass(frozen=True)
class EntropyBounds:
    """The entropy over meanings, in nats, as far as known masses determine it.

    Attributes
    ----------
    low : no completion has less. Certain.
    high : no completion with at most `further` meanings beyond the known ones has more. Certain under that
        assumption; without it there is no upper bound.
    point : the entropy where the rest is divided like what is known; low <= point <= high.
    rest : probability that was not looked at. further : see high.
    """

    low: float
    high: float
    point: float
    rest: float
    further: int


def entropy_bounds(masses: npt.ArrayLike, *, further: int | None = None) -> EntropyBounds:
    """Return bounds of the entropy over meanings from the known parts of their masses.

    Parameters
    ----------
    masses : float [K], K >= 1, the known probability of each meaning; they sum to at most 1, above 0. What
        lacks to 1 is the rest.
    further : how many meanings beyond these the rest has at most, >= 0. None: K, as many again.

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
    count = len(known) if further is None else whole_number(further, "further", 0)
    rest = max(0.0, 1.0 - total)
    if rest < _NOTHING:
        entropy = _entropy(known / total)
        return EntropyBounds(entropy, entropy, entropy, 0.0, count)
    low = known.copy()
    low[known.argmax()] += rest
    point = _entropy(known / total)
    # Equal up to rounding where one meaning is known and no further one allowed
    return EntropyBounds(
        low=min(_entropy(low), point),
        high=max(_entropy(filled(np.append(known, np.zeros(count)), rest)), point),
        point=point,
        rest=rest,
        further=count,
    )


def filled(levels: Floats, amount: float) -> Floats:
    """Return water-filling: `amount` >= 0 poured onto `levels` [n], so that the lowest ones end
    at one level.
    """
    rising = np.sort(levels)
    numbers = np.arange(1, len(levels) + 1)
    # With the n lowest under water the surface is at (amount + their sum) / n
    surfaces = (amount + rising.cumsum()) / numbers
    under = int(np.flatnonzero(surfaces > rising)[-1]) if amount > 0 else 0
    return np.maximum(levels, surfaces[under]) if amount > 0 else levels


def _entropy(p: Floats) -> float:
    p = p[p > 0]
    return max(0.0, float(-(p * np.log(p)).sum()))
