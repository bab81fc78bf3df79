"""Vision-aware head divergence: how much the output of each head depends on the picture being there.

He et al. (ACL 2025), "Cracking the Code of Hallucination in LVLMs with Vision-aware Head Divergence": the
distance between a head's output with the picture and without it; heads above the median of their layer are
scaled up to make answers rely more on the picture. Chosen here: the Euclidean distance at the last token of
the prompt, which predicts the first answer token, and the mean over stimuli. "Without" is the same prompt
without its image tokens.

A head that differs without the picture reads from it, or from tokens that did. Whether the answer relies on
it is a separate question (`measure_heads`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.concepts.pair import Pair
from isi_widget.datasets import Observation
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.interventions import HeadGates
from isi_widget.mechanism.arguments import check_inside
from isi_widget.mechanism.figures import cells, draw_matrix, new_figure
from isi_widget.mechanism.gating import check_cancel
from isi_widget.mechanism.packing import frozen
from isi_widget.mechanism.paired import interval
from isi_widget.mechanism.recorded import Saved, equal, from_record, ranked, to_record
from isi_widget.running.bar import Shown, called, with_bar
from isi_widget.stimulus import Stimulus
from isi_widget.vlm.at_model import at_the_model

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.figure import Figure

    from isi_widget.running.stages import Cancel
    from isi_widget.vlm import VLM
    from isi_widget.vlm.inside.attention import Weights


@dataclass(frozen=True, eq=False)
class HeadDivergence(Saved):
    """Distance of each head's output with and without the picture; made by `vision_divergence`.

    Attributes
    ----------
    items
        [items, layers, heads] Euclidean distances, float32.
    model
        Name of the model.
    """

    items: npt.NDArray[np.float32]
    model: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", frozen(self.items, np.float32))
        if self.items.ndim != 3 or not self.items.size or not np.isfinite(self.items).all():
            raise InputError("Divergences must be finite numbers [items, layers, heads], at least one.")

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """[layers, heads] mean over the stimuli."""
        found: npt.NDArray[np.float64] = self.items.mean(axis=0, dtype=np.float64)
        return found

    @property
    def n(self) -> int:
        """Number of stimuli."""
        return len(self.items)

    def interval(self, layer: int, head: int, *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
        """Return the bootstrap interval of the mean of one head over stimuli; NaN with fewer than two."""
        _, layers, heads = self.items.shape
        checks.integer(layer, "head divergence: layer", low=0, high=layers - 1)
        checks.integer(head, "head divergence: head", low=0, high=heads - 1)
        return interval(self.items[:, layer, head], level=level, seed=seed)

    def top(self, k: int = 10) -> tuple[tuple[int, int], ...]:
        """Return (layer, head) of the k heads with the largest divergence, largest first."""
        return ranked(self.values)[: checks.integer(k, "head divergence: k", low=1)]

    def gates(self, factor: float = 1.5) -> HeadGates:
        """Return gates that scale up the heads above the median of their layer (vision-aware head
        reinforcement).

        Parameters
        ----------
        factor
            Factor of these heads; default 1.5. All others are 1.
        """
        values, factor = self.values, checks.number(factor, "head divergence: factor")
        above = values > np.median(values, axis=1, keepdims=True)
        return HeadGates(tuple(map(tuple, np.where(above, factor, 1.0).tolist())))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a head: layer, head, divergence, low and high of its 95 % interval."""
        import pandas as pd

        rows = []
        for (layer, head), value in np.ndenumerate(self.values):
            low, high = self.interval(layer, head)
            rows.append({"layer": layer, "head": head, "divergence": float(value), "low": low, "high": high})
        return pd.DataFrame(rows)

    def plot(self) -> Figure:
        """Return a figure of the matrix, layers by heads."""
        layers, heads = self.values.shape
        wide, high = cells(layers, heads)
        figure = new_figure(
            (2.5 + wide, 1.2 + high), f"Output with and without the picture, {self.n} stimuli"
        )
        axis = figure.add_subplot()
        draw_matrix(
            axis,
            self.values,
            [f"layer {layer}" for layer in range(layers)],
            [str(head) for head in range(heads)],
            signed=False,
            label="divergence",
        )
        axis.set_xlabel("head")
        return figure

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return to_record(self)

    @classmethod
    @records.reader("head divergences")
    def from_dict(cls, record: Mapping[str, Any]) -> HeadDivergence:
        """Rebuild from the record of `to_dict`. Raises `InputError` for any other record."""
        return cls(**from_record(record, ("items",), "head divergences"))

    def __eq__(self, other: object) -> bool:
        return equal(self, other) if isinstance(other, HeadDivergence) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.items.tobytes())

    def __repr__(self) -> str:
        shown = ", ".join(f"L{layer}H{head} {self.values[layer, head]:.2f}" for layer, head in self.top(3))
        return f"HeadDivergence(n={self.n}, largest: {shown})"


class _LastHeads:
    """An observer: the outputs of the heads at the last position."""

    def __init__(self) -> None:
        self.layers: dict[int, torch.Tensor] = {}

    def begin(self, keys: int, rows: int = 1) -> None:
        """Nothing to prepare."""

    def record(self, layer: int, queries: int, weights: Weights) -> None:
        """Attention weights are not recorded here."""

    def output(self, layer: int, output: torch.Tensor) -> None:
        """Keep the last position [heads, head_dim] of one layer."""
        self.layers[layer] = output[0, -1].float().cpu()

    def stacked(self) -> torch.Tensor:
        """Return [layers, heads, head_dim]."""
        import torch

        return torch.stack([self.layers[layer] for layer in sorted(self.layers)])


@with_bar
@at_the_model
def vision_divergence(
    vlm: VLM,
    stimuli: Any,
    *,
    progress: Shown = True,
    cancel: Cancel | None = None,
) -> HeadDivergence:
    """Return how much each head's output differs with and without the picture.

    Parameters
    ----------
    stimuli
        Stimuli, observations, pairs (their clean side), or one of these alone; no answers are needed.
    progress, cancel
        True (default) shows the time left; or called with ("stimuli", done, total). `cancel` is
        polled between forward passes.

    Raises
    ------
    InputError
        Without stimuli, or if the model cannot read a prompt without a picture.
    Cancelled
        If `cancel` returned True.
    """
    check_inside(vlm, "A divergence")
    found, items = _stimuli(stimuli), []
    report = called(progress)
    if report is not None:
        report("stimuli", 0, len(found))
    for index, stimulus in enumerate(found):
        check_cancel(cancel)
        with_image, without = _LastHeads(), _LastHeads()
        with vlm.lock:
            prompt = vlm.encode(stimulus)
            vlm.read(prompt, with_image)
            check_cancel(cancel)
            vlm.read_without_image(prompt, without)
        items.append((with_image.stacked() - without.stacked()).norm(dim=-1).numpy())
        if report is not None:
            report("stimuli", index + 1, len(found))
    return HeadDivergence(np.stack(items), vlm.model_id)


def _stimuli(values: Any) -> list[Stimulus]:
    given = [values] if isinstance(values, Stimulus | Observation | Pair) else values
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InputError(f"stimuli must be a sequence of stimuli; got {type(given).__name__}.")
    found = []
    for index, value in enumerate(given):
        if isinstance(value, Observation):
            value = value.stimulus()
        elif isinstance(value, Pair):
            value = value.clean
        elif isinstance(value, tuple) and value:
            value = value[0]
        if not isinstance(value, Stimulus):
            raise InputError(f"stimuli[{index}] must be a Stimulus; got {type(value).__name__}.")
        found.append(value)
    if not found:
        raise InputError("A divergence needs at least one stimulus; got none.")
    return found
