"""Interventions on attention: from which tokens others may read, and how much.

Order. Logits are changed first (`Knockout`, `AttentionScale`, in the order given), then the weights that the
softmax makes of them (`AttentionReplace`, in the order given). A key that is hidden (by the causal mask, a
sliding window or a knock-out) stays hidden. A query that has no key left reads nothing: its attention output
is zero. Layers and heads are counted from 0.

Attention is where a model reads from: cutting it shows what a path is needed for, and also moves the model to
states that it was never trained in. Compare with a cut of other tokens of the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from isi_widget.errors import InputError
from isi_widget.interventions.base import Intervention, check_indices, register
from isi_widget.interventions.tokens import Tokens, check_tokens, words
from isi_widget.stimulus import checks

#: What attention within a group can be replaced by.
COUNTERFACTUALS = ("uniform", "shuffled", "reversed")
_LARGEST = 1e4


@dataclass(frozen=True)
class _Attention(Intervention):
    """What the interventions on attention share."""

    def _where(self) -> str:
        layers, heads = getattr(self, "layers", None), getattr(self, "heads", None)
        parts = [
            f"{name}{'s' * (len(items) > 1)} {_ranges(items)}"
            for name, items in (("layer", layers), ("head", heads))
            if items is not None
        ]
        return f" ({', '.join(parts)})" if parts else ""

    def _check_where(self) -> None:
        self._set(
            layers=check_indices(getattr(self, "layers", None), self._name("layers")),
            heads=check_indices(getattr(self, "heads", None), self._name("heads")),
        )


@register
@dataclass(frozen=True)
class Knockout(_Attention):
    """Cut attention from some tokens to others (Geva et al., EMNLP 2023).

    The weights of the remaining keys sum to 1 again.

    Parameters
    ----------
    queries
        The tokens that read: a group, several groups, positions in the prompt, or `ImageTokens(region)`.
        "last" is the last token of the prompt, "answer" every token after it.
    keys
        The tokens that are read from, in the same forms.
    layers
        Layers in which it is cut, counted from 0. None: all.
    heads
        Heads in which it is cut, counted from 0. None: all.
    """

    kind: ClassVar[str] = "knockout"
    title: ClassVar[str] = "attention cut"
    queries: Tokens
    keys: Tokens
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        self._set(
            queries=check_tokens(self.queries, self._name("queries")),
            keys=check_tokens(self.keys, self._name("keys")),
        )
        self._check_where()

    @property
    def label(self) -> str:
        """Such as "last -/-> image (layers 2 to 3)"."""
        return f"{words(self.queries)} ↛ {words(self.keys)}{self._where()}"


@register
@dataclass(frozen=True)
class AttentionScale(_Attention):
    """Scale or shift the attention logits towards a group of tokens (AdaptVis: Chen et al., ICML 2025).

    The logit is the scaled product of query and key, after a soft cap where the model has one, before the
    mask and the softmax: logit * factor + add.

    Parameters
    ----------
    keys
        The tokens that are read from: a group, several groups, positions, or `ImageTokens(region)`.
    factor
        1 changes nothing, above 1 sharpens, below 1 flattens.
    layers
        Layers in which it acts, counted from 0. None: all.
    heads
        Heads in which it acts, counted from 0. None: all.
    add
        Added to the logit after the factor: log(2) doubles the weight against all other keys.
    queries
        The tokens that read. "all": every token. AdaptVis scales "last" and "answer" alone.
    """

    kind: ClassVar[str] = "attention_scale"
    title: ClassVar[str] = "attention scaled"
    keys: Tokens
    factor: float = 1.0
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    add: float = 0.0
    queries: Tokens = "all"

    def __post_init__(self) -> None:
        self._set(
            keys=check_tokens(self.keys, self._name("keys")),
            factor=checks.number(self.factor, self._name("factor"), low=-_LARGEST, high=_LARGEST),
            add=checks.number(self.add, self._name("add"), low=-_LARGEST, high=_LARGEST),
            queries=check_tokens(self.queries, self._name("queries")),
        )
        self._check_where()

    @property
    def label(self) -> str:
        """Such as "attention to image x 0.5"."""
        change = f" × {self.factor:g}" if self.factor != 1 or not self.add else ""
        change += f" {self.add:+g}" if self.add else ""
        return f"attention to {words(self.keys)}{change}{self._where()}"


@register
@dataclass(frozen=True)
class AttentionReplace(_Attention):
    """Redistribute attention within a group of tokens; what the group gets in all stays the same.

    If the answer does not change, it did not depend on where in the group the model looked (counterfactual
    attention: Rao et al., ICCV 2021).

    Parameters
    ----------
    keys
        The tokens that are read from: a group, several groups, positions, or `ImageTokens(region)`.
    by
        "uniform": the same weight for each token. "shuffled": the weights change places, drawn from `seed`,
        in each layer and head anew, the same for every query. "reversed": the token with the largest weight
        gets the smallest, and so on.
    layers
        Layers in which it acts, counted from 0. None: all.
    heads
        Heads in which it acts, counted from 0. None: all.
    seed
        Of "shuffled".
    queries
        The tokens that read. "all": every token.
    """

    kind: ClassVar[str] = "attention_replace"
    title: ClassVar[str] = "attention redistributed"
    keys: Tokens
    by: str
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    seed: int = 0
    queries: Tokens = "all"

    def __post_init__(self) -> None:
        self._set(
            keys=check_tokens(self.keys, self._name("keys")),
            by=checks.one_of(self.by, self._name("by"), COUNTERFACTUALS),
            seed=checks.integer(self.seed, self._name("seed")),
            queries=check_tokens(self.queries, self._name("queries")),
        )
        if self.seed and self.by != "shuffled":
            raise InputError(f'{self._name("seed")} belongs to by="shuffled" only, got by={self.by!r}.')
        self._check_where()

    @property
    def label(self) -> str:
        """Such as "attention within image: uniform"."""
        return f"attention within {words(self.keys)}: {self.by}{self._where()}"


def _ranges(items: tuple[int, ...]) -> str:
    if len(items) > 2 and items[-1] - items[0] == len(items) - 1:
        return f"{items[0]} to {items[-1]}"
    return ", ".join(map(str, items))
