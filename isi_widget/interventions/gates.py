"""Gates of all attention heads at once: a matrix of factors, one for each head of each layer.

V-SEAM (Wang, Hu, Jiang, EMNLP 2025) rescales heads by clip(1 + strength * contribution, 0, 2):
`isi_widget.mechanism.fit_gates` makes such a matrix. The change itself is that of `HeadScale`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from isi_widget.errors import InputError
from isi_widget.interventions.base import MOST_LAYERS, Intervention, check_index, plain, register
from isi_widget.interventions.heads import LARGEST_FACTOR
from isi_widget.stimulus import Stimulus, checks

#: Code lists the changed heads if they are at most this share of all; else it prints the matrix.
_FEW = 0.25


@register
@dataclass(frozen=True)
class HeadGates(Intervention):
    """Multiply the output of every head by its own factor; equals one `HeadScale` for each head.

    Parameters
    ----------
    factors
        [layers][heads]: 0 ablates a head, 1 changes nothing, 2 doubles its output. Every layer of the model
        has a row, every head a number.
    """

    kind: ClassVar[str] = "head_gates"
    title: ClassVar[str] = "no head changed"
    factors: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        self._set(factors=self._checked(self.factors))

    def _checked(self, factors: Any) -> tuple[tuple[float, ...], ...]:
        name = self._name("factors")
        rows = tuple(_row(row, name) for row in _listed(factors, name))
        if len({len(row) for row in rows}) > 1:
            raise InputError(
                f"{name} must have the same number of heads in every layer; got rows of "
                f"{', '.join(map(str, sorted({len(row) for row in rows})))} numbers."
            )
        return rows

    @classmethod
    def of(cls, shape: tuple[int, int], changed: Mapping[tuple[int, int], float]) -> HeadGates:
        """Return gates that are 1 except for some heads.

        Parameters
        ----------
        shape
            (layers, heads) of the model.
        changed
            (layer, head) -> factor, counted from 0.

        Raises
        ------
        InputError
            If a head is not within the shape.
        """
        layers, heads = (
            checks.integer(number, 'head_gates: "shape"', low=1, high=MOST_LAYERS) for number in shape
        )
        rows = [[1.0] * heads for _ in range(layers)]
        for place, factor in changed.items():
            if not isinstance(place, tuple) or len(place) != 2:
                raise InputError(
                    f'head_gates: "changed" must name heads as (layer, head), such as {{(2, 5): 0}}; got '
                    f"{place!r:.60}."
                )
            layer, head = (check_index(number, 'head_gates: "changed"') for number in place)
            if layer >= layers or head >= heads:
                raise InputError(
                    f"There is no head L{layer}H{head} among {layers} layers of {heads} heads, both counted "
                    "from 0."
                )
            rows[layer][head] = factor
        return cls(tuple(map(tuple, rows)))

    @property
    def shape(self) -> tuple[int, int]:
        """(layers, heads)."""
        return len(self.factors), len(self.factors[0])

    @property
    def changed(self) -> dict[tuple[int, int], float]:
        """(layer, head) -> factor of each head whose factor is not 1."""
        return {
            (layer, head): factor
            for layer, row in enumerate(self.factors)
            for head, factor in enumerate(row)
            if factor != 1
        }

    @property
    def changed_heads(self) -> tuple[tuple[int, int], ...]:
        """(layer, head) of each head whose factor is not 1."""
        return tuple(self.changed)

    @property
    def label(self) -> str:
        """Such as "L2H0 x 0.5", or "3 heads changed" for more than one."""
        changed = self.changed
        if len(changed) == 1:
            ((layer, head), factor) = next(iter(changed.items()))
            return f"L{layer}H{head} × {factor:g}"
        return f"{len(changed)} heads changed" if changed else self.title

    def code(self, of_stimulus: Callable[[Stimulus], str] | None = None) -> str:
        """Return Python that makes these gates: the changed heads if they are few, else the matrix."""
        layers, heads = self.shape
        if len(self.changed) <= _FEW * layers * heads:
            changed = ", ".join(f"{place}: {plain(factor)}" for place, factor in self.changed.items())
            return f"isi.HeadGates.of({self.shape}, {{{changed}}})"
        return f"isi.HeadGates({plain(self.factors)!r})"


def _listed(values: Any, name: str) -> list[Any]:
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a matrix [layers][heads] of numbers, got {type(values).__name__}.")
    items = list(values)
    if not 1 <= len(items) <= MOST_LAYERS:
        raise InputError(
            f"{name} must be a matrix [layers][heads] with 1 to {MOST_LAYERS} of each, got {len(items)}."
        )
    return items


def _row(row: Any, name: str) -> tuple[float, ...]:
    return tuple(
        checks.number(factor, name, low=-LARGEST_FACTOR, high=LARGEST_FACTOR) for factor in _listed(row, name)
    )
