"""Uncertainty as a measure: its record is an `isi_widget.Uncertainty`. Not for the entropies themselves
(`isi_widget.uncertainty`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isi_widget.answer import Answer, Enumeration
from isi_widget.errors import InputError
from isi_widget.readable import counted
from isi_widget.trial.measures.base import Interval, Measure
from isi_widget.trial.measures.uncertainty_terms import ENTROPIES, GRAPH, GRAPH_SCOPE
from isi_widget.trial.measures.uncertainty_view import uncertainty_details, uncertainty_view
from isi_widget.uncertainty import Uncertainty, uncertainty_of, uncertainty_of_enumeration
from isi_widget.uncertainty.bootstrap import LEADING
from isi_widget.uncertainty.lexical import WITHOUT_CLUSTERS

if TYPE_CHECKING:
    from isi_widget.trial.record import Trial
    from isi_widget.trial.settings import Settings
    from isi_widget.trial.shared import Shared
    from isi_widget.vlm.protocol import VLMLike


class UncertaintyMeasure(Measure):
    """How far the answers of the model spread over different meanings (Farquhar et al., Nature 630, 2024)."""

    name, title = "uncertainty", "Uncertainty"
    help = "Sample several answers, group them by meaning, and measure how much they differ."
    needs = ("samples",)
    has_panel = True
    terms = ENTROPIES

    def check(self, vlm: VLMLike, settings: Settings) -> None:
        """Refuse likelihoods or a method that the model cannot give."""
        if settings.likelihood == "sampled" and (reason := vlm.unavailable.get("sampled_logprobs")):
            raise InputError(
                f"likelihood='sampled' is not possible with {vlm.model_id}. {reason} Use likelihood='raw'."
            )
        if settings.method == "enumerated" and (reason := vlm.unavailable.get("enumeration")):
            raise InputError(
                f"method='enumerated' is not possible with {vlm.model_id}. {reason} Use method='sampled'."
            )

    def prepare(self, shared: Shared) -> None:
        """Load the model that compares the meanings."""
        shared.judge  # noqa: B018  (a cached property)

    def run(self, shared: Shared) -> Uncertainty | None:
        """Return the uncertainty of the samples; None, with a note, where none holds an answer."""
        answers, note = _with_answers(shared.samples)
        if note:
            shared.note(note)
        if not answers:
            return None
        settings, question = shared.settings, shared.stimulus.current_question
        with shared.stages.stage("clusters"):
            if isinstance(answers, Enumeration):
                return uncertainty_of_enumeration(answers, question, shared.judge, **settings.comparing())
            return uncertainty_of(
                answers, question, shared.judge, likelihood=settings.likelihood, **settings.comparing()
            )

    def from_dict(self, data: Any) -> Uncertainty:
        """Read it."""
        return Uncertainty.from_dict(data)

    def values(self, record: Uncertainty) -> Mapping[str, float]:
        """Return the entropies."""
        return {term.name: getattr(record, term.name) for term in ENTROPIES}

    def intervals(self, record: Uncertainty) -> Mapping[str, Interval]:
        """Return the interval of each entropy."""
        return {term.name: record.interval(term.name) for term in ENTROPIES}

    def row(self, record: Uncertainty | None) -> dict[str, Any]:
        """Return entropies with intervals, clusters, measures of the graph, and who compared the meanings."""
        row: dict[str, Any] = {}
        for term in ENTROPIES:
            low, high = (math.nan, math.nan) if record is None else record.interval(term.name)
            row[term.name] = math.nan if record is None else getattr(record, term.name)
            row[f"{term.name}_low"], row[f"{term.name}_high"] = low, high
        graph = {} if record is None else record.graph_measures
        order = None if record is None else record.order
        judge = None if record is None else record.judge
        return row | {
            "rest": math.nan if record is None else record.rest,
            "clusters": math.nan if record is None else record.number_of_clusters,
            **{name: graph.get(name, math.nan) for name in WITHOUT_CLUSTERS},
            "order_changed": math.nan if order is None else order.changed,
            "entailment": None if record is None else record.entailment,
            "entailment_revision": None if judge is None else judge.revision,
            "entailment_doubts": None if record is None else " ".join(judge.doubts if judge else ()),
            "caveats": None if record is None else " ".join(record.caveats),
        }

    def definitions(self) -> list[tuple[str, str]]:
        """Return entropies and measures of the graph."""
        graph = [(term.label, term.definition) for term in GRAPH]
        return [*super().definitions(), *graph, ("Graph measures", GRAPH_SCOPE)]

    def describe(self, record: Uncertainty) -> str:
        """Return the entropy that leads."""
        doubtful = record.judge is not None and record.judge.doubtful
        return f"{LEADING}={record.bayesian_semantic_entropy:.3f}{' (!) see uncertainty.caveats' * doubtful}"

    def view(self, record: Uncertainty, trial: Trial, details: bool) -> dict[str, Any]:
        """Return entropies, clusters, curve, caveats and who compared the meanings."""
        found = uncertainty_view(record, trial.settings.temperature)
        return found | uncertainty_details(record) if details else found


def _with_answers(sampled: Sequence[Answer] | Enumeration) -> tuple[list[Answer] | Enumeration, str]:
    """Return the samples that hold an answer, and a sentence about the others, if any."""
    if isinstance(sampled, Enumeration):
        if sampled.answers:
            return sampled, ""
        return [], (
            f"The uncertainty was not measured: of {counted(sampled.prefixes, 'beginning')} of answers "
            "no answer ended there. Raise budget, or use method='sampled'."
        )
    answers = [answer for answer in sampled if not answer.missing]
    lost = [answer.missing for answer in sampled if answer.missing]
    if not lost:
        return answers, ""
    if not answers:
        return answers, f"The uncertainty was not measured, as no sample holds an answer. {lost[0]}"
    return answers, (
        f"{len(lost)} of {len(sampled)} samples hold no answer and are left out of the uncertainty: that of "
        f"answers that take longer may differ. {lost[0]}"
    )
