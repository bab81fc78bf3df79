"""The sentences of the scenes' grammar as templates; `grammar` gives their meanings.

A leading "-" marks a sentence that the embedded VLM is not trained on; a leading "*" marks one that is also
excluded from the training of the entailment model. Slots: {a} and {the} noun with its article, {w} without,
{s} plural, {v} value, {V} capitalised, {other} second noun, {inv} inverse relation, {to} "to the left of",
{n} number word, {N} capitalised, {o} the counted noun in its number, {is_are}, {Is_Are}.
"""

QUESTIONS: dict[str, tuple[str, ...]] = {
    "exists": (
        "Is there {a}?",
        "Is there {a} in the picture?",
        "Can you see {a}?",
        "Does the picture show {a}?",
        "*Do you see {a}?",
        "*Is {a} visible?",
    ),
    "has": (
        "Is {the} {v}?",
        "Is {the} in the picture {v}?",
        "Would you say {the} is {v}?",
        "Can you see that {the} is {v}?",
        "*Is it true that {the} is {v}?",
        "*Do you think {the} is {v}?",
    ),
    "colour?": (
        "What colour is {the}?",
        "What is the colour of {the}?",
        "Which colour does {the} have?",
        "What color is {the}?",
        "*Name the colour of {the}.",
        "*Tell me the colour of {the}.",
    ),
    "shape?": (
        "What shape is {the}?",
        "What is the shape of {the}?",
        "Which shape does {the} have?",
        "What is {the}?",
        "*Name the shape of {the}.",
        "*Tell me the shape of {the}.",
    ),
    "relation": (
        "Is {the} {v} {other}?",
        "Is {the} {to} {other}?",
        "Is {the} in the picture {v} {other}?",
        "Can you see {the} {v} {other}?",
        "*Is it true that {the} is {v} {other}?",
        "*Would you say {the} is {v} {other}?",
    ),
    "relation?": ("Is {the} {axis} {other}?",),
    "count": (
        "{Is_Are} there exactly {n} {o}?",
        "{Is_Are} there exactly {n} {o} in the picture?",
        "Can you see exactly {n} {o}?",
        "Does the picture show exactly {n} {o}?",
        "*Do you see exactly {n} {o}?",
        "*Is it true that there {is_are} exactly {n} {o}?",
    ),
    "count?": (
        "How many {s} are there?",
        "How many {s} are in the picture?",
        "How many {s} can you see?",
        "How many {s} does the picture show?",
        "*Say how many {s} there are.",
        "*Tell me how many {s} there are.",
    ),
}

YES = (
    "Yes",
    "Yes, that is right.",
    "-Yes.",
    "-Yes, it is so.",
    "-That is right.",
    "*Correct.",
    "*That is true.",
    "*Yes, indeed.",
)
NO = (
    "No",
    "No, that is not right.",
    "-No.",
    "-No, it is not so.",
    "-That is not right.",
    "*Wrong.",
    "*That is false.",
    "*Not at all.",
)

# Full sentences for a claim; (affirmed, denied). For a yes/no question "Yes, " or "No, " is put before them.
SENTENCES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "exists": (
        (
            "there is {a}.",
            "I see {a}.",
            "the picture shows {a}.",
            "-I can see {a}.",
            "*{a} is visible.",
            "*you can find {a} here.",
        ),
        (
            "there is no {w}.",
            "I see no {w}.",
            "the picture shows no {w}.",
            "-I cannot see {a}.",
            "*no {w} is visible.",
            "*you cannot find {a} here.",
        ),
    ),
    "colour": (
        (
            "{the} is {v}.",
            "it is {v}.",
            "-the colour is {v}.",
            "*{the} has the colour {v}.",
            "*I see that {the} is {v}.",
        ),
        (
            "{the} is not {v}.",
            "it is not {v}.",
            "-the colour is not {v}.",
            "*{the} does not have the colour {v}.",
            "*I see that {the} is not {v}.",
        ),
    ),
    "size": (
        (
            "{the} is {v}.",
            "it is {v}.",
            "-the size is {v}.",
            "*{the} looks {v}.",
            "*I see that {the} is {v}.",
        ),
        (
            "{the} is not {v}.",
            "it is not {v}.",
            "-the size is not {v}.",
            "*{the} does not look {v}.",
            "*I see that {the} is not {v}.",
        ),
    ),
    "shape": (
        (
            "it is a {v}.",
            "{the} is a {v}.",
            "-the shape is a {v}.",
            "*{the} has the shape of a {v}.",
            "*I see that it is a {v}.",
        ),
        (
            "it is not a {v}.",
            "{the} is not a {v}.",
            "-the shape is not a {v}.",
            "*{the} does not have the shape of a {v}.",
            "*I see that it is not a {v}.",
        ),
    ),
    "relation": (
        (
            "{the} is {v} {other}.",
            "it is {v} {other}.",
            "-{other} is {inv} {the}.",
            "*I see {the} {v} {other}.",
            "*{the} is {to} {other}.",
        ),
        (
            "{the} is not {v} {other}.",
            "it is not {v} {other}.",
            "-{other} is not {inv} {the}.",
            "*I do not see {the} {v} {other}.",
            "*{the} is not {to} {other}.",
        ),
    ),
    "count": (
        (
            "there {is_are} {n} {o}.",
            "I see {n} {o}.",
            "-the picture shows {n} {o}.",
            "-there {is_are} exactly {n} {o}.",
            "*I can see {n} {o}.",
            "*you can find {n} {o} here.",
        ),
        (
            "there {is_are} not {n} {o}.",
            "-the picture does not show {n} {o}.",
            "-there {is_are} not exactly {n} {o}.",
            "*I do not see {n} {o}.",
            "*you cannot find {n} {o} here.",
        ),
    ),
}
SHORT: dict[str, tuple[str, ...]] = {  # answers to open questions; the first is the canonical one
    "colour": ("{V}", "-{V}.", "*{V}, I think."),
    "shape": ("{V}", "-A {v}.", "-{V}.", "*A {v}, I think."),
    "relation": ("{V} {other}",),
    "count": ("{N}", "-{N}.", "-{N} {o}.", "*{N}, I think."),
}
CONTEXTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # possible contexts
    "exists": (
        ("There is {a}.", "There is {a} in the picture.", "Someone drew {a} here.", "The picture shows {a}."),
        (
            "There is no {w}.",
            "There is no {w} in the picture.",
            "Nobody drew {a} here.",
            "The picture shows no {w}.",
        ),
    ),
    "colour": (
        ("The {words} is {v}.", "Someone painted {the} {v}.", "In this picture {the} is {v}."),
        ("The {words} is not {v}.", "Nobody painted {the} {v}.", "In this picture {the} is not {v}."),
    ),
    "size": (
        ("The {words} is {v}.", "Someone made {the} {v}.", "In this picture {the} is {v}."),
        ("The {words} is not {v}.", "Nobody made {the} {v}.", "In this picture {the} is not {v}."),
    ),
    "shape": (
        ("The {words} is a {v}.", "Someone made {the} a {v}.", "In this picture {the} is a {v}."),
        ("The {words} is not a {v}.", "Nobody made {the} a {v}.", "In this picture {the} is not a {v}."),
    ),
    "relation": (
        (
            "The {words} is {v} {other}.",
            "Someone drew {the} {v} {other}.",
            "In this picture {the} is {v} {other}.",
        ),
        (
            "The {words} is not {v} {other}.",
            "Nobody drew {the} {v} {other}.",
            "In this picture {the} is not {v} {other}.",
        ),
    ),
    "count": (
        ("There {is_are} {n} {o}.", "Someone drew {n} {o} here.", "The picture shows {n} {o}."),
        ("There {is_are} not {n} {o}.", "Nobody drew {n} {o} here.", "The picture does not show {n} {o}."),
    ),
}
IRRELEVANT = (
    "The weather was fine that day.",
    "A dog sleeps in the garden.",
    "The teacher reads a long book.",
    "Music plays in the next room.",
    "The train to the city was late.",
    "Bread tastes best in the morning.",
    "The lake is cold in winter.",
    "Many people like to walk.",
    "The paper was made in a small town.",
    "Her brother learns to cook.",
    "The museum opens at nine.",
    "A cat sits on the chair.",
    "The coffee was still warm.",
    "It will rain this evening.",
    "The bus stops near the school.",
    "They live in an old house.",
)
