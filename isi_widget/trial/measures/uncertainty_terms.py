"""Names, units, definitions and scales of the entropies and of the measures of the graph of answers. Not for
drawing (`isi_widget.report`).
"""

from __future__ import annotations

import math

from isi_widget.trial.measures.base import Term
from isi_widget.uncertainty.lexical import WITHOUT_CLUSTERS

#: Where bars and axes end, by the unit of what they show: the same for every trial and every picture of it
#: (page, static page, figure, PDF), so that the same number is the same length. 3 nats are twenty equally
#: likely meanings; what is beyond has an arrow at the end.
SCALES = {"nats": 3.0, "nats/token": 3.0, "": 1.0}
SCALE_NOTE = "Bars of entropies end at 3 nats (twenty equally likely meanings), Rao's at 1, in every trial."


class Entropy(Term):
    """How one entropy is presented."""

    def maximum(self, samples: int) -> float | None:
        """Return the largest value that `samples` answers can give, or None where there is no bound."""
        if self.name in ("semantic_entropy", "discrete_semantic_entropy"):
            return math.log(samples)
        return 1.0 if self.name == "rao_quadratic_entropy" else None


def _entropy(name: str, label: str, unit: str, definition: str) -> Entropy:
    return Entropy(name, label, unit, definition, SCALES[unit])


ENTROPIES = (
    _entropy(
        "bayesian_semantic_entropy",
        "Semantic entropy, Bayesian",
        "nats",
        "Spread of the model's possible answers over different meanings, those that were not "
        "sampled included: 0 if all mean the same. Estimated from the samples and, if the model reports "
        "them, from the probabilities of the answers; each different answer counts once.",
    ),
    _entropy(
        "discrete_semantic_entropy",
        "Semantic entropy, discrete",
        "nats",
        "How far the sampled answers alone spread over different meanings, each meaning weighted by how "
        "many of the samples have it. Few samples miss rare meanings, so it tends to be too low.",
    ),
    _entropy(
        "semantic_entropy",
        "Semantic entropy, likelihood-weighted",
        "nats",
        "The same, each sample weighted by its likelihood, as Farquhar et al. (2024) compute it. It does not "
        "estimate the entropy over meanings: likely answers are sampled often and weigh much each time, so "
        "it stays too low however many samples there are.",
    ),
    _entropy(
        "predictive_entropy",
        "Predictive entropy",
        "nats/token",
        "Minus the mean log-likelihood per token of the sampled answers: uncertainty over wordings, "
        "so it is high also where the answers only say the same thing differently.",
    ),
    _entropy(
        "rao_quadratic_entropy",
        "Rao's quadratic entropy",
        "",
        "Mean distance in meaning between two of the sampled answers: 0 if all mean the same, "
        "near 1 if all differ. It is only as reliable as the entailment model's probabilities.",
    ),
)


#: The same of enumerated answers: those that do not count samples.
ENUMERATED = (
    _entropy(
        "bayesian_semantic_entropy",
        "Semantic entropy, enumerated",
        "nats",
        "Spread of the model's possible answers over different meanings: 0 if all mean the same. "
        "From the exact probabilities of the answers; the rest is divided in proportion to them.",
    ),
    _entropy(
        "rao_quadratic_entropy",
        "Rao's quadratic entropy",
        "",
        "Mean distance in meaning between two answers of the model: 0 if all mean the same, near 1 if all "
        "differ. It is only as reliable as the entailment model's probabilities.",
    ),
)

_GRAPH_WORDS = {
    "kernel_language_entropy_heat": (
        "Kernel language entropy, heat kernel",
        "Von Neumann entropy of the answers' graph under a heat kernel (t = 0.3), at most ln(number of "
        "samples). Not 0 when all answers are equal: compare at an equal number of samples only.",
    ),
    "kernel_language_entropy_matern": (
        "Kernel language entropy, Matérn kernel",
        "The same under a Matérn kernel (nu = kappa = 1), whose values lie in a narrow range below "
        "ln(number of samples).",
    ),
    "laplacian_eigenvalues_entail": (
        "Sum of Laplacian eigenvalues, entailment",
        "A soft number of meanings, from the spectrum of the answers' graph, whose edges are how far two "
        "answers entail each other: 1 if all are alike, the number of samples if none are.",
    ),
    "laplacian_eigenvalues_contra": (
        "Sum of Laplacian eigenvalues, contradiction",
        "The same with edges of how far two answers do not contradict each other: answers that say nothing "
        "about each other count as alike.",
    ),
    "degree_matrix_entail": (
        "Degree matrix, entailment",
        "One minus the mean likeness of two answers by entailment: 0 if all are alike, near 1 if none are.",
    ),
    "degree_matrix_contra": (
        "Degree matrix, contradiction",
        "The same with likeness by not contradicting each other.",
    ),
    "eccentricity_entail": (
        "Eccentricity, entailment",
        "How far the answers lie from their centre in the leading eigenvectors of their graph: 0 if all are "
        "alike; it jumps where an eigenvalue crosses 0.9.",
    ),
    "eccentricity_contra": (
        "Eccentricity, contradiction",
        "The same with likeness by not contradicting each other.",
    ),
    "semantic_sets": (
        "Semantic sets",
        "Groups of answers joined by entailing each other more than they contradict each other, in both "
        "directions; a chain of neighbours is one group, though its ends may differ.",
    ),
    "lexical_similarity": (
        "Lexical similarity (ROUGE-L)",
        "How alike two answers are as strings of words, mean over all pairs: 1 if all have the same words in "
        "the same order, 0 if none has a word in common. It falls as they spread, and knows no meaning.",
    ),
}
#: The measures without clusters (Lin et al., TMLR 2024; Nikitin et al., NeurIPS 2024; ROUGE-L: Lin, 2004).
GRAPH = tuple(
    Term(name, _GRAPH_WORDS[name][0], unit, _GRAPH_WORDS[name][1]) for name, unit in WITHOUT_CLUSTERS.items()
)
GRAPH_SCOPE = (
    "From the entailment between the same answers, the last from their words alone; without likelihoods and "
    "clusters; no intervals."
)
