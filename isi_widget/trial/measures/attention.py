"""Attention as a measure: its record is `isi_widget.AttentionShares`. Not for maps over the picture
(`isi_widget.attribution.maps`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isi_widget.attribution import AttentionShares, by_head, measure_attention
from isi_widget.segments import GROUPS, INPUTS
from isi_widget.trial.measures.base import Measure, Term, finite

if TYPE_CHECKING:
    from isi_widget.trial.record import Trial
    from isi_widget.trial.shared import Shared

ATTENTION_CAVEAT = (
    "Attention, not importance: where the model reads from, averaged over layers, heads and answer "
    "tokens; it does not say what the answer depends on."
)
DOMINANCE_CAVEAT = (
    "Modality dominance index: attention per text token (context and question) over attention per "
    "image token; above 1 the text gets more than its share of tokens."
)


class AttentionMeasure(Measure):
    """How much of its attention the model spends on image, context and question while it answers."""

    name, title = "attention", "Attention"
    help = "Measure how much of the answer's attention goes to image, context and question."
    needs = ("answer", "attention")
    uses_model = True
    has_panel = True
    terms = (
        *(Term(f"attention_{name}", name, "", ATTENTION_CAVEAT, 1.0) for name in GROUPS),
        Term("attention_dominance", "Modality dominance index", "", DOMINANCE_CAVEAT),
    )

    def run(self, shared: Shared) -> AttentionShares | None:
        """Return the shares of the shown answer; None for an empty answer, which has no row of attention."""
        answer = shared.answer
        if not answer.token_ids:
            return None
        with shared.stages.stage("attention"):
            return measure_attention(shared.vlm, shared.prefill, answer)

    def from_dict(self, data: Any) -> AttentionShares:
        """Read it."""
        return AttentionShares.from_dict(data)

    def values(self, record: AttentionShares) -> Mapping[str, Any]:
        """Return the absolute shares and the index."""
        absolute = record.absolute()
        shares = {f"attention_{name}": absolute.get(name, math.nan) for name in GROUPS}
        return shares | {"attention_dominance": record.modality_dominance_index}

    def row(self, record: AttentionShares | None) -> dict[str, Any]:
        """Return absolute shares, shares of the inputs, numbers of tokens and the index."""
        absolute = {} if record is None else record.absolute()
        relative = {} if record is None else record.relative()
        counts = {} if record is None else record.token_counts
        index = None if record is None else record.modality_dominance_index
        return {
            **{f"attention_{name}": absolute.get(name, math.nan) for name in GROUPS},
            **{f"attention_relative_{name}": relative.get(name, math.nan) for name in INPUTS},
            **{f"tokens_{name}": counts.get(name, math.nan) for name in GROUPS},
            "modality_dominance_index": math.nan if index is None else index,
        }

    def definitions(self) -> list[tuple[str, str]]:
        """Return the caveat and the index."""
        return [("Attention", ATTENTION_CAVEAT), ("Attention", DOMINANCE_CAVEAT)]

    def describe(self, record: AttentionShares) -> str:
        """Return the shares of the inputs."""
        return f"attention=({', '.join(f'{name} {share:.2f}' for name, share in record.relative().items())})"

    def view(self, record: AttentionShares, trial: Trial, details: bool) -> dict[str, Any]:
        """Return the shares: whole, by layer, by head and by answer token."""
        found = {
            "segments": list(record.segments),
            "absolute": _shares(record.absolute(), record.segments),
            "relative": _shares(record.relative(), INPUTS),
            "token_counts": {name: int(count) for name, count in record.token_counts.items()},
            "modality_dominance_index": finite(record.modality_dominance_index),
            "by_layer": [_shares(layer, record.segments) for layer in record.per_layer()],
            "by_head": _heads(record, "image"),
            "by_head_of": {name: _heads(record, name) for name in INPUTS if name != "image"},
            "by_token": [_shares(token, record.segments) for token in record.per_token()],
        }
        words = {"definition": ATTENTION_CAVEAT, "dominance_definition": DOMINANCE_CAVEAT}
        return found | words if details else found


def _heads(record: AttentionShares, segment: str) -> list[list[float]]:
    return [[round(share, 4) for share in layer] for layer in by_head(record, segment)]


def _shares(shares: Mapping[str, float], names: tuple[str, ...]) -> dict[str, float | None]:
    return {name: finite(shares.get(name, 0.0)) for name in names}
