"""Behaviour of the exported model beyond plain accuracy: robust to how people draw and write, and in doubt
where something is hard to see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from isi_widget.datasets.scenes import graded
from isi_widget.datasets.scenes.world import THING_WORLD, World
from isi_widget.training.vlm.evaluate import (
    CONDITIONS,
    Model,
    cases_of,
    chunks,
    entropy,
    meaning,
    share_of,
    wanted,
)
from isi_widget.training.vlm.robust import TRAITS, probe

_SOME = 0.05  # nats; an entropy above this counts as doubt


def robustness(
    model: Model, world: World, number: int = 210, report: Callable[[str], None] = print
) -> dict[str, dict[str, float]]:
    """Return the accuracy of each trait, {trait: {n, right, share, low, high}}, all kinds together."""
    found = {}
    for trait in TRAITS:
        probes = [probe(world, trait, index) for index in range(number)]
        texts: list[str] = []
        for some in chunks(probes, 60):
            texts += model.answers([p.picture for p in some], [p.question for p in some])
        good = [meaning(p.item.ask, text) == wanted(p) for p, text in zip(probes, texts, strict=True)]
        found[trait.name] = share_of(sum(good), number)
        report(f"{world.name}, {trait.name}: {found[trait.name]['share']}")
    return found


def doubts(
    model: Model, split: str = "demo", limit: int | None = None, world: World = THING_WORLD
) -> dict[str, Any]:
    """Return accuracy and entropy by grade of difficulty, and how well entropy separates right from wrong.

    Returns
    -------
    dict : "grades" and "conditions" {name: share of right greedy answers as by `share_of`, with "entropy",
    the mean in nats}, "doubtful" (number of questions with semantic entropy above 0.05), "questions" (their
    number), "auroc" {value, low, high}, None if all answers are right or all wrong.
    """
    chosen, plain = list(islice(cases_of(world, split), limit)), CONDITIONS[0]
    right: list[bool] = []
    values: list[float] = []
    for number, some in enumerate(chunks(chosen, 50)):
        greedy = model.greedy(some, plain)
        right += [
            meaning(case.item.ask, text) == wanted(case) for case, text in zip(some, greedy, strict=True)
        ]
        sampled = model.sampled(some, plain, number)
        values += [entropy(case, answers) for case, answers in zip(some, sampled, strict=True)]

    def by(name: str, groups: Sequence[str]) -> dict[str, dict[str, float]]:
        table = {}
        for group in groups:
            here = [i for i, case in enumerate(chosen) if case.notes[name] == group]
            if here:
                table[group] = share_of(sum(right[i] for i in here), len(here))
                table[group]["entropy"] = round(float(np.mean([values[i] for i in here])), 4)
        return table

    return {
        "split": split,
        "questions": len(chosen),
        "grades": by("difficulty", graded.GRADES),
        "conditions": by("condition", [condition.name for condition in graded.CONDITIONS]),
        "doubtful": sum(value > _SOME for value in values),
        "auroc": auroc(values, [not good for good in right]),
    }


def auroc(values: Sequence[float], wrong: Sequence[bool], draws: int = 2000) -> dict[str, float] | None:
    """Return the area under the receiver operating characteristic of a value that should be higher where the
    answer is wrong, with the 95 % interval of a bootstrap over questions; None without both kinds.
    """
    scores, bad = np.asarray(values, dtype=float), np.asarray(wrong, dtype=bool)
    if bad.all() or not bad.any():
        return None
    generator = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        chosen = generator.integers(0, len(scores), len(scores))
        if 0 < bad[chosen].sum() < len(chosen):
            found.append(_area(scores[chosen], bad[chosen]))
    low, high = np.quantile(found, (0.025, 0.975))
    return {"value": _area(scores, bad), "low": round(float(low), 4), "high": round(float(high), 4)}


def _area(scores: np.ndarray[Any, np.dtype[np.float64]], bad: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """Return the share of pairs (wrong, right) in which the wrong one is higher; ties count half."""
    difference = scores[bad][:, None] - scores[~bad][None]
    return round(float((difference > 0).mean() + 0.5 * (difference == 0).mean()), 4)
