"""Short answers, lead-ins and wrappers that the training pairs add to the grammar's own sentences.

The words of the grammar's held-out templates ("true", "wrong", ...) occur here in other sentences: a model
trained from nothing cannot know a word that it has never met. None of them is a held-out template itself.
"""

from __future__ import annotations

from isi_widget.datasets import grammar
from isi_widget.datasets.grammar import COLOURS, NUMBERS, SHAPES, SIZES, Noun

YES = (
    "Yes, correct.",
    "Yes, it is.",
    "It is.",
    "Yes, it is true.",
    "It is true.",
    "Yes, that is the case.",
    "That is the case.",
    "Right.",
    "Sure.",
    "Yes, certainly.",
    "That is correct.",
    "This is true.",
    "Indeed.",
    "Yes, of course.",
    "Yeah.",
    "Yep.",
    "It is so.",
    "Yes, there is.",
    "Yes, that is true.",
)
NO = (
    "No, it is wrong.",
    "No, it is not.",
    "It is not.",
    "No, it is not true.",
    "It is false.",
    "That is not the case.",
    "That is wrong.",
    "This is false.",
    "No, not at all.",
    "That is not correct.",
    "That is not true.",
    "It is wrong.",
    "Not so.",
    "No, certainly not.",
    "Nope.",
    "No, there is not.",
    "It is not so.",
    "No, that is false.",
    "Not really.",
)
LEADS = (
    "I think",
    "I think that",
    "It seems that",
    "Well,",
    "Clearly,",
    "In the image",
    "As I see it,",
    "The answer is",
    "Answer:",
    "In this picture",
    "So,",
    "Looking at it,",
)
HELD_OUT_LEADS = (
    "I believe that",
    "As far as I can tell,",
    "To me",
    "Surely,",
    "It looks like",
    "In my view,",
    "My answer:",
)
AFFIRM = ("It is true that", "It is correct that", "It is the case that", "I agree that", "I think that")
DENY = (
    "It is false that",
    "It is wrong that",
    "It is not true that",
    "It is not the case that",
    "I do not think that",
)
IRRELEVANT = grammar.IRRELEVANT[:-4]
HELD_OUT_IRRELEVANT = grammar.IRRELEVANT[-4:]

# Words that carry the meaning: all others may be replaced by unknown ones, which teaches that unknown words
# decide nothing.
CONTENT = frozenset(
    " ".join(
        (
            *COLOURS,
            *SHAPES,
            *SIZES,
            *NUMBERS,
            *(Noun(shape).words(plural=True) for shape in (*SHAPES, None)),
            "object left right above below many or exactly and what which colour shape size",
            "yes yeah yep sure indeed right correct true agree certainly so case",
            "no nope not nobody cannot wrong false really all think",
        )
    ).split()
)
