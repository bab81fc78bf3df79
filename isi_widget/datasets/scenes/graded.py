"""Data sets in grades of difficulty: everyday things, and shapes on any ground.

easy: clear pictures of few objects; middle: cluttered ones; hard: the object of the question is half hidden,
tiny, or of low contrast. Observation i of a split depends only on (world, split, i). Grades, kinds of
questions, yes and no are balanced against one another.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from isi_widget.datasets import grammar
from isi_widget.datasets.grammar import Noun, Phrase
from isi_widget.datasets.nouns import word
from isi_widget.datasets.observation import Dataset, Observation
from isi_widget.datasets.scenes import ask
from isi_widget.datasets.scenes.arrange import Plan, arrange
from isi_widget.datasets.scenes.case import Case, draw_contexts, draw_nudge
from isi_widget.datasets.scenes.draw import visible_shares
from isi_widget.datasets.scenes.graph import Repeat, Scene
from isi_widget.datasets.scenes.world import SHAPE_WORLD, THING_WORLD, World
from isi_widget.errors import InputError

GRADES: Final = ("easy", "middle", "hard")
SIZES_OF_SPLITS: Final = {"demo": 100, "validation": 600, "test": 2000}
_VARIED: Final = {"varied": 600}
_DEMO_TURNS: Final = (  # of ten questions
    "existence",
    "attribute",
    "relation",
    "name",
    "counting",
    "existence",
    "colour",
    "attribute",
    "relation",
    "counting",
)


@dataclass(frozen=True)
class Condition:
    """A kind of picture.

    Attributes
    ----------
    name : "clear", "cluttered", "half hidden", "tiny" or "low contrast".
    grade : one of `GRADES`.
    plan : how scenes are sampled; its count is replaced.
    count : least and largest number of objects.
    """

    name: str
    grade: str
    plan: Plan
    count: tuple[int, int]


CONDITIONS: Final = (
    Condition("clear", "easy", Plan(3, (46, 88), turned=0.1), (2, 4)),
    Condition("cluttered", "middle", Plan(6, (26, 58), hidden=0.3, crowd=0.35, alike=0.5), (4, 7)),
    Condition("half hidden", "hard", Plan(4, (34, 84), hidden=0.65, crowd=0.85, alike=0.3), (3, 6)),
    Condition("tiny", "hard", Plan(4, (11, 17), alike=0.4), (2, 5)),
    Condition("low contrast", "hard", Plan(4, (24, 60), haze=(0.7, 0.86), alike=0.3), (2, 5)),
)
_SEED: Final = 185  # of all splits; with it the demo begins with a dog beside a chair
_HALF: Final = (0.3, 0.7)  # visible share of a half hidden object


def things(split: str = "demo", seed: int = 0) -> Dataset | Iterator[Observation]:
    """Return scenes of everyday things, in three grades of difficulty.

    Each observation has `metadata["difficulty"]` ("easy", "middle" or "hard"), `metadata["condition"]`
    ("clear", "cluttered", "half hidden", "tiny" or "low contrast") and the contexts "complementary",
    "contradictory", "irrelevant" and "nudging": a text that makes an answer likely without stating it;
    `metadata["nudge"]` has that answer.

    Parameters
    ----------
    split : "demo" (100 observations), "validation" (600), "test" (2,000, held out) or "train" (an endless
        generator). Default "demo". The test split also asks in wordings that no training has used.
    seed : seed of the "train" split; the other splits are always the same. Default 0.

    Raises
    ------
    InputError : unknown split.
    """
    if split == "train":
        return (case.observation() for case in training_cases(THING_WORLD, seed))
    return dataset(THING_WORLD, split)


@lru_cache(maxsize=4)
def dataset(world: World, split: str) -> Dataset:
    """Return a split of fixed size."""
    code = f"isi.datasets.{world.name}({'' if split == 'demo' else repr(split)})"
    return Dataset((case.observation() for case in cases(world, split)), f"{world.name} {split}", code=code)


def cases(world: World, split: str) -> Iterator[Case]:
    """Yield the cases of a split of fixed size, in order.

    Raises
    ------
    InputError : unknown split.
    """
    sizes = _VARIED if world is SHAPE_WORLD else SIZES_OF_SPLITS
    if split not in sizes:
        known = ", ".join([*sizes, "train"])
        raise InputError(f"There is no split {split!r} of the {world.name}; choose one of {known}.")
    for index in range(sizes[split]):
        yield make_case(world, split, index)


def training_cases(world: World, seed: int = 0) -> Iterator[Case]:
    """Yield endless training cases."""
    index = 0
    while True:
        yield make_case(world, f"train {seed}", index)
        index += 1


def make_case(world: World, split: str, index: int) -> Case:
    """Return case number `index` of a split."""
    rng = random.Random(f"isi_widget {world.name} {_SEED}: {split} {index}")
    kinds = _DEMO_TURNS if split == "demo" else world.kinds
    kind, cycle = kinds[index % len(kinds)], index // len(kinds)
    turn = cycle * kinds.count(kind) + kinds[: index % len(kinds)].count(kind)
    condition, step = _condition(kinds.index(kind), turn)
    found = None
    while found is None or ask.is_ambiguous(*found):
        if kind == "counting":
            found = _count(rng, world, condition, step)
        else:
            found = _ask(rng, world, condition, kind, step % 2 == 0, clear=split == "demo")
    scene, item = found
    phrase, wording = _wording(rng, item, split)
    contexts = draw_contexts(item, rng, more=True)
    contexts["nudging"], nudge = draw_nudge(item, rng, to_truth=(index + cycle) % 2 == 0)
    notes = {"difficulty": condition.grade, "condition": condition.name, "wording": wording, "nudge": nudge}
    name = split if world is SHAPE_WORLD else f"{world.name}-{split}"
    return Case(name, index, scene, item, phrase.text, contexts, notes)


def _condition(offset: int, turn: int) -> tuple[Condition, int]:
    """Return the condition of a question and its number within that condition, so that the answers can be
    balanced there.

    Parameters
    ----------
    offset : number of the kind of question, so that the kinds do not all begin with the same grade.
    turn : number of earlier questions of this kind.
    """
    step, place = divmod(turn, len(GRADES))
    grade = GRADES[(place + offset) % len(GRADES)]
    of_grade = [condition for condition in CONDITIONS if condition.grade == grade]
    number, choice = divmod(step, len(of_grade))
    return of_grade[(choice + offset) % len(of_grade)], number + choice


def _plan(rng: random.Random, condition: Condition, fewest: int = 1) -> Plan:
    least, most = condition.count
    return replace(condition.plan, count=rng.randint(max(least, fewest), max(most, fewest)))


def _ask(
    rng: random.Random, world: World, condition: Condition, kind: str, yes: bool, clear: bool
) -> tuple[Scene, ask.Item] | None:
    scene = arrange(rng, world, _plan(rng, condition))
    if len(scene.things) < condition.count[0]:
        return None
    focus = None
    if condition.name == "half hidden":
        shares = visible_shares(scene, 2)
        halves = [index for index, share in enumerate(shares) if _HALF[0] < share < _HALF[1]]
        if not halves:
            return None
        focus = rng.choice(halves)
    margin = 0.2 if clear and condition.grade == "easy" else ask.MARGIN
    item = ask.ask_about(scene, kind, rng, yes=yes, thing=focus, margin=margin)
    return None if item is None else (scene, item)


def _count(
    rng: random.Random, world: World, condition: Condition, step: int
) -> tuple[Scene, ask.Item] | None:
    """Draw the number first, then sample a scene for it, so that the number is no hint."""
    mode = ("open", "yes", "open", "no")[step % 4]
    count = rng.randint(0, 5)
    asked = None
    if mode != "open":
        asked = rng.randint(1, 5)
        count = asked if mode == "yes" else rng.choice([n for n in (asked - 1, asked + 1) if n <= 5])
    noun = _counted(rng, world, everything=count >= condition.count[0])
    plan = _plan(rng, condition, count)
    if noun == Noun():
        plan = replace(plan, count=count)
    else:
        plan = replace(plan, repeat=Repeat(count, noun.shape, noun.colour))
    scene = arrange(rng, world, plan)
    if not scene.things or len(scene.matching(noun)) != count:
        return None
    return scene, ask.count_item(scene, noun, asked)


def _counted(rng: random.Random, world: World, everything: bool) -> Noun:
    """Return a description to count; `everything`: maybe all objects."""
    draw = rng.random()
    if draw < 0.08 and everything:
        return Noun()
    if world.by_colour:
        return Noun(rng.choice(world.nouns)) if draw < 0.55 else Noun(None, rng.choice(grammar.COLOURS))
    if draw < 0.3:
        return Noun(rng.choice(world.categories))
    name = rng.choice(world.nouns)
    return Noun(name, rng.choice(word(name).colours) if word(name).colours and draw < 0.7 else None)


def _wording(rng: random.Random, item: ask.Item, split: str) -> tuple[Phrase, str]:
    """Draw the wording of a question: canonical in the demo, also everyday ones elsewhere; a quarter of the
    test split asks in wordings that are kept out of training.
    """
    asked = grammar.questions(item.ask)
    draw = rng.random()
    if split == "demo" or draw < 0.4:
        return asked[0], "canonical"
    held = split == "test" and draw > 0.75
    return rng.choice([phrase for phrase in asked if phrase.spoken != held]), "held out" if held else "spoken"
