"""The measures by name: those of this package and those that somebody has registered."""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from isi_widget.errors import InputError
from isi_widget.trial.measures.answer import AnswerMeasure
from isi_widget.trial.measures.attention import AttentionMeasure
from isi_widget.trial.measures.base import NEEDS, Measure
from isi_widget.trial.measures.uncertainty import UncertaintyMeasure
from isi_widget.trial.measures.yes_no import YesNoMeasure
from isi_widget.trial.settings import names_of

#: The measures of this package, in the order in which they are listed.
OWN: tuple[Measure, ...] = (AnswerMeasure(), YesNoMeasure(), UncertaintyMeasure(), AttentionMeasure())
_REGISTERED: dict[str, Measure] = {measure.name: measure for measure in OWN}
#: Those that were only given to a run as objects: no other run has them unless it names them.
_PASSED: set[str] = set()
_M = TypeVar("_M", bound="Measure | type[Measure]")


def register_measure(measure: _M) -> _M:
    """Make a measure known by its name: to `run_trial`, to records that are read, and to the page.

    Parameters
    ----------
    measure
        A `Measure`, or a subclass of it that can be made without arguments: so this can be a decorator. One
        of the same name is replaced, which is what running a cell again does.

    Returns
    -------
    What was given.

    Raises
    ------
    InputError
        It is no measure, its name is taken by this package, or something of it is missing.
    """
    made = measure() if isinstance(measure, type) else measure
    _check(made)
    _REGISTERED[made.name] = made
    _PASSED.discard(made.name)
    return measure


def forget_measure(name: str) -> None:
    """Undo `register_measure`; an unknown name is left alone."""
    if name not in [own.name for own in OWN]:
        _REGISTERED.pop(name, None)


def measures() -> Mapping[str, Measure]:
    """Return the known measures by name, those of this package first."""
    return dict(_REGISTERED)


def by_default() -> list[str]:
    """Return the names of the measures of a run that names none."""
    return [name for name, made in _REGISTERED.items() if made.by_default and name not in _PASSED]


def find_measure(name: str) -> Measure | None:
    """Return the measure of a name, or None."""
    return _REGISTERED.get(name)


def _check(made: Any) -> None:
    if not isinstance(made, Measure):
        raise InputError(f"A measure must be an isi.Measure; got {type(made).__name__}.")
    if not made.name.isidentifier() or keyword.iskeyword(made.name):
        raise InputError(f"A measure needs a name that is a Python name, such as 'words'; got {made.name!r}.")
    own = _REGISTERED.get(made.name)
    if own is not None and own in OWN and made is not own:
        raise InputError(f"{made.name!r} is a measure of isi_widget itself; choose another name.")
    if not made.title or not made.terms:
        raise InputError(f"The measure {made.name!r} needs a title and at least one Term in terms.")
    if unknown := [need for need in made.needs if need not in NEEDS]:
        raise InputError(
            f"The measure {made.name!r} needs {', '.join(unknown)}; what there is: {', '.join(NEEDS)}."
        )
    for term in made.terms:
        if term.name != made.name and not term.name.startswith(f"{made.name}_"):
            raise InputError(
                f"The term {term.name!r} must be called {made.name!r} or begin with '{made.name}_', as it is "
                "a column of tables."
            )


def resolve(
    given: Sequence[str | Measure] | str | Measure, own: Mapping[str, Mapping[str, Any]]
) -> list[Measure]:
    """Return the measures that names, or the objects themselves, stand for. Objects are known from then on.

    Parameters
    ----------
    given
        Names of known measures, and measures.
    own
        Settings of measures by their names.

    Raises
    ------
    InputError
        A name is not known, nothing is named, or a measure is not whole.
    """
    found: dict[str, Measure] = {}
    for item in names_of(given):
        if isinstance(item, Measure):
            _check(item)
            found[item.name] = item
            if item.name not in _REGISTERED:
                _PASSED.add(item.name)
            _REGISTERED[item.name] = item
        elif isinstance(item, str) and item in _REGISTERED:
            found[item] = _REGISTERED[item].with_settings(own.get(item, {}))
        else:
            raise InputError(
                f"measures must name at least one of {', '.join(_REGISTERED)}; got {item!r:.60}. A measure "
                "of your own is made known by isi.register_measure."
            )
    if not found:
        raise InputError(f"measures must name at least one of {', '.join(_REGISTERED)}; got none.")
    order = {name: place for place, name in enumerate(_REGISTERED)}
    return sorted(found.values(), key=lambda measure: order.get(measure.name, len(order)))
