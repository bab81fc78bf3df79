"""An independent reader of the scenes: it understands questions and contexts as text and answers them from
the list of things.

It shares no code with the package: nouns, numbers and relations are parsed from the English sentence.
"""

from __future__ import annotations

import re

SHAPES = ["circle", "square", "triangle", "star", "heart", "cross", "ring"]
COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"]
NUMBERS = ["zero", "one", "two", "three", "four", "five"]
_COLOURED = rf"(?:small |large )?(?:(?:{'|'.join(COLOURS)}) )?(?:{'|'.join(SHAPES)}|object)(?:es|s)?"
NOUN = rf"(?:the |an? |no )?({_COLOURED})"
RELATION = r"(?:to the )?(left of|right of|above|below)"


def select(things, noun):
    """The things that a noun phrase such as "large red crosses" describes."""
    for word in noun.split():
        if word in ("small", "large"):
            things = [t for t in things if t["size"] == word]
        elif word in COLOURS:
            things = [t for t in things if t["colour"] == word]
        elif not word.startswith("object"):
            shape = next(s for s in SHAPES if word in (s, s + "s", s + "es"))
            things = [t for t in things if t["shape"] == shape]
    return things


def only(things, noun):
    """The one thing that is meant; an ambiguous or empty reference is an error of the data set."""
    found = select(things, noun)
    assert len(found) == 1, f"{noun!r} describes {len(found)} things"
    return found[0]


def related(a, relation, b):
    return {
        "left of": a["x"] < b["x"],
        "right of": a["x"] > b["x"],
        "above": a["y"] < b["y"],
        "below": a["y"] > b["y"],
    }[relation]


def answer(question, things):
    """The answer to a question, "Yes", "No" or a capitalised value."""
    text = question.replace(" in the picture", "").replace(" the picture show", " you see").rstrip("?")
    if match := re.fullmatch(rf"How many {NOUN} (?:are there|are|can you see|does you see)", text):
        return NUMBERS[len(select(things, match[1]))].capitalize()
    if match := re.fullmatch(
        rf"(?:Is|Are) there exactly (\w+) {NOUN}|(?:Can|Does) you see exactly (\w+) {NOUN}", text
    ):
        number, noun = match[1] or match[3], match[2] or match[4]
        return yes(len(select(things, noun)) == NUMBERS.index(number))
    if match := re.fullmatch(
        rf"What colou?r is {NOUN}|What is the colour of {NOUN}|Which colour does {NOUN} have", text
    ):
        return only(things, match[1] or match[2] or match[3])["colour"].capitalize()
    if match := re.fullmatch(
        rf"What shape is {NOUN}|What is the shape of {NOUN}|Which shape does {NOUN} have|What is {NOUN}", text
    ):
        return only(things, match[1] or match[2] or match[3] or match[4])["shape"].capitalize()
    if match := re.fullmatch(rf"(?:Is|Can you see) {NOUN} {RELATION} {NOUN}", text):
        return yes(related(only(things, match[1]), match[2], only(things, match[3])))
    if match := re.fullmatch(rf"(?:Is|Would you say|Can you see that) {NOUN} (?:is )?(\w+)", text):
        thing = only(things, match[1])
        return yes(match[2] in (thing["colour"], thing["size"]))
    if match := re.fullmatch(rf"(?:Is there|Can you see|Does you see) {NOUN}", text):
        return yes(bool(select(things, match[1])))
    raise AssertionError(f"not understood: {question}")


def holds(sentence, things):
    """Whether the statement of a context is true of the things."""
    text = sentence.rstrip(".").replace(" in the picture", "").removeprefix("In this picture ")
    text = text[0].lower() + text[1:]
    denied = " no " in f" {text} " or " not " in f" {text} " or text.startswith("nobody")
    text = text.replace(" not ", " ").replace("does show", "shows").replace("nobody", "someone")
    return read(text, things) != denied


def read(text, things):
    number = "|".join(NUMBERS)
    if match := re.fullmatch(
        rf"(?:there (?:is|are)|someone drew|the picture shows) ({number}) {NOUN}(?: here)?", text
    ):
        return len(select(things, match[2])) == NUMBERS.index(match[1])
    if match := re.fullmatch(
        rf"(?:someone drew|the picture shows|there is)? ?{NOUN} (?:is )?{RELATION} {NOUN}", text
    ):
        return related(only(things, match[1]), match[2], only(things, match[3]))
    if match := re.fullmatch(rf"(?:someone (?:painted|made) )?{NOUN} (?:is )?(?:an? )?(\w+)", text):
        thing = only(things, match[1])
        return match[2] in (thing["colour"], thing["size"], thing["shape"])
    if match := re.fullmatch(rf"(?:there is|someone drew|the picture shows) {NOUN}(?: here)?", text):
        return bool(select(things, match[1]))
    raise AssertionError(f"not understood: {text}")


def yes(value):
    return "Yes" if value else "No"
