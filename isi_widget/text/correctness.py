"""`judge`: the rule that decides whether an answer is right, wrong or cannot be judged. `truth_of_cell`: how
tables write yes and no.

It compares words, not meaning (see `isi_widget.uncertainty.entailment`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from isi_widget.text.wording import VERDICTS
from isi_widget.text.words import UNSPACED

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS)}
_NEGATIONS = frozenset({"not", "no", "never", "neither", "nor", "isnt", "arent", "without"})
_ARTICLES = frozenset({"a", "an", "the"})

#: Other spellings of yes and no. "true" and "false" are unambiguous; 0, 1 and single letters may also be a
#: count or the name of a choice, so they need a yes/no question.
_BOOLEANS = {"true": "yes", "false": "no"}
_SHORT = {"1": "yes", "0": "no", "y": "yes", "n": "no", "t": "yes", "f": "no"}
_MEANINGS = {"yes": "yes", "no": "no", **_BOOLEANS, **_SHORT}

_AUXILIARIES = re.compile(
    r"(is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must)(nt)?"
    r"|cant|wont|shant|dont"
)
_OTHER_QUESTIONS = re.compile(r"how|what|which|who|whom|whose|where|when|count|name|describe|list|tell")
_THOUSANDS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?"
#: A cell or answer that is a single number, as tables and spreadsheets write it ("1.0", "1,0", "1,234").
_NUMBER = re.compile(rf"[+-]?(?:{_THOUSANDS}|\d+(?:[.,]\d+)?)")
#: A number in a text (where a comma may end a clause), or a word.
_TOKEN = re.compile(rf"(?<![\w.,])[+-]?(?:{_THOUSANDS}|\d+(?:\.\d+)?)(?!\w)|[^\W_]+")


@dataclass(frozen=True)
class Judgement:
    """Whether an answer is right; None, with the reason, if it cannot be judged.

    reason : one or two sentences; empty if the answer was judged or there is no truth.
    """

    correct: bool | None
    reason: str = ""


def judge(answer: str, truth: str | None, question: str = "") -> Judgement:
    """Return whether an answer agrees with the truth.

    The rule, on lower-case words without punctuation and articles, number words as digits, numbers in one
    form ("3" for "3.0"):

    - the truth is "yes" or "no": right if the answer's first word is that word or a variant (yeah, yep, yup,
      nope, nah). "No, I see no star.", "**No**" and "Nope." are a "no"; an answer that begins with neither is
      wrong;
    - the truth is "true" or "false", or the question asks for yes or no and the truth is 1, 0, "y", "n", "t"
      or "f" (1.0 and 1,0 too): the same, and the answer may begin with any of these spellings;
    - any other truth: right if the answer equals it, or contains its words in a row and not directly after a
      negation ("It is red." for "red"; not "It is not red.").

    Not judged, with a reason: "yes" or "no" if the truth is 1, 0 or a letter and the question is not clearly
    a yes/no question; a truth that could be an article ("A"), has no letter or digit, or is in a script
    without spaces, unless the answer equals it or clearly does not contain it.

    Parameters
    ----------
    answer : answer of the model.
    truth : true answer, or None.
    question : question, used to decide whether a truth of "1" can mean yes; default "".
    """
    if truth is None or not truth.strip():
        return Judgement(None)
    marked = _has_marks(answer) or _has_marks(truth)
    if not marked and _plain(answer) == _plain(truth) and _plain(truth):
        return Judgement(True)
    said, true = _words(answer), _words(truth)
    if not true or UNSPACED.search(truth) or _has_marks(truth):
        return _literally(answer, truth)
    first, word = VERDICTS.get(said[0], said[0]) if said else "", true[0] if len(true) == 1 else ""
    if word in ("yes", "no"):
        return Judgement(first == word)
    if asks_yes_no(question) and word in _MEANINGS:
        return Judgement(_MEANINGS.get(first) == _MEANINGS[word])
    if word in _BOOLEANS and first in ("yes", "no", *_BOOLEANS):
        return Judgement(_MEANINGS[first] == _MEANINGS[word])
    if word in _SHORT and first in ("yes", "no") and not _asks_for_other(question):
        meaning = _SHORT[word].capitalize()
        return Judgement(
            None,
            f"Not judged: the truth {truth!r} may mean {meaning.lower()} or stand for itself, and the "
            f'question does not show which. Write "{meaning}" in the data if that is meant.',
        )
    starts = (i for i in range(len(said) - len(true) + 1) if said[i : i + len(true)] == true)
    return Judgement(said == true or any(i == 0 or said[i - 1] not in _NEGATIONS for i in starts))


def is_correct(answer: str, truth: str | None, question: str = "") -> bool | None:
    """Return `judge(...).correct`: whether an answer agrees with the truth; None if it cannot be judged."""
    return judge(answer, truth, question).correct


def _literally(answer: str, truth: str) -> Judgement:
    """Judge by characters, for a truth that has no separable words: right if equal, wrong if absent."""
    said, true = (
        unicodedata.normalize("NFKC", text).casefold().strip(" .!?\u3002") for text in (answer, truth)
    )
    if said == true:
        return Judgement(True)
    article = true in _ARTICLES  # the name of a choice
    if article and (said.split()[-1:] == [true] or re.match(rf"\W*{true}\W*[.:)]", said)):
        return Judgement(True)
    if true not in (_plain(said) if article else said):
        return Judgement(False)
    return Judgement(
        None, f"Not judged: whether the answer means the truth {truth!r} cannot be seen from its words."
    )


def _has_marks(text: str) -> bool:
    """Return whether a text has combining marks, such as Hindi vowels, which `_plain` drops."""
    return any(unicodedata.category(c).startswith("M") for c in unicodedata.normalize("NFKC", text))


def asks_yes_no(question: str) -> bool:
    """Return whether a question clearly asks for yes or no: English, begins with a verb such as "is" or
    "does", and offers no choice by "or".
    """
    words = _plain(question)
    choice = "or" in words and words[words.index("or") :] != ["or", "not"]
    return bool(words) and _AUXILIARIES.fullmatch(words[0]) is not None and not choice


def is_yes_no_cell(cell: str) -> bool:
    """Return whether a cell is yes, no, true, false, y, n, t, f, 1 or 0 (also 1.0 and 1,0), in any case."""
    return _spelling(cell) in _MEANINGS


def truth_of_cell(cell: str, question: str) -> str | None:
    """Return "Yes", "No" or None for a cell of a column whose cells are all yes, no (`is_yes_no_cell`) or
    empty. A number or letter is kept if the question asks for something else ("How many ...?").
    """
    word = _spelling(cell)
    if not word:
        return None
    if word in _SHORT and _asks_for_other(question):
        return cell.strip()
    return _MEANINGS[word].capitalize()


def _spelling(cell: str) -> str:
    text = cell.strip().casefold()
    return text if text in _MEANINGS else _one_form(text) or text


def _asks_for_other(question: str) -> bool:
    """Return whether a question clearly asks for something other than yes or no."""
    words = _plain(question)
    return bool(words) and (bool(_OTHER_QUESTIONS.fullmatch(words[0])) or "how many" in " ".join(words))


def _plain(text: str) -> list[str]:
    """Return lower-case words without punctuation or apostrophes; numbers in one form."""
    plain = (
        unicodedata.normalize("NFKC", text)
        .casefold()
        .replace("'", "")
        .replace("\N{RIGHT SINGLE QUOTATION MARK}", "")
    )
    whole = _one_form(plain.strip())
    return [_one_form(word) or word for word in _TOKEN.findall(plain)] if whole is None else [whole]


def _words(text: str) -> list[str]:
    """Return the words of `_plain` without articles; number words as digits."""
    return [_DIGITS.get(word, word) for word in _plain(text) if word not in _ARTICLES]


def _one_form(text: str) -> str | None:
    """Return a number in one form: "1" for "1.0", "1,0" and "+1", "1234" for "1,234"; None for
    other texts.
    """
    if not _NUMBER.fullmatch(text):
        return None
    if re.fullmatch(rf"[+-]?{_THOUSANDS}", text):
        text = text.replace(",", "")
    whole, _, rest = text.replace(",", ".").partition(".")
    digits, rest = whole.lstrip("+-").lstrip("0") or "0", rest.rstrip("0")
    sign = "-" if whole[0] == "-" and (digits != "0" or rest) else ""
    return sign + digits + ("." + rest if rest else "")
