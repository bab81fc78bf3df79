"""What V-SEAM says of attention heads, tested claim by claim on the embedded model; result in docs/inside.md.

    python -m benchmarks.claims [FOLDER]

About three minutes of processor time. Heads are measured on 100 hard scenes of things (validation split) and
tested on the other 100; scans are kept in a folder that may be named: the command goes on where it was
stopped.
Agreement of estimates with exact drops: over scenes that were used to choose the scheme, and others.
Source of the claims: Wang, Hu & Jiang, V-SEAM, EMNLP 2025.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import isi_widget as isi

KS = (1, 2, 4, 8)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's rank correlation of two matrices without ties."""
    ranks = [values.ravel().argsort().argsort() for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


def estimates(vlm: isi.vlm.VLM, folder: Path) -> None:
    """Print how well estimates agree with exact drops."""
    sets = {
        "things, the first 40": isi.datasets.things()[:40],
        "scenes, validation, the first 40": isi.datasets.scenes("validation")[:40],
        "scenes (32 of them chose the scheme)": isi.datasets.scenes(),
    }
    for number, (name, data) in enumerate(sets.items()):
        found = {
            method: isi.measure_heads(
                vlm, data, method=method, check=0, totals=False, store=folder / f"{number}-{method}.jsonl"
            ).signed
            for method in ("exact", "integrated", "gradient")
        }
        rho = {
            method: rank_correlation(found["exact"], found[method]) for method in ("integrated", "gradient")
        }
        print(name, {method: round(value, 3) for method, value in rho.items()}, flush=True)


def claims(vlm: isi.vlm.VLM, folder: Path) -> None:
    """Print each claim's numbers."""
    hard = [obs for obs in isi.datasets.things("validation") if obs.metadata["difficulty"] == "hard"]
    measured, tested = hard[:100], hard[100:]
    heads = isi.measure_heads(vlm, measured, store=folder / "heads.jsonl")
    print("accuracy", heads.accuracy, {name: heads.level(name).accuracy for name in heads.level_names})
    print(*heads.top(5), *heads.top(3, "negative"), heads.layer_totals, sep="\n", flush=True)
    for k in (3, 5):
        overlap = isi.head_overlap(heads, k=k)
        print(overlap.to_frame().round(3).to_string(), *overlap.notes, sep="\n", flush=True)
    curves = isi.head_ablation(vlm, tested, heads, ks=KS, random=10, store=folder / "ablation.jsonl")
    print(curves.to_frame().round(3).to_string())
    for kind in ("positive", "negative"):
        for measure in ("p", "accuracy"):
            print(kind, measure, curves.beyond_random(kind, measure), flush=True)
    print(*curves.notes, sep="\n")
    for method in ("contributions", "gradient"):
        given = {"contributions": heads} if method == "contributions" else {"epochs": 3}
        fit = isi.fit_gates(
            vlm, measured, tested[:40], tested[40:], method=method, store=folder / f"{method}.jsonl", **given
        )
        print(method, fit.chosen, fit.verdict, "beyond random", fit.beyond_random(), sep="\n", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    kept = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    kept.mkdir(parents=True, exist_ok=True)
    model = isi.load_vlm()
    claims(model, kept)
    estimates(model, kept)
