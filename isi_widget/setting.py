"""`Setting`: one setting of a run, defined once: label, help, unit, limits, choices, default.

Checks, forms and tables are derived from it. Below are the settings of generation, which models check, too;
`isi_widget.trial.Settings` collects all settings of a trial. Not for values: these are the fields of
`Settings`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isi_widget import checks


@dataclass(frozen=True)
class Choice:
    """One possible value of a setting, with its meaning."""

    value: str
    help: str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a run.

    Attributes
    ----------
    default
        Default value; its type is the type of the setting: bool, int, float or str.
    label
        Name on the page.
    help
        One sentence on its effect.
    unit
        "tokens", "answers", ...; "" for a bare number.
    minimum, maximum
        Smallest and largest value of a number; None for no limit.
    exclusive
        Whether `minimum` itself is not allowed.
    step
        Step of the page's up and down buttons.
    choices
        Possible values of a text setting.
    measure
        Name of the measure that uses it; "" for settings that several measures share.
    when
        (name, value) of the setting that this one depends on; None if it always applies.
    hint
        Advice at the end of the error message for a wrong value.
    """

    default: Any
    label: str
    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    exclusive: bool = False
    step: float | None = None
    choices: tuple[Choice, ...] = ()
    measure: str = ""
    when: tuple[str, Any] | None = None
    hint: str = ""

    @property
    def kind(self) -> str:
        """Return "flag", "choice", "integer" or "number"."""
        if isinstance(self.default, bool):
            return "flag"
        return {str: "choice", int: "integer", float: "number"}[type(self.default)]

    @property
    def summary(self) -> str:
        """Return the beginning of `help`, as far as its first colon, semicolon or full stop."""
        return re.split(r"[:;.](?: |$)", self.help, maxsplit=1)[0]

    @property
    def rule(self) -> str:
        """Return the allowed values in words."""
        if self.kind == "flag":
            return "True or False"
        if self.kind == "choice":
            return " or ".join(repr(choice.value) for choice in self.choices)
        if self.kind == "integer" and None not in (self.minimum, self.maximum):
            return f"a whole number from {self.minimum} to {self.maximum}"
        kind = "a whole number" if self.kind == "integer" else f"a {self.unit or 'number'}"
        least = (
            ""
            if self.minimum is None
            else f" {'above' if self.exclusive else 'of at least'} {self.minimum:g}"
        )
        most = "" if self.maximum is None else f"{',' * bool(least)} at most {self.maximum:g}"
        return kind + least + most

    def check(self, name: str, value: Any) -> Any:
        """Return the value in the type of the setting.

        Raises
        ------
        InputError
            Wrong type, or outside the limits.
        """
        words = {"wanted": self.rule, "hint": self.hint}
        low, high = self.minimum, self.maximum
        if self.kind == "flag":
            return checks.flag(value, name)
        if self.kind == "choice":
            return checks.one_of(value, name, [choice.value for choice in self.choices], **words)
        if self.kind == "integer":
            return checks.integer(value, name, low=low, high=high, **words)
        bounds = {"above" if self.exclusive else "low": low, "high": high}
        return checks.number(value, name, **bounds, **words)  # type: ignore[arg-type]

    def to_dict(self, name: str) -> dict[str, Any]:
        """Return a JSON-ready dict; `name` is its name in Python."""
        return {
            "name": name,
            "kind": self.kind,
            "label": self.label,
            "help": self.help,
            "unit": self.unit,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "exclusive": self.exclusive,
            "step": self.step,
            "choices": [{"value": choice.value, "help": choice.help} for choice in self.choices],
            "default": self.default,
            "rule": self.rule,
            "measure": self.measure,
            "when": None if self.when is None else {"name": self.when[0], "value": self.when[1]},
        }


def setting(given: Setting | None = None, **named: Any) -> Any:
    """Make a dataclass field of a setting; the arguments are those of `Setting`."""
    made = Setting(**named) if given is None else given
    return field(default=made.default, metadata={"setting": made})


def settings_of(cls: Any) -> Mapping[str, Setting]:
    """Return the settings among the fields of a dataclass, by name."""
    return {
        name: item.metadata["setting"]
        for name, item in getattr(cls, "__dataclass_fields__", {}).items()
        if "setting" in item.metadata
    }


# ---- generation; the names are transformers' own
SAMPLES = Setting(
    default=10,
    label="Samples",
    help="Number of answers sampled for the uncertainty.",
    unit="answers",
    minimum=1,
    maximum=1000,
    step=1,
    measure="uncertainty",
    when=("method", "sampled"),
)
TEMPERATURE = Setting(
    default=0.9,
    label="Temperature",
    help="Temperature of sampling: below 1 favours likely tokens, above 1 makes answers more varied.",
    minimum=0,
    exclusive=True,
    step=0.05,
    hint="For a deterministic answer use vlm.answer(stimulus), which is greedy.",
)
TOP_K = Setting(
    default=0,
    label="Top-k",
    help="Sample only from the k most likely tokens; 0 keeps all.",
    unit="tokens",
    minimum=0,
    maximum=2**31 - 1,
    step=1,
    hint="0 keeps every token.",
)
TOP_P = Setting(
    default=1.0,
    label="Top-p",
    help="Sample only from the most likely tokens with this total probability; 1 keeps all.",
    minimum=0,
    maximum=1,
    exclusive=True,
    step=0.01,
    hint="1 keeps every token.",
)
SEED = Setting(
    default=0,
    label="Seed",
    help="Seed of every random step (samples, intervals): the same seed gives the same answers.",
    minimum=0,
    maximum=2**63 - 1,
    step=1,
)
MAX_NEW_TOKENS = Setting(
    default=64,
    label="Max tokens",
    help="Largest number of tokens of an answer; longer answers are cut off.",
    unit="tokens",
    minimum=1,
    maximum=4096,
    step=1,
)
DO_SAMPLE = Setting(
    default=False,
    label="Sampled answer",
    help="Sample the shown answer with temperature, top-k, top-p and seed. Off: greedy, or beams.",
    measure="answer",
)
NUM_BEAMS = Setting(
    default=1,
    label="Beams",
    help="Number of beams in the beam search for the shown answer; 1 is greedy.",
    unit="beams",
    minimum=1,
    maximum=64,
    step=1,
    measure="answer",
)
MASS = Setting(
    default=0.99,
    label="Mass",
    help="Total probability of answers at which the enumeration stops.",
    unit="probability",
    minimum=0,
    maximum=1,
    exclusive=True,
    step=0.01,
    measure="uncertainty",
    when=("method", "enumerated"),
)
BUDGET = Setting(
    default=512,
    label="Budget",
    help="Largest number of evaluated beginnings of answers in the enumeration.",
    unit="prefixes",
    minimum=1,
    maximum=100_000,
    step=1,
    measure="uncertainty",
    when=("method", "enumerated"),
)
