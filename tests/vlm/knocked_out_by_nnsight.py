"""Knock-outs by nnsight, for `test_inside_oracles`: python knocked_out_by_nnsight.py FOLDER.

A program of its own because importing nnsight changes the whole process: every object gets a method `save`,
and `Tensor.backward` is replaced. Nothing is taken from `isi_widget.vlm.inside`. For each case of `CASES` it
writes FAMILY-NUMBER.pt: the logits of the last prompt token.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tiny_models
import torch
from test_families import SHOWN, plain_inputs

FAMILIES = ("llava", "qwen2_vl", "gemma3")
#: queries, keys, layers, heads, as `Knockout` takes them.
CASES = (
    ("question", "image", (0, 2), (1, 3)),
    ("last", "question", (1,), None),
    ("image", "image", (1,), (0,)),
)


def knocked_out(vlm, queries, keys, layers, heads):
    """The softmax of each layer is replaced by one without the cut weights, whose rows sum to 1 again."""
    import nnsight

    prompt, inputs = vlm.encode(SHOWN), plain_inputs(vlm, SHOWN)
    rows = [len(prompt) - 1] if queries == "last" else list(prompt.indices(queries))
    columns = list(prompt.indices(keys))
    cut = torch.zeros(1, vlm.model.config.text_config.num_attention_heads, len(prompt), len(prompt))
    chosen = range(cut.shape[1]) if heads is None else heads
    cut[:, torch.tensor(chosen)[:, None, None], torch.tensor(rows)[:, None], torch.tensor(columns)] = 1
    traced = nnsight.NNsight(vlm.model)
    with torch.no_grad(), traced.trace(**inputs):
        for layer in layers:
            attention = traced.model.language_model.layers[layer].self_attn.source.attention_interface_1
            softmax = attention.source.nn_functional_softmax_0
            left = softmax.output * (1 - cut)
            softmax.output = left / left.sum(-1, keepdim=True).clamp(min=1e-30)
        logits = nnsight.save(traced.output.logits[0, -1])
    return logits


def main(folder):
    """Write all cases."""
    for family in FAMILIES:
        for number, case in enumerate(CASES):
            vlm = tiny_models.VLM(*tiny_models.BUILDERS[family](), model_id="traced")
            vlm.model.set_attn_implementation({"text_config": "eager"})
            torch.save(knocked_out(vlm, *case), folder / f"{family}-{number}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
