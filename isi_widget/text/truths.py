"""How tables and lists write a true answer: yes and no in many spellings, several answers, numbers, nothing.

Not for comparing an answer with a truth (`isi_widget.text.correctness`).
"""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from isi_widget.text.wording import VERDICTS

#: Separates several accepted answers in one truth: "red | crimson".
BAR = "|"
#: Fewest answers, some of them equal, that are read as those of ten people (VQA).
FEWEST = 10

#: Yes and no in German, French, Spanish, Italian, Portuguese, Dutch, Polish, Scandinavian languages, Turkish,
#: Russian, Ukrainian, Greek, Arabic, Hindi, Chinese, Japanese and Korean.
_YES = (
    *("ja", "oui", "sí", "si", "sì", "sim", "tak", "evet", "да", "так", "ναι", "نعم", "हाँ", "हां"),
    *("是的", "是", "对", "有", "はい", "네", "예"),
)
_NO = (
    *("nein", "non", "não", "nao", "nee", "nie", "nej", "nei", "hayır", "hayir", "нет", "ні", "όχι", "لا"),
    *("नहीं", "不是", "不对", "没有", "不", "否", "いいえ", "아니요", "아니오", "아니"),
)

#: Words that also begin other words of a script without spaces: they must stand alone.
ALONE = frozenset({"不", "对"})


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


#: Word for yes or no -> "yes" or "no"; longer words first.
YES_NO: dict[str, str] = dict(VERDICTS) | {
    _folded(word): meaning
    for words, meaning in ((_YES, "yes"), (_NO, "no"))
    for word in sorted(words, key=len, reverse=True)
}
#: True and false, also as spreadsheets in other languages write them, are unambiguous. 0, 1 and single
#: letters may also be a count or the name of a choice, so they need a yes/no question.
BOOLEANS = {
    **dict.fromkeys(
        ("true", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "истина", "真", "✓", "✔"), "yes"
    ),
    **dict.fromkeys(("false", "falsch", "faux", "falso", "ложь", "假", "✗", "✘"), "no"),
}
SHORT = {"1": "yes", "0": "no", "y": "yes", "n": "no", "t": "yes", "f": "no"}
MEANINGS = YES_NO | BOOLEANS | SHORT

#: Texts that programs write into empty cells, lower case.
NO_VALUE = frozenset({"", "nan", "na", "n/a", "#n/a", "<na>", "none", "null"})
#: Truths that state no answer. In a text column "NA", "None" and "null" may be answers.
_NO_TRUTH = frozenset(
    {"n/a", "#n/a", "<na>", "n.a.", "nan", "unknown", "not known", "not available", "not applicable"}
    | {"?", "??", "???", "-", "--", "tbd"}
)
_NO_YES_NO = NO_VALUE | {"nil"}

_NUMBER_WITH_THOUSANDS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?"
#: A cell or answer that is a single number, as tables and spreadsheets write it ("1.0", "1,0", "1,234").
_NUMBER = re.compile(rf"[+-]?(?:{_NUMBER_WITH_THOUSANDS}|\d+(?:[.,]\d+)?)")


def number_in_one_form(text: str) -> str | None:
    """Return a number in one form: "1" for "1.0", "1,0" and "+1", "1234" for "1,234"; None for
    other texts.
    """
    if not _NUMBER.fullmatch(text):
        return None
    if re.fullmatch(rf"[+-]?{_NUMBER_WITH_THOUSANDS}", text):
        text = text.replace(",", "")
    whole, _, rest = text.replace(",", ".").partition(".")
    digits, rest = whole.lstrip("+-").lstrip("0") or "0", rest.rstrip("0")
    sign = "-" if whole[0] == "-" and (digits != "0" or rest) else ""
    return sign + digits + ("." + rest if rest else "")


def is_no_truth(text: str, *, of_yes_no: bool = False) -> bool:
    """Return whether a truth states no answer: "n/a", "unknown", "?"; of a yes/no question also "NA" and
    "None".
    """
    plain = _folded(text)
    return plain in _NO_TRUTH or plain.rstrip(".") in _NO_TRUTH or (of_yes_no and plain in _NO_YES_NO)


# ---- several answers
def accepted(truth: str) -> tuple[str, ...]:
    """Return the accepted answers of a truth: the texts between its bars; one, the truth itself, without."""
    parts = tuple(filter(None, (part.strip() for part in truth.split(BAR))))
    return parts if len(parts) > 1 else (truth,)


def joined(answers: Iterable[str]) -> str | None:
    """Return several accepted answers as one truth, in their order and with their repeats; None without any.

    Raises
    ------
    ValueError : an answer contains a bar, which separates answers.
    """
    given = [answer.strip() for answer in answers if answer.strip()]
    for answer in given:
        if BAR in answer:
            raise ValueError(
                f"an accepted answer must not contain {BAR!r}, which separates answers; got {answer!r:.80}. "
                "Write it with another character."
            )
    return f" {BAR} ".join(given) or None


def listed(cell: str) -> list[str] | None:
    """Return the answers of a cell that holds a list, as JSON or as Python and NumPy print it; None for other
    texts. Of objects, as in the annotations of VQA, the value of "answer" is taken.
    """
    text = cell.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    if "," not in text:  # NumPy prints ['red' 'dark red']
        text = re.sub(r"""(?<=['"])\s+(?=['"])""", ", ", text)
    found: Any = None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
            break
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    if not isinstance(found, list):
        return None
    items = [item.get("answer") if isinstance(item, dict) else item for item in found]
    if not all(isinstance(item, (str, int, float)) or item is None for item in items):
        return None
    known = [item for item in items if item is not None and item == item]
    words = {True: "Yes", False: "No"}
    return [words[item] if isinstance(item, bool) else str(item) for item in known]


# ---- columns of yes and no
def is_yes_no_cell(cell: str) -> bool:
    """Return whether a cell is yes, no, true, false (in any language of `YES_NO`), y, n, t, f, 1 or 0 (also
    1.0 and 1,0), in any case.
    """
    return _spelling(cell) in MEANINGS


def truth_of_cell(cell: str, question_asks_for_other: bool = False) -> str | None:
    """Return "Yes", "No" or None for a cell of a column whose cells are all yes, no (`is_yes_no_cell`), no
    truth or empty. A number or letter is kept if the question asks for something else ("How many ...?").
    """
    word = _spelling(cell)
    if word not in MEANINGS:
        return cell.strip() if is_no_truth(cell) and word not in NO_VALUE else None
    if word in SHORT and question_asks_for_other:
        return cell.strip()
    return MEANINGS[word].capitalize()


def _spelling(cell: str) -> str:
    text = _folded(cell)
    return text if text in MEANINGS else number_in_one_form(text) or text
