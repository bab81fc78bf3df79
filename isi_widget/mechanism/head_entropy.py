"""The effect of heads on the semantic entropy of whole answers: all probable answers, for each head replaced.

Exact probabilities, no sampling; slow, since nothing is shared between two heads. Not for targets that follow
from the logits of the true answer (`head_methods`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget.mechanism.items import Item, aim_of

if TYPE_CHECKING:
    from isi_widget.mechanism.head_methods import Scan
    from isi_widget.running.stages import Cancel
    from isi_widget.vlm import VLM


def entropy_drops(
    vlm: VLM,
    item: Item,
    scan: Scan,
    size: tuple[int, int],
    totals: bool,
    step: Callable[[], None],
    cancel: Cancel | None,
) -> dict[str, npt.NDArray[Any]]:
    """Return drops and totals of an item, as a scan keeps them.

    A whole layer is replaced by zeros or reference means; with "mean" its total is NaN: interventions replace
    one head after the other, so that later means would contain earlier replacements.
    """
    from isi_widget.interventions import HeadReplace

    layers, heads = size
    baseline = entropy(vlm, item, cancel)
    drops, together = np.zeros((layers, heads)), np.full(layers, np.nan)
    for layer in range(layers):
        edits = []
        for head in range(heads):
            values = None if scan.reference is None else tuple(scan.reference[layer, head].tolist())
            edits.append(HeadReplace(layer, head, scan.replace, values))
            drops[layer, head] = baseline - entropy(vlm.intervene(edits[-1]), item, cancel)
        if totals and scan.replace != "mean":
            together[layer] = baseline - entropy(vlm.intervene(*edits), item, cancel)
        step()
    logits = vlm.prefill(item.stimulus, attention=False).logits
    aim = aim_of(vlm, item, logits)
    return {
        "drops": drops,
        "totals": together,
        "baseline": np.asarray(baseline),
        "correct": np.asarray(int(logits.argmax()) == aim.right),
        "ids": np.array([aim.right, aim.wrong]),
    }


def entropy(vlm: VLM, item: Item, cancel: Cancel | None = None) -> float:
    """Return the entropy over the meanings of all probable answers, in nats (`enumerated`)."""
    from isi_widget.pretrained.machine import free_memory
    from isi_widget.uncertainty.bootstrap import LEADING
    from isi_widget.uncertainty.enumerated import uncertainty_of_enumeration
    from isi_widget.uncertainty.judges import choose

    judge = choose("auto", scenes=vlm.is_embedded, free=free_memory, cancel=cancel)
    found = vlm.enumerate_answers(item.stimulus, cancel=cancel)
    measured = uncertainty_of_enumeration(found, item.stimulus.current_question, judge)
    return float(getattr(measured, LEADING))
