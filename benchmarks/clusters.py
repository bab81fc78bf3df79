"""What the clusters of sampled answers hang on, with the embedded models: the figures of docs/uncertainty.md.

`python -m benchmarks.clusters` prints them. The 100 rendered scenes with their questions, every second image
(the odd ones) with Gaussian noise (sigma 0.3, seed = number of the scene); ten samples each at temperature
1.5, seed 0. No clock is read: the same weights and versions give the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt

import isi_widget as isi
from isi_widget.uncertainty import Uncertainty, load_entailment, uncertainty_of

SCENES = 100
RESAMPLES = 10  # bootstrap resamples of the intervals, which are not used here


def ranks(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Rank of each value, equal ones sharing their mean rank."""
    _, place, counts = np.unique(np.asarray(values).round(9), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: npt.NDArray[np.float64] = (last - (counts - 1) / 2)[place]
    return means


def rank_correlation(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Return spearman's, with ties."""
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def measured() -> dict[str, list[Uncertainty]]:
    """Return the uncertainties of all scenes by rule, and by the default rule with the answers read alone."""
    vlm, judge = isi.load_vlm(), load_entailment()
    scenes = isi.datasets.scenes()
    found: dict[str, list[Uncertainty]] = {"strict": [], "non-strict": [], "alone": []}
    for number in range(SCENES):
        stimulus = scenes[number].stimulus()
        if number % 2:
            stimulus = stimulus.noise(0.3, seed=number)
        answers = vlm.sample(stimulus, 10, temperature=1.5, seed=0)
        of = partial(uncertainty_of, answers, stimulus.current_question, judge, resamples=RESAMPLES)
        found["strict"].append(of(strict=True))
        found["non-strict"].append(of())
        found["alone"].append(of(prepend_question=False))
    return found


def report(found: Mapping[str, list[Uncertainty]]) -> list[str]:
    """Return the figures as lines."""
    usual = found["non-strict"]
    differ = sum(
        a.number_of_clusters != b.number_of_clusters for a, b in zip(usual, found["alone"], strict=True)
    )
    lines = [f"prepend_question=False changes the number of clusters in {differ} of {len(usual)} trials"]
    for rule in ("strict", "non-strict"):
        orders = [u.order for u in found[rule]]
        lines.append(
            f"{rule}: clusters depend on the order in {sum(o.changed > 0 for o in orders)} of {len(orders)}, "
            f"in up to {max(o.changed for o in orders):.0%} of the orders, "
            f"by up to {max(o.entropy_high - o.entropy_low for o in orders):.2f} nats"
        )
    lead = [u.discrete_semantic_entropy for u in usual]
    for name in usual[0].graph_measures:
        lines.append(
            f"rank correlation of discrete semantic entropy and {name}: "
            f"{rank_correlation(lead, [u.graph_measures[name] for u in usual]):.2f}"
        )
    return lines


if __name__ == "__main__":
    print("\n".join(report(measured())))
