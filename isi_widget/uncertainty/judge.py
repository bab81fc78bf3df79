"""`Judge`: which entailment model compared the answers and how reliable it is; stored with every result.

`compare` applies the rules of wording first, then the entailment model to the remaining pairs. Not for
loading or choosing a model (see `isi_widget.uncertainty.judges`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.uncertainty._checks import Floats
from isi_widget.uncertainty.clusters import ENTAILMENT, NEUTRAL
from isi_widget.uncertainty.entailment import EntailmentModel
from isi_widget.uncertainty.rules import same_verdict, settled

RULES = "rules"
EMBEDDED = "embedded"
_SHOWN_WORDS = 8
_ONE_HOT = np.eye(3)


class Entailment(Protocol):
    """Interface of an entailment model, such as `isi_widget.uncertainty.EntailmentModel`."""

    name: str

    def probabilities(self, question: str, answers: Sequence[str]) -> Floats:
        """Return float [N, N, 3]: contradiction, neutral, entailment of premise i and hypothesis j."""


class RuleJudge:
    """The rules of wording alone, for use without an entailment model.

    Undecided pairs count as neutral, so that different answers stay in different clusters. Answers with the
    same clear yes or no count as equal.
    """

    name = RULES

    def probabilities(self, question: str, answers: Sequence[str]) -> Floats:
        """Return float [N, N, 3], one-hot; see `Entailment`."""
        found = settled(question, answers)
        unsettled, same = np.isnan(found[:, :, 0]), same_verdict(answers)
        found[unsettled & same] = _ONE_HOT[ENTAILMENT]
        found[unsettled & ~same] = _ONE_HOT[NEUTRAL]
        return found


@dataclass(frozen=True)
class Judge:
    """Which entailment model compared sampled answers, and the limits of that comparison.

    Attributes
    ----------
    name : name of the entailment model: "embedded", a hub name or a folder; "rules" for the rules of wording
        alone.
    revision : commit on the hub; None for the embedded model and for folders.
    automatic : whether it was chosen by `entailment="auto"`.
    reason : reason for the choice, in one sentence; "" if the model was named.
    pairs : number of pairs of different answers.
    by_rule : number of these pairs decided by wording in both directions.
    unknown : words in the other pairs that the model does not know, at most 8.
    long : number of other pairs that were too long: the beginning of the question or the end of an answer was
        left out.
    longest : largest number of tokens of a pair.
    foreign : whether the embedded model, which knows the built-in scenes only, judged another VLM's answers.
    other_script : whether the other pairs use a script of none of the model's languages.
    """

    name: str
    revision: str | None = None
    automatic: bool = False
    reason: str = ""
    pairs: int = 0
    by_rule: int = 0
    unknown: tuple[str, ...] = ()
    long: int = 0
    longest: int = 0
    foreign: bool = False
    other_script: bool = False

    @property
    def asked(self) -> int:
        """Number of pairs of different answers that the wording did not decide."""
        return self.pairs - self.by_rule

    @property
    def label(self) -> str:
        """The name, with the beginning of its commit if known."""
        return self.name if self.revision is None else f"{self.name}@{self.revision[:12]}"

    @property
    def doubtful(self) -> bool:
        """Whether the clusters depend on unreliable comparisons."""
        return bool(self.doubts)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Unreliable comparisons and the reasons; the same kind of doubt always has the same wording."""
        if not self.asked:
            return ()
        found = []
        if self.name == RULES:
            found.append("No entailment model compared the answers, only rules of wording.")
        if self.foreign:
            found.append(
                "The embedded entailment model compared the answers; it knows the built-in scenes only."
            )
        if self.unknown:
            found.append(f"The entailment model {self.name} does not know some words of question or answers.")
        if self.long:
            found.append(f"The entailment model {self.name} could not read some pairs of answers whole.")
        if self.other_script:
            found.append(f"The entailment model {self.name} was not made for the language of the answers.")
        return tuple(found)

    @property
    def caveats(self) -> tuple[str, ...]:
        """The doubts with their numbers and what to do, one sentence or two for each."""
        if not self.doubts:
            return ()
        of = f"{self.asked} of {self.pairs} pairs of different answers"
        found = []
        if self.name == RULES:
            why = f" {self.reason}" if self.reason else ""
            found.append(
                f"No entailment model compared these answers, only rules of wording.{why} They leave {of} "
                "open. Where no other pair joins them they count as different meanings, and the entropies "
                f"may be too high. {_ADVICE}"
            )
        if self.foreign:
            found.append(
                "The embedded entailment model compared these answers; it knows the built-in scenes only: "
                f"its result for {of} is a guess. {_ADVICE}"
            )
        if self.unknown:
            words = ", ".join(f"“{word}”" for word in self.unknown)
            more = " and others" if len(self.unknown) >= _SHOWN_WORDS else ""
            found.append(
                f"The entailment model {self.name} does not know {words}{more}: {of} were compared without "
                f"these words. {_ADVICE if self.name == EMBEDDED and not self.foreign else ''}".strip()
            )
        if self.long:
            found.append(
                f"{self.long} of {self.pairs} pairs of different answers are longer, with their question, "
                f"than the {self.longest} tokens that the entailment model {self.name} reads: the beginning "
                "of the question or the end of an answer was left out."
            )
        if self.other_script:
            found.append(
                f"The entailment model {self.name} was made for English, and these answers are written in "
                f"other letters: its result for {of} is a guess. {_ADVICE}"
            )
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"unknown": list(self.unknown)}

    @classmethod
    @records.reader("who compared the meanings", names=False)
    def from_dict(cls, record: Mapping[str, Any]) -> Judge:
        """Rebuild from the record of `to_dict`; missing fields of older records get their defaults."""
        kinds = {f.name: type(f.default) for f in fields(cls)}
        kinds |= {"name": str, "revision": str, "unknown": list}
        whole = isinstance(record, Mapping) and "name" in record and not set(record) - set(kinds)
        if not whole or any(
            not isinstance(value, kinds[name]) and not (name == "revision" and value is None)
            for name, value in record.items()
        ):
            raise InputError(
                "This is no record of who compared the meanings, or one of a newer isi-widget: upgrade to "
                "read it."
            )
        return cls(**{**record, "unknown": tuple(map(str, record.get("unknown", ())))})


_ADVICE = (
    'Choose one: entailment="..." as isi.entailment_models() lists them, or under Settings in the probe.'
)


@dataclass(frozen=True)
class Chosen:
    """The entailment model chosen for a run.

    Attributes
    ----------
    model : entailment model.
    automatic, reason, foreign : as in `Judge`.
    """

    model: Entailment
    automatic: bool = False
    reason: str = ""
    foreign: bool = False

    @property
    def label(self) -> str:
        """As `Judge.label`."""
        return Judge(self.model.name, getattr(self.model, "revision", None)).label


def compare(
    question: str,
    answers: Sequence[str],
    entailment: Entailment | Chosen,
    *,
    prepend_question: bool = True,
    rules: bool = True,
) -> tuple[Floats, Judge]:
    """Compare the answers to one question; returns the relations and the `Judge`.

    Parameters
    ----------
    question, answers : as in `Entailment.probabilities`.
    entailment : model, or the `Chosen` model.
    prepend_question : True if the model reads "question answer", False if it reads the answer alone; the
        rules always use the question.
    rules : False passes every pair to the model, as the papers do.

    Returns
    -------
    Float [N, N, 3] as in `Entailment.probabilities`, one-hot if the wording decides a pair; and the `Judge`.
    """
    chosen = entailment if isinstance(entailment, Chosen) else Chosen(entailment)
    model = chosen.model
    place: dict[str, int] = {}
    rows = [place.setdefault(answer.strip(), len(place)) for answer in answers]
    different = list(place)
    n = len(different)
    found = settled(question, different) if rules else np.full((n, n, 3), np.nan)
    found[range(n), range(n)] = _ONE_HOT[ENTAILMENT]
    open_pairs = [(int(i), int(j)) for i, j in zip(*np.nonzero(np.isnan(found[:, :, 0])), strict=True)]
    judge = Judge(
        model.name,
        getattr(model, "revision", None),
        chosen.automatic,
        chosen.reason,
        pairs=n * (n - 1) // 2,
        by_rule=n * (n - 1) // 2 - len({frozenset(pair) for pair in open_pairs}),
        foreign=chosen.foreign,
    )
    if open_pairs:
        context = question if prepend_question else ""
        if isinstance(model, EntailmentModel):
            reading = model.read(context, different)
            asked = model.judge(reading, open_pairs)
            judge = replace(
                judge,
                unknown=_unknown(reading.unknown, open_pairs),
                long=_long(reading.shortened, reading.cut, open_pairs),
                longest=model.longest,
                other_script=model.languages == "English"
                and any(_is_other_script(different[k]) for pair in open_pairs for k in pair),
            )
        else:
            asked = model.probabilities(question if model.name == RULES else context, different)
        for pair in open_pairs:
            found[pair] = asked[pair]
    return found[np.ix_(rows, rows)], judge


def _unknown(words: Sequence[Sequence[str]], pairs: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    seen = dict.fromkeys(word for pair in pairs for k in pair for word in words[k])
    return tuple(word[:40] for word in list(seen)[:_SHOWN_WORDS])


def _long(shortened: bool, cut: Sequence[bool], pairs: Sequence[tuple[int, int]]) -> int:
    return len({frozenset((i, j)) for i, j in pairs if shortened or cut[i] or cut[j]})


def _is_other_script(text: str) -> bool:
    """Return whether most letters of a text are not Latin."""
    letters = [c for c in text if c.isalpha()]
    latin = sum(unicodedata.name(c, "").startswith(("LATIN", "FULLWIDTH LATIN")) for c in letters)
    return latin < len(letters) / 2
