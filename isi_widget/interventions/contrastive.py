"""Contrastive decoding: the logits are moved away from those that the model gives for a worse input.

VCD (Leng et al., CVPR 2024) contrasts with a noisy picture, M3ID (Favero et al., CVPR 2024) with no picture.
What the model would answer without seeing well is taken out, so that habit counts less. The formulas are
those of the public code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from isi_widget.errors import InputError
from isi_widget.interventions.base import Intervention, register
from isi_widget.stimulus import checks

#: What the logits can be contrasted with.
CONTRASTS = ("vcd", "m3id")
#: Strength of each where none is given: alpha of VCD, lambda of M3ID.
STRENGTHS = {"vcd": 1.0, "m3id": 0.02}
#: Noise of VCD where none is given, on an intensity scale of 0 to 1.
NOISE = 0.5
_LARGEST_STRENGTH = 100.0


@register
@dataclass(frozen=True)
class ContrastiveDecoding(Intervention):
    """Contrast the logits of every answer token with those for a worse input.

    With l the logits for the input and w those for the worse one, after the same answer tokens:

    - "vcd": (1 + strength) * l - strength * w, where w sees a noisy picture.
    - "m3id": l + (l - w) * (1 - g) / g with g = exp(-strength * t), where w sees no picture. t counts answer
      tokens from 0, as in the public code: the first token of an answer is not moved, so that one-word
      answers stay as they are.

    A token keeps its place only if its probability for the input is at least `cut` times that of the most
    likely token (adaptive plausibility: Li et al., ACL 2023). Others get the probability 0: their logits lie
    10,000 below all plausible ones, in the model's own order, which counts only where all plausible tokens
    are forbidden.

    Log-probabilities are those of the contrasted logits. Attention and everything else inside is that of the
    model with the input. Every answer costs two forward passes for each token.

    Parameters
    ----------
    by
        "vcd" or "m3id".
    strength
        alpha of VCD (default 1), lambda of M3ID (default 0.02); 0 contrasts nothing.
    cut
        Smallest probability of a plausible token, as a share of the largest, 0 to 1; default 0.1. 0: none is
        cut.
    noise
        With "vcd" only: standard deviation of Gaussian noise on the whole picture, on an intensity scale of
        0 to 1 (that of `Stimulus.noise`); default 0.5.
    seed
        Seed of the noise; default 0.
    """

    kind: ClassVar[str] = "contrastive_decoding"
    title: ClassVar[str] = "contrastive decoding"
    by: str = "vcd"
    strength: float | None = None
    cut: float = 0.1
    noise: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        by = checks.one_of(self.by, self._name("by"), CONTRASTS)
        if by != "vcd" and (self.noise is not None or self.seed):
            raise InputError(
                f'{self._name("noise")} and "seed" belong to by="vcd" only, got by={by!r}: {by} contrasts '
                "with no picture."
            )
        strength = STRENGTHS[by] if self.strength is None else self.strength
        self._set(
            strength=checks.number(strength, self._name("strength"), low=0, high=_LARGEST_STRENGTH),
            cut=checks.number(self.cut, self._name("cut"), low=0, high=1),
            seed=checks.integer(self.seed, self._name("seed")),
        )
        if by == "vcd":
            noise = NOISE if self.noise is None else self.noise
            self._set(noise=checks.number(noise, self._name("noise"), low=0, high=1))

    @property
    def label(self) -> str:
        """Such as "VCD x 1, cut 0.1, noise 0.5"."""
        noise = "" if self.noise is None else f", noise {self.noise:g}"
        return f"{self.by.upper()} × {self.strength:g}, cut {self.cut:g}{noise}"
