"""Activation patching: activations of one run put into another.

A patch takes what the model computes for a second stimulus (the source) at some tokens and puts it in
place of what it computes here. If the answer becomes that of the source, the information that the answer
needs is at these tokens in this layer (causal tracing: Meng et al., NeurIPS 2022; for pictures without noise:
NOTICE, Golovanevsky et al., 2024). Not for scanning many places at once: `isi.trace` does this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from isi_widget import segments
from isi_widget.errors import InputError
from isi_widget.interventions.base import Intervention, check_index, literal, register
from isi_widget.interventions.tokens import Tokens, check_tokens, words
from isi_widget.stimulus import Stimulus, checks

#: Where an activation is taken and put: the input of a layer, the output of its attention, of its MLP.
SITES = ("residual", "attention", "mlp")


@register
@dataclass(frozen=True)
class ActivationPatch(Intervention):
    """Put activations of another stimulus in place.

    The model reads the source under its other interventions, without patches. Tokens of the two prompts
    correspond by their rank within a segment, so a group must have the same number of tokens in both. Only
    the prompt is patched; the answer follows from it.

    Parameters
    ----------
    site
        "residual": the input of the layer, which is everything computed below. "attention" or "mlp": what
        attention or the MLP of the layer adds.
    layer
        Number of the layer, counted from 0.
    tokens
        The tokens that are patched: a group, several groups, positions, or `ImageTokens(region)`; not
        "answer".
    source
        The stimulus that the activations are taken from; an observation stands for its unchanged stimulus.

    Raises
    ------
    InputError
        For a site that does not exist, or a source that is no stimulus. If a group has a different number of
        tokens in the two prompts, reading a stimulus raises it.
    """

    kind: ClassVar[str] = "activation_patch"
    title: ClassVar[str] = "activations patched"
    site: str
    layer: int
    tokens: Tokens
    source: Stimulus

    def __post_init__(self) -> None:
        self._set(
            site=checks.one_of(self.site, self._name("site"), SITES),
            layer=check_index(self.layer, self._name("layer")),
            tokens=check_tokens(self.tokens, self._name("tokens")),
            source=_stimulus(self.source, self._name("source")),
        )
        if self.tokens == segments.ANSWER or (
            isinstance(self.tokens, tuple) and segments.ANSWER in self.tokens
        ):
            raise InputError(
                f'{self._name("tokens")} must be tokens of the prompt; "answer" are the tokens after it.'
            )

    @property
    def label(self) -> str:
        """Such as "residual of layer 1 at question from another input"."""
        return f"{self.site} of layer {self.layer} at {words(self.tokens)} from another input"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; the source is inside, with its picture."""
        record = super().to_dict()
        record["source"] = self.source.to_dict()
        return record

    def content(self) -> dict[str, Any]:
        """Return what makes it equal to another one; the source by its key."""
        record = super().to_dict()
        record["source"] = self.source.key
        return record

    def code(self, of_stimulus: Callable[[Stimulus], str] | None = None) -> str:
        """Return Python that makes this intervention; by default the source comes from its JSON."""
        source = f"isi.Stimulus.from_json({self.source.to_json()!r})"
        if of_stimulus is not None:
            source = of_stimulus(self.source)
        return (
            f"isi.ActivationPatch({self.site!r}, {self.layer}, tokens={literal(self.tokens)}, "
            f"source={source})"
        )


def _stimulus(value: Any, name: str) -> Stimulus:
    if isinstance(value, Mapping):
        return Stimulus.from_dict(value)
    made = value.stimulus() if callable(getattr(value, "stimulus", None)) else value
    if not isinstance(made, Stimulus):
        raise InputError(f"{name} must be a Stimulus or an Observation; got {type(value).__name__}.")
    return made
