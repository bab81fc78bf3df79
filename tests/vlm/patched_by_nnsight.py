"""Activation patching by nnsight, for `test_mechanism_oracles`: python patched_by_nnsight.py FOLDER.

A program of its own because importing nnsight changes the whole process: every object gets a method `save`,
and `Tensor.backward` is replaced. Nothing is taken from `isi_widget.vlm.inside` or `isi_widget.mechanism`.
It writes FAMILY.pt: {"clean" | "corrupt" | (site, layer, group): logits of the last prompt token}, where the
activations of the clean prompt are put into the pass over the corrupt one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tiny_models
import torch
from test_families import plain_inputs
from tiny_models import Shown

FAMILIES = ("llava", "qwen2_vl", "gemma3")
SITES, LAYERS, GROUPS = ("residual", "attention", "mlp"), range(3), ("image", "question", "last")
#: Two pictures of one size under the same texts.
CLEAN, CORRUPT = (Shown(current_context="The star is red.", size=(90, 40), seed=seed) for seed in (0, 1))


def envoy(traced, site, layer):
    """nnsight's handle of a module, and whether its input or its output is meant."""
    module = traced.model.language_model.layers[layer]
    return {"residual": module, "attention": module.self_attn, "mlp": module.mlp}[site]


def run(traced, inputs, site, layer, places=None, values=None):
    """States at a site, and the logits; with `values` the states of some places are those."""
    import nnsight

    with torch.no_grad(), traced.trace(**inputs):
        module = envoy(traced, site, layer)
        if site == "residual":
            states = module.input
        else:
            states = module.output[0] if site == "attention" else module.output
        kept = nnsight.save(states.clone())
        if values is not None:
            states[:, places] = values[:, places]
        logits = nnsight.save(traced.output.logits[0, -1].clone())
    return kept, logits


def patched(vlm):
    """Return the logits of every case."""
    import nnsight

    traced = nnsight.NNsight(vlm.model)
    prompt = vlm.encode(CORRUPT)
    groups = {name: list(prompt.indices(name)) for name in ("image", "question")} | {
        "last": [len(prompt) - 1]
    }
    inputs = {shown: plain_inputs(vlm, shown) for shown in (CLEAN, CORRUPT)}
    found = {}
    for site in SITES:
        for layer in LAYERS:
            states, found["clean"] = run(traced, inputs[CLEAN], site, layer)
            _, found["corrupt"] = run(traced, inputs[CORRUPT], site, layer)
            for group in GROUPS:
                found[site, layer, group] = run(traced, inputs[CORRUPT], site, layer, groups[group], states)[
                    1
                ]
    return found


def main(folder):
    """Write all families."""
    for family in FAMILIES:
        vlm = tiny_models.VLM(*tiny_models.BUILDERS[family](), model_id="traced")
        torch.save(patched(vlm), folder / f"{family}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
