"""Short answers, lead-ins and wrappers that the training pairs add to the grammar's own sentences.

The words of the grammar's held-out templates ("true", "wrong", ...) occur here in other sentences: a model
trained from scratch cannot know a word that it has never seen. None of these sentences is a held-out
template.
"""

from __future__ import annotations

from isi_widget.datasets import grammar, grammar_everyday
from isi_widget.datasets.grammar import COLOURS, NUMBERS, SHAPES, SIZES, Noun
from isi_widget.datasets.nouns import CATEGORIES, THINGS
from isi_widget.training import entailment_sentences

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
# the same about things; those of the shapes name some of them
HELD_OUT_IRRELEVANT_OF_THINGS = grammar_everyday.IRRELEVANT[-4:]
IRRELEVANT_OF_THINGS = tuple(
    text for text in grammar_everyday.IRRELEVANT[:-4] if text not in HELD_OUT_IRRELEVANT
)

# Pieces of sentences that have nothing to do with pictures: subject, verb, object, end. {u} is an invented
# word, {n} a number, {k} a thing (only in answers about shapes). Words that mean something in an answer
# ("two", "no", "nobody", "up", "left") mean nothing here. No such sentence is, but for its unknown words,
# like one that is kept for the evaluation (tested).
OFF_TOPIC = (
    (
        *(
            "he",
            "she",
            "they",
            "we",
            "it",
            "someone",
            "nobody",
            "no one",
            "one",
            "there is no {u} to",
            "{u}",
            "{u} and {u}",
            "the {u}",
            "the {u} {u}",
        ),
        *("a {u}", "my {u}", "her {u}", "his {u}", "our {u}", "this {u}", "many {u}", "some {u}", "{n} {u}"),
        *(
            "no {u}",
            "not one {u}",
            "one of the {u}",
            "the other {u}",
            "all {u}",
            "a {k}",
            "her {k}",
            "nobody",
        ),
    ),
    (
        *("{u}", "{u}", "{u}", "was {u}", "were {u}", "has {u}", "has not {u}", "had {u}", "will {u}"),
        *("will not {u}", "did not {u}", "does not {u}", "cannot {u}", "can {u}", "is {u} to {u}", "{u} up"),
        *(
            "{u} down",
            "had to {u}",
            "left",
            "was not {u}",
            "never {u}",
            "should {u}",
            "was {u} by {u}",
            "is {u}",
            "is out of {u}",
        ),
    ),
    (
        *("", "", "the {u}", "a {u}", "a {u} {u}", "his {u}", "her {u}", "{n} {u}", "no {u}", "some {u}"),
        *(
            "the {u} of {u}",
            "too {u}",
            "so {u}",
            "very {u}",
            "the other {u}",
            "it {u}",
            "{u} than {u}",
            "a {k}",
        ),
    ),
    (
        *("", "in the {u}", "at {u}", "at {n}", "with a {u}", "near the {u}", "on the {u}", "for {n} {u}"),
        *("in {u}", "to the {u}", "last {u}", "under the {u}", "over the {u}", "on the right {u}", "by {u}"),
        *("and {u}", "before {u}", "when it {u}", "because of the {u}", "with her {k}"),
    ),
)

# Sentences that the grammar does not have, (affirmed, denied): the value first, "the colour of ...", "cannot"
# with a number.
MORE = {
    "colour": (
        ("the colour of {the} is {v}.", "{v}, that is the colour of {the}.", "{v} is {the}."),
        ("the colour of {the} is not {v}.", "not {v}, that is not the colour of {the}.", "{v} is not {the}."),
    ),
    "size": (
        ("the size of {the} is {v}.", "{v} is {the}."),
        ("the size of {the} is not {v}.", "{v} is not {the}."),
    ),
    "shape": (
        ("the shape of {the} is a {v}.", "a {v}, that is {the}.", "a {v} is the shape of {the}."),
        ("the shape of {the} is not a {v}.", "a {v}, that is not {the}.", "a {v} is not the shape of {the}."),
    ),
    "name": (
        ("{d}, that is {the}.", "{d} is what I see.", "what I see is {d}."),
        ("{d}, that is not {the}.", "{d} is not what I see.", "what I see is not {d}."),
    ),
    "relation": (("{v} {other} is {the}.",), ("{v} {other} is not {the}.",)),
    "count": (
        ("I see exactly {v} {stars}.", "exactly {v} {stars} are there."),
        ("I cannot see {v} {stars}.", "I cannot see exactly {v} {stars}.", "not {v} {stars} are there."),
    ),
}

# Sentences for the evaluation only, further from the grammar than its own held-out templates: (affirmed,
# denied) by kind of claim.
NEW = {
    "exists": (
        ("{a} can be seen.", "the image contains {a}.", "there exists {a}."),
        ("no {words} can be seen.", "the image does not contain {a}.", "there does not exist {a}."),
    ),
    "colour": (
        ("{v} is the colour of {the}.", "{the} is painted {v}.", "{the} is of {v} colour."),
        ("{v} is not the colour of {the}.", "{the} is not painted {v}.", "{the} is not of {v} colour."),
    ),
    "size": (
        ("{the} is of {v} size.", "{the} is rather {v}."),
        ("{the} is not of {v} size.", "{the} is not {v} at all."),
    ),
    "shape": (
        ("{the} must be a {v}.", "a {v} is what {the} is.", "{the} is shaped like a {v}."),
        ("{the} cannot be a {v}.", "a {v} is not what {the} is.", "{the} is not shaped like a {v}."),
    ),
    "name": (
        ("{the} must be {d}.", "{d} is what {the} is.", "the name of {the} is {v}."),
        ("{the} cannot be {d}.", "{d} is not what {the} is.", "the name of {the} is not {v}."),
    ),
    "relation": (
        ("{the} lies {v} {other}.", "you will find {the} {v} {other}.", "{the} sits {v} {other}."),
        (
            "{the} does not lie {v} {other}.",
            "you will not find {the} {v} {other}.",
            "{the} does not sit {v} {other}.",
        ),
    ),
    "count": (
        ("the number of {all} is {v}.", "I count {v} {stars}.", "{v} {stars} can be seen."),
        ("the number of {all} is not {v}.", "I do not count {v} {stars}.", "not {v} {stars} can be seen."),
    ),
}
NEW_YES = (
    "Yes it surely is so.",
    "That is so.",
    "I would say yes.",
    "My answer is yes.",
    "Yes!!",
    "yeah right",
)
NEW_NO = (
    "No it surely is not so.",
    "That is not so.",
    "I would say no.",
    "My answer is no.",
    "No!!",
    "nope, wrong",
)
NEW_IRRELEVANT = (
    "Paris is the capital of France.",
    "He sold his old bicycle.",
    "Nobody answered the phone.",
    "The soup needs more salt.",
    "There was no milk left in the fridge.",
    "Two friends went swimming.",
)
NEW_IRRELEVANT_OF_THINGS = tuple(text for text in NEW_IRRELEVANT if "bicycle" not in text)

# Words that carry the meaning. All others may be replaced by unknown words, so that the model learns to
# ignore these.
CONTENT = frozenset(
    " ".join(
        (
            *COLOURS,
            *SHAPES,
            *SIZES,
            *NUMBERS,
            *(Noun(shape).words(plural=True) for shape in (*SHAPES, *THINGS, *CATEGORIES, "thing", None)),
            *THINGS,
            *CATEGORIES,
            "object thing left right above below many or exactly and what which colour shape size",
            "yes yeah yep sure indeed right correct true agree certainly so case",
            "no nope not nobody cannot wrong false really all think",
            entailment_sentences.CONTENT,
        )
    ).split()
)
