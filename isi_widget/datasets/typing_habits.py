"""Changes of a sentence as people type: case, missing question marks, spaces, spellings, other words.

The meaning stays. For the training of the embedded model and for tests of its robustness.
"""

from __future__ import annotations

import random
import re
from typing import Final

#: Other words for the things, as people use them.
SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "bicycle": ("bike",),
    "plane": ("airplane", "aeroplane"),
    "backpack": ("rucksack",),
    "truck": ("lorry",),
    "rabbit": ("bunny",),
    "bag": ("handbag",),
    "clock": ("alarm clock",),
    "ball": ("football",),
    "cup": ("mug", "coffee cup"),
    "shirt": ("T-shirt",),
    "boat": ("sailboat",),
    "flower": ("tulip",),
    "shoe": ("sneaker",),
}
_SPELLINGS: Final = (
    ("colour", "color"),
    ("coloured", "colored"),
    ("grey", "gray"),
    ("favourite", "favorite"),
)
_SHORTER: Final = (("what is", "what's"), ("is not", "isn't"), ("are not", "aren't"), ("there is", "there's"))


def as_typed(text: str, rng: random.Random, rate: float = 0.25) -> str:
    """Return a sentence as somebody might type it.

    Parameters
    ----------
    rng : source of the changes.
    rate : probability of each kind of change. Default 0.25.
    """
    for change in (_respelt, _contracted, _renamed, _unmarked, _spaced, _cased):
        if rng.random() < rate:
            text = change(text, rng)
    return text


def _swapped(text: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for one, two in pairs:
        text = re.sub(rf"\b{one}\b", two, text)
        text = re.sub(rf"\b{one.capitalize()}\b", two.capitalize(), text)
    return text


def _respelt(text: str, rng: random.Random) -> str:
    """Use American or British spelling throughout."""
    pairs = _SPELLINGS if rng.random() < 0.5 else tuple((two, one) for one, two in _SPELLINGS)
    return _swapped(text, pairs)


def _contracted(text: str, rng: random.Random) -> str:
    """Use short forms ("what's"), except in a question that begins with the verb."""
    return text if text.startswith(("Is there", "Are there")) else _swapped(text, _SHORTER)


def _renamed(text: str, rng: random.Random) -> str:
    """Use another word for one of the things ("bike")."""
    found = [name for name in SYNONYMS if re.search(rf"\b{name}\b", text)]
    if not found:
        return text
    name = rng.choice(found)
    other = rng.choice(SYNONYMS[name])
    article = "an" if other[0] in "aeiou" else "a"
    text = re.sub(rf"\b(a|an) {name}\b", f"{article} {other}", text)
    return re.sub(rf"\b{name}\b", other, text)


def _unmarked(text: str, rng: random.Random) -> str:
    """Leave out the mark at the end."""
    return text.rstrip("?.")


def _spaced(text: str, rng: random.Random) -> str:
    """Double a space, or put one before the mark or at an end."""
    draw = rng.random()
    if draw < 0.4:
        return text.replace(" ", "  ", 1) if rng.random() < 0.5 else "  ".join(text.rsplit(" ", 1))
    if draw < 0.7:
        return re.sub(r"([?.])$", r" \1", text)
    return f" {text}" if draw < 0.85 else f"{text} "


def _cased(text: str, rng: random.Random) -> str:
    """Write everything in capitals or in small letters, or every word with a capital."""
    return rng.choice((text.upper(), text.lower(), text.lower(), text.title().replace("'S", "'s")))
