"""`leaves_open`: why an answer that names the truth does not state it: "red or blue", "2 to 3", "yes and no".

Rules of words, for English; a yes beside a no also in the languages of `truths.YES_NO`. Not for doubt about
one answer ("probably red"), which is an answer, nor for the rule itself (`correctness`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isi_widget.text.truths import number_in_one_form

#: What stands before a word, and the word: ("", "it"), (" ", "is"), (" ", "red"), (", ", "or").
Words = Sequence[tuple[str, str]]

_STOPS = frozenset(".;:!?\n")
_DASHES = frozenset("-\N{EN DASH}\N{EM DASH}\N{FIGURE DASH}\N{MINUS SIGN}~")
_SLASHES = frozenset("/|")
#: "two or so" and "a dog or something" name one answer.
_VAGUE = frozenset({"so", "something", "somewhere", "someone", "somebody"})
_BOUNDS = frozenset(
    {(word, "than") for word in ("more", "less", "fewer", "greater", "higher", "lower")}
    | {("at", "least"), ("at", "most"), ("up", "to"), ("as", "many")}
)
_LONGEST_ITEM = 2  # words of an alternative in a list with commas
#: Words for "and" and "or" between a yes and a no, in the languages of `truths.YES_NO`.
_AND = frozenset({"and", "und", "et", "y", "e", "en", "i", "och", "og", "ve", "и", "і", "та", "και"})
_OR = frozenset({"or", "oder", "ou", "o", "of", "lub", "eller", "veya", "или", "або", "ή"})
_JOINS = (
    _AND | _OR | {"both", "either", "but", "maybe", "perhaps", "possibly", "probably", "also", "sometimes"}
)


def leaves_open(words: Words, start: int, end: int) -> str:
    """Return why the words from `start` to `end` are not stated as the answer; empty if they are.

    Parameters
    ----------
    words : words of the answer, each with the punctuation before it.
    start, end : place of the truth in it.
    """
    texts = [word for _, word in words]
    named = " ".join(texts[start:end])
    if _after_whether(words, start):
        return f"Counted as wrong: the answer leaves open whether it is {named!r}."
    if end - start == 1 and _is_number(named) and _in_range(words, start):
        return f"Counted as wrong: the answer gives a range with {named}, not one number."
    if _beside_or(words, start, end) or _in_list(words, end):
        return f"Counted as wrong: the answer offers {named!r} as one of several answers."
    return ""


def says_both(words: Sequence[str], meanings: Mapping[str, str]) -> bool:
    """Return whether an answer is a yes as well as a no: "Yes and no.", "yes/no", "No. Yes."; or
    goes on after one of them with "or".

    Parameters
    ----------
    words : words of the answer.
    meanings : {word: "yes" or "no"}.
    """
    given = [meanings[word] for word in words if word in meanings]
    if set(given) == {"yes", "no"} and all(word in meanings or word in _JOINS for word in words):
        return True
    if len(words) < 3 or words[0] not in meanings:
        return False
    opposite = words[2] in meanings and meanings[words[2]] != meanings[words[0]]
    return words[1] == "or" or (words[1] in _AND | _OR and opposite)


def _is_number(word: str) -> bool:
    return number_in_one_form(word) is not None


def _stops(gap: str) -> bool:
    return not _STOPS.isdisjoint(gap)


def _after_whether(words: Words, start: int) -> bool:
    """Return whether "whether" or "if" stands before the place, in the same clause."""
    for place in range(start - 1, -1, -1):
        gap = words[place + 1][0]
        if _stops(gap) or "," in gap:
            return False
        if words[place][1] in ("whether", "if"):
            return True
    return False


def _in_range(words: Words, place: int) -> bool:
    """Return whether the number at a place is one end of a range, or a bound."""
    texts = [word for _, word in words]

    def number(at: int) -> bool:
        return 0 <= at < len(texts) and _is_number(texts[at])

    def word(at: int) -> str:
        return texts[at] if 0 <= at < len(texts) else ""

    def dash(at: int) -> bool:
        return number(at - 1) and number(at) and words[at][0].strip() in _DASHES

    if (word(place - 2), word(place - 1)) in _BOUNDS or dash(place) or dash(place + 1):
        return True
    if (word(place - 1) == "to" and number(place - 2)) or (word(place + 1) == "to" and number(place + 2)):
        return True
    first = word(place - 1) == "between" and word(place + 1) == "and" and number(place + 2)
    return first or (word(place - 1) == "and" and number(place - 2) and word(place - 3) == "between")


def _beside_or(words: Words, start: int, end: int) -> bool:
    """Return whether an alternative stands before or after the place: "red or blue", "red/blue", "a red star
    or a blue star".
    """
    texts = [word for _, word in words]
    gap = words[start][0] if start else ""
    if start and not _stops(gap) and not _SLASHES.isdisjoint(gap) and texts[start - 1] != "w":
        return True
    if start >= 2 and not _stops(gap):
        with_adjective = start >= 3 and texts[start - 2] == "or" and not _is_number(texts[start - 1])
        if texts[start - 1] == "or" or (with_adjective and not _stops(words[start - 1][0])):
            return True
    if end >= len(texts) or _stops(words[end][0]):
        return False
    if not _SLASHES.isdisjoint(words[end][0]):
        return True
    following = texts[end + 1] if end + 1 < len(texts) else ""
    if texts[end] == "or":
        return bool(following) and following not in _VAGUE
    later = texts[end + 2 : end + 5]
    return following == "or" and (texts[end] in later or "1" in later)  # "a red star or a blue one"


def _in_list(words: Words, end: int) -> bool:
    """Return whether a list of short alternatives follows: "red, blue or green"."""
    if end >= len(words) or "," not in words[end][0]:
        return False
    length = 0
    for place in range(end, len(words)):
        gap, word = words[place]
        if _stops(gap):
            return False
        if word == "or" and place > end:
            return True
        length = 1 if "," in gap else length + 1
        if length > _LONGEST_ITEM:
            return False
    return False
