"""The exact masks of the objects of a scene, by name.

A pixel belongs to an object that covers at least half of it and is not hidden there by others. Not for
pictures without a scene graph (see `isi_widget.concepts.segmenting`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import reduce
from operator import or_

from isi_widget.datasets.grammar import COLOURS, SIZES, Noun
from isi_widget.datasets.nouns import CATEGORIES, SHAPES, THINGS, word
from isi_widget.datasets.scenes.draw import visible
from isi_widget.datasets.scenes.graph import Scene
from isi_widget.errors import InputError
from isi_widget.stimulus import Mask

_HALF = 128  # of 255
_ARTICLES = ("the", "a", "an", "all")
#: Every noun by each of its forms; None for any object.
_NOUNS: dict[str, str | None] = {
    **{form: noun for noun in (*SHAPES, *THINGS, *CATEGORIES) for form in (noun, word(noun).plural)},
    **dict.fromkeys(("object", "objects", "thing", "things")),
}


def masks(scene: Scene) -> dict[str, Mask]:
    """Return the mask of each object, in the order in which they are drawn, by the shortest name that
    distinguishes it: "star", "red star", "small red star" or, of several that look alike, "red star 1".
    """
    names = [_name(scene, index) for index in range(len(scene.things))]
    counts, seen = Counter(names), Counter[str]()
    found = {}
    for name, shares in zip(names, visible(scene), strict=True):
        seen[name] += 1
        full = name if counts[name] == 1 else f"{name} {seen[name]}"
        found[full] = Mask.from_array(shares >= _HALF)
    return found


def mask(scene: Scene, name: str) -> Mask:
    """Return the mask of all objects that a name describes: a name of `masks`, or words such as "red star",
    "the stars", "animals" or "small objects".

    Raises
    ------
    InputError : no object has the name; the message lists the names.
    """
    every = masks(scene)
    if name in every:
        return every[name]
    noun = _noun(name)
    chosen = () if noun is None else scene.matching(noun)
    if not chosen:
        raise InputError(
            f"No object of this picture is called {name!r:.60}. Its objects are {', '.join(every)}; words "
            'such as "stars", "red objects" or "animals" name several.'
        )
    return union(scene, chosen)


def union(scene: Scene, things: Iterable[int]) -> Mask:
    """Return the mask of several objects, given by their indices; empty for none."""
    every = list(masks(scene).values())
    size = scene.width, scene.height
    return reduce(or_, (every[index] for index in things), Mask(size, [size[0] * size[1]]))


def _name(scene: Scene, index: int) -> str:
    thing = scene.things[index]
    colour, size = thing.colour or None, thing.size or None
    nouns = [Noun(thing.shape), Noun(thing.shape, colour), Noun(thing.shape, colour, size)]
    return next((noun for noun in nouns if scene.matching(noun) == (index,)), nouns[1]).words()


def _noun(name: str) -> Noun | None:
    """Read a name; None if a word is not known."""
    words = [part for part in name.lower().split() if part not in _ARTICLES]
    size = words.pop(0) if words and words[0] in SIZES else None
    colour = words.pop(0) if words and words[0] in COLOURS else None
    if len(words) != 1 or words[0] not in _NOUNS:
        return None
    return Noun(_NOUNS[words[0]], colour, size)
