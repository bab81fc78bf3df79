"""`beaf`: does the answer follow a change of the picture? Before / after measures over minimal pairs.

Accuracy counts each picture by itself: a model that always says "Yes" is right on half of them. These
measures look at both answers to the same question about the picture before and after a change that flips the
truth:

- true understanding (TU): both answers are right;
- ignorance (IG): both are wrong;
- stubbornness (SB): the same answer twice, so one is wrong; SB yes, SB no. TU + IG + SB = 1;
- indecision (ID): of questions that the change does not concern, the share whose answer changes all the same;
- F1: harmonic mean of TU and 1 - ID.

Source: Ye-Bin, Hyeon-Woo, Choi & Oh, BEAF: Observing BEfore-AFter Changes to Evaluate Hallucination in
Vision-language Models, ECCV 2024, which removes objects and asks "Is there a ...?". The same definitions are
used here for any change and any yes/no question; shares are from 0 to 1 where the paper gives per cent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from isi_widget import checks
from isi_widget.concepts import Pair
from isi_widget.errors import Cancelled, InputError
from isi_widget.files import records
from isi_widget.readable import counted, html_table
from isi_widget.text.wording import verdict
from isi_widget.uncertainty.shares import resampled_clusters, share_interval
from isi_widget.vlm.protocol import check_vlm_like

if TYPE_CHECKING:
    import pandas as pd

    from isi_widget.stimulus import Stimulus
    from isi_widget.vlm.protocol import VLMLike

UNCLEAR = "unclear"
#: What the two answers to a related question show.
RELATED = ("true understanding", "ignorance", "stubborn yes", "stubborn no", UNCLEAR)
#: What those to an unrelated question show.
UNRELATED = ("decided", "indecision", UNCLEAR)
#: Name of a measure -> outcomes that count for it.
MEASURES = {
    "TU": ("true understanding",),
    "IG": ("ignorance",),
    "SB": ("stubborn yes", "stubborn no"),
    "SB yes": ("stubborn yes",),
    "SB no": ("stubborn no",),
    "ID": ("indecision",),
}
_TITLES = {
    "TU": "true understanding",
    "IG": "ignorance",
    "SB": "stubbornness",
    "SB yes": "stubborn yes",
    "SB no": "stubborn no",
    "ID": "indecision",
    "F1": "F1 of TU and 1 - ID",
}
ALL = "all"


@dataclass(frozen=True)
class BeforeAfter:
    """One question about two pictures.

    Attributes
    ----------
    question : the question.
    before, after : answers of the model.
    truths : true answers before and after.
    related : whether the change concerns the question.
    outcome : one of `RELATED` or `UNRELATED`.
    level : semantic level of the change; None if unknown.
    change : the change in words.
    pictures : SHA-256 of both pictures; questions about the same two pictures are no independent cases.
    """

    question: str
    before: str
    after: str
    truths: tuple[str | None, str | None]
    related: bool
    outcome: str
    level: str | None = None
    change: str = ""
    pictures: tuple[str, str] = ("", "")


@dataclass(frozen=True, repr=False)
class Beaf:
    """Before / after measures of one model.

    Attributes
    ----------
    model : name of the model.
    rows : one `BeforeAfter` per question, related ones first.
    """

    model: str
    rows: tuple[BeforeAfter, ...]

    @property
    def levels(self) -> tuple[str, ...]:
        """The semantic levels of the changes, and "all"."""
        return (*dict.fromkeys(row.level for row in self.rows if row.level), ALL)

    def count(self, level: str = ALL, *, related: bool = True) -> int:
        """Return the number of questions with two clear answers, related or unrelated ones."""
        return len(self._cases(level, related))

    def value(self, name: str, level: str = ALL) -> float:
        """Return a measure, 0 to 1; NaN without cases.

        Parameters
        ----------
        name : "TU", "IG", "SB", "SB yes", "SB no", "ID" or "F1".
        level : semantic level; default all of them.
        """
        if name == "F1":
            return _harmonic(self.value("TU", level), 1 - self.value("ID", level))
        checks.one_of(name, "Beaf.value: name", (*MEASURES, "F1"))
        cases = self._cases(level, name != "ID")
        return float(np.mean([row.outcome in MEASURES[name] for row in cases])) if cases else float("nan")

    def interval(self, name: str, level: str = ALL, *, seed: int = 0) -> tuple[float, float]:
        """Return the 95 % interval of a measure.

        Wilson's if no two questions are about the same pictures; else, and for F1, percentiles of a bootstrap
        over pairs of pictures. Where all cases agree, a bootstrap finds no spread: then Wilson's for the
        number of pairs of pictures.
        """
        if name == "F1":
            return self._f1_interval(level, seed)
        checks.one_of(name, "Beaf.interval: name", (*MEASURES, "F1"))
        cases = self._cases(level, name != "ID")
        return share_interval(
            [row.outcome in MEASURES[name] for row in cases], [row.pictures for row in cases], seed=seed
        )

    def _f1_interval(self, level: str, seed: int) -> tuple[float, float]:
        cases = [*self._cases(level, True), *self._cases(level, False)]
        if np.isnan(self.value("F1", level)):
            return float("nan"), float("nan")
        counts = resampled_clusters([row.pictures for row in cases], seed=seed)
        related = counts * np.array([row.related for row in cases])
        understood = counts @ np.array([row.outcome == "true understanding" for row in cases])
        undecided = counts @ np.array([row.outcome == "indecision" for row in cases])
        others = counts.sum(axis=1) - related.sum(axis=1)
        use = (related.sum(axis=1) > 0) & (others > 0)
        tu, steady = understood[use] / related.sum(axis=1)[use], 1 - undecided[use] / others[use]
        total = tu + steady
        values = np.divide(2 * tu * steady, total, out=np.zeros_like(total), where=total > 0)
        if values.min() == values.max():  # all cases agree: bounds from those of TU and ID
            (tu_low, tu_high), (id_low, id_high) = (self.interval(name, level) for name in ("TU", "ID"))
            return _harmonic(tu_low, 1 - id_high), _harmonic(tu_high, 1 - id_low)
        low, high = np.quantile(values, [0.025, 0.975])
        return float(low), float(high)

    def _cases(self, level: str, related: bool) -> list[BeforeAfter]:
        checks.one_of(level, "level", self.levels)
        return [row for row in self._clear if row.related is related and level in (ALL, row.level)]

    @cached_property
    def _clear(self) -> list[BeforeAfter]:
        return [row for row in self.rows if row.outcome != UNCLEAR]

    @property
    def unclear(self) -> int:
        """Number of questions that were not answered by a clear yes or no both times; they count nowhere."""
        return len(self.rows) - len(self._clear)

    def table(self) -> pd.DataFrame:
        """Return the measures: one row per level and measure, with value, interval and number of cases."""
        import pandas as pd

        found = []
        for level in self.levels:
            for name, title in _TITLES.items():
                low, high = self.interval(name, level)
                found.append(
                    {
                        "level": level,
                        "measure": name,
                        "name": title,
                        "value": self.value(name, level),
                        "low": low,
                        "high": high,
                        "n": self.count(level, related=name != "ID"),
                    }
                )
        return pd.DataFrame(found)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per question."""
        import pandas as pd

        made = []
        for row in self.rows:
            record = asdict(row)
            record["truth_before"], record["truth_after"] = record.pop("truths")
            record["picture_before"], record["picture_after"] = record.pop("pictures")
            made.append(record)
        return pd.DataFrame(made)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {"model": self.model, "rows": [asdict(row) for row in self.rows]}

    @classmethod
    @records.reader("before / after measures")
    def from_dict(cls, record: Mapping[str, Any]) -> Beaf:
        """Rebuild from the record of `to_dict`. Raises `InputError` for any other record."""
        return cls(record["model"], tuple(map(_row, record["rows"])))

    def __repr__(self) -> str:
        values = {name: _shown(self.value(name)) for name in ("TU", "IG", "SB", "ID")}
        parts = [f"{name} {value}" for name, value in values.items() if value]  # no ID without unrelated
        number = f"{self.count()} related, {self.count(related=False)} unrelated"
        return f"Beaf({self.model}: {', '.join(parts)}; {number})"

    def _repr_html_(self) -> str:
        rows = []
        for level in self.levels:
            cells = []
            for name in _TITLES:
                low, high = self.interval(name, level)
                known = f" [{_shown(low)}, {_shown(high)}]" if np.isfinite(low) else ""
                cells.append(f"{_shown(self.value(name, level))}{known}")
            numbers = f"{self.count(level)} + {self.count(level, related=False)}"
            rows.append((level, numbers, *cells))
        notes = [
            "TU true understanding, IG ignorance, SB stubbornness, ID indecision; shares, in brackets 95 % "
            "intervals. Numbers: related + unrelated questions."
        ]
        if self.unclear:
            notes.append(
                f"Not counted, without a clear yes or no both times: {counted(self.unclear, 'question')}."
            )
        title = f"Before and after a change, {self.model}"
        return html_table(title, ("level", "questions", *_TITLES), rows, notes)


def beaf(
    vlm: VLMLike,
    pairs: Iterable[Pair],
    unrelated: Iterable[Pair] | None = None,
    *,
    max_new_tokens: int = 32,
    progress: Callable[[str, int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Beaf:
    """Ask a model about pictures before and after a change, and see whether its answers follow.

    Parameters
    ----------
    vlm : the model; it answers greedily.
    pairs : minimal pairs of yes/no questions whose true answer changes, such as those of
        `obs.counterfactual("object", way="remove")`.
    unrelated : pairs of questions that the change does not concern, such as those of `obs.unrelated(...)`;
        None (default) for none: then there is no indecision.
    max_new_tokens : most tokens of an answer; default 32.
    progress : called as progress("answers", done, total).
    cancel : polled between answers and tokens; once it returns True, `Cancelled` is raised.

    Raises
    ------
    InputError
        Without pairs, or with a pair that is none of these.
    Cancelled
        `cancel` returned True.
    """
    check_vlm_like(vlm, "beaf needs")
    given = {"pairs": list(pairs), "unrelated": [] if unrelated is None else list(unrelated)}
    if not given["pairs"]:
        raise InputError(
            "beaf needs at least one pair, for example [obs.counterfactual('object', way='remove')]."
        )
    for name, items in given.items():
        for number, pair in enumerate(items):
            _check(pair, name == "pairs", f"{name}: item {number}")
    asked = [(pair, name == "pairs") for name, items in given.items() for pair in items]
    answers: dict[str, str] = {}
    rows = []
    for number, (pair, related) in enumerate(asked):
        if progress is not None:
            progress("answers", number, len(asked))
        before, after = (
            _answer(vlm, stimulus, answers, max_new_tokens, cancel) for stimulus in (pair.clean, pair.corrupt)
        )
        outcome = outcome_of(before, after, pair.truths, related)
        pictures = pair.clean.current_image.sha256, pair.corrupt.current_image.sha256
        question = pair.clean.current_question
        rows.append(
            BeforeAfter(
                question, before, after, pair.truths, related, outcome, pair.level, pair.change, pictures
            )
        )
    if progress is not None:
        progress("answers", len(asked), len(asked))
    return Beaf(vlm.model_id, tuple(rows))


def outcome_of(before: str, after: str, truths: tuple[str | None, str | None], related: bool) -> str:
    """Return what two answers show: one of `RELATED` or `UNRELATED`."""
    said = verdict(before), verdict(after)
    if None in said:
        return UNCLEAR
    if not related:
        return "decided" if said[0] == said[1] else "indecision"
    if said[0] == said[1]:
        return f"stubborn {said[0]}"
    return "true understanding" if said[0] == verdict(truths[0] or "") else "ignorance"


def _check(pair: object, related: bool, name: str) -> None:
    if not isinstance(pair, Pair):
        raise InputError(f"{name} must be a Pair, got {type(pair).__name__}.")
    if pair.clean.current_question != pair.corrupt.current_question:
        raise InputError(f"{name}: both stimuli must have the same question; got {pair!r}.")
    truths = [verdict(truth) if truth else None for truth in pair.truths]
    if related and (None in truths or truths[0] == truths[1]):
        raise InputError(
            f"{name} must be a yes/no question whose true answer changes; "
            f"{pair.clean.current_question!r} has the truths {pair.truths[0]!r} and {pair.truths[1]!r}. "
            'Give an edited picture its own truth: isi.Stimulus(edited.render(), question, true_answer="No").'
        )
    if not related and None not in truths and truths[0] != truths[1]:
        raise InputError(
            f"{name} must be a question whose true answer stays; {pair.clean.current_question!r} has the "
            f"truths {pair.truths[0]!r} and {pair.truths[1]!r}. Give it among pairs."
        )


def _answer(
    vlm: VLMLike,
    stimulus: Stimulus,
    known: dict[str, str],
    max_new_tokens: int,
    cancel: Callable[[], bool] | None,
) -> str:
    if cancel is not None and cancel():
        raise Cancelled
    if stimulus.key not in known:
        answer = vlm.answer(stimulus, max_new_tokens=max_new_tokens, cancel=cancel)
        known[stimulus.key] = answer.text
    return known[stimulus.key]


def _row(record: Mapping[str, Any]) -> BeforeAfter:
    records.check_names(BeforeAfter, "a question before and after", record)
    records.check_values(BeforeAfter, "a question before and after", record)
    first, second = record["truths"]
    one, two = record.get("pictures", ("", ""))
    values = {**record, "truths": (first, second), "pictures": (one, two)}
    outcomes: Sequence[str] = RELATED if values["related"] else UNRELATED
    checks.one_of(values["outcome"], "outcome", outcomes)
    return BeforeAfter(**values)


def _harmonic(one: float, two: float) -> float:
    return 2 * one * two / (one + two) if one + two else 0.0


def _shown(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"
