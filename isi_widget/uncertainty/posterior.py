"""Semantic entropy as a posterior: the entropy over all meanings that the model could give, seen and unseen,
from N sampled answers and, where known, their probabilities.

The plug-in entropies (`entropy`) use only sampled meanings and are too low; their bootstrap intervals
(`bootstrap`) cannot include unseen meanings. Here unseen meanings get a share of the probability. Pure NumPy;
not for deciding which answers mean the same (`clusters`).

The model. The mass that is not known to belong to a meaning is divided among the K sampled meanings and the
unseen ones. No single prior covers the truth both for answers of one wording and of many. So the draws come
from three views of that division (`MeaningPosterior._views` has their shares):

- By samples. A Dirichlet process of concentration theta: the weights are Dirichlet(n_1, ..., n_K, theta),
  with n_k the number of samples. Known probabilities are conditions: no meaning can have less than its known
  mass. If nothing is known, this is the only view.
- By answers. A distinct answer's own probability is a known part of its meaning's mass: a second sample of it
  adds no information. The remainder, rest = 1 - their sum, is distributed by Dirichlet(d_1, ..., d_K, theta),
  with d_k the number of distinct answers. In half of these draws the rest is "dust" (infinitely many tiny
  answers), in the other half it comes in "lumps" (single answers), sticks of Beta(1, alpha) like the sampled
  answers. If each meaning has one wording, this is the only view.
- Apart. The answers that are still unseen have low probabilities, and may mean what no sampled answer means:
  the rest is distributed by Dirichlet(1, ..., 1, theta), with theta from its prior.

The share of the unseen meanings is split by stick-breaking with Beta(1, phi). phi is theta, or larger in some
of the draws: samples that agree cannot exclude many small meanings.

theta and alpha come from their own posteriors on a grid: p(theta | K, n) ~ prior(theta) theta^K Gamma(theta)
/ Gamma(theta + n), and p(alpha | D, rest) ~ prior(alpha) alpha^D rest^alpha. The priors and the shares of the
views were chosen by simulation. `python -m benchmarks.coverage` measures the coverage of the intervals, also
for truths that the choice did not use.

Sources: Ferguson, Annals of Statistics 1, 1973; Escobar & West, JASA 90, 1995 (theta); Sethuraman, Statistica
Sinica 4, 1994 (sticks). The idea that few samples are enough when sequence probabilities are known is from
Ciosek et al., 2025; only the idea was used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

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
    """Return the log-density of Gamma(0.4, rate 0.32): few unseen meanings."""
    return -0.6 * np.log(theta) - 0.32 * theta


def _fine(theta: Floats) -> Floats:
    """Return the log-density of Gamma(2.5, rate 2.9): for draws with many small unseen meanings."""
    return 1.5 * np.log(theta) - 2.9 * theta


def _wide(theta: Floats) -> Floats:
    """Return the log-density ~ exp(-theta / 10) / (1 + theta): for what few distinct answers leave open."""
    return -np.log1p(theta) - theta / 10.0


_FINE_SHARE, _FINE_MEAN = 0.4, 30.0  # share of draws with many small unseen meanings; mean of phi - theta
_APART_SHARE, _APART_MEAN = 0.2, 10.0  # largest share of the draws of the view "apart"; mean of phi - theta
_PROPOSALS = 8  # weights from which one is chosen by its probability


@dataclass(frozen=True, eq=False)
class MeaningPosterior:
    """Posterior of the masses of the K sampled meanings and of all unseen ones.

    Attributes
    ----------
    counts : number of samples of each meaning, int [K].
    known : known part of each meaning's mass, float [K]; 0 if nothing is known.
    different : number of distinct answers of each meaning, int [K]; used only where `known` holds their
        probabilities.
    """

    counts: Ints
    known: Floats
    different: Ints

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
        _, apart, samples = (round(draws * share) for share in self._views())
        division = self._divided((draws - apart - samples, apart, samples), np.random.default_rng(seed))
        masses = rest * division.whole()
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
        checks.integer(seed, "seed", low=0)
        k, rest = len(self.counts), self.rest
        if more == 0 or rest == 0.0:
            return self
        random = np.random.default_rng(seed)
        answers, apart, samples = random.multinomial(1, self._views())
        division = self._divided((answers, apart, samples), random)
        (shares,), (places,), (lumps,) = division.dust, division.places, division.lumps
        new = random.binomial(more, rest)  # the other samples repeat known answers
        hits = random.multinomial(new, _normalised(np.append(lumps, 1.0 - lumps.sum())))
        counts = random.multinomial(hits[-1], _normalised(shares))  # each piece of dust is a new answer
        different, known = counts.copy(), np.zeros(len(shares))
        if rest < 1.0:  # a lump is one answer: once sampled, its probability is known
            counts[:k] += random.multinomial(more - new, _normalised(self.known))
            np.add.at(counts, places, hits[:-1])
            np.add.at(different, places, (hits[:-1] > 0).astype(int))
            np.add.at(known, places, rest * lumps * (hits[:-1] > 0))
        counts[:k] += self.counts
        different[:k] += self.different
        known[:k] += self.known
        met = counts > 0
        return MeaningPosterior(counts[met], known[met], different[met])

    def _views(self) -> Floats:
        """Return the shares of the draws of the views: by answers, apart, by samples."""
        if self.rest == 1.0:
            return np.array([0.0, 0.0, 1.0])
        number = int(self.different.sum())
        further = (number - len(self.different)) / number  # distinct answers that are further wordings
        apart = _APART_SHARE * further * (1.0 - self.rest) ** 2
        return np.array([(1.0 - apart) * (1.0 - further), apart, (1.0 - apart) * further])

    def _divided(self, draws: Sequence[int], random: np.random.Generator) -> _Division:
        """Divide the rest, with a number of draws for each of the views."""
        answers, apart, samples = draws
        parts = []
        if answers:
            parts.append(self._by_answers(answers, random))
        if apart:
            parts.append(_no_lumps(self._apart(apart, random)))
        if samples:
            parts.append(_no_lumps(self._by_samples(samples, random)))
        return _Division(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _by_samples(self, draws: int, random: np.random.Generator) -> Floats:
        k, total, rest = len(self.counts), int(self.counts.sum()), self.rest
        evidence = k * np.log(_GRID) + _rising(total)
        fine = random.random(draws) < _FINE_SHARE
        theta = _from_grid(_cautious, evidence, draws, random)
        theta = np.where(fine, _from_grid(_fine, evidence, draws, random), theta)
        phi = theta + fine * _FINE_MEAN * random.standard_exponential(draws)
        if rest == 1.0:
            return _split(_dirichlet(self.counts, theta, random), phi, random)
        # Wanted: the Dirichlet density of the masses known + rest w, with w the shares of the rest. Draw w
        # from a similar density, and choose one of several by the quotient of the two.
        more = self.counts - 1
        shape = np.asarray(1.0 + more * np.maximum(1.0 - self.known * total / self.counts, 0.0), float)
        drawn = _dirichlet(shape, np.repeat(theta, _PROPOSALS), random)
        w = np.maximum(drawn[:, :k], _NOTHING)
        logs = (more * np.log(self.known + rest * w) - (shape - 1.0) * np.log(w)).sum(axis=1)
        best = (logs + random.gumbel(size=len(logs))).reshape(draws, _PROPOSALS).argmax(axis=1)
        return _split(drawn[np.arange(draws) * _PROPOSALS + best], phi, random)

    def _by_answers(self, draws: int, random: np.random.Generator) -> _Division:
        rest, number = self.rest, int(self.different.sum())
        evidence = len(self.different) * np.log(_GRID) + _rising(number)
        cautious = random.random(draws) < rest  # the more mass is known, the more draws use the wide prior
        theta = _from_grid(_cautious, evidence, draws, random)
        theta = np.where(cautious, theta, _from_grid(_wide, evidence, draws, random))
        dust = _split(_dirichlet(self.different, theta, random), theta, random)
        lumps, places = np.zeros((draws, _LUMPS)), np.zeros((draws, _LUMPS), dtype=np.int64)
        evidence = number * np.log(_GRID) + _GRID * math.log(rest)
        lumpy = np.flatnonzero(random.random(draws) < 0.5)
        lumps[lumpy], _ = _sticks(_from_grid(_wide, evidence, len(lumpy), random), _LUMPS, random)
        ends = np.cumsum(dust[lumpy], axis=1)
        ends[:, -1] = 1.0
        places[lumpy] = (random.random((len(lumpy), _LUMPS))[:, :, None] > ends[:, None, :]).sum(axis=2)
        return _Division(dust, places, lumps)

    def _apart(self, draws: int, random: np.random.Generator) -> Floats:
        theta = _from_grid(_wide, np.zeros(len(_GRID)), draws, random)
        phi = theta + _APART_MEAN * random.standard_exponential(draws)
        return _split(_dirichlet(np.ones(len(self.counts)), theta, random), phi, random)


class _Division(NamedTuple):
    """How the rest is divided: shares of the meanings in its dust [draws, K + _STICKS], and the meaning and
    the size of each lump [draws, _LUMPS].
    """

    dust: Floats
    places: Ints
    lumps: Floats

    def whole(self) -> Floats:
        """Return the shares of the meanings in dust and lumps, float [draws, K + _STICKS]."""
        left = np.maximum(1.0 - self.lumps.sum(axis=1), 0.0)  # rounding can bring it below 0
        shares = left[:, None] * self.dust
        np.add.at(shares, (np.arange(len(shares))[:, None], self.places), self.lumps)
        return shares


def _no_lumps(dust: Floats) -> _Division:
    return _Division(dust, np.zeros((len(dust), _LUMPS), dtype=np.int64), np.zeros((len(dust), _LUMPS)))


def _dirichlet(evidence: Floats | Ints, theta: Floats, random: np.random.Generator) -> Floats:
    """Draw Dirichlet(evidence, theta): shares of the K seen meanings and of the unseen ones,
    float [draws, K + 1].
    """
    seen = random.standard_gamma(np.broadcast_to(evidence.astype(float), (len(theta), len(evidence))))
    weights = np.concatenate([seen, random.standard_gamma(theta)[:, None]], axis=1)
    shares: Floats = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _split(shares: Floats, phi: Floats, random: np.random.Generator) -> Floats:
    """Split the last share by sticks of Beta(1, phi): float [draws, K + _STICKS]."""
    pieces, left = _sticks(phi, _STICKS, random)
    pieces[:, -1] += left
    return np.concatenate([shares[:, :-1], shares[:, -1:] * pieces], axis=1)


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
        counts = np.bincount(ids)
        return MeaningPosterior(counts, np.zeros(len(counts)), counts)
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
    # A record of another tool may have one answer in two meanings: each meaning has an answer all the same
    different = np.maximum(np.bincount(ids[places], minlength=int(ids.max()) + 1), 1)
    # Rounding in half precision can bring the sum above 1
    return MeaningPosterior(np.bincount(ids), known / max(1.0, float(known.sum())), different)


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
