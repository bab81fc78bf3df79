"""`Measure`: everything that is to be known of one measure of a trial, in one object.

Its name, its own settings, what it needs, how it is run, its record as JSON, its numbers for tables and
comparisons, and what these are called and mean. Code that runs, stores, lists or draws trials uses only this
interface and knows no measure by name. Not for running (`isi_widget.trial.run`) nor for drawing
(`isi_widget.report`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.setting import settings_of

if TYPE_CHECKING:
    from isi_widget.trial.record import Trial
    from isi_widget.trial.settings import Settings
    from isi_widget.trial.shared import Shared
    from isi_widget.vlm.protocol import VLMLike

#: What a measure can need, in the order in which a run makes it.
NEEDS = ("prompt", "answer", "attention", "samples")
#: What "value" of a record is where the measure was not run.
Interval = tuple[float, float]


@dataclass(frozen=True)
class Term:
    """One number (or text) of a measure: what it is called and what it means.

    Attributes
    ----------
    name
        Its name in tables: `to_frame` has a column of this name.
    label
        What people read.
    unit
        "nats", "words", ...; "" for none.
    definition
        One sentence on what it is, with its caveat.
    scale
        The value at the end of its bar, the same for every trial; None for a number without a bar.
    """

    name: str
    label: str
    unit: str = ""
    definition: str = ""
    scale: float | None = None


class Measure:
    """A measure of a trial. Subclass it, in a file of your own: see docs/add_your_measure.md.

    A subclass that is a frozen dataclass may have settings of its own: fields made with
    `isi_widget.setting.setting`. They are kept in the trial and in its code.

    Attributes
    ----------
    name
        Name for `run_trial` and in `Trial.results`; a Python name.
    title, help
        What people read above its numbers, and one sentence on what it is and what it is not.
    needs
        Some of "prompt", "answer", "attention" (an answer whose attention was recorded) and "samples". Each
        is made once for all measures of a run.
    uses_model
        Whether `run` itself calls the model. It is then run while no other thread can use the model.
    terms
        Its numbers and texts.
    by_default
        Whether a run that names no measures has this one.
    with_answer
        Whether it is measured with every answer, even if not requested.
    has_panel
        Whether the page and the reports know how to draw its `view`; else it is drawn from its `columns`.
    panel_of
        The measure in whose panel it is drawn, where that was measured, too.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    help: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ("answer",)
    uses_model: ClassVar[bool] = False
    terms: ClassVar[tuple[Term, ...]] = ()
    by_default: ClassVar[bool] = True
    with_answer: ClassVar[bool] = False
    has_panel: ClassVar[bool] = False
    panel_of: ClassVar[str] = ""

    # ---- running
    def unavailable(self, vlm: VLMLike) -> str:
        """Return why a model cannot give it, in one sentence; "" if it can."""
        missing = vlm.unavailable
        return next((missing[name] for name in (self.name, *self.needs) if name in missing), "")

    def check(self, vlm: VLMLike, settings: Settings) -> None:
        """Refuse settings that would otherwise be refused only after the model has run.

        Raises
        ------
        InputError
            The model cannot be run like this.
        """

    def prepare(self, shared: Shared) -> None:
        """Load required models before the run: a wrong name must not cost minutes of sampling."""

    def run(self, shared: Shared) -> Any:
        """Return the record of this measure: plain data, or an object with `to_dict`; None if there is none.

        Parameters
        ----------
        shared
            What the measures of a run share: `stimulus`, `settings`, `vlm`, and, as far as `needs` names
            them, `prefill`, `answer` and `samples`. `shared.note("...")` adds a sentence to the notes of the
            trial.
        """
        raise NotImplementedError(f"{type(self).__name__} must define run(self, shared).")

    # ---- the record
    def to_dict(self, record: Any) -> Any:
        """Return a record as JSON-ready data."""
        return record.to_dict() if hasattr(record, "to_dict") else record

    def from_dict(self, data: Any) -> Any:
        """Return the record that `to_dict` was given."""
        return data

    def values(self, record: Any) -> Mapping[str, Any]:
        """Return the value of each term by its name: a number, a text, a bool or None."""
        raise NotImplementedError(f"{type(self).__name__} must define values(self, record).")

    def intervals(self, record: Any) -> Mapping[str, Interval]:
        """Return (low, high) for each term that has an interval."""
        return {}

    def describe(self, record: Any) -> str:
        """Return a few words for the `repr` of a trial; "" for none."""
        return ""

    # ---- as columns, rows and views
    def columns(self, record: Any) -> list[dict[str, Any]]:
        """Return one dict per term, for the page, comparisons and reports; JSON-ready.

        Each has name, label, unit, value, text (the value as it is shown), interval ([low, high] or null),
        scale (the end of its bar; null for no bar) and definition.
        """
        values, intervals = self._found(record)
        return [_column(term, values.get(term.name), intervals.get(term.name)) for term in self.terms]

    def row(self, record: Any) -> dict[str, Any]:
        """Return the columns of a table; `record` is None where it was not measured."""
        values, intervals = ({}, {}) if record is None else self._found(record)
        found: dict[str, Any] = {}
        for term in self.terms:
            found[term.name] = values.get(term.name, math.nan)
            if term.name in intervals:
                found[f"{term.name}_low"], found[f"{term.name}_high"] = intervals[term.name]
        return found

    def view(self, record: Any, trial: Trial, details: bool) -> dict[str, Any]:
        """Return what the measure's own panel draws, JSON-ready; only of measures that have one.

        details
            Whether it is for a report, which shows more than the page.
        """
        return {}

    def definitions(self) -> list[tuple[str, str]]:
        """Return (label, definition) of each term, for the last page of a report."""
        return [(term.label, term.definition) for term in self.terms if term.definition]

    def _found(self, record: Any) -> tuple[dict[str, Any], dict[str, Interval]]:
        """Return values and intervals by the names of the terms, as Python's own numbers and texts.

        Raises
        ------
        InputError
            They are not what `values` and `intervals` must return.
        """
        names = [term.name for term in self.terms]
        given = {"values": self.values(record), "intervals": self.intervals(record)}
        for method, found in given.items():
            if not isinstance(found, Mapping):
                raise InputError(
                    f"{method} of the measure {self.name!r} must return a dict by the names of its terms; "
                    f"got {checks.shown(found)}."
                )
            if unknown := [str(name) for name in found if name not in names]:
                raise InputError(
                    f"{method} of the measure {self.name!r} has {', '.join(unknown)}; its terms are "
                    f"{', '.join(names)}."
                )
        values = {name: _value(name, value) for name, value in given["values"].items()}
        return values, {name: _ends(name, ends) for name, ends in given["intervals"].items()}

    # ---- its own settings
    @property
    def own_settings(self) -> dict[str, Any]:
        """The values of its own settings that differ from their defaults."""
        named = settings_of(type(self))
        return {
            name: getattr(self, name) for name, made in named.items() if getattr(self, name) != made.default
        }

    def with_default_settings(self) -> Measure:
        """Return the same measure with the defaults of its own settings."""
        default = {name: made.default for name, made in settings_of(type(self)).items()}
        return replace(self, **default) if default else self  # type: ignore[type-var]

    def with_settings(self, given: Mapping[str, Any]) -> Measure:
        """Return the same measure with settings of its own.

        Raises
        ------
        InputError
            There is no such setting, or a value is out of range.
        """
        named = settings_of(type(self))
        if not isinstance(given, Mapping):
            raise checks.wrong(given, f"The settings of the measure {self.name!r}", "a dict by their names")
        if unknown := [str(name) for name in given if name not in named]:
            raise InputError(
                f"The measure {self.name!r} has no setting {', '.join(unknown)}; it has "
                f"{', '.join(named) or 'none'}."
            )
        checked = {name: named[name].check(name, value) for name, value in given.items()}
        return replace(self, **checked) if checked else self  # type: ignore[type-var]


def finite(value: float | None) -> float | None:
    """Return the value, or None where JSON has no number for it."""
    return float(value) if value is not None and math.isfinite(value) else None


def missing(value: float) -> str:
    """Return what stands in the place of a number that is not finite: NaN is not measured, not zero."""
    return "" if math.isfinite(value) else "not available" if math.isnan(value) else "infinite"


def _value(name: str, value: Any) -> Any:
    """Return the value of a term as a number, text or bool of Python's own, or None."""
    made = checks.plain(value)
    if made is None or isinstance(made, str | bool):
        return made
    if checks.is_real(made):
        try:
            return int(made) if checks.is_whole(made) and abs(float(made)) < math.inf else float(made)
        except OverflowError:
            pass
    raise checks.wrong(value, f"The value of {name!r}", "a number of ordinary size, a text, a bool or None")


def _ends(name: str, ends: Any) -> Interval:
    """Return an interval as two numbers."""
    pair = tuple(map(checks.plain, ends)) if isinstance(ends, tuple | list) else ()
    if len(pair) != 2 or not all(map(checks.is_real, pair)):
        raise checks.wrong(ends, f"The interval of {name!r}", "two numbers (low, high)")
    return float(pair[0]), float(pair[1])


def _column(term: Term, value: Any, interval: Interval | None) -> dict[str, Any]:
    shown, text = _shown(value)
    ends = None if interval is None else [finite(end) for end in interval]
    return {
        "name": term.name,
        "label": term.label,
        "unit": term.unit,
        "value": shown,
        "text": text,
        "interval": None if ends is None or None in ends else ends,
        "scale": term.scale,
        "definition": term.definition,
    }


def _shown(value: Any) -> tuple[Any, str]:
    """Return the value as JSON has it, and as people read it."""
    if value is None:
        return None, "not available"
    if isinstance(value, str):
        return value, value
    if isinstance(value, bool):
        return value, "yes" if value else "no"
    if isinstance(value, int):
        return value, f"{value:,}"
    if not math.isfinite(value):
        return None, missing(value)
    return value, f"{value:.3f}"
