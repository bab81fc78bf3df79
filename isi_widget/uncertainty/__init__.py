"""Uncertainty of a model's answers: clusters of answers with the same meaning, and entropies over the
clusters.

Works from `Answer` objects and an entailment model, without a VLM. Torch is imported only when an entailment
model is loaded.
"""

from isi_widget.uncertainty._loading import REFERENCE
from isi_widget.uncertainty.bounds import EntropyBounds, entropy_bounds
from isi_widget.uncertainty.clusters import cluster
from isi_widget.uncertainty.curve import EntropyCurve, SamplesNeeded, entropy_curve, samples_needed
from isi_widget.uncertainty.entailment import EntailmentModel, load_entailment
from isi_widget.uncertainty.entropy import (
    discrete_semantic_entropy,
    meaning_distances,
    predictive_entropy,
    rao_quadratic_entropy,
    semantic_entropy,
)
from isi_widget.uncertainty.enumerated import uncertainty_of_enumeration
from isi_widget.uncertainty.graphs import (
    GRAPH_MEASURES,
    degree_matrix,
    eccentricity,
    graph_measures,
    laplacian_eigenvalues,
    semantic_sets,
)
from isi_widget.uncertainty.judge import Judge
from isi_widget.uncertainty.judges import EntailmentCheckpoint, entailment_models
from isi_widget.uncertainty.kernels import kernel_language_entropy
from isi_widget.uncertainty.lexical import lexical_similarity
from isi_widget.uncertainty.measure import uncertainty_of
from isi_widget.uncertainty.order import OrderDependence, order_dependence
from isi_widget.uncertainty.record import Uncertainty
from isi_widget.uncertainty.rules import relation_by_rule

__all__ = [
    "GRAPH_MEASURES",
    "REFERENCE",
    "EntailmentCheckpoint",
    "EntailmentModel",
    "EntropyBounds",
    "EntropyCurve",
    "Judge",
    "OrderDependence",
    "SamplesNeeded",
    "Uncertainty",
    "cluster",
    "degree_matrix",
    "discrete_semantic_entropy",
    "eccentricity",
    "entailment_models",
    "entropy_bounds",
    "entropy_curve",
    "graph_measures",
    "kernel_language_entropy",
    "laplacian_eigenvalues",
    "lexical_similarity",
    "load_entailment",
    "meaning_distances",
    "order_dependence",
    "predictive_entropy",
    "rao_quadratic_entropy",
    "relation_by_rule",
    "samples_needed",
    "semantic_entropy",
    "semantic_sets",
    "uncertainty_of",
    "uncertainty_of_enumeration",
]
