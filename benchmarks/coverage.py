"""What the intervals of the semantic entropies cover, how far the estimates lie from the truth: simulated.

`python -m benchmarks.coverage [repeats]` prints tables in Markdown: true probabilities of meanings, N answers
drawn from them and clustered without error, against the entropy over the true probabilities. No clock is
read: the same seed gives the same numbers on every machine.

Wordings: "one" gives each meaning one wording, so that a few answers hold most of the probability, as in
short answers; "five" gives it five of falling probability (1 / k^1.5), "twenty" twenty equal ones, as in long
answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

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


def estimates(
    meanings: np.ndarray, strings: np.ndarray, p: np.ndarray, seed: int
) -> Iterator[tuple[str, float, Interval]]:
    """Yield (name, estimate, 95 % interval) of each way to look at the same answers."""
    yield "counted", *of_posterior(posterior_of(meanings).entropies(seed=seed))
    yield "known", *of_posterior(posterior_of(meanings, p[strings], strings).entropies(seed=seed))
    logs = np.log(p[strings])
    intervals = bootstrap_intervals(meanings, logs, np.zeros((len(meanings),) * 2), resamples=400, seed=seed)
    yield "discrete", discrete_semantic_entropy(meanings), intervals["discrete_semantic_entropy"]
    yield "weighted", semantic_entropy(meanings, logs), intervals["semantic_entropy"]


def simulate(truth: list[float], wording: str, n: int, repeats: int) -> dict[str, tuple[float, ...]]:
    """Return {name: (bias, root mean square error, coverage, mean width)}."""
    shares = WORDINGS[wording] / WORDINGS[wording].sum()
    p = np.outer(truth, shares).ravel()
    p /= p.sum()
    meaning = np.repeat(np.arange(len(truth)), len(shares))
    true = entropy(np.array(truth))
    random = np.random.default_rng(0)
    found: dict[str, list[tuple[float, bool, float]]] = {}
    for k in range(repeats):
        strings = random.choice(len(p), n, p=p)
        for name, value, (low, high) in estimates(meaning[strings], strings, p, k):
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


def main(repeats: int) -> None:
    for wording in WORDINGS:
        for n in SIZES:
            for line in table(wording, n, repeats):
                print(line, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
