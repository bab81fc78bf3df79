"""The splits of the rendered scenes: `demo` (built in), `validation` (for tuning), `test` (held out), `train`
(endless).

Observation i of a split depends only on (split, i). The splits use different seeds, so that no picture occurs
in two splits. Yes and no are balanced for each kind of question and, for counting, for each number asked.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache

from isi_widget.datasets import grammar
from isi_widget.datasets.grammar import COLOURS, KINDS, SHAPES, Noun
from isi_widget.datasets.observation import Dataset, Observation
from isi_widget.datasets.scenes import ask
from isi_widget.datasets.scenes.case import Case, draw_contexts
from isi_widget.datasets.scenes.graded import dataset
from isi_widget.datasets.scenes.graph import Repeat, Scene, sample_scene
from isi_widget.datasets.scenes.world import SHAPE_WORLD
from isi_widget.errors import InputError

SIZES_OF_SPLITS = {"demo": 100, "validation": 600, "test": 2000}
_DEMO_KINDS = (
    "existence",
    "attribute",
    "relation",
    "existence",
    "counting",
    "colour",
    "attribute",
    "relation",
    "shape",
    "counting",
)


def scenes(split: str = "demo", seed: int = 0) -> Dataset | Iterator[Observation]:
    """Return the rendered scenes.

    Parameters
    ----------
    split : "demo" (100 observations, the built-in data set), "validation" (600), "test" (2,000, held out),
        "varied" (600: any ground, tiny to huge, turned, partly hidden, in three grades of difficulty) or
        "train" (an endless generator). Default "demo".
    seed : seed of the "train" split; the other splits are always the same. Default 0.

    Raises
    ------
    InputError : unknown split.
    """
    if split == "train":
        return (case.observation() for case in training_cases(seed))
    if split == "varied":
        return dataset(SHAPE_WORLD, split)
    return _dataset(split)


@lru_cache(maxsize=4)
def _dataset(split: str) -> Dataset:
    code = f"isi.datasets.scenes({'' if split == 'demo' else repr(split)})"
    return Dataset((case.observation() for case in cases(split)), f"scenes {split}", code=code)


def cases(split: str) -> Iterator[Case]:
    """Yield the cases of a split of fixed size, in order."""
    if split not in SIZES_OF_SPLITS:
        known = ", ".join([*SIZES_OF_SPLITS, "varied", "train"])
        raise InputError(f"There is no split {split!r} of the scenes; choose one of {known}.")
    for index in range(SIZES_OF_SPLITS[split]):
        yield make_case(split, index)


def training_cases(seed: int = 0) -> Iterator[Case]:
    """Yield endless training cases."""
    index = 0
    while True:
        yield make_case(f"train {seed}", index)
        index += 1


def make_case(split: str, index: int) -> Case:
    """Return case number `index` of a split."""
    rng = random.Random(f"isi_widget scenes: {split} {index}")
    demo = split == "demo"
    kinds = _DEMO_KINDS if demo else KINDS
    kind, turn = kinds[index % len(kinds)], index // len(kinds)
    turn = turn * kinds.count(kind) + kinds[: index % len(kinds)].count(
        kind
    )  # number of earlier cases of this kind
    yes = turn % 2 == 0
    while True:
        found = _counting(rng, turn, demo) if kind == "counting" else _other(rng, kind, yes, demo)
        if found is not None:
            break
    scene, item = found
    forms = [phrase for phrase in grammar.questions(item.ask) if phrase.spoken and not phrase.everyday]
    question = forms[0] if demo or rng.random() < 0.5 else rng.choice(forms)
    return Case(split, index, scene, item, question.text, draw_contexts(item, rng))


def _other(rng: random.Random, kind: str, yes: bool, demo: bool) -> tuple[Scene, ask.Item] | None:
    fewest = 3 if demo else 2 if kind == "relation" else 1
    scene = sample_scene(rng, rng.randint(fewest, 5))
    item = ask.ask_about(scene, kind, rng, yes=yes, margin=0.2 if demo else ask.MARGIN)
    return None if item is None else (scene, item)


def _counting(rng: random.Random, turn: int, demo: bool) -> tuple[Scene, ask.Item] | None:
    """Draw the number first, then sample a scene for it, so that the number is no hint."""
    mode = ("open", "yes", "open", "no")[turn % 4]
    count = rng.randint(1 if demo else 0, 5)
    asked = None
    if mode != "open":
        asked = rng.randint(1, 5)
        count = asked if mode == "yes" else rng.choice([n for n in (asked - 1, asked + 1) if n <= 5])
    total = rng.randint(max(1, count, 3 if demo else 1), 5)
    draw = rng.random()
    if draw < 0.5:
        noun = Noun(rng.choice(SHAPES))
    elif draw < 0.85:
        noun = Noun(None, rng.choice(COLOURS))
    elif count:
        noun, total = Noun(), count
    else:
        return None
    scene = sample_scene(
        rng, total, repeat=None if noun == Noun() else Repeat(count, noun.shape, noun.colour)
    )
    if len(scene.things) != total or len(scene.matching(noun)) != count:
        return None
    return scene, ask.count_item(scene, noun, asked)
