"""Noise in wording: unknown words around and inside a sentence, digits for number words. The meaning does not
change.
"""

from __future__ import annotations

from isi_widget.datasets.grammar import NUMBERS
from isi_widget.training.entailment_objects import NAMES, Draw
from isi_widget.training.entailment_phrases import CONTENT, OFF_TOPIC
from isi_widget.training.entailment_words import held_out_words

#: Words of the grammar's held-out sentences that occur in no other one ("visible"); none of them carries
#: meaning. A model cannot know a word that it has never read: as fillers it learns to ignore them.
QUIET = held_out_words()


def add_unknown(draw: Draw, text: str, rate: float = 0.16) -> str:
    """Sometimes add unknown words before, after or inside a sentence, or replace words without content by
    them.
    """
    words = text.split()
    if draw.random() < rate:
        words = [unknown(draw) if draw.random() < 0.3 and bare(w) not in CONTENT else w for w in words]
    if draw.random() < rate:
        words = [filler(draw) for _ in range(draw.randint(1, 4))] + words
    if draw.random() < rate / 2:
        words = words + [filler(draw) for _ in range(draw.randint(1, 3))]
    return " ".join(words)


def unknown(draw: Draw) -> str:
    """Return an invented word, outside every vocabulary."""
    return (
        "".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(draw.randint(2, 4))) + "q"
    )


def off_topic(draw: Draw) -> str:
    """Return a sentence of invented words that has nothing to do with pictures ("No rakuq has left.").

    Almost every word of any such sentence is unknown to the model; the known ones ("he", "was", "two", "up")
    would otherwise be taken for an answer.
    """
    while True:
        parts = [draw.choice(forms) for forms in OFF_TOPIC]
        subject, verb, object_, end = parts
        told = (object_ or end or " " in verb) and (subject, object_) != ("nobody", "the {u}")
        if told and (draw.world == "scenes" or "{k}" not in "".join(parts)):
            break
    text = " ".join(part for part in parts if part)
    while "{u}" in text:
        text = text.replace("{u}", unknown(draw), 1)
    text = text.format(n=draw.choice(NUMBERS), k=draw.choice(NAMES))
    return f"{text[0].upper()}{text[1:]}."


def bare(word: str) -> str:
    """Return the word in lower case, without its punctuation."""
    return word.lower().strip(".,?!:")


def digit(word: str) -> str:
    """Return a number word as a figure; any other word as it is."""
    plain = bare(word)
    return word.lower().replace(plain, str(NUMBERS.index(plain))) if plain in NUMBERS else word


def filler(draw: Draw) -> str:
    """Return an unknown word, or a known word without content."""
    if draw.random() < 0.6:
        return unknown(draw)
    if draw.world == "things" or draw.random() < 0.5:
        return draw.choice(QUIET)
    return draw.choice(("the", "a", "is", "in", "it", "I", "that", "there", "see", "of"))
