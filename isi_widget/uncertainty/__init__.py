"""Uncertainty of a model's answers: which sampled answers mean the same, and the entropies over those
meanings.

Knows no VLM: it takes `Answer`s and an entailment model. Torch is imported only when an entailment model is
loaded.
"""

from isi_widget.uncertainty.clusters import cluster
from isi_widget.uncertainty.entailment import EntailmentModel, load_entailment
from isi_widget.uncertainty.entropy import (
    discrete_semantic_entropy,
    predictive_entropy,
    rao_quadratic_entropy,
    semantic_entropy,
)
from isi_widget.uncertainty.measure import Uncertainty, uncertainty_of

__all__ = [
    "EntailmentModel",
    "Uncertainty",
    "cluster",
    "discrete_semantic_entropy",
    "load_entailment",
    "predictive_entropy",
    "rao_quadratic_entropy",
    "semantic_entropy",
    "uncertainty_of",
]
