"""Causal tracing of a mid-size LLaVA against a loop of whole patched forward passes, in processor time.

The naive loop encodes the picture once, reads the clean states once, and runs one forward pass for each layer
and group of tokens, with a plain hook that puts the clean states in place. Embedded model: one trace, one
lens and one knock-out curve, as the page runs them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

import isi_widget as isi
from benchmarks import midsize
from benchmarks.timing import Row, report
from isi_widget.stimulus import Stimulus
from isi_widget.vlm import VLM
from isi_widget.vlm.inside import sites
from isi_widget.vlm.inside.hooks import hooked

GROUPS = ("image", "question", "last")
TOKENS = 636


def model() -> VLM:
    """Return the model to trace: 8 layers x 8 heads, 512 wide, 576 image tokens; random weights, float32."""
    embedded = isi.load_vlm()
    config = midsize.config(embedded, seven_billion=False)
    config.text_config.hidden_size, config.text_config.num_attention_heads = 512, 8
    config.text_config.num_key_value_heads = 8
    config.text_config.head_dim, config.text_config.intermediate_size = 64, 1376
    torch.manual_seed(0)
    made = midsize.LlavaForConditionalGeneration(config).eval()
    return VLM(made, midsize.processor(embedded), model_id="random")


def naive(vlm: VLM, pair: isi.Pair) -> torch.Tensor:
    """Return the logits [layers, groups, vocabulary] of whole patched forward passes."""
    layers = sites(vlm.model, vlm.family).layers
    prompts = [vlm.encode(pair.clean), vlm.encode(pair.corrupt)]
    prompt, inputs = prompts[1], []
    for one in prompts:
        given = vlm.image_features.inputs(one)
        inputs.append({"input_ids": one.input_ids, **given, "use_cache": False, "logits_to_keep": 1})
    kept: list[torch.Tensor] = []
    found = []
    with torch.no_grad():
        with hooked(*((layer, "input", lambda _, states: kept.append(states)) for layer in layers)):
            vlm.model(**inputs[0])
        for at, layer in enumerate(layers):
            for group in GROUPS:
                rows = [len(prompt) - 1] if group == "last" else list(prompt.indices(group))

                def put(
                    _: object, states: torch.Tensor, at: int = at, rows: list[int] = rows
                ) -> torch.Tensor:
                    changed = states.clone()
                    changed[:, rows] = kept[at][:, rows]
                    return changed

                with hooked((layer, "input", put)):
                    found.append(vlm.model(**inputs[1]).logits[0, -1])
    return torch.stack(found).reshape(len(layers), len(GROUPS), -1)


def processor_time(call: Callable[[], object]) -> float:
    """Return seconds of processor time of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def rows(repeats: int = 5) -> list[Row]:
    """Return processor times, and their ratios to the naive loop, run in turn."""
    torch.set_num_threads(1)
    vlm = model()
    clean = midsize.stimulus(vlm, TOKENS)
    pair = isi.Pair(*(_answered(item, word) for item, word in ((clean, "Yes"), (clean.noise(0.3), "No"))))
    ways: dict[str, Callable[[], object]] = {
        "naive": lambda: naive(vlm, pair),
        "trace": lambda: isi.trace(vlm, pair, sites="residual", groups=GROUPS, least=0.0),
        "image": lambda: isi.trace(vlm, pair, sites="residual", groups="image", least=0.0),
    }
    for way in ways.values():
        way()  # the picture is encoded
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            times[name].append(processor_time(way))
    ratio = tuple(a / b for a, b in zip(times["trace"], times["naive"], strict=True))
    layers = len(sites(vlm.model, vlm.family).layers)
    found = [
        Row(f"naive loop of {layers * len(GROUPS)} patched forward passes, mid LLaVA", tuple(times["naive"])),
        Row(f"trace, residual, {layers} layers x {len(GROUPS)} groups / naive loop", ratio, "ratio", 0.52),
        Row(f"trace, residual, {layers} layers x image alone", tuple(times["image"])),
    ]
    return found + _embedded(repeats)


def _answered(stimulus: Stimulus, answer: str) -> isi.Observation:
    """Return what a stimulus shows with a true answer: random weights give every picture the same one."""
    texts = stimulus.current_question, stimulus.current_context
    return isi.Observation(stimulus.render(), *texts, answer=answer)


def _embedded(repeats: int) -> list[Row]:
    vlm, scene = isi.load_vlm(), isi.datasets.scenes()[3]
    pair = scene.counterfactual("object")
    calls: dict[str, Callable[[], object]] = {
        "embedded model: trace of a pair, 3 sites": lambda: isi.trace(vlm, pair),
        "embedded model: the same with 4 random controls": lambda: isi.trace(vlm, pair, controls=4),
        "embedded model: logit lens, all image tokens": lambda: isi.logit_lens(vlm, scene),
        "embedded model: knock-out curve, 3 cuts": lambda: isi.knockout_curve(vlm, scene),
    }
    found = []
    for name, call in calls.items():
        call()
        found.append(Row(name, tuple(processor_time(call) for _ in range(repeats)), target=1.0))
    return found


if __name__ == "__main__":
    report(rows())
