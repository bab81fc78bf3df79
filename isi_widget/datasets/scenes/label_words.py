"""The words on the labels of an annotated picture: they name what the question asks for.

Where the labels stand is decided by `labels`.
"""

from __future__ import annotations

from isi_widget.datasets.grammar import Noun
from isi_widget.datasets.nouns import CATEGORIES
from isi_widget.datasets.scenes.ask import Item
from isi_widget.datasets.scenes.graph import Scene


def label_words(scene: Scene, item: Item) -> list[tuple[int, str]]:
    """Return the labels of an annotated picture: (index of an object, word or digit) for the objects in the
    question.
    """
    claim = item.truth
    if item.kind == "counting":
        return [(index, str(number + 1)) for number, index in enumerate(item.about[:5])]
    if item.kind == "existence":
        noun = item.ask.claim.noun
        if item.yes:
            shape = scene.things[item.about[0]].shape if noun.shape in CATEGORIES else noun.shape
            return [(item.about[0], text) for text in (noun.colour, shape) if text]
        part = "shape" if noun.shape else "colour"
        return [(index, getattr(scene.things[index], part)) for index in item.about[:2]]
    if item.kind == "relation":
        nouns = (claim.noun, claim.other or Noun())
        return [(index, _naming(scene, index, noun)) for index, noun in zip(item.about, nouns, strict=True)]
    if item.kind == "name":
        return [(item.about[0], claim.value or "")]
    name = claim.noun.shape or claim.noun.colour or ""
    return [(item.about[0], name), (item.about[0], claim.value or "")]


def _naming(scene: Scene, index: int, noun: Noun) -> str:
    """Return the word of a description that distinguishes its object from the others, preferably
    the shape.
    """
    if noun.shape and (noun.colour is None or scene.matching(Noun(noun.shape)) == (index,)):
        return noun.shape
    return noun.colour or noun.shape or ""
