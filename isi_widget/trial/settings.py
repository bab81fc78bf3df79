"""`Settings`: how a trial is run, checked once, where the values come in.

Plain data, no torch; not for what a model makes of them (see `isi_widget.vlm`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from isi_widget.errors import InputError
from isi_widget.files import records

WHAT = ("answer", "uncertainty", "attention")
LIKELIHOODS = ("raw", "sampled")
METHODS = ("sampled", "enumerated")


def _integer(name: str, value: object, low: int, high: int, hint: str = "") -> int:
    """`value` as an int within [low, high], or one clear error."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(
            f"{name} must be a whole number from {low} to {high}; got {value!r}.{hint}"
        ) from None
    if not low <= number <= high:
        raise InputError(f"{name} must be a whole number from {low} to {high}; got {number}.{hint}")
    return number


def _real(name: str, value: object, rule: str, fits: Callable[[float], bool], hint: str = "") -> float:
    """`value` as a finite float that fits, or one clear error."""
    try:
        if isinstance(value, bool | str):
            raise TypeError
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(f"{name} must be {rule}; got {value!r}.{hint}") from None
    if not (math.isfinite(number) and fits(number)):
        raise InputError(f"{name} must be {rule}; got {value!r}.{hint}")
    return number


def _flag(name: str, value: object) -> bool:
    """`value` as a bool; text such as "no", which Python takes for True, is refused."""
    if type(value).__name__ not in ("bool", "bool_"):  # NumPy's own, too
        raise InputError(f"{name} must be True or False; got {value!r}.")
    return bool(value)


def check_fields(title: str, record: object, required: Collection[str], known: Collection[str]) -> None:
    """Refuse a record that is no object, lacks a field, or has one of a newer version."""
    if not isinstance(record, Mapping):
        raise InputError(
            f"A record of {title} must be a dict made by to_dict(); got {type(record).__name__}."
        )
    if missing := [name for name in required if name not in record]:
        raise InputError(f"This is no complete record of {title}: it lacks {', '.join(missing)}.")
    if unknown := [str(name) for name in record if name not in known]:
        raise InputError(
            f"This record of {title} has fields that are not known here: {', '.join(unknown)}. It may be of "
            "a newer isi-widget: upgrade to read it."
        )


def names_of(what: object) -> tuple[str, ...]:
    """`what` of a run as names: one name, or several; that they are known is not checked here."""
    names = (what,) if isinstance(what, str) else what
    if not isinstance(names, Iterable):
        raise InputError(f"what must name at least one of {', '.join(WHAT)}; got {what!r}.")
    return tuple(names)


@dataclass(frozen=True)
class Settings:
    """How a trial is run. The names of generation settings are transformers' own.

    Attributes
    ----------
    what : which of "answer", "uncertainty", "attention" to run, in this order. Attention is that of an
        answer, so it brings the answer.
    samples : number of sampled answers for the uncertainty, 1 to 1000.
    temperature, top_k, top_p : of the sampling; temperature > 0, top_k 0 and top_p 1 mean "off".
    seed : of every random step (samples, bootstrap of the intervals, a sampled answer).
    max_new_tokens : at most so many tokens in one answer, 1 to 4096.
    strict : True puts answers together only if each entails the other; False if neither contradicts the
        other and they are not both neutral.
    likelihood : which log-probabilities weigh the sampled answers in the entropies: "raw", the model's own,
        comparable across temperatures, or "sampled", after temperature, top-k and top-p.
    prepend_question : True lets the entailment model read question and answer, False the answer alone.
    method : where the uncertainty comes from: "sampled" answers, or "enumerated" ones, all that are probable
        with their exact probabilities, for short answers; then samples, seed and likelihood do not matter.
    mass, budget : of the enumeration: the probability to find, above 0, at most 1; how many beginnings of
        answers to look at, 1 to 100,000.
    do_sample, num_beams : how the shown answer is made: greedy (False, 1), sampled with the settings
        above, or by beam search.
    """

    what: tuple[str, ...] = WHAT
    samples: int = 10
    temperature: float = 0.9
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    max_new_tokens: int = 64
    strict: bool = False
    do_sample: bool = False
    num_beams: int = 1
    likelihood: Literal["raw", "sampled"] = "raw"
    prepend_question: bool = True
    method: Literal["sampled", "enumerated"] = "sampled"
    mass: float = 0.99
    budget: int = 512

    def __post_init__(self) -> None:
        what = names_of(self.what)
        unknown = [name for name in what if name not in WHAT]
        if unknown or not what:
            raise InputError(
                f"what must name at least one of {', '.join(WHAT)}; "
                f"got {', '.join(map(repr, unknown)) or 'none'}."
            )
        greedy = " For a deterministic answer use vlm.answer(stimulus), which is greedy."
        values: dict[str, Any] = {
            "what": tuple(name for name in WHAT if name in what),
            "samples": _integer("samples", self.samples, 1, 1000),
            "temperature": _real(
                "temperature", self.temperature, "a number above 0", lambda x: x > 0, greedy
            ),
            "top_k": _integer("top_k", self.top_k, 0, 2**31 - 1, " 0 keeps every token."),
            "top_p": _real(
                "top_p",
                self.top_p,
                "a number above 0, at most 1",
                lambda x: 0 < x <= 1,
                " 1 keeps every token.",
            ),
            "seed": _integer("seed", self.seed, 0, 2**63 - 1),
            "max_new_tokens": _integer("max_new_tokens", self.max_new_tokens, 1, 4096),
            "num_beams": _integer("num_beams", self.num_beams, 1, 64),
            "mass": _real("mass", self.mass, "a probability above 0, at most 1", lambda x: 0 < x <= 1),
            "budget": _integer("budget", self.budget, 1, 100_000),
            **{
                name: _flag(name, getattr(self, name)) for name in ("strict", "do_sample", "prepend_question")
            },
        }
        if self.likelihood not in LIKELIHOODS:
            raise InputError(f"likelihood must be 'raw' or 'sampled'; got {self.likelihood!r}.")
        if self.method not in METHODS:
            raise InputError(f"method must be 'sampled' or 'enumerated'; got {self.method!r}.")
        if values["do_sample"] and values["num_beams"] > 1:
            raise InputError(
                "do_sample and num_beams > 1 exclude each other: choose sampling or beam search."
            )
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dict."""
        return {**asdict(self), "what": list(self.what)}

    @classmethod
    @records.reader("settings", names=False)
    def from_dict(cls, record: Mapping[str, Any]) -> Settings:
        """The inverse of `to_dict`; what an older record lacks gets its default."""
        check_fields("settings", record, required=(), known=cls.__dataclass_fields__)
        return cls(**record)

    def sampling(self) -> dict[str, Any]:
        """The keyword arguments of `VLM.sample`."""
        names = ("temperature", "top_k", "top_p", "seed", "max_new_tokens")
        return {"n": self.samples, **{name: getattr(self, name) for name in names}}

    def comparing(self) -> dict[str, Any]:
        """The keyword arguments that `uncertainty_of` and `uncertainty_of_enumeration` share."""
        return {name: getattr(self, name) for name in ("strict", "seed", "prepend_question")}

    def enumerating(self) -> dict[str, Any]:
        """The keyword arguments of `VLM.enumerate_answers`."""
        names = ("mass", "budget", "temperature", "top_k", "top_p", "max_new_tokens")
        return {name: getattr(self, name) for name in names}

    def changed(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as `run_trial` takes them."""
        default = Settings()
        return {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if getattr(self, name) != getattr(default, name)
        }
