"""A trial as plain JSON for the page (`trial_view`) and as one row of a table (`trial_row`).

The page draws what stands here and computes nothing itself. Not for pictures: the page gets those as bytes
of their own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isi_widget.attribution import by_head
from isi_widget.segments import GROUPS as SEGMENTS
from isi_widget.segments import INPUTS
from isi_widget.trial.labels import model_label
from isi_widget.trial.terms import ENTROPIES, ENUMERATED, SCALE_NOTE, Measure, verdict
from isi_widget.uncertainty.bootstrap import LEADING
from isi_widget.uncertainty.curve import entropy_curve
from isi_widget.uncertainty.lexical import WITHOUT_CLUSTERS

if TYPE_CHECKING:
    from isi_widget.trial import Trial
    from isi_widget.uncertainty import Uncertainty


# Of the curve of the entropy against the number of samples: at most 10 points, in milliseconds.
_POINTS, _DRAWS, _FEWEST = 10, 400, 3
_MOST_SHOWN = 8000  # characters of reasoning


def finite(value: float | None) -> float | None:
    """The value, or None where JSON has no number for it."""
    return float(value) if value is not None and math.isfinite(value) else None


def missing(value: float) -> str:
    """What stands in the place of a number that is not finite: NaN is not measured, not zero."""
    return "" if math.isfinite(value) else "not available" if math.isnan(value) else "infinite"


def trial_view(trial: Trial) -> dict[str, Any]:
    """The trial as the page draws it; `json.dumps(..., allow_nan=False)` takes it, numbers that are not
    finite are null.
    """
    return {
        "question": trial.stimulus.current_question,
        "context": trial.stimulus.current_context,
        "image_preset": trial.stimulus.image_preset,
        "context_preset": trial.stimulus.context_preset,
        "truth": trial.stimulus.truth,
        "operations": [operation.to_dict() for operation in trial.stimulus.operations],
        "model": model_label(trial.model),
        "settings": trial.settings.to_dict(),
        "seconds": dict(trial.seconds),
        "created": trial.created,
        "code": trial.code(),
        "notes": _notes(trial),
        "answer": _answer(trial),
        "uncertainty": None if trial.uncertainty is None else _uncertainty(trial.uncertainty, trial),
        "attention": _attention(trial),
    }


def _notes(trial: Trial) -> list[str]:
    """What could not be measured or judged, and why."""
    return [*trial.notes, *filter(None, [trial.judgement.reason])]


def _answer(trial: Trial) -> dict[str, Any] | None:
    answer = trial.answer
    if answer is None:
        return None
    tokens: list[dict[str, Any]] = [
        {"text": text, "logprob": finite(logprob)}
        for text, logprob in zip(answer.tokens, answer.logprobs, strict=True)
    ]
    for token, others in zip(tokens, answer.alternatives, strict=False):  # none for beams and servers
        token["alternatives"] = [{"text": text, "logprob": finite(logprob)} for text, logprob in others]
    mark, judged = verdict(trial.correct, bool(trial.stimulus.drawings))
    return {
        "text": answer.text,
        "correct": trial.correct,
        "mark": mark,
        "judged": judged,
        "finished": answer.finished,
        "missing": answer.missing,
        "reasoning": shortened(answer.reasoning),
        "tokens": tokens,
        "yes_no": None if trial.yes_no is None else dict(trial.yes_no),
    }


def shortened(text: str) -> str:
    """A long text without its middle: `Answer.reasoning` has all of it."""
    if len(text) <= _MOST_SHOWN:
        return text
    half = _MOST_SHOWN // 2
    return f"{text[:half]} [...{len(text) - 2 * half} characters...] {text[-half:]}"


def _uncertainty(uncertainty: Uncertainty, trial: Trial) -> dict[str, Any]:
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
        "temperature": trial.settings.temperature,
        "level": uncertainty.level,
        "basis": _basis(uncertainty, trial.settings.temperature),
        "intervals": "bounds" if enumerated else f"{uncertainty.level:.0%} intervals",
        "entropies": entropies,
        "clusters": clusters_of(uncertainty),
        "curve": _curve(uncertainty),
        "caveats": list(uncertainty.caveats),
        "judge": _judge(uncertainty),
        "scale_note": SCALE_NOTE,
    }


def _judge(uncertainty: Uncertainty) -> dict[str, Any]:
    """Who compared the meanings; `doubts` stand beside the numbers, whatever shows them."""
    judge = uncertainty.judge
    if judge is None:
        return {"label": uncertainty.entailment, "reason": "", "doubts": []}
    label = "the embedded model" if judge.label == "embedded" else judge.label
    return {"label": label, "reason": judge.reason, "doubts": list(judge.doubts)}


def doubts_of(views: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why the clusters of some trials are not to be relied on, each reason once."""
    judges = [view["uncertainty"]["judge"] for view in views if view["uncertainty"]]
    return list(dict.fromkeys(doubt for judge in judges for doubt in judge["doubts"]))


def _basis(uncertainty: Uncertainty, temperature: float) -> str:
    """What the numbers come from."""
    number = len(uncertainty.answers)
    if uncertainty.method == "enumerated":
        answers = f"{number} answer{'s' * (number != 1)}"
        return f"{answers} with {1 - uncertainty.rest:.1%} of the probability at temperature {temperature:g}"
    return f"{number} samples at temperature {temperature:g}"


def _curve(uncertainty: Uncertainty) -> dict[str, Any] | None:
    """The entropy that the page shows first, as it was after the first answers; None where there are too
    few.
    """
    number = len(uncertainty.answers)
    measure = ENTROPIES[0]
    if number < _FEWEST or uncertainty.method == "enumerated":
        return None
    steps = min(number, _POINTS) - 1
    sizes = sorted({1 + round(step * (number - 1) / steps) for step in range(steps + 1)})
    curve = entropy_curve(uncertainty, measure.name, sizes=sizes, subsamples=_DRAWS, level=uncertainty.level)
    lines = {name: [round(value, 5) for value in getattr(curve, name)] for name in ("mean", "low", "high")}
    return {
        "name": measure.name,
        "label": measure.label,
        "unit": measure.unit,
        "scale": measure.scale,
        "samples": list(curve.samples),
        **lines,
        "definition": (
            f"{measure.label} as the {number} answers came in: its estimate after so many of them, and its "
            f"{curve.level:.0%} interval. Where the band is still wide at its end, more samples would help."
        ),
    }


def _bounds(measure: Measure, uncertainty: Uncertainty) -> Iterator[str]:
    """What the interval is, and the largest value that there can be."""
    low, high = uncertainty.interval(measure.name)
    maximum = measure.maximum(len(uncertainty.answers))
    if uncertainty.method == "enumerated":
        yield f"In brackets: what the {uncertainty.rest:.1%} of the probability not looked at leaves open."
        return
    if measure.name == LEADING:
        yield (
            f"Interval: {uncertainty.level:.0%} credible; it allows for meanings that were not sampled. "
            f"{_known(uncertainty)}"
        )
    elif math.isfinite(low) and math.isfinite(high):
        bias = "" if maximum is None else "; a resample misses meanings too, so it sits too low"
        yield f"Interval: {uncertainty.level:.0%}, bootstrap over the samples{bias}."
    if maximum is not None:
        yield f"Largest possible here: {maximum:.2f}{' ' + measure.unit if measure.unit else ''}."


def _known(uncertainty: Uncertainty) -> str:
    rest = uncertainty.posterior.rest
    if rest == 1.0 and math.isnan(uncertainty.drawn_probabilities[0]):
        return "The model does not tell how probable each answer was: the samples are counted."
    return f"The sampled answers hold {1.0 - rest:.0%} of the probability of all that could be sampled."


def clusters_of(uncertainty: Uncertainty) -> list[dict[str, Any]]:
    """The clusters, largest first: id, name, count, probability, share, and each wording with its count.

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


def how_many(cluster: Mapping[str, Any], samples: int) -> str:
    """How many of the samples are in a cluster; "" where answers were enumerated."""
    return "" if cluster["count"] is None else f"{cluster['count']} of {samples}"


def how_often(answer: Mapping[str, Any]) -> str:
    """How often a wording was sampled, or its exact probability."""
    if answer["count"] is None:
        return f"{answer['probability']:.3f}"
    return f"{answer['count']} \N{MULTIPLICATION SIGN}"


def _attention(trial: Trial) -> dict[str, Any] | None:
    attention = trial.attention
    if attention is None:
        return None
    return {
        "segments": list(attention.segments),
        "absolute": _shares(attention.absolute(), attention.segments),
        "relative": _shares(attention.relative(), INPUTS),
        "token_counts": {name: int(count) for name, count in attention.token_counts.items()},
        "modality_dominance_index": finite(attention.modality_dominance_index),
        "by_layer": [_shares(layer, attention.segments) for layer in attention.per_layer()],
        "by_head": [[round(share, 4) for share in layer] for layer in by_head(attention)],
        "by_token": [_shares(token, attention.segments) for token in attention.per_token()],
    }


def _shares(shares: Mapping[str, float], names: tuple[str, ...]) -> dict[str, float | None]:
    return {name: finite(shares.get(name, 0.0)) for name in names}


def trial_row(trial: Trial) -> dict[str, Any]:
    """The trial as one flat row: tidy names; numbers that were not measured are NaN, texts None."""
    stimulus, settings, model = trial.stimulus, trial.settings, trial.model
    operations = [operation.to_dict() for operation in stimulus.operations]
    row: dict[str, Any] = {
        "created": trial.created,
        "stimulus_key": stimulus.key,
        "question": stimulus.current_question,
        "context": stimulus.current_context,
        "truth": stimulus.truth,
        "image_preset": stimulus.image_preset,
        "context_preset": stimulus.context_preset,
        "operations": json.dumps(operations, ensure_ascii=False),
        "answer": None if trial.answer is None else trial.answer.text,
        "correct": trial.correct,
        "answer_log_likelihood": math.nan if trial.answer is None else trial.answer.log_likelihood,
        "answer_tokens": math.nan if trial.answer is None else len(trial.answer.token_ids),
    }
    for name in ("yes", "no", "rest"):
        row[f"p_{name}"] = math.nan if trial.yes_no is None else trial.yes_no[name]
    uncertainty = trial.uncertainty
    for measure in ENTROPIES:
        low, high = (math.nan, math.nan) if uncertainty is None else uncertainty.interval(measure.name)
        row[measure.name] = math.nan if uncertainty is None else getattr(uncertainty, measure.name)
        row[f"{measure.name}_low"], row[f"{measure.name}_high"] = low, high
    row["rest"] = math.nan if uncertainty is None else uncertainty.rest
    row["clusters"] = math.nan if uncertainty is None else uncertainty.number_of_clusters
    for name in WITHOUT_CLUSTERS:
        row[name] = math.nan if uncertainty is None else uncertainty.graph_measures.get(name, math.nan)
    order = None if uncertainty is None else uncertainty.order
    row["order_changed"] = math.nan if order is None else order.changed
    absolute = {} if trial.attention is None else trial.attention.absolute()
    relative = {} if trial.attention is None else trial.attention.relative()
    counts = {} if trial.attention is None else trial.attention.token_counts
    for name in SEGMENTS:
        row[f"attention_{name}"] = absolute.get(name, math.nan)
    for name in INPUTS:
        row[f"attention_relative_{name}"] = relative.get(name, math.nan)
    for name in SEGMENTS:
        row[f"tokens_{name}"] = counts.get(name, math.nan)
    index = None if trial.attention is None else trial.attention.modality_dominance_index
    row["modality_dominance_index"] = math.nan if index is None else index
    for name in ("name", "family", "parameters", "device", "dtype", "quantization", "revision"):
        row["model" if name == "name" else f"model_{name}"] = model.get(name)
    row["model_adapter"], row["model_system"] = model.get("adapter"), model.get("system")
    for name in ("history", "processor_args"):
        row[f"model_{name}"] = json.dumps(model[name], ensure_ascii=False) if model.get(name) else None
    row |= {
        name: getattr(settings, name)
        for name in (
            "samples",
            "temperature",
            "top_k",
            "top_p",
            "seed",
            "max_new_tokens",
            "strict_entailment",
            "do_sample",
            "num_beams",
            "likelihood",
            "prepend_question",
            "method",
            "mass",
            "budget",
        )
    }
    judge = None if uncertainty is None else uncertainty.judge
    row["entailment"] = None if uncertainty is None else uncertainty.entailment
    row["entailment_revision"] = None if judge is None else judge.revision
    row["entailment_doubts"] = None if uncertainty is None else " ".join(judge.doubts if judge else ())
    row["caveats"] = None if uncertainty is None else " ".join(uncertainty.caveats)
    row["notes"] = " ".join(_notes(trial))
    row["seconds"] = trial.seconds.get("total", math.nan)
    row |= {f"version_{name}": version for name, version in trial.versions.items()}
    return row
