"""The curriculum: the stages from seeing to answering, each with its data, loss and learning rates.

    see      the vision tower alone, one head per patch: dense scenes of both worlds, and labels to read
    think    the decoder alone, on what a perfect vision tower would give (needs no pictures)
    align    the projector, from what the tower gives to what the decoder knows
    look     everything together, without contexts
    listen   texts beside the picture, noise, boxes, labels, blanks; some false texts are obeyed
    settle   the same at a falling rate

The order matters: with contexts from the start, the model copies them and ignores the picture; without the
oracle stage, positions stay imprecise and relations at chance.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from isi_widget.datasets.scenes.world import SHAPE_WORLD, THING_WORLD, World
from isi_widget.training.vlm import build, pictures
from isi_widget.training.vlm.heads import noun_loss, patch_loss, question_loss
from isi_widget.training.vlm.loop import Batch, Stage
from isi_widget.training.vlm.network import Network
from isi_widget.training.vlm.oracle import oracle_view
from isi_widget.training.vlm.pictures import Show, View
from isi_widget.training.vlm.questions import IGNORE, Mix, collate, pack
from isi_widget.training.vlm.targets import OUTPUTS, patch_targets

Source = Callable[[random.Random], View]

TOWER, PROJECTOR = "llava.model.vision_tower.", "llava.model.multi_modal_projector."
DECODER = ("llava.model.language_model.", "llava.lm_head.", "heads.noun.", "heads.question.")
ORACLE = ("heads.oracle.", "heads.where.")
SEEN = (*OUTPUTS, "centre", "label", "xy", "to")  # targets of the patch heads
DENSE = "dense "  # prefix for tensors of pictures without questions
EVEN = {
    "existence": 2.0,
    "attribute": 3.0,
    "colour": 1.0,
    "shape": 1.0,
    "name": 1.0,
    "relation": 5.0,
    "counting": 3.0,
}


def picture_batch(
    views: list[View], generator: np.random.Generator, pixels: bool = True
) -> dict[str, Tensor]:
    """Return patch targets of some views, and their pixels, uint8."""
    targets = [patch_targets(view) for view in views]
    batch = {name: torch.from_numpy(np.stack([item[name] for item in targets])) for name in targets[0]}
    if pixels:
        batch["pixels"] = torch.from_numpy(np.stack([view.pixels(generator) for view in views]))
    return batch


def question_batch(
    source: Source,
    mix: Mix,
    images: int,
    rng: random.Random,
    generator: np.random.Generator,
    pixels: bool = True,
) -> dict[str, Tensor]:
    """Return packed questions about some views."""
    views = [source(rng) for _ in range(images)]
    batch = collate([pack(view, mix, rng) for view in views]) | picture_batch(views, generator, pixels)
    if not pixels:
        noise = generator.standard_normal((images, build.PATCHES, build.WIDTH), dtype=np.float32)
        batch["noise"] = torch.from_numpy(noise)
    return batch


def answer_loss(
    network: Network, images: Tensor, batch: Batch, supervision: float
) -> tuple[Tensor, dict[str, float]]:
    """Return the next-token loss of the packed answers, and the deep supervision on the decoder's second and
    third layer.
    """
    states = network.decode(images, batch["tokens"], batch["positions"], batch["mask"])
    wanted = batch["targets"] != IGNORE
    targets, weights = batch["targets"][wanted], batch["weights"][wanted]
    logits = network.llava.lm_head(states[-1][wanted]).float()
    each = F.cross_entropy(logits, targets, reduction="none")
    decisive = weights == 1
    measured = {"answer": float((logits.argmax(-1) == targets)[decisive].float().mean())}
    loss = (each * weights).sum() / weights.sum()
    for name, function, state in (("nouns", noun_loss, states[1]), ("ends", question_loss, states[2])):
        rows = batch[name]
        if supervision and len(rows):
            part, right = function(network.heads, state[rows[:, 0].long(), rows[:, 1].long()], rows)
            loss = loss + supervision * part
            measured |= {f"{name} {key}": value for key, value in right.items()}
    return loss, measured


def _oracle_loss(network: Network, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    return answer_loss(network, network.heads.oracle_tokens(dict(batch)) + 0.1 * batch["noise"], batch, 0.6)


def _whole_loss(
    seeing: float, supervision: float
) -> Callable[[Network, Batch], tuple[Tensor, dict[str, float]]]:
    """Return the loss of answers and deep supervision; `seeing` is the weight of the patch heads, also on
    additional pictures.
    """

    def loss(network: Network, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        pixels = batch["pixels"]
        images = len(pixels)
        if DENSE + "pixels" in batch:
            pixels = torch.cat([pixels, batch[DENSE + "pixels"]])
        features = network.patches(pixels)
        total, measured = answer_loss(network, network.project(features[:images]), batch, supervision)
        if seeing:
            targets = {name: batch[name] for name in SEEN}
            if len(features) > images:
                targets = {name: torch.cat([value, batch[DENSE + name]]) for name, value in targets.items()}
            part, right = patch_loss(network.heads, features, targets)
            total = total + seeing * part
            measured |= {name: right[name] for name in ("what", "colour", "word") if name in right}
        return total, measured

    return loss


def accuracy(
    network: Network,
    loss: Callable[[Network, Batch], tuple[Tensor, dict[str, float]]],
    source: Source,
    world: World,
    mix: Mix,
    *,
    batches: int = 2,
    size: int = 16,
    pixels: bool = True,
) -> dict[str, float]:
    """Return the accuracy of the deciding token by kind of question (relations by axis), worded as in `mix`,
    on batches that no training step draws.
    """
    found = {}
    kinds: list[tuple[str, str, str | None]] = [(k, k, None) for k in world.kinds if k != "relation"]
    kinds += [(f"relation {axis}", "relation", axis) for axis in ("horizontal", "vertical")]
    for name, kind, axis in kinds:
        asked = replace(mix, kinds={kind: 1.0}, axis=axis)
        values = []
        for number in range(batches):
            rng, generator = random.Random(f"validation {name} {number}"), np.random.default_rng([7, number])
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                values.append(
                    loss(network, question_batch(source, asked, size, rng, generator, pixels))[1]["answer"]
                )
        found[name] = round(float(np.mean(values)), 4)
    return found


def _see(name: str, steps: int, images: int, after: Mapping[str, tuple[str, ...]], steady: float) -> Stage:
    def source(rng: random.Random) -> View:
        return (pictures.dense_view if rng.random() < 0.6 else pictures.reading_view)(rng)

    def batch(rng: random.Random, generator: np.random.Generator) -> Batch:
        return picture_batch([source(rng) for _ in range(images)], generator)

    def loss(network: Network, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        return patch_loss(network.heads, network.patches(batch["pixels"]), dict(batch))

    def validate(network: Network) -> dict[str, float]:
        fixed = picture_batch(
            [source(random.Random(f"validation {i}")) for i in range(4 * images)], np.random.default_rng(1)
        )
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            return {key: round(value, 4) for key, value in loss(network, fixed)[1].items()}

    return Stage(name, steps, batch, loss, {TOWER: 1.2e-3, "heads.patch.": 1.2e-3}, validate, after, steady)


def _think(
    name: str,
    steps: int,
    images: int,
    after: Mapping[str, tuple[str, ...]],
    mix: Mix,
    show: Show,
    rate: float,
) -> Stage:
    """Return a stage of the decoder alone, on oracle tokens."""

    def source(rng: random.Random) -> View:
        return oracle_view(rng, show)

    def clean(show: Show) -> Source:
        return lambda rng: oracle_view(rng, show, 0.0, 0.0)

    def batch(rng: random.Random, generator: np.random.Generator) -> Batch:
        return question_batch(source, mix, images, rng, generator, pixels=False)

    def validate(network: Network) -> dict[str, float]:
        plain = replace(mix, context=0.0)
        return _by_world(
            lambda world, show: accuracy(
                network, _oracle_loss, clean(show), world, plain, size=images, pixels=False
            )
        )

    rates = dict.fromkeys((*DECODER, *ORACLE), rate)
    return Stage(name, steps, batch, _oracle_loss, rates, validate, after)


def _align(name: str, steps: int, images: int, after: Mapping[str, tuple[str, ...]]) -> Stage:
    """Return the stage that fits the projector to the oracle's tokens; the tower stays as it is."""
    show = Show(labels=0.3, cover=0.15, noise=0.2)

    def source(rng: random.Random) -> View:
        draw = rng.random()
        if draw < 0.5:
            return pictures.question_view(rng, show)
        return pictures.dense_view(rng) if draw < 0.8 else pictures.reading_view(rng)

    def batch(rng: random.Random, generator: np.random.Generator) -> Batch:
        return picture_batch([source(rng) for _ in range(images)], generator)

    def loss(network: Network, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            features, wanted = network.patches(batch["pixels"]), network.heads.oracle_tokens(dict(batch))
        weight = (0.3 + 4 * torch.maximum(batch["centre"], batch["label"]))[..., None]
        miss = (network.project(features).float() - wanted) ** 2 * weight
        return miss.mean() / weight.mean(), {
            "relative": float(miss.detach().mean() / (wanted**2 * weight).mean())
        }

    def validate(network: Network) -> dict[str, float]:
        return _validation(network, Mix(EVEN, margin=0.15, typed=0.0), images)

    return Stage(name, steps, batch, loss, {PROJECTOR: 2e-3}, validate, after)


def _look(
    name: str,
    steps: int,
    images: int,
    after: Mapping[str, tuple[str, ...]],
    rates: Mapping[str, float],
    mix: Mix,
    show: Show,
    *,
    dense: int = 0,
    supervision: float = 0.5,
    steady: float = 0.6,
) -> Stage:
    """Return a stage of questions about pictures.

    dense : number of pictures per step without questions, so that the model keeps learning to see and read;
        default 0.
    """
    loss = _whole_loss(0.4 if dense else 0.1, supervision)

    def batch(rng: random.Random, generator: np.random.Generator) -> Batch:
        made = question_batch(lambda r: pictures.question_view(r, show), mix, images, rng, generator)
        if dense:
            views = [rng.choice((pictures.dense_view, pictures.reading_view))(rng) for _ in range(dense)]
            made |= {DENSE + name: value for name, value in picture_batch(views, generator).items()}
        return made

    def validate(network: Network) -> dict[str, float]:
        return _validation(network, replace(mix, context=0.0), images)

    return Stage(name, steps, batch, loss, rates, validate, after, steady)


CLEAN = Show(counted=0.3, plain=1.0)


def _validation(network: Network, mix: Mix, images: int) -> dict[str, float]:
    """Return the accuracy of the whole model on clear pictures, by world and kind."""

    def found(world: World, show: Show) -> dict[str, float]:
        return accuracy(
            network,
            _whole_loss(0, 0.6),
            lambda rng: pictures.question_view(rng, show),
            world,
            mix,
            size=images,
        )

    return _by_world(found)


def _by_world(measure: Callable[[World, Show], dict[str, float]]) -> dict[str, float]:
    return {
        f"{world.name} {kind}": value
        for world, things in ((SHAPE_WORLD, 0.0), (THING_WORLD, 1.0))
        for kind, value in measure(world, replace(CLEAN, things=things)).items()
    }


def stages(scale: float = 1.0, images: int = 16) -> list[Stage]:
    """Return all stages in order; `scale` and `images` are smaller in the tests."""

    def n(steps: int) -> int:
        return max(2, round(steps * scale))

    def whole(rate: float, vision: float = 0.2) -> dict[str, float]:
        return {TOWER: rate * vision, "heads.patch.": rate * vision, PROJECTOR: rate} | dict.fromkeys(
            DECODER, rate
        )

    everything = ("",)
    logic = Show(labels=0.3, cover=0.2, counted=0.4)
    mild = Show(labels=0.25, cover=0.12, noise=0.15, strongest=0.15, counted=0.3)
    full = Show(labels=0.4, cover=0.25, noise=0.35, strongest=0.8, scribble=0.1, blank=0.05, counted=0.3)
    joint = {**EVEN, "counting": 6.0, "choice": 1.0}
    # what is learned last: relations and attributes are at 100 % by then
    late = {**EVEN, "existence": 4.0, "attribute": 2.0, "relation": 3.0, "counting": 8.0, "choice": 0.5}
    return [
        _see("see", n(3600), 4 * images, {}, 0.5),
        _think("think", n(1500), images, {}, Mix(EVEN, 0.8, 0.2, typed=0.03, everyday=0.2), logic, 1.3e-3),
        _think("think-words", n(2000), images, {"think": everything}, Mix(joint, 0.5, 0.125), logic, 1e-3),
        _align(
            "align", n(400), 3 * images, {"see": (TOWER, "heads.patch."), "think-words": (*DECODER, *ORACLE)}
        ),
        _look(
            "look",
            n(2500),
            images,
            {"align": everything},
            whole(7e-4, 0.6),
            Mix(joint, 0.5, 0.125),
            mild,
            dense=images,
            steady=0.7,
        ),
        _look(
            "listen",
            n(1500),
            images,
            {"look": everything},
            whole(4e-4, 0.6),
            Mix(joint, 0.5, 0.125, context=0.5, truthful=0.6, obey=0.8, hearsay=0.2, nudged=0.35),
            full,
            dense=images,
            steady=0.6,
        ),
        _look(
            "settle",
            n(1800),
            images,
            {"listen": everything},
            whole(3e-4, 0.5),
            Mix(late, 0.5, 0.125, context=0.45, truthful=0.6, obey=0.9, hearsay=0.2, nudged=0.4),
            replace(full, labels=0.3, cover=0.15, noise=0.2, scribble=0.05, blank=0.04),
            supervision=0.3,
            dense=images // 2,
            steady=0.2,
        ),
    ]
