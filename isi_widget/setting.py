"""`Setting`: one setting of a run, written down once: label, help, unit, limits, choices, default.

What checks it, shows it or lists it derives that from here. Below are the settings of generation, which the
models check, too; all settings of a trial together are `isi_widget.trial.Settings`. Not for values: those are
the fields of `Settings`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isi_widget.errors import InputError


@dataclass(frozen=True)
class Choice:
    """One of the values that a setting can have, and what it means."""

    value: str
    help: str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a run.

    Attributes
    ----------
    default
        Its value if nobody sets it; its type is the type of the setting: bool, int, float or str.
    label
        Its name on the page.
    help
        One sentence on what it does.
    unit
        "tokens", "answers", ...; "" for a bare number.
    minimum, maximum
        Smallest and largest value of a number; None for no limit.
    exclusive
        Whether `minimum` itself is not allowed.
    step
        By how much the page goes up or down at once.
    choices
        The values of a text.
    measure
        Name of the one measure that it belongs to; "" for settings that several share.
    when
        Another setting and the value of it for which this one matters; None for always.
    hint
        What to do instead, at the end of the message about a wrong value.
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
    def rule(self) -> str:
        """Say which values are allowed, in words."""
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
            It is of another kind, or outside the limits.
        """
        checked = self._read(value)
        if checked is None or not self._fits(checked):
            shown = checked if self.kind == "integer" and checked is not None else value
            raise InputError(
                f"{name} must be {self.rule}; got {shown!r:.200}.{' ' * bool(self.hint)}{self.hint}"
            )
        return checked

    def _read(self, value: Any) -> Any:
        """Return the value in its own type; None if it is of another kind."""
        kind = self.kind
        is_flag = type(value).__name__ in ("bool", "bool_")  # NumPy's own, too
        if kind == "flag":  # a text such as "no", which Python takes for True, is refused
            return bool(value) if is_flag else None
        if kind == "choice":
            return value if isinstance(value, str) else None
        if is_flag or isinstance(value, str):
            return None
        try:
            return operator.index(value) if kind == "integer" else float(value)
        except (TypeError, ValueError, OverflowError):
            return None

    def _fits(self, value: Any) -> bool:
        if self.kind == "flag":
            return True
        if self.kind == "choice":
            return value in [choice.value for choice in self.choices]
        if isinstance(value, float) and not math.isfinite(value):
            return False
        low, high = self.minimum, self.maximum
        above = low is None or (value > low if self.exclusive else value >= low)
        return above and (high is None or value <= high)

    def to_dict(self, name: str) -> dict[str, Any]:
        """Return it as a JSON-ready dict, under the name that it has in Python."""
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
    help="How many answers are drawn for the uncertainty.",
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
    help="Of sampled answers: below 1 the likely ones come more often, above 1 less often.",
    minimum=0,
    exclusive=True,
    step=0.05,
    hint="For a deterministic answer use vlm.answer(stimulus), which is greedy.",
)
TOP_K = Setting(
    default=0,
    label="Top-k",
    help="Only the k most likely tokens are drawn; 0 keeps all.",
    unit="tokens",
    minimum=0,
    maximum=2**31 - 1,
    step=1,
    hint="0 keeps every token.",
)
TOP_P = Setting(
    default=1.0,
    label="Top-p",
    help="Only the most likely tokens that together have this probability are drawn; 1 keeps all.",
    minimum=0,
    maximum=1,
    exclusive=True,
    step=0.01,
    hint="1 keeps every token.",
)
SEED = Setting(
    default=0,
    label="Seed",
    help="Of every random step (samples, intervals, a sampled answer): the same seed draws the same answers.",
    minimum=0,
    maximum=2**63 - 1,
    step=1,
)
MAX_NEW_TOKENS = Setting(
    default=64,
    label="Max tokens",
    help="Longest answer; what is longer is cut off.",
    unit="tokens",
    minimum=1,
    maximum=4096,
    step=1,
)
DO_SAMPLE = Setting(
    default=False,
    label="Sampled answer",
    help="The shown answer is drawn with temperature, top-k, top-p and seed. Else: greedy, or beams.",
    measure="answer",
)
NUM_BEAMS = Setting(
    default=1,
    label="Beams",
    help="The shown answer is the likeliest of so many that are followed side by side; 1 is greedy.",
    unit="beams",
    minimum=1,
    maximum=64,
    step=1,
    measure="answer",
)
MASS = Setting(
    default=0.99,
    label="Mass",
    help="Probability of all answers to find before the enumeration stops.",
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
    help="How many beginnings of answers to look at, at most, where answers are enumerated.",
    unit="prefixes",
    minimum=1,
    maximum=100_000,
    step=1,
    measure="uncertainty",
    when=("method", "enumerated"),
)
