"""The curriculum: the stages from seeing to answering, each with its data, loss and learning rates.

    vision            the vision tower alone, one head per patch: dense scenes, then labels to read
    oracle            the decoder alone, on what a perfect vision tower would give (needs no vision stage)
    align             the projector, from what the tower gives to what the decoder knows
    joint, relation   everything together, canonical forms, wide margins
    fluent, counting  paraphrases, narrow margins; counting, the hardest kind
    context, nudge    texts beside the picture, noise, boxes, labels, blanks; false texts obeyed at times
    settle, count     the same, less of it and more counting, at a falling rate
    number            the decoder alone, on many things of which some are alike: what makes it count
    truth, attribute  the decoder alone: true texts beside the picture are to be believed again

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

from isi_widget.datasets.grammar import KINDS
from isi_widget.training.vlm import build, pictures
from isi_widget.training.vlm.heads import noun_loss, patch_loss, question_loss
from isi_widget.training.vlm.loop import Batch, Stage
from isi_widget.training.vlm.network import Network
from isi_widget.training.vlm.pictures import OUTPUTS, Show, View
from isi_widget.training.vlm.questions import IGNORE, Mix, collate, pack

Source = Callable[[random.Random], View]

TOWER, PROJECTOR = "llava.model.vision_tower.", "llava.model.multi_modal_projector."
DECODER = ("llava.model.language_model.", "llava.lm_head.", "heads.noun.", "heads.question.")
ORACLE = ("heads.oracle.", "heads.where.")
DENSE = "dense "  # prefix for tensors of pictures without questions
EVEN = {"existence": 2.0, "attribute": 3.0, "colour": 1.0, "shape": 1.0, "relation": 5.0, "counting": 3.0}


def picture_batch(
    views: list[View], generator: np.random.Generator, pixels: bool = True
) -> dict[str, Tensor]:
    """Return patch targets of some views, and their normalised pixels."""
    targets = [pictures.patch_targets(view) for view in views]
    batch = {name: torch.from_numpy(np.stack([item[name] for item in targets])) for name in targets[0]}
    if pixels:
        batch["pixels"] = build.normalise(
            torch.from_numpy(np.stack([view.pixels(generator) for view in views]))
        )
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
            targets = {name: batch[name] for name in (*OUTPUTS, "centre", "xy")}
            if len(features) > images:
                targets = {name: torch.cat([value, batch[DENSE + name]]) for name, value in targets.items()}
            part, right = patch_loss(network.heads, features, targets)
            total = total + seeing * part
            measured |= {name: right[name] for name in ("shape", "word", "digit") if name in right}
        return total, measured

    return loss


def accuracy(
    network: Network,
    loss: Callable[[Network, Batch], tuple[Tensor, dict[str, float]]],
    source: Source,
    mix: Mix,
    *,
    batches: int = 2,
    pixels: bool = True,
) -> dict[str, float]:
    """Return the accuracy of the deciding token by kind of question (relations by axis), worded as in `mix`,
    on batches that no training step draws.
    """
    found = {}
    kinds: list[tuple[str, str, str | None]] = [(kind, kind, None) for kind in KINDS if kind != "relation"]
    kinds += [(f"relation {axis}", "relation", axis) for axis in ("horizontal", "vertical")]
    for name, kind, axis in kinds:
        asked = replace(mix, kinds={kind: 1.0}, axis=axis)
        values = []
        for number in range(batches):
            rng, generator = random.Random(f"validation {name} {number}"), np.random.default_rng([7, number])
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                values.append(
                    loss(network, question_batch(source, asked, 16, rng, generator, pixels))[1]["answer"]
                )
        found[name] = round(float(np.mean(values)), 4)
    return found


def _vision(
    name: str, steps: int, images: int, after: Mapping[str, tuple[str, ...]], source: Source
) -> Stage:
    def batch(rng: random.Random, generator: np.random.Generator) -> Batch:
        return picture_batch([source(rng) for _ in range(images)], generator)

    def loss(network: Network, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        return patch_loss(network.heads, network.patches(batch["pixels"]), dict(batch))

    def validate(network: Network) -> dict[str, float]:
        fixed = picture_batch(
            [source(random.Random(f"validation {i}")) for i in range(256)], np.random.default_rng(1)
        )
        with torch.no_grad():
            return {key: round(value, 4) for key, value in loss(network, fixed)[1].items()}

    return Stage(name, steps, batch, loss, {TOWER: 1.5e-3, "heads.patch.": 1.5e-3}, validate, after)


def _questions(
    name: str,
    steps: int,
    images: int,
    after: Mapping[str, tuple[str, ...]],
    rates: Mapping[str, float],
    mix: Mix,
    show: Show | None,
    *,
    dense: int = 0,
    supervision: float = 0.5,
    steady: float = 0.6,
) -> Stage:
    """Return a stage of questions and answers; without `show` it runs on the oracle.

    dense : number of pictures per step without questions, so that the model keeps learning to see and read;
        default 0.
    """
    seeing = 0.4 if dense else 0.1
    loss = _oracle_loss if show is None else _whole_loss(seeing, supervision)

    def source(rng: random.Random, show: Show | None = show) -> View:
        return pictures.oracle_view(rng) if show is None else pictures.question_view(rng, show)

    def clean(rng: random.Random) -> View:
        return source(rng, None if show is None else Show(counted=show.counted))

    def batch(rng: random.Random, generator: np.random.Generator) -> Batch:
        made = question_batch(source, mix, images, rng, generator, pixels=show is not None)
        if dense:
            views = [rng.choice((pictures.dense_view, pictures.reading_view))(rng) for _ in range(dense)]
            made |= {DENSE + name: value for name, value in picture_batch(views, generator).items()}
        return made

    def validate(network: Network) -> dict[str, float]:
        plain = replace(mix, context=0.0)
        return accuracy(network, loss, clean, plain, pixels=show is not None)

    return Stage(name, steps, batch, loss, rates, validate, after, steady)


def _align(steps: int, images: int) -> Stage:
    def batch(rng: random.Random, generator: np.random.Generator) -> Batch:
        sources = (pictures.dense_view, lambda r: pictures.question_view(r, Show(labels=0.2, cover=0.1)))
        return picture_batch([rng.choice(sources)(rng) for _ in range(images)], generator)

    def loss(network: Network, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            features, wanted = network.patches(batch["pixels"]), network.heads.oracle_tokens(dict(batch))
        weight = (0.3 + 4 * batch["centre"])[..., None]
        miss = (network.project(features).float() - wanted) ** 2 * weight
        return miss.mean() / weight.mean(), {
            "relative": float(miss.detach().mean() / (wanted**2 * weight).mean())
        }

    def validate(network: Network) -> dict[str, float]:
        return accuracy(network, _whole_loss(0, 0.6), pictures.clean_view, Mix(EVEN, margin=0.2))

    after = {"0-vision-2": (TOWER, "heads.patch."), "1-oracle": (*DECODER, *ORACLE)}
    return Stage("2-align", steps, batch, loss, {PROJECTOR: 2e-3}, validate, after)


def stages(scale: float = 1.0, images: int = 16) -> list[Stage]:
    """Return all stages in order; `scale` and `images` are smaller in the tests."""

    def n(steps: int) -> int:
        return max(2, round(steps * scale))

    def whole(rate: float, vision: float = 0.2) -> dict[str, float]:
        return {TOWER: rate * vision, "heads.patch.": rate * vision, PROJECTOR: rate} | dict.fromkeys(
            DECODER, rate
        )

    everything = ("",)
    mild = Show(labels=0.2, cover=0.08, noise=0.15, strongest=0.15)
    full = Show(labels=0.4, cover=0.2, noise=0.4, strongest=0.8, scribble=0.1, blank=0.06)
    joint = {**EVEN, "choice": 1.0}
    counting = {**joint, "counting": 8.0, "relation": 4.0}
    return [
        _vision("0-vision", n(700), 4 * images, {}, pictures.dense_view),
        _vision("0-vision-2", n(700), 4 * images, {"0-vision": everything}, pictures.reading_view),
        _questions(
            "1-oracle",
            n(1500),
            images,
            {},
            dict.fromkeys((*DECODER, *ORACLE), 1.3e-3),
            Mix(EVEN, margin=0.2),
            None,
        ),
        _align(n(200), 3 * images),
        _questions(
            "3-joint",
            n(900),
            images,
            {"2-align": everything},
            whole(1e-3),
            Mix(joint, margin=0.2),
            mild,
            steady=1.0,
        ),
        replace(
            _questions(
                "4-relation",
                n(200),
                images,
                {"3-joint": everything},
                whole(1e-3),
                Mix({**joint, "relation": 12.0}, margin=0.25),
                mild,
                steady=1.0,
            ),
            unless=lambda found: min(found[f"relation {axis}"] for axis in ("horizontal", "vertical")) > 0.9,
        ),
        _questions(
            "5-fluent",
            n(1300),
            images,
            {"4-relation": everything},
            whole(6e-4, 0.6),
            Mix(counting, 0.6, 0.125),
            mild,
            dense=3 * images // 2,
            steady=0.8,
        ),
        _questions(
            "5-counting",
            n(700),
            images,
            {"5-fluent": everything},
            whole(6e-4, 0.4),
            Mix({**joint, "counting": 25.0}, 0.8, 0.125),
            Show(labels=0.2, cover=0.03, noise=0.05, strongest=0.1),
            dense=images // 2,
            steady=0.57,
        ),
        _questions(
            "6-context",
            n(450),
            images,
            {"5-counting": everything},
            whole(3e-4, 0.6),
            Mix(counting, 0.55, 0.125, context=0.5),
            full,
            dense=3 * images // 2,
            steady=1.0,
        ),
        _questions(
            "7-nudge",
            n(600),
            images,
            {"6-context": everything},
            whole(3e-4, 0.6),
            Mix(counting, 0.55, 0.125, context=0.5, obey=0.75, hearsay=0.15),
            full,
            supervision=0.3,
            dense=3 * images // 2,
            steady=0.3,
        ),
        _questions(
            "8-settle",
            n(350),
            images,
            {"7-nudge": everything},
            whole(3e-4, 0.5),
            Mix({**joint, "counting": 18.0}, 0.6, 0.125, context=0.45, truthful=0.5, obey=0.95, hearsay=0.2),
            Show(labels=0.3, cover=0.15, noise=0.25, strongest=0.8, scribble=0.05, blank=0.04),
            supervision=0.4,
            dense=images // 2,
            steady=0.35,
        ),
        _questions(
            "9-count",
            n(450),
            images,
            {"8-settle": everything},
            whole(4e-4, 0.3),
            Mix({**joint, "counting": 30.0}, 0.6, 0.125, context=0.25, truthful=0.5, obey=0.95, hearsay=0.2),
            Show(labels=0.25, cover=0.06, noise=0.12, strongest=0.8, blank=0.03),
            dense=images // 2,
            steady=0.2,
        ),
        _questions(
            "10-number",
            n(3000),
            images,
            {"9-count": everything},
            {PROJECTOR: 8e-4} | dict.fromkeys(DECODER, 8e-4),
            Mix({**joint, "counting": 40.0}, 0.6, 0.125, context=0.2, truthful=0.5, obey=0.95, hearsay=0.2),
            Show(labels=0.15, cover=0.06, noise=0.12, strongest=0.8, blank=0.03, counted=0.6),
            steady=0.4,
        ),
        _questions(
            "11-truth",
            n(600),
            images,
            {"10-number": everything},
            {PROJECTOR: 3e-4} | dict.fromkeys(DECODER, 3e-4),
            Mix({**joint, "counting": 20.0}, 0.55, 0.125, context=0.55, truthful=0.68, obey=0.9, hearsay=0.2),
            Show(labels=0.25, cover=0.1, noise=0.2, strongest=0.8, blank=0.03, counted=0.5),
            steady=0.2,
        ),
        _questions(
            "12-attribute",
            n(400),
            images,
            {"11-truth": everything},
            {PROJECTOR: 3e-4} | dict.fromkeys(DECODER, 3e-4),
            Mix(
                {**joint, "attribute": 20.0, "counting": 20.0},
                0.5,
                0.125,
                context=0.7,
                irrelevant=0.1,
                truthful=0.75,
                obey=1.0,
                hearsay=0.2,
            ),
            Show(labels=0.2, cover=0.1, noise=0.2, strongest=0.8, blank=0.03, counted=0.5),
            steady=0.2,
        ),
    ]
