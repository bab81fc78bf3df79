"""The mean output of an attention head over some stimuli, as a value to put in its place.

"Mean ablation": a head that is replaced by its mean says nothing about the single stimulus, but leaves the
model in states it knows, which zeros do not (Wang et al., ICLR 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from isi_widget.errors import InputError
from isi_widget.interventions import HeadReplace
from isi_widget.vlm.inside.attention import Weights
from isi_widget.vlm.inside.editing import check
from isi_widget.vlm.inside.sites import sites

if TYPE_CHECKING:
    from isi_widget.vlm.inside.door import Loaded
    from isi_widget.vlm.protocol import StimulusLike


class HeadOutputs:
    """An observer: the sum of the outputs of some heads over all positions of the prompts that are read.

    Parameters
    ----------
    heads
        (layer, head) of each.

    Attributes
    ----------
    sums
        (layer, head) -> [head_dim] float64, on the CPU.
    tokens
        Number of positions summed over.
    """

    def __init__(self, heads: Sequence[tuple[int, int]]) -> None:
        self._heads = tuple(heads)
        self.sums: dict[tuple[int, int], torch.Tensor] = {}
        self.tokens = 0

    def begin(self, keys: int, rows: int = 1) -> None:
        """Count the positions of one more prompt."""
        self.tokens += keys

    def record(self, layer: int, queries: int, weights: Weights) -> None:
        """Attention weights are not recorded here."""

    def output(self, layer: int, output: torch.Tensor) -> None:
        """Add the outputs of one layer."""
        for place in self._heads:
            if place[0] == layer:
                sums = output[:, :, place[1]].double().sum(dim=(0, 1)).cpu()
                self.sums[place] = self.sums.get(place, 0) + sums


def reference_head(vlm: Loaded, stimuli: Sequence[StimulusLike], layer: int, head: int) -> HeadReplace:
    """Replace a head by its mean over all prompt tokens of some stimuli.

    Parameters
    ----------
    stimuli
        What the model reads for the mean; of the same kind as what is studied, but not the same.
    layer, head
        Numbers of layer and head, counted from 0.

    Raises
    ------
    InputError
        Without stimuli, or if the model has no such head.
    """
    if not stimuli:
        raise InputError("The mean output of a head needs at least one stimulus; got none.")
    check((HeadReplace(layer, head),), sites(vlm.model, vlm.family))
    seen = HeadOutputs([(layer, head)])
    for stimulus in stimuli:
        vlm.read(vlm.encode(stimulus), seen)
    mean = seen.sums[layer, head] / seen.tokens
    return HeadReplace(layer, head, "reference", tuple(mean.tolist()))
