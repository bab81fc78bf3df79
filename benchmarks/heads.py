"""Scans of attention heads against a naive loop of plain hooks: the whole language model for each head.

Processor time of one thread: other programs on the machine hardly change the ratios. The naive loop has the
picture encoded once, as the scan has. Targets are those of the design.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

import isi_widget as isi
from benchmarks import midsize
from benchmarks.timing import Row, report
from isi_widget.vlm import VLM
from isi_widget.vlm.inside import sites
from isi_widget.vlm.inside.hooks import hooked

TOKENS = 636
K = 8


def cpu(function: Callable[[], object]) -> float:
    """Return seconds of processor time of a call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def naive(vlm: VLM, stimulus: isi.Stimulus) -> None:
    """Replace each head by the mean of the others of its layer, in a forward pass of its own."""
    found = sites(vlm.model, vlm.family)
    prompt = vlm.encode(stimulus)
    inputs = {"input_ids": prompt.input_ids, **vlm.image_features.inputs(prompt)}
    for layer in range(len(found.layers)):
        for head in range(found.heads):

            def hook(_: object, states: torch.Tensor, head: int = head) -> torch.Tensor:
                wide = states.unflatten(-1, (found.heads, -1)).clone()
                wide[:, :, head] = (wide.sum(dim=2) - wide[:, :, head]) / (found.heads - 1)
                return wide.flatten(2)

            with torch.no_grad(), hooked((found.o_proj(layer), "input", hook)):
                vlm.model(**inputs, use_cache=False, logits_to_keep=1)


def rows(repeats: int = 3) -> list[Row]:
    """Return the processor time of each method over that of the naive loop, and of the embedded model."""
    torch.set_num_threads(1)
    embedded = isi.load_vlm()
    vlm = midsize.eight_by_eight(embedded)
    stimulus = midsize.stimulus(vlm, TOKENS)
    vlm.prefill(stimulus)

    def scan(**settings: object) -> isi.HeadContributions:
        return isi.measure_heads(vlm, [(stimulus, "Yes")], check=0, **settings)  # type: ignore[arg-type]

    ways = {
        "exact, all heads": ({"totals": False}, 0.48),
        "exact, all heads and whole layers": ({}, None),
        "integrated, 8 gradients": ({"method": "integrated"}, 0.25),
        f"screened, {K} of 64 heads": ({"method": "screened", "k": K}, 0.12),
        "one gradient": ({"method": "gradient"}, 0.04),
        "exact, last position": ({"positions": "last", "totals": False}, 0.03),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats):
        loop = cpu(lambda: naive(vlm, stimulus))
        for name, (settings, _) in ways.items():
            if repeat == 0:
                scan(**{**settings, "positions": "last"})  # warm up, at little cost
            times[name].append(cpu(lambda settings=settings: scan(**settings)) / loop)
    found = [
        Row(f"{name} / naive loop, mid LLaVA 8 x 8", tuple(times[name]), "ratio", target)
        for name, (_, target) in ways.items()
    ]
    return found + of_embedded(embedded)


def of_embedded(vlm: VLM) -> list[Row]:
    """Return times and agreement of scans of the embedded model over its 100 scenes."""
    scenes = list(isi.datasets.scenes())
    for scene in scenes:
        scene.stimulus().render()  # drawn before
    seconds: dict[str, float] = {}
    results: dict[str, isi.HeadContributions] = {}
    for method in ("exact", "integrated", "gradient"):
        if method == "gradient":
            seconds["again"] = cpu(lambda: isi.measure_heads(vlm, scenes, "p", method="gradient", check=0))
        vlm.image_features.clear()
        seconds[method] = cpu(
            lambda method=method: results.update(
                {method: isi.measure_heads(vlm, scenes, method=method, check=0, totals=False)}
            )
        )
    screened = isi.measure_heads(vlm, scenes, method="screened", k=K, check=len(scenes))
    from isi_widget.mechanism.head_methods import rank_correlation

    exact = results["exact"].signed
    agreement = {name: rank_correlation(results[name].signed, exact) for name in ("integrated", "gradient")}
    return [
        Row("embedded model, 100 scenes, exact", (seconds["exact"],), "s", 20.0),
        Row("embedded model, 100 scenes, integrated", (seconds["integrated"],), "s"),
        Row("embedded model, 100 scenes, one gradient", (seconds["gradient"],), "s", 3.0),
        Row(
            "embedded model, 100 scenes, one gradient, pictures encoded by a scan before", (seconds["again"],)
        ),
        Row("1 - rank correlation of integrated with exact", (1 - agreement["integrated"],), "ratio", 0.1),
        Row("1 - rank correlation of one gradient with exact", (1 - agreement["gradient"],), "ratio"),
        Row(f"1 - recall of the true top {K} by screening", (1 - screened.agreement["recall"],), "ratio"),
    ]


if __name__ == "__main__":
    report(rows())
