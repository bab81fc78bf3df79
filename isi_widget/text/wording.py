"""Rules on the wording of short English answers: yes, no, and "the same words".

Pure text, no model. The rules are cautious: two answers are the same only if the difference (case,
punctuation, an article, "It is ...", "2" for "two") cannot change the meaning. Not for comparing meanings:
use an entailment model (`isi_widget.uncertainty.entailment`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal

Verdict = Literal["yes", "no"]

YES = frozenset({"yes", "yeah", "yep", "yup"})
NO = frozenset({"no", "nope", "nah"})
HOW_MANY = "how many"
#: Word for yes or no -> "yes" or "no".
VERDICTS: dict[str, Verdict] = {**dict.fromkeys(YES, "yes"), **dict.fromkeys(NO, "no")}
#: Words that withdraw or limit a preceding yes or no.
_HEDGES = frozenset({"but", "however", "although", "though", "unless", "except", "or", "depends"}) | {
    *("sure", "unsure", "uncertain", "maybe", "perhaps", "possibly", "probably", "partly", "partially")
}
_NEGATIONS = frozenset({"not", "no", "never", "none", "nothing", "nobody", "neither", "nor", "without"})

_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
_TEENS = ("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBERS = {word: number for number, word in enumerate((*_SMALL, *_TEENS))} | {
    word: 10 * number for number, word in enumerate(_TENS, 2)
}
#: Words after which "one" is not a number: "no one", "this one".
_BEFORE_ONE = frozenset({"no", "some", "any", "every", "each", "this", "that", "which", "another", "the"})
_ARTICLES = frozenset({"a", "an", "the"})
_SUBJECTS = frozenset({"it", "this", "that", "they", "these", "those", "there"})
_COPULAS = frozenset({"is", "are"})
_ANSWER = (("the", "answer", "is"), ("my", "answer", "is"), ("answer",))
#: "Yes, it is." means the same as "Yes."
_ELLIPSIS = re.compile(
    r"(?:it|there|he|she|they|that|this|these|those|i|we|you) "
    r"(?:is|are|was|were|does|do|did|can|could|has|have|will|would)(?P<negated> not)?"
)
_PLAIN = str.maketrans(
    {"\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{MINUS SIGN}": "-"}
)
_CONTRACTIONS = (
    (re.compile(r"\bcan(?:'t|not)\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\b(it|that|this|there)'s\b"), r"\1 is"),
    (re.compile(r"\b(they|these|those|there)'re\b"), r"\1 are"),
)
#: Punctuation that carries meaning: "100%", "#3", "and/or", "AT&T", "me@home".
_MEANT = frozenset("%#&@/\\\N{PER MILLE SIGN}\N{SECTION SIGN}")
#: Symbols of Markdown, which carry no meaning.
_MARKUP = frozenset("`~^|*_")


def yes_or_no(text: str) -> Verdict | None:
    """Return "yes" or "no" if a text is that word alone, apart from punctuation, quotes or emphasis; else
    None.

    For single tokens: "Yes?", " no", '"No."', "**Yes**".
    """
    if text.isascii() and "yes" not in text.lower() and "no" not in text.lower():
        return None  # true for nearly every token of a vocabulary
    bare = _folded(text).strip()
    while bare and _is_around(bare[0]):
        bare = bare[1:]
    while bare and _is_around(bare[-1]):
        bare = bare[:-1]
    return "yes" if bare == "yes" else "no" if bare == "no" else None


@lru_cache(maxsize=20_000)
def verdict(text: str) -> Verdict | None:
    """Return the clear yes or no of an answer, or None.

    It is at the beginning, alone or before a punctuation mark ("Yes, there is a star."), and nothing after it
    withdraws it ("No, wait, yes", "Yes, but only one", "Yes, there is no star"). "No stars" is not a verdict.
    Other languages ("Sí.") are not recognised.
    """
    tokens, first = normalised(text), _first_clause(text)
    if len(tokens) == 1:
        return VERDICTS.get(tokens[0])
    if not first or any(word not in VERDICTS for word in first):
        return None
    said = {VERDICTS[word] for word in first}
    if len(said) != 1:
        return None
    (found,) = said
    rest = tokens[len(first) :]
    against = NO | _NEGATIONS if found == "yes" else YES
    return None if any(word in against or word in _HEDGES for word in rest) else found


def asks_how_many(question: str) -> bool:
    """Return whether a question begins with "how many"."""
    return re.match(rf"\W*{HOW_MANY}\b", question.lower()) is not None


@lru_cache(maxsize=20_000)
def normalised(text: str, question: str = "") -> tuple[str, ...]:
    """Normalise an answer to its words without parts that cannot change the meaning; equal for answers with
    the same wording.

    Removed: case, punctuation, white space, emphasis, quotes, articles before a word, and beginnings like "It
    is", "There are" or "The answer is". Rewritten: contractions in full, numbers up to 99 and thousands in
    digits, yeah and nope as yes and no, and "Yes, it is." as "yes". Kept: signs and decimal points of
    numbers, per cent, "C++", accents, negations, "Vitamin A", "no one". If the question asks "how many",
    "none" becomes 0.
    """
    tokens = _without_articles(_in_digits(_without_beginning(_tokens(text))), text)
    if asks_how_many(question) and tokens in (["none"], ["no"], ["nope"]):
        return ("0",)
    if tokens and tokens[0] in VERDICTS:
        tail = _ELLIPSIS.fullmatch(" ".join(tokens[1:]))
        word = VERDICTS[tokens[0]]
        if set(tokens) <= (YES if word == "yes" else NO) or (
            tail is not None and (tail["negated"] is None) == (word == "yes")
        ):
            return (word,)
        if len(_first_clause(text)) == 1:
            tokens[0] = word
    return tuple(tokens)


# ------------------------------------------------------------------------------------------------ pieces
def _folded(text: str) -> str:
    """Return lower-case, composed text with full-width letters as ordinary ones; "ß" does not become "ss",
    nor "²" "2".
    """
    composed = unicodedata.normalize("NFC", text)
    narrow = "".join(
        chr(ord(c) - 0xFEE0) if 0xFF01 <= ord(c) <= 0xFF5E else " " if c == "\N{IDEOGRAPHIC SPACE}" else c
        for c in composed
    )
    return narrow.lower().translate(_PLAIN)


def _is_silent(character: str) -> bool:
    """Return whether a character is punctuation or markup without meaning, in any script."""
    if character in _MEANT:
        return False
    return character in _MARKUP or unicodedata.category(character).startswith("P")


def _is_around(character: str) -> bool:
    """Return whether a character may surround a word: white space or silent, but not a hyphen ("no-one")."""
    return character.isspace() or (character != "-" and _is_silent(character))


def _tokens(text: str) -> list[str]:
    folded = _folded(text)
    for pattern, plain in _CONTRACTIONS:
        folded = pattern.sub(plain, folded)
    kept = []
    for i, c in enumerate(folded):
        before, after = folded[i - 1 : i], folded[i + 1 : i + 2]
        if not _is_silent(c):
            kept.append(c)
        elif after.isdigit() and (before.isdigit() or c == "-" or (c == "." and not before.isalpha())):
            kept.append(c)  # "3.5", "3:30", "-5", ".5"
        elif c == "'" and before.isalnum() and after.isalnum():
            kept.append(c)
        else:
            kept.append(" ")
    return "".join(kept).split()


def _first_clause(text: str) -> list[str]:
    """Return the words, as in `_tokens`, before the first punctuation mark that ends a clause."""
    folded = _folded(text)
    start = 0
    while start < len(folded) and (_is_silent(folded[start]) or folded[start].isspace()):
        start += 1
    for end in range(start, len(folded)):
        c = folded[end]
        joins = c in "'_" or (c == "-" and not folded[end - 1].isspace())
        if c == "\n" or (_is_silent(c) and not joins):
            return _tokens(folded[start:end])
    return _tokens(folded[start:])


def _without_beginning(tokens: list[str]) -> list[str]:
    """Remove a leading "it is", "there are" or "the answer is", unless nothing would be left."""
    for phrase in _ANSWER:
        if tuple(tokens[: len(phrase)]) == phrase and len(tokens) > len(phrase):
            tokens = tokens[len(phrase) :]
            break
    if len(tokens) > 2 and tokens[0] in _SUBJECTS and tokens[1] in _COPULAS:
        return tokens[2:]
    return tokens


def _without_articles(tokens: list[str], text: str) -> list[str]:
    """Remove articles before a word. A capital A inside the text is a name: "Vitamin A", "Group A wins"."""
    names = len(re.findall(r"(?<=\w )A\b", text)) if not text.isupper() else 0
    found = []
    for i, token in enumerate(tokens):
        last = i == len(tokens) - 1
        if token in _ARTICLES and not last and not (token == "a" and i > 0 and names):
            continue
        found.append(token)
    return found


def _in_digits(tokens: list[str]) -> list[str]:
    found: list[str] = []
    i = 0
    while i < len(tokens):
        token, following = tokens[i], tokens[i + 1 : i + 2]
        if token in _TENS and following and NUMBERS.get(following[0], 0) in range(1, 10):
            found.append(str(NUMBERS[token] + NUMBERS[following[0]]))
            i += 1
        elif token in NUMBERS and not (token == "one" and i > 0 and tokens[i - 1] in _BEFORE_ONE):
            found.append(str(NUMBERS[token]))
        elif re.fullmatch(r"-?\d{1,3}(,\d{3})+", token):
            found.append(token.replace(",", ""))
        else:
            found.append(token)
        i += 1
    return found
