"""The commands: `vlm` trains (and resumes), `evaluate` measures an exported folder, `card` writes its model
card.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import torch

from isi_widget.datasets.scenes.world import SHAPE_WORLD, WORLDS
from isi_widget.embedded import VLM
from isi_widget.training.vlm import behaviour, build, card, evaluate
from isi_widget.training.vlm.loop import Stage, run_stage
from isi_widget.training.vlm.network import Network
from isi_widget.training.vlm.stages import stages
from isi_widget.training.vlm.workers import Ahead

MEASURED = "evaluation.json"
PARTS = (*WORLDS, "robustness", "doubts")  # of the evaluation


def add_commands(rooms: Any) -> None:
    """Add the sub-commands to an argument parser's sub-parsers."""
    train = rooms.add_parser("vlm", help="train the tiny LLaVA, stage by stage; run it again to resume")
    train.add_argument("--checkpoints", type=Path, default=Path("checkpoints/vlm"))
    train.add_argument("--export", type=Path, default=VLM, help="folder for the finished model")
    train.add_argument("--stages", nargs="*", help="only these stages (default: all, then export)")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--scale", type=float, default=1.0, help="factor on the steps of every stage")
    train.add_argument("--images", type=int, default=16, help="pictures per step")
    train.add_argument("--threads", type=int, default=1)
    train.add_argument("--workers", type=int, default=1, help="processes that draw pictures in advance")
    train.add_argument("--eager", action="store_true", help="do not compile the layers")
    train.set_defaults(run=run_training)
    measure = rooms.add_parser(
        "evaluate", help="measure an exported model; updates evaluation.json beside it"
    )
    measure.add_argument("--model", type=Path, default=VLM)
    measure.add_argument("--split", default="test", choices=("validation", "test"))
    measure.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS, help="what to measure")
    measure.add_argument("--limit", type=int, help="only the first questions")
    measure.add_argument("--entropy-limit", type=int, default=600, help="questions whose entropy is sampled")
    measure.add_argument(
        "--conditions", nargs="*", choices=[condition.name for condition in evaluate.CONDITIONS]
    )
    measure.add_argument("--output", type=Path, help="default: evaluation.json in the model's folder")
    measure.add_argument("--threads", type=int, default=1)
    measure.set_defaults(run=run_evaluation)
    write = rooms.add_parser("card", help="write README.md from evaluation.json")
    write.add_argument("--model", type=Path, default=VLM)
    write.set_defaults(run=run_card)


def run_training(arguments: argparse.Namespace) -> None:
    """Run the remaining stages, then export."""
    torch.set_num_threads(arguments.threads)
    keep_memory()
    last = None
    for stage in stages(arguments.scale, arguments.images):
        if arguments.stages and stage.name not in arguments.stages:
            continue
        last = train_stage(stage, arguments)
    if last is not None and not arguments.stages:
        export(last, arguments.export)


def train_stage(stage: Stage, arguments: argparse.Namespace) -> Path:
    """Run one stage; its batches are made in advance by other processes if there are any."""
    options = {"seed": arguments.seed, "compiled": not arguments.eager}
    if not arguments.workers:
        return run_stage(stage, arguments.checkpoints, **options)
    with Ahead(arguments.workers, arguments.scale, arguments.images, arguments.seed) as ahead:
        return run_stage(
            stage, arguments.checkpoints, **options, batches=lambda step: ahead.batches(stage, step)
        )


def export(checkpoint: Path, folder: Path) -> None:
    """Write the model of a checkpoint without the training heads, so that plain transformers loads it."""
    network = Network(0, compiled=False)
    network.load_state_dict(torch.load(checkpoint, weights_only=True)["network"])
    build.save(network.llava, str(folder))
    for file in folder.iterdir():
        file.chmod(0o644)
    print(f"{checkpoint} exported to {folder}")


def run_evaluation(arguments: argparse.Namespace) -> None:
    """Evaluate, and write the numbers."""
    torch.set_num_threads(arguments.threads)
    keep_memory()
    output = arguments.output or arguments.model / MEASURED
    found = json.loads(output.read_text()) if output.exists() else {}

    def report(line: str) -> None:
        print(line, flush=True)

    for world in WORLDS.values():
        if world.name in arguments.parts:
            measured = evaluate.evaluate(
                arguments.model,
                arguments.split,
                world=world,
                limit=arguments.limit,
                entropy_limit=arguments.entropy_limit,
                conditions=arguments.conditions,
                report=report,
            )
            found |= measured if world is SHAPE_WORLD else {world.name: measured}
    model = evaluate.Model(arguments.model)
    if "robustness" in arguments.parts:
        number = {} if arguments.limit is None else {"number": arguments.limit}
        found["robustness"] = {
            world.name: behaviour.robustness(model, world, **number, report=report)
            for world in WORLDS.values()
        }
    if "doubts" in arguments.parts:
        found["doubts"] = {
            split: behaviour.doubts(model, split, arguments.limit) for split in ("demo", arguments.split)
        }
    output.write_text(json.dumps(found, indent=1) + "\n")
    print(f"written to {output}")


def run_card(arguments: argparse.Namespace) -> None:
    """Write the model card."""
    found = json.loads((arguments.model / MEASURED).read_text())
    (arguments.model / "README.md").write_text(card.write(found, arguments.model))


def keep_memory() -> None:
    """Make glibc keep freed memory: otherwise returning and requesting it takes most of the time
    of a step.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for option, value in (
            (-3, 1 << 30),
            (-1, (1 << 31) - 1),
            (-2, 1 << 28),
        ):  # mmap threshold, trim threshold, top pad
            getattr(libc, "mallopt", lambda *_: 0)(option, value)
