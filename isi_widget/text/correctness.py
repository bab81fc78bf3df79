"""`judge`: the rule that decides whether an answer is right, wrong or cannot be judged.

It compares words, not meaning (see `isi_widget.uncertainty.entailment`). How tables and lists write a truth
is in `isi_widget.text.truths`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from isi_widget.text.hedging import leaves_open, says_both
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
#: Answers to a yes/no question that decide nothing.
_DOUBT = re.compile(
    r"\W*(maybe|perhaps|possibly|probably|likely|partly|sometimes|both|either|neither|unsure|unclear|uncertain"
    r"|unknown|(it|that) depends|depends|hard to|(i ?(am|'m) )?not (sure|clear|certain)"
    r"|i (cannot|can't|can not|do not|don't))\b"
)
_ALTERNATIVES = re.compile(r"\bor\b|[,/|]|\beither\b", re.IGNORECASE)
#: A number in a text (where a comma may end a clause), or a word.
_TOKEN = re.compile(rf"(?<![\w.,])[+-]?(?:{_THOUSANDS}|\d+(?:\.\d+)?)(?!\w)|[^\W_]+")


@dataclass(frozen=True)
class Judgement:
    """Whether an answer is right; None, with the reason, if it cannot be judged.

    reason : one or two sentences on why the answer cannot be judged, or why it is wrong though it names the
        truth; else empty.
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

    An answer that leaves several answers open is wrong, with a reason, whichever it names: "two or three", "2
    to 3", "at least 3", "either red or blue", "I cannot say whether it is red", "Yes and no". This follows
    the exact match of VQA (Antol et al., 2015), where such an answer agrees with nobody's. Doubt about one
    answer ("Probably red.") does not count against it. Where all alternatives are accepted ("red or crimson"
    for "red | crimson"), the answer is right.

    Not judged, with a reason: a truth that is none ("n/a", "unknown"); "yes" or "no" if the truth is 1, 0 or
    a letter and the question is not clearly a yes/no question; "yes" or "no" to a yes/no question whose truth
    is one other word or number ("maybe", 2); an answer that one or two of ten people gave;
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
    of_people = len(truths) >= FEWEST and len(set(truths)) < len(truths)
    if of_people and 0 < votes < 3:
        return Judgement(
            None,
            f"Not judged: {votes} of {len(truths)} people gave this answer, which is neither right nor "
            f"wrong: a VQA score of {votes}/3.",
        )
    alternatives = [part for part in _ALTERNATIVES.split(answer) if _plain(part)]
    if agreeing or (
        len(alternatives) > 1
        and not of_people
        and all(any(is_correct(part, truth, question) for truth in truths) for part in alternatives)
    ):
        return Judgement(True)
    unclear = [one for one in found if one.correct is None]
    return next((one for one in (*unclear, *found) if one.reason), Judgement(False))


def _judge(answer: str, truth: str, question: str) -> Judgement:
    """Judge by one truth that states an answer."""
    true = _words(truth, question)
    word = true[0] if len(true) == 1 else verdict(truth) or ""
    alone = _only_word(truth)
    if not _asks_how_many(question) and (alone in VERDICTS or not asks_for_other(question)):
        word = YES_NO.get(alone, word)  # "Si" may be another word where a question asks what
    first = _first(answer)
    if (
        asks_yes_no(question)
        and first in YES_NO
        and said_yes(truth) is None
        and len(true) < 2
        and word not in MEANINGS
    ):
        return Judgement(
            None,
            f'Not judged: the truth {truth!r} of a yes/no question is neither yes nor no. Write "Yes" or '
            '"No" in the data.',
        )
    if word not in ("yes", "no") and (not true or UNSPACED.search(truth) or _has_marks(truth)):
        return _literally(answer, truth)
    if word in ("yes", "no"):
        return _of_yes_no(answer, YES_NO.get(first, ""), word)
    if asks_yes_no(question) and word in MEANINGS:
        return _of_yes_no(answer, MEANINGS.get(first, ""), MEANINGS[word])
    if word in BOOLEANS and (first in YES_NO or first in BOOLEANS):
        return _of_yes_no(answer, MEANINGS[first], MEANINGS[word])
    if word in SHORT and first in YES_NO and not asks_for_other(question):
        meaning = SHORT[word].capitalize()
        return Judgement(
            None,
            f"Not judged: the truth {truth!r} may mean {meaning.lower()} or stand for itself, and the "
            f'question does not show which. Write "{meaning}" in the data if that is meant.',
        )
    return _of_words(_pieces(answer, question), true)


def _of_words(given: list[tuple[str, str]], true: list[str]) -> Judgement:
    """Judge by the words of a truth: right where the answer states them at least once."""
    said = [word for _, word in given]
    if said == true:
        return Judgement(True)
    starts = (i for i in range(len(said) - len(true) + 1) if said[i : i + len(true)] == true)
    stated = [i for i in starts if i == 0 or said[i - 1] not in _NEGATIONS]
    reasons = [leaves_open(given, i, i + len(true)) for i in stated]
    return Judgement("" in reasons, "" if "" in reasons else next(iter(reasons), ""))


def _of_yes_no(answer: str, said: str, true: str) -> Judgement:
    """Judge what an answer begins with ("yes", "no" or "" for neither) against a yes or no."""
    if not said and re.search(r"[^\W\d_]", answer) and not re.search(r"[a-z]", answer, re.IGNORECASE):
        return Judgement(None, "Not judged: the answer is in letters without a known yes or no.")
    if said and _says_both(answer):
        return Judgement(False, "Counted as wrong: the answer is a yes as well as a no.")
    if not said and _DOUBT.match(_folded(answer)):
        return Judgement(False, "Counted as wrong: the answer is neither a yes nor a no.")
    return Judgement(said == true)


def _says_both(text: str) -> bool:
    """Return whether a text is a yes as well as a no, as a whole or after "the answer is"."""
    tail = [match.start(1) for match in _ANSWER_IS.finditer(_folded(text))][-1:]
    return any(
        says_both(_plain(part), YES_NO | BOOLEANS) for part in (text, *(_folded(text)[at:] for at in tail))
    )


def said_yes(text: str) -> bool | None:
    """Return whether an answer or a truth is a yes, by the rule of `judge`; None for neither yes nor no."""
    word = YES_NO.get(_only_word(text), "") or YES_NO.get(_first(text), "")
    if word and _says_both(text):
        return None
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
    return [word for _, word in _spaced(text)]


def _spaced(text: str) -> list[tuple[str, str]]:
    """Return the words of `_plain`, each with what stands before it."""
    plain = (
        unicodedata.normalize("NFKC", text)
        .casefold()
        .replace("'", "")
        .replace("\N{RIGHT SINGLE QUOTATION MARK}", "")
    )
    whole = number_in_one_form(plain.strip())
    if whole is not None:
        return [("", whole)]
    found, end = [], 0
    for match in _TOKEN.finditer(plain):
        found.append((plain[end : match.start()], number_in_one_form(match.group()) or match.group()))
        end = match.end()
    return found


def _words(text: str, question: str = "") -> list[str]:
    """Return the words of `_plain` without articles; number words as digits, and none as 0 where the question
    asks how many.
    """
    return [word for _, word in _pieces(text, question)]


def _pieces(text: str, question: str = "") -> list[tuple[str, str]]:
    """Return the words of `_words`, each with the punctuation before it."""
    found: list[tuple[str, str]] = []
    none = _NONE if _asks_how_many(question) else ()
    gap, before = "", 0
    for spaces, word in _spaced(text):
        gap += spaces
        if word in _ARTICLES:
            continue
        number = NUMBERS.get(word)
        if number is not None and 0 < number < 10 and before in range(20, 100, 10):
            found[-1] = found[-1][0], str(before + number)  # "twenty-one", in two words
        else:
            found.append((gap, "0" if word in none else word if number is None else str(number)))
        gap, before = "", number or 0
    return found


def _asks_how_many(question: str) -> bool:
    return "how many" in " ".join(_plain(question))
