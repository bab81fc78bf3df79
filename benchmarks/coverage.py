"""What the intervals of the semantic entropies cover, how far the estimates lie from the truth: simulated.

`python -m benchmarks.coverage [repeats]` prints tables in Markdown: true probabilities of meanings, N answers
drawn from them and clustered without error, against the entropy over the true probabilities. No clock is
read: the same seed gives the same numbers on every machine.

Wordings: "one" gives each meaning one wording, so that a few answers hold most of the probability, as in
short answers; "five" gives it five of falling probability (1 / k^1.5), "twenty" twenty equal ones, as in long
answers.

The first tables are of chosen truths. The last one has the worst of many others of up to 10 meanings: random
ones, which the priors were not chosen by, and hard ones, where one meaning has nearly all of the probability
and the others share the rest, so that samples often agree. Below it is the bound of `best_of_counts`.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import numpy as np
from scipy.special import gammaln

from isi_widget.uncertainty.bootstrap import Interval, bootstrap_intervals, percentile_interval
from isi_widget.uncertainty.entropy import discrete_semantic_entropy, semantic_entropy
from isi_widget.uncertainty.posterior import posterior_of

HALVES = [0.5**k for k in range(10)]
TRUTHS: dict[str, list[float]] = {
    ".98, .02": [0.98, 0.02],
    ".9, .1": [0.9, 0.1],
    ".7, .3": [0.7, 0.3],
    ".5, .5": [0.5, 0.5],
    ".6, .3, .1": [0.6, 0.3, 0.1],
    "3 equal": [1 / 3] * 3,
    ".7, 3 of .1": [0.7, 0.1, 0.1, 0.1],
    ".8, 4 of .05": [0.8] + [0.05] * 4,
    ".5, 5 of .1": [0.5] + [0.1] * 5,
    "4 equal": [1 / 4] * 4,
    "7 equal": [1 / 7] * 7,
    "10, each half as likely": [p / sum(HALVES) for p in HALVES],
    "10 equal": [1 / 10] * 10,
    ".91, 9 of .01": [0.91] + [0.01] * 9,
    "20 equal": [1 / 20] * 20,
}
WORDINGS = {
    "one": np.ones(1),
    "five": np.arange(1, 6) ** -1.5,
    "twenty": np.ones(20),
}
SIZES = (5, 10, 20)


def entropy(p: np.ndarray) -> float:
    return float(-(p * np.log(p)).sum())


def of_posterior(draws: np.ndarray) -> tuple[float, Interval]:
    return float(np.median(draws)), percentile_interval(draws, 0.95)


#: Sampled answers without their order: for each meaning, the (probability, number) of each of its strings.
#: Equal sets give equal estimates, so each is measured once.
Sampled = tuple[tuple[tuple[float, int], ...], ...]


def sampled(meanings: np.ndarray, strings: np.ndarray, p: np.ndarray) -> Sampled:
    of: dict[int, Counter[int]] = {}
    for meaning, string in zip(meanings.tolist(), strings.tolist(), strict=True):
        of.setdefault(meaning, Counter())[string] += 1
    return tuple(
        sorted(tuple(sorted((round(float(p[s]), 12), c) for s, c in found.items())) for found in of.values())
    )


def answers(found: Sampled) -> tuple[list[int], list[float], list[int]]:
    """Return the meaning, the probability and the string of each answer."""
    strings = [(k, chance, count) for k, own in enumerate(found) for chance, count in own]
    rows = [(k, chance, s) for s, (k, chance, count) in enumerate(strings) for _ in range(count)]
    ids, chances, numbers = zip(*rows, strict=True)
    return list(ids), list(chances), list(numbers)


@cache
def counted(counts: tuple[int, ...]) -> tuple[float, Interval]:
    return of_posterior(posterior_of(np.repeat(np.arange(len(counts)), counts)).entropies())


@cache
def known(found: Sampled) -> tuple[float, Interval]:
    ids, chances, strings = answers(found)
    return of_posterior(posterior_of(ids, chances, strings).entropies())


def leading(found: Sampled) -> Iterator[tuple[str, float, Interval]]:
    """Yield (name, estimate, 95 % interval) of the leading entropy without and with probabilities."""
    yield "counted", *counted(tuple(sorted(sum(count for _, count in own) for own in found)))
    yield "known", *known(found)


@cache
def usual(found: Sampled) -> tuple[tuple[str, float, Interval], ...]:
    """Return the same for the entropies of the sampled answers, with bootstrap intervals."""
    ids, chances, _ = answers(found)
    logs = np.log(chances)
    intervals = bootstrap_intervals(ids, logs, np.zeros((len(ids),) * 2), resamples=400)
    return (
        ("discrete", discrete_semantic_entropy(ids), intervals["discrete_semantic_entropy"]),
        ("weighted", semantic_entropy(ids, logs), intervals["semantic_entropy"]),
    )


Way = Callable[[Sampled], Iterable[tuple[str, float, Interval]]]


def simulate(
    truth: list[float], wording: str, n: int, repeats: int, ways: Sequence[Way] = (leading, usual)
) -> dict[str, tuple[float, ...]]:
    """Return {name: (bias, root mean square error, coverage, mean width)}."""
    shares = WORDINGS[wording] / WORDINGS[wording].sum()
    p = np.outer(truth, shares).ravel()
    p /= p.sum()
    meaning = np.repeat(np.arange(len(truth)), len(shares))
    true = entropy(np.array(truth))
    random = np.random.default_rng(0)
    found: dict[str, list[tuple[float, bool, float]]] = {}
    for _ in range(repeats):
        strings = random.choice(len(p), n, p=p)
        answers_ = sampled(meaning[strings], strings, p)
        for name, value, (low, high) in (row for way in ways for row in way(answers_)):
            row = (value - true, low - 1e-9 <= true <= high + 1e-9, high - low)
            found.setdefault(name, []).append(row)
    result = {}
    for name, rows in found.items():
        errors, covered, widths = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
        result[name] = (errors.mean(), np.sqrt((errors**2).mean()), covered.mean(), widths.mean())
    return result


def table(wording: str, n: int, repeats: int) -> Iterator[str]:
    yield f"{n} answers, wordings of each meaning: {wording}; {repeats} repeats"
    yield ""
    yield (
        "| true p | entropy | bias: known, counted, discrete, likelihood-weighted | error / that of the "
        "discrete: known, counted | 95 % interval covers: known, counted, discrete, likelihood-weighted | "
        "mean width: known, counted |"
    )
    yield "|---|---|---|---|---|---|"
    for name, truth in TRUTHS.items():
        found = simulate(truth, wording, n, repeats)
        both, every = ("known", "counted"), ("known", "counted", "discrete", "weighted")
        reference = found["discrete"][1] or float("nan")
        cells = (
            ", ".join(f"{found[way][0]:+.2f}" for way in every),
            ", ".join(f"{found[way][1] / reference:.2f}" for way in both),
            ", ".join(f"{found[way][2]:.2f}" for way in every),
            ", ".join(f"{found[way][3]:.2f}" for way in both),
        )
        yield f"| {name} | {entropy(np.array(truth)):.2f} | {' | '.join(cells)} |"
    yield ""


def others() -> Iterator[tuple[str, list[list[float]]]]:
    """Yield the names of two kinds of further truths, up to 10 meanings, and the truths."""
    random = np.random.default_rng(1)
    drawn = []
    for _ in range(40):
        p = random.dirichlet(np.full(random.integers(2, 11), random.choice([0.2, 0.5, 1.0, 3.0])))
        drawn.append((np.maximum(p, 1e-4) / np.maximum(p, 1e-4).sum()).tolist())
    yield "random", drawn
    largest, numbers = (0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.95, 0.98), (1, 2, 4, 6, 9)
    yield "one large", [[p, *[(1 - p) / k] * k] for p in largest for k in numbers]


def worst(repeats: int) -> Iterator[str]:
    yield f"The lowest coverage, and the largest bias, over other truths; {repeats} repeats of each"
    yield ""
    yield "| truths | wordings | N | 95 % interval covers: known, counted | bias: known, counted |"
    yield "|---|---|---|---|---|"
    for name, truths in others():
        for wording in WORDINGS:
            for n in SIZES:
                found = [simulate(truth, wording, n, repeats, (leading,)) for truth in truths]
                covers = ", ".join(f"{min(row[way][2] for row in found):.2f}" for way in ("known", "counted"))
                bias = ", ".join(
                    f"{max((row[way][0] for row in found), key=abs):+.2f}" for way in ("known", "counted")
                )
                yield f"| {len(truths)} {name} | {wording} | {n} | {covers} | {bias} |"
    yield ""


def best_of_counts(n: int, rounds: int = 20_000) -> float:
    """Compute what no estimate from the counts of n answers can do better: a lower bound on its worst error,
    as a multiple of that of the discrete entropy, over the chosen truths of up to 10 meanings.

    The estimate that is best on average over weighted truths is their mean given the counts. The largest of
    these averages is the minimax (von Neumann); multiplicative weights find it (Freund & Schapire 1999).
    """
    truths = [np.array(p) for p in TRUTHS.values() if len(p) <= 10]
    entropies = np.array([entropy(p) for p in truths])
    index: dict[tuple[int, ...], int] = {}
    chances: list[dict[int, float]] = []
    for p in truths:
        counts = np.array(list(_compositions(n, len(p))))
        logs = gammaln(n + 1) - gammaln(counts + 1).sum(axis=1) + (counts * np.log(p)).sum(axis=1)
        of: dict[int, float] = {}
        for row, chance in zip(-np.sort(-counts, axis=1), np.exp(logs), strict=True):
            place = index.setdefault(tuple(int(c) for c in row if c), len(index))
            of[place] = of.get(place, 0.0) + float(chance)
        chances.append(of)
    likelihood = np.array([[of.get(k, 0.0) for k in range(len(index))] for of in chances])
    plug = np.array([entropy(np.array(counts) / n) for counts in index])
    reference = ((plug - entropies[:, None]) ** 2 * likelihood).sum(axis=1)
    weights, bound = np.full(len(truths), 1 / len(truths)), 0.0
    for step in range(rounds):
        w = weights / reference
        estimate = (w * entropies) @ likelihood / np.maximum(w @ likelihood, 1e-300)
        ratios = ((estimate - entropies[:, None]) ** 2 * likelihood).sum(axis=1) / reference
        bound = max(bound, float(weights @ ratios))
        weights = weights * np.exp(0.5 / math.sqrt(1 + step / 20) * (ratios - ratios.mean()))
        weights /= weights.sum()
    return math.sqrt(bound)


def _compositions(n: int, k: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to count n answers in k meanings."""
    if k == 1:
        yield (n,)
        return
    for first in range(n + 1):
        for others_ in _compositions(n - first, k - 1):
            yield (first, *others_)


def main(repeats: int) -> None:
    for wording in WORDINGS:
        for n in SIZES:
            for line in table(wording, n, repeats):
                print(line, flush=True)
    for line in worst(max(100, repeats // 3)):
        print(line, flush=True)
    bound = best_of_counts(10)
    print("From the counts of 10 answers, the worst error / that of the discrete is at least")
    print(f"{bound:.2f}, whatever the estimate.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
