"""Statistics over 10^6 rows of a study: 20,000 observations x 10 conditions x 5 seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.timing import Row, repeat, report
from isi_widget.study import statistics
from isi_widget.uncertainty.bootstrap import NAMES

OBSERVATIONS, CONDITIONS, SEEDS = 20_000, 10, 5


def made() -> pd.DataFrame:
    """Return rows with yes/no truths, one probability and five entropies, drawn by chance."""
    index, condition, seed = (part.ravel() for part in np.indices((OBSERVATIONS, CONDITIONS, SEEDS)))
    random, n = np.random.default_rng(0), len(index)
    ease = random.random(OBSERVATIONS)[index]
    probability = np.clip(ease + random.normal(0, 0.1, n) - 0.02 * condition, 0.01, 0.99)
    correct = random.random(n) < probability
    truth = np.where(index % 2 == 0, "Yes", "No")
    names = np.array(["plain", *(f"noise sigma={i / 10}" for i in range(1, CONDITIONS))], dtype=object)
    frame = pd.DataFrame(
        {
            "row": np.arange(n),
            "model": "model",
            "condition": names[condition],
            "group": np.where(condition == 0, "", "noise"),
            "parameter": np.where(condition == 0, None, "sigma"),
            "level": np.where(condition == 0, np.nan, condition / 10),
            "parameters": "{}",
            "index": index,
            "semantic_level": "object",
            "seed": seed,
            "truth": truth,
            "truth_holds": True,
            "answer": np.where(correct, truth, np.where(truth == "Yes", "No", "Yes")),
            "correct": correct.astype(object),
            "unjudged": None,
            "error": None,
            "answer_probability": probability,
        }
    )
    frame.loc[random.random(n) < 0.01, "correct"] = None
    for name in NAMES:
        frame[name] = np.exp(random.normal(size=n) - probability)
    return frame


def rows(repeats: int = 3) -> list[Row]:
    frame = made()
    ways = {
        "paired: accuracy and an entropy": (lambda _: statistics.paired(frame, "plain"), 10.0),
        "paired: seven measures": (lambda _: statistics.paired(frame, "plain", "all"), 10.0),
        "table: accuracy, baselines, six measures": (lambda _: statistics.table(frame), None),
        "auroc of six uncertainties": (lambda _: statistics.auroc(frame), None),
        "calibration": (lambda _: statistics.calibration(frame, "answer_probability"), None),
        "curves": (lambda _: statistics.curves(frame), None),
    }
    return [
        Row(f"{name}, {len(frame):,} rows", repeat(way, repeats, warm_up=0), target=target)
        for name, (way, target) in ways.items()
    ]


if __name__ == "__main__":
    report(rows())
