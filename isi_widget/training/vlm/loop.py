"""Steps, schedule, logs and checkpoints of one stage. The stages themselves are in `stages`.

A stage resumes from its own checkpoint if it has one, else starts from the result of the stage before.
Batches depend on (seed, stage, step), so that a resumed stage gets the same batches as an uninterrupted one,
and other processes can make them in advance.
"""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isi_widget.training.vlm.network import Network

Batch = Mapping[str, Tensor]
Loss = Callable[[Network, Batch], tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True)
class Stage:
    """One stage of training: batches, loss and learning rates.

    after : earlier stages to start from, each with the prefixes of the parameters to copy.
    rates : learning rate by prefix of parameter name; the longest matching prefix counts, 0 freezes.
    unless : function of the validation before the stage; True skips the stage.
    steady : share of the steps after which the rate decreases linearly to a twentieth (early decay is risky:
        training leaves a plateau only while the rate is high).
    """

    name: str
    steps: int
    batch: Callable[[random.Random, np.random.Generator], Batch]
    loss: Loss
    rates: Mapping[str, float]
    validate: Callable[[Network], dict[str, float]]
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    steady: float = 0.6
    unless: Callable[[Mapping[str, float]], bool] | None = None
    warm_up: int = 80


def make_batch(stage: Stage, seed: int, step: int) -> Batch:
    """Return the batch of a step."""
    return stage.batch(
        random.Random(f"{seed} {stage.name} {step}"), np.random.default_rng([seed, step, len(stage.name)])
    )


def run_stage(
    stage: Stage,
    folder: Path,
    *,
    seed: int,
    save_every: float = 60.0,
    compiled: bool = True,
    log_every: int = 50,
    batches: Callable[[int], Iterator[Batch]] | None = None,
) -> Path:
    """Train a stage to its end; returns the file with its result.

    batches : function of the first step that yields the batches in order, such as `workers.Ahead`; by default
        they are made here, one by one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done, partial = folder / f"{stage.name}.pt", folder / f"{stage.name}.part.pt"
    if done.exists():
        return done
    network = Network(seed, compiled)
    optimiser = Optimiser(network, stage.rates)
    step = 0
    if partial.exists():
        state = torch.load(partial, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        step = int(state["step"])
    else:
        _start(network, stage, folder)
        if stage.unless is not None:
            found = stage.validate(network.eval())
            skipped = stage.unless(found)
            log(folder, stage=stage.name, before=found, skipped=skipped)
            step = stage.steps if skipped else 0
    network.train()
    sums: dict[str, list[float]] = defaultdict(list)
    saved = began = time.monotonic()
    coming = batches(step) if batches else None
    while step < stage.steps:
        batch = next(coming) if coming else make_batch(stage, seed, step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, measured = stage.loss(network, batch)
        optimiser.step(loss, _schedule(step, stage))
        step += 1
        for name, value in {"loss": float(loss.detach()), **measured}.items():
            sums[name].append(value)
        if step % log_every == 0 or step == stage.steps:
            means = {name: round(float(np.mean(values)), 4) for name, values in sums.items()}
            log(folder, stage=stage.name, step=step, seconds=round(time.monotonic() - began, 1), **means)
            sums.clear()
        if time.monotonic() - saved > save_every:
            saved = time.monotonic()
            _save(partial, network=network.state_dict(), optimiser=optimiser.state_dict(), step=step)
    network.eval()
    log(
        folder,
        stage=stage.name,
        validation=stage.validate(network),
        seconds=round(time.monotonic() - began, 1),
    )
    _save(done, network=network.state_dict(), step=step)
    partial.unlink(missing_ok=True)
    return done


def _start(network: Network, stage: Stage, folder: Path) -> None:
    """Copy the parameters of earlier stages."""
    for before, prefixes in stage.after.items():
        state = torch.load(folder / f"{before}.pt", weights_only=True)["network"]
        network.load_state_dict(
            {name: value for name, value in state.items() if name.startswith(prefixes)}, strict=False
        )


def log(folder: Path, **record: Any) -> None:
    """Write one line of JSON to the log and to the screen."""
    line = json.dumps({"time": time.strftime("%H:%M:%S"), **record})
    with (folder / "log.jsonl").open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)


class Optimiser:
    """Muon for the matrices of the transformer layers, AdamW for everything else.

    Muon makes the update of a matrix orthogonal (Jordan et al., 2024, kellerjordan.github.io/posts/muon);
    here it has the size of an AdamW update, so that both use the same rates. Tried once in the vision stage:
    after 400 steps of AdamW alone (loss 5.94), 100 steps with Muon gave 5.38; the last 100 steps of AdamW
    had brought 0.30.
    """

    def __init__(self, network: Network, rates: Mapping[str, float]) -> None:
        groups: dict[tuple[float, str], list[torch.nn.Parameter]] = defaultdict(list)
        for name, parameter in network.named_parameters():
            fitting = [prefix for prefix in rates if name.startswith(prefix)]
            rate = rates[max(fitting, key=len)] if fitting else 0.0
            parameter.requires_grad_(rate > 0)
            if rate > 0:
                plain = "matrix" if parameter.ndim > 1 else "vector"
                groups[rate, "layer" if ".layers." in name and parameter.ndim == 2 else plain].append(
                    parameter
                )
        self.parameters = [parameter for found in groups.values() for parameter in found]
        self._parts: list[torch.optim.Optimizer] = []
        layers = [{"params": p, "peak": rate} for (rate, kind), p in groups.items() if kind == "layer"]
        others = [
            {"params": p, "peak": rate, "weight_decay": 0.05 if kind == "matrix" else 0.0}
            for (rate, kind), p in groups.items()
            if kind != "layer"
        ]
        if layers:
            self._parts.append(torch.optim.Muon(layers, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"))
        if others:
            self._parts.append(torch.optim.AdamW(others, lr=1e-3, betas=(0.9, 0.98)))

    def step(self, loss: Tensor, share: float) -> None:
        """Compute the gradients of a loss and change the parameters, at a share of the peak rates."""
        for part in self._parts:
            part.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = group["peak"] * share
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """Return the state, for a checkpoint."""
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Take over a state."""
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict(state)


def _schedule(step: int, stage: Stage) -> float:
    warm = min(1.0, (step + 1) / max(1, stage.warm_up))
    turn = stage.steady * stage.steps
    fall = 1.0 if step < turn else max(0.0, 1 - (step - turn) / max(1.0, stage.steps - turn))
    return warm * (0.05 + 0.95 * fall)


def _save(path: Path, **state: Any) -> None:
    """Write a temporary file and rename it: a checkpoint is complete or missing."""
    fresh = path.with_suffix(".tmp")
    torch.save(state, fresh)
    fresh.replace(path)
