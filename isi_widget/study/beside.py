"""Which averages belong beside a trial, and what they say of it.

Only averages of the trial's own model, and for each measure only if all settings that affect it are equal.
Not for drawing: the widget draws the result of `tell`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from isi_widget import embedded
from isi_widget.readable import counted
from isi_widget.segments import GROUPS as SEGMENTS
from isi_widget.segments import INPUTS
from isi_widget.study.identity import is_same
from isi_widget.study.in_use import used
from isi_widget.study.record import Averages
from isi_widget.trial.settings import Settings
from isi_widget.uncertainty.bootstrap import NAMES

if TYPE_CHECKING:
    from isi_widget.trial import Trial
    from isi_widget.vlm import VLM

#: Those of the embedded model on the built-in scenes of things, with the default settings.
SHIPPED = embedded.VLM.parent / "averages.json"

_SAMPLING = ("temperature", "top_k", "top_p")
_MEANING = ("strict_entailment", "prepend_question", "entailment")
#: The settings that enter each measure, besides max_new_tokens, which enters all. The number of samples
#: bounds the number of meanings and biases what counts them; it only changes how noisy the predictive entropy
#: is. The seed is chance and enters none. Enumerated answers are no samples: `method` enters all that comes
#: of either.
_ENTER: dict[str, tuple[str, ...]] = {
    "bayesian_semantic_entropy": ("samples", "method", *_SAMPLING, *_MEANING),
    "semantic_entropy": ("samples", "method", *_SAMPLING, "likelihood", *_MEANING),
    "discrete_semantic_entropy": ("samples", "method", *_SAMPLING, *_MEANING),
    "predictive_entropy": ("method", *_SAMPLING, "likelihood"),
    "rao_quadratic_entropy": ("samples", "method", *_SAMPLING, *_MEANING),
    "clusters": ("samples", "method", *_SAMPLING, *_MEANING),
    "attention": ("do_sample", "num_beams"),
}
_NAMED = tuple(dict.fromkeys(name for names in _ENTER.values() for name in names))


# ------------------------------------------------------------------------------------------------ which
@cache
def _shipped() -> Averages | None:
    return Averages.load(SHIPPED) if SHIPPED.is_file() else None


def averages_for(model: Mapping[str, Any] | VLM, settings: Settings | None = None) -> Averages | None:
    """Return the averages to show beside trials of a model; None if there are none for exactly this model.

    Those put in use (`Averages.use`) come first, of several those with the fewest settings that differ from
    `settings`, then the latest; then the shipped ones, of the embedded model on the scenes of things.

    model is a `VLM`, or `VLM.info()` as a trial keeps it. The weights of a loaded model must be the same, by
    their fingerprint; an older record without one has no averages.
    """
    info = model if isinstance(model, Mapping) else model.info()
    wanted = settings or Settings()
    fitting = [found for found in reversed(used()) if is_same(found.model, info)]
    if fitting:
        return min(fitting, key=lambda found: len(dict(_differing(found, wanted, found.entailment))))
    shipped = _shipped()
    return shipped if shipped is not None and is_same(shipped.model, info) else None


# ------------------------------------------------------------------------------------------ what they say
def _differing(averages: Averages, settings: Settings, entailment: str) -> Iterator[tuple[str, str]]:
    """Yield each setting of a trial that affects a measure and differs from the averages, in words."""
    for name in _NAMED:
        if name == "entailment":
            here, there = entailment, averages.entailment
        else:
            here, there = getattr(settings, name), getattr(averages.settings, name)
        if here != there:
            yield name, f"{name} {here} (not {there})"


def _same_length(averages: Averages, settings: Settings) -> bool:
    """Return whether the averages would be the same numbers under the trial's max_new_tokens."""
    if settings.max_new_tokens == averages.settings.max_new_tokens:
        return True
    longest = max(row.tokens for row in averages.rows)
    return not any(row.cut for row in averages.rows) and settings.max_new_tokens >= longest


def tell(
    averages: Averages,
    view: Mapping[str, Any],
    entailment: str | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Compare a trial with the averages of the same model (from `averages_for`); JSON-ready.

    Parameters
    ----------
    view : trial as from `Trial.view()`.
    entailment : name of the model that compared its answers (`Judge.label`); None: assumed to be that of the
        averages.
    settings : settings of the trial; None (default): those in the view.

    Returns
    -------
    {each name of `isi_widget.uncertainty.bootstrap.NAMES`, "clusters": {"mean", "percentile"};
    "attention_absolute", "attention_relative": {segment: mean};
    "note": one sentence}. mean : over the data set. percentile : of the trial's value in it, 0 to 100, see
    `Averages.percentile`. In the place of a measure None where the trial or the data set has none, and where
    a setting that enters the measure differs, which the note then says.
    """
    settings = settings or Settings.from_dict(view["settings"])
    name = averages.entailment if entailment is None else entailment
    differing = dict(_differing(averages, settings, name))
    same_length = _same_length(averages, settings)

    def comparable(measure: str) -> bool:
        return same_length and not differing.keys() & set(_ENTER[measure])

    told: dict[str, Any] = {
        measure: _place(averages, measure, value) if comparable(measure) else None
        for measure, value in _values(view)
    }
    attention = view["attention"] if comparable("attention") else None
    for kind, prefix, names in (
        ("attention_absolute", "attention_", SEGMENTS),
        ("attention_relative", "attention_relative_", INPUTS),
    ):
        means = {part: averages.mean(f"{prefix}{part}") for part in names}
        measured = attention is not None and all(map(math.isfinite, means.values()))
        told[kind] = means if measured else None
    told["note"] = _note(averages, settings, differing, same_length, _has_context(view))
    return told


def for_trial(trial: Trial, view: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Compare a trial with the averages of its model, as `tell` does; None if there are none of this model.

    view is its `Trial.view()`, if that is at hand.
    """
    averages = averages_for(trial.model, trial.settings)
    if averages is None:
        return None
    return tell(averages, trial.view() if view is None else view, _judged_by(trial), trial.settings)


def _judged_by(trial: Trial) -> str | None:
    """Return the name of the judge, with its commit if known; None without an uncertainty."""
    uncertainty = trial.uncertainty
    if uncertainty is None or uncertainty.judge is None:
        return None if uncertainty is None else uncertainty.entailment
    return uncertainty.judge.label


def _values(view: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the measures of a view that have a percentile; NaN where it has none."""
    uncertainty = view["uncertainty"]
    found = {} if uncertainty is None else {item["name"]: item for item in uncertainty["entropies"]}
    for name in NAMES:
        item = found.get(name)
        if item is None or item["value"] is None:
            yield name, math.inf if item is not None and item["missing"] == "infinite" else math.nan
        else:
            yield name, float(item["value"])
    yield "clusters", math.nan if uncertainty is None else float(len(uncertainty["clusters"]))


def _place(averages: Averages, measure: str, value: float) -> dict[str, float] | None:
    """Return the data set's mean and the value's percentile; None if there is no number."""
    mean, percentile = averages.mean(measure), averages.percentile(measure, value)
    if not (math.isfinite(mean) and math.isfinite(percentile)):
        return None
    return {"mean": mean, "percentile": percentile}


def _has_context(view: Mapping[str, Any]) -> bool:
    attention = view["attention"]
    return attention is not None and bool(attention["token_counts"].get("context"))


def _note(
    averages: Averages,
    settings: Settings,
    differing: Mapping[str, str],
    same_length: bool,
    context: bool,
) -> str:
    """Return one sentence: the data set of the averages, and the differences of the trial."""
    how = averages.settings
    shown = f" under {averages.condition!r}" if averages.condition else ""
    text = (
        f"Averages of {counted(len(averages), 'observation')} ({averages.data}{shown}), "
        f"{counted(how.samples, 'sample')} at temperature {how.temperature:g}, {averages.created[:10]}"
    )
    here = list(differing.values())
    length = f"max_new_tokens {settings.max_new_tokens} (not {how.max_new_tokens})"
    if not same_length:
        here.append(length)
    if here:
        text += f"; this trial has {', '.join(here)}: what depends on that is not compared"
    if same_length and settings.max_new_tokens != how.max_new_tokens:
        text += f"; this trial has {length}, which changes no average"
    if context and not any(row.attention_context > 0 for row in averages.rows):
        text += "; this trial has a context, no observation there has one"
    return f"{text}."
