"""The nouns of both worlds: shapes and everyday things, with plural, category, colours and usual place.

Pure data without pixels (see `isi_widget.datasets.scenes`). The grammar builds its noun phrases from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "ring")
COLOURS = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
)  # no black, grey or white: boxes and labels have these colours


@dataclass(frozen=True)
class Word:
    """The entry of a noun: its forms and its looks.

    Attributes
    ----------
    plural : plural form.
    category : more general noun ("animal" for "dog"); "" for none.
    colours : colours in which it is drawn; empty if it has no single colour, and then no question asks for
        its colour.
    glyph : character of its artwork; "" for a shape.
    places : grounds where it is usually found ("table", "room", "meadow", "street", "water").
    flies : whether it may be seen above the ground.
    """

    plural: str
    category: str = ""
    colours: tuple[str, ...] = ()
    glyph: str = ""
    places: tuple[str, ...] = ()
    flies: bool = False


def _animal(plural: str, glyph: str, *places: str, flies: bool = False) -> Word:
    return Word(plural, "animal", (), glyph, places or ("meadow",), flies)


def _vehicle(plural: str, glyph: str, *places: str, coloured: bool = False, flies: bool = False) -> Word:
    return Word(plural, "vehicle", COLOURS if coloured else (), glyph, places or ("street",), flies)


def _fruit(plural: str, glyph: str, colours: tuple[str, ...] = ()) -> Word:
    return Word(plural, "fruit", colours, glyph, ("table",))


def _house(plural: str, glyph: str, *places: str, colours: tuple[str, ...] = (), flies: bool = False) -> Word:
    return Word(plural, "", colours, glyph, places or ("table", "room"), flies)


#: Everyday things by name. Some look alike on purpose: dog and cat, car and bus, cup and glass.
THINGS: Final[dict[str, Word]] = {
    "dog": _animal("dogs", "\U0001f415", "meadow", "street", "room"),
    "cat": _animal("cats", "\U0001f408", "meadow", "street", "room"),
    "horse": _animal("horses", "\U0001f40e"),
    "cow": _animal("cows", "\U0001f404"),
    "sheep": _animal("sheep", "\U0001f411"),
    "pig": _animal("pigs", "\U0001f416"),
    "elephant": _animal("elephants", "\U0001f418"),
    "rabbit": _animal("rabbits", "\U0001f407", "meadow", "room"),
    "duck": _animal("ducks", "\U0001f986", "meadow", "water"),
    "bird": _animal("birds", "\U0001f426", "meadow", "street", "water", flies=True),
    "fish": _animal("fish", "\U0001f41f", "water"),
    "butterfly": _animal("butterflies", "\U0001f98b", "meadow", "water", flies=True),
    "turtle": _animal("turtles", "\U0001f422", "meadow", "water"),
    "car": _vehicle("cars", "\U0001f697", coloured=True),
    "bus": _vehicle("buses", "\U0001f68c", coloured=True),
    "truck": _vehicle("trucks", "\U0001f69a"),
    "bicycle": _vehicle("bicycles", "\U0001f6b2", "street", "meadow"),
    "boat": _vehicle("boats", "⛵", "water"),
    "plane": _vehicle("planes", "✈", "street", "water", "meadow", flies=True),
    "train": _vehicle("trains", "\U0001f682"),
    "tractor": _vehicle("tractors", "\U0001f69c", "meadow", "street"),
    "apple": _fruit("apples", "\U0001f34e", ("red", "green", "yellow")),
    "pear": _fruit("pears", "\U0001f350"),
    "banana": _fruit("bananas", "\U0001f34c"),
    "lemon": _fruit("lemons", "\U0001f34b"),
    "strawberry": _fruit("strawberries", "\U0001f353"),
    "carrot": _house("carrots", "\U0001f955", "table"),
    "mushroom": _house("mushrooms", "\U0001f344", "table", "meadow"),
    "cake": _house("cakes", "\U0001f382", "table"),
    "chair": _house("chairs", "\U0001fa91", "room", "street", colours=COLOURS),
    "umbrella": _house("umbrellas", "☂", "room", "street", "water", colours=COLOURS),
    "book": _house("books", "\U0001f4d5", colours=COLOURS),
    "cup": _house("cups", "☕", colours=COLOURS),
    "glass": _house("glasses", "\U0001f95b"),
    "teapot": _house("teapots", "\U0001fad6", colours=COLOURS),
    "clock": _house("clocks", "⏰", colours=COLOURS),
    "key": _house("keys", "\U0001f511"),
    "ball": _house("balls", "⚽", "room", "meadow", "street", "water"),
    "backpack": _house("backpacks", "\U0001f392", "room", "street", "meadow", colours=COLOURS),
    "bag": _house("bags", "\U0001f45c", "room", "street", "table", colours=COLOURS),
    "shoe": _house("shoes", "\U0001f45f", "room", "street", colours=COLOURS),
    "shirt": _house("shirts", "\U0001f455", "room", "table", colours=COLOURS),
    "balloon": _house(
        "balloons", "\U0001f388", "room", "street", "meadow", "water", colours=COLOURS, flies=True
    ),
    "flower": _house(
        "flowers",
        "\U0001f337",
        "meadow",
        "table",
        "room",
        colours=("red", "orange", "yellow", "blue", "purple", "pink"),
    ),
}
CATEGORIES: Final = ("animal", "vehicle", "fruit")
#: Things that many people also call by the name of another thing of the list.
ALSO_CALLED: Final = {"duck": "bird", "backpack": "bag"}

_WORDS: Final[dict[str, Word]] = {
    **{shape: Word(shape + ("es" if shape == "cross" else "s"), colours=COLOURS) for shape in SHAPES},
    **THINGS,
    **{category: Word(category + "s") for category in CATEGORIES},
    "object": Word("objects"),
    "thing": Word("things"),
}


def word(name: str) -> Word:
    """Return the entry of a noun."""
    return _WORDS[name]


def is_a(name: str, other: str) -> bool:
    """Return whether everything called `name` is also called `other` ("dog" and "animal")."""
    return name == other or (name in _WORDS and _WORDS[name].category == other)
