"""Interventions on single attention heads.

The output of a head is its slice of the input of the attention's output projection (`o_proj`), as in V-SEAM
(Wang, Hu, Jiang, EMNLP 2025). It is changed at every position: of the prompt, and while decoding. Layers and
heads are counted from 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from isi_widget.errors import InputError
from isi_widget.interventions.base import Intervention, check_index, register
from isi_widget.stimulus import checks

#: What a head can be replaced by.
REPLACEMENTS = ("mean", "zero", "reference")
#: No head is wider.
_WIDEST = 65_536
#: Largest factor: far from what overflows in half precision.
LARGEST_FACTOR = 1e4
#: Largest number that stands for an output: beyond, squares in the norm layers overflow to zeros.
_LARGEST_VALUE = 1e12


@dataclass(frozen=True)
class _OneHead(Intervention):
    """An intervention on one head."""

    layer: int
    head: int

    def __post_init__(self) -> None:
        self._set(
            layer=check_index(self.layer, self._name("layer")),
            head=check_index(self.head, self._name("head")),
        )

    @property
    def changed_heads(self) -> tuple[tuple[int, int], ...]:
        """(layer, head) of the one that is changed."""
        return ((self.layer, self.head),)


@register
@dataclass(frozen=True)
class HeadScale(_OneHead):
    """Multiply the output of one head.

    Parameters
    ----------
    layer, head
        Numbers of layer and head, counted from 0.
    factor
        0 ablates the head, 1 changes nothing, 2 doubles its output.
    """

    kind: ClassVar[str] = "head_scale"
    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(
            factor=checks.number(self.factor, self._name("factor"), low=-LARGEST_FACTOR, high=LARGEST_FACTOR)
        )

    @property
    def label(self) -> str:
        """Such as "L2H0 x 0.5"."""
        return f"L{self.layer}H{self.head} × {self.factor:g}"


@register
@dataclass(frozen=True)
class HeadReplace(_OneHead):
    """Replace the output of one head.

    Several of one layer act one after the other, in the order given: a mean sees the heads that were replaced
    before it.

    Parameters
    ----------
    layer, head
        Numbers of layer and head, counted from 0.
    by
        "mean": the mean of the layer's other heads at the same position. "zero": zeros. "reference":
        `values`.
    values
        With "reference" only: the head's output to put in place, one number for each of its dimensions;
        for example its mean over other stimuli (`isi_widget.vlm.inside.reference_head` measures it). Each is
        at most 1e12 in size.
    """

    kind: ClassVar[str] = "head_replace"
    by: str = "mean"
    values: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.one_of(self.by, self._name("by"), REPLACEMENTS)
        if (self.by == "reference") != (self.values is not None):
            raise InputError(
                f'{self._name("values")} belongs to by="reference", which needs it; got by={self.by!r} '
                f"{'without' if self.values is None else 'with'} values."
            )
        if self.values is not None:
            self._set(values=self._checked(self.values))

    def _checked(self, values: Any) -> tuple[float, ...]:
        name = self._name("values")
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise InputError(f"{name} must be a list of numbers, got {type(values).__name__}.")
        items = list(values)
        if not 1 <= len(items) <= _WIDEST:
            raise InputError(f"{name} must have from 1 to {_WIDEST} numbers, got {len(items)}.")
        return tuple(checks.number(item, name, low=-_LARGEST_VALUE, high=_LARGEST_VALUE) for item in items)

    @property
    def label(self) -> str:
        """Such as "L2H0 → mean"."""
        return f"L{self.layer}H{self.head} → {self.by}"
