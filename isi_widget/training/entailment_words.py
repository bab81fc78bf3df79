"""Words of the entailment model beside those of its training sentences: plurals and synonyms of things, words
of held-out sentences.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache

from isi_widget.datasets import grammar_everyday as everyday
from isi_widget.datasets import grammar_templates as templates
from isi_widget.datasets.grammar import NUMBERS
from isi_widget.datasets.nouns import CATEGORIES, THINGS, word
from isi_widget.datasets.typing_habits import SYNONYMS
from isi_widget.training.entailment_phrases import AFFIRM, CONTENT, DENY, LEADS, MORE, NO, YES
from isi_widget.training.entailment_sentences import sentences

_LETTERS = re.compile(r"[a-z]+")


def _rules() -> Iterator[tuple[str, str]]:
    """Yield (regular expression, text): plurals and synonyms of a thing are read as its name."""
    for name, others in SYNONYMS.items():
        longest = sorted(map(str.lower, others), key=len, reverse=True)
        either = "|".join(map(_either, longest))
        yield rf"\b(?:{either})\b", name
    ends: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in (*THINGS, *CATEGORIES, "thing"):
        plural = word(name).plural
        stem = name[:-1] if plural == f"{name[:-1]}ies" else name
        if plural != name:
            ends[plural.removeprefix(stem), name.removeprefix(stem)].append(stem)
    for (plural, singular), stems in ends.items():
        before = "|".join(rf"\b{stem}" for stem in stems)
        yield rf"(?<={before}){plural}\b", singular


def _either(words: str) -> str:
    """Return a regular expression for the singular and plural of a synonym."""
    words = words.replace(" ", r"\s+").replace("-", "[- ]?")
    return f"{words[:-1]}(?:y|ies)" if words.endswith("y") else f"{words}s?"


#: (regular expression, text) for lower-case texts.
OTHER_WORDS = tuple(_rules())


@cache
def held_out_words() -> tuple[str, ...]:
    """Return the words of the grammar that occur only in sentences kept out of this training."""
    kept: set[str] = set()
    trained: set[str] = {*NUMBERS, *THINGS, *CATEGORIES}
    questions = (templates.QUESTIONS, everyday.QUESTIONS, everyday.NAME_QUESTIONS)
    for form in _forms([table for tables in questions for table in tables.values()]):
        (kept if form[0] in "-*" else trained).update(_words(form))
    answers = [*templates.SENTENCES.values(), *everyday.NAME_SENTENCES, *templates.SHORT.values()]
    for form in _forms([*answers, everyday.NAME_ANSWERS, templates.YES, templates.NO]):
        (kept if form[0] == "*" else trained).update(_words(form))
    own = (YES, NO, LEADS, AFFIRM, DENY, *MORE.values(), tuple(CONTENT), tuple(sentences()))
    for form in _forms(own):
        trained.update(_words(form))
    return tuple(sorted(kept - trained))


def _forms(tables: Iterable[object]) -> Iterator[str]:
    for table in tables:
        if isinstance(table, str):
            yield table
        elif isinstance(table, tuple):
            yield from _forms(table)


def _words(form: str) -> list[str]:
    return _LETTERS.findall(re.sub(r"\{\w+\}", " ", form).lower())
