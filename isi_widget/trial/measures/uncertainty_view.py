"""What is drawn of an uncertainty: plain JSON with labels, units, definitions, and what reports show
beyond the page. Not for drawing (`isi_widget.report`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from isi_widget.readable import counted
from isi_widget.trial.measures.base import finite, missing
from isi_widget.trial.measures.uncertainty_terms import (
    ENTROPIES,
    ENUMERATED,
    GRAPH,
    GRAPH_SCOPE,
    SCALE_NOTE,
    Entropy,
)
from isi_widget.uncertainty.bootstrap import LEADING
from isi_widget.uncertainty.curve import entropy_curve

if TYPE_CHECKING:
    from isi_widget.uncertainty import Uncertainty

# Of the curve of the entropy against the number of samples: at most 10 points. Draws and seed are those of
# the entropy itself, so that the curve ends at its number.
_POINTS, _FEWEST = 10, 3


def uncertainty_view(uncertainty: Uncertainty, temperature: float) -> dict[str, Any]:
    """Return what the page draws."""
    samples = len(uncertainty.answers)
    entropies = []
    enumerated = uncertainty.method == "enumerated"
    for measure in ENUMERATED if enumerated else ENTROPIES:
        low, high = uncertainty.interval(measure.name)
        value = getattr(uncertainty, measure.name)
        entropies.append(
            {
                "name": measure.name,
                "label": measure.label,
                "value": finite(value),
                "missing": missing(value),
                "low": finite(low),
                "high": finite(high),
                "maximum": measure.maximum(samples),
                "scale": measure.scale,
                "unit": measure.unit,
                "definition": " ".join([measure.definition, *_bounds(measure, uncertainty)]),
            }
        )
    return {
        "method": uncertainty.method,
        "samples": samples,
        "temperature": temperature,
        "level": uncertainty.level,
        "basis": _basis(uncertainty, temperature),
        "intervals": "bounds" if enumerated else f"{uncertainty.level:.0%} intervals",
        "entropies": entropies,
        "clusters": clusters_of(uncertainty),
        "curve": _curve(uncertainty),
        "caveats": list(uncertainty.caveats),
        "judge": _judge(uncertainty),
        "scale_note": SCALE_NOTE,
    }


def _judge(uncertainty: Uncertainty) -> dict[str, Any]:
    """Return the judge; its `doubts` are shown beside the numbers everywhere."""
    judge = uncertainty.judge
    if judge is None:
        return {"label": uncertainty.entailment, "reason": "", "doubts": []}
    label = "the embedded model" if judge.label == "embedded" else judge.label
    return {"label": label, "reason": judge.reason, "doubts": list(judge.doubts)}


def _basis(uncertainty: Uncertainty, temperature: float) -> str:
    """Return the source of the numbers."""
    number = len(uncertainty.answers)
    if uncertainty.method == "enumerated":
        mass = f"{1 - uncertainty.rest:.1%} of the probability"
        return f"{counted(number, 'answer')} with {mass} at temperature {temperature:g}"
    return f"{counted(number, 'sample')} at temperature {temperature:g}"


def _curve(uncertainty: Uncertainty) -> dict[str, Any] | None:
    """Return the entropy that the page shows first, as it was after the first answers; None where there are
    too few.
    """
    number = len(uncertainty.answers)
    measure = ENTROPIES[0]
    if number < _FEWEST or uncertainty.method == "enumerated":
        return None
    steps = min(number, _POINTS) - 1
    sizes = sorted({1 + round(step * (number - 1) / steps) for step in range(steps + 1)})
    curve = entropy_curve(
        uncertainty, measure.name, sizes=sizes, level=uncertainty.level, seed=uncertainty.seed
    )
    lines = {name: [round(value, 5) for value in getattr(curve, name)] for name in ("mean", "low", "high")}
    return {
        "name": measure.name,
        "label": measure.label,
        "unit": measure.unit,
        "scale": measure.scale,
        "samples": list(curve.samples),
        **lines,
        "definition": (
            f"{measure.label} as the {number} answers came in: its estimate after each, and its "
            f"{curve.level:.0%} interval. Where the band is still wide at its end, more samples would help."
        ),
    }


def _bounds(measure: Entropy, uncertainty: Uncertainty) -> Iterator[str]:
    """Yield what the interval is, and the largest value that there can be."""
    low, high = uncertainty.interval(measure.name)
    maximum = measure.maximum(len(uncertainty.answers))
    if uncertainty.method == "enumerated":
        yield f"In brackets: what the {uncertainty.rest:.1%} of the probability not enumerated leaves open."
        return
    if measure.name == LEADING:
        yield (
            f"Interval: {uncertainty.level:.0%} credible; it allows for meanings that were not sampled. "
            f"{_known(uncertainty)}"
        )
    elif math.isfinite(low) and math.isfinite(high):
        bias = (
            "" if maximum is None else "; a resample misses meanings too, so the interval tends to be too low"
        )
        yield f"Interval: {uncertainty.level:.0%}, bootstrap over the samples{bias}."
    if maximum is not None:
        yield f"Largest possible here: {maximum:.2f}{' ' + measure.unit if measure.unit else ''}."


def _known(uncertainty: Uncertainty) -> str:
    rest = uncertainty.posterior.rest
    if rest == 1.0 and math.isnan(uncertainty.drawn_probabilities[0]):
        return "The model does not report the probability of each answer: the samples are counted."
    return f"The sampled answers hold {1.0 - rest:.0%} of the probability of all that could be sampled."


def clusters_of(uncertainty: Uncertainty) -> list[dict[str, Any]]:
    """Return the clusters, largest first: id, name, count, probability, share, and each wording with its
    count.

    Sampled answers are counted, and `share` is the share of the samples: weights of likelihood would count
    frequent answers twice (`Uncertainty.cluster_probabilities` has them). Enumerated answers have no counts
    but exact probabilities, each wording too.
    """
    parts = zip(
        uncertainty.cluster_names, uncertainty.cluster_counts, uncertainty.cluster_probabilities, strict=True
    )
    clusters = []
    enumerated = uncertainty.method == "enumerated"
    weights: Sequence[float] = uncertainty.probabilities if enumerated else (1,) * len(uncertainty.answers)
    for index, (name, count, probability) in enumerate(parts):
        wordings: dict[str, float] = {}
        for answer, cluster, weight in zip(
            uncertainty.answers, uncertainty.cluster_ids, weights, strict=True
        ):
            if cluster == index:
                wordings[answer.text] = wordings.get(answer.text, 0) + weight
        ranked = sorted(wordings.items(), key=lambda item: -item[1])
        clusters.append(
            {
                "id": index,
                "name": name,
                "count": None if enumerated else count,
                "probability": finite(probability) if enumerated else None,
                "share": probability if enumerated else count / len(uncertainty.answers),
                "answers": [
                    {"text": text, "count": None, "probability": weight}
                    if enumerated
                    else {"text": text, "count": weight}
                    for text, weight in ranked
                ],
            }
        )
    return sorted(clusters, key=lambda cluster: (-cluster["share"], cluster["id"]))


def uncertainty_details(uncertainty: Uncertainty) -> dict[str, Any]:
    """Return what paper shows beyond the page: the graph of the answers, and what their order changes."""
    graph = []
    for measure in GRAPH:
        if measure.name in uncertainty.graph_measures:
            value = uncertainty.graph_measures[measure.name]
            number = missing(value) or f"{value:.3f} {measure.unit}"
            graph.append({"label": measure.label, "text": number, "definition": measure.definition})
    return {"graph": graph, "graph_definition": GRAPH_SCOPE, "order": _order(uncertainty)}


def _order(uncertainty: Uncertainty) -> dict[str, str] | None:
    order = uncertainty.order
    if order is None:
        return None
    sampled = uncertainty.method == "sampled"
    entropy = "discrete semantic entropy" if sampled else "entropy of what was found"
    tried = "every order" if order.exact else f"{order.permutations} random orders"
    return {
        "label": "Dependence on the order of the answers",
        "text": f"{order.changed:.0%} of {tried}",
        "definition": (
            "Share of the orders of the same answers that give other clusters; these disagree with the "
            f"clusters above by {order.disagreement:.3f} (1 - adjusted Rand index, mean over the orders). "
            f"The {entropy} goes from {order.entropy_low:.3f} to {order.entropy_high:.3f} nats."
        ),
    }
