"""Evaluates the exported model: accuracy by kind of question under each condition, and semantic entropy.

It loads the exported folder with plain transformers, so that the numbers apply to the shipped model. The test
split is used only for the final table; all tuning uses the validation split.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from isi_widget.datasets.grammar import COLOURS, NUMBERS, SHAPES, Ask
from isi_widget.datasets.nouns import THINGS
from isi_widget.datasets.scenes import ask, graded
from isi_widget.datasets.scenes.case import Case
from isi_widget.datasets.scenes.splits import SIZES_OF_SPLITS, cases
from isi_widget.datasets.scenes.world import SHAPE_WORLD, WORLDS, World
from isi_widget.stimulus.drawing import Box, Drawing, GaussianNoise
from isi_widget.stimulus.rendering import paint
from isi_widget.training.vlm.build import prompt
from isi_widget.training.vlm.robust import Probe
from isi_widget.uncertainty.entropy import semantic_entropy
from isi_widget.uncertainty.shares import wilson

SAMPLES, TEMPERATURE = 10, 0.9


@dataclass(frozen=True)
class Condition:
    """A condition: the picture of a case, and its context: the name of a preset ("" for none) or a function
    of the case.
    """

    name: str
    picture: Callable[[Case], Image.Image]
    context: str | Callable[[Case], str] = ""

    def text(self, case: Case) -> str:
        """Return the context of a case."""
        if callable(self.context):
            return self.context(case)
        return case.contexts[self.context] if self.context else ""


def _boxes(case: Case) -> list[Drawing]:
    """Cover the objects of the question with black boxes: for counting only one of the counted objects, for
    "is there" with the answer no one similar object, so that the number of boxes gives no hint.
    """
    about = list(case.item.about) or list(range(len(case.scene.things)))
    if case.item.kind == "counting" or (case.item.yes is False and case.item.kind == "existence"):
        about = [random.Random(case.index).choice(about)]
    boxes: list[Drawing] = []
    for thing in (case.scene.things[index] for index in about):
        reach = math.ceil(1.25 * thing.radius)
        boxes.append(Box(thing.x - reach, thing.y - reach, 2 * reach, 2 * reach))
    return boxes


def _labels(case: Case) -> list[Drawing]:
    return [drawing for label in case.labels() for drawing in label.drawings()]


def _nudge(toward: bool) -> Callable[[Case], str]:
    return lambda case: ask.nudging(case.item, random.Random(case.index), toward)[1]


def _noise(sigma: float) -> Callable[[Case], Image.Image]:
    return lambda case: paint(case.picture(), [GaussianNoise(sigma, case.index)])


CONDITIONS = (
    Condition("empty", Case.picture),
    Condition("blank", lambda case: Image.new("RGB", (case.scene.width, case.scene.height), "white")),
    Condition("complementary", Case.picture, "complementary"),
    Condition("contradictory", Case.picture, "contradictory"),
    Condition("irrelevant", Case.picture, "irrelevant"),
    Condition("nudged to the truth", Case.picture, _nudge(True)),
    Condition("nudged away", Case.picture, _nudge(False)),
    Condition("noise 0.1", _noise(0.1)),
    Condition("noise 0.3", _noise(0.3)),
    Condition("noise 0.6", _noise(0.6)),
    Condition("boxed", lambda case: paint(case.picture(), _boxes(case))),
    Condition("annotated", Case.annotated),
    Condition("boxed, then annotated", lambda case: paint(case.picture(), _boxes(case) + _labels(case))),
)
WITH_ENTROPY = (
    "empty",
    "noise 0.1",
    "noise 0.3",
    "noise 0.6",
    "boxed",
    "complementary",
    "contradictory",
    "nudged to the truth",
    "nudged away",
    "blank",
)


def meaning(asked: Ask, text: str) -> str | None:
    """Return the meaning of an answer as one word: "yes", "no" or the value; None if unclear."""
    words = re.findall(r"[a-z]+", text.lower())
    if not asked.is_open:
        return words[0] if words and words[0] in ("yes", "no") else None
    known = {"colour": COLOURS, "shape": SHAPES, "name": tuple(THINGS), "count": NUMBERS}
    values: tuple[str, ...] = known.get(asked.claim.kind, ())
    if asked.claim.kind == "relation":
        values = ("left", "right", "above", "below")
    # "The star is red.", "The animal left of the chair is a dog.": the noun comes before the value
    found = [word for word in words if word in values]
    return found[-1] if found else None


def cases_of(world: World, split: str) -> Iterator[Case]:
    """Yield the cases of a split of a world."""
    if world is SHAPE_WORLD and split in SIZES_OF_SPLITS:
        return cases(split)
    return graded.cases(world, split)


def wanted(case: Case | Probe) -> str:
    """Return the meaning of the true answer."""
    if case.item.yes is not None:
        return "yes" if case.item.yes else "no"
    return (case.item.truth.value or "").removesuffix(" of")


class Model:
    """An exported folder, loaded by plain transformers, answering in batches on one thread."""

    def __init__(self, folder: Path) -> None:
        self.net = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = AutoProcessor.from_pretrained(folder)

    def _encoded(self, pictures: list[Image.Image], texts: list[str]) -> dict[str, torch.Tensor]:
        batch = self.processor(images=pictures, text=texts, return_tensors="pt", padding=True)
        return {name: batch[name] for name in ("input_ids", "attention_mask", "pixel_values")}

    def _inputs(self, chosen: Sequence[Case], condition: Condition) -> dict[str, torch.Tensor]:
        texts = [prompt(condition.text(case), case.question) for case in chosen]
        return self._encoded([condition.picture(case) for case in chosen], texts)

    @torch.inference_mode()
    def answers(self, pictures: list[Image.Image], questions: list[str]) -> list[str]:
        """Return the greedy answers to questions without context."""
        return self._answers(self._encoded(pictures, [prompt("", question) for question in questions]))

    @torch.inference_mode()
    def greedy(self, chosen: Sequence[Case], condition: Condition) -> list[str]:
        """Return the greedy answers."""
        return self._answers(self._inputs(chosen, condition))

    def _answers(self, inputs: dict[str, torch.Tensor]) -> list[str]:
        out = self.net.generate(**inputs, do_sample=False, max_new_tokens=20)
        return self._texts(out[:, inputs["input_ids"].shape[1] :])

    @torch.inference_mode()
    def sampled(
        self, chosen: Sequence[Case], condition: Condition, seed: int
    ) -> list[list[tuple[str, float]]]:
        """Return `SAMPLES` answers for each case with their mean token log-probability (before temperature,
        end of sequence excluded).
        """
        torch.manual_seed(seed)
        inputs = self._inputs(chosen, condition)
        out = self.net.generate(
            **inputs,
            do_sample=True,
            temperature=TEMPERATURE,
            top_k=0,
            max_new_tokens=20,
            num_return_sequences=SAMPLES,
            output_logits=True,
            return_dict_in_generate=True,
        )
        ids = out.sequences[:, inputs["input_ids"].shape[1] :]
        log_p = torch.stack(out.logits, 1).log_softmax(-1).gather(-1, ids[..., None])[..., 0]
        real = (ids != self.net.config.text_config.eos_token_id) & (
            ids != self.net.config.text_config.pad_token_id
        )
        means = ((log_p * real).sum(1) / real.sum(1).clamp(min=1)).tolist()
        pairs = list(zip(self._texts(ids), means, strict=True))
        return [pairs[start : start + SAMPLES] for start in range(0, len(pairs), SAMPLES)]

    def _texts(self, ids: torch.Tensor) -> list[str]:
        return [text.strip() for text in self.processor.batch_decode(ids, skip_special_tokens=True)]


def entropy(case: Case, answers: Sequence[tuple[str, float]]) -> float:
    """Compute the semantic entropy in nats; answers are clustered by their meaning in the grammar."""
    names = [meaning(case.item.ask, text) or text for text, _ in answers]
    ids = [sorted(set(names)).index(name) for name in names]
    return float(semantic_entropy(ids, [value for _, value in answers]))


def evaluate(
    folder: Path,
    split: str = "test",
    *,
    world: World = SHAPE_WORLD,
    limit: int | None = None,
    entropy_limit: int = 600,
    conditions: Sequence[str] | None = None,
    batch: int = 100,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Run all evaluations; returns a JSON-ready dict.

    Returns
    -------
    dict : "accuracy" {condition: {kind: {n, right, share, low, high}}}, "annotated where empty fails",
    "entropy" {condition: {kind: {n, mean, low, high}}} (intervals of the mean, normal), "chance" {kind: share
    of the commonest answer}.
    """
    model = Model(folder)
    chosen = list(islice(cases_of(world, split), limit))
    names = list(conditions or [condition.name for condition in CONDITIONS])
    right: dict[str, list[bool]] = {}
    result: dict[str, Any] = {"split": split, "questions": len(chosen), "accuracy": {}, "entropy": {}}
    began = time.monotonic()
    for condition in CONDITIONS:
        if condition.name not in names:
            continue
        texts = [t for some in chunks(chosen, batch) for t in model.greedy(some, condition)]
        right[condition.name] = [
            meaning(case.item.ask, text) == wanted(case) for case, text in zip(chosen, texts, strict=True)
        ]
        result["accuracy"][condition.name] = _shares(chosen, right[condition.name])
        line = {kind: cell["share"] for kind, cell in result["accuracy"][condition.name].items()}
        report(f"{time.monotonic() - began:6.0f} s  {condition.name}: {line}")
    for name in ("annotated", "complementary"):
        if name in right and "empty" in right:
            failed = [index for index, good in enumerate(right["empty"]) if not good]
            result[f"{name} where empty fails"] = _shares(
                [chosen[i] for i in failed], [right[name][i] for i in failed]
            )
    few = chosen[:entropy_limit]
    for condition in CONDITIONS:
        if condition.name in WITH_ENTROPY and condition.name in names and few:
            sets = [
                s
                for number, some in enumerate(chunks(few, batch))
                for s in model.sampled(some, condition, number)
            ]
            values = [entropy(case, answers) for case, answers in zip(few, sets, strict=True)]
            result["entropy"][condition.name] = _means(few, values)
            line = {kind: cell["mean"] for kind, cell in result["entropy"][condition.name].items()}
            report(f"{time.monotonic() - began:6.0f} s  entropy, {condition.name}: {line}")
    result["chance"] = _chance(chosen)
    result["seconds"] = round(time.monotonic() - began)
    return result


def chunks(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Return a sequence in parts of a size."""
    return [values[start : start + size] for start in range(0, len(values), size)]


def _kinds(chosen: Sequence[Case]) -> dict[str, list[int]]:
    kinds = WORLDS[chosen[0].scene.world].kinds if chosen else ()
    found = {kind: [i for i, case in enumerate(chosen) if case.item.kind == kind] for kind in kinds}
    return found | {"all": list(range(len(chosen)))}


def _shares(chosen: Sequence[Case], good: Sequence[bool]) -> dict[str, dict[str, float]]:
    table = {}
    for kind, indices in _kinds(chosen).items():
        table[kind] = share_of(sum(good[i] for i in indices), len(indices))
    return table


def share_of(right: int, n: int) -> dict[str, float]:
    """Return a share with its 95 % interval, {n, right, share, low, high}."""
    low, high = wilson(right, n) if n else (0.0, 1.0)
    share = round(right / n, 4) if n else 0.0
    return {"n": n, "right": right, "share": share, "low": round(low, 4), "high": round(high, 4)}


def _means(chosen: Sequence[Case], values: Sequence[float]) -> dict[str, dict[str, float]]:
    table = {}
    for kind, indices in _kinds(chosen).items():
        here = np.array([values[i] for i in indices])
        if len(here):
            half = 1.96 * float(here.std(ddof=1)) / math.sqrt(len(here)) if len(here) > 1 else 0.0
            mean = float(here.mean())
            table[kind] = {
                "n": len(here),
                "mean": round(mean, 4),
                "low": round(mean - half, 4),
                "high": round(mean + half, 4),
            }
    return table


def _chance(chosen: Sequence[Case]) -> dict[str, float]:
    """Return the accuracy of the best answer that knows the kind and form of the question but ignores the
    picture.
    """
    found = {}
    for kind, indices in _kinds(chosen).items():
        if kind == "all":
            continue
        right = 0
        for is_open in (False, True):
            answers = [wanted(chosen[i]) for i in indices if chosen[i].item.ask.is_open == is_open]
            right += max((answers.count(a) for a in set(answers)), default=0)
        found[kind] = round(right / max(1, len(indices)), 4)
    return found
