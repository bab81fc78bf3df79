"""The two worlds of the scenes, shapes and everyday things, as data: nouns, colours, kinds of questions and
grounds.

All other modules of this package are the same for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from isi_widget.datasets.grammar import KINDS, THING_KINDS
from isi_widget.datasets.nouns import CATEGORIES, SHAPES, THINGS, is_a, word
from isi_widget.datasets.scenes.grounds import PATTERNS, PLACES


@dataclass(frozen=True)
class World:
    """A world of objects to draw and to ask about.

    Attributes
    ----------
    name : value of `Scene.world`.
    nouns : names of its objects.
    categories : more general nouns to ask about.
    kinds : kinds of questions.
    grounds : styles of its grounds, drawn as often as listed.
    sized : whether "small" and "large" are asked.
    by_colour : whether a colour alone describes an object ("the red object").
    """

    name: str
    nouns: tuple[str, ...]
    categories: tuple[str, ...]
    kinds: tuple[str, ...]
    grounds: tuple[str, ...]
    sized: bool
    by_colour: bool

    def colours(self, noun: str) -> tuple[str, ...]:
        """Return the colours in which an object is drawn; empty if it has no single colour."""
        return word(noun).colours

    def usual(self, ground: str) -> tuple[str, ...]:
        """Return the objects that are usually found on a ground; all of them on a pattern."""
        found = tuple(noun for noun in self.nouns if ground in word(noun).places)
        return found or self.nouns

    def members(self, noun: str) -> tuple[str, ...]:
        """Return the objects that a noun describes: itself, or those of a category."""
        return tuple(name for name in self.nouns if is_a(name, noun))

    def similar(self, noun: str) -> tuple[str, ...]:
        """Return other objects that look similar."""
        return next((tuple(n for n in group if n != noun) for group in _SIMILAR if noun in group), ())


#: Groups of things that are easily taken for one another.
_SIMILAR: Final = (
    ("dog", "cat", "rabbit"),
    ("horse", "cow", "pig", "sheep", "elephant"),
    ("duck", "bird", "fish"),
    ("car", "bus", "truck", "tractor", "train"),
    ("cup", "glass", "teapot"),
    ("lemon", "banana", "pear"),
    ("apple", "strawberry", "mushroom"),
    ("bag", "backpack"),
    ("bicycle", "chair"),
    ("balloon", "umbrella", "flower"),
)
SHAPE_WORLD: Final = World(
    "scenes", SHAPES, (), KINDS, ("paper", "paper", *PATTERNS, *PLACES), sized=True, by_colour=True
)
THING_WORLD: Final = World(
    "things",
    tuple(THINGS),
    CATEGORIES,
    THING_KINDS,
    ("paper", "paper", *PATTERNS, *(PLACES * 2)),
    sized=False,
    by_colour=False,
)
WORLDS: Final[dict[str, World]] = {world.name: world for world in (SHAPE_WORLD, THING_WORLD)}
