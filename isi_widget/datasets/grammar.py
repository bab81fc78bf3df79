"""The small language of both worlds: questions, answers and contexts with their meanings.

Every sentence comes from a template and carries its `Claim`, so that any two sentences can be compared by
logic (`compare`). This labels the entailment pairs and scores the answers. Pure Python, no torch. Not for
pictures of scenes (`isi_widget.datasets.scenes`). Not a general parser: it knows only sentences from the
templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

from isi_widget.datasets import grammar_everyday as everyday
from isi_widget.datasets.grammar_templates import CONTEXTS, NO, QUESTIONS, SENTENCES, SHORT, YES
from isi_widget.datasets.grammar_templates import IRRELEVANT as IRRELEVANT  # public here too
from isi_widget.datasets.nouns import CATEGORIES, THINGS, is_a, word
from isi_widget.datasets.nouns import COLOURS as COLOURS
from isi_widget.datasets.nouns import SHAPES as SHAPES

SIZES = ("small", "large")
RELATIONS = ("left of", "right of", "above", "below")
NUMBERS = ("zero", "one", "two", "three", "four", "five")
_SIDES = {  # "on the left side of", "further left than"
    "left of": ("on the left side of", "further left than"),
    "right of": ("on the right side of", "further right than"),
    "above": ("over", "higher up than"),
    "below": ("under", "lower down than"),
}
INVERSE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}

KINDS = ("existence", "attribute", "colour", "shape", "relation", "counting")
THING_KINDS = ("existence", "attribute", "colour", "name", "relation", "counting")
LEVELS = {
    "name": "object",
    "existence": "object",
    "shape": "object",
    "attribute": "attribute",
    "colour": "attribute",
    "relation": "relation",
    "counting": "counting",
}
CONTRADICTION, NEUTRAL, ENTAILMENT = 0, 1, 2


def with_article(words: str) -> str:
    """Return the words with the indefinite article."""
    return f"{'an' if words[:1] in tuple('aeiou') else 'a'} {words}"


@dataclass(frozen=True)
class Noun:
    """A description of objects by any of size, colour, what it is, and its place beside another object.

    Attributes
    ----------
    shape : name of a shape, of a thing such as "dog", or of a category such as "animal"; None for any
        object.
    colour : one of `COLOURS`; None for any.
    size : one of `SIZES`; None for any.
    place : relation and the object that it refers to, as in "the object left of the chair"; None for any.
    """

    shape: str | None = None
    colour: str | None = None
    size: str | None = None
    place: tuple[str, Noun] | None = None

    def words(self, plural: bool = False) -> str:
        """Return the words, such as "red star", "large crosses" (plural) or "animal left of the chair"."""
        noun = self.shape or "object"
        if plural:
            noun = word(noun).plural
        found = " ".join(part for part in (self.size, self.colour, noun) if part)
        return found if self.place is None else f"{found} {self.place[0]} {self.place[1].the}"

    @property
    def a(self) -> str:
        """The words with the indefinite article."""
        return with_article(self.words())

    @property
    def the(self) -> str:
        """The words with the definite article."""
        return f"the {self.words()}"

    def covers(self, other: Noun) -> bool:
        """Return whether this noun describes everything that `other` describes ("star" covers "red star",
        "animal" covers "dog").
        """
        pairs = ((self.colour, other.colour), (self.size, other.size), (self.place, other.place))
        if any(mine is not None and mine != theirs for mine, theirs in pairs):
            return False
        return self.shape is None or (other.shape is not None and is_a(other.shape, self.shape))


@dataclass(frozen=True)
class Claim:
    """The claim of a sentence about a picture.

    Attributes
    ----------
    kind : "exists", "colour", "size", "shape", "name", "relation", "count" or "irrelevant".
    noun : subject of the claim.
    value : colour, size, shape, name of a thing, relation or number word; None for "exists".
    other : second noun of a relation.
    positive : False for a denial ("there is no ...", "the star is not red").
    text : the sentence, only for "irrelevant", so that different sentences differ.
    """

    kind: str
    noun: Noun = Noun()
    value: str | None = None
    other: Noun | None = None
    positive: bool = True
    text: str = ""

    def denied(self) -> Claim:
        """Return the opposite claim."""
        return replace(self, positive=not self.positive)


@dataclass(frozen=True)
class Ask:
    """The content of a question. If `claim.value` is None it is open, else a yes/no question about the
    (positive) claim.

    `kind` is one of `KINDS` or `THING_KINDS`. An open relation question ("left or right of?") carries its
    axis in `axis`.
    """

    kind: str
    claim: Claim
    axis: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it asks for a value instead of yes or no."""
        return self.claim.value is None and self.claim.kind != "exists"


@dataclass(frozen=True)
class Phrase:
    """One sentence: its text, its claim (None if it depends on the question), and its use.

    Attributes
    ----------
    spoken : whether the embedded VLM is trained on it.
    held_out : whether it is excluded from the training of the entailment model, for its evaluation.
    decisive : word that decides the answer ("Yes", "No", a value); its first token has the largest weight in
        training.
    everyday : whether it is a wording of `grammar_everyday`.
    """

    text: str
    claim: Claim
    spoken: bool = True
    held_out: bool = False
    decisive: str = ""
    everyday: bool = False


def _slots(claim: Claim, axis: str = "") -> dict[str, str]:
    """Return the values for every template slot of a claim."""
    noun, value = claim.noun, claim.value or ""
    one = value == "one"
    side = value.removesuffix(" of")
    on, further = _SIDES.get(value, ("", ""))
    named = claim.kind in ("shape", "name") and bool(value)
    return {
        "article_v": with_article(value),
        "Article_v": with_article(value).capitalize(),
        "values": word(value).plural if named else "",
        "on": on,
        "further": further,
        "d": str(NUMBERS.index(value)) if value in NUMBERS else "",
        "place": "" if noun.place is None else f"{noun.place[0]} {noun.place[1].the}",
        "kind": noun.shape or "object",
        "isnt_arent": "isn't" if one else "aren't",
        "a": noun.a,
        "the": noun.the,
        "s": noun.words(plural=True),
        "w": noun.words(),
        "words": noun.words(),
        "v": value,
        "V": value.capitalize(),
        "n": value,
        "N": value.capitalize(),
        "o": noun.words(plural=not one),
        "is_are": "is" if one else "are",
        "Is_Are": "Is" if one else "Are",
        "other": claim.other.the if claim.other else "",
        "inv": INVERSE.get(value, ""),
        "to": f"to the {side} of" if value.endswith(" of") else value,
        "axis": {"horizontal": "left or right of", "vertical": "above or below"}.get(axis, ""),
    }


def _fill(template: str, claim: Claim, decisive: str = "", prefix: str = "", axis: str = "") -> Phrase:
    mark = template[0] if template[0] in "-*" else ""
    text = prefix + template[len(mark) :].format(**_slots(claim, axis))
    return Phrase(text[0].upper() + text[1:], claim, not mark, mark == "*", decisive)


@cache
def questions(ask: Ask) -> tuple[Phrase, ...]:
    """Return every wording of a question, the canonical one first."""
    claim = ask.claim
    if claim.kind == "name":
        return tuple(_fill(form, claim) for form in everyday.NAME_QUESTIONS[_name_form(claim.noun)])
    key = claim.kind + "?" if ask.is_open else claim.kind
    plain = [_fill(form, claim, axis=ask.axis) for form in QUESTIONS[_HAS.get(key, key)]]
    forms = everyday.QUESTIONS.get(key, ())
    if claim.value == "one":  # "Is there one dog?" is also true of two
        forms = tuple(form for form in forms if "exactly" in form or "number" in form)
    more = [replace(_fill(form, claim), everyday=True) for form in forms]
    known = {phrase.text for phrase in plain}
    return (*plain, *(phrase for phrase in more if phrase.text not in known))


_HAS = {"colour": "has", "size": "has"}


def _name_form(noun: Noun) -> str:
    """Return the form of a question for the name of what a noun describes."""
    parts = [name for name, part in (("category", noun.shape), ("place", noun.place)) if part]
    return " ".join(parts) or "only"


@cache
def answers(ask: Ask, truth: Claim) -> tuple[Phrase, ...]:
    """Return every wording of an answer to `ask` when `truth` holds, the canonical one ("Yes", "No", "Red",
    "Three") first.

    Parameters
    ----------
    truth : for an open question, the claim with its value. For a yes/no question, the asked claim, its
        denial, or a positive claim with a different value (then "No, the star is blue." is among the answers,
        with that claim).
    """
    if ask.is_open:
        value = (truth.value or "").removesuffix(" of")
        name = truth.kind == "name"
        forms = everyday.NAME_ANSWERS if name else SHORT[truth.kind]
        sentences = everyday.NAME_SENTENCES[0] if name else SENTENCES[truth.kind][0]
        spelt = {form: "" if "v}" in form else value.capitalize() for form in forms}  # "A dog." has no "Dog"
        short = [_fill(form, truth, decisive) for form, decisive in spelt.items()]
        return (*short, *(_fill(form, truth, value) for form in sentences))
    yes = compare(truth, ask.claim) == ENTAILMENT
    word, bare = ("Yes", YES) if yes else ("No", NO)
    polar = ask.claim if yes else ask.claim.denied()
    found = [_fill(form, polar, word if form.startswith(word) else "") for form in bare]
    claims = [polar] if yes or truth.kind == "exists" or not truth.positive else [truth, polar]
    for claim in claims:
        for form in SENTENCES[claim.kind][not claim.positive]:
            found.append(_fill(form, claim, word, prefix=f"{word}, "))
            found.append(replace(_fill(form, claim), spoken=False))
    return tuple(found)


def contexts(claim: Claim, more: bool = False) -> tuple[str, ...]:
    """Return the contexts that make this claim.

    Parameters
    ----------
    more : whether the everyday wordings are among them. Default False.
    """
    side = int(not claim.positive)
    plain = CONTEXTS[claim.kind][side] if claim.kind in CONTEXTS else ()
    further = everyday.CONTEXTS[claim.kind][side] if more or not plain else ()
    return tuple(_fill(form, claim).text for form in (*plain, *further))


def nudges(claim: Claim) -> tuple[str, ...]:
    """Return contexts that make a claim likely without stating it ("Someone has just washed the car.").

    A denied relation is nudged to by the opposite relation, the number zero by absence.
    """
    if (claim.kind == "relation" and not claim.positive) or claim.value == "zero":
        claim = _normal(claim)
    name, denied = claim.kind, "" if claim.positive else "no "
    if claim.kind == "exists":
        shape = claim.noun.shape or "object"
        name = "shape" if shape in SHAPES else word(shape).category or shape
        name = name if name in everyday.NUDGES else "thing"
        forms = everyday.NUDGES[denied + name]
    elif claim.kind == "relation":
        forms = everyday.NUDGES[claim.value or ""]
    else:
        forms = everyday.NUDGES[denied + ("shape value" if name == "shape" else name)]
    return tuple(_fill(form, claim).text for form in forms)


def _normal(claim: Claim) -> Claim:
    """Return a normal form for equal claims: relations as "left of" / "above", their denials as the opposite,
    "exists" for zero.
    """
    if claim.kind == "relation" and claim.value and claim.other:
        # relation questions need a clear difference along the axis: "not left of" is "right of"
        value = claim.value if claim.positive else INVERSE[claim.value]
        if value in ("right of", "below"):
            return replace(claim, noun=claim.other, other=claim.noun, value=INVERSE[value], positive=True)
        return replace(claim, value=value, positive=True)
    if claim.kind == "count" and claim.value == "zero":
        return Claim("exists", claim.noun, positive=not claim.positive)
    if claim.kind == "size" and not claim.positive:
        return replace(
            claim, value=SIZES[claim.value == SIZES[0]], positive=True
        )  # two sizes: not small is large
    return claim


def compare(first: Claim, second: Claim) -> int:
    """Return the relation of the first claim to the second: `CONTRADICTION`, `NEUTRAL` or `ENTAILMENT`."""
    one, two = _normal(first), _normal(second)
    if one == two:
        return ENTAILMENT
    if "irrelevant" in (one.kind, two.kind):
        return NEUTRAL
    if one.kind == two.kind == "exists":
        return _compare_existence(one, two)
    if {one.kind, two.kind} == {"exists", "count"}:
        return _compare_count_existence(one, two)
    if one.kind != two.kind:
        return NEUTRAL
    if one.kind == "relation":
        swapped = replace(one, noun=one.other or Noun(), other=one.noun)
        return CONTRADICTION if swapped == two else NEUTRAL
    if one.noun != two.noun:
        return NEUTRAL
    if one.value == two.value:
        return CONTRADICTION  # equal except for the polarity
    if one.positive and two.positive:
        return CONTRADICTION
    return ENTAILMENT if one.positive else NEUTRAL  # red entails not blue; not blue is neutral about red


def _compare_existence(one: Claim, two: Claim) -> int:
    if one.positive and two.positive:
        return ENTAILMENT if two.noun.covers(one.noun) else NEUTRAL
    if not one.positive and not two.positive:
        return ENTAILMENT if one.noun.covers(two.noun) else NEUTRAL
    present, absent = (one, two) if one.positive else (two, one)
    return CONTRADICTION if absent.noun.covers(present.noun) else NEUTRAL


def _compare_count_existence(one: Claim, two: Claim) -> int:
    count, exists = (one, two) if one.kind == "count" else (two, one)
    if not count.positive:  # zero: also not two
        follows = exists is one and not exists.positive and exists.noun.covers(count.noun)
        return ENTAILMENT if follows else NEUTRAL
    if not exists.positive:
        return CONTRADICTION if exists.noun.covers(count.noun) else NEUTRAL
    return ENTAILMENT if count is one and exists.noun.covers(count.noun) else NEUTRAL


def vocabulary() -> Iterator[str]:
    """Yield sentences that together use every word of the grammar, in every position and case."""
    nouns = [Noun(shape) for shape in SHAPES] + [Noun(None, colour) for colour in COLOURS]
    nouns += [Noun("star", "red", size) for size in SIZES] + [Noun()]
    for index, noun in enumerate(nouns):
        other = nouns[index - 1]
        claims = [Claim("exists", noun), *(Claim("colour", noun, value) for value in COLOURS)]
        claims += [Claim("size", noun, value) for value in SIZES] + [
            Claim("shape", noun, value) for value in SHAPES
        ]
        yield from _sentences([*claims, *_relations_and_counts(noun, other)])
        yield from _sentences([Claim("name", Noun(place=(value, noun)), "dog") for value in RELATIONS])
    things = [Noun(name) for name in (*THINGS, *CATEGORIES, "thing")]
    for index, noun in enumerate(things):
        name = noun.shape or ""
        claims = [Claim("exists", noun), *(Claim("colour", noun, value) for value in word(name).colours)]
        if name in CATEGORIES:
            members = [member for member in THINGS if is_a(member, name)]
            claims += [Claim("name", noun, member) for member in members]
            claims += [Claim("name", Noun(name, place=("left of", Noun("chair"))), members[0])]
        elif name in THINGS:
            claims += [Claim("name", Noun(), name), Claim("name", Noun(place=("above", noun)), "cat")]
        yield from _sentences([*claims, *_relations_and_counts(noun, things[index - 1])])
    yield from IRRELEVANT
    yield from everyday.IRRELEVANT


def _relations_and_counts(noun: Noun, other: Noun) -> list[Claim]:
    return [Claim("relation", noun, value, other) for value in RELATIONS] + [
        Claim("count", noun, value) for value in NUMBERS
    ]


def _sentences(claims: Iterable[Claim]) -> Iterator[str]:
    """Yield every question, answer and context of some claims."""
    kinds = {"exists": "existence", "count": "counting", "size": "attribute", "colour": "attribute"}
    for claim in claims:
        polar = kinds.get(claim.kind, claim.kind)
        asks = [] if claim.kind in ("shape", "name") else [Ask(polar, claim)]
        if claim.kind not in ("exists", "size"):
            axis = (
                ""
                if claim.kind != "relation"
                else "horizontal"
                if claim.value in RELATIONS[:2]
                else "vertical"
            )
            kind = "counting" if claim.kind == "count" else claim.kind
            asks.append(Ask(kind, replace(claim, value=None), axis))
        for ask in asks:
            yield from (phrase.text for phrase in questions(ask))
            yield from (phrase.text for phrase in answers(ask, claim))
            if not ask.is_open:
                yield from (phrase.text for phrase in answers(ask, claim.denied()))
        for said in (claim, claim.denied()):
            yield from contexts(said, more=True)
            yield from nudges(said)
