"""`SceneGraph`: what an observation of a built-in world needs for counterfactuals and masks.

It changes the scene graph (`changes`), asks the question again and gives the observation of the new scene;
it also gives the masks of the objects (`masks`).
Not for pairs themselves (see `isi_widget.concepts.pair`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from isi_widget import checks
from isi_widget.datasets import grammar
from isi_widget.datasets.scenes import ask, masks
from isi_widget.datasets.scenes.changes import WAYS, Change, change
from isi_widget.datasets.scenes.draw import touched
from isi_widget.datasets.scenes.graph import Scene
from isi_widget.errors import InputError
from isi_widget.stimulus import Mask

if TYPE_CHECKING:
    from isi_widget.datasets.observation import Observation
    from isi_widget.datasets.scenes.case import Case
    from isi_widget.stimulus.regions import Region

#: Kinds of the questions that are asked beside the changed one; all have yes/no questions.
_KINDS = ("existence", "attribute", "relation")
_TRIES = 40  # for each question


@dataclass(frozen=True)
class SceneGraph:
    """The scene behind an observation.

    case : the scene with its question.
    """

    case: Case

    def masks(self) -> dict[str, Mask]:
        """Return the exact mask of each object, by its name."""
        return masks.masks(self.case.scene)

    def mask(self, name: str | None) -> Mask:
        """Return the mask of the objects of a name; None: of those that the question is about.

        Raises
        ------
        InputError
            If there are none.
        """
        if name is not None:
            return masks.mask(self.case.scene, checks.text(name, "name"))
        if not self.case.item.about:
            raise InputError(
                f"The question {self.case.question!r} is about no single object of this picture. Name the "
                f"objects: {', '.join(self.masks())}."
            )
        return masks.union(self.case.scene, self.case.item.about)

    def levels(self) -> tuple[str, ...]:
        """Return the semantic levels at which a change of the scene changes the true answer."""
        return tuple(level for level in WAYS if self._change(level, None, 0) is not None)

    def about(self) -> tuple[Region, ...] | None:
        """Return the boxes of the things that decide the true answer; None where all things do: for
        counting, where the answer is no because there is no such thing, and where the question names a thing
        by its colour, size or place, which another thing may get.
        """
        item = self.case.item
        if item.kind == "counting" or (item.kind == "existence" and not item.yes):
            return None
        nouns = (item.ask.claim.noun, item.ask.claim.other or grammar.Noun())
        if item.kind != "existence" and any(noun.colour or noun.size or noun.place for noun in nouns):
            return None
        return tuple(touched(self.case.scene.things[index]) for index in item.about)

    def counterfactual(self, level: str, way: str | None, seed: int) -> tuple[Observation, str]:
        """Return the observation of a changed scene, whose true answer differs, and the change in words.

        Raises
        ------
        InputError
            If the level or the way is unknown, or no such change changes the answer.
        """
        made = self._found(level, way, seed)
        case = self.case.changed(made.scene, self.case.item.ask, self._seed(level, way, seed))
        return case.observation(), made.words

    def unrelated(
        self, level: str, way: str | None, seed: int, n: int
    ) -> tuple[str, list[tuple[Observation, Observation]]]:
        """Return the change in words, and n other questions about both scenes whose true answers are equal.

        Fewer if the scene has fewer; the question says nothing about the things that change.
        """
        made = self._found(level, way, seed)
        rng = random.Random(f"isi_widget scenes, unrelated: {self._seed(level, way, seed)}")
        touched = (self.case.scene, made.before), (made.scene, made.after)
        found: dict[str, tuple[Observation, Observation]] = {}
        for attempt in range(n * _TRIES):
            if len(found) == n:
                break
            item = ask.ask_about(self.case.scene, _KINDS[attempt % len(_KINDS)], rng)
            if item is None or any(_means(item.ask, scene, things) for scene, things in touched):
                continue
            again = ask.ask_again(made.scene, item.ask)
            if again is None or again.answer != item.answer:
                continue
            text = grammar.questions(item.ask)[0].text
            seed_of = f"{self._seed(level, way, seed)} {text}"
            one, two = (
                replace(self.case, question=text, item=item).changed(scene, item.ask, seed_of)
                for scene in (self.case.scene, made.scene)
            )
            found.setdefault(text, (one.observation(), two.observation()))
        return made.words, list(found.values())

    def _found(self, level: str, way: str | None, seed: int) -> Change:
        checks.one_of(level, "counterfactual: level", tuple(WAYS))
        if way is not None:
            checks.one_of(way, f'counterfactual: way at the level "{level}"', WAYS[level])
        checks.integer(seed, "counterfactual: seed", low=0)
        made = self._change(level, way, seed)
        if made is None:
            named = f'the level "{level}"' + (f' by "{way}"' if way else "")
            possible = [f'"{each}" ({", ".join(ways)})' for each in WAYS if (ways := self._ways(each, seed))]
            raise InputError(
                f"No change at {named} changes the answer to {self.case.question!r} in this scene "
                f"({self.case.item.answer}). Possible here: {'; '.join(possible) or 'none'}."
            )
        return made

    def _ways(self, level: str, seed: int) -> list[str]:
        return [way for way in WAYS[level] if self._change(level, way, seed) is not None]

    def _change(self, level: str, way: str | None, seed: int) -> Change | None:
        rng = random.Random(f"isi_widget scenes, counterfactual: {self._seed(level, way, seed)}")
        return change(self.case.scene, self.case.item.ask, level, rng, way)

    def _seed(self, level: str, way: str | None, seed: int) -> str:
        return f"{self.case.split} {self.case.index} {self.case.question} {level} {way} {seed}"


def _means(asked: grammar.Ask, scene: Scene, things: tuple[int, ...]) -> bool:
    """Return whether a question describes one of some things."""
    nouns = [asked.claim.noun, *([asked.claim.other] if asked.claim.other else [])]
    return any(scene.things[index].matches(noun) for noun in nouns for index in things)
