"""The measures by name: those of this package and those that somebody has registered."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from weakref import WeakMethod

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.trial.columns import taken
from isi_widget.trial.measures.answer import AnswerMeasure
from isi_widget.trial.measures.attention import AttentionMeasure
from isi_widget.trial.measures.base import NEEDS, Measure, Term
from isi_widget.trial.measures.uncertainty import UncertaintyMeasure
from isi_widget.trial.measures.yes_no import YesNoMeasure
from isi_widget.trial.settings import names_of

#: The measures of this package, in the order in which they are listed.
OWN: tuple[Measure, ...] = (AnswerMeasure(), YesNoMeasure(), UncertaintyMeasure(), AttentionMeasure())
_REGISTERED: dict[str, Measure] = {measure.name: measure for measure in OWN}
#: Those that were only given to a run as objects: no other run has them unless it names them.
_PASSED: set[str] = set()
#: Methods that are called after each change of the registered measures.
_FOLLOWING: list[WeakMethod[Callable[[], None]]] = []
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
    _tell()
    return measure


def forget_measure(name: str) -> None:
    """Undo `register_measure`; an unknown name is left alone."""
    if name not in [own.name for own in OWN]:
        _REGISTERED.pop(name, None)
        _tell()


def follow_measures(method: Callable[[], None]) -> None:
    """Call a bound method after each `register_measure` and `forget_measure`, as long as its object lives."""
    _FOLLOWING.append(WeakMethod(method))


def _tell() -> None:
    _FOLLOWING[:] = [method for method in _FOLLOWING if method() is not None]
    for method in list(_FOLLOWING):
        if call := method():
            call()


def measures() -> Mapping[str, Measure]:
    """Return the known measures by name, those of this package first."""
    return dict(_REGISTERED)


def registered() -> Mapping[str, Measure]:
    """Return the known measures by name, without those that were only given to a run as objects."""
    return {name: made for name, made in _REGISTERED.items() if name not in _PASSED}


def by_default() -> list[str]:
    """Return the names of the measures of a run that names none."""
    return [name for name, made in _REGISTERED.items() if made.by_default and name not in _PASSED]


def find_measure(name: str) -> Measure | None:
    """Return the measure of a name, or None."""
    return _REGISTERED.get(name)


def _check(made: Any) -> None:
    """Refuse what could not be run, listed and drawn as a measure."""
    if not isinstance(made, Measure):
        raise InputError(f"A measure must be an isi.Measure; got {type(made).__name__}.")
    name = made.name
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise InputError(f"A measure needs a name that is a Python name, such as 'words'; got {name!r:.60}.")
    if made in OWN:
        return
    if name in [own.name for own in OWN]:
        raise InputError(f"{name!r} is a measure of isi_widget itself; choose another name.")
    if not made.title or not made.terms:
        raise InputError(f"The measure {name!r} needs a title and at least one Term in terms.")
    if not isinstance(made.needs, tuple | list):
        raise InputError(f"The needs of the measure {name!r} must be a tuple, such as ('answer',).")
    if unknown := [str(need) for need in made.needs if need not in NEEDS]:
        raise InputError(
            f"The measure {name!r} needs {', '.join(unknown)}; what there is: {', '.join(NEEDS)}."
        )
    for term in made.terms:
        _check_term(term, name)
    _check_columns(made)


def _check_term(term: Any, name: str) -> None:
    if not isinstance(term, Term):
        raise InputError(f"The terms of the measure {name!r} must be isi.Term; got {checks.shown(term)}.")
    for part in ("name", "label", "unit", "definition"):
        checks.text(getattr(term, part), f"{part} of a term of the measure {name!r}")
    if term.name != name and not term.name.startswith(f"{name}_"):
        raise InputError(
            f"The term {term.name!r} must be called {name!r} or begin with '{name}_', as it is a column of "
            "tables."
        )
    if term.scale is not None:
        checks.number(term.scale, f"scale of the term {term.name!r}", above=0)


def _check_columns(made: Measure) -> None:
    """Refuse a measure whose numbers would take the place of others in tables."""
    columns = _columns(made)
    twice = [name for place, name in enumerate(columns) if name in columns[:place]]
    for name in (made.name, *twice, *columns):
        owner = next((one.title for one in OWN if name in _columns(one)), "")
        if taken(name) or owner or name in twice:
            whose = f" of {owner!r}" if owner else " of the same measure" if name in twice else ""
            raise InputError(
                f"The measure {made.name!r} would have the column {name!r}, a name that is taken{whose} in "
                "tables of trials. Choose another name."
            )
    for other in _REGISTERED.values():
        common = [] if other in OWN or other.name == made.name else set(columns) & set(_columns(other))
        if common:
            raise InputError(
                f"The measure {made.name!r} would have the column {min(common)!r}, which is one of "
                f"{other.name!r}. Choose another name, or take that one away: "
                "isi_widget.trial.measures.forget_measure."
            )


def _columns(made: Measure) -> list[str]:
    """Return the columns of a measure in tables, those of intervals among them."""
    ends = [f"{term.name}{end}" for term in made.terms for end in ("", "_low", "_high")]
    return ends if made not in OWN else list({**dict.fromkeys(ends), **made.row(None)})


def _know(passed: Measure) -> None:
    """Make a measure that was passed as an object known by its name, so that its records can be read.

    Its settings are those of this run: a later run by name has the defaults, or what was registered.
    """
    known = _REGISTERED.get(passed.name)
    if known is None:
        _PASSED.add(passed.name)
    elif type(known) is type(passed) and passed.name not in _PASSED:
        return
    _REGISTERED[passed.name] = passed.with_default_settings()


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
            found[item.name] = item.with_settings(item.own_settings)  # checked
            _know(item)
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
