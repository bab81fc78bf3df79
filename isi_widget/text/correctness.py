"""`judge`: the rule that decides whether an answer is right, wrong or cannot be judged.

It compares words, not meaning (see `isi_widget.uncertainty.entailment`). How tables and lists write a truth
is in `isi_widget.text.truths`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from isi_widget.text.truths import (
    ALONE,
    BOOLEANS,
    FEWEST,
    MEANINGS,
    SHORT,
    YES_NO,
    accepted,
    is_no_truth,
    number_in_one_form,
)
from isi_widget.text.wording import NUMBERS, VERDICTS, verdict
from isi_widget.text.words import UNSPACED

_NEGATIONS = frozenset({"not", "no", "never", "neither", "nor", "isnt", "arent", "without"})
_ARTICLES = frozenset({"a", "an", "the"})

_AUXILIARIES = re.compile(
    r"(is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must)(nt)?"
    r"|cant|wont|shant|dont"
)
_OTHER_QUESTIONS = re.compile(r"how|what|which|who|whom|whose|where|when|count|name|describe|list|tell")
_THOUSANDS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?"
#: Words for none, where a question asks how many.
_NONE = frozenset({"none", "no", "nope", "nothing"})
#: "The answer is yes.", at the beginning or at the end of a longer answer.
_ANSWER_IS = re.compile(r"\banswer\s*(?:is|would be|:)\W*(\w+)")
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

    The rule, on lower-case words without punctuation and articles, number words up to 99 as digits, numbers
    in one form ("3" for "3.0"):

    - the truth is a yes or a no (`truths.YES_NO`: "yes", "Yes, it is.", "nope", "ja", "non"): right if the
      answer's first word, or the one after "the answer is", means the same. "No, I see no star.", "**No**"
      and "Nope." are a no; an answer that begins with neither is wrong;
    - the truth is "true" or "false", or the question asks for yes or no and the truth is 1, 0, "y", "n", "t"
      or "f" (1.0 and 1,0 too): the same, and the answer may begin with any of these spellings;
    - several truths, separated by a bar ("red | crimson"): right if any of them is. Ten answers of ten people
      with repeats, as in VQA: right if at least three gave it, wrong if nobody did;
    - any other truth: right if the answer equals it, or contains its words in a row and not directly after a
      negation ("It is red." for "red"; not "It is not red."). Where the question asks how many, "none" and
      "no" are 0.

    Not judged, with a reason: a truth that is none ("n/a", "unknown"); "yes" or "no" if the truth is 1, 0 or
    a letter and the question is not clearly a yes/no question; an answer that one or two of ten people gave;
    an answer to a yes/no question in letters without a known yes or no; a truth that could be an article
    ("A"), has no letter or digit, or is in a script without spaces, unless the answer equals it or clearly
    does not contain it.

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
    if _folded(answer) == _folded(truth):
        return Judgement(True)
    several = accepted(truth)
    if len(several) > 1:
        return _of_several(answer, several, question)
    if is_no_truth(truth) or (asks_yes_no(question) and is_no_truth(truth, of_yes_no=True)):
        return Judgement(None, f"Not judged: the truth {truth.strip()!r} does not state an answer.")
    return _judge(answer, truth, question)


def _of_several(answer: str, truths: tuple[str, ...], question: str) -> Judgement:
    """Judge by several accepted truths, or by the answers of ten people."""
    found = [judge(answer, truth, question) for truth in dict.fromkeys(truths)]
    agreeing = [truth for truth, one in zip(dict.fromkeys(truths), found, strict=True) if one.correct]
    votes = sum(truths.count(truth) for truth in agreeing)
    if len(truths) >= FEWEST and len(set(truths)) < len(truths) and 0 < votes < 3:
        return Judgement(
            None,
            f"Not judged: {votes} of {len(truths)} people gave this answer, which is neither right nor "
            f"wrong: a VQA score of {votes}/3.",
        )
    if agreeing:
        return Judgement(True)
    return next((one for one in found if one.correct is None), Judgement(False))


def _judge(answer: str, truth: str, question: str) -> Judgement:
    """Judge by one truth that states an answer."""
    said, true = _words(answer, question), _words(truth, question)
    word = true[0] if len(true) == 1 else verdict(truth) or ""
    alone = _only_word(truth)
    if not _asks_how_many(question) and (alone in VERDICTS or not asks_for_other(question)):
        word = YES_NO.get(alone, word)  # "Si" may be another word where a question asks what
    if word not in ("yes", "no") and (not true or UNSPACED.search(truth) or _has_marks(truth)):
        return _literally(answer, truth)
    first = _first(answer)
    if word in ("yes", "no"):
        return _of_yes_no(answer, YES_NO.get(first, ""), word)
    if asks_yes_no(question) and word in MEANINGS:
        return _of_yes_no(answer, MEANINGS.get(first, ""), MEANINGS[word])
    if word in BOOLEANS and (first in YES_NO or first in BOOLEANS):
        return Judgement(MEANINGS[first] == MEANINGS[word])
    if word in SHORT and first in YES_NO and not asks_for_other(question):
        meaning = SHORT[word].capitalize()
        return Judgement(
            None,
            f"Not judged: the truth {truth!r} may mean {meaning.lower()} or stand for itself, and the "
            f'question does not show which. Write "{meaning}" in the data if that is meant.',
        )
    starts = (i for i in range(len(said) - len(true) + 1) if said[i : i + len(true)] == true)
    return Judgement(said == true or any(i == 0 or said[i - 1] not in _NEGATIONS for i in starts))


def _of_yes_no(answer: str, said: str, true: str) -> Judgement:
    """Judge what an answer begins with ("yes", "no" or "" for neither) against a yes or no."""
    if not said and re.search(r"[^\W\d_]", answer) and not re.search(r"[a-z]", answer, re.IGNORECASE):
        return Judgement(None, "Not judged: the answer is in letters without a known yes or no.")
    return Judgement(said == true)


def said_yes(text: str) -> bool | None:
    """Return whether an answer or a truth is a yes, by the rule of `judge`; None for neither yes nor no."""
    word = YES_NO.get(_only_word(text), "") or YES_NO.get(_first(text), "")
    return {"yes": True, "no": False}.get(word)


def _first(text: str) -> str:
    """Return the word that a text begins with, or the one after "the answer is"."""
    words, folded, whole = _words(text), _folded(text), _only_word(text)
    if whole in YES_NO:
        return whole
    first = words[0] if words else ""
    if first in YES_NO and first not in VERDICTS and folded.startswith(f"{first}-"):
        first = ""  # "non-metallic"
    if first in MEANINGS:
        return first
    for known in YES_NO:  # scripts without spaces, and vowels that `_plain` drops
        if not known.isascii() and folded.startswith(known):
            after = folded[len(known) :]
            apart = not after or not (after[0].isalnum() or _is_mark(after[0]))
            if apart or (UNSPACED.match(known) and known not in ALONE):
                return known
    named = _ANSWER_IS.findall(folded)
    return named[-1] if named else first


def _only_word(text: str) -> str:
    """Return a text without the punctuation round it."""
    return _folded(text).strip(" \t\n.!?,;:*_\"'\u3002\uff01\uff0c\u00a1\u00bf\u0964")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


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


def asks_for_other(question: str) -> bool:
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
    whole = number_in_one_form(plain.strip())
    found = _TOKEN.findall(plain)
    return [number_in_one_form(word) or word for word in found] if whole is None else [whole]


def _words(text: str, question: str = "") -> list[str]:
    """Return the words of `_plain` without articles; number words as digits, and none as 0 where the question
    asks how many.
    """
    words = [word for word in _plain(text) if word not in _ARTICLES]
    found: list[str] = []
    for place, word in enumerate(words):
        number = NUMBERS.get(word)
        before = NUMBERS.get(words[place - 1], 0) if place else 0
        if number is not None and 0 < number < 10 and before in range(20, 100, 10):
            found[-1] = str(before + number)  # "twenty-one", in two words
        else:
            found.append(word if number is None else str(number))
    if _asks_how_many(question):
        found = ["0" if word in _NONE else word for word in found]
    return found


def _asks_how_many(question: str) -> bool:
    return "how many" in " ".join(_plain(question))
