"""`judge`: the one rule by which an answer agrees with a truth or not, or cannot be judged. `truth_of_cell`:
how a table writes yes and no.

Not for judging meaning (see `isi_widget.uncertainty.entailment`): it compares words, and says so.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from isi_widget.wording import VERDICTS

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS)}
_NEGATIONS = frozenset({"not", "no", "never", "neither", "nor", "isnt", "arent", "without"})
_ARTICLES = frozenset({"a", "an", "the"})

#: Other spellings of yes and no. "true" and "false" mean nothing else; 0, 1 and single letters may also be a
#: count or the name of a choice, so that they need a yes/no question.
_BOOLEANS = {"true": "yes", "false": "no"}
_SHORT = {"1": "yes", "0": "no", "y": "yes", "n": "no", "t": "yes", "f": "no"}
_MEANINGS = {"yes": "yes", "no": "no", **_BOOLEANS, **_SHORT}

_AUXILIARIES = re.compile(
    r"(is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must)(nt)?"
    r"|cant|wont|shant|dont"
)
_OTHER_QUESTIONS = re.compile(r"how|what|which|who|whom|whose|where|when|count|name|describe|list|tell")
_THOUSANDS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?"
#: A cell or answer that is one number, as tables and spreadsheets write it ("1.0", "1,0", "1,234").
_NUMBER = re.compile(rf"[+-]?(?:{_THOUSANDS}|\d+(?:[.,]\d+)?)")
#: A number in a text, where a comma may end a clause; else a word.
_TOKEN = re.compile(rf"(?<![\w.,])[+-]?(?:{_THOUSANDS}|\d+(?:\.\d+)?)(?!\w)|[^\W_]+")
#: Scripts that put no spaces between words: Thai to Burmese, Khmer, kana, Chinese characters.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Judgement:
    """Whether an answer is right; None where it cannot be judged, with the reason.

    reason : one sentence or two; empty where it was judged, or where there is no truth.
    """

    correct: bool | None
    reason: str = ""


def judge(answer: str, truth: str | None, question: str = "") -> Judgement:
    """Return whether an answer agrees with the truth.

    The rule, on lower-case words without punctuation and articles, number words as digits, numbers in one
    form ("3" for "3.0"):

    - the truth is "yes" or "no": the answer's first word is that word, or yeah, yep, yup, nope, nah for it
      ("No, I see no star.", "**No**" and "Nope." are a "no"; an answer that begins with neither is wrong);
    - the truth is "true" or "false", or the question asks for yes or no and the truth is 1, 0, "y", "n", "t"
      or "f" (1.0 and 1,0 too): the same, and the answer may begin with any of these spellings;
    - any other truth: the answer equals it, or holds its words in a row, not right after a negation
      ("It is red." for "red"; not "It is not red.").

    Not judged, with the reason: "yes" or "no" where the truth is 1, 0 or a letter and the question does not
    show that it asks for yes or no; a truth that an article could be ("A"), has no letter or digit, or is in
    a script without spaces, unless the answer equals it or plainly has none of it.

    Parameters
    ----------
    answer : the model's answer.
    truth : the true answer, or None.
    question : what was asked; it says whether a truth of "1" can mean yes.
    """
    if truth is None or not truth.strip():
        return Judgement(None)
    marked = _has_marks(answer) or _has_marks(truth)
    if not marked and _plain(answer) == _plain(truth) and _plain(truth):
        return Judgement(True)
    said, true = _words(answer), _words(truth)
    if not true or _UNSPACED.search(truth) or _has_marks(truth):
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
    """Return `judge(...).correct`: whether an answer agrees with the truth; None where that
    cannot be said.
    """
    return judge(answer, truth, question).correct


def _literally(answer: str, truth: str) -> Judgement:
    """Return a truth whose words cannot be told apart from other words: right if equal, wrong if absent."""
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
    """Return whether letters of a text have marks of their own, as the vowels of Hindi, which
    `_plain` drops.
    """
    return any(unicodedata.category(c).startswith("M") for c in unicodedata.normalize("NFKC", text))


def asks_yes_no(question: str) -> bool:
    """Return whether a question can be seen to ask for yes or no: an English one that begins with a verb such
    as "is" or "does", and offers no choice by "or".
    """
    words = _plain(question)
    choice = "or" in words and words[words.index("or") :] != ["or", "not"]
    return bool(words) and _AUXILIARIES.fullmatch(words[0]) is not None and not choice


def is_yes_no_cell(cell: str) -> bool:
    """Return whether a cell is yes, no, true, false, y, n, t, f, 1 or 0 (as 1.0 and 1,0 too) in
    any capitals.
    """
    return _spelling(cell) in _MEANINGS


def truth_of_cell(cell: str, question: str) -> str | None:
    """Return the truth in a cell of a column where every cell is one of yes or no (`is_yes_no_cell`) or
    empty: "Yes", "No" or None. A number or letter stays what it is if the question asks for something else
    ("How many ...?").
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
    """Return whether a question can be seen to ask for something else than yes or no."""
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
    another text.
    """
    if not _NUMBER.fullmatch(text):
        return None
    if re.fullmatch(rf"[+-]?{_THOUSANDS}", text):
        text = text.replace(",", "")
    whole, _, rest = text.replace(",", ".").partition(".")
    digits, rest = whole.lstrip("+-").lstrip("0") or "0", rest.rstrip("0")
    sign = "-" if whole[0] == "-" and (digits != "0" or rest) else ""
    return sign + digits + ("." + rest if rest else "")
