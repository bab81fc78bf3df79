"""Training of the embedded entailment model: `python -m isi_widget.training entailment`.

The extra heads (`entailment_model`) are trained at a high rate until 60 % of the steps; then their weight
decreases to 0, and the rate decreases to the end. After a quarter of the steps, the slowest pairs to learn
(relations and general / specific) are drawn more often. About half an hour on one core. Seeded: batches
depend on (seed, step), and a checkpoint holds everything else, so that an interrupted run continues exactly.
Evaluation: `entailment_eval`.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from isi_widget.training.entailment_attention import use_fast_attention
from isi_widget.training.entailment_data import (
    FINAL_WEIGHTS,
    LATER_WEIGHTS,
    NATURAL,
    PAIR_KINDS,
    QUESTION_KINDS,
    SHAPE_PAIR_KINDS,
    THING_PAIR_KINDS,
    THING_WEIGHTS,
    WEIGHTS,
    Pair,
    draw_pairs,
)
from isi_widget.training.entailment_model import (
    Network,
    build_tokenizer,
    encode,
    heads_loss,
    start_from,
    targets,
)
from isi_widget.training.entailment_objects import Draw

BATCH = 128  # pairs per batch; half of it later
EARLY, FINAL = 0.2, 0.65  # shares of the steps: first mixture of kinds and large batches; last mixture
POOL = 12  # batches that are drawn together and sorted by length
CHECKPOINT = 400  # steps between checkpoints and validations
VALIDATION = 60  # pairs of each kind
THINGS = 0.5  # share of questions about everyday things; the others are about shapes
LATER = 0.4  # share of the steps at which a training from an exported model starts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the training command."""
    parser.add_argument(
        "--output", type=Path, default=Path("runs/entailment"), help="folder of checkpoints, log and result"
    )
    parser.add_argument("--steps", type=int, default=8000, help="optimiser steps")
    parser.add_argument(
        "--stop", type=int, default=None, help="step at which to stop and export; rates are those of --steps"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", type=Path, default=None, help="folder of an exported model to go on from")
    parser.add_argument(
        "--begin", type=float, default=LATER, help="with --start: share of the steps that count as done"
    )
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")


def run(arguments: argparse.Namespace) -> None:
    """Train, or continue an interrupted training, and export to <output>/model."""
    train(
        arguments.output,
        arguments.steps,
        arguments.seed,
        arguments.threads,
        arguments.rate,
        arguments.start,
        arguments.begin,
        arguments.stop,
    )


def train(
    folder: Path,
    steps: int,
    seed: int = 0,
    threads: int = 1,
    rate: float = 1e-3,
    start: Path | None = None,
    begin: float = LATER,
    stop: int | None = None,
) -> Path:
    """Train to `steps` or only to the step `stop`, from scratch or from the exported model `start` at the
    share `begin` of the steps, and export; returns the folder of the exported model.
    """
    torch.set_num_threads(threads)
    _keep_memory()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(seed)
    network = Network(len(tokenizer), seed)
    use_fast_attention(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    checkpoint, first = folder / "checkpoint.pt", 0
    if start is not None:
        start_from(network, tokenizer, start)
        first = int(begin * steps)
    begun = first
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if (state["steps"], state["seed"], state["words"]) != (steps, seed, len(tokenizer)):
            raise SystemExit(
                f"{checkpoint} is of another run (steps, seed or vocabulary differ); choose another --output."
            )
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    validation = {kind: draw_validation(kind, VALIDATION) for kind in PAIR_KINDS}
    validation |= {f"natural {kind}": draw_validation(kind, VALIDATION, 1.0) for kind in QUESTION_KINDS}
    log = (folder / "log.jsonl").open("a", encoding="utf-8")
    if not log.tell():
        log.write(json.dumps({"begun": begun}) + "\n")
    started, since = time.perf_counter(), {"loss": 0.0, "heads": 0.0, "right": 0.0, "steps": 0.0}
    last = min(steps, stop or steps)
    for step, pairs in batches(seed, first, steps):
        if step >= last:
            break
        share = step / steps
        learning, extra = rate * learning_rate(share, step - begun), heads_weight(share)
        for group in optimiser.param_groups:
            group["lr"] = learning
        with torch.autocast("cpu", torch.bfloat16):
            relation, heads = (out.float() for out in network(encode(tokenizer, pairs)))
        labels = torch.tensor([pair.label for pair in pairs])
        loss = nn.functional.cross_entropy(relation, labels)
        if extra:
            side = heads_loss(heads, torch.tensor([targets(pair) for pair in pairs]))
            since["heads"] += float(side.detach())
            loss = loss + extra * side
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        since["loss"] += float(loss.detach())
        since["right"] += float((relation.argmax(1) == labels).float().mean())
        since["steps"] += 1
        done = step + 1
        if done % min(100, CHECKPOINT) == 0 or done == last:
            entry: dict[str, Any] = {
                k: round(v / since["steps"], 4) for k, v in since.items() if k != "steps"
            }
            entry = {
                "step": done,
                "seconds": round(time.perf_counter() - started, 1),
                "rate": learning,
                **entry,
            }
            since = dict.fromkeys(since, 0.0)
            if done % CHECKPOINT == 0 or done == last:
                entry["validation"] = {
                    kind: accuracy(network, tokenizer, found) for kind, found in validation.items()
                }
                state = {"step": done, "steps": steps, "seed": seed, "words": len(tokenizer)}
                state |= {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
                torch.save(state, checkpoint.with_suffix(".new"))
                checkpoint.with_suffix(".new").replace(checkpoint)  # a checkpoint is never incomplete
            log.write(json.dumps(entry) + "\n")
            log.flush()
            print(json.dumps(entry), flush=True)
    log.close()
    return export(network, tokenizer, folder / "model")


def export(network: Network, tokenizer: Any, folder: Path) -> Path:
    """Write the classifier without its extra heads as fp16 safetensors, with configuration and tokenizer."""
    network.classifier.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def batches(seed: int, first: int, steps: int) -> Iterator[tuple[int, list[Pair]]]:
    """Yield batches of pairs of similar length, about both worlds; batch number `step` depends on seed, step
    and steps alone.
    """
    for pool in range(first // POOL, -(-steps // POOL)):
        draw = Draw(f"{seed}:{pool}")
        draw.natural, draw.sizes = NATURAL, 0.5
        early = pool * POOL < EARLY * steps
        draw.simple, draw.alone = (0.0, 0.0) if early else (0.4, 0.5)
        weights, size = (WEIGHTS, BATCH) if early else (LATER_WEIGHTS, BATCH // 2)
        if pool * POOL >= FINAL * steps:
            weights = FINAL_WEIGHTS
        pairs: list[Pair] = []
        while len(pairs) < size * POOL:
            things = draw.random() < THINGS
            kinds, shares = (THING_PAIR_KINDS, THING_WEIGHTS) if things else (SHAPE_PAIR_KINDS, weights)
            pairs += draw_pairs(draw, draw.choices(kinds, shares)[0])
        pairs = sorted(pairs[: size * POOL], key=_length)
        dealt = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        draw.shuffle(dealt)
        for step, batch in enumerate(dealt, start=pool * POOL):
            if first <= step < steps:
                yield step, batch


def learning_rate(share: float, step: int) -> float:
    """Return the learning rate relative to its maximum: warm-up over 100 steps, then 1, .3 from 60 % of the
    steps, decreasing from 70 %.
    """
    if share < 0.6:
        return min(1.0, (step + 1) / 100)
    return 0.3 if share < 0.7 else 0.3 - 0.29 * (share - 0.7) / 0.3


def heads_weight(share: float) -> float:
    """Return the weight of the extra heads: 1 in the first 60 % of the steps, then decreasing to
    0 at 72 %.
    """
    return min(1.0, max(0.0, (0.72 - share) / 0.12))


def draw_validation(kind: str, number: int, natural: float = 0.0) -> list[Pair]:
    """Draw validation pairs from the training templates, with a seed that no training pool and no final
    evaluation uses. `natural` is the share of answers in natural wording.
    """
    draw, pairs = Draw(f"validation:{kind}"), list[Pair]()
    draw.natural = natural
    while len(pairs) < number:
        pairs += draw_pairs(draw, kind)
    return pairs[:number]


@torch.no_grad()
def accuracy(network: Network, tokenizer: Any, pairs: list[Pair]) -> float:
    """Return the share of pairs with the correct relation."""
    right = 0
    for start in range(0, len(pairs), 100):
        part = pairs[start : start + 100]
        right += int(
            (network(encode(tokenizer, part))[0].argmax(1) == torch.tensor([p.label for p in part])).sum()
        )
    return round(right / len(pairs), 4)


def _length(pair: Pair) -> int:
    return 2 * len(pair.question.split()) + len(pair.premise.text.split()) + len(pair.hypothesis.text.split())


def _keep_memory() -> None:
    """Keep freed memory in the process: otherwise glibc returns it at every step, which takes several times
    longer than the computation.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):
        pass  # not glibc
