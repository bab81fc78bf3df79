"""isi_widget: change the input of a vision-language model in a notebook and see the effect.

    An Observation becomes a Stimulus by Interventions; a VLM meets a Stimulus in a Trial;
    a Probe shows Trials.

Every public name is imported on first use (PEP 562), so that `import isi_widget` is fast: torch is imported
with the first model, matplotlib with the first plot.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isi_widget._version import __version__

if TYPE_CHECKING:
    from isi_widget import datasets
    from isi_widget.answer import Answer, Enumeration
    from isi_widget.attribution import (
        AttentionMap,
        AttentionShares,
        measure_attention,
        measure_attention_map,
    )
    from isi_widget.concepts import (
        Pair,
        TokenDifference,
        TokenReplacements,
        load_inpainter,
        replace_tokens,
        segment,
        token_replacements,
    )
    from isi_widget.datasets import Observation
    from isi_widget.errors import Cancelled, InputError, OutOfMemory
    from isi_widget.interventions import (
        ActivationPatch,
        AttentionReplace,
        AttentionScale,
        ContrastiveDecoding,
        HeadGates,
        HeadReplace,
        HeadScale,
        ImageTokens,
        Knockout,
        Steer,
        SteeringDirection,
    )
    from isi_widget.mechanism.ablation import HeadAblation, head_ablation
    from isi_widget.mechanism.causal_trace import CausalTrace
    from isi_widget.mechanism.divergence import HeadDivergence, vision_divergence
    from isi_widget.mechanism.fitting_gates import fit_gates
    from isi_widget.mechanism.gate_fit import GateFit
    from isi_widget.mechanism.head_contributions import HeadContributions
    from isi_widget.mechanism.knocking_out import knockout_curve
    from isi_widget.mechanism.knockout import KnockoutCurve
    from isi_widget.mechanism.lens import LogitLens
    from isi_widget.mechanism.measuring_heads import measure_heads
    from isi_widget.mechanism.overlap import HeadOverlap, head_overlap
    from isi_widget.mechanism.reading_lens import logit_lens
    from isi_widget.mechanism.steering import steering_direction
    from isi_widget.mechanism.tracing import trace
    from isi_widget.report.figures import save_figure
    from isi_widget.report.making import report
    from isi_widget.stimulus import Inpainter, Mask, Stimulus, inpainters, register_inpainter
    from isi_widget.study import Averages, averages, conditions
    from isi_widget.study.before_after import Beaf, beaf
    from isi_widget.study.compare import Comparison, compare
    from isi_widget.study.condition import Condition, condition
    from isi_widget.study.engines.ray_engine import RayEngine
    from isi_widget.study.running import run_study
    from isi_widget.study.step_values import grid
    from isi_widget.study.study import Study, open_study
    from isi_widget.trial import (
        Measure,
        Settings,
        Term,
        Trial,
        measure_uncertainty,
        register_measure,
        run_trial,
    )
    from isi_widget.trial.reports import open_report
    from isi_widget.uncertainty import (
        Uncertainty,
        entailment_models,
        entropy_curve,
        load_entailment,
        samples_needed,
    )
    from isi_widget.vlm import CheckReport, Family, check_vlm, load_vlm, models, register_family
    from isi_widget.vlm.cluster import RayCluster
    from isi_widget.vlm.remote import connect
    from isi_widget.widget import AttentionPlayer, Probe
    from isi_widget.widget.session.opening import open_probe

# Public name -> the module that defines it. None: the name is itself a package.
_HOMES: dict[str, str | None] = {
    "ActivationPatch": "isi_widget.interventions",
    "Answer": "isi_widget.answer",
    "AttentionMap": "isi_widget.attribution",
    "AttentionPlayer": "isi_widget.widget",
    "AttentionReplace": "isi_widget.interventions",
    "AttentionScale": "isi_widget.interventions",
    "AttentionShares": "isi_widget.attribution",
    "Averages": "isi_widget.study",
    "Beaf": "isi_widget.study.before_after",
    "Cancelled": "isi_widget.errors",
    "CausalTrace": "isi_widget.mechanism.causal_trace",
    "CheckReport": "isi_widget.vlm",
    "Comparison": "isi_widget.study.compare",
    "Condition": "isi_widget.study.condition",
    "ContrastiveDecoding": "isi_widget.interventions",
    "Enumeration": "isi_widget.answer",
    "Family": "isi_widget.vlm",
    "GateFit": "isi_widget.mechanism.gate_fit",
    "HeadAblation": "isi_widget.mechanism.ablation",
    "HeadContributions": "isi_widget.mechanism.head_contributions",
    "HeadDivergence": "isi_widget.mechanism.divergence",
    "HeadGates": "isi_widget.interventions",
    "HeadOverlap": "isi_widget.mechanism.overlap",
    "HeadReplace": "isi_widget.interventions",
    "HeadScale": "isi_widget.interventions",
    "ImageTokens": "isi_widget.interventions",
    "Inpainter": "isi_widget.stimulus",
    "InputError": "isi_widget.errors",
    "Knockout": "isi_widget.interventions",
    "KnockoutCurve": "isi_widget.mechanism.knockout",
    "LogitLens": "isi_widget.mechanism.lens",
    "Mask": "isi_widget.stimulus",
    "Measure": "isi_widget.trial",
    "Observation": "isi_widget.datasets",
    "OutOfMemory": "isi_widget.errors",
    "Pair": "isi_widget.concepts",
    "Probe": "isi_widget.widget",
    "RayCluster": "isi_widget.vlm.cluster.connecting",
    "RayEngine": "isi_widget.study.engines.ray_engine",
    "Settings": "isi_widget.trial",
    "Steer": "isi_widget.interventions",
    "SteeringDirection": "isi_widget.interventions",
    "Stimulus": "isi_widget.stimulus",
    "Study": "isi_widget.study.study",
    "Term": "isi_widget.trial",
    "TokenDifference": "isi_widget.concepts",
    "TokenReplacements": "isi_widget.concepts",
    "Trial": "isi_widget.trial",
    "Uncertainty": "isi_widget.uncertainty",
    "averages": "isi_widget.study",
    "beaf": "isi_widget.study.before_after",
    "check_vlm": "isi_widget.vlm",
    "compare": "isi_widget.study.compare",
    "condition": "isi_widget.study.condition",
    "conditions": "isi_widget.study",
    "connect": "isi_widget.vlm.remote",
    "concepts": None,
    "datasets": None,
    "interventions": None,
    "entailment_models": "isi_widget.uncertainty",
    "entropy_curve": "isi_widget.uncertainty",
    "inpainters": "isi_widget.stimulus",
    "fit_gates": "isi_widget.mechanism.fitting_gates",
    "grid": "isi_widget.study.step_values",
    "head_ablation": "isi_widget.mechanism.ablation",
    "head_overlap": "isi_widget.mechanism.overlap",
    "knockout_curve": "isi_widget.mechanism.knocking_out",
    "load_entailment": "isi_widget.uncertainty",
    "load_inpainter": "isi_widget.concepts.diffusion",
    "load_vlm": "isi_widget.vlm",
    "logit_lens": "isi_widget.mechanism.reading_lens",
    "measure_attention": "isi_widget.attribution",
    "measure_attention_map": "isi_widget.attribution",
    "measure_heads": "isi_widget.mechanism.measuring_heads",
    "measure_uncertainty": "isi_widget.trial",
    "models": "isi_widget.vlm",
    "open_probe": "isi_widget.widget.session.opening",
    "open_report": "isi_widget.trial.reports",
    "open_study": "isi_widget.study.study",
    "register_family": "isi_widget.vlm",
    "register_inpainter": "isi_widget.stimulus",
    "register_measure": "isi_widget.trial",
    "replace_tokens": "isi_widget.concepts",
    "report": None,
    "run_study": "isi_widget.study.running",
    "run_trial": "isi_widget.trial",
    "samples_needed": "isi_widget.uncertainty",
    "save_figure": "isi_widget.report.figures",
    "segment": "isi_widget.concepts",
    "steering_direction": "isi_widget.mechanism.steering",
    "stimulus": None,
    "token_replacements": "isi_widget.concepts",
    "trace": "isi_widget.mechanism.tracing",
    "uncertainty": None,
    "vision_divergence": "isi_widget.mechanism.divergence",
}

__all__ = [
    "ActivationPatch",
    "Answer",
    "AttentionMap",
    "AttentionPlayer",
    "AttentionReplace",
    "AttentionScale",
    "AttentionShares",
    "Averages",
    "Beaf",
    "Cancelled",
    "CausalTrace",
    "CheckReport",
    "Comparison",
    "Condition",
    "ContrastiveDecoding",
    "Enumeration",
    "Family",
    "GateFit",
    "HeadAblation",
    "HeadContributions",
    "HeadDivergence",
    "HeadGates",
    "HeadOverlap",
    "HeadReplace",
    "HeadScale",
    "ImageTokens",
    "Inpainter",
    "InputError",
    "Knockout",
    "KnockoutCurve",
    "LogitLens",
    "Mask",
    "Measure",
    "Observation",
    "OutOfMemory",
    "Pair",
    "Probe",
    "RayCluster",
    "RayEngine",
    "Settings",
    "Steer",
    "SteeringDirection",
    "Stimulus",
    "Study",
    "Term",
    "TokenDifference",
    "TokenReplacements",
    "Trial",
    "Uncertainty",
    "__version__",
    "averages",
    "beaf",
    "check_vlm",
    "compare",
    "condition",
    "conditions",
    "connect",
    "datasets",
    "entailment_models",
    "entropy_curve",
    "fit_gates",
    "grid",
    "head_ablation",
    "head_overlap",
    "inpainters",
    "knockout_curve",
    "load_entailment",
    "load_inpainter",
    "load_vlm",
    "logit_lens",
    "measure_attention",
    "measure_attention_map",
    "measure_heads",
    "measure_uncertainty",
    "models",
    "open_probe",
    "open_report",
    "open_study",
    "register_family",
    "register_inpainter",
    "register_measure",
    "replace_tokens",
    "report",
    "run_study",
    "run_trial",
    "samples_needed",
    "save_figure",
    "segment",
    "steering_direction",
    "token_replacements",
    "trace",
    "vision_divergence",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, and cache it."""
    if name not in _HOMES:
        raise AttributeError(
            f"module 'isi_widget' has no attribute {name!r}; it offers: {', '.join(__all__)}"
        )
    home = _HOMES[name]
    value = import_module(f"isi_widget.{name}") if home is None else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(__all__)
