"""Names, units, definitions and scales of the measures: one place for the widget, the static page, the plots
and the PDF.

Every measure has a name, a unit and one sentence of definition with its caveat. Not for colours nor for
drawing (`isi_widget.report`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Where bars and axes end, by the unit of what they show: the same for every trial and every picture of it
#: (page, static page, figure, PDF), so that the same number is the same length. 3 nats are twenty equally
#: likely meanings; what is beyond has an arrow at the end.
SCALES = {"nats": 3.0, "nats/token": 3.0, "": 1.0}
SCALE_NOTE = "Bars of entropies end at 3 nats (twenty equally likely meanings), Rao's at 1, in every trial."


@dataclass(frozen=True)
class Measure:
    """How one entropy is presented."""

    name: str
    label: str
    unit: str
    definition: str

    @property
    def scale(self) -> float:
        """The value at the end of its bar."""
        return SCALES[self.unit]

    def maximum(self, samples: int) -> float | None:
        """Return the largest possible value with `samples` answers, or None without a bound."""
        if self.name in ("semantic_entropy", "discrete_semantic_entropy"):
            return math.log(samples)
        return 1.0 if self.name == "rao_quadratic_entropy" else None


ENTROPIES = (
    Measure(
        "bayesian_semantic_entropy",
        "Semantic entropy, Bayesian",
        "nats",
        "How far the answers that the model gives spread over different meanings, those that were not "
        "sampled with them: 0 if all mean the same. Estimated from the samples and, where the model tells "
        "them, from the probabilities of the answers; each different answer is weighed once.",
    ),
    Measure(
        "discrete_semantic_entropy",
        "Semantic entropy, discrete",
        "nats",
        "How far the sampled answers alone spread over different meanings, each meaning weighted by how "
        "many of the samples have it. Few samples miss rare meanings, so it tends to be too low.",
    ),
    Measure(
        "semantic_entropy",
        "Semantic entropy, likelihood-weighted",
        "nats",
        "The same, each sample weighted by its likelihood, as Farquhar et al. (2024) compute it. It does not "
        "estimate the entropy over meanings: likely answers are sampled often and weigh much each time, so "
        "it stays too low however many samples there are.",
    ),
    Measure(
        "predictive_entropy",
        "Predictive entropy",
        "nats/token",
        "Minus the mean log-likelihood per token of the sampled answers: uncertainty over wordings, "
        "so it is high also where the answers only say the same thing differently.",
    ),
    Measure(
        "rao_quadratic_entropy",
        "Rao's quadratic entropy",
        "",
        "The mean distance in meaning of two different ones of the sampled answers: 0 if all mean the same, "
        "near 1 if all differ. It is as good as the entailment model's probabilities.",
    ),
)


def verdict(correct: bool | None, edited: bool) -> tuple[str, str]:
    """Return how an answer is judged: a word for a mark, and in full; both empty where it is not judged.

    edited : the picture was drawn on, which may have changed what is true of it; the truth is that of the
        original.
    """
    if correct is None:
        return "", ""
    if edited:
        short = "agrees" if correct else "differs"
        return short, f"{short} {'with' if correct else 'from'} the original picture's truth"
    return ("right", "right") if correct else ("wrong", "wrong")


#: The same of enumerated answers: those that do not count samples.
ENUMERATED = (
    Measure(
        "bayesian_semantic_entropy",
        "Semantic entropy, enumerated",
        "nats",
        "How far the answers that the model gives spread over different meanings: 0 if all mean the same. "
        "From the exact probabilities of the answers; what was not looked at is divided as they are.",
    ),
    Measure(
        "rao_quadratic_entropy",
        "Rao's quadratic entropy",
        "",
        "The mean distance in meaning of two answers of the model: 0 if all mean the same, near 1 if all "
        "differ. It is as good as the entailment model's probabilities.",
    ),
)

ATTENTION_CAVEAT = (
    "Attention, not importance: where the model reads from, averaged over layers, heads and answer "
    "tokens; it does not say what the answer depends on."
)
DOMINANCE_CAVEAT = (
    "Modality dominance index: attention per text token (context and question) over attention per "
    "image token; above 1 the text gets more than its share of tokens."
)
