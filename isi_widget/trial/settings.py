"""`Settings`: the settings of a trial. Each setting is one field with its full description.

The page's form, the arguments of `run_trial` and similar functions, the texts of the PDF and the table in the
docs are all derived from it (`Settings.schema`). Plain data, no torch. Not for using the settings
(`isi_widget.vlm`).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from isi_widget import checks
from isi_widget import setting as of
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.setting import Choice, setting, settings_of

#: The default measures of a trial, as far as the model supports them.
MEASURES = ("answer", "uncertainty", "attention")
#: Former names of settings in older records.
RENAMED = {"what": "measures", "strict": "strict_entailment"}
_F = TypeVar("_F", bound=Callable[..., Any])


def names_of(measures: object) -> tuple[Any, ...]:
    """Return one or several measures as a tuple, without checking their names."""
    one = isinstance(measures, str) or not isinstance(measures, Iterable)
    return (measures,) if one else tuple(measures)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Settings:
    """The settings of a trial. Generation settings have transformers' names.

    `Settings.schema()` lists every setting with its meaning, its limits and its default.

    Attributes
    ----------
    measures
        Names of the measures: "answer", "uncertainty", "attention", in this order, then others. Attention
        includes its answer.
    of_measures
        Settings of measures that have settings of their own, by the names of both.
    """

    measures: tuple[str, ...] = MEASURES
    samples: int = setting(of.SAMPLES)
    temperature: float = setting(of.TEMPERATURE)
    top_k: int = setting(of.TOP_K)
    top_p: float = setting(of.TOP_P)
    seed: int = setting(of.SEED)
    max_new_tokens: int = setting(of.MAX_NEW_TOKENS)
    strict_entailment: bool = setting(
        default=False,
        label="Strict entailment",
        help=(
            "Two answers mean the same only if each entails the other. Off: if neither contradicts the "
            "other and not both are neutral."
        ),
        measure="uncertainty",
    )
    do_sample: bool = setting(of.DO_SAMPLE)
    num_beams: int = setting(of.NUM_BEAMS)
    likelihood: Literal["raw", "sampled"] = setting(
        default="raw",
        label="Likelihood",
        help="Log-probabilities that weigh the sampled answers in the entropies.",
        choices=(
            Choice("raw", "The model's own: entropies are comparable across temperatures."),
            Choice("sampled", "After temperature, top-k and top-p."),
        ),
        measure="uncertainty",
        when=("method", "sampled"),
    )
    prepend_question: bool = setting(
        default=True,
        label="Question prepended",
        help="The entailment model reads question and answer. Off: the answer alone.",
        measure="uncertainty",
    )
    method: Literal["sampled", "enumerated"] = setting(
        default="sampled",
        label="Answers",
        help="Source of the answers for the uncertainty.",
        choices=(
            Choice("sampled", "Random samples."),
            Choice(
                "enumerated",
                "All probable answers with exact probabilities and certain bounds, without sampling: for "
                "short answers, such as yes or no.",
            ),
        ),
        measure="uncertainty",
    )
    mass: float = setting(of.MASS)
    budget: int = setting(of.BUDGET)
    of_measures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    def __new__(cls, *_: Any, **given: Any) -> Settings:
        """Refuse former names with the name of today."""
        if former := [name for name in given if name in RENAMED]:
            raise TypeError(
                f"Settings() has no argument {former[0]!r}, which is called {RENAMED[former[0]]} now."
            )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        names = names_of(self.measures)
        wrong = [name for name in names if not isinstance(name, str) or not name.isidentifier()]
        if wrong or not names:
            raise InputError(
                f"measures must name at least one of {', '.join(MEASURES)}; "
                f"got {', '.join(map(repr, wrong)) or 'none'}."
            )
        listed = dict.fromkeys([*(name for name in MEASURES if name in names), *names])
        object.__setattr__(self, "measures", tuple(listed))
        own = self.of_measures.values() if isinstance(self.of_measures, Mapping) else [None]
        if not all(isinstance(given, Mapping) and all(map(_is_plain, given.values())) for given in own):
            raise checks.wrong(
                self.of_measures, "of_measures", "a dict {name of a measure: {setting: value}}"
            )
        for name, described in settings_of(Settings).items():
            object.__setattr__(self, name, described.check(name, getattr(self, name)))
        if self.do_sample and self.num_beams > 1:
            raise InputError(
                "do_sample and num_beams > 1 exclude each other: choose sampling or beam search."
            )

    @staticmethod
    def schema() -> list[dict[str, Any]]:
        """Return every setting but `measures` as JSON-ready data, in the order of the fields.

        Each has name, kind ("integer", "number", "flag" or "choice"), label, help, unit, minimum, maximum,
        exclusive (whether the minimum itself is not allowed), step, choices ([{"value", "help"}]), default,
        rule (the allowed values in words), measure (the one that it belongs to; "": several share it) and
        when ({"name", "value"}: the setting for which it matters, or null).
        """
        return [described.to_dict(name) for name, described in settings_of(Settings).items()]

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON-ready dict; `of_measures` only where there are any."""
        own = {name: dict(settings) for name, settings in self.of_measures.items()}
        return {
            "measures": list(self.measures),
            **{name: getattr(self, name) for name in settings_of(Settings)},
            **({"of_measures": own} if own else {}),
        }

    @classmethod
    @records.reader("settings", names=False, values=False)
    def from_dict(cls, record: Mapping[str, Any]) -> Settings:
        """Read what `to_dict` made; what an older record lacks gets its default."""
        given = {RENAMED.get(name, name): value for name, value in record.items()}
        checks.fields("settings", given, required=(), known=cls.__dataclass_fields__)
        records.check_values(cls, "settings", given)
        return cls(**given)

    def sampling(self) -> dict[str, Any]:
        """Return the keyword arguments of `VLM.sample`."""
        names = ("temperature", "top_k", "top_p", "seed", "max_new_tokens")
        return {"n": self.samples, **{name: getattr(self, name) for name in names}}

    def comparing(self) -> dict[str, Any]:
        """Return the keyword arguments that `uncertainty_of` and `uncertainty_of_enumeration` share."""
        names = ("seed", "prepend_question")
        return {"strict": self.strict_entailment, **{name: getattr(self, name) for name in names}}

    def enumerating(self) -> dict[str, Any]:
        """Return the keyword arguments of `VLM.enumerate_answers`."""
        names = ("mass", "budget", "temperature", "top_k", "top_p", "max_new_tokens")
        return {name: getattr(self, name) for name in names}

    def changed(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, as `run_trial` takes them."""
        default = Settings()
        return {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if getattr(self, name) != getattr(default, name)
        }


def _is_plain(value: object) -> bool:
    """Return whether a value can be that of a setting: a flag, a finite number or a text."""
    return isinstance(value, bool | str) or (checks.is_real(value) and math.isfinite(value))


def takes_settings(*leave_out: str) -> Callable[[_F], _F]:
    """Decorate a function with `**settings`: its signature lists each of them with type and default.

    Parameters
    ----------
    leave_out
        Names of settings that the function does not take.
    """
    hints = inspect.get_annotations(Settings, eval_str=False)
    taken = {name: made for name, made in settings_of(Settings).items() if name not in leave_out}

    def decorate(function: _F) -> _F:
        signature = inspect.signature(function)
        own = [item for item in signature.parameters.values() if item.kind is not item.VAR_KEYWORD]
        listed = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=made.default, annotation=hints[name]
            )
            for name, made in taken.items()
        ]
        function.__signature__ = signature.replace(parameters=[*own, *listed])  # type: ignore[attr-defined]
        return function

    return decorate


def settings_from(
    function: Callable[..., Any],
    given: Mapping[str, Any],
    measures: Any = MEASURES,
    of_measures: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Return the settings that a function with `takes_settings` was called with.

    Raises
    ------
    InputError
        A value is out of range.
    TypeError
        A name is no setting that the function takes.
    """
    known = [name for name in settings_of(Settings) if name in inspect.signature(function).parameters]
    for name in given:
        if name not in known:
            given_now = RENAMED.get(name, "") in inspect.signature(function).parameters
            now = f", which is called {RENAMED[name]} now" if given_now else ""
            raise TypeError(
                f"{function.__name__}() has no argument {name!r}{now}. Its settings are: {', '.join(known)}."
            )
    return Settings(measures, **given, of_measures=of_measures or {})
