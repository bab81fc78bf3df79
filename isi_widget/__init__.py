"""isi_widget: change what a vision-language model sees or reads, inside a notebook, and see what that does.

    An Observation becomes a Stimulus by Interventions; a VLM meets a Stimulus in a Trial;
    a Probe shows Trials.

Every public name is imported on first use (PEP 562), so that `import isi_widget` costs next to nothing:
torch comes with the first model, matplotlib with the first plot. Not a place for code of its own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isi_widget._version import __version__

if TYPE_CHECKING:
    from isi_widget import datasets
    from isi_widget.answer import Answer
    from isi_widget.attribution import AttentionShares, measure_attention
    from isi_widget.datasets import Observation
    from isi_widget.errors import Cancelled, InputError
    from isi_widget.report.compare import Comparison, compare
    from isi_widget.settings import Settings
    from isi_widget.stimulus import Stimulus
    from isi_widget.trial import Trial, measure_uncertainty, run_trial
    from isi_widget.uncertainty import Uncertainty
    from isi_widget.vlm import load_vlm, models
    from isi_widget.widget import Probe

# Public name -> the module that defines it. None: the name is itself a package.
_HOMES: dict[str, str | None] = {
    "Answer": "isi_widget.answer",
    "AttentionShares": "isi_widget.attribution",
    "Cancelled": "isi_widget.errors",
    "Comparison": "isi_widget.report.compare",
    "InputError": "isi_widget.errors",
    "Observation": "isi_widget.datasets",
    "Probe": "isi_widget.widget",
    "Settings": "isi_widget.settings",
    "Stimulus": "isi_widget.stimulus",
    "Trial": "isi_widget.trial",
    "Uncertainty": "isi_widget.uncertainty",
    "compare": "isi_widget.report.compare",
    "datasets": None,
    "stimulus": None,
    "uncertainty": None,
    "load_vlm": "isi_widget.vlm",
    "measure_attention": "isi_widget.attribution",
    "measure_uncertainty": "isi_widget.trial",
    "models": "isi_widget.vlm",
    "run_trial": "isi_widget.trial",
}

__all__ = [
    "Answer",
    "AttentionShares",
    "Cancelled",
    "Comparison",
    "InputError",
    "Observation",
    "Probe",
    "Settings",
    "Stimulus",
    "Trial",
    "Uncertainty",
    "__version__",
    "compare",
    "datasets",
    "load_vlm",
    "measure_attention",
    "measure_uncertainty",
    "models",
    "run_trial",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, and keep it."""
    if name not in _HOMES:
        raise AttributeError(
            f"module 'isi_widget' has no attribute {name!r}; it offers: {', '.join(__all__)}"
        )
    home = _HOMES[name]
    value = import_module(f"isi_widget.{name}") if home is None else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, for tab completion."""
    return sorted(__all__)
