"""Semantic entropy as a posterior: the entropy over all meanings that the model could give, seen and unseen,
from N sampled answers and, where known, their probabilities.

The plug-in entropies (`entropy`) use only sampled meanings and are too low; their bootstrap intervals
(`bootstrap`) cannot include unseen meanings. Here unseen meanings get a share of the probability. Pure NumPy;
not for deciding which answers mean the same (`clusters`).

The model. The meanings of unknown mass have weights from a Dirichlet process of concentration theta:

- Without probabilities, all mass is unknown. The weights of the K sampled meanings and of all others are
  Dirichlet(n_1, ..., n_K, theta), with n_k the number of samples; the unseen share is split by stick-breaking
  with Beta(1, theta).
- Where the probability of each whole answer is known (its tokens and its end, as it was drawn), a distinct
  answer's own probability is a known part of its meaning's mass: a second sample of it adds no information.
  The remainder, rest = 1 - their sum, is distributed by Dirichlet(d_1, ..., d_K, theta), with d_k the number
  of distinct answers. The sizes of the pieces of the rest are unknown: in half of the draws it is "dust"
  (infinitely many tiny answers), in the other half it comes in "lumps" (single answers), sticks of Beta(1,
  alpha) like the sampled answers.

theta and alpha come from their own posteriors on a grid: p(theta | K, n) ~ prior(theta) theta^K Gamma(theta)
/ Gamma(theta + n), and p(alpha | D, rest) ~ prior(alpha) alpha^D rest^alpha. The priors were chosen by
simulation; `python -m benchmarks.coverage` measures the coverage of the intervals.

Sources: Ferguson, Annals of Statistics 1, 1973; Escobar & West, JASA 90, 1995 (theta); Sethuraman, Statistica
Sinica 4, 1994 (sticks). The idea that few samples are enough when sequence probabilities are known is from
Ciosek et al., 2025; only the idea was used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.uncertainty._checks import Floats, Ints, contiguous, vector
from isi_widget.uncertainty.entropy import ROUNDING

_GRID = np.exp(np.linspace(math.log(1e-3), math.log(300.0), 70))
_STICKS = 64  # unseen meanings; the last one gets the remainder
_LUMPS = 24  # pieces of the rest; the remainder is dust
_NOTHING = 1e-9  # a smaller rest is rounding error of probabilities that sum to 1


def _cautious(theta: Floats) -> Floats:
    """Return the log-density of Gamma(0.5, rate 0.4): for samples that stand for all of the mass."""
    return -0.5 * np.log(theta) - 0.4 * theta


def _wide(theta: Floats) -> Floats:
    """Return the log-density ~ exp(-theta / 10) / (1 + theta): for what few distinct answers leave open."""
    return -np.log1p(theta) - theta / 10.0


@dataclass(frozen=True, eq=False)
class MeaningPosterior:
    """Posterior of the masses of the K sampled meanings and of all unseen ones.

    Attributes
    ----------
    counts : evidence for each meaning, int [K]: number of samples, or number of distinct answers if `known`
        holds their probabilities.
    known : known part of each meaning's mass, float [K]; 0 if nothing is known.
    """

    counts: Ints
    known: Floats

    @property
    def rest(self) -> float:
        """The unknown mass, 0 to 1."""
        left = 1.0 - float(self.known.sum())
        return left if left > _NOTHING else 0.0

    def masses(self, draws: int = 1000, seed: int = 0) -> Floats:
        """Draw the masses of all meanings, float [draws, K + number of unseen meanings]; each row
        sums to 1.
        """
        checks.integer(draws, "draws", low=1)
        checks.integer(seed, "seed", low=0)
        k, rest = len(self.counts), self.rest
        if rest == 0.0:
            return np.tile(self.known / self.known.sum(), (draws, 1))
        random = np.random.default_rng(seed)
        shares, places, lumps = self._split(draws, random)
        # Dust is divided by the shares; a lump belongs to one meaning
        dust = np.maximum(1.0 - lumps.sum(axis=1), 0.0)  # rounding can bring it below 0
        masses = dust[:, None] * shares
        if rest < 1.0:
            np.add.at(masses, (np.arange(draws)[:, None], places), lumps)
        masses *= rest
        masses[:, :k] += self.known
        return masses

    def entropies(self, draws: int = 1000, seed: int = 0) -> Floats:
        """Draw the entropy over all meanings, float [draws], nats."""
        masses = self.masses(draws, seed)
        logs = np.log(masses, out=np.zeros_like(masses), where=masses > 0)
        entropies: Floats = -(masses * logs).sum(axis=1)
        return np.where(entropies > ROUNDING, entropies, 0.0)

    def after(self, more: int, seed: int = 0) -> MeaningPosterior:
        """Simulate `more` further samples from one draw and return the posterior after them."""
        checks.integer(more, "more", low=0)
        k, rest = len(self.counts), self.rest
        if more == 0 or rest == 0.0:
            return self
        random = np.random.default_rng(seed)
        (shares,), (places,), (lumps,) = self._split(1, random)
        new = random.binomial(more, rest)  # the other samples repeat known answers
        hits = random.multinomial(new, _normalised(np.append(lumps, 1.0 - lumps.sum())))
        counts = random.multinomial(hits[-1], _normalised(shares))
        known = np.zeros(len(shares))
        if rest < 1.0:  # a lump is one answer: once sampled, its probability is known
            np.add.at(counts, places, (hits[:-1] > 0).astype(int))
            np.add.at(known, places, rest * lumps * (hits[:-1] > 0))
        counts[:k] += self.counts
        known[:k] += self.known
        met = counts > 0
        return MeaningPosterior(counts[met], known[met])

    def _split(self, draws: int, random: np.random.Generator) -> tuple[Floats, Ints, Floats]:
        """Split the unknown mass: shares of the meanings in its dust [draws, K + _STICKS], and the meaning
        and the size of each lump, [draws, _LUMPS]. Without known mass there are no lumps.
        """
        rest = self.rest
        shares = self._shares(self._theta(draws, rest, random), random)
        lumps, places = np.zeros((draws, _LUMPS)), np.zeros((draws, _LUMPS), dtype=np.int64)
        if rest == 1.0:
            return shares, places, lumps
        evidence = int(self.counts.sum()) * np.log(_GRID) + _GRID * math.log(rest)
        lumpy = np.flatnonzero(random.random(draws) < 0.5)
        lumps[lumpy], _ = _sticks(_from_grid(_wide, evidence, len(lumpy), random), _LUMPS, random)
        ends = np.cumsum(shares[lumpy], axis=1)
        ends[:, -1] = 1.0
        places[lumpy] = (random.random((len(lumpy), _LUMPS))[:, :, None] > ends[:, None, :]).sum(axis=2)
        return shares, places, lumps

    def _theta(self, draws: int, rest: float, random: np.random.Generator) -> Floats:
        """Draw concentrations; the more mass is known, the more draws use the wide prior."""
        cautious = random.random(draws) < rest
        evidence = len(self.counts) * np.log(_GRID) + _rising(int(self.counts.sum()))
        theta = _from_grid(_cautious, evidence, draws, random)
        return np.where(cautious, theta, _from_grid(_wide, evidence, draws, random))

    def _shares(self, theta: Floats, random: np.random.Generator) -> Floats:
        """Return shares of the unknown mass, float [draws, K + _STICKS]."""
        seen = random.standard_gamma(
            np.broadcast_to(self.counts.astype(float), (len(theta), len(self.counts)))
        )
        unseen = random.standard_gamma(theta)
        total = seen.sum(axis=1) + unseen
        pieces, left = _sticks(theta, _STICKS, random)
        pieces[:, -1] += left
        return np.concatenate([seen / total[:, None], (unseen / total)[:, None] * pieces], axis=1)


def posterior_of(
    cluster_ids: Sequence[int] | Ints,
    probabilities: Sequence[float] | Floats | None = None,
    same: Sequence[object] | None = None,
) -> MeaningPosterior:
    """Compute the posterior after N sampled answers.

    Parameters
    ----------
    cluster_ids : cluster of each answer, int [N]; any labels.
    probabilities : probability of drawing each whole answer (tokens and end), float [N]; None (default) or
        any NaN if unknown: then samples are counted.
    same : N values that are equal for equal answers (their token ids), so that no answer counts twice;
        required with probabilities.
    """
    ids = contiguous(cluster_ids)
    if probabilities is None or np.isnan(np.asarray(probabilities, dtype=float)).any():
        return MeaningPosterior(np.bincount(ids), np.zeros(int(ids.max()) + 1))
    p = vector(probabilities, "probabilities")
    if len(p) != len(ids) or same is None or len(same) != len(ids):
        raise InputError(
            f"Each of the {len(ids)} answers needs one probability and one value in `same`; got "
            f"{len(p)} and {0 if same is None else len(same)}."
        )
    if (p < 0).any() or (p > 1 + 1e-3).any():
        raise InputError("Probabilities of answers lie between 0 and 1.")
    first: dict[object, int] = {}
    for place, key in enumerate(same):
        first.setdefault(key, place)
    places = np.fromiter(first.values(), dtype=np.int64)
    known = np.bincount(ids[places], weights=p[places], minlength=int(ids.max()) + 1)
    counts = np.bincount(ids[places], minlength=int(ids.max()) + 1)
    # Rounding in half precision can bring the sum above 1
    return MeaningPosterior(counts, known / max(1.0, float(known.sum())))


@cache
def _rising(n: int) -> Floats:
    """Return the logarithm of Gamma(theta) / Gamma(theta + n) on the grid."""
    return np.array([math.lgamma(theta) - math.lgamma(theta + n) for theta in _GRID])


def _from_grid(
    prior: Callable[[Floats], Floats], evidence: Floats, size: int, random: np.random.Generator
) -> Floats:
    logs = prior(_GRID) + np.log(_GRID) + evidence  # + log: the grid is uniform in log(theta)
    weights = np.exp(logs - logs.max())
    return random.choice(_GRID, size=size, p=weights / weights.sum())


def _sticks(concentration: Floats, number: int, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Break sticks of length 1 by Beta(1, concentration): pieces [draws, number], and the remainder."""
    # If E is exponential, 1 - exp(-E / c) is Beta(1, c)
    left: Floats = np.exp(-random.standard_exponential((len(concentration), number)) / concentration[:, None])
    np.cumprod(left, axis=1, out=left)
    before = np.concatenate([np.ones((len(left), 1)), left[:, :-1]], axis=1)
    return before - left, left[:, -1]


def _normalised(shares: Floats) -> Floats:
    """Normalise shares so that they sum to 1 despite rounding, as NumPy's multinomial requires."""
    positive = np.maximum(shares, 0.0)
    return positive / positive.sum()
